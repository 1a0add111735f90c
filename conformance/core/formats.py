"""The number formats: dtypes, the words that they are drawn from, and the lattices of words."""

from __future__ import annotations

MANTISSA_BITS = {"bfloat16": 7, "float16": 10, "float32": 23, "float64": 52}
"""Random bits in one uniform of each format: those below the leading 1."""

DTYPES = ("float32", "bfloat16", "float16", "float64", "complex64", "complex128")

WIDE_DTYPES = ("float64", "complex64", "complex128")
"""Dtypes that only the full tier runs, with x64 enabled."""

LOG2_LATTICE = {8: 7, 16: 10, 32: 23, 64: 52}
"""Points of the whole lattice by width of the word, as a power of two."""

WORD_BITS = {"bfloat16": 8, "float16": 16, "float32": 32, "float64": 64}
"""Width of the word from which JAX draws one element of each dtype."""

NARROW_DTYPES = ("float32", "bfloat16", "float16")

REAL_PARTS = {"complex64": "float32", "complex128": "float64"}
