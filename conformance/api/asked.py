"""From what a program names, an initializer and a few values, to a case and a spec."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, SupportsIndex

import numpy as np

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import (
    Catalogue,
    InitializerSpec,
    require_definition,
    require_initializer,
    users_spec,
)
from conformance.cases.offers import refuse
from conformance.cases.selection import Selection, select
from conformance.core.arrays import as_dtype
from conformance.core.errors import CatalogueError, SelectionError, unknown
from conformance.core.formats import DTYPES
from conformance.core.ids import NAME, TRANSFORMS, Case, Problem
from conformance.core.keys import KeySpec, parse_key
from conformance.core.laws import Definition
from conformance.observe.backends import present_backends
from conformance.observe.jax_compat import key_words

Initializer = str | Callable[..., Any]
"""A name of the catalogue, or a function of (key, shape, dtype)."""

SHAPE, DTYPE = (64, 32), "float32"
"""What is asked where nobody says otherwise."""


def spec_of(initializer: Initializer, definition: Definition | None) -> InitializerSpec:
    """Return the spec of a name, or one made for a function.

    Raises:
        CatalogueError: there is no such name, it has a definition of its own, nothing can be as
            the definition says, or the function cannot be called as initializers are.
    """
    if isinstance(initializer, str):
        if definition is not None:
            raise CatalogueError(
                f"initializer {initializer!r} has a definition already: leave {definition} out, or "
                "pass the function itself"
            )
        return load_catalogue().lookup(initializer)
    if not callable(initializer):
        raise CatalogueError(
            f"{initializer!r} is no initializer: pass a function of (key, shape, dtype), or a name "
            "such as 'lecun_normal'"
        )
    try:
        require_initializer(initializer)
    except TypeError as error:
        raise CatalogueError(str(error)) from None
    name = getattr(initializer, "__name__", "")
    return users_spec(
        name if NAME.fullmatch(name) else "initializer", lambda: initializer, definition=definition
    )


def problem_of(
    initializer: str, shape: Sequence[int] | None, dtype: object, key: object
) -> Problem:
    """Return the problem of these values; None stands for the usual one.

    Raises:
        SelectionError: one of them is none.
    """
    prng, made = key_of(0 if key is None else key)
    return Problem(
        initializer=initializer,
        dtype=dtype_of(DTYPE if dtype is None else dtype),
        shape=shape_of(SHAPE if shape is None else shape),
        prng=prng,
        seed=made.seed,
        words=made.words,
        steps=made.steps,
    )


def case_of(problem: Problem, backend: str | None, transform: str | None) -> Case:
    """Return the case that asks the problem; None stands for JAX's own device, and for eager.

    Raises:
        SelectionError: there is no such transform, or the backend cannot be asked this.
    """
    transform = "eager" if transform is None else transform
    if transform not in TRANSFORMS:
        raise SelectionError(unknown("transform", str(transform), TRANSFORMS))
    backend = present_backends()[-1] if backend is None else backend
    refuse(backend, transform, problem.prng, problem.shape, problem.dtype)
    return Case(problem=problem, backend=backend, transform=transform)


def named_case(case_id: str, given: dict[str, object]) -> tuple[Case, InitializerSpec]:
    """Return the case of an id, as reports name it, and its spec. given: by name, what else was.

    Raises:
        SelectionError: something else was given, or it is no id.
    """
    if others := [name for name, value in given.items() if value is not None]:
        raise SelectionError(f"{case_id!r} is a whole case: leave {', '.join(others)} out")
    catalogue = load_catalogue()
    (case,) = select(catalogue, Selection(cases=(case_id,)))
    return case, catalogue.lookup(case.problem.initializer)


def catalogue_of(spec: InitializerSpec) -> Catalogue:
    """Return a catalogue that holds this alone."""
    catalogue = Catalogue()
    catalogue.add(spec)
    return catalogue


def definition_of(definition: Definition | str) -> tuple[str, Definition]:
    """Return a name for a definition, and it; of a name, what the catalogue says of it.

    Raises:
        CatalogueError: there is no such name, it has no definition, or nothing can be as it says.
    """
    if not isinstance(definition, str):
        require_definition(definition)
        return type(definition).__name__, definition
    spec = load_catalogue().lookup(definition)
    if spec.definition is None:
        raise CatalogueError(f"initializer {spec.name!r} was registered without a definition")
    return spec.name, spec.definition


# --- Values --------------------------------------------------------------------------------------
def shape_of(shape: Iterable[SupportsIndex]) -> tuple[int, ...]:
    """Return the shape as a tuple.

    Raises:
        SelectionError: it is none.
    """
    try:
        found = tuple(map(operator.index, shape))
    except TypeError:
        found = (-1,)
    if min(found, default=0) < 0:
        raise SelectionError(
            f"shape {shape!r} is none: write a tuple of sizes, as in (64, 32), or () for a scalar"
        )
    return found


def dtype_of(dtype: object) -> str:
    """Return the name of a dtype, which may be NumPy's, JAX's or the name itself.

    Raises:
        SelectionError: it is none that is known here.
    """
    if isinstance(dtype, str):
        name = dtype
    else:
        try:
            name = np.dtype(dtype).name  # type: ignore[call-overload]  # it says whether it is one
        except TypeError:
            name = repr(dtype)
    if name not in DTYPES:
        raise SelectionError(unknown("dtype", name, DTYPES))
    return as_dtype(name).name


def key_of(key: object) -> tuple[str, KeySpec]:
    """Return the generator and how its key is made: of a seed, of a text, or of a key of JAX.

    A key of JAX that a seed of 32 bits makes is that seed's, of which there may be a golden.

    Raises:
        SelectionError: it is none of these.
    """
    try:
        if isinstance(key, str):
            return "threefry2x32", parse_key(key)
        if isinstance(key, int | np.integer) and not isinstance(key, bool) and key >= 0:
            return "threefry2x32", parse_key(f"s{key}")
    except ValueError as error:
        raise SelectionError(str(error)) from None
    found = key_words(key)
    if found is None:
        raise SelectionError(
            f"key {' '.join(repr(key).split())} is none: write a seed such as 0, a text such as "
            "'s0.fold5', or one key as jax.random.key makes it"
        )
    prng, words = found
    if prng == "threefry2x32" and words[0] == 0:
        return prng, KeySpec(seed=words[1])
    return prng, KeySpec(words=words)
