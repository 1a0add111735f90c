"""Measure the speed of the harness, on this machine, in one run, as a Markdown table.

    python scripts/benchmark.py                          the figures of the README: eleven minutes
    python scripts/benchmark.py --tier quick             a rehearsal
    python scripts/benchmark.py --only ray --only scale  some of its parts
    python scripts/benchmark.py -- --golden DIR          what follows -- is given to pytest

Ratios compare serial runs, whose time in XLA is measured within the run itself: a busy machine
slows both sides. A run in which tests failed is measured too, and named as red: it printed more
than a green one. Three runs of the tier and two of a sample:

    cold     `pytest conformance -n auto` without a compilation cache: a user's first run
    serial   the same in one process with an empty cache, under compile_meter.py: the compile floor
             of its cases, the ratio to it, and the cost of a case whose programs exist already
    warm     `pytest conformance -n auto` with the cache that the serial run filled
    run      the loop of `conformance run --in-process` with that cache: all checks, each row
             written, no pytest. What JAX takes to trace, lower and load programs stands apart
    calls    the calls of the serial run's cases alone, an item each, with an empty cache: what
             pytest and JAX take, where nothing is judged
    naive    jit each case, one test each, own npz golden: recorded, then measured, serially
    JAX      what JAX's own test of its initializers does (tests/nn_test.py: shape and dtype), and
             all checks of ours, over cells that both have

Then all help, with its byte code kept, beside a Python that does nothing; one case by `conformance
run` with its programs kept, beside JAX and one draw; and a range of seeds, by default a million
cases, on two workers: time, and the most memory of each process; the same on Ray, where that is
installed, with two workers and with one. Last the page of a run: its size,
and how long a browser takes to open it, beside an empty one.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import functools
import importlib.util
import json
import math
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import compile_meter
import numpy as np
import page_meter
import ray_meter
import run_meter
from processes import family, peak_mib

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.cases.planes import LARGEST_SEED
from conformance.cases.selection import Selection, select
from conformance.cli.main import COMMANDS
from conformance.core.ids import Case, Tier, format_shape, parse_case
from conformance.core.laws import expected_error
from conformance.core.paths import shipped
from conformance.core.settings import installed_jax
from conformance.judge.ledger import Ledger, load
from conformance.observe.environment import host_facts, package_versions
from conformance.report.aligned import markdown_table
from conformance.run.declared import add_judging_options

SCRIPTS = Path(__file__).parent
NORMALS = 5_000_000
CASE_TEST = "::test_case["
TESTS_FAILED = 1
"""What pytest exits with when it ran all tests and some failed."""

NO_CACHE = {"JAX_ENABLE_COMPILATION_CACHE": "0"}

NAIVE_TEST = """
import json, pathlib
import jax, numpy, pytest
from conformance.cases.builtin import load_catalogue
from conformance.core.arrays import as_dtype

HERE = pathlib.Path(__file__).parent
CATALOGUE = load_catalogue()
CASES = json.loads((HERE / "cases.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_naive(case):
    initializer = CATALOGUE.lookup(case["initializer"]).build()
    shape, dtype = tuple(case["shape"]), as_dtype(case["dtype"])
    call = jax.jit(lambda key: initializer(key, shape, dtype))
    actual = numpy.asarray(call(jax.random.key(case["seed"]))).astype(numpy.float64)
    golden = HERE / (case["id"] + ".npz")
    if not golden.exists():
        numpy.savez(golden, value=actual)
    numpy.testing.assert_array_equal(actual, numpy.load(golden)["value"])
"""

CALLS_TEST = """
import json, pathlib
from conformance.observe.process import force_host_devices

force_host_devices()

import jax, numpy, pytest
from conformance.cases.builtin import load_catalogue
from conformance.core.ids import parse_case
from conformance.observe.backends.problem import settings, typed_key
from conformance.observe.backends.transforms import TRANSFORMS

HERE = pathlib.Path(__file__).parent
CATALOGUE = load_catalogue()


@pytest.mark.parametrize(("case", "must_return"), json.loads((HERE / "cases.json").read_text()))
def test_calls(case, must_return):
    case = parse_case(case)
    problem, spec = case.problem, CATALOGUE.lookup(case.problem.initializer)
    devices = jax.devices(case.backend)
    try:
        call = TRANSFORMS[case.transform](spec.build(), problem, devices)
        for _ in range(2):
            with jax.default_device(devices[0]), settings(problem):
                numpy.asarray(call(typed_key(problem)))
    except Exception:  # a refusal is an answer, too
        if must_return:
            raise
"""

JAX_TEST = """
import itertools
import jax, pytest

CELLS = itertools.product({names}, {shapes}, {dtypes})


@pytest.mark.parametrize(("name", "shape", "dtype"), CELLS)
def test_initializer(name, shape, dtype):
    array = getattr(jax.nn.initializers, name)()(jax.random.key(0), shape, dtype)
    assert (array.shape, array.dtype) == (shape, dtype)
"""

JAX_NAMES = (
    *("uniform", "normal", "he_normal", "he_uniform", "glorot_normal", "glorot_uniform"),
    *("lecun_normal", "lecun_uniform"),
)
JAX_SHAPES = ((2, 2), (2, 3), (3, 2), (2, 3, 4), (4, 3, 2), (2, 3, 4, 5))
"""Of JAX's test, those that every one of these initializers is asked for there."""

DTYPES = ("float32", "bfloat16", "float16")

BARE = (
    "import jax, numpy\n"
    "draw = jax.nn.initializers.lecun_normal()(jax.random.key(0), (64, 32), 'float32')\n"
    "numpy.asarray(draw)"
)
"""The least that a case needs."""

MANY = (
    *JAX_NAMES,
    *("normal_1", "normal_0.02", "uniform_1", "truncated_normal", "truncated_normal_1"),
    *("zeros", "ones", "constant", "he_normal_batch0"),
)
"""With DTYPES 51 combinations, of which 20,000 seeds are a million cases."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long a run of pytest took, and how much of all processors.

    failures: what pytest counted, where tests failed, as in `1 failed, 2 passed`; "" if none did.
    """

    wall_s: float
    cpu_s: float
    failures: str = ""

    def __str__(self) -> str:
        return f"{self.wall_s:.1f} s wall, {self.cpu_s:.1f} s CPU"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table. `aim` is empty where there is none."""

    what: str
    figure: str
    aim: str = ""


# --- Running --------------------------------------------------------------------------------------


def run_pytest(arguments: Iterable[str], variables: Mapping[str, str], folder: Path) -> Timing:
    """Run pytest in a process of its own and return its times, whether or not tests fail.

    Raises:
        SystemExit: it crashed, was called wrongly, or found no test: there is nothing to measure.
    """
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    path = os.pathsep.join(filter(None, [str(SCRIPTS), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": path} | dict(variables)
    start, before = time.perf_counter(), _children_cpu_s()
    done = subprocess.run(  # noqa: S603  # the arguments are the caller's own
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False
    )
    wall_s = time.perf_counter() - start
    if done.returncode not in (0, TESTS_FAILED):
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise SystemExit(
            f"{' '.join(command)} ended with exit code {done.returncode}, not timed:\n{tail}"
        )
    failures = counted(done.stdout) if done.returncode else ""
    return Timing(wall_s=wall_s, cpu_s=_children_cpu_s() - before, failures=failures)


def counted(output: str) -> str:
    """Return what pytest's last line counts, as in `1 failed, 2 passed`; if none, what is known."""
    found = re.findall(r"^=* *(\d+ \w+(?:, \d+ \w+)*) in [\d.]+s", output, re.MULTILINE)
    return found[-1] if found else "an unknown number failed"


def red_lines(timings: Mapping[str, Timing]) -> list[Line]:
    """Return a line for each run in which tests failed."""
    return [
        Line(what=f"red: {name}", figure=timing.failures)
        for name, timing in timings.items()
        if timing.failures
    ]


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def cache_variables(folder: Path) -> dict[str, str]:
    """Return what makes JAX cache every program in the folder, however small or quick."""
    return {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


# --- The tier -------------------------------------------------------------------------------------


def tier_lines(options: argparse.Namespace, scratch: Path) -> list[Line]:
    """Measure the tier cold, serially and warm, and a naive harness over a sample of it."""
    root, cache = SCRIPTS.parent, cache_variables(scratch / "cache")
    common = ["conformance", "--tier", options.tier, "--reports", str(scratch / "reports")]
    common += options.pytest_arguments
    meter = ["-n", "0", "-p", "compile_meter", "--meter", str(scratch / "serial.json")]
    cold = run_pytest([*common, "-n", options.workers], NO_CACHE, root)
    serial = run_pytest([*common, *meter], cache, root)
    warm = run_pytest([*common, "-n", options.workers], cache, root)
    asked = ["--tier", options.tier, "--backend", "cpu", *judging(options.pytest_arguments)]
    run = run_metered(asked, cache, scratch / "run")
    own = OwnFigures.of(compile_meter.read(scratch / "serial.json"))
    timings = {
        f"the whole run, cold, -n {options.workers}": cold,
        f"the whole run, warm cache, -n {options.workers}": warm,
        "the whole run, cold, one process": serial,
    }
    return [
        *(Line(what=name, figure=str(timing)) for name, timing in timings.items()),
        *red_lines(timings),
        *own.lines(),
        *run_lines(run),
        *calls_lines(scratch, own),
        *naive_lines(options, scratch, own),
    ]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OwnFigures:
    """What the cases of a serial run took, by the time each needed and compiled."""

    cases: tuple[str, ...]
    elapsed_s: float
    compile_s: float
    traced_s: float
    n_programs: int
    again_s: list[float]

    @staticmethod
    def of(measures: compile_meter.Measures) -> OwnFigures:
        """Return the figures of the cases alone, without laws and modules.

        The second seed of a problem follows the first and finds every program compiled, unless
        an accident of caches made it compile again: `again_s` hides nothing.
        """
        cases = {item: s for item, s in measures.item_s.items() if CASE_TEST in item}
        compiles = [s for item in cases for s in measures.compile_s[item]]
        return OwnFigures(
            cases=tuple(item.partition("[")[2].removesuffix("]") for item in cases),
            elapsed_s=sum(cases.values()),
            compile_s=sum(compiles),
            traced_s=sum(measures.traced_s[item] for item in cases),
            n_programs=len(compiles),
            again_s=[s for item, s in cases.items() if f"-s{LARGEST_SEED}-" in item],
        )

    @property
    def n_cases(self) -> int:
        """How many cases there are."""
        return len(self.cases)

    @property
    def beyond_ms(self) -> float:
        """What a case takes beyond XLA, on average."""
        return 1e3 * (self.elapsed_s - self.compile_s) / self.n_cases

    def lines(self) -> list[Line]:
        """Return the lines of the table."""
        ratio = Line(
            what="ratio to the floor",
            figure=f"{self.elapsed_s / self.compile_s:.2f}",
            aim="at most 1.3",
        )
        lines = [
            Line(what=f"of that, the {self.n_cases} cases", figure=f"{self.elapsed_s:.1f} s"),
            Line(
                what=f"compile floor: XLA's time for their {self.n_programs} distinct programs",
                figure=f"{self.compile_s:.1f} s",
            ),
            ratio,
            Line(
                what="beyond XLA's time, per case",
                figure=f"{self.beyond_ms:.2f} ms",
            ),
            Line(
                what="of that, JAX traces and lowers the programs",
                figure=f"{1e3 * self.traced_s / self.n_cases:.2f} ms",
            ),
        ]
        return [*lines, self._again()] if self.again_s else lines

    def _again(self) -> Line:
        mean_s, median_s = statistics.mean(self.again_s), statistics.median(self.again_s)
        return Line(
            what=f"one more seed, per case: mean, median of {len(self.again_s)}",
            figure=f"{1e3 * mean_s:.2f} ms, {1e3 * median_s:.2f} ms",
            aim="at most 1 ms",
        )


def judging(words: Sequence[str]) -> list[str]:
    """Return of words for pytest those that say by what is judged, which `conformance run` takes.

    As option=value, each.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False, argument_default=argparse.SUPPRESS)

    def add(name: str, **declaration: Any) -> None:
        parser.add_argument(name, **declaration | {"default": argparse.SUPPRESS})

    add_judging_options(add)
    found, _ = parser.parse_known_args(words)
    return [
        f"--{name.replace('_', '-')}={value}"
        for name, values in vars(found).items()
        for value in (values if isinstance(values, list) else [values])
    ]


def run_metered(asked: Sequence[str], cache: Mapping[str, str], reports: Path) -> run_meter.Metered:
    """Return what `conformance run` took in a process of its own; programs are in the cache.

    asked: options of `conformance run`.
    """
    command = [sys.executable, run_meter.__file__, str(reports), *asked]
    done = subprocess.run(  # noqa: S603  # ours
        command, env=os.environ | dict(cache), stdout=subprocess.PIPE, check=True, text=True
    )
    return run_meter.Metered(**json.loads(done.stdout.splitlines()[-1]))


def run_lines(run: run_meter.Metered) -> list[Line]:
    """Return the lines of what `conformance run` takes without pytest."""
    lines = [
        Line(
            what="`conformance run` in one process, warm cache, per case beyond its programs",
            figure=f"{run.beyond_ms:.2f} ms",
            aim="at most 2.1 ms",
        ),
        Line(
            what="tracing, lowering and loading them there, per case",
            figure=f"{run.programs_ms:.2f} ms",
        ),
    ]
    if run.n_failed:
        lines.append(Line(what="red: `conformance run`", figure=f"{run.n_failed} failed"))
    return lines


def calls_lines(scratch: Path, own: OwnFigures) -> list[Line]:
    """Measure what pytest and JAX take for the calls of the same cases, in their order."""
    folder = scratch / "calls"
    folder.mkdir()
    (folder / "test_calls.py").write_text(CALLS_TEST)
    catalogue, cases = load_catalogue(), map(parse_case, own.cases)
    asked = [(case.id, _returns_an_array(catalogue, case)) for case in cases]
    (folder / "cases.json").write_text(json.dumps(asked))
    arguments = ["test_calls.py", "-p", "no:conformance", "-p", "compile_meter", "--meter"]
    timing = run_pytest([*arguments, "calls.json"], cache_variables(folder / "cache"), folder)
    measures = compile_meter.read(folder / "calls.json")
    beyond_s = sum(measures.item_s.values()) - sum(map(sum, measures.compile_s.values()))
    calls_ms = 1e3 * beyond_s / own.n_cases
    return [
        Line(what="the same for pytest and JAX alone, per case", figure=f"{calls_ms:.2f} ms"),
        Line(
            what="beyond both, per case",
            figure=f"{own.beyond_ms - calls_ms:.2f} ms",
            aim="at most 2.1 ms",
        ),
        *red_lines({"calls alone": timing}),
    ]


def naive_lines(options: argparse.Namespace, scratch: Path, own: OwnFigures) -> list[Line]:
    """Measure the naive harness over a random sample, and scale to all cases of the tier."""
    catalogue, folder = load_catalogue(), scratch / "naive"
    cases = select(catalogue, Selection(tier=Tier(options.tier)))
    chosen = naive_sample(catalogue, cases, options.naive_cases)
    folder.mkdir()
    (folder / "test_naive.py").write_text(NAIVE_TEST)
    (folder / "cases.json").write_text(json.dumps([_fields(case) for case in chosen]))
    arguments = ["test_naive.py", "-p", "no:conformance", "-p", "compile_meter", "--meter"]
    timings = {
        f"naive harness, {name}": run_pytest([*arguments, f"{name}.json"], NO_CACHE, folder)
        for name in ("record", "judge")
    }
    item_s = list(compile_meter.read(folder / "judge.json").item_s.values())
    mean_s = statistics.mean(item_s)
    error_s = statistics.stdev(item_s) / math.sqrt(len(item_s))
    total_s = own.n_cases * mean_s
    return [
        Line(
            what=f"naive harness for the same cases, scaled from {len(item_s)} random ones",
            figure=f"{total_s:.0f} s ({1e3 * mean_s:.0f} +- {1e3 * error_s:.0f} ms a case)",
        ),
        Line(what="naive / ours", figure=f"{total_s / own.elapsed_s:.1f}", aim="at least 10"),
        *red_lines(timings),
    ]


def naive_sample(catalogue: Catalogue, cases: list[Case], count: int) -> list[Case]:
    """Return random cases that the naive harness can run: those that return an array everywhere."""
    possible = [case for case in cases if _returns_an_array(catalogue, case)]
    return random.Random(0).sample(possible, min(count, len(possible)))  # noqa: S311  # a sample, no secret


def _returns_an_array(catalogue: Catalogue, case: Case) -> bool:
    problem = case.problem
    definition = catalogue.lookup(problem.initializer).definition
    is_refused = expected_error(definition, problem.shape, problem.dtype) is not None
    known = _ledger().matching(case, installed_jax())
    return not is_refused and not any(entry.outcome.startswith("raises") for entry in known)


@functools.cache
def _ledger() -> Ledger:
    return load()


def jax_lines(scratch: Path) -> list[Line]:
    """Measure what JAX's own test of its initializers does, and ours on the same cells."""
    folder = scratch / "jax"
    folder.mkdir()
    program = JAX_TEST.format(names=JAX_NAMES, shapes=JAX_SHAPES, dtypes=DTYPES)
    (folder / "test_jax.py").write_text(program)
    meter = ["-p", "compile_meter", "--meter"]
    shapes = ",".join(map(format_shape, JAX_SHAPES))
    ours = ["--pyargs", "conformance.suite.test_initializers", "--shape", shapes, "--seed", "0"]
    ours += ["--initializer", ",".join(JAX_NAMES), "--dtype", ",".join(DTYPES)]
    ours += ["--backend", "cpu", "--transform", "eager", "-n", "0", "--reports", "reports"]
    timings = {
        "JAX's own test": run_pytest(
            ["test_jax.py", "-p", "no:conformance", *meter, "jax.json"], NO_CACHE, folder
        ),
        "ours on its cells": run_pytest([*ours, *meter, "ours.json"], NO_CACHE, folder),
    }
    item_s = {
        name: list(compile_meter.read(folder / f"{name}.json").item_s.values())
        for name in ("jax", "ours")
    }
    n_cells, n_ours = map(len, item_s.values())
    if n_cells != n_ours:
        raise SystemExit(f"JAX's test has {n_cells} cells and ours {n_ours}: not compared")
    theirs, own = map(sum, item_s.values())
    figure = f"{theirs:.1f} s; all of our checks {own:.1f} s: {own / theirs:.2f} of it"
    what = f"{n_cells} cells of JAX's own test, which looks at shape and dtype"
    return [Line(what=what, figure=figure), *red_lines(timings)]


def start_lines(scratch: Path) -> list[Line]:
    """Measure one case by the command line, its programs kept, and the least that a case needs."""
    case = "lecun_normal-float32-64x32-s0-cpu-eager"
    words = ["-m", "conformance", "run", case, "--reports", str(scratch / "start")]
    run_python(words)  # keeps the programs
    bare, ours = (least_of(3, words) for words in (["-c", BARE], words))
    figure = f"{ours} / {bare}: {ours.wall_s / bare.wall_s:.2f}, {ours.cpu_s / bare.cpu_s:.2f}"
    what = "one case by `conformance run` / `import jax, numpy` and one draw"
    return [Line(what=what, figure=figure, aim="at most 1.5")]


def help_lines() -> list[Line]:
    """Measure what the slowest help costs, in starts of a Python that does nothing."""
    empty = min(run_python(["-c", "pass"]).cpu_s for _ in range(9))
    asked = [["--help"], *([name, "--help"] for name in COMMANDS)]
    took = {
        " ".join(words): min(run_python(["-m", "conformance", *words]).cpu_s for _ in range(5))
        for words in asked
    }
    slowest = max(took, key=took.__getitem__)
    figure = f"{took[slowest] / empty:.1f} (`conformance {slowest}`, {1e3 * took[slowest]:.0f} ms)"
    what = "the slowest help / `python -c pass`, in CPU"
    return [Line(what=what, figure=figure, aim="at most 7")]


def import_lines() -> list[Line]:
    """Return what `import conformance` costs beside a Python that does nothing."""
    bare, ours = (least_of(10, ["-c", code]).cpu_s for code in ("pass", "import conformance"))
    figure = f"{ours / bare:.1f} ({ours:.3f} s / {bare:.3f} s)"
    what = "CPU of `import conformance` over that of `python -c pass`, warm"
    return [Line(what=what, figure=figure, aim="at most 3")]


def page_lines() -> list[Line]:
    """Return what pages of many rows weigh, and how long they take to open beside an empty one."""
    try:
        empty, *pages = page_meter.measured()
    except LookupError as error:
        return [Line(what="opening a page", figure=f"not measured: {error}")]
    return [
        Line(
            what=f"the page of {page.name}: size, and opening it / an empty one",
            figure=f"{page.size_bytes / 1e6:.2f} MB, {page.elapsed_s / empty.elapsed_s:.1f} "
            f"({page.elapsed_s:.2f} s / {empty.elapsed_s:.2f} s)",
            aim="below 2 MB",
        )
        for page in pages
    ]


def least_of(n: int, words: Sequence[str]) -> Timing:
    """Return the fastest of n runs of Python."""
    return min((run_python(words) for _ in range(n)), key=lambda timing: timing.wall_s)


def run_python(words: Sequence[str]) -> Timing:
    """Run Python in a process of its own, and return its times."""
    start, before = time.perf_counter(), _children_cpu_s()
    subprocess.run([sys.executable, *words], capture_output=True, check=True)  # noqa: S603  # ours
    return Timing(wall_s=time.perf_counter() - start, cpu_s=_children_cpu_s() - before)


def scale_lines(scratch: Path, n_seeds: int) -> list[Line]:
    """Measure a range of seeds of 51 initializers and dtypes on two workers, and a tenth on one.

    A worker's memory grows with the programs that it compiles: all of them, in either case.
    """
    few, many = _scaled(scratch / "few", n_seeds // 10, 1), _scaled(scratch / "many", n_seeds, 2)
    before = (few.peaks[0], few.peaks[1], few.peaks[1])
    pairs = zip(many.peaks, before, strict=True)
    aim = "at most 240 s" if n_seeds == SEEDS_OF_A_MILLION else ""
    return [
        Line(
            what=f"{many.n_cases:,} cells of 64x1 on two workers",
            figure=str(many.timing),
            aim=aim,
        ),
        Line(
            what="most memory of the command and of each worker, in MiB, after a tenth in brackets",
            figure=", ".join(f"{most:.0f} ({least:.0f})" for most, least in pairs),
            aim="below 600, at most 5% more",
        ),
        Line(what="records.parquet of them", figure=f"{many.size_bytes / 1e6:.1f} MB"),
    ]


N_TURNS = 3
"""How often one worker and two take turns: a core may be 15% slower for a minute."""


def ray_lines(n_seeds: int) -> list[Line]:
    """Measure a range of seeds on a Ray cluster of two workers, and of one, a core for each."""
    what = "Ray with two workers / with one, in throughput"
    if importlib.util.find_spec("ray") is None:
        return [Line(what=what, figure="not measured: it needs the extra fleet")]
    words = ["--initializer", ",".join(MANY), "--dtype", ",".join(DTYPES), "--shape", "64x1"]
    words += ["--transform", "eager"]
    turns = [(_metered(1, n_seeds, words), _metered(2, n_seeds, words)) for _ in range(N_TURNS)]
    by_ratio = sorted(turns, key=_gain)
    one, two = by_ratio[N_TURNS // 2]
    rates = f"{two.cases_a_second:,.0f} / {one.cases_a_second:,.0f} cases a second"
    driver, worker = (1e6 * each / two.n_cases for each in (two.driver_cpu_s, two.workers_cpu_s))
    least, most = (_gain(by_ratio[place]) for place in (0, -1))
    return [
        Line(
            what=f"{what}, in the middle of {N_TURNS} turns",
            figure=f"{_gain((one, two)):.2f} ({rates}), {least:.2f} to {most:.2f}",
            aim="at least 1.8",
        ),
        Line(
            what="CPU a case of the command / of a worker", figure=f"{driver:.1f} / {worker:.1f} us"
        ),
        Line(what="two workers idle, one idle", figure=f"{two.idle:.0%}, {one.idle:.0%}"),
    ]


def _gain(turn: tuple[ray_meter.Metered, ray_meter.Metered]) -> float:
    """Return the throughput of the second in units of that of the first."""
    one, two = turn
    return two.cases_a_second / one.cases_a_second


def _metered(n_workers: int, n_seeds: int, words: Sequence[str]) -> ray_meter.Metered:
    """Return what a process of its own measured: a program joins one cluster."""
    command = [sys.executable, ray_meter.__file__, str(n_workers), str(n_seeds), *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)  # noqa: S603  # ours
    return ray_meter.Metered(**json.loads(done.stdout.splitlines()[-1]))


SEEDS_OF_A_MILLION = 20_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """What a range of seeds took. peaks: the most MiB of the command, and of its workers sorted."""

    n_cases: int
    timing: Timing
    peaks: tuple[float, ...]
    size_bytes: int


def _scaled(folder: Path, n_seeds: int, n_workers: int) -> Scaled:
    words = ["-m", "conformance", "run", "-n", str(n_workers), "--seed", f"0:{n_seeds}"]
    words += ["--shape", "64x1"]
    words += ["--initializer", ",".join(MANY), "--dtype", ",".join(DTYPES), "--backend", "cpu"]
    words += ["--transform", "eager", "--reports", str(folder)]
    start, before = time.perf_counter(), _children_cpu_s()
    process = subprocess.Popen(  # noqa: S603  # ours
        [sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peaks: dict[int, float] = {}
    while process.poll() is None:
        found = {each: peak_mib(each) for each in family(process.pid)}
        peaks |= {each: peak for each, peak in found.items() if peak is not None}
        time.sleep(0.5)
    wall_s = time.perf_counter() - start
    if process.returncode not in (0, TESTS_FAILED):
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}, not measured")
    own = peaks.pop(process.pid)
    [records] = folder.glob("*/records.parquet")
    return Scaled(
        n_cases=n_seeds * len(MANY) * len(DTYPES),
        timing=Timing(wall_s=wall_s, cpu_s=_children_cpu_s() - before),
        peaks=(own, *sorted(peaks.values())),
        size_bytes=records.stat().st_size,
    )


def _fields(case: Case) -> dict[str, Any]:
    return dataclasses.asdict(case.problem) | {"id": case.id}


# --- The oracle and the law -----------------------------------------------------------------------


def oracle_lines() -> list[Line]:
    """Measure the oracle's float32 normals against JAX's."""
    import jax

    from conformance.core.ids import Problem
    from conformance.core.laws import Normal
    from conformance.oracle import random_bits, seed_key, unit_variate
    from conformance.oracle.rounding import round_once

    law, float32 = Normal(stddev=1.0), np.dtype(np.float32)
    problem = Problem(initializer="normal", dtype="float32", shape=(NORMALS,), seed=0)

    def oracle() -> None:
        words = random_bits(seed_key(problem.seed), 32, problem.shape)
        round_once(unit_variate(words, law, float32), float32)

    draw = jax.jit(lambda key: jax.random.normal(key, problem.shape))
    lines = []
    for name, call, aim in (
        ("oracle", oracle, "at least 5"),
        ("JAX, compiled", lambda: draw(jax.random.key(0)).block_until_ready(), ""),
    ):
        call()
        rate = NORMALS / least_cpu_s(call) / 1e6
        what = f"{name}: threefry float32 normals, millions per CPU second"
        lines.append(Line(what=what, figure=f"{rate:.1f}", aim=aim))
    return lines


def least_cpu_s(call: Callable[[], object], repeats: int = 5) -> float:
    """Return the least CPU time of the call, in all threads of this process."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def law_lines() -> list[Line]:
    """Measure the exact law of a float32 initializer, and of the next that shares its oracle."""
    import jax

    from conformance.cases.sweeps import sweep_case
    from conformance.core.formats import FORMATS
    from conformance.core.paths import BUDGETS
    from conformance.judge.ledger import load as load_ledger
    from conformance.run.sweeps import evaluate
    from conformance.store.budgets import load

    catalogue, budgets, ledger = (
        load_catalogue(),
        load(shipped() / BUDGETS),
        load_ledger(),
    )
    lines = []
    for name, what in (("lecun_normal", "the first of its kind"), ("he_normal", "the next ones")):
        case = sweep_case(catalogue.lookup(name), "float32", "cpu", "eager")
        start = time.perf_counter()
        evaluate(case, catalogue=catalogue, budgets=budgets, ledger=ledger)
        elapsed_s = time.perf_counter() - start
        lines.append(
            Line(
                what=f"exact law of {name} in float32, all 2^23 points, {what}",
                figure=f"{elapsed_s:.2f} s",
                aim="at most 1.5 s",
            )
        )
    initializer = catalogue.lookup("lecun_normal").build()
    start = time.perf_counter()
    initializer(jax.random.key(0), FORMATS["float32"].sweep_shapes[0]).block_until_ready()
    figure = f"{time.perf_counter() - start:.2f} s"
    return [*lines, Line(what="JAX: one draw of lecun_normal of that size, cold", figure=figure)]


SEEDS = range(1000, 1400)
"""Two blocks of them."""


def block_lines() -> list[Line]:
    """Measure one more seed, all checks included, in a block and by itself."""
    from conformance.cases.selection import Selection
    from conformance.run.blocks import block_verdicts
    from conformance.run.options import Options
    from conformance.run.session import Session

    lines = []
    for shape in ("64x32", "64x1"):
        asked = Selection(
            initializers=("lecun_normal", "he_uniform", "normal", "zeros"),
            dtypes=("float32", "bfloat16", "float16"),
            shapes=(shape,),
            backends=("cpu",),
            ranges=(SEEDS,),
        )
        session = Session(Options(asked=asked), "benchmark").prepared()
        single = [case for block in session.blocks for case in list(block.cases())[1:9]]
        for block in session.blocks:
            list(block_verdicts(session, block))  # compiles

        def in_blocks(session: Session = session) -> None:
            for block in session.blocks:
                list(block_verdicts(session, block))

        def one_by_one(session: Session = session, single: list[Case] = single) -> None:
            for case in single:
                session.verdict(case)

        alone = least_cpu_s(one_by_one, 2) / len(single)
        together = least_cpu_s(in_blocks, 2) / session.n_cases
        lines += [
            Line(
                what=f"one more seed at {shape} in a block, CPU a case",
                figure=f"{together * 1e3:.3f} ms",
                aim="at most 0.5 ms" if shape == "64x32" else "",
            ),
            Line(what=f"by itself / in a block, at {shape}", figure=f"{alone / together:.1f}"),
        ]
    return lines


# --- The table ------------------------------------------------------------------------------------


def table(lines: Iterable[Line]) -> str:
    """Return the lines as a Markdown table."""
    cells = [(line.what, line.figure, line.aim) for line in lines]
    return "\n".join(markdown_table(("what", "figure", "aim"), cells))


def headline(load_before: float) -> str:
    """Return what the figures depend on, in one line."""
    versions, host = package_versions(), host_facts()
    names = ("python", "jax", "jaxlib", "numpy")
    return (
        f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, {host.get('cpu', host['machine'])}, "
        f"{len(os.sched_getaffinity(0))} cores, load average {load_before:.1f} before and "
        f"{os.getloadavg()[0]:.1f} after; "
        + ", ".join(f"{name} {versions[name]}" for name in names)
    )


def parsed(arguments: list[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tier", default="standard", choices=[tier.value for tier in Tier])
    parser.add_argument("--workers", default="auto", help="as for pytest -n (default: auto)")
    parser.add_argument("--naive-cases", type=int, default=100, help="size of the naive sample")
    parser.add_argument(
        "--seeds", type=int, default=SEEDS_OF_A_MILLION, help="seeds of each of 51 programs"
    )
    names = [*parts(argparse.Namespace(), Path())]
    parser.add_argument("--only", action="append", choices=names, help="parts (default: all)")
    parser.add_argument("pytest_arguments", nargs="*", help="after --: given to every run of ours")
    return parser.parse_args(arguments)


def parts(options: argparse.Namespace, scratch: Path) -> dict[str, Callable[[], list[Line]]]:
    """Return what is measured, in its order, by the names that --only takes."""
    return {
        "import": import_lines,
        "help": help_lines,
        "oracle": oracle_lines,
        "law": law_lines,
        "block": block_lines,
        "start": lambda: start_lines(scratch),
        "scale": lambda: scale_lines(scratch, options.seeds),
        "ray": lambda: ray_lines(options.seeds),
        "jax": lambda: jax_lines(scratch),
        "tier": lambda: tier_lines(options, scratch),
        "page": page_lines,
    }


def main(arguments: list[str]) -> None:
    """Measure, then print the table."""
    options, load_before = parsed(arguments), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        known = parts(options, Path(name))
        found = {part: known[part]() for part in options.only or known}
    lines = [*found.pop("tier", []), *(line for each in found.values() for line in each)]
    print(f"{headline(load_before)}\n\n{table(lines)}")


if __name__ == "__main__":
    main(sys.argv[1:])
