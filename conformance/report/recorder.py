"""Writes a run down: every row at once, so that a killed run loses none, and reports at the end."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import importlib.util
import json
import secrets
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from conformance.core.errors import cannot_write
from conformance.core.files import atomic_file, replace_file
from conformance.core.records import Environment
from conformance.report.drift_csv import to_csv
from conformance.report.junit import junit as junit_text
from conformance.report.markdown import markdown
from conformance.report.rows import Row, to_json
from conformance.report.run import MISSING, Key, Run
from conformance.report.terminal import terminal_lines

ROWS, RECORDS, DRIFT = "rows.jsonl", "records.parquet", "drift.csv"
PAGE = "index.html"
RECORDS_AS_TEXT = "records.jsonl"
"""The records where pyarrow is not installed: the same rows, without the dtypes."""


class RunRecorder:
    """Keeps the rows of one run in `<folder>/<run_id>/rows.jsonl`, and reports on them.

    The folder comes into being with the first row, so a run that only collects leaves none.
    """

    def __init__(self, *, folder: Path, command: str, run_id: str = "") -> None:
        self.run_id = run_id or new_run_id()
        self.folder = folder / self.run_id
        self._command = command
        self._started_s = time.monotonic()
        self._rows: list[Row] = []
        self._plain: collections.Counter[Key] = collections.Counter()
        self._reasons: dict[str, str] = {}
        self._run: Run | None = None

    def add(self, row: Row) -> None:
        """Append the row to the file, so that it is there whatever happens next.

        Raises:
            ReportError: the folder cannot be written.
        """
        self._append([to_json(row)])
        self._rows.append(row)

    def add_plain(self, lines: Sequence[str], counts: Iterable[tuple[Key, int]]) -> None:
        """Append rows that plainly passed, as JSON, and remember no more than how many there are.

        Raises:
            ReportError: the folder cannot be written.
        """
        self._append(lines)
        for key, n in counts:
            self._plain[key] += n

    def _append(self, lines: Sequence[str]) -> None:
        try:
            if not (self._rows or self._plain):
                self.folder.mkdir(parents=True, exist_ok=True)
            # Opened each time: nothing is left in a buffer, or open, when the run is killed.
            with (self.folder / ROWS).open("a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))
        except OSError as error:
            raise cannot_write(self.folder, error, "--reports DIR") from error

    def miss(self, case_id: str, reason: str) -> None:
        """Note why a case that was to run has no verdict."""
        self._reasons[case_id] = reason

    def finish(
        self,
        *,
        expected: Iterable[str],
        environment: Environment,
        ending: str = "",
        golden_environment: Environment | None = None,
        matrices: Collection[str] = (),
        junit: bool = False,
    ) -> Run:
        """Write the reports and return the run; without rows it writes the summary of a failure.

        Rows are in the order of their case ids.

        expected: ids of all cases that were to run. ending: why the run ended early, if it did.
        golden_environment, matrices: see `Run`.

        Raises:
            ReportError: a file cannot be written.
        """
        self._run = run = Run(
            run_id=self.run_id,
            command=self._command,
            folder=self.folder,
            # They came in the order in which workers finished, which no two runs share.
            rows=tuple(sorted(self._rows, key=lambda row: row.case)),
            plain=dict(self._plain),
            expected=tuple(expected),
            environment=environment,
            elapsed_s=time.monotonic() - self._started_s,
            reasons=self._reasons,
            ending=ending,
            golden_environment=golden_environment,
            matrices=frozenset(matrices),
        )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write("environment.json", json.dumps(dataclasses.asdict(environment), indent=1))
            self._write(MISSING, json.dumps(run.missing_by_reason, indent=1))
            self._write("summary.md", markdown(run))
            self._write_page(run)
            self._write(DRIFT, to_csv(run.noteworthy))
            if junit:
                self._write("junit.xml", junit_text(run))
            # Last, for its presence says that the run finished.
            self._write_records(run)
        except OSError as error:
            raise cannot_write(self.folder, error, "--reports DIR") from error
        return run

    def summary_lines(self) -> list[str]:
        """Return what a terminal shows of the finished run; nothing before `finish`."""
        return terminal_lines(self._run) if self._run else []

    def _write(self, name: str, text: str) -> None:
        replace_file(self.folder / name, text.encode(errors="backslashreplace"))

    def _write_page(self, run: Run) -> None:
        if importlib.util.find_spec("jinja2") is None:
            return
        # Here, not above: who records alone needs no templates.
        from conformance.report.page.of_run import page_of_run
        from conformance.report.page.render import html

        self._write(PAGE, html(page_of_run(run)))

    def _write_records(self, run: Run) -> None:
        if any(importlib.util.find_spec(name) is None for name in ("pandas", "pyarrow")):
            with atomic_file(self.folder / RECORDS_AS_TEXT) as draft, draft.open("w") as file:
                file.writelines(self._lines(run))
            return
        # Here, not above: pandas takes longer to import than a small run takes to be judged.
        from conformance.report.frames import frame, write_records

        with atomic_file(self.folder / RECORDS) as draft:
            if run.plain:
                write_records(self._lines(run), draft)
            else:
                frame(run.rows).to_parquet(draft, index=False)

    def _lines(self, run: Run) -> Iterator[str]:
        """Yield the rows as JSON: in order, or as they came where not all are held in memory."""
        if not run.plain:
            yield from (f"{to_json(row)}\n" for row in run.rows)
            return
        with (self.folder / ROWS).open(encoding="utf-8") as file:
            yield from file


def new_run_id() -> str:
    """Return the name of a run that begins now."""
    return run_id_at(dt.datetime.now(dt.UTC))


def run_id_at(moment: dt.datetime) -> str:
    """Return a name that sorts by time, given in UTC, and that no two runs share."""
    return f"{moment:%Y%m%dT%H%M%S.%f}Z-{secrets.token_hex(4)}"
