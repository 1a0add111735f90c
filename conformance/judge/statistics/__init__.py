"""Statistical tests of draws: what no oracle foretells is held to the law and to independence.

A `Sample` is arrays that one initializer drew under different keys, with the exact law of an
element. Each of TESTS returns a p-value, or a bound on it that a theorem gives; `decide` weighs
them with the run's one error budget.
"""

from conformance.judge.statistics.battery import TESTS as TESTS
from conformance.judge.statistics.circular import CIRCULAR_TESTS as CIRCULAR_TESTS
from conformance.judge.statistics.circular import Circular as Circular
from conformance.judge.statistics.circular import circular_law as circular_law
from conformance.judge.statistics.circular import circular_of as circular_of
from conformance.judge.statistics.element import ElementLaw as ElementLaw
from conformance.judge.statistics.element import element_law as element_law
from conformance.judge.statistics.finding import Test as Test
from conformance.judge.statistics.haar import MATRIX_TESTS as MATRIX_TESTS
from conformance.judge.statistics.haar import Matrices as Matrices
from conformance.judge.statistics.looks import Decision as Decision
from conformance.judge.statistics.looks import decide as decide
from conformance.judge.statistics.looks import first_pair as first_pair
from conformance.judge.statistics.looks import look_keys as look_keys
from conformance.judge.statistics.sample import Sample as Sample
from conformance.judge.statistics.sample import sample_of as sample_of
