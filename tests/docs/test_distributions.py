"""What is published: the source of all that a checkout can do, and the package with its goldens."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests import ROOT

sdist = pytest.importorskip("hatchling.builders.sdist", reason="the build backend is not installed")
wheel = pytest.importorskip("hatchling.builders.wheel")

BY_ITSELF = {".gitignore", "LICENSE", "README.md", "pyproject.toml"}
"""What the build backend packs without being told."""


def content(builder: Callable[[str], Any]) -> set[str]:
    """Return the paths of the files that a builder would pack."""
    return {file.distribution_path for file in builder(str(ROOT)).recurse_included_files()}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="nothing says what the repository holds")
def test_the_sdist_holds_the_whole_repository() -> None:
    """So its tests, tox.ini and scripts do from there what they do from a checkout."""
    command = ["git", "-C", str(ROOT), "ls-files"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603  # ours

    packed = content(sdist.SdistBuilder)

    assert sorted(set(listed.splitlines()) - packed - BY_ITSELF) == []


def test_the_wheel_holds_the_package_and_all_goldens_but_the_predictions() -> None:
    folder = ROOT / "golden"
    goldens = {
        f"conformance/_golden/{path.relative_to(folder).as_posix()}"
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] != "predicted"
    }

    packed = content(wheel.WheelBuilder)

    assert {path for path in packed if path.startswith("conformance/_golden/")} == goldens
    assert {path.partition("/")[0] for path in packed} == {"conformance"}
