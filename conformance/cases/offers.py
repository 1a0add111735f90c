"""What each backend can be asked at all: transforms, generators, shapes and dtypes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from conformance.core.errors import SelectionError
from conformance.core.formats import DTYPES, FORMATS, is_complex
from conformance.core.ids import PRNGS, Case, format_shape

FORCED_DEVICES = ("cpu",)
"""Backends that can be told to have as many devices as `sharded` needs."""

EXECUTED_DTYPES = tuple(name for name in DTYPES if FORMATS[name].bits > 8)
"""Executors round 8 bits each as it likes: IREE stores them only, the emulator has no such PTX."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What an executor that is no device can be asked, and why nothing else."""

    transforms: tuple[str, ...] = ("eager", "legacy_key", "vmap")
    prngs: tuple[str, ...] = tuple(name for name in PRNGS if name.startswith("threefry2x32"))
    dtypes: tuple[str, ...] = EXECUTED_DTYPES
    most_elements: float = math.inf
    reason: str


OFFERS: Mapping[str, Offer] = {
    "stablehlo": Offer(
        most_elements=4096,
        reason="it interprets the exported program, on one device, for which eager and jit are "
        "one; it knows no rng_bit_generator and takes 0.15 ms an element",
    ),
    "iree": Offer(
        reason="it compiles the exported program, for one device, for which eager and jit are one; "
        "and each compiler implements rng_bit_generator as it likes",
    ),
    "cuda-emulated": Offer(
        transforms=("eager", "legacy_key", "vmap", "jit"),
        prngs=PRNGS,
        dtypes=tuple(dtype for dtype in EXECUTED_DTYPES if not is_complex(dtype)),
        reason="it emulates one device, and no functions that kernels call, such as the sine of a "
        "complex number's angle",
    ),
}
"""Backends that are asked a part of the matrix; all others are asked the whole."""


def is_offered(case: Case) -> bool:
    """Return whether the case's backend runs the like of it."""
    if case.transform == "sharded" and case.backend not in FORCED_DEVICES:
        return False
    problem = case.problem
    return not refusal(case.backend, case.transform, problem.prng, problem.shape, problem.dtype)


def refusal(backend: str, transform: str, prng: str, shape: tuple[int, ...], dtype: str) -> str:
    """Return why a backend cannot be asked this, or ""."""
    offer = OFFERS.get(backend)
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
