"""Tests of `conformance.upgrade`."""
