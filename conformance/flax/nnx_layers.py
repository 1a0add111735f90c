"""The layers of `flax.nnx`, and what they must draw from the stream `params` of `nnx.Rngs(0)`."""

from __future__ import annotations

import dataclasses
from typing import Any

from conformance.core.laws import Constant, Definition, Normal
from conformance.flax.layers import EMBEDDING, HAAR, LECUN, LORA_A, ONES, ZEROS, Claim, Layer, claim

NAMESPACE = "flax.nnx"


def _affine(
    path: str,
    kernel: tuple[int, ...],
    bias: tuple[int, ...],
    draw: int = 0,
    *,
    definition: Definition = LECUN,
    drawn: tuple[int, ...] | None = None,
) -> tuple[Claim, Claim]:
    prefix = f"{path}." if path else ""
    return (
        claim(f"{prefix}kernel", kernel, draw, definition, drawn=drawn),
        claim(f"{prefix}bias", bias, draw + 1, ZEROS, argument="bias_init"),
    )


NORM = (
    claim("scale", (4,), 0, ONES, argument="scale_init"),
    claim("bias", (4,), 1, ZEROS, argument="bias_init"),
)


def _attention() -> tuple[Claim, ...]:
    heads = [
        part
        for number, name in enumerate(("query", "key", "value"))
        for part in _affine(name, (4, 2, 2), (2, 2), 2 * number, drawn=(4, 4))
    ]
    scales = [
        claim(f"{name}_ln.scale", (2,), 6 + number, ONES)
        for number, name in enumerate(("query", "key"))
    ]
    return (*heads, *scales, *_affine("out", (2, 2, 4), (4,), 8, drawn=(4, 4)))


def _lstm() -> tuple[Claim, ...]:
    """Return the claims for eight Dense of one gate each; the recurrent kernels are cast."""
    # `if` is a keyword
    inputs = [
        claim(f"{gate}.kernel", (4, 4), n) for n, gate in enumerate(("ii", "if_", "ig", "io"))
    ]
    recurrent = []
    for number, gate in enumerate(("hi", "hf", "hg", "ho")):
        kernel, bias = _affine(gate, (4, 4), (4,), 4 + 2 * number, definition=HAAR)
        recurrent += [dataclasses.replace(kernel, cast=True), bias]
    return (*inputs, *recurrent)


def _simple(path: str, draw: int = 0) -> tuple[Claim, ...]:
    """Return the claims for a SimpleCell, which creates its recurrent Dense first."""
    return (
        claim(f"{path}dense_h.kernel", (4, 4), draw, HAAR),
        *_affine(f"{path}dense_i", (4, 4), (4,), draw + 1),
    )


def _layer(name: str, build: Any, *claims: Claim, since: str = "0") -> Layer:
    return Layer(name=f"{NAMESPACE}.{name}", build=build, claims=claims, since=since)


LAYERS: tuple[Layer, ...] = (
    _layer(
        "Linear",
        lambda nnx, rngs, **a: nnx.Linear(4, 4, rngs=rngs, **a),
        *_affine("", (4, 4), (4,)),
    ),
    _layer(
        "Linear:wide",
        lambda nnx, rngs, **a: nnx.Linear(4, 6, rngs=rngs, **a),
        *_affine("", (4, 6), (6,)),
    ),
    _layer(
        "LinearGeneral",
        lambda nnx, rngs, **a: nnx.LinearGeneral((2, 2), (2, 2), axis=(-2, -1), rngs=rngs, **a),
        *_affine("", (2, 2, 2, 2), (2, 2), drawn=(4, 4)),
    ),
    _layer(
        "Einsum",
        lambda nnx, rngs, **a: nnx.Einsum("...i,io->...o", (4, 4), (4,), rngs=rngs, **a),
        *_affine("", (4, 4), (4,)),
    ),
    _layer(
        "Einsum:heads",
        lambda nnx, rngs, **a: nnx.Einsum("...i,hio->...ho", (3, 4, 4), (3, 4), rngs=rngs, **a),
        *_affine("", (3, 4, 4), (3, 4)),
    ),
    _layer(
        "Conv",
        lambda nnx, rngs, **a: nnx.Conv(4, 4, (3,), rngs=rngs, **a),
        *_affine("", (3, 4, 4), (4,)),
    ),
    _layer(
        "Conv:grouped",
        lambda nnx, rngs, **a: nnx.Conv(4, 4, (3,), feature_group_count=2, rngs=rngs, **a),
        *_affine("", (3, 2, 4), (4,)),
    ),
    _layer(
        "ConvTranspose",
        lambda nnx, rngs, **a: nnx.ConvTranspose(4, 4, (3,), rngs=rngs, **a),
        *_affine("", (3, 4, 4), (4,)),
    ),
    _layer(
        "ConvTranspose:transposed",
        lambda nnx, rngs, **a: nnx.ConvTranspose(4, 2, (3,), transpose_kernel=True, rngs=rngs, **a),
        *_affine("", (3, 2, 4), (2,)),
    ),
    _layer(
        "Embed",
        lambda nnx, rngs, **a: nnx.Embed(8, 4, rngs=rngs, **a),
        claim("embedding", (8, 4), 0, EMBEDDING),
    ),
    _layer(
        "BatchNorm",
        lambda nnx, rngs, **a: nnx.BatchNorm(4, rngs=rngs, **a),
        *NORM,
        claim("mean", (4,), None, ZEROS, dtype="float32"),
        claim("var", (4,), None, ONES, dtype="float32"),
    ),
    _layer("GroupNorm", lambda nnx, rngs, **a: nnx.GroupNorm(4, 2, rngs=rngs, **a), *NORM),
    _layer("InstanceNorm", lambda nnx, rngs, **a: nnx.InstanceNorm(4, rngs=rngs, **a), *NORM),
    _layer("LayerNorm", lambda nnx, rngs, **a: nnx.LayerNorm(4, rngs=rngs, **a), *NORM),
    _layer("RMSNorm", lambda nnx, rngs, **a: nnx.RMSNorm(4, rngs=rngs, **a), NORM[0]),
    _layer(
        "SpectralNorm",
        lambda nnx, rngs, **a: nnx.SpectralNorm(nnx.Linear(4, 4, rngs=rngs, **a), rngs=rngs),
        *_affine("layer_instance", (4, 4), (4,)),
        claim("batch_stats.kernel/u", (1, 4), 2, Normal(stddev=0.01), dtype="float32"),
        claim("batch_stats.kernel/sigma", (), None, ONES, dtype="float32"),
    ),
    _layer(
        "WeightNorm",
        lambda nnx, rngs, **a: nnx.WeightNorm(nnx.Linear(4, 4, rngs=rngs, **a), rngs=rngs),
        *_affine("layer_instance", (4, 4), (4,)),
        claim("scales.kernel", (4,), None, ONES, dtype="float32"),
    ),
    _layer(
        "PReLU",
        lambda nnx, rngs, **a: nnx.PReLU(**a),  # noqa: ARG005 (it draws no key)
        claim("negative_slope", (), None, Constant(value=0.01)),
    ),
    _layer(
        "MultiHeadAttention",
        lambda nnx, rngs, **a: nnx.MultiHeadAttention(2, 4, normalize_qk=True, rngs=rngs, **a),
        *_attention(),
    ),
    _layer(
        "LoRA",
        lambda nnx, rngs, **a: nnx.LoRA(4, 4, 4, rngs=rngs, **a),
        claim("lora_a", (4, 4), 0, LORA_A),
        claim("lora_b", (4, 4), 1, ZEROS, argument="b_initializer"),
    ),
    _layer(
        "LoRALinear",
        lambda nnx, rngs, **a: nnx.LoRALinear(4, 4, lora_rank=4, rngs=rngs, **a),
        *_affine("", (4, 4), (4,)),
        claim("lora.lora_a", (4, 4), 2, LORA_A, dtype="float32"),
        claim("lora.lora_b", (4, 4), 3, ZEROS, argument="b_initializer", dtype="float32"),
    ),
    _layer("LSTMCell", lambda nnx, rngs, **a: nnx.LSTMCell(4, 4, rngs=rngs, **a), *_lstm()),
    _layer(
        "OptimizedLSTMCell",
        lambda nnx, rngs, **a: nnx.OptimizedLSTMCell(4, 4, rngs=rngs, **a),
        claim("dense_i.kernel", (4, 16), 0),
        *_affine("dense_h", (4, 16), (16,), 1, definition=HAAR),
    ),
    _layer(
        "GRUCell",
        lambda nnx, rngs, **a: nnx.GRUCell(4, 4, rngs=rngs, **a),
        *_affine("dense_i", (4, 12), (12,)),
        claim("dense_h.kernel", (4, 12), 2, HAAR),
    ),
    _layer("SimpleCell", lambda nnx, rngs, **a: nnx.SimpleCell(4, 4, rngs=rngs, **a), *_simple("")),
    _layer(
        "RNN",
        lambda nnx, rngs, **a: nnx.RNN(nnx.SimpleCell(4, 4, rngs=rngs, **a), rngs=rngs),
        *_simple("cell."),
    ),
    _layer(
        "Bidirectional",
        lambda nnx, rngs, **a: nnx.Bidirectional(
            nnx.RNN(nnx.SimpleCell(4, 4, rngs=rngs, **a), rngs=rngs),
            nnx.RNN(nnx.SimpleCell(4, 4, rngs=rngs, **a), rngs=rngs),
            rngs=rngs,
        ),
        *_simple("forward_rnn.cell."),
        *_simple("backward_rnn.cell.", 4),  # number 3 seeds the carries of the forward RNN
    ),
    _layer(
        "Sequential",
        lambda nnx, rngs, **a: nnx.Sequential(
            nnx.Linear(4, 4, rngs=rngs, **a), nnx.Linear(4, 4, rngs=rngs, **a)
        ),
        *_affine("layers.0", (4, 4), (4,)),
        *_affine("layers.1", (4, 4), (4,), 2),
    ),
    _layer(
        "Dict",
        lambda nnx, rngs, **a: nnx.Dict(one=nnx.Linear(4, 4, rngs=rngs, **a)),
        *_affine("one", (4, 4), (4,)),
    ),
    _layer(
        "List",
        lambda nnx, rngs, **a: nnx.List([nnx.Linear(4, 4, rngs=rngs, **a)]),
        *_affine("0", (4, 4), (4,)),
    ),
    _layer("Dropout", lambda nnx, rngs, **_: nnx.Dropout(0.5, rngs=rngs)),
    _layer(
        "RoPE",
        lambda nnx, rngs, **_: nnx.RoPE(),  # noqa: ARG005 (it draws no key)
        since="0.12.9",
    ),
)
