"""Which cases a run is made of: tiers, selections, shards.

The list depends on the catalogue and on what was asked for, never on the devices present: a backend
that was asked for and is absent must fail, not shrink the list.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TypeVar

from conformance.cases.catalogue import Catalogue
from conformance.cases.coverage import coverage_cases
from conformance.cases.offers import refuse
from conformance.cases.planes import plain_cases, tier_cases
from conformance.core.errors import EmptySelection, SelectionError, unknown
from conformance.core.formats import DTYPES
from conformance.core.ids import (
    PRNGS,
    TRANSFORMS,
    Block,
    Case,
    Tier,
    format_shape,
    parse_case,
    parse_shape,
    unfit,
)
from conformance.core.keys import KeySpec, parse_key
from conformance.core.words import counted

Unit = TypeVar("Unit", Case, Block)

LONGEST_BLOCK, BLOCK_ELEMENTS = 200, 1 << 19
"""Seeds and elements of one block: more of them make a call no cheaper, and it grows in memory."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What to run; an empty tuple leaves its axis to the tier.

    Values that the tier does not run take the place of those that it does. Of such problems no
    golden is shipped: they are judged by their definition.

    initializers: names, or glob patterns such as `he_*`.
    shapes: as text, `64x32`. ranges: of seeds, instead of single ones; see `blocks`. keys: as text,
        `s7.fold5`, see `core.keys`; beside those of the seeds.
    shard: (i, n) takes the i-th of n parts, counted from 1.
    cases: exact case ids; then no other field but `shard` may be given.
    """

    tier: Tier = Tier.STANDARD
    backends: tuple[str, ...] = ("cpu",)
    initializers: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    shapes: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    ranges: tuple[range, ...] = ()
    keys: tuple[str, ...] = ()
    prngs: tuple[str, ...] = ()
    transforms: tuple[str, ...] = ()
    cases: tuple[str, ...] = ()
    shard: tuple[int, int] = (1, 1)

    @property
    def text(self) -> str:
        """The options that ask for this, the shard last; the same for the same cases."""
        if self.cases:
            return _with_shard(f"{counted(len(self.cases), 'case')} by name", self.shard)
        return _with_shard(f"--tier {self.tier} {self.options}".rstrip(), self.shard)

    @property
    def options(self) -> str:
        """The options that name values of the axes."""
        axes = {
            "backend": self.backends,
            "initializer": self.initializers,
            "dtype": self.dtypes,
            "shape": self.shapes,
            "seed": (*self.seeds, *(f"{each.start}:{each.stop}" for each in self.ranges)),
            "key": self.keys,
            "prng": self.prngs,
            "transform": self.transforms,
        }
        named = {name: ",".join(sorted(map(str, each))) for name, each in axes.items() if each}
        return " ".join(f"--{name} {text}" for name, text in named.items())


def _with_shard(text: str, shard: tuple[int, int]) -> str:
    return text if shard[1] == 1 else f"{text} --shard {shard[0]}/{shard[1]}"


def select(catalogue: Catalogue, selection: Selection) -> list[Case]:
    """Return the selected cases, sorted by compile group and within it by case.

    Raises:
        SelectionError: a value is unknown, or no case has it together with the others.
        EmptySelection: no case has all that was asked for.
    """
    if selection.ranges:
        return [case for block in blocks(catalogue, selection) for case in block.cases()]
    if selection.cases:
        return _part(sorted(_named_cases(catalogue, selection), key=_by_group), selection)
    designed = coverage_cases(catalogue, selection.tier, selection.backends)
    return _part(sorted(_by_axes(catalogue, selection, designed), key=_by_group), selection)


def select_for_goldens(catalogue: Catalogue, selection: Selection) -> list[Case]:
    """Return `select` without the cases by design, of which no golden is kept.

    Raises:
        SelectionError, EmptySelection: see `select`.
    """
    if selection.ranges or selection.cases:
        return select(catalogue, selection)
    return _part(sorted(_by_axes(catalogue, selection, ()), key=_by_group), selection)


def _by_axes(catalogue: Catalogue, selection: Selection, also: Iterable[Case]) -> list[Case]:
    """Return the cases of the planes with what was named, and those of `also`.

    What was named takes the place of what the planes have, whether or not others have it too.
    """
    require_known(catalogue, selection)
    require_offered(selection)
    specs = [spec for spec in catalogue if _matches(spec.name, selection.initializers)]
    held = tier_cases(specs, selection.tier, selection.backends)
    cases = set(_selected(held, selection))
    if _without_case(cases, selection):
        cases |= set(_selected(_asked(catalogue, selection), selection))
    cases |= set(_selected(also, selection))
    if cases and (missing := _without_case(cases, selection)):
        kind, value = missing
        raise SelectionError(  # else it would vanish
            f"no case of tier {selection.tier} has {kind} {value} together with the rest of the "
            f"selection: {selection.options}. Select it by itself, or take a larger --tier"
        )
    return list(cases)


def blocks(catalogue: Catalogue, selection: Selection) -> list[Block]:
    """Return the selected ranges of seeds, block by block, in the order of `select`.

    Each initializer is asked as the plain planes of the tier do, with these seeds; none where the
    selection names no range.

    Raises:
        SelectionError, EmptySelection: see `select`.
    """
    if not selection.ranges:
        return []
    first = dataclasses.replace(selection, ranges=(), keys=(), seeds=(selection.ranges[0].start,))
    require_known(catalogue, first)
    require_offered(first)
    programs = sorted(_selected(_asked(catalogue, first), first), key=_by_group)
    found = [
        Block(case=case.of_seed(seeds.start), seeds=seeds)
        for case in programs
        for each in _apart(selection.ranges)
        for seeds in _cut(each, math.prod(case.problem.shape))
    ]
    return _part(found, selection)


def _apart(ranges: Iterable[range]) -> list[range]:
    """Return ranges of the same numbers, each of which lies in one of them alone."""
    found: list[range] = []
    for each in sorted(ranges, key=lambda each: (each.start, each.stop)):
        if found and each.start < found[-1].stop:
            found[-1] = range(found[-1].start, max(found[-1].stop, each.stop))
        else:
            found.append(each)
    return found


def _cut(seeds: range, size: int) -> Iterator[range]:
    """Yield the seeds in parts that one call can draw: so many, and so many elements, at most."""
    most = max(1, min(LONGEST_BLOCK, BLOCK_ELEMENTS // max(1, size)))
    return (seeds[start : start + most] for start in range(0, len(seeds), most))


def _by_group(case: Case) -> tuple[object, ...]:
    """Return what sorts cases by group, and there as they compare.

    The rest of a case is in the name of its group, and plain values compare in a third of the time.
    """
    asked = case.problem
    return case.group, asked.initializer, asked.seed, asked.words, asked.steps


def _part(units: list[Unit], selection: Selection) -> list[Unit]:
    """Return the shard of cases, or of blocks; there must be some."""
    if mine := _shard(units, selection.shard):
        return mine
    raise EmptySelection(
        f"the selection matches no case: {selection.text}. "
        "Loosen one of these, or take a larger --tier"
    )


def _asked(catalogue: Catalogue, selection: Selection) -> Iterator[Case]:
    """Yield cases of the named values, whether or not the tier runs them."""
    return plain_cases(
        catalogue,
        selection.tier,
        selection.backends,
        dtypes=selection.dtypes,
        shapes=tuple(map(parse_shape, selection.shapes)),
        keys=_keys(selection),
        prngs=selection.prngs,
        transforms=selection.transforms,
    )


def _without_case(cases: Collection[Case], selection: Selection) -> tuple[str, object] | None:
    """Return an axis and a value of it that was asked for and has no case beside the others."""
    for kind, found_in in FOUND_IN.items():
        if asked := getattr(selection, f"{kind}s"):
            found = {found_in(case) for case in cases}
            for value in asked:
                if value not in found:
                    return kind, value
    names = {case.problem.initializer for case in cases} if selection.initializers else set()
    for pattern in selection.initializers:
        if not fnmatch.filter(names, pattern):
            return "initializer", pattern
    return None


FOUND_IN: Mapping[str, Callable[[Case], object]] = {
    "dtype": lambda case: case.problem.dtype,
    "shape": lambda case: format_shape(case.problem.shape),
    "seed": lambda case: case.problem.seed if case.problem.key.is_seed else None,
    "key": lambda case: case.problem.key.text,
    "prng": lambda case: case.problem.prng,
    "transform": lambda case: case.transform,
    "backend": lambda case: case.backend,
}
"""What a case has on each axis of a selection, as that names it."""


def _selected(cases: Iterable[Case], selection: Selection) -> list[Case]:
    shapes, keys = set(map(parse_shape, selection.shapes)), _keys(selection)
    return [
        case
        for case in cases
        if _wanted(case.problem.dtype, selection.dtypes)
        and _wanted(case.problem.shape, shapes)
        and (not keys or case.problem.key in keys)  # which is made when it is asked for
        and _wanted(case.problem.prng, selection.prngs)
        and _wanted(case.transform, selection.transforms)
        and _matches(case.problem.initializer, selection.initializers)
    ]


def _keys(selection: Selection) -> tuple[KeySpec, ...]:
    """Return the keys that were named, those of seeds first."""
    return (*(KeySpec(seed=seed) for seed in selection.seeds), *map(parse_key, selection.keys))


def _wanted(value: object, allowed: Collection[object]) -> bool:
    return not allowed or value in allowed


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _named_cases(catalogue: Catalogue, selection: Selection) -> list[Case]:
    if others := dataclasses.replace(selection, backends=()).options:
        raise SelectionError(
            f"case ids and {others} contradict each other: give either the ids or the selection"
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
        raise SelectionError(_named_otherwise(catalogue, selection) or str(error)) from error
    return sorted(set(cases))


def _named_otherwise(catalogue: Catalogue, selection: Selection) -> str:
    """Return what to say where initializers stand in the place of cases; "" where none does."""
    names = [spec.name for spec in catalogue]
    meant = [text for text in selection.cases if fnmatch.filter(names, text)]
    if not meant:
        return ""
    return (
        f"{meant[0]!r} names an initializer, and no case: say --initializer {meant[0]}, or a whole "
        f"id, as in {fnmatch.filter(names, meant[0])[0]}-float32-64x32-s0-cpu-eager"
    )


def require_known(catalogue: Catalogue, selection: Selection) -> None:
    """Ensure that every name in the selection is one, without making the cases of a tier.

    Raises:
        SelectionError: one is not; the message offers the nearest.
    """
    if selection.cases:
        _named_cases(catalogue, selection)
        return
    names = [spec.name for spec in catalogue]
    for pattern in selection.initializers:
        if not fnmatch.filter(names, pattern):
            raise SelectionError(catalogue.unknown(pattern))
    try:
        for shape in selection.shapes:
            parse_shape(shape)
        keys = _keys(selection)
    except ValueError as error:
        raise SelectionError(str(error)) from None
    for key, prng in itertools.product(keys, selection.prngs or PRNGS[:1]):
        if fault := unfit(key, prng):
            raise SelectionError(f"{fault}: write as many, or take another --prng")
    _require_choices("dtype", selection.dtypes, DTYPES)
    _require_choices("prng", selection.prngs, PRNGS)
    _require_choices("transform", selection.transforms, TRANSFORMS)


def _require_choices(kind: str, values: Iterable[str], known: Collection[str]) -> None:
    for value in values:
        if value not in known:
            raise SelectionError(unknown(kind, value, known))


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


def _shard(units: list[Unit], shard: tuple[int, int]) -> list[Unit]:
    """Return the i-th of n parts; a compile group is never divided between parts."""
    index, count = shard
    if not 1 <= index <= count:
        raise SelectionError(
            f"shard {index}/{count} does not exist: write --shard 1/{count} and up"
        )
    groups = sorted({unit.group for unit in units})
    mine = set(groups[index - 1 :: count])
    return [unit for unit in units if unit.group in mine]
