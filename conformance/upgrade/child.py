"""What runs inside the environment of a release: `python -m conformance.upgrade.child REQUEST`.

Needs what recording needs and nothing more: JAX, NumPy, ml_dtypes, safetensors, and Flax if it is
there. REQUEST is a JSON file: the folder to record into, and the case ids or the target.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from conformance.backends import BackendUnavailable
from conformance.builtin import load_catalogue
from conformance.golden import GoldenError
from conformance.matrix import Selection, SelectionError, select
from conformance.recording import record
from conformance.upgrade.target import TargetError, record_target

REFUSED = 7
"""Exit code: what was asked for cannot be recorded, and the last line of stderr says why."""

EXPECTED = (BackendUnavailable, GoldenError, SelectionError, TargetError)


def main(request_file: str) -> int:
    """Record what the file asks for; REFUSED with one line on stderr where that cannot be."""
    request = json.loads(Path(request_file).read_text(encoding="utf-8"))
    try:
        _record(request)
    except EXPECTED as error:
        print(" ".join(str(error).split()), file=sys.stderr)  # noqa: T201  # the parent reads it
        return REFUSED
    return 0


def _record(request: dict[str, object]) -> None:
    folder = Path(str(request["out"]))
    if "target" in request:
        record_target(str(request["target"]), folder)
        return
    catalogue = load_catalogue()
    ids = request["cases"]
    assert isinstance(ids, list)
    # A journal is there only if an earlier attempt was interrupted: what it holds is kept.
    record(select(catalogue, Selection(cases=tuple(ids))), catalogue, folder, resume=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
