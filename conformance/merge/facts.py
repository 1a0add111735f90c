"""What is merged, and what a merge comes to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from conformance.core.ids import Problem
from conformance.core.records import Drift


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Place:
    """Where a case ran, by all that can change numbers: a case has one right result there.

    mode: executed, predicted or compiled; see `Observation`. flags: as in `report.rows.Row`, less
    those that change no bit. lapack to xla_isa: see `environment`. Empty text stands for what the
    source does not say, as sources of earlier versions do not say the facts that have a default.
    """

    backend: str
    mode: str
    jax: str
    flags: str
    isa: str
    cpu: str
    device: str
    runtime: str
    packages: str
    lapack: str = ""
    lapack_kernel: str = ""
    lapack_threads: str = ""
    libc: str = ""
    xla_isa: str = ""

    @property
    def kind(self) -> tuple[str, ...]:
        """What shards must share to be one run: hosts of a pool have several CPUs and kernels."""
        return self.backend, self.mode, self.jax, self.flags, self.device


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a run said of a case, by its goldens, its ledger and its policy: see `report.rows`.

    by: what these were; "" where the row does not say.
    """

    status: str
    drift_class: str = ""
    failed_checks: str = ""
    limitation: str = ""
    max_ulp: int | None = None
    max_ulp_at_sigma: float | None = None
    by: str = dataclasses.field(default="", compare=False)

    def __str__(self) -> str:
        parts = (self.status, self.failed_checks, self.limitation, self.drift_class or "no golden")
        return ", ".join(filter(None, parts))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One result: which case, where, what came of it, and by which folder we know.

    outcome: as `report.rows.outcome_text` writes it. judgement: of the run, or of the merge where a
    recording judges nothing; None where the initializer is unknown here. source: the recording or
    run. root: the folder that was named, which holds the source; shards beneath one root count as
    one machine: see `Place.kind`. asked: the selection that its source was asked for, if it says.
    """

    problem: Problem
    transform: str
    place: Place
    outcome: str
    source: str
    root: str
    judgement: Judgement | None = None
    asked: str = dataclasses.field(default="", compare=False)

    @property
    def case(self) -> str:
        """The id of the case."""
        return case_id(self.problem, self.transform, self.place)


def case_id(problem: Problem, transform: str, place: Place) -> str:
    """Return the id of the case that asks the problem there."""
    return f"{problem.id}-{place.backend}-{transform}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Conflict:
    """One case at one place with several results, of which no one can say which is right.

    claims: each result, and the folders that hold it. is_of_verdicts: they hold the same bits, and
    differ in what was said of them.
    """

    case: str
    place: Place
    claims: tuple[tuple[str, tuple[str, ...]], ...]
    is_of_verdicts: bool


Members = tuple[tuple[Place, str], ...]
"""Places, each with a transform, sorted."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    """The places, each with a transform, that returned the same bits for a problem.

    members: none where only the goldens hold these bits. drift: how they lie to those of the first
    class of the problem; None for that class, and where nobody kept the bits. cause: the one fact
    that can be the reason, or "". excuses: why a member may differ whatever the drift.
    """

    outcome: str
    members: Members
    drift: Drift | None = None
    cause: str = ""
    excuses: Mapping[tuple[Place, str], str] = dataclasses.field(default_factory=dict)

    @property
    def drift_name(self) -> str:
        """The name of the drift's class."""
        return str(self.drift.drift_class) if self.drift else "bits not kept"

    @property
    def difference(self) -> str:
        """The name of the drift's class, with its cause where that is known."""
        return f"{self.drift_name} ({self.cause})" if self.cause else self.drift_name

    @property
    def excuse(self) -> str:
        """All excuses in one line, or ""."""
        return "; ".join(sorted(set(self.excuses.values())))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProblemClasses:
    """One problem and its equivalence classes, the first of which the others are compared with.

    That is the golden's, without members where no place has its bits; or else what most have.
    """

    problem: Problem
    classes: tuple[Class, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """Problems of one program and many seeds, of each of which all places returned the same bits.

    They are those of its golden, if there is one, and no run failed it: it has one class. program:
    with seed 0. seeds: sorted. by: who answered each of them: root, place and transform, sorted.
    """

    program: Problem
    seeds: tuple[range, ...]
    by: tuple[tuple[str, Place, str], ...]

    @property
    def n_problems(self) -> int:
        """How many problems these are."""
        return sum(map(len, self.seeds))

    @property
    def members(self) -> Members:
        """The members of the one class of each."""
        return tuple(sorted({(place, transform) for _, place, transform in self.by}))

    @property
    def problems(self) -> Iterator[Problem]:
        """The problems, by seed."""
        for seeds in self.seeds:
            for seed in seeds:
                yield dataclasses.replace(self.program, seed=seed)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """One verdict on all that was read, every part sorted.

    problems: those that are held one by one; agreed: all others. missing: cases that another place,
    or the tier, has, and neither this place nor its fellow shards have. failed: cases that a run
    failed, with what it said. beyond: cases whose bits lie to the first class's beyond the policy,
    without excuse. faults: what could not be read or is unfinished, and why.
    """

    places: tuple[Place, ...]
    n_results: int
    problems: tuple[ProblemClasses, ...]
    conflicts: tuple[Conflict, ...]
    missing: Mapping[Place, tuple[str, ...]]
    failed: tuple[tuple[str, Place, str], ...]
    beyond: tuple[tuple[str, Place, str], ...]
    faults: tuple[str, ...]
    agreed: tuple[Agreed, ...] = ()

    @property
    def n_problems(self) -> int:
        """How many problems there are results of."""
        return len(self.problems) + sum(each.n_problems for each in self.agreed)

    @property
    def n_missing(self) -> int:
        """How many cases are missing, over all places."""
        return sum(map(len, self.missing.values()))

    @property
    def has_failed(self) -> bool:
        """Whether anything is contradictory, failed, or beyond the policy, whatever is missing."""
        return bool(self.conflicts or self.failed or self.beyond)

    @property
    def is_whole(self) -> bool:
        """Whether all that was named could be read, and no case is missing."""
        return not (self.faults or self.n_missing)

    @property
    def is_clean(self) -> bool:
        """Whether all was there, and nothing has failed."""
        return self.is_whole and not self.has_failed
