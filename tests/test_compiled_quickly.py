"""What this process compiles quickly has the bits of what any other compiles as ever."""

from __future__ import annotations

import importlib.util
import os
import py_compile
import subprocess
import sys
import sysconfig
import time
import types
from pathlib import Path
from typing import Any, cast

import pytest
from _pytest.assertion import rewrite

from conformance.core.settings import OPTIMIZATION_FLAG
from tests import ROOT, draws
from tests.conftest import BYTE_CODE, is_asked, lend_byte_code, rewrite_asserts
from tests.quickly import QUICK, quick

USUAL = 3
"""The level of a process that asks for none. Said aloud, it keeps the child from our programs."""


def test_a_draw_that_is_compiled_quickly_has_the_bits_of_one_that_is_not() -> None:
    child = subprocess.run(  # noqa: S603  # ours
        [sys.executable, draws.__file__],
        env=os.environ | {"XLA_FLAGS": f"{os.environ['XLA_FLAGS']} {OPTIMIZATION_FLAG}={USUAL}"},
        capture_output=True,
        check=True,
        text=True,
    )

    assert child.stdout.split() == list(draws.digests())


def test_flags_that_ask_for_a_level_are_left_as_they_are() -> None:
    assert quick(f"{OPTIMIZATION_FLAG}={USUAL}") == f"{OPTIMIZATION_FLAG}={USUAL}"
    assert quick("") == " ".join(QUICK)


def test_no_child_and_no_record_sees_how_this_process_compiles() -> None:
    assert not [flag for flag in QUICK if flag.partition("=")[0] in os.environ["XLA_FLAGS"]]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["conformance"], False),
        (["conformance.suite.test_initializers"], False),
        (["conformance/suite/test_initializers.py::test_case[zeros]"], False),
        (["tests"], True),
        (["conformance", "tests/core/test_ulp.py::test_it"], True),
        (["."], True),
        ([str(ROOT / "tests" / "core")], True),
    ],
    ids=str,
)
def test_a_run_of_the_harness_itself_is_left_as_it_is(args: list[str], expected: bool) -> None:
    invoked = types.SimpleNamespace(dir=ROOT)
    config = cast(Any, types.SimpleNamespace(args=args, invocation_params=invoked))

    assert is_asked(config) is expected


@pytest.mark.parametrize("is_new", [True, False])
def test_byte_code_of_what_is_installed_is_found_in_a_new_folder_of_it(
    is_new: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "installed" / "pkg" / "it.py"
    source.parent.mkdir(parents=True)
    source.write_text("A = 1\n")
    monkeypatch.setattr(sys, "pycache_prefix", None)
    beside = py_compile.compile(str(source), doraise=True)
    assert beside is not None
    folder = tmp_path / "byte-code"
    folder.mkdir()
    if not is_new:
        (folder / "of-an-earlier-run").touch()
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path / "installed"))

    lend_byte_code(folder)

    monkeypatch.setattr(sys, "pycache_prefix", str(folder))
    found = Path(importlib.util.cache_from_source(str(source)))
    assert found.exists() == is_new
    assert not is_new or found.samefile(beside)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where byte code is kept."""
    monkeypatch.setenv(BYTE_CODE, str(tmp_path / "kept"))
    return tmp_path / "kept"


def rewritten(folder: Path, asked: str, known: pytest.Config) -> None:
    """Rewrite the tests of a folder, in a run that asks for some of them."""
    facts = {"stash": known.stash, "getini": known.getini}
    invoked = types.SimpleNamespace(dir=folder)
    config = types.SimpleNamespace(args=[asked], invocation_params=invoked, **facts)
    rewrite_asserts(cast(Any, config), folder)


@pytest.mark.parametrize(("asked", "is_all"), [(".", True), ("test_it.py", False)])
def test_asserts_are_rewritten_beforehand_where_all_tests_are_asked_for(
    asked: str, is_all: bool, kept: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    path = tmp_path / "test_it.py"
    path.write_text("assert True\n")

    rewritten(tmp_path, asked, pytestconfig)

    written = [rewrite._read_pyc(path, each) for each in kept.rglob(f"*{rewrite.PYC_TAIL}")]
    assert [code is not None for code in written] == [True] * is_all


def test_asserts_of_a_file_that_changed_since_are_rewritten_again(
    kept: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    path = tmp_path / "test_it.py"
    for text, later_s in (("assert 1\n", 0), ("assert 2, 3\n", 60)):
        path.write_text(text)
        os.utime(path, (time.time() + later_s,) * 2)
        rewritten(tmp_path, ".", pytestconfig)

    (written,) = kept.rglob(f"*{rewrite.PYC_TAIL}")
    assert rewrite._read_pyc(path, written) is not None
