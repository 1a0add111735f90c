"""Tests of `conformance.merge`."""
