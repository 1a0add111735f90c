"""The pytest front end, run for real: in this process where that is enough, else in another."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

# A run within this process forgets what it was the first to import, and matplotlib cannot be
# imported twice.
import matplotlib.figure  # noqa: F401
import pytest

from conformance.cases import catalogue
from conformance.cli import main
from conformance.core.ids import Case, parse_case
from conformance.pytest_plugin import is_addressed, moved
from conformance.report.frames import read_run
from conformance.report.lots import LOTS_FILE
from conformance.report.run import RECORDS, ROWS
from conformance.run.resuming import is_noted
from conformance.run.scheduling import compile_group, cost
from tests import ROOT, small_golden
from tests.conftest import WITHOUT_HYPOTHESIS

pytest_plugins = ["pytester"]

NAMES = ("ones", "uniform", "zeros")
QUICK = ("--tier", "quick", "--shape", "64")
CASES = tuple(f"{name}-float32-64-s0-cpu-eager" for name in NAMES)


GREEDY = """
import jax
from conformance import register

def exhaust(*_):
    raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 256 bytes.")

register("greedy", lambda: exhaust)
"""
"""A conftest with an initializer for which no device has the memory."""


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a golden set, after a run has imported all that it and its rows need.

    A pytest run in this process forgets what it imports, and extension modules load only once, as
    pandas registers its types with Arrow only once.
    """
    folder = tmp_path_factory.mktemp("set")
    golden = small_golden.write(folder / "golden", *CASES)
    words = ["--golden", str(golden), "--reports", str(folder / "reports"), "--in-process"]
    assert main(["run", *CASES, *words]) == 0
    read_run(*(folder / "reports").iterdir())
    return golden


@pytest.fixture
def conform(pytester: pytest.Pytester, golden: Path, monkeypatch: pytest.MonkeyPatch) -> Conform:
    monkeypatch.setattr(catalogue, "_REGISTERED", [])
    return Conform(pytester, golden)


class Conform:
    """Runs `pytest --pyargs conformance.suite.test_initializers` from an empty folder."""

    def __init__(self, pytester: pytest.Pytester, golden: Path) -> None:
        self._pytester = pytester
        self._golden = golden

    def __call__(
        self, *words: str, initializers: str = ",".join(NAMES), dtype: str = "float32"
    ) -> pytest.RunResult:
        """Run in this process, without a worker."""
        here = () if "no:xdist" in words else ("-n0",)
        return self._pytester.runpytest_inprocess(*self._words(initializers, dtype), *here, *words)

    def apart(self, *words: str, initializers: str = ",".join(NAMES)) -> pytest.RunResult:
        """Run in a process of its own, as workers and dying initializers need, in our own order."""
        plain = ("-p", "no:randomly", *WITHOUT_HYPOTHESIS)
        return self._pytester.runpytest_subprocess(
            *self._words(initializers), *plain, *words, timeout=600
        )

    def folder(self) -> Path:
        """Return the reports of the only run."""
        (folder,) = (self._pytester.path / "reports").iterdir()
        return folder

    def reports(self) -> set[str]:
        """Return the names of the files of the only run."""
        return {path.name for path in self.folder().iterdir()}

    def _words(self, initializers: str, dtype: str = "float32") -> tuple[str, ...]:
        chosen = ("--initializer", initializers, "--dtype", dtype)
        selection = (*chosen, *QUICK, "--golden", str(self._golden))
        return ("--pyargs", "conformance.suite.test_initializers", *selection)


# --- In the runs of others -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["conformance"],
        ["conformance.suite.test_initializers"],
        ["conformance/suite/test_initializers.py::test_case[zeros-float32-64-s0-cpu-eager]"],
        ["tests", "."],
    ],
)
def test_the_package_is_addressed_by_name_path_or_the_folder_around_it(
    arguments: list[str], pytestconfig: pytest.Config
) -> None:
    assert is_addressed(arguments, pytestconfig.rootpath)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("conformance.test_initializers", "conformance.suite.test_initializers"),
        ("conformance.test_law", "conformance.suite.test_law"),
        ("conformance/test_law.py::test_x[a-b]", "conformance/suite/test_law.py::test_x[a-b]"),
        ("/a/conformance/test_law.py", "/a/conformance/suite/test_law.py"),
        ("conformance", "conformance"),
        ("conformance.suite.test_law", "conformance.suite.test_law"),
        ("tests/test_law.py", "tests/test_law.py"),
        ("other.test_law", "other.test_law"),
        ("--golden=conformance/golden", "--golden=conformance/golden"),
    ],
)
def test_an_old_name_of_a_test_is_its_new_one(argument: str, expected: str) -> None:
    assert moved(argument) == expected


def test_the_rerun_line_of_an_old_report_runs_its_case_once(
    golden: Path, pytester: pytest.Pytester
) -> None:
    outcome = pytester.runpytest_inprocess(
        *("--pyargs", "conformance.test_initializers", "--initializer", "zeros", *QUICK),
        *("--dtype", "float32"),
        *("-k", "zeros-float32-64-s0-cpu-eager", "--golden", str(golden)),
    )

    outcome.assert_outcomes(passed=1)


def test_the_tests_of_others_do_not_address_the_package(pytestconfig: pytest.Config) -> None:
    assert not is_addressed(["tests", "tests/test_plugin.py::test_case"], pytestconfig.rootpath)


def test_options_of_others_may_have_the_same_names(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("def pytest_addoption(parser): parser.addoption('--backend')")
    pytester.makepyfile("def test_it(pytestconfig): assert pytestconfig.getoption('--backend')")

    outcome = pytester.runpytest_inprocess("--backend", "numpy")

    outcome.assert_outcomes(passed=1)


def test_a_run_of_others_leaves_no_trace(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): pass")

    outcome = pytester.runpytest_inprocess()

    outcome.stdout.no_fnmatch_line("*conformance:*")
    assert not (pytester.path / "reports").exists()


@pytest.mark.usefixtures("cold_python")
def test_the_plugin_imports_nothing_slow() -> None:
    program = (
        "import sys, conformance.pytest_plugin\n"
        "heavy = {'jax', 'numpy', 'pandas', 'flax', 'xdist'}\n"
        "ours = {name for name in sys.modules if name.startswith('conformance.')}\n"
        "print(sorted(heavy & set(sys.modules) | ours - {'conformance.pytest_plugin'}))"
    )
    command = [sys.executable, "-c", program]

    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603  # ours

    assert printed == "[]\n"


@pytest.mark.usefixtures("cold_python")
@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_a_jax_that_cannot_be_imported_is_one_line(workers: list[str], tmp_path: Path) -> None:
    (tmp_path / "jax.py").write_text("raise RuntimeError('jaxlib is newer than jax')\n")
    words = ["-m", "pytest", "-p", "no:cacheprovider", "--pyargs", "conformance", *workers]
    done = subprocess.run(  # noqa: S603  # this interpreter
        [sys.executable, *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 3, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("Exit: conformance: jax is installed and cannot be imported (Runtime")
    assert list(tmp_path.glob("reports*")) == []


CLASHING = """
def pytest_addoption(parser):
    parser.addoption("--{name}")
    parser.addoption("--{name}-of-mine")
"""


@pytest.mark.parametrize("name", ["backend", "seed"])
def test_a_conftest_that_has_an_option_of_ours_is_told_in_one_line(
    name: str, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest(CLASHING.format(name=name))

    outcome = pytester.runpytest_inprocess("--pyargs", "conformance", "--tier", "quick")

    assert outcome.ret == 4
    (line,) = outcome.stderr.str().split("\n\n")[0].splitlines()
    assert line.startswith(f"ERROR: conformance has an option --{name}, and so has a conftest.py")
    assert line.endswith("by --noconftest or `-p no:NAME`")


def test_a_plug_in_that_has_an_option_of_ours_is_told_in_one_line(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(seeding=CLASHING.format(name="seed"))
    pytester.syspathinsert()

    outcome = pytester.runpytest_inprocess("-p", "seeding", "--pyargs", "conformance")

    assert outcome.ret == 4
    outcome.stderr.fnmatch_lines(["ERROR: conformance has an option --seed, *"])


def test_options_that_clash_with_none_of_ours_are_not_our_business(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeconftest(CLASHING.format(name="mine"))
    pytester.syspathinsert()
    pytester.makepyfile(again=CLASHING.format(name="mine"))

    outcome = pytester.runpytest_inprocess("-p", "again", "--pyargs", "conformance")

    outcome.stderr.fnmatch_lines(["ValueError: *--mine*"])
    assert "conformance has an option" not in outcome.stderr.str()


def test_options_of_ours_are_free_where_others_run(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CLASHING.format(name="backend"))
    pytester.makepyfile("def test_passes(request): assert request.config.getoption('--backend')")

    outcome = pytester.runpytest_inprocess("--backend", "cuda")

    outcome.assert_outcomes(passed=1)


# --- A run ---------------------------------------------------------------------------------------


def test_each_case_is_an_item_and_the_verdict_is_told(conform: Conform) -> None:
    outcome = conform()

    outcome.assert_outcomes(passed=3)
    outcome.stdout.fnmatch_lines(
        [
            "conformance: jax *, numpy *",
            "conformance: backends auto, tier quick, goldens *",
            "*= conformance =*",
            "PASSED: 3 cases, 3 identical, in *",
            "reports: *",
        ]
    )
    assert {ROWS, RECORDS, "summary.md", "drift.csv"} <= conform.reports()


def test_the_name_filter_of_pytest_works(conform: Conform) -> None:
    outcome = conform("-k", "zeros and float32")

    outcome.assert_outcomes(passed=1, deselected=2)
    outcome.stdout.fnmatch_lines(["PASSED: 1 case, 1 identical, in *"])


REPEATED = """
import pytest

@pytest.fixture
def step(request):
    return request.param

def pytest_generate_tests(metafunc):
    metafunc.fixturenames.append("step")
    metafunc.parametrize("step", [1, 2], indirect=True, ids=["1-2", "2-2"])
"""
"""What pytest-repeat does under `--count 2`."""


@pytest.mark.slow
def test_cases_that_another_plug_in_repeats_in_workers_are_reported(
    conform: Conform, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(repeating=REPEATED)

    outcome = conform.apart("-n2", "-p", "repeating", initializers="zeros")

    outcome.stdout.fnmatch_lines(["PASSED: 1 case in 2 runs, 2 identical, in *"])
    assert {ROWS, RECORDS} <= conform.reports()


def test_without_xdist_each_case_runs_once(conform: Conform) -> None:
    outcome = conform("-p", "no:xdist")

    outcome.assert_outcomes(passed=3)
    outcome.stdout.fnmatch_lines(["PASSED: 3 cases, 3 identical, in *"])


def test_a_selection_of_cases_leaves_out_what_it_cannot_narrow(
    pytester: pytest.Pytester, golden: Path
) -> None:
    words = ("--pyargs", "conformance", "--tier", "quick", "--golden", str(golden))

    whole = pytester.runpytest_inprocess(*words, "--collect-only", "-q")
    narrowed = pytester.runpytest_inprocess(*words, "--initializer", "zeros", "--collect-only")

    line = "conformance: cases are selected, so the tests of layers, lowering, the guide and *"
    narrowed.stdout.fnmatch_lines([line])
    narrowed.stdout.fnmatch_lines(["*test_case?zeros-float32-64-s0-cpu-eager?*"])
    narrowed.stdout.no_fnmatch_line("*flax.linen.Dense*")
    narrowed.stdout.fnmatch_lines(["*/* tests collected (* deselected) in *"])
    whole.stdout.no_fnmatch_line(line)
    whole.stdout.fnmatch_lines(["*flax.linen.Dense*"])


def test_collecting_only_lists_the_cases_and_writes_nothing(
    conform: Conform, pytester: pytest.Pytester
) -> None:
    outcome = conform("--collect-only", "-q")

    outcome.stdout.fnmatch_lines_random([f"*::test_case?{case}?" for case in CASES])
    assert outcome.ret == 0
    assert not (pytester.path / "reports").exists()


def test_a_range_of_seeds_is_an_item_a_block_and_keeps_no_row(
    conform: Conform, pytester: pytest.Pytester
) -> None:
    """Rows go with the report of the block, and stay neither with the item nor with the report."""
    pytester.makeconftest(
        """
        def pytest_terminal_summary(terminalreporter, config):
            reports = terminalreporter.stats["passed"]
            kept = [report.user_properties for report in reports if report.when == "call"]
            kept += [item.user_properties for item in terminalreporter._session.items]
            print("kept:", kept)
        """
    )
    outcome = conform("--seed", "10:14,20:23", initializers="uniform")

    outcome.assert_outcomes(passed=2)
    assert "kept: [[], [], [], []]\n" in outcome.stdout.str()
    outcome.stdout.fnmatch_lines(["PASSED: 7 cases, *"])
    seeds = read_run(conform.folder())["seed"]
    assert sorted(seeds) == [10, 11, 12, 13, 20, 21, 22]


def test_a_worker_keeps_no_row_that_it_has_sent(
    conform: Conform, pytester: pytest.Pytester
) -> None:
    """Reports stay to the end, and held 20 KB of each block: 50 MB of a million cells."""
    pytester.makepyfile(
        keeper="""
        import pathlib

        REPORTS = []

        def pytest_runtest_logreport(report):
            REPORTS.append(report)

        def pytest_sessionfinish(session):
            if hasattr(session.config, "workerinput"):
                kept = [report.user_properties for report in REPORTS]
                pathlib.Path("kept.txt").write_text(str(kept))
        """
    )
    conform.apart("-p", "keeper", "--seed", "10:14", "-n", "1", initializers="uniform")

    assert (pytester.path / "kept.txt").read_text() == "[[], [], []]"
    assert len(read_run(conform.folder())) == 4


def test_a_worker_makes_the_item_of_a_block_when_it_is_asked_for(
    conform: Conform, pytester: pytest.Pytester
) -> None:
    """It holds one like which others are made, the last two, and those that somebody changed."""
    pytester.makepyfile(
        keeper="""
        import gc, json, pathlib
        import pytest

        FOUND = {}

        @pytest.hookimpl(tryfirst=True)
        def pytest_collection_modifyitems(items):
            items[1].add_marker(pytest.mark.usefixtures())
            FOUND["collected"] = [item.nodeid for item in items]

        def pytest_sessionfinish(session):
            if hasattr(session.config, "workerinput"):
                alive = (each for each in gc.get_objects() if type(each) is pytest.Function)
                FOUND["alive"] = sum(1 for _ in alive)
                FOUND["items"] = [item.nodeid for item in session.items]
                FOUND["marked"] = [len(item.own_markers) for item in session.items]
                FOUND["last"] = session.items[-1].nodeid
                FOUND["some"] = [item.nodeid for item in session.items[2:4]]
                with pytest.raises(IndexError):
                    session.items[6]
                pathlib.Path("found.json").write_text(json.dumps(FOUND))
        """
    )
    conform.apart("-p", "keeper", "--seed", "1000:2200", "-n", "1", initializers="uniform")

    found = json.loads((pytester.path / "found.json").read_text())
    assert len(found["collected"]) == 6
    assert found["items"] == found["collected"]
    assert (found["last"], found["some"]) == (found["items"][-1], found["items"][2:4])
    assert found["marked"] == [0, 1, 0, 0, 0, 0]
    assert found["alive"] == 4
    assert len(read_run(conform.folder())) == 1200


CHANGES = {
    "an attribute": "item.mine = 7",
    "another function": "item.obj = functools.partial(item.obj)",
    "fixtures of its own": "item.fixturenames = [*item.fixturenames, 'tmp_path']",
    "a keyword": "item.keywords['mine'] = 7",
}


def test_a_worker_keeps_each_item_that_somebody_changed(
    conform: Conform, pytester: pytest.Pytester
) -> None:
    """Each in another way, and among them one that nobody did."""
    pytester.makepyfile(
        keeper=f"""
        import functools, pathlib

        CHANGED = {{}}

        def pytest_collection_modifyitems(items):
            CHANGED["nothing"] = items[1]
            for how, item in zip({list(CHANGES)}, items[2:-2], strict=True):
                CHANGED[how] = item
                exec({CHANGES}[how])

        def pytest_runtest_setup(item):
            for how, each in CHANGED.items():
                if each is item:
                    pathlib.Path(how).touch()
        """
    )
    conform.apart("-p", "keeper", "--seed", "1000:2600", "-n", "1", initializers="uniform")

    kept = {how for how in ("nothing", *CHANGES) if (pytester.path / how).exists()}
    assert kept == {*CHANGES}
    assert len(read_run(conform.folder())) == 1600


OF_NO_TIER = "100:550"
"""Seeds whose goldens no tier holds, so that none is missing."""


def test_a_range_of_seeds_that_was_interrupted_goes_on_where_it_stopped(
    conform: Conform, pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    pytester.makeconftest(
        """
        def pytest_runtest_logreport(report):
            if report.when == "teardown":
                raise KeyboardInterrupt
        """
    )
    outcome = conform.apart("--seed", OF_NO_TIER, "-n", "1", initializers="uniform")
    folder = conform.folder()
    command = f"conformance run --resume reports/{folder.name}"
    outcome.stdout.fnmatch_lines([f"`{command}` goes on with its cases"])
    (kept,) = (folder / LOTS_FILE).read_text().splitlines()

    code = main(["run", "--resume", str(folder)])

    assert code == 0
    assert "PASSED: 450 cases, 450 no golden" in capsys.readouterr().out
    first, *others = (folder / LOTS_FILE).read_text().splitlines()
    assert (first, len(others)) == (kept, 2)
    assert sorted(read_run(folder)["seed"]) == list(range(100, 550))


def test_a_run_that_the_command_line_cannot_repeat_is_not_said_to_go_on(conform: Conform) -> None:
    outcome = conform("--seed", "100:104", "-k", "uniform", initializers="uniform,zeros")

    outcome.assert_outcomes(passed=1)
    assert not is_noted(conform.folder())


def test_junit_is_written_on_request(conform: Conform) -> None:
    conform("--junit-report")

    assert "junit.xml" in conform.reports()


def test_a_failure_is_the_message_alone(conform: Conform) -> None:
    outcome = conform(initializers="zeros,zeros_init_nnx")

    outcome.assert_outcomes(passed=1, failed=1)
    outcome.stdout.fnmatch_lines(
        [
            "no golden is stored for zeros_init_nnx-float32-64-s0",
            "  rerun: conformance run zeros_init_nnx-float32-64-s0-cpu-eager --golden *",
            "FAILED: 1 of 2 cases, in *",
        ]
    )
    outcome.stdout.no_fnmatch_line("*Traceback*")
    assert outcome.ret == 1


def test_what_explains_a_failure_is_said_before_it(
    conform: Conform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")

    outcome = conform(initializers="zeros,zeros_init_nnx")

    note = "note: XLA_FLAGS=--xla_cpu_enable_fast_math=true: compiler flags may change rounding"
    outcome.stdout.fnmatch_lines([f"conformance: {note}", note, "FAILED: *"])


# --- Wrong calls and broken files ----------------------------------------------------------------


def test_an_unknown_name_is_a_wrong_call_with_a_hint(conform: Conform) -> None:
    outcome = conform(initializers="nromal")

    outcome.stderr.fnmatch_lines(["ERROR: initializer 'nromal' is unknown: did you mean normal*"])
    assert outcome.ret == 4


def test_a_selection_that_holds_nothing_is_not_green(conform: Conform) -> None:
    outcome = conform("--tier", "standard", initializers="normal_large")

    outcome.stdout.fnmatch_lines(["*the selection matches no case: --tier standard *"])
    assert outcome.ret == 5


def test_filtering_out_every_case_is_not_green(conform: Conform) -> None:
    assert conform("-k", "no_such_case").ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_an_absent_backend_fails_the_run_by_name(conform: Conform) -> None:
    outcome = conform("--backend", "cpu,quantum")

    outcome.stdout.fnmatch_lines(
        [
            "*= conformance =*",
            "backend 'quantum' was asked for and has no device here (present: cpu)*",
            "INCOMPLETE: 6 of 6 cases left no result; *",
        ]
    )
    assert outcome.ret == 3


def test_a_missing_golden_set_ends_the_run(conform: Conform, tmp_path: Path) -> None:
    outcome = conform("--golden", str(tmp_path))

    outcome.stdout.fnmatch_lines([f"*{tmp_path} holds no manifest.json: *"])
    assert outcome.ret == 3


def test_a_ledger_with_a_typing_error_is_a_wrong_call(conform: Conform, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.toml"
    ledger.write_text('[[limitation]]\nid = "x"\nresaon = "y"\n')

    outcome = conform("--ledger", str(ledger))

    outcome.stderr.fnmatch_lines(["ERROR: *field 'resaon' is unknown: did you mean reason*"])
    assert outcome.ret == 4


def test_a_damaged_shard_fails_its_cases_only(conform: Conform, tmp_path: Path) -> None:
    golden = small_golden.write(tmp_path / "golden", *CASES)
    shard = golden / "uniform" / "uniform.safetensors"
    shard.write_bytes(b"!" + shard.read_bytes()[1:])

    outcome = conform("--golden", str(golden))

    outcome.assert_outcomes(passed=2, failed=1)
    outcome.stdout.fnmatch_lines(
        ["*= conformance =*", f"{shard} is damaged*", "INCOMPLETE: 1 of 3 cases left no result; *"]
    )
    assert outcome.ret == 3


@pytest.mark.parametrize(
    ("module", "file"),
    [
        ("test_law", "budgets.json"),
        ("test_modules", "modules.json"),
        ("test_lowering", "lowering.json"),
    ],
)
def test_a_damaged_file_is_told_without_source_lines_and_is_no_verdict(
    module: str, file: str, pytester: pytest.Pytester, tmp_path: Path
) -> None:
    golden = small_golden.write(tmp_path / "golden", *CASES)
    (golden / file).write_text("{")
    selection = ("-k", "normal-bfloat16 or normal or Dense-float32", "--golden", str(golden))

    words = ("--pyargs", f"conformance.{module}", *selection, "-x", "-n0")
    outcome = pytester.runpytest_inprocess(*words)

    outcome.stdout.fnmatch_lines([f"{golden / file} cannot be read *"])
    outcome.stdout.no_fnmatch_line("*def *")
    assert outcome.ret == 3


def test_reports_that_cannot_be_written_end_the_run(conform: Conform, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    outcome = conform("--reports", str(tmp_path / "file"))

    outcome.stdout.fnmatch_lines(["*choose another with --reports DIR*"])
    assert outcome.ret == 3


def test_a_failed_test_of_no_case_is_in_the_reports(
    conform: Conform, pytester: pytest.Pytester
) -> None:
    """As a law's is: the page said PASSED where the exit code said 1."""
    other = pytester.makepyfile("def test_other(): assert False, 'the law is wrong'")

    outcome = conform(str(other))

    assert outcome.ret == 1
    outcome.stdout.fnmatch_lines(
        ["FAILED: 0 of 3 cases, and 1 test besides, in *", "failed besides cases:", "*::test_other"]
    )
    page = (conform.folder() / "index.html").read_text()
    assert "FAILED: 0 of 3 cases, and 1 test besides" in page
    assert "the law is wrong" in page


# --- Initializers of users -----------------------------------------------------------------------

DOUBLED = """
import jax
from conformance import Normal

def build():
    return lambda key, shape, dtype: 2 * jax.random.normal(key, shape, dtype)
"""


def test_an_initializer_of_a_conftest_gets_every_check(
    conform: Conform, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest(
        f"from conformance import register\n{DOUBLED}\n"
        "register('doubled', build, definition=Normal(stddev=1.0))"
    )

    outcome = conform(initializers="doubled", dtype="bfloat16")  # whose law is swept at once

    outcome.stdout.fnmatch_lines(
        ["* differ from the definition.", "no golden is stored for doubled-*", "FAILED: 1 of 1 *"]
    )


def test_an_initializer_of_an_entry_point_gets_every_check(
    conform: Conform, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(
        doubling=f"{DOUBLED}\n"
        "def add(catalogue): catalogue.register('doubled', build, definition=Normal(stddev=1.0))"
    )
    installed = pytester.mkdir("doubling-1.dist-info")
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: doubling\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[conformance.initializers]\nx = doubling:add\n")
    pytester.syspathinsert()

    outcome = conform(initializers="doubled", dtype="bfloat16")  # whose law is swept at once

    outcome.stdout.fnmatch_lines(["* differ from the definition.", "FAILED: 1 of 1 *"])


def test_a_registration_that_cannot_be_is_a_wrong_call(
    conform: Conform, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest("from conformance import register; register('zeros', dict)")

    outcome = conform()

    outcome.stderr.fnmatch_lines(
        ["conftest.py:1:*", "E *CatalogueError: an initializer 'zeros' exists already: choose *"]
    )
    assert outcome.ret == 4


# --- Workers -------------------------------------------------------------------------------------


def test_rows_survive_a_worker_that_dies(conform: Conform, pytester: pytest.Pytester) -> None:
    """The case that kills its process is lost and not run again; the others are all there."""
    pytester.makeconftest(
        "import os\nfrom conformance import register\n"
        "register('deadly', lambda: lambda key, shape, dtype: os._exit(9))"
    )

    outcome = conform.apart("-n", "2", initializers="deadly,ones,uniform,zeros")

    outcome.stdout.fnmatch_lines(
        [
            "no verdict on *deadly-float32-64-s0-cpu-eager]: its process ended with exit status 9",
            "INCOMPLETE: 1 of 4 cases left no result; none of the other 3 failed, in *",
            "  deadly-float32-64-s0-cpu-eager",
        ]
    )
    outcome.assert_outcomes(passed=3, failed=1)
    assert outcome.ret == 3
    assert RECORDS in conform.reports()
    summary = (conform.folder() / "summary.md").read_text()
    assert re.search(r"\| deadly-\S+ \| its process ended with exit status 9", summary)


def test_a_worker_that_collected_other_tests_than_the_lost_one_is_refused_by_name(
    conform: Conform, pytester: pytest.Pytester
) -> None:
    """It would be sent the numbers of tests that mean others there."""
    pytester.makeconftest(
        "import os, pathlib\nfrom conformance import register\n"
        "lost = pathlib.Path(__file__).with_name('lost')\n"
        "def end(*_): lost.touch(); os._exit(9)\n"
        "register('deadly', lambda: end)\n"
        "def pytest_collection_modifyitems(items): items[:] = items[lost.exists() * 2 :]"
    )

    outcome = conform.apart("-n", "1", initializers="deadly,ones,uniform,zeros")

    why = "worker gw1 collected other tests: it found 2 where another found 4; the first that it"
    outcome.stdout.fnmatch_lines(
        ["INCOMPLETE: 4 of 4 cases left no result*", f"*{why} lacks: *deadly-*Is a device gone*"]
    )
    assert outcome.ret == 3


def test_workers_that_are_lost_before_their_first_test_end_the_run(
    conform: Conform, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest(
        "import os\ndef pytest_sessionstart(session):\n"
        "    if hasattr(session.config, 'workerinput'): os._exit(0)"
    )

    outcome = conform.apart()

    why = "workers are lost before their first test: its process ended with exit status 0"
    outcome.stdout.fnmatch_lines([f"*{why}*"])
    assert outcome.ret == 3


def test_a_case_without_memory_is_recorded_and_the_others_go_on(
    conform: Conform, pytester: pytest.Pytester
) -> None:
    pytester.makeconftest(GREEDY)

    outcome = conform(initializers="greedy,ones,uniform,zeros")

    outcome.stdout.fnmatch_lines(
        [
            "*= conformance =*",
            "the machine failed greedy-float32-64-s0-cpu-eager, so nothing is known about *",
            "INCOMPLETE: 1 of 4 cases left no result; none of the other 3 failed, in *",
            "  greedy-float32-64-s0-cpu-eager",
        ]
    )
    outcome.assert_outcomes(passed=3, failed=1)
    assert outcome.ret == 3
    rows = (conform.folder() / ROWS).read_text().splitlines()
    assert sorted(json.loads(row)["failed_checks"] for row in rows) == ["", "", "", "machine"]


def test_an_initializer_of_a_conftest_is_rerun_by_pytest(
    conform: Conform, pytester: pytest.Pytester
) -> None:
    """The command line does not read conftest files; the plugins that registered come along."""
    pytester.makepyfile(mine="")
    pytester.makeconftest(GREEDY)
    pytester.syspathinsert()

    outcome = conform("-p", "mine", initializers="greedy")

    rerun = (
        "pytest -p mine --pyargs conformance.suite.test_initializers --initializer greedy "
        "--tier quick"
    )
    outcome.stdout.fnmatch_lines([f"  rerun: {rerun} -k greedy-float32-64-s0-cpu-eager --golden *"])


# --- Scheduling ----------------------------------------------------------------------------------


def cases_by_test(*ids: str) -> dict[str, Case]:
    """Return cases by the names of their tests."""
    return {f"conformance/suite/test_initializers.py::test_case[{i}]": parse_case(i) for i in ids}


def test_cases_of_one_shape_and_dtype_are_one_group() -> None:
    tests = cases_by_test(*(f"{name}-float32-64x32-s0-cpu-eager" for name in NAMES))

    groups = {compile_group(test, tests) for test in tests}

    assert groups == {"cpu-eager-float32-threefry2x32-64x32"}


def test_other_tests_are_groups_of_their_own() -> None:
    others = ["a.py::test_case[b]", "a.py::test_case[c]", "a.py::test_d"]

    assert [compile_group(other, {}) for other in others] == others


def test_arrays_of_many_dimensions_and_many_elements_come_first() -> None:
    shapes = ["64", "64x32", "1024x1024", "3x3x4x8", "2x3x3x4x4"]

    groups = [cases_by_test(f"normal-float32-{shape}-s0-cpu-eager") for shape in shapes]

    costs = [cost(list(tests), tests) for tests in groups]

    assert costs == sorted(costs)


def test_jitted_cases_share_no_program() -> None:
    eager, jitted = (
        cases_by_test(*(f"{name}-float32-64-s0-cpu-{transform}" for name in NAMES))
        for transform in ("eager", "jit")
    )

    assert cost(list(jitted), jitted) > 2 * cost(list(eager), eager)
