"""`conformance explain CASE`: a case from its words to its verdict, in numbers."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence

from conformance.cases.builtin import load_catalogue
from conformance.cases.selection import Selection, select
from conformance.cli.output import tell, write_all
from conformance.core.errors import ExitCode
from conformance.core.settings import unusual
from conformance.core.versions import EXPLANATION
from conformance.observe import environment
from conformance.observe.process import force_host_devices
from conformance.run import options
from conformance.run.explain import Explanation, explanation


def run(arguments: argparse.Namespace) -> int:
    """Run the case here and print every stage; that it differs is no failure of this command."""
    catalogue = load_catalogue()
    selection = Selection(cases=(arguments.case,))
    (case,) = select(catalogue, selection)
    if options.may_shard(selection):
        force_host_devices()
    notes = unusual(environment.capture())
    found = explanation(case, catalogue)
    files = tell(
        arguments,
        lambda _: "\n".join([*(f"note: {line}" for line in notes), *found.lines(), ""]),
        json=lambda: to_json(found, notes),
    )
    return ExitCode.first(ExitCode.OK, write_all(files))


def to_json(found: Explanation, notes: Sequence[str]) -> str:
    """Return the explanation as one JSON document. notes: on unusual settings."""
    document = {**dataclasses.asdict(found), "unusual": list(notes)}
    return json.dumps(EXPLANATION.stamped(document), indent=1) + "\n"
