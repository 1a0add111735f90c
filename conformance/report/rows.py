"""One case's verdict as a flat record of scalars that stands alone.

A row carries all that somebody needs who finds it without its run: versions, flags, device, and
the command that runs the case again. `Row` is the one table of columns; every file format and the
pandas dtypes follow from its annotations.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import json
import math
import operator
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any

from conformance.core.errors import Malformed, ReportError, unknown
from conformance.core.formats import DTYPES
from conformance.core.ids import Case, Problem, format_shape
from conformance.core.lines import opened
from conformance.core.reading import AS_TEXT, Figure, parse_json, record
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
    Statistic,
    Status,
)
from conformance.core.settings import DEFAULT_CONFIG, LATE_FACTS, runtime_of
from conformance.core.versions import KEY, Format
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


# --- What a row is made of -----------------------------------------------------------------------
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Place:
    """What a backend ran in."""

    environment: Environment
    backend: str

    @functools.cached_property
    def values(self) -> Mapping[str, Any]:
        """The columns that it says, of each row from there: they are read off once."""
        return _read_off(self)

    def package(self, name: str) -> str | None:
        """Return the version of a package there, if it is known."""
        return self.environment.packages.get(name)

    def fact(self, name: str) -> str | None:
        """Return a fact of the host, if it is known."""
        return self.environment.host.get(name)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a row says of its case and of its run; see `row`."""

    result: CaseResult
    run_id: str
    rerun: str
    option: str = ""
    judged_by: str | None = None
    asked: str | None = None

    @property
    def observation(self) -> Observation:
        """What was seen of the case."""
        return self.result.observation

    @property
    def case(self) -> Case:
        """The case."""
        return self.observation.case

    @property
    def problem(self) -> Problem:
        """Its problem."""
        return self.case.problem


SAYS, VALUE, SINCE, SOURCE = "says", "value", "since", "source"
"""Keys of a column's metadata."""


def _column(says: str, value: Callable[[Any], Any], *, since: int = 1, source: type = Told) -> Any:
    """Declare a column: what it says, how it is read off a result, and since when.

    since: the version of the format `rows` in which it came; rows of versions before hold None.
    source: the part of the result that says it all, off which it is read.
    """
    metadata = {SAYS: says, VALUE: value, SINCE: since, SOURCE: source}
    if since == 1:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=None, metadata=metadata)


def _of_drift(says: str, value: Callable[[Drift], Any], *, since: int = 1) -> Any:
    """Declare a column of the drift from the golden; None without one."""
    return _column(says, value, since=since, source=Drift)


def _of_place(says: str, value: Callable[[Place], Any], *, since: int = 1) -> Any:
    """Declare a column of what the case ran in."""
    return _column(says, value, since=since, source=Place)


def _of_statistic(says: str, value: Callable[[Statistic], Any], *, since: int = 4) -> Any:
    """Declare a column of what was decided by chance; None where nothing was."""
    return _column(says, value, since=since, source=Statistic)


def _of_package(name: str) -> Any:
    return _of_place(f"version of {name}", lambda place: place.package(name))


def _of_late_fact(says: str, name: str) -> Any:
    """Declare a column of a fact that the first rows did not have: None is unknown."""
    assert name in LATE_FACTS
    return _of_place(says, lambda place: place.fact(name), since=2)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The verdict on one case. None means that there is nothing to say, never zero or "".

    Each column is one declaration: its type, what it says, how it is read off a result, the version
    in which it came, and what older rows hold. docs/records.md lists them in the same words.
    """

    schema: Count = _column("version of the format `rows`", lambda _: ROWS.newest)
    run_id: Text = _column("the run", lambda told: told.run_id)
    recorded_at: Time = _column(
        "when the row was made, in UTC",
        lambda _: dt.datetime.now(dt.UTC).isoformat(timespec="microseconds"),
    )
    case: Text = _column("id of the case: the seven axes below", lambda told: told.case.id)

    initializer: Category = _column("name of the spec", lambda told: told.problem.initializer)
    dtype: Annotated[str, DTYPES] = _column("asked for", lambda told: told.problem.dtype)
    shape: Category = _column("as in ids: `64x32`", lambda told: format_shape(told.problem.shape))
    seed: Unsigned = _column(
        "of the key; 0 where its words are given", lambda told: told.problem.seed
    )
    prng: Category = _column("the key's implementation", lambda told: told.problem.prng)
    backend: Category = _column("which was asked", lambda told: told.case.backend)
    transform: Category = _column(
        "how it was called: `eager`, `jit`, `vmap` ...", lambda told: told.case.transform
    )

    status: Annotated[str, tuple(Status)] = _column(
        "of all checks together", lambda told: told.result.status
    )
    failed_checks: Text = _column(
        "their names, by blanks",
        lambda told: " ".join(
            check.check for check in told.result.checks if check.status is Status.FAILED
        ),
    )
    messages: Text = _column(
        "what failed, or was let pass by the ledger, in full",
        lambda told: "\n".join(
            messages_of(told.result, (Status.FAILED, Status.LIMITED), told.option)
        ),
    )
    limitation: OptionalCategory = _column(
        "id of the ledger's entry that applied", lambda told: told.result.limitation
    )

    drift_class: Annotated[str | None, tuple(DriftClass)] = _of_drift(
        "kind of change from the golden", lambda drift: drift.drift_class
    )
    stage: Annotated[str | None, STAGES] = _of_drift(
        "first stage of the draw that differs", lambda drift: drift.stage
    )
    n_elements: OptionalCount = _of_drift("elements of the array", lambda drift: drift.n_elements)
    n_different: OptionalCount = _of_drift(
        "how many of them have other bits", lambda drift: drift.n_different
    )
    max_ulp: OptionalUnsigned = _of_drift(
        "largest distance in ULP at the value; 2^64 - 1 where no number of steps connects a pair",
        lambda drift: drift.max_ulp,
    )
    max_ulp_at_sigma: OptionalReal = _of_drift(
        "largest distance in spacings at sigma", lambda drift: drift.max_ulp_at_sigma
    )
    worst_index: OptionalText = _of_drift(
        "where the worst pair is",
        lambda drift: None if drift.worst_index is None else str(drift.worst_index),
    )
    worst_actual: OptionalReal = _of_drift(
        "the element there, its real part", lambda drift: _parts(drift.worst_actual)[0]
    )
    worst_actual_imag: OptionalReal = _of_drift(
        "its imaginary part; real dtypes have none", lambda drift: _parts(drift.worst_actual)[1]
    )
    worst_expected: OptionalReal = _of_drift(
        "the golden's element there, its real part", lambda drift: _parts(drift.worst_expected)[0]
    )
    worst_expected_imag: OptionalReal = _of_drift(
        "its imaginary part", lambda drift: _parts(drift.worst_expected)[1]
    )
    drift_detail: OptionalText = _of_drift(
        "more about the change, in words", lambda drift: drift.detail or None
    )

    outcome: Text = _column(
        "`bfloat16[64x32] <sha256>` or `raises TypeError`: equal exactly when the bits are",
        lambda told: outcome_text(told.observation.outcome),
    )
    is_repeatable: OptionalTruth = _column(
        "whether a second call had the same bits, where there was one",
        lambda told: _is_repeatable(told.observation),
    )
    metrics: Text = _column(
        'a JSON object `check.metric` -> number; "nan" and "inf" are text in it',
        lambda told: _metrics(told.result.checks),
    )
    elapsed_s: Real = _column("seconds of the call", lambda told: told.observation.elapsed_s)
    mode: Category = _column(
        "`executed`, or what stands for it: `predicted`, `compiled`",
        lambda told: told.observation.mode,
    )
    rerun: Text = _column("the command that shows the verdict again", lambda told: told.rerun)

    device: Category = _column("kind of the device", lambda told: told.observation.device)
    runtime: OptionalCategory = _of_place(
        "what devices of the backend run on",
        lambda place: runtime_of(place.environment, place.backend),
    )
    cpu: OptionalCategory = _of_place("the host's processor", lambda place: place.fact("cpu"))
    isa: OptionalCategory = _of_place(
        "its instruction sets, of those that matter to XLA", lambda place: place.fact("isa")
    )
    python: OptionalCategory = _of_package("python")
    jax: OptionalCategory = _of_package("jax")
    jaxlib: OptionalCategory = _of_package("jaxlib")
    flax: OptionalCategory = _of_package("flax")
    numpy: OptionalCategory = _of_package("numpy")
    packages: Category = _of_place(
        "`name==version` of all that may matter",
        lambda place: _assignments(place.environment.packages, "=="),
    )
    flags: Category = _of_place(
        "`name=value` of settings unlike JAX's defaults, and of variables that JAX, XLA or LAPACK "
        "reads",
        lambda place: changed_flags(place.environment),
    )

    lapack: OptionalCategory = _of_late_fact("the library that factors matrices", "lapack")
    lapack_kernel: OptionalCategory = _of_late_fact("its kernel", "lapack_kernel")
    lapack_threads: OptionalCategory = _of_late_fact("its threads", "lapack_threads")
    libc: OptionalCategory = _of_late_fact("the C library", "libc")
    xla_isa: OptionalCategory = _of_late_fact("those of `isa` that XLA may use", "xla_isa")
    n_compared: OptionalCount = _of_drift(
        "how many elements could be, where only a sample of the golden is kept",
        lambda drift: drift.n_compared,
        since=2,
    )
    judged_by: OptionalText = _column(
        "digests of goldens, overlays and ledger, the policy, and the version that judged",
        lambda told: told.judged_by,
        since=2,
    )
    asked: OptionalText = _column(
        "the selection that the run was asked for, its shard last",
        lambda told: told.asked,
        since=2,
    )
    golden_from: OptionalCategory = _column(
        "the overlay that the golden came from; none of the set itself",
        lambda told: told.result.golden_from,
        since=3,
    )
    budget_from: OptionalCategory = _column(
        "the overlay that the budget came from; none of the set itself",
        lambda told: told.result.budget_from,
        since=3,
    )
    key: OptionalText = _column(
        "how the key was made, as in ids: `s7.fold5`; none where the seed says it all",
        lambda told: None if told.problem.key.is_seed else told.problem.key.text,
        since=4,
    )
    departs_by: Annotated[str | None, tuple(DriftClass)] = _column(
        "kind of departure from the definition, of a case that is not as defined",
        lambda told: next(
            (check.departs_by for check in told.result.checks if check.departs_by is not None), None
        ),
        since=4,
    )
    statistic: OptionalCategory = _of_statistic(
        "of the statistical tests the one of the smallest p-value", lambda found: found.name
    )
    statistic_value: OptionalReal = _of_statistic(
        "how far it is off, in its own unit", lambda found: found.value
    )
    p_value: OptionalReal = _of_statistic(
        "the probability that a right initializer is so far off, or a bound on it",
        lambda found: found.p_value,
    )
    sample_size: OptionalCount = _of_statistic(
        "elements that the statistical tests looked at", lambda found: found.sample_size
    )
    smallest_fault: OptionalReal = _of_statistic(
        "the smallest fault that so many elements show with probability 0.999999; missing where no "
        "formula tells",
        lambda found: None if math.isnan(found.certain) else found.certain,
    )
    mismatch: OptionalText = _of_drift(
        "where elements differ: the array as a matrix, and of each of its fields the share that "
        "differs, from 0 for none to f for all",
        lambda drift: drift.mismatch or None,
        since=5,
    )
    share: OptionalReal = _of_statistic(
        "the share of the run's error budget that the decision has: a smaller p-value refuses",
        lambda found: found.share,
        since=6,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: the Python type of its values, and the pandas dtype of a frame's column.

    categories: of an ordered or closed category, smallest first; empty means those that occur.
    default: what rows of a version before `since` hold. says, value, source: see `_column`.
    """

    name: str
    kind: type
    is_optional: bool
    dtype: str
    says: str
    value: Callable[[Any], Any]
    source: type
    categories: tuple[str, ...] = ()
    since: int = 1
    default: Any = None


def _columns() -> tuple[Column, ...]:
    kinds, hints = typing.get_type_hints(Row), typing.get_type_hints(Row, include_extras=True)
    return tuple(
        _declared(field, kinds[field.name], hints[field.name].__metadata__)
        for field in dataclasses.fields(Row)
    )


def _declared(field: dataclasses.Field[Any], hint: Any, formats: tuple[Any, ...]) -> Column:
    kinds = typing.get_args(hint) or (hint,)
    declared = next(each for each in formats if each != AS_TEXT)
    is_closed = isinstance(declared, tuple)
    return Column(
        name=field.name,
        kind=kinds[0],
        is_optional=type(None) in kinds,
        dtype="category" if is_closed else declared,
        categories=tuple(map(str, declared)) if is_closed else (),
        default=field.default,
        **field.metadata,
    )


COLUMNS = _columns()
"""The columns in order, as `Row` declares them."""

_READ_OFF = {
    source: tuple(column for column in COLUMNS if column.source is source)
    for source in (Told, Place, Drift, Statistic)
}

ROWS: Format = Format(
    name="rows",
    newest=max(column.since for column in COLUMNS),
    older="a column with a later `since` is missing",
)
"""The format of rows, of which every new column is another version."""


def row(
    result: CaseResult,
    place: Place,
    *,
    run_id: str,
    rerun: str,
    option: str = "",
    judged_by: str | None = None,
    asked: str | None = None,
) -> Row:
    """Return the row of one verdict, stamped with the present time in UTC.

    place: where the case ran. rerun: the command that shows the verdict again. option: see
        `messages_of`.
    """
    told = Told(
        result=result,
        run_id=run_id,
        rerun=rerun,
        option=option,
        judged_by=judged_by,
        asked=asked,
    )
    statistic = _least_likely(result.checks)
    return Row(
        **place.values,
        **_read_off(told),
        **_of_this_drift(result.drift),
        **(_NO_STATISTIC if statistic is None else _read_off(statistic)),
    )


def _read_off(source: Told | Place | Drift | Statistic) -> dict[str, Any]:
    return {
        column.name: _coerce(column.value(source), column) for column in _READ_OFF[type(source)]
    }


_NO_DRIFT, _NO_STATISTIC = (
    dict.fromkeys(column.name for column in _READ_OFF[source]) for source in (Drift, Statistic)
)


def _of_this_drift(drift: Drift | None) -> Mapping[str, Any]:
    """Return its columns: where there is none, they are those of the size, and read off once."""
    if drift is None:
        return _NO_DRIFT
    none, values = _of_same(drift.n_elements)
    return values if drift == none else _read_off(drift)


@functools.lru_cache(maxsize=256)
def _of_same(n_elements: int) -> tuple[Drift, Mapping[str, Any]]:
    drift = Drift(drift_class=DriftClass.IDENTICAL, n_elements=n_elements)
    return drift, _read_off(drift)


def _least_likely(checks: tuple[CheckResult, ...]) -> Statistic | None:
    found = [check.statistic for check in checks if check.statistic is not None]
    return min(found, key=lambda statistic: statistic.p_value, default=None)


def _metrics(checks: tuple[CheckResult, ...]) -> str:
    numbers = {
        f"{check.check}.{name}": json_scalar(float(value))
        for check in checks
        for name, value in check.metrics.items()
    }
    return _STRICT.encode(numbers)


def _parts(value: complex | None) -> tuple[float | None, float | None]:
    if isinstance(value, complex):
        return value.real, value.imag
    return value, None


def _is_repeatable(observation: Observation) -> bool | None:
    outcome = observation.outcome
    if isinstance(outcome, Raised) or observation.repeat_sha256 is None:
        return None
    return observation.repeat_sha256 == outcome.sha256


RAISES = "raises "
"""With which the text of an exception begins."""


def outcome_text(outcome: Returned | Raised) -> str:
    """Return `bfloat16[64x32] <sha256>` or `raises TypeError`: equal exactly when the bits are."""
    if isinstance(outcome, Raised):
        return f"{RAISES}{outcome.exception}"
    return f"{outcome.dtype}[{format_shape(outcome.shape)}] {outcome.sha256}"


def environment_values(environment: Environment, backend: str) -> dict[str, Any]:
    """Return the columns of whatever ran on the backend there: those that its place says."""
    place = Place(environment=environment, backend=backend)
    return {column.name: column.value(place) for column in _READ_OFF[Place]}


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
    if type(value) is column.kind:
        return encodable(str(value)) if column.kind is str else value
    if value is None:
        raise ValueError("a value is needed here")
    if column.kind is bool:
        return _truth(value)
    return encodable(str(value)) if column.kind is str else column.kind(value)


def encodable(text: str) -> str:
    """Return the text, halves of surrogate pairs as escapes: no file of reports can hold them.

    Exceptions have them in names of files that are not UTF-8.
    """
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def _truth(value: object) -> bool:
    if str(value) not in ("True", "False"):
        raise ValueError("neither True nor False")
    return str(value) == "True"


def to_json(values: Row) -> str:
    """Return the row as one line of strict JSON.

    Floats are written so that they read back to the same bits; JSON has no NaN and no infinity, so
    those are the strings that `float` understands.
    """
    return _STRICT.encode(to_values(values))


def to_values(values: Row) -> dict[str, Any]:
    """Return the row as the object that its JSON is."""
    found = dict(zip(_NAMES, _values_of(values), strict=True))
    return found | {name: json_scalar(found[name]) for name in _REALS}


_STRICT = json.JSONEncoder(allow_nan=False)
_NAMES = tuple(column.name for column in COLUMNS)
_ALL_NAMES = frozenset(_NAMES)
_values_of = operator.attrgetter(*_NAMES)
_REPEATED = tuple(
    column.name
    for column in COLUMNS
    if column.dtype == "category" or column.name in ("run_id", "judged_by", "asked")
)
_REALS = tuple(column.name for column in COLUMNS if column.kind is float)


def json_scalar(value: Any) -> Any:
    """Return a value as strict JSON can hold it: NaN and infinities are text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def from_json(text: str) -> Row:
    """Return the row that `to_json` wrote, of this version or an earlier one, sealed or not.

    Raises:
        ReportError: not what was sealed, not a JSON object, a version that this release cannot
            read, other columns, or a value that its column cannot hold.
    """
    try:
        values = parse_json(opened(text))
    except (RecursionError, ValueError) as error:
        raise ReportError(f"not a row in JSON: {error}: {text[:80]!r}") from error
    if not isinstance(values, dict):
        raise ReportError(f"not a row: expected a JSON object, found {text[:80]!r}")
    return from_values(values)


def from_values(values: Mapping[str, Any]) -> Row:
    """Return the row that `to_values` made an object of; raises as `from_json` does."""
    filled = {**values, **defaults(values, values.get(KEY))}
    for name in _REPEATED:  # else each row from a file has texts of its own, 2 KiB of them
        if type(text := filled[name]) is str:
            filled[name] = _shared(text)
    try:
        return _require_held(record(Row, filled))
    except Malformed as fault:
        raise ReportError(f"column {fault}") from fault


@functools.lru_cache(maxsize=4096)
def _shared(text: str) -> str:
    """Return one text for all that are equal.

    Python's own table of such has a hole for each text that is gone, and grows by them.
    """
    return text


def from_texts(values: Mapping[str, str]) -> Row:
    """Return the row of texts as CSV holds them; raises as `from_json` does."""
    version = values.get(KEY) or ""
    filled = {**values, **defaults(values, int(version) if version.isdecimal() else version)}
    return _require_held(
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
    if set(names) == _ALL_NAMES:
        return {}
    absent = [column for column in COLUMNS if column.name not in names]
    missing = [column.name for column in absent if column.since <= known]
    strangers = sorted(set(map(str, names)) - {column.name for column in COLUMNS})
    if missing or strangers:
        raise ReportError(
            f"a row has other columns than version {version} of the format `{ROWS.name}`: "
            f"missing {missing}, unknown {strangers}"
        )
    return {column.name: column.default for column in absent}


def _require_held(row: Row) -> Row:
    """Return the row, every value of which its column can hold in pandas too."""
    for column, value in zip(COLUMNS, _values_of(row), strict=True):
        if value is None:
            continue
        if isinstance(value, str) and not value.isascii() and value != encodable(value):
            raise ReportError(f"column {column.name}: {encodable(value)!r} is no Unicode text")
        if column.categories and value not in column.categories:
            raise ReportError(unknown(column.name, value, column.categories))
        if column.dtype in RANGES and value not in RANGES[column.dtype]:
            raise ReportError(f"column {column.name}: {value} is beyond what {column.dtype} holds")
    _require_time(row.recorded_at)
    return row


RANGES = {"Int64": range(-(2**63), 2**63), "UInt64": range(2**64)}
"""What a column of integers holds, by its dtype."""


def _require_time(text: str) -> None:
    try:
        dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise ReportError(
            f"column recorded_at: {text!r} is not a time, as in 2027-01-31T12:00:00+00:00"
        ) from error


def _parse(value: Any, column: Column) -> Any:
    try:
        return _coerce(value, column)
    except (TypeError, ValueError) as error:
        raise ReportError(f"column {column.name} holds {value!r}: {error}") from error
