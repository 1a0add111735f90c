"""Why two places differ, where one fact is left that can be the reason. Pure."""

from __future__ import annotations

import dataclasses

from conformance.core.causes import (
    LAPACK_FACTS,
    LIBC_FACT,
    is_lapack_known,
    known_lapack_difference,
    known_libc_difference,
)
from conformance.core.laws import Definition, has_bounds
from conformance.core.records import COMPILED
from conformance.judge.checks.matrices import is_matrix
from conformance.merge.facts import Place

CHANGE_NO_BIT = frozenset(
    {
        *("flax", "ml_dtypes", "numpy", "python", "safetensors", "scipy"),
        *("iree-base-compiler", "iree-base-runtime"),
    }
)
"""Packages that change no bit that XLA computes. SciPy brings the LAPACK, which is a fact of its
own, as the version of IREE is of IREE's runtime."""


def cause(definition: Definition | None, transform: str, before: Place, after: Place) -> str:
    """Return the fact by which alone the places can differ, `other OpenBLAS kernel: A -> B`, or "".

    LAPACK makes matrices, and on the CPU only. The C library folds the constants of a compiled
    truncated normal. What one side does not know proves nothing.
    """
    if _otherwise(before) != _otherwise(after):
        return ""
    hosts = [dataclasses.asdict(place) for place in (before, after)]
    found = ""
    if is_matrix(definition) and before.backend == "cpu" and is_lapack_known(*hosts):
        found = known_lapack_difference(*hosts)
    elif has_bounds(definition) and transform in COMPILED:
        found = known_libc_difference(*hosts)
    return f"other {found}" if found else ""


def _otherwise(place: Place) -> Place:
    """Return the place without LAPACK, C library, and what moves no bit that XLA computes.

    Of instruction sets only FMA does, but for float32 arrays of four columns, which AVX-512 rounds
    otherwise than AVX2: there the cause is one of two. What
    else the CPU model decides is the kernel of LAPACK.
    """
    packages = [
        word for word in place.packages.split() if word.partition("==")[0] not in CHANGE_NO_BIT
    ]
    return dataclasses.replace(
        place,
        **dict.fromkeys((*LAPACK_FACTS, LIBC_FACT, "cpu"), ""),
        isa=_fusing(place.isa),
        xla_isa=_fusing(place.xla_isa or place.isa),
        packages=" ".join(packages),
    )


def _fusing(isa: str) -> str:
    return "fma" if "fma" in isa.split() else ""
