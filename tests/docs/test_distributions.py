"""What is published: the source of all that a checkout can do, and the package with its goldens."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import conformance
from tests import ROOT

sdist = pytest.importorskip("hatchling.builders.sdist", reason="the build backend is not installed")
wheel = pytest.importorskip("hatchling.builders.wheel")
hatch_build = pytest.importorskip("hatch_build")

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


def test_the_wheel_says_that_it_is_typed() -> None:
    assert "conformance/py.typed" in content(wheel.WheelBuilder)


# --- What an index shows -------------------------------------------------------------------------
AT = "https://github.com/us/it"


@pytest.fixture
def of_a_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REPOSITORY": "us/it",
        "GITHUB_SHA": "abc",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("of_a_runner")
def test_an_index_shows_addresses_and_a_readme_whose_links_lead_somewhere() -> None:
    shown: dict[str, Any] = {}

    hatch_build.CustomMetadataHook(str(ROOT), {}).update(shown)

    text = shown["readme"]["text"]
    assert shown["urls"]["Repository"] == AT
    assert f"]({AT}/blob/abc/docs/reading-a-failure.md)" in text
    assert f"]({AT}/blob/abc/docs/how-it-works.md#cases-by-design)" in text
    assert [link for link in re.findall(r"\]\(([^)]*)\)", text) if "://" not in link] == []


def test_the_version_is_that_of_the_package() -> None:
    assert wheel.WheelBuilder(str(ROOT)).metadata.core.version == conformance.__version__


def test_a_source_of_nowhere_has_no_addresses(tmp_path: Path) -> None:
    assert hatch_build.repository_of(tmp_path, {}) == ("", "")


@pytest.mark.parametrize(
    "origin", ["https://github.com/us/it.git", "git@github.com:us/it", "https://github.com/us/it/"]
)
def test_a_clone_knows_its_repository(origin: str, tmp_path: Path) -> None:
    for words in (["init", "-q"], ["remote", "add", "origin", origin]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)  # noqa: S603, S607  # ours

    repository, _ = hatch_build.repository_of(tmp_path, {})

    assert repository == AT


def test_links_within_the_page_and_to_elsewhere_stay_as_they_are() -> None:
    text = "[a](#b) [c](https://d) [e](f.md#g)"

    assert (
        hatch_build.absolute(text, AT, "abc") == f"[a](#b) [c](https://d) [e]({AT}/blob/abc/f.md#g)"
    )


# --- What is promised ----------------------------------------------------------------------------
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SUPPORT = (ROOT / "docs" / "support.md").read_text(encoding="utf-8")


def test_the_supported_releases_are_those_of_the_bounds() -> None:
    bounds = dict(re.findall(r"([a-z]+)(?:\[cpu\])?>=([\d.]+)", " ".join(JUDGE)))
    (recording,) = (each for each in PROJECT["dependencies"] if each.startswith("jax"))

    assert f"| {bounds['jax']} or newer | {bounds['flax']} or newer |" in SUPPORT
    assert recording == "jax[cpu]>=0.4.20"
    assert "| 0.4.20 or newer, with the jaxlib that belongs to it |" in SUPPORT


JUDGE = PROJECT["optional-dependencies"]["judge"]


def test_every_supported_python_is_an_environment_of_tox_and_a_classifier() -> None:
    named = re.findall(r"Python :: 3\.(\d+)", " ".join(PROJECT["classifiers"]))
    (listed,) = re.findall(r"\[testenv:py3\{([\d,]+)\}", (ROOT / "tox.ini").read_text())

    assert named == listed.split(",") == ["11", "12", "13", "14"]
    assert "3.11 to 3.14" in SUPPORT


def test_the_citation_is_of_this_version() -> None:
    assert f"\nversion: {conformance.__version__}\n" in (ROOT / "CITATION.cff").read_text()
