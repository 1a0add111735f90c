"""The kill matrix: faults that are planted on purpose, and which check each of them dies of."""
