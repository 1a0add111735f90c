"""What this package raises, in one place."""

from __future__ import annotations

from pathlib import Path


class LooserBudget(ValueError):  # noqa: N818 (says what was refused)
    """A measured error exceeds the stored one, and no reason was given."""


class NotElementwise(ValueError):  # noqa: N818 (says what the initializer is, not what went wrong)
    """The initializer is no function of one random word per element, for the stated reason."""


class SweepError(RuntimeError):
    """The initializer raised, or returned something else than was asked for, on the lattice."""


class LedgerError(ValueError):
    """The ledger cannot be read as meant; the message names file, entry and field."""


class GoldenError(Exception):
    """A store is missing, damaged, contradictory or of another schema: file, problem, way out."""


class MissingBudget(GoldenError):  # noqa: N818 (named like BackendUnavailable)
    """No sweep has measured this backend, family and dtype; the message says how to."""


class JournalError(GoldenError):
    """The journal could not be written any further; `resume` goes on with it."""


class SelectionError(ValueError):
    """What was asked for names something unknown, contradicts itself, or selects nothing."""


class StagingError(SelectionError):
    """What was asked for does not fit the state of the golden set. Nothing has changed."""


class EmptySelection(SelectionError):  # noqa: N818  # names what was selected
    """Every value asked for is known, and yet no case has them all."""


class CatalogueError(ValueError):
    """A registration cannot be taken as it is, or nothing is registered by that name."""


def unknown(kind: str, value: str, known: list[str]) -> str:
    """Return the message for a value that is not among the known ones, with the nearest of them."""
    import difflib

    near = difflib.get_close_matches(value, known, n=3, cutoff=0.5)
    hint = (
        f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(sorted(known))}"
    )
    return f"{kind} {value!r} is unknown: {hint}"


class TargetError(SelectionError):
    """The target is no model that can be audited; the message says what it is instead."""


class ReportError(Exception):
    """A report cannot be written or read; the message names the file and the way out."""


class UnfinishedRunWarning(UserWarning):
    """A run that was read left rows but never its closing reports."""


def cannot_write(path: Path, error: OSError) -> ReportError:
    """Return the error that says why a report was not written, and what to do."""
    reason = error.strerror or str(error)
    return ReportError(
        f"reports cannot be written to {path}: {reason}. "
        "Free or permit that place, or choose another with --reports DIR"
    )


class SideError(RuntimeError):
    """One side cannot be had: no release list, no solution, no environment, or it crashed.

    The message says which side, why, and what to do; the other side's work is kept.
    """


class UnknownRelease(SideError):  # noqa: N818  # names what was asked for
    """The release that was asked for does not exist: a wrong call."""


class BackendUnavailable(RuntimeError):  # noqa: N818  # names a state, not a mistake
    """A backend that was asked for is not there. Never a reason to skip: the run fails."""


class FleetUnavailable(BackendUnavailable):
    """The cluster, or a resource of it, is not there; the message says what is, and the way out."""
