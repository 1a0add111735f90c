"""Write docs/kill-matrix.md again: what each planted fault dies of, and what statistics see.

`conformance faults --json docs/kill-matrix.json` makes the matrix first: minutes. Power is
simulated here.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from conformance.core.errors import StoreError
from conformance.core.reading import record
from conformance.core.versions import FAULTS
from conformance.planted.matrix import Matrix, tables
from conformance.planted.power import HEAD, lines, powers
from conformance.planted.record import Tried
from conformance.report.aligned import markdown_table
from conformance.report.escape import markdown_cell

DOCS = Path(__file__).parent.parent / "docs"
PAGE, STORED = DOCS / "kill-matrix.md", DOCS / "kill-matrix.json"

MATRIX, POWER = "<!-- matrix -->", "<!-- power -->"
END = "<!-- end -->"

N_SAMPLES = 100
"""Of each cell of the table of power."""


def stored() -> Matrix:
    """Return the matrix that was stored last."""
    document = json.loads(STORED.read_text(encoding="utf-8"))
    content = FAULTS.content(document, STORED, StoreError)
    tried = tuple(record(Tried, each) for each in content["faults"])
    return Matrix(tried=tried, is_whole=content["is_whole"])


def matrix_text(matrix: Matrix) -> str:
    """Return the matrix as the page has it."""
    text = [f"{matrix.line}."]
    for table in tables(matrix):
        cells = (map(markdown_cell, line) for line in table.lines)
        text += ["", f"### {table.title}", "", *markdown_table(table.head, cells)]
    return "\n".join(text)


def power_text(found: Any) -> str:
    """Return the table of power as the page has it."""
    return "\n".join(markdown_table(HEAD, lines(found)))


def replaced(page: str, marker: str, text: str) -> str:
    """Return the page with what stands between the marker and the end of its part replaced."""
    before, _, rest = page.partition(marker)
    _, _, after = rest.partition(END)
    return f"{before}{marker}\n\n{text}\n\n{END}{after}"


def main() -> None:
    """Write the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-power", action="store_true", help="leave the table of power as it is")
    arguments = parser.parse_args()
    page = replaced(PAGE.read_text(encoding="utf-8"), MATRIX, matrix_text(stored()))
    if not arguments.no_power:
        found = list(powers(n_samples=N_SAMPLES))
        broken = [each for each in found if not each.holds]
        if broken:
            raise SystemExit(f"these statements of power are wrong: {broken}")
        page = replaced(page, POWER, power_text(found))
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
