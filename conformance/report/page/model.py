"""What a page shows, without a word of HTML: every command that reports fills one of these."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from conformance.core.errors import ExitCode
from conformance.core.records import Environment
from conformance.core.settings import differing, repeats_setting, told
from conformance.core.ulp import INCOMPARABLE
from conformance.report.tables import Table

N_FAILURES = 200
"""Failures that a reader may still scroll through; a file beside the page holds all."""

MAX_ROWS = 20_000
"""Rows that a browser takes at once."""

ONE_SIDE = ("here", "")
"""The sides of a page whose facts are compared with nothing."""

Item = TypeVar("Item")


class Tone(enum.StrEnum):
    """What a verdict came to."""

    PASSED = "passed"
    FAILED = "failed"
    INCOMPLETE = "incomplete"

    @classmethod
    def of(cls, code: ExitCode) -> Tone:
        """Return what a command that exits so came to."""
        return {ExitCode.OK: cls.PASSED, ExitCode.FAILED: cls.FAILED}.get(code, cls.INCOMPLETE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A fact of an environment: what it is here, and on the other side; None where nobody knows."""

    name: str
    here: str
    there: str | None

    @property
    def differs(self) -> bool:
        """Whether it is another on the other side."""
        return self.there is not None and self.here != self.there


def facts_of(here: Environment, there: Environment | None) -> Iterator[Fact]:
    """Yield what differs from the other side, if it is known, then what people ask for."""
    found = {} if there is None else {each.name: each for each in differing(here, there)}
    for each in found.values():
        if not repeats_setting(each.name, here.config):
            yield Fact(name=each.name, here=each.left, there=each.right)
    shared = {**here.packages, **told(here.host), **here.devices}
    for name, value in shared.items():
        if name not in found:
            yield Fact(name=name, here=value, there=None if there is None else value)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """One run of a history: its id, and the class of the case in it."""

    run_id: str
    drift_class: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One thing that failed: what, in which class, what is said of it, what shows it again.

    nights: its class in the last runs, this one last; since: in words, since when it is that.
    """

    name: str
    message: str
    drift_class: str = ""
    facts: str = ""
    rerun: str = ""
    nights: tuple[Night, ...] = ()
    since: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One field of a heatmap: its worst class, how many of its cases are bad, and the worst of it.

    worst: the distance in words, where one says something.
    """

    drift_class: str
    n_cases: int
    n_bad: int
    worst: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Heatmap:
    """Cells by the values of two columns of the rows; a pair that no case has is not there.

    bad: what the bad cases of a cell did, as in `failed`.
    """

    down: str
    across: str
    names_down: tuple[str, ...]
    names_across: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]
    bad: str

    @classmethod
    def of(
        cls, down: str, across: str, cells: Mapping[tuple[str, str], Cell], *, bad: str
    ) -> Heatmap:
        """Return the heatmap of the cells, each by its values of the two columns."""
        return cls(
            down=down,
            across=across,
            names_down=tuple(sorted({name for name, _ in cells})),
            names_across=tuple(sorted({name for _, name in cells})),
            cells=cells,
            bad=bad,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A plot: an SVG document, empty where there is none, and in words what it shows."""

    title: str
    svg: bytes
    says: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows to filter and sort. n_left_out: of how many others `elsewhere` holds the rows.

    filters: the columns whose values a reader may choose from. command: the column that holds a
    command, which a button copies; "" for none.
    """

    columns: tuple[str, ...]
    values: Sequence[Sequence[Any]]
    filters: tuple[str, ...]
    n_left_out: int = 0
    elsewhere: str = ""
    command: str = ""

    @classmethod
    def of(
        cls,
        items: Sequence[Item],
        values: Callable[[Item], Sequence[Any]],
        *,
        n_others: int = 0,
        **fields: Any,
    ) -> Rows:
        """Return the rows of the first MAX_ROWS items. n_others: those that are no items at all."""
        shown = items[:MAX_ROWS]
        n_left_out = len(items) - len(shown) + n_others
        return cls(values=[values(each) for each in shown], n_left_out=n_left_out, **fields)


class Measured(Protocol):
    """What holds the two distances: a drift, a row, a pair."""

    @property
    def max_ulp(self) -> int | None:
        """The largest distance in ULP at the value."""

    @property
    def max_ulp_at_sigma(self) -> float | None:
        """The largest distance in spacings at sigma."""


def distances(drift: Measured | None) -> tuple[int | None, float | None]:
    """Return the worst distance in ULP and in ULP of sigma, as rows show them.

    -1 stands for steps that no number counts; None where nothing was compared.
    """
    if drift is None or drift.max_ulp is None:
        return None, None
    at_sigma = drift.max_ulp_at_sigma
    shown = at_sigma if at_sigma is not None and math.isfinite(at_sigma) else None
    return (-1 if drift.max_ulp == INCOMPARABLE else drift.max_ulp), shown


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page, in the order of its sections.

    sentence: what happened and why. notes: what else a reader must know first. sides: what the two
    sides of `facts` are called. counts: cases by class. failures: all there are but for `n_unheld`,
    under the heading `failed`; the first N_FAILURES are shown, and `elsewhere` names the file that
    has all.
    """

    title: str
    tone: Tone
    verdict: str
    sentence: str = ""
    notes: tuple[str, ...] = ()
    sides: tuple[str, str] = ("here", "where the goldens were made")
    facts: tuple[Fact, ...] = ()
    counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    n_unheld: int = 0
    failed: str = "What failed"
    elsewhere: str = ""
    heatmaps: tuple[Heatmap, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    rows: Rows | None = None

    @property
    def n_failures(self) -> int:
        """How many failures there are."""
        return len(self.failures) + self.n_unheld

    @property
    def differing(self) -> tuple[Fact, ...]:
        """The facts that are not the same on both sides."""
        return tuple(fact for fact in self.facts if fact.differs)
