"""`conformance gate --from X --to Y`: can we take the new release?"""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.cases.selection import select
from conformance.cli.arguments.gate import SELECTION
from conformance.cli.compare import report
from conformance.cli.progress import Progress
from conformance.core.settings import require_usual_compiler
from conformance.observe import environment
from conformance.observe.child import flax_keys
from conformance.run import options
from conformance.run.interruption import telling_what_is_kept
from conformance.upgrade import gate
from conformance.upgrade.policy import load_policy
from conformance.upgrade.recordings import Asked
from conformance.upgrade.releases import Registry, parse_side

KEPT = "what was recorded is kept, and the same command goes on from there"
"""Said of an interruption: environments and recordings are in the user's cache."""


def run(arguments: argparse.Namespace) -> int:
    """Record both sides, compare, and report; FAILED when something drifted beyond the policy."""
    require_usual_compiler(environment.ambient(), "a gate")
    policy = load_policy(arguments.policy, arguments.max_drift)
    catalogue = load_catalogue()
    registry = registry_from(arguments)
    asked = asked_from(arguments, catalogue)
    texts = (arguments.before, arguments.after)
    before, after = (parse_side(text, arguments.package, registry) for text in texts)
    request = gate.Gate(
        sides=(before, after), asked=asked, registry=registry, extra=extra_from(arguments)
    )
    with telling_what_is_kept(lambda: KEPT), Progress() as progress:
        verdict = gate.run(request, catalogue, policy, datetime.date.today(), progress.say)
    return report(verdict, arguments, notes=gate.notes(request, verdict))


def registry_from(arguments: argparse.Namespace) -> Registry:
    """Return where releases come from."""
    return Registry(index=arguments.index, pre=arguments.pre)


def asked_from(arguments: argparse.Namespace, catalogue: Catalogue) -> Asked:
    """Return what is to be recorded.

    Raises:
        SelectionError: the selection is none.
    """
    if arguments.target:
        return Asked(target=arguments.target, timeout_s=arguments.case_timeout)
    if arguments.package == "flax" and not any(getattr(arguments, name) for name in SELECTION):
        # Flax takes its initializers from JAX; what is its own is how it derives their keys.
        return Asked(target=flax_keys.TARGET)
    selection = options.selection_here(options.read_arguments(arguments))
    return Asked(cases=tuple(select(catalogue, selection)), timeout_s=arguments.case_timeout)


def extra_from(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the requirements of the target; folders and files by their whole path."""
    return tuple(
        str(Path(text).absolute()) if Path(text).exists() else text for text in arguments.extra
    )
