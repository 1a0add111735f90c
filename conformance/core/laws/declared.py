"""A user's law of which no sampler is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from conformance.core.laws.base import Definition, NominalMoments


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Declared(Definition):
    """A law that a user states by its moments only: elementwise, independent, no oracle."""

    moments: Callable[[tuple[int, ...]], NominalMoments]

    @property
    def fault(self) -> str:
        """Return that the moments are no function of a shape, where they are none."""
        if callable(self.moments):
            return ""
        return f"moments={self.moments!r} is no function: write one from a shape to NominalMoments"

    def nominal(self, shape: tuple[int, ...], *, is_complex: bool) -> NominalMoments:
        """Return what the user says of the shape."""
        del is_complex
        return self.moments(shape)
