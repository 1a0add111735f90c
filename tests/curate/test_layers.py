"""Goldens of layers change as those of problems do: staged, reviewed, accepted, pruned."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cli import main
from conformance.core import inventory
from conformance.core.arrays import returned, whole
from conformance.core.errors import GoldenError, SelectionError, StagingError
from conformance.core.ids import Parameter, parse_parameter
from conformance.core.paths import FLAX_TREES, LAYERS, MANIFEST, PENDING
from conformance.core.records import DriftClass, Outcome, Raised, Returned
from conformance.curate import layers as staging
from conformance.curate.accept import accept, prune
from conformance.curate.layers import Here, Seen, Tree, record_and_stage_layers
from conformance.curate.review import Review, review
from conformance.curate.verify import verify_set
from conformance.flax import observe, store
from conformance.flax.layers import Layer
from conformance.store.stack import open_stack
from conformance.store.verify import verify
from tests import ROOT, small_golden
from tests.curate.test_staging import goldens

CATALOGUE = load_catalogue()
DENSE, LSTM = (
    next(layer for layer in observe.LAYERS if layer.name == f"flax.linen.{name}")
    for name in ("Dense", "LSTMCell")
)
KERNEL, BIAS = (f"flax.linen.Dense/float32/params.{name}" for name in ("kernel", "bias"))
NORMAL = "normal-float32-64-s0-cpu-eager"
EARLIER = ROOT / "tests" / "data" / "formats" / "2026-11-29" / "golden"


def outcomes(layer: Layer) -> dict[str, Outcome]:
    with observe.on_cpu():
        return store.outcomes_of(layer.name, "float32", observe.tree(layer, "float32"))


@pytest.fixture(scope="module")
def dense() -> dict[str, Outcome]:
    return outcomes(DENSE)


@pytest.fixture
def golden(tmp_path: Path, dense: dict[str, Outcome]) -> Path:
    """A set of one problem and of the parameters of a Dense."""
    folder = small_golden.write(tmp_path / "golden", NORMAL)
    put(folder, dense)
    return folder


def put(folder: Path, found: dict[str, Outcome]) -> None:
    small_golden.write_layers(folder, found)
    inventory.write(folder)


def stage(folder: Path, *layers: Layer, **arguments: Any) -> Review:
    observer = Here(progress=lambda *_: None)
    arguments = {"scope": "--layer x", "reason": "because", "observer": observer, **arguments}
    record_and_stage_layers(folder, layers or [DENSE], ["float32"], **arguments)
    return review(folder, CATALOGUE)


def changed(outcome: Outcome, by_ulp: int) -> Returned:
    assert isinstance(outcome, Returned)
    words = np.frombuffer(outcome.bits, np.uint32) + np.uint32(by_ulp)
    return returned(words.view(np.float32).reshape(outcome.shape))


def test_what_is_as_before_is_identical(golden: Path) -> None:
    assert stage(golden).counts() == {"identical": 2}


def test_staging_leaves_the_set_as_it_is(golden: Path) -> None:
    stage(golden)

    assert verify(golden) == []
    assert inventory.faults(golden) == {}


@pytest.mark.parametrize(
    ("by_ulp", "expected"),
    [(1, DriftClass.ROUNDING), (1 << 20, DriftClass.TRANSFORM), (1 << 23, DriftClass.LAW)],
)
def test_a_planted_change_has_its_class_and_is_mended(
    by_ulp: int, expected: DriftClass, tmp_path: Path, dense: dict[str, Outcome]
) -> None:
    """One in the exponent doubles each of 16 elements, which scales the law exactly.

    An eighth of each element's binade is no one factor: it is fitted by 0.917, 22 standard errors
    from 1, of which so few pairs need 25 (`statistics.certainty`).
    """
    golden = small_golden.write(tmp_path / "golden", NORMAL)
    put(golden, dense | {KERNEL: changed(dense[KERNEL], by_ulp)})

    reviewed = stage(golden)
    accept(golden, CATALOGUE)

    assert reviewed.drifts[KERNEL].drift_class is expected
    assert reviewed.drifts[BIAS].drift_class is DriftClass.IDENTICAL
    assert store.load(golden) == dense
    assert verify_set(golden, CATALOGUE).faults == ()


def test_a_matrix_is_reviewed_by_what_was_drawn_for_it(golden: Path) -> None:
    """Two columns swapped keep the law of a random matrix, and are no Q of this draw."""
    found = outcomes(LSTM)
    key = "flax.linen.LSTMCell/float32/params.hf.kernel"
    matrix = found[key]
    assert isinstance(matrix, Returned)
    swapped = returned(np.ascontiguousarray(whole(matrix)[:, [1, 0, 2, 3]]))
    put_again(golden, found | {key: swapped})

    drift = stage(golden, LSTM).drifts[key]

    assert drift.drift_class is DriftClass.STRUCTURAL
    assert "is not that of the Q of the matrix that was drawn" in drift.detail


def put_again(folder: Path, found: dict[str, Outcome]) -> None:
    shutil.rmtree(folder / LAYERS)
    put(folder, found)


def test_what_a_layer_has_no_more_is_removed(golden: Path, dense: dict[str, Outcome]) -> None:
    error = store.entry_id(DENSE.name, "float32")
    put_again(golden, {KERNEL: dense[KERNEL], error: Raised(exception="TypeError", message="")})

    reviewed = stage(golden)
    accept(golden, CATALOGUE)

    assert (reviewed.new, reviewed.removed) == ((BIAS,), (error,))
    assert store.load(golden) == dense


def test_what_is_not_staged_stays(golden: Path, dense: dict[str, Outcome]) -> None:
    stage(golden, LSTM)
    accept(golden, CATALOGUE)

    assert store.load(golden) == dense | outcomes(LSTM)


ORPHANS = ("flax.linen.Dense/float32/params.gone", "flax.linen.Gone/float32/params.kernel")


def test_orphans_are_named_kept_and_pruned(golden: Path, dense: dict[str, Outcome]) -> None:
    put_again(golden, dense | dict.fromkeys(ORPHANS, dense[BIAS]))

    (orphan,) = stage(golden).orphans  # that of the staged layer goes
    accept(golden, CATALOGUE)

    assert orphan == ORPHANS[1]
    assert orphan in store.load(golden)
    assert prune(golden, CATALOGUE, reason="it is gone") == [orphan]
    assert store.load(golden) == dense
    assert verify_set(golden, CATALOGUE).faults == ()


def test_an_earlier_set_gets_a_store_and_keeps_its_provenance(tmp_path: Path) -> None:
    golden = small_golden.write(tmp_path / "golden", NORMAL)
    (golden / FLAX_TREES).write_bytes((EARLIER / FLAX_TREES).read_bytes())
    inventory.write(golden)
    before = store.load(golden)

    stage(golden, LSTM)
    accept(golden, CATALOGUE)

    after = store.open_layers(golden)
    assert after is not None
    assert not (golden / FLAX_TREES).exists()
    assert store.load(golden)[KERNEL] == before[KERNEL]
    assert [record["reason"] for record in after.provenance][1:] == ["because"]
    assert after.provenance[0]["reason"]
    assert verify_set(golden, CATALOGUE).faults == ()


def test_a_changed_bit_is_named_by_verify(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard = golden / LAYERS / "flax.linen" / "Dense.safetensors"
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)

    assert goldens("verify", "--golden", golden) == 3
    said = capsys.readouterr().err
    assert f"{shard} is damaged, its sha256 is not the manifest's" in said
    assert f"`conformance goldens stage --golden {golden} --layer '*'`" in said


def test_a_store_of_problems_in_place_of_layers_is_named(golden: Path, tmp_path: Path) -> None:
    shutil.rmtree(golden / LAYERS)
    shutil.move(small_golden.write(tmp_path / "other", NORMAL), golden / LAYERS)
    inventory.write(golden)

    assert f"{golden / LAYERS / MANIFEST}: the kind is golden, not layers" in (
        verify_set(golden, CATALOGUE).faults
    )


def test_nothing_is_staged_without_a_reason(golden: Path) -> None:
    with pytest.raises(StagingError, match="no reason is given"):
        stage(golden, reason=" ")


def lose(trees: Sequence[Tree], scratch: Path) -> Seen:
    """Lose every tree."""
    seen = Here(progress=lambda *_: None)([], scratch)
    lost = {f"{layer.name}/{dtype}": "it hung" for layer, dtype in trees}
    return dataclasses.replace(seen, lost=lost)


def test_where_every_layer_was_lost_nothing_is_staged(golden: Path) -> None:
    with pytest.raises(GoldenError, match=r"is left to stage: flax\.linen\.Dense/float32: it hung"):
        stage(golden, observer=lose)

    assert not (golden / PENDING).exists()


def test_layers_without_parameters_have_no_goldens(golden: Path) -> None:
    dropout = next(layer for layer in observe.LAYERS if not layer.claims)

    with pytest.raises(SelectionError, match="these layers have no parameters"):
        stage(golden, dropout)


def test_a_layer_that_does_not_repeat_itself_gets_no_golden(
    golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = iter(range(2))
    monkeypatch.setattr(staging, "tree", lambda *_: {"x": np.array([next(numbers)], np.float32)})

    with pytest.raises(GoldenError, match="/x returned other bits when it was called again"):
        stage(golden)


def test_a_set_that_changed_since_is_not_built_upon(golden: Path) -> None:
    stage(golden)
    manifest = golden / LAYERS / MANIFEST
    manifest.write_text(manifest.read_text() + " ")

    with pytest.raises(StagingError, match="was staged against another golden set"):
        review(golden, CATALOGUE)


def test_what_was_staged_beside_no_overlay_is_reviewed_so(golden: Path, tmp_path: Path) -> None:
    below = open_stack(small_golden.write(tmp_path / "below", NORMAL))
    stage(golden)

    with pytest.raises(StagingError, match="name the --golden and the --overlay of then, or drop"):
        review(golden, CATALOGUE, below)


def test_layers_may_be_all_that_a_set_holds(tmp_path: Path, dense: dict[str, Outcome]) -> None:
    stage(tmp_path / "new")
    accept(tmp_path / "new", CATALOGUE)

    found = verify_set(tmp_path / "new", CATALOGUE)
    assert store.load(tmp_path / "new") == dense
    assert (found.held, found.faults) == ({"problems": 0, "parameters of layers": 2}, ())


def test_layers_are_staged_and_accepted_by_command(
    golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--layer", "flax.linen.Dense", "--dtype", "float32", "--reason", "x")

    assert goldens("stage", "--golden", golden, *words) == 0
    assert goldens("pending", "--golden", golden) == 0
    assert goldens("accept", "--golden", golden) == 0
    assert goldens("verify", "--golden", golden) == 0

    said = capsys.readouterr().out
    assert "for the layers: --layer flax.linen.Dense --dtype float32; reason: x" in said
    assert f"pending for the layers of {golden}" in said
    assert "1 problem, 2 parameters of layers" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--layer", "flax.linen.Dens"), "layer 'flax.linen.Dens' is unknown: did you mean"),
        (("--layer", "*", "--dtype", "int8"), "param_dtype 'int8' is unknown: choose from"),
        (("--layer", "*", "--all"), "--layer stages layers, narrowed by --dtype alone"),
        (("--layer", "*", "--seed", "1"), "--layer stages layers, narrowed by --dtype alone"),
        (("--layer", "*", "--backend", "cuda"), "--layer stages layers, narrowed by --dtype alone"),
        (("--layer", "*", "--overlay", "mine"), "no overlay has any: leave out --overlay, or name"),
        (("--layer", ""), "--layer '' has an empty value"),
    ],
)
def test_what_no_layer_is_asked_for_is_a_wrong_call(
    words: tuple[str, ...], message: str, golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert goldens("stage", "--golden", golden, *words, "--reason", "x") == 4
    assert message in capsys.readouterr().err


def test_the_earlier_command_names_the_one_to_call() -> None:
    words = (sys.executable, "-m", "conformance.curate.flax_trees", "--reason", "x")

    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)  # noqa: S603

    assert done.returncode == 4
    assert "run `conformance goldens stage --layer '*' --reason '...'`" in done.stderr


def test_an_id_says_the_layer_the_dtype_and_the_path() -> None:
    parameter = Parameter(layer="flax.nnx.Conv:grouped", dtype="float16", path="scales.a/b")

    assert parse_parameter(parameter.id) == parameter
    assert dataclasses.replace(parameter, path="").id == "flax.nnx.Conv:grouped/float16"


def test_goldens_of_layers_are_no_side_of_a_comparison(
    golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(golden / LAYERS), str(golden)]) == 3
    assert "goldens of layers are of no cases; `conformance goldens review`" in (
        capsys.readouterr().err
    )
