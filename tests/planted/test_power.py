"""What the statistics state to see for certain, they see; and the simulation can refute it."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from conformance.planted.power import PARTS, PLANTS, Power, lines, powers


def test_the_stated_fault_is_refused_in_every_sample_and_a_quarter_of_it_in_few() -> None:
    found = list(powers(n_samples=8, dtypes=("float32", "bfloat16"), sizes=(2**11,)))

    absent = {("float32", "atoms"), ("bfloat16", "collisions"), ("bfloat16", "extremes")}
    assert {(each.dtype, each.test) for each in found} == {
        pair for pair in itertools.product(("float32", "bfloat16"), PLANTS) if pair not in absent
    }
    assert all(each.holds for each in found)
    assert all(each.refused[-1] <= 1 for each in found)


def test_a_statement_that_is_too_bold_is_refuted() -> None:
    """As if a test stated a quarter of what it is certain to see."""
    found = next(iter(powers(n_samples=8, dtypes=("float32",), sizes=(2**11,))))
    bold = dataclasses.replace(found, refused=found.refused[PARTS.index(0.25) :])

    assert not bold.holds


def test_a_line_holds_each_test_with_its_shares_refused() -> None:
    fields = {"dtype": "float32", "size": 2048, "certain": 0.125, "n_samples": 200}
    found = [Power(test=name, refused=(200, 199, 50, 0), **fields) for name in PLANTS]  # type: ignore[arg-type]  # of the test

    assert list(lines(found)) == [("float32", "2,048", *["0.12: 100 99.5 25 0"] * len(PLANTS))]
    assert next(iter(lines(found[:1]))) == ("float32", "2,048", "0.12: 100 99.5 25 0", *[""] * 9)


@pytest.mark.parametrize("name", sorted(set(PLANTS) - {"atoms"}))
def test_a_fault_of_no_size_changes_nothing(name: str) -> None:
    import numpy as np

    from conformance.judge.statistics import element_law
    from conformance.planted.power import LAW

    law = element_law(LAW, (64,), "float32")
    assert law is not None
    draws = np.random.default_rng(0).standard_normal(64)

    assert np.allclose(PLANTS[name](draws, 0.0, law), draws, rtol=1e-15, atol=0)
