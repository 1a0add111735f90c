"""One test a case: collected by `pytest conformance`, made of what the options select."""

from __future__ import annotations

import pytest

from conformance.core.errors import GoldenError
from conformance.core.ids import Block, Case
from conformance.pytest_plugin import PLAIN, ROW, SESSION
from conformance.report import lots
from conformance.report.lots import Lots
from conformance.report.rows import to_json
from conformance.run.blocks import block_verdicts, first_of
from conformance.run.session import Session


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one item of every selected case, and of every block of a range of seeds."""
    session = metafunc.config.stash[SESSION]
    units = session.units
    metafunc.parametrize("case", units, ids=[unit.id for unit in units])


def test_case(
    case: Case | Block, conformance_session: Session, request: pytest.FixtureRequest
) -> None:
    """The initializer returns what it must: contract, golden, oracle, law and structure."""
    if isinstance(case, Block):
        _judge_block(case, conformance_session, request)
        return
    result, row = conformance_session.evaluate(case)
    request.node.user_properties.append((ROW, to_json(row)))

    if text := conformance_session.failure_text(result, row.rerun):
        pytest.fail(text, pytrace=False)


def _judge_block(block: Block, session: Session, request: pytest.FixtureRequest) -> None:
    """Take the verdict on every seed of a block; those that came to the same come as lots."""
    texts = []
    # The item outlives its report, and would hold these rows to the end of the run.
    request.addfinalizer(request.node.user_properties.clear)
    for found in block_verdicts(session, block):
        if isinstance(found, Lots):
            request.node.user_properties.append((PLAIN, lots.told(found)))
            continue
        if found.row is None:
            raise GoldenError(found.reason)
        request.node.user_properties.append((ROW, to_json(found.row)))
        texts += [found.text] if found.text else []
    if texts:
        pytest.fail(first_of(texts), pytrace=False)
