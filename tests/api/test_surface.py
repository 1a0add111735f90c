"""What `import conformance` gives: all on one screen, typed, and loaded when it is asked for."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import pytest

import conformance
from conformance.api import functions
from conformance.cases import catalogue
from conformance.cli import main
from conformance.core import laws
from tests import ROOT
from tests.api import users_script


def test_all_names_are_there_and_have_docstrings() -> None:
    in_order = sorted(conformance.__all__, key=lambda name: (not name.isupper(), name))
    assert in_order == list(conformance.__all__)
    for name in set(conformance.__all__) - {"__version__"}:
        assert inspect.getdoc(getattr(conformance, name)), name
    assert {name for name in dir(conformance) if name[0] != "_"} | {"__version__"} == set(
        conformance.__all__
    )


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'conformance' has no attribute 'jugde'"):
        _ = conformance.jugde  # type: ignore[attr-defined]


def test_every_definition_is_a_name_of_the_package() -> None:
    definitions = {
        name
        for name, value in vars(laws).items()
        if isinstance(value, type)
        and issubclass(value, laws.Definition)
        and not inspect.isabstract(value)
    }

    assert definitions - {"Matrix"} <= set(conformance.__all__)


@pytest.mark.parametrize("name", ["judge", "observe", "oracle"])
def test_a_function_stays_when_the_package_of_its_name_is_imported(name: str) -> None:
    package = importlib.import_module(f"conformance.{name}")

    assert getattr(conformance, name) is getattr(functions, name)
    assert package.__path__


IMPORT = re.compile(r"\bimport\b[^\n]*\bconformance\s*\.")
"""What a statement must hold that imports a module of the package by its full name."""


def test_no_file_reaches_into_a_package_by_an_attribute_that_is_a_function() -> None:
    """`import conformance.judge.x as y` would find the function, and end there."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("conformance", "scripts", "tests")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for text in (path.read_text(encoding="utf-8"),)
        if IMPORT.search(text)  # reading all as syntax takes seconds
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name.split(".")[:1] == ["conformance"]
        and alias.name.split(".")[1:2] in (["judge"], ["observe"], ["oracle"])
    ]

    assert found == []


@pytest.mark.usefixtures("cold_python")
def test_the_import_loads_nothing_else() -> None:
    """It stands in every run of pytest, and in every notebook; scripts/benchmark.py times it."""
    code = "before = set(sys.modules); import conformance; print(*set(sys.modules) - before)"
    command = [sys.executable, "-c", f"import sys; {code}"]

    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603

    assert set(loaded.split()) <= {"conformance", "types"}


def test_help_begins_with_all_that_there_is() -> None:
    page = pydoc.plain(pydoc.render_doc(conformance))

    first_screen = "\n".join(page.splitlines()[:50])
    assert [n for n in conformance.__all__ if n not in first_screen] in (
        [],
        ["Catalogue", "__version__"],
    )
    assert "observe(" in page.partition("FUNCTIONS")[2]


@pytest.fixture
def reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Report a run in the folder that the examples are run in, and forget what they register."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalogue, "_REGISTERED", [])
    cases = [f"{name}-float32-64-s0-cpu-eager" for name in ("ones", "zeros")]
    assert main(["run", "--in-process", *cases]) == 0


@pytest.mark.usefixtures("reported")
@pytest.mark.parametrize(
    "module", [conformance, functions, catalogue], ids=["page", "functions", "register"]
)
def test_the_examples_are_true(module: object) -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    import jax

    told: list[str] = []
    n_examples = 0
    for test in finder.find(module, extraglobs={"conformance": conformance, "jax": jax}):
        n_examples += len(test.examples)
        runner.run(test, out=told.append)

    assert told == []
    assert n_examples > 2


def test_a_program_as_users_write_it() -> None:
    assert users_script.asked()


def test_the_version_is_the_distributions() -> None:
    text = (Path(conformance.__file__)).read_text(encoding="utf-8")

    assert text.count(f'__version__ = "{conformance.__version__}"') == 1
