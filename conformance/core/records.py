"""The records that pass between the stages: observe, judge, tell.

Standard library only, so that a recording can be made under an eight-release-old JAX and judged
elsewhere. A problem has one right answer; a case is one way of asking for it.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Mapping, Sequence

SCHEMA = 1
"""Version of every file format; a reader refuses a newer one."""

DTYPES = ("float32", "bfloat16", "float16", "float64", "complex64", "complex128")
WIDE_DTYPES = ("float64", "complex64", "complex128")
"""Dtypes that only the full tier runs, with x64 enabled."""

PRNGS = (
    "threefry2x32",
    "threefry2x32_partitionable",
    "threefry2x32_nonpartitionable",
    "rbg",
    "unsafe_rbg",
)
"""`threefry2x32` takes the bit layout that the ambient configuration asks for, as users do; the two
suffixed names force one."""

LATTICE, STRATA = "lattice", "strata"
"""What stands for the PRNG in a sweep's case: every point, or one point of each stratum."""

TRANSFORMS = ("eager", "legacy_key", "jit", "vmap", "sharded")
"""Ways of asking. None may change the answer. All but `legacy_key` pass a typed key."""

COMPILED = ("jit", "sharded")
"""Transforms under which a compiler sees the whole call, and folds what is constant in it."""

BACKENDS = ("cpu", "cuda", "rocm", "tpu", "stablehlo", "iree", "cuda-emulated")
"""Backends that this package knows by name. Any other name is a PJRT platform of somebody's."""

EMULATED = "emulated"
"""Second word of the one kind of backend whose name has two, as in `cuda-emulated`."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
"""What an initializer may be called. Hyphens separate the fields of an id, so no name holds one."""

MACHINE = "machine"
"""The check that fails, alone, where memory or a device was wanting: nothing else is known then."""

STAGES = ("key", "bits", "uniform", "unit", "scaled")
"""How a seed becomes an array: key words, random words, uniforms, unit variates, the result."""


class Tier(enum.StrEnum):
    """How much of the matrix to run: seconds, minutes, or all night."""

    QUICK = "quick"
    STANDARD = "standard"
    FULL = "full"

    @property
    def rank(self) -> int:
        """Position from small to large; a tier runs everything of its rank or less."""
        return list(Tier).index(self)


class DriftClass(enum.StrEnum):
    """What kind of change lies between two outcomes, from harmless to serious."""

    IDENTICAL = "identical"
    ROUNDING = "rounding"
    TRANSFORM = "transform"
    STREAM = "stream"
    LAW = "law"
    STRUCTURAL = "structural"
    CONTRACT = "contract"

    @property
    def rank(self) -> int:
        """Severity: 0 for identical, growing."""
        return list(DriftClass).index(self)


class Status(enum.StrEnum):
    """What one check, or one whole case, came to."""

    PASSED = "passed"
    FAILED = "failed"
    LIMITED = "limited"  # failed exactly as the ledger says it must
    NOT_APPLICABLE = "not_applicable"


def format_shape(shape: tuple[int, ...]) -> str:
    """Return `64x32` for (64, 32) and `scalar` for ()."""
    return "x".join(map(str, shape)) or "scalar"


def parse_shape(text: str) -> tuple[int, ...]:
    """Return the shape that `format_shape` wrote as text.

    Raises:
        ValueError: the text is neither `scalar` nor sizes joined by `x`.
    """
    if text == "scalar":
        return ()
    if not re.fullmatch(r"\d+(x\d+)*", text):
        raise ValueError(
            f"shape {text!r} is not understood: write sizes joined by 'x' (64x32), or 'scalar'"
        )
    return tuple(int(size) for size in text.split("x"))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """One mathematical question: which array must this initializer return?

    A problem names no device and no transform, because neither may change the answer. Goldens and
    the oracle are therefore keyed by problem, never by case.
    """

    initializer: str
    dtype: str
    shape: tuple[int, ...]
    seed: int
    prng: str = "threefry2x32"

    @property
    def id(self) -> str:
        """Return e.g. `lecun_normal-float32-64x32-s0`, and the prng if it is not the default."""
        parts = [self.initializer, self.dtype, format_shape(self.shape), f"s{self.seed}"]
        return "-".join(parts if self.prng == "threefry2x32" else [*parts, self.prng])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Case:
    """One way of asking a problem: on which backend, under which transform."""

    problem: Problem
    backend: str
    transform: str

    @property
    def id(self) -> str:
        """Return e.g. `lecun_normal-float32-64x32-s0-cpu-eager`."""
        return f"{self.problem.id}-{self.backend}-{self.transform}"

    @property
    def group(self) -> str:
        """Return the compile group: cases that share compiled programs share this name.

        Eager calls of one (dtype, shape) share the jitted samplers of `jax.random` whatever the
        initializer, so the group is made of just these, the backend and the transform.
        """
        fields = (self.backend, self.transform, self.problem.dtype, self.problem.prng)
        return "-".join((*fields, format_shape(self.problem.shape)))


def parse_problem(text: str) -> Problem:
    """Return the problem whose id is `text`.

    Raises:
        ValueError: the text is not a problem id; the message names the offending field.
    """
    fields = text.split("-")
    if len(fields) not in (4, 5):
        raise ValueError(
            f"problem id {text!r} has {len(fields)} fields: "
            "expected initializer-dtype-shape-seed[-prng], as in lecun_normal-float32-64x32-s0"
        )
    initializer, dtype, shape, seed = fields[:4]
    prng = fields[4] if len(fields) == 5 else "threefry2x32"
    if dtype not in DTYPES:
        raise ValueError(f"dtype {dtype!r} in {text!r} is unknown: choose from {', '.join(DTYPES)}")
    if not re.fullmatch(r"s\d+", seed):
        raise ValueError(f"seed {seed!r} in {text!r} is not understood: write s0, s1, ...")
    if prng not in PRNGS:
        raise ValueError(f"prng {prng!r} in {text!r} is unknown: choose from {', '.join(PRNGS)}")
    return Problem(
        initializer=initializer,
        dtype=dtype,
        shape=parse_shape(shape),
        seed=int(seed[1:]),
        prng=prng,
    )


def parse_case(text: str) -> Case:
    """Return the case whose id is `text`.

    Raises:
        ValueError: the text is not a case id; the message names the offending field.
    """
    problem, _, tail = text.rpartition("-")
    problem, _, backend = problem.rpartition("-")
    if backend == EMULATED:
        problem, _, platform = problem.rpartition("-")
        backend = f"{platform}-{EMULATED}"
    if tail not in TRANSFORMS:
        raise ValueError(
            f"transform {tail!r} in {text!r} is unknown: choose from {', '.join(TRANSFORMS)}; "
            "a case id reads lecun_normal-float32-64x32-s0-cpu-eager"
        )
    if not NAME.fullmatch(backend.removesuffix(f"-{EMULATED}")):  # it becomes part of paths
        raise ValueError(f"backend {backend!r} in {text!r} is no name, as cpu, cuda or tpu are")
    return Case(problem=parse_problem(problem), backend=backend, transform=tail)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Summary of all elements of an array, in float64; NaN where there is nothing to summarise.

    For complex arrays `variance` is E|x - mean|^2 and minimum and maximum are of the modulus.
    """

    mean: float
    variance: float
    minimum: float
    maximum: float
    mean_imag: float = 0.0
    nonfinite: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """The outcome of a call that returned an array.

    `bits` holds every `stride`-th element of the flattened array, C order, little endian. `sha256`
    and `moments` are always of the whole array, so a sampled array still proves identity.
    `drawn`, of an orthogonal matrix, holds the bits of the tall matrix of normals that the call
    orthonormalised, in the array's dtype; None where there is no such matrix or nobody could tell.
    """

    dtype: str
    shape: tuple[int, ...]
    sha256: str
    bits: bytes = dataclasses.field(repr=False)
    stride: int = 1
    weak_type: bool = False
    moments: Moments
    drawn: bytes | None = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """The outcome of a call that raised: as much an outcome as an array is."""

    exception: str
    message: str


Outcome = Returned | Raised


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one case did on one device.

    `repeat_sha256` is the digest of a second call with the same key; None when the call raised.
    `mode` says how the outcome came about: `executed`, `predicted` or `compiled`.
    `stages` holds a short digest of each stage before the outcome, where somebody looked (STAGES).
    """

    case: Case
    outcome: Outcome
    repeat_sha256: str | None
    device: str
    elapsed_s: float
    mode: str = "executed"
    stages: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MatrixBudget:
    """How far a matrix may be from the Q of the QR decomposition of what was drawn, at worst.

    Units: u, the unit roundoff. column: of the backward error of a column, relative to the length
    of the column that was drawn. gram: of an element of Q^H Q - I. See `checks.matrices`.
    """

    column: float
    gram: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How far an element may lie from where it should, at worst.

    An element is within budget when either figure is: near zero only the distance at sigma means
    anything, in the tails only the one at the value does. Of an orthogonal matrix both are of the
    normals that were drawn for it, and `matrix` says what became of them.
    """

    max_ulp: int
    max_ulp_at_sigma: float
    matrix: MatrixBudget | None = None

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
    """How one outcome lies to another.

    ULP figures are of the worst element: `max_ulp` counts representable values between the two,
    `max_ulp_at_sigma` divides their distance by the spacing at one standard deviation. Both are
    None where no comparison by element was possible. `stage` is the first of STAGES that differs,
    when something could tell. `scale` is the factor between them, where the law's scale has changed
    and the stream has not. `detail` says what changed, where, and with what certainty.
    """

    drift_class: DriftClass
    n_elements: int = 0
    n_different: int = 0
    max_ulp: int | None = None
    max_ulp_at_sigma: float | None = None
    worst_index: tuple[int, ...] | None = None
    worst_actual: float | complex | None = None
    worst_expected: float | complex | None = None
    stage: str | None = None
    scale: float | None = None
    detail: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """What one check found in one case. `message` tells somebody paged at 3 a.m. what to do."""

    check: str
    status: Status
    message: str = ""
    metrics: Mapping[str, float] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """The verdict on one case: every check, the drift against the golden, the ledger's word."""

    observation: Observation
    status: Status
    checks: tuple[CheckResult, ...]
    drift: Drift | None = None
    limitation: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """All that can change numbers, as text: versions, configuration, host and devices."""

    packages: Mapping[str, str]
    config: Mapping[str, str]
    host: Mapping[str, str]
    devices: Mapping[str, str]
