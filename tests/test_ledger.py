"""A limitation excuses just what it names, and only while it happens."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from conformance.backends import EXECUTORS
from conformance.budgets import BudgetTable
from conformance.builtin import load_catalogue
from conformance.checks import NAMES, load_ledger
from conformance.checks.law import SWEEP
from conformance.engine import Engine
from conformance.law import sweep_case
from conformance.ledger import Ledger, LedgerError, Limitation, apply, load
from conformance.model import (
    BACKENDS,
    CheckResult,
    Observation,
    Outcome,
    Raised,
    Status,
    parse_case,
)
from conformance.sweeps import evaluate

CASE = parse_case("orthogonal-bfloat16-64x32-s0-cpu-eager")
REFUSED = Raised(exception="TypeError", message="unsupported")
ENTRY = Limitation(
    id="low-precision",
    initializer=("orthogonal*",),
    dtype=("bfloat16",),
    jax=">=0.11",
    checks=("contract",),
    outcome="raises TypeError",
    reason="no QR in 16 bits",
    link="https://example.invalid",
)
FAILED = CheckResult(check="contract", status=Status.FAILED, message="raised")
PASSED = CheckResult(check="contract", status=Status.PASSED)


def observation(outcome: Outcome) -> Observation:
    return Observation(case=CASE, outcome=outcome, repeat_sha256=None, device="cpu", elapsed_s=0.0)


def test_an_announced_failure_is_limited_and_keeps_its_reason() -> None:
    results = apply((ENTRY,), observation(REFUSED), (FAILED,))

    assert [result.status for result in results] == [Status.LIMITED]
    assert "no QR in 16 bits" in results[0].message


def test_a_failure_that_is_not_announced_stays_a_failure() -> None:
    other = CheckResult(check="structure", status=Status.FAILED, message="")

    results = apply((ENTRY,), observation(REFUSED), (FAILED, other))

    assert results[1].status is Status.FAILED


def test_a_limitation_that_no_longer_happens_fails() -> None:
    results = apply((ENTRY,), observation(REFUSED), (PASSED,))

    assert results[-1].status is Status.FAILED
    assert "low-precision of ledger.toml no longer happens" in results[-1].message


def test_a_consequence_is_limited_where_it_shows_and_not_missed_where_it_does_not() -> None:
    entry = dataclasses.replace(ENTRY, also=("structure",))
    structure = CheckResult(check="structure", status=Status.FAILED, message="too large")

    shown = apply((entry,), observation(REFUSED), (FAILED, structure))
    not_shown = apply((entry,), observation(REFUSED), (FAILED,))

    assert [result.status for result in shown] == [Status.LIMITED, Status.LIMITED]
    assert [result.status for result in not_shown] == [Status.LIMITED]


def test_another_exception_than_announced_fails() -> None:
    other = Raised(exception="NotImplementedError", message="")

    results = apply((ENTRY,), observation(other), (FAILED,))

    assert results[-1].status is Status.FAILED
    assert "expects" in results[-1].message
    assert "raises NotImplementedError" in results[-1].message


def limited_by(entry: Limitation, variance_error: float) -> CheckResult:
    metrics = {"variance_error": variance_error}
    failure = CheckResult(check="contract", status=Status.FAILED, metrics=metrics)
    return apply((entry,), observation(REFUSED), (failure,))[-1]


def test_a_figure_that_still_holds_is_a_known_limitation() -> None:
    entry = dataclasses.replace(ENTRY, figures={"variance_error": 0.667})

    assert limited_by(entry, 0.6671).status is Status.LIMITED


def test_a_figure_that_changed_fails_and_shows_both() -> None:
    entry = dataclasses.replace(ENTRY, figures={"variance_error": 0.667})

    result = limited_by(entry, 0.5)

    assert result.status is Status.FAILED
    assert "low-precision of ledger.toml states variance_error = 0.667" in result.message
    assert f"but {CASE.id} has 0.5: it changed" in result.message


def test_an_entry_holds_for_the_releases_it_names() -> None:
    assert ENTRY.holds_for("0.12.0.1")
    assert ENTRY.holds_for("0.11.0.dev20260101") is False
    assert not ENTRY.holds_for("0.10.2")


def test_the_shipped_ledger_can_be_read() -> None:
    assert "orthogonal-low-precision" in [entry.id for entry in load().limitations]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[limitation]\n", "cannot be read"),
        ("limitation = 3\n", r"limitation = 3: write \[\[limitation\]\] tables"),
        ("[[limitations]]\n", "'limitations' is unknown: did you mean limitation"),
        (
            "[[limitation]]\nid='a'\ndtpye=['float32']\n",
            "a: field 'dtpye' is unknown: did you mean dtype",
        ),
        (
            "[[limitation]]\nid='a'\ninitializer='normal'\n",
            "initializer = 'normal' is a str, expected a list",
        ),
        ("[[limitation]]\nid='a'\ninitializer=['n']\n", "checks is missing"),
        (
            "[[limitation]]\nid='a'\ninitializer=['n']\nchecks=['c']\nreason='r'\nlink='l'\njax='~x'\n",
            "jax = '~x'",
        ),
        (
            2 * "[[limitation]]\nid='a'\ninitializer=['n']\nchecks=['c']\nreason='r'\nlink='l'\n",
            "'a' is used twice",
        ),
    ],
)
def test_a_ledger_with_a_fault_is_refused_by_file_and_field(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "ledger.toml"
    path.write_text(text)

    with pytest.raises(LedgerError, match=message) as caught:
        load(path)

    assert str(path) in str(caught.value)


ENTRY_TEXT = (
    "[[limitation]]\nid='a'\ninitializer=['n']\nchecks=['contract']\nreason='r'\nlink='l'\n"
)
OPTIONAL = "[[limitation]]\nid='a'\ninitializer=['n']\nchecks=[]\nreason='r'\nlink='l'\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("dtype=['float23']", "dtype 'float23' is unknown: did you mean float32"),
        ("transform=['egaer']", "transform 'egaer' is unknown: did you mean eager"),
        ("prng=['threefry']", "prng 'threefry' is unknown: did you mean threefry2x32"),
        ("also=['valeus']", "check 'valeus' is unknown: did you mean values"),
        ("also=['law_varaince']", "check 'law_varaince' is unknown: did you mean law_variance"),
        ("backend=['cdua']", "backend 'cdua' is unknown: did you mean cuda"),
        ("backend=['stable-hlo']", "backend 'stable-hlo' is unknown: did you mean stablehlo"),
        (
            "outcome='raise TypeError'",
            "outcome = 'raise TypeError' is not understood: write",
        ),
        ("outcome='raises TypeEror'", "exception 'TypeEror' is unknown: did you mean TypeError"),
    ],
)
def test_a_value_that_is_misspelt_is_refused_with_the_nearest(
    line: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.toml"
    path.write_text(f"{ENTRY_TEXT}{line}\n")

    with pytest.raises(LedgerError, match=f"limitation a: {message}") as caught:
        load_ledger(path)

    assert str(path) in str(caught.value)


@pytest.mark.parametrize("line", ["backend=['metal']", "outcome='raises OutOfLuck'"])
def test_backends_and_exceptions_of_others_may_be_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.toml"
    path.write_text(f"{ENTRY_TEXT}{line}\n")

    assert len(load_ledger(path).limitations) == 1


def test_every_executor_is_known_by_name() -> None:
    assert set(EXECUTORS) <= set(BACKENDS)


def test_every_check_that_runs_may_be_announced() -> None:
    catalogue, nothing = load_catalogue(), Ledger(limitations=())
    engine = Engine(catalogue=catalogue, goldens=None, ledger=nothing)
    swept = evaluate(
        sweep_case(catalogue.lookup("normal"), "bfloat16", "cpu", "eager"),
        catalogue=catalogue,
        budgets=BudgetTable(measurements={}),
        ledger=nothing,
    )

    results = (engine.evaluate(CASE), swept.result)

    assert {check.check for result in results for check in result.checks} | {SWEEP} == set(NAMES)


def test_an_entry_may_announce_what_only_some_samples_show(tmp_path: Path) -> None:
    path = tmp_path / "ledger.toml"
    path.write_text(f"{OPTIONAL}also=['values']\n")

    (entry,) = load(path).limitations

    assert (entry.checks, entry.also) == ((), ("values",))


def test_an_entry_that_announces_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.toml"
    path.write_text(OPTIONAL)

    with pytest.raises(LedgerError, match="checks is missing or empty"):
        load(path)
