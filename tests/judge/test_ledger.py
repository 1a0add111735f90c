"""A limitation excuses just what it names, and only while it happens."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.sweeps import sweep_case
from conformance.core.arrays import returned
from conformance.core.budgets import BudgetTable
from conformance.core.errors import LedgerError
from conformance.core.ids import PRNGS, Case, Problem, parse_case
from conformance.core.paths import LEDGER as SHIPPED
from conformance.core.paths import shipped
from conformance.core.records import (
    COMPILED,
    CheckResult,
    Observation,
    Outcome,
    Raised,
    Status,
)
from conformance.judge.checks.contract import check_contract
from conformance.judge.law.checks import SWEEP
from conformance.judge.ledger import Finding, Ledger, Limitation, apply, load, looks_misspelt
from conformance.judge.rules import NAMES, load_ledger
from conformance.judge.verdict import judge
from conformance.observe.observer import Observer
from conformance.run.evaluate import evaluate as evaluate_case
from conformance.run.sweeps import evaluate
from conformance.store.stack import open_stack
from tests.benches import bench

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


def test_drift_that_no_golden_can_show_is_no_drift_that_is_gone() -> None:
    """The other check that says nothing was announced to fail, and did not."""
    entry = dataclasses.replace(ENTRY, checks=("values", "contract"))
    values, oracle = (
        CheckResult(check=name, status=Status.NOT_APPLICABLE) for name in ("values", "oracle")
    )
    announced = dataclasses.replace(ENTRY, checks=("oracle", "contract"))

    without = apply((entry,), observation(REFUSED), (FAILED, values))
    silent = apply((announced,), observation(REFUSED), (FAILED, oracle))

    assert [result.status for result in without] == [Status.LIMITED, Status.NOT_APPLICABLE]
    assert "now passes oracle" in silent[-1].message


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


@pytest.mark.parametrize(("found", "status"), [(1.0, Status.LIMITED), (2.0, Status.FAILED)])
def test_the_figure_of_a_consequence_must_hold_where_it_shows(found: float, status: Status) -> None:
    entry = dataclasses.replace(ENTRY, checks=(), also=("structure",), figures={"n_wrong": 1.0})
    shown = CheckResult(check="structure", status=Status.FAILED, metrics={"n_wrong": found})

    assert apply((entry,), observation(REFUSED), (shown,))[-1].status is status
    assert apply((entry,), observation(REFUSED), (PASSED,)) == (PASSED,)


def test_a_figure_that_changed_fails_and_shows_both() -> None:
    entry = dataclasses.replace(ENTRY, figures={"variance_error": 0.667})

    result = limited_by(entry, 0.5)

    assert result.status is Status.FAILED
    assert "low-precision of ledger.toml states variance_error = 0.667" in result.message
    assert f"but {CASE.id} has 0.5: it changed" in result.message


@pytest.mark.parametrize(
    ("found", "is_as_stated"),
    [
        (99.0, True),  # a hundredth off
        (math.nextafter(99, 0), False),
        (100.0, True),
        (101.01, True),  # of the larger
        (101.02, False),
        (math.nan, False),
    ],
)
def test_a_figure_may_be_off_by_a_hundredth(found: float, is_as_stated: bool) -> None:
    entry = dataclasses.replace(ENTRY, figures={"variance_error": 100.0})

    assert (limited_by(entry, found).status is Status.LIMITED) == is_as_stated


def test_a_figure_that_is_not_there_any_more_has_changed() -> None:
    entry = dataclasses.replace(ENTRY, figures={"mean_error": 3.0})

    assert f"but {CASE.id} has nan: it changed" in limited_by(entry, 3.0).message


def test_every_figure_must_still_hold() -> None:
    entry = dataclasses.replace(ENTRY, figures={"variance_error": 1.0, "mean_error": 1.0})
    failure = CheckResult(
        check="contract", status=Status.FAILED, metrics={"variance_error": 1.0, "mean_error": 2.0}
    )

    result = apply((entry,), observation(REFUSED), (failure,))[-1]

    assert "states mean_error = 1, " in result.message


RETURNED = returned(np.zeros((64, 32), np.float32))


def test_an_array_where_an_exception_was_announced_is_told_so() -> None:
    (result, stale) = apply((ENTRY,), observation(RETURNED), (FAILED,))

    assert result.status is Status.LIMITED
    assert stale.message == (
        f"limitation low-precision of ledger.toml expects that {CASE.id} raises TypeError, but it "
        "returned an array. Narrow or delete the entry"
    )


def test_an_array_may_be_announced() -> None:
    entry = dataclasses.replace(ENTRY, outcome="")

    shown = apply((entry,), observation(RETURNED), (FAILED,))
    refused = apply((entry,), observation(REFUSED), (FAILED,))

    assert [result.status for result in shown] == [Status.LIMITED]
    assert "returns an array, but it raises TypeError" in refused[-1].message


def test_all_that_no_longer_fails_is_named() -> None:
    entry = dataclasses.replace(ENTRY, checks=("contract", "values", "moments"))
    moments = CheckResult(check="moments", status=Status.FAILED)

    message = apply((entry,), observation(REFUSED), (PASSED, moments))[-1].message

    assert f"{CASE.id} now passes contract, values. Delete" in message


def test_what_passed_or_did_not_apply_stays_so() -> None:
    results = (
        PASSED,
        CheckResult(check="contract", status=Status.NOT_APPLICABLE),
        FAILED,
    )

    found = apply((ENTRY,), observation(REFUSED), results)

    assert found[:2] == results[:2]
    assert found[2] == dataclasses.replace(
        FAILED,
        status=Status.LIMITED,
        message="known limitation low-precision: no QR in 16 bits",
    )
    assert len(found) == 3


def test_without_entries_nothing_changes() -> None:
    assert apply((), observation(REFUSED), (FAILED, PASSED)) == (FAILED, PASSED)


ANY_CASE = Limitation(
    id="any", initializer=("*",), checks=("contract",), reason="r", link="https://example.invalid"
)


@pytest.mark.parametrize(
    ("predicate", "covered", "others"),
    [
        ({"initializer": ("he_*", "zeros")}, "he_normal-float32-4-s0-cpu-eager", "ones"),
        ({"initializer": ("he_*", "zeros")}, "zeros-float32-4-s0-cpu-eager", "lecun_normal"),
        ({"initializer": ("normal",)}, "normal-float32-4-s0-cpu-eager", "Normal normal_1"),
        (
            {"dtype": ("float16", "bfloat16")},
            "zeros-float16-4-s0-cpu-eager",
            "zeros-float32-4-s0-cpu-eager",
        ),
        ({"backend": ("tpu",)}, "zeros-float32-4-s0-tpu-eager", "zeros-float32-4-s0-cpu-eager"),
        ({"transform": ("jit",)}, "zeros-float32-4-s0-cpu-jit", "zeros-float32-4-s0-cpu-vmap"),
        ({"prng": ("rbg",)}, "zeros-float32-4-s0-rbg-cpu-jit", "zeros-float32-4-s0-cpu-jit"),
        ({"empty": True}, "zeros-float32-0x4-s0-cpu-jit", "zeros-float32-4-s0-cpu-jit"),
        ({"empty": False}, "zeros-float32-1x4-s0-cpu-jit", "zeros-float32-4x0-s0-cpu-jit"),
        ({"empty": False}, "zeros-float32-scalar-s0-cpu-jit", "zeros-float32-0-s0-cpu-jit"),
    ],
)
def test_an_entry_covers_what_its_predicate_says(
    predicate: dict[str, Any], covered: str, others: str
) -> None:
    entry = dataclasses.replace(ANY_CASE, **predicate)

    assert ANY_CASE.covers(parse_case(covered))
    assert entry.covers(parse_case(covered))
    for other in others.split():
        text = other if "-" in other else f"{other}-float32-4-s0-cpu-eager"
        assert not entry.covers(parse_case(text))


def test_every_part_of_a_predicate_must_hold() -> None:
    entry = dataclasses.replace(ANY_CASE, dtype=("float16",), transform=("jit",))

    assert entry.covers(parse_case("zeros-float16-4-s0-cpu-jit"))
    assert not entry.covers(parse_case("zeros-float16-4-s0-cpu-vmap"))
    assert not entry.covers(parse_case("zeros-float32-4-s0-cpu-jit"))


def test_a_case_shows_the_entries_that_cover_it_in_this_release() -> None:
    here = dataclasses.replace(ANY_CASE, id="here", jax=">=0.11")
    elsewhere = dataclasses.replace(ANY_CASE, id="elsewhere", dtype=("float16",))
    ledger = Ledger(limitations=(here, elsewhere, ANY_CASE))

    assert ledger.matching(CASE, "0.12.0.1") == (here, ANY_CASE)
    assert ledger.matching(CASE, "0.10.2") == (ANY_CASE,)


def test_of_a_call_that_must_raise_nothing_is_said_of_what_it_returns() -> None:
    ledger = Ledger(limitations=(ANY_CASE, ENTRY))

    assert ledger.matching(CASE, "0.12.0.1") == (ENTRY,)
    assert ledger.matching(CASE, "0.10.2") == (ANY_CASE,)


def test_of_what_jax_raises_first_nothing_else_is_said() -> None:
    first = dataclasses.replace(ENTRY, id="first", first=True, outcome="raises NotImplementedError")
    ledger = Ledger(limitations=(ANY_CASE, ENTRY, first))

    assert ledger.matching(CASE, "0.12.0.1") == (first,)
    assert ledger.matching(CASE, "0.10.2") == (ANY_CASE,)


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e5m2", "float8_e8m0fnu"])
@pytest.mark.parametrize(
    ("jax", "outcome"), [("0.11.0", "raises NotImplementedError"), ("0.11.1", "raises TypeError")]
)
def test_before_0_11_1_another_exception_refuses_a_matrix_of_few_bits(
    dtype: str, jax: str, outcome: str
) -> None:
    case = parse_case(f"delta_orthogonal-{dtype}-3x4x8-s0-cpu-eager")

    (entry,) = load_ledger().matching(case, jax)

    assert entry.outcome == outcome


OUT_SHARDING = "raises NotImplementedError"


@pytest.mark.parametrize(
    ("question", "outcome"),
    [
        ("orthogonal-bfloat16-8x8-s0-cpu-eager", "raises TypeError"),
        ("orthogonal-bfloat16-8x8-s0-cpu-out_sharding", OUT_SHARDING),
        ("orthogonal-float8_e4m3fn-8x8-s0-cpu-eager", "raises TypeError"),
        ("orthogonal-float8_e4m3fn-8x8-s0-cpu-out_sharding", OUT_SHARDING),
        ("delta_orthogonal_scaled-float16-3x8x8-s0-cpu-out_sharding", OUT_SHARDING),
        ("orthogonal_column0-complex64-8x8-s0-rbg-cpu-out_sharding", OUT_SHARDING),
        ("orthogonal-float32-0x8-s0-cpu-out_sharding", OUT_SHARDING),
        ("orthogonal-float32-8-s0-cpu-out_sharding", OUT_SHARDING),
        ("delta_orthogonal-bfloat16-8x8-s0-cpu-out_sharding", OUT_SHARDING),
    ],
)
def test_jax_refuses_out_sharding_of_a_matrix_before_all_else(question: str, outcome: str) -> None:
    """Also where the definition demands ValueError: of a vector, of what is no kernel."""
    case = parse_case(question)
    outcomes = {entry.outcome for entry in load_ledger().matching(case, "0.12.0.1")}

    result = evaluate_case(case, bench(load_catalogue(), ledger=load_ledger()), Observer())

    assert outcomes == {outcome}
    assert isinstance(result.observation.outcome, Raised)
    assert f"raises {result.observation.outcome.exception}" == outcome
    assert result.status is Status.LIMITED


@pytest.mark.parametrize("prng", [name for name in PRNGS if name.startswith("threefry")])
@pytest.mark.parametrize("transform", COMPILED)
def test_what_a_compiler_folds_is_announced_of_every_program(transform: str, prng: str) -> None:
    tail = Problem(
        initializer="truncated_normal_tail", dtype="float32", shape=(64, 32), seed=0, prng=prng
    )
    case = Case(problem=tail, backend="cpu", transform=transform)
    rules = bench(load_catalogue(), ledger=load_ledger())
    rules = dataclasses.replace(rules, goldens=open_stack(shipped()))

    found = evaluate_case(case, rules, Observer())

    assert found.status is Status.LIMITED
    assert [each.check for each in found.checks if each.status is Status.LIMITED] == ["values"]
    narrow = dataclasses.replace(tail, initializer="truncated_normal_narrow")  # by the C library
    (entry,) = rules.ledger.matching(dataclasses.replace(case, problem=narrow), "0.12.0.1")
    assert entry.also == ("values",)


@pytest.mark.parametrize("prng", ["rbg", "unsafe_rbg"])
@pytest.mark.parametrize("initializer", ["lecun_normal", "orthogonal"])
def test_under_vmap_rbg_draws_the_last_lane_from_the_first_key(initializer: str, prng: str) -> None:
    case = parse_case(f"{initializer}-float32-8x8-s3-{prng}-cpu-vmap_last")

    found = evaluate_case(case, bench(load_catalogue(), ledger=load_ledger()), Observer())

    assert (found.status, found.limitation) == (Status.LIMITED, "rbg-under-vmap-last")


@pytest.mark.parametrize("transform", COMPILED)
def test_a_factor_that_a_compiler_folds_of_complex_numbers_is_announced(transform: str) -> None:
    """Of this shape it is an ULP above that of eager calls, and so is nearly each modulus."""
    case = parse_case(f"glorot_normal-complex64-64x32-s0-cpu-{transform}")
    rules = bench(load_catalogue(), ledger=load_ledger())
    rules = dataclasses.replace(rules, goldens=open_stack(shipped()))

    found = evaluate_case(case, rules, Observer())

    limited = [each.check for each in found.checks if each.status is Status.LIMITED]
    assert (found.status, limited) == (Status.LIMITED, ["values", "oracle", "structure"])


def test_one_draw_in_the_tail_may_not_show_what_a_compiler_folds() -> None:
    case = parse_case("truncated_normal_tail-float32-scalar-s0-cpu-jit")

    (entry,) = load_ledger().matching(case, "0.12.0.1")
    passed = CheckResult(check="values", status=Status.PASSED)
    returned_one = dataclasses.replace(observation(returned(np.array(2.5, np.float32))), case=case)

    assert apply((entry,), returned_one, (passed,)) == (passed,)


def test_of_a_call_that_must_be_refused_only_what_jax_raises_first_is_announced() -> None:
    """So a wrong exception of it stays a failure, whatever else the ledger says of the dtype."""
    case = parse_case("orthogonal-bfloat16-8-s0-cpu-eager")
    wrong = dataclasses.replace(observation(REFUSED), case=case)
    ways = dataclasses.replace(ENTRY, first=True)

    results = [
        judge(
            wrong,
            spec=load_catalogue().lookup("orthogonal"),
            golden=None,
            budgets=None,
            ledger=Ledger(limitations=(entry,)),
            checks=(check_contract,),
            jax_version="0.12.0.1",
        )
        for entry in (ENTRY, ways)
    ]

    assert [result.status for result in results] == [Status.FAILED, Status.LIMITED]


def test_entries_of_a_dtype_and_of_all_are_in_the_order_of_the_file() -> None:
    first, last = (dataclasses.replace(ANY_CASE, id=name, dtype=("float16",)) for name in "az")
    ledger = Ledger(limitations=(first, ANY_CASE, last))

    half = parse_case("zeros-float16-4-s0-cpu-jit")
    assert ledger.matching(half, "0.12.0.1") == (first, ANY_CASE, last)
    assert ledger.matching(CASE, "0.12.0.1") == (ANY_CASE,)


def test_entries_that_cover_no_case_are_idle() -> None:
    other = dataclasses.replace(ANY_CASE, id="other", dtype=("float16",))
    ledger = Ledger(limitations=(ENTRY, other, ANY_CASE))

    assert ledger.idle([]) == (ENTRY, other, ANY_CASE)
    assert ledger.idle([CASE]) == (other,)
    cases = iter([CASE, parse_case("zeros-float16-4-s0-cpu-jit"), CASE])
    assert ledger.idle(cases) == ()
    assert list(cases) == [CASE]  # nothing more had to be asked


@pytest.mark.parametrize(
    ("value", "is_misspelt"),
    [
        ("cuda", False),
        ("abcd", False),
        ("abce", True),  # 3 letters of 4 are alike: 0.75
        ("abcxy", False),
        ("abxy", False),
        ("metal", False),
    ],
)
def test_a_name_is_misspelt_if_three_letters_in_four_are_anothers(
    value: str, is_misspelt: bool
) -> None:
    assert looks_misspelt(value, ("cuda", "abcd")) == is_misspelt


def test_an_entry_holds_for_the_releases_it_names() -> None:
    assert ENTRY.holds_for("0.12.0.1")
    assert ENTRY.holds_for("0.11.0.dev20260101") is False
    assert not ENTRY.holds_for("0.10.2")
    assert ENTRY.holds_for("0.11.0")
    assert dataclasses.replace(ENTRY, jax="").holds_for("0.4.20")
    assert dataclasses.replace(ENTRY, jax="").holds_for("0.13.0.dev1")


def test_the_shipped_ledger_can_be_read() -> None:
    assert "orthogonal-low-precision" in [entry.id for entry in load().limitations]


ENTRY_TEXT = (
    "[[limitation]]\nid='a'\ninitializer=['n']\nchecks=['contract']\nreason='r'\nlink='l'\n"
)


FINDING_TEXT = "[[finding]]\nid='f'\npromised='p'\nobserved='o'\nreason='r'\nlink='l'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[limitation]\n", "cannot be read"),
        ("limitation = 3\n", r"limitation: 3 is not a list\): .* a \[\[limitation\]\] or a"),
        ("[[limitations]]\n", "'limitations' is unknown: did you mean limitation"),
        ("[zzz]\n[limitatio]\n", "'limitatio' is unknown: did you mean limitation"),
        (
            "[[limitation]]\nid='a'\ndtpye=['float32']\n",
            "limitation #1: field 'dtpye' is unknown: did you mean dtype",
        ),
        (
            ENTRY_TEXT + ENTRY_TEXT.replace("['n']", "'n'"),
            "limitation #2, initializer: 'n' is not a list",
        ),
        ("[[limitation]]\nid='a'\ninitializer=['n']\n", "#1: the field 'checks' is missing"),
        (
            "[[limitation]]\nid='a'\ninitializer=['n']\nchecks=['c']\nreason='r'\nlink='l'\njax='~x'\n",
            "jax = '~x'",
        ),
        (
            2 * "[[limitation]]\nid='a'\ninitializer=['n']\nchecks=['c']\nreason='r'\nlink='l'\n",
            "'a' is used twice",
        ),
        (2 * FINDING_TEXT, "finding id 'f' is used twice"),
        (2 * (FINDING_TEXT + FINDING_TEXT.replace("'f'", "'g'")), "finding id 'f' is used twice"),
        (FINDING_TEXT.replace("'r'", "''"), "finding f: reason is empty"),
        (FINDING_TEXT.replace("observed", "osberved"), "finding #1: field 'osberved' is unknown"),
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


FULL_ENTRY = """
[[limitation]]
id = 'a'
initializer = ['n', 'm']
dtype = ['float32']
backend = ['cpu']
transform = ['jit']
prng = ['rbg', 'lattice', 'strata']
jax = '>=0.11,<0.13'
empty = false
first = true
checks = ['contract', 'my_check']
also = ['values']
outcome = 'raises TypeError'
figures = {variance_error = 0.5}
reason = 'r'
link = 'l'
[[limitation]]
id = 'b'
initializer = ['n']
checks = ['values']
reason = 'r'
link = 'l'
"""


def test_every_field_is_read_and_the_order_kept(tmp_path: Path) -> None:
    path = tmp_path / "ledger.toml"
    path.write_text(FULL_ENTRY)

    first, second = load(path).limitations

    assert first == Limitation(
        id="a",
        initializer=("n", "m"),
        dtype=("float32",),
        backend=("cpu",),
        transform=("jit",),
        prng=("rbg", "lattice", "strata"),
        jax=">=0.11,<0.13",
        empty=False,
        first=True,
        checks=("contract", "my_check"),
        also=("values",),
        outcome="raises TypeError",
        figures={"variance_error": 0.5},
        reason="r",
        link="l",
    )
    assert second.id == "b"
    assert (second.jax, second.empty, second.outcome, second.figures) == ("", None, "", {})
    assert not second.first


def test_where_checks_are_known_others_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.toml"
    path.write_text(FULL_ENTRY)

    assert load(path, ("contract", "my_check", "values"))
    with pytest.raises(LedgerError, match="limitation a: check 'my_check' is unknown"):
        load(path, ("contract", "values"))


def test_a_ledger_without_entries_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "ledger.toml"
    path.write_text("")

    assert load(path).limitations == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("empty='no'", "limitation #1, empty: 'no' is not true or false"),
        ("figures=[1]", r"limitation #1, figures: \[1\] is not an object"),
        ("reason=['r']", r"limitation #1, reason: \['r'\] is not a text"),
        ("link=''", "limitation a: link is empty"),
        ("initializer=[]", "limitation a: initializer is empty"),
        ("outcome='TypeError'", "outcome = 'TypeError' is not understood"),
        ("outcome='raises Type Error'", "outcome = 'raises Type Error' is not understood"),
        ("outcome='raises '", "outcome = 'raises ' is not understood"),
        ("first=true", "first = true is of an exception: say outcome = 'raises X', or leave it"),
    ],
)
def test_a_field_without_sense_is_refused(line: str, message: str, tmp_path: Path) -> None:
    fields = dict(part.split("=", 1) for part in ENTRY_TEXT.splitlines()[1:])
    name, _, value = line.partition("=")
    fields[name] = value
    path = tmp_path / "ledger.toml"
    path.write_text("[[limitation]]\n" + "\n".join(f"{k}={v}" for k, v in fields.items()))

    with pytest.raises(LedgerError, match=message):
        load(path)


def test_limitation_must_be_tables(tmp_path: Path) -> None:
    path = tmp_path / "ledger.toml"
    path.write_text("limitation = ['a']")

    with pytest.raises(LedgerError, match=r"limitation #1: 'a' is not an object with id"):
        load(path)


def test_a_ledger_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be read"):
        load(tmp_path / "ledger.toml")


def test_every_check_that_runs_may_be_announced() -> None:
    catalogue, nothing = load_catalogue(), Ledger(limitations=())
    swept = evaluate(
        sweep_case(catalogue.lookup("normal"), "bfloat16", "cpu", "eager"),
        catalogue=catalogue,
        budgets=BudgetTable(measurements={}),
        ledger=nothing,
    )

    results = (evaluate_case(CASE, bench(catalogue), Observer()), swept.result)

    assert {check.check for result in results for check in result.checks} | {SWEEP} == set(NAMES)


def test_an_entry_may_announce_what_only_some_samples_show(tmp_path: Path) -> None:
    path = tmp_path / "ledger.toml"
    path.write_text(f"{OPTIONAL}also=['values']\n")

    (entry,) = load(path).limitations

    assert (entry.checks, entry.also) == ((), ("values",))


def test_an_entry_that_announces_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.toml"
    path.write_text(OPTIONAL)

    with pytest.raises(LedgerError, match="checks is empty, and so is also"):
        load(path)


def test_a_ledger_is_toml_whatever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "known-limitations"
    path.write_bytes(SHIPPED.read_bytes())

    assert load(path) == load(SHIPPED)


MINE = """
[[limitation]]
id = "mine"
initializer = ["mine"]
checks = ["values"]
reason = "known"
link = "https://example.org"
"""


@pytest.mark.parametrize(("head", "adds"), [('extends = "shipped"', True), ("", False)])
def test_a_ledger_adds_to_the_shipped_one_or_takes_its_place(
    head: str, adds: bool, tmp_path: Path
) -> None:
    path = tmp_path / "ledger.toml"
    path.write_text(head + MINE)

    ledger = load(path)

    assert ledger.limitations[-1].id == "mine"
    assert ledger.limitations[:-1] == (load().limitations if adds else ())
    assert ledger.findings == (load().findings if adds else ())


def test_an_id_of_the_shipped_ledger_is_taken(tmp_path: Path) -> None:
    path, taken = tmp_path / "ledger.toml", load().limitations[0].id
    path.write_text('extends = "shipped"' + MINE.replace('"mine"', f'"{taken}"', 1))

    with pytest.raises(LedgerError, match=f"limitation id '{taken}' is used twice"):
        load(path)


def test_nothing_else_can_be_extended(tmp_path: Path) -> None:
    path = tmp_path / "ledger.toml"
    path.write_text('extends = "theirs"' + MINE)

    with pytest.raises(LedgerError, match="extends = 'theirs' is not understood: write 'shipped'"):
        load(path)


def test_a_finding_is_looked_up_by_its_id() -> None:
    findings = tuple(
        Finding(id=name, promised="", observed="", reason="", link="") for name in ("a", "b")
    )
    ledger = Ledger(limitations=(), findings=findings)

    assert ledger.finding("b") is findings[1]
    assert ledger.finding("c") is None
