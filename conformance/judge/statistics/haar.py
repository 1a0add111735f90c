"""Tests of orthogonal and unitary matrices: are they Haar, and are two keys' independent?

Most rest on one invariance: a Haar matrix with any row or column negated is as likely. So given all
magnitudes the signs of a line are fair coins, and a sum of one element a column is one of coins
times those. Of a unitary matrix the same holds of real and of imaginary parts, since a column may
be multiplied by i as well. What no sign shows, `normals` does. Source: Mezzadri, How to generate
random matrices from the classical compact groups (2007); Diaconis & Shahshahani, On the eigenvalues
of random matrices (1994).
"""

from __future__ import annotations

import dataclasses
import functools
import math
import sys

import numpy as np
import numpy.typing as npt
import scipy

from conformance.core.arrays import Array
from conformance.core.laws import Normal
from conformance.judge.alpha import CERTAIN, STATISTICS
from conformance.judge.bounds import bernstein, bernstein_bound
from conformance.judge.statistics.battery import TESTS, worst
from conformance.judge.statistics.element import (
    ElementLaw,
    squared_uniform_score,
    uniform_score,
)
from conformance.judge.statistics.finding import Finding, Test
from conformance.judge.statistics.sample import Sample

Reals = npt.NDArray[np.float64]

ERROR = 2.0**-14
"""How far the distribution function of `normals` may be off, since Q is rounded: by the density
times the error of a column, at most 12 u of its length (docs/matrices.md), times a column of R, up
to sqrt(n) long. Of u = 2^-24 that is less up to n = 2^13."""

NORMAL = ElementLaw(
    mean=0.0,
    sigma=1.0,
    powers=(),
    law=Normal(stddev=1.0),
    slack=ERROR,
    score=uniform_score(ERROR),
    square=squared_uniform_score(ERROR),
)
"""Of what `normals` makes: no lattice, and no bound for a power."""

SEED = 1933
"""Of the triangles that `normals` takes: of no key that draws matrices."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Matrices:
    """Matrices with orthonormal columns along a first axis, each of another key."""

    arrays: Array

    @property
    def n_draws(self) -> int:
        """How many there are."""
        return len(self.arrays)

    @property
    def size(self) -> int:
        """How many elements there are in all."""
        return self.arrays.size

    @property
    def is_complex(self) -> bool:
        """Whether they are unitary."""
        return self.arrays.dtype.kind == "c"

    @property
    def is_square(self) -> bool:
        """Whether rows are orthonormal too."""
        return bool(self.arrays.shape[1] == self.arrays.shape[2])

    @property
    def diagonals(self) -> Array:
        """The diagonals, one row a matrix: an element of each column."""
        return np.asarray(np.diagonal(self.arrays, axis1=1, axis2=2))

    @functools.cached_property
    def normals(self) -> Sample:
        """Independent standard normals, if and only if the matrices are Haar and independent.

        The Q and the R of a matrix of normals are independent, the elements of R too: normals above
        the diagonal, and on it the root of a chi-square with a degree less in each column. So a
        Haar Q times such an R, drawn here, is a matrix of normals again. Source: Muirhead, Aspects
        of Multivariate Statistical Theory (1982), theorem 3.2.14; Bartlett (1933).
        """
        n, rows, columns = self.arrays.shape
        random, degrees = np.random.default_rng(SEED), rows - np.arange(columns)
        upper = np.triu(random.standard_normal((n, columns, columns)))
        place = np.arange(columns)
        if not self.is_complex:
            upper[:, place, place] = np.sqrt(random.chisquare(degrees, (n, columns)))
            return Sample(arrays=self.arrays @ upper, law=NORMAL)
        # A part of a normal has half of its variance; a chi-square of twice the degrees has both.
        both = upper + 1j * np.triu(random.standard_normal((n, columns, columns)))
        both[:, place, place] = np.sqrt(random.chisquare(2 * degrees, (n, columns)))
        made = np.ascontiguousarray(self.arrays @ both)
        return Sample(arrays=made.view(np.float64).reshape(*made.shape, 2), law=NORMAL)


def _parts(numbers: Array) -> list[Reals]:
    """Return the numbers, or of complex ones the real and the imaginary parts."""
    return [numbers.real, numbers.imag] if np.iscomplexobj(numbers) else [np.asarray(numbers)]


def _coins(heads: int, count: int, n_places: int = 1) -> Finding:
    """Hold a number of heads to that of fair coins, by the binomial law.

    n_places: how many such numbers there are, of which the least likely counts.
    """
    tails = min(heads, count - heads)
    evidence = STATISTICS.evidence + math.log(n_places)
    certain = math.sqrt(evidence / (2 * count))
    certain += math.sqrt(math.log(2 / CERTAIN) / (2 * count))
    return Finding(
        statistic=heads / count - 0.5,
        p_value=min(1.0, 2 * float(scipy.special.bdtr(tails, count, 0.5))),
        beyond=2 * float(scipy.special.bdtr(tails - 1, count, 0.5)) if tails else 0.0,
        certain=certain,
    )


def _signs(sample: Matrices) -> Finding | None:
    """Hold the signs of the diagonals, and of each row and column, to fair coins."""
    return worst([_signs_of(part) for part in _parts(sample.arrays)])


def _signs_of(arrays: Reals) -> Finding | None:
    diagonals = np.diagonal(arrays, axis1=1, axis2=2)
    kinds = {
        "the diagonal": diagonals[None],
        "row {}": np.moveaxis(arrays, 1, 0),
        "column {}": np.moveaxis(arrays, 2, 0),
    }
    lines = [
        (name.format(number), line)
        for name, kind in kinds.items()
        for number, line in enumerate(kind)
    ]
    found = [
        dataclasses.replace(
            _coins(int(np.count_nonzero(line > 0)), int(np.count_nonzero(line)), len(lines)),
            where=f"in {name}",
        )
        for name, line in lines
        if line.any()
    ]
    return worst(found)


def _determinants(sample: Matrices) -> Finding | None:
    """Hold the determinants, 1 or -1, to fair coins; of unitary matrices the signs of both parts.

    Negating a column negates the determinant, and multiplying it by i exchanges its parts.
    """
    if not sample.is_square:
        return None
    signs, _ = np.linalg.slogdet(sample.arrays)
    parts = _parts(signs)
    return worst([_coins(int(np.count_nonzero(part > 0)), sample.n_draws) for part in parts])


def _signed_sum(terms: Array) -> Finding | None:
    """Hold a sum of terms whose signs are fair coins to its root of squares.

    P(|sum| >= t) <= 2 exp(-t^2 / (2 sum of squares)). Source: Hoeffding (1963), theorem 2.
    """
    return worst([_signed_sum_of(part) for part in _parts(terms)])


def _signed_sum_of(terms: Reals) -> Finding:
    total, squares = float(terms.sum()), float(np.sum(terms**2))
    root = max(math.sqrt(squares), sys.float_info.min)  # of zeros the sum is 0 as well
    certain = math.sqrt(2 * STATISTICS.evidence) + math.sqrt(2 * math.log(2 / CERTAIN))
    return Finding(
        statistic=total / root,
        p_value=min(1.0, 2 * math.exp(-((total / root) ** 2) / 2)),
        certain=certain,
    )


def _traces(sample: Matrices) -> Finding | None:
    """Hold the traces to sums of signed terms: the first Fourier coefficient of eigen-angles."""
    return _signed_sum(sample.diagonals)


def _trace_spread(sample: Matrices) -> Finding | None:
    """Hold the squares of traces, each over its own sum of squares, to a mean of 1 at most.

    Eigen-angles repel each other, so that the n of them add up to no more than one would. A trace
    over its root of squares is sub-Gaussian, being a sum of signed terms; of N such independent
    numbers the sum of squares exceeds N + 2 sqrt(N t) + 2 t with probability exp(-t) at most.
    Source: Hsu, Kakade & Zhang, A tail inequality for quadratic forms of subgaussian random
    vectors, Electronic Communications in Probability 17 (2012), theorem 1.
    """
    return worst([_spread_of(part) for part in _parts(sample.diagonals)])


def _spread_of(diagonals: Reals) -> Finding:
    n, squares = len(diagonals), np.sum(diagonals**2, axis=1)
    ratios = diagonals.sum(axis=1) ** 2 / np.maximum(squares, sys.float_info.min)
    total = float(ratios.sum())
    root = (math.sqrt(max(2 * total - n, n)) - math.sqrt(n)) / 2
    return Finding(statistic=total / n - 1, p_value=math.exp(-(root**2)))


def _squared_traces(sample: Matrices) -> Finding | None:
    """Hold the traces of squares to their mean of 1, by Bernstein's inequality over the draws.

    The second Fourier coefficient of eigen-angles. Mean 1 and variance 2 are exact from 4 x 4 on
    (Diaconis & Shahshahani, theorem 4), and no eigenvalue is beyond 1. Of unitary matrices the mean
    is 0, and the variance 2 is that of both parts (theorem 2); a unitary matrix times i negates it.
    """
    n, side, _ = sample.arrays.shape
    if not sample.is_square or side < 4:
        return None
    traces = np.einsum("kij,kji->k", sample.arrays, sample.arrays)
    moved = float(traces.mean().real) - (0.0 if sample.is_complex else 1.0)
    reach = side + 1.0
    certain = bernstein_bound(n, 2.0, reach, STATISTICS.evidence)
    certain += bernstein_bound(n, 2.0, reach, math.log(2 / CERTAIN))
    p_value = float(bernstein(n, moved, 2.0, reach))
    return Finding(statistic=moved, p_value=p_value, certain=certain)


def _pairs(sample: Matrices) -> Finding | None:
    """Hold the products Q^H P of two keys' matrices, which are Haar too, to their trace's law."""
    first, second = sample.arrays[:-1:2], sample.arrays[1::2]
    if not len(second):
        return None
    return _signed_sum(np.einsum("kij,kij->kj", first.conj(), second))


OF_NORMALS = ("goodness_of_fit", "lags", "lines", "levels", "keys")
"""Tests of elements that need no bound and no lattice. Symmetry `squared_traces` sees sooner."""


def _normals(sample: Matrices) -> Finding | None:
    """Ask the tests of elements of what becomes of the matrices; see `Matrices.normals`."""
    found = []
    for test in TESTS:
        if test.name in OF_NORMALS and (finding := test.measure(sample.normals)):
            where = f"by {test.name}{', ' if finding.where else ''}{finding.where}"
            found.append(dataclasses.replace(finding, where=where))
    return worst(found)


MATRIX_TESTS = (
    Test(name="signs", says="the share of positive elements in a line", measure=_signs),
    Test(name="determinants", says="the share of positive determinants", measure=_determinants),
    Test(name="traces", says="the sum of traces, in standard deviations", measure=_traces),
    Test(name="trace_spread", says="the mean square of the trace", measure=_trace_spread),
    Test(name="squared_traces", says="the mean trace of the square", measure=_squared_traces),
    Test(
        name="key_pairs",
        says="the sum of the traces of Q^H P for two keys, in standard deviations",
        measure=_pairs,
    ),
    Test(
        name="normals",
        says="the matrix of normals that it is the Q of, with another R",
        measure=_normals,
    ),
)
