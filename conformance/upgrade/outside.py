"""Causes outside of JAX and XLA: the LAPACK that a program calls, and the C library that folds.

Programs tell whether JAX or XLA changed. Where the program is the same, it may call another LAPACK:
proven by SciPy's own QR of the matrix that was drawn, under what each side recorded. Or XLA folded
its constants with another C library: proven by what both sides recorded of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from conformance.cases.catalogue import Catalogue
from conformance.core.causes import (
    is_lapack_known,
    known_libc_difference,
    lapack_difference,
    libc_difference,
)
from conformance.core.ids import Case
from conformance.core.laws import DeltaOrthogonal, Orthogonal, has_bounds, tall_shape
from conformance.core.records import COMPILED, DriftClass, Environment, Returned
from conformance.judge.checks.matrices import is_matrix
from conformance.observe.backends import open_backend
from conformance.observe.lowering import folding_key, program_key
from conformance.store.entries import TREE
from conformance.store.read import Store
from conformance.upgrade.cause import Cause, Finding, unknown
from conformance.upgrade.compare import ANY, Comparison, Pair, entry_of
from conformance.upgrade.qr import Factored
from conformance.upgrade.rerun import Interpreter, Rerun, rerun

LAPACK_PREFIX = "lapack_"
"""Begins the names by which jaxlib's CPU client calls LAPACK."""

BEFORE_LAPACK = ("key", "bits", "uniform", "unit")
"""Stages of an orthogonal matrix that no LAPACK had a hand in."""

QR = "SciPy's own QR of the same matrix"

XLA_SETTINGS = ("jax_", "xla_", "libtpu_")
"""How names of settings begin that JAX and XLA read, in lower case."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Both sides of a comparison: what they hold, and a Python to run SciPy of each with."""

    stores: tuple[Store, Store]
    catalogue: Catalogue
    interpreters: tuple[Interpreter, Interpreter]

    @property
    def environments(self) -> tuple[Environment, Environment]:
        """The environments of both."""
        before, after = self.stores
        return before.environment, after.environment

    @property
    def hosts(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """The facts of both hosts."""
        before, after = self.environments
        return before.host, after.host

    @property
    def is_same_jax(self) -> bool:
        """Whether both compile with the same JAX and XLA, with the same settings."""
        one, two = map(_compiler, self.environments)
        return one == two

    def recorded(self, field: str, key: str) -> tuple[Any, Any]:
        """Return what both provenances hold under a key of a field, None where nothing."""
        before, after = (store.latest.get(field, {}).get(key) for store in self.stores)
        return before, after

    def outcomes(self, case: Case) -> tuple[Returned, Returned] | None:
        """Return the arrays of both, None where one of them is none."""
        entries = [entry_of(store, case) for store in self.stores]
        before, after = (entry.outcome if entry else None for entry in entries)
        if isinstance(before, Returned) and isinstance(after, Returned):
            return before, after
        return None


def _compiler(environment: Environment) -> tuple[dict[str, str | None], dict[str, str]]:
    packages = {name: environment.packages.get(name) for name in ("jax", "jaxlib")}
    settings = {
        name: value
        for name, value in environment.config.items()
        if name.lower().startswith(XLA_SETTINGS)
    }
    return packages, settings


def explained(
    comparison: Comparison,
    stores: tuple[Store, Store],
    catalogue: Catalogue,
    interpreters: tuple[Interpreter, Interpreter] | None = None,
) -> Comparison:
    """Return the comparison with the causes outside of JAX and XLA, of all pairs that have one.

    interpreters: which have the SciPy of each side; by default the running one for both.
    """
    sides = Sides(
        stores=stores,
        catalogue=catalogue,
        interpreters=interpreters or (Interpreter(), Interpreter()),
    )
    causes = dict(comparison.causes)
    same = [pair for pair in comparison.pairs if _is_same_program(pair, causes, sides)]
    calling = [pair for pair in same if _is_rounding(pair) and calls_lapack(pair, sides)]
    for pair in same:
        if finding := folded_otherwise(pair, sides):
            causes[pair.name] = finding
    return dataclasses.replace(comparison, causes={**causes, **_lapack_findings(calling, sides)})


def _is_rounding(pair: Pair) -> bool:
    """Return whether a right LAPACK may be all that is other: two of them are rounding apart."""
    return pair.drift.drift_class is DriftClass.ROUNDING


def _is_same_program(pair: Pair, causes: Mapping[str, Finding], sides: Sides) -> bool:
    """Return whether a pair drifted, and not by another program.

    Of a parameter that is a Q it is enough that the same matrix was factored.
    """
    if pair.drift.drift_class in (DriftClass.IDENTICAL, DriftClass.CONTRACT):
        return False
    if pair.case.backend == TREE and is_matrix(pair.definition):
        before, after = sides.outcomes(pair.case) or (None, None)
        return before is not None and after is not None and before.drawn == after.drawn
    told = causes.get(pair.name)
    return sides.is_same_jax if told is None else told.cause is Cause.COMPILER


def _lead(sides: Sides) -> str:
    return "same JAX, other" if sides.is_same_jax else "same program, other"


# --- LAPACK --------------------------------------------------------------------------------------


def calls_lapack(pair: Pair, sides: Sides) -> bool:
    """Return whether the program calls LAPACK: as recorded, else as the definition has it."""
    if pair.case.backend not in ("cpu", ANY, TREE):
        return False
    recorded = [calls for calls in sides.recorded("calls", program_key(pair.case)) if calls]
    if recorded:
        return any(name.startswith(LAPACK_PREFIX) for calls in recorded for name in calls)
    return is_matrix(pair.definition)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A drifted case whose program calls LAPACK.

    digests: of what both sides returned. matrix: what is factored, None where nobody knows it.
    is_recorded: whether a side recorded the matrix; else it is what JAX draws here.
    """

    name: str
    digests: tuple[str, str]
    matrix: Factored | None
    is_recorded: bool


def _lapack_findings(pairs: list[Pair], sides: Sides) -> dict[str, Finding]:
    """Return the findings of the pairs that call LAPACK, but of those whose LAPACK is the same."""
    if is_lapack_known(*sides.hosts) and not lapack_difference(*sides.hosts):
        return {}
    suspects = [_suspect(pair, sides) for pair in pairs if pair.drift.stage not in BEFORE_LAPACK]
    matrices = {one.name: one.matrix for one in suspects if one.matrix}
    reruns = [
        rerun(matrices, host, interpreter)
        for host, interpreter in zip(sides.hosts, sides.interpreters, strict=True)
        if matrices
    ]
    lead = _lead(sides)
    return {one.name: told_by_lapack(one, reruns, sides.hosts, lead) for one in suspects}


def told_by_lapack(
    suspect: Suspect,
    reruns: Sequence[Rerun],
    hosts: tuple[Mapping[str, str], Mapping[str, str]],
    lead: str,
) -> Finding:
    """Return what the hosts' LAPACKs, and SciPy's QR under each of them, tell of one case.

    reruns: of both sides; none where nothing could be run. lead: begins the claim.
    """
    difference = lapack_difference(*hosts)
    returned = tuple(each.digests.get(suspect.name) for each in reruns)
    claim = f"{lead} {difference or 'LAPACK'}"
    if returned == suspect.digests:
        proof = "returns both sides' bits, under the LAPACK of each"
        return Finding(cause=Cause.LAPACK, proof=f"{claim}; {QR} {proof}")
    if not is_lapack_known(*hosts):
        where = f"on one side ({difference})" if difference else "on either side"
        return unknown(f"its program calls LAPACK, which is not recorded {where}")
    if _is_refuted(suspect, reruns):
        return unknown(f"{claim}; but {QR} returns other bits")
    obstacles = [each.obstacle for each in reruns if each.obstacle]
    obstacle = obstacles[0] if obstacles else "the matrix that was drawn is not recorded"
    return Finding(
        cause=Cause.LAPACK,
        proof=f"{claim}; told by what was recorded, not run again: {obstacle}",
    )


def _is_refuted(suspect: Suspect, reruns: Sequence[Rerun]) -> bool:
    """Return whether QR of the very matrix under the very LAPACK of a side returned other bits."""
    pairs = zip(suspect.digests, reruns, strict=False)
    return suspect.is_recorded and any(
        not each.obstacle and each.digests.get(suspect.name) != digest for digest, each in pairs
    )


def _suspect(pair: Pair, sides: Sides) -> Suspect:
    outcomes, definition = sides.outcomes(pair.case), pair.definition
    if outcomes is None or not isinstance(definition, Orthogonal | DeltaOrthogonal):
        return Suspect(name=pair.name, digests=("", ""), matrix=None, is_recorded=False)
    drawn = {outcome.drawn for outcome in outcomes if outcome.drawn is not None}
    recorded = next(iter(drawn)) if len(drawn) == 1 else None
    bits = recorded if drawn else _drawn_here(pair.case, sides)
    before, after = outcomes
    return Suspect(
        name=pair.name,
        digests=(before.sha256, after.sha256),
        matrix=_factored(pair.case, definition, bits) if bits else None,
        is_recorded=recorded is not None,
    )


def _drawn_here(case: Case, sides: Sides) -> bytes | None:
    """Return the bits of the matrix as JAX draws it here, None where it does not draw it apart.

    For recordings of before matrices were recorded.
    """
    spec = sides.catalogue.lookup(case.problem.initializer)
    eager = dataclasses.replace(case, backend="cpu", transform="eager")
    unit = open_backend("cpu").stage_arrays(eager, spec).get("unit")
    return None if unit is None else unit.tobytes()


def _factored(case: Case, definition: Orthogonal | DeltaOrthogonal, bits: bytes) -> Factored:
    rows, columns = tall_shape(case.problem.shape, definition)
    return Factored(
        dtype=case.problem.dtype,
        rows=rows,
        columns=columns,
        bits=bits,
        shape=case.problem.shape,
        column_axis=definition.column_axis,
        scale=definition.scale,
        is_central=isinstance(definition, DeltaOrthogonal),
    )


# --- The C library -------------------------------------------------------------------------------


def folded_otherwise(pair: Pair, sides: Sides) -> Finding | None:
    """Return what the constants that XLA folded tell of a drift; None if they tell nothing.

    Another constant under the same XLA is the C library's doing. Under another XLA it may be
    either's. Where constants are not recorded, another C library is told by what was recorded of
    the hosts, for programs that take erf of a bound.
    """
    before, after = sides.recorded("folded", folding_key(pair.case))
    difference = libc_difference(*sides.hosts)
    if before and after:
        call = next((name for name in before if _is_folded_otherwise(name, before, after)), None)
        if call is None:
            return None
        folding = f"XLA folds {call} to {before[call][0]} and to {after[call][0]}"
        if not sides.is_same_jax:
            reason = f"{folding}: its own doing, or the C library's ({difference})"
            return unknown(reason) if difference else None
        function = call.partition("(")[0]
        kernel = f"while its kernel computes {before[call][1]} on both"
        claim = f"same JAX, other {difference or 'C library'}, constants folded by {function}"
        return Finding(cause=Cause.LIBC, proof=f"{claim}: {folding}, {kernel}")
    known = known_libc_difference(*sides.hosts)
    if not (known and sides.is_same_jax and pair.case.transform in COMPILED):
        return None
    if not has_bounds(pair.definition):
        return None
    claim = f"same JAX, other {known}, constants folded by erf"
    return Finding(cause=Cause.LIBC, proof=f"{claim}: told by what was recorded, not the constants")


def _is_folded_otherwise(call: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Return whether both sides fold it, to other values, and compute it alike."""
    if call not in after:
        return False
    (one, computed), (two, computed_there) = before[call], after[call]
    return bool(one != two and computed == computed_there)
