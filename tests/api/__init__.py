"""Tests of what `import conformance` gives."""
