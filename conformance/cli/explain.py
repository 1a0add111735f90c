"""`conformance explain CASE`: a case from its words to its verdict, in numbers."""

from __future__ import annotations

import argparse

from conformance.cases.builtin import load_catalogue
from conformance.cases.selection import Selection, select
from conformance.core.errors import ExitCode
from conformance.core.settings import unusual
from conformance.observe import environment
from conformance.observe.process import force_host_devices
from conformance.run import options
from conformance.run.explain import explanation


def run(arguments: argparse.Namespace) -> int:
    """Run the case here and print every stage; that it differs is no failure of this command."""
    catalogue = load_catalogue()
    selection = Selection(cases=(arguments.case,))
    (case,) = select(catalogue, selection)
    if options.may_shard(selection):
        force_host_devices()
    for line in unusual(environment.capture()):
        print(f"note: {line}")
    print("\n".join(explanation(case, catalogue)))
    return ExitCode.OK
