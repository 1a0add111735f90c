"""What an initializer must return, said without JAX: one definition a file, and what follows of it.

How a definition is added: docs/adding-a-law.md.
"""

from __future__ import annotations

from conformance.core.formats import is_complex
from conformance.core.laws.base import Definition, Law, NominalMoments, Reals, Sampler
from conformance.core.laws.constant import Constant, Identity
from conformance.core.laws.declared import Declared
from conformance.core.laws.logistic import Logistic
from conformance.core.laws.normal import Normal
from conformance.core.laws.orthogonal import DeltaOrthogonal, Matrix, Orthogonal, tall_shape
from conformance.core.laws.truncated_normal import (
    TRUNCATED_STDDEV,
    TruncatedNormal,
    truncated_normal_moments,
)
from conformance.core.laws.uniform import Uniform
from conformance.core.laws.variance_scaling import (
    COMPLEX_TRUNCATED_STDDEV,
    MODES,
    UNITS,
    Axes,
    Fans,
    ScaledBounds,
    VarianceScaling,
    fans,
    keras_fans,
    scaled_variance,
)
from conformance.core.laws.ways import (
    AS_JAX,
    KNOWN_ROUNDS,
    SCALE_ONCE,
    SCALE_STEPWISE,
    Refusal,
    Rounds,
)

__all__ = [
    "AS_JAX",
    "COMPLEX_TRUNCATED_STDDEV",
    "KNOWN_ROUNDS",
    "MODES",
    "SCALE_ONCE",
    "SCALE_STEPWISE",
    "TRUNCATED_STDDEV",
    "UNITS",
    "Axes",
    "Constant",
    "Declared",
    "Definition",
    "DeltaOrthogonal",
    "Fans",
    "Identity",
    "Law",
    "Logistic",
    "Matrix",
    "NominalMoments",
    "Normal",
    "Orthogonal",
    "Reals",
    "Refusal",
    "Rounds",
    "Sampler",
    "ScaledBounds",
    "TruncatedNormal",
    "Uniform",
    "VarianceScaling",
    "expected_error",
    "fans",
    "has_bounds",
    "keras_fans",
    "law_of",
    "nominal_moments",
    "sampler_of",
    "scaled_variance",
    "tall_shape",
    "truncated_normal_moments",
]


def law_of(definition: Definition, shape: tuple[int, ...], dtype: str = "float32") -> Law | None:
    """Return the law of one element, or None where elements are not drawn one by one."""
    return definition.law(shape, is_complex=is_complex(dtype))


def nominal_moments(
    definition: Definition, shape: tuple[int, ...], dtype: str = "float32"
) -> NominalMoments | None:
    """Return the moments of one element, or None where elements follow no common law."""
    return definition.nominal(shape, is_complex=is_complex(dtype))


def sampler_of(definition: Definition | None, shape: tuple[int, ...]) -> Sampler | None:
    """Return how the elements are drawn; None where nothing is drawn or nobody knows how."""
    return None if definition is None else definition.sampler(shape)


def has_bounds(definition: Definition | None) -> bool:
    """Return whether the law is cut at bounds, of which a program takes erf."""
    match definition:
        case TruncatedNormal() | VarianceScaling(distribution="truncated_normal"):
            return True
        case _:
            return False


def expected_error(definition: Definition | None, shape: tuple[int, ...], dtype: str) -> str | None:
    """Return the name of the exception that the call must raise, or None if it must return.

    These are the documented refusals: too few dimensions for a fan, for an orthogonal matrix or for
    a delta-orthogonal kernel; complex dtypes where the law is real only. Or those that the
    definition states.
    """
    if definition is None:
        return None
    return definition.refused(shape, dtype, is_complex=is_complex(dtype))
