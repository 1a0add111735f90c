"""One test a case: collected by `pytest conformance`, made of what the options select."""

from __future__ import annotations

import pytest

from conformance.model import Case
from conformance.pytest_plugin import Session


def test_case(case: Case, conformance_session: Session, request: pytest.FixtureRequest) -> None:
    """The initializer returns what it must: contract, golden, law and structure."""
    if message := conformance_session.run(case, request.node):
        pytest.fail(message, pytrace=False)
