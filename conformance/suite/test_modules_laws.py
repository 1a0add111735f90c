"""The laws of Flax's layers are what a user would expect: of their fans, and of their twins."""

from __future__ import annotations

import pytest

from conformance.core.laws import VarianceScaling, fans, nominal_moments
from conformance.flax import findings, observe, transforms
from conformance.flax.layers import HAAR, Layer
from conformance.flax.observe import LAYERS
from conformance.judge.ledger import Ledger
from conformance.suite.test_modules import hold
from conformance.suite.test_modules import ledger as ledger
from conformance.suite.test_modules import not_in_the_quick_tier as not_in_the_quick_tier
from conformance.suite.test_modules import on_cpu as on_cpu

pytestmark = pytest.mark.usefixtures("not_in_the_quick_tier")

BY_NAME = {layer.name: layer for layer in LAYERS}


@pytest.mark.parametrize("name", findings.SUMMING)
def test_a_default_kernel_keeps_the_variance_of_its_inputs(name: str, ledger: Ledger) -> None:
    """Its variance is one over the number of inputs that are summed into an output."""
    layer = BY_NAME[name]
    kernel = next(claim for claim in layer.claims if claim.path[-1] == "kernel")
    assert isinstance(kernel.definition, VarianceScaling)
    fan_in = fans(kernel.drawn_shape, kernel.definition)[0]

    n_terms = observe.terms_per_output(layer)

    outcome = f"variance 1 / {fan_in:g}, for {n_terms} inputs to each output"
    hold(ledger, name, outcome, f"variance 1 / {n_terms}, for {n_terms} inputs to each output")


@pytest.mark.parametrize(("linen", "nnx"), findings.TWINS.items())
def test_twins_in_linen_and_nnx_have_the_same_laws(linen: str, nnx: str, ledger: Ledger) -> None:
    """Kind by kind, the variances agree. Values differ: linen hashes paths, nnx counts draws."""
    promised, observed = (
        variances(BY_NAME[name]) for name in (f"flax.linen.{linen}", f"flax.nnx.{nnx}")
    )

    differing = [
        f"{kind} {observed.get(kind)}, not {promised.get(kind)}"
        for kind in sorted(promised | observed)
        if promised.get(kind) != observed.get(kind)
    ]
    hold(ledger, linen, "; ".join(differing) or findings.SAME_LAWS, findings.SAME_LAWS)


def test_nnx_weight_norm_takes_any_initializer_of_its_scales(ledger: Ledger) -> None:
    """A finding: it hands over a stream of keys, not a key."""
    outcome = transforms.weight_norm_outcome()

    hold(ledger, "nnx-weight-norm-hands-out-a-stream", outcome)


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
