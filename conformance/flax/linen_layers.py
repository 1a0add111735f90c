"""The layers of `flax.linen`, as small as they can be told apart, and what they must draw.

Shapes are shared between layers, because each (shape, dtype) is compiled once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from conformance.core.laws import Constant
from conformance.flax.layers import (
    EMBEDDING,
    HAAR,
    LECUN,
    ONES,
    UNIT_NORMAL,
    ZEROS,
    Claim,
    Layer,
    claim,
)

NAMESPACE = "flax.linen"


def _affine(
    path: str,
    kernel: tuple[int, ...],
    bias: tuple[int, ...],
    drawn: tuple[int, ...] | None = None,
) -> tuple[Claim, Claim]:
    return (
        claim(f"{path}.kernel", kernel, 1, drawn=drawn),
        claim(f"{path}.bias", bias, 2, ZEROS, argument="bias_init"),
    )


def _normalized(path: str) -> tuple[Claim, Claim]:
    """Return the claims for a Dense whose kernel is stored divided by its norm, in float32.

    The norm's own arithmetic promotes: `param_dtype` of the wrapper is float32 here.
    """
    kernel, bias = _affine(path, (4, 4), (4,))
    return dataclasses.replace(kernel, normalized=True, stored="float32"), bias


def _norm(path: str = "params", *, features: int = 4) -> tuple[Claim, Claim]:
    return (
        claim(f"{path}.scale", (features,), 1, ONES, argument="scale_init"),
        claim(f"{path}.bias", (features,), 2, ZEROS, argument="bias_init"),
    )


def _attention(*, normalize_qk: bool) -> tuple[Claim, ...]:
    """Return the claims for 2 heads of 2 features: kernels are drawn flat, as (4, 4)."""
    heads = [
        part
        for name in ("query", "key", "value")
        for part in _affine(f"params.{name}", (4, 2, 2), (2, 2), drawn=(4, 4))
    ]
    scales = [claim(f"params.{name}_ln.scale", (2,), 1, ONES) for name in ("query", "key")]
    out = _affine("params.out", (2, 2, 4), (4,), drawn=(4, 4))
    return (*heads, *(scales if normalize_qk else ()), *out)


def _gates(
    path: str, inputs: str, recurrent: str, *, bias: Callable[[str], Constant | None]
) -> tuple[Claim, ...]:
    """Return the claims for the gates of a recurrent cell: one Dense each, 4 to 4 features."""
    claims = []
    for gate in (*inputs.split(), *recurrent.split()):
        law = HAAR if gate.startswith("h") else LECUN
        claims.append(claim(f"{path}.{gate}.kernel", (4, 4), 1, law))
        value = bias(gate)
        if value is not None:
            claims.append(claim(f"{path}.{gate}.bias", (4,), 2, value, argument=_argument(value)))
    return tuple(claims)


def _argument(value: Constant) -> str:
    return "bias_init" if value == ZEROS else "forget_bias_init"


def _lstm_bias(gate: str) -> Constant | None:
    return ZEROS if gate.startswith("h") else None


def _input_bias(gate: str) -> Constant | None:
    """Biases of SimpleCell, GRUCell and MGUCell: on the inputs, and on the gated candidate."""
    return ZEROS if gate.startswith("i") or gate == "hn" else None


LSTM = _gates("params", "ii if ig io", "hi hf hg ho", bias=_lstm_bias)
GRU = _gates("params", "ir iz in", "hr hz hn", bias=_input_bias)
MGU = tuple(
    claim("params.if.bias", (4,), 2, ONES, argument="forget_bias_init")
    if part.path == ("params", "if", "bias")
    else claim(part.name, part.shape, part.draw, part.definition, argument="activation_bias_init")
    if part.path[-1] == "bias"
    else part
    for part in _gates("params", "if in", "hf hn", bias=_input_bias)
)


def _simple(path: str) -> tuple[Claim, ...]:
    return _gates(path, "i", "h", bias=_input_bias)


HISTORY = 4
"""Steps of the maxima that an 8-bit product remembers."""

AMAX = [f"{name}_amax_history" for name in ("input", "kernel", "output_grad")]
SCALES = [f"{name}_scale" for name in ("input", "kernel", "output_grad")]


def _fp8(scope: str) -> tuple[Claim, ...]:
    """Return the claims for the state of an 8-bit product: constants, in float32 always."""
    collection = "_overwrite_with_gradient" + (f".{scope}" if scope else "")
    return (
        *(claim(f"{collection}.{n}", (HISTORY,), None, ZEROS, dtype="float32") for n in AMAX),
        *(claim(f"{collection}.{n}", (1,), None, ONES, dtype="float32") for n in SCALES),
    )


def _cell_inputs(shape: Callable[..., Any]) -> tuple[Any, ...]:
    return shape(2, 4), shape(2, 4)


def _lstm_inputs(shape: Callable[..., Any]) -> tuple[Any, ...]:
    return (shape(2, 4), shape(2, 4)), shape(2, 4)


def _sequence(shape: Callable[..., Any]) -> tuple[Any, ...]:
    return (shape(1, 2, 4),)


def _image(shape: Callable[..., Any]) -> tuple[Any, ...]:
    """Return three positions, so that the middle one sees the whole of a kernel of three."""
    return (shape(1, 3, 4),)


def _layer(name: str, build: Any, *claims: Claim, **fields: Any) -> Layer:
    return Layer(name=f"{NAMESPACE}.{name}", build=build, claims=claims, **fields)


def _fp8_layer(name: str) -> Layer:
    return _layer(
        name,
        lambda nn, **a: nn.Dense(
            4,
            dot_general_cls=lambda: getattr(nn, name)(amax_history_length=HISTORY),
            **a,
        ),
        *_affine("params", (4, 4), (4,)),
        *_fp8(f"{name}_0"),
    )


LAYERS: tuple[Layer, ...] = (
    _layer("Dense", lambda nn, **a: nn.Dense(4, **a), *_affine("params", (4, 4), (4,))),
    _layer("Dense:wide", lambda nn, **a: nn.Dense(6, **a), *_affine("params", (4, 6), (6,))),
    _layer(
        "DenseGeneral",
        lambda nn, **a: nn.DenseGeneral((2, 2), axis=(-2, -1), **a),
        *_affine("params", (2, 2, 2, 2), (2, 2), drawn=(4, 4)),
        inputs=lambda shape: (shape(1, 2, 2),),
    ),
    _layer(
        "Einsum",
        lambda nn, **a: nn.Einsum((4, 4), "...i,io->...o", **a),
        *_affine("params", (4, 4), (4,)),
    ),
    _layer(
        "Einsum:heads",
        lambda nn, **a: nn.Einsum((3, 4, 4), "...i,hio->...ho", **a),
        *_affine("params", (3, 4, 4), (3, 4)),
    ),
    _layer(
        "Conv",
        lambda nn, **a: nn.Conv(4, (3,), **a),
        *_affine("params", (3, 4, 4), (4,)),
        inputs=_image,
    ),
    _layer(
        "Conv:grouped",
        lambda nn, **a: nn.Conv(4, (3,), feature_group_count=2, **a),
        *_affine("params", (3, 2, 4), (4,)),
        inputs=_image,
    ),
    _layer(
        "ConvLocal",
        lambda nn, **a: nn.ConvLocal(4, (1,), **a),
        *_affine("params", (3, 4, 4), (3, 4)),
        inputs=lambda shape: (shape(1, 3, 4),),
    ),
    _layer(
        "ConvTranspose",
        lambda nn, **a: nn.ConvTranspose(4, (3,), **a),
        *_affine("params", (3, 4, 4), (4,)),
        inputs=_image,
    ),
    _layer(
        "ConvTranspose:transposed",
        lambda nn, **a: nn.ConvTranspose(2, (3,), transpose_kernel=True, **a),
        *_affine("params", (3, 2, 4), (2,)),
        inputs=_image,
    ),
    _layer(
        "Embed",
        lambda nn, **a: nn.Embed(8, 4, **a),
        claim("params.embedding", (8, 4), 1, EMBEDDING),
        inputs=lambda shape: (shape(2, dtype="int32"),),
    ),
    _layer(
        "BatchNorm",
        lambda nn, **a: nn.BatchNorm(use_running_average=False, **a),
        *_norm(),
        claim("batch_stats.mean", (4,), None, ZEROS, dtype="float32"),
        claim("batch_stats.var", (4,), None, ONES, dtype="float32"),
    ),
    _layer("GroupNorm", lambda nn, **a: nn.GroupNorm(2, **a), *_norm()),
    _layer("InstanceNorm", lambda nn, **a: nn.InstanceNorm(**a), *_norm(), inputs=_sequence),
    _layer("LayerNorm", lambda nn, **a: nn.LayerNorm(**a), *_norm()),
    _layer("RMSNorm", lambda nn, **a: nn.RMSNorm(**a), _norm()[0]),
    _layer(
        "SpectralNorm",
        lambda nn, **a: nn.SpectralNorm(nn.Dense(4, **a)),
        *_normalized("params.layer_instance"),
        claim("batch_stats.layer_instance/kernel/u", (1, 4), 1, UNIT_NORMAL, dtype="float32"),
        claim("batch_stats.layer_instance/kernel/sigma", (), None, ONES, dtype="float32"),
        options={"update_stats": False},
    ),
    _layer(
        "WeightNorm",
        lambda nn, scale_init=None, **a: nn.WeightNorm(
            nn.Dense(4, **a), **({"scale_init": scale_init} if scale_init else {})
        ),
        *_normalized("params.layer_instance"),
        claim(
            "params.layer_instance/kernel/scale",
            (4,),
            1,
            ONES,
            argument="scale_init",
            dtype="float32",
        ),
    ),
    _layer(
        "PReLU",
        lambda nn, **a: nn.PReLU(**a),
        claim("params.negative_slope", (), 1, Constant(value=0.01)),
    ),
    _layer(
        "MultiHeadAttention",
        lambda nn, **a: nn.MultiHeadAttention(num_heads=2, **a),
        *_attention(normalize_qk=False),
        inputs=_sequence,
    ),
    _layer(
        "MultiHeadDotProductAttention",
        lambda nn, **a: nn.MultiHeadDotProductAttention(num_heads=2, normalize_qk=True, **a),
        *_attention(normalize_qk=True),
        inputs=lambda shape: (shape(1, 2, 4), shape(1, 2, 4)),
    ),
    _layer(
        "SelfAttention",
        lambda nn, **a: nn.SelfAttention(num_heads=2, **a),
        *_attention(normalize_qk=False),
        inputs=_sequence,
    ),
    _layer("LSTMCell", lambda nn, **a: nn.LSTMCell(4, **a), *LSTM, inputs=_lstm_inputs),
    _layer(
        "OptimizedLSTMCell",
        lambda nn, **a: nn.OptimizedLSTMCell(4, **a),
        *LSTM,
        inputs=_lstm_inputs,
    ),
    _layer("GRUCell", lambda nn, **a: nn.GRUCell(4, **a), *GRU, inputs=_cell_inputs),
    _layer("MGUCell", lambda nn, **a: nn.MGUCell(4, **a), *MGU, inputs=_cell_inputs),
    _layer(
        "SimpleCell", lambda nn, **a: nn.SimpleCell(4, **a), *_simple("params"), inputs=_cell_inputs
    ),
    _layer(
        "ConvLSTMCell",
        lambda nn, **a: nn.ConvLSTMCell(1, (3,), **a),
        claim("params.ih.kernel", (3, 4, 4), 1),
        claim("params.ih.bias", (4,), 2, ZEROS),
        claim("params.hh.kernel", (3, 1, 4), 1),
        claim("params.hh.bias", (4,), 2, ZEROS),
        inputs=lambda shape: ((shape(1, 2, 1), shape(1, 2, 1)), shape(1, 2, 4)),
    ),
    _layer(
        "RNN",
        lambda nn, **a: nn.RNN(nn.SimpleCell(4, **a)),
        *_simple("params.cell"),
        inputs=_sequence,
    ),
    _layer(
        "Bidirectional",
        lambda nn, **a: nn.Bidirectional(
            nn.RNN(nn.SimpleCell(4, **a)), nn.RNN(nn.SimpleCell(4, **a))
        ),
        *_simple("params.forward_rnn.cell"),
        *_simple("params.backward_rnn.cell"),
        inputs=_sequence,
    ),
    _layer(
        "Sequential",
        lambda nn, **a: nn.Sequential([nn.Dense(4, **a), nn.Dense(4, **a)]),
        *_affine("params.layers_0", (4, 4), (4,)),
        *_affine("params.layers_1", (4, 4), (4,)),
    ),
    _layer("Dropout", lambda nn, **_: nn.Dropout(0.5, deterministic=True)),
    _fp8_layer("Fp8DotGeneralOp"),
    _fp8_layer("Fp8DirectDotGeneralOp"),
    _fp8_layer("NANOOFp8DotGeneralOp"),
    _layer(
        "Fp8Einsum",
        lambda nn, **_: nn.Fp8Einsum(amax_history_length=HISTORY),
        *_fp8(""),
        inputs=lambda shape: ("ij,jk->ik", shape(4, 4), shape(4, 4)),
    ),
)
