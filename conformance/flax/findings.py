"""Where today's JAX or Flax is not as its documentation says, or not as a user would expect.

A finding excuses nothing: it states the exact outcome that is seen today. The test that meets it
reports it as an expected failure, and fails as soon as the outcome is any other.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One deviation, in words that a test compares.

    promised: the outcome that the documentation, or symmetry, promises. observed: today's outcome.
    """

    id: str
    promised: str
    observed: str
    reason: str
    link: str


GUIDE = (
    "https://flax-linen.readthedocs.io/en/latest/guides/flax_fundamentals/initializers_guide.html"
)


def verdict(finding: Finding, outcome: str) -> str:
    """Return why the finding no longer describes the outcome; "" while it does."""
    if outcome == finding.observed:
        return ""
    if outcome == finding.promised:
        return (
            f"finding {finding.id} no longer happens: the outcome is {outcome!r}, as promised. "
            "Delete the finding and assert the promise"
        )
    return (
        f"finding {finding.id} has changed: the outcome is {outcome!r}, the finding says "
        f"{finding.observed!r}, the documentation {finding.promised!r}. Look at it again"
    )


LINK = "https://github.com/google/flax/blob/main/flax/linen/linear.py"

FANS = {
    finding.id: finding
    for finding in (
        Finding(
            id="flax.linen.Einsum:heads",
            promised="variance 1 / 4, for 4 inputs to each output",
            observed="variance 1 / 12, for 4 inputs to each output",
            reason="Einsum asks lecun_normal for the kernel as it is, which takes all axes but the "
            "last two for a receptive field: the axis of heads counts as inputs",
            link=LINK,
        ),
        Finding(
            id="flax.linen.ConvLocal",
            promised="variance 1 / 4, for 4 inputs to each output",
            observed="variance 1 / 12, for 4 inputs to each output",
            reason="the kernels of all output positions are one array, and the axis of positions "
            "counts as receptive field: the longer the input, the smaller the weights",
            link=LINK,
        ),
        Finding(
            id="flax.linen.ConvTranspose:transposed",
            promised="variance 1 / 12, for 12 inputs to each output",
            observed="variance 1 / 6, for 12 inputs to each output",
            reason="transpose_kernel stores (..., out, in), and the initializer still takes the "
            "axis before the last for the inputs",
            link=LINK,
        ),
    )
}
"""Layers whose default kernel does not keep the variance of its inputs, by name."""

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

RECURRENT = "https://github.com/google/flax/blob/main/flax/nnx/nn/recurrent.py"

TWIN_FINDINGS = {
    finding.id: finding
    for finding in (
        Finding(
            id="GRUCell",
            promised=SAME_LAWS,
            observed="kernel 0.0833 0.25, not 0.25",
            reason="nnx draws the recurrent kernels of all three gates as one orthogonal matrix "
            "of 4 x 12: a gate's own 4 x 4 is not orthogonal, and its weights are sqrt(3) smaller",
            link=RECURRENT,
        ),
        Finding(
            id="OptimizedLSTMCell",
            promised=SAME_LAWS,
            observed="kernel 0.0625 0.25, not 0.25",
            reason="as GRUCell, with four gates: weights of half the size",
            link=RECURRENT,
        ),
        Finding(
            id="LSTMCell",
            promised=SAME_LAWS,
            observed="16 bits drawn, not refused",
            reason="only nnx.LSTMCell draws its orthogonal kernels in float32 and casts them; the "
            "other cells with orthogonal kernels, linen's LSTMCell too, cannot be made in 16 bits",
            link=RECURRENT,
        ),
        Finding(
            id="SpectralNorm",
            promised=SAME_LAWS,
            observed="u 0.0001, not 1",
            reason="nnx starts the power iteration from normal(0.01), linen from normal(1); the "
            "first iteration divides by the length, so only the stored value differs",
            link="https://github.com/google/flax/blob/main/flax/nnx/nn/normalization.py",
        ),
    )
}
"""Where twins differ in law: variances by kind of parameter in nnx, and not those in linen."""

WEIGHT_NORM = Finding(
    id="nnx-weight-norm-hands-out-a-stream",
    promised="returns scales.kernel",
    observed="raises TypeError",
    reason="nnx.WeightNorm calls scale_init with the stream rngs['params'] where a key belongs, "
    "and without param_dtype: only initializers that ignore their key work, and scales are float32",
    link="https://github.com/google/flax/blob/main/flax/nnx/nn/normalization.py",
)
