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
from pathlib import Path
from typing import Annotated, Any

from conformance.core.errors import ReportError
from conformance.core.formats import DTYPES
from conformance.core.ids import format_shape
from conformance.core.records import (
    SCHEMA,
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
from conformance.report.messages import messages_of

Text = Annotated[str, "string"]
Category = Annotated[str, "category"]
Count = Annotated[int, "Int64"]
Unsigned = Annotated[int, "UInt64"]
Real = Annotated[float, "float64"]
Time = Annotated[str, "datetime64[us, UTC]"]
OptionalText = Annotated[str | None, "string"]
OptionalCategory = Annotated[str | None, "category"]
OptionalCount = Annotated[int | None, "Int64"]
OptionalUnsigned = Annotated[int | None, "UInt64"]
OptionalReal = Annotated[float | None, "float64"]
OptionalTruth = Annotated[bool | None, "boolean"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The verdict on one case. None means that there is nothing to say, never zero or "".

    drift_class to worst_expected_imag lie to the golden and are None without one. `max_ulp` is
    2^64 - 1 where no number of steps connects the worst pair. A real dtype has no `..._imag`.
    outcome: `bfloat16[64x32] <sha256>` or `raises TypeError`; equal exactly when the bits are.
    metrics: a JSON object `check.metric` -> number; "nan" and "inf" are text in it.
    flags: settings unlike DEFAULT_CONFIG, and every environment variable that XLA, JAX or LAPACK
    reads.

    A column with a default came later than the others: what was written before is read as if it
    held the default. lapack to xla_isa, `environment.LATE_FACTS`: None means unknown.
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

    lapack: OptionalCategory = None
    lapack_kernel: OptionalCategory = None
    lapack_threads: OptionalCategory = None
    libc: OptionalCategory = None
    xla_isa: OptionalCategory = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: the Python type of its values, and the pandas dtype of a frame's column.

    categories: of an ordered or closed category, smallest first; empty means those that occur.
    default: what a file holds that was written before there was the column; see `is_late`.
    """

    name: str
    kind: type
    is_optional: bool
    dtype: str
    categories: tuple[str, ...] = ()
    default: Any = dataclasses.MISSING

    @property
    def is_late(self) -> bool:
        """Whether files that this version reads may lack the column."""
        return self.default is not dataclasses.MISSING


def _columns() -> tuple[Column, ...]:
    hints = typing.get_type_hints(Row, include_extras=True)
    return tuple(_column(field, hints[field.name]) for field in dataclasses.fields(Row))


def _column(field: dataclasses.Field[Any], hint: Any) -> Column:
    (declared,) = hint.__metadata__
    kinds = typing.get_args(hint.__origin__) or (hint.__origin__,)
    is_closed = isinstance(declared, tuple)
    return Column(
        name=field.name,
        kind=kinds[0],
        is_optional=type(None) in kinds,
        dtype="category" if is_closed else declared,
        categories=tuple(map(str, declared)) if is_closed else (),
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
    folder: Path | None = None,
) -> Row:
    """Return the row of one verdict, stamped with the present time in UTC.

    rerun: the command that shows the verdict again. folder: of the golden set that
        judged; None for the shipped one.
    """
    case = result.observation.case
    values = {
        "schema": SCHEMA,
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
        **_verdict_values(result, folder),
        **_drift_values(result.drift),
        **_observation_values(result.observation),
        **environment_values(environment, case.backend),
    }
    return Row(**{column.name: _coerce(values[column.name], column) for column in COLUMNS})


def _verdict_values(result: CaseResult, folder: Path | None) -> dict[str, Any]:
    failed = [check.check for check in result.checks if check.status is Status.FAILED]
    return {
        "status": result.status,
        "failed_checks": " ".join(failed),
        "messages": "\n".join(messages_of(result, (Status.FAILED, Status.LIMITED), folder)),
        "limitation": result.limitation,
        "metrics": _metrics(result.checks),
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
    """Return the row that `to_json` wrote.

    Raises:
        ReportError: not a JSON object, a schema that this version cannot read, or other columns.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ReportError(f"not a row in JSON: {error}: {text[:80]!r}") from error
    if not isinstance(values, dict):
        raise ReportError(f"not a row: expected a JSON object, found {text[:80]!r}")
    return from_scalars(values)


def from_scalars(values: Mapping[str, Any]) -> Row:
    """Return the row of scalars as JSON or CSV holds them: numbers may be text.

    A late column that is not there holds its default.

    Raises:
        ReportError: a schema that this version cannot read, other columns, or a wrong value.
    """
    refuse_newer(values.get("schema", SCHEMA))
    values = {**late_defaults(values), **values}
    known, found = {column.name for column in COLUMNS}, set(map(str, values))
    if known != found:
        raise ReportError(
            f"a row has other columns than schema {SCHEMA}: "
            f"missing {sorted(known - found)}, unknown {sorted(found - known)}"
        )
    return Row(**{column.name: _parse(values[column.name], column) for column in COLUMNS})


def late_defaults(names: Collection[str]) -> dict[str, Any]:
    """Return the defaults of the late columns that are not among the names."""
    return {
        column.name: column.default
        for column in COLUMNS
        if column.is_late and column.name not in names
    }


def refuse_newer(schema: Any) -> None:
    """Raise ReportError if this version cannot read rows of the schema."""
    if str(schema).isdigit() and int(schema) > SCHEMA:
        raise ReportError(
            f"rows have schema {schema}, and this version reads up to {SCHEMA}: "
            "read them with the version that wrote them, or a newer one"
        )


def _parse(value: Any, column: Column) -> Any:
    try:
        return _coerce(value, column)
    except (TypeError, ValueError) as error:
        raise ReportError(f"column {column.name} holds {value!r}: {error}") from error
