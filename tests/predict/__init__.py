"""Tests of `conformance.predict`."""
