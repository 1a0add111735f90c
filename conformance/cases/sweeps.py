"""Which initializers are swept over all words of their draws, and how.

A sweep replaces seeds by a lattice of words, so it gives exact laws instead of samples.
"""

from __future__ import annotations

import fnmatch

from conformance.cases.backends import lookup
from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.cases.offers import refusal
from conformance.cases.selection import Selection, require_known, require_offered
from conformance.core.errors import EmptySelection, listed
from conformance.core.formats import FORMATS, NARROW_DTYPES, SWEPT_DTYPES, default_log2_points
from conformance.core.ids import LATTICE, STRATA, Case, Problem, Tier
from conformance.core.laws import expected_error

TRANSFORMS = ("eager", "jit")
"""Ways of asking that a sweep knows."""


def sweep_case(spec: InitializerSpec, dtype: str, backend: str, transform: str) -> Case:
    """Return the case of a sweep, in the first shape that the definition takes."""
    strata = lookup(backend).strata
    is_stratified = FORMATS[dtype].is_wide or (strata is not None and dtype == "float32")
    shapes = strata.shapes if is_stratified and strata else FORMATS[dtype].sweep_shapes
    shape = next(
        (s for s in shapes if expected_error(spec.definition, s, dtype) is None), shapes[0]
    )
    prng = STRATA if is_stratified else LATTICE
    problem = Problem(initializer=spec.name, dtype=dtype, shape=shape, seed=0, prng=prng)
    return Case(problem=problem, backend=backend, transform=transform)


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
    return spec.definition is not None and spec.definition.unit is not None and not spec.no_oracle


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
    patterns, tier = selection.initializers, selection.tier
    return (
        spec.tier.rank <= tier.rank
        and (tier is not Tier.QUICK or dtype != "float32" or spec.name in QUICK_FLOAT32)
        and (not selection.dtypes or dtype in selection.dtypes)
        and (not patterns or any(fnmatch.fnmatchcase(spec.name, name) for name in patterns))
    )


def _unit_variate(spec: InitializerSpec) -> tuple[str, str]:
    return repr(spec.definition and spec.definition.unit), spec.name
