"""A kernel is judged, or listed as not run with the reason; it is never left out."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import lapack_kernels
import pytest
from lapack_kernels import Line, Probe, judged

AVX2 = "sse4_2 avx avx2 fma"


@pytest.mark.parametrize(
    ("kernel", "architecture"),
    [("Haswell", "Haswell"), ("Prescott", "Katmai"), ("prescott", "Katmai"), ("Zen", "Haswell")],
)
def test_a_kernel_runs_if_it_answers_or_the_one_that_stands_in_for_it(
    kernel: str, architecture: str
) -> None:
    assert judged(kernel, AVX2, 0, architecture, "") == Probe(architecture=architecture)


@pytest.mark.parametrize(
    ("kernel", "exit_code", "architecture", "errors", "reason"),
    [
        ("SkylakeX", -signal.SIGILL, "SkylakeX", "", "this CPU lacks avx512f"),
        ("SkylakeX", 0, "Haswell", "", "this CPU lacks avx512f"),
        ("Haswell", -signal.SIGSEGV, "Haswell", "", "died of SIGSEGV"),
        ("Nehalem", 0, "Haswell", "", "Haswell answered in its place"),
        (
            "Haswell",
            0,
            "",
            "",
            "unknown which answers: `pip install threadpoolctl` tells",
        ),
        ("Haswell", 1, "", "Trace\nImportError: no scipy", "ImportError: no scipy"),
        ("Haswell", 1, "", "", "its probe exits with 1"),
    ],
)
def test_a_kernel_that_cannot_run_says_why(
    kernel: str, exit_code: int, architecture: str, errors: str, reason: str
) -> None:
    assert judged(kernel, AVX2, exit_code, architecture, errors) == Probe(not_run=reason)


def test_the_kernel_of_this_machine_is_found() -> None:
    pytest.importorskip("threadpoolctl")

    assert lapack_kernels.probe("Prescott", AVX2).architecture in {"Katmai", "Prescott"}


@pytest.mark.parametrize(
    ("exit_codes", "expected"), [((0, 0), 0), ((0, 1), 1), ((3,), 1), ((-4,), 1), ((), 3)]
)
def test_only_kernels_that_ran_can_fail(exit_codes: tuple[int, ...], expected: int) -> None:
    not_run = Line(kernel="SkylakeX", not_run="this CPU lacks avx512f")
    ran = [Line(kernel="Haswell", architecture="Haswell", exit_code=code) for code in exit_codes]

    assert lapack_kernels.exit_code([not_run, *ran]) == expected


def test_the_table_counts_what_the_reports_tell(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    rows = [{"drift_class": "identical"}, {"drift_class": "rounding"}]
    (tmp_path / "run" / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "junit.xml").write_text(
        "<testsuites><testsuite>"
        "<testcase classname='conformance.suite.test_initializers'/>"
        "<testcase classname='conformance.suite.test_initializers'/>"
        "<testcase classname='conformance.suite.test_modules'><failure/></testcase>"
        "</testsuite></testsuites>"
    )

    line = lapack_kernels.told("Prescott", "Katmai", tmp_path, 1)

    assert line.cells() == ["Prescott", "Katmai", "2", "1", "1", "1", "1"]


def test_a_run_that_crashed_shows_its_exit_code(tmp_path: Path) -> None:
    assert lapack_kernels.told("Haswell", "Haswell", tmp_path, -11).cells()[-1] == "exit code -11"


def test_a_kernel_that_did_not_run_has_a_line() -> None:
    table = lapack_kernels.table([Line(kernel="SkylakeX", not_run="this CPU lacks avx512f")])

    assert "| SkylakeX | not run: this CPU lacks avx512f |" in table
