"""`conformance lowering`: does JAX still lower the initializers to the accepted programs?"""

from __future__ import annotations

import argparse
import sys

from conformance.cases.builtin import builtin_specs
from conformance.cli.main import say_waiting
from conformance.core.errors import ExitCode
from conformance.core.files import writing
from conformance.core.inventory import changing
from conformance.core.paths import LOWERING, golden_folder
from conformance.core.words import counted
from conformance.observe import lowering
from conformance.observe.lowering import ACCEPT
from conformance.store import accepted
from conformance.store.accepted import Accepted, Lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the golden set, and what it takes to change it."""
    parser.add_argument(
        "--golden", default=None, metavar="DIR", help="golden set (default: the shipped one)"
    )
    parser.add_argument(
        "--accept", action="store_true", help=f"store today's fingerprints in DIR/{LOWERING}"
    )
    parser.add_argument("--reason", default="", help="why they are right; kept with them")


def run(arguments: argparse.Namespace) -> int:
    """Print what changed; FAILED if it did under the versions whose programs are accepted."""
    if arguments.accept and not arguments.reason:
        print("conformance: --accept needs --reason '...': why are they right?", file=sys.stderr)
        return ExitCode.USAGE
    folder = golden_folder(arguments.golden)
    path = folder / LOWERING
    here = lowering.versions()
    if arguments.accept:
        new = Accepted(versions=here, reason=arguments.reason, lines=lowered())
        with changing(folder, say_waiting), writing(path):
            accepted.save(path, new)
        print(f"{counted(len(new.lines), 'line')} of {here} accepted into {path}")
        return ExitCode.OK
    known, found = accepted.load(path, ACCEPT), lowered()
    changed = accepted.changes(known.lines, found)
    if changed:
        print(accepted.explain(known, changed, here, ACCEPT))
    print(
        f"lowered to other programs than under {known.versions}, here {here}: "
        f"{len({change.key for change in changed})} of "
        f"{counted(len(found), 'pair')} of an initializer and a dtype"
    )
    return ExitCode.of(failed=bool(changed) and here == known.versions)


def lowered() -> Lines:
    """Return the fingerprints of all builtin initializers, as lowered here."""
    return {
        key: programs
        for spec in builtin_specs()
        for key, programs in lowering.fingerprints(spec).items()
    }
