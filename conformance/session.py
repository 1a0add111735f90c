"""What the cases of one process share under either front end, each part made when needed."""

from __future__ import annotations

import functools
from pathlib import Path

from conformance import budgets, environment, options
from conformance.backends import open_backend
from conformance.builtin import load_catalogue
from conformance.catalogue import Catalogue
from conformance.engine import Engine, Policy
from conformance.golden import RECORDING, GoldenError, Store, open_store
from conformance.ledger import DEFAULT_PATH, Ledger
from conformance.ledger import load as load_ledger
from conformance.matrix import select
from conformance.model import Case, CaseResult, DriftClass, Environment, Status, parse_case
from conformance.report.rows import Row, row


class Session:
    """The catalogue, goldens, ledger, engine and cases that the options ask for.

    case_ids: exact cases, instead of a selection.

    Raises:
        SelectionError, CatalogueError, LedgerError, GoldenError: from the part that is wrong, when
            it is first needed.
    """

    def __init__(self, value: options.Value, run_id: str, case_ids: tuple[str, ...] = ()) -> None:
        self.run_id = run_id
        self.has_run = False
        self._value = value
        self._case_ids = case_ids

    @functools.cached_property
    def catalogue(self) -> Catalogue:
        """The builtin initializers and those that users registered."""
        return load_catalogue()

    @functools.cached_property
    def goldens(self) -> Store:
        """The golden set that judges this run."""
        return open_store(options.golden_folder(self._value("golden")))

    @functools.cached_property
    def ledger(self) -> Ledger:
        """The known limitations."""
        return load_ledger(Path(self._value("ledger") or DEFAULT_PATH))

    @functools.cached_property
    def engine(self) -> Engine:
        """The engine under this run's policy."""
        return Engine(
            catalogue=self.catalogue,
            goldens=self.goldens,
            ledger=self.ledger,
            budgets=budgets.load(self.goldens.folder / budgets.FILE_NAME),
            policy=Policy(max_drift=DriftClass(self._value("max-drift"))),
        )

    @functools.cached_property
    def cases(self) -> list[Case]:
        """The selected cases; where no backend was named, on those present. Starts JAX."""
        return select(self.catalogue, options.selection_from(self._value, self._case_ids))

    @functools.cached_property
    def environment(self) -> Environment:
        """The environment of this process, with the devices that the cases run on.

        Raises:
            BackendUnavailable: a backend that a case asks for has no device in this process.
        """
        names = tuple(sorted({case.backend for case in self.cases}))
        for name in names:
            open_backend(name)
        return environment.capture(names)

    def validate_selection(self) -> None:
        """Ensure that the selection makes sense, without starting JAX: `auto` counts as `cpu`.

        Raises:
            SelectionError, CatalogueError: it does not, or selects nothing.
        """
        selection = options.selection_on(("cpu",), self._value, self._case_ids)
        select(self.catalogue, selection)

    def validate_files(self) -> None:
        """Ensure that the golden set and the ledger can be read.

        Raises:
            GoldenError, LedgerError: one cannot.
        """
        _ = self.goldens, self.ledger

    def evaluate(self, case: Case) -> tuple[CaseResult, Row]:
        """Run the case here and return its verdict, and that as a row.

        Raises:
            BackendUnavailable: a backend of the session has no device in this process.
            GoldenError: the golden cannot be read.
        """
        captured = self.environment
        result = self.engine.evaluate(case)
        self.has_run = True
        return result, row(result, captured, run_id=self.run_id)


class Recorded(Session):
    """A session whose cases were observed elsewhere: it judges a recording."""

    def __init__(
        self, recording: Path, value: options.Value, run_id: str, case_ids: tuple[str, ...] = ()
    ) -> None:
        super().__init__(value, run_id, case_ids)
        self._recording = open_store(recording)
        if self._recording.kind != RECORDING:
            raise GoldenError(
                f"{recording} is a golden set: --recording takes what `conformance record` wrote"
            )

    @functools.cached_property
    def cases(self) -> list[Case]:
        """All recorded cases; or those that were asked for, whether or not they were recorded."""
        recorded = tuple(self._recording.ids())
        if not (self._case_ids or options.is_narrowed(self._value)):
            selection = options.selection_on((), self._value, recorded)
        else:
            backends = tuple(sorted({parse_case(key).backend for key in recorded}))
            selection = options.selection_on(backends, self._value, self._case_ids)
        return select(self.catalogue, selection)

    @functools.cached_property
    def environment(self) -> Environment:
        """The environment that the recording was made in."""
        return self._recording.environment

    def evaluate(self, case: Case) -> tuple[CaseResult, Row]:
        """Judge the recorded observation of the case, by the JAX version that made it.

        Raises:
            GoldenError: the case was not recorded, or the golden cannot be read.
        """
        observation = self._recording.observation(case.id)
        result = self.engine.judge(observation, self.environment.packages["jax"])
        return result, row(result, self.environment, run_id=self.run_id)


def failure_text(result: CaseResult) -> str:
    """Return the messages of the failed checks and how to run the case again; "" if none failed."""
    if result.status is not Status.FAILED:
        return ""
    messages = [check.message for check in result.checks if check.status is Status.FAILED]
    rerun = f"rerun: conformance run {result.observation.case.id}"
    if not any(rerun in message for message in messages):
        messages.append(f"  {rerun}")
    return "\n".join(messages)
