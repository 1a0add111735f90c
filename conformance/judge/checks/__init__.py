"""The checks that every case goes through. One line here registers one file."""

from __future__ import annotations

from pathlib import Path

from conformance import ledger
from conformance.checks import law
from conformance.checks.base import Check
from conformance.checks.contract import CONTRACT, REPEATABLE, check_contract, check_repeatable
from conformance.checks.independence import INDEPENDENCE, check_independence
from conformance.checks.moments import MOMENTS, check_moments
from conformance.checks.oracle import ORACLE, check_oracle
from conformance.checks.structure import STRUCTURE, check_structure
from conformance.checks.values import VALUES, values_check
from conformance.ledger import Ledger
from conformance.model import DriftClass


def default_checks(max_drift: DriftClass, golden_option: str = "") -> tuple[Check, ...]:
    """Return the checks of a run whose policy lets drift up to `max_drift` pass.

    golden_option: how commands name the set in use; see `golden.golden_option`.
    """
    return (
        check_contract,
        check_repeatable,
        values_check(max_drift, golden_option),
        check_oracle,
        check_structure,
        check_moments,
        check_independence,
    )


NAMES = (CONTRACT, REPEATABLE, VALUES, ORACLE, STRUCTURE, MOMENTS, INDEPENDENCE, *law.NAMES)
"""What a limitation may announce: the checks of cases, and those of laws."""


def load_ledger(path: Path = ledger.LEDGER) -> Ledger:
    """Return the ledger in a TOML file, whose entries announce checks that there are.

    Raises:
        LedgerError: see `ledger.load`.
    """
    return ledger.load(path, NAMES)
