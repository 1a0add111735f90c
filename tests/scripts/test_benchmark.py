"""The benchmark counts what it says it counts. No test here looks at how fast anything is."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import benchmark
import compile_meter
import page_meter
import processes
import pytest
import run_meter

from conformance.cases.builtin import load_catalogue
from conformance.cases.planes import LARGEST_SEED
from conformance.cases.selection import Selection, select
from conformance.cli.main import parse
from conformance.core.ids import Tier, format_shape, parse_case
from conformance.core.laws import expected_error
from tests import warm
from tests.report.test_report import as_row, result

CASE = "conformance/suite/test_initializers.py::test_case[zeros-float32-64-s{seed}-cpu-eager]"
CASES = tuple(f"zeros-float32-64-s{seed}-cpu-eager" for seed in (0, LARGEST_SEED))


@pytest.fixture
def programs() -> compile_meter.Programs:
    return compile_meter.Programs()


@pytest.fixture
def meter(programs: compile_meter.Programs, tmp_path: Path) -> compile_meter.Meter:
    return compile_meter.Meter(tmp_path / "measures.json", programs)


def test_a_compilation_is_charged_to_the_test_that_ends_next(
    meter: compile_meter.Meter, programs: compile_meter.Programs, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        meter.pytest_runtest_logstart()
        programs.on_duration(compile_meter.COMPILE, 2.0)
        meter.pytest_runtest_logfinish(name)
    meter.pytest_sessionfinish()

    measures = compile_meter.read(tmp_path / "measures.json")

    assert measures.compile_s == {"first": [2.0], "second": [2.0]}


def test_a_retrieval_from_the_cache_is_no_compilation(
    meter: compile_meter.Meter, programs: compile_meter.Programs, tmp_path: Path
) -> None:
    programs.on_event(compile_meter.HIT)
    programs.on_duration(compile_meter.COMPILE, 2.0)
    programs.on_duration(compile_meter.COMPILE, 3.0)
    meter.pytest_runtest_logfinish("test")
    meter.pytest_sessionfinish()

    measures = compile_meter.read(tmp_path / "measures.json")

    assert (measures.compile_s, measures.loaded_s) == ({"test": [3.0]}, {"test": 2.0})


def test_tracing_and_lowering_are_no_compilations(
    meter: compile_meter.Meter, programs: compile_meter.Programs, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        programs.on_duration(compile_meter.TRACE, 2.0)
        programs.on_duration(compile_meter.LOWER, 3.0)
        programs.on_duration("/jax/compilation_cache/cache_retrieval_time_sec", 5.0)
        meter.pytest_runtest_logfinish(name)
    meter.pytest_sessionfinish()

    measures = compile_meter.read(tmp_path / "measures.json")

    assert measures.traced_s == {"first": 5.0, "second": 5.0}
    assert measures.compile_s == {"first": [], "second": []}


def test_the_steps_that_jax_tells_of_are_no_parts_of_each_other() -> None:
    """Else what is left of a case's time would be too little."""
    import jax

    spans: list[tuple[float, float]] = []

    def note(event: str, start_time: float, end_time: float, **_: object) -> None:
        if event in (compile_meter.TRACE, compile_meter.LOWER, compile_meter.COMPILE):
            spans.append((start_time, end_time))

    jax.monitoring.register_event_time_span_listener(note)
    try:
        jax.nn.initializers.truncated_normal(0.375)(jax.random.key(0), (3, 5), "float16")
    finally:
        jax.monitoring.unregister_event_time_span_listener(note)

    assert len(spans) > 2
    assert all(one[1] <= two[0] for one, two in itertools.pairwise(sorted(spans)))


def test_the_figures_are_of_cases_alone() -> None:
    first, again = CASE.format(seed=0), CASE.format(seed=LARGEST_SEED)
    measures = compile_meter.Measures(
        item_s={"test_guide.py::test": 50.0, first: 3.0, again: 0.5},
        compile_s={"test_guide.py::test": [40.0], first: [1.0, 1.5], again: []},
        traced_s={"test_guide.py::test": 9.0, first: 0.25, again: 0.0},
        loaded_s={"test_guide.py::test": 0.0, first: 0.0, again: 0.0},
    )

    figures = benchmark.OwnFigures.of(measures)

    assert figures == benchmark.OwnFigures(
        cases=CASES, elapsed_s=3.5, compile_s=2.5, traced_s=0.25, n_programs=2, again_s=[0.5]
    )


def test_what_a_case_takes_beyond_compiling_is_told() -> None:
    figures = benchmark.OwnFigures(
        cases=CASES, elapsed_s=3.5, compile_s=2.5, traced_s=0.25, n_programs=2, again_s=[]
    )

    found = {line.what: line.figure for line in figures.lines()}

    assert found["beyond XLA's time, per case"] == "500.00 ms"
    assert found["of that, JAX traces and lowers the programs"] == "125.00 ms"


def test_what_a_run_takes_beyond_its_programs_is_told(tmp_path: Path) -> None:
    names = ("lecun_normal", "zeros")
    words = ["--tier", "quick", "--backend", "cpu", "--initializer", ",".join(names)]
    cases = select(load_catalogue(), Selection(tier=Tier.QUICK, initializers=names))

    run = benchmark.run_metered(words, {}, tmp_path)

    assert (run.n_cases, run.n_failed) == (len(cases), 0)
    assert 0 < run.traced_s + run.loaded_s + run.compile_s < run.elapsed_s


def test_the_lines_of_a_run_are_per_case_and_name_one_that_is_red() -> None:
    run = run_meter.Metered(
        n_cases=10,
        n_failed=2,
        elapsed_s=1.0,
        cpu_s=1.5,
        traced_s=0.125,
        loaded_s=0.25,
        compile_s=0.5,
    )

    assert [line.figure for line in benchmark.run_lines(run)] == [
        "12.50 ms",
        "87.50 ms",
        "2 failed",
    ]


def test_the_naive_sample_holds_no_case_that_must_raise() -> None:
    catalogue = load_catalogue()
    cases = select(catalogue, Selection())

    sample = benchmark.naive_sample(catalogue, cases, 500)

    assert len(sample) == 500
    for case in sample:
        problem = case.problem
        definition = catalogue.lookup(problem.initializer).definition
        assert expected_error(definition, problem.shape, problem.dtype) is None


def test_the_naive_harness_records_and_then_compares(tmp_path: Path) -> None:
    case = parse_case("zeros-float32-7-s0-cpu-eager")
    (tmp_path / "test_naive.py").write_text(benchmark.NAIVE_TEST)
    (tmp_path / "cases.json").write_text(json.dumps([benchmark._fields(case)]))

    timing = benchmark.run_pytest(["test_naive.py", "-p", "no:conformance"], {}, tmp_path)

    assert timing.failures == ""
    assert (tmp_path / f"{case.id}.npz").exists()


def test_the_calls_alone_are_made_and_one_that_fails_is_red(tmp_path: Path) -> None:
    cases = [["zeros-float32-7-s0-cpu-eager", True], ["lecun_normal-float32-7-s0-cpu-jit", False]]
    (tmp_path / "test_calls.py").write_text(benchmark.CALLS_TEST)
    (tmp_path / "cases.json").write_text(json.dumps(cases))

    as_expected = benchmark.run_pytest(["test_calls.py", "-p", "no:conformance"], {}, tmp_path)
    cases[1][1] = True
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    red = benchmark.run_pytest(["test_calls.py", "-p", "no:conformance"], {}, tmp_path)

    assert (as_expected.failures, red.failures) == ("", "1 failed, 1 passed")


def test_jaxs_own_test_and_ours_have_the_same_cells() -> None:
    asked = Selection(
        initializers=benchmark.JAX_NAMES,
        shapes=tuple(map(format_shape, benchmark.JAX_SHAPES)),
        dtypes=benchmark.DTYPES,
        seeds=(0,),
        transforms=("eager",),
    )
    cells = itertools.product(benchmark.JAX_NAMES, benchmark.JAX_SHAPES, benchmark.DTYPES)

    found = [(each.problem, each.transform) for each in select(load_catalogue(), asked)]

    assert {(problem.initializer, problem.shape, problem.dtype) for problem, _ in found} == set(
        cells
    )
    assert len(found) == 8 * 6 * 3


def test_a_million_cases_are_named() -> None:
    n_programs = len(benchmark.MANY) * len(benchmark.DTYPES)

    assert set(benchmark.MANY) <= set(load_catalogue().by_name())
    assert n_programs * benchmark.SEEDS_OF_A_MILLION >= 1_000_000


@pytest.mark.parametrize(
    ("words", "known"),
    [
        ([], []),
        (["-k", "zeros", "-x", "--golden", "there"], ["--golden=there"]),
        (
            ["--overlay=a", "--overlay", "b", "--fresh-seeds", "7"],
            ["--overlay=a", "--overlay=b", "--fresh-seeds=7"],
        ),
        (
            ["--max-drift", "identical", "--ledger", "x", "-p", "no:cacheprovider"],
            ["--max-drift=identical", "--ledger=x"],
        ),
    ],
)
def test_what_judges_is_taken_out_of_words_for_pytest(words: list[str], known: list[str]) -> None:
    found = benchmark.judging(words)

    assert found == known
    assert parse(["run", *found]).command == "run"


# --- What Linux tells of processes ---------------------------------------------------------------
def test_the_memory_and_time_of_a_process_are_told() -> None:
    found, *_ = processes.family(os.getpid())

    assert 10 < (processes.peak_mib(found) or 0) < 100_000
    assert processes.cpu_s(found) == pytest.approx(sum(os.times()[:2]), abs=0.1)


def test_children_and_what_is_below_them_are_found_by_their_command() -> None:
    program = f"{warm.COLD} -c import".encode().replace(b" ", b"\0")
    inner = "import time; time.sleep(60)"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    child = subprocess.Popen([warm.COLD, "-c", outer], process_group=0)  # noqa: S603  # ours
    try:
        until_s = time.monotonic() + 30
        while len(found := {*processes.descendants(os.getpid(), program)}) < 2:
            assert time.monotonic() < until_s
            time.sleep(0.01)

        assert child.pid in found
        assert {*processes.descendants(child.pid, program)} == found - {child.pid}
        assert [*processes.descendants(os.getpid(), b"no such program")] == []
        assert child.pid in processes.family(os.getpid())
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def test_a_process_that_has_ended_has_nothing() -> None:
    ended = subprocess.Popen([warm.COLD, "-c", ""])  # noqa: S603  # ours
    ended.wait()

    assert processes.family(ended.pid) == []
    assert processes.peak_mib(ended.pid) is None
    assert processes.cpu_s(ended.pid) == 0.0


def test_a_red_run_is_timed_and_named(tmp_path: Path) -> None:
    """On another machine than the goldens' a test may fail, and speed is what was asked for."""
    tests = "def test_bad():\n    assert False\n\ndef test_good():\n    pass\n"
    (tmp_path / "test_it.py").write_text(tests)

    timing = benchmark.run_pytest(["test_it.py", "-p", "no:conformance"], {}, tmp_path)

    assert timing.wall_s > 0
    assert benchmark.red_lines({"cold": timing}) == [
        benchmark.Line(what="red: cold", figure="1 failed, 1 passed")
    ]


def test_a_green_run_has_no_line_of_failures(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it():\n    pass\n")

    timing = benchmark.run_pytest(["test_it.py", "-p", "no:conformance"], {}, tmp_path)

    assert benchmark.red_lines({"cold": timing}) == []


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ("==== 3 failed, 4 passed, 1 warning in 248.01s (0:04:08) ====", "3 failed, 4 passed, 1 w"),
        ("2 failed in 0.01s", "2 failed"),
        ("no summary at all", "an unknown number failed"),
    ],
)
def test_failures_are_counted_as_pytest_does(last: str, said: str) -> None:
    assert benchmark.counted(f"1 passed in time\n{last}\n").startswith(said)


@pytest.mark.parametrize(
    ("program", "code", "words"),
    [
        ("def test_it(:\n", 2, "SyntaxError"),
        ("x = 1\n", 5, "no tests ran"),
        ("def test_it():\n    import os\n    os._exit(77)\n", 77, ""),
    ],
    ids=["broken", "empty", "crashed"],
)
def test_a_run_that_ends_otherwise_is_not_timed(
    program: str, code: int, words: str, tmp_path: Path
) -> None:
    (tmp_path / "test_it.py").write_text(program)

    with pytest.raises(SystemExit, match=rf"exit code {code}, not timed:(?s:.*){words}"):
        benchmark.run_pytest(["test_it.py", "-p", "no:conformance"], {}, tmp_path)


def test_a_wrong_call_is_not_timed(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"exit code 4, not timed:(?s:.*)unrecognized arguments"):
        benchmark.run_pytest(["--no-such-option"], {}, tmp_path)


def test_the_pages_have_the_rows_that_they_are_named_for() -> None:
    row = as_row(result())

    many = page_meter.run_of(row, 200, 20)
    more = page_meter.run_of(row, 20, 20, n_plain=980)

    assert (many.n_judged, len(many.failed), len(many.rows)) == (200, 20, 200)
    assert (more.n_judged, len(more.failed), len(more.rows)) == (1000, 20, 20)
    assert len(set(many.expected)) == 200


def test_a_page_is_not_measured_without_a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_meter, "CHROMIUM", ("no-such-browser",))

    (line,) = benchmark.page_lines()

    assert line.figure.startswith("not measured: Chromium or ")
