"""Known limitations: what is wrong today, why, and what exactly is expected to happen.

An entry excuses nothing it does not name. A case that an entry covers must fail just the checks
that the entry lists, with the outcome that it states; when one of them passes, the entry has
outlived the defect and the case fails until the entry is deleted.

What is wrong and shows in no case is a finding, held to what happens in the same way.
"""

from __future__ import annotations

import builtins
import dataclasses
import difflib
import fnmatch
import functools
import math
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from conformance.cases.backends import installed
from conformance.core.errors import LedgerError, unknown
from conformance.core.formats import DTYPES
from conformance.core.ids import LATTICE, PRNGS, STRATA, TRANSFORMS, Case
from conformance.core.paths import LEDGER
from conformance.core.reading import naming, record, toml
from conformance.core.records import VALUES, CheckResult, Observation, Raised, Status

LIKENESS = 0.75
"""Of two names, by `difflib`: one letter more, less or other, or two swapped, in four and more."""

EXCEPTIONS = (
    *(name for name, kind in vars(builtins).items() if isinstance(kind, type)),
    *("JaxRuntimeError", "XlaRuntimeError", "SpecError", "UnsupportedOperation", "UnsupportedPtx"),
)
"""Exceptions that initializers are known to raise: Python's own, XLA's, and this package's."""

SHIPPED = "shipped"
"""What a ledger extends that adds to the entries of this package."""

FIGURE_TOLERANCE = 0.01
"""Figures are stated to three digits; a hundredth covers what backends differ in the last."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Limitation:
    """One known defect outside this project.

    The predicate: `initializer` are glob patterns; an empty tuple of `dtype`, `backend`,
    `transform`, `prng` or `empty` matches all; `jax` is a version specifier, `empty` restricts to
    arrays without (True) or with (False) elements. It speaks only of calls that the definition
    wants to return an array, not of those that must be refused anyway.
    first: JAX raises this before it looks at anything else. So the entry stands in the place of all
        others that cover the case, and speaks of calls that must be refused anyway, too.
    checks: the checks that fail. also: those that fail where the sample happens to show the defect;
        `checks` may be empty then, and another entry must tell when the defect is gone.
    outcome: "raises X", or "" when an array is returned.
    figures: metrics of the checks that fail, as measured; within FIGURE_TOLERANCE they must still
        be so.
    """

    id: str
    initializer: tuple[str, ...]
    checks: tuple[str, ...]
    reason: str
    link: str
    outcome: str = ""
    also: tuple[str, ...] = ()
    dtype: tuple[str, ...] = ()
    backend: tuple[str, ...] = ()
    transform: tuple[str, ...] = ()
    prng: tuple[str, ...] = ()
    jax: str = ""
    empty: bool | None = None
    first: bool = False
    figures: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def covers(self, case: Case) -> bool:
        """Return whether the predicate holds for the case, whatever the JAX version."""
        problem = case.problem
        return (  # patterns last: they take longest
            (not self.dtype or problem.dtype in self.dtype)
            and (not self.backend or case.backend in self.backend)
            and (not self.transform or case.transform in self.transform)
            and (not self.prng or problem.prng in self.prng)
            and (self.empty is None or self.empty == (math.prod(problem.shape) == 0))
            and any(fnmatch.fnmatchcase(problem.initializer, name) for name in self.initializer)
        )

    def holds_for(self, jax_version: str) -> bool:
        """Return whether this JAX is one of those the defect is known in."""
        return _is_within(self.jax, jax_version)


@functools.lru_cache(maxsize=256)
def _is_within(specifier: str, version: str) -> bool:
    from packaging.specifiers import SpecifierSet  # absent where only recordings are made
    from packaging.version import Version

    return SpecifierSet(specifier, prereleases=True).contains(Version(version))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Where JAX or Flax is not as its documentation says, or not as a user would expect.

    It excuses nothing: it states the exact outcome that is seen today, in words that a test
    compares. The test reports it as an expected failure, and fails as soon as the outcome is
    another.
    promised: the outcome that the documentation, or symmetry, promises. observed: today's outcome.
    """

    id: str
    promised: str
    observed: str
    reason: str
    link: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ledger:
    """All limitations and findings, in the order of the file."""

    limitations: tuple[Limitation, ...]
    findings: tuple[Finding, ...] = ()

    def finding(self, name: str) -> Finding | None:
        """Return the finding of that id, or None."""
        return next((each for each in self.findings if each.id == name), None)

    @functools.cached_property
    def _of_dtype(self) -> Mapping[str, tuple[Limitation, ...]]:
        """The limitations that can speak of a dtype, in their order: most are of few."""
        return {
            dtype: tuple(each for each in self.limitations if not each.dtype or dtype in each.dtype)
            for dtype in DTYPES
        }

    def matching(self, case: Case, jax_version: str) -> tuple[Limitation, ...]:
        """Return the limitations that this case must show.

        Of a call that must raise only those that say so: it returns nothing that the others could
        speak of. Where JAX raises one of them first, only that one: it does not come to the others.
        """
        found = tuple(
            entry
            for entry in self._of_dtype.get(case.problem.dtype, self.limitations)
            if entry.covers(case) and entry.holds_for(jax_version)
        )
        first = tuple(entry for entry in found if entry.first)
        return first or tuple(entry for entry in found if entry.outcome) or found

    def idle(self, cases: Iterable[Case]) -> tuple[Limitation, ...]:
        """Return the entries that cover none of the cases: typing errors, or leftovers."""
        remaining = list(self.limitations)
        for case in cases:
            remaining = [entry for entry in remaining if not entry.covers(case)]
            if not remaining:
                break
        return tuple(remaining)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    extends: str = ""
    limitation: tuple[Limitation, ...] = ()
    finding: tuple[Finding, ...] = ()


def apply(
    entries: tuple[Limitation, ...], observation: Observation, results: tuple[CheckResult, ...]
) -> tuple[CheckResult, ...]:
    """Return the results with every failure that the entries announce marked LIMITED.

    An announced failure or outcome that did not come is a failure of the check `ledger`.
    """
    if not entries:
        return results
    announced = {check: entry for entry in entries for check in (*entry.checks, *entry.also)}
    marked = tuple(
        dataclasses.replace(
            result,
            status=Status.LIMITED,
            message=_announcement(announced[result.check]),
        )
        if result.status is Status.FAILED and result.check in announced
        else result
        for result in results
    )
    limited = {result.check: result for result in marked if result.status is Status.LIMITED}
    stale = [_stale(entry, observation, limited, _unasked(marked)) for entry in entries]
    return marked + tuple(
        CheckResult(check="ledger", status=Status.FAILED, message=message)
        for message in stale
        if message
    )


def _announcement(entry: Limitation) -> str:
    return f"known limitation {entry.id}: {entry.reason}"


def _unasked(results: Iterable[CheckResult]) -> set[str]:
    """Return the checks of which nothing follows: that of values, where there can be no golden."""
    return {
        result.check
        for result in results
        if result.check == VALUES and result.status is Status.NOT_APPLICABLE
    }


def _stale(
    entry: Limitation,
    observation: Observation,
    limited: Mapping[str, CheckResult],
    unasked: Collection[str],
) -> str:
    outcome = observation.outcome
    happened = f"raises {outcome.exception}" if isinstance(outcome, Raised) else ""
    if happened != entry.outcome:
        return (
            f"limitation {entry.id} of ledger.toml expects that {observation.case.id} "
            f"{entry.outcome or 'returns an array'}, but it {happened or 'returned an array'}. "
            "Narrow or delete the entry"
        )
    missing = [check for check in entry.checks if check not in limited and check not in unasked]
    if missing:
        return (
            f"limitation {entry.id} of ledger.toml no longer happens: {observation.case.id} now "
            f"passes {', '.join(missing)}. Delete the entry or bound it by `jax`"
        )
    return _changed_figure(entry, observation, limited)


def _changed_figure(
    entry: Limitation, observation: Observation, limited: Mapping[str, CheckResult]
) -> str:
    shown = [check for check in (*entry.also, *entry.checks) if check in limited]
    found = {name: value for check in shown for name, value in limited[check].metrics.items()}
    for name, stated in entry.figures.items() if shown else ():
        value = found.get(name, math.nan)
        if not is_as_stated(value, stated):
            return (
                f"limitation {entry.id} of ledger.toml states {name} = {stated:g}, "
                f"but {observation.case.id} has {value:.3g}: it changed. Find out why, "
                "and restate the entry"
            )
    return ""


def is_as_stated(value: float, stated: float) -> bool:
    """Return whether a figure is still what an entry states; NaN never is."""
    return math.isclose(value, stated, rel_tol=FIGURE_TOLERANCE)


def load(path: Path = LEDGER, checks: Collection[str] = ()) -> Ledger:
    """Return the ledger in a TOML file, after the shipped entries if it says `extends = "shipped"`.

    checks: the names of all checks; none are known here, and without them any name is taken.

    Raises:
        LedgerError: not TOML, an unknown or missing field, a value of the wrong type or unknown, an
            invalid version specifier, or an id that is used twice.
    """
    way_out = "put it right; an entry is a [[limitation]] or a [[finding]] table"
    with naming(path, LedgerError, way_out):
        file = record(_File, toml(path))
    if file.extends not in ("", SHIPPED):
        raise LedgerError(
            f"{path}: extends = {file.extends!r} is not understood: write {SHIPPED!r} to add these "
            "entries to those of this package, or leave it out to have these instead"
        )
    if file.extends:
        below = load(LEDGER, checks)
        limitations, findings = below.limitations, below.findings
        file = _File(
            limitation=(*limitations, *file.limitation), finding=(*findings, *file.finding)
        )
    for kind, entries in (("limitation", file.limitation), ("finding", file.finding)):
        ids = [entry.id for entry in entries]
        if twice := [name for name in ids if ids.count(name) != 1]:
            raise LedgerError(f"{path}: {kind} id {twice[0]!r} is used twice")
    for limitation in file.limitation:
        if fault := _absent_value(limitation) or _unknown_value(limitation, checks):
            raise LedgerError(f"{path}: limitation {limitation.id}: {fault}")
    for finding in file.finding:
        if fault := _empty(finding, *(field.name for field in dataclasses.fields(Finding))):
            raise LedgerError(f"{path}: finding {finding.id}: {fault}")
    return Ledger(limitations=file.limitation, findings=file.finding)


def _absent_value(entry: Limitation) -> str:
    """Return what an entry must say and does not; "" if it says all."""
    if fault := _empty(entry, "id", "initializer", "reason", "link"):
        return fault
    return "" if entry.checks or entry.also else "checks is empty, and so is also"


def _empty(entry: Limitation | Finding, *names: str) -> str:
    return next((f"{name} is empty" for name in names if not getattr(entry, name)), "")


def _unknown_value(entry: Limitation, checks: Collection[str]) -> str:
    """Return which value of an entry is unknown, with the nearest known ones; "" if none is.

    Backends and exceptions may be of somebody else's: their names are refused only where they look
    like one that is known.
    """
    for kind, values, known in (
        ("dtype", entry.dtype, DTYPES),
        ("transform", entry.transform, TRANSFORMS),
        ("prng", entry.prng, (*PRNGS, LATTICE, STRATA)),
        ("check", (*entry.checks, *entry.also), checks),
    ):
        for value in values:
            if known and value not in known:
                return unknown(kind, value, list(known))
    for value in entry.backend:
        if looks_misspelt(value, backends := installed().names()):
            return unknown("backend", value, backends)
    word, _, exception = entry.outcome.partition(" ")
    if entry.outcome and not (word == "raises" and exception.isidentifier()):
        return f"outcome = {entry.outcome!r} is not understood: write 'raises X', or leave it out"
    if exception and looks_misspelt(exception, EXCEPTIONS):
        return unknown("exception", exception, list(EXCEPTIONS))
    if entry.first and not entry.outcome:
        return "first = true is of an exception: say outcome = 'raises X', or leave it out"
    return _invalid_specifier(entry.jax)


def _invalid_specifier(text: str) -> str:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        SpecifierSet(text)
    except InvalidSpecifier as error:
        return f"jax = {text!r}: {error}"
    return ""


def looks_misspelt(value: str, known: Collection[str]) -> bool:
    """Return whether the value is not known, but so like one that is that it must be meant."""
    return value not in known and bool(difflib.get_close_matches(value, known, cutoff=LIKENESS))
