"""One test a case: collected by `pytest conformance`, made of what the options select."""

from __future__ import annotations

import pytest

from conformance.core.ids import Case
from conformance.pytest_plugin import ROW, SESSION
from conformance.report.rows import to_json
from conformance.run.session import Session


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one item of every selected case."""
    cases = metafunc.config.stash[SESSION].cases
    metafunc.parametrize("case", cases, ids=[case.id for case in cases])


def test_case(case: Case, conformance_session: Session, request: pytest.FixtureRequest) -> None:
    """The initializer returns what it must: contract, golden, oracle, law and structure."""
    result, row = conformance_session.evaluate(case)
    request.node.user_properties.append((ROW, to_json(row)))

    if text := conformance_session.failure_text(result, row.rerun):
        pytest.fail(text, pytrace=False)
