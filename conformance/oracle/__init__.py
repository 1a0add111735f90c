"""The second witness: what every initializer must return, derived without JAX.

`solve` answers a problem, `solve_words` works from given random words, and both show every stage.
Two answers: `expected` is the definition, rounded once; `followed` is JAX's own chain of roundings.
Imports core, NumPy and SciPy.
"""

from conformance.core.lattice import word_bits
from conformance.core.laws import Law, law_of
from conformance.oracle.distributions import unit_variate
from conformance.oracle.followed import ErfErrors, foldings
from conformance.oracle.hypotheses import other_draws
from conformance.oracle.initializers import (
    Made,
    OracleUnavailable,
    Solution,
    haar,
    solve,
    solve_normals,
    solve_points,
    solve_words,
)
from conformance.oracle.keys import linen_fold, linen_key, nnx_key
from conformance.oracle.threefry import fold_in, random_bits, seed_key, split, threefry2x32

__all__ = [
    "ErfErrors",
    "Law",
    "Made",
    "OracleUnavailable",
    "Solution",
    "fold_in",
    "foldings",
    "haar",
    "law_of",
    "linen_fold",
    "linen_key",
    "nnx_key",
    "other_draws",
    "random_bits",
    "seed_key",
    "solve",
    "solve_normals",
    "solve_points",
    "solve_words",
    "split",
    "threefry2x32",
    "unit_variate",
    "word_bits",
]
