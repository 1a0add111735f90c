"""Changed defaults: whether a setting of the second release brings the first one's numbers back.

Both sides run with the same variables, so a setting of JAX that differs between them has another
default. Whether that is the reason is not told by a table: the second side is asked again with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from conformance.cases.catalogue import Catalogue
from conformance.core.records import DriftClass, Environment
from conformance.core.settings import DEFAULT_CONFIG
from conformance.core.words import counted
from conformance.store.read import Store
from conformance.upgrade.compare import Comparison, compare_stores, key_of
from conformance.upgrade.environments import Plan
from conformance.upgrade.recordings import Asked, Say, record_sides

NOT_THE_REASON = "brings none of the old bits back (tried): not the reason"

CHANGED = frozenset(DriftClass) - {DriftClass.IDENTICAL, DriftClass.CONTRACT}
"""What another value of a setting may undo; whether a call raises is left to the contract."""


def changed_defaults(before: Environment, after: Environment) -> dict[str, tuple[str, str]]:
    """Return the settings that both sides know and that differ, with both values."""
    common = [name for name in DEFAULT_CONFIG if name in before.config and name in after.config]
    values = {name: (before.config[name], after.config[name]) for name in common}
    return {name: both for name, both in values.items() if both[0] != both[1]}


def tried(
    comparison: Comparison,
    before: Store,
    plan: Plan,
    asked: Asked,
    catalogue: Catalogue,
    *,
    say: Say,
    passing: Path,
) -> Iterator[str]:
    """Yield for each changed default what became of the drift when it was set as it was.

    before: what the first side returned. plan: of the second side. asked: of both.

    Raises:
        SideError: the second side cannot be recorded again.
    """
    drifted = [pair for pair in comparison.pairs if pair.drift.drift_class in CHANGED]
    if not drifted:
        return
    keys = tuple(map(key_of, drifted))
    for name, (old, new) in changed_defaults(*comparison.environments).items():
        setting = f"{name.upper()}={old}"
        say(f"{comparison.after}: recording again what drifted with {setting}")
        (store,) = record_sides([plan], asked.under(setting, keys), say, passing)
        again = compare_stores(
            before, store, catalogue, names=(comparison.before, comparison.after), only=keys
        )
        n_back = again.counts()[DriftClass.IDENTICAL]
        total = counted(len(drifted), comparison.unit)
        told = f"brings the old bits back in {n_back} of {total} that drifted (tried)"
        yield (
            f"the default of {name} changed from {old} to {new}: {setting} "
            f"{told if n_back else NOT_THE_REASON}"
        )
