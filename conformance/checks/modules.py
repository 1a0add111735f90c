"""Is a layer's tree what its claims say? Pure: arrays in, sentences out.

The key of every parameter is derived here, by the oracle, from the path and the draw that a claim
states. What the initializer makes of that key is the caller's business, since JAX makes it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from conformance.arrays import Array, as_dtype, widen
from conformance.modules.layers import Claim, Layer
from conformance.oracle import linen_key, nnx_key, seed_key
from conformance.oracle.distributions import mantissa_bits
from conformance.oracle.threefry import Key

NORMALIZATION_ROUNDINGS = 4
"""A normalized element is the draw times two factors and each product is rounded once, so the
ratios of two elements of a column differ by four half-epsilons of the draw's dtype at most."""


def derived_key(layer: Layer, claim: Claim, seed: int, *, separator: bool = False) -> Key | None:
    """Return the key of the parameter's draw, derived without Flax; None where there is no draw."""
    if claim.draw is None:
        return None
    if layer.is_linen:
        scope = claim.path[1:-1]
        return linen_key(seed_key(seed), (*scope, claim.draw), separator=separator)
    return nnx_key({"default": seed}, "params", claim.draw)


def tree_fault(layer: Layer, tree: Mapping[str, Array]) -> str:
    """Return which parameters are there and should not be, or the reverse; "" if none."""
    promised = {claim.name for claim in layer.claims}
    missing, stray = sorted(promised - set(tree)), sorted(set(tree) - promised)
    return "; ".join(
        f"{layer.name} {verb} {', '.join(names)}"
        for verb, names in (("lacks", missing), ("has no claim for", stray))
        if names
    )


def parameter_fault(claim: Claim, param_dtype: str, actual: Array, drawn: Array) -> str:
    """Return how a parameter departs from its claim, or "".

    drawn: what the initializer of the claim makes of the derived key.
    """
    dtype = claim.stored_dtype(param_dtype)
    if (actual.shape, str(actual.dtype)) != (claim.shape, dtype):
        return f"is {actual.dtype}{list(actual.shape)}, not {dtype}{list(claim.shape)}"
    if claim.normalized:
        return _normalization_fault(actual, drawn)
    expected = drawn.astype(as_dtype(dtype)).reshape(claim.shape)
    if actual.tobytes() == expected.tobytes():
        return ""
    n_different = int(np.count_nonzero(widen(actual) != widen(expected)))
    return (
        f"is not {claim.definition} of draw {claim.draw}: {n_different} of {actual.size} elements "
        f"differ, first is {actual.reshape(-1)[0]!s}, should be {expected.reshape(-1)[0]!s}"
    )


def _normalization_fault(actual: Array, drawn: Array) -> str:
    ratio = widen(actual) / widen(drawn)
    spread = ratio.max(axis=0) / ratio.min(axis=0) - 1
    bound = NORMALIZATION_ROUNDINGS * 2.0 ** -mantissa_bits(drawn.dtype) / 2
    if spread.max() <= bound:
        return ""
    return f"is not its draw times one factor a column: the factors spread by {spread.max():.3g}"
