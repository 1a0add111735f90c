"""Record a scope anew and stage it for review: `conformance goldens stage`.

    python scripts/regenerate_goldens.py --initializer 'he_*' --reason 'JAX 0.12 has a new erf_inv'

Nothing changes until `conformance goldens accept`.
"""

from __future__ import annotations

import sys

from conformance.cli import main

if __name__ == "__main__":
    sys.exit(main(["goldens", "stage", *sys.argv[1:]]))
