"""What is wrong with one parameter by itself: with its law, its scale, its dtype, its values."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from conformance.core.arrays import Array, as_dtype, widen
from conformance.core.laws import Constant, Uniform, nominal_moments
from conformance.models.confirm import Confirmed
from conformance.models.gains import fan_fault
from conformance.models.law import LawRead, text_of
from conformance.models.model import Leaf
from conformance.models.notes import ADDED, SUMMED, Use

BIASES = ("bias", "b")
"""What libraries call what is added to the outputs of a layer."""


def faults_of_law(name: str, leaf: Leaf, law: LawRead, uses: Sequence[Use]) -> Iterator[str]:
    """Yield what is wrong with a law for what a parameter is used for."""
    definition, is_summed = law.definition, any(use.kind in SUMMED for use in uses)
    if law.scaled and (fault := fan_fault(law.scaled, leaf.shape, law.drawn_dtype, uses)):
        yield fault
    if definition is None:
        return
    if isinstance(definition, Constant):
        if definition.value and is_summed:
            yield f"{text_of(law)} where a law should draw: all outputs are one"
        return
    if law.variance == 0:
        yield "zeros where a law should draw: what is drawn is multiplied by 0"
    if fault := fan_fault(definition, leaf.shape, law.drawn_dtype, uses):
        yield fault
    if law.mean and is_summed:
        yield f"drawn about {law.mean:.3g}, not 0: the mean of the outputs grows with the fan-in"
    if _is_bias(name, uses) and not _is_of_pytorch(law):
        yield f"a bias that draws: {text_of(law)}"
    if as_dtype(law.drawn_dtype).itemsize < as_dtype(leaf.dtype).itemsize:
        yield f"drawn in {law.drawn_dtype}, stored in {leaf.dtype}: its last digits are zero"


def _is_bias(name: str, uses: Sequence[Use]) -> bool:
    return name.rpartition(".")[2] in BIASES and all(use.kind == ADDED for use in uses)


def _is_of_pytorch(law: LawRead) -> bool:
    """Return whether it is a uniform of +-c, as PyTorch and Equinox draw their biases."""
    return isinstance(law.definition, Uniform) and law.definition.lower == -1


def faults_of_values(array: Array, law: LawRead, found: Confirmed) -> Iterator[str]:
    """Yield what is wrong with values, by the key and the law that should have made them."""
    if not found.is_right:
        differ = found.n - found.n_exact
        yield (
            f"not what its key and its law make: {differ} of {found.n} values differ, "
            f"by up to {found.worst:.2g} sigma"
        )
    if law.definition is not None and law.is_random:
        yield from _beyond(array, law)


def faults_of_numbers(array: Array, *, is_random: bool) -> Iterator[str]:
    """Yield the fault of values that are no numbers; a constant may be infinite, as of a mask."""
    values = widen(array)
    n_bad = int((~np.isfinite(values) if is_random else np.isnan(values)).sum())
    if n_bad:
        yield f"{n_bad} of {array.size} values are NaN" + (" or infinite" if is_random else "")


def _beyond(array: Array, law: LawRead) -> Iterator[str]:
    """Yield the fault of values beyond the bounds; on a bound, to which a draw rounds, is right."""
    assert law.definition is not None
    nominal = nominal_moments(law.definition, law.drawn_shape)
    if nominal is None or not array.size or math.isinf(nominal.upper - nominal.lower):
        return
    bounds = [np.asarray(b + law.shift).astype(array.dtype) for b in (nominal.lower, nominal.upper)]
    lower, upper = map(float, bounds)
    values = widen(array)
    n_beyond = int(((values < lower) | (values > upper)).sum())
    if n_beyond:
        yield f"{n_beyond} values beyond the bounds {lower:.4g} and {upper:.4g} of its law"
