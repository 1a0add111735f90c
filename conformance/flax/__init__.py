"""What Flax does when it initializes layers and models: observing, never judging.

Flax and JAX are imported when a function is called. Keys are derived, and laws are judged, above:
`conformance.oracle.keys`, `conformance.flax.checks`.
"""
