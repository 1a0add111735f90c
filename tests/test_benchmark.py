"""The benchmark counts what it says it counts. No test here looks at how fast anything is."""

from __future__ import annotations

from pathlib import Path

import benchmark
import compile_meter
import pytest

from conformance.builtin import load_catalogue
from conformance.definition import expected_error
from conformance.matrix import LARGEST_SEED, Selection, select

CASE = "conformance/test_initializers.py::test_case[zeros-float32-64-s{seed}-cpu-eager]"


@pytest.fixture
def meter(tmp_path: Path) -> compile_meter.Meter:
    return compile_meter.Meter(tmp_path / "measures.json")


def test_a_compilation_is_charged_to_the_test_that_ends_next(
    meter: compile_meter.Meter, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        meter.pytest_runtest_logstart()
        meter.on_duration(compile_meter.COMPILE, 2.0)
        meter.pytest_runtest_logfinish(name)
    meter.pytest_sessionfinish()

    measures = compile_meter.read(tmp_path / "measures.json")

    assert measures.compile_s == {"first": [2.0], "second": [2.0]}


def test_a_retrieval_from_the_cache_is_no_compilation(
    meter: compile_meter.Meter, tmp_path: Path
) -> None:
    meter.on_event(compile_meter.HIT)
    meter.on_duration(compile_meter.COMPILE, 2.0)
    meter.on_duration(compile_meter.COMPILE, 3.0)
    meter.pytest_runtest_logfinish("test")
    meter.pytest_sessionfinish()

    measures = compile_meter.read(tmp_path / "measures.json")

    assert measures.compile_s == {"test": [3.0]}


def test_other_durations_are_no_compilations(meter: compile_meter.Meter, tmp_path: Path) -> None:
    meter.on_duration("/jax/core/compile/jaxpr_trace_duration", 2.0)
    meter.pytest_runtest_logfinish("test")
    meter.pytest_sessionfinish()

    assert compile_meter.read(tmp_path / "measures.json").compile_s == {"test": []}


def test_the_figures_are_of_cases_alone() -> None:
    first, again = CASE.format(seed=0), CASE.format(seed=LARGEST_SEED)
    measures = compile_meter.Measures(
        item_s={"test_guide.py::test": 50.0, first: 3.0, again: 0.5},
        compile_s={"test_guide.py::test": [40.0], first: [1.0, 1.5], again: []},
    )

    figures = benchmark.OwnFigures.of(measures)

    assert figures == benchmark.OwnFigures(
        n_cases=2, elapsed_s=3.5, compile_s=2.5, n_programs=2, again_s=[0.5]
    )


def test_the_naive_sample_holds_no_case_that_must_raise() -> None:
    catalogue = load_catalogue()
    cases = select(catalogue, Selection())

    sample = benchmark.naive_sample(catalogue, cases, 500)

    assert len(sample) == 500
    for case in sample:
        problem = case.problem
        definition = catalogue.lookup(problem.initializer).definition
        assert expected_error(definition, problem.shape, problem.dtype) is None


def test_a_run_that_fails_is_not_timed(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it():\n    assert False\n")

    with pytest.raises(SystemExit, match=r"failed \(1\), not timed:(?s:.*)1 failed"):
        benchmark.run_pytest(["test_it.py", "-p", "no:conformance"], {}, tmp_path)
