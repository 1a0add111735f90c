"""What a review shows of one golden: both laws, and the elements that move farthest."""

from __future__ import annotations

import numpy as np

from conformance.cli.reviewed import N_WORST, _worst_lines
from conformance.core.arrays import Array, returned
from conformance.curate.review import Change
from conformance.judge.drift import classify

OLD = np.linspace(1, 2, 12, dtype=np.float32).reshape(3, 4)


def worst_lines(new: Array) -> list[str]:
    before, after = returned(OLD), returned(new)
    return _worst_lines(Change(before=before, after=after, drift=classify(after, before)))


def moved(*places: tuple[int, int]) -> Array:
    """Return the array with these elements moved, the first the farthest."""
    new = OLD.copy()
    for n, place in enumerate(places):
        new[place] += (len(places) - n) * 2.0**-20
    return new


def test_the_elements_that_move_farthest_come_in_order() -> None:
    new = moved((2, 1), (0, 3), (1, 0))

    assert worst_lines(new) == [
        f"worst at (2, 1): {OLD[2, 1].item()!r} -> {new[2, 1].item()!r}",
        f"then at (0, 3): {OLD[0, 3].item()!r} -> {new[0, 3].item()!r}",
        f"then at (1, 0): {OLD[1, 0].item()!r} -> {new[1, 0].item()!r}",
    ]


def test_no_more_than_a_few_are_shown() -> None:
    assert len(worst_lines(OLD + np.float32(2.0**-20))) == N_WORST


def test_of_another_shape_no_element_is_shown() -> None:
    assert worst_lines(OLD.reshape(4, 3)) == []
