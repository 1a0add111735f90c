"""What JAX is told of a problem: its settings, and its key."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from conformance.core.formats import WIDE_DTYPES
from conformance.core.ids import Problem
from conformance.core.keys import FOLD, KeySpec, Step, parse_descent
from conformance.observe.jax_compat import x64


def settings(problem: Problem) -> contextlib.AbstractContextManager[None]:
    """Return a context of what a problem asks of JAX: 64 bits, and how threefry lays out bits.

    Most ask for nothing, and a generator takes longer to enter than all that is set here.
    """
    is_wide, is_forced = problem.dtype in WIDE_DTYPES, problem.prng.endswith("partitionable")
    return _asked(problem) if is_wide or is_forced else contextlib.nullcontext()


@contextlib.contextmanager
def _asked(problem: Problem) -> Iterator[None]:
    import jax

    with contextlib.ExitStack() as stack:
        if problem.dtype in WIDE_DTYPES:
            stack.enter_context(x64())
        if problem.prng.endswith("partitionable"):
            partitionable = not problem.prng.endswith("nonpartitionable")
            stack.enter_context(jax.threefry_partitionable(partitionable))
        yield


def typed_key(problem: Problem) -> Any:
    """Return the problem's key, typed, of the PRNG implementation it names.

    To be called within `settings`, since how children of a key are numbered is one of them.
    """
    return _descended(_root_key(problem, problem.key), problem.steps)


def typed_keys(problem: Problem, keys: Sequence[KeySpec]) -> list[Any]:
    """Return keys of the problem's PRNG implementation, each the one that `typed_key` makes.

    To be called within `settings`, as that is. Of a hundred keys or more: none is split twice, and
    `split` and `fold_in` are compiled, which changes no bit of theirs.
    """
    split, fold_in = _compiled()

    @functools.cache
    def made(key: KeySpec) -> Any:
        if not key.steps:
            return _root_key(problem, key)
        *before, last = key.steps
        parent = dataclasses.replace(key, steps=tuple(before))
        if last.name == FOLD:
            return fold_in(made(parent), np.uint32(last.number))
        return children(parent, last.number)[last.index]

    @functools.cache
    def children(parent: KeySpec, number: int) -> Any:
        return split(made(parent), number)

    return [made(key) for key in keys]


@functools.cache
def _compiled() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return `jax.random.split` and `fold_in`; JAX keeps what it compiled with the function."""
    import jax

    return jax.jit(jax.random.split, static_argnums=1), jax.jit(jax.random.fold_in)


def drawing_key(problem: Problem, key: Any, drawn_with: str) -> Any:
    """Return the key that draws where an initializer is given this one; see `Definition`."""
    descent = parse_descent(drawn_with)
    root = key if descent.root is None else _root_key(problem, descent.root)
    return _descended(root, descent.steps)


def _root_key(problem: Problem, spec: KeySpec) -> Any:
    import jax

    if not spec.words:
        return seed_key(problem, spec.seed)
    words = jax.numpy.asarray(np.array(spec.words, np.uint32))
    return jax.random.wrap_key_data(words, impl=implementation(problem))


def _descended(key: Any, steps: tuple[Step, ...]) -> Any:
    import jax

    for step in steps:
        if step.name == FOLD:
            key = jax.random.fold_in(key, step.number)
        else:
            key = jax.random.split(key, step.number)[step.index]
    return key


def seed_key(problem: Problem, seed: Any) -> Any:
    """Return the key of any seed, of the PRNG implementation that the problem names."""
    import jax

    return jax.random.key(seed, impl=implementation(problem))


def seed_keys(problem: Problem, seeds: range) -> Any:
    """Return the keys of many seeds; those that fit 32 bits are made at once."""
    import jax

    if seeds[-1] >= 2**32:
        return jax.numpy.stack([seed_key(problem, seed) for seed in seeds])
    made: Callable[[Any], Any] = jax.vmap(lambda seed: seed_key(problem, seed))
    return made(np.asarray(seeds, np.uint32))


def implementation(problem: Problem) -> str:
    """Return what JAX calls the generator of the problem, whatever its layout."""
    return problem.prng.partition("_")[0] if "threefry" in problem.prng else problem.prng
