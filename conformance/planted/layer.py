"""A wrong layer on trial: it is initialized, and held to the claims of the one it says it is."""

from __future__ import annotations

import dataclasses

from conformance.core.ids import Tier
from conformance.flax import observe
from conformance.flax.layers import QUICK_LAYERS, Layer
from conformance.flax.verdict import claim_faults
from conformance.planted.fault import LAYER, LayerFault
from conformance.planted.record import Tried


def tried_layer(fault: LayerFault) -> Tried:
    """Return what came of a wrong layer.

    Raises:
        ValueError: no layer is called so.
    """
    right = _layer(fault.layer)
    wrong = dataclasses.replace(right, build=fault.build)
    with observe.on_cpu():
        found = claim_faults(right, fault.dtype, observe.tree(wrong, fault.dtype))
        of_right = claim_faults(right, fault.dtype, observe.tree(right, fault.dtype))
    return Tried(
        name=fault.name,
        kind=fault.kind,
        question=f"{fault.layer}/{fault.dtype}",
        tier=str(Tier.QUICK if fault.layer in QUICK_LAYERS else Tier.STANDARD) if found else "",
        claim=fault.caught_by,
        killed_by=(LAYER,) if found else (),
        passed=() if found else (LAYER,),
        says={LAYER: found[0]} if found else {},
        right_failed=(LAYER,) if of_right else (),
    )


def _layer(name: str) -> Layer:
    for layer in observe.LAYERS:
        if layer.name == name:
            return layer
    raise ValueError(f"no layer is called {name!r}: `conformance.flax.observe.LAYERS` has them")
