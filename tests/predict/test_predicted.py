"""The predictions that are kept, and what a recording says of them."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cli.main import main
from conformance.core.arrays import Array, returned, whole
from conformance.core.errors import NoTest
from conformance.core.ids import Case, parse_case
from conformance.core.laws import sampler_of
from conformance.core.paths import MANIFEST, shipped
from conformance.core.records import DriftClass, Entry, Returned
from conformance.judge.drift.refuted import Assumption
from conformance.store.entries import PREDICTED, RECORDING
from conformance.store.read import open_store
from conformance.store.write import write_store
from conformance.upgrade.compare import compare_folders
from conformance.upgrade.predicted import CAPABILITY
from tests import ROOT

H100, A100, H100_EARLIER = (
    ROOT / "golden" / "predicted" / name for name in ("h100", "a100", "h100@0.11.2")
)

# --- The kept predictions ------------------------------------------------------------------------

TAIL = parse_case("normal-float32-64x32-s0-cuda-jit")
"""Decided but for a few elements, each by itself."""

SCALED = parse_case("glorot_uniform-float32-64x32-s0-cuda-eager")
"""All elements open, but only together."""


@pytest.mark.parametrize("folder", [H100, A100, H100_EARLIER], ids=lambda path: path.name)
def test_the_kept_predictions_are_intact_and_say_what_they_are(folder: Path) -> None:
    store, provenance = open_store(folder), json.loads((folder / "provenance.json").read_text())

    assert main(["goldens", "verify", "--golden", str(folder)]) == 0
    assert store.kind == PREDICTED
    device, _, release = folder.name.partition("@")
    assert device.upper() in provenance[-1]["predicted_for"]
    packages = provenance[-1]["environment"]["packages"]
    assert {packages[name] for name in ("jax", "jaxlib", "jax-cuda13-plugin")} == {
        release or "0.12.0.1"
    }


def test_an_earlier_release_is_predicted_whole_and_differs_in_eager_normals_alone() -> None:
    """0.11.2 multiplies by sqrt(2) and by the stddev in turn; under jit XLA joins the two."""
    comparison = compare_folders(H100_EARLIER, H100, load_catalogue())

    assert (len(comparison.pairs), comparison.lost, comparison.new) == (3447, (), ())
    moved = [
        pair for pair in comparison.pairs if pair.drift.drift_class is not DriftClass.IDENTICAL
    ]
    assert len(moved) == 292
    assert {pair.case.transform for pair in moved} == {"eager", "legacy_key"}
    assert max(pair.drift.max_ulp or 0 for pair in moved) == 2
    samplers = [sampler_of(pair.definition, pair.case.problem.shape) for pair in moved]
    assert {sampler.kind for sampler in samplers if sampler} == {"normal"}
    initializers = {pair.case.problem.initializer for pair in moved}
    assert len(initializers) == 9
    assert "normal_1" not in initializers  # its stddev is a power of two, whose product is exact


opened = functools.cache(open_store)
"""A kept set, whose thousands of entries are read once."""


def array_of(case: Case) -> Array:
    entry = opened(H100).entry(case.id)
    assert entry is not None
    assert isinstance(entry.outcome, Returned)
    return whole(entry.outcome).copy()


def bound_arrays(case: Case) -> list[Array]:
    bounds = opened(H100).bounds(case.id)
    assert bounds is not None
    return [whole(bound) for bound in bounds if isinstance(bound, Returned)]


def reduced(folder: Path, wanted: str) -> Path:
    """Keep of the predictions for the H100 those whose id matches."""
    shutil.copytree(H100, folder)
    for path in folder.rglob(MANIFEST):
        manifest = json.loads(path.read_text())
        entries = manifest["entries"].items()
        manifest["entries"] = {key: each for key, each in entries if re.match(wanted, key)}
        path.write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the predictions for the H100 those of 64 x 32: some hundred of 3,447."""
    return reduced(tmp_path_factory.mktemp("many") / "h100", ".*-64x32-s0-")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of those the initializers that tests name: what is said of one is said of each."""
    wanted = "(normal|uniform|glorot_uniform)-.*-64x32-s0-"
    return reduced(tmp_path_factory.mktemp("few") / "h100", wanted)


def recorded(
    folder: Path, of: Path, changes: dict[str, Array], **environment: dict[str, str]
) -> Path:
    """Write what a GPU would have recorded that returned all as predicted but for some arrays.

    environment: facts that are otherwise there than where the predictions were made.
    """
    predicted = open_store(of)
    captured = dict(predicted.latest["environment"])
    for section, facts in environment.items():
        captured[section] = {**captured[section], **facts}
    entries = [
        Entry(
            id=entry.id,
            shard=entry.shard,
            outcome=returned(changes[entry.id]) if entry.id in changes else entry.outcome,
            extra={**entry.extra, "mode": "executed"},
        )
        for entry in predicted.entries()
    ]
    provenance = {**predicted.latest, "environment": captured, "machine_faults": []}
    write_store(folder, entries, kind=RECORDING, provenance=[provenance])
    return folder


def test_a_recording_of_the_predicted_bits_confirms(
    many: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = recorded(tmp_path / "gpu", many, {})

    assert main(["compare", str(many), str(recording)]) == 0
    text = capsys.readouterr().out
    count = len(open_store(many))
    assert count > 100
    assert f"{count} cases: {count} as predicted, 0 differ in open elements only, 0 refuted" in text


def one_step_up(array: Array, index: tuple[int, ...]) -> Array:
    array[index] = np.nextafter(array[index], np.float32(np.inf))
    return array


def test_a_decided_element_that_differs_refutes_by_name(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By one ULP, which no policy lets pass."""
    lowest, highest = bound_arrays(TAIL)
    decided = np.argwhere(lowest == highest)[0]
    recording = recorded(
        tmp_path / "gpu", few, {TAIL.id: one_step_up(array_of(TAIL), tuple(decided))}
    )

    assert main(["compare", str(few), str(recording), "--max-drift", "contract"]) == 1
    text = capsys.readouterr().out
    assert "NOT CONFIRMED" in text
    assert "1 refuted" in text
    assert f"{TAIL.id}  REFUTED  differs in 1 element, 1 decided  {Assumption.ROUNDING}" in text


@pytest.mark.parametrize(("is_within", "code"), [(True, 0), (False, 1)])
def test_an_open_element_may_differ_within_its_interval(
    few: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    is_within: bool,
    code: int,
) -> None:
    values, (lowest, highest) = array_of(TAIL), bound_arrays(TAIL)
    place = tuple(np.argwhere(lowest != highest)[0])
    extreme = highest if values[place] != highest[place] else lowest
    values[place] = extreme[place]
    if not is_within:
        away = np.float32(np.copysign(np.inf, extreme[place] - array_of(TAIL)[place]))
        values[place] = np.nextafter(values[place], away)
    recording = recorded(tmp_path / "gpu", few, {TAIL.id: values})

    assert main(["compare", str(few), str(recording)]) == code
    verdict = "permitted  differs in 1 element, all open"
    wanted = verdict if is_within else "REFUTED    differs in 1 element, 1 decided"
    words = " ".join(capsys.readouterr().out.split())
    assert " ".join(f"{TAIL.id} {wanted}".split()) in words


def test_elements_that_are_open_together_may_not_differ_one_by_one(
    few: Path, tmp_path: Path
) -> None:
    """The device may round the scale otherwise, and then every element of the array moves."""
    values = array_of_golden(SCALED)
    moved_one = recorded(tmp_path / "one", few, {SCALED.id: one_step_up(values.copy(), (0, 0))})

    assert main(["compare", str(few), str(moved_one)]) == 1


def test_elements_that_are_open_together_may_differ_all_at_once(few: Path, tmp_path: Path) -> None:
    scale = np.float32(np.sqrt(6 / 96))
    drawn = array_of_golden(SCALED) / scale
    entry = opened(H100).entry(SCALED.id)
    assert entry is not None
    other = drawn * np.nextafter(scale, np.float32(1))
    assert returned(other).sha256[:16] in entry.extra["permitted"]
    recording = recorded(tmp_path / "all", few, {SCALED.id: other})

    assert main(["compare", str(few), str(recording)]) == 0


def array_of_golden(case: Case) -> Array:
    """Return the array of a case that is predicted to be the golden one."""
    golden = opened(shipped()).entry(case.problem.id)
    predicted = opened(H100).entry(case.id)
    assert golden is not None
    assert predicted is not None
    assert isinstance(golden.outcome, Returned)
    assert isinstance(predicted.outcome, Returned)
    assert golden.outcome.sha256 == predicted.outcome.sha256
    return whole(golden.outcome).copy()


def test_predictions_that_were_not_put_to_the_test_are_named(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predicted = open_store(few)
    entries = [entry for entry in predicted.entries() if entry.id != TAIL.id]
    write_store(tmp_path / "gpu", entries, kind=RECORDING, provenance=predicted.provenance)

    assert main(["compare", str(few), str(tmp_path / "gpu")]) == 3
    text = capsys.readouterr().out
    assert "1 case not recorded" in text
    assert TAIL.id in text


def test_the_outcome_of_a_test_is_in_the_files(few: Path, tmp_path: Path) -> None:
    recording = recorded(tmp_path / "gpu", few, {TAIL.id: array_of(TAIL) + np.float32(1)})
    out = tmp_path / "pairs.json"

    main(["compare", str(few), str(recording), "--json", str(out)])

    pairs: dict[str, Any] = {pair["name"]: pair for pair in json.loads(out.read_text())["pairs"]}
    assert (pairs[TAIL.id]["n_open"], pairs[TAIL.id]["n_decided"]) == (0, 2048)
    assert not pairs[TAIL.id]["is_allowed"]


def test_an_a100_is_predicted_to_return_other_bfloat16_normals_and_equal_uniforms() -> None:
    comparison = compare_folders(H100, A100, load_catalogue())

    equal = {
        pair.case.problem.initializer
        for pair in comparison.pairs
        if pair.drift.drift_class is DriftClass.IDENTICAL
    }
    assert not comparison.is_test
    assert {"glorot_uniform", "he_uniform", "lecun_uniform", "uniform"} <= equal
    assert not {"normal", "lecun_normal", "he_normal", "truncated_normal"} & equal


# --- What a recording may be wrong in -------------------------------------------------------------


def words_of(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_predictions_are_counted_by_family_and_dtype(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One is refuted, by a device that contracts as XLA's CPU does: its array is the golden."""
    golden = opened(shipped()).entry(TAIL.problem.id)
    assert golden is not None
    assert isinstance(golden.outcome, Returned)
    recording = recorded(tmp_path / "gpu", few, {TAIL.id: whole(golden.outcome)})

    assert main(["compare", str(few), str(recording)]) == 1
    text = words_of(capsys)
    n_normal = sum(key.startswith("normal") and "-float32-" in key for key in open_store(few).ids())
    line = f"normal float32 {n_normal} {n_normal - 1} - 1 - - {Assumption.CONTRACTION}"
    assert line in text
    assert "family dtype predicted confirmed permitted refuted not recorded not predicted" in text


def test_a_gpu_of_another_name_answers_for_the_capability(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = recorded(tmp_path / "gpu", few, {}, devices={"cuda.kind": "NVIDIA H200"})

    assert main(["compare", str(few), str(recording)]) == 0
    said = "NVIDIA H200 answers for NVIDIA H100 80GB HBM3 (h100): both are of compute capability"
    assert said in words_of(capsys)


@pytest.mark.parametrize(
    ("section", "facts", "words"),
    [
        ("devices", {CAPABILITY: "8.0"}, "cuda.compute_capability: 9.0 -> 8.0"),
        ("packages", {"jaxlib": "0.11.2"}, "jaxlib: 0.12.0.1 -> 0.11.2"),
        ("config", {"XLA_FLAGS": "--xla_gpu_ftz=true"}, "XLA_FLAGS: not stated -> --xla_gpu_ftz"),
        ("config", {"jax_enable_x64": "True"}, "jax_enable_x64: False -> True"),
    ],
)
def test_what_was_not_predicted_is_no_test(
    few: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    section: str,
    facts: dict[str, str],
    words: str,
) -> None:
    """Not even if every bit is as predicted."""
    recording = recorded(tmp_path / "gpu", few, {}, **{section: facts})

    assert main(["compare", str(few), str(recording)]) == NoTest.exit_code
    said = capsys.readouterr().err
    assert f"{recording} neither confirms nor refutes {few}" in said
    assert words in said
    assert "conformance compile --platform cuda --target DEVICE --record DIR" in said


@pytest.mark.parametrize("variable", ["JAX_PLATFORMS", "OPENBLAS_CORETYPE", "OMP_NUM_THREADS"])
def test_what_changes_no_program_of_a_gpu_need_not_be_as_predicted(
    few: Path, tmp_path: Path, variable: str
) -> None:
    recording = recorded(tmp_path / "gpu", few, {}, config={variable: "SomeValue"})

    assert main(["compare", str(few), str(recording)]) == 0


def test_the_set_that_is_meant_is_named(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = recorded(tmp_path / "gpu", few, {}, devices={CAPABILITY: "8.0"})

    assert main(["compare", str(H100), str(recording)]) == NoTest.exit_code
    assert f"compare it with {A100}" in capsys.readouterr().err


def test_a_recording_that_does_not_say_its_capability_is_no_test(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = recorded(tmp_path / "gpu", few, {})
    path = recording / "provenance.json"
    path.write_text(path.read_text().replace(CAPABILITY, "cuda.other"))

    assert main(["compare", str(few), str(recording)]) == NoTest.exit_code
    said = capsys.readouterr().err
    assert "cuda.compute_capability: 9.0 -> not stated" in said
    assert "record it anew with this version, on a CUDA device" in said


def test_what_a_truncated_recording_lacks_is_counted_and_what_nobody_predicted(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predicted = open_store(few)
    kept = [entry for entry in predicted.entries() if "-float16-" in entry.id]
    more = kept[0]
    unasked = dataclasses.replace(more, id=more.id.replace("-64x32-s0-", "-64x32-s3-"))
    write_store(tmp_path / "gpu", [*kept, unasked], kind=RECORDING, provenance=predicted.provenance)

    assert main(["compare", str(few), str(tmp_path / "gpu")]) == 3
    text = words_of(capsys)
    n_uniform = sum(key.startswith("uniform") and "-float32-" in key for key in predicted.ids())
    assert f"uniform float32 {n_uniform} - - - {n_uniform} - -" in text
    family = more.shard.partition("/")[0]
    assert re.search(rf"{family} float16 (\d+) \1 - - - 1 -", text)
