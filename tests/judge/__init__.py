"""Tests of `conformance.judge`."""
