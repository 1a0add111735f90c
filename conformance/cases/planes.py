"""The planes of each tier: which shapes, dtypes, keys, generators and transforms are crossed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.cases.offers import is_offered
from conformance.core.formats import NARROW_DTYPES, RARE_DTYPES
from conformance.core.ids import Case, Problem, Tier
from conformance.core.keys import LARGEST, KeySpec

LARGEST_SEED = 2**32 - 1
"""The largest seed that means the same with x64 on and off; a larger one loses its high word."""

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


def of_seeds(*seeds: int) -> tuple[KeySpec, ...]:
    """Return the keys of the seeds."""
    return tuple(KeySpec(seed=seed) for seed in seeds)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """One rectangular part of the matrix, run by its tier and every larger one.

    specs: the largest tier whose specs it takes.
    """

    tier: Tier
    specs: Tier
    dtypes: tuple[str, ...] = NARROW_DTYPES
    shapes: tuple[tuple[int, ...], ...]
    keys: tuple[KeySpec, ...] = (KeySpec(seed=0),)
    prngs: tuple[str, ...] = ("threefry2x32",)
    transforms: tuple[str, ...] = ("eager",)


PLANES = (
    Plane(tier=Tier.QUICK, specs=Tier.QUICK, shapes=(BIAS, DENSE, (5, 4, 8))),
    Plane(
        tier=Tier.STANDARD,
        specs=Tier.STANDARD,
        shapes=USUAL_SHAPES,
        keys=of_seeds(0, LARGEST_SEED),
    ),
    Plane(tier=Tier.STANDARD, specs=Tier.QUICK, shapes=(MILLION,)),
    Plane(
        tier=Tier.STANDARD,
        specs=Tier.STANDARD,
        shapes=(DENSE,),
        transforms=("legacy_key",),
    ),
    Plane(tier=Tier.FULL, specs=Tier.FULL, shapes=USUAL_SHAPES, keys=of_seeds(0, LARGEST_SEED)),
    Plane(tier=Tier.FULL, specs=Tier.FULL, shapes=(BIAS, DENSE, CONV), keys=of_seeds(1, 42)),
    # Beyond 32 bits: without x64 the high word is dropped, so this key is that of LARGEST_SEED.
    Plane(tier=Tier.FULL, specs=Tier.QUICK, shapes=(DENSE,), keys=of_seeds(LARGEST)),
    Plane(
        tier=Tier.FULL,
        specs=Tier.FULL,
        shapes=(BIAS, DENSE, (17, 13), CONV),
        transforms=("jit", "vmap", "sharded"),
    ),
    Plane(
        tier=Tier.FULL,
        specs=Tier.FULL,
        dtypes=RARE_DTYPES,
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
    # A raw key does not say whose words it holds; and not each lane of vmap has its own draws.
    Plane(
        tier=Tier.FULL,
        specs=Tier.QUICK,
        dtypes=("float32",),
        shapes=(DENSE,),
        prngs=("rbg", "unsafe_rbg"),
        transforms=("legacy_key", "vmap", "vmap_last"),
    ),
    # A compiler folds constants whatever the layout of the counters, and wherever the parts lie.
    Plane(
        tier=Tier.FULL,
        specs=Tier.FULL,
        dtypes=("float32",),
        shapes=(DENSE,),
        prngs=("threefry2x32", "threefry2x32_nonpartitionable"),
        transforms=("jit", "sharded_uneven"),
    ),
    # What is announced of a dtype, a refusal say, must be so however it is asked.
    Plane(
        tier=Tier.FULL,
        specs=Tier.QUICK,
        dtypes=RARE_DTYPES,
        shapes=(DENSE,),
        transforms=("legacy_key", "jit", "vmap", "sharded", "x64"),
    ),
    # Complex numbers have samplers of their own, which the argument must reach as well; and it is
    # refused of a matrix before anything else is.
    Plane(
        tier=Tier.FULL,
        specs=Tier.STANDARD,
        dtypes=("bfloat16", "complex64", "complex128", "float8_e4m3fn"),
        shapes=(BIAS, CONV),
        transforms=("out_sharding",),
    ),
)


SEEDS = frozenset(key.seed for plane in PLANES for key in plane.keys)
"""Those of which any tier has a key."""


def problems(catalogue: Catalogue, tier: Tier) -> list[Problem]:
    """Return the problems of a tier, sorted: what its goldens must cover."""
    return sorted({case.problem for case in tier_cases(catalogue, tier, ("cpu",))})


def tier_of(problem: Problem, spec: InitializerSpec) -> Tier | None:
    """Return the smallest tier that asks for the problem; None where none does."""
    if problem.seed not in SEEDS:  # as of nearly all of a million
        return None
    tiers = (
        plane.tier
        for plane in PLANES
        if spec.tier.rank <= plane.specs.rank
        and problem.dtype in plane.dtypes
        and problem.shape in plane.shapes
        and problem.key in plane.keys
        and problem.prng in plane.prngs
    )
    return min(tiers, key=lambda tier: tier.rank, default=None)


def tier_cases(
    specs: Catalogue | Sequence[InitializerSpec], tier: Tier, backends: tuple[str, ...]
) -> Iterator[Case]:
    """Yield the cases of a tier that ask these initializers, each once."""
    return _cases(_planes_of(tier), specs, backends)


def _planes_of(tier: Tier) -> Iterator[Plane]:
    """Yield the planes that a tier runs."""
    return (plane for plane in PLANES if plane.tier.rank <= tier.rank)


def plain_cases(
    catalogue: Catalogue, tier: Tier, backends: tuple[str, ...], **values: tuple[Any, ...]
) -> Iterator[Case]:
    """Yield the cases of a tier as if its plain planes ran these values, each case once.

    A plane is plain that calls initializers as anybody does: eagerly, with JAX's own generator.

    values: by the field of `Plane`; an axis without any stays as the tier has it.
    """
    named = {axis: each for axis, each in values.items() if each}
    plain = (each for each in _planes_of(tier) if (each.prngs, each.transforms) == PLAIN)
    asked = (dataclasses.replace(each, **named) for each in plain)  # type: ignore[arg-type]  # by design
    return _cases(asked, catalogue, backends)


PLAIN = (("threefry2x32",), ("eager",))
"""Generators and transforms of the planes that call initializers as anybody does."""


def _cases(
    planes: Iterable[Plane],
    specs: Catalogue | Sequence[InitializerSpec],
    backends: tuple[str, ...],
) -> Iterator[Case]:
    seen: set[Case] = set()
    for plane in planes:
        for spec in specs:
            if spec.tier.rank <= plane.specs.rank:
                for case in _plane_cases(plane, spec, backends):
                    if case not in seen:
                        seen.add(case)
                        yield case


def _plane_cases(plane: Plane, spec: InitializerSpec, backends: tuple[str, ...]) -> Iterator[Case]:
    for dtype in plane.dtypes:
        for shape in plane.shapes:
            for key in plane.keys:
                for prng in plane.prngs:
                    problem = Problem(
                        initializer=spec.name,
                        dtype=dtype,
                        shape=shape,
                        prng=prng,
                        seed=key.seed,
                        words=key.words,
                        steps=key.steps,
                    )
                    for transform in plane.transforms:
                        for backend in backends:
                            case = Case(problem=problem, backend=backend, transform=transform)
                            if is_offered(case):
                                yield case
