"""What this package raises, and what a command's exit code says, in one place."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar

N_SHOWN = 80
"""Characters of a wrong value that a message shows."""


N_NAMES = 12
"""Known values that a message lists; commands list all."""


class ExitCode(enum.IntEnum):
    """How a command ended, in the order of precedence: of several, the first one is told."""

    TERMINATED = 143  # as shells have it: 128 and the signal's number
    INTERRUPTED = 130
    USAGE = 4
    FAILED = 1
    MISSING = 3
    EMPTY = 5
    OK = 0

    @classmethod
    def of(
        cls,
        *,
        terminated: bool = False,
        interrupted: bool = False,
        failed: bool = False,
        missing: bool = False,
        empty: bool = False,
    ) -> ExitCode:
        """Return the code of a command of which all this is true; OK if nothing is."""
        facts = {
            cls.TERMINATED: terminated,
            cls.INTERRUPTED: interrupted,
            cls.FAILED: failed,
            cls.MISSING: missing,
            cls.EMPTY: empty,
        }
        return next((code for code in cls if facts.get(code)), cls.OK)

    @classmethod
    def first(cls, *codes: int) -> ExitCode:
        """Return of several codes the one that is told."""
        return next(code for code in cls if code in codes)


class ConformanceError(Exception):
    """What somebody outside this program can put right: its message is one clear line.

    Any other exception is a defect of this program.
    """

    exit_code: ClassVar[ExitCode]


class WrongCall(ConformanceError, ValueError):
    """What was asked for cannot be meant: the caller changes the call."""

    exit_code = ExitCode.USAGE


class Absent(ConformanceError):
    """A file, a device or a package is not there or not whole, so that nothing is known."""

    exit_code = ExitCode.MISSING


# --- Wrong calls ---------------------------------------------------------------------------------
class SelectionError(WrongCall):
    """What was asked for names something unknown, contradicts itself, or selects nothing."""


class EmptySelection(SelectionError):
    """Every value asked for is known, and yet no case has them all."""

    exit_code = ExitCode.EMPTY


class CatalogueError(WrongCall):
    """A registration cannot be taken as it is, or nothing is registered by that name."""


class LedgerError(WrongCall):
    """The ledger cannot be read as meant; the message names file, entry and field."""


class PolicyError(WrongCall):
    """The policy cannot be read as meant; the message names file, entry and field."""


class StagingError(WrongCall):
    """What was asked for does not fit the state of the golden set. Nothing has changed."""


class TargetError(WrongCall):
    """The target is no model that can be audited; the message says what it is instead."""


class UnknownTarget(WrongCall):
    """No such device to compile for, or the compiler refuses its description."""


class NoTest(WrongCall):
    """A recording says nothing of what was predicted: it is of something else."""


class LooserBudget(WrongCall):
    """A measured error exceeds the stored one, and no reason was given."""


# --- What is absent ------------------------------------------------------------------------------
class StoreError(Absent):
    """A file of ours is missing, damaged, contradictory or of another schema: file, fault, way out.

    A command that reads several kinds of them catches this one.
    """


class GoldenError(StoreError):
    """The file belongs to a golden set or to a recording."""


class BudgetError(StoreError):
    """The budgets cannot be read, or lack what was asked for; the message says how to measure."""


class MissingBudget(BudgetError):
    """No sweep has measured this backend, family and dtype; the message says how to."""


class ProgramError(StoreError):
    """The accepted programs, lowered or compiled, cannot be read."""


class JournalError(StoreError):
    """The journal could not be written any further; `resume` goes on with it."""


class ReportError(Absent):
    """A report cannot be written or read; the message names the file and the way out."""


class BackendUnavailable(Absent, RuntimeError):
    """A backend that was asked for is not there. Never a reason to skip: the run fails."""


class InitializerUnavailable(Absent, RuntimeError):
    """The namespace that holds an initializer is not installed, or an earlier release of it is."""


class FleetUnavailable(BackendUnavailable):
    """The cluster, or a resource of it, is not there; the message says what is, and the way out."""


class WorkerGone(Absent):
    """A worker ended where no case is to blame, or one in its place would do other cases.

    Or it ended in the one thing that it was to do, as in a target: nothing else is there to keep.
    """


class CompilerAbsent(Absent, RuntimeError):
    """The compiler of a platform does not run here; the message says what to do."""


class PackageBroken(Absent):
    """A package that this program needs is missing, or installed and cannot be imported."""


class SideError(Absent, RuntimeError):
    """One side cannot be had: no release list, no solution, no environment, or it crashed.

    The message says which side, why, and what to do; the other side's work is kept.
    """


class UnknownRelease(SideError, WrongCall):
    """The release that was asked for does not exist."""

    exit_code = ExitCode.USAGE


# --- What is wrong with an initializer -----------------------------------------------------------
class UnfitForBudget(ConformanceError, ValueError):
    """A sweep failed more than its budget, so its errors must not become one."""

    exit_code = ExitCode.FAILED


class NotElementwise(ValueError):
    """The initializer is no function of one random word per element, for the stated reason."""


class SweepError(RuntimeError):
    """The initializer raised, or returned something else than was asked for, on the lattice."""


class Malformed(ValueError):
    """A value of a document is not what its place needs; whoever reads it knows the file.

    place: names of the fields that lead to it, and numbers of entries, outermost first.
    """

    def __init__(self, fault: str, place: tuple[str, ...] = ()) -> None:
        super().__init__(fault)
        self.fault = fault
        self.place = place

    @classmethod
    def value(cls, value: object, needed: str) -> Malformed:
        """Return the fault of a value that is something else than was needed."""
        shown = repr(value)
        cut = shown if len(shown) <= N_SHOWN else f"{shown[:N_SHOWN]}..."
        return cls(f"{cut} is not {needed}")

    def within(self, *names: str) -> Malformed:
        """Return the same fault, seen from the value that holds this one under the names."""
        return Malformed(self.fault, (*names, *self.place))

    def __str__(self) -> str:
        place = ", ".join(self.place).replace(", #", " #")
        return ": ".join(filter(None, (place, self.fault)))


# --- Interruptions -------------------------------------------------------------------------------
class Terminated(KeyboardInterrupt):
    """SIGTERM: whoever tidies up after Ctrl-C does so after this one too."""


class UnfinishedRunWarning(UserWarning):
    """A run that was read left rows but never its closing reports."""


# --- Messages ------------------------------------------------------------------------------------
def unknown(
    kind: str, value: str, known: Iterable[str], *, within: str = "", meant: Iterable[str] = ()
) -> str:
    """Return the message for a value that is not among the known ones, with the nearest of them.

    within: the longer text that holds the value. meant: what the value is another name of.
    """
    known = list(known)
    told = f"{kind} {value!r}" + (f" in {within!r}" if within else "") + " is unknown"
    if near := list(meant) or nearest(value, known):
        return f"{told}: did you mean {' or '.join(near)}?"
    return f"{told}: choose from {listed(known)}"


def listed(names: Iterable[str]) -> str:
    """Return the names in order, those beyond the first N_NAMES as a number."""
    known = sorted(names)
    rest = f" and {len(known) - N_NAMES} more" if len(known) > N_NAMES else ""
    return f"{', '.join(known[:N_NAMES])}{rest}"


def nearest(value: str, known: Iterable[str]) -> list[str]:
    """Return the known values that look most like this one, its case and wildcards left out."""
    import difflib

    wanted, by_lower = value.strip("*?").lower(), {name.lower(): name for name in known}
    if wanted in by_lower:
        return [by_lower[wanted]]
    return [by_lower[name] for name in difflib.get_close_matches(wanted, by_lower, n=3)]


def no_reason() -> StagingError:
    """Return the error that nobody said why goldens change."""
    return StagingError("no reason is given: say by --reason why the goldens change")


def cannot_write(path: Path, error: OSError, option: str = "") -> ReportError:
    """Return the error that says why a report was not written, and what to do.

    option: what chooses the place, where that is not the option that named it.
    """
    reason = error.strerror or str(error)
    choice = f" with {option}" if option else ""
    return ReportError(
        f"reports cannot be written to {path}: {reason}. "
        f"Free or permit that place, or choose another{choice}"
    )
