"""SciPy's own QR of given matrices, without JAX: `python -m conformance.upgrade.qr < REQUEST`.

JAX's CPU `qr` calls geqrf and orgqr of SciPy's LAPACK, each with the workspace that it asks for.
The same calls on the same matrix return the same bits, under the kernel and on the threads that the
variables of this process choose. Needs NumPy, SciPy and ml_dtypes.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import sys
from typing import Any

import numpy as np

from conformance.core.arrays import Array, centred, in_shape
from conformance.observe.environment import host_facts

ROUTINES = {"float32": ("s", "orgqr"), "float64": ("d", "orgqr")} | {
    "complex64": ("c", "ungqr"),
    "complex128": ("z", "ungqr"),
}
"""dtype -> the letter of LAPACK, and what it calls the routine that forms Q."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Factored:
    """A matrix that was drawn, rows >= columns, and what an initializer makes of its Q.

    shape: of the result. is_central: it lies at the spatial centre, among zeros.
    """

    dtype: str
    rows: int
    columns: int
    bits: bytes
    shape: tuple[int, ...]
    column_axis: int
    scale: float
    is_central: bool

    def as_json(self) -> dict[str, Any]:
        """Return the same as JSON holds it."""
        return {**dataclasses.asdict(self), "bits": base64.b64encode(self.bits).decode()}


def parsed(fields: dict[str, Any]) -> Factored:
    """Return what `as_json` wrote."""
    bits, shape = base64.b64decode(fields["bits"]), tuple(fields["shape"])
    return Factored(**{**fields, "bits": bits, "shape": shape})


def result(asked: Factored) -> Array:
    """Return what `orthogonal` or `delta_orthogonal` returns where LAPACK is as it is here."""
    drawn = np.frombuffer(asked.bits, asked.dtype).reshape(asked.rows, asked.columns)
    shape = asked.shape[-2:] if asked.is_central else asked.shape
    matrix = in_shape(orthonormal(drawn), shape, asked.column_axis)
    scaled = np.asarray(np.asarray(asked.scale, asked.dtype) * matrix)
    return centred(scaled, asked.shape) if asked.is_central else scaled


def orthonormal(drawn: Array) -> Array:
    """Return the Q of QR, each column times the sign of its R_jj, as `jax.random.orthogonal`."""
    from scipy.linalg import lapack

    letter, form = ROUTINES[drawn.dtype.name]
    factor, form_q = getattr(lapack, f"{letter}geqrf"), getattr(lapack, f"{letter}{form}")
    size = int(factor(drawn, lwork=-1)[2][0].real)
    packed, reflectors, _, _ = factor(drawn, lwork=size)
    size = int(form_q(packed, reflectors, lwork=-1)[1][0].real)
    q, _, _ = form_q(packed, reflectors, lwork=size)
    return np.asarray(q * np.sign(np.diagonal(packed)))


def main() -> None:
    """Answer each matrix at once: the next may take too long, or crash."""
    request = json.load(sys.stdin)
    _say({"host": host_facts()})
    for name, fields in request.items():
        bits = np.ascontiguousarray(result(parsed(fields))).tobytes()
        _say({"name": name, "sha256": hashlib.sha256(bits).hexdigest()})


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)  # noqa: T201  # the parent reads it


if __name__ == "__main__":
    main()
