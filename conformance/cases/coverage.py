"""Cases by design: each is there for a kind of fault that the planes of the tiers cannot see.

No golden is stored for them: the oracle says what every element must be, or where it follows no
generator, statistics weigh the draws. So they are asked only of initializers for which it has an
answer, and where the definition wants an array.

The full tier asks all initializers of a family. The standard tier asks a few of each law, since the
others run the same code. A program that must be compiled is asked in turn: the first law in one
dtype, the second in the next, and so on from one size or transform to the other, so that each meets
each law, and each dtype, once. Keys come in turn as well where a visit names none.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping

from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.cases.offers import is_offered
from conformance.core.formats import FORMATS, NARROW_DTYPES
from conformance.core.ids import CALLS, Case, Problem, Tier
from conformance.core.keys import KeySpec, parse_key
from conformance.core.laws import expected_error

SIZES: Mapping[tuple[int, ...], str] = {
    (7, 1): "one under a multiple of 8: the last vector is not full",
    (1, 9): "one over it",
    (127, 1): "one under a multiple of 128, the width of a tile",
    (3, 43): "one over it",
    (255, 257): "2^16 - 1 elements: a counter of 16 bits",
    (1, 65537): "2^16 + 1 elements, all along one axis",
    (3, 1031): "an axis over 1024, and prime",
    (2, 3, 1, 2, 3, 2): "six dimensions",
}
"""What is special about them."""

LARGE: Mapping[tuple[int, ...], str] = {
    (1025, 1023): "2^20 - 1 elements",
    (61681, 17): "2^20 + 1 elements: a counter of 20 bits, another scale from there on",
}

LARGEST = (1451, 1447)
"""Two million elements, both axes over 1024."""

KEYS: Mapping[str, str] = {
    "s7": "small",
    "s200": "no signed number of 8 bits",
    "s40000": "no signed number of 16 bits",
    "s65543": "beyond 16 bits: 7 if they are cut off",
    "s16777217": "no float32: 2^24 + 1",
    "s2147483655": "beyond 31 bits: 7 if they are cut off, negative as a signed number of 32",
    "s4294967303": "beyond 32 bits: 7 without x64, as JAX has it",
    "k0000000100000007": "a high word, which no seed of 32 bits has: 7 if it is ignored",
    "k8000000080000000": "the highest bit of both words",
    "kffffffffffffffff": "all bits of both words",
    "k123456789abcdef0": "words that are not each other's: 9abcdef012345678 if they are swapped",
    "s7.split2at0": "the first child of a split",
    "s7.split2at1": "its sibling",
    "s7.split5at4": "the last child of several",
    "s7.fold5": "a number folded in",
    "s7.fold4294967295": "the largest one",
    "k0000000100000007.split2at1": "a child of a key with a high word",
    "s7.split3at2.fold5.split2at1": "a descendant, as a layer of a model gets it",
}
"""Why each is asked. Seeds 0, 1, 42 and 2^32 - 1 are those of the planes."""

SMALL_SEEDS = tuple(f"s{seed}" for seed in range(2, 17) if seed != 7)
"""With 7 and those of the planes, the first seventeen: what people choose."""

DENSE, ODD = (64, 32), (17, 13)

NORMALS = ("normal", "normal_1", "scaling_fan_avg_normal", "constant")
TRUNCATED = (
    *("truncated_normal", "truncated_normal_asymmetric", "lecun_normal", "he_normal"),
    "constant_negative",
)
UNIFORMS = ("uniform", "uniform_negative", "glorot_uniform", "he_uniform", "constant")
LAWS = (NORMALS, TRUNCATED, UNIFORMS)
"""Some of each law. Eager calls of one row run the programs of one sampler; constants run none."""

COMPILED_LAWS = (
    ("normal", "scaling_fan_avg_normal", "constant"),
    ("truncated_normal", "lecun_normal", "constant_negative"),
    ("uniform", "glorot_uniform", "constant"),
)
"""Fewer: compiled whole, each is a program of its own."""

MATRICES = ("orthogonal", "orthogonal_column0")

KERNEL, LONG_KERNEL = (3, 16, 32), (1, 9, 1031)
"""A delta-orthogonal initializer takes kernels only."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Cases for some kinds of fault.

    sees: what only such cases show.
    laws: initializers of the standard tier; if there are several rows, each question and dtype is
        for the next one. The full tier asks all of their families, in every dtype.
    keys: all of them for each case; if there are none, each case takes the next one of KEYS.
    """

    sees: str
    laws: tuple[tuple[str, ...], ...]
    dtypes: tuple[str, ...] = NARROW_DTYPES
    shapes: tuple[tuple[int, ...], ...] = (DENSE,)
    keys: tuple[str, ...] = ()
    prngs: tuple[str, ...] = ("threefry2x32",)
    transforms: tuple[str, ...] = ("eager",)


def _all(*rows: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the rows as one: none waits for its turn."""
    return (tuple(itertools.chain(*rows)),)


def _matrices(visit: Visit, *names: str, shapes: tuple[tuple[int, ...], ...] = ()) -> Visit:
    """Return the visit for orthogonal matrices, of which JAX draws none in 16 bits."""
    return dataclasses.replace(
        visit, laws=(names,), dtypes=("float32",), shapes=shapes or visit.shapes
    )


_SIZES = Visit(sees="sizes", laws=LAWS, shapes=tuple(SIZES))

_LARGE = Visit(
    sees="sizes about 2^20",
    laws=(("normal",), ("truncated_normal", "constant"), ("uniform", "glorot_uniform")),
    shapes=tuple(LARGE),
)

_KEYS = Visit(sees="keys", laws=_all(*LAWS), keys=tuple(KEYS))

_WIDE = Visit(
    sees="keys of wide dtypes, whose seeds keep both words",
    laws=_all(*COMPILED_LAWS),
    dtypes=("float64",),
    keys=tuple(KEYS),
)

_COMPILED = Visit(
    sees="what a compiler, a lane or 64 bits around the call make of it",
    laws=COMPILED_LAWS,
    transforms=("jit", "vmap_first", "vmap_last", "x64"),
)

_SHARDS = Visit(
    sees="shards of one size", laws=COMPILED_LAWS, transforms=("sharded", "out_sharding")
)

_UNEVEN = dataclasses.replace(
    _SHARDS, sees="shards of several sizes", shapes=(ODD,), transforms=("sharded_uneven",)
)

_CALLS = Visit(
    sees="what calls leave behind",
    laws=_all(*COMPILED_LAWS),
    transforms=tuple(name for name in CALLS if name != "thousand_calls"),
)

VISITS = (
    _SIZES,
    _matrices(_SIZES, "orthogonal"),
    _matrices(_SIZES, "delta_orthogonal", shapes=(LONG_KERNEL,)),
    _LARGE,
    dataclasses.replace(_LARGE, laws=(("uniform",),), dtypes=("float32",), shapes=(LARGEST,)),
    _matrices(_LARGE, "orthogonal", shapes=((524309, 2),)),
    _KEYS,
    _matrices(_KEYS, *MATRICES, shapes=(ODD,)),
    _matrices(_KEYS, "delta_orthogonal", shapes=(KERNEL,)),
    dataclasses.replace(_KEYS, laws=_all(*COMPILED_LAWS), keys=SMALL_SEEDS),
    dataclasses.replace(
        _KEYS,
        sees="keys in both layouts",
        laws=(("normal",),),
        dtypes=("float32",),
        prngs=("threefry2x32_partitionable", "threefry2x32_nonpartitionable"),
    ),
    _WIDE,
    dataclasses.replace(
        _WIDE,
        laws=(("normal", "scaling_fan_avg_normal", "orthogonal", "constant"),),
        dtypes=("complex64", "complex128"),
        keys=("s7", "s4294967303", "k123456789abcdef0", "s7.split2at1", "s7.fold5"),
    ),
    Visit(
        sees="large arrays of wide dtypes",
        laws=(("normal",), ("lecun_normal",), ("uniform",)),
        dtypes=("float64",),
        shapes=((1, 65537), (255, 257), (241, 17)),
        keys=("s7",),
    ),
    Visit(
        sees="draws whose bits no oracle follows",
        laws=(("normal_1",), ("lecun_normal",), ("he_uniform",)),
        keys=("s7",),
        prngs=("rbg", "unsafe_rbg"),
    ),
    Visit(
        sees="matrices whose bits no oracle follows",
        laws=(("orthogonal",),),
        dtypes=("float32",),
        keys=("s7",),
        prngs=("rbg", "unsafe_rbg"),
    ),
    Visit(
        sees="complex numbers and matrices whose bits no oracle follows",
        laws=(("normal", "orthogonal"), ("he_uniform",)),
        dtypes=("complex64", "complex128"),
        keys=("s7",),
        prngs=("rbg", "unsafe_rbg"),
    ),
    # Truncated normals are not to be had in all of these: findings 24 and 25.
    Visit(
        sees="dtypes of 8 bits",
        laws=(("uniform", "constant"),),
        dtypes=tuple(name for name, each in FORMATS.items() if each.bits == 8),
    ),
    _COMPILED,
    _matrices(_COMPILED, "orthogonal"),
    _SHARDS,
    _matrices(_SHARDS, "orthogonal"),
    _UNEVEN,
    _matrices(_UNEVEN, "orthogonal"),
    _CALLS,
    _matrices(_CALLS, "orthogonal"),
    # A second a case; it is the host that counts calls, whatever the dtype.
    Visit(
        sees="what a thousand calls leave behind",
        laws=(("normal", "truncated_normal", "uniform", "orthogonal", "constant"),),
        dtypes=("float32",),
        shapes=(ODD,),
        transforms=("thousand_calls",),
    ),
)
"""The design: whatever is read here is asked."""


def coverage_cases(catalogue: Catalogue, tier: Tier, backends: tuple[str, ...]) -> Iterator[Case]:
    """Yield the cases by design that a tier runs, each once; the quick tier runs none."""
    if tier is Tier.QUICK:
        return
    seen: set[Case] = set()
    for problem, transform in itertools.chain(*(_asked(each, catalogue, tier) for each in VISITS)):
        for backend in backends:
            case = Case(problem=problem, backend=backend, transform=transform)
            if case not in seen and is_offered(case):
                seen.add(case)
                yield case


def _asked(visit: Visit, catalogue: Catalogue, tier: Tier) -> Iterator[tuple[Problem, str]]:
    """Yield what a visit asks for in a tier, and how."""
    specs = _specs(visit, catalogue, tier)
    questions = itertools.product(visit.shapes, visit.transforms, visit.prngs)
    for turn, (shape, transform, prng) in enumerate(questions):
        answers = itertools.product(specs, enumerate(visit.dtypes, turn))
        for number, (spec, (row, dtype)) in enumerate(answers, turn):
            is_its_turn = spec.name in visit.laws[row % len(visit.laws)] or tier is Tier.FULL
            if is_its_turn and not expected_error(spec.definition, shape, dtype):
                for text in visit.keys or (IN_TURN[number % len(IN_TURN)],):
                    yield _problem(spec, dtype, shape, parse_key(text), prng), transform


IN_TURN = tuple(KEYS)


def _specs(visit: Visit, catalogue: Catalogue, tier: Tier) -> list[InitializerSpec]:
    """Return the initializers of a visit: those of the standard tier first.

    So the key that each has in turn is the same in the full tier.
    """
    known = {spec.name: spec for spec in catalogue if spec.definition and not spec.no_oracle}
    own = [known[name] for name in itertools.chain(*visit.laws) if name in known]
    families = {spec.family for spec in own if tier is Tier.FULL}
    others = (spec for spec in known.values() if spec.family in families)
    return list({spec.name: spec for spec in (*own, *others)}.values())


def _problem(
    spec: InitializerSpec, dtype: str, shape: tuple[int, ...], key: KeySpec, prng: str
) -> Problem:
    return Problem(
        initializer=spec.name,
        dtype=dtype,
        shape=shape,
        prng=prng,
        seed=key.seed,
        words=key.words,
        steps=key.steps,
    )
