"""What a merge says becomes drifts, and what is missing lines by JAX."""

from __future__ import annotations

from typing import Any

import pytest
from drifts import (
    CHECK,
    CONFLICT,
    KINDS,
    MAX_PARTS,
    N_CASES,
    Row,
    cases_to_bisect,
    findings_of,
    kind_of,
    lane_of,
    least_class,
    missing_of,
    rows_of,
)

from conformance.core.records import Drift, DriftClass, Status
from conformance.merge import Class, Judgement

PLACE = {"backend": "cpu", "flags": "", "jax": "0.13.0"}
CASE = "normal-float32-64-s{}-cpu-eager"


def merged(**lists: Any) -> dict[str, Any]:
    places = {"here": PLACE, "arm": PLACE, "build": {**PLACE, "jax": "0.13.1.dev20261129"}}
    empty: dict[str, Any] = {"failed": [], "beyond": [], "conflicts": [], "faults": []}
    return {"missing": {}, "places": places, **empty, **lists}


def said(case: str, what: str, place: str = "here") -> dict[str, str]:
    return {"case": case, "place": place, "backend": "cpu", "what": what}


def row(number: int = 0, kind: str = "stream", **values: str) -> Row:
    case = values.pop("case", CASE.format(number))
    return Row(
        **{
            "case": case,
            "kind": kind,
            "jax": "0.13.0",
            "where": "cpu",
            "place": "here",
            "what": "failed, values, stream",
            **values,
        }
    )


@pytest.mark.parametrize("drift_class", list(DriftClass))
def test_the_kind_is_read_from_what_a_merge_writes(drift_class: DriftClass) -> None:
    """By the records that write it, so that another wording is noticed here."""
    judgement = Judgement(
        status=Status.FAILED, failed_checks="values moments", drift_class=drift_class.value
    )
    drift = Drift(drift_class=drift_class)
    other = Class(outcome="", members=(), drift=drift, cause="other OpenBLAS kernel: A, B -> C (2)")

    kinds = {kind_of(str(judgement)), kind_of(other.difference)}

    assert kinds == {drift_class.value if drift_class.value in KINDS else CHECK}


def test_a_case_without_a_golden_failed_a_check_and_lost_bits_are_unknown() -> None:
    assert kind_of(str(Judgement(status=Status.FAILED, failed_checks="law"))) == CHECK
    assert kind_of(Class(outcome="", members=()).difference) == "unknown"


def test_a_row_that_stands_in_two_lists_counts_once() -> None:
    both = [said(CASE.format(0), "failed, values, stream")]

    (found,) = rows_of(merged(failed=both, beyond=[said(CASE.format(0), "stream")]))

    assert (found.kind, found.jax, found.where) == ("stream", "0.13.0", "cpu")


def test_several_results_at_one_place_are_a_kind_of_their_own() -> None:
    claims = {"a": ["night/1"], "b": ["night/2", "night/3"]}
    conflict = {"case": CASE.format(0), "place": "here", "claims": claims}

    (found,) = rows_of(merged(conflicts=[conflict]))

    assert (found.kind, found.what) == (CONFLICT, "a says night/1; b says night/2, night/3")


@pytest.mark.parametrize(
    ("jax", "lane"),
    [
        ("0.13.0", "newest"),
        ("0.12.0.1", "newest"),
        ("0.13.1.dev20261129+abc", "nightly"),
        ("0.13.0rc1", "nightly"),
        ("", ""),
    ],
)
def test_the_version_says_which_jax_it_is(jax: str, lane: str) -> None:
    assert lane_of(jax) == lane


def test_text_from_a_shard_stays_text() -> None:
    (drift,) = findings_of(
        [row(what="failed, values, <img src=x> @all", where="cpu | x")], {}
    ).drifts

    assert "<img" not in drift.detail
    assert "@all" not in drift.detail
    assert r"cpu \| x" in drift.headline


def test_a_drift_of_a_great_many_cases_is_quoted_in_part_and_says_so() -> None:
    rows = [row(case=f"acme{number:04}-float32-64-s0-cpu-eager") for number in range(500)]

    (drift,) = findings_of(rows, {}).drifts

    assert drift.detail.count("\n- ") == N_CASES
    assert f"These are {N_CASES} of 500" in drift.detail
    assert len(drift.parts) == MAX_PARTS + 1
    assert drift.parts["others"] == "400 more initializers"


def test_what_is_bisected_ran_on_a_cpu_and_lies_apart() -> None:
    rows = [row(number) for number in range(1000)] + [row(case="x", where="cuda H100")]

    found = cases_to_bisect(rows, 20)

    assert len(found) == 20
    assert "x" not in found
    assert len({each.rpartition("-s")[2][:1] for each in found}) > 5


@pytest.mark.parametrize(
    ("kinds", "least"),
    [
        (["stream"], "stream"),
        (["law", "transform"], "transform"),
        (["stream", CHECK], "rounding"),
        ([CONFLICT], "rounding"),
    ],
)
def test_the_search_looks_for_no_smaller_change_than_was_found(
    kinds: list[str], least: str
) -> None:
    assert least_class([row(kind=kind) for kind in kinds]) == least


def test_what_is_missing_is_told_by_jax_and_in_part() -> None:
    faults = ["night/x86-newest/1: damaged", "night/strange: damaged"]
    found = missing_of(
        merged(missing={"build": ["a", "b"]}, faults=faults), {"x86-newest": "newest"}
    )

    assert found == {
        "nightly": ("2 cases missing at build, such as a",),
        "newest": ("night/x86-newest/1: damaged",),
        "": ("night/strange: damaged",),
    }


def test_a_great_many_faults_are_counted() -> None:
    (lines,) = missing_of(merged(faults=[f"{n}" for n in range(50)]), {}).values()

    assert lines[-1] == "and 30 more: `merge.json` has all"
