"""The checks of Flax layers catch what they are there for, one planted fault each."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.core.arrays import Array, returned, whole, widen
from conformance.core.errors import GoldenError
from conformance.core.ids import Problem
from conformance.core.laws import Definition, Normal, Orthogonal, VarianceScaling
from conformance.core.paths import BUDGETS, FLAX_TREES, shipped
from conformance.core.records import DriftClass, Environment, Outcome, Raised, Returned
from conformance.flax import coverage, findings, observe, recognition, store
from conformance.flax.checks import derived_key, parameter_fault, tree_fault
from conformance.flax.layers import HAAR, LECUN, PARAM_DTYPES, UNIT_NORMAL, Claim, Layer
from conformance.flax.observe import LAYERS
from conformance.flax.verdict import Rules, claim_faults, layer_faults
from conformance.judge.ledger import Ledger
from conformance.judge.rules import load_ledger
from conformance.oracle import fold_in, haar, linen_key, seed_key
from conformance.oracle.threefry import Key
from conformance.store.budgets import load
from tests import ROOT, small_golden

DENSE = next(layer for layer in LAYERS if layer.name == "flax.linen.Dense")
LINEAR = next(layer for layer in LAYERS if layer.name == "flax.nnx.Linear")
WEIGHT_NORM = next(layer for layer in LAYERS if layer.name == "flax.linen.WeightNorm")
SPECTRAL_NORM = next(layer for layer in LAYERS if layer.name == "flax.linen.SpectralNorm")
NORMALIZED = "params.layer_instance.kernel"
KEY = seed_key(7)


def draw(definition: Definition, key: Key, shape: tuple[int, ...] = (4, 4)) -> Array:
    array = observe.draw(definition, key, shape, "float32")
    assert not isinstance(array, Raised)
    return array


def healthy() -> dict[str, Array]:
    """Return a Dense as it should be, without asking Flax."""
    kernel = draw(LECUN, linen_key(seed_key(0), (1,)))
    return {"params.kernel": kernel, "params.bias": np.zeros(4, np.float32)}


def faults(**changes: Array) -> str:
    tree = healthy() | {f"params.{name}": array for name, array in changes.items()}
    return "; ".join(claim_faults(DENSE, "float32", tree))


def test_a_layer_as_claimed_has_no_faults() -> None:
    assert claim_faults(DENSE, "float32", healthy()) == []


def test_a_kernel_of_another_draw_is_caught() -> None:
    other = draw(LECUN, linen_key(seed_key(0), (2,)))

    assert "params.kernel is not VarianceScaling(" in faults(kernel=other)
    assert "of draw 1: 16 of 16 elements differ" in faults(kernel=other)


def test_a_kernel_with_the_fan_of_the_other_side_is_caught() -> None:
    narrow = Claim(path=("kernel",), shape=(4, 16), draw=1, definition=LECUN, drawn_shape=(4, 16))
    wrong = VarianceScaling(scale=1.0, mode="fan_out", distribution="truncated_normal")

    tree = {"kernel": draw(wrong, KEY, (4, 16))}

    fault = parameter_fault(narrow, "float32", tree, draw(LECUN, KEY, (4, 16)))

    assert "elements differ" in fault


def test_one_flipped_bit_is_caught() -> None:
    kernel = healthy()["params.kernel"].copy()
    kernel.view(np.uint32)[0, 0] ^= 1

    assert "1 of 16 elements differ" in faults(kernel=kernel)


def test_a_renamed_parameter_is_caught() -> None:
    tree = healthy()
    tree["params.weight"] = tree.pop("params.kernel")

    assert tree_fault(DENSE, tree) == (
        "flax.linen.Dense lacks params.kernel; flax.linen.Dense has no claim for params.weight"
    )


def test_a_parameter_of_another_dtype_or_shape_is_caught() -> None:
    assert "bias is float16[4], not float32[4]" in faults(bias=np.zeros(4, np.float16))
    assert "bias is float32[5], not float32[4]" in faults(bias=np.zeros(5, np.float32))


def normalized_faults(layer: Layer, dtype: str, change: Callable[[Array, Array], Array]) -> str:
    """Return the faults of a layer whose kernel is what `change` makes of it and its draw."""
    tree = observe.tree(layer, dtype)
    assert not isinstance(tree, Raised)
    drawn = observe.draw(LECUN, linen_key(seed_key(0), ("layer_instance", 1)), (4, 4), dtype)
    assert not isinstance(drawn, Raised)
    kernel = change(tree[NORMALIZED], widen(drawn).astype(np.float32))
    return "; ".join(claim_faults(layer, dtype, tree | {NORMALIZED: kernel}))


def test_a_column_that_is_not_its_draw_times_a_factor_is_caught() -> None:
    def bend(kernel: Array, _: Array) -> Array:
        first = np.arange(16).reshape(4, 4) == 0
        return kernel * np.where(first, np.float32(1.02), np.float32(1))

    fault = normalized_faults(WEIGHT_NORM, "bfloat16", bend)

    assert "is not its draw times one factor a column: the factors spread by 0.02" in fault


@pytest.mark.parametrize("dtype", PARAM_DTYPES)
@pytest.mark.parametrize("layer", [WEIGHT_NORM, SPECTRAL_NORM], ids=["weight", "spectral"])
@pytest.mark.parametrize(
    "change",
    [
        lambda _, drawn: -2 * drawn,
        lambda kernel, _: -kernel,
        lambda kernel, _: kernel * np.array([1, -1, 1, 1], np.float32),
        lambda _, drawn: drawn,
    ],
    ids=["minus twice the draw", "negated", "one negated column", "the draw itself"],
)
def test_a_normalized_kernel_of_the_wrong_sign_or_size_is_caught(
    change: Callable[[Array, Array], Array], layer: Layer, dtype: str
) -> None:
    fault = normalized_faults(layer, dtype, change)

    assert f"{NORMALIZED} is not its draw divided by its norm: the factor is " in fault


@pytest.mark.parametrize("layer", [WEIGHT_NORM, SPECTRAL_NORM], ids=["weight", "spectral"])
def test_a_normalized_kernel_follows_the_norm_that_the_tree_states(layer: Layer) -> None:
    tree = observe.tree(layer, "float32", revealing=True)
    assert not isinstance(tree, Raised)
    (stated,) = {"params.layer_instance/kernel/scale", "batch_stats.layer_instance/kernel/u"} & set(
        tree
    )
    changed = tree | {stated: tree[stated] * np.linspace(1, 2, 4, dtype=np.float32)}

    assert claim_faults(layer, "float32", tree, revealing=True) == []
    assert any(
        fault.startswith(f"{NORMALIZED} is not its draw divided by its norm")
        for fault in claim_faults(layer, "float32", changed, revealing=True)
    )


def test_a_normalized_kernel_whose_norm_is_not_stated_is_a_fault() -> None:
    tree = observe.tree(WEIGHT_NORM, "float32")
    assert not isinstance(tree, Raised)
    del tree["params.layer_instance/kernel/scale"]

    assert (
        f"{NORMALIZED} is normalized, but neither layer_instance/kernel/scale nor "
        "layer_instance/kernel/u says by which norm"
    ) in claim_faults(WEIGHT_NORM, "float32", tree)


def test_a_layer_that_no_longer_raises_is_caught() -> None:
    cell = next(layer for layer in LAYERS if layer.name == "flax.linen.SimpleCell")
    tree = {claim.name: np.zeros(claim.shape, np.float16) for claim in cell.claims}

    (fault,) = claim_faults(cell, "float16", tree)

    assert fault.startswith("returns, though an initializer of its claims raises ")


def test_a_layer_that_raises_for_no_reason_is_caught() -> None:
    refused = Raised(exception="TypeError", message="no")

    assert claim_faults(DENSE, "float32", refused) == ["raises TypeError: no"]


def test_a_linen_that_hands_one_key_to_all_parameters_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from flax.core import scope

    first = scope.LazyRng.create
    monkeypatch.setattr(
        scope.Scope, "make_rng", lambda self, name: first(self.rngs[name], 1).as_jax_rng()
    )

    found = claim_faults(
        DENSE, "float32", observe.tree(DENSE, "float32", revealing=True), revealing=True
    )

    assert [fault.partition(" is not")[0] for fault in found] == ["params.bias"]


def test_an_nnx_that_does_not_count_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    import jax
    from flax.nnx import rnglib

    monkeypatch.setattr(
        rnglib.RngStream, "__call__", lambda self: jax.random.fold_in(self.key[...], 0)
    )

    found = claim_faults(
        LINEAR, "float32", observe.tree(LINEAR, "float32", revealing=True), revealing=True
    )

    assert [fault.partition(" is not")[0] for fault in found] == ["bias"]


@pytest.mark.parametrize("layer", [DENSE, LINEAR], ids=["linen", "nnx"])
def test_each_draw_of_a_layer_has_a_key_of_its_own(layer: Layer) -> None:
    keys = [derived_key(layer, claim, 0) for claim in layer.claims]

    assert len({key.tobytes() for key in keys if key is not None}) == 2


def test_a_new_public_layer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import flax.linen as nn

    novel = type("Novel", (nn.Dense,), {})
    monkeypatch.setattr(nn, "Novel", novel, raising=False)

    assert observe.uncovered_layers() == ["flax.linen.Novel"]


def test_a_layer_without_parameters_is_claimed_to_have_none() -> None:
    without = {layer.name for layer in LAYERS if not layer.claims}

    assert without == {"flax.linen.Dropout", "flax.nnx.Dropout", "flax.nnx.RoPE"}


# --- Recognition ---------------------------------------------------------------------------------


def test_a_key_is_recognised_whatever_the_law() -> None:
    array = draw(Normal(stddev=3.0), fold_in(KEY, 5), (8, 8))
    candidates = [(number, fold_in(KEY, number)) for number in range(10)]

    match = recognition.matching_key(array, candidates)

    assert match is not None
    assert match[0] == 5


def test_no_key_is_recognised_among_wrong_ones() -> None:
    array = draw(UNIT_NORMAL, KEY, (8, 8))
    candidates = [(number, fold_in(KEY, number)) for number in range(200)]

    assert recognition.matching_key(array, candidates) is None


def test_few_values_tell_no_key() -> None:
    array = draw(UNIT_NORMAL, KEY, (3, 4))

    assert recognition.matching_key(array, [("its own", KEY)]) is None


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("distribution", ["truncated_normal", "normal", "uniform"])
def test_a_law_is_recognised_in_every_dtype(distribution: str, dtype: str) -> None:
    definition = VarianceScaling(scale=2.0, mode="fan_in", distribution=distribution)
    array = observe.draw(definition, KEY, (8, 16), dtype)
    assert not isinstance(array, Raised)

    found = recognition.recognise(array, KEY)

    assert found.is_exact
    assert (found.definition, found.fan) == (definition, 8)


def test_an_orthogonal_kernel_is_recognised_and_a_random_one_is_not() -> None:
    assert recognition.recognise(draw(HAAR, KEY, (16, 8)), None).initializer == "orthogonal"
    assert recognition.recognise(draw(LECUN, KEY, (16, 8)), None).initializer != "orthogonal"


@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "key"])
@pytest.mark.parametrize(
    "made",
    [
        lambda: np.where(np.arange(128) == 100, np.float32("nan"), draw(UNIT_NORMAL, KEY, (128,))),
        lambda: np.where(np.arange(128) == 100, np.float32("inf"), draw(UNIT_NORMAL, KEY, (128,))),
        lambda: np.full(128, np.inf, np.float32),
        lambda: draw(UNIT_NORMAL, KEY, (8, 16)).astype(np.complex64),
        lambda: np.zeros((0, 4), np.float32),
    ],
    ids=["NaN", "inf", "all inf", "complex", "empty"],
)
def test_what_no_initializer_returns_is_not_recognised(
    made: Callable[[], Array], key: Key | None
) -> None:
    assert recognition.recognise(made(), key) is recognition.UNKNOWN


def test_a_complex_array_has_no_orthogonal_key() -> None:
    array = draw(HAAR, KEY, (8, 16)).astype(np.complex64)

    assert recognition.matching_orthogonal_key(array, [("its own", KEY)]) is None


def test_the_key_of_an_orthogonal_kernel_is_told_from_others() -> None:
    scaled = draw(Orthogonal(scale=1.5), fold_in(KEY, 3), (8, 32))
    candidates = [(number, fold_in(KEY, number)) for number in range(5)]

    match = recognition.matching_orthogonal_key(scaled, candidates)

    assert match is not None
    assert match[0] == 3
    assert recognition.matching_orthogonal_key(scaled, candidates[:3]) is None
    assert recognition.recognise(scaled, match[1]).initializer == "orthogonal(scale=1.5)"


# --- Goldens -------------------------------------------------------------------------------------


def entries() -> dict[str, Outcome]:
    return store.outcomes_of(DENSE.name, "float32", healthy())


def test_goldens_come_back_as_they_were_stored(tmp_path: Path) -> None:
    small_golden.write_layers(tmp_path, entries())

    assert store.load(tmp_path) == entries()


def test_the_variants_of_a_layer_share_a_shard() -> None:
    outcome = Raised(exception="TypeError", message="")

    shards = {store.entry_of(f"flax.nnx.{name}/float16", outcome).shard for name in CONVS}

    assert shards == {"flax.nnx/Conv.safetensors"}


CONVS = ("Conv", "Conv:grouped")


def rules(goldens: dict[str, Outcome]) -> Rules:
    return Rules(
        catalogue=load_catalogue(),
        budgets=load(shipped() / BUDGETS),
        ledger=load_ledger(),
        goldens=goldens,
        folder=shipped(),
    )


def test_a_missing_golden_fails_by_name() -> None:
    (kernel, bias) = layer_faults(DENSE, "float32", healthy(), rules({}))

    assert kernel == (
        "flax.linen.Dense/float32/params.kernel has no golden: run "
        "`conformance goldens stage --layer 'flax.linen.Dense' --reason '...'`"
    )
    assert "params.bias has no golden" in bias


def test_a_golden_of_other_values_names_the_class_of_the_drift() -> None:
    goldens = entries()
    goldens["flax.linen.Dense/float32/params.kernel"] = returned(draw(LECUN, KEY))

    (fault,) = layer_faults(DENSE, "float32", healthy(), rules(goldens))

    assert "of flax.linen.Dense/float32/params.kernel differ from the golden." in fault
    assert "class: stream" in fault


def one_rounding_away() -> dict[str, Outcome]:
    kernel = healthy()["params.kernel"].copy()
    kernel.view(np.uint32)[...] += np.uint32(1)
    return entries() | {"flax.linen.Dense/float32/params.kernel": returned(kernel)}


def test_a_golden_one_rounding_away_passes() -> None:
    assert layer_faults(DENSE, "float32", healthy(), rules(one_rounding_away())) == []


def test_the_strict_policy_holds_layers_too() -> None:
    strict = dataclasses.replace(rules(one_rounding_away()), max_drift=DriftClass.IDENTICAL)

    (fault,) = layer_faults(DENSE, "float32", healthy(), strict)

    assert "class: rounding" in fault


LSTM = next(layer for layer in LAYERS if layer.name == "flax.linen.LSTMCell")


@pytest.mark.parametrize(("exception", "n_faults"), [("TypeError", 0), ("ValueError", 4)])
def test_an_error_is_judged_as_the_case_that_raises_it(exception: str, n_faults: int) -> None:
    """Four recurrent kernels are orthogonal, which 16 bits have no decomposition for."""
    key = store.entry_id(LSTM.name, "bfloat16")
    golden = Raised(exception=exception, message="")

    found = layer_faults(LSTM, "bfloat16", observe.tree(LSTM, "bfloat16"), rules({key: golden}))

    assert len(found) == n_faults
    assert all(f"{key}/params.h" in fault and "ValueError" in fault for fault in found)


RECURRENT = "flax.linen.LSTMCell/float32/params.hf.kernel"


def lstm() -> dict[str, Array]:
    tree = observe.tree(LSTM, "float32")
    assert not isinstance(tree, Raised)
    return dict(tree)


def test_a_recurrent_matrix_of_another_kernel_is_rounding() -> None:
    """Its 9 elements are too few for a law, and each is a right Q of what was drawn."""
    tree = lstm()
    goldens = store.load(shipped())
    golden = goldens[RECURRENT]
    assert isinstance(golden, Returned)
    normals = observe.normals(HAAR, key_of(RECURRENT), problem_of(golden))
    assert normals is not None
    drawn = np.frombuffer(normals, np.float32).reshape(golden.shape)
    exact = haar(drawn.astype(np.float64)).astype(np.float32)

    found = layer_faults(LSTM, "float32", tree, rules({**goldens, RECURRENT: returned(exact)}))

    assert not np.array_equal(exact, tree["params.hf.kernel"])
    assert found == []


def test_a_recurrent_matrix_with_two_columns_swapped_is_named() -> None:
    goldens = store.load(shipped())
    golden = goldens[RECURRENT]
    assert isinstance(golden, Returned)
    swapped = returned(np.ascontiguousarray(whole(golden)[:, [1, 0, 2, 3]]))

    (fault,) = layer_faults(LSTM, "float32", lstm(), rules({**goldens, RECURRENT: swapped}))

    assert "of flax.linen.LSTMCell/float32/params.hf.kernel differ from the golden." in fault
    assert "class: structural" in fault
    assert (
        "the expected matrix: column 0 is not that of the Q of the matrix that was drawn" in fault
    )


def key_of(name: str) -> Key:
    path = name.rpartition("/")[2]
    key = derived_key(LSTM, next(each for each in LSTM.claims if each.name == path), observe.SEED)
    assert key is not None
    return key


def problem_of(golden: Returned) -> Problem:
    return Problem(initializer="orthogonal", dtype=golden.dtype, shape=golden.shape, seed=0)


# --- Goldens of earlier sets ---------------------------------------------------------------------

KERNEL = "flax.linen.Dense/float32/params.kernel"


def _drop(document: dict[str, Any]) -> None:
    del document["entries"][KERNEL]["bits"]


def _flip(document: dict[str, Any]) -> None:
    document["entries"][KERNEL]["bits"] = "01" * 24


def _rename(document: dict[str, Any]) -> None:
    document["entries"]["kernel"] = document["entries"].pop(KERNEL)


def _newer(document: dict[str, Any]) -> None:
    document["schema"] = 99


def earlier(folder: Path, change: Callable[[dict[str, Any]], object] | None = None) -> Path:
    """Return a folder with the one file in which earlier sets hold the goldens of layers."""
    source = ROOT / "tests" / "data" / "formats" / "2026-11-29" / "golden" / FLAX_TREES
    document = json.loads(source.read_text())
    if change:
        change(document)
    (folder / FLAX_TREES).write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_drop, "Dense/float32/params.kernel is damaged"),
        (_flip, "Dense/float32/params.kernel does not have the digest it states"),
        (_rename, "dtype '' in 'kernel' is unknown: a parameter's id reads flax.linen.Dense/"),
        (_newer, "has version 99 of the format `goldens of layers`, this release reads up to 1"),
    ],
)
def test_a_damaged_file_of_goldens_is_refused_by_entry(
    tmp_path: Path, damage: Any, message: str
) -> None:
    with pytest.raises(GoldenError, match=message):
        store.load(earlier(tmp_path, damage))


def test_of_a_set_accepted_before_its_versions_alone_are_known(tmp_path: Path) -> None:
    said = {"reason": "a test", "jax": "1.2", "date": "2026-11-25"}

    found = store.open_layers(earlier(tmp_path, lambda document: document.update(accepted=said)))

    assert found is not None
    assert found.environment == Environment(packages={"jax": "1.2"}, config={}, host={}, devices={})


@pytest.mark.parametrize(
    "found",
    [[], "x", {"host": {}}, {"packages": {}, "config": {}, "host": {"a": 1}, "devices": {}}],
)
def test_a_set_whose_environment_is_none_is_refused(tmp_path: Path, found: Any) -> None:
    earlier(tmp_path, lambda document: document["accepted"].update(environment=found))

    with pytest.raises(GoldenError, match=r"modules.json cannot be read .* restore it"):
        store.open_layers(tmp_path)


def test_a_set_without_goldens_of_layers_is_refused_with_the_way_out(tmp_path: Path) -> None:
    assert store.open_layers(tmp_path) is None
    with pytest.raises(GoldenError, match=r"holds no goldens of layers: run `conformance goldens"):
        store.load(tmp_path)


# --- Findings and documentation ------------------------------------------------------------------


SCAN = "scan-counts-its-traces"


@pytest.mark.parametrize(
    ("outcome", "promised", "fault"),
    [
        ("draw 3", "draw 1", ""),
        ("draw 1", "draw 1", f"finding {SCAN} of ledger.toml no longer happens: the outcome is"),
        ("draw 5", "draw 1", f"finding {SCAN} of ledger.toml has changed: the outcome is 'draw 5'"),
        ("draw 3", "draw 2", f"finding {SCAN} of ledger.toml states the promise 'draw 1', but"),
    ],
)
def test_a_finding_holds_only_while_its_outcome_is_seen(
    outcome: str, promised: str, fault: str
) -> None:
    found = findings.fault(load_ledger(), SCAN, promised, outcome)

    assert found.startswith(fault)
    assert bool(found) == bool(fault)


def test_without_a_finding_the_promise_is_asserted() -> None:
    nothing = Ledger(limitations=())

    assert findings.fault(nothing, SCAN, "draw 1", "draw 1") == ""
    assert findings.fault(nothing, SCAN, "draw 1", "draw 3") == f"{SCAN}: draw 3, promised: draw 1"


def test_a_finding_that_nobody_looks_for_is_named() -> None:
    known = load_ledger()
    stray = dataclasses.replace(known.findings[0], id="scan-counts-its-trces")

    assert findings.idle(known) == []
    assert findings.idle(Ledger(limitations=(), findings=(stray,))) == ["scan-counts-its-trces"]


def test_the_table_of_layers_is_up_to_date() -> None:
    text = (ROOT / "docs" / "flax-layers.md").read_text()

    today = coverage.document(text, store.load(ROOT / "golden"))

    assert text == today, "run python -m conformance.flax.coverage"
