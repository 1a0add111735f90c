"""Numerical conformance of JAX and Flax parameter initializers."""

from conformance.cases.catalogue import Catalogue as Catalogue
from conformance.cases.catalogue import register as register
from conformance.core.laws import Constant as Constant
from conformance.core.laws import Declared as Declared
from conformance.core.laws import DeltaOrthogonal as DeltaOrthogonal
from conformance.core.laws import NominalMoments as NominalMoments
from conformance.core.laws import Normal as Normal
from conformance.core.laws import Orthogonal as Orthogonal
from conformance.core.laws import TruncatedNormal as TruncatedNormal
from conformance.core.laws import Uniform as Uniform
from conformance.core.laws import VarianceScaling as VarianceScaling
