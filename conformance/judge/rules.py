"""The checks that every case goes through, one line a file, and the ledger of what is known."""

from __future__ import annotations

import functools
from pathlib import Path

from conformance.core.paths import LEDGER
from conformance.core.records import DriftClass
from conformance.judge import ledger
from conformance.judge.checks.base import Check, Evidence
from conformance.judge.checks.contract import check_contract, check_repeatable
from conformance.judge.checks.moments import check_moments
from conformance.judge.checks.oracle import check_oracle
from conformance.judge.checks.statistics import check_statistics
from conformance.judge.checks.structure import check_structure
from conformance.judge.checks.values import values_check
from conformance.judge.law import checks as law
from conformance.judge.ledger import Ledger


@functools.cache
def default_checks(max_drift: DriftClass) -> tuple[Check[Evidence], ...]:
    """Return the checks of a run whose policy lets drift up to `max_drift` pass."""
    return (
        check_contract,
        check_repeatable,
        values_check(max_drift),
        check_oracle,
        check_structure,
        check_moments,
        check_statistics,
    )


NAMES = (*(check.name for check in default_checks(DriftClass.IDENTICAL)), *law.NAMES)
"""What a limitation may announce: the checks of cases, and those of laws."""


def load_ledger(path: Path = LEDGER) -> Ledger:
    """Return the ledger in a TOML file, whose entries announce checks that there are.

    Raises:
        LedgerError: see `ledger.load`.
    """
    return ledger.load(path, NAMES)
