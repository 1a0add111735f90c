"""What JAX promises of the bits of each PRNG implementation: the property table of `jax.random`.

A test compares this with the table in the docstring of the installed `jax.random`.
"""

from __future__ import annotations

import enum


class Promise(enum.StrEnum):
    """A row of the table; the bits are those of one call on one device."""

    SHARDINGS = "identical across shardings"
    BACKENDS = "identical across CPU/GPU/TPU"
    VMAP = "exact ``jax.vmap`` over keys"


KEPT_BY_RBG = frozenset({Promise.SHARDINGS})
"""Unless --xla_tpu_spmd_rng_bit_generator_unsafe=1 is set, with which they keep none."""


def is_promised(promise: Promise, prng: str) -> bool:
    """Return whether JAX promises it of the implementation, under its default flags."""
    return prng.startswith("threefry2x32") or promise in KEPT_BY_RBG


def n_words(prng: str) -> int:
    """Return how many words of 32 bits a key of the implementation has."""
    return 4 if prng in ("rbg", "unsafe_rbg") else 2
