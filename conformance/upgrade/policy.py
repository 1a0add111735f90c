"""How much drift passes: for all, and by exception for some, with a reason and until a date.

[tool.conformance]
max-drift = "rounding"

[[tool.conformance.allow]]
initializer = "*_normal"          # or the path of a parameter; default: all
dtype = "bfloat16"                # default: all
max-drift = "transform"
reason = "we train in float32; bfloat16 is for export only"
expires = 2027-01-31              # optional; from that day on it no longer counts
"""

from __future__ import annotations

import dataclasses
import datetime
import fnmatch
from pathlib import Path
from typing import Any

from conformance.core.configuration import FILE_NAME, NAMES, TABLE
from conformance.core.errors import Malformed, PolicyError
from conformance.core.reading import NAMED, naming, record, toml
from conformance.core.records import DriftClass
from conformance.core.words import counted
from conformance.upgrade.compare import Comparison, Pair

MAX_DRIFT, ALLOW = "max-drift", "allow"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """More drift than usual, for what matches both patterns, for a reason, perhaps until a day."""

    initializer: str = "*"
    dtype: str = "*"
    max_drift: DriftClass = dataclasses.field(metadata={NAMED: MAX_DRIFT})
    reason: str
    expires: datetime.date | None = None

    def covers(self, pair: Pair) -> bool:
        """Return whether the pair matches, and its drift is within the allowance."""
        problem = pair.case.problem
        return (
            fnmatch.fnmatchcase(problem.initializer, self.initializer)
            and fnmatch.fnmatchcase(problem.dtype, self.dtype)
            and pair.drift.drift_class.rank <= self.max_drift.rank
        )

    def is_expired(self, today: datetime.date) -> bool:
        """Return whether the day has come from which it no longer counts."""
        return self.expires is not None and today >= self.expires


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DriftPolicy:
    """The worst class that passes, and the exceptions."""

    max_drift: DriftClass = dataclasses.field(
        default=DriftClass.ROUNDING, metadata={NAMED: MAX_DRIFT}
    )
    allowances: tuple[Allowance, ...] = dataclasses.field(default=(), metadata={NAMED: ALLOW})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A comparison judged by a policy on a day.

    beyond: pairs that nothing allows, worst first. acknowledged: pairs that only an exception
    allows, with it. expired: exceptions that would have helped, had their day not come.
    """

    comparison: Comparison
    policy: DriftPolicy
    beyond: tuple[Pair, ...]
    acknowledged: tuple[tuple[Pair, Allowance], ...]
    expired: tuple[Allowance, ...]

    @property
    def is_clean(self) -> bool:
        """Whether nothing drifted beyond the policy and no case was lost or not seen."""
        return not (self.beyond or self.is_incomplete)

    @property
    def is_incomplete(self) -> bool:
        """Whether a case has no verdict."""
        return bool(self.comparison.lost or self.comparison.unseen)

    @property
    def line(self) -> str:
        """The verdict in one line."""
        if self.comparison.is_test:
            return self._test_line
        counts = self.comparison.counts()
        classes = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        total = counted(len(self.comparison.pairs), self.comparison.unit)
        sides = f"{self.comparison.before} -> {self.comparison.after}"
        if self.is_clean:
            return f"CLEAN: {sides}: {total}: {classes}"
        missing = {"lost": self.comparison.lost, "not seen": self.comparison.unseen}
        lost = "".join(
            f", {counted(len(names), self.comparison.unit)} {how}"
            for how, names in missing.items()
            if names
        )
        if not self.beyond:
            return f"INCOMPLETE: {sides}: none of {total} beyond the policy{lost}: {classes}"
        return (
            f"DRIFT: {sides}: {len(self.beyond)} of {total} beyond "
            f"{self.policy.max_drift}{lost}: {classes}"
        )

    @property
    def _test_line(self) -> str:
        """The verdict on predictions, in one line."""
        deviations = [pair.deviation for pair in self.comparison.pairs if pair.deviation]
        exact = sum(not (one.n_open or one.n_decided) for one in deviations)
        opened = sum(bool(one.n_open and not one.n_decided) for one in deviations)
        n_lost, total = len(self.comparison.lost), counted(len(deviations), "case")
        lost = f"; {counted(n_lost, 'case')} not recorded" if n_lost else ""
        return (
            f"{'CONFIRMED' if self.is_clean else 'NOT CONFIRMED'}: {self.comparison.before} -> "
            f"{self.comparison.after}: {total}: {exact} as predicted, {opened} differ in open "
            f"elements only, {len(self.beyond)} refuted{lost}"
        )


def judge(comparison: Comparison, policy: DriftPolicy, today: datetime.date) -> Verdict:
    """Return the verdict on a comparison."""
    beyond, acknowledged, expired = [], [], []
    for pair in comparison.pairs:
        if _passes(pair, policy.max_drift):
            continue
        covering = [allowance for allowance in policy.allowances if allowance.covers(pair)]
        valid = [allowance for allowance in covering if not allowance.is_expired(today)]
        if valid:
            acknowledged.append((pair, valid[0]))
            continue
        beyond.append(pair)
        expired += covering
    return Verdict(
        comparison=comparison,
        policy=policy,
        beyond=worst_first(beyond),
        acknowledged=tuple(acknowledged),
        expired=tuple(dict.fromkeys(expired)),
    )


def _passes(pair: Pair, max_drift: DriftClass) -> bool:
    """Return whether the pair needs no exception: no drift refutes a prediction that permits it."""
    if pair.deviation is not None:
        return pair.deviation.n_decided == 0
    return pair.drift.drift_class.rank <= max_drift.rank


def worst_first(pairs: list[Pair]) -> tuple[Pair, ...]:
    """Return the pairs by class, then ULP at sigma, then name; the worst first."""
    return tuple(
        sorted(
            pairs,
            key=lambda pair: (
                -pair.drift.drift_class.rank,
                -(pair.drift.max_ulp_at_sigma or 0.0),
                pair.name,
            ),
        )
    )


def load_policy(named: Path | None, max_drift: str | None = None) -> DriftPolicy:
    """Return the policy of a TOML file.

    named: the file; without one it is pyproject.toml, and the default policy if there is none, or
        if it has no table of ours. max_drift: takes the place of the file's, if given.

    Raises:
        PolicyError: the file that is named is not there or has no such table, or is no TOML; or a
            key is unknown or has a wrong value.
    """
    path = named or Path(FILE_NAME)
    with naming(path, PolicyError, "see docs/upgrading.md for how a policy is written"):
        tables = _tables(path) if named or path.exists() else {}
        if named and TABLE not in tables:
            raise Malformed(f"it has no table [tool.{TABLE}]")
        table = record(dict[str, Any], tables.get(TABLE, {}))
        defaults = NAMES.keys() - {MAX_DRIFT}  # of options: see `core.configuration`
        policy = record(DriftPolicy, {key: table[key] for key in table if key not in defaults})
        for number, allowance in enumerate(policy.allowances, start=1):
            if not allowance.reason.strip():
                fault = Malformed.value(allowance.reason, "a reason: say why the drift passes")
                raise fault.within(ALLOW, f"#{number}", "reason")
    return dataclasses.replace(policy, max_drift=DriftClass(max_drift)) if max_drift else policy


def _tables(path: Path) -> dict[str, Any]:
    """Return the tables of all tools."""
    return record(dict[str, Any], toml(path).get("tool", {}))
