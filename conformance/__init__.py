"""Numerical conformance of JAX and Flax parameter initializers."""

from conformance.cases.catalogue import Catalogue as Catalogue
from conformance.cases.catalogue import register as register
from conformance.core.definition import Constant as Constant
from conformance.core.definition import Declared as Declared
from conformance.core.definition import DeltaOrthogonal as DeltaOrthogonal
from conformance.core.definition import NominalMoments as NominalMoments
from conformance.core.definition import Normal as Normal
from conformance.core.definition import Orthogonal as Orthogonal
from conformance.core.definition import TruncatedNormal as TruncatedNormal
from conformance.core.definition import Uniform as Uniform
from conformance.core.definition import VarianceScaling as VarianceScaling
