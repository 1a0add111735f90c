"""`conformance lowering`: does JAX still lower the initializers to the accepted programs?"""

from __future__ import annotations

import argparse
import dataclasses
import json

from conformance.cases.builtin import builtin_specs
from conformance.cli.main import say_waiting
from conformance.cli.output import tell, write_all
from conformance.cli.progress import Progress
from conformance.core.errors import ExitCode
from conformance.core.files import writing
from conformance.core.inventory import changing
from conformance.core.paths import LOWERING as FILE
from conformance.core.paths import golden_folder
from conformance.core.versions import LOWERING
from conformance.core.words import counted
from conformance.observe import lowering
from conformance.observe.lowering import ACCEPT
from conformance.store import accepted
from conformance.store.accepted import Accepted, Change, Lines


def run(arguments: argparse.Namespace) -> int:
    """Print what changed; FAILED if it did under the versions whose programs are accepted."""
    folder = golden_folder(arguments.golden)
    path = folder / FILE
    here = lowering.versions()
    if arguments.accept:
        new = Accepted(versions=here, reason=arguments.reason, lines=lowered())
        with changing(folder, say_waiting), writing(path):
            accepted.save(path, new)
        print(f"{counted(len(new.lines), 'line')} of {here} accepted into {path}")
        return ExitCode.OK
    known, found = accepted.load(path, ACCEPT), lowered()
    changed = accepted.changes(known.lines, found)
    files = tell(
        arguments,
        lambda _: to_text(known, changed, here, len(found)),
        json=lambda: to_json(known, changed, here, len(found)),
    )
    code = ExitCode.of(failed=bool(changed) and here == known.versions)
    return ExitCode.first(code, write_all(files))


def to_text(known: Accepted, changed: list[Change], here: str, n_found: int) -> str:
    """Return what changed and what that means, and how many pairs it is of."""
    count = (
        f"lowered to other programs than under {known.versions}, here {here}: "
        f"{len({change.key for change in changed})} of "
        f"{counted(n_found, 'pair')} of an initializer and a dtype"
    )
    explained = accepted.explain(known, changed, here, ACCEPT)
    return "\n".join([*filter(None, [explained]), count, ""])


def to_json(known: Accepted, changed: list[Change], here: str, n_found: int) -> str:
    """Return the same as one JSON document."""
    document = {
        "accepted_under": known.versions,
        "here": here,
        "n_pairs": n_found,
        "changes": [dataclasses.asdict(change) for change in changed],
    }
    return json.dumps(LOWERING.stamped(document), indent=1) + "\n"


def lowered() -> Lines:
    """Return the fingerprints of all builtin initializers, as lowered here."""
    specs = list(builtin_specs())
    with Progress("lowered") as progress:
        each = progress.over(map(lowering.fingerprints, specs), len(specs), name=_name)
        return {key: programs for found in each for key, programs in found.items()}


def _name(found: Lines) -> str:
    """Return the initializer that was lowered: what its lines begin with."""
    return next(iter(found), "").partition(" ")[0]
