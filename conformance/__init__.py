"""Numerical conformance of JAX and Flax parameter initializers."""

from conformance.catalogue import Catalogue as Catalogue
from conformance.catalogue import register as register
from conformance.definition import Constant as Constant
from conformance.definition import Declared as Declared
from conformance.definition import DeltaOrthogonal as DeltaOrthogonal
from conformance.definition import NominalMoments as NominalMoments
from conformance.definition import Normal as Normal
from conformance.definition import Orthogonal as Orthogonal
from conformance.definition import TruncatedNormal as TruncatedNormal
from conformance.definition import Uniform as Uniform
from conformance.definition import VarianceScaling as VarianceScaling
