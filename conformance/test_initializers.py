"""One test a case: collected by `pytest conformance`, made of what the options select."""

from __future__ import annotations

import pytest

from conformance.backends import BackendUnavailable
from conformance.golden import GoldenError
from conformance.model import Case
from conformance.pytest_plugin import FAULT, ROW, SESSION
from conformance.report.rows import to_json
from conformance.session import Session, failure_text


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one item of every selected case."""
    cases = metafunc.config.stash[SESSION].cases
    metafunc.parametrize("case", cases, ids=[case.id for case in cases])


def test_case(case: Case, conformance_session: Session, request: pytest.FixtureRequest) -> None:
    """The initializer returns what it must: contract, golden, oracle, law and structure."""
    if text := failure(case, conformance_session, request.node):
        pytest.fail(text, pytrace=False)


def failure(case: Case, session: Session, item: pytest.Item) -> str:
    """Evaluate the case, attach its row to the item, and return why it failed, or ""."""
    try:
        result, row = session.evaluate(case)
    except (BackendUnavailable, GoldenError) as error:
        item.user_properties.append((FAULT, str(error)))
        if isinstance(error, BackendUnavailable):
            item.session.shouldstop = str(error)
        return str(error)
    item.user_properties.append((ROW, to_json(row)))
    return failure_text(result, row.rerun)
