"""Judge initializers and layers as several correct CPUs compute them, as a Markdown table.

    tox run -e cpus                                       all runs of the plan
    tox run -e cpus -- --only 'haswell-*' --only isa-avx  some of them, by name or pattern
    tox run -e cpus -- --minutes 10                       as many as fit, the last one cut short
    tox run -e cpus -- --libc PYTHON                      and those under another C library

Three facts of a machine change right numbers: the instruction sets that XLA compiles for, the
kernel of OpenBLAS and its threads, and the C library that constants are folded with. A run has one
of them changed, in processes of its own, and judges what depends on it; then a few initializers
that are wrong on purpose, each of which must fail there too. What follows -- is given to pytest.

A run that this CPU has no instructions for is listed as not run, and so are those without --libc.
Exits with 1 if a run failed; else with 3 if one crashed, had no time or was not what it says it is,
or if none ran; else with 0.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import fnmatch
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from conformance.core.errors import ExitCode, SelectionError, unknown
from conformance.observe.environment import host_facts
from conformance.report.aligned import markdown_line
from conformance.report.run import CLASSES, NO_GOLDEN, ROWS

ROOT = Path(__file__).parent.parent


# --- The plan ------------------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One machine of some user, as far as this one can be made to compute like it.

    asked: what pytest is asked for. faults: names of planted ones that must fail there.
    variables: of the environment. needs: instruction sets, in the words of `host_facts`.
    kernel: what LAPACK must call itself there; "" where no matrix is computed.
    is_of_libc: whether the interpreter is that of --libc.
    """

    name: str
    asked: tuple[str, ...]
    faults: tuple[str, ...] = ()
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    needs: tuple[str, ...] = ()
    kernel: str = ""
    is_of_libc: bool = False

    @property
    def is_of_suite(self) -> bool:
        """Whether pytest is asked for tests of the package, which write reports."""
        return self.asked[0].startswith("conformance")


CASES, LAYERS = "conformance/suite/test_initializers.py", "conformance/suite"

ELEMENTWISE = (CASES, "-k", "not orthogonal")
MATRICES = (LAYERS, "-k", "(test_case and orthogonal or test_modules) and float32")
JITTED = (CASES, "--tier", "full", "--transform", "jit")
FOLDED = ("tests/observe/test_folding.py", "tests/oracle/test_oracle_rounding.py")

OF_DRAWS = (
    "variance_doubled",
    "one_nan",
    "float16_fans_swapped",
    "uniform_off_by_1e_4_within_its_bounds",
    "one_unsampled_element_shifted",
)
OF_MATRICES = (
    "orthogonal_with_two_columns_turned",
    "tall_orthogonal_with_its_last_column_out_of_span",
    "orthogonal_by_singular_values",
    "delta_orthogonal_with_columns_swapped",
    "tall_orthogonal_rounded_to_bfloat16",
)

ISAS = {"AVX": ("avx",), "AVX2": ("avx2", "fma"), "AVX512": ("avx512f",)}

KERNELS = {
    "Prescott": ("Katmai", ()),
    "Sandybridge": ("Sandybridge", ("avx",)),
    "Haswell": ("Haswell", ("avx2", "fma")),
    "Zen": ("Haswell", ("avx2", "fma")),
    "SkylakeX": ("SkylakeX", ("avx512f",)),
}
"""OPENBLAS_CORETYPE -> (the kernel that answers in SciPy's build, what it needs)."""

PLAN = (
    *(
        Run(
            name=f"isa-{isa.lower()}",
            asked=ELEMENTWISE,
            faults=OF_DRAWS,
            variables={"XLA_FLAGS": f"--xla_cpu_max_isa={isa}"},
            needs=needs,
        )
        for isa, needs in ISAS.items()
    ),
    *(
        Run(
            name=f"{core_type.lower()}-{n_threads}",
            asked=MATRICES,
            faults=OF_MATRICES,
            variables={"OPENBLAS_CORETYPE": core_type, "OPENBLAS_NUM_THREADS": str(n_threads)},
            needs=needs,
            kernel=kernel,
        )
        for core_type, (kernel, needs) in KERNELS.items()
        for n_threads in (1, 2)
    ),
    Run(name="libc-jit", asked=JITTED, faults=OF_DRAWS, is_of_libc=True),
    Run(name="libc-tests", asked=FOLDED, is_of_libc=True),
)


# --- What came of a run --------------------------------------------------------------------------
@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What came of one run.

    code: None where it cannot run here, which is nobody's fault; `note` says why.
    note: what else there is to say. n_died: planted faults that failed.
    """

    name: str
    code: ExitCode | None
    note: str = ""
    classes: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    n_tests: int = 0
    n_died: int = 0
    n_planted: int = 0
    elapsed_s: float = 0.0

    def cells(self) -> list[str]:
        """Return the cells of the table."""
        words = {None: "not run", ExitCode.OK: "passed", ExitCode.FAILED: "failed"}
        verdict = words.get(self.code, "incomplete") + (f": {self.note}" if self.note else "")
        if not self.elapsed_s:
            return [self.name, verdict, *[""] * (len(HEAD) - 2)]
        classes = ", ".join(
            f"{self.classes[name]} {name}" for name in CLASSES if name in self.classes
        )
        died = f"{self.n_died} of {self.n_planted}" if self.n_planted else ""
        return [self.name, verdict, classes, str(self.n_tests), died, f"{self.elapsed_s:.0f}"]


HEAD = ("run", "verdict", "cases by class", "tests", "planted faults that failed", "seconds")


def said(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield the lines, each printed when it comes as one of a Markdown table."""
    for cells in (HEAD, ["---"] * len(HEAD)):
        say(cells)
    for line in lines:
        say(line.cells())
        yield line


def say(cells: Iterable[str]) -> None:
    """Print one line of a Markdown table: what a plan that is cut short has found is not lost."""
    print(markdown_line(cells), flush=True)


def exit_code(lines: Sequence[Line]) -> ExitCode:
    """Return the code of all runs together; MISSING where none ran."""
    codes = {line.code for line in lines if line.code is not None}
    return ExitCode.of(
        failed=ExitCode.FAILED in codes, missing=not codes or bool(codes - {0, ExitCode.FAILED})
    )


# --- Running -------------------------------------------------------------------------------------
def lack(run: Run, isa: str, libc: str) -> str:
    """Return why the run is impossible here, or "".

    isa: the instruction sets of this CPU, between spaces. libc: the interpreter of --libc.
    """
    if missing := [name for name in run.needs if name not in isa.split()]:
        return f"this CPU lacks {' '.join(missing)}"
    if run.is_of_libc and not libc:
        return "no second C library: `python scripts/debian_python.py DIR` makes one for --libc"
    return ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where runs take place: the interpreters, and what all of them share.

    words: further ones for pytest, of the caller. programs: folder of compiled programs, which no
    kernel of OpenBLAS changes, but flags and a C library do. end_s: when the time is over, by the
    monotonic clock.
    """

    python: str
    libc: str
    words: Sequence[str]
    programs: Path
    end_s: float

    def carried_out(self, run: Run) -> Line:
        """Run the tests and then the planted faults, and return what came of both."""
        start_s = time.monotonic()
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            status = self._pytest(run, *run.asked, *self._reports(run, folder), *self.words)
            line = told(run, folder, status)
            if run.faults:
                tests = map(fault_test, run.faults)
                status = self._pytest(run, *tests, "-n0", f"--junit-xml={folder / FAULTS}")
                line = with_faults(line, run, status, folder)
        return dataclasses.replace(line, elapsed_s=time.monotonic() - start_s)

    def _reports(self, run: Run, folder: Path) -> list[str]:
        words = ["-nauto", f"--junit-xml={folder / TESTS}"]
        return [*words, f"--reports={folder}"] if run.is_of_suite else words

    def _pytest(self, run: Run, *words: str) -> int:
        """Return the exit status of pytest, negative for a signal; OVERDUE if it was ended."""
        python, library = (self.libc, "other") if run.is_of_libc else (self.python, "own")
        programs = self.programs / f"{library}{run.variables.get('XLA_FLAGS', '')}"
        variables = {
            **os.environ,
            **run.variables,
            "JAX_COMPILATION_CACHE_DIR": str(programs),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        }
        command = [python, "-m", "pytest", "-q", f"-W{HALF_WRITTEN}", *words]
        process = subprocess.Popen(  # noqa: S603  # the words are the caller's own
            command,
            env=variables,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=max(0.0, self.end_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            return OVERDUE
        finally:
            with contextlib.suppress(ProcessLookupError):  # nothing of it is left
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        if process.returncode:
            print(f"{run.name}:\n{output}", file=sys.stderr)
        return process.returncode


TESTS, FAULTS = "tests.xml", "faults.xml"

OVERDUE = 124
"""As `timeout` has it."""

HALF_WRITTEN = "ignore:Error reading persistent compilation cache"
"""What one worker is writing, another one compiles again."""


def fault_test(name: str) -> str:
    """Return the test that passes if the planted fault fails, even as its own golden."""
    return (
        "tests/judge/test_faults.py::"
        f"test_a_fault_that_was_accepted_as_golden_is_still_caught[{name}]"
    )


# --- Telling -------------------------------------------------------------------------------------
def told(run: Run, folder: Path, status: int) -> Line:
    """Return what the reports in the folder tell of a run that ended so."""
    rows = [
        json.loads(line)
        for path in folder.glob(f"*/{ROWS}")
        for line in path.read_text().splitlines()
    ]
    tests = outcomes(folder / TESTS)
    line = Line(
        name=run.name,
        code=ExitCode.of(failed=status == ExitCode.FAILED, missing=status not in (0, 1)),
        classes=collections.Counter(row["drift_class"] or NO_GOLDEN for row in rows),
        n_tests=len(tests),
    )
    if line.code != ExitCode.OK:
        return dataclasses.replace(line, note=why(status, tests))
    answered = _answered(folder)
    if run.kernel and answered != run.kernel:
        note = f"LAPACK's kernel is {answered or 'unknown'}, not {run.kernel}"
        return dataclasses.replace(line, code=ExitCode.MISSING, note=note)
    return line


def with_faults(line: Line, run: Run, status: int, folder: Path) -> Line:
    """Return the line with how many planted faults failed; one that passed fails the run."""
    found = outcomes(folder / FAULTS)
    alive = [test for test, message in found.items() if message]
    planted = Line(
        name=run.name,
        code=ExitCode.of(failed=status == ExitCode.FAILED, missing=status not in (0, 1)),
        note=f"planted faults: {why(status, found)}" if status else "",
    )
    codes = {line.code, planted.code}
    return dataclasses.replace(
        line,
        code=next(code for code in ExitCode if code in codes),
        note="; ".join(note for note in (line.note, planted.note) if note),
        n_died=len(found) - len(alive),
        n_planted=len(run.faults),
    )


def why(status: int, tests: Mapping[str, str]) -> str:
    """Return why a run is no success: the first test that failed or crashed, or how it ended."""
    if status == OVERDUE:
        return "cut short, its time was over"
    wrong = {test: message for test, message in tests.items() if message}
    if not wrong:
        return f"its process {ending(status)}"
    # What was lost explains an incomplete run, whatever else it lacks.
    lost = [message for message in wrong.values() if message.startswith("no verdict on")]
    name = next(iter(wrong))
    more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return (lost[0] if lost else name) + more


def ending(status: int) -> str:
    """Return how a process ended."""
    return f"died of {signal.Signals(-status).name}" if status < 0 else f"exits with {status}"


def outcomes(junit: Path) -> dict[str, str]:
    """Return the tests of a report with why each failed, "" for those that passed.

    Those that were skipped, or fail as a finding says, are left out; all are where there is none.
    """
    if not junit.exists():
        return {}
    found = {}
    for test in ElementTree.parse(junit).iter("testcase"):  # noqa: S314  # our own file
        kinds = {child.tag: child for child in test}
        if "skipped" not in kinds:
            fault = kinds.get("failure", kinds.get("error"))
            # Its attribute says "failed on setup" where a worker was lost; the text does not.
            text = "" if fault is None else (fault.text or "failed")
            found[test.get("name", "")] = text.partition("\n")[0]
    return found


def _answered(folder: Path) -> str:
    """Return the kernel that LAPACK had in a run."""
    for path in folder.glob("*/environment.json"):
        return str(json.loads(path.read_text())["host"].get("lapack_kernel", ""))
    return ""


# --- The command ---------------------------------------------------------------------------------
def chosen(patterns: Sequence[str]) -> list[Run]:
    """Return the runs of the plan that a pattern names; all if there is none.

    Raises:
        SelectionError: a pattern names no run.
    """
    names = [run.name for run in PLAN]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise SelectionError(unknown("run", pattern, names))
    matches = [set(fnmatch.filter(names, pattern)) for pattern in patterns or ["*"]]
    return [run for run in PLAN if run.name in set().union(*matches)]


def lines_of(runs: Iterable[Run], machine: Machine, isa: str) -> Iterator[Line]:
    """Yield what comes of each run, or why it is not run."""
    for run in runs:
        if reason := lack(run, isa, machine.libc):
            yield Line(name=run.name, code=None, note=reason)
        elif time.monotonic() >= machine.end_s:
            yield Line(name=run.name, code=ExitCode.MISSING, note="not begun, no time was left")
        else:
            yield machine.carried_out(run)


A_WEEK = 7 * 24 * 60.0
"""Minutes: no system call waits for ever by being told infinity."""


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    text = "name or pattern of runs, as often as you like (default: all)"
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help=text)
    parser.add_argument("--minutes", type=float, default=A_WEEK, help="what all may take (a week)")
    text = "interpreter of an environment as this one, with another C library"
    parser.add_argument("--libc", default="", metavar="PYTHON", help=text)
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Carry out the plan, print the table and return the exit code."""
    end = words.index("--") if "--" in words else len(words)
    options = parsed(words[:end])
    try:
        runs = chosen(options.only)
    except SelectionError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    with tempfile.TemporaryDirectory() as programs:
        machine = Machine(
            python=sys.executable,
            libc=options.libc,
            words=words[end + 1 :],
            programs=Path(programs),
            end_s=time.monotonic() + options.minutes * 60,
        )
        lines = list(said(lines_of(runs, machine, host_facts().get("isa", ""))))
    return exit_code(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
