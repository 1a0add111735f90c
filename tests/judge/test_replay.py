"""A replay refutes p-values that are too small, and leaves right ones in peace."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import pytest
import replay_false_alarms
from replay_false_alarms import main, table

from conformance.judge.statistics import Matrices
from conformance.judge.statistics.finding import Finding
from conformance.judge.statistics.haar import MATRIX_TESTS
from conformance.judge.statistics.replay import Reals, Replay, replay
from conformance.observe.backends.problem import seed_key

N = 2000
BAND = math.sqrt(math.log(1e6) / (2 * N))


def uniforms(seed: int = 0) -> Reals:
    return np.random.default_rng(seed).random(N)


def of(p_values: Sequence[float]) -> Replay:
    return replay([Finding(statistic=0.0, p_value=p) for p in p_values], uniforms(1))


def coins(chance: float) -> Replay:
    """Return the replay of the test of determinants, each of 1 with such a chance."""
    (determinants,) = (test for test in MATRIX_TESTS if test.name == "determinants")
    draw = np.random.default_rng(3)
    samples = (
        Matrices(arrays=np.where(draw.random((8, 1, 1)) < chance, 1.0, -1.0)) for _ in range(N)
    )
    found = [determinants.measure(sample) for sample in samples]
    return replay([each for each in found if each is not None], uniforms(1))


def test_uniform_p_values_pass() -> None:
    found = of(list(uniforms()))

    assert not found.is_exact
    assert 0 < found.excess < found.band == pytest.approx(BAND)
    assert not found.is_refuted


def test_bounds_may_be_as_large_as_they_like() -> None:
    assert of([1.0] * N).excess == pytest.approx(0.0)
    assert not of(list(np.sqrt(uniforms()))).is_refuted


@pytest.mark.parametrize("power", [1.2, 2.0])
def test_p_values_that_are_too_small_are_refuted(power: float) -> None:
    """P(u^a <= t) = t^(1/a) exceeds t by (1 - 1/a) a^(-1/(a - 1)), 0.067 for a = 1.2."""
    assert of(list(uniforms() ** power)).is_refuted


def test_the_excess_is_the_largest_over_all_t() -> None:
    """Of two p-values, 0.1 and 0.9: half are at most 0.1, all are at most 0.9."""
    found = replay([Finding(statistic=0.0, p_value=p) for p in (0.9, 0.1)], np.zeros(2))

    assert found.excess == pytest.approx(0.4)
    assert found.least == 0.1


def test_an_excess_that_chance_allows_is_not_refuted() -> None:
    """Chance allows the band itself; the next number is beyond."""
    found = of([1.0] * N)

    at, beyond = (
        dataclasses.replace(found, excess=excess)
        for excess in (found.band, math.nextafter(found.band, 1))
    )

    assert not at.is_refuted
    assert beyond.is_refuted


def test_exact_p_values_of_coins_are_uniform_once_randomised() -> None:
    found = coins(0.5)

    assert found.is_exact
    assert found.band == pytest.approx(math.sqrt(math.log(2e6) / (2 * N)))
    assert not found.is_refuted


def test_a_coin_that_is_not_fair_is_refuted() -> None:
    assert coins(0.65).is_refuted


def test_exact_p_values_that_are_too_large_are_refuted_too() -> None:
    found = replay(
        [Finding(statistic=0.0, p_value=p, beyond=p) for p in np.sqrt(uniforms())], uniforms(1)
    )

    assert found.is_refuted


def test_a_setting_is_drawn_by_the_unmodified_initializer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["--replications", "20", "--only", "orthogonal-float32-8x8"])

    out = capsys.readouterr().out
    assert code == 0, out
    assert "1 of 1 settings: orthogonal-float32-8x8-s0-rbg" in out
    assert {line.split()[0] for line in out.splitlines()[2:]} == {t.name for t in MATRIX_TESTS}


def test_draws_of_other_keys_than_those_of_a_run_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        replay_false_alarms, "seed_key", lambda problem, seed: seed_key(problem, seed + 1)
    )

    with pytest.raises(
        RuntimeError, match=r"normal-float32-16x8-s0-rbg draws another array in a loop"
    ):
        main(["--replications", "2", "--only", "normal-float32-16x8-s0-rbg"])


def test_nothing_selected_is_not_green() -> None:
    assert main(["--only", "lecun_uniform"]) == 3


def test_the_table_shows_a_test_where_it_is_worst() -> None:
    right, wrong = of([1.0] * N), of(list(uniforms() ** 2))

    ((name, kind, settings, replications, *_, verdict),) = table(
        {"one": {"mean": right}, "two": {"mean": wrong}}
    )

    assert (name, kind, settings, replications) == ("mean", "bounds", "2", str(2 * N))
    assert verdict == "refuted"
