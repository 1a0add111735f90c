"""What a page shows of each initializer and dtype: figures in a table, and maps of where."""

from __future__ import annotations

import dataclasses

from conformance.core.records import CaseResult, Drift, DriftClass
from conformance.report.page.of_run import page_of_run
from conformance.report.page.pairs import HEAD, maps_of, read_map, table_of
from conformance.report.run import Run

from .test_report import STREAM, failure, result, run_of

PARTLY = dataclasses.replace(
    STREAM,
    drift_class=DriftClass.STRUCTURAL,
    n_different=1024,
    mismatch="64x32 0f/0f",
    detail="only [16:32] of axis 1",
)
ROUNDING = Drift(drift_class=DriftClass.ROUNDING, n_elements=2048, n_different=2, max_ulp=1)


def line(run: Run) -> dict[str, str]:
    (shown,) = table_of(run).lines
    return dict(zip(HEAD, shown, strict=True))


def test_a_pair_is_counted_by_class_and_by_first_stage() -> None:
    law = dataclasses.replace(STREAM, drift_class=DriftClass.LAW, stage="unit")
    run = run_of(failure(0), failure(1), failure(2, drift=law), result(seed=3, drift=ROUNDING))

    shown = line(run)

    assert (shown["drifted"], shown["failed"]) == ("4", "3")
    assert shown["class"] == "law 1, stream 2, rounding 1"
    assert shown["first differing stage"] == "unit 1, bits 2"
    assert shown["worst element"] == "4680 ULP (12.2 of sigma)"


def test_the_worst_backward_errors_of_a_matrix_are_shown() -> None:
    errors = {"gram_error": 1.0, "column_error": 2.0}, {"column_error": 3.5}
    verdicts = (result(drift=ROUNDING, metrics=each) for each in errors)
    run = run_of(*(named(each, "oracle") for each in verdicts))

    shown = line(run)

    assert shown["column error, u"] == "3.5"
    assert shown["gram error, u"] == ""


def named(verdict: CaseResult, check: str) -> CaseResult:
    """Return the verdict with its metrics as another check's."""
    *others, last = verdict.checks
    return dataclasses.replace(verdict, checks=(*others, dataclasses.replace(last, check=check)))


def test_what_plainly_passed_is_in_no_line() -> None:
    assert table_of(run_of(result())).lines == ()


def test_a_map_is_of_the_worst_case_of_a_pair_that_differs_in_part() -> None:
    run = run_of(failure(0), failure(1, drift=PARTLY), failure(2, drift=PARTLY))

    (figure,) = maps_of(run)

    assert figure.title == "normal float32"
    assert b"<svg" in figure.svg
    assert figure.says == (
        "where normal-float32-64x32-s1-cpu-eager differs from the golden: 1024 of 2048 elements; "
        "only [16:32] of axis 1"
    )


def test_where_nearly_each_element_differs_there_is_no_map() -> None:
    nearly = dataclasses.replace(PARTLY, n_different=2000)

    assert list(maps_of(run_of(failure(0, drift=nearly)))) == []


def test_what_passed_has_no_map() -> None:
    assert (
        list(maps_of(run_of(result(drift=dataclasses.replace(ROUNDING, mismatch="1x2 0f"))))) == []
    )


def test_a_map_is_read_as_it_was_written() -> None:
    assert read_map("64x5 0f/3a") == ((64, 5), [[0, 15], [3, 10]])


def test_a_page_has_the_laws_beside_the_maps() -> None:
    run = run_of(failure(0, drift=PARTLY))
    (drawn,) = maps_of(run)
    law = dataclasses.replace(drawn, title="he_normal float32 eager")

    page = page_of_run(run, [dataclasses.replace(law, title="zeros float32 eager"), law])

    titles = [figure.title for figure in page.figures]
    assert titles == ["he_normal float32 eager", "normal float32", "zeros float32 eager"]
    assert page.tables[0].title == "What drifted, by initializer and dtype"
