"""`conformance lowering`: does JAX still lower the initializers to the accepted programs?"""

from __future__ import annotations

import argparse
import sys

from conformance import lowering, options
from conformance.builtin import builtin_specs
from conformance.cli.main import FAILED, OK, USAGE
from conformance.lowering import FILE_NAME, Fingerprints, Lowerings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the golden set, and what it takes to change it."""
    parser.add_argument(
        "--golden", default=None, metavar="DIR", help="golden set (default: the shipped one)"
    )
    parser.add_argument(
        "--accept", action="store_true", help=f"store today's fingerprints in DIR/{FILE_NAME}"
    )
    parser.add_argument("--reason", default="", help="why they are right; kept with them")


def run(arguments: argparse.Namespace) -> int:
    """Print what changed; FAILED if it did under the versions whose programs are accepted."""
    if arguments.accept and not arguments.reason:
        print("conformance: --accept needs --reason '...': why are they right?", file=sys.stderr)
        return USAGE
    path = options.golden_folder(arguments.golden) / FILE_NAME
    here = lowering.versions()
    if arguments.accept:
        new = Lowerings(versions=here, reason=arguments.reason, fingerprints=lowered())
        lowering.save(path, new)
        print(f"{len(new.fingerprints)} lines of {here} accepted into {path}")
        return OK
    accepted, found = lowering.load(path), lowered()
    changed = lowering.changes(accepted.fingerprints, found)
    if changed:
        print(lowering.explain(accepted, changed, here))
    print(
        f"{len({change.key for change in changed})} of {len(found)} initializers and dtypes are "
        f"lowered to other programs than under {accepted.versions}, here {here}"
    )
    return FAILED if changed and here == accepted.versions else OK


def lowered() -> Fingerprints:
    """Return the fingerprints of all builtin initializers, as lowered here."""
    return {
        key: programs
        for spec in builtin_specs()
        for key, programs in lowering.fingerprints(spec).items()
    }
