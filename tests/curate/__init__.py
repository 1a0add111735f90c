"""Tests of `conformance.curate`."""
