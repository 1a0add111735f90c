"""Can we take the new JAX? `conformance gate` from the accepted release, as findings.

    python scripts/gate_upgrade.py newest --out verdict --tier standard
    python scripts/gate_upgrade.py nightly --out verdict         # any option of `conformance gate`

Writes `code`, `table.md`, `verdict.json`, `cases.csv`, a page, and `findings.json`: what one issue
is told. The exit code is the gate's where it came to no verdict, else 0.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import commands
import findings
from findings import Drift, Findings
from machines import ACCEPTED, MACHINES, read_machines

from conformance.core.words import counted
from conformance.report.escape import markdown_cell

N_NAMED = 20
"""Cases without a verdict that are named; the files have all."""


def main(words: Sequence[str] | None = None) -> int:
    """Gate the JAX of a lane, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("lane", help="which JAX, as machines.toml calls it")
    parser.add_argument("--out", type=Path, required=True, help="new folder for the verdict")
    arguments, options = parser.parse_known_args(words)
    out = arguments.out
    out.mkdir(parents=True)
    registry = read_machines(MACHINES).registry_options(arguments.lane)
    sides = ["--from", os.path.relpath(ACCEPTED), "--to", "latest", *registry]
    files = ["--json", str(out / "verdict.json"), "--csv", str(out / "cases.csv")]
    files += ["--markdown", str(out / "table.md"), "--reports", str(out)]
    ended = commands.run(["gate", *sides, *options, *files], out / "gate.txt")
    path = out / "verdict.json"
    verdict = json.loads(path.read_text()) if path.exists() else None
    table = out / "table.md"
    if not table.exists():
        table.write_text(f"# No verdict\n\n{markdown_cell(_why(ended))}\n")
    findings.write(out, findings_of(arguments.lane, verdict, table.read_text(), ended))
    (out / "code").write_text(f"{ended.code}\n")
    return 0 if ended.is_verdict else ended.code


def findings_of(
    lane: str, verdict: Mapping[str, Any] | None, table: str, ended: commands.Ended
) -> Findings:
    """Return what drifted and what is missing, of a gate that may have come to nothing."""
    if verdict is None:
        return Findings(missing={lane: (f"The gate of {lane}: {markdown_cell(_why(ended))}",)})
    drifted = [pair for pair in verdict["pairs"] if not pair["is_allowed"]]
    without = {"lost": verdict["lost"], "not seen": verdict["unseen"]}
    missing = tuple(
        markdown_cell(f"{counted(len(cases), 'case')} {how}: {', '.join(list(cases)[:N_NAMED])}")
        for how, cases in without.items()
        if cases
    )
    if not (drifted or missing or ended.code == 0):
        missing = (f"The gate of {lane}: {markdown_cell(_why(ended))}",)
    return Findings(
        drifts=(_drift(lane, verdict, drifted, table),) if drifted else (),
        missing={lane: missing} if missing else {},
    )


def _drift(
    lane: str, verdict: Mapping[str, Any], drifted: Sequence[Mapping[str, Any]], table: str
) -> Drift:
    before, after = (verdict[side].partition(" (")[0] for side in ("before", "after"))
    dtypes: dict[str, set[str]] = {}
    for pair in drifted:
        dtypes.setdefault(pair["initializer"], set()).add(f"{pair['dtype']} {pair['drift_class']}")
    return Drift(
        key=f"upgrade/{lane}/drift",
        lane=lane,
        title=f"Drift first seen in {after} (accepted: {before})",
        headline=markdown_cell(verdict["verdict"]),
        parts={
            markdown_cell(name): markdown_cell(", ".join(sorted(found)))
            for name, found in sorted(dtypes.items())
        },
        # The first line is the verdict, which the headline says.
        detail=table.partition("\n")[2],
    )


def _why(ended: commands.Ended) -> str:
    return f"exit code {ended.code}: {ended.last_words or 'it said nothing'}"


if __name__ == "__main__":
    sys.exit(main())
