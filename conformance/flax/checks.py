"""Is a layer's tree what its claims say? Pure: arrays in, sentences out.

The key of every parameter is derived here, by the oracle, from the path and the draw that a claim
states. What the initializer makes of that key is the caller's business, since JAX makes it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from conformance.core.arrays import Array, as_dtype, differing, widen
from conformance.core.lattice import mantissa_bits
from conformance.flax.layers import Claim, Layer
from conformance.oracle import linen_key, nnx_key, seed_key
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


def parameter_fault(claim: Claim, param_dtype: str, tree: Mapping[str, Array], drawn: Array) -> str:
    """Return how a parameter of the tree departs from its claim, or "".

    The factor of a normalized parameter follows from the scale or the vector that the tree holds
    for it; those have claims of their own.

    drawn: what the initializer of the claim makes of the derived key.
    """
    actual = tree[claim.name]
    dtype = claim.stored_dtype(param_dtype)
    if (actual.shape, str(actual.dtype)) != (claim.shape, dtype):
        return f"is {actual.dtype}{list(actual.shape)}, not {dtype}{list(claim.shape)}"
    if claim.normalized:
        return _normalization_fault(claim, actual, drawn, tree)
    expected = drawn.astype(as_dtype(dtype)).reshape(claim.shape)
    if actual.tobytes() == expected.tobytes():
        return ""
    mine, theirs = actual.ravel(), expected.ravel()
    wrong = np.flatnonzero(differing(mine, theirs))
    first = int(wrong[0])
    return (
        f"is not {claim.definition} of draw {claim.draw}: {wrong.size} of {actual.size} elements "
        f"differ, first is {mine[first]!s}, should be {theirs[first]!s}"
    )


def _normalization_fault(
    claim: Claim, actual: Array, drawn: Array, tree: Mapping[str, Array]
) -> str:
    path = "/".join(claim.path[1:])
    scale, start = tree.get(f"params.{path}/scale"), tree.get(f"batch_stats.{path}/u")
    if scale is not None:
        factor, bound = _weight_norm_factor(drawn, scale)
    elif start is not None:
        factor, bound = _spectral_norm_factor(drawn, start)
    else:
        return f"is normalized, but neither {path}/scale nor {path}/u says by which norm"
    ratio = widen(actual) / widen(drawn)
    relative = ratio / factor
    error = np.abs(relative - 1)
    # NaN is no less than the bound: an element without a ratio is a fault.
    if not error.max() <= bound:
        worst = np.unravel_index(error.argmax(), error.shape)
        expected = np.broadcast_to(factor, error.shape)[worst]
        return (
            "is not its draw divided by its norm: "
            f"the factor is {ratio[worst]:.6g}, should be {expected:.6g}"
        )
    spread = float((relative.max(axis=0) / relative.min(axis=0)).max()) - 1
    if spread <= NORMALIZATION_ROUNDINGS * _half_epsilon(drawn):
        return ""
    return f"is not its draw times one factor a column: the factors spread by {spread:.3g}"


def _weight_norm_factor(drawn: Array, scale: Array) -> tuple[Array, float]:
    """Return scale / length of each column, and how far rounding may take an element from it.

    The arithmetic is that of the draw's dtype.
    """
    kernel = widen(drawn)
    roundings = _normalizing_roundings(len(kernel)) + 1  # the product with the scale
    return widen(scale) / np.linalg.norm(kernel, axis=0), _bound(roundings, drawn)


def _spectral_norm_factor(drawn: Array, start: Array) -> tuple[Array, float]:
    """Return 1 / the norm after one step of power iteration, and its relative rounding.

    The step goes from `start` to v = start W^T and u = v W, each of unit length; v W u^T estimates
    the norm. The vector `start` is float32 and W is promoted to it. A product of n terms errs by n
    half-epsilons of the product of lengths (Cauchy-Schwarz), which is `first` and `last` times the
    length of the result; the direction of u, at a maximum, counts in second order only.
    """
    kernel = widen(drawn)
    size = float(np.linalg.norm(kernel))
    reached = widen(start) @ kernel.T
    left = reached / np.linalg.norm(reached)
    norm = float(np.linalg.norm(left @ kernel))
    first = size * float(np.linalg.norm(start)) / float(np.linalg.norm(reached))
    last = size / norm
    n_terms = max(kernel.shape)
    division = 2  # as a product with the reciprocal
    roundings = n_terms * (first + 2) + 2 * _normalizing_roundings(n_terms) + division
    return np.asarray(1 / norm), _bound(roundings * last, start)


def _normalizing_roundings(n_terms: int) -> float:
    """Return the half-epsilons of x * rsqrt(sum of squares + tiny).

    Squares, sum and tiny make n + 1, halved by the root; rsqrt is a root and a quotient; then
    comes the product.
    """
    return (n_terms + 1) / 2 + 3


def _bound(roundings: float, arithmetic: Array) -> float:
    """Return the relative error of so many roundings in the array's dtype, products included."""
    first_order = roundings * _half_epsilon(arithmetic)
    return first_order / (1 - first_order)


def _half_epsilon(array: Array) -> float:
    return 2.0 ** -mantissa_bits(array.dtype) / 2
