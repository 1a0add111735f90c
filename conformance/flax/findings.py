"""What is looked for in Flax beside claims and goldens; where it is otherwise, the ledger says so.

What each test expects is here, by the name under which the ledger would hold a finding about it.
"""

from __future__ import annotations

from conformance.judge.ledger import Ledger

PROMISES = {
    "key-is-never-looked-at": "raises TypeError",
    "nnx-weight-norm-hands-out-a-stream": "returns scales.kernel",
    "paths-join-without-a-mark": "different kernels",
    "scan-counts-its-traces": "draw 1",
    "streams-of-one-seed-are-one-stream": "different keys",
    "vector-with-explicit-in-axis": "raises ValueError",
}
"""Outcomes that the documentation, or symmetry, promises."""

SUMMING = (
    "flax.linen.Dense",
    "flax.linen.DenseGeneral",
    "flax.linen.Einsum",
    "flax.linen.Einsum:heads",
    "flax.linen.Conv",
    "flax.linen.Conv:grouped",
    "flax.linen.ConvLocal",
    "flax.linen.ConvTranspose",
    "flax.linen.ConvTranspose:transposed",
)
"""The layers of linen whose outputs are sums over one kernel, which keeps their variance."""

TWINS: dict[str, str] = {
    "Dense": "Linear",
    "DenseGeneral": "LinearGeneral",
    **{
        name: name
        for name in (
            "Einsum",
            "Einsum:heads",
            "Conv",
            "Conv:grouped",
            "ConvTranspose",
            "ConvTranspose:transposed",
            "Embed",
            "BatchNorm",
            "GroupNorm",
            "InstanceNorm",
            "LayerNorm",
            "RMSNorm",
            "SpectralNorm",
            "WeightNorm",
            "PReLU",
            "LSTMCell",
            "OptimizedLSTMCell",
            "GRUCell",
            "SimpleCell",
            "RNN",
            "Bidirectional",
            "Sequential",
        )
    },
    "MultiHeadDotProductAttention": "MultiHeadAttention",
}
"""Layers that linen and nnx both have, by linen's name."""

SAME_LAWS = "the same laws"


def fault(ledger: Ledger, name: str, promised: str, outcome: str) -> str:
    """Return why an outcome is neither what is promised nor what a finding states; "" if it is."""
    finding = ledger.finding(name)
    if finding is None:
        return "" if outcome == promised else f"{name}: {outcome}, promised: {promised}"
    if promised != finding.promised:
        return (
            f"finding {name} of ledger.toml states the promise {finding.promised!r}, "
            f"but {promised!r} is promised: restate it"
        )
    if outcome == finding.observed:
        return ""
    if outcome == promised:
        return (
            f"finding {name} of ledger.toml no longer happens: the outcome is {outcome!r}, as "
            "promised. Delete the finding"
        )
    return (
        f"finding {name} of ledger.toml has changed: the outcome is {outcome!r}, the finding says "
        f"{finding.observed!r}, promised is {promised!r}. Look at it again"
    )


def idle(ledger: Ledger) -> list[str]:
    """Return the findings about what nobody looks for: typing errors, or leftovers."""
    looked_for = {*PROMISES, *SUMMING, *TWINS}
    return sorted({finding.id for finding in ledger.findings} - looked_for)
