"""The page of a kill matrix."""

from __future__ import annotations

from conformance.core.records import Environment
from conformance.planted.matrix import ELSEWHERE, KILLERS, Matrix, cell, tables
from conformance.planted.record import Tried
from conformance.report.page.model import ONE_SIDE, Failure, Page, Rows, Tone, facts_of
from conformance.report.tables import filled

COLUMNS = ("fault", "kind", "tier", "asked", *KILLERS, "unit")


def page_of(matrix: Matrix, environment: Environment) -> Page:
    """Return the page: what is wrong, what each check is there for, and fault by check as rows.

    environment: where the faults were tried.
    """
    tone = Tone.of(matrix.code)
    of_checks, of_tests, *_ = tables(matrix)
    wrong = {**matrix.faults, **{each.name: each.lost for each in matrix.lost}}
    return Page(
        title=f"{tone.upper()} - planted faults",
        tone=tone,
        verdict=f"{tone.upper()}: {matrix.line}",
        sentence=(
            "a cell holds the least magnitude that the check killed, or that it killed; a dash "
            "where it looked and saw nothing"
        ),
        sides=ONE_SIDE,
        facts=tuple(facts_of(environment, None)),
        failures=tuple(
            Failure(name=name, message=text, rerun=_rerun(name)) for name, text in wrong.items()
        ),
        failed="What survived, or proves nothing",
        elsewhere=ELSEWHERE,
        tables=tuple(filled([of_checks, of_tests])),
        rows=Rows.of(
            matrix.tried, _values, columns=COLUMNS, filters=("kind", "tier"), elsewhere=ELSEWHERE
        ),
    )


def _rerun(name: str) -> str:
    return "conformance faults" if name in KILLERS else f"conformance faults --only {name}"


def _values(tried: Tried) -> list[str]:
    cells = (cell(tried, check) for check in KILLERS)
    return [tried.name, tried.kind, tried.tier, tried.question, *cells, tried.unit]
