"""Both sides recorded, compared and judged: can we take the new release?"""

from __future__ import annotations

import dataclasses
import datetime
import shlex

from conformance.cases.catalogue import Catalogue
from conformance.core.errors import SideError, UnknownRelease
from conformance.observe.child import flax_keys
from conformance.upgrade.defaults import tried
from conformance.upgrade.environments import Plan, solve
from conformance.upgrade.outside import explained
from conformance.upgrade.policy import DriftPolicy, Verdict, judge, worst_first
from conformance.upgrade.probes import causes
from conformance.upgrade.recordings import (
    Asked,
    Say,
    interpreters_of,
    passing_folder,
    record_sides,
)
from conformance.upgrade.releases import Registry, Side
from conformance.upgrade.whole import compared

UPGRADED = {
    "jax": ("jax", "jaxlib", "jax-cuda12-plugin", "jax-cuda13-plugin", "libtpu"),
    "flax": ("flax",),
}
"""What an upgrade of a package consists of."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What is compared, and how: see `run`.

    extra: requirements of the user's own code, installed on both sides.
    """

    sides: tuple[Side, Side]
    asked: Asked
    registry: Registry
    extra: tuple[str, ...] = ()

    def plans(self) -> tuple[Plan, Plan]:
        """Return what each side installs; the second takes over what it can from the first.

        Raises:
            SideError: a side cannot be solved; both are named where neither can.
            UnknownRelease: for want of such a release.
        """
        plans: list[Plan] = []
        failures: list[SideError] = []
        for side in self.sides:
            try:
                like = plans[0] if plans else None
                plans.append(
                    solve(side, self.registry, extra=self.extra, like=like, fresh=self.registry.pre)
                )
            except SideError as error:
                failures.append(error)
        if failures:
            is_wrong_call = any(isinstance(error, UnknownRelease) for error in failures)
            kind = UnknownRelease if is_wrong_call else SideError
            raise kind("\n".join(map(str, failures)))
        return plans[0], plans[1]


def run(
    gate: Gate, catalogue: Catalogue, policy: DriftPolicy, today: datetime.date, say: Say
) -> Verdict:
    """Return the verdict on the second side; record on both what was not recorded before.

    Where a digest differs and only a sample is kept, both sides are recorded again, whole. Of what
    drifted, the causes are asked too.

    Raises:
        SideError: a side cannot be installed, or crashed where no case is to blame.
        EmptySelection: no case is on both sides.
    """
    plans = gate.plans()
    with passing_folder() as passing:
        before, after = record_sides(plans, gate.asked, say, passing)
        names = (gate.sides[0].name, gate.sides[1].name)
        comparison = compared(
            plans, (before, after), gate.asked, catalogue, names=names, say=say, passing=passing
        )
        defaults = tuple(
            tried(comparison, before, plans[1], gate.asked, catalogue, say=say, passing=passing)
        )
        comparison = dataclasses.replace(comparison, defaults=defaults)
        if gate.asked.target is None:
            found = causes(comparison, (before, after), plans, say)
            comparison = dataclasses.replace(comparison, causes=found)
        comparison = explained(comparison, (before, after), catalogue, interpreters_of(plans))
    return judge(comparison, policy, today)


def notes(gate: Gate, verdict: Verdict) -> list[str]:
    """Return what a reader of the verdict must know: what else differs, and why."""
    lines = [note for side in gate.sides for note in side.notes]
    packages = [environment.packages for environment in verdict.comparison.environments]
    others = sorted({*packages[0], *packages[1]} - set(UPGRADED[gate.sides[1].package]))
    changed = [
        f"{name} {packages[0].get(name, 'absent')} -> {packages[1].get(name, 'absent')}"
        for name in others
        if packages[0].get(name) != packages[1].get(name)
    ]
    lines += [f"besides, these differ: {', '.join(changed)}"] if changed else []
    return [*lines, *_since_when(gate, verdict)]


def _since_when(gate: Gate, verdict: Verdict) -> list[str]:
    """Return the command that finds the release of the worst drift; none between no releases."""
    before, after = gate.sides
    drifted = worst_first(
        [pair for pair in verdict.comparison.pairs if pair.drift.drift_class.rank]
    )
    if not (drifted and before.version and after.version):
        return []
    words = ["conformance", "bisect", "--from", before.version, "--to", after.version]
    words += ["--package", after.package] if after.package != "jax" else []
    words += ["--pre"] if gate.registry.pre else []
    words += ["--index", gate.registry.index] if gate.registry.index else []
    if gate.asked.target is None:
        words += ["--case", drifted[0].name]
    elif gate.asked.target != flax_keys.TARGET:
        words += ["--target", gate.asked.target]
    for requirement in gate.extra:
        words += ["--with", requirement]
    words += ["--class", drifted[0].drift.drift_class.value]
    return [f"since which release: {shlex.join(words)}"]
