"""By whose doing a case drifted is proven by running the old programs, or not claimed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.core.arrays import returned
from conformance.core.errors import SideError
from conformance.core.ids import Case, parse_case
from conformance.observe.backends.problem import settings, typed_key
from conformance.observe.backends.transforms import TRANSFORMS
from conformance.observe.child import exports
from conformance.upgrade import probes
from conformance.upgrade.cause import Cause, Digests, cause_by_programs, decide
from conformance.upgrade.environments import Plan

CATALOGUE = load_catalogue()
NAMES = ("jax 1", "jax 2")
OLD, NEW, THIRD = {"sha256": "old"}, {"sha256": "new"}, {"sha256": "third"}

# --- The verdict ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ran", "cause", "proof"),
    [
        ("old", Cause.LOWERING, "under jax 2, what jax 1 exported returns the old bits"),
        ("new", Cause.COMPILER, "under jax 2, what jax 1 exported returns the new bits"),
        ("third", Cause.BOTH, "returns neither the old bits nor the new ones"),
    ],
)
def test_what_the_old_program_returns_names_the_cause(ran: str, cause: Cause, proof: str) -> None:
    found = decide(Digests(before="old", after="new"), (OLD, NEW), {"sha256": ran}, NAMES)

    assert found.cause is cause
    assert proof in found.proof


@pytest.mark.parametrize(
    ("exported", "ran", "proof"),
    [
        (({"reason": "too old"}, NEW), {}, "jax 1 cannot export it: too old"),
        ((THIRD, NEW), OLD, "its programs return other bits under jax 1 than the call did"),
        ((OLD, THIRD), OLD, "its programs return other bits under jax 2 than the call did"),
        ((OLD, {"reason": "it crashed"}), OLD, "jax 2 cannot export it: it crashed"),
        ((OLD, NEW), {"reason": "too new"}, "jax 2 cannot run what jax 1 exported: too new"),
    ],
)
def test_without_a_proof_no_cause_is_claimed(
    exported: tuple[dict[str, Any], dict[str, Any]], ran: dict[str, Any], proof: str
) -> None:
    found = decide(Digests(before="old", after="new"), exported, ran, NAMES)

    assert found.cause is Cause.UNKNOWN
    assert proof in found.proof


SAME = {"cpu normal float32": "aa", "cpu uniform float32": "bb"}
OTHER = {"cpu normal float32": "ff", "cpu uniform float32": "bb"}
SPELT_OTHERWISE = {"cpu normal float32": "ff", "cpu uniform float32": "ee"}


@pytest.mark.parametrize(
    ("after", "cause", "proof"),
    [
        (SAME, Cause.COMPILER, "both sides lower the same program"),
        (OTHER, Cause.LOWERING, "is another one, while 1 of 2 are the same"),
        (SPELT_OTHERWISE, Cause.UNKNOWN, "spelt otherwise: all of 2 lowered programs"),
    ],
)
def test_the_text_of_programs_tells_the_cause_if_any_is_spelt_alike(
    after: dict[str, str], cause: Cause, proof: str
) -> None:
    found = cause_by_programs("cpu normal float32", SAME, after)

    assert found is not None
    assert found.cause is cause
    assert proof in found.proof


@pytest.mark.parametrize(("before", "after"), [({}, SAME), (SAME, {})])
def test_a_recording_without_programs_tells_nothing(
    before: dict[str, str], after: dict[str, str]
) -> None:
    assert cause_by_programs("cpu normal float32", before, after) is None


# --- The programs --------------------------------------------------------------------------------


def call_of(case: Case) -> Any:
    initializer = CATALOGUE.lookup(case.problem.initializer).build()
    return TRANSFORMS[case.transform](initializer, case.problem, jax.devices())


CASES = [
    "normal-float32-64x32-s0-cpu-eager",
    "normal-float32-64x32-s0-cpu-jit",
    "lecun_normal-bfloat16-64x32-s0-cpu-eager",
    "truncated_normal_asymmetric-float32-64x32-s0-cpu-eager",
    "orthogonal-float32-64x32-s0-cpu-eager",
    "uniform_1-float64-17x13-s0-cpu-eager",
    "uniform-float32-64x32-s0-rbg-cpu-eager",
    "normal-float32-64x32-s0-cpu-vmap",
    "constant-float32-scalar-s0-cpu-eager",
]


@pytest.mark.parametrize("name", CASES)
def test_the_steps_return_what_the_call_returned(name: str) -> None:
    case = parse_case(name)

    with settings(case.problem):
        key = typed_key(case.problem)
        expected = returned(np.asarray(call_of(case)(key))).sha256
        steps = exports.trace(call_of(case), key)
        here, there = steps.run(), exports.parsed(exports.fields_of(steps)).run()

    assert here == there == expected


def test_an_eager_call_has_more_steps_than_a_jitted_one() -> None:
    """Exported whole, XLA would fold what an eager call rounds."""
    counts = {}
    for transform in ("eager", "jit"):
        case = dataclasses.replace(parse_case(CASES[0]), transform=transform)
        steps = exports.trace(call_of(case), typed_key(case.problem)).steps
        counts[transform] = sum("random_wrap" not in str(step.exported.fun_name) for step in steps)

    assert counts["eager"] > counts["jit"]


def test_a_call_that_raises_has_the_error_for_a_reason() -> None:
    case = parse_case("orthogonal-bfloat16-64x32-s0-cpu-eager")

    ((key, answer),) = exports.export_all([case], CATALOGUE)

    assert key == case.id
    assert answer["reason"].startswith("TypeError: qr does not accept dtype bfloat16")


def test_programs_that_cannot_be_read_have_a_reason() -> None:
    fields = {"steps": [{"exported": "AAAA", "inputs": [], "outputs": []}], "constants": {}}

    ((_, answer),) = exports.run_all({"case": fields})

    assert answer["reason"]


# --- Asking --------------------------------------------------------------------------------------

PLAN = Plan(name="jax 1", python="python", pins=("jax==1",))


@pytest.fixture
def sides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """Let a release answer one case a process, and crash on a case called `bad`."""
    asked: list[list[str]] = []

    def run(_: Plan, question: Any, __: Path) -> tuple[Any, str]:
        keys = list(question["export"])
        asked.append(keys)
        good = keys[: keys.index("bad")] if "bad" in keys else keys
        return {key: {"sha256": key} for key in good}, "killed"

    monkeypatch.setattr(probes, "_run", run)
    monkeypatch.setattr(probes, "folder_of", lambda _: tmp_path)
    return asked


def test_a_case_that_crashes_costs_no_other_its_answer(sides: list[list[str]]) -> None:
    answers = probes._exported(PLAN, ["a", "bad", "c"], lambda _: None)

    assert answers == {"a": {"sha256": "a"}, "bad": {"reason": "killed"}, "c": {"sha256": "c"}}
    assert sides == [["a", "bad", "c"], ["c"]]


def test_what_was_answered_is_not_asked_again(sides: list[list[str]]) -> None:
    for _ in range(2):
        probes._exported(PLAN, ["a"], lambda _: None)

    assert sides == [["a"]]


def test_without_the_serializer_the_way_out_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import subprocess

    def refuse(*arguments: str) -> str:
        raise subprocess.CalledProcessError(1, arguments)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(probes, "uv", refuse)

    with pytest.raises(SideError, match="cannot be installed: restore the network"):
        probes._serializer()
