"""The record of a planted fault. Nothing here imports JAX before a fault is built."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeAlias

from conformance.cases.catalogue import Catalogue, Initializer, InitializerSpec
from conformance.core.ids import Case, Problem
from conformance.core.keys import KeySpec, parse_key
from conformance.core.laws import Definition
from conformance.core.records import DriftClass

Shape = tuple[int, ...]
Wrong = Callable[[Initializer, Any, Shape, Any], Any]
"""(right initializer, key, shape, dtype) -> what the wrong one returns."""


LAYER, PROCESS = "layer", "process"
"""What a fault dies of that no check of a case sees: the claims of its layer, `flax.verdict`, and
whoever supervises the process of its case, `observe.worker`."""

BEYOND = (LAYER, PROCESS)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """A way of being wrong that can be more or less so.

    at: makes the `Wrong` of a magnitude. planted: the one that is planted. unit: what it counts.
    """

    at: Callable[[float], Wrong]
    planted: float
    unit: str

    def __call__(self, right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        """Return what is wrong by the planted magnitude."""
        return self.at(self.planted)(right, key, shape, dtype)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One wrong initializer.

    base: the builtin spec that it claims to be.
    caught_by: the check that must fail, whatever the goldens say.
    drift: class of the change from the right initializer's array; None where it shows in a sweep.
    kind: what faults of its file have in common.
    key, transform: those that show a fault of BY_DESIGN; "" for whichever key the tier asks there.
    departs: makes the right initializer of the base, if it departs from JAX as `definition` says.
    definition: replaces the base's, for faults in initializers that state less; see `is_undefined`.
    is_definition: whether that definition is what is wrong, and the base's the right one.
    is_swept: whether all words of its draws show it, and no case is asked.
    is_sampled: whether checks are given what a golden set keeps: of a large array a sample.
    ends: what is told of the process that it ends, in part; "" for those that answer.
    """

    name: str
    base: str
    wrong: Wrong
    caught_by: str
    drift: DriftClass | None = None
    kind: str = ""
    dtype: str = "float32"
    shape: Shape = (64, 32)
    seed: int = 1
    prng: str = "threefry2x32"
    key: str = ""
    transform: str = "eager"
    departs: Wrong | None = None
    definition: Definition | None = None
    is_undefined: bool = False
    is_definition: bool = False
    is_swept: bool = False
    is_sampled: bool = False
    ends: str = ""

    def build(self, right: Initializer) -> Initializer:
        """Return the wrong initializer, made from the right one."""
        return _changed(self.wrong, right)

    def _departed(self, base: InitializerSpec) -> InitializerSpec:
        if not (departs := self.departs):
            return base
        return dataclasses.replace(base, build=lambda: _changed(departs, base.build()))

    def at(self, magnitude: float) -> Fault:
        """Return the fault of another magnitude; of one without, itself."""
        if not isinstance(self.wrong, Graded):
            return self
        return dataclasses.replace(self, wrong=dataclasses.replace(self.wrong, planted=magnitude))

    def specs(self, catalogue: Catalogue) -> tuple[InitializerSpec, InitializerSpec]:
        """Return the right spec and the wrong one, both by the name that the fault claims.

        Raises:
            ValueError: the catalogue has no such spec.
        """
        base = self._departed(catalogue.lookup(self.base))
        definition = None if self.is_undefined else self.definition or base.definition
        right = base if self.is_definition else dataclasses.replace(base, definition=definition)
        wrong = dataclasses.replace(
            base, build=lambda: self.build(base.build()), definition=definition
        )
        return right, wrong

    def case(self, backend: str) -> Case:
        """Return the case that shows it."""
        key = parse_key(self.key) if self.key else KeySpec(seed=self.seed)
        problem = Problem(
            initializer=self.base,
            dtype=self.dtype,
            shape=self.shape,
            seed=key.seed,
            prng=self.prng,
            words=key.words,
            steps=key.steps,
        )
        return Case(problem=problem, backend=backend, transform=self.transform)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LayerFault:
    """One wrong layer of Flax.

    layer: whose claims it is held to. build: makes the wrong one as `flax.layers.Layer.build` does.
    caught_by, kind: as of `Fault`. dtype: of its parameters.
    """

    name: str
    layer: str
    build: Callable[..., Any]
    dtype: str = "float32"
    caught_by: str = LAYER
    kind: str = ""


Planted: TypeAlias = Fault | LayerFault


def _changed(change: Wrong, right: Initializer) -> Initializer:
    """Return an initializer that does to the right one what the change says."""

    def changed(key: Any, shape: Shape, dtype: Any, **where: Any) -> Any:
        told = functools.partial(right, **where) if where else right
        return change(told, key, shape, dtype)

    return changed
