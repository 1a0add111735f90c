"""Can we take the new JAX? `conformance gate`, from the installed release to the newest.

python scripts/gate_upgrade.py                              # to the newest release
python scripts/gate_upgrade.py --to 0.12.0.1 --markdown     # any option of `conformance gate`
"""

from __future__ import annotations

import sys

from conformance.cli import main

if __name__ == "__main__":
    # A later --from or --to takes the place of these.
    sys.exit(main(["gate", "--from", "current", "--to", "latest", *sys.argv[1:]]))
