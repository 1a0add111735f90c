"""Which cases a run is made of: tiers, selections, shards.

The list depends on the catalogue and on what was asked for, never on the devices present: a backend
that was asked for and is absent must fail, not shrink the list.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping

from conformance.catalogue import Catalogue, InitializerSpec, unknown
from conformance.model import (
    DTYPES,
    PRNGS,
    TRANSFORMS,
    WIDE_DTYPES,
    Case,
    Problem,
    Tier,
    format_shape,
    parse_case,
    parse_shape,
)

NARROW_DTYPES = ("float32", "bfloat16", "float16")
LARGEST_SEED = 2**32 - 1
"""The largest seed that means the same with x64 on and off; a larger one loses its high word."""

FORCED_DEVICES = ("cpu",)
"""Backends that can be told to have as many devices as `sharded` needs."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What an executor that is no device can be asked, and why nothing else."""

    transforms: tuple[str, ...] = ("eager", "legacy_key", "vmap")
    prngs: tuple[str, ...] = tuple(name for name in PRNGS if name.startswith("threefry2x32"))
    dtypes: tuple[str, ...] = DTYPES
    most_elements: float = math.inf
    reason: str


OFFERS: Mapping[str, Offer] = {
    "stablehlo": Offer(
        most_elements=4096,
        reason="it interprets the exported program, on one device, for which eager and jit are "
        "one; it knows no rng_bit_generator and takes 0.15 ms an element",
    ),
    "iree": Offer(
        reason="it compiles the exported program, for one device, for which eager and jit are one; "
        "and each compiler implements rng_bit_generator as it likes",
    ),
    "cuda-emulated": Offer(
        transforms=("eager", "legacy_key", "vmap", "jit"),
        prngs=PRNGS,
        dtypes=tuple(dtype for dtype in DTYPES if not dtype.startswith("complex")),
        reason="it emulates one device, and no functions that kernels call, such as the sine of a "
        "complex number's angle",
    ),
}
"""Backends that are asked a part of the matrix; all others are asked the whole."""

BIAS, DENSE, CONV = (64,), (64, 32), (3, 3, 4, 8)
USUAL_SHAPES = (
    (),
    BIAS,
    DENSE,
    (17, 13),  # odd primes: no tile, vector or shard divides them
    (101, 8),  # embedding
    (5, 4, 8),  # 1-D convolution
    CONV,
    (2, 3, 3, 4, 4),  # 3-D convolution
    (32, 4, 8),  # DenseGeneral: features to (heads, head size)
    (256, 4),  # tall
    (4, 256),  # wide
    (1, 16),
    (16, 1),
    (0, 8),
)
MILLION = (1024, 1024)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """One rectangular part of the matrix, run by its tier and every larger one.

    specs: the largest tier whose specs it takes.
    """

    tier: Tier
    specs: Tier
    dtypes: tuple[str, ...] = NARROW_DTYPES
    shapes: tuple[tuple[int, ...], ...]
    seeds: tuple[int, ...] = (0,)
    prngs: tuple[str, ...] = ("threefry2x32",)
    transforms: tuple[str, ...] = ("eager",)


PLANES = (
    Plane(tier=Tier.QUICK, specs=Tier.QUICK, shapes=(BIAS, DENSE, (5, 4, 8))),
    Plane(
        tier=Tier.STANDARD,
        specs=Tier.STANDARD,
        shapes=USUAL_SHAPES,
        seeds=(0, LARGEST_SEED),
    ),
    Plane(tier=Tier.STANDARD, specs=Tier.QUICK, shapes=(MILLION,)),
    Plane(
        tier=Tier.STANDARD,
        specs=Tier.STANDARD,
        shapes=(DENSE,),
        transforms=("legacy_key",),
    ),
    Plane(tier=Tier.FULL, specs=Tier.FULL, shapes=USUAL_SHAPES, seeds=(0, LARGEST_SEED)),
    Plane(tier=Tier.FULL, specs=Tier.FULL, shapes=(BIAS, DENSE, CONV), seeds=(1, 42)),
    # Beyond 32 bits: without x64 the high word is dropped, so this key is that of LARGEST_SEED.
    Plane(tier=Tier.FULL, specs=Tier.QUICK, shapes=(DENSE,), seeds=(2**63 - 1,)),
    Plane(
        tier=Tier.FULL,
        specs=Tier.FULL,
        shapes=(BIAS, DENSE, (17, 13), CONV),
        transforms=("jit", "vmap", "sharded"),
    ),
    Plane(
        tier=Tier.FULL,
        specs=Tier.FULL,
        dtypes=WIDE_DTYPES,
        shapes=((), BIAS, DENSE, (17, 13), CONV, (0, 8)),
    ),
    Plane(
        tier=Tier.FULL,
        specs=Tier.FULL,
        shapes=(BIAS, DENSE, CONV),
        prngs=("threefry2x32_partitionable", "threefry2x32_nonpartitionable", "rbg", "unsafe_rbg"),
    ),
    Plane(
        tier=Tier.FULL,
        specs=Tier.QUICK,
        shapes=(DENSE,),
        prngs=("rbg", "unsafe_rbg"),
        transforms=("jit", "sharded"),
    ),
)


class SelectionError(ValueError):
    """What was asked for names something unknown, contradicts itself, or selects nothing."""


class EmptySelection(SelectionError):  # noqa: N818  # names what was selected
    """Every value asked for is known, and yet no case has them all."""


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


def problems(catalogue: Catalogue, tier: Tier) -> list[Problem]:
    """Return the problems of a tier, sorted: what its goldens must cover."""
    return sorted({case.problem for case in tier_cases(catalogue, tier, ("cpu",))})


def tier_of(problem: Problem, spec: InitializerSpec) -> Tier | None:
    """Return the smallest tier that asks for the problem; None where none does."""
    tiers = (
        plane.tier
        for plane in PLANES
        if spec.tier.rank <= plane.specs.rank
        and problem.dtype in plane.dtypes
        and problem.shape in plane.shapes
        and problem.seed in plane.seeds
        and problem.prng in plane.prngs
    )
    return min(tiers, key=lambda tier: tier.rank, default=None)


def tier_cases(catalogue: Catalogue, tier: Tier, backends: tuple[str, ...]) -> Iterator[Case]:
    """Yield the cases of a tier, each once."""
    seen: set[Case] = set()
    for plane in PLANES:
        if plane.tier.rank > tier.rank:
            continue
        for spec in catalogue:
            if spec.tier.rank <= plane.specs.rank:
                for case in _plane_cases(plane, spec, backends):
                    if case not in seen:
                        seen.add(case)
                        yield case


def _plane_cases(plane: Plane, spec: InitializerSpec, backends: tuple[str, ...]) -> Iterator[Case]:
    for dtype in plane.dtypes:
        for shape in plane.shapes:
            for seed in plane.seeds:
                for prng in plane.prngs:
                    problem = Problem(
                        initializer=spec.name, dtype=dtype, shape=shape, seed=seed, prng=prng
                    )
                    for transform in plane.transforms:
                        for backend in backends:
                            case = Case(problem=problem, backend=backend, transform=transform)
                            if is_offered(case):
                                yield case


def is_offered(case: Case) -> bool:
    """Return whether the case's backend runs the like of it."""
    if case.transform == "sharded" and case.backend not in FORCED_DEVICES:
        return False
    problem = case.problem
    return not refusal(case.backend, case.transform, problem.prng, problem.shape, problem.dtype)


def refusal(backend: str, transform: str, prng: str, shape: tuple[int, ...], dtype: str) -> str:
    """Return why a backend cannot be asked this, or ""."""
    offer = OFFERS.get(backend)
    if offer is None:
        return ""
    size = math.prod(shape)
    refused = [
        *([f"transform {transform!r}"] if transform not in offer.transforms else []),
        *([f"prng {prng!r}"] if prng not in offer.prngs else []),
        *([f"shape {format_shape(shape)!r}"] if size > offer.most_elements else []),
        *([f"dtype {dtype!r}"] if dtype not in offer.dtypes else []),
    ]
    if not refused:
        return ""
    return f"{' and '.join(refused)} cannot be asked of backend {backend!r}: {offer.reason}"


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


def refuse(backend: str, transform: str, prng: str, shape: tuple[int, ...], dtype: str) -> None:
    """Raise SelectionError if a backend does not run it."""
    if text := refusal(backend, transform, prng, shape, dtype):
        raise SelectionError(f"{text}. Leave it or the backend out")


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
