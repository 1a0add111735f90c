"""Many draws of JAX in one program: most of the time that compiling takes is for a program each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax

Draw = Callable[[Any], Any]
"""A key of JAX -> an array, or several."""

UNOPTIMIZED = {"xla_backend_optimization_level": 0}
"""For words and uniforms from 0 to 1, which are exact, and for what is held to a tolerance that any
right compiler keeps: no optimization can change what is shown, and all take time."""


def drawn_together(draws: Iterable[Draw], seed: int, *, is_optimized: bool = True) -> list[Any]:
    """Return what each draws with the key of a seed, all of them compiled as one program."""
    together, key = list(draws), jax.random.key(seed)
    lowered = jax.jit(lambda key: [draw(key) for draw in together]).lower(key)
    run = lowered.compile(compiler_options=None if is_optimized else UNOPTIMIZED)
    drawn: list[Any] = jax.device_get(run(key))
    return drawn
