"""A run as one JSON document: what it came to, and each case that failed or is missing."""

from __future__ import annotations

import json

from conformance.core.errors import ExitCode
from conformance.core.versions import RUN
from conformance.report.run import Run, by_class


def to_json(run: Run, code: ExitCode) -> str:
    """Return the document. code: what the run comes to. The folder holds all rows.

    failed: of a large run those that are held, see `Held`. missing: ids of cases and of blocks.
    """
    document = {
        "run_id": run.run_id,
        "command": run.command,
        "folder": str(run.folder),
        "code": code,
        "verdict": run.verdict,
        "elapsed_s": run.elapsed_s,
        "n_judged": run.n_judged,
        "classes": {name: n for name, n in sorted(by_class(run.tally).items()) if n},
        "n_failed": run.n_failed,
        "failed": [
            {
                "case": row.case,
                "drift_class": row.drift_class,
                "messages": row.messages,
                "rerun": row.rerun,
            }
            for row in run.failed
        ],
        "missing": run.missing_by_reason,
        "limited": run.limitations,
        "ending": run.ending,
    }
    return json.dumps(RUN.stamped(document), indent=1) + "\n"
