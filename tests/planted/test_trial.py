"""Faults on trial: they die of what they claim, and one that is disarmed is a survivor."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from typing import Any

import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cli import faults as command
from conformance.cli.faults import as_text
from conformance.cli.main import main
from conformance.core.errors import ExitCode
from conformance.core.laws import Normal
from conformance.core.paths import shipped
from conformance.observe.worker import Lost
from conformance.planted import apart, trial
from conformance.planted.apart import try_faults
from conformance.planted.fault import LAYER, PROCESS, Fault, LayerFault
from conformance.planted.matrix import Matrix
from conformance.planted.record import Tried
from conformance.planted.trial import Trials
from conformance.store.budgets import stacked
from conformance.suite.faults import EVERY


@functools.cache
def trials() -> Trials:
    return Trials(load_catalogue(), stacked(shipped()))


def named(name: str) -> Fault:
    return next(each for each in EVERY if isinstance(each, Fault) and each.name == name)


@functools.cache
def tried(name: str) -> Tried:
    return trials().tried(named(name))


def disarmed(fault: Fault) -> Fault:
    """Return a fault that is none: it returns what the right initializer does."""
    return dataclasses.replace(
        fault, wrong=lambda right, key, shape, dtype: right(key, shape, dtype)
    )


@pytest.mark.parametrize(
    ("name", "killers"),
    [
        ("weak_type", {"values", "contract"}),
        ("leaves_x64_on", {"contract"}),
        ("stateful", {"repeatable"}),
        ("unseen_before", {"values"}),
        ("seed_is_the_next", {"values", "oracle"}),
        ("minus_zero", {"values", "structure"}),
        ("key_is_that_of_seed_0", {"statistics"}),
        ("unsampled_elements_shrunk_where_a_sample_is_kept", {"values", "moments"}),
        ("swept_bfloat16_one_point_not_a_number", {"law_finite", "law_accuracy"}),
        ("swept_bfloat16_refused", {"law_sweep"}),
    ],
)
def test_a_fault_dies_of_these_checks_and_of_no_other(name: str, killers: set[str]) -> None:
    assert set(tried(name).killed_by) == killers


@pytest.mark.parametrize(
    ("name", "tier"),
    [
        ("seed_is_the_next", "quick"),
        ("minus_zero", "quick"),
        ("only_seed_7_is_wrong", "standard"),
        ("swept_bfloat16_refused", "standard"),
    ],
)
def test_the_smallest_tier_that_kills_it_is_named(name: str, tier: str) -> None:
    assert tried(name).tier == tier


def test_the_least_magnitude_that_each_check_kills_is_found() -> None:
    found = tried("last_element_moved_in_bfloat16")

    assert set(found.smallest) == {"values", "oracle"}
    # Half a spacing of 2^-8 at the value, seen from a budget of a few.
    assert 2**-9 < found.smallest["oracle"] < 0.1


def test_a_check_that_looked_and_saw_nothing_is_on_record() -> None:
    found = tried("seed_is_the_next")

    assert {"contract", "repeatable", "structure", "moments"} <= set(found.passed)
    assert found.says["oracle"].startswith("2048 of 2048 elements of normal-float32-64x32-s1-cpu")


@pytest.mark.parametrize("name", ["seed_is_the_next", "swept_bfloat16_refused"])
def test_a_fault_that_is_disarmed_is_a_survivor(name: str) -> None:
    found = trials().tried(disarmed(named(name)))

    assert not found.killed_by
    assert Matrix(tried=(found,), is_whole=False).code is ExitCode.FAILED


DEPARTURES = [fault.name for fault in EVERY if fault.kind == "departures"]


@pytest.mark.parametrize("name", DEPARTURES)
def test_a_departure_otherwise_than_stated_dies_and_the_stated_one_passes(name: str) -> None:
    found = tried(name)

    assert found.claim in found.killed_by
    assert found.right_failed == ()
    assert found.drift == found.drift_claimed


def test_every_way_to_depart_has_a_planted_fault() -> None:
    assert len(DEPARTURES) == 6


# Between bounds JAX's own initializer draws the same, to rounding.
@pytest.mark.parametrize("name", sorted({*DEPARTURES} - {"bounds_without_the_root_of_3"}))
def test_a_departure_that_is_stated_and_not_made_is_no_right_twin(name: str) -> None:
    assert trials().tried(dataclasses.replace(named(name), departs=None)).right_failed


def test_a_death_that_the_right_initializer_shares_proves_nothing() -> None:
    """The definition is another one, so that whatever is returned fails."""
    fault = dataclasses.replace(named("seed_is_the_next"), definition=Normal(stddev=3.0))

    found = trials().tried(fault)

    assert "oracle" in found.right_failed
    assert "proves nothing" in Matrix(tried=(found,), is_whole=False).faults[fault.name]


def test_a_check_that_is_gone_shows_in_what_it_alone_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    others = tuple(check for check in trial.WITHOUT_MEMORY if check.name != "structure")
    monkeypatch.setattr(trial, "WITHOUT_MEMORY", others)

    found = trials().tried(named("minus_zero"))

    assert Matrix(tried=(found,), is_whole=False).faults == {
        "minus_zero": "was to die of structure, and died of values instead"
    }


# --- Layers, and processes that end -------------------------------------------------------------
def test_a_wrong_layer_dies_of_its_claims() -> None:
    found = trials().tried(layer("dense_of_another_key"))

    assert (found.killed_by, found.tier, found.right_failed) == ((LAYER,), "quick", ())
    assert found.says[LAYER].startswith("params.kernel is not VarianceScaling")
    assert found.question == "flax.linen.Dense/float32"


def test_a_right_layer_survives() -> None:
    right = LayerFault(
        name="none",
        layer="flax.nnx.Linear",
        build=lambda nnx, rngs, **told: nnx.Linear(4, 4, rngs=rngs, **told),
    )

    found = trials().tried(right)

    assert not found.killed_by
    text = as_text(Matrix(tried=(found,), is_whole=False))
    assert "none survived flax.nnx.Linear/float32" in text


def test_a_layer_that_nobody_knows_is_named() -> None:
    with pytest.raises(ValueError, match=r"no layer is called 'flax.linen.Dens'"):
        trials().tried(dataclasses.replace(layer("dense_refuses"), layer="flax.linen.Dens"))


def layer(name: str) -> LayerFault:
    return next(each for each in EVERY if isinstance(each, LayerFault) and each.name == name)


@pytest.mark.parametrize(
    ("reason", "killers", "lost"),
    [
        ("its process was ended by SIGSEGV (Segmentation fault)", (PROCESS,), ""),
        ("its process was ended by SIGABRT (Aborted)", (), "SIGABRT"),
    ],
)
def test_a_process_is_to_end_as_the_fault_says(
    monkeypatch: pytest.MonkeyPatch, reason: str, killers: tuple[str, ...], lost: str
) -> None:
    def together(task: str, asked: Any, timeout_s: float) -> Any:
        del task, asked
        assert timeout_s == apart.HANG_S
        yield Lost(case="segmentation_fault", reason=reason)

    monkeypatch.setattr(apart, "together", together)

    (found,) = apart.tried_apart([named("segmentation_fault")], n_workers=2, timeout_s=600)

    assert found.killed_by == killers
    assert lost in found.lost
    assert bool(found.tier) == bool(killers)
    assert Matrix(tried=(found,), is_whole=False).faults == {}


def test_what_would_end_this_process_is_not_tried_in_it() -> None:
    (found,) = apart.tried_here([named("exits_with_status_0")])

    assert found.lost == "it ends its process, which is this one: leave out --in-process"
    assert Matrix(tried=(found,), is_whole=False).code is ExitCode.MISSING


# --- The command ---------------------------------------------------------------------------------
Plant = Callable[..., None]


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Return what lets the command know these faults only."""

    def plant(*faults: Fault) -> None:
        monkeypatch.setattr(command, "known_faults", lambda: faults)

    return plant


def test_a_survivor_fails_the_command_by_name(
    plant: Plant, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    plant(named("minus_zero"), disarmed(named("seed_is_the_next")))

    code = main(["faults", "--in-process", "--only", "*", "--reports", str(tmp_path)])

    printed = capsys.readouterr().out
    assert code == ExitCode.FAILED
    assert "seed_is_the_next survived normal-float32-64x32-s1-cpu-eager: no check failed" in printed
    assert "1 of 2 planted faults died" in printed
    (page,) = tmp_path.glob("*/index.html")
    assert "conformance faults --only seed_is_the_next" in page.read_text()


def test_some_faults_alone_pass_though_most_checks_kill_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    words = ["faults", "--in-process", "--only", "minus_zero", "--reports", str(tmp_path)]

    code = main([*words, "--json", "-"])

    document = json.loads(capsys.readouterr().out)
    assert code == ExitCode.OK
    assert [each["killed_by"] for each in document["faults"]] == [["values", "structure"]]
    assert document["alone"]["structure"] == ["minus_zero"]


def test_a_worker_answers_for_the_faults_after_the_lost_ones() -> None:
    class Voice:
        def __init__(self) -> None:
            self.said: list[Any] = []

        def begin(self, cases: Any) -> None:
            self.said.append(list(cases))

        def answer(self, case: str, **answer: Any) -> None:
            self.said.append((case, answer["killed_by"]))

    voice = Voice()
    names = ["weak_type", "stateful", "minus_zero"]

    try_faults({"names": names}, {"stateful": "crashed"}, voice)  # type: ignore[arg-type]  # alike

    assert voice.said == [["minus_zero"], ("minus_zero", ("values", "structure"))]
