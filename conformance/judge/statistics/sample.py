"""What is tested: arrays that one initializer drew under different keys."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.core.arrays import Array, widen
from conformance.core.lattice import word_bits
from conformance.judge.statistics.element import CLIPPED, ElementLaw, Reals
from conformance.judge.statistics.reach import ENUMERATED_WORDS

MOST = 1 << 20
"""Elements of an array that are looked at: its first lines."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Arrays along a new first axis, each of another key, and the law of their elements."""

    arrays: Array
    law: ElementLaw

    @property
    def n_draws(self) -> int:
        """How many arrays there are."""
        return len(self.arrays)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one array."""
        return self.arrays.shape[1:]

    @property
    def size(self) -> int:
        """How many elements there are in all."""
        return self.arrays.size

    @functools.cached_property
    def values(self) -> Reals:
        """The elements, one row a draw."""
        return np.asarray(widen(self.arrays).reshape(self.n_draws, -1))

    @functools.cached_property
    def ordered(self) -> Reals:
        """All elements in order."""
        return np.sort(self.values, axis=None)

    @functools.cached_property
    def standard(self) -> Reals:
        """The elements less their mean, over sigma."""
        return np.asarray((self.values - self.law.mean) / self.law.sigma)

    @functools.cached_property
    def indices(self) -> npt.NDArray[np.intp]:
        """Which point of the law's small lattice each element is nearest to."""
        if word_bits(self.arrays.dtype) not in ENUMERATED_WORDS:
            return self.law.indices(self.values)
        rows = np.ascontiguousarray(self.arrays).reshape(self.n_draws, -1)
        patterns = rows.view(f"u{rows.dtype.itemsize}")
        return _indices_of_patterns(self.law, rows.dtype).take(patterns)

    @functools.cached_property
    def counts(self) -> npt.NDArray[np.intp]:
        """How many elements are at each point of the law's small lattice."""
        assert self.law.points is not None
        return np.bincount(self.indices.ravel(), minlength=len(self.law.points))

    @functools.cached_property
    def distribution(self) -> tuple[Reals, Reals]:
        """The law's probability below each element, and up to it."""
        if self.law.upto is not None:
            return self.law.of_points(self.indices)
        return self.law.distribution(self.values)

    @functools.cached_property
    def scores(self) -> Reals:
        """A bounded score of each element, one row a draw: its mid-distribution less a half.

        Whatever the law it is nearly uniform, so that no tail weakens a test of independence. Where
        only moments are known it is the distance from the mean, clipped.
        """
        if not self.law.has_distribution:
            return np.asarray(np.clip(self.standard, -CLIPPED, CLIPPED) * self.law.sigma)
        below, upto = self.distribution
        return np.asarray((below + upto) / 2 - 0.5)

    @functools.cached_property
    def spectrum(self) -> npt.NDArray[np.complex128]:
        """The Fourier transform of the scores of each draw, padded so that nothing wraps around."""
        return np.fft.rfft(self.scores, self.padded, axis=1)

    @property
    def padded(self) -> int:
        """The length of what is transformed: a power of two, at least twice that of a draw."""
        return 1 << int(2 * self.values.shape[1] - 1).bit_length()

    def lines(self, axis: int) -> Reals:
        """Return the scores with the lines of an axis as columns, those of all draws on top."""
        rows = np.moveaxis(self.scores.reshape(self.arrays.shape), axis + 1, -1)
        return rows.reshape(-1, self.shape[axis])


@functools.lru_cache(maxsize=4)
def _indices_of_patterns(law: ElementLaw, dtype: np.dtype[Any]) -> npt.NDArray[np.intp]:
    """Return which point of the law every number of at most 16 bits is nearest to."""
    patterns = np.arange(1 << 8 * dtype.itemsize, dtype=f"u{dtype.itemsize}")
    with np.errstate(invalid="ignore"):  # of numbers that signal that they are none
        return law.indices(widen(patterns.view(dtype)))


def sample_of(arrays: Array, law: ElementLaw) -> Sample:
    """Return the sample of these arrays, or of the first lines of each where they are large."""
    size = math.prod(arrays.shape[1:])
    if size > MOST:
        flat = arrays.reshape(len(arrays), -1, arrays.shape[-1])
        arrays = flat[:, : max(1, MOST // arrays.shape[-1])]
    return Sample(arrays=arrays, law=law)
