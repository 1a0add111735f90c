"""Every public layer of Flax draws what it must: keys, laws, shapes, dtypes, goldens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from conformance import options
from conformance.arrays import Array
from conformance.checks.modules import derived_key, parameter_fault, tree_fault
from conformance.definition import VarianceScaling, fans, nominal_moments
from conformance.drift import classify
from conformance.model import DriftClass, Outcome, Raised, Tier
from conformance.modules import findings, observe, store, transforms
from conformance.modules.layers import HAAR, LECUN, PARAM_DTYPES, Claim, Layer
from conformance.modules.observe import LAYERS, REVEALING, SEED
from conformance.oracle import fold_in, linen_key, seed_key, split
from conformance.oracle.threefry import Key

QUICK_LAYERS = ("flax.linen.Dense", "flax.nnx.Linear")
BY_NAME = {layer.name: layer for layer in LAYERS}
NO_KEY = np.zeros(2, np.uint32)
"""For initializers that ignore it."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one item of every layer and dtype; the quick tier takes two layers."""
    if "n_devices" in metafunc.fixturenames:
        is_full = metafunc.config.getoption("--tier") == Tier.FULL
        metafunc.parametrize("n_devices", [8] if is_full else [1])
    if "layer" not in metafunc.fixturenames:
        return
    is_quick = metafunc.config.getoption("--tier") == Tier.QUICK
    layers = [layer for layer in LAYERS if not is_quick or layer.name in QUICK_LAYERS]
    if "dtype" not in metafunc.fixturenames:
        layers = [layer for layer in layers if layer.arguments]
        metafunc.parametrize("layer", layers, ids=[layer.name for layer in layers])
        return
    pairs = [(layer, dtype) for layer in layers for dtype in PARAM_DTYPES]
    metafunc.parametrize(
        ("layer", "dtype"), pairs, ids=[f"{layer.name}-{dtype}" for layer, dtype in pairs]
    )


@pytest.fixture(scope="session")
def goldens(request: pytest.FixtureRequest) -> dict[str, Outcome]:
    """The goldens of the trees."""
    return store.load(options.golden_folder(request.config.getoption("--golden")))


def test_every_public_layer_has_claims() -> None:
    """A layer that Flax gained has claims, or the run fails by that name."""
    uncovered = observe.uncovered_layers()

    assert not uncovered, (
        f"no claims cover {', '.join(uncovered)}: add a Layer to conformance/modules"
    )


def test_every_layer_draws_what_it_claims(
    layer: Layer, dtype: str, goldens: Mapping[str, Outcome]
) -> None:
    """Parameters, shapes, dtypes, laws and keys; bit for bit as the initializer, and as before."""
    tree = observe.tree(layer, dtype)

    faults = claim_faults(layer, dtype, tree) + golden_faults(layer, dtype, tree, goldens)

    assert not faults, f"{layer.name} with param_dtype {dtype}:\n" + "\n".join(faults)


def test_a_layer_that_lets_its_constants_vary_shows_their_keys(layer: Layer) -> None:
    """Zeros and ones hide their keys; `uniform` in their place shows that each has its own."""
    tree = observe.tree(layer, "float32", revealing=True)

    faults = claim_faults(layer, "float32", tree, revealing=True)

    assert not faults, f"{layer.name} with {', '.join(layer.arguments)}:\n" + "\n".join(faults)


def test_every_golden_of_a_tree_belongs_to_a_layer(goldens: Mapping[str, Outcome]) -> None:
    """A golden of a layer or dtype that is no more is named, not carried along."""
    known = {store.entry_id(layer.name, dtype) for layer in LAYERS for dtype in PARAM_DTYPES}

    orphans = sorted(name for name in goldens if "/".join(name.split("/")[:2]) not in known)

    assert not orphans, f"these goldens belong to no layer: {', '.join(orphans)}"


def claim_faults(
    layer: Layer, dtype: str, tree: Mapping[str, Array] | Raised, *, revealing: bool = False
) -> list[str]:
    """Return every departure of the tree from the layer's claims."""
    drawn = {claim: _drawn(layer, claim, dtype, revealing) for claim in layer.claims}
    refusals = {value.exception for value in drawn.values() if isinstance(value, Raised)}
    if isinstance(tree, Raised):
        if tree.exception in refusals:
            return []  # the initializer itself refuses this dtype: see the ledger of limitations
        return [f"raises {tree.exception}: {tree.message}"]
    if refusals:
        return [f"returns, though an initializer of its claims raises {', '.join(refusals)}"]
    found = [tree_fault(layer, tree)]
    for claim, array in drawn.items():
        if claim.name in tree and not isinstance(array, Raised):
            fault = parameter_fault(claim, dtype, tree[claim.name], array)
            found.append(f"{claim.name} {fault}" if fault else "")
    return [fault for fault in found if fault]


def _drawn(layer: Layer, claim: Claim, dtype: str, revealing: bool) -> Array | Raised:
    """Return what JAX's initializer makes of the key that the oracle derives."""
    definition = REVEALING if revealing and claim.argument else claim.definition
    key = derived_key(layer, claim, SEED)
    return observe.draw(
        definition, NO_KEY if key is None else key, claim.drawn_shape, claim.drawn_dtype(dtype)
    )


def golden_faults(
    layer: Layer, dtype: str, tree: Mapping[str, Array] | Raised, goldens: Mapping[str, Outcome]
) -> list[str]:
    """Return every drift from the goldens beyond rounding, and every golden that is missing."""
    faults = []
    for name, outcome in store.outcomes_of(layer.name, dtype, tree).items():
        if name not in goldens:
            faults.append(f"{name} has no golden: run python -m conformance.modules.accept")
            continue
        drift = classify(outcome, goldens[name])
        if drift.drift_class.rank > DriftClass.ROUNDING.rank:
            faults.append(f"{name} drifted from its golden: {drift.drift_class}: {drift.detail}")
    return faults


# --- Laws ----------------------------------------------------------------------------------------

SUMMING = (
    "Dense",
    "DenseGeneral",
    "Einsum",
    "Einsum:heads",
    "Conv",
    "Conv:grouped",
    "ConvLocal",
    "ConvTranspose",
    "ConvTranspose:transposed",
)
"""The layers of linen whose outputs are sums over one kernel."""


@pytest.mark.parametrize("name", SUMMING)
def test_a_default_kernel_keeps_the_variance_of_its_inputs(name: str) -> None:
    """Its variance is one over the number of inputs that are summed into an output."""
    layer = BY_NAME[f"flax.linen.{name}"]
    kernel = next(claim for claim in layer.claims if claim.path[-1] == "kernel")
    assert isinstance(kernel.definition, VarianceScaling)
    fan_in = fans(kernel.drawn_shape, kernel.definition)[0]

    n_terms = observe.terms_per_output(layer)

    outcome = f"variance 1 / {fan_in:g}, for {n_terms} inputs to each output"
    if layer.name in findings.FANS:
        report(findings.FANS[layer.name], outcome)
    assert outcome == f"variance 1 / {n_terms}, for {n_terms} inputs to each output"


@pytest.mark.parametrize(("linen", "nnx"), findings.TWINS.items())
def test_twins_in_linen_and_nnx_have_the_same_laws(linen: str, nnx: str) -> None:
    """Kind by kind, the variances agree. Values differ: linen hashes paths, nnx counts draws."""
    promised, observed = (
        variances(BY_NAME[name]) for name in (f"flax.linen.{linen}", f"flax.nnx.{nnx}")
    )

    differing = [
        f"{kind} {observed.get(kind)}, not {promised.get(kind)}"
        for kind in sorted(promised | observed)
        if promised.get(kind) != observed.get(kind)
    ]
    outcome = "; ".join(differing) or findings.SAME_LAWS
    if linen in findings.TWIN_FINDINGS:
        report(findings.TWIN_FINDINGS[linen], outcome)
    assert outcome == findings.SAME_LAWS, f"{nnx} has {outcome} as in {linen}"


def test_nnx_weight_norm_takes_any_initializer_of_its_scales() -> None:
    """A finding: it hands over a stream of keys, not a key."""
    outcome = transforms.weight_norm_outcome()

    report(findings.WEIGHT_NORM, outcome)


def variances(layer: Layer) -> dict[str, str]:
    """Return the variances of each kind of parameter, each once, and what 16 bits come to."""
    found: dict[str, set[float]] = {}
    for claim in layer.claims:
        moments = nominal_moments(claim.definition, claim.drawn_shape)
        assert moments is not None
        kind = "scale" if claim.path[0] == "scales" else claim.path[-1].rpartition("/")[2]
        found.setdefault(kind, set()).add(moments.variance)
    refused = any(claim.definition == HAAR and not claim.cast for claim in layer.claims)
    texts = {kind: " ".join(f"{v:.3g}" for v in sorted(values)) for kind, values in found.items()}
    return texts | {"16 bits": "refused" if refused else "drawn"}


# --- Transforms ----------------------------------------------------------------------------------

ROOT = seed_key(SEED)
COPIES = transforms.COPIES


def lecun(key: Key, features: int = transforms.FEATURES) -> Array:
    """Return the kernel that a Dense or Linear draws from the key."""
    kernel = observe.draw(LECUN, key, (transforms.FEATURES, features), "float32")
    assert not isinstance(kernel, Raised)
    return kernel


def assert_copies(kernels: Array, keys: Sequence[Key]) -> None:
    """Fail unless each slice along axis 0 is the kernel of its key, bit for bit."""
    same = [
        kernel.tobytes() == lecun(key).tobytes() for kernel, key in zip(kernels, keys, strict=False)
    ]
    assert len(kernels) == len(keys), f"{len(kernels)} slices, not {len(keys)}"
    assert all(same), f"slices {[i for i, ok in enumerate(same) if not ok]} have other keys"


def test_remat_leaves_every_parameter_as_it_was() -> None:
    """Recomputing the forward pass is no reason for other weights."""
    assert digests(transforms.rematerialized()) == digests(transforms.dense())


def digests(tree: Mapping[str, Array]) -> dict[str, bytes]:
    """Return the bits of every array."""
    return {name: array.tobytes() for name, array in tree.items()}


def test_vmap_with_split_keys_makes_independent_copies() -> None:
    """Copy i has the i-th key split from the root."""
    kernels = transforms.vmapped(split=True)["params.kernel"]

    assert_copies(kernels, [linen_key(key, (1,)) for key in split(ROOT, COPIES)])


def test_vmap_without_split_keys_makes_equal_copies() -> None:
    """All copies have the root key."""
    kernels = transforms.vmapped(split=False)["params.kernel"]

    assert_copies(kernels, [linen_key(ROOT, (1,))] * COPIES)


def test_vmap_over_shared_parameters_makes_one_kernel() -> None:
    """There is one kernel, that of the layer by itself."""
    tree = transforms.vmapped(split=False, shared=True)

    assert digests(tree) == digests(transforms.dense())


def test_scan_over_shared_parameters_makes_one_kernel() -> None:
    """There is one kernel, that of the layer by itself at its path."""
    kernel = transforms.scanned(split=False, shared=True)["params.layers.dense.kernel"]

    assert kernel.tobytes() == lecun(linen_key(ROOT, ("layers", "dense", 1))).tobytes()


def test_scan_without_split_keys_makes_equal_copies() -> None:
    """All steps have one key: that of the second trace of the body."""
    kernels = transforms.scanned(split=False)["params.layers.dense.kernel"]

    assert_copies(kernels, [linen_key(ROOT, ("layers", "dense", 3))] * COPIES)


def test_scan_without_its_invariance_check_draws_number_1() -> None:
    """Step i has the i-th key split from the root, folded with path and draw."""
    kernels = transforms.scanned(split=True, checked=False)["params.layers.dense.kernel"]

    keys = [linen_key(key, ("layers", "dense", 1)) for key in split(ROOT, COPIES)]
    assert_copies(kernels, keys)


def test_scan_draws_the_same_whether_or_not_it_checks_invariance() -> None:
    """A finding: the draws are numbered on through both traces of the body."""
    kernels = transforms.scanned(split=True)["params.layers.dense.kernel"]

    numbers = [
        number
        for number in range(1, 8)
        if kernels[0].tobytes()
        == lecun(linen_key(split(ROOT, COPIES)[0], ("layers", "dense", number))).tobytes()
    ]
    outcome = f"draw {', '.join(map(str, numbers))}"
    keys = [linen_key(key, ("layers", "dense", *numbers)) for key in split(ROOT, COPIES)]
    assert_copies(kernels, keys)
    report(transforms.FINDINGS["scan-counts-its-traces"], outcome)


def test_modules_that_share_a_scope_share_its_count() -> None:
    """The adapter takes draw 1, so the kernel that was draw 1 becomes draw 2."""
    tree = transforms.sharing_scope()

    assert set(tree) == {"params.layer.adapter", "params.layer.kernel", "params.layer.bias"}
    expected = lecun(linen_key(ROOT, ("layer", 2)))
    assert tree["params.layer.kernel"].tobytes() == expected.tobytes()


def test_paths_that_join_to_one_text_have_different_keys() -> None:
    """A finding: they have one key."""
    one = transforms.collision("block", "1x")["params.block.1x.kernel"]
    two = transforms.collision("block1", "x")["params.block1.x.kernel"]

    equal = one.tobytes() == two.tobytes()
    finding = transforms.FINDINGS["paths-join-without-a-mark"]
    report(finding, "equal kernels" if equal else "different kernels")


@pytest.mark.parametrize("path", [("block", "1x"), ("block1", "x")])
def test_the_separator_flag_marks_where_a_part_of_a_path_ends(path: tuple[str, str]) -> None:
    """With `flax_fix_rng_separator` each part is hashed after a zero byte."""
    tree = transforms.with_separator(lambda: transforms.collision(*path))

    expected = lecun(linen_key(ROOT, (*path, 1), separator=True))
    assert tree[f"params.{'.'.join(path)}.kernel"].tobytes() == expected.tobytes()


def test_jit_leaves_every_parameter_as_it_was() -> None:
    """In linen and in nnx."""
    assert digests(transforms.jitted()) == digests(transforms.dense())
    eager = transforms.nnx_linear(transforms.nnx_rngs(default=SEED))
    assert digests(transforms.nnx_jitted()) == digests(eager)


def test_partitioning_over_devices_leaves_every_parameter_as_it_was(n_devices: int) -> None:
    """`nn.with_partitioning` says where values lie, never which they are."""
    sharded = transforms.partitioned(n_devices)

    assert digests(sharded) == digests(transforms.dense(transforms.WIDE))


@pytest.mark.parametrize("lifted", [transforms.nnx_vmapped, transforms.nnx_scanned])
def test_nnx_copies_with_split_keys_are_independent(lifted: Callable[..., observe.Tree]) -> None:
    """Copy i draws number 0 of the i-th stream split from the first key."""
    kernels = lifted(split=True)["kernel"]

    assert_copies(kernels, [fold_in(key, 0) for key in split(fold_in(ROOT, 0), COPIES)])


@pytest.mark.parametrize("lifted", [transforms.nnx_vmapped, transforms.nnx_scanned])
def test_nnx_copies_without_split_keys_are_equal(
    lifted: Callable[..., observe.Tree],
) -> None:
    """Every copy starts at the count that the stream had."""
    kernels = lifted(split=False)["kernel"]

    assert_copies(kernels, [fold_in(ROOT, 0)] * COPIES)


def test_an_nnx_layer_draws_from_the_stream_params() -> None:
    """And from `default` only where there is no such stream."""
    rngs = transforms.nnx_rngs(default=0, params=7)

    kernel = transforms.nnx_linear(rngs)["kernel"]

    assert kernel.tobytes() == lecun(fold_in(seed_key(7), 0)).tobytes()


def test_a_fork_of_nnx_rngs_takes_one_key_and_counts_from_0() -> None:
    """The fork draws below key 0 of its parent; the parent goes on with key 1."""
    parent = transforms.nnx_rngs(default=SEED)
    forked = transforms.nnx_linear(parent.fork())["kernel"]

    assert forked.tobytes() == lecun(fold_in(fold_in(ROOT, 0), 0)).tobytes()
    assert transforms.nnx_linear(parent)["kernel"].tobytes() == lecun(fold_in(ROOT, 1)).tobytes()


def test_a_split_of_nnx_rngs_splits_its_next_key() -> None:
    """`Rngs.split(n)` holds the n keys split from key 0."""
    rngs = transforms.nnx_rngs(default=SEED).split(COPIES)

    keys = np.asarray(transforms.key_words(rngs.default.key[...]))
    assert keys.tobytes() == split(fold_in(ROOT, 0), COPIES).tobytes()


def test_nnx_streams_of_one_seed_have_different_keys() -> None:
    """A finding: the name of a stream is not part of its keys."""
    rngs = transforms.nnx_rngs(params=0, dropout=0)
    keys = [np.asarray(transforms.key_words(stream())) for stream in (rngs.params, rngs.dropout)]

    equal = keys[0].tobytes() == keys[1].tobytes()
    finding = transforms.FINDINGS["streams-of-one-seed-are-one-stream"]
    report(finding, "equal keys" if equal else "different keys")


def report(finding: findings.Finding, outcome: str) -> None:
    """Report a finding that still describes the outcome; fail if it does not."""
    if message := findings.verdict(finding, outcome):
        pytest.fail(message, pytrace=False)
    pytest.xfail(f"finding {finding.id}: {outcome}, promised: {finding.promised}. {finding.reason}")
