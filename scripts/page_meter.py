"""Measure the page of a run: its size, and how long Chromium takes to open it, beside an empty one.

    python scripts/page_meter.py    # needs the dependency group `browser` and Chromium

Of 10,000 rows each tenth failed. Of a million all others plainly passed, so that the page counts
them and `records.parquet` has them. A page is open when its table can be used.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from screenshots import CHROMIUM

from conformance.cli import main as conformance
from conformance.core.records import DriftClass, Status
from conformance.observe.environment import capture
from conformance.report.page.of_run import page_of_run
from conformance.report.page.render import html
from conformance.report.rows import Row, from_json
from conformance.report.run import Run, key_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CASE = "lecun_normal-float32-64x32-s0-cpu-eager"
EMPTY = "<!doctype html><title>empty</title>"
N_ROWS, N_FAILED = 10_000, 1_000
MILLION = 1_000_000
REPEATS = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A page: its name, its size, and the least time that it took to open."""

    name: str
    size_bytes: int
    elapsed_s: float


def measured() -> list[Opened]:
    """Return the measurements, that of an empty page first.

    Raises:
        LookupError: there is no browser to measure in.
    """
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None or importlib.util.find_spec("playwright") is None:
        raise LookupError("Chromium or the dependency group `browser` is not installed")
    from playwright import sync_api as playwright

    with tempfile.TemporaryDirectory() as name, playwright.sync_playwright() as driver:
        pages = dict(pages_in(Path(name)))
        # Its own sandbox needs user namespaces, which containers rarely grant.
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        opened = [
            Opened(name=name, size_bytes=path.stat().st_size, elapsed_s=least_s(browser, path))
            for name, path in pages.items()
        ]
        browser.close()
    return opened


def pages_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield the pages, made of one real row, with their names."""
    conformance(["run", CASE, "--in-process", "--reports", str(folder / "run")])
    (rows,) = folder.glob("run/*/rows.jsonl")
    row = from_json(rows.read_text().splitlines()[0])
    runs = {
        "10,000 rows": run_of(row, N_ROWS, N_FAILED),
        "a million rows": run_of(row, N_FAILED, N_FAILED, n_plain=MILLION - N_FAILED),
    }
    texts = {"empty": EMPTY, **{name: html(page_of_run(run)) for name, run in runs.items()}}
    for number, (name, text) in enumerate(texts.items()):
        path = folder / f"{number}.html"
        path.write_text(text, encoding="utf-8")
        yield name, path


def run_of(row: Row, n_rows: int, n_failed: int, *, n_plain: int = 0) -> Run:
    """Return a run of so many rows, of which so many failed, and of others that it only counts."""
    rows = [dataclasses.replace(row, seed=seed, case=_case(seed)) for seed in range(n_rows)]
    wrong: dict[str, Any] = {
        "status": Status.FAILED,
        "drift_class": DriftClass.STREAM,
        "messages": "\n".join(f"  {each}: {_case(each)}" for each in range(8)),
    }
    step = n_rows // n_failed
    rows[::step] = [dataclasses.replace(each, **wrong) for each in rows[::step]]
    return Run(
        run_id="run",
        command="conformance run",
        folder=Path("reports/run"),
        rows=tuple(rows),
        unheld={key_of(row): n_plain} if n_plain else {},
        expected=tuple(each.case for each in rows),
        environment=capture(),
        elapsed_s=1.0,
    )


def _case(seed: int) -> str:
    return CASE.replace("-s0-", f"-s{seed}-")


def least_s(browser: Browser, path: Path) -> float:
    """Return the least of REPEATS times to open the page, until its table can be used."""
    is_ready = "document.body.dataset.ready || !document.getElementById('packed')"
    times = []
    for _ in range(REPEATS):
        tab = browser.new_page()
        start = time.perf_counter()
        tab.goto(path.as_uri())
        tab.wait_for_function(is_ready)
        times.append(time.perf_counter() - start)
        tab.close()
    return min(times)


if __name__ == "__main__":
    for each in measured():
        print(f"{each.name}: {each.size_bytes / 1e6:.2f} MB, {each.elapsed_s:.2f} s")
