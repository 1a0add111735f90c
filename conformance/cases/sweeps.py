"""Which initializers are swept over all words of their draws, and how.

A sweep replaces seeds by a lattice of words, so it gives exact laws instead of samples.
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Iterator

from conformance.cases.backends import lookup
from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.cases.offers import refusal
from conformance.cases.selection import Selection, require_known, require_offered
from conformance.core.budgets import MATRICES
from conformance.core.errors import EmptySelection, listed
from conformance.core.formats import FORMATS, NARROW_DTYPES, SWEPT_DTYPES, default_log2_points
from conformance.core.ids import LATTICE, STRATA, Case, Problem, Tier
from conformance.core.laws import Constant, expected_error

TRANSFORMS = ("eager", "jit")
"""Ways of asking that a sweep knows."""


def sweep_case(spec: InitializerSpec, dtype: str, backend: str, transform: str) -> Case:
    """Return the case of a sweep, in the first shape that the definition takes."""
    strata = lookup(backend).strata
    is_stratified = FORMATS[dtype].is_wide or (strata is not None and dtype == "float32")
    shapes = strata.shapes if is_stratified and strata else FORMATS[dtype].sweep_shapes
    taken = (s for s in _of_ranks(shapes) if expected_error(spec.definition, s, dtype) is None)
    shape = next(taken, shapes[0])
    prng = STRATA if is_stratified else LATTICE
    problem = Problem(initializer=spec.name, dtype=dtype, shape=shape, seed=0, prng=prng)
    return Case(problem=problem, backend=backend, transform=transform)


def _of_ranks(shapes: tuple[tuple[int, ...], ...]) -> Iterator[tuple[int, ...]]:
    """Yield the shapes, then what is as large for those that take one axis only, or a kernel's."""
    yield from shapes
    for shape in shapes:
        yield (math.prod(shape),)
        yield (1, *shape)
        yield (1, 1, *shape)


def log2_points(case: Case) -> int:
    """Return how many points a sweep has, as a power of two."""
    strata = lookup(case.backend).strata
    if case.problem.prng == STRATA and strata is not None:
        return strata.log2_points
    return default_log2_points(FORMATS[case.problem.dtype].word_bits)


_NARROW = tuple(dtype for dtype in SWEPT_DTYPES if dtype in NARROW_DTYPES)

DTYPES = {Tier.QUICK: _NARROW, Tier.STANDARD: _NARROW, Tier.FULL: SWEPT_DTYPES}
"""Dtypes of each tier."""

QUICK_FLOAT32 = ("lecun_normal", "normal")
"""What the quick tier sweeps in float32: a quarter of a second each, after one for the oracle."""


def is_swept(spec: InitializerSpec) -> bool:
    """Return whether the spec's law is enumerated: one word an element, and an oracle for it."""
    return not unswept_reason(spec)


def unswept_reason(spec: InitializerSpec) -> str:
    """Return why no sweep can show the law of an initializer; "" where one can."""
    definition = spec.definition
    if spec.no_oracle or definition is None:
        return spec.no_oracle or "nothing says what it must return"
    if not definition.draws_as_given:
        return f"it draws with the key {definition.drawn_with}, whatever key it is given"
    if isinstance(definition, Constant):
        return "it draws nothing"
    return "" if definition.unit else "it draws no word for each element"


def unswept(catalogue: Catalogue, selection: Selection) -> list[str]:
    """Return a line for each initializer that was asked for by name and has no sweep."""
    return [
        f"{spec.name} has no sweep: {reason}"
        for spec in catalogue
        if selection.initializers and _is_asked(spec, selection) and spec.name != MATRICES
        if (reason := unswept_reason(spec))
    ]


def select_sweeps(catalogue: Catalogue, selection: Selection, *, also: bool = False) -> list[Case]:
    """Return `law_cases`, of which there must be some.

    also: whether something else is swept, so that there may be none.

    Raises:
        SelectionError: a name is unknown, or a backend cannot be asked the transform.
        EmptySelection: nothing that can be swept has all that was asked for.
    """
    require_known(catalogue, selection)
    require_offered(selection)
    cases = law_cases(catalogue, selection)
    if not cases and not also:
        names = listed(spec.name for spec in catalogue if is_swept(spec))
        raise EmptySelection(
            f"the selection matches no sweep of tier {selection.tier}. Transforms: "
            f"{', '.join(TRANSFORMS)}; dtypes: {', '.join(DTYPES[selection.tier])} (quick: "
            f"float32 only for {' and '.join(QUICK_FLOAT32)}). Initializers that draw one word for "
            f"each element: {names}; and orthogonal, whose matrices are swept over seeds"
            + "".join(f"\n{line}" for line in unswept(catalogue, selection))
        )
    return cases


def law_cases(catalogue: Catalogue, selection: Selection) -> list[Case]:
    """Return the selected sweeps; those that share a unit variate stand together.

    Of the selection, the tier, backends, initializers, dtypes and transforms count.
    """
    return [
        sweep_case(spec, dtype, backend, transform)
        for backend in selection.backends
        for dtype in DTYPES[selection.tier]
        for spec in sorted(catalogue, key=_unit_variate)
        if is_swept(spec) and _runs(spec, dtype, selection)
        for transform in TRANSFORMS
        if not selection.transforms or transform in selection.transforms
        if not refusal(backend, transform, "threefry2x32", (), dtype)
    ]


def _runs(spec: InitializerSpec, dtype: str, selection: Selection) -> bool:
    tier = selection.tier
    return (
        spec.tier.rank <= tier.rank
        and (tier is not Tier.QUICK or dtype != "float32" or spec.name in QUICK_FLOAT32)
        and (not selection.dtypes or dtype in selection.dtypes)
        and _is_asked(spec, selection)
    )


def _is_asked(spec: InitializerSpec, selection: Selection) -> bool:
    patterns = selection.initializers
    return not patterns or any(fnmatch.fnmatchcase(spec.name, name) for name in patterns)


def _unit_variate(spec: InitializerSpec) -> tuple[str, str]:
    return repr(spec.definition and spec.definition.unit), spec.name
