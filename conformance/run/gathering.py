"""What comes home of one run, from this process or from many: its cases, rows and faults."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from conformance.core.errors import ExitCode
from conformance.core.ids import Block, Case, parse_case
from conformance.core.records import MACHINE, Environment
from conformance.observe import environment
from conformance.observe.backends import BackendUnavailable
from conformance.report import lots
from conformance.report.lots import Lots
from conformance.report.recorder import RunRecorder
from conformance.report.rows import from_json, to_json
from conformance.report.run import Run
from conformance.run.session import Session, Verdict


def environment_text(where: Environment) -> str:
    """Return an environment as another process can send it."""
    return json.dumps(dataclasses.asdict(where))


class Gathering:
    """The controlling process's part of a run: what was to run, what came, what it amounts to.

    cases: or blocks of them, by the name of the test that runs each. faults: why something has no
    verdict.
    """

    def __init__(self, session: Session, recorder: RunRecorder) -> None:
        self.cases: dict[str, Case | Block] = {}
        self.faults: list[str] = []
        self.interrupted = self.terminated = False
        self._session = session
        self._recorder = recorder
        self._others: dict[str, str] = {}
        self._unjudged: list[str] = []
        self._environment: Environment | None = None
        self._run: Run | None = None

    def expect(self, cases: Mapping[str, Case | Block]) -> None:
        """Note what is to run, and refuse to run it without goldens and ledger.

        Raises:
            StoreError, LedgerError: one cannot be read.
        """
        if cases:
            self._session.validate_files()
        self.cases |= cases

    def add(self, test: str, text: str) -> None:
        """Take the row of a case, as JSON, and write it down at once.

        A row counts even if nobody knew by the test's name that it would run a case.

        Raises:
            ReportError: it cannot be written.
        """
        values = from_json(text)
        self._recorder.add(values)
        if test not in self.cases:
            self.cases[test] = parse_case(values.case)
        if values.failed_checks == MACHINE:
            self.faults.append(values.messages)

    def add_lots(self, text: str) -> None:
        """Take the rows of a block that have their like, and write them down at once.

        Raises:
            ReportError: they cannot be written.
        """
        self._recorder.add_lots(lots.read(text))

    def take(self, test: str, found: Verdict | Lots) -> None:
        """Take what came of a case of a test, or of those of its block that have their like.

        Raises:
            ReportError: it cannot be written.
        """
        if isinstance(found, Lots):
            self._recorder.add_lots(found)
        elif found.row is not None:
            self.add(test, to_json(found.row))
        else:
            self._recorder.miss(found.case.id, found.reason)

    def miss(self, test: str, why: str, *, is_fault: bool) -> None:
        """Note a test that failed without a row. is_fault: it has no verdict, for that reason."""
        if is_fault:
            self.faults.append(why)
        if unit := self.cases.get(test):
            self._recorder.miss(unit.id, why)
        elif is_fault:
            self._unjudged.append(why)
        else:
            self._others[test] = why

    def lose(self, why: str) -> None:
        """Note what came to no verdict and is no test."""
        self.faults.append(why)
        self._unjudged.append(why)

    def ran_in(self, text: str) -> None:
        """Take the environment of a process; the first that comes stands for all."""
        self._environment = self._environment or Environment(**json.loads(text))

    @property
    def environment(self) -> Environment:
        """The environment of the first process that told it, or else of this one."""
        if self._environment is None:
            try:
                self._environment = self._session.environment
            except BackendUnavailable:
                self._environment = environment.capture()
        return self._environment

    @property
    def folder(self) -> Path:
        """Where the reports are."""
        return self._recorder.folder

    def finish(self, *, ending: str, junit: bool) -> None:
        """Write the reports, if cases were to run. ending: why the run ended early, if it did.

        Raises:
            ReportError: one cannot be written.
        """
        if self.cases:
            self._run = self._recorder.finish(
                expected=sorted({unit.id for unit in self.cases.values()}),
                environment=self.environment,
                ending=ending,
                golden_environment=self._session.golden_environment,
                matrices=self._session.matrices,
                others=self._others,
                unjudged=self._unjudged,
                laws=() if ending else self._session.laws(self._recorder.failed),
                junit=junit,
            )

    @property
    def exit_code(self) -> ExitCode:
        """What the run comes to; cases that nobody ran are missing once it is finished."""
        has_failed = bool(self._others or (self._run and self._run.n_failed))
        is_whole = self._run is None or not self._run.missing
        return ExitCode.of(
            terminated=self.terminated,
            interrupted=self.interrupted,
            failed=has_failed,
            missing=bool(self.faults) or not is_whole,
        )

    def lines(self) -> Sequence[str]:
        """Return the faults, and what a terminal shows of the finished run."""
        return [*dict.fromkeys(self.faults), *self._recorder.summary_lines()]
