"""A target is found by its name, or the message says why not and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from conformance.core.errors import TargetError
from conformance.observe.target import blamed, load_target

MODULES = {
    "models": "def make(): return 3\nfrom json import loads\nnumber = 3\n",
    "wrong": "import json\njson.loads('')\n",
    "needing": "import absent_library\n",
    "leaving": "raise SystemExit\n",
    "empty": "",
    "cut": "def make(:\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of modules that can be imported."""
    package = tmp_path / "targets_of_tests"
    package.mkdir()
    for name, text in MODULES.items():
        (package / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return package


@pytest.mark.usefixtures("folder")
def test_a_function_is_found_by_its_name() -> None:
    assert load_target("targets_of_tests.models:make")() == 3


@pytest.mark.parametrize("name", ["models", "models:", ":make", "", ".models:make"])
def test_a_name_that_is_none_is_not_understood(name: str) -> None:
    told = f"target {name!r} is not understood: write package.module:function"

    with pytest.raises(TargetError, match=re.escape(told)):
        load_target(name)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("module", "missing"),
    [
        ("no_such_package.models", "no_such_package"),
        ("targets_of_tests.absent", "targets_of_tests.absent"),
        ("targets_of_tests.models.deeper", "targets_of_tests.models.deeper"),
    ],
)
def test_a_module_that_is_not_found_is_named_with_where_to_run(module: str, missing: str) -> None:
    told = (
        f"target '{module}:make' is not there: no module '{missing}' is found; run from the "
        "folder that holds it, or install it, for the gate by --with REQUIREMENT"
    )

    with pytest.raises(TargetError, match=f"^{re.escape(told)}$"):
        load_target(f"{module}:make")


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("wrong", "JSONDecodeError at {folder}/wrong.py:2: Expecting value: line 1 column 1"),
        ("needing", "ModuleNotFoundError at {folder}/needing.py:1: No module named 'absent_l"),
        ("leaving", "SystemExit at {folder}/leaving.py:1 (install what it needs, for the gate "),
        ("cut", "SyntaxError"),
    ],
)
def test_what_a_module_raises_on_import_is_told_with_its_line(
    folder: Path, module: str, told: str
) -> None:
    name = f"targets_of_tests.{module}:make"
    message = f"target {name!r} cannot be imported: {told.format(folder=folder)}"

    with pytest.raises(TargetError, match=f"^{re.escape(message)}") as caught:
        load_target(name)

    assert str(caught.value).endswith("(install what it needs, for the gate by --with REQUIREMENT)")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("module", "known"), [("models", "make"), ("empty", "none")])
def test_a_function_that_is_not_there_is_told_with_those_that_are(module: str, known: str) -> None:
    told = (
        f"target 'targets_of_tests.{module}:absent' is not there: "
        f"targets_of_tests.{module} has no function 'absent', it defines {known}"
    )

    with pytest.raises(TargetError, match=f"^{re.escape(told)}$"):
        load_target(f"targets_of_tests.{module}:absent")


@pytest.mark.usefixtures("folder")
def test_what_cannot_be_called_is_told_by_its_type() -> None:
    told = "target 'targets_of_tests.models:number' is of type int: name a function that returns it"

    with pytest.raises(TargetError, match=f"^{re.escape(told)}$"):
        load_target("targets_of_tests.models:number")


def test_an_exit_within_a_target_is_a_fault_of_it_and_ends_no_run() -> None:
    told = rf"^target 'models:make' raises SystemExit at {re.escape(__file__)}:\d+: 0 "

    told += r"\(call it by itself to see all of it\)$"

    with pytest.raises(TargetError, match=told), blamed("models:make"):
        raise SystemExit(0)
