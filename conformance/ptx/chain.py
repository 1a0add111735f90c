"""Programs one after the other, as JAX dispatches them outside `jit`, and all that they may return.

A *world* is what all arrays hold when every approximate instruction has taken one of its permitted
results. Worlds that hold the same are one, which keeps them few: most deviations are lost in the
next rounding. The extremes over all worlds bound every element.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.ptx.errors import UnsupportedPtx
from conformance.ptx.program import NEAREST, Program

Array = npt.NDArray[Any]

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
            world[link.writes] = link.program.run([world[name] for name in link.reads], NEAREST)
        return world[self.result]

    def predict(self, arguments: World) -> Prediction:
        """Return the result with the interval of each element, over all permitted results.

        Raises:
            UnsupportedPtx: there are too many of them to be followed.
        """
        worlds: Sequence[World] = [{**self.constants, **arguments}]
        for number, link in enumerate(self.links):
            later = self.links[number + 1 :]
            needed = {self.result}.union(*(each.reads for each in later))
            worlds = list(_distinct(_after(link, worlds), needed))
        return _prediction([world[self.result] for world in worlds])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a chain returns on a device.

    values: with every approximate instruction rounded correctly. lowest, highest: the extremes over
    all combinations of permitted results; NaN lies beyond all numbers, and -0 below +0.
    """

    values: Array
    lowest: Array
    highest: Array

    @property
    def is_open(self) -> npt.NDArray[np.bool_]:
        """Where more than one result is permitted."""
        return np.asarray(ordered(self.lowest) != ordered(self.highest))


def _after(link: Link, worlds: Sequence[World]) -> Iterator[World]:
    """Yield every world that the program makes of each; it runs once for worlds it reads alike."""
    made: dict[tuple[bytes, ...], list[Array]] = {}
    for world in worlds:
        arguments = [world[name] for name in link.reads]
        key = tuple(array.tobytes() for array in arguments)
        if key not in made:
            runs = (link.program.run(arguments, choice) for choice in link.program.choices())
            made[key] = list({array.tobytes(): array for array in runs}.values())
        yield from ({**world, link.writes: array} for array in made[key])


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


def _prediction(results: Sequence[Array]) -> Prediction:
    """Return the first result with the extremes of all."""
    return Prediction(
        values=results[0],
        lowest=functools.reduce(lambda a, b: np.where(ordered(b) < ordered(a), b, a), results),
        highest=functools.reduce(lambda a, b: np.where(ordered(b) > ordered(a), b, a), results),
    )


def ordered(values: Array) -> Array:
    """Return integers that order floats of their size as numbers, -0 below +0 and NaN outermost."""
    if values.dtype.kind in "biu":
        return values
    bits = values.view(f"i{values.dtype.itemsize}")
    # Negative floats sort backwards as two's-complement integers; mirror them.
    return np.where(bits < 0, bits ^ np.iinfo(bits.dtype).max, bits)
