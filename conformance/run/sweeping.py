"""Sweeps of laws and of matrices, here or in a supervised worker: one that crashes ends no other.

What comes of a sweep is text, and what it measured, where that is asked for: so it can cross a
pipe, and both ways give the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import functools
from collections.abc import Collection, Generator, Mapping
from typing import Any

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.cases.sweeps import select_sweeps
from conformance.core.budgets import BudgetTable, Measurement
from conformance.core.errors import ExitCode
from conformance.core.ids import Case
from conformance.core.reading import record
from conformance.core.records import Environment, Status
from conformance.judge.law.curve import Curve, curve_of
from conformance.judge.law.verdict import LawResult, worst_point
from conformance.judge.ledger import Ledger
from conformance.judge.rules import load_ledger
from conformance.observe import environment
from conformance.observe.worker import Answered, Began, Lost, Voice, left_after, supervised
from conformance.report.messages import messages_of, sources_of
from conformance.run import matrix_sweep
from conformance.run.matrix_sweep import MatrixSweep, matrix_sweeps, measurement, swept
from conformance.run.options import Options, read_given, rerun, selection_here
from conformance.run.sweeps import evaluate, measurements, rerun_words
from conformance.store.budgets import stacked

COLUMNS = (
    "initializer",
    "dtype",
    "transform",
    "distinct",
    "mean error",
    "var. error",
    "skewness",
    "kurtosis",
    "minimum",
    "maximum",
    "ULP",
    "ULP of sigma",
    "verdict",
)
"""Errors of mean and variance are against the continuous law: in sigma, and relative."""

NOISE = 1e-12
"""Figures of order 1 below this are rounding errors of the sums, and differ between machines."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SweepVerdict:
    """What came of one sweep.

    head, rows: for a table. messages: what failed; sources: what that was judged by. measured: what
    budgets may be made of, where it is asked for. code: what the sweep alone would end with.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    messages: tuple[str, ...]
    sources: tuple[str, ...]
    rerun: str
    code: int
    measured: Measurement | None = None
    curve: Curve | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One sweep that is done, of so many."""

    id: str
    total: int
    verdict: SweepVerdict


class Sweeps:
    """The sweeps that were asked for, in this process, and what judges them.

    is_measuring: measure for budgets, instead of judging by those that there are. only: the ids of
        those that count; () for all.
    """

    def __init__(self, options: Options, *, is_measuring: bool, only: Collection[str] = ()) -> None:
        self._options = options
        self._is_measuring = is_measuring
        self._only = only

    @functools.cached_property
    def units(self) -> dict[str, Case | MatrixSweep]:
        """The sweeps by id, those of laws first. Starts JAX.

        Raises:
            EmptySelection: there is none.
        """
        selection = selection_here(self._options)
        matrices = matrix_sweeps(selection)
        cases = select_sweeps(self._catalogue, selection, also=bool(matrices))
        units: list[Case | MatrixSweep] = [*cases, *matrices]
        return {each.id: each for each in units if not self._only or each.id in self._only}

    @functools.cached_property
    def _catalogue(self) -> Catalogue:
        return load_catalogue()

    @functools.cached_property
    def _budgets(self) -> BudgetTable:
        return stacked(self._options.golden_folder, self._options.overlays)

    @functools.cached_property
    def _ledger(self) -> Ledger:
        return load_ledger(self._options.ledger_file)

    @functools.cached_property
    def environment(self) -> Environment:
        """The environment of this process."""
        return environment.capture()

    def prepared(self) -> Sweeps:
        """Return this with all that the sweeps share made.

        Raises:
            ConformanceError: budgets or ledger cannot be read, or nothing is selected.
        """
        _ = self._budgets, self._ledger, self.units, self.environment
        return self

    def verdict(self, unit: Case | MatrixSweep) -> SweepVerdict:
        """Sweep, and judge or measure.

        Raises:
            BackendUnavailable: the backend has no device in this process.
            MissingBudget: nobody has measured matrices there.
            UnfitForBudget: the law is wrong, so that it sets no budget.
        """
        if isinstance(unit, MatrixSweep):
            return self._measured(unit) if self._is_measuring else self._of_matrices(unit)
        return self._of_law(unit)

    def rerun(self, unit: Case | MatrixSweep) -> str:
        """Return the command that sweeps again."""
        words = unit.rerun_words if isinstance(unit, MatrixSweep) else rerun_words(unit)
        return rerun(words, self._options, self.environment)

    def _of_law(self, case: Case) -> SweepVerdict:
        result = evaluate(
            case, catalogue=self._catalogue, budgets=self._budgets, ledger=self._ledger
        )
        measured = None
        if self._is_measuring:
            (measured,) = measurements([result], self._catalogue, date=today())
        option = self._options.golden_option
        return SweepVerdict(
            head=COLUMNS,
            rows=(cells(result),),
            messages=tuple(messages_of(result.result, [Status.FAILED], option)),
            sources=tuple(sources_of(result.result)),
            rerun=self.rerun(case),
            code=ExitCode.of(
                failed=result.has_failed and result.is_judged, missing=not result.is_judged
            ),
            measured=measured,
            curve=None if result.evidence is None else curve_of(result.evidence),
        )

    def _of_matrices(self, sweep: MatrixSweep) -> SweepVerdict:
        found = matrix_sweep.evaluate(sweep, self._budgets)
        return SweepVerdict(
            head=matrix_sweep.COLUMNS,
            rows=tuple(found.rows),
            messages=(found.fault,) if found.fault else (),
            sources=(),
            rerun=self.rerun(sweep),
            code=ExitCode.of(failed=bool(found.fault)),
        )

    def _measured(self, sweep: MatrixSweep) -> SweepVerdict:
        return SweepVerdict(
            head=matrix_sweep.COLUMNS,
            rows=(),
            messages=(),
            sources=(),
            rerun=self.rerun(sweep),
            code=ExitCode.OK,
            measured=measurement(sweep, swept(sweep), date=today()),
        )


def today() -> str:
    """Return the date of a measurement."""
    return f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"


def joined(measured: list[Measurement]) -> list[Measurement]:
    """Return one measurement for each key: the worst errors over the transforms."""
    groups: dict[str, list[Measurement]] = {}
    for each in measured:
        groups.setdefault(each.key, []).append(each)
    return [
        dataclasses.replace(
            group[0],
            at_value=worst_point(each.at_value for each in group),
            at_sigma=worst_point(each.at_sigma for each in group),
            limitation=next((each.limitation for each in group if each.limitation), ""),
        )
        for group in groups.values()
    ]


# --- As text -------------------------------------------------------------------------------------
def cells(result: LawResult) -> tuple[str, ...]:
    """Return one row of the table."""
    problem, verdict = result.case.problem, result.result.status.value
    if result.result.status is Status.LIMITED:
        verdict = f"limited: {result.result.limitation}"
    head = (problem.initializer, problem.dtype, result.case.transform)
    if result.evidence is None:
        return (*head, *[""] * (len(COLUMNS) - len(head) - 1), verdict)
    law, accuracy = result.evidence.law, result.evidence.accuracy
    metrics = {
        name: value for check in result.result.checks for name, value in check.metrics.items()
    }
    return (
        *head,
        str(law.n_distinct),
        signed(metrics["mean_from_nominal_sigma"]),
        signed(metrics["variance_from_nominal"]),
        signed(law.skewness),
        f"{law.kurtosis:.4g}",
        f"{law.minimum:.8g}",
        f"{law.maximum:.8g}",
        f"{accuracy.at_value.ulp:.0f}" if accuracy.at_value else "",
        f"{accuracy.at_sigma.ulp:.3g}" if accuracy.at_sigma else "",
        verdict,
    )


def signed(value: float) -> str:
    """Return three digits and a sign; "0" for what may be the rounding of a sum."""
    return "0" if abs(value) < NOISE else f"{value:+.3g}"


# --- Here, or in a worker ------------------------------------------------------------------------
def verdicts_here(
    given: Mapping[str, Any], *, is_measuring: bool, only: Collection[str] = ()
) -> Generator[Step, None, None]:
    """Yield what comes of each sweep, in this process. given: what `options.given` told.

    only: see `Sweeps`.
    """
    sweeps = Sweeps(read_given(given), is_measuring=is_measuring, only=only).prepared()
    for key, unit in sweeps.units.items():
        yield Step(id=key, total=len(sweeps.units), verdict=sweeps.verdict(unit))


def verdicts_apart(
    given: Mapping[str, Any], *, is_measuring: bool, timeout_s: float, only: Collection[str] = ()
) -> Generator[Step, None, None]:
    """Yield the same from a worker; of a sweep that ended its process, how.

    timeout_s: for a sweep.

    Raises:
        ConformanceError: whatever ended the task.
    """
    asked = {"options": given, "is_measuring": is_measuring, "only": [*only]}
    reruns: dict[str, str] = {}
    with contextlib.closing(supervised(TASK, asked, timeout_s)) as events:
        for event in events:
            match event:
                case Began():
                    # A worker that takes the place of a lost one has fewer.
                    reruns |= event.facts["reruns"]
                case Answered():
                    verdict = record(SweepVerdict, event.answer)
                    yield Step(id=event.case, total=len(reruns), verdict=verdict)
                case Lost():
                    verdict = _no_verdict(event, reruns[event.case])
                    yield Step(id=event.case, total=len(reruns), verdict=verdict)


def _no_verdict(lost: Lost, rerun: str) -> SweepVerdict:
    return SweepVerdict(
        head=(),
        rows=(),
        messages=(f"no verdict on {lost.case}: {lost.reason}",),
        sources=(),
        rerun=rerun,
        code=ExitCode.MISSING,
    )


TASK = "conformance.run.sweeping:sweep"


def sweep(asked: Mapping[str, Any], lost: Mapping[str, str], voice: Voice) -> None:
    """Sweep, in a worker, what comes after the lost ones."""
    options = read_given(asked["options"])
    of_which = {"is_measuring": asked["is_measuring"], "only": asked["only"]}
    sweeps = Sweeps(options, **of_which).prepared()
    left = left_after(lost, list(sweeps.units))
    voice.begin(left, reruns={key: sweeps.rerun(sweeps.units[key]) for key in left})
    for key in left:
        voice.answer(key, **dataclasses.asdict(sweeps.verdict(sweeps.units[key])))
