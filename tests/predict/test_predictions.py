"""Predictions: how they are told and stored, and what a recording says of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cli.main import main
from conformance.core import inventory
from conformance.core.arrays import returned, whole
from conformance.core.errors import GoldenError
from conformance.core.ids import Case, Problem, parse_case
from conformance.core.paths import MANIFEST, PREDICTIONS, shipped
from conformance.core.records import Drift, DriftClass, Observation, Raised, Returned
from conformance.judge.drift.permitted import Deviation, Permitted, deviation
from conformance.predict import aot, predictions, ptx
from conformance.store.entries import GOLDEN, HIGHEST, LOWEST, PREDICTED
from conformance.store.read import Store, open_store
from conformance.store.verify import verify
from conformance.store.write import write_store

PROBLEM = Problem(initializer="normal", dtype="float32", shape=(64, 32), seed=0)
CASE = Case(problem=PROBLEM, backend="cuda", transform="jit")
TARGET = aot.Target(
    platform="cuda", name="h100", kind="NVIDIA H100", compute_capability="9.0", handle=None
)
ZEROS = np.zeros((64, 32), np.float32)


def judged(
    outcome: Returned | Raised, n_open: int = 0, digests: tuple[str, ...] = ()
) -> predictions.Judged:
    """Return a predicted case of zeros, of which the first `n_open` may be 1."""
    observation = Observation(
        case=CASE, outcome=outcome, repeat_sha256=None, device="H", elapsed_s=0.1, mode="predicted"
    )
    highest = ZEROS.copy()
    highest.reshape(-1)[:n_open] = 1
    prediction = ptx.Prediction(values=ZEROS, lowest=ZEROS, highest=highest, digests=digests)
    drift = Drift(
        drift_class=DriftClass.ROUNDING,
        n_elements=2048,
        n_different=48,
        max_ulp=2,
        max_ulp_at_sigma=4.0,
    )
    return predictions.Judged(
        observation=observation,
        prediction=None if isinstance(outcome, Raised) else prediction,
        from_cpu=drift,
        from_oracle=None,
    )


def stored(folder: Path, *cases: predictions.Judged) -> Store:
    predictions.store(cases, TARGET, load_catalogue(), folder, open_store(shipped()))
    return open_store(folder)


# --- Telling and storing -------------------------------------------------------------------------


def test_a_prediction_is_told_in_one_row() -> None:
    cells = predictions.cells(judged(returned(ZEROS), n_open=7))

    assert cells == (CASE.id, "2000 of 2048", "2", "4", "rounding", "7", "", "")


def test_predictions_are_stored_but_for_what_the_emulator_cannot_run(tmp_path: Path) -> None:
    array = judged(returned(ZEROS), n_open=3)
    beyond = judged(Raised(exception="UnsupportedPtx", message="a call of cusolver"))

    store = stored(tmp_path / "out", array, beyond)

    assert (store.kind, store.ids()) == (PREDICTED, [CASE.id])
    assert store.provenance[-1]["open_elements"] == {CASE.id: 3}
    assert store.observation(CASE.id).mode == "predicted"


def test_elements_that_are_open_each_by_itself_have_bounds(tmp_path: Path) -> None:
    bounds = stored(tmp_path / "out", judged(returned(ZEROS), n_open=3)).bounds(CASE.id)

    assert bounds is not None
    lowest, highest = (whole(one) for one in bounds if isinstance(one, Returned))
    assert (lowest.sum(), highest.sum()) == (0, 3)
    assert verify(tmp_path / "out") == []


def test_whole_arrays_that_are_permitted_are_told_by_digest_and_need_no_bounds(
    tmp_path: Path,
) -> None:
    digests = (returned(ZEROS).sha256, returned(ZEROS + 1).sha256)

    store = stored(tmp_path / "out", judged(returned(ZEROS), n_open=3, digests=digests))

    entry = store.entry(CASE.id)
    assert entry is not None
    assert entry.extra["permitted"] == [digest[:16] for digest in digests]
    assert store.bounds(CASE.id) is None


def test_of_the_golden_array_one_element_is_kept(tmp_path: Path) -> None:
    golden = open_store(shipped()).entry(PROBLEM.id)
    assert golden is not None
    assert isinstance(golden.outcome, Returned)

    entry = stored(tmp_path / "out", judged(golden.outcome)).entry(CASE.id)

    assert entry is not None
    assert isinstance(entry.outcome, Returned)
    assert (len(entry.outcome.bits), entry.outcome.sha256) == (4, golden.outcome.sha256)


def test_a_bound_without_the_other_is_damage(tmp_path: Path) -> None:
    store = stored(tmp_path / "out", judged(returned(ZEROS), n_open=3))
    for path in sorted((tmp_path / "out" / HIGHEST).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()

    with pytest.raises(GoldenError, match=r"has one bound of two: .*--platform cuda --record"):
        store.bounds(CASE.id)


def test_a_damaged_bound_is_a_fault_of_the_store(tmp_path: Path) -> None:
    stored(tmp_path / "out", judged(returned(ZEROS), n_open=3))
    (path,) = (tmp_path / "out" / LOWEST).rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"!")

    assert any(str(path) in fault and "is damaged" in fault for fault in verify(tmp_path / "out"))


def test_a_set_of_predictions_names_cases(tmp_path: Path) -> None:
    stored(tmp_path / "out", judged(returned(ZEROS)))
    path = tmp_path / "out" / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace("-cuda-jit", ""), encoding="utf-8")

    with pytest.raises(GoldenError, match=r"cannot be read .entries: "):
        open_store(tmp_path / "out")


# --- Part by part --------------------------------------------------------------------------------

ASKED = [
    parse_case(f"normal-float32-{shape}-s0-cuda-emulated-{transform}")
    for shape in ("17x13", "64x32")
    for transform in ("jit", "eager")
]


class KilledError(Exception):
    """Stands for whatever ends a process."""


class Predictor:
    """Predicts zeros of which each second case is open; ends after `n_groups` groups."""

    def __init__(self, n_groups: int) -> None:
        self.groups: list[str] = []
        self._n_groups = n_groups

    def __call__(self, cases: Sequence[Case], *_: object) -> Iterator[predictions.Judged]:
        """Yield what is predicted of the cases of one group."""
        if len(self.groups) == self._n_groups:
            raise KilledError
        self.groups.append(cases[0].group)
        for case in cases:
            array = returned(np.zeros(case.problem.shape, np.float32))
            yield dataclasses.replace(
                judged(array, n_open=3 * (case.transform == "jit")),
                observation=dataclasses.replace(
                    judged(array).observation,
                    outcome=array,
                    case=dataclasses.replace(case, backend="cuda"),
                ),
            )


def by_parts(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    n_groups: int = 99,
    resume: bool = False,
    target: aot.Target = TARGET,
    asked: Sequence[Case] = ASKED,
) -> Predictor:
    predictor = Predictor(n_groups)
    monkeypatch.setattr(predictions, "judge", predictor)
    predictions.store_by_parts(
        asked,
        target,
        load_catalogue(),
        folder,
        open_store(shipped()),
        {},  # type: ignore[arg-type]  # nothing is judged
        resume=resume,
        told=lambda _: None,
    )
    return predictor


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "provenance.json"
    }


def test_predictions_that_were_killed_go_on_where_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_parts(tmp_path / "once", monkeypatch)
    with pytest.raises(KilledError):
        by_parts(tmp_path / "out", monkeypatch, n_groups=2)
    assert not (tmp_path / "out").exists()

    rest = by_parts(tmp_path / "out", monkeypatch, resume=True)

    assert len(rest.groups) == 2
    assert content(tmp_path / "out") == content(tmp_path / "once")
    assert set(open_store(tmp_path / "out").ids()) == {
        case.id.replace("cuda-emulated", "cuda") for case in ASKED
    }
    assert len(open_store(tmp_path / "out").latest["open_elements"]) == 2
    assert not predictions.parts_folder(tmp_path / "out").exists()


def test_a_golden_set_lists_what_is_predicted_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_store(tmp_path, [], kind=GOLDEN, provenance=[])
    inventory.write(tmp_path)
    folder = tmp_path / PREDICTIONS / "out"

    by_parts(folder, monkeypatch)

    assert inventory.faults(tmp_path) == {}
    assert f"{PREDICTIONS}/out/{MANIFEST}" in inventory.taken(tmp_path).files


def test_the_quick_tier_is_predicted_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = by_parts(tmp_path / "out", monkeypatch).groups

    assert ["64x32" in group for group in groups] == [True, True, False, False]


def test_parts_are_not_gone_on_with_unasked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KilledError):
        by_parts(tmp_path / "out", monkeypatch, n_groups=1)

    with pytest.raises(GoldenError, match=r"out\.parts holds unfinished predictions: .*--resume"):
        by_parts(tmp_path / "out", monkeypatch)


def test_parts_of_another_device_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = dataclasses.replace(TARGET, compute_capability="8.0")
    with pytest.raises(KilledError):
        by_parts(tmp_path / "out", monkeypatch, n_groups=1)

    with pytest.raises(
        GoldenError, match=r"predicted otherwise \(cuda\.compute_capability: 9\.0 -> 8\.0"
    ):
        by_parts(tmp_path / "out", monkeypatch, resume=True, target=other)


def test_parts_of_another_selection_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group of which only a part was asked for would be taken for the whole."""
    more = dataclasses.replace(ASKED[2], problem=dataclasses.replace(PROBLEM, seed=1))
    with pytest.raises(KilledError):
        by_parts(tmp_path / "out", monkeypatch, n_groups=2)

    with pytest.raises(GoldenError, match=r"asked for: 1 case \w+ -> 2 cases"):
        by_parts(tmp_path / "out", monkeypatch, resume=True, asked=[*ASKED, more])


# --- What is permitted ---------------------------------------------------------------------------


def moved(*places: int, by: float = 1.0) -> Returned:
    array = ZEROS.copy()
    array.reshape(-1)[list(places)] += np.float32(by)
    return returned(array)


def bounds_of(n_open: int) -> Permitted:
    return Permitted(bounds=(returned(ZEROS), moved(*range(n_open))))


@pytest.mark.parametrize(
    ("actual", "permitted", "expected", "words"),
    [
        (moved(), Permitted(), Deviation(), "as predicted"),
        (moved(5), Permitted(), Deviation(n_decided=1), "differs in 1 element, 1 decided"),
        (moved(0, 2), bounds_of(3), Deviation(n_open=2), "differs in 2 elements, all open"),
        (
            moved(0, 7),
            bounds_of(3),
            Deviation(n_open=1, n_decided=1),
            "differs in 2 elements, 1 decided",
        ),
        (moved(0, by=-1.0), bounds_of(3), Deviation(n_decided=1), ""),
        (moved(0, by=1.5), bounds_of(3), Deviation(n_decided=1), ""),
        (moved(0, by=np.nan), bounds_of(3), Deviation(n_decided=1), ""),
        (moved(1), Permitted(digests=(moved(1).sha256[:16],)), Deviation(n_open=1), ""),
        (moved(2), Permitted(digests=(moved(1).sha256[:16],)), Deviation(n_decided=1), ""),
        (returned(ZEROS[:1]), bounds_of(3), Deviation(n_decided=1), ""),
        (Raised(exception="E", message=""), bounds_of(3), Deviation(n_decided=1), ""),
    ],
)
def test_an_element_is_decided_or_open(
    actual: Returned | Raised, permitted: Permitted, expected: Deviation, words: str
) -> None:
    found = deviation(actual, returned(ZEROS), permitted)

    assert found == expected
    assert words in str(found)


def test_a_difference_in_an_element_that_was_not_kept_is_decided() -> None:
    one_kept = dataclasses.replace(returned(ZEROS), bits=ZEROS.tobytes()[:4], stride=2048)

    assert deviation(moved(5), one_kept, Permitted()) == Deviation(n_decided=1)


def test_a_complex_element_counts_once() -> None:
    zeros, ones = np.zeros(3, np.complex64), np.full(3, 1 + 1j, np.complex64)

    found = deviation(
        returned(ones), returned(zeros), Permitted(bounds=(returned(zeros), returned(zeros + 1)))
    )

    assert found == Deviation(n_decided=3)


# --- Verifying -----------------------------------------------------------------------------------


def test_predictions_that_are_whole_are_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(tmp_path / "out", judged(returned(ZEROS), n_open=3))

    assert main(["goldens", "verify", "--golden", str(tmp_path / "out")]) == 0
    assert "1 prediction, 1 of them with bounds" in capsys.readouterr().out


def test_whole_arrays_without_the_predicted_one_are_a_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stored(tmp_path / "out", judged(returned(ZEROS), n_open=3, digests=("ab" * 32, "cd" * 32)))

    assert main(["goldens", "verify", "--golden", str(tmp_path / "out")]) == 3
    assert f"of {CASE.id} the predicted array is none of the 2" in capsys.readouterr().err


def test_predictions_say_for_what_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = stored(tmp_path / "out", judged(returned(ZEROS)))
    record = {**store.provenance[-1], "predicted_for": ""}
    (tmp_path / "out" / "provenance.json").write_text(json.dumps([record]), encoding="utf-8")

    assert main(["goldens", "verify", "--golden", str(tmp_path / "out")]) == 3
    assert "does not say for what was predicted" in capsys.readouterr().err
