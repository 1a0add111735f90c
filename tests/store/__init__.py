"""Tests of `conformance.store`."""
