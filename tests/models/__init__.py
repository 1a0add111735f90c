"""Tests of `conformance.models`."""
