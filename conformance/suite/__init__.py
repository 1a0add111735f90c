"""What `pytest conformance` collects: cases, sweeps, layers, the guide; imports everything."""
