"""What goes wrong with reports, apart from what they say."""

from __future__ import annotations

from pathlib import Path


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
