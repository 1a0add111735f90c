"""What a layer promises: every parameter's shape, dtype, law and draw, as data.

A claim says which draw of which scope a parameter is; the key that follows from it is derived by
`conformance.oracle.keys`, without Flax.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from conformance.core.formats import NARROW_DTYPES
from conformance.core.laws import Constant, Definition, Normal, Orthogonal, VarianceScaling

LECUN = VarianceScaling(scale=1.0, mode="fan_in", distribution="truncated_normal")
EMBEDDING = VarianceScaling(scale=1.0, mode="fan_in", distribution="normal", out_axis=0)
"""Flax's default for embeddings: the variance is 1 over the number of columns."""

LORA_A = VarianceScaling(scale=2.0, mode="fan_in", distribution="uniform")
HAAR = Orthogonal()
UNIT_NORMAL = Normal(stddev=1.0)
ZEROS, ONES = Constant(value=0.0), Constant(value=1.0)

PARAM_DTYPES = NARROW_DTYPES

QUICK_LAYERS = ("flax.linen.Dense", "flax.nnx.Linear")
"""Those of the quick tier; the standard tier has all."""

Builder = Callable[..., Any]
"""Namespace module (and for nnx the Rngs), keyword arguments of the layer -> module."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one parameter must be.

    path: of the parameter; in linen it starts with the collection.
    draw: the number of its key: in linen within the scope and from 1, in nnx within the stream and
        from 0; None where no key is drawn.
    drawn_shape: what the initializer is asked for, where the layer reshapes the result.
    argument: the layer's argument that takes the initializer, where the default is a constant.
        Another initializer passed there makes the key visible.
    dtype: in which the initializer draws; "" stands for `param_dtype`.
    stored: the dtype of the parameter, where it is another.
    cast: the initializer draws in float32 and the layer casts to `param_dtype`.
    normalized: the layer stores the draw with each column divided by a norm that its tree states.
    """

    path: tuple[str, ...]
    shape: tuple[int, ...]
    draw: int | None
    definition: Definition
    drawn_shape: tuple[int, ...]
    argument: str = ""
    dtype: str = ""
    stored: str = ""
    cast: bool = False
    normalized: bool = False

    @property
    def name(self) -> str:
        """Return e.g. `params.kernel`."""
        return ".".join(self.path)

    def drawn_dtype(self, param_dtype: str) -> str:
        """Return the dtype that the initializer is asked for."""
        return "float32" if self.cast else self.dtype or param_dtype

    def stored_dtype(self, param_dtype: str) -> str:
        """Return the dtype of the parameter."""
        return self.stored or self.dtype or param_dtype


def claim(
    path: str,
    shape: tuple[int, ...],
    draw: int | None,
    definition: Definition = LECUN,
    *,
    drawn: tuple[int, ...] | None = None,
    argument: str = "",
    dtype: str = "",
) -> Claim:
    """Return a claim; `path` is joined by dots."""
    return Claim(
        path=tuple(path.split(".")),
        shape=shape,
        draw=draw,
        definition=definition,
        drawn_shape=drawn or shape,
        argument=argument,
        dtype=dtype,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One public layer, how to build it small, and what its parameters must be.

    name: the qualified public name; with `:variant` for a second configuration of one layer.
    inputs: from `shape(*sizes, dtype=...)`, the arguments of the call that initializes (linen).
    options: keyword arguments of that call.
    since: the first release of Flax that has the layer, where that is younger than 0.12.8.
    """

    name: str
    build: Builder
    claims: tuple[Claim, ...] = ()
    inputs: Callable[[Callable[..., Any]], tuple[Any, ...]] = lambda shape: (shape(2, 4),)
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    since: str = "0"

    @property
    def public_name(self) -> str:
        """Return the name without the variant: `flax.linen.Conv`."""
        return self.name.partition(":")[0]

    @property
    def is_linen(self) -> bool:
        """Return whether keys follow from paths; in nnx they follow from counts."""
        return self.name.startswith("flax.linen.")

    @property
    def arguments(self) -> tuple[str, ...]:
        """Return the arguments through which constant parameters can be made to show their keys."""
        return tuple(sorted({claim.argument for claim in self.claims} - {""}))
