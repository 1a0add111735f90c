"""Writes a run down: every row at once, so that a killed run loses none, and reports at the end."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime as dt
import importlib
import importlib.util
import itertools
import json
import secrets
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.core import versions
from conformance.core.case_set import CaseSet
from conformance.core.errors import cannot_write
from conformance.core.files import atomic_file, replace_file
from conformance.core.lines import append, sealed
from conformance.core.records import MACHINE, Environment, Status
from conformance.report.drift_csv import to_csv
from conformance.report.held import Held
from conformance.report.lots import LOTS_FILE, Lots, Told, read_lots, read_rows, rows_of, told
from conformance.report.markdown import markdown
from conformance.report.nights import nights_before
from conformance.report.rows import Row, to_json
from conformance.report.run import (
    DRIFT,
    MISSING,
    RECORDS,
    RECORDS_AS_TEXT,
    ROWS,
    Key,
    Run,
    is_failed,
    is_plain,
    key_of,
    n_of,
    worst_first,
)
from conformance.report.terminal import terminal_lines

if TYPE_CHECKING:
    from conformance.report.page.model import Figure

PAGE = "index.html"

MOST_REASONS = 1000
"""Reasons for no verdict that are told apart: the cases of a sick machine each have their own."""

OTHER_REASONS = f"one of more than {MOST_REASONS} reasons, of which this is none that is kept"


class RunRecorder:
    """Keeps the rows of one run in `<folder>/<run_id>/rows.jsonl`, and reports on them.

    The folder comes into being with the first row, so a run that only collects leaves none.
    Of a large run not all rows are held, see `Held`; the files have them.
    """

    def __init__(self, *, folder: Path, command: str, run_id: str = "") -> None:
        self.run_id = run_id or new_run_id()
        self.folder = folder / self.run_id
        self._command = command
        self._started_s = time.monotonic()
        self._held = Held()
        self._plain: collections.Counter[Key] = collections.Counter()
        self._n_own = self._n_in_lots = 0
        self._is_held_of_lots = False
        self._told = CaseSet()
        self._reasons: dict[str, CaseSet] = {}
        self._run: Run | None = None

    def take_up(self) -> None:
        """Count what an earlier part of the run has written to the folder.

        Raises:
            ReportError: a line is not what was written there.
        """
        for row in read_rows(self.folder / ROWS):
            self._count(row)
        for block in read_lots(self.folder):
            self._count_lots(block)

    @property
    def n_rows(self) -> int:
        """How many rows there are so far."""
        return self._n_own + self._n_in_lots

    @property
    def cases(self) -> CaseSet:
        """The cases that have a verdict so far."""
        return self._told

    def add(self, row: Row) -> None:
        """Append the row to the file, so that it is there whatever happens next.

        Raises:
            ReportError: the folder cannot be written.
        """
        self._append(ROWS, sealed(to_json(row)))
        self._count(row)

    def _count(self, row: Row) -> None:
        self._n_own += 1
        self._held.add(row)
        if row.failed_checks == MACHINE:
            self.miss(row.case, row.messages)
        else:
            self._told.add(row.case)

    @property
    def failed(self) -> tuple[Row, ...]:
        """The rows so far of cases that failed, worst first: of many, those that are held."""
        return worst_first(filter(is_failed, self._held.rows))

    @property
    def n_failed(self) -> int:
        """How many cases failed so far."""
        unheld = {key: n for key, n in self._held.unheld.items() if key.is_judged}
        return len(self.failed) + n_of(unheld, Status.FAILED)

    def add_lots(self, block: Lots | Told) -> None:
        """Append what a block came to, and remember no more of what plainly passed than its number.

        Raises:
            ReportError: the folder cannot be written.
        """
        self._append(LOTS_FILE, told(block))
        self._count_lots(block)

    def _count_lots(self, block: Lots | Told) -> None:
        self._n_in_lots += block.n_rows
        if isinstance(block, Told):
            self._told.add_seeds(block.block.case.id, block.seeds)
            self._plain.update(block.counts)
            return
        for lot in block.lots:
            self._told.add_seeds(lot.row.case, lot.seeds)
            if is_plain(key := key_of(lot.row)):
                self._plain[key] += len(lot.seeds)
            else:
                self._held.add_lot(lot)
                self._is_held_of_lots = True

    def _append(self, name: str, line: str) -> None:
        try:
            if not self.n_rows:
                self.folder.mkdir(parents=True, exist_ok=True)
                (self.folder / ROWS).touch()  # says that a run lies here
            append(f"{self.folder}/{name}", line)  # a new Path takes as long as the writing
        except OSError as error:
            raise cannot_write(self.folder, error, "--reports DIR") from error

    def miss(self, case_id: str, reason: str) -> None:
        """Note why a case, or a block of them, that was to run has no verdict."""
        is_known = reason in self._reasons or len(self._reasons) < MOST_REASONS
        self._reasons.setdefault(reason if is_known else OTHER_REASONS, CaseSet()).add(case_id)

    @staticmethod
    def prepare() -> None:
        """Import what `finish` needs, if it is there: while workers start, that takes no time."""
        for name in ("parquet", "page.of_run", "page.render"):
            with contextlib.suppress(ModuleNotFoundError):
                importlib.import_module(f"conformance.report.{name}")

    def finish(
        self,
        *,
        expected: Iterable[str],
        environment: Environment,
        ending: str = "",
        golden_environment: Environment | None = None,
        matrices: Collection[str] = (),
        others: Mapping[str, str] | None = None,
        unjudged: Iterable[str] = (),
        laws: Sequence[Figure] = (),
        junit: bool = False,
    ) -> Run:
        """Write the reports and return the run; without rows it writes the summary of a failure.

        Rows are in the order of their case ids, of a run whose rows are not all held as they came;
        those of blocks follow, block by block.

        expected: ids of the cases, and of blocks of them, that were to run. ending: why the run
            ended early, if it did.
        golden_environment, matrices, others, unjudged: see `Run`. laws: plots for the page.

        Raises:
            ReportError: a file cannot be written.
        """
        run = Run(
            run_id=self.run_id,
            command=self._command,
            folder=self.folder,
            rows=self._held.rows,
            unheld=self._plain + collections.Counter(self._held.unheld),
            told=self._told,
            expected=tuple(expected),
            environment=environment,
            elapsed_s=time.monotonic() - self._started_s,
            reasons=self._reasons,
            ending=ending,
            golden_environment=golden_environment,
            matrices=frozenset(matrices),
            others=others or {},
            unjudged=tuple(dict.fromkeys(unjudged)),
        )
        self._run = run = dataclasses.replace(run, nights=nights_before(self.folder, run.failed))
        facts = versions.ENVIRONMENT.stamped(dataclasses.asdict(environment))
        missing = versions.MISSING.stamped({"missing": run.missing_by_reason})
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write("environment.json", json.dumps(facts, indent=1))
            self._write(MISSING, json.dumps(missing, indent=1))
            self._write("summary.md", markdown(run))
            self._write_page(run, laws)
            self._write(DRIFT, to_csv(run.noteworthy))
            if junit:
                self._write_junit(run)
            # Last, for its presence says that the run finished.
            self._write_records(run)
        except OSError as error:
            raise cannot_write(self.folder, error, "--reports DIR") from error
        return run

    def summary_lines(self, width: int | None = None) -> list[str]:
        """Return what a terminal shows of the finished run; nothing before `finish`."""
        return terminal_lines(self._run, width) if self._run else []

    def _write(self, name: str, text: str) -> None:
        replace_file(self.folder / name, text.encode(errors="backslashreplace"))

    def _write_page(self, run: Run, laws: Sequence[Figure]) -> None:
        if importlib.util.find_spec("jinja2") is None:
            return
        # Here, not above: who records alone needs no templates.
        from conformance.report.page.of_run import page_of_run
        from conformance.report.page.render import html

        self._write(PAGE, html(page_of_run(run, laws)))

    def _write_junit(self, run: Run) -> None:
        # Here, not above: what writes XML imports what fetches it from the web.
        from conformance.report.junit import write_junit

        lots = (lot for block in self._lots() for lot in block.lots)
        with (
            atomic_file(self.folder / "junit.xml") as draft,
            draft.open("w", encoding="utf-8") as file,
        ):
            write_junit(run, self._own_rows(run), lots, file)

    def _write_records(self, run: Run) -> None:
        if importlib.util.find_spec("pyarrow") is None:
            with atomic_file(self.folder / RECORDS_AS_TEXT) as draft, draft.open("w") as file:
                file.writelines(self._lines(run))
            return
        # Here, not above: pyarrow takes longer to import than a case takes to be judged.
        from conformance.report.parquet import write_records

        with atomic_file(self.folder / RECORDS) as draft:
            write_records(self._own_rows(run), self._lots(), draft)

    def _lines(self, run: Run) -> Iterator[str]:
        """Yield the rows as JSON, those that are not held last."""
        rows = itertools.chain(self._own_rows(run), rows_of(self._lots()))
        return (f"{sealed(to_json(row))}\n" for row in rows)

    def _own_rows(self, run: Run) -> Iterable[Row]:
        """Return the rows that are no lots': those that are held, if these are all."""
        are_others = self._held.unheld or self._is_held_of_lots
        return read_rows(self.folder / ROWS) if are_others else run.rows

    def _lots(self) -> Iterator[Lots]:
        return read_lots(self.folder) if self._n_in_lots else iter(())


def new_run_id() -> str:
    """Return the name of a run that begins now."""
    return run_id_at(dt.datetime.now(dt.UTC))


def run_id_at(moment: dt.datetime) -> str:
    """Return a name that sorts by time, given in UTC, and that no two runs share."""
    return f"{moment:%Y%m%dT%H%M%S.%f}Z-{secrets.token_hex(4)}"
