"""What each backend can be asked at all: transforms, generators, shapes and dtypes."""

from __future__ import annotations

import math

from conformance.cases.backends import lookup
from conformance.core.errors import SelectionError
from conformance.core.ids import SHARDED, Case, format_shape


def is_offered(case: Case) -> bool:
    """Return whether the case's backend runs the like of it."""
    if case.transform in SHARDED and not lookup(case.backend).has_host_devices:
        return False
    problem = case.problem
    return not refusal(case.backend, case.transform, problem.prng, problem.shape, problem.dtype)


def refusal(backend: str, transform: str, prng: str, shape: tuple[int, ...], dtype: str) -> str:
    """Return why a backend cannot be asked this, or ""."""
    offer = lookup(backend).offer
    if offer is None:
        return ""
    size = math.prod(shape)
    refused = [
        *([f"transform {transform!r}"] if transform not in offer.transforms else []),
        *([f"prng {prng!r}"] if prng not in offer.prngs else []),
        *([f"shape {format_shape(shape)!r}"] if size > offer.most_elements else []),
        *([f"dtype {dtype!r}"] if dtype not in offer.dtypes else []),
    ]
    if not refused:
        return ""
    return f"{' and '.join(refused)} cannot be asked of backend {backend!r}: {offer.reason}"


def refuse(backend: str, transform: str, prng: str, shape: tuple[int, ...], dtype: str) -> None:
    """Raise SelectionError if a backend does not run it."""
    if text := refusal(backend, transform, prng, shape, dtype):
        raise SelectionError(f"{text}. Leave it or the backend out")
