"""How many draws each look takes, of which keys, and which look decides."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from conformance.core.ids import Problem
from conformance.core.keys import KeySpec
from conformance.judge.alpha import STATISTICS
from conformance.judge.statistics import Matrices, decide, finding, look_keys
from conformance.judge.statistics.finding import Finding
from conformance.judge.statistics.looks import PAIRS, look_sizes


@pytest.mark.parametrize(
    ("size", "n_draws"),
    [
        (0, []),
        (1, [8, 32, 128]),
        (2048, [8, 32, 128]),
        (2340, [8, 32, 128]),
        (2341, [7, 28, 112]),
        (8191, [3, 12, 48]),
        (8192, [2, 8, 32]),
        (2**15 - 1, [2, 8, 32]),
        (2**15, [2, 8]),
        (2**17 - 1, [2, 8]),
        (2**17, [2]),
        (2**30, [2]),
    ],
)
def test_looks_grow_by_four_up_to_enough_elements(size: int, n_draws: list[int]) -> None:
    """The first is of 2^14 elements in 2 to 8 draws, and none follows one of 2^18."""
    assert look_sizes(size) == n_draws


def with_p_values(*p_values: float | None) -> list[finding.Test]:
    """Return tests, each of which gives every look one p-value."""

    def measure(p_value: float | None) -> Callable[[object], Finding | None]:
        return lambda _: None if p_value is None else Finding(statistic=0.0, p_value=p_value)

    return [
        finding.Test(name=str(number), says="", measure=measure(p_value))
        for number, p_value in enumerate(p_values)
    ]


def samples(count: int, opened: list[int]) -> Iterator[Matrices]:
    for number in range(1, count + 1):
        opened.append(number)
        yield Matrices(arrays=np.ones((number, 3, 2)))


def names(found: tuple[tuple[finding.Test, Finding], ...]) -> list[str]:
    return [test.name for test, _ in found]


def test_what_is_as_likely_as_the_share_is_not_refused() -> None:
    below, at = math.nextafter(STATISTICS.alpha, 0), STATISTICS.alpha

    decision = decide(samples(1, []), with_p_values(at, None, below, 0.5))

    assert names(decision.found) == ["0", "2", "3"]
    assert names(decision.refused) == ["2"]


def test_the_least_likely_finding_is_named() -> None:
    decision = decide(samples(1, []), with_p_values(0.5, 0.25, None, 0.75))

    assert decision.least is not None
    assert decision.least[0].name == "1"
    assert decide(samples(1, []), with_p_values(None)).least is None


@pytest.mark.parametrize(("p_value", "n_looks"), [(0.5, 3), (0.0, 1)])
def test_the_last_look_decides_or_the_first_that_refuses(p_value: float, n_looks: int) -> None:
    opened: list[int] = []

    decision = decide(samples(3, opened), with_p_values(p_value))

    assert (decision.look, decision.n_draws, decision.size) == (n_looks, n_looks, 6 * n_looks)
    assert opened == list(range(1, n_looks + 1))


def test_bits_of_seeds_come_in_turn_and_begin_anew_after_the_last() -> None:
    """Of 84 pairs, 42 differ in one bit: the pair of number 2 k in bit k, up to 31."""
    keys = list(
        itertools.chain(*look_keys(Problem(initializer="m", dtype="f", shape=(1,), seed=5)))
    )

    pairs = list(zip(keys[::2], keys[1::2], strict=True))[::2]

    assert [one.seed ^ two.seed for one, two in pairs] == [1 << k % 32 for k in range(42)]


def test_roots_of_pairs_are_hashes_of_the_problem_the_look_and_the_number() -> None:
    """So that a verdict repeats in every release."""
    problem = Problem(initializer="mine", dtype="float32", shape=(64, 32), seed=7)

    looks = look_keys(problem, fresh=3)

    for look, place, draw in ((0, 2, 0), (0, 4, 1), (1, 0, 0), (1, 2, 1), (2, 126, 63)):
        text = f"{problem.id} look {look} draw {draw} fresh 3"
        digest = hashlib.sha256(text.encode()).digest()
        assert looks[look][place].seed == int.from_bytes(digest[:4], "big")
    assert look_keys(problem) == look_keys(problem, fresh=0)


def test_a_look_of_an_odd_number_of_draws_takes_both_of_its_last_pair() -> None:
    problem = Problem(initializer="mine", dtype="float32", shape=(2341,), seed=7)

    assert look_sizes(2341) == [7, 28, 112]
    assert [len(look) for look in look_keys(problem)] == [8, 28, 112]


S9 = KeySpec(seed=9)


@pytest.mark.parametrize(
    ("key", "number", "bit", "texts"),
    [
        (S9, 0, 0, ("s9", "s8")),
        (S9, 2, 31, ("s9", "s2147483657")),
        (KeySpec(words=(3, 9)), 4, 4, ("k0000000300000009", "k0000000300000019")),
        (S9, 1, 5, ("s9.split2at0", "s9.split2at1")),
        (S9, 3, 5, ("s9", "s9.split2at0")),
        (S9, 5, 5, ("s9.fold0", "s9.fold1")),
    ],
)
def test_the_keys_of_a_pair_are_kin(
    key: KeySpec, number: int, bit: int, texts: tuple[str, str]
) -> None:
    """One bit apart every second time; else children of one key, or a parent and its child."""
    assert len(PAIRS) == 6
    assert tuple(each.text for each in PAIRS[number](key, bit)) == texts
