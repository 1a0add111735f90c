"""Accept today's trees as goldens: `python -m conformance.curate.flax_trees --reason "..."`."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.core.errors import GoldenError
from conformance.core.inventory import changing
from conformance.core.paths import shipped
from conformance.core.records import Outcome, Raised
from conformance.flax import store
from conformance.flax.layers import PARAM_DTYPES
from conformance.flax.observe import installed_layers, on_cpu, tree
from conformance.observe import environment


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what changes, old -> new, and replace the goldens."""
    parser = argparse.ArgumentParser(prog="python -m conformance.curate.flax_trees")
    parser.add_argument("--reason", required=True, help="why the new values are right")
    parser.add_argument("--golden", type=Path, default=shipped(), help="golden folder")
    options = parser.parse_args(arguments)
    if not options.reason.strip():
        parser.error("--reason is empty: say why the new values are right")
    with on_cpu():
        new = observed()
    provenance = _provenance(options.reason)
    with changing(options.golden, _say_waiting):
        for line in changes(_old(options.golden), new):
            print(line)  # noqa: T201 (a command line prints)
        store.save(options.golden, new, provenance)
    return 0


def _say_waiting(holder: str) -> None:
    print(f"waiting: the golden set is being changed by {holder}")  # noqa: T201


def observed() -> dict[str, Outcome]:
    """Return today's outcome of every parameter of every layer in every dtype."""
    return {
        name: outcome
        for layer in installed_layers()
        for dtype in PARAM_DTYPES
        for name, outcome in store.outcomes_of(layer.name, dtype, tree(layer, dtype)).items()
    }


def changes(old: Mapping[str, Outcome], new: Mapping[str, Outcome]) -> list[str]:
    """Return one line for each entry that comes, goes or changes, and a count of the rest."""
    lines = [f"new      {name}" for name in sorted(set(new) - set(old))]
    lines += [f"gone     {name}" for name in sorted(set(old) - set(new))]
    both = sorted(set(old) & set(new))
    changed = [name for name in both if _digest(old[name]) != _digest(new[name])]
    lines += [f"changed  {name}: {_digest(old[name])} -> {_digest(new[name])}" for name in changed]
    return [*lines, f"{len(both) - len(changed)} entries stay as they were"]


def _digest(outcome: Outcome) -> str:
    if isinstance(outcome, Raised):
        return f"raises {outcome.exception}"
    return f"{outcome.dtype}{list(outcome.shape)} {outcome.sha256[:12]}"


def _old(folder: Path) -> dict[str, Outcome]:
    try:
        return store.load(folder)
    except GoldenError:
        return {}  # a damaged file cannot say what changes; everything is then shown as new


def _provenance(reason: str) -> dict[str, Any]:
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    captured = environment.capture(("cpu",))
    return {"reason": reason, "date": today, "environment": dataclasses.asdict(captured)}


if __name__ == "__main__":
    sys.exit(main())
