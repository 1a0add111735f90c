"""Record a scope anew and stage it for review: `conformance goldens stage`.

    python scripts/regenerate_goldens.py --initializer 'he_*' --reason 'JAX 0.12 has a new erf_inv'

Nothing changes until `conformance goldens accept`. Without --golden it is the set of the checkout
in which this script lies, whichever installation of the package runs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from conformance.cli import main

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def regenerate(words: Sequence[str]) -> int:
    """Stage what the words ask for, in the set that they name or else in that of the checkout."""
    is_named = any(word.partition("=")[0] == "--golden" for word in words)
    own = () if is_named else ("--golden", str(GOLDEN))
    return main(["goldens", "stage", *own, *words])


if __name__ == "__main__":
    sys.exit(regenerate(sys.argv[1:]))
