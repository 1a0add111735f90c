"""The records that pass between the stages: observe, judge, tell.

Standard library only, so that a recording can be made under an eight-release-old JAX and judged
elsewhere. A problem has one right answer; a case is one way of asking for it.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Any

from conformance.core.drift_class import DriftClass as DriftClass
from conformance.core.ids import Case
from conformance.core.reading import Figure

BASE = "cpu"
"""What a golden set is made on; what another backend returns otherwise stands in its overlay."""

COMPILED = ("jit", "sharded", "sharded_uneven")
"""Transforms under which a compiler sees the whole call, and folds what is constant in it."""

COMPUTE_CAPABILITY = "compute_capability"
"""The fact of a CUDA device that XLA compiles for, as in `9.0`: an H200 has the H100's."""

MACHINE = "machine"
"""The check that fails, alone, where memory or a device was wanting: nothing else is known then."""

VALUES = "values"
"""The check that compares with a golden, which a problem of no tier has not."""

STAGES = ("key", "bits", "uniform", "unit", "scaled")
"""How a seed becomes an array: key words, random words, uniforms, unit variates, the result."""


class Status(enum.StrEnum):
    """What one check, or one whole case, came to."""

    PASSED = "passed"
    FAILED = "failed"
    LIMITED = "limited"  # failed exactly as the ledger says it must
    NOT_APPLICABLE = "not_applicable"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Summary of all elements of an array, in float64; NaN where there is nothing to summarise.

    For complex arrays `variance` is E|x - mean|^2 and minimum and maximum are of the modulus.
    """

    mean: Figure
    variance: Figure
    minimum: Figure
    maximum: Figure
    mean_imag: Figure = 0.0
    nonfinite: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """The outcome of a call that returned an array.

    `bits` holds every `stride`-th element of the flattened array, C order, little endian. `sha256`
    and `moments` are always of the whole array, so a sampled array still proves identity, and
    `blocks`, of a sample, tell which parts of it do; see `arrays.block_digests`.
    `drawn`, of an orthogonal matrix, holds the bits of the tall matrix of normals that the call
    orthonormalised, in the array's dtype; None where there is no such matrix or nobody could tell.
    """

    dtype: str
    shape: tuple[int, ...]
    sha256: str
    bits: bytes = dataclasses.field(repr=False)
    stride: int = 1
    blocks: tuple[str, ...] = ()
    weak_type: bool = False
    moments: Moments
    drawn: bytes | None = dataclasses.field(default=None, repr=False)

    @property
    def is_whole(self) -> bool:
        """Return whether `bits` holds every element."""
        return self.stride == 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """The outcome of a call that raised: as much an outcome as an array is."""

    exception: str
    message: str


Outcome = Returned | Raised


EXECUTED, IN_BLOCK = "executed", "executed in a block"
"""How an outcome came about: by a call of its own, or drawn with those of other seeds at once."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one case did on one device.

    `repeat_sha256` is the digest of a second call with the same key; None when the call raised.
    `mode` says how the outcome came about: `executed`, `predicted` or `compiled`.
    `stages` holds a short digest of each stage before the outcome, where somebody looked (STAGES).
    `changed` holds what the calls changed in their process and left so, as `name: before -> after`.
    """

    case: Case
    outcome: Outcome
    repeat_sha256: str | None
    device: str
    elapsed_s: float
    mode: str = EXECUTED
    stages: Mapping[str, str] = dataclasses.field(default_factory=dict)
    changed: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MatrixBudget:
    """How far a matrix may be from the Q of the QR decomposition of what was drawn, at worst.

    Units: u, the unit roundoff. column: of the backward error of a column, relative to the length
    of the column that was drawn. gram: of an element of Q^H Q - I. See `checks.matrices`.
    overlay: see `Budget`.
    """

    column: float
    gram: float
    overlay: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How far an element may lie from where it should, at worst.

    An element is within budget when either figure is: near zero only the distance at sigma means
    anything, in the tails only the one at the value does. Of an orthogonal matrix both are of the
    normals that were drawn for it, and `matrix` says what became of them.

    overlay: the name of that in which it was measured, or of those of which it is the widest; "" of
    the golden set itself.
    """

    max_ulp: int
    max_ulp_at_sigma: float
    matrix: MatrixBudget | None = None
    overlay: str = ""

    def plus(self, other: Budget) -> Budget:
        """Return how far apart two results may lie, one this far from a third, one the other.

        Matrices are not held to one another but each to what was drawn: the wider budget counts.
        """
        matrices = [budget.matrix for budget in (self, other) if budget.matrix is not None]
        return Budget(
            max_ulp=self.max_ulp + other.max_ulp,
            max_ulp_at_sigma=self.max_ulp_at_sigma + other.max_ulp_at_sigma,
            matrix=_widest(matrices),
        )

    def doubled(self) -> Budget:
        """Return how far apart two results may lie if each is this far from a third."""
        return self.plus(self)


def _widest(budgets: Sequence[MatrixBudget]) -> MatrixBudget | None:
    if not budgets:
        return None
    return MatrixBudget(
        column=max(budget.column for budget in budgets),
        gram=max(budget.gram for budget in budgets),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How one outcome differs from another.

    n_elements: of the whole arrays. n_compared: how many of them could be; None for all.
    n_different: of those. ULP figures are of the worst element: `max_ulp` counts representable
    values between the two, `max_ulp_at_sigma` divides their distance by the spacing at one standard
    deviation. Both are None where no comparison by element was possible. `stage` is the first of
    STAGES that differs, when something could tell. `scale` is the factor between them, where the
    law's scale has changed and the stream has not. `detail` says what changed, where, and with what
    certainty; `mismatch` is a map of where, see `geometry.mismatch`.
    """

    drift_class: DriftClass
    n_elements: int = 0
    n_compared: int | None = None
    n_different: int = 0
    max_ulp: int | None = None
    max_ulp_at_sigma: float | None = None
    worst_index: tuple[int, ...] | None = None
    worst_actual: float | complex | None = None
    worst_expected: float | complex | None = None
    stage: str | None = None
    scale: float | None = None
    detail: str = ""
    mismatch: str = ""

    @property
    def extent(self) -> str:
        """How many elements differ of how many, as in `2 of 2048`."""
        if self.n_compared is None:
            return f"{self.n_different} of {self.n_elements}"
        return f"{self.n_different} of {self.n_compared} compared of {self.n_elements}"


class Yardstick(enum.StrEnum):
    """What a case is judged by and may lack, or have a wrong one of."""

    GOLDEN = "golden"
    BUDGET = "budget"
    WHOLE = "whole"
    """All elements of both sides, where only some are kept of one."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """What would put a failure right that is not the initializer's: another yardstick.

    How somebody asks for it is the front end's business. dtype, backend: of a budget.
    tier: the smallest that holds the golden. case: to be recorded whole.
    """

    yardstick: Yardstick
    initializer: str
    dtype: str = ""
    backend: str = ""
    tier: str = ""
    case: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """What a statistical test found: of those of a case the one of the smallest p-value.

    p_value: of a right initializer, or a bound on it. share: of the run's error budget, below which
    the p-value refuses. sample_size: elements that were looked at.
    certain: the smallest fault that so many show with probability 0.999999, in units of `value`;
    NaN where no formula tells.
    """

    name: str
    value: float
    p_value: float
    share: float
    sample_size: int
    certain: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What one check found in one case. `message` tells somebody paged at 3 a.m. what is wrong.

    remedy: what to do, where something other than the initializer is at fault. statistic: what it
    decided by, where chance has a say. departs_by: how the array departs from its definition.
    """

    check: str
    status: Status
    message: str = ""
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)
    remedy: Remedy | None = None
    statistic: Statistic | None = None
    departs_by: DriftClass | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """The verdict on one case: every check, the drift against the golden, the ledger's word.

    golden_from, budget_from: the overlays that they came from; "" of the golden set itself.
    """

    observation: Observation
    status: Status
    checks: tuple[CheckResult, ...]
    drift: Drift | None = None
    limitation: str | None = None
    golden_from: str = ""
    budget_from: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """All that can change numbers, as text: versions, configuration, host and devices."""

    packages: Mapping[str, str]
    config: Mapping[str, str]
    host: Mapping[str, str]
    devices: Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One outcome in a store, with the shard that holds its bits.

    maker: the backend that made it, of a golden. overlay: the name of that which holds the golden;
    "" where the set itself does. `extra` holds what else was seen: see EXTRA.
    """

    id: str
    shard: str
    outcome: Outcome
    maker: str = BASE
    overlay: str = ""
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def stages(self) -> Mapping[str, str]:
        """Digests of the stages before the outcome; empty where none were recorded."""
        stages: Mapping[str, str] = self.extra.get("stages", {})
        return stages
