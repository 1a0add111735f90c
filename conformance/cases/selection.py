"""Which cases a run is made of: tiers, selections, shards.

The list depends on the catalogue and on what was asked for, never on the devices present: a backend
that was asked for and is absent must fail, not shrink the list.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
from collections.abc import Collection, Iterable, Iterator

from conformance.cases.catalogue import Catalogue
from conformance.cases.offers import refuse
from conformance.cases.planes import PLANES, tier_cases
from conformance.core.errors import EmptySelection, SelectionError, unknown
from conformance.core.formats import DTYPES
from conformance.core.ids import (
    PRNGS,
    TRANSFORMS,
    Case,
    Tier,
    format_shape,
    parse_case,
    parse_shape,
)
from conformance.core.words import counted


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to run; an empty tuple leaves its axis to the tier.

    initializers: names, or glob patterns such as `he_*`.
    shapes: as text, `64x32`. shard: (i, n) takes the i-th of n parts, counted from 1.
    cases: exact case ids; then no other field but `shard` may be given.
    """

    tier: Tier = Tier.STANDARD
    backends: tuple[str, ...] = ("cpu",)
    initializers: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    shapes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    prngs: tuple[str, ...] = ()
    transforms: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    shard: tuple[int, int] = (1, 1)

    @property
    def text(self) -> str:
        """The options that ask for this, the shard last; the same for the same cases."""
        if self.cases:
            return _with_shard(f"{counted(len(self.cases), 'case')} by name", self.shard)
        axes = {
            "backend": self.backends,
            "initializer": self.initializers,
            "dtype": self.dtypes,
            "shape": self.shapes,
            "seed": self.seeds,
            "prng": self.prngs,
            "transform": self.transforms,
        }
        named = {name: ",".join(sorted(map(str, each))) for name, each in axes.items() if each}
        parts = [f"--tier {self.tier}", *(f"--{name} {text}" for name, text in named.items())]
        return _with_shard(" ".join(parts), self.shard)


def _with_shard(text: str, shard: tuple[int, int]) -> str:
    return text if shard[1] == 1 else f"{text} --shard {shard[0]}/{shard[1]}"


def select(catalogue: Catalogue, selection: Selection) -> list[Case]:
    """Return the selected cases, sorted by compile group and within it by case.

    Raises:
        SelectionError: a value is unknown or run by a larger tier only.
        EmptySelection: no case has all that was asked for.
    """
    if selection.cases:
        cases = _named_cases(catalogue, selection)
    else:
        _validate(catalogue, selection)
        cases = list(
            _selected(tier_cases(catalogue, selection.tier, selection.backends), selection)
        )
    if cases:
        _require_every_value(cases, selection)
    cases.sort(key=lambda case: (case.group, case))
    cases = _shard(cases, selection.shard)
    if not cases:
        raise EmptySelection(
            f"the selection matches no case of tier {selection.tier}: {_describe(selection)}. "
            "Loosen one of these, or take a larger --tier"
        )
    return cases


def _require_every_value(cases: Collection[Case], selection: Selection) -> None:
    """Refuse a value that was asked for and has no case beside the others: it would vanish."""
    names = {case.problem.initializer for case in cases}
    found: dict[str, Collection[object]] = {
        "dtype": {case.problem.dtype for case in cases},
        "shape": {format_shape(case.problem.shape) for case in cases},
        "seed": {case.problem.seed for case in cases},
        "prng": {case.problem.prng for case in cases},
        "transform": {case.transform for case in cases},
        "backend": {case.backend for case in cases},
        "initializer": [p for p in selection.initializers if fnmatch.filter(names, p)],
    }
    for kind, known in found.items():
        for value in getattr(selection, f"{kind}s"):
            if value not in known and not selection.cases:
                raise SelectionError(
                    f"no case of tier {selection.tier} has {kind} {value} together with the rest "
                    f"of the selection: {_describe(selection)}. Select it by itself, or take a "
                    "larger --tier"
                )


def _selected(cases: Iterable[Case], selection: Selection) -> Iterator[Case]:
    shapes = set(selection.shapes)
    for case in cases:
        problem = case.problem
        if (
            _wanted(problem.dtype, selection.dtypes)
            and (not shapes or format_shape(problem.shape) in shapes)
            and _wanted(problem.seed, selection.seeds)
            and _wanted(problem.prng, selection.prngs)
            and _wanted(case.transform, selection.transforms)
            and _matches(problem.initializer, selection.initializers)
        ):
            yield case


def _wanted(value: object, allowed: Collection[object]) -> bool:
    return not allowed or value in allowed


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _named_cases(catalogue: Catalogue, selection: Selection) -> list[Case]:
    others = dataclasses.replace(selection, cases=(), shard=(1, 1), tier=Tier.STANDARD)
    if others != Selection(backends=selection.backends):
        raise SelectionError(
            f"case ids and a selection contradict each other: {_describe(others)}. "
            "Give either the ids or the selection"
        )
    try:
        cases = [parse_case(text) for text in selection.cases]
        for case in cases:
            catalogue.lookup(case.problem.initializer)
            problem = case.problem
            refuse(case.backend, case.transform, problem.prng, problem.shape, problem.dtype)
    except SelectionError:
        raise
    except ValueError as error:
        raise SelectionError(str(error)) from error
    return sorted(set(cases))


def _validate(catalogue: Catalogue, selection: Selection) -> None:
    require_known(catalogue, selection)
    _validate_against_tier(selection)
    require_offered(selection)


def require_known(catalogue: Catalogue, selection: Selection) -> None:
    """Ensure that every name in the selection is one.

    Raises:
        SelectionError: one is not; the message offers the nearest.
    """
    names = [spec.name for spec in catalogue]
    for pattern in selection.initializers:
        if not fnmatch.filter(names, pattern):
            raise SelectionError(unknown("initializer", pattern, names))
    for kind, values, known in (
        ("dtype", selection.dtypes, DTYPES),
        ("prng", selection.prngs, PRNGS),
        ("transform", selection.transforms, TRANSFORMS),
    ):
        for value in values:
            if value not in known:
                raise SelectionError(unknown(kind, value, list(known)))


def _validate_against_tier(selection: Selection) -> None:
    """Refuse a value that no plane of the tier runs, and say which tier would."""
    for kind, values, offered in (
        ("shape", selection.shapes, lambda plane: map(format_shape, plane.shapes)),
        ("seed", selection.seeds, lambda plane: plane.seeds),
        ("dtype", selection.dtypes, lambda plane: plane.dtypes),
        ("prng", selection.prngs, lambda plane: plane.prngs),
        ("transform", selection.transforms, lambda plane: plane.transforms),
    ):
        tiers: dict[object, Tier] = {}
        for plane in PLANES:
            for value in offered(plane):
                tiers[value] = min(tiers.get(value, plane.tier), plane.tier, key=lambda t: t.rank)
        for value in values:
            if value not in tiers:
                raise SelectionError(unknown(kind, str(value), list(map(str, tiers))))
            if tiers[value].rank > selection.tier.rank:
                raise SelectionError(
                    f"{kind} {value!r} is not part of tier {selection.tier}: "
                    f"add --tier {tiers[value]}"
                )


def require_offered(selection: Selection) -> None:
    """Ensure that the backends can be asked every value that was named.

    Raises:
        SelectionError: one cannot; leaving its cases out would be silent.
    """
    asked = itertools.product(
        selection.backends,
        selection.transforms or ("eager",),
        selection.prngs or ("threefry2x32",),
        map(parse_shape, selection.shapes or ("scalar",)),
        selection.dtypes or ("float32",),
    )
    for backend, transform, prng, shape, dtype in asked:
        refuse(backend, transform, prng, shape, dtype)


def _shard(cases: list[Case], shard: tuple[int, int]) -> list[Case]:
    """Return the i-th of n parts; a compile group is never divided between parts."""
    index, count = shard
    if not 1 <= index <= count:
        raise SelectionError(
            f"shard {index}/{count} does not exist: write --shard 1/{count} and up"
        )
    groups = sorted({case.group for case in cases})
    mine = set(groups[index - 1 :: count])
    return [case for case in cases if case.group in mine]


def _describe(selection: Selection) -> str:
    default = Selection()
    fields = (field.name for field in dataclasses.fields(selection))
    chosen = {name: getattr(selection, name) for name in fields}
    parts = [f"{name}={value}" for name, value in chosen.items() if value != getattr(default, name)]
    return ", ".join(parts) or "no restriction"
