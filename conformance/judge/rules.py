"""The checks that every case goes through, one line a file, and the ledger of what is known."""

from __future__ import annotations

from pathlib import Path

from conformance.core.paths import LEDGER
from conformance.core.records import DriftClass
from conformance.judge import ledger
from conformance.judge.checks.base import Check
from conformance.judge.checks.contract import CONTRACT, REPEATABLE, check_contract, check_repeatable
from conformance.judge.checks.independence import INDEPENDENCE, check_independence
from conformance.judge.checks.moments import MOMENTS, check_moments
from conformance.judge.checks.oracle import ORACLE, check_oracle
from conformance.judge.checks.structure import STRUCTURE, check_structure
from conformance.judge.checks.values import VALUES, values_check
from conformance.judge.law import checks as law
from conformance.judge.ledger import Ledger


def default_checks(max_drift: DriftClass) -> tuple[Check, ...]:
    """Return the checks of a run whose policy lets drift up to `max_drift` pass."""
    return (
        check_contract,
        check_repeatable,
        values_check(max_drift),
        check_oracle,
        check_structure,
        check_moments,
        check_independence,
    )


NAMES = (CONTRACT, REPEATABLE, VALUES, ORACLE, STRUCTURE, MOMENTS, INDEPENDENCE, *law.NAMES)
"""What a limitation may announce: the checks of cases, and those of laws."""


def load_ledger(path: Path = LEDGER) -> Ledger:
    """Return the ledger in a TOML file, whose entries announce checks that there are.

    Raises:
        LedgerError: see `ledger.load`.
    """
    return ledger.load(path, NAMES)
