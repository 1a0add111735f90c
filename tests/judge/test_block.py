"""What a block of seeds may hold and still be right at once, at each bound and beyond it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any
from unittest import mock

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
    nominal_moments,
)
from conformance.core.records import Budget, DriftClass, MatrixBudget
from conformance.core.ulp import spacing_at
from conformance.judge import block
from conformance.judge.block import (
    DISTANCE,
    VARIANCE_ERROR,
    Judged,
    Kind,
    is_judged_at_once,
    judge_block,
)
from conformance.judge.checks.backward_error import stack_errors
from conformance.judge.checks.moments import Bounds, moments_of_element
from conformance.judge.checks.structure import outermost_draws
from conformance.judge.drift.classify import ROUNDINGS
from conformance.judge.drift.statistics import FEWEST, rank_certainty
from conformance.oracle import Made, Solution, haar
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
    """Which arrays pass all checks at once, and how far from the definition those lie; others 0."""

    is_right: Any
    at_sigma: Any


def judged(
    arrays: Array,
    definition: Definition = NORMAL,
    budget: Budget = EXACT,
    *,
    is_compiled: bool = False,
) -> Plain:
    transform = "jit" if is_compiled else "eager"
    with mock.patch.object(block._Draws, "_alone", return_value=(None, {})):
        found = of_all(arrays, definition, budget, transform=transform)
    is_right = np.array([kind is not None and not kind.failed for kind in found.kinds])
    at_sigma = found.figures.get(DISTANCE, np.zeros(len(arrays)))
    return Plain(is_right=is_right, at_sigma=np.where(is_right, at_sigma, 0.0))


def of_all(
    arrays: Array,
    definition: Definition = NORMAL,
    budget: Budget = EXACT,
    *,
    transform: str = "eager",
    backend: str = "cpu",
    normals: Array | None = None,
) -> Judged:
    problem = problem_of(arrays.shape[1:], arrays.dtype.name)
    case = Case(problem=problem, backend=backend, transform=transform)
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
        yield Solution(made=Made(value=widen(array), expected=array))


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


# --- Which checks fail ---------------------------------------------------------------------------
COMPLEX = dataclasses.replace(FANS, distribution="truncated_normal")


def test_an_array_that_is_not_finite_fails_the_contract(echo: type[Echo]) -> None:
    """Of its mean and its variance nobody asks, and a law without bounds says nothing of it."""
    arrays = right((4,))
    arrays[1, 2], arrays[2, :] = np.inf, np.nan
    echo.arrays = arrays

    assert kinds_of(of_all(arrays)) == [set(), {"contract"}, {"contract"}]


def test_bounds_are_those_of_the_finite_elements(echo: type[Echo]) -> None:
    """Where there are none, there is no smallest and no largest."""
    arrays = right((4,), UNIFORM)
    arrays[0, 2], arrays[1, :] = np.inf, np.nan
    arrays[2, 1:3] = np.inf, 1.5
    echo.arrays = arrays

    assert kinds_of(of_all(arrays, UNIFORM)) == [
        {"contract"},
        {"contract", "structure"},
        {"contract", "structure"},
    ]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_element_of_minus_zero_is_within_a_bound_of_zero(echo: type[Echo], dtype: str) -> None:
    arrays = np.full((3, 4), 0.5, as_dtype(dtype))
    arrays[0, 1], arrays[1, 1] = 0.0, -0.0
    echo.arrays = arrays

    assert kinds_of(of_all(arrays, UNIFORM)) == [set(), {"structure"}, set()]


@pytest.mark.parametrize("sign", [1, -1])
def test_no_element_lies_beyond_what_any_word_draws(echo: type[Echo], sign: int) -> None:
    """But for the budget, in steps at the outermost value."""
    ends = outermost_draws(NORMAL, (4,), "float32")
    assert ends is not None
    end = np.float32(dict(ends)[sign])
    arrays = right((4,))
    step = sign * np.float32(spacing_at(float(end), end.dtype))
    arrays[0, 1], arrays[1, 1] = end + 3 * step, end + 4 * step
    echo.arrays = arrays

    found = of_all(arrays, budget=budget(3, 0.0))

    assert kinds_of(found) == [set(), {"structure"}, set()]


def test_moduli_of_complex_numbers_are_within_the_bound(echo: type[Echo]) -> None:
    """Their parts may be zero of either sign."""
    law = dataclasses.replace(FANS, distribution="uniform")
    arrays = right((4, 2), law, "complex64")
    bound = nominal_moments(law, (4, 2), "complex64")
    assert bound is not None
    arrays[0, 0, 0] = complex(-0.0, -0.0)
    arrays[1, 0, 0] = complex(bound.upper * 0.8, bound.upper * 0.8)
    echo.arrays = arrays

    assert kinds_of(of_all(arrays, law)) == [set(), {"structure"}, set()]


def test_a_complex_mean_is_that_of_both_parts(echo: type[Echo]) -> None:
    arrays = right((64, 64), NORMAL, "complex64")
    arrays[1] += 0.5j
    echo.arrays = arrays

    assert kinds_of(of_all(arrays)) == [set(), {"moments"}, set()]


def test_a_complex_variance_is_that_of_both_parts(echo: type[Echo]) -> None:
    wide = Normal(stddev=4.0)
    arrays = right((64, 64), wide, "complex64")
    arrays[1].imag = 0
    echo.arrays = arrays

    assert kinds_of(of_all(arrays, wide)) == [set(), {"moments"}, set()]


def test_what_is_lost_of_every_answer_departs_as_a_law() -> None:
    """Infinitely far; where the answers are not finite either, nothing is lost."""
    arrays = right((16, 8))
    arrays[1, 3, 3] = np.nan
    found = of_all(arrays)

    assert found.kinds[1] == Kind(
        failed=frozenset({"contract", "oracle"}),
        departs_by=DriftClass.LAW,
        figures=(DISTANCE,),
    )
    assert found.figures[DISTANCE].tolist() == [0.0, math.inf, 0.0]


def test_what_overflows_as_the_definition_does_fails_the_contract_alone() -> None:
    large = Normal(stddev=1000.0)
    arrays = right((16, 8), large, "float8_e4m3")
    assert not np.isfinite(arrays).all(axis=(1, 2)).any()

    found = of_all(arrays, large)

    assert kinds_of(found) == [{"contract"}] * 3
    assert found.figures[DISTANCE].tolist() == [0.0] * 3


def test_constants_that_the_dtype_has_not_fail_the_contract() -> None:
    nothing = np.full((3, 4), 0.0).astype(as_dtype("float8_e8m0fnu"))

    assert kinds_of(of_all(nothing, Constant(value=0.0))) == [{"contract"}] * 3


def test_complex_constants_are_right_in_both_parts() -> None:
    arrays = np.full((4, 5), 1.0, np.complex128)
    arrays[1, 4], arrays[2, 0] = 1 + 1e-300j, complex(1.0, -0.0)

    assert kinds_of(of_all(arrays, Constant(value=1.0))) == [set(), None, None, set()]


def test_an_array_that_is_far_from_all_answers_departs_by_its_class() -> None:
    arrays = right((16, 8))
    arrays[1] = arrays[1][::-1]
    found = of_all(arrays)

    assert found.kinds[1] == Kind(
        failed=frozenset({"oracle"}), departs_by=DriftClass.STRUCTURAL, figures=(DISTANCE,)
    )


def test_what_a_device_that_does_not_fuse_returns_is_right() -> None:
    wide = TruncatedNormal(stddev=1.0, lower=-1.0, upper=3.0)
    problem = problem_of((64, 64))
    fused, unfused, *_ = answers(wide, problem)[1]
    assert (fused != unfused).any(axis=(1, 2)).all()

    assert judged(unfused, wide).is_right.all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_roundings_of_jax_s_own_need_no_judgement_alone(dtype: str) -> None:
    """In 16 bits the definition is near enough, and is not what they are."""
    expected, (followed, *_) = answers(TRUNCATED, problem_of((64, 64), dtype))
    assert (expected != followed).any(axis=(1, 2)).all()

    assert judged(followed, TRUNCATED, budget(2**14, 8.0)).is_right.all()


def test_what_is_settled_asks_for_no_other_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = right((16, 8), TRUNCATED)
    monkeypatch.setattr(Answers, "followed", None)

    assert judged(arrays, TRUNCATED).is_right.all()


@pytest.mark.parametrize(("backend", "failed"), [("cpu", {"oracle"}), ("cuda", set())])
def test_biased_rounding_is_let_pass_on_another_kind_of_device(
    backend: str, failed: set[str]
) -> None:
    arrays = right((1024,))
    arrays.view(np.int32)[1] += 1
    found = of_all(arrays, budget=ANY, backend=backend)

    assert kinds_of(found) == [set(), failed, set()]
    assert found.kinds[1] is not None
    assert found.kinds[1].figures == (DISTANCE,)
    assert found.figures[DISTANCE][1] > 0


def test_a_distance_is_that_from_the_definition() -> None:
    """Also of what is lost, or scaled."""
    arrays = right((16, 8), COMPLEX, "complex64")
    moved = arrays.copy()
    moved[1] *= np.complex64(1.01)
    sigma = math.sqrt(2 / 16)
    expected = np.abs(widen(moved[1]) - widen(arrays[1])).max() / spacing_at(
        sigma, as_dtype("complex64")
    )

    found = of_all(moved, COMPLEX)

    assert found.figures[DISTANCE].tolist() == [0.0, expected, 0.0]
    assert found.figures[VARIANCE_ERROR].tolist() == [0.0, pytest.approx(0.0201, rel=1e-5), 0.0]


# --- A factor ------------------------------------------------------------------------------------


def departing(arrays: Array, definition: Definition = COMPLEX) -> list[tuple[Any, ...]]:
    """Return of each array its class and its error of variance."""
    found = of_all(arrays, definition)
    errors = found.figures[VARIANCE_ERROR].tolist()
    return [
        (kind and (kind.failed, kind.departs_by, kind.figures), error)
        for kind, error in zip(found.kinds, errors, strict=True)
    ]


CHANGES: dict[str, Any] = {
    "scaled": lambda array: array * array.dtype.type(1.01),
    "as it is": lambda array: array,
    "a few as they are": lambda array: np.where(array.real > 0, array * 1.01, array),
    "mirrored": lambda array: array * array.dtype.type(-1.01),
    "reversed": lambda array: array[::-1],
    "reversed and scaled": lambda array: array[::-1] * array.dtype.type(1.01),
    "repeated and scaled": lambda array: np.concatenate([array[:8], array[:8]]) * 1.01,
    "beside": lambda array: np.concatenate([array[:, :4], array[:, :4]], axis=1) * 1.01,
    "rolled": lambda array: np.roll(array, 1),
    "shifted": lambda array: array + array.dtype.type(0.125),
    "turned": lambda array: (array * 1j).astype(array.dtype) if array.dtype.kind == "c" else -array,
    "noisy": lambda array: array * 1.01 + np.random.default_rng(3).standard_normal(array.shape),
    "scaled hardly": lambda array: array * array.dtype.type(1 + 2.0**-22),
    "far larger": lambda array: array * 1e37,
    "zero": lambda array: array * 0,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("dtype", ["complex64", "complex128", "float64"])
@pytest.mark.filterwarnings("ignore:overflow")
def test_what_is_plainly_scaled_is_told_as_by_itself(
    change: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = right((16, 8), COMPLEX, dtype)
    arrays[1] = CHANGES[change](arrays[1]).astype(dtype)
    at_once = departing(arrays)

    monkeypatch.setattr(block._Draws, "_scale", lambda *_: None)

    assert at_once == departing(arrays)


@pytest.mark.parametrize("shape", [(16, 8), (128, 1), (1, 2, 64), (2, 64)])
@pytest.mark.parametrize("factor", [1.01, 0.51, 1.99])
def test_what_is_plainly_scaled_is_not_classified(
    shape: tuple[int, ...], factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes a millisecond of each array."""
    arrays = right(shape, COMPLEX, "complex64")
    monkeypatch.setattr(block, "deviation", None)

    (found, error), *_ = departing(arrays * np.complex64(factor))

    failed, *others = found
    assert "oracle" in failed
    assert others == [DriftClass.LAW, (DISTANCE, VARIANCE_ERROR)]
    assert error == pytest.approx(factor**2 - 1, rel=1e-5)


def is_plainly_scaled(actual: Array, expected: Array) -> bool:
    """Return whether that is told at once of an array of which this is the one answer."""

    class One(Echo):
        arrays = expected[None]

    problem = problem_of(actual.shape, actual.dtype.name)
    case = Case(problem=problem, backend="cpu", transform="eager")
    with mock.patch.object(block, "Answers", One):
        draws = block._Draws(actual[None], COMPLEX, case, SEEDS[:1], EXACT)
        return draws._scale(0) is not None


@pytest.mark.parametrize(
    ("place", "source"), [((0, 0), (5, 5)), ((9, 1), (9, 1))], ids=["copy", "as it was"]
)
def test_what_may_be_another_order_is_not_plainly_scaled(
    place: tuple[int, int], source: tuple[int, int]
) -> None:
    answer = right((16, 8), COMPLEX, "complex64")[0]
    scaled = answer * np.complex64(1.01)
    assert is_plainly_scaled(scaled, answer)

    scaled[place] = answer[source]

    assert not is_plainly_scaled(scaled, answer)


def test_what_may_repeat_itself_is_not_plainly_scaled() -> None:
    answer = right((16, 8), COMPLEX, "complex64")[0]
    answer[9, 1] = answer[0, 0]

    assert not is_plainly_scaled(answer * np.complex64(1.01), answer)


@pytest.mark.parametrize("scale", [1.0, 0.75, 1.5])
def test_ranks_are_kept_where_few_values_lie_nearer_than_errors(scale: float) -> None:
    """Eight places off lies the first that is 8 further; errors of either add up."""
    expected = np.arange(100.0)
    found = []
    for error in (3.9, 4.0, 4.1):
        actual = scale * expected
        actual[50] += error * scale
        found.append(block._are_ranks_kept(actual, expected[::-1][::-1], scale))

    assert found == [True, False, False]


def test_ranks_of_a_few_tell_nothing() -> None:
    """Their correlation would be less certain than it must be to tell one stream."""
    found = [block._are_ranks_kept(ranks, ranks, 1.0) for ranks in map(np.arange, (99.0, 100.0))]
    n, places = block.FEWEST_RANKED, block.FEW_PLACES
    least = 1 - 12 * places**2 / (n**2 - 1)

    assert found == [False, True]
    assert least > 0.92
    assert least * math.sqrt((n - 2) / (1 - least**2)) > 2 * rank_certainty(n)


@pytest.mark.parametrize("scale", [0.5, 2.0, -1.0, 3.0])
def test_another_factor_is_not_plain(scale: float) -> None:
    ranks = np.arange(200.0)

    assert not block._are_ranks_kept(scale * ranks, ranks, scale)


@pytest.mark.parametrize(("n_roundings", "is_plain"), [(4, False), (8, True)])
def test_a_factor_beyond_roundings_is_plain(n_roundings: int, is_plain: bool) -> None:
    answer = right((64, 64), COMPLEX, "complex64")[0]

    assert is_plainly_scaled(answer * np.complex64(1 + n_roundings * 2.0**-24), answer) == is_plain


# --- Matrices ------------------------------------------------------------------------------------
BOUNDS = MatrixBudget(column=50.0, gram=55.0)
OF_MATRICES = Budget(max_ulp=91, max_ulp_at_sigma=4.0, matrix=BOUNDS)


def drawn(shape: tuple[int, int] = (8, 4), dtype: str = "float64") -> tuple[Array, Array]:
    """Return matrices, and the normals that they are made of."""
    normals = answers(NORMAL, problem_of(shape, dtype))[0]
    return np.stack([haar(widen(each)) for each in normals]).astype(dtype), normals


def matrix_kinds(
    arrays: Array,
    normals: Array | None,
    definition: Definition = PLAIN,
    budget: Budget = OF_MATRICES,
) -> list[set[str] | None]:
    return kinds_of(of_all(arrays, definition, budget, normals=normals))


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_the_q_of_what_was_drawn_is_right(dtype: str) -> None:
    arrays, normals = drawn(dtype=dtype)

    found = of_all(arrays, PLAIN, OF_MATRICES, normals=normals)

    assert kinds_of(found) == [set()] * 3
    assert set(found.figures) == {
        *("structure.gram_error", "structure.orthogonality_ratio"),
        *("oracle.column_error", "oracle.n_undetermined_signs", "oracle.qr_ratio"),
    }


def test_matrices_are_judged_alone_where_nobody_knows_what_was_drawn() -> None:
    assert matrix_kinds(drawn()[0], None) == [None] * 3


@pytest.mark.parametrize(
    "change",
    [
        lambda matrix: -matrix,
        lambda matrix: matrix[:, ::-1],
        lambda matrix: matrix * (1 + 1e-12),
        lambda matrix: np.where(matrix == matrix.max(), np.nan, matrix),
        lambda matrix: np.roll(matrix, 1, axis=0),
    ],
)
def test_a_matrix_that_is_not_that_q_is_judged_alone(change: Any) -> None:
    arrays, normals = drawn()
    arrays[1] = change(arrays[1])

    assert matrix_kinds(arrays, normals) == [set(), None, set()]


def test_normals_that_the_definition_does_not_draw_are_judged_alone() -> None:
    """Each matrix is right beside its own."""
    arrays, normals = drawn()
    order = [0, 2, 1]

    assert matrix_kinds(arrays[order], normals[order]) == [set(), None, None]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normals_may_be_off_by_their_budget(dtype: str) -> None:
    _, normals = drawn(dtype=dtype)
    words = normals.view(f"i{normals.dtype.itemsize}")
    words[1] += np.where(np.arange(32).reshape(8, 4) % 2, 1, -1)
    arrays = np.stack([haar(widen(each)) for each in normals]).astype(dtype)

    assert matrix_kinds(arrays, normals) == [set()] * 3


def test_kernels_have_nothing_but_their_centre() -> None:
    inner, normals = drawn((4, 4))
    arrays = np.zeros((3, 3, 4, 4))
    arrays[:, 1] = inner
    arrays[1, 0, 0, 0] = 1e-300

    assert matrix_kinds(arrays, normals, DELTA) == [set(), None, set()]


def with_bound(name: str, bound: float) -> MatrixBudget:
    values: dict[str, Any] = {"column": BOUNDS.column, "gram": BOUNDS.gram, name: bound}
    return MatrixBudget(**values)


@pytest.mark.parametrize("name", ["gram", "column"])
def test_errors_may_lie_at_their_bound_and_no_further(name: str) -> None:
    arrays, normals = drawn()
    errors = getattr(stack_errors(arrays, normals, bound=0.0), name)
    most = float(errors.max())
    found = [
        matrix_kinds(arrays, normals, budget=dataclasses.replace(OF_MATRICES, matrix=bounds))
        for bounds in (
            with_bound(name, most),
            with_bound(name, math.nextafter(most, 0)),
        )
    ]

    assert found == [[set()] * 3, [set() if error < most else None for error in errors]]


def test_a_sign_may_be_as_wrong_as_a_column() -> None:
    arrays, normals = drawn()
    arrays[1] *= -1
    most = -float(stack_errors(arrays, normals, bound=0.0).lowest_diagonal.min())
    found = [
        matrix_kinds(
            arrays,
            normals,
            budget=dataclasses.replace(OF_MATRICES, matrix=MatrixBudget(column=bound, gram=55.0)),
        )
        for bound in (most, math.nextafter(most, 0))
    ]

    assert found == [[set()] * 3, [set(), None, set()]]


@pytest.mark.parametrize(("at_sigma", "is_near"), [(1.0, True), (0.99, False)])
def test_normals_lie_within_the_budget_of_a_standard_normal(at_sigma: float, is_near: bool) -> None:
    arrays, normals = drawn((16, 8), "float32")
    place = np.unravel_index(np.argmin(np.abs(np.abs(normals[1]) - 1.5)), normals[1].shape)
    moved = normals.copy()
    moved[1][place] += np.float32(SPACING)
    arrays = np.stack([haar(widen(each)) for each in moved]).astype(np.float32)
    near = dataclasses.replace(OF_MATRICES, max_ulp=0, max_ulp_at_sigma=at_sigma)

    found = matrix_kinds(arrays, moved, budget=near)

    assert found == [set(), set() if is_near else None, set()]


def test_normals_are_those_of_a_device_that_fuses() -> None:
    """What else a sound device may draw is for its own check to tell."""
    _, (fused, unfused) = answers(NORMAL, problem_of((64, 64)))
    exact = dataclasses.replace(OF_MATRICES, max_ulp=0, max_ulp_at_sigma=0.0)
    found = [
        matrix_kinds(
            np.stack([haar(widen(each)) for each in normals]).astype(np.float32),
            normals,
            budget=exact,
        )
        for normals in (fused, unfused)
    ]

    assert found == [[set()] * 3, [None] * 3]


def test_a_mean_beyond_its_bound_is_judged_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, normals = drawn()
    means = np.abs(arrays.mean(axis=(1, 2)))
    bounds = Bounds(mean=float(np.sort(means)[1]), variance=math.inf)
    monkeypatch.setattr(block, "bounds_of", lambda *_: bounds)

    found = matrix_kinds(arrays, normals)

    assert [each is None for each in found] == (means > bounds.mean).tolist()
