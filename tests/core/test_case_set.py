"""Sets of cases: what they lack of what was asked, whatever the order in which they were filled."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from conformance.core.case_set import CaseSet, cases_of, joined, n_cases
from conformance.core.ids import parse_unit

HEAD, TAIL = "normal-float32-64x32-s", "-cpu-eager"


def named(seeds: str) -> str:
    return f"{HEAD}{seeds}{TAIL}"


@pytest.mark.parametrize("number", range(20))
def test_what_is_left_is_what_was_not_taken(number: int) -> None:
    chance = random.Random(number)  # no secret
    taken: set[int] = set()
    found = CaseSet()
    for _ in range(chance.randrange(12)):
        first = chance.randrange(40)
        seeds = range(first, first + chance.randrange(1, 9))
        taken.update(seeds)
        if chance.random() < 0.5:
            found.add(named(f"{seeds.start}:{seeds.stop}"))
        else:
            found.add_seeds(named("7"), chance.sample(seeds, len(seeds)))

    left = [case for each in found.left_of(named("3:45")) for case in cases_of(each)]

    assert left == [named(str(seed)) for seed in range(3, 45) if seed not in taken]
    assert len(found) == len(taken)
    assert len(found | CaseSet([named("0:50")])) == 50
    for seed in range(50):
        assert list(found.left_of(named(str(seed)))) == (
            [] if seed in taken else [named(str(seed))]
        )


def test_programs_do_not_meet() -> None:
    found = CaseSet([named("0:10")])

    for other in (f"{HEAD}3-cpu-jit", f"{HEAD}3-rbg{TAIL}", "zeros-float32-64x32-s3-cpu-eager"):
        assert list(found.left_of(other)) == [other]


@pytest.mark.parametrize(
    "text",
    [
        "normal-float32-64x32-s7.fold5-cpu-eager",
        "normal-float32-64x32-k000000010000abcd-cpu-eager",
        named("007"),
        named("5:5"),
        "a test",
        "",
    ],
)
def test_what_is_no_seeds_case_stands_for_itself(text: str) -> None:
    found = CaseSet([text])

    assert (len(found), list(found.left_of(text)), n_cases(text)) == (1, [], 1)
    assert list(cases_of(text)) == [text]
    assert list(CaseSet([named("0:9")]).left_of(text)) == [text]


def test_names_of_ranges_are_those_of_blocks_and_of_one_seed_of_its_case() -> None:
    found = CaseSet([named("4")])

    assert list(found.left_of(named("3:9"))) == [named("3"), named("5:9")]
    for each in found.left_of(named("3:9")):
        assert parse_unit(each).id == each


def test_a_block_is_joined_with_what_follows_it_and_cases_stay_apart() -> None:
    ids = [
        named("0:5"),
        named("5:9"),
        named("10:12"),
        f"{HEAD}12:14-cpu-jit",
        named("1"),
        named("2"),
    ]

    assert joined(ids) == [named("0:9"), *ids[2:]]
    assert joined(map(named, ("8", "9:12", "12", "13:15"))) == [named("8:15")]


def test_a_million_seeds_take_no_more_than_two() -> None:
    tracemalloc.start()
    try:
        found = CaseSet()
        for first in range(0, 1_000_000, 200):
            found.add_seeds(named("0"), range(first, first + 200))
        size_bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    assert len(found) == 1_000_000
    assert size_bytes < 10_000
