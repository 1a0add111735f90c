"""Numerical conformance of JAX and Flax parameter initializers."""

from typing import TYPE_CHECKING, Any

from conformance.cases.catalogue import Catalogue as Catalogue
from conformance.cases.catalogue import register as register

if TYPE_CHECKING:
    from conformance.core.laws import Constant as Constant
    from conformance.core.laws import Declared as Declared
    from conformance.core.laws import DeltaOrthogonal as DeltaOrthogonal
    from conformance.core.laws import Logistic as Logistic
    from conformance.core.laws import NominalMoments as NominalMoments
    from conformance.core.laws import Normal as Normal
    from conformance.core.laws import Orthogonal as Orthogonal
    from conformance.core.laws import TruncatedNormal as TruncatedNormal
    from conformance.core.laws import Uniform as Uniform
    from conformance.core.laws import VarianceScaling as VarianceScaling

LAWS = (
    *("Constant", "Declared", "DeltaOrthogonal", "Logistic", "NominalMoments", "Normal"),
    *("Orthogonal", "TruncatedNormal", "Uniform", "VarianceScaling"),
)
"""What definitions are made of. They need NumPy, and pytest loads this package in every run."""


def __getattr__(name: str) -> Any:
    """Return a law when it is first asked for."""
    if name not in LAWS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from conformance.core import laws

    return getattr(laws, name)


def __dir__() -> list[str]:
    """Return the names that there are, laws included."""
    return sorted({*globals(), *LAWS})
