"""The checks that every case goes through. One line here registers one file."""

from __future__ import annotations

from conformance.checks.base import Check
from conformance.checks.contract import check_contract, check_repeatable
from conformance.checks.independence import check_independence
from conformance.checks.moments import check_moments
from conformance.checks.oracle import check_oracle
from conformance.checks.structure import check_structure
from conformance.checks.values import values_check
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
