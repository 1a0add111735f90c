"""What the failed cases of a run were in the runs beside it: since when they are as they are.

Read from `records.parquet` of each run in the same folder, some columns of some cases, without
pandas. Of a run that was killed nothing is taken.
"""

from __future__ import annotations

import collections
import importlib.util
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.core.records import MACHINE
from conformance.core.words import counted
from conformance.report.rows import Row
from conformance.report.run import RECORDS, Night, Nights, class_of, worst_class

N_NIGHTS = 30
"""Runs that are looked into, the newest."""

N_CASES = 1000
"""Failed cases that are looked for, the worst: a million would be looked for among millions."""

FACTS = ("jax", "jaxlib", "flags", "lapack_kernel", "lapack_threads", "xla_isa", "device", "cpu")
"""Columns of a row that may be why its class is another."""

CLASSES = ("drift_class", "departs_by")


def nights_before(folder: Path, failed: Sequence[Row]) -> dict[str, tuple[Night, ...]]:
    """Return what the first N_CASES of the rows were in the newest runs before that in `folder`.

    Run ids sort by time. A case that is in none of them is not there, and so are all of them where
    pyarrow is not installed. A file that no reader of Parquet takes for one counts as no run:
    `conformance history` is who says so.
    """
    cases = {row.case for row in failed[:N_CASES]}
    if not cases or importlib.util.find_spec("pyarrow") is None:
        return {}
    earlier = sorted(
        path for path in folder.parent.glob(f"*/{RECORDS}") if path.parent.name < folder.name
    )
    found: dict[str, list[Night]] = {}
    for path in earlier[-N_NIGHTS:]:
        for case, night in dict(_read(path, cases)).items():
            found.setdefault(case, []).append(night)
    return {case: tuple(nights) for case, nights in found.items()}


def _read(path: Path, cases: Collection[str]) -> Iterator[tuple[str, Night]]:
    # Here, not above: a run in which nothing failed asks nothing.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        known = pq.read_schema(path).names
        wanted = [name for name in ("case", "failed_checks", *CLASSES, *FACTS) if name in known]
        table = pq.read_table(
            path,
            columns=wanted,
            filters=[("case", "in", sorted(cases))],
            page_checksum_verification=True,
        )
    except (pa.ArrowException, OSError):
        return
    for line in table.to_pylist():
        if line["failed_checks"] != MACHINE:
            yield line["case"], _night(path.parent.name, line)


def _night(run_id: str, line: Mapping[str, Any]) -> Night:
    found = worst_class(*(line.get(name) for name in CLASSES))
    return Night(run_id=run_id, drift_class=found, facts={name: line.get(name) for name in FACTS})


# --- In words ------------------------------------------------------------------------------------
def told(failed: Sequence[Row], n_failed: int, nights: Nights) -> list[str]:
    """Return since when most failed cases are of their class, and what changed with it; or nothing.

    14 of 14 failed cases are new: of another class in the run before, 20261129T0143...; since
    then jax 0.11.2 -> 0.12.0.1
    """
    worst = failed[:N_CASES]
    since = collections.Counter(since_when(row, nights.get(row.case, ())) for row in worst)
    known = {text: n for text, n in since.items() if text}
    which = "the worst " if len(worst) < n_failed else ""
    return [
        f"{n} of {which}{counted(len(worst), 'failed case')}: {text}"
        for text, n in sorted(known.items(), key=lambda pair: -pair[1])[:N_TOLD]
    ]


N_TOLD = 3


def since_when(row: Row, nights: Sequence[Night]) -> str:
    """Return since which run the case is of its class, and which facts changed then.

    "" where no earlier run has the case.
    """
    if not nights:
        return ""
    now = class_of(row)
    same = list(itertools.takewhile(lambda night: night.drift_class == now, reversed(nights)))
    if len(same) == len(nights):
        return f"{now} in all {counted(len(nights), 'run')} since {nights[0].run_id}"
    before = nights[-1 - len(same)]
    after = same[-1].facts if same else {name: getattr(row, name) for name in FACTS}
    began = f"since {same[-1].run_id}" if same else "since this run"
    return (
        f"{now} {began}, {before.drift_class} in the run before, {before.run_id} "
        f"({what_changed(before.facts, after)})"
    )


def what_changed(before: Mapping[str, str | None], after: Mapping[str, str | None]) -> str:
    """Return the FACTS that changed; else that none of them did, under which JAX."""
    changed = [
        f"{name} {_without(was, now) or 'none'} -> {_without(now, was) or 'none'}"
        for name in FACTS
        if (was := before.get(name) or "") != (now := after.get(name) or "")
    ]
    return ", ".join(changed) or f"same environment, jax {after.get('jax')}"


def _without(flags: str, others: str) -> str:
    """Return the flags that are not among the others; of what is no flags, all."""
    if "=" not in f"{flags}{others}":
        return flags
    return " ".join(flag for flag in flags.split() if flag not in others.split())
