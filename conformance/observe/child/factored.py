"""Which matrices a model's orthogonal parameters are the Q of, as JAX factored them.

An orthogonal parameter is held to what was drawn for it, so that must be on record. The target is
called once more with JAX telling what it factors; what it then returns must have the same bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from conformance.core.arrays import Array, as_dtype, as_tall, centre_of, widen
from conformance.core.ulp import unit_roundoff
from conformance.observe.jax_compat import factored

LIKELY = 1e-2
"""How far from orthogonal, relative to their lengths, columns are that are worth another call."""

MOST_COLUMNS = 4096
"""Beyond it the products of all columns cost more than they can tell."""

ROUNDINGS = 8
"""Most roundings of an element of Q on its way into a parameter: sign, scale, and either norm."""


def talls(array: Array) -> Iterator[Array]:
    """Yield each tall matrix, rows >= columns, that the array may hold, by the axis of its columns.

    Of a kernel that is zero but for its spatial centre it is that of the centre.
    """
    if array.ndim > 2:
        inner = array[centre_of(array.shape)]
        array = inner if np.count_nonzero(inner) == np.count_nonzero(array) else array
    for axis in range(array.ndim if array.ndim > 1 else 0):
        yield as_tall(array, axis)


def may_be_orthogonal(array: Array) -> bool:
    """Return whether the columns of a matrix in the array are nearly orthogonal, of one length."""
    if as_dtype(str(array.dtype)).kind in "biu" or not array.any():
        return False
    return any(
        _is_nearly_orthogonal(widen(tall)) for tall in talls(array) if tall.shape[1] <= MOST_COLUMNS
    )


def _is_nearly_orthogonal(tall: Array) -> bool:
    products = tall.conj().T @ tall
    square = float(np.abs(np.diagonal(products)).mean())
    rest = np.abs(products - square * np.eye(len(products)))
    return bool(square > 0 and rest.max() <= LIKELY * square)


def drawn_for(leaves: Iterable[tuple[str, Any]], digests: Mapping[str, str]) -> dict[str, bytes]:
    """Return the bits of what was factored for each parameter, by its path, where that is certain.

    leaves: of one more call of the target, made when they are iterated. digests: of the parameters
        that may be orthogonal, as they are without JAX being listened to.
    """
    with factored() as found:
        again = {path: np.asarray(leaf) for path, leaf in leaves if path in digests}
    drawn = {}
    for path, array in again.items():
        if hashlib.sha256(array.tobytes()).hexdigest() != digests[path]:
            continue  # told to speak, the compiler made another program
        for number, (matrix, q) in enumerate(found):
            if matrix.dtype == array.dtype and any(_is_of(tall, q) for tall in talls(array)):
                drawn[path] = matrix.tobytes()
                del found[number]
                break
    return drawn


def _is_of(tall: Array, q: Array) -> bool:
    """Return whether the matrix is Q but for the signs of columns and one factor."""
    if tall.shape != q.shape:
        return False
    one, two = np.abs(widen(tall)), np.abs(widen(q))
    scale = np.linalg.norm(one) / np.linalg.norm(two)
    return bool(np.allclose(one, scale * two, rtol=ROUNDINGS * unit_roundoff(tall.dtype), atol=0))
