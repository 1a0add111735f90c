"""A verdict becomes a row that stands alone, and a run becomes reports that nobody can misread."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import datetime as dt
import doctest
import errno
import html
import json
import math
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.core import versions
from conformance.core.errors import ExitCode, ReportError, UnfinishedRunWarning
from conformance.core.ids import Case, Problem
from conformance.core.records import (
    CaseResult,
    CheckResult,
    Drift,
    DriftClass,
    Environment,
    Moments,
    Observation,
    Outcome,
    Raised,
    Returned,
    Status,
)
from conformance.core.settings import DEFAULT_CONFIG, LATE_FACTS
from conformance.core.ulp import INCOMPARABLE
from conformance.judge.verdict import unjudged
from conformance.report import frames, parquet
from conformance.report.drift_csv import from_csv, to_csv
from conformance.report.explained import roundings_explained
from conformance.report.frames import frame, read_drift, read_run, read_runs
from conformance.report.markdown import MAX_BYTES, markdown
from conformance.report.recorder import RunRecorder, run_id_at
from conformance.report.rows import COLUMNS, Place, Row, from_json, from_texts, row, to_json
from conformance.report.run import Run
from conformance.report.terminal import terminal_lines

SHA = "5f" * 32
OTHER_SHA = "a0" * 32

ENVIRONMENT = Environment(
    packages={"python": "3.12.1", "jax": "0.12.0.1", "jaxlib": "0.12.0.1", "numpy": "2.5.5"},
    config={**DEFAULT_CONFIG, "jax_enable_x64": "True", "XLA_FLAGS": "--xla_cpu_max_isa=AVX"},
    host={"os": "Linux", "cpu": "EPYC", "isa": "avx avx2 fma"},
    devices={"cpu.kind": "cpu", "cpu.runtime": "pjrt 0.68"},
)

IDENTICAL = Drift(drift_class=DriftClass.IDENTICAL, n_elements=2048)
STREAM = Drift(
    drift_class=DriftClass.STREAM,
    n_elements=2048,
    n_different=2040,
    max_ulp=4680,
    max_ulp_at_sigma=12.25,
    worst_index=(5, 1),
    worst_actual=0.1,
    worst_expected=-0.0,
    stage="bits",
    detail="new bits, law intact",
)


def returned(sha256: str = SHA) -> Returned:
    moments = Moments(mean=0.0, variance=1.0, minimum=-1.0, maximum=1.0)
    return Returned(dtype="float32", shape=(64, 32), sha256=sha256, bits=b"", moments=moments)


def result(
    initializer: str = "normal",
    dtype: str = "float32",
    seed: int = 0,
    *,
    status: Status = Status.PASSED,
    drift: Drift | None = IDENTICAL,
    message: str = "",
    outcome: Outcome | None = None,
    limitation: str | None = None,
    metrics: dict[str, float] | None = None,
) -> CaseResult:
    problem = Problem(initializer=initializer, dtype=dtype, shape=(64, 32), seed=seed)
    return CaseResult(
        observation=Observation(
            case=Case(problem=problem, backend="cpu", transform="eager"),
            outcome=outcome or returned(),
            repeat_sha256=None if isinstance(outcome, Raised) else SHA,
            device="cpu:0",
            elapsed_s=0.0625,
        ),
        status=status,
        checks=(
            CheckResult(check="contract", status=Status.PASSED),
            CheckResult(check="values", status=status, message=message, metrics=metrics or {}),
        ),
        drift=drift,
        limitation=limitation,
    )


def failure(seed: int = 0, **changes: Any) -> CaseResult:
    options = {"status": Status.FAILED, "drift": STREAM, "message": "2040 of 2048 differ"}
    return result(seed=seed, **{**options, **changes})


def place_of(environment: Environment) -> Place:
    return Place(environment=environment, backend="cpu")


def as_row(verdict: CaseResult, run_id: str = "run") -> Row:
    rerun = f"conformance run {verdict.observation.case.id}"
    return row(verdict, place_of(ENVIRONMENT), run_id=run_id, rerun=rerun)


def recorded(folder: Path, *verdicts: CaseResult, **finish: Any) -> RunRecorder:
    """Return the recorder of a finished run of these verdicts and of the cases `also_expected`."""
    recorder = RunRecorder(folder=folder, command="pytest conformance")
    for verdict in verdicts:
        recorder.add(as_row(verdict, recorder.run_id))
    expected = [verdict.observation.case.id for verdict in verdicts]
    expected += finish.pop("also_expected", [])
    recorder.finish(expected=expected, environment=ENVIRONMENT, **finish)
    return recorder


def killed(folder: Path, *verdicts: CaseResult) -> RunRecorder:
    """Return the recorder of a run that never came to its end."""
    recorder = RunRecorder(folder=folder, command="pytest conformance")
    for verdict in verdicts:
        recorder.add(as_row(verdict, recorder.run_id))
    return recorder


def run_of(*verdicts: CaseResult, **changes: Any) -> Run:
    rows = tuple(map(as_row, verdicts))
    run = Run(
        run_id="run",
        command="pytest conformance",
        folder=Path("reports/run"),
        rows=rows,
        expected=tuple(row.case for row in rows),
        environment=ENVIRONMENT,
        elapsed_s=1.5,
    )
    return dataclasses.replace(run, **changes)


def output_of(program: str, environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(  # noqa: S603  # this interpreter runs a program written here
        command, env=environment, capture_output=True, check=True, text=True
    ).stdout


def parse(path: Path) -> ElementTree.Element:
    return ElementTree.parse(path).getroot()  # noqa: S314  # written by the test itself


# --- rows ---------------------------------------------------------------------------------------


def test_a_row_stands_alone() -> None:
    values = as_row(failure(limitation="known-1"))

    assert values.case == "normal-float32-64x32-s0-cpu-eager"
    assert values.rerun == "conformance run normal-float32-64x32-s0-cpu-eager"
    assert (values.initializer, values.dtype, values.shape, values.seed) == (
        "normal",
        "float32",
        "64x32",
        0,
    )
    assert (values.prng, values.backend, values.transform) == ("threefry2x32", "cpu", "eager")
    assert (values.status, values.failed_checks) == ("failed", "values")
    assert (values.messages, values.limitation) == ("2040 of 2048 differ", "known-1")
    assert (values.drift_class, values.stage, values.n_different) == ("stream", "bits", 2040)
    assert (values.max_ulp, values.max_ulp_at_sigma) == (4680, 12.25)
    assert (values.worst_index, values.worst_actual) == ("(5, 1)", 0.1)
    assert (values.jax, values.flax, values.isa) == ("0.12.0.1", None, "avx avx2 fma")
    assert (values.device, values.runtime, values.mode) == ("cpu:0", "pjrt 0.68", "executed")
    assert values.packages == "jax==0.12.0.1 jaxlib==0.12.0.1 numpy==2.5.5 python==3.12.1"


def test_a_row_names_just_the_flags_that_are_not_default() -> None:
    values = as_row(result())

    assert values.flags == "XLA_FLAGS=--xla_cpu_max_isa=AVX jax_enable_x64=True"


def test_the_default_flags_are_those_of_the_installed_jax() -> None:
    """A new default would otherwise show as a flag in every row, or hide one."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    program = (
        "import json; from conformance.observe.environment import jax_config; "
        "print(json.dumps(jax_config()))"
    )

    config = json.loads(output_of(program, clean))

    assert config == {name: DEFAULT_CONFIG[name] for name in config}


def test_a_row_bears_the_time_in_utc() -> None:
    before = dt.datetime.now(dt.UTC)
    recorded_at = dt.datetime.fromisoformat(as_row(result()).recorded_at)

    assert recorded_at.utcoffset() == dt.timedelta(0)
    assert before <= recorded_at <= dt.datetime.now(dt.UTC)


def test_a_case_without_a_golden_says_nothing_of_drift() -> None:
    values = as_row(result(drift=None))

    drift = {name: getattr(values, name) for name in ("drift_class", "n_different", "max_ulp")}
    assert drift == {"drift_class": None, "n_different": None, "max_ulp": None}


@pytest.mark.parametrize("name", ["stage", "detail", "mismatch"])
def test_what_is_said_of_an_array_that_is_the_same_is_in_its_row(name: str) -> None:
    same = Drift(drift_class=DriftClass.IDENTICAL, n_elements=2048)
    given: dict[str, Any] = {name: "bits"}

    plain, told = (
        as_row(result(drift=each)) for each in (same, dataclasses.replace(same, **given))
    )

    column = {"detail": "drift_detail"}.get(name, name)
    assert (plain.drift_class, plain.n_elements) == ("identical", 2048)
    assert (getattr(plain, column), getattr(told, column)) == (None, "bits")
    assert as_row(result(drift=dataclasses.replace(same, n_elements=7))).n_elements == 7


def test_a_complex_element_is_two_floats() -> None:
    drift = dataclasses.replace(STREAM, worst_actual=1.5 - 2.5j, worst_expected=0j)

    values = as_row(result(drift=drift))

    assert (values.worst_actual, values.worst_actual_imag) == (1.5, -2.5)
    assert (values.worst_expected, values.worst_expected_imag) == (0.0, 0.0)


def test_an_exception_is_the_outcome_of_its_row() -> None:
    values = as_row(result(outcome=Raised(exception="TypeError", message="no QR")))

    assert (values.outcome, values.is_repeatable) == ("raises TypeError", None)


def test_a_second_call_with_other_bits_is_not_repeatable() -> None:
    assert as_row(result()).is_repeatable is True
    assert as_row(result(outcome=returned(OTHER_SHA))).is_repeatable is False


def test_numpy_scalars_leave_no_trace_in_a_row() -> None:
    seven: Any = np.uint64(7)
    half: Any = np.float32(0.5)
    drift = dataclasses.replace(STREAM, max_ulp=seven, max_ulp_at_sigma=half)

    values = as_row(result(drift=drift, metrics={"residual": half}))

    assert {type(getattr(values, column.name)) for column in COLUMNS} <= {
        str,
        int,
        float,
        bool,
        type(None),
    }
    assert json.loads(values.metrics) == {"values.residual": 0.5}


def test_a_line_of_rows_is_one_flat_object_of_strict_json() -> None:
    drift = dataclasses.replace(STREAM, worst_actual=float("nan"), max_ulp_at_sigma=float("inf"))
    line = to_json(as_row(result(drift=drift, metrics={"z": float("-inf")}, message="a\nb")))

    values = json.loads(line, parse_constant=pytest.fail)

    assert "\n" not in line
    assert not any(isinstance(value, list | dict) for value in values.values())
    assert json.loads(values["metrics"], parse_constant=pytest.fail) == {"values.z": "-inf"}


texts = st.text(st.characters(exclude_categories=["Cs"]))
drifts = st.builds(
    Drift,
    drift_class=st.sampled_from(DriftClass),
    n_elements=st.integers(0, 2**40),
    n_different=st.integers(0, 2**40),
    max_ulp=st.none() | st.integers(0, INCOMPARABLE),
    max_ulp_at_sigma=st.none() | st.floats(),
    worst_index=st.none() | st.lists(st.integers(0, 99)).map(tuple),
    worst_actual=st.none() | st.floats() | st.complex_numbers(),
    worst_expected=st.none() | st.floats() | st.complex_numbers(),
    stage=st.none() | st.sampled_from(["key", "scaled"]),
    detail=texts,
)
any_row = st.builds(
    lambda drift, message, name: as_row(failure(drift=drift, message=message, initializer=name)),
    drifts,
    texts,
    st.sampled_from(["normal", "NA", "nan", "None", "null"]),
)


def exact(values: Row) -> dict[str, str]:
    """Return the values so that NaN equals itself and -0.0 does not equal 0.0."""
    return {column.name: repr(getattr(values, column.name)) for column in COLUMNS}


@given(any_row)
def test_a_row_is_read_back_exactly_from_json(values: Row) -> None:
    assert exact(from_json(to_json(values))) == exact(values)


@given(any_row)
def test_a_row_is_read_back_exactly_from_csv(values: Row) -> None:
    (back,) = from_csv(to_csv([values]))

    assert exact(back) == exact(values)


def changed_line(**changes: Any) -> str:
    return json.dumps({**json.loads(to_json(as_row(result()))), **changes})


def test_a_message_that_no_file_can_hold_is_escaped() -> None:
    check = CheckResult(check="contract", status=Status.FAILED, message="no file a\udcff")

    assert "no file a\\udcff" in as_row(dataclasses.replace(result(), checks=(check,))).messages


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a row in JSON"),
        ("[" * 100_000, "not a row in JSON: maximum recursion depth"),
        ('{"schema": 1, "schema": 1}', "not a row in JSON: the field 'schema' is there twice"),
        ("[1]", "expected a JSON object, found '\\[1\\]'"),
        ("{}", "column schema: None is not a version of the format `rows`"),
        ('{"schema": 1}', "missing \\['run_id', 'recorded_at'"),
        (changed_line(schema=99), "a row has version 99 of the format `rows`, .* reads up to"),
        (changed_line(colour="red"), "unknown \\['colour'\\]"),
        (changed_line(max_ulp="many"), "column max_ulp: 'many' is not an integer"),
        (
            changed_line(is_repeatable="perhaps"),
            "column is_repeatable: 'perhaps' is not true",
        ),
        (changed_line(max_ulp=2**64), "column max_ulp: 18446744073709551616 is beyond what UInt64"),
        (changed_line(n_elements=2**63), "column n_elements: 9223372036854775808 is beyond what"),
        (changed_line(messages="a \ud800"), r"column messages: .* is no Unicode text"),
        (changed_line(seed=-1), "column seed: -1 is beyond what UInt64 holds"),
        (changed_line(recorded_at="noon"), "column recorded_at: 'noon' is not a time, as in 2027"),
        (changed_line(case=None), "column case: None is not a text"),
        (changed_line(seed=True), "column seed: True is not an integer"),
        (changed_line(status="pased"), "status 'pased' is unknown: did you mean passed"),
    ],
)
def test_what_is_not_a_row_is_refused_by_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ReportError, match=message):
        from_json(text)


@pytest.mark.parametrize(
    ("column", "text", "message"),
    [
        ("seed", "many", "column seed holds 'many'"),
        ("is_repeatable", "perhaps", "column is_repeatable holds 'perhaps': neither True nor"),
        ("case", "", ""),
        ("status", "pased", "status 'pased' is unknown: did you mean passed"),
        ("schema", "99", "a row has version 99 of the format `rows`"),
        ("schema", "new", "column schema: 'new' is not a version of the format `rows`"),
    ],
)
def test_csv_holds_texts_of_what_its_columns_are(column: str, text: str, message: str) -> None:
    head, line = to_csv([as_row(result())]).splitlines()
    cells = dict(zip(head.split(","), next(csv.reader([line])), strict=True))
    cells[column] = text

    with pytest.raises(ReportError, match=message) if message else contextlib.nullcontext():
        from_texts(cells)


# --- recording ----------------------------------------------------------------------------------


def test_a_run_without_rows_leaves_no_folder(tmp_path: Path) -> None:
    RunRecorder(folder=tmp_path / "reports", command="pytest --collect-only")

    assert not (tmp_path / "reports").exists()


def test_a_row_is_on_disk_before_the_run_ends(tmp_path: Path) -> None:
    recorder = killed(tmp_path, result())

    (line,) = (recorder.folder / "rows.jsonl").read_text().splitlines()
    assert from_json(line).case == "normal-float32-64x32-s0-cpu-eager"


# --- Columns that came later ---------------------------------------------------------------------

LATE = [column.name for column in COLUMNS if column.since > 1]
KNOWN = {name: f"some {name}" for name in LATE_FACTS}
KNOWING = dataclasses.replace(ENVIRONMENT, host={**ENVIRONMENT.host, **KNOWN})


def test_a_row_holds_what_is_known_of_its_host_and_none_for_the_rest() -> None:
    known = row(result(), place_of(KNOWING), run_id="run", rerun="again")

    assert {name: getattr(known, name) for name in LATE_FACTS} == KNOWN
    assert {getattr(as_row(result()), name) for name in LATE_FACTS} == {None}


def test_the_facts_of_hosts_came_later_and_what_came_later_is_unknown_by_default() -> None:
    assert set(LATE_FACTS) < set(LATE)
    assert {column.default for column in COLUMNS if column.since > 1} == {None}


def test_a_row_that_was_written_before_a_column_came_is_read_with_its_default() -> None:
    values = json.loads(to_json(row(result(), place_of(KNOWING), run_id="run", rerun="again")))
    old = {name: value for name, value in values.items() if name not in LATE} | {"schema": 1}

    assert from_json(json.dumps(old)) == from_json(json.dumps({**old, **dict.fromkeys(LATE)}))


@pytest.mark.parametrize("column", ["isa", "libc"])
def test_a_row_that_lacks_a_column_of_its_version_is_refused_by_name(column: str) -> None:
    values = json.loads(to_json(as_row(result())))
    del values[column]

    with pytest.raises(ReportError, match=rf"missing \['{column}'\], unknown \[\]"):
        from_json(json.dumps(values))


def of_before(run: pd.DataFrame) -> pd.DataFrame:
    """Return the row as a file of version 1 holds it: what came later is missing, known or not."""
    unknown = {name: run[name].mask(run[name].notna()) for name in LATE}
    return run.assign(schema=pd.Series([1], dtype="Int64"), **unknown)


def test_a_drift_csv_of_before_is_read(tmp_path: Path) -> None:
    folder = recorded(tmp_path, failure()).folder
    path = folder / "drift.csv"
    rows = pd.read_csv(path, dtype=str, keep_default_na=False).drop(columns=LATE)
    rows.assign(schema="1").to_csv(path, index=False)

    pd.testing.assert_frame_equal(read_drift(folder), of_before(read_run(folder)))


def test_a_parquet_file_of_before_is_read(tmp_path: Path) -> None:
    folder = recorded(tmp_path, failure()).folder
    expected, path = read_run(folder), folder / "records.parquet"
    pd.read_parquet(path).drop(columns=LATE).assign(schema=1).to_parquet(path, index=False)

    # Of a category that nothing is of, what it would be of differs.
    pd.testing.assert_frame_equal(read_run(folder), of_before(expected), check_categorical=False)


@pytest.mark.parametrize("finish", [True, False])
def test_some_columns_are_read_as_they_are_among_all(finish: bool, tmp_path: Path) -> None:
    recorder = RunRecorder(folder=tmp_path, command="pytest")
    recorder.add(as_row(failure()))
    if finish:
        recorder.finish(expected=[], environment=ENVIRONMENT)
    asked = ["status", "case", "max_ulp"]

    with contextlib.nullcontext() if finish else pytest.warns(UnfinishedRunWarning):
        every, some = read_runs(tmp_path), read_runs(tmp_path, columns=asked)

    assert every.columns.tolist() == [column.name for column in COLUMNS]
    pd.testing.assert_frame_equal(some, every[asked], check_categorical=False)


def test_a_late_column_of_a_file_of_before_is_read_alone(tmp_path: Path) -> None:
    path = recorded(tmp_path, failure()).folder / "records.parquet"
    pd.read_parquet(path).drop(columns=LATE).assign(schema=1).to_parquet(path, index=False)

    assert read_runs(tmp_path, columns=["lapack_kernel"])["lapack_kernel"].isna().all()


def test_a_column_that_is_none_is_refused_with_the_nearest(tmp_path: Path) -> None:
    recorded(tmp_path, failure())

    with pytest.raises(ValueError, match="column 'statu' is unknown: did you mean status"):
        read_runs(tmp_path, columns=["statu"])


def test_runs_of_before_and_of_now_are_read_together(tmp_path: Path) -> None:
    path = recorded(tmp_path, failure()).folder / "records.parquet"
    pd.read_parquet(path).drop(columns=LATE).assign(schema=1).to_parquet(path, index=False)
    recorder = RunRecorder(folder=tmp_path, command="pytest")
    recorder.add(row(result(), place_of(KNOWING), run_id=recorder.run_id, rerun="again"))
    recorder.finish(expected=[result().observation.case.id], environment=KNOWING)

    kernels = read_runs(tmp_path)["lapack_kernel"]

    assert kernels.dtype == "category"
    assert sorted(kernels.dropna()) == ["some lapack_kernel"]
    assert kernels.isna().sum() == 1


# --- What explains roundings ---------------------------------------------------------------------

ROUNDING = Drift(drift_class=DriftClass.ROUNDING, n_elements=2048, n_different=3, max_ulp=2)
GOLDEN_HOST = {"lapack": "OpenBLAS", "lapack_kernel": "Haswell"}
SKYLAKE = {"lapack": "OpenBLAS 0.3.31", "lapack_kernel": "SkylakeX"}
EXPLAINED = (
    "1 rounding: orthogonal matrices; another LAPACK than the goldens' "
    "(OpenBLAS kernel: Haswell -> SkylakeX)"
)


def rounded(*initializers: str, host: dict[str, str], golden: dict[str, str] | None) -> Run:
    """Return a run that rounded these on the host, and had one more case that is identical."""
    here = dataclasses.replace(ENVIRONMENT, host=host)
    verdicts = [result("zeros"), *(result(name, drift=ROUNDING) for name in initializers)]
    rows = tuple(row(verdict, place_of(here), run_id="run", rerun="again") for verdict in verdicts)
    there = None if golden is None else dataclasses.replace(ENVIRONMENT, host=golden)
    return dataclasses.replace(
        run_of(),
        rows=rows,
        expected=tuple(each.case for each in rows),
        environment=here,
        golden_environment=there,
        matrices=frozenset({"orthogonal"}),
    )


def test_roundings_of_matrices_under_another_kernel_are_explained() -> None:
    run = rounded("orthogonal", host=SKYLAKE, golden=GOLDEN_HOST)

    assert roundings_explained(run) == [EXPLAINED]
    assert terminal_lines(run)[:2] == [
        "PASSED: 2 cases, 1 identical, 1 rounding, in 1.5 s",
        EXPLAINED,
    ]
    assert f"\n{html.escape(EXPLAINED, quote=False)}\n\n## " in markdown(run)


FUSING = {"isa": "avx avx2 fma"}
AVX = {"isa": "avx avx2 fma", "xla_isa": "avx"}
AVX512 = {"isa": "avx avx2 fma avx512f"}


def test_matrices_and_other_arrays_have_each_their_own_reason() -> None:
    """What no reason is known for is not counted."""
    run = rounded(
        "orthogonal", "normal", "he_normal", host=SKYLAKE | AVX, golden=GOLDEN_HOST | FUSING
    )

    assert roundings_explained(run) == [
        "2 rounding: other instruction sets than the goldens' (avx2 fma there, not here)",
        EXPLAINED,
    ]


def of_four_columns(run: Run) -> Run:
    rows = tuple(dataclasses.replace(each, shape="256x4") for each in run.rows)
    return dataclasses.replace(run, rows=rows)


def test_avx512_explains_arrays_of_four_columns() -> None:
    run = of_four_columns(rounded("normal", host=FUSING, golden=AVX512))

    assert roundings_explained(run) == [
        "1 rounding: other instruction sets than the goldens' (avx512f there, not here)"
    ]


def test_sets_beside_avx512_do_not_explain_arrays_of_four_columns() -> None:
    more = {"isa": f"{AVX512['isa']} amx_bf16"}

    assert roundings_explained(of_four_columns(rounded("normal", host=more, golden=AVX512))) == []


@pytest.mark.parametrize("host", [AVX512, {"isa": f"{AVX512['isa']} amx_bf16"}, {}])
def test_xla_that_optimizes_less_explains_arrays_of_four_columns(host: dict[str, str]) -> None:
    run = rounded("normal", host=host, golden=AVX512)
    config = {**run.environment.config, "XLA_FLAGS": "--xla_backend_optimization_level=1"}
    run = dataclasses.replace(run, environment=dataclasses.replace(run.environment, config=config))

    assert roundings_explained(run) == []
    assert roundings_explained(of_four_columns(run)) == [
        "1 rounding: XLA optimized at level 1, as --fast asks for"
    ]


def test_another_jaxlib_is_not_passed_off_as_other_instruction_sets() -> None:
    run = rounded("normal", host=AVX, golden=FUSING)
    rows = tuple(dataclasses.replace(each, jaxlib="0.1") for each in run.rows)

    assert roundings_explained(dataclasses.replace(run, rows=rows)) == []


@pytest.mark.parametrize(
    ("initializers", "host", "golden"),
    [
        ([], SKYLAKE, GOLDEN_HOST),
        (["normal"], SKYLAKE, GOLDEN_HOST),
        (["orthogonal"], GOLDEN_HOST, GOLDEN_HOST),
        (["orthogonal"], {}, GOLDEN_HOST),
        (["orthogonal"], SKYLAKE, {}),
        (["orthogonal"], SKYLAKE, None),
        (["normal"], {}, FUSING),
        (["normal"], AVX, {}),
        (["normal"], FUSING, FUSING),
        (["normal"], FUSING, AVX512),
        (["orthogonal"], AVX, FUSING),
    ],
    ids=[
        *("none", "no matrix", "the same", "unknown here", "unknown there", "no word"),
        *("unknown sets here", "unknown sets there", "the same sets"),
        *("sets that move other arrays", "a matrix under an unknown LAPACK"),
    ],
)
def test_nothing_else_is_explained(
    initializers: list[str], host: dict[str, str], golden: dict[str, str] | None
) -> None:
    run = rounded(*initializers, host=host, golden=golden)

    assert roundings_explained(run) == []
    assert "than the goldens" not in "\n".join(terminal_lines(run)) + markdown(run)


def test_a_rounding_under_the_goldens_own_kernel_is_not_counted() -> None:
    """A fleet may have both: then something else is going on."""
    run = rounded("orthogonal", host=SKYLAKE, golden=GOLDEN_HOST)
    more = rounded("orthogonal", host=GOLDEN_HOST, golden=GOLDEN_HOST)

    both = dataclasses.replace(run, rows=(*run.rows, *more.rows))

    assert roundings_explained(both) == [EXPLAINED]


def test_the_qr_of_an_accelerator_is_not_lapacks() -> None:
    run = rounded("orthogonal", host=SKYLAKE, golden=GOLDEN_HOST)
    rows = tuple(dataclasses.replace(each, backend="cuda") for each in run.rows)

    assert roundings_explained(dataclasses.replace(run, rows=rows)) == []


def test_run_ids_sort_by_time() -> None:
    start = dt.datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC)
    steps = (dt.timedelta(microseconds=1), dt.timedelta(days=30), dt.timedelta(days=400))

    ids = [run_id_at(start), *(run_id_at(start + step) for step in steps)]

    assert ids == sorted(ids)


def test_runs_that_start_together_have_different_ids() -> None:
    moment = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

    assert run_id_at(moment) != run_id_at(moment)


def test_a_finished_run_leaves_its_reports(tmp_path: Path) -> None:
    folder = recorded(tmp_path, result(), failure(seed=1)).folder

    assert sorted(path.name for path in folder.iterdir()) == [
        "drift.csv",
        "environment.json",
        "index.html",
        "missing.json",
        "records.parquet",
        "rows.jsonl",
        "summary.md",
    ]


def test_junit_is_written_on_request(tmp_path: Path) -> None:
    folder = recorded(tmp_path, result(), junit=True).folder

    assert (folder / "junit.xml").exists()


def test_the_environment_is_read_back_from_its_file(tmp_path: Path) -> None:
    folder = recorded(tmp_path, result()).folder

    document = json.loads((folder / "environment.json").read_text())
    sections = versions.ENVIRONMENT.content(document, folder, ReportError)
    assert Environment(**sections) == ENVIRONMENT


def test_records_do_not_depend_on_which_worker_was_first(tmp_path: Path) -> None:
    one, two = result(), result(seed=1)
    folders = [
        recorded(tmp_path / name, *results).folder
        for name, results in {"there": (one, two), "back": (two, one)}.items()
    ]

    first, second = (list(read_run(folder)["case"]) for folder in folders)
    assert first == second == sorted(first)


def test_drift_csv_holds_just_what_drifted_or_did_not_plainly_pass(tmp_path: Path) -> None:
    rounding = dataclasses.replace(IDENTICAL, drift_class=DriftClass.ROUNDING)
    folder = recorded(
        tmp_path,
        result(),
        result(seed=1, drift=rounding),
        result(seed=2, status=Status.LIMITED, limitation="known-1"),
        failure(seed=3),
        result(seed=4, drift=None),
    ).folder

    with (folder / "drift.csv").open(newline="") as file:
        seeds = [line["seed"] for line in csv.DictReader(file)]

    assert seeds == ["3", "1", "2"]  # failures first, then by class


def test_a_reports_folder_that_is_a_file_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("")
    recorder = RunRecorder(folder=tmp_path / "reports", command="pytest")

    with pytest.raises(ReportError, match=r"reports cannot be written to .*reports.*--reports DIR"):
        recorder.add(as_row(result()))


def test_a_disk_that_fills_up_at_the_end_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_bytes(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    recorder = killed(tmp_path, result())
    monkeypatch.setattr(Path, "write_bytes", write_bytes)

    with pytest.raises(ReportError, match="No space left on device"):
        recorder.finish(expected=["a"], environment=ENVIRONMENT)


@pytest.mark.usefixtures("cold_python")
def test_reports_are_written_without_pandas(tmp_path: Path) -> None:
    recorded(tmp_path, failure(), result(seed=1))
    (rows,) = tmp_path.rglob("rows.jsonl")
    program = f"""
import sys
from pathlib import Path
from conformance.report.parquet import write_records
from conformance.report.rows import from_json
rows = [from_json(line) for line in Path({str(rows)!r}).read_text().splitlines()]
write_records(rows, (), Path({str(tmp_path)!r}) / "again.parquet")
print({{"pandas", "scipy.special", "urllib.request"}} & set(sys.modules))
"""

    assert output_of(program, dict(os.environ)) == "set()\n"
    again = pd.read_parquet(tmp_path / "again.parquet")
    pd.testing.assert_frame_equal(again, pd.read_parquet(rows.with_name("records.parquet")))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["a", None, "", "ä\n", None], pa.string()),
        ([True, None, False] * 5, pa.bool_()),
        ([1, None, -(2**63)], pa.int64()),
        ([2**64 - 1, None, 0], pa.uint64()),
        ([1.5, None, -math.inf, -0.0], pa.float64()),
        ([dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC), None], pa.timestamp("us", tz="UTC")),
        ([0, None, 2], pa.int32()),
        ([], pa.string()),
        ([None], pa.bool_()),
    ],
    ids=str,
)
def test_an_array_is_what_pyarrow_makes_of_the_values(values: list[Any], kind: pa.DataType) -> None:
    found = parquet._of_type(values, kind)

    found.validate(full=True)
    assert found.equals(pa.array(values, kind))
    assert found.null_count == values.count(None)


# --- the verdict --------------------------------------------------------------------------------


def test_a_green_run_is_three_lines_at_most(tmp_path: Path) -> None:
    recorder = recorded(
        tmp_path,
        *(result(seed=seed) for seed in range(30)),
        result(seed=30, status=Status.LIMITED, limitation="orthogonal-low-precision"),
    )

    verdict, limited, reports = recorder.summary_lines()

    assert verdict.startswith("PASSED: 31 cases, 31 identical, in ")
    assert limited == "limited by the ledger: 1 x orthogonal-low-precision"
    assert reports == f"reports: {recorder.folder}"


def test_a_failure_is_explained_in_the_terminal(tmp_path: Path) -> None:
    verdicts = [result(), failure(seed=1), result("zeros")]
    text = "\n".join(recorded(tmp_path, *verdicts).summary_lines())

    assert "FAILED: 1 of 3 cases" in text
    assert "by class: 2 identical, 1 stream" in text
    assert "1 other initializers: no failure" in text
    assert "values; stream; 4680 ULP (12.2 of sigma); first differing stage bits" in text
    assert "2040 of 2048 differ" in text
    assert "rerun: conformance run normal-float32-64x32-s1-cpu-eager" in text


def test_the_worst_failure_comes_first() -> None:
    law = dataclasses.replace(STREAM, drift_class=DriftClass.LAW)
    further = dataclasses.replace(STREAM, max_ulp_at_sigma=13.0)
    verdicts = [failure(seed=1), failure(seed=2, drift=further), failure(seed=3, drift=law)]

    run = run_of(result(), *verdicts)

    assert [row.seed for row in run.failed] == [3, 2, 1]


def test_drift_that_passes_is_told_in_one_line(tmp_path: Path) -> None:
    rounding = Drift(drift_class=DriftClass.ROUNDING, max_ulp=1, max_ulp_at_sigma=0.5)
    worse = dataclasses.replace(rounding, max_ulp=2, max_ulp_at_sigma=1.0)
    verdicts = [result("zeros"), *(result(seed=seed, drift=rounding) for seed in range(3))]
    recorder = recorded(tmp_path, *verdicts, result("he_normal", drift=worse))

    verdict, tolerated, _ = recorder.summary_lines()

    assert verdict.startswith("PASSED: 5 cases, 1 identical, 4 rounding")
    assert tolerated == (
        "drift within policy: normal 3, he_normal 1; "
        "worst he_normal-float32-64x32-s0-cpu-eager: rounding, 2 ULP (1 of sigma)"
    )


def test_a_terminal_is_not_flooded(tmp_path: Path) -> None:
    verdicts = [failure(initializer=f"spec_{index}", message="x" * 9999) for index in range(100)]
    lines = recorded(tmp_path, *verdicts).summary_lines()

    assert len(lines) < 60
    assert max(map(len, lines)) <= 200
    assert "and 80 more initializers with failures; summary.md lists them" in lines
    assert "  and 95 more; drift.csv holds all" in lines


def test_nothing_is_shown_of_a_run_that_did_not_finish(tmp_path: Path) -> None:
    assert killed(tmp_path, result()).summary_lines() == []


def test_an_incomplete_run_says_so_everywhere_and_names_what_is_missing(tmp_path: Path) -> None:
    missing = [f"normal-float32-64x32-s{seed}-cpu-jit" for seed in range(12)]
    recorder = recorded(tmp_path, result(), also_expected=missing, junit=True)
    verdict = "INCOMPLETE: 12 of 13 cases left no result; none of the other 1 failed"
    lines = recorder.summary_lines()

    assert lines[0].startswith(verdict)
    assert f"  {missing[9]}" in lines
    assert f"  {missing[10]}" not in lines
    assert "  and 2 more; summary.md names them" in lines
    assert (recorder.folder / "summary.md").read_text().startswith(f"# {verdict}")
    for name in ("summary.md", "junit.xml"):
        assert missing[11] in (recorder.folder / name).read_text()


def lost(seed: int) -> CaseResult:
    """Return what comes of a case that the machine fails."""
    outcome = Raised(exception="JaxRuntimeError", message="RESOURCE_EXHAUSTED: no memory\nat all")
    return unjudged(result(seed=seed, outcome=outcome).observation)


def test_a_case_that_the_machine_failed_is_recorded_and_counts_as_missing(tmp_path: Path) -> None:
    recorder = recorded(tmp_path, result(), lost(seed=1), junit=True)
    lines = recorder.summary_lines()

    assert lines[0].startswith(
        "INCOMPLETE: 1 of 2 cases left no result; none of the other 1 failed"
    )
    assert lines[2] == "  normal-float32-64x32-s1-cpu-eager"
    assert lines[3].startswith(
        "    the machine failed normal-float32-64x32-s1-cpu-eager, so nothing"
    )
    with pytest.warns(UnfinishedRunWarning, match="the machine failed normal-float32-64x32-s1"):
        assert list(read_run(recorder.folder)["failed_checks"]) == ["", "machine"]
    assert "no golden" not in (recorder.folder / "summary.md").read_text()
    for name in ("summary.md", "junit.xml"):
        text = (recorder.folder / name).read_text()
        assert "JaxRuntimeError: RESOURCE_EXHAUSTED: no memory" in text
    suite = parse(recorder.folder / "junit.xml")[0]
    assert (suite.get("failures"), suite.get("errors")) == ("0", "1")


def test_reports_say_why_a_case_has_no_result(tmp_path: Path) -> None:
    recorder = RunRecorder(folder=tmp_path, command="pytest conformance")
    recorder.miss("a", "its shard is damaged")
    recorder.miss("b", "its shard is damaged")
    recorder.finish(
        expected=["a", "b", "c"], environment=ENVIRONMENT, ending="the run was interrupted"
    )

    assert recorder.summary_lines()[1:7] == [
        "no result came from:",
        "  a",
        "  b",
        "    its shard is damaged",
        "  c",
        "    the run was interrupted",
    ]
    summary = (recorder.folder / "summary.md").read_text()
    assert "| b | its shard is damaged |" in summary
    assert "| c | the run was interrupted |" in summary


def test_a_run_that_lacks_results_says_so_whenever_it_is_read(tmp_path: Path) -> None:
    missing = [f"normal-float32-64x32-s{seed}-cpu-jit" for seed in range(5)]
    folder = recorded(tmp_path, result(), also_expected=missing, ending="the run was interrupted")

    with pytest.warns(UnfinishedRunWarning) as caught:
        records = read_run(folder.folder)

    assert len(records) == 1
    (line,) = [str(warning.message) for warning in caught]
    names = ", ".join(missing[:3])
    assert line == f"{folder.folder}: no result from {names} and 2 more: the run was interrupted"


def test_missing_cases_are_read_as_the_first_version_wrote_them(tmp_path: Path) -> None:
    folder = recorded(tmp_path, result()).folder
    (folder / "missing.json").write_text('{"killed": ["a case"]}')

    with pytest.warns(UnfinishedRunWarning, match="no result from a case: killed"):
        read_run(folder)


def test_missing_cases_of_a_newer_version_are_refused(tmp_path: Path) -> None:
    folder = recorded(tmp_path, result()).folder
    (folder / "missing.json").write_text('{"schema": 99, "missing": {}}')

    with pytest.raises(ReportError, match="has version 99 of the format `missing cases`"):
        read_run(folder)


def test_a_file_of_missing_cases_that_was_edited_is_named(tmp_path: Path) -> None:
    folder = recorded(tmp_path, result()).folder
    (folder / "missing.json").write_text('{"why": 3}')

    with pytest.raises(ReportError, match=r"missing\.json is not what .*: why: 3 is not a list"):
        read_run(folder)


def test_a_terminal_is_not_flooded_with_reasons(tmp_path: Path) -> None:
    recorder = RunRecorder(folder=tmp_path, command="pytest conformance")
    for case in "abcde":
        recorder.miss(case, f"reason {case}")
    recorder.finish(expected=list("abcde"), environment=ENVIRONMENT)

    assert "  and cases for 2 more reasons; summary.md names them" in recorder.summary_lines()


def test_a_fault_is_told_before_a_missing_golden() -> None:
    checks = (
        CheckResult(check="values", status=Status.FAILED, message="no golden is stored"),
        CheckResult(check="oracle", status=Status.FAILED, message="not as defined"),
    )
    verdict = dataclasses.replace(failure(drift=None), checks=checks)

    assert as_row(verdict).messages == "not as defined\nno golden is stored"


def test_a_run_that_compared_nothing_is_incomplete(tmp_path: Path) -> None:
    recorder = recorded(tmp_path)

    assert recorder.summary_lines()[0].startswith("INCOMPLETE: no case was compared")


def test_a_case_that_was_recorded_twice_hides_no_missing_one() -> None:
    run = run_of(result(), result(), expected=("normal-float32-64x32-s0-cpu-eager", "lost"))

    assert run.missing == ("lost",)


# --- summary.md ---------------------------------------------------------------------------------


def test_the_summary_counts_classes_by_initializer_and_dtype() -> None:
    text = markdown(
        run_of(result(), failure(seed=1), result("zeros"), result("ones", dtype="bfloat16"))
    )

    assert "| initializer | cases | failed | limited | identical | stream |" in text
    assert "| normal | 2 | 1 | 0 | 1 | 1 |" in text
    assert "| 2 others | 2 | 0 | 0 | 2 | 0 |" in text
    assert "| zeros |" not in text
    assert "| bfloat16 | 1 | 0 | 0 | 1 | 0 |" in text


def test_the_summary_shows_the_worst_case_its_stage_and_the_environment() -> None:
    text = markdown(run_of(failure()))

    assert (
        "| normal-float32-64x32-s0-cpu-eager | failed | stream | 4680 ULP (12.2 of sigma) "
        "| bits | values |"
    ) in text
    assert "## First differing stage\n\n| stage | cases |\n| --- | --- |\n| bits | 1 |" in text
    assert "| jax | 0.12.0.1 |" in text
    assert "| flags | XLA_FLAGS=--xla_cpu_max_isa=AVX jax_enable_x64=True |" in text


def test_elements_that_no_number_of_steps_connects_are_not_shown_as_a_number() -> None:
    drift = dataclasses.replace(STREAM, max_ulp=INCOMPARABLE, max_ulp_at_sigma=float("inf"))

    text = markdown(run_of(failure(drift=drift)))

    assert "no number of ULP (inf of sigma)" in text
    assert str(INCOMPARABLE) not in text


def test_no_value_breaks_out_of_its_place_in_the_summary() -> None:
    hostile = "</pre><script>|```\n# PASSED"
    environment = dataclasses.replace(ENVIRONMENT, host={"cpu": "a|b\n| <b>"})

    text = markdown(run_of(failure(message=hostile), environment=environment))

    assert "| cpu | a\\|b \\| &lt;b&gt; |" in text
    assert "<pre>&lt;/pre&gt;&lt;script&gt;|```\n# PASSED\n  rerun: " in text


def test_a_long_table_says_how_much_it_leaves_out() -> None:
    text = markdown(run_of(*(failure(seed=seed) for seed in range(300))))

    assert "\n100 of 300 left out here; drift.csv has all.\n" in text


def test_a_summary_fits_a_ci_step_and_says_what_was_cut() -> None:
    run = run_of(*(failure(seed=seed, message="é" * 60_000) for seed in range(20)))

    text = markdown(run)

    assert len(text.encode()) <= MAX_BYTES
    assert 4 * MAX_BYTES <= 2**20, "a step may append four"
    assert text.startswith("# FAILED: 20 of 20 cases")
    assert "\n18 of 20 left out here; drift.csv has all.\n" in text


def test_a_summary_names_the_sections_that_do_not_fit_at_all() -> None:
    text = markdown(run_of(failure()), max_bytes=960)

    assert text.endswith(
        "\nToo long to show here: By dtype, Environment, What failed. "
        "The files beside summary.md have all.\n"
    )


@pytest.mark.parametrize("max_bytes", [700, 1000, 1500, 2000, 5000])
def test_a_summary_never_exceeds_its_size(max_bytes: int) -> None:
    text = markdown(run_of(*(failure(seed=seed) for seed in range(50))), max_bytes=max_bytes)

    assert len(text.encode()) <= max_bytes
    assert text.startswith("# FAILED: 50 of 50 cases")
    assert "left out here" in text or "Too long to show here" in text


# --- junit.xml -----------------------------------------------------------------------------------


def test_junit_tells_failed_limited_and_missing_cases_apart(tmp_path: Path) -> None:
    recorder = recorded(
        tmp_path,
        result(),
        failure(seed=1, message="first line\nsecond <line>"),
        result(seed=2, status=Status.LIMITED, limitation="l", message="known limitation l"),
        also_expected=["normal-float32-64x32-s3-cpu-eager"],
        junit=True,
    )

    suite = parse(recorder.folder / "junit.xml")[0]

    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    failed = suite.find("testcase/failure")
    assert failed is not None
    assert failed.get("message") == "first line"
    assert [case.get("message") for case in suite.iter("skipped")] == ["known limitation l"]
    assert failed.text == (
        "first line\nsecond <line>\n  rerun: conformance run normal-float32-64x32-s1-cpu-eager"
    )
    assert [case.get("classname") for case in suite.iter("testcase")] == ["conformance.normal"] * 4


def test_junit_survives_characters_that_xml_cannot_hold(tmp_path: Path) -> None:
    recorder = recorded(tmp_path, failure(message="\x1b[31mred\x00"), junit=True)

    failed = parse(recorder.folder / "junit.xml").find(".//failure")

    assert failed is not None
    assert failed.get("message") == r"\x1b[31mred\x00"


# --- reading back -------------------------------------------------------------------------------


def test_a_run_is_read_back_with_the_declared_dtypes(tmp_path: Path) -> None:
    folder = recorded(tmp_path, result(), failure(seed=1), result(seed=2, drift=None)).folder

    records = read_run(folder)

    assert {column.name: column.dtype for column in COLUMNS} == {
        name: str(dtype) for name, dtype in records.dtypes.items()
    }
    assert list(records["max_ulp"].isna()) == [True, False, True]
    assert records["worst_expected"].map(repr)[1] == "-0.0"


def test_drift_classes_compare_by_severity(tmp_path: Path) -> None:
    records = read_run(recorded(tmp_path, result(), failure(seed=1)).folder)

    assert list(records["drift_class"] > "rounding") == [False, True]


def test_parquet_and_json_lines_read_alike(tmp_path: Path) -> None:
    drift = dataclasses.replace(STREAM, max_ulp=INCOMPARABLE, worst_actual=1 / 3)
    folder = recorded(tmp_path, result(), failure(seed=1, drift=drift)).folder
    from_parquet = read_run(folder)
    (folder / "records.parquet").unlink()

    with pytest.warns(UnfinishedRunWarning):
        from_lines = read_run(folder)

    pd.testing.assert_frame_equal(from_parquet, from_lines, check_exact=True)


def test_without_pyarrow_a_finished_run_is_written_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine with an accelerator may hold pandas and pytest, and no way to install more."""
    with monkeypatch.context() as patched:
        patched.setattr(
            "importlib.util.find_spec", lambda name: None if name == "pyarrow" else name
        )
        folder = recorded(tmp_path / "text", result(), failure(seed=1)).folder
    whole = recorded(tmp_path / "parquet", result(), failure(seed=1)).folder

    assert not (folder / "records.parquet").exists()
    assert (folder / "records.jsonl").read_text() == (folder / "rows.jsonl").read_text()
    columns = [name for name in read_run(whole) if name not in ("run_id", "recorded_at")]
    pd.testing.assert_frame_equal(read_run(folder)[columns], read_run(whole)[columns])


def test_without_pandas_a_finished_run_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "pandas", None)
        folder = recorded(tmp_path, result(), failure(seed=1)).folder

    assert read_run(folder)["status"].tolist() == ["passed", "failed"]


def test_pandas_alone_reads_what_is_declared(tmp_path: Path) -> None:
    """Whoever opens records.parquet has whole numbers, and categories in their order."""
    folder = recorded(tmp_path, result(), failure(seed=1)).folder
    alone, expected = pd.read_parquet(folder / "records.parquet"), read_run(folder)

    assert alone.dtypes.astype(str).to_dict() == expected.dtypes.astype(str).to_dict()
    assert list(alone["status"].cat.categories) == list(Status)
    assert alone["status"].cat.ordered
    assert alone["max_ulp"].tolist() == expected["max_ulp"].tolist()


def test_the_largest_distance_survives_parquet(tmp_path: Path) -> None:
    drift = dataclasses.replace(STREAM, max_ulp=INCOMPARABLE)
    folder = recorded(tmp_path, result(), failure(seed=1, drift=drift)).folder

    assert int(read_run(folder)["max_ulp"][1]) == INCOMPARABLE
    assert int(pd.read_parquet(folder / "records.parquet")["max_ulp"][1]) == INCOMPARABLE


def test_a_killed_run_is_read_up_to_its_last_whole_row(tmp_path: Path) -> None:
    folder = killed(tmp_path, result(), result(seed=1), result(seed=2)).folder
    rows = folder / "rows.jsonl"
    rows.write_bytes(rows.read_bytes()[:-25])

    with pytest.warns(UnfinishedRunWarning, match=r"read: 2 rows; its last line is cut short"):
        records = read_run(folder)

    assert list(records["seed"]) == [0, 1]


def test_a_killed_run_with_whole_rows_only_loses_none(tmp_path: Path) -> None:
    folder = killed(tmp_path, result(), result(seed=1)).folder

    with pytest.warns(UnfinishedRunWarning, match=r"did not finish; read: 2 rows$"):
        records = read_run(folder)

    assert list(records["seed"]) == [0, 1]


def test_a_broken_row_is_named_by_file_and_line(tmp_path: Path) -> None:
    folder = killed(tmp_path, result()).folder
    with (folder / "rows.jsonl").open("a") as file:
        file.write("{broken\n")

    with pytest.raises(ReportError, match=r"rows\.jsonl, line 2: not a row in JSON"):
        read_run(folder)


def test_records_of_a_newer_schema_are_refused(tmp_path: Path) -> None:
    records = frame([as_row(result())]).assign(schema=99)
    records.to_parquet(tmp_path / "records.parquet")

    with pytest.raises(ReportError, match=r"records\.parquet: a row has version 99"):
        read_run(tmp_path)


def test_a_folder_without_a_run_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="holds no run: it has neither"):
        read_run(tmp_path)
    with pytest.raises(ReportError, match=r"expected .*/<run>/records\.parquet"):
        read_runs(tmp_path)
    with pytest.raises(ReportError, match=r"drift\.csv does not exist: the run did not finish"):
        read_drift(tmp_path)


def test_all_runs_are_read_oldest_first_with_the_same_dtypes(tmp_path: Path) -> None:
    verdicts = [result("normal"), failure(initializer="zeros"), *[result("ones")] * 4]
    runs = [recorded(tmp_path, verdict) for verdict in verdicts]

    records = read_runs(tmp_path)

    assert list(records["run_id"]) == [run.run_id for run in runs]
    assert records.dtypes.map(str).to_dict() == {column.name: column.dtype for column in COLUMNS}


def test_a_run_without_rows_can_be_read_beside_others(tmp_path: Path) -> None:
    recorded(tmp_path, also_expected=["lost"])
    recorded(tmp_path, result())

    with pytest.warns(UnfinishedRunWarning, match="no result from lost: the run ended without"):
        assert len(read_runs(tmp_path)) == 1


def test_drift_csv_reads_as_the_run_does_even_where_pandas_would_see_missing_values(
    tmp_path: Path,
) -> None:
    verdicts = [
        failure(initializer="NA", message="lone\rreturn"),
        failure(initializer="nan", seed=1, message="a\r\nb"),
    ]
    folder = recorded(tmp_path, *verdicts).folder

    pd.testing.assert_frame_equal(read_drift(folder), read_run(folder), check_exact=True)


def test_a_drift_csv_that_was_edited_is_named(tmp_path: Path) -> None:
    (tmp_path / "drift.csv").write_text("schema,case,dtype\n2,x,float32\n")

    with pytest.raises(ReportError, match=r"drift\.csv: a row has other columns"):
        read_drift(tmp_path)


def test_the_documented_groupby_names_what_drifted_on_bfloat16_since_the_last_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest run differs as well, and float32 too; neither is what was asked."""
    new = returned(OTHER_SHA)
    reports = tmp_path / "reports"
    recorded(reports, result("zeros", "bfloat16", outcome=new))
    recorded(reports, *(result(name, "bfloat16") for name in ("zeros", "he_normal")), result())
    recorded(
        reports,
        result("zeros", "bfloat16"),
        result("he_normal", "bfloat16", outcome=new),
        result(outcome=new),
    )
    monkeypatch.chdir(tmp_path)
    (example,) = doctest.DocTestFinder(recurse=False).find(frames, "frames", globs={**vars(frames)})

    assert len(example.examples) == 5
    assert doctest.DocTestRunner().run(example).failed == 0


def test_reading_a_finished_run_warns_of_nothing(tmp_path: Path) -> None:
    folder = recorded(tmp_path, result()).folder

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_run(folder)


# --- Tests of no case -----------------------------------------------------------------------------

OTHERS = {"test_law.py::test_law[normal]": "the mean is off\n  rerun: conformance law"}


def test_a_failed_test_of_no_case_fails_the_run_in_every_report(tmp_path: Path) -> None:
    """It failed `pytest`, and left a page that said PASSED."""
    recorder = recorded(tmp_path, result(), others=OTHERS, junit=True)
    verdict = "FAILED: 0 of 1 case, and 1 test besides"

    shown, page = recorder.summary_lines(), (recorder.folder / "index.html").read_text()
    assert shown[0].startswith(f"{verdict}, in ")
    assert "failed besides cases:" in shown
    assert "  test_law.py::test_law[normal]" in shown
    assert verdict in page
    assert '<header class="failed">' in page
    assert "the mean is off" in page
    text = (recorder.folder / "summary.md").read_text()
    assert text.startswith(f"# {verdict}")
    assert "## Besides cases" in text
    assert "the mean is off" in text
    suite = parse(recorder.folder / "junit.xml")[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    assert [each.get("message") for each in suite.iter("failure")] == list(OTHERS.values())


def test_what_came_to_no_verdict_and_is_no_case_leaves_the_run_incomplete(tmp_path: Path) -> None:
    recorder = recorded(tmp_path, result(), unjudged=["no device", "no device"], junit=True)
    verdict = "INCOMPLETE: 1 other came to no verdict; 1 case, 1 identical"

    page = (recorder.folder / "index.html").read_text()
    assert recorder.summary_lines()[0].startswith(f"{verdict}, in ")
    assert '<header class="incomplete">' in page
    assert "no device" in page
    assert "no device" in (recorder.folder / "summary.md").read_text()
    suite = parse(recorder.folder / "junit.xml")[0]
    assert [each.get("message") for each in suite.iter("error")] == ["no device"]


@pytest.mark.parametrize(
    ("changes", "verdict", "code"),
    [
        ({}, "PASSED: 1 case, 1 identical", ExitCode.OK),
        ({"others": {"a": "", "b": ""}}, "FAILED: 0 of 1 case, and 2 tests besides", 1),
        (
            {"others": {"a": ""}, "unjudged": ("x", "y")},
            "FAILED: 0 of 1 case, and 1 test besides; INCOMPLETE: 2 others came to no verdict",
            ExitCode.FAILED,
        ),
        (
            {"unjudged": ("x",), "expected": ("lost", "lost too")},
            "INCOMPLETE: 2 of 3 cases left no result; 1 other came to no verdict; none of the "
            "other 1 failed",
            ExitCode.MISSING,
        ),
    ],
)
def test_a_verdict_counts_what_is_no_case(
    changes: dict[str, Any], verdict: str, code: ExitCode
) -> None:
    run = run_of(result(), **changes)

    assert (run.verdict, run.code) == (verdict, code)


def test_the_terminal_names_a_few_tests_of_no_case() -> None:
    lines = terminal_lines(run_of(result(), others={f"test {n}": "" for n in range(9)}))

    assert lines[2:8] == [*(f"  test {n}" for n in range(5)), "  and 4 more; summary.md names them"]


def test_a_run_of_nothing_is_no_success() -> None:
    assert run_of().code is ExitCode.EMPTY
