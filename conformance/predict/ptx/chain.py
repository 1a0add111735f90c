"""Programs one after the other, as JAX dispatches them outside `jit`, and all that they may return.

A *world* is what all arrays hold when every approximate instruction has taken one of its permitted
results. Worlds that hold the same are one, which keeps them few: most deviations are lost in the
next rounding. The extremes over all worlds bound every element.

An instruction whose operands are the same in all threads has one result for all, so that a world is
a whole array that the device may return. Where a result depends on a *scattered* one, the elements
deviate each by itself, and only the extremes say what is permitted.
"""

from __future__ import annotations

import dataclasses
import hashlib
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from conformance.core.arrays import Array
from conformance.core.ulp import ordered
from conformance.predict.ptx.errors import UnsupportedPtx
from conformance.predict.ptx.program import NEAREST, Choice, Program, Site

World = Mapping[str, Array]

MOST_WORLDS = 5**5
"""Worlds that are followed at a time."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One program of a chain: the arrays that it takes, by name, and the one that it makes."""

    program: Program
    reads: tuple[str, ...]
    writes: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Programs in order. constants: arrays that are there from the start. result: the last name."""

    links: tuple[Link, ...]
    constants: World
    result: str

    def run(self, arguments: World) -> Array:
        """Return the result where every approximate instruction rounds correctly."""
        world = {**self.constants, **arguments}
        for link in self.links:
            world[link.writes] = link.program.run([world[name] for name in link.reads])
        return world[self.result]

    def predict(self, arguments: World) -> Prediction:
        """Return the result with all that is permitted beside it.

        Raises:
            UnsupportedPtx: there is too much of it to be followed.
        """
        worlds: Sequence[World] = [{**self.constants, **arguments}]
        is_scattered = False
        for number, link in enumerate(self.links):
            later = self.links[number + 1 :]
            needed = {self.result}.union(*(each.reads for each in later))
            outcomes = _outcomes(link, worlds)
            is_scattered |= any(outcome.is_scattered for outcome in outcomes)
            worlds = list(_distinct(_after(link, worlds, outcomes), needed))
        return _prediction([world[self.result] for world in worlds], is_scattered=is_scattered)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a chain returns on a device.

    values: with every approximate instruction rounded correctly. lowest, highest: the extremes over
    all combinations of permitted results; NaN lies beyond all numbers, and -0 below +0.
    digests: SHA-256 of every whole array that is permitted; empty where elements deviate each by
    itself, and there are too many to be listed.
    """

    values: Array
    lowest: Array
    highest: Array
    digests: tuple[str, ...] = ()

    @property
    def is_open(self) -> npt.NDArray[np.bool_]:
        """Where more than one result is permitted."""
        lowest, highest = (ordered(_numbers(bound)) for bound in (self.lowest, self.highest))
        return np.asarray((lowest != highest).any(axis=-1))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What a program may make of the same arguments: distinct arrays, the nearest first."""

    arrays: tuple[Array, ...]
    is_scattered: bool


def _outcomes(link: Link, worlds: Sequence[World]) -> list[_Outcome]:
    """Return what the program may make of each world; it runs once for worlds it reads alike."""
    made: dict[tuple[bytes, ...], _Outcome] = {}
    outcomes = []
    for world in worlds:
        arguments = [world[name] for name in link.reads]
        key = tuple(array.tobytes() for array in arguments)
        if key not in made:
            made[key] = _outcome(link.program, arguments)
        outcomes.append(made[key])
    return outcomes


def _outcome(program: Program, arguments: Sequence[Array]) -> _Outcome:
    nearest, scattered = program.trace(arguments, NEAREST)
    arrays = {nearest.tobytes(): nearest}
    common = {_common(NEAREST, scattered): {nearest.tobytes()}}
    for choice in program.choices():
        array = program.run(arguments, choice) if choice else nearest
        arrays.setdefault(array.tobytes(), array)
        common.setdefault(_common(choice, scattered), set()).add(array.tobytes())
    return _Outcome(
        arrays=tuple(arrays.values()),
        is_scattered=any(len(results) > 1 for results in common.values()),
    )


def _common(choice: Choice, scattered: frozenset[Site]) -> frozenset[tuple[Site, int]]:
    """Return the part of a choice that all threads share."""
    return frozenset(item for item in choice.items() if item[0] not in scattered)


def _after(link: Link, worlds: Sequence[World], outcomes: Sequence[_Outcome]) -> Iterator[World]:
    for world, outcome in zip(worlds, outcomes, strict=True):
        yield from ({**world, link.writes: array} for array in outcome.arrays)


def _distinct(worlds: Iterator[World], needed: set[str]) -> Iterator[World]:
    """Yield worlds that differ in an array that is needed, with these arrays only.

    Raises:
        UnsupportedPtx: there are more than MOST_WORLDS.
    """
    seen: set[tuple[bytes, ...]] = set()
    for world in worlds:
        kept = {name: world[name] for name in sorted(needed & world.keys())}
        key = tuple(array.tobytes() for array in kept.values())
        if key in seen:
            continue
        if len(seen) == MOST_WORLDS:
            raise UnsupportedPtx(
                f"approximate instructions permit more than {MOST_WORLDS} combinations of arrays: "
                "too many to be followed"
            )
        seen.add(key)
        yield kept


def _prediction(results: Sequence[Array], *, is_scattered: bool) -> Prediction:
    """Return the first result with the extremes of all."""
    digests = (hashlib.sha256(array.tobytes()).hexdigest() for array in results)
    return Prediction(
        values=results[0],
        lowest=_extreme(results, operator.lt),
        highest=_extreme(results, operator.gt),
        digests=() if is_scattered else tuple(sorted(digests)),
    )


def _extreme(results: Sequence[Array], is_beyond: Callable[[Array, Array], Array]) -> Array:
    """Return the least or the greatest of the results, number by number."""
    first, *others = (_numbers(array) for array in results)
    for other in others:
        first = np.where(is_beyond(ordered(other), ordered(first)), other, first)
    return first.reshape(-1).view(results[0].dtype).reshape(results[0].shape)


def _numbers(values: Array) -> Array:
    """Return the real numbers of an array along a new last axis, of which complex ones have two."""
    numbers = np.ascontiguousarray(values).reshape(-1).view(values.real.dtype)
    return numbers.reshape(*values.shape, 1 + (values.dtype.kind == "c"))
