"""Tests of `conformance.core`."""
