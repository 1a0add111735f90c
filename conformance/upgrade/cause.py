"""By whose doing a case drifted.

JAX lowers it, XLA compiles what JAX lowers: proven by running what the old release lowered under
the new one. The old bits mean that the new release lowers something else, the new bits that it
compiles the same otherwise. Recordings alone tell it by the fingerprints of their programs, if they
are spelt alike. Outside of both lie the LAPACK that a program calls and the C library that folds
its constants: see `outside`.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

from conformance.core.words import counted


class Cause(enum.StrEnum):
    """Who changed."""

    LOWERING = "lowering"
    COMPILER = "compiler"
    BOTH = "both"
    LAPACK = "lapack"
    LIBC = "libc"
    UNKNOWN = "not known"

    @property
    def meaning(self) -> str:
        """The same in a sentence."""
        return MEANINGS[self]


MEANINGS = {
    Cause.LOWERING: "JAX lowers another program",
    Cause.COMPILER: "XLA compiles the same program otherwise",
    Cause.BOTH: "JAX lowers another program, and XLA compiles the old one otherwise",
    Cause.LAPACK: "the same program calls another LAPACK",
    Cause.LIBC: "XLA folded constants with another C library",
    Cause.UNKNOWN: "no proof",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The cause of the drift of one case, and how it is known, or why it is not."""

    cause: Cause
    proof: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """What a drifted case returned on both sides."""

    before: str
    after: str


def decide(
    digests: Digests,
    exported: tuple[Mapping[str, Any], Mapping[str, Any]],
    ran: Mapping[str, Any],
    names: tuple[str, str],
) -> Finding:
    """Return the cause; it is proven only if either side, replayed, returns its own bits again.

    exported: what each side answered: the digest of its own steps, or a reason. ran: the same of
    the second side about the first side's steps. names: of the sides.
    """
    before, after = names
    own = (digests.before, digests.after)
    for name, answer, expected in zip(names, exported, own, strict=True):
        if "reason" in answer:
            return unknown(f"{name} cannot export it: {answer['reason']}")
        if answer["sha256"] != expected:
            return unknown(
                f"exported, its programs return other bits under {name} than the call did"
            )
    if "reason" in ran:
        return unknown(f"{after} cannot run what {before} exported: {ran['reason']}")
    returned = f"under {after}, what {before} exported returns"
    if ran["sha256"] == digests.before:
        return Finding(cause=Cause.LOWERING, proof=f"{returned} the old bits")
    if ran["sha256"] == digests.after:
        return Finding(cause=Cause.COMPILER, proof=f"{returned} the new bits")
    return Finding(cause=Cause.BOTH, proof=f"{returned} neither the old bits nor the new ones")


def cause_by_programs(
    key: str, before: Mapping[str, str], after: Mapping[str, str]
) -> Finding | None:
    """Return what the fingerprints of lowered programs tell of one of them; None if they are not.

    Two releases may spell the same program otherwise, and then they spell all otherwise. So another
    text is another program only beside one that is spelt alike.
    """
    if key not in before or key not in after:
        return None
    if before[key] == after[key]:
        return Finding(cause=Cause.COMPILER, proof="both sides lower the same program")
    common = before.keys() & after.keys()
    n_alike = sum(before[other] == after[other] for other in common)
    if not n_alike:
        return unknown(f"spelt otherwise: all of {counted(len(common), 'lowered program')}")
    return Finding(
        cause=Cause.LOWERING,
        proof=f"the lowered program is another one, while {n_alike} of {len(common)} are the same",
    )


def unknown(reason: str) -> Finding:
    """Return that nothing can be told, and why."""
    return Finding(cause=Cause.UNKNOWN, proof=reason)
