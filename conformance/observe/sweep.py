"""The exact law: an initializer's values at every word its generator could have drawn.

JAX makes a float32 uniform of 23 random bits, a float16 of 10, a bfloat16 of 7. A PRNG whose
"random bits" count through all of these walks the unmodified initializer over its whole law, on
any backend and in under a second. What is then said of mean, variance, support and error holds for
certain: there is no sampling noise.

A float64 has 52 bits, too many to count: its sweep takes one word in each of 2^20 equal strata, and
the case says so by its prng. So does float32 where an interpreter takes 40 us for each point.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from conformance.arrays import Array, as_dtype
from conformance.catalogue import Initializer, InitializerSpec
from conformance.definition import expected_error
from conformance.model import LATTICE, STRATA, WIDE_DTYPES, Case, Problem

TRANSFORMS = ("eager", "jit")
"""Ways of asking that a sweep knows."""

LOG2_LATTICE = {8: 7, 16: 10, 32: 23, 64: 52}
"""Points of the whole lattice by width of the word, as a power of two."""

LOG2_STRATA = 20
"""Strata of a float64 sweep, as a power of two."""

SLOW = {"stablehlo": 16}
"""Backends that take 40 us a point, and the strata of their sweeps, float32's too."""

FIBONACCI = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio, made odd."""

WORD_BITS = {"bfloat16": 8, "float16": 16, "float32": 32, "float64": 64}
"""Width of the word from which JAX draws one element of each dtype."""

SHAPES = {
    "bfloat16": ((11, 12), (5, 5, 6)),
    "float16": ((29, 37), (10, 10, 11)),
    "float32": ((2896, 2897), (203, 204, 203)),
    "float64": ((1023, 1026), (101, 102, 102)),
}
SLOW_SHAPES = ((257, 258), (41, 41, 42))
"""Shapes of at least as many elements as the sweep has points. No size is a power of two, for then
the arithmetic of the fans would be exact, and its roundings, which users see, would not be. The
second is for axes that need a third dimension."""

SUMMATION_ERROR = 2.0**-48
"""Relative error of the moments: E|x - mean|^p times this. NumPy's pairwise sum of CHUNK terms is
27 roundings of 2^-53 deep, the powers take 5, and `math.fsum` of the chunks none."""

CHUNK = 1 << 16
"""Elements per pass: a handful of float64 temporaries fit in a cache of 2 MiB."""


class NotElementwise(ValueError):  # noqa: N818 (says what the initializer is, not what went wrong)
    """The initializer is no function of one random word per element, for the stated reason."""


class SweepError(RuntimeError):
    """The initializer raised, or returned something else than was asked for, on the lattice."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sweep:
    """What an initializer returned on the lattice: one value for each word, in the words' order."""

    case: Case
    device: str
    words: Array = dataclasses.field(repr=False)
    values: Array = dataclasses.field(repr=False)
    elapsed_s: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of a lattice, and how far the value there lies from the one expected.

    fraction: where in [0, 1) the word lies. ulp: the distance, in the unit that the holder states.
    """

    ulp: float
    word: int
    fraction: float
    actual: float
    expected: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ExactLaw:
    """The law of values that are equally likely. Moments are of the finite ones, in float64.

    mean, variance, skewness, kurtosis: within SUMMATION_ERROR; kurtosis is 3 for a normal law.
    direction: 1 where the values never fall as the word grows, -1 where they never rise, else 0.
    is_symmetric: whether -x is as likely as x, for each value x.
    """

    n_points: int
    n_distinct: int
    n_nonfinite: int
    mean: float
    variance: float
    skewness: float
    kurtosis: float
    minimum: float
    maximum: float
    direction: int
    is_symmetric: bool


def sweep_case(spec: InitializerSpec, dtype: str, backend: str, transform: str) -> Case:
    """Return the case of a sweep, in the first of SHAPES that the definition takes."""
    is_stratified = dtype in WIDE_DTYPES or (backend in SLOW and dtype == "float32")
    shapes = SLOW_SHAPES if is_stratified and backend in SLOW else SHAPES[dtype]
    shape = next(
        (s for s in shapes if expected_error(spec.definition, s, dtype) is None), shapes[0]
    )
    prng = STRATA if is_stratified else LATTICE
    problem = Problem(initializer=spec.name, dtype=dtype, shape=shape, seed=0, prng=prng)
    return Case(problem=problem, backend=backend, transform=transform)


def log2_points(case: Case) -> int:
    """Return how many points a sweep has, as a power of two."""
    if case.problem.prng == STRATA and case.backend in SLOW:
        return SLOW[case.backend]
    return default_log2_points(WORD_BITS[case.problem.dtype])


def default_log2_points(bits: int) -> int:
    """Return the points of a sweep on a fast backend, as a power of two."""
    return LOG2_STRATA if bits == 64 else LOG2_LATTICE[bits]


def lattice_words(bits: int, log2_count: int | None = None) -> Array:
    """Return 2^log2_count words, ascending: all that differ in a bit that counts, or of strata.

    Without a count: the whole lattice; of 64-bit words, one point of each of 2^LOG2_STRATA strata.
    """
    log2_count = log2_count or default_log2_points(bits)
    counter = np.arange(1 << log2_count, dtype=f"u{bits // 8}")
    return np.asarray(spread(counter, bits, log2_count))


def spread(counter: Any, bits: int, log2_count: int) -> Any:
    """Return the words that the counters stand for; NumPy's integers or JAX's.

    The bits below the counter are zero, or scattered where the word has more to say: the middle of
    each stratum would be a number of few bits, whose square is exact, and hide what rounding costs.
    Fibonacci hashing: Knuth, The Art of Computer Programming 3, section 6.4.
    """
    leading = counter << counter.dtype.type(bits - log2_count)
    if log2_count == LOG2_LATTICE[bits]:
        return leading
    scattered = counter * counter.dtype.type(FIBONACCI >> (64 - bits))
    return leading | (scattered >> counter.dtype.type(log2_count))


# --- Observing -----------------------------------------------------------------------------------


class Executor(Protocol):
    """What a sweep runs on: a backend."""

    @property
    def device(self) -> str:
        """What the rows call it."""

    def execute(self, function: Callable[[Any], Any], key: Any) -> Array:
        """Return what a function of a typed key returns there."""


def sweep(spec: InitializerSpec, case: Case, executor: Executor) -> Sweep:
    """Run the unmodified initializer over all words, on the executor.

    Raises:
        NotElementwise: it draws other than one word per element.
        SweepError: it raised, or returned another dtype or shape.
    """
    start = time.perf_counter()
    with x64_for(case.problem.dtype):
        try:
            initializer, key = spec.build(), lattice_key(log2_points(case))
            _require_one_word_each(initializer, case, key)
            array = executor.execute(_call(initializer, case), key)
        except NotElementwise:
            raise
        except Exception as error:
            raise SweepError(f"{case.id} raised {type(error).__name__}: {error}") from error
    problem = case.problem
    if (str(array.dtype), array.shape) != (problem.dtype, problem.shape):
        raise SweepError(
            f"{case.id} returned {array.dtype}{list(array.shape)}, "
            f"asked for {problem.dtype}{list(problem.shape)}"
        )
    words = lattice_words(WORD_BITS[problem.dtype], log2_points(case))
    return Sweep(
        case=case,
        device=executor.device,
        words=words,
        values=array.reshape(-1)[: words.size],
        elapsed_s=time.perf_counter() - start,
    )


def _call(initializer: Initializer, case: Case) -> Any:
    import jax

    def call(key: Any) -> Any:
        return initializer(key, case.problem.shape, as_dtype(case.problem.dtype))

    return {"eager": call, "jit": jax.jit(call)}[case.transform]


def x64_for(dtype: str) -> Any:
    """Return the context in which a sweep of the dtype runs."""
    import contextlib

    import jax

    return jax.enable_x64(True) if dtype in WIDE_DTYPES else contextlib.nullcontext()


@functools.cache
def lattice_key(log2_count: int | None = None) -> Any:
    """Return a typed key whose random bits are `lattice_words`, over and over."""
    import jax
    from jax.extend.random import define_prng_impl

    implementation = define_prng_impl(
        key_shape=(1,),
        seed=lambda _: jax.numpy.zeros((1,), "uint32"),
        split=lambda key, shape: jax.numpy.broadcast_to(key, (*shape, 1)),
        random_bits=functools.partial(_counting_bits, log2_count),
        fold_in=lambda key, _: key,
        name=LATTICE,
    )
    return jax.random.key(0, impl=implementation)


def _counting_bits(log2_count: int | None, key: Any, bits: int, shape: tuple[int, ...]) -> Any:
    """Return `lattice_words(bits, log2_count)` in the shape, starting again at the end.

    They count on from the key's word, which is 0. If they did not depend on the key, a compiler
    could take a whole law for a constant, and compute it by other means than it computes draws.
    """
    import jax

    log2_count = log2_count or default_log2_points(bits)
    word = jax.numpy.dtype(f"u{bits // 8}")
    counter = (key[0] + jax.lax.iota(jax.numpy.uint32, math.prod(shape))) % (1 << log2_count)
    return spread(counter.astype(word), bits, log2_count).reshape(shape)


def _require_one_word_each(initializer: Initializer, case: Case, key: Any) -> None:
    """Raise unless the traced program draws once: a word of the usual width for each element."""
    import jax

    problem = case.problem
    traced = jax.make_jaxpr(lambda key: initializer(key, problem.shape, as_dtype(problem.dtype)))
    draws = [
        (equation.params["bit_width"], math.prod(equation.params["shape"]))
        for equation in equations(traced(key).jaxpr)
        if equation.primitive.name == "random_bits"
    ]
    needed = (WORD_BITS[problem.dtype], math.prod(problem.shape))
    if draws != [needed]:
        found = " and ".join(f"{count} words of {bits} bits" for bits, count in draws) or "no words"
        raise NotElementwise(
            f"{problem.initializer} draws {found} for {needed[1]} elements of {problem.dtype}: "
            f"only a sampler that draws one word of {needed[0]} bits for each has a law that can "
            "be counted through"
        )


def equations(jaxpr: Any) -> Iterator[Any]:
    """Yield the equations of a traced program and of all programs inside it."""
    for equation in jaxpr.eqns:
        yield equation
        for value in equation.params.values():
            for part in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(part, "jaxpr", part)
                if hasattr(inner, "eqns"):
                    yield from equations(inner)


# --- Summarising ---------------------------------------------------------------------------------


def exact_law(values: Array) -> ExactLaw:
    """Return the law of equally likely values, in the order of their words."""
    finite = np.isfinite(values)
    kept = values if finite.all() else values[finite]
    direction = _direction(kept)
    ordered = kept[::-1] if direction < 0 else kept if direction else np.sort(kept)
    mean, central = _moments(kept)
    variance = central[0]
    nan = math.nan
    return ExactLaw(
        n_points=values.size,
        n_distinct=int(np.count_nonzero(ordered[1:] != ordered[:-1])) + bool(kept.size),
        n_nonfinite=values.size - kept.size,
        mean=mean,
        variance=variance,
        skewness=central[1] / variance**1.5 if variance > 0 else nan,
        kurtosis=central[2] / variance**2 if variance > 0 else nan,
        minimum=float(ordered[0]) if kept.size else nan,
        maximum=float(ordered[-1]) if kept.size else nan,
        direction=direction,
        is_symmetric=bool((ordered == -ordered[::-1]).all()),
    )


def _direction(values: Array) -> int:
    if (values[1:] >= values[:-1]).all():
        return 1
    return -1 if (values[1:] <= values[:-1]).all() else 0


def _moments(values: Array) -> tuple[float, tuple[float, float, float]]:
    """Return the mean, and the central moments of order 2, 3 and 4."""
    n = values.size or math.nan
    mean = math.fsum(float(part.sum()) for part in _chunks(values)) / n
    second, third, fourth = [], [], []
    for part in _chunks(values):
        deviation = part - mean
        square = deviation * deviation
        second.append(float(square.sum()))
        third.append(float((square * deviation).sum()))
        fourth.append(float((square * square).sum()))
    return mean, (math.fsum(second) / n, math.fsum(third) / n, math.fsum(fourth) / n)


def _chunks(values: Array) -> Iterator[npt.NDArray[np.float64]]:
    for start in range(0, values.size, CHUNK):
        yield values[start : start + CHUNK].astype(np.float64)
