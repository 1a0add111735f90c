"""The table of releases: the document is what the kept figures say, and those are counted right."""

from __future__ import annotations

from pathlib import Path

from conformance.core.ids import parse_case
from conformance.core.records import Drift, DriftClass, Environment
from conformance.upgrade import survey
from conformance.upgrade.compare import Comparison, Pair
from tests import ROOT

DOCUMENT = ROOT / "docs" / "jax-releases.md"
DATA = DOCUMENT.with_suffix(".json")
NOWHERE = Environment(packages={}, config={}, host={}, devices={})


def test_the_document_is_made_of_the_kept_figures() -> None:
    """`python scripts/survey_releases.py --text-only` makes it so."""
    text = survey.document(survey.read(DATA), DATA.name)

    assert DOCUMENT.read_text(encoding="utf-8") == text


def test_the_table_spans_what_is_supported() -> None:
    found = survey.read(DATA)

    assert len(found.steps) >= 15
    assert found.releases[0].release == "0.4.20"
    assert found.releases[-1].release == found.steps[-1].after


def test_every_step_counts_every_case_that_both_releases_have() -> None:
    found = survey.read(DATA)
    n_cases = {outcome.release: outcome.n_cases for outcome in found.releases}

    for step in found.steps:
        assert sum(step.counts.values()) == min(n_cases[step.before], n_cases[step.after])


def comparison(drifts: dict[str, Drift]) -> Comparison:
    return Comparison(
        before="a",
        after="b",
        environments=(NOWHERE, NOWHERE),
        pairs=tuple(Pair(case=parse_case(case), drift=drift) for case, drift in drifts.items()),
        lost=(),
        new=(),
    )


def test_a_step_tells_near_changes_from_new_streams() -> None:
    cases = comparison(
        {
            "normal-float32-64-s0-cpu-eager": Drift(
                drift_class=DriftClass.ROUNDING, max_ulp=2, max_ulp_at_sigma=1.0, stage="unit"
            ),
            "uniform-float32-64-s0-cpu-eager": Drift(
                drift_class=DriftClass.STREAM, max_ulp=10**9, max_ulp_at_sigma=1e7, stage="bits"
            ),
            "orthogonal-float16-64x32-s0-cpu-eager": Drift(
                drift_class=DriftClass.CONTRACT, detail="raises A -> raises B"
            ),
        }
    )

    step = survey.step("a", "b", cases, comparison({}))

    assert (step.max_ulp, step.max_ulp_at_sigma) == (2, 1.0)
    assert step.counts == {"rounding": 1, "stream": 1, "contract": 1}
    assert step.stages == {"bits": 1, "unit": 1}
    assert step.errors == {"raises A -> raises B": 1}
    assert step.dtypes == ("float16", "float32")


def test_figures_read_back_as_they_were_written(tmp_path: Path) -> None:
    step = survey.step("a", "b", comparison({}), comparison({}))
    found = survey.Survey(cases="none", host={"cpu": "x"}, releases=(), steps=(step,))

    survey.write(tmp_path / "data.json", found)

    assert survey.read(tmp_path / "data.json") == found
