"""What `pytest conformance` collects: a test for each case, sweep, layer and claim of the guide."""
