"""Tests of `conformance.observe`."""
