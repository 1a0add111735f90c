"""Tests of `conformance.planted`."""
