"""What tests of checks share."""

from __future__ import annotations

import math

import pytest

from tests.evidence import last


@pytest.mark.parametrize("start", [1.0, 1.0 - 2**-50, 1.0 + 2**-49])
def test_the_last_double_that_is_within_a_bound_is_found_from_either_side(start: float) -> None:
    assert last(start, math.inf, lambda value: value <= 1.0) == 1.0


@pytest.mark.parametrize("bound", [2.0, 0.5, math.inf, -math.inf])
def test_a_bound_that_is_another_one_ends_the_search(bound: float) -> None:
    """Else a test of a loosened check would run for ever instead of failing."""
    with pytest.raises(AssertionError, match="hold"):
        last(1.0, math.inf, lambda value: value <= bound)
