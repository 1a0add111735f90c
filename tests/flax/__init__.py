"""Tests of `conformance.flax`."""
