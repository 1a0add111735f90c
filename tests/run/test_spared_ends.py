"""A fault that spares the first and the last seed of a block, which have calls of their own.

What is told at once of the seeds between them must be caught by the block itself.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue, Initializer
from conformance.core.ids import format_shape
from conformance.core.records import Status
from conformance.judge import block
from conformance.judge.block import Judged
from conformance.judge.checks.contract import CONTRACT, REPEATABLE
from conformance.judge.checks.oracle import ORACLE
from conformance.judge.checks.structure import STRUCTURE
from conformance.observe.observer import Draws
from conformance.run import blocks
from conformance.run.session import Session
from conformance.suite.faults import FAULTS, Fault
from tests.run.test_blocks import (
    comparable,
    definition_of,
    is_followed,
    rows_in_blocks,
    rows_one_by_one,
    session_of,
)

SEEDS = range(100, 105)
INNER = SEEDS[1:-1]

OF_NO_SEED = "weak_type"
"""What this does wrong is the program's: no array decides it, and so no seed."""

LARGEST = 10_000
"""Elements of an array: the faults of larger ones are the same in what a sample would not show."""


def is_of_blocks(fault: Fault) -> bool:
    return math.prod(fault.shape) <= LARGEST and is_followed(fault)


SPARING = [fault for fault in FAULTS if is_of_blocks(fault) and fault.name != OF_NO_SEED]


def sparing(fault: Fault, right: Initializer) -> Initializer:
    """Return the initializer that is right for both ends, and wrong between them."""
    wrong = fault.build(right)

    def initializer(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        import jax

        seed = jax.random.key_data(key).reshape(-1)[-1]
        is_end = (seed == SEEDS[0]) | (seed == SEEDS[-1])
        return jax.numpy.where(is_end, right(key, shape, dtype), wrong(key, shape, dtype))

    return initializer


def session_of_fault(fault: Fault) -> Session:
    base = load_catalogue().lookup(fault.base)
    catalogue = Catalogue()
    catalogue.add(
        dataclasses.replace(
            base,
            build=lambda: sparing(fault, base.build()),
            definition=definition_of(fault),
        )
    )
    return session_of(
        fault.base,
        catalogue=catalogue,
        dtypes=(fault.dtype,),
        shapes=(format_shape(fault.shape),),
        prngs=(fault.prng,),
        ranges=(SEEDS,),
    )


def can_be_mapped(session: Session) -> bool:
    """Return whether the seeds can be drawn at once: what NumPy computes cannot."""
    (whole,) = session.blocks
    spec = session.bench.specs[whole.case.problem.initializer]
    return isinstance(session.observer.observe_many(whole, spec), Draws)


@pytest.mark.parametrize("fault", SPARING, ids=lambda fault: fault.name)
def test_a_fault_between_the_ends_has_the_rows_of_its_own_calls(
    fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[str] = []

    def judge_block(*arguments: Any, **named: Any) -> Judged:
        judged.append(fault.name)
        return block.judge_block(*arguments, **named)

    monkeypatch.setattr(blocks, "judge_block", judge_block)
    session = session_of_fault(fault)
    found = rows_in_blocks(session)

    assert comparable(found) == comparable(rows_one_by_one(session))
    failed = {row.seed for row in found if row.status == Status.FAILED}
    assert failed >= {*INNER}
    # One whose shape, dtype or exception is another could not spare the ends.
    assert bool(judged) == (failed == {*INNER} and can_be_mapped(session))


def test_each_check_that_a_block_stands_for_has_a_fault_between_the_ends() -> None:
    """Others judge what no oracle follows, which goes one by one; so does what has a golden."""
    assert {fault.caught_by for fault in SPARING} >= {CONTRACT, ORACLE, REPEATABLE, STRUCTURE}
