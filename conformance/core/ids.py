"""What a case is called: problems, backends, transforms and tiers, as text and back."""

from __future__ import annotations

import dataclasses
import enum
import functools
import re
import sys
from collections.abc import Iterator

from conformance.core.errors import unknown
from conformance.core.formats import DTYPES
from conformance.core.keys import KeySpec, Step, parse_key
from conformance.core.prng import n_words
from conformance.core.words import counted

PRNGS = (
    "threefry2x32",
    "threefry2x32_partitionable",
    "threefry2x32_nonpartitionable",
    "rbg",
    "unsafe_rbg",
)
"""`threefry2x32` takes the bit layout that the ambient configuration asks for, as users do; the two
suffixed names force one."""

LATTICE, STRATA = "lattice", "strata"
"""What stands for the PRNG in a sweep's case: every point, or one point of each stratum."""

SHARDED = ("sharded", "sharded_uneven", "out_sharding")
"""Transforms that spread an array over several devices."""

CALLS = ("third_call", "thousand_calls", "after_another_key", "second_thread", "after_donation")
"""Eager calls with something before them or around them."""

TRANSFORMS = (
    *("eager", "legacy_key", "jit", "vmap", "vmap_first", "vmap_last", "x64"),
    *SHARDED,
    *CALLS,
)
"""Ways of asking. None may change the answer. All but `legacy_key` pass a typed key."""

EXAMPLE = "lecun_normal-float32-64x32-s0-cpu-eager"
"""A case id that messages show."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
"""What an initializer may be called. Hyphens separate the fields of an id, so no name holds one."""

TWO_WORDS = re.compile(rf"iree-{NAME.pattern}|{NAME.pattern}-emulated")
"""Backends whose names hold a hyphen all the same, as `iree-vulkan` and `cuda-emulated` do."""


class Tier(enum.StrEnum):
    """How much of the matrix to run: seconds, minutes, or all night."""

    QUICK = "quick"
    STANDARD = "standard"
    FULL = "full"

    @property
    def rank(self) -> int:
        """Position from small to large; a tier runs everything of its rank or less."""
        return list(Tier).index(self)


def format_shape(shape: tuple[int, ...]) -> str:
    """Return `64x32` for (64, 32) and `scalar` for ()."""
    return "x".join(map(str, shape)) or "scalar"


# A million seeds of one program, whose ids are parsed, share one tuple.
@functools.lru_cache(maxsize=1024)
def parse_shape(text: str) -> tuple[int, ...]:
    """Return the shape that `format_shape` wrote as text.

    Raises:
        ValueError: the text is neither `scalar` nor sizes joined by `x`.
    """
    if text == "scalar":
        return ()
    if not re.fullmatch(r"\d+(x\d+)*", text):
        raise ValueError(
            f"shape {text!r} is not understood: write sizes joined by 'x' (64x32), or 'scalar'"
        )
    return tuple(int(size) for size in text.split("x"))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One mathematical question: which array must this initializer return?

    A problem names no device and no transform, because neither may change the answer. Goldens and
    the oracle are therefore keyed by problem, never by case.

    seed, words, steps: how the key is made, see `KeySpec`; mostly of a seed alone.
    """

    initializer: str
    dtype: str
    shape: tuple[int, ...]
    seed: int
    prng: str = "threefry2x32"
    words: tuple[int, ...] = ()
    steps: tuple[Step, ...] = ()

    @property
    def key(self) -> KeySpec:
        """Return how the key is made."""
        return KeySpec(seed=self.seed, words=self.words, steps=self.steps)

    @property
    def id(self) -> str:
        """Return e.g. `lecun_normal-float32-64x32-s0`, and the prng if it is not the default."""
        return _id_of(self)


@functools.lru_cache(maxsize=2)
def _id_of(problem: Problem) -> str:
    """Return the id; on the way of a case it is asked for half a dozen times."""
    parts = [problem.initializer, problem.dtype, format_shape(problem.shape), problem.key.text]
    return "-".join(parts if problem.prng == "threefry2x32" else [*parts, problem.prng])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Case:
    """One way of asking a problem: on which backend, under which transform."""

    problem: Problem
    backend: str
    transform: str

    @property
    def id(self) -> str:
        """Return e.g. `lecun_normal-float32-64x32-s0-cpu-eager`."""
        return f"{self.problem.id}-{self.backend}-{self.transform}"

    @property
    def group(self) -> str:
        """Return the compile group: cases that share compiled programs share this name.

        Eager calls of one (dtype, shape) share the jitted samplers of `jax.random` whatever the
        initializer, so the group is made of just these, the backend and the transform.
        """
        fields = (self.backend, self.transform, self.problem.dtype, self.problem.prng)
        return "-".join((*fields, format_shape(self.problem.shape)))

    def of_seed(self, seed: int) -> Case:
        """Return the same case with another seed."""
        return dataclasses.replace(self, problem=dataclasses.replace(self.problem, seed=seed))

    def of_key(self, key: KeySpec) -> Case:
        """Return the same case with another key."""
        problem = dataclasses.replace(self.problem, seed=key.seed, words=key.words, steps=key.steps)
        return dataclasses.replace(self, problem=problem)

    def cases(self) -> Iterator[Case]:
        """Yield the case itself: what `Block` has many of."""
        yield self


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Parameter:
    """What goldens of layers are keyed by: one parameter of a layer under one `param_dtype`.

    path: parts joined by dots, as in `params.kernel`; "" for the layer as a whole, which raises.
    """

    layer: str
    dtype: str
    path: str = ""

    @property
    def id(self) -> str:
        """Return e.g. `flax.linen.Dense/float32/params.kernel`."""
        return "/".join((self.layer, self.dtype, self.path)).removesuffix("/")


def parse_parameter(text: str) -> Parameter:
    """Return the parameter whose id is `text`.

    Raises:
        ValueError: the text is not a parameter's id; the message names the offending field.
    """
    layer, _, rest = text.partition("/")
    dtype, _, path = rest.partition("/")
    if dtype not in DTYPES:
        raise ValueError(
            f"dtype {dtype!r} in {text!r} is unknown: a parameter's id reads "
            "flax.linen.Dense/float32/params.kernel"
        )
    return Parameter(layer=layer, dtype=dtype, path=path)


BLOCKS_OF_A_GROUP = 25
"""Blocks of seeds that one worker takes at a time: a second or two of work."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One way of asking, with many seeds: cases that share one program.

    case: of the first seed.
    """

    case: Case
    seeds: range

    @property
    def group(self) -> str:
        """Return the compile group.

        Of a long range of seeds each BLOCKS_OF_A_GROUP blocks are a group, so that workers and
        shards share it.
        """
        number = self.seeds.start // (len(self.seeds) * BLOCKS_OF_A_GROUP)
        return f"{self.case.group}-{number}"

    @property
    def id(self) -> str:
        """Return e.g. `lecun_normal-float32-64x32-s0:200-cpu-eager`."""
        first, seeds = f"-s{self.seeds.start}", f"-s{self.seeds.start}:{self.seeds.stop}"
        return self.case.id.replace(first, seeds, 1)

    def cases(self) -> Iterator[Case]:
        """Return the case of each seed."""
        return map(self.case.of_seed, self.seeds)


def parse_problem(text: str) -> Problem:
    """Return the problem whose id is `text`.

    Raises:
        ValueError: the text is not a problem id; the message names the offending field.
    """
    fields = text.split("-")
    if len(fields) not in (4, 5):
        raise ValueError(
            f"problem id {text!r} has {len(fields)} fields: "
            "expected initializer-dtype-shape-key[-prng], as in lecun_normal-float32-64x32-s0"
        )
    initializer, dtype, shape = fields[:3]
    prng = fields[4] if len(fields) == 5 else "threefry2x32"
    if dtype not in DTYPES:
        raise ValueError(unknown("dtype", dtype, DTYPES, within=text))
    if prng not in PRNGS:
        raise ValueError(unknown("prng", prng, PRNGS, within=text))
    key = parse_key(fields[3])
    if fault := unfit(key, prng):
        raise ValueError(f"{fault}, in {text!r}")
    return Problem(
        initializer=sys.intern(initializer),
        dtype=sys.intern(dtype),
        shape=parse_shape(shape),
        prng=sys.intern(prng),
        seed=key.seed,
        words=key.words,
        steps=key.steps,
    )


def unfit(key: KeySpec, prng: str) -> str:
    """Return why the generator takes no such key, or ""."""
    if len(key.words) in (0, n_words(prng)):
        return ""
    return (
        f"key {key.text} has {counted(len(key.words), 'word')}, and one of {prng} has "
        f"{n_words(prng)}"
    )


def is_backend(name: str) -> bool:
    """Return whether a backend may be called so: whether an id can hold it."""
    return bool(NAME.fullmatch(name) or TWO_WORDS.fullmatch(name))


def parse_case(text: str) -> Case:
    """Return the case whose id is `text`.

    Raises:
        ValueError: the text is not a case id; the message names the offending field.
    """
    problem, _, tail = text.rpartition("-")
    problem, _, backend = problem.rpartition("-")
    before, _, word = problem.rpartition("-")
    if TWO_WORDS.fullmatch(f"{word}-{backend}"):
        problem, backend = before, f"{word}-{backend}"
    if not problem:
        raise ValueError(f"{text!r} is no case id: one reads {EXAMPLE}")
    if tail not in TRANSFORMS:
        raise ValueError(
            f"a case id reads {EXAMPLE}, and {unknown('transform', tail, TRANSFORMS, within=text)}"
        )
    if not is_backend(backend):  # it becomes part of paths
        raise ValueError(f"backend {backend!r} in {text!r} is no name, as cpu, cuda or tpu are")
    return Case(
        problem=parse_problem(problem), backend=sys.intern(backend), transform=sys.intern(tail)
    )


SEEDS = re.compile(r"-s(\d+):(\d+)-")
"""Of a block's id."""


def parse_unit(text: str) -> Case | Block:
    """Return the case, or the block, whose id is `text`.

    Raises:
        ValueError: the text is neither.
    """
    if not (found := SEEDS.search(text)):
        return parse_case(text)
    first, stop = map(int, found.groups())
    return Block(case=parse_case(SEEDS.sub(rf"-s{first}-", text)), seeds=range(first, stop))
