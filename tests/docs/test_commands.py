"""Every command that README and docs tell a reader to type is run, or listed with what it needs.

All are read by the parsers that read them.
"""

from __future__ import annotations

import argparse
import configparser
import dataclasses
import fnmatch
import functools
import importlib
import inspect
import itertools
import re
import shlex
import string
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.selection import Selection, select
from conformance.cli.main import main, parse
from conformance.core.errors import ExitCode
from conformance.observe.pod import spread_cases
from conformance.run import declared, options
from tests import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"^(?P<indent> *)```(?P<language>sh|bash|console)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)

NEEDS = {
    "pip install *": "an environment of its own",
    "tox run *": "minutes: CI runs what must hold, and nights the rest",
    "pytest *": "a process of its own, as test_plugin starts, or the minutes of a tier",
    "python -m pytest *": "the same",
    "JAX_THREEFRY_PARTITIONABLE=0 conformance run *": "a process of its own: see test_readme",
    "*--fast": "a process that has drawn nothing yet: see test_fast",
    "*iree-vulkan*": "a Vulkan driver: see test_iree, and tox run -e vulkan",
    "*cuda*": "a GPU, or the compiler for one",
    "*h100*": "the same",
    "*tpu*": "a TPU, or the compiler for one",
    "*acme*": "a plug-in that is installed: see test_vendor",
    "*my_golden*": "an initializer that is registered",
    "*my_package*": "a model of your own",
    "* --fleet *": "a cluster: see test_fleet",
    "conformance gate *": "releases from a registry: see test_real_releases",
    "conformance bisect *": "the same",
    "conformance goldens *": "goldens that may change: see tests/curate",
    "python scripts/regenerate_goldens.py *": "the same",
    "* record *": "minutes: see test_recording",
    "conformance merge *": "recordings of several machines: see tests/merge",
    "conformance compare *": "two recordings: see test_compare",
    "conformance history *": "several runs: see test_history",
    "conformance faults -n 2": "minutes: see tests/planted",
    "conformance lowering": "a minute: see test_lowering",
    "* law --backend stablehlo": "minutes",
    "* --tier quick": "minutes; tox runs the same",
    "* --shape 4096x11008": "minutes",
    "* --seed 0:20000*": "minutes: see test_blocks",
    "* --resume *": "a run that was interrupted: see test_resuming",
    "python scripts/*": "see tests/scripts",
}
"""Why a command is not run here, by what it looks like; the first that fits counts."""

IS_NO_COMMAND = ("export ", "#!", "#SBATCH", "mkdir ", "cd ")


SET_BY_SLURM = {"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "16"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of a page. settings: the variables before it."""

    page: str
    settings: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def needs(self) -> str:
        """Why it is not run; "" where it is."""
        text = shlex.join((*self.settings, *self.words))
        return next((why for each, why in NEEDS.items() if fnmatch.fnmatchcase(text, each)), "")

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def commands(path: Path) -> Iterator[Command]:
    """Yield the commands of a page, in its order."""
    for block in BLOCK.finditer(path.read_text(encoding="utf-8")):
        text = re.sub(r"\\\n\s*", "", block["text"])
        for line in map(str.strip, text.splitlines()):
            if block["language"] == "console" and not line.startswith("$ "):
                continue
            for part in re.sub(r"\s+# .*", "", line.removeprefix("$ ")).split(" && "):
                if part and not part.startswith(IS_NO_COMMAND):
                    yield command_of(path.name, part)


def command_of(page: str, text: str) -> Command:
    words = shlex.split(string.Template(text).safe_substitute(SET_BY_SLURM))
    settings = tuple(itertools.takewhile(re.compile(r"[A-Z_]+=").match, words))
    return Command(page=page, settings=settings, words=tuple(words[len(settings) :]))


COMMANDS = [each for path in PAGES for each in commands(path)]
RUN = list(dict.fromkeys(each.words for each in COMMANDS if not each.needs))


def test_only_the_program_itself_is_run_here() -> None:
    """On failure: say in `NEEDS` why a command that is new is not."""
    assert {words[0] for words in RUN} == {"conformance"}


def test_the_tests_that_run_the_others_are_there() -> None:
    named = re.findall(r"see ([\w/]+)", " ".join(NEEDS.values()))

    missing = [
        name
        for name in named
        if not (any((ROOT / "tests").rglob(f"{name}.py")) or (ROOT / name).exists())
    ]

    assert missing == []


@pytest.mark.parametrize("pattern", NEEDS)
def test_what_is_listed_as_needing_something_is_a_command(pattern: str) -> None:
    texts = [shlex.join((*each.settings, *each.words)) for each in COMMANDS]

    assert fnmatch.filter(texts, pattern)


# --- What each is read by ------------------------------------------------------------------------


@pytest.mark.parametrize("command", list(dict.fromkeys(COMMANDS)), ids=str)
def test_a_command_is_understood(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the real parser and the real catalogue. A command of an unknown kind fails."""
    words = list(command.words)
    if words[:2] == ["python", "-m"]:
        words = words[2:]
    if words[:2] == ["python", "-c"] and words[2].endswith(", conformance.__main__"):
        words = ["conformance", *words[3:]]
    if words[:2] == ["uv", "run"]:
        words = words[words.index("conformance") :]
    if words[0] == "python":
        understand_script(words[1], words[2:], monkeypatch)
        return
    READERS[words[0]](words[1:], monkeypatch)


def understand_conformance(words: list[str], _: pytest.MonkeyPatch) -> None:
    arguments = parse(words)
    brings_its_own = {"--golden", "--overlay", "--recording"} & set(words)
    if "--coordinator" in words:
        spread_cases(load_catalogue(), options.read_arguments(arguments).on())
    elif words[0] in ("run", "record", "list") and not brings_its_own:
        understand_selection(options.read_arguments(arguments).on("cpu"))


@functools.cache  # many commands ask for the cases of a whole tier
def understand_selection(selection: Selection) -> None:
    """Select from the real catalogue: of a million seeds the first, as all are read alike."""
    ranges = tuple(seeds[:1] for seeds in selection.ranges)
    select(load_catalogue(), dataclasses.replace(selection, ranges=ranges))


def understand_pytest(words: list[str], _: pytest.MonkeyPatch) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--pyargs", action="store_true")
    parser.add_argument("-n")
    parser.add_argument("-p")
    parser.add_argument("package", choices=["conformance"])
    declared.add_pytest_options(parser.add_argument)
    arguments = parser.parse_args(words)
    selection = options.read_arguments(arguments).on("cpu")
    if arguments.p is None and not arguments.overlay:  # else others bring what is selected
        understand_selection(selection)


def understand_tox(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    known = {*re.split(r",\s*", tox["tox"]["env_list"]), "py311-quick"}
    known |= {name.removeprefix("testenv:") for name in tox if name.startswith("testenv:")}

    assert words[:2] == ["run", "-e"]
    assert set(words[2].split(",")) <= known
    if words[3:4] == ["--"]:
        script = re.search(r"python (scripts/\w+\.py)", tox[f"testenv:{words[2]}"]["commands"])
        assert script
        understand_script(script[1], words[4:], monkeypatch)


def understand_pip(words: list[str], _: pytest.MonkeyPatch) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"(?:^|\s)(?:\.|initializer-conformance)\[([\w,-]+)\]", " ".join(words))

    assert words[0] == "install"
    for extra in (name for names in named for name in names.split(",")):
        assert extra in project["optional-dependencies"]


READERS: dict[str, Callable[[list[str], pytest.MonkeyPatch], None]] = {
    "conformance": understand_conformance,
    "pytest": understand_pytest,
    "tox": understand_tox,
    "pip": understand_pip,
}


class UnderstoodError(Exception):
    """A script's parser has read its words: the rest is not run."""


def understand_script(path: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Hand the words to a script of ours, and stop it once it has read them."""
    assert (ROOT / path).exists(), path
    if path == "scripts/regenerate_goldens.py":
        understand_conformance(["goldens", "stage", *words], monkeypatch)
        return
    script: Any = importlib.import_module(Path(path).stem)
    read = argparse.ArgumentParser.parse_args

    def read_and_stop(parser: Any, *arguments: Any) -> NoReturn:
        read(parser, *arguments)
        raise UnderstoodError

    monkeypatch.setattr(sys, "argv", [path, *words])
    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", read_and_stop)
    with pytest.raises(UnderstoodError):
        script.main(*([words] if inspect.signature(script.main).parameters else []))


# --- What is run ---------------------------------------------------------------------------------


@pytest.mark.parametrize("words", RUN, ids=shlex.join)
def test_a_command_runs(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In this process, which has JAX at hand."""
    monkeypatch.chdir(tmp_path)
    here = ["--in-process"] if words[1] in ("run", "law") else []

    code = main([*words[1:], *here])

    assert code == ExitCode.OK
