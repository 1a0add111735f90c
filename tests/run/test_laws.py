"""After a run, the laws of what failed are swept; what has none to show is left alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.sweeps import is_swept
from conformance.core.records import DriftClass
from conformance.observe.backends import BackendUnavailable
from conformance.report.page.model import Figure
from conformance.run import laws
from conformance.run.laws import MOST_LAWS, laws_of
from conformance.run.options import Options
from tests.report.test_report import STREAM, as_row, failure

LAW = dataclasses.replace(STREAM, drift_class=DriftClass.LAW)


def drawn(*names: str, drift_class: DriftClass = DriftClass.LAW, **changes: Any) -> list[Figure]:
    """Return what is drawn of failed cases, each `initializer dtype`."""
    drift = dataclasses.replace(LAW, drift_class=drift_class)
    rows = []
    for name in names:
        initializer, dtype = name.split()
        row = as_row(failure(initializer=initializer, dtype=dtype, drift=drift))
        rows.append(dataclasses.replace(row, **changes))
    return list(laws_of(rows, Options(), load_catalogue(), here=True))


def test_a_law_is_drawn_once_for_each_initializer_and_dtype() -> None:
    found = drawn("lecun_normal bfloat16", "lecun_normal bfloat16", "he_uniform bfloat16")

    titles = sorted(figure.title for figure in found)
    assert titles == ["he_uniform bfloat16 eager", "lecun_normal bfloat16 eager"]
    assert all(b"<svg" in figure.svg for figure in found)


@pytest.mark.parametrize(
    "drift_class", [DriftClass.STREAM, DriftClass.STRUCTURAL, DriftClass.CONTRACT]
)
def test_where_a_law_shows_nothing_none_is_swept(drift_class: DriftClass) -> None:
    assert drawn("lecun_normal bfloat16", drift_class=drift_class) == []


def test_what_has_no_law_of_its_own_is_not_swept() -> None:
    assert drawn("orthogonal float32", "mine float32", "normal complex64") == []


def test_only_the_worst_are_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def keep(_: Any, *, only: list[str], **__: Any) -> Any:
        asked.extend(only)
        yield from ()

    monkeypatch.setattr(laws, "verdicts_here", keep)
    names = [spec.name for spec in load_catalogue() if is_swept(spec)]

    assert drawn(*(f"{name} float32" for name in names)) == []
    assert len(names) > MOST_LAWS
    assert [each.partition("-")[0] for each in asked] == names[:MOST_LAWS]


def test_why_no_law_could_be_swept_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise BackendUnavailable("no device of cpu")
        yield

    monkeypatch.setattr(laws, "verdicts_here", broken)

    (figure,) = drawn("lecun_normal bfloat16")

    assert (figure.svg, figure.says) == (b"", "not swept: no device of cpu")
