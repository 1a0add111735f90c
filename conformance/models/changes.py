"""What changes between two audits of one model, say under two releases of JAX, and by what class.

Where the values were kept, the judge of the gate tells the class. Without them equal digests are
equal values, and values that the oracle confirms on both sides, all of them, from one key and one
law, differ by roundings.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

from conformance.core.errors import StoreError
from conformance.core.reading import read_file
from conformance.core.records import Outcome
from conformance.core.versions import AUDIT
from conformance.judge.drift import classify
from conformance.models.audit import Audit, Audited

PASSING = ("identical", "rounding")
"""Classes that leave the model as it was, as everywhere."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How one parameter changed.

    drift: a class of `conformance.judge.drift`, or `added` or `removed`. told: what is other.
    """

    path: str
    drift: str
    told: str

    @property
    def is_passing(self) -> bool:
        """Return whether a policy lets it pass that nobody stated."""
        return self.drift in PASSING


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    """An audit as its JSON document holds it."""

    n_faults: int
    framework: str
    seed: int
    is_abstract: bool
    is_partitionable: bool
    versions: str
    parameters: tuple[Audited, ...]
    outlived: tuple[str, ...]


def load_audit(path: Path) -> Audit:
    """Return an audit that `--json` wrote.

    Raises:
        StoreError: it cannot be read as one.
    """
    way_out = "write it anew with `conformance audit TARGET --json FILE`"
    found = read_file(_Document, path, AUDIT, error=StoreError, way_out=way_out)
    fields = [each.name for each in dataclasses.fields(Audit)]
    return Audit(**{name: getattr(found, name) for name in fields})


Pairs = Callable[[str], tuple[Outcome, Outcome] | None]
"""By path, what a parameter was and what it is, where both are at hand."""


def _no_values(path: str) -> None:
    del path


def changes(before: Audit, now: Audit, pairs: Pairs = _no_values) -> tuple[Change, ...]:
    """Return what changed, by path; parameters that are identical are left out.

    Where values are at hand they are judged as the gate judges those of two releases; the programs
    then say why. Of digests alone only what the programs and the oracle say is known.
    """
    old = {each.path: each for each in before.parameters}
    new = {each.path: each for each in now.parameters}
    found = []
    for path in sorted(old | new):
        if path not in new:
            found.append(Change(path=path, drift="removed", told="not there any more"))
        elif path not in old:
            found.append(Change(path=path, drift="added", told="was not there"))
        else:
            is_layout = before.is_partitionable != now.is_partitionable
            pair = pairs(path)
            drift, told = (
                _class_of_values(*pair, old[path], new[path], is_other_layout=is_layout)
                if pair
                else _class(old[path], new[path], is_other_layout=is_layout)
            )
            found.append(Change(path=path, drift=drift, told=told))
    return tuple(each for each in found if each.drift != "identical")


def _class_of_values(
    was: Outcome, now: Outcome, old: Audited, new: Audited, *, is_other_layout: bool
) -> tuple[str, str]:
    drift = classify(now, was)
    kind, why = _by_programs(old, new, is_other_layout=is_other_layout)
    told = (drift.detail, f"{drift.extent} elements differ", why if kind else "")
    return drift.drift_class.value, "; ".join(filter(None, told))


def _by_programs(old: Audited, new: Audited, *, is_other_layout: bool) -> tuple[str, str]:
    """Return the class of what is other in the programs, and what it is; ("", "") if nothing is."""
    # Four digits of the scale: releases round its last ones otherwise.
    if old.formula != new.formula:
        return "law", f"{old.formula}, now {new.formula}"
    if old.key != new.key:
        return "stream", f"key {old.key}, now {new.key}"
    if is_other_layout and new.key:
        return "stream", "jax_threefry_partitionable is other: one key gives other words"
    return "", ""


def _class(old: Audited, new: Audited, *, is_other_layout: bool) -> tuple[str, str]:
    if (old.shape, old.dtype) != (new.shape, new.dtype):
        return "structural", f"{old.shape} {old.dtype}, now {new.shape} {new.dtype}"
    if old.digest and old.digest == new.digest:
        return "identical", ""
    drift, told = _by_programs(old, new, is_other_layout=is_other_layout)
    if drift:
        return drift, told
    if not (old.digest and new.digest):
        return "identical" if old.draw == new.draw else "stream", "by the programs alone"
    n = math.prod(new.shape)
    if all(each.n_compared == n and not each.faults for each in (old, new)):
        return "rounding", f"{old.n_equal} and {new.n_equal} of {n} as rounded here"
    return "unknown", "other values, of which no oracle confirms all: --keep FOLDER keeps them"
