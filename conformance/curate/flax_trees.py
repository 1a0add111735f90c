"""What accepted the goldens of layers before `conformance goldens` did: it names that command."""

from __future__ import annotations

import sys

from conformance.core.errors import ExitCode

COMMAND = "conformance goldens stage --layer '*' --reason '...'"


def main() -> int:
    """Say what to call instead."""
    sys.stderr.write(f"layers are staged as problems are, then accepted: run `{COMMAND}`\n")
    return ExitCode.USAGE


if __name__ == "__main__":
    sys.exit(main())
