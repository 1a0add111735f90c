"""One case's verdict as a flat record of scalars that stands alone.

A row carries all that somebody needs who finds it without its run: versions, flags, device, and
the command that runs the case again. `Row` is the one table of columns; every file format and the
pandas dtypes follow from its annotations.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import math
import typing
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from conformance.core.errors import Malformed, ReportError, unknown
from conformance.core.formats import DTYPES
from conformance.core.ids import format_shape
from conformance.core.reading import AS_TEXT, Figure, record
from conformance.core.records import (
    STAGES,
    CaseResult,
    CheckResult,
    Drift,
    DriftClass,
    Environment,
    Observation,
    Raised,
    Returned,
    Status,
)
from conformance.core.settings import DEFAULT_CONFIG, LATE_FACTS, runtime_of
from conformance.core.versions import KEY, ROWS
from conformance.report.messages import messages_of

Text = Annotated[str, "string"]
Category = Annotated[str, "category"]
Count = Annotated[int, "Int64"]
Unsigned = Annotated[int, "UInt64"]
Real = Annotated[Figure, "float64"]
Time = Annotated[str, "datetime64[us, UTC]"]
OptionalText = Annotated[str | None, "string"]
OptionalCategory = Annotated[str | None, "category"]
OptionalCount = Annotated[int | None, "Int64"]
OptionalUnsigned = Annotated[int | None, "UInt64"]
OptionalReal = Annotated[Figure | None, "float64"]
OptionalTruth = Annotated[bool | None, "boolean"]


@dataclasses.dataclass(frozen=True, slots=True)
class Since:
    """The version of the format `rows` in which a column came; without it, the first."""

    version: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The verdict on one case. None means that there is nothing to say, never zero or "".

    drift_class to worst_expected_imag lie to the golden and are None without one. `max_ulp` is
    2^64 - 1 where no number of steps connects the worst pair. A real dtype has no `..._imag`.
    outcome: `bfloat16[64x32] <sha256>` or `raises TypeError`; equal exactly when the bits are.
    metrics: a JSON object `check.metric` -> number; "nan" and "inf" are text in it.
    flags: settings unlike DEFAULT_CONFIG, and every environment variable that XLA, JAX or LAPACK
    reads.

    asked: the selection that the run was asked for, its shard last.
    golden_from, budget_from: the overlays they came from; None of the golden set itself.
    judged_by: digests of goldens, overlays and ledger, the policy, and the version that judged.
    n_compared: how many elements could be, where only a sample of the golden is kept; else None.
    A column with a later `Since` than a row's version may be absent there, and holds its default.
    lapack to xla_isa, `environment.LATE_FACTS`: None means unknown.
    """

    schema: Count
    run_id: Text
    recorded_at: Time
    case: Text

    initializer: Category
    dtype: Annotated[str, DTYPES]
    shape: Category
    seed: Unsigned
    prng: Category
    backend: Category
    transform: Category

    status: Annotated[str, tuple(Status)]
    failed_checks: Text
    messages: Text
    limitation: OptionalCategory

    drift_class: Annotated[str | None, tuple(DriftClass)]
    stage: Annotated[str | None, STAGES]
    n_elements: OptionalCount
    n_different: OptionalCount
    max_ulp: OptionalUnsigned
    max_ulp_at_sigma: OptionalReal
    worst_index: OptionalText
    worst_actual: OptionalReal
    worst_actual_imag: OptionalReal
    worst_expected: OptionalReal
    worst_expected_imag: OptionalReal
    drift_detail: OptionalText

    outcome: Text
    is_repeatable: OptionalTruth
    metrics: Text
    elapsed_s: Real
    mode: Category
    rerun: Text

    device: Category
    runtime: OptionalCategory
    cpu: OptionalCategory
    isa: OptionalCategory
    python: OptionalCategory
    jax: OptionalCategory
    jaxlib: OptionalCategory
    flax: OptionalCategory
    numpy: OptionalCategory
    packages: Category
    flags: Category

    lapack: Annotated[OptionalCategory, Since(2)] = None
    lapack_kernel: Annotated[OptionalCategory, Since(2)] = None
    lapack_threads: Annotated[OptionalCategory, Since(2)] = None
    libc: Annotated[OptionalCategory, Since(2)] = None
    xla_isa: Annotated[OptionalCategory, Since(2)] = None
    n_compared: Annotated[OptionalCount, Since(2)] = None
    judged_by: Annotated[OptionalText, Since(2)] = None
    asked: Annotated[OptionalText, Since(2)] = None
    golden_from: Annotated[OptionalCategory, Since(3)] = None
    budget_from: Annotated[OptionalCategory, Since(3)] = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: the Python type of its values, and the pandas dtype of a frame's column.

    categories: of an ordered or closed category, smallest first; empty means those that occur.
    default: what rows of a version before `since` hold.
    """

    name: str
    kind: type
    is_optional: bool
    dtype: str
    categories: tuple[str, ...] = ()
    since: int = 1
    default: Any = None


def _columns() -> tuple[Column, ...]:
    kinds, hints = typing.get_type_hints(Row), typing.get_type_hints(Row, include_extras=True)
    return tuple(
        _column(field, kinds[field.name], hints[field.name].__metadata__)
        for field in dataclasses.fields(Row)
    )


def _column(field: dataclasses.Field[Any], hint: Any, said: tuple[Any, ...]) -> Column:
    kinds = typing.get_args(hint) or (hint,)
    declared = next(each for each in said if each != AS_TEXT and not isinstance(each, Since))
    is_closed = isinstance(declared, tuple)
    return Column(
        name=field.name,
        kind=kinds[0],
        is_optional=type(None) in kinds,
        dtype="category" if is_closed else declared,
        categories=tuple(map(str, declared)) if is_closed else (),
        since=max((each.version for each in said if isinstance(each, Since)), default=1),
        default=field.default,
    )


COLUMNS = _columns()
"""The columns in order, as `Row` declares them."""


def row(
    result: CaseResult,
    environment: Environment,
    *,
    run_id: str,
    rerun: str,
    option: str = "",
    judged_by: str | None = None,
    asked: str | None = None,
) -> Row:
    """Return the row of one verdict, stamped with the present time in UTC.

    rerun: the command that shows the verdict again. option: see `messages_of`.
    """
    case = result.observation.case
    values = {
        KEY: ROWS.newest,
        "run_id": run_id,
        "recorded_at": dt.datetime.now(dt.UTC).isoformat(timespec="microseconds"),
        "case": case.id,
        "initializer": case.problem.initializer,
        "dtype": case.problem.dtype,
        "shape": format_shape(case.problem.shape),
        "seed": case.problem.seed,
        "prng": case.problem.prng,
        "backend": case.backend,
        "transform": case.transform,
        "rerun": rerun,
        "judged_by": judged_by,
        "asked": asked,
        **_verdict_values(result, option),
        **_drift_values(result.drift),
        **_observation_values(result.observation),
        **environment_values(environment, case.backend),
    }
    return Row(**{column.name: _coerce(values[column.name], column) for column in COLUMNS})


def _verdict_values(result: CaseResult, option: str) -> dict[str, Any]:
    failed = [check.check for check in result.checks if check.status is Status.FAILED]
    return {
        "status": result.status,
        "failed_checks": " ".join(failed),
        "messages": "\n".join(messages_of(result, (Status.FAILED, Status.LIMITED), option)),
        "limitation": result.limitation,
        "metrics": _metrics(result.checks),
        "golden_from": result.golden_from,
        "budget_from": result.budget_from,
    }


def _metrics(checks: tuple[CheckResult, ...]) -> str:
    numbers = {
        f"{check.check}.{name}": _json_scalar(float(value))
        for check in checks
        for name, value in check.metrics.items()
    }
    return json.dumps(numbers, allow_nan=False)


def _drift_values(drift: Drift | None) -> dict[str, Any]:
    if drift is None:
        return dict.fromkeys(_DRIFT_COLUMNS)
    actual, actual_imag = _parts(drift.worst_actual)
    expected, expected_imag = _parts(drift.worst_expected)
    return {
        "drift_class": drift.drift_class,
        "stage": drift.stage,
        "n_elements": drift.n_elements,
        "n_compared": drift.n_compared,
        "n_different": drift.n_different,
        "max_ulp": drift.max_ulp,
        "max_ulp_at_sigma": drift.max_ulp_at_sigma,
        "worst_index": None if drift.worst_index is None else str(drift.worst_index),
        "worst_actual": actual,
        "worst_actual_imag": actual_imag,
        "worst_expected": expected,
        "worst_expected_imag": expected_imag,
        "drift_detail": drift.detail or None,
    }


def _parts(value: complex | None) -> tuple[float | None, float | None]:
    if isinstance(value, complex):
        return value.real, value.imag
    return value, None


_DRIFT_COLUMNS = tuple(_drift_values(Drift(drift_class=DriftClass.IDENTICAL)))


def _observation_values(observation: Observation) -> dict[str, Any]:
    outcome = observation.outcome
    return {
        "outcome": outcome_text(outcome),
        "is_repeatable": (
            observation.repeat_sha256 == outcome.sha256
            if isinstance(outcome, Returned) and observation.repeat_sha256 is not None
            else None
        ),
        "elapsed_s": observation.elapsed_s,
        "mode": observation.mode,
        "device": observation.device,
    }


def outcome_text(outcome: Returned | Raised) -> str:
    """Return `bfloat16[64x32] <sha256>` or `raises TypeError`: equal exactly when the bits are."""
    if isinstance(outcome, Raised):
        return f"raises {outcome.exception}"
    return f"{outcome.dtype}[{format_shape(outcome.shape)}] {outcome.sha256}"


def environment_values(environment: Environment, backend: str) -> dict[str, Any]:
    """Return the columns, `runtime` to `xla_isa`, of whatever ran on the backend there."""
    packages = environment.packages
    return {
        "runtime": runtime_of(environment, backend),
        "cpu": environment.host.get("cpu"),
        "isa": environment.host.get("isa"),
        **{name: packages.get(name) for name in ("python", "jax", "jaxlib", "flax", "numpy")},
        "packages": _assignments(packages, "=="),
        "flags": changed_flags(environment),
        **{name: environment.host.get(name) for name in LATE_FACTS},
    }


def changed_flags(environment: Environment) -> str:
    """Return `name=value` of every setting unlike JAX's default, sorted; "" for none."""
    changed = {
        name: value
        for name, value in environment.config.items()
        if DEFAULT_CONFIG.get(name) != value
    }
    return _assignments(changed, "=")


def _assignments(values: Mapping[str, str], sign: str) -> str:
    return " ".join(f"{name}{sign}{value}" for name, value in sorted(values.items()))


def _coerce(value: Any, column: Column) -> Any:
    """Return the value as plain Python, so that NumPy scalars and enumerations leave no trace.

    An optional text that is empty becomes None: in CSV the two look the same.
    """
    if column.is_optional and (value is None or value == ""):
        return None
    if value is None:
        raise ValueError("a value is needed here")
    return _truth(value) if column.kind is bool else column.kind(value)


def _truth(value: object) -> bool:
    if str(value) not in ("True", "False"):
        raise ValueError("neither True nor False")
    return str(value) == "True"


def to_json(values: Row) -> str:
    """Return the row as one line of strict JSON.

    Floats are written so that they read back to the same bits; JSON has no NaN and no infinity, so
    those are the strings that `float` understands.
    """
    scalars = {column.name: _json_scalar(getattr(values, column.name)) for column in COLUMNS}
    return json.dumps(scalars, allow_nan=False)


def _json_scalar(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def from_json(text: str) -> Row:
    """Return the row that `to_json` wrote, of this version or an earlier one.

    Raises:
        ReportError: not a JSON object, a version that this release cannot read, other columns, or a
            value that its column cannot hold.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ReportError(f"not a row in JSON: {error}: {text[:80]!r}") from error
    if not isinstance(values, dict):
        raise ReportError(f"not a row: expected a JSON object, found {text[:80]!r}")
    values |= defaults(values, values.get(KEY))
    try:
        return _require_categories(record(Row, values))
    except Malformed as fault:
        raise ReportError(f"column {fault}") from fault


def from_texts(values: Mapping[str, str]) -> Row:
    """Return the row of texts as CSV holds them; raises as `from_json` does."""
    version = values.get(KEY) or ""
    filled = {**values, **defaults(values, int(version) if version.isdecimal() else version)}
    return _require_categories(
        Row(**{column.name: _parse(filled[column.name], column) for column in COLUMNS})
    )


def defaults(names: Collection[str], version: object) -> dict[str, Any]:
    """Return what rows of the version hold in the columns that came later and are not named.

    Raises:
        ReportError: this release cannot read the version, or its columns are others.
    """
    try:
        known = ROWS.known(version, "a row", ReportError)
    except Malformed as fault:
        raise ReportError(f"column {fault}") from fault
    absent = [column for column in COLUMNS if column.name not in names]
    missing = [column.name for column in absent if column.since <= known]
    strangers = sorted(set(map(str, names)) - {column.name for column in COLUMNS})
    if missing or strangers:
        raise ReportError(
            f"a row has other columns than version {version} of the format `{ROWS.name}`: "
            f"missing {missing}, unknown {strangers}"
        )
    return {column.name: column.default for column in absent}


def _require_categories(row: Row) -> Row:
    for column in COLUMNS:
        value = getattr(row, column.name)
        if column.categories and value is not None and value not in column.categories:
            raise ReportError(unknown(column.name, value, column.categories))
    return row


def _parse(value: Any, column: Column) -> Any:
    try:
        return _coerce(value, column)
    except (TypeError, ValueError) as error:
        raise ReportError(f"column {column.name} holds {value!r}: {error}") from error
