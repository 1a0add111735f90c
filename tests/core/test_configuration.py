"""What a project and a shell may set: read strictly, and under what is given."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from conformance.cli import configured as options
from conformance.cli.main import main, parse
from conformance.core.configuration import NAMES, configured
from conformance.core.deadline import CASE_TIMEOUT_S
from conformance.core.errors import SelectionError
from tests import ROOT

FILE = """
[tool.other]
tier = "mine"

[tool.conformance]
tier = "quick"
backend = ["cpu", "stablehlo"]
case-timeout = 60
max-drift = "identical"
allow = []
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder of a project that sets something."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(FILE)
    return tmp_path


def found(words: str) -> dict[str, Any]:
    return vars(parse(words.split()))


def test_a_file_sets_what_is_not_given() -> None:
    asked = found("run")

    assert asked["tier"] == "quick"
    assert asked["backend"] == ["cpu", "stablehlo"]
    assert asked["case_timeout"] == 60.0
    assert asked["max_drift"] == "identical"
    assert (asked["golden"], asked["reports"], asked["workers"]) == (None, "reports", 1)


def test_a_variable_goes_before_the_file_and_an_option_before_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONFORMANCE_TIER", "full")
    monkeypatch.setenv("CONFORMANCE_CASE_TIMEOUT", "7.5")
    monkeypatch.setenv("CONFORMANCE_BACKEND", "iree, cpu")
    monkeypatch.setenv("CONFORMANCE_WORKERS", "3")

    asked = found("run --tier standard --backend cuda --backend tpu")

    assert (asked["tier"], asked["backend"]) == ("standard", ["cuda", "tpu"])
    assert (asked["case_timeout"], asked["workers"]) == (7.5, 3)
    assert (found("run")["tier"], found("run")["backend"]) == ("full", ["iree", "cpu"])


@pytest.mark.parametrize("where", ["file", "variable"])
def test_as_many_workers_as_there_are_cores_can_be_set(
    where: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(5), raising=False)
    if where == "file":
        (here / "pyproject.toml").write_text('[tool.conformance]\nworkers = "auto"\n')
    else:
        monkeypatch.setenv("CONFORMANCE_WORKERS", "auto")

    assert found("run")["workers"] == 5


def test_an_option_may_say_what_the_default_is() -> None:
    assert found(f"run --case-timeout {CASE_TIMEOUT_S:g}")["case_timeout"] == CASE_TIMEOUT_S
    assert found("run --max-drift rounding")["max_drift"] == "rounding"


@pytest.mark.parametrize(
    ("words", "name", "expected"),
    [
        ("run lecun_normal-float32-64x32-s0-cpu-eager", "backend", []),
        ("run --resume reports/x", "tier", None),
        ("merge a b", "tier", None),
        ("record --out new --finish a b", "tier", None),
        ("goldens stage --layer Dense", "tier", None),
        ("goldens stage --backend cuda", "backend", []),
        ("goldens stage --all", "tier", "quick"),
        ("compare a b --policy other.toml", "max_drift", None),
        ("compare a b", "max_drift", "identical"),
    ],
)
def test_what_a_call_would_contradict_is_left_out(words: str, name: str, expected: object) -> None:
    assert found(words)[name] == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('tire = "quick"', "field 'tire' is unknown: did you mean tier?"),
        ("tier = 3", "tier: 3 is not a text"),
        ('tier = "quik"', "tier: value 'quik' is unknown: did you mean quick?"),
        ('backend = "cpu"', "backend: 'cpu' is not a list"),
        ('case-timeout = "60"', "case-timeout: '60' is not a number"),
        ('workers = "two"', "workers: 'two' is not a"),
        ("tier =", "TOMLDecodeError"),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_one_line(
    text: str, told: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "pyproject.toml").write_text(f"[tool.conformance]\n{text}\n")

    assert main(["list", "--initializer", "zeros"]) == 4

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("conformance: pyproject.toml cannot be read (")
    assert told in line


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("CONFORMANCE_TIRE", "quick", "'tire' is unknown: did you mean tier?"),
        ("CONFORMANCE_TIER", " ", "it is empty: unset it"),
        ("CONFORMANCE_CASE_TIMEOUT", "soon", "'soon' is not a number"),
        ("CONFORMANCE_CASE_TIMEOUT", "0", "'0' is no number of seconds above 0"),
        ("CONFORMANCE_WORKERS", "0", "'0' is no number of processes"),
        ("CONFORMANCE_WORKERS", "many", "'many' is not an integer or auto"),
    ],
)
def test_a_variable_that_is_wrong_is_refused_by_name(
    name: str, text: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, text)

    with pytest.raises(SelectionError, match=re.escape(f"${name}")) as refused:
        found("run")

    assert told in str(refused.value)


@pytest.mark.parametrize("text", ["[tool.other", "\udcff"])
def test_a_file_that_is_not_about_this_is_not_read(text: str, here: Path) -> None:
    (here / "pyproject.toml").write_bytes(text.encode(errors="surrogateescape"))

    assert configured() == {}


def test_help_asks_for_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CONFORMANCE_TIRE", "quick")

    with pytest.raises(SystemExit) as ended:
        main(["run", "--help"])

    assert ended.value.code == 0
    assert "--tier" in capsys.readouterr().out


def test_help_knows_the_same_names() -> None:
    assert set(options.NAMES) == set(NAMES)


def test_every_key_is_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")

    assert re.findall(r"^\| `([\w-]+)` \| `--\1` \|", text, re.MULTILINE) == list(NAMES)


@pytest.mark.parametrize(
    "text",
    [
        '[tool."conformance"]\ntier = "quick"',
        'tool.conformance.tier = "quick"',
        '[tool]\nconformance.tier = "quick"',
        '[tool]\nconformance = {tier = "quick"}',
    ],
)
def test_a_table_is_found_however_it_is_written(here: Path, text: str) -> None:
    (here / "pyproject.toml").write_text(text)

    assert configured(here, {})["tier"].texts == ("quick",)


@pytest.mark.parametrize(
    "text",
    ['[project]\ndependencies = ["conformance"]', '[project\nname = "conformance"', "tool = 3"],
)
def test_what_says_nothing_of_ours_is_no_concern(here: Path, text: str) -> None:
    (here / "pyproject.toml").write_text(text)

    assert configured(here, {}) == {}
