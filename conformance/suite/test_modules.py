"""Every public layer of Flax draws what it must: keys, laws, shapes, dtypes, goldens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from conformance.cases.builtin import load_catalogue
from conformance.core.ids import Tier
from conformance.core.paths import BUDGETS, LEDGER, golden_folder, golden_option
from conformance.core.records import DriftClass, Outcome
from conformance.flax import findings, observe, store
from conformance.flax.layers import PARAM_DTYPES, QUICK_LAYERS, Layer
from conformance.flax.verdict import Rules, claim_faults, layer_faults
from conformance.judge.ledger import Ledger
from conformance.judge.rules import load_ledger
from conformance.store import budgets


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
    return store.load(golden_folder(request.config.getoption("--golden")))


@pytest.fixture(scope="session")
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """What is known to be wrong."""
    return load_ledger(Path(request.config.getoption("--ledger") or LEDGER))


@pytest.fixture(scope="session")
def rules(request: pytest.FixtureRequest, goldens: dict[str, Outcome], ledger: Ledger) -> Rules:
    """By what layers are judged: what the options say for cases."""
    option = request.config.getoption
    folder = golden_folder(option("--golden"))
    return Rules(
        catalogue=load_catalogue(),
        budgets=budgets.load(folder / BUDGETS),
        ledger=ledger,
        goldens=goldens,
        folder=folder,
        max_drift=DriftClass(option("--max-drift")),
    )


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

    assert not uncovered, f"no claims cover {', '.join(uncovered)}: add a Layer to conformance/flax"


def test_every_layer_draws_what_it_claims(layer: Layer, dtype: str, rules: Rules) -> None:
    """Parameters, shapes, dtypes, laws and keys; bit for bit as the initializer, and as before."""
    tree = observe.tree(layer, dtype)

    faults = layer_faults(layer, dtype, tree, rules)

    assert not faults, "\n".join(
        (
            f"{layer.name} with param_dtype {dtype}:",
            *faults,
            f"  rerun: pytest conformance -k '{layer.name}-{dtype}'",
        )
    )


def test_a_layer_that_lets_its_constants_vary_shows_their_keys(layer: Layer) -> None:
    """Zeros and ones hide their keys; `uniform` in their place shows that each has its own."""
    tree = observe.tree(layer, "float32", revealing=True)

    faults = claim_faults(layer, "float32", tree, revealing=True)

    assert not faults, f"{layer.name} with {', '.join(layer.arguments)}:\n" + "\n".join(faults)


def test_every_golden_of_a_tree_belongs_to_a_layer(
    goldens: Mapping[str, Outcome], rules: Rules
) -> None:
    """A golden of a layer, dtype or parameter that is no more is named, not carried along."""
    orphans = store.orphans(goldens)

    assert not orphans, (
        f"these goldens belong to no layer: {', '.join(orphans)}. Remove them by "
        f"`conformance goldens prune{golden_option(rules.folder)} --reason '...'`"
    )


def test_every_finding_is_of_something_that_is_looked_for(ledger: Ledger) -> None:
    """One that no test would ever meet is named, not carried along."""
    idle = findings.idle(ledger)

    assert not idle, f"nothing looks for these findings of ledger.toml, delete: {', '.join(idle)}"


def hold(ledger: Ledger, name: str, outcome: str, promised: str = "") -> None:
    """Fail unless the outcome is as promised; report it where a finding of the ledger states it.

    promised: what PROMISES says, unless it is given.
    """
    fault = findings.fault(ledger, name, promised or findings.PROMISES[name], outcome)
    if fault:
        pytest.fail(fault, pytrace=False)
    if finding := ledger.finding(name):
        pytest.xfail(f"finding {name}: {outcome}, promised: {finding.promised}. {finding.reason}")
