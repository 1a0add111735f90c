"""How one outcome differs from another: the class of the change, where it is, and what caused it.

Pure functions over two outcomes. `classify` names the class; `first_differing_stage` the cause;
`explain` says it to a reader.
"""

from conformance.judge.drift.classify import DEFAULT_BUDGET as DEFAULT_BUDGET
from conformance.judge.drift.classify import Comparison as Comparison
from conformance.judge.drift.classify import classify as classify
from conformance.judge.drift.classify import classify_kept as classify_kept
from conformance.judge.drift.classify import classify_part as classify_part
from conformance.judge.drift.classify import compare_arrays as compare_arrays
from conformance.judge.drift.classify import compare_kept as compare_kept
from conformance.judge.drift.classify import compare_with as compare_with
from conformance.judge.drift.classify import identical as identical
from conformance.judge.drift.classify import moments_moved as moments_moved
from conformance.judge.drift.stages import first_differing_stage as first_differing_stage
from conformance.judge.drift.text import explain as explain
