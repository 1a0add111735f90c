"""Hold initializers of other libraries to what they promise: quick tier and laws, one by one.

    python scripts/adapters.py [haiku] [keras] [equinox] [--golden DIR]

Goldens that are not in DIR/<library> yet are staged and accepted there; without a folder, in one
that is thrown away, and then the definitions alone judge. Kept, they hold the next release of JAX
and of the library to this one.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from conformance.cli.main import main as conformance

LIBRARIES = ("haiku", "keras", "equinox")


def steps(library: str, golden: Path) -> Iterator[list[str]]:
    """Yield the commands, each of which must end well."""
    asked = ["--initializer", f"{library}_*", "--tier", "quick", "--golden", str(golden)]
    if not golden.exists():
        yield ["goldens", "stage", *asked, "--reason", f"first goldens of {library}"]
        yield ["goldens", "accept", "--golden", str(golden)]
        yield ["law", *asked, "--write-budgets"]
    yield ["run", *asked]
    yield ["law", *asked]


def hold(library: str, golden: Path) -> int:
    """Return the first code of a command that is not 0, else 0."""
    importlib.import_module(f"conformance.adapters.{library}")
    return next((code for words in steps(library, golden) if (code := conformance(words))), 0)


def main(argv: Sequence[str] | None = None) -> int:
    """Return the largest code of all libraries."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help=", ".join(LIBRARIES))
    parser.add_argument("--golden", type=Path, metavar="DIR", help="where goldens are kept")
    arguments = parser.parse_args(argv)
    for library in arguments.libraries:
        if library not in LIBRARIES:
            parser.error(f"there is no adapter {library!r}: choose from {', '.join(LIBRARIES)}")
    with contextlib.ExitStack() as stack:
        folder = arguments.golden or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        return max(hold(each, folder / each) for each in arguments.libraries or LIBRARIES)


if __name__ == "__main__":
    sys.exit(main())
