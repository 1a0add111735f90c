"""What README and docs tell a reader to type is understood, and what they say comes out does."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.cases import catalogue as catalogue_module
from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import ENTRY_POINT_GROUP
from conformance.cases.selection import Selection, select
from conformance.cli.main import COMMANDS
from conformance.core.causes import known_isa_difference, known_lapack_difference
from conformance.core.errors import ExitCode
from conformance.core.ids import Tier
from conformance.core.records import DriftClass, Status
from conformance.judge.drift import statistics
from conformance.judge.rules import default_checks
from conformance.observe.observer import Observer
from conformance.run.evaluate import evaluate
from conformance.suite.faults import FAULTS
from tests import ROOT
from tests.benches import bench
from tests.conftest import without_ambient
from tests.judge.test_faults import judged

README = (ROOT / "README.md").read_text()
DOCS = {path.name: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
OWN_DOCS = (
    *("how-it-works.md", "reading-a-failure.md", "adding-an-initializer.md", "goldens.md"),
    *("matrices.md", "configuration.md"),
)
SETUP = "pip install tox tox-uv"
PROGRAM = Path(sys.executable).with_name("conformance")
SHOWN_AS_FAILING = (
    "wrong_dtype",
    "one_nan",
    "returns_where_it_must_raise",
    "another_exception",
    "stateful",
    "sign_flipped",
    "orthogonal_scale_ignored",
    "orthogonal_without_sign_fix",
    "tall_orthogonal_rounded_to_bfloat16",
    "declared_mean_shifted",
    "variance_doubled",
    "rbg_antithetic_pairs",
)
"""The faults whose messages docs/reading-a-failure.md shows."""


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def without_digits(text: str) -> str:
    """Return the text with # for each number: the last digits depend on the machine."""
    return re.sub(r"-?(0x[0-9a-f.]+p[-+]\d+|[\d.]+(e[-+]?\d+)?)", "#", text)


# --- Commands ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tox() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini")
    return parser


def test_the_readme_begins_with_two_commands_that_ci_runs() -> None:
    first, second = [block.strip() for block in blocks(README, "sh")[:2]]

    assert (first, second) == (
        f"{SETUP} && tox run -e conformance",
        f"{SETUP} && tox run -e tests",
    )
    assert {*first.split(" && "), *second.split(" && ")} < set(
        (ROOT / ".ci" / "run").read_text().splitlines()
    )


def test_ci_stops_at_the_first_failure() -> None:
    assert "set -euo pipefail" in (ROOT / ".ci" / "run").read_text()


def test_every_tox_environment_that_is_named_exists(tox: configparser.ConfigParser) -> None:
    text = README + (ROOT / ".ci" / "run").read_text() + "".join(DOCS.values())
    named = {
        name for names in re.findall(r"tox run -e ([\w,-]+)", text) for name in names.split(",")
    }

    unknown = {name for name in named if not _is_environment(name, tox)}

    assert named
    assert not unknown


def _is_environment(name: str, tox: configparser.ConfigParser) -> bool:
    listed = [entry.strip() for entry in tox["tox"]["env_list"].split(",")]
    is_of_a_python = re.fullmatch(r"py3(11|12|13|14)-quick|lowest-py3(11|12)", name) is not None
    return name in listed or f"testenv:{name}" in tox or is_of_a_python


def test_every_command_of_the_program_is_told_of() -> None:
    told = README + "".join(DOCS[name] for name in OWN_DOCS)

    assert [name for name in COMMANDS if f"conformance {name}" not in told] == []


def test_every_link_leads_somewhere() -> None:
    for folder, text in ((ROOT, README), *((ROOT / "docs", text) for text in DOCS.values())):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (folder / target).exists(), target


def test_the_readme_says_what_is_seen_on_another_cpu_as_the_verdict_does() -> None:
    there = {"lapack": "OpenBLAS", "lapack_kernel": "Haswell", "isa": "avx2 avx512f avx512_bf16"}
    here = {"lapack": "OpenBLAS", "lapack_kernel": "Katmai", "isa": "avx2"}
    lapack, isa = known_lapack_difference(there, here), known_isa_difference(there, here)

    assert (
        f"\n74 rounding: orthogonal matrices; another LAPACK than the goldens' ({lapack})\n"
        in README
    )
    assert f"34 rounding: other instruction sets than the goldens' ({isa})" in README


def test_the_exit_codes_are_those_of_the_program() -> None:
    listed = re.findall(r"^\| (\d+(?:, \d+)?) \|", README, re.MULTILINE)
    codes = [int(code) for codes in listed for code in codes.split(", ")]

    assert sorted(codes) == sorted(ExitCode)
    assert [code for code in codes if code < 128] == [code for code in ExitCode if code < 128]


# --- Examples ------------------------------------------------------------------------------------


def shown_failure() -> str:
    """Return the README's command that fails, and what comes out."""
    return next(block for block in blocks(README, "text") if block.startswith("$ "))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the command of the README's verdict was run; its output is beside."""
    path = tmp_path_factory.mktemp("readme")
    command = shown_failure().partition("\n")[0]
    setting, _, words = command.removeprefix("$ ").partition(" conformance ")
    name, _, value = setting.partition("=")
    done = subprocess.run(  # noqa: S603  # it is ours
        [sys.executable, "-m", "conformance", *shlex.split(words)],
        cwd=path,
        env=os.environ | {name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    (path / "output").write_text(done.stdout)
    assert done.returncode == 1, done.stderr
    return path


def test_the_verdict_of_the_readme_is_what_comes_out(folder: Path) -> None:
    shown = shown_failure().split("\n", 1)[1]

    printed = without_ambient((folder / "output").read_text())
    assert without_digits(shown) in without_digits(printed)


def test_the_reports_are_read_as_the_readme_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    snippet = next(block for block in blocks(README, "python") if "load_records" in block)

    exec(snippet, {})  # noqa: S102  # it is ours

    assert re.search(r"lecun_normal +float32 +1", capsys.readouterr().out)


def test_an_initializer_is_registered_as_the_readme_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_module, "_REGISTERED", [])
    snippet = next(block for block in blocks(README, "python") if "register" in block)

    exec(snippet, {"small_normal": None})  # noqa: S102  # it is ours

    assert "small_normal" in load_catalogue()


def test_the_initializer_of_the_docs_passes_all_but_the_golden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catalogue_module, "_REGISTERED", [])
    exec(blocks(DOCS["adding-an-initializer.md"], "python")[0], {})  # noqa: S102  # it is ours
    catalogue = load_catalogue()
    selection = Selection(tier=Tier.QUICK, initializers=("small_normal",), shapes=("64x32",))
    judging, observer = bench(catalogue), Observer()

    results = [evaluate(case, judging, observer) for case in select(catalogue, selection)]

    assert [result.observation.case.problem.dtype for result in results] == [
        "bfloat16",
        "float16",
        "float32",
    ]
    for result in results:
        failed = {check.check for check in result.checks if check.status is Status.FAILED}
        assert failed == {"values"}


def test_an_entry_point_is_found_as_the_docs_say(tmp_path: Path) -> None:
    text = DOCS["adding-an-initializer.md"]
    parts = [block for block in blocks(text, "python") if "register" in block]
    (tmp_path / "my_initializers.py").write_text("\n".join(parts))
    (tmp_path / "mine-1.dist-info").mkdir()
    (tmp_path / "mine-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\n")
    declared = blocks(text, "toml")[0].splitlines()
    (tmp_path / "mine-1.dist-info" / "entry_points.txt").write_text(
        f"[{ENTRY_POINT_GROUP}]\n{declared[1].replace(chr(34), '')}\n"
    )

    listed = subprocess.run(  # noqa: S603  # it is ours
        [PROGRAM, "list", "--initializers"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert declared[0] == f'[project.entry-points."{ENTRY_POINT_GROUP}"]'
    assert "small_normal\tcustom\tquick\tNormal(stddev=0.125)" in listed.stdout


# --- Claims --------------------------------------------------------------------------------------


def test_every_check_is_explained() -> None:
    known = {check.check for check in judged(FAULTS[0]).checks}

    assert len(known) == len(default_checks(DriftClass.ROUNDING))
    for name in known:
        assert f"| `{name}` |" in DOCS["how-it-works.md"]
        assert f"**{name}**:" in DOCS["reading-a-failure.md"]


def test_every_drift_class_is_explained() -> None:
    for name in DriftClass:
        assert f"| {name.value} |" in DOCS["how-it-works.md"]
        if name is not DriftClass.IDENTICAL:
            assert f"| {name.value} |" in DOCS["reading-a-failure.md"]


def test_the_fewest_elements_that_tell_a_class_are_those_of_the_program() -> None:
    text = DOCS["how-it-works.md"]

    assert f"Fewer than {statistics.FEWEST} differing elements" in text
    assert f"Fewer than {statistics.FEWEST_FOR_LAWS} show no change of law" in text


def test_the_failures_of_the_docs_are_real() -> None:
    shown = [
        line.strip()
        for line in DOCS["reading-a-failure.md"].splitlines()
        if re.match(r" {4}\w+-\w+-[\dx]+-s1(-rbg)?-cpu-eager", line)
    ]
    faults = [fault for fault in FAULTS if fault.name in SHOWN_AS_FAILING]
    messages = "\n".join(check.message for fault in faults for check in judged(fault).checks)

    assert len(shown) == 10
    for line in shown:
        assert without_digits(line) in without_digits(messages), line
