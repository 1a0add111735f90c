"""Records, ids, definitions, number formats, bits and errors, without JAX; imports no folder."""
