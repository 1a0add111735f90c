"""Tests of orthogonal matrices: are they Haar, and are two keys' independent?

All rest on one invariance: a Haar matrix with any column negated is as likely. So given all
magnitudes the signs of a row are fair coins, and a sum of one element a column is one of coins
times those. Source: Mezzadri, How to generate random matrices from the classical compact groups
(2007); Diaconis & Shahshahani, On the eigenvalues of random matrices (1994).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import scipy

from conformance.judge.alpha import CERTAIN, STATISTICS
from conformance.judge.bounds import bernstein, bernstein_bound
from conformance.judge.statistics.finding import Finding, Test

Reals = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Matrices:
    """Matrices with orthonormal columns along a first axis, each of another key."""

    arrays: Reals

    @property
    def n_draws(self) -> int:
        """How many there are."""
        return len(self.arrays)

    @property
    def size(self) -> int:
        """How many elements there are in all."""
        return self.arrays.size

    @property
    def is_square(self) -> bool:
        """Whether rows are orthonormal too."""
        return bool(self.arrays.shape[1] == self.arrays.shape[2])

    @property
    def diagonals(self) -> Reals:
        """The diagonals, one row a matrix: an element of each column."""
        return np.asarray(np.diagonal(self.arrays, axis1=1, axis2=2))


def _coins(heads: int, count: int) -> Finding:
    """Hold a number of heads to that of fair coins, by the binomial law."""
    tails = min(heads, count - heads)
    certain = math.sqrt(STATISTICS.evidence / (2 * count))
    certain += math.sqrt(math.log(2 / CERTAIN) / (2 * count))
    return Finding(
        statistic=heads / count - 0.5,
        p_value=min(1.0, 2 * float(scipy.special.bdtr(tails, count, 0.5))),
        beyond=2 * float(scipy.special.bdtr(tails - 1, count, 0.5)) if tails else 0.0,
        certain=certain,
    )


def _signs(sample: Matrices) -> Finding | None:
    """Hold the signs of the diagonals to fair coins."""
    signs = sample.diagonals[sample.diagonals != 0]
    return _coins(int(np.count_nonzero(signs > 0)), signs.size) if signs.size else None


def _determinants(sample: Matrices) -> Finding | None:
    """Hold the determinants, 1 or -1, to fair coins."""
    if not sample.is_square:
        return None
    signs, _ = np.linalg.slogdet(sample.arrays)
    return _coins(int(np.count_nonzero(signs > 0)), sample.n_draws)


def _signed_sum(terms: Reals) -> Finding:
    """Hold a sum of terms whose signs are fair coins to its root of squares.

    P(|sum| >= t) <= 2 exp(-t^2 / (2 sum of squares)). Source: Hoeffding (1963), theorem 2.
    """
    total, squares = float(terms.sum()), float(np.sum(terms**2))
    root = math.sqrt(squares) or 1.0
    certain = math.sqrt(2 * STATISTICS.evidence) + math.sqrt(2 * math.log(2 / CERTAIN))
    return Finding(
        statistic=total / root,
        p_value=min(1.0, 2 * math.exp(-((total / root) ** 2) / 2)),
        certain=certain,
    )


def _traces(sample: Matrices) -> Finding | None:
    """Hold the traces to sums of signed terms: the first Fourier coefficient of eigen-angles."""
    return _signed_sum(sample.diagonals)


def _squared_traces(sample: Matrices) -> Finding | None:
    """Hold the traces of squares to their mean of 1, by Bernstein's inequality over the draws.

    The second Fourier coefficient of eigen-angles. Mean 1 and variance 2 are exact from 4 x 4 on
    (Diaconis & Shahshahani, theorem 4), and no eigenvalue is beyond 1.
    """
    side = sample.arrays.shape[1]
    if not sample.is_square or side < 4:
        return None
    traces = np.einsum("kij,kji->k", sample.arrays, sample.arrays)
    moved = float(traces.mean()) - 1
    n, reach = sample.n_draws, side + 1.0
    certain = bernstein_bound(n, 2.0, reach, STATISTICS.evidence)
    certain += bernstein_bound(n, 2.0, reach, math.log(2 / CERTAIN))
    p_value = float(bernstein(n, moved, 2.0, reach))
    return Finding(statistic=moved, p_value=p_value, certain=certain)


def _pairs(sample: Matrices) -> Finding | None:
    """Hold the products Q^T P of two keys' matrices, which are Haar too, to their trace's law."""
    n_pairs = sample.n_draws // 2
    if not n_pairs:
        return None
    first, second = sample.arrays[: 2 * n_pairs : 2], sample.arrays[1 : 2 * n_pairs : 2]
    return _signed_sum(np.einsum("kij,kij->kj", first, second))


MATRIX_TESTS = (
    Test(name="signs", says="the share of positive elements on the diagonal", measure=_signs),
    Test(name="determinants", says="the share of positive determinants", measure=_determinants),
    Test(name="traces", says="the sum of traces, in standard deviations", measure=_traces),
    Test(name="squared_traces", says="the mean trace of the square", measure=_squared_traces),
    Test(
        name="key_pairs",
        says="the sum of the traces of Q^T P for two keys, in standard deviations",
        measure=_pairs,
    ),
)
