"""What runs inside the environment of a release: `python -m conformance.observe.child REQUEST`.

Needs what recording needs and nothing more: JAX, NumPy, ml_dtypes, safetensors, and Flax if it is
there. REQUEST is a JSON file: the folder to record into, the case ids or the target, and what of it
to store with all elements; or the file to answer into, and the ids of the cases to export, or the
exports to run.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from conformance.core.errors import (
    BackendUnavailable,
    GoldenError,
    SelectionError,
    TargetError,
    WorkerGone,
)
from conformance.observe.worker import Lost, supervised

CASES = "conformance.observe.child.apart:record_cases"
TARGET = "conformance.observe.child.parameters:record_apart"
"""What a worker records. What it imports for that, this process does without: it only waits."""

REFUSED = 7
"""Exit code: what was asked for cannot be recorded, and the last line of stderr says why."""

GONE = 8
"""Exit code: the process that records ended, and no recording is left; the last line says how."""

EXPECTED = (BackendUnavailable, GoldenError, SelectionError, TargetError)


def main(request_file: str) -> int:
    """Record what the file asks for; REFUSED with one line on stderr where that cannot be."""
    request = json.loads(Path(request_file).read_text(encoding="utf-8"))
    try:
        _answer(request)
    except (*EXPECTED, WorkerGone) as error:
        print(" ".join(str(error).split()), file=sys.stderr)  # noqa: T201  # the parent reads it
        return GONE if isinstance(error, WorkerGone) else REFUSED
    return 0


def _answer(request: dict[str, Any]) -> None:
    if "run" in request or "export" in request:
        _write(_exported(request), Path(request["out"]))
    else:
        _record(TARGET if "target" in request else CASES, request)


def _exported(request: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """Return what exported programs return here, or the programs of cases, by case."""
    from conformance.observe.child import apart, exports

    if "run" in request:
        return exports.run_all(request["run"])
    catalogue, cases = apart.asked_cases(request["export"])
    return exports.export_all(cases, catalogue)


def _record(task: str, request: dict[str, Any]) -> None:
    """Record in a process of its own: a case that ends it is named, and the others are recorded.

    The journal tells how far it is, and the recording which cases were lost.

    Raises:
        WorkerGone: a target ended it, of which nothing is recorded then.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and end that one
    with contextlib.closing(supervised(task, request, request["timeout_s"])) as events:
        for event in events:
            if isinstance(event, Lost) and "target" in request:
                raise WorkerGone(f"target {event.case!r}: {event.reason}")


def _write(answers: Iterable[tuple[str, Any]], out: Path) -> None:
    """Write each answer at once: the next case may crash the process."""
    with out.open("w", encoding="utf-8") as stream:
        for answer in answers:
            stream.write(json.dumps(answer) + "\n")
            stream.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
