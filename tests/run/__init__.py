"""Tests of `conformance.run`."""
