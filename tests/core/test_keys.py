"""How keys are written, in ids and after `--key`."""

from __future__ import annotations

import pytest

from conformance.core.ids import Case, Problem, parse_case, parse_problem
from conformance.core.keys import FOLD, SPLIT, KeySpec, Step, parse_key

FIFTH = Step(name=FOLD, number=5)
MIDDLE = Step(name=SPLIT, number=3, index=1)

KEYS = {
    "s7": KeySpec(seed=7),
    "s9223372036854775807": KeySpec(seed=2**63 - 1),
    "s7.fold5": KeySpec(seed=7, steps=(FIFTH,)),
    "s7.split3at1": KeySpec(seed=7, steps=(MIDDLE,)),
    "s0.split3at1.fold5": KeySpec(steps=(MIDDLE, FIFTH)),
    "k000000010000abcd": KeySpec(words=(1, 0xABCD)),
    "kffffffff00000000.fold5": KeySpec(words=(2**32 - 1, 0), steps=(FIFTH,)),
    "k00000001000000020000000300000004": KeySpec(words=(1, 2, 3, 4)),
}


@pytest.mark.parametrize(("text", "key"), KEYS.items(), ids=KEYS)
def test_a_key_is_written_as_it_is_read(text: str, key: KeySpec) -> None:
    assert parse_key(text) == key
    assert key.text == text


@pytest.mark.parametrize("text", KEYS)
def test_an_id_keeps_its_key(text: str) -> None:
    prng = "-rbg" if len(text) == len("k") + 4 * 8 else ""
    case_id = f"normal-float32-64x32-{text}{prng}-cpu-eager"

    case = parse_case(case_id)

    assert case.id == case_id
    assert case.problem.key == KEYS[text]
    assert parse_problem(case.problem.id) == case.problem


def test_only_a_seed_alone_is_one() -> None:
    assert [text for text, key in KEYS.items() if key.is_seed] == ["s7", "s9223372036854775807"]


def test_problems_of_all_keys_have_an_order() -> None:
    """Lists of cases are sorted, whatever their keys are made of."""
    problems = [
        Problem(
            initializer="normal",
            dtype="float32",
            shape=(),
            seed=key.seed,
            words=key.words,
            steps=key.steps,
        )
        for key in KEYS.values()
    ]
    cases = [Case(problem=problem, backend="cpu", transform="eager") for problem in problems]

    assert len(sorted(cases)) == len(KEYS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("7", "key '7' is not understood: write a seed as s7"),
        ("s-7", "key 's-7' is not understood"),
        ("kabc", "key 'kabc' is not understood.*eight hexadecimal digits each"),
        ("k0000000A", "is not understood"),
        ("s9223372036854775808", "seed 9223372036854775808 is larger than 9223372036854775807"),
        ("s7.fold", "'fold' in key 's7.fold' is not understood: write fold5"),
        ("s7.split3", "'split3' in key 's7.split3' is not understood: .* or split3at1"),
        ("s7.", "'' in key 's7.' is not understood"),
        ("s7.fold4294967296", "fold_in takes numbers of 32 bits, up to 4294967295"),
        ("s7.split3at3", r"the children of split\(key, 3\) are numbered from 0 to 2"),
        ("s7.split0at0", r"split\(key, 0\) has no children"),
        ("s7.split1048577at0", "split into 1048576 keys at most, since all are made"),
    ],
)
def test_a_key_that_is_none_is_refused_with_the_way_out(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_key(text)


@pytest.mark.parametrize(
    ("case_id", "message"),
    [
        ("normal-float32-64x32-k000000010000abcd-rbg-cpu-eager", "2 words, and one of rbg has 4"),
        ("normal-float32-64x32-k00000001-cpu-eager", "1 word, and one of threefry2x32 has 2"),
    ],
)
def test_a_key_has_as_many_words_as_its_generator_takes(case_id: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"{message}, in 'normal"):
        parse_case(case_id)
