"""Ask a device that is lent for minutes all that it can tell: `python scripts/on_a_gpu.py OUT`.

Nothing needs to be installed but JAX with the device's plugin and safetensors: see
docs/first-gpu.md. Run it again with the same OUT to go on.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # nothing is installed

from conformance.core.errors import ConformanceError, ExitCode, SelectionError
from conformance.core.paths import shipped
from conformance.core.settings import unusual
from conformance.predict.visit import BUDGET_S, MARGIN_S, TOPICS, Progress, Visit, open_predictions
from conformance.store.read import open_store

EVERY_S = 5.0

RUNTIME = "runtime"
"""The folder of IREE's runtime, beside the programs."""


class Line:
    """Says every few seconds how far a visit is."""

    def __init__(self) -> None:
        self._said = 0.0

    def __call__(self, progress: Progress) -> None:
        """Note that a question is answered."""
        now = time.monotonic()
        if now - self._said >= EVERY_S or progress.number == progress.total:
            self._said = now
            print(progress, flush=True)


def require_budget(budget_s: float) -> None:
    """Refuse a time in which nothing can be asked.

    Raises:
        SelectionError: the system would end the visit before its first question, or never.
    """
    if not (math.isfinite(budget_s) and budget_s >= MARGIN_S):
        raise SelectionError(
            f"--budget {budget_s:g}: name seconds, {MARGIN_S:g} at least, which are kept free"
        )


def came_along(folder: Path) -> list[Path]:
    """Return IREE's programs in the folder, and let its runtime be found where none is installed.

    Raises:
        SelectionError: the folder holds no programs.
    """
    sys.path.append(str(folder / RUNTIME))
    if not (found := sorted(folder.glob("iree-*.zip"))):
        raise SelectionError(f"--iree {folder} holds no iree-*.zip: see scripts/iree_for_a_gpu.py")
    return found


def main() -> int:
    """Visit; MISSING when something is left to ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the journals")
    parser.add_argument("--backend", default="cuda", help="cuda (default), tpu, rocm or cpu")
    parser.add_argument("--budget", type=float, default=BUDGET_S, metavar="S", help="seconds")
    parser.add_argument(
        "--predicted",
        type=Path,
        action="append",
        metavar="DIR",
        help="default: of cuda, what is kept",
    )
    parser.add_argument(
        "--iree", type=Path, metavar="DIR", help="what scripts/iree_for_a_gpu.py made for a GPU"
    )
    parser.add_argument(
        "--topic", action="append", choices=TOPICS, help="ask this alone; may be repeated"
    )
    asked = parser.parse_args()
    try:
        require_budget(asked.budget)
        predictions = list(map(open_store, asked.predicted or []))
        if asked.predicted is None and asked.backend == "cuda":
            predictions = open_predictions(shipped())
        visit = Visit(
            asked.out,
            asked.backend,
            predictions=predictions,
            kept=came_along(asked.iree) if asked.iree else (),
            budget_s=asked.budget,
        )
        print(visit.heading, flush=True)
        # Predictions are of programs without them, and a comparison would say so too late.
        for line in unusual(visit.environment):
            print(f"note: {line}", flush=True)
        is_whole = True
        for tally in visit.run(Line(), asked.topic or TOPICS):
            print(tally, flush=True)
            is_whole &= tally.is_whole
        for reason in sorted(set(visit.left_out.values())):
            names = [name for name, why in visit.left_out.items() if why == reason]
            print(f"left out: {', '.join(sorted(names))}: {reason}")
    except ConformanceError as error:
        print(f"on_a_gpu: {error}", file=sys.stderr)
        return error.exit_code
    print("all is answered" if is_whole else "time is over: run it again with the same OUT")
    return ExitCode.of(missing=not is_whole)


if __name__ == "__main__":
    sys.exit(main())
