"""A figure that documents repeat comes from one place: what each says is what the program says."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable

import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.selection import Selection, select, select_for_goldens
from conformance.cli.arguments.cache import DAYS
from conformance.core.arrays import FULL_SIZE_LIMIT
from conformance.core.deadline import CASE_TIMEOUT_S
from conformance.core.ids import Case, Tier
from conformance.core.laws import expected_error
from conformance.judge.ledger import load
from conformance.report.page.model import MAX_ROWS, N_FAILURES
from tests import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in PAGES}
JAX = "0.12.0.1"
"""The release that documents speak of, where they name none."""


@functools.cache
def cases_of(tier: Tier) -> tuple[Case, ...]:
    """Return the cases that have goldens, which documents count where they say nothing else."""
    return tuple(select_for_goldens(load_catalogue(), Selection(tier=tier, backends=("cpu",))))


def n_cases(tier: Tier) -> int:
    return len(cases_of(tier))


def n_by_design(tier: Tier) -> int:
    """Return how many cases a tier has beside those."""
    return len(select(load_catalogue(), Selection(tier=tier, backends=("cpu",)))) - n_cases(tier)


@functools.cache
def n_limited(tier: Tier, entry: str = "orthogonal-low-precision") -> int:
    """Return how many cases an entry of the ledger excuses: the definition refuses none of them."""
    ledger, catalogue = load(), load_catalogue()
    found = 0
    for case in cases_of(tier):
        problem = case.problem
        definition = catalogue.lookup(problem.initializer).definition
        is_named = entry in [each.id for each in ledger.matching(case, JAX)]
        found += is_named and expected_error(definition, problem.shape, problem.dtype) is None
    return found


def erf_inv_by_columns() -> int:
    """Return what a generated output of the findings says, of a CPU with AVX-512."""
    told = re.search(
        r"^with AVX-512:\n(?:.*\n)*?erf_inv as \(64, 4\): (\d+) elements differ",
        TEXTS["findings.md"],
        re.MULTILINE,
    )
    assert told
    return int(told[1])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure. pattern: whose group is the number. fewest: how many places have it."""

    pattern: str
    value: Callable[[], float]
    fewest: int = 1


STANDARD, QUICK = Tier.STANDARD, Tier.QUICK
FIGURES = {
    "cases of the quick tier": Figure(
        pattern=r"quick tier[^.|]{0,60}?\b([\d,]+)\s+cases|"
        r"([\d,]+)\s+cases\s+of\s+the\s+quick\s+tier",
        value=lambda: n_cases(QUICK),
        fewest=4,
    ),
    "problems of the quick tier": Figure(
        pattern=r"results of ([\d,]+) problems at", value=lambda: n_cases(QUICK)
    ),
    "cases of the standard tier": Figure(
        pattern=r"(?:standard tier passes \(|\| run: )([\d,]+) cases",
        value=lambda: n_cases(STANDARD),
        fewest=2,
    ),
    "cases of the standard tier by design": Figure(
        pattern=rf"{n_cases(STANDARD)} identical, (\d+) no golden",
        value=lambda: n_by_design(STANDARD),
    ),
    "what a run of the quick tier prints": Figure(
        pattern=rf"PASSED: {n_cases(QUICK)} cases.*\nlimited by the ledger: (\d+) x orth",
        value=lambda: n_limited(QUICK),
    ),
    "what a run of the standard tier prints": Figure(
        pattern=r"(?:no golden, in .*\n(?:limited .*\n)*?|`)limited by the ledger: (\d+) x orth",
        value=lambda: n_limited(STANDARD),
        fewest=2,
    ),
    "elements of erf_inv that differ by columns": Figure(
        pattern=r"([\d,]+) of the 2,048 elements of\s+`erf_inv`", value=erf_inv_by_columns
    ),
    "elements that are kept whole": Figure(
        pattern=r"(?:up to|more than) ([\d,]+) eleme", value=lambda: FULL_SIZE_LIMIT, fewest=3
    ),
    "rows of a page": Figure(pattern=r"At most ([\d,]+) rows", value=lambda: MAX_ROWS),
    "failures of a page": Figure(pattern=r"at most ([\d,]+) failures", value=lambda: N_FAILURES),
    "deadline of a case": Figure(
        pattern=r"case-timeout` \((\d+) s\)|within (\d+) s \(--case-timeout\)",
        value=lambda: CASE_TIMEOUT_S,
        fewest=2,
    ),
    "days of the cache": Figure(pattern=r"(\d+) days \(`--older-than", value=lambda: DAYS),
}


def stated(pattern: str) -> list[tuple[str, int]]:
    """Return the page and the number of each place that has the figure."""
    return [
        (name, int(next(filter(None, match.groups())).replace(",", "")))
        for name, text in TEXTS.items()
        for match in re.finditer(pattern, text)
    ]


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_the_same_wherever_it_stands(name: str) -> None:
    figure = FIGURES[name]

    found = stated(figure.pattern)

    assert len(found) >= figure.fewest
    assert [each for each in found if each[1] != figure.value()] == []
