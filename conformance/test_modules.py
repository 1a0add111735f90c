"""Every public layer of Flax draws what it must: keys, laws, shapes, dtypes, goldens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from conformance import options
from conformance.arrays import Array
from conformance.checks.modules import derived_key, parameter_fault, tree_fault
from conformance.drift import classify
from conformance.golden import golden_option
from conformance.model import DriftClass, Outcome, Raised, Tier
from conformance.modules import observe, store
from conformance.modules.findings import Finding, verdict
from conformance.modules.layers import PARAM_DTYPES, Claim, Layer
from conformance.modules.observe import LAYERS, REVEALING, SEED

QUICK_LAYERS = ("flax.linen.Dense", "flax.nnx.Linear")
NO_KEY = np.zeros(2, np.uint32)
"""For initializers that ignore it."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one item of every layer and dtype; the quick tier takes two layers."""
    if "layer" not in metafunc.fixturenames:
        return
    is_quick = metafunc.config.getoption("--tier") == Tier.QUICK
    installed = observe.installed_layers()
    layers = [layer for layer in installed if not is_quick or layer.name in QUICK_LAYERS]
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


@pytest.fixture(scope="session")
def accepting(request: pytest.FixtureRequest) -> str:
    """The command that accepts the trees of today."""
    option = golden_option(options.golden_folder(request.config.getoption("--golden")))
    return f"python -m conformance.modules.accept{option} --reason '...'"


@pytest.fixture(autouse=True)
def on_cpu() -> Iterator[None]:
    """Hold all of this to the CPU, accelerators or not."""
    with observe.on_cpu():
        yield


@pytest.fixture
def not_in_the_quick_tier(request: pytest.FixtureRequest) -> None:
    """Skip, and say so: the quick tier has no time for this."""
    if request.config.getoption("--tier") == Tier.QUICK:
        pytest.skip("runs from the standard tier on")


def test_every_public_layer_has_claims() -> None:
    """A layer that Flax gained has claims, or the run fails by that name."""
    uncovered = observe.uncovered_layers()

    assert not uncovered, (
        f"no claims cover {', '.join(uncovered)}: add a Layer to conformance/modules"
    )


def test_every_layer_draws_what_it_claims(
    layer: Layer, dtype: str, goldens: Mapping[str, Outcome], accepting: str
) -> None:
    """Parameters, shapes, dtypes, laws and keys; bit for bit as the initializer, and as before."""
    tree = observe.tree(layer, dtype)

    faults = claim_faults(layer, dtype, tree) + golden_faults(
        layer, dtype, tree, goldens, accepting
    )

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
            fault = parameter_fault(claim, dtype, tree, array)
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
    layer: Layer,
    dtype: str,
    tree: Mapping[str, Array] | Raised,
    goldens: Mapping[str, Outcome],
    accepting: str,
) -> list[str]:
    """Return every drift from the goldens beyond rounding, and every golden that is missing.

    accepting: the command that stores what is missing.
    """
    faults = []
    for name, outcome in store.outcomes_of(layer.name, dtype, tree).items():
        if name not in goldens:
            faults.append(f"{name} has no golden: run `{accepting}`")
            continue
        drift = classify(outcome, goldens[name])
        if drift.drift_class.rank > DriftClass.ROUNDING.rank:
            faults.append(f"{name} drifted from its golden: {drift.drift_class}: {drift.detail}")
    return faults


def report(finding: Finding, outcome: str) -> None:
    """Report a finding that still describes the outcome; fail if it does not."""
    if message := verdict(finding, outcome):
        pytest.fail(message, pytrace=False)
    pytest.xfail(f"finding {finding.id}: {outcome}, promised: {finding.promised}. {finding.reason}")
