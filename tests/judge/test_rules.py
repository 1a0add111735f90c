"""The checks there are: each a record, listed once, from which its names elsewhere follow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from conformance.core.arrays import returned
from conformance.core.laws import Normal
from conformance.core.records import CheckResult, DriftClass, Raised, Returned, Status
from conformance.judge.checks.base import (
    DEFINED,
    Check,
    Evidence,
    check_of_defined,
    not_applicable,
    passed,
)
from conformance.judge.law import checks as law
from conformance.judge.rules import NAMES, default_checks
from tests import ROOT
from tests.evidence import evidence

CHECKS = default_checks(DriftClass.ROUNDING)
GUARDED = [each for each in CHECKS if each.needs == DEFINED]
NORMAL = Normal(stddev=1.0)
ARRAY = np.linspace(-1, 1, 64, dtype=np.float32)


def test_the_ledger_may_announce_every_check_and_the_sweep_itself() -> None:
    of_laws = [each.name for each in law.LAW_CHECKS]

    assert list(NAMES) == [*(each.name for each in CHECKS), *of_laws, law.SWEEP]
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_gives_its_results_its_name(check: Check[Evidence]) -> None:
    assert check(evidence(NORMAL, ARRAY)).check == check.name


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_what_a_check_needs_is_documented(check: Check[Evidence]) -> None:
    text = (ROOT / "docs" / "adding-a-check.md").read_text(encoding="utf-8")

    assert f"| `{check.name}` | {check.needs} |\n" in text


def test_four_checks_need_a_definition() -> None:
    assert [each.name for each in GUARDED] == ["oracle", "structure", "moments", "statistics"]


@pytest.mark.parametrize("check", GUARDED, ids=lambda check: check.name)
@pytest.mark.parametrize(
    ("definition", "outcome", "asked"),
    [
        (None, ARRAY, {}),
        (NORMAL, Raised(exception="TypeError", message=""), {"dtype": "float32", "shape": (64,)}),
        (NORMAL, returned(ARRAY), {"dtype": "bfloat16", "shape": (64,)}),
        (NORMAL, returned(ARRAY), {"dtype": "float32", "shape": (8, 8)}),
        (NORMAL, returned(ARRAY.astype(np.complex64)), {"dtype": "complex64", "shape": (8,)}),
    ],
    ids=["no-definition", "raised", "other-dtype", "other-shape", "other-complex-shape"],
)
def test_without_a_definition_and_its_array_a_check_has_nothing_to_say(
    check: Check[Evidence], definition: Normal | None, outcome: Any, asked: dict[str, Any]
) -> None:
    result = check(evidence(definition, outcome, **asked))

    assert result == not_applicable(check.name)


def test_a_guarded_check_is_given_the_definition_and_the_array() -> None:
    @check_of_defined("example")
    def example(evidence: Evidence, definition: object, outcome: Returned) -> CheckResult:
        assert evidence.spec.definition is definition
        return passed("example", {"size": float(outcome.shape[0])})

    result = example(evidence(NORMAL, ARRAY))

    assert (result.status, result.metrics) == (Status.PASSED, {"size": 64.0})
