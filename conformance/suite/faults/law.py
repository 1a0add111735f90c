"""Another distribution of a built-in initializer, from a variance doubled to one part in 1e13."""

from __future__ import annotations

from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.core.records import DriftClass
from conformance.suite.faults.fault import (
    Fault,
    Shape,
    gain_off,
    mean_off,
    of_array,
    scaled,
    variance_off,
)


def _untruncated(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    import jax

    return jax.nn.initializers.normal(1.0)(key, shape, dtype)


def _fans_swapped(_: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
    import jax

    return jax.nn.initializers.lecun_normal(in_axis=-1, out_axis=-2)(key, shape, dtype)


FAULTS = (
    Fault(
        name="variance_doubled",
        base="he_normal",
        wrong=variance_off(1.0),
        caught_by="oracle",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="variance_off_by_1e_5",
        base="lecun_normal",
        wrong=variance_off(1e-5),
        caught_by="oracle",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="mean_off_by_1e_6_sigma",
        base="lecun_normal",
        wrong=mean_off(1e-6),
        caught_by="oracle",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="truncation_correction_dropped",
        base="lecun_normal",
        wrong=scaled(0.87962566103423978),
        caught_by="oracle",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="not_truncated",
        base="truncated_normal_1",
        wrong=_untruncated,
        caught_by="structure",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="gain_off_by_1e_4",
        base="glorot_uniform",
        wrong=gain_off(1e-4),
        caught_by="oracle",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="float64_gain_off_by_1e_13",
        base="glorot_uniform",
        wrong=gain_off(1e-13),
        dtype="float64",
        caught_by="oracle",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="float16_gain_off_by_1_percent",
        base="he_uniform",
        wrong=scaled(0.99),
        dtype="float16",
        caught_by="oracle",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="fans_swapped",
        base="lecun_normal",
        wrong=_fans_swapped,
        caught_by="oracle",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="float16_fans_swapped",
        base="lecun_normal",
        wrong=_fans_swapped,
        dtype="float16",
        caught_by="oracle",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="sign_flipped",
        base="uniform",
        wrong=of_array(lambda a: -a),
        caught_by="structure",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="uniform_off_by_1e_4_within_its_bounds",
        base="uniform",
        wrong=scaled(0.9999),
        caught_by="oracle",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="uniform_mirrored_within_its_bounds",
        base="uniform_1",
        wrong=of_array(lambda a: 1 - a),
        caught_by="oracle",
        drift=DriftClass.LAW,
    ),
    Fault(
        name="complex_variance_doubled",
        base="normal_1",
        wrong=of_array(lambda a: a * 2**0.5),
        dtype="complex64",
        caught_by="oracle",
        drift=DriftClass.LAW,
    ),
)
