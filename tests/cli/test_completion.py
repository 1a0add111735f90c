"""Completion as a shell does it: the script is loaded, and asked what could follow."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.cli.arguments.completion import SHELLS
from conformance.cli.main import COMMANDS, main

ASK = """
. {script}
COMP_WORDS=({words})
COMP_CWORD={last}
_shtab_conformance
echo "${{COMPREPLY[@]}}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the script for bash."""
    path = tmp_path_factory.mktemp("completion") / "conformance.bash"
    with pytest.MonkeyPatch.context() as patch, path.open("w") as file:
        patch.setattr(sys, "stdout", file)
        assert main(["completion", "bash"]) == 0
    return path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["gat"], "gate"),
        (["goldens", "rev"], "review"),
        (["run", "--ti"], "--tier"),
        (["run", "--tier", "st"], "standard"),
        (["run", "--dtype", "bf"], "bfloat16"),
        (["list", "--transform", "third"], "third_call"),
        (["record", "--initializer", "delta_orthogonal_"], "delta_orthogonal_"),
        (["law", "--backend", "stable"], "stablehlo"),
        (["compare", "--max-drift", "struct"], "structural"),
        (["cache", "pru"], "prune"),
    ],
    ids=" ".join,
)
def test_what_could_follow_is_told(words: list[str], expected: str, script: Path) -> None:
    bash = shutil.which("bash")
    assert bash
    text = ASK.format(
        script=shlex.quote(str(script)),
        words=shlex.join(["conformance", *words]),
        last=len(words),
    )
    done = subprocess.run([bash, "-c", text], capture_output=True, text=True, check=True)  # noqa: S603  # ours

    found = done.stdout.split()
    assert found
    assert all(each.startswith(expected) for each in found)


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_all_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0

    printed = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in printed] == []


def test_without_shtab_the_way_out_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)

    assert main(["completion", "zsh"]) == 3

    told = "conformance: completion needs shtab, which is not installed: pip install shtab\n"
    assert capsys.readouterr().err == told
