"""What a kill matrix comes to: who stands alone, what is wrong, and how it is told."""

from __future__ import annotations

import dataclasses
import json

import pytest

from conformance.cli.faults import as_json, as_markdown, as_text
from conformance.core.errors import ExitCode
from conformance.core.records import Environment
from conformance.planted.matrix import KILLERS, STATISTICAL, Matrix, cell, line_of, tables
from conformance.planted.page import page_of
from conformance.planted.record import Tried
from conformance.report.page.render import html


def tried(name: str, *killers: str, **fields: object) -> Tried:
    """Return a fault that died of some checks, the last of which it claims to die of."""
    died = Tried(
        name=name,
        kind="law",
        question=f"{name}-float32-64x32-s1-cpu-eager",
        tier="quick",
        claim=killers[-1] if killers else "oracle",
        killed_by=killers,
        passed=("structure",),
    )
    return dataclasses.replace(died, **fields)  # type: ignore[arg-type]  # of the test


HERE = Environment(packages={"jax": "0.12.3"}, config={}, host={"cpu": "made-up"}, devices={})


EVERY_CHECK = tuple(tried(f"only_{check}", check) for check in KILLERS)


EVERY_TEST = tuple(tried(f"only_{test}", "statistics", tests=(test,)) for test in STATISTICAL)


def matrix(*found: Tried, is_whole: bool = False) -> Matrix:
    return Matrix(tried=found, is_whole=is_whole)


def test_a_check_stands_alone_beside_those_that_know_what_was_accepted() -> None:
    alone = matrix(tried("a", "values", "oracle"), tried("b", "law_accuracy", "law_mean")).alone

    assert (alone["oracle"], alone["law_mean"]) == (("a",), ("b",))
    assert not alone["values"]
    assert not alone["law_accuracy"]


def test_a_golden_stands_alone_where_nothing_else_kills() -> None:
    assert matrix(tried("a", "values")).alone["values"] == ("a",)


def test_two_that_kill_are_neither_alone() -> None:
    alone = matrix(tried("a", "oracle", "moments")).alone

    assert not any(alone.values())


def test_all_is_well_where_every_fault_dies_and_every_check_kills_one_alone() -> None:
    found = matrix(*EVERY_CHECK, *EVERY_TEST, is_whole=True)

    assert found.faults == {}
    assert found.code is ExitCode.OK
    assert found.line == (
        "40 of 40 planted faults died; 18 of 18 checks kill one that no other does; "
        "22 of 22 statistical tests refuse one alone"
    )


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        pytest.param(
            tried("a"),
            "survived a-float32-64x32-s1-cpu-eager: no check failed",
            id="survivor",
        ),
        pytest.param(
            tried("a", "moments", claim="oracle"),
            "was to die of oracle, and died of moments instead",
            id="claim",
        ),
        pytest.param(
            tried("a", "oracle", drift="law", drift_claimed="stream"),
            "was to be stream, and is law",
            id="class",
        ),
        pytest.param(
            tried("a", "oracle", right_failed=("oracle",)),
            "proves nothing: the right initializer fails oracle in a-float32-64x32-s1-cpu-eager "
            "too",
            id="control",
        ),
    ],
)
def test_what_is_wrong_with_a_fault_fails_and_is_told(fault: Tried, text: str) -> None:
    found = matrix(fault)

    assert found.code is ExitCode.FAILED
    assert found.faults == {"a": text}
    assert f"a {text}" in as_text(found)
    assert text in html(page_of(found, HERE))


def test_a_check_that_kills_none_alone_fails_a_whole_matrix_only() -> None:
    without = [
        each
        for each in (*EVERY_CHECK, *EVERY_TEST)
        if each.name not in ("only_moments", "only_lags")
    ]

    assert matrix(*without).code is ExitCode.OK
    found = matrix(*without, is_whole=True)
    assert found.code is ExitCode.FAILED
    assert found.faults == {
        "moments": "kills no fault alone: plant one that it does, or drop it",
        "lags": "kills no fault alone: plant one that it does, or drop it",
    }


def test_a_fault_that_ended_its_process_is_missing_and_no_survivor() -> None:
    found = matrix(tried("a", lost="its process was ended by SIGKILL"))

    assert found.code is ExitCode.MISSING
    assert not found.survivors
    assert "0 of 1 planted fault died; 1 ended their process" in as_text(found)
    assert line_of(found.tried[0])[2:] == ("lost", "its process was ended by SIGKILL")


def test_a_cell_holds_the_least_magnitude_or_the_word() -> None:
    fault = tried("a", "values", "oracle", smallest={"oracle": 1.234e-5})

    assert [cell(fault, check) for check in ("oracle", "values", "structure", "moments")] == [
        "1.2e-05",
        "killed",
        "-",
        "",
    ]


def test_faults_of_sweeps_have_a_table_of_their_own() -> None:
    *_, of_cases, of_sweeps, _ = tables(matrix(tried("a", "oracle"), tried("b", "law_mean")))

    assert [line[0] for line in of_cases.lines] == ["a"]
    assert [line[0] for line in of_sweeps.lines] == ["b"]
    assert "law_mean" in of_sweeps.head
    assert "law_mean" not in of_cases.head


def test_statistical_tests_are_counted_where_they_refuse() -> None:
    one = tried("a", "statistics", tests=("lags",))
    two = tried("b", "statistics", tests=("lags", "levels"))

    of_tests = tables(matrix(one, two))[1]

    assert {("lags", "2", "1", "a"), ("levels", "1", "0", "")} <= set(of_tests.lines)
    assert ("kurtosis", "0", "0", "") in of_tests.lines


def test_all_forms_name_every_fault() -> None:
    found = matrix(*EVERY_CHECK)

    document = json.loads(as_json(found))

    assert [each["name"] for each in document["faults"]] == [each.name for each in EVERY_CHECK]
    for form in (as_markdown(found), html(page_of(found, HERE))):
        assert all(each.name in form for each in EVERY_CHECK)


def test_the_page_names_where_the_faults_were_tried_and_no_other_side() -> None:
    shown = html(page_of(matrix(tried("a", "oracle")), HERE))

    assert "<td>0.12.3</td></tr>" in shown
    assert "<td>made-up</td></tr>" in shown
    assert "where the goldens were made" not in shown
