"""Write the generated part of docs/flax-layers.md: `python -m conformance.modules.document`."""

from __future__ import annotations

import sys
from pathlib import Path

from conformance.modules import coverage, store

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Rewrite the document from the claims and the goldens."""
    path = ROOT / "docs" / "flax-layers.md"
    path.write_text(coverage.document(path.read_text(), store.load(ROOT / "golden")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
