"""What a block of seeds may hold and still be right at once, at each bound and beyond it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from conformance.core.arrays import Array, as_dtype, widen
from conformance.core.ids import Case, Problem
from conformance.core.laws import (
    Constant,
    Declared,
    Definition,
    DeltaOrthogonal,
    NominalMoments,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
)
from conformance.core.records import Budget
from conformance.core.ulp import spacing_at
from conformance.judge import block
from conformance.judge.block import (
    DISTANCE,
    Judged,
    is_judged_at_once,
    judge_block,
)
from conformance.judge.checks.moments import Bounds, moments_of_element
from conformance.judge.drift.classify import ROUNDINGS
from conformance.judge.drift.statistics import FEWEST
from conformance.oracle import Solution
from conformance.oracle.blocks import Answers

EXACT = Budget(max_ulp=0, max_ulp_at_sigma=0.0)
ANY = Budget(max_ulp=2**62, max_ulp_at_sigma=math.inf)
NORMAL = Normal(stddev=1.0)
UNIFORM = Uniform(scale=1.0)
TRUNCATED = TruncatedNormal(stddev=1.0)
PLAIN = Orthogonal(scale=1.0, column_axis=-1)
DELTA = DeltaOrthogonal(scale=1.0, column_axis=-1)
MOMENTS = NominalMoments(mean=0.0, variance=1.0, lower=-6.0, upper=6.0)
FANS = VarianceScaling(
    scale=2.0, mode="fan_in", distribution="normal", in_axis=(-2,), out_axis=(-1,), batch_axis=()
)
SEEDS = (3, 4, 5)


def problem_of(
    shape: tuple[int, ...], dtype: str = "float32", prng: str = "threefry2x32"
) -> Problem:
    return Problem(initializer="mine", dtype=dtype, shape=shape, seed=0, prng=prng)


def answers(
    definition: Definition,
    problem: Problem,
    seeds: Sequence[int] = SEEDS,
    *,
    is_compiled: bool = False,
) -> tuple[Array, list[Array]]:
    """Return what the definition says, and what JAX's own roundings may come to."""
    found = Answers(definition, problem, seeds, is_compiled=is_compiled)
    return found.expected(), list(found.followed())


@dataclasses.dataclass(frozen=True)
class Plain:
    """Which arrays pass all checks, and how far from the definition those lie; of others 0."""

    is_right: Any
    at_sigma: Any


def judged(
    arrays: Array,
    definition: Definition = NORMAL,
    budget: Budget = EXACT,
    *,
    is_compiled: bool = False,
) -> Plain:
    found = of_all(arrays, definition, budget, transform="jit" if is_compiled else "eager")
    is_right = np.array([kind is not None and not kind.failed for kind in found.kinds])
    at_sigma = found.figures.get(DISTANCE, np.zeros(len(arrays)))
    return Plain(is_right=is_right, at_sigma=np.where(is_right, at_sigma, 0.0))


def of_all(
    arrays: Array,
    definition: Definition = NORMAL,
    budget: Budget = EXACT,
    *,
    transform: str = "eager",
    normals: Array | None = None,
) -> Judged:
    problem = problem_of(arrays.shape[1:], arrays.dtype.name)
    case = Case(problem=problem, backend="cpu", transform=transform)
    seeds = range(SEEDS[0], SEEDS[0] + len(arrays))
    return judge_block(arrays, definition, case, seeds, budget, normals)


def kinds_of(found: Judged) -> list[set[str] | None]:
    """Return which checks fail of each array; None of one that is judged alone."""
    return [None if kind is None else set(kind.failed) for kind in found.kinds]


def right(shape: tuple[int, ...], definition: Definition = NORMAL, dtype: str = "float32") -> Array:
    return answers(definition, problem_of(shape, dtype))[0]


# --- Which problems ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("definition", "problem"),
    [
        (NORMAL, problem_of((7,))),
        (NORMAL, problem_of((7,), prng="threefry2x32_nonpartitionable")),
        (UNIFORM, problem_of((), "bfloat16")),
        (FANS, problem_of((4, 2), "float64")),
        (NORMAL, problem_of((7,), "complex64")),
        (UNIFORM, problem_of((7,), "float8_e4m3fn")),
        (Constant(value=0.0), problem_of((7,))),
        (Constant(value=1.0), problem_of((7,), "complex64")),
        (Constant(value=1.0), problem_of((7,), prng="rbg")),
        (PLAIN, problem_of((4, 4))),
        (DELTA, problem_of((3, 4, 4), "complex128")),
    ],
)
def test_draws_of_threefry_matrices_and_constants_are_judged_at_once(
    definition: Definition, problem: Problem
) -> None:
    assert is_judged_at_once(definition, problem)


@pytest.mark.parametrize(
    ("definition", "problem"),
    [
        (None, problem_of((7,))),
        (Declared(moments=lambda _: MOMENTS), problem_of((7,))),
        (FANS, problem_of((7,))),
        (NORMAL, problem_of((3, 0))),
        (NORMAL, problem_of((7,), prng="rbg")),
        (PLAIN, problem_of((4, 4), prng="rbg")),
        (PLAIN, problem_of((4,))),
        (dataclasses.replace(PLAIN, scale=0.0), problem_of((4, 4))),
    ],
    ids=[
        *("undefined", "declared", "an error", "empty", "rbg", "matrix of rbg", "no matrix"),
        "matrix of zeros",
    ],
)
def test_nothing_else_is(definition: Definition | None, problem: Problem) -> None:
    assert not is_judged_at_once(definition, problem)


@pytest.mark.parametrize(
    ("end", "inwards"), [(2.0**120, 0.0), (2.0**-240, 1.0)], ids=["largest", "smallest"]
)
def test_sums_of_squares_of_the_elements_are_numbers(end: float, inwards: float) -> None:
    """Variances of 2^-480 and 2^240 are already too far, and whatever lies beyond them."""
    beyond = end * (4 if inwards == 0 else 0.25)
    within, at, past = (
        is_judged_at_once(Normal(stddev=stddev), problem_of((7,), "float64"))
        for stddev in (math.nextafter(end, inwards), end, beyond)
    )

    assert (within, at, past) == (True, False, False)


# --- What is right -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "float64"])
@pytest.mark.parametrize("definition", [NORMAL, UNIFORM, TRUNCATED, FANS], ids=repr)
def test_the_arrays_of_the_definition_are_right(definition: Definition, dtype: str) -> None:
    found = judged(right((8, 4), definition, dtype), definition)

    assert found.is_right.tolist() == [True] * 3
    assert found.at_sigma.tolist() == [0.0] * 3


def test_each_array_is_judged_by_its_own_seed() -> None:
    arrays = right((8, 4))
    found = judged(arrays[[0, 2, 1]])

    assert found.is_right.tolist() == [True, False, False]


@pytest.mark.parametrize("shape", [(128, 128), (1 << 15,), ((1 << 15) + 1,)], ids=str)
def test_large_arrays_are_judged_a_few_at_a_time(shape: tuple[int, ...]) -> None:
    arrays = right(shape, UNIFORM)
    arrays[1].flat[-1] += np.float32(0.25) if arrays[1].flat[-1] < 0.5 else np.float32(-0.25)
    found = judged(arrays, UNIFORM)

    assert found.is_right.tolist() == [True, False, True]


def test_arrays_of_jax_s_own_roundings_are_right_beside_those_of_the_definition() -> None:
    expected, (followed, *_) = answers(TRUNCATED, problem_of((8, 64)))
    assert (expected != followed).any(axis=(1, 2)).all()
    wrong = expected[2] + np.float32(0.25)
    found = judged(np.stack([expected[0], followed[1], wrong]), TRUNCATED)

    assert found.is_right.tolist() == [True, True, False]
    assert found.at_sigma.tolist() == [0.0] * 3


def test_what_a_compiler_may_have_folded_is_right_for_compiled_calls_only() -> None:
    of_bounds = TruncatedNormal(stddev=1.0, lower=-0.25, upper=0.25)
    problem = problem_of((8, 64))
    _, eager = answers(of_bounds, problem)
    _, compiled = answers(of_bounds, problem, is_compiled=True)
    other = next(each for each in compiled if (each != eager[0]).any(axis=(1, 2)).all())

    assert judged(other, of_bounds, is_compiled=True).is_right.all()
    assert not judged(other, of_bounds, is_compiled=False).is_right.any()


@pytest.mark.parametrize("value", [0.0, 1.0, -2.5])
def test_constants_are_right_bit_by_bit(value: float) -> None:
    arrays = np.full((3, 2, 5), value, np.float32)
    arrays[1, 1, 4] = -value if value == 0 else np.nextafter(np.float32(value), np.float32(9))
    found = judged(arrays, Constant(value=value))

    assert found.is_right.tolist() == [True, False, True]
    assert found.at_sigma.tolist() == [0.0] * 3


# --- The law of each array -----------------------------------------------------------------------


class Echo:
    """An oracle that says what was returned, so that nothing but the law can contradict it."""

    arrays: Array

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def expected(self) -> Array:
        """Return what was returned."""
        return self.arrays

    def followed(self) -> Iterator[Array]:
        """Yield nothing."""
        yield from ()

    def solutions(self, number: int) -> Iterator[Solution]:
        """Yield what was returned of the seed at that place."""
        array = self.arrays[number]
        yield Solution(
            key=None, bits=None, unit=None, value=widen(array), expected=array, chain=None
        )


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> type[Echo]:
    monkeypatch.setattr(block, "Answers", Echo)
    return Echo


def are_lawful(echo: type[Echo], arrays: Array, definition: Definition) -> list[bool]:
    echo.arrays = arrays
    found: list[bool] = judged(arrays, definition).is_right.tolist()
    return found


def test_an_element_may_lie_at_a_bound_of_the_law_and_no_further(echo: type[Echo]) -> None:
    """The bound of 1 is widened by roundings; that of 0 is exact."""
    arrays = np.full((5, 4), 0.5, np.float32)
    above = np.float32(1 + ROUNDINGS * 2.0**-24)
    arrays[0, 1], arrays[1, 2] = 0.0, above
    arrays[2, 1] = np.nextafter(np.float32(0), np.float32(-1))
    arrays[3, 2] = np.nextafter(above, np.float32(2))

    assert are_lawful(echo, arrays, UNIFORM) == [True, True, False, False, True]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_element_that_is_not_finite_is_wrong(echo: type[Echo], value: float) -> None:
    arrays = right((4,))
    arrays[1, 2] = value

    assert are_lawful(echo, arrays, NORMAL) == [True, False, True]


def two_values(low: float, high: float) -> Array:
    """Return three rows of float64; the middle one is half low and half high."""
    arrays = np.full((3, 64), 0.5)
    arrays[1, ::2], arrays[1, 1::2] = low, high
    return arrays


@pytest.mark.parametrize(("low", "high"), [(0.75, 0.75), (0.25, 0.25), (0.5, 1.0)])
def test_a_mean_may_lie_at_its_bound_and_no_further(
    echo: type[Echo], monkeypatch: pytest.MonkeyPatch, low: float, high: float
) -> None:
    arrays = two_values(low, high)
    found = []
    for bound in (0.25, math.nextafter(0.25, 0)):
        bounds = Bounds(mean=bound, variance=math.inf)
        monkeypatch.setattr(block, "bounds_of", lambda *_, bounds=bounds: bounds)
        found.append(are_lawful(echo, arrays, UNIFORM))

    assert found == [[True, True, True], [True, False, True]]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.25, 1.0)])
def test_a_variance_around_the_law_s_mean_may_lie_at_its_bound_and_no_further(
    echo: type[Echo], monkeypatch: pytest.MonkeyPatch, low: float, high: float
) -> None:
    law = moments_of_element(UNIFORM, (64,), "float64")
    assert law is not None
    mean = (low + high) / 2
    exact = ((high - low) / 2) ** 2 + abs(mean - law.mean) ** 2
    arrays, furthest = two_values(low, high), abs(exact - law.variance)
    found = []
    for bound in (furthest, math.nextafter(furthest, 0)):
        bounds = Bounds(mean=math.inf, variance=bound)
        monkeypatch.setattr(block, "bounds_of", lambda *_, bounds=bounds: bounds)
        found.append(are_lawful(echo, arrays[1:2], UNIFORM))

    assert found == [[True], [False]]


def test_the_bounds_are_those_of_one_array(echo: type[Echo]) -> None:
    """Half of a million draws a thousandth too large are plain in all, and in 64 of them not."""
    leaning = right((64,), UNIFORM, "float64")
    leaning[1] = 0.75 + leaning[1] / 4  # 17 standard errors too large

    assert are_lawful(echo, leaning, UNIFORM) == [True, False, True]


def test_what_varies_by_less_than_its_dtype_can_hold_is_right(echo: type[Echo]) -> None:
    """All of it is zero, so there is no variance, and no law of moments to hold it to."""
    tiny = Normal(stddev=1e-12)
    assert moments_of_element(tiny, (64,), "float16") is None
    arrays = right((64,), tiny, "float16")
    assert not arrays.any()

    assert are_lawful(echo, arrays, tiny) == [True] * 3


# --- The distance of each element ----------------------------------------------------------------

SPACING = float(spacing_at(1.0, as_dtype("float32")))


def moved_by(arrays: Array, places: dict[tuple[int, int], float]) -> Array:
    """Return the arrays with elements moved by multiples of the spacing at sigma."""
    moved = arrays.copy()
    for place, steps in places.items():
        moved[place] = np.float32(float(moved[place]) + steps * SPACING)
    return moved


def nearest_to(arrays: Array, row: int, size: float) -> tuple[int, int]:
    return row, int(np.argmin(np.abs(np.abs(arrays[row]) - size)))


def budget(max_ulp: int, at_sigma: float) -> Budget:
    return Budget(max_ulp=max_ulp, max_ulp_at_sigma=at_sigma)


def test_an_element_may_lie_as_far_as_the_budget_says_at_sigma_and_no_further() -> None:
    arrays = right((256,))
    place = nearest_to(arrays, 1, 1.5)
    moved = moved_by(arrays, {place: 4})
    distance = abs(float(moved[place]) - float(arrays[place])) / SPACING

    within = judged(moved, budget=budget(0, distance))
    beyond = judged(moved, budget=budget(0, math.nextafter(distance, 0)))

    assert within.is_right.tolist() == [True, True, True]
    assert within.at_sigma.tolist() == [0.0, distance, 0.0]
    assert beyond.is_right.tolist() == [True, False, True]
    assert beyond.at_sigma.tolist() == [0.0] * 3


def test_a_large_element_may_lie_as_many_steps_of_its_own_away_and_no_more() -> None:
    arrays = right((256,))
    place = nearest_to(arrays, 1, 2.5)  # whose spacing is twice that at sigma
    moved = moved_by(arrays, {place: 6})

    found = [judged(moved, budget=budget(steps, 1.0)).is_right.tolist() for steps in (2, 3, 4)]

    assert found == [[True, False, True], [True, True, True], [True, True, True]]


def test_an_element_is_wrong_only_if_it_is_far_by_both_measures() -> None:
    """A small one many steps away, a large one far at sigma: each is within the other measure."""
    arrays = right((256,))
    small, large = nearest_to(arrays, 1, 0.01), nearest_to(arrays, 1, 2.5)
    moved = moved_by(arrays, {small: 0.5, large: 6, nearest_to(arrays, 2, 1.5): 9})
    found = judged(moved, budget=budget(3, 1.0))

    assert found.is_right.tolist() == [True, True, False]
    assert found.at_sigma.tolist() == [0.0, 6.0, 0.0]


@pytest.fixture
def whatever_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all elements go one way."""
    monkeypatch.setattr(block, "is_one_way", lambda *_: False)


@pytest.mark.usefixtures("whatever_way")
@pytest.mark.parametrize("definition", [NORMAL, Normal(stddev=2.0**-9)], ids=["1", "2^-9"])
@pytest.mark.parametrize("direction", [1, -1])
def test_all_elements_may_be_scaled_by_as_many_roundings_and_no_more(
    definition: Normal, direction: int
) -> None:
    arrays = right((1024,), definition)
    wide = arrays.astype(np.float64)
    found = [
        judged((wide * (1 + direction * n * 2.0**-24)).astype(np.float32), definition, ANY)
        for n in (ROUNDINGS - 2, ROUNDINGS + 2)
    ]

    assert [each.is_right.tolist() for each in found] == [[True] * 3, [False] * 3]


@pytest.mark.usefixtures("whatever_way")
@pytest.mark.parametrize("stddev", [1.0, 2.0**-9])
@pytest.mark.parametrize("direction", [1, -1])
def test_all_elements_may_be_shifted_by_as_many_roundings_of_sigma_and_no_more(
    stddev: float, direction: int
) -> None:
    definition = Normal(stddev=stddev)
    arrays = right((1024,), definition, "float32")
    wide = arrays.astype(np.float64)
    step = direction * stddev * 2.0**-24
    found = [
        judged((wide + n * step).astype(np.float32), definition, ANY)
        for n in (ROUNDINGS - 3, ROUNDINGS + 3)
    ]

    assert [each.is_right.tolist() for each in found] == [[True] * 3, [False] * 3]


@pytest.mark.parametrize("size", [FEWEST - 1, FEWEST, FEWEST + 1])
def test_a_few_elements_never_move_as_one(size: int) -> None:
    arrays = right((size,), dtype="float64")
    found = judged(arrays * (1 + 2.0**-40), NORMAL, ANY)

    assert found.is_right.tolist() == [size < FEWEST] * 3


@pytest.mark.usefixtures("whatever_way")
def test_elements_of_one_value_move_by_their_rounding_alone(echo: type[Echo]) -> None:
    """There is no line through pairs that are all alike; other rows beside them have one."""
    answer = right((64,), UNIFORM, "float64")
    answer[0] = 0.5
    echo.arrays = answer
    found = judged(answer * (1 + 2.0**-40), UNIFORM, ANY)

    assert found.is_right.tolist() == [True, False, False]


@pytest.mark.parametrize("step", [1, -1])
def test_elements_that_all_went_one_way_are_left_to_their_own_judgement(step: int) -> None:
    """By a step each, as rounding may move an element; the others went both ways."""
    arrays = right((1024,))
    words = arrays.view(np.int32)
    words[1] += step
    words[2] += np.where(np.arange(1024) % 2, 1, -1).astype(np.int32)

    assert judged(arrays, NORMAL, ANY).is_right.tolist() == [True, False, True]


def test_elements_of_16_bits_that_follow_another_mode_are_left_to_their_own_judgement() -> None:
    """Every fourth element is the other neighbour; kernels explain every 128th."""
    arrays = right((1024,), dtype="bfloat16")
    words = arrays.view(np.int16)
    words[1, ::4] += np.where(np.arange(256) % 2, 1, -1).astype(np.int16)
    words[2, :4] += 1

    assert judged(arrays, NORMAL, ANY).is_right.tolist() == [True, False, True]
