"""Setting up another Debian's Python, or an Arm, says what is missing, and changes nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import arm
import debian_python
import pytest
from debian_python import Debian, MissingHere

from conformance.core.errors import ExitCode
from conformance.observe.journal import journal_path

FAKE = Debian(suite="sid", architecture="arm64", python="3.13", loader=("echo", '"$0"', "{folder}"))


def unpacked(folder: Path) -> Path:
    """Put a program where the release's Python would be."""
    program = folder / "debian" / "usr" / "bin" / "python3.13"
    program.parent.mkdir(parents=True)
    program.write_text("not for this machine")
    return program


@pytest.fixture
def without_uv(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Note what commands are called instead of calling them."""
    noted: list[list[str]] = []

    def called(words: list[str], cwd: Path | None = None) -> str:
        del cwd
        noted.append(list(map(str, words)))
        return "amd64\n"

    monkeypatch.setattr(debian_python, "called", called)
    return noted


@pytest.mark.parametrize("tool", ["apt-get", "dpkg-deb", "uv"])
def test_a_tool_that_is_missing_is_named_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None if name == tool else f"/bin/{name}")

    with pytest.raises(MissingHere, match=f"^{tool} is missing: ") as raised:
        debian_python.require_tools()

    assert str(raised.value).endswith(debian_python.TOOLS[tool])


def test_keys_that_are_missing_are_named_with_their_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")

    with pytest.raises(MissingHere, match=r"keys\.gpg is missing.*install debian-archive-keyring"):
        debian_python.require_tools(tmp_path / "keys.gpg")


def test_a_command_that_fails_is_shown_with_what_it_said() -> None:
    with pytest.raises(MissingHere, match=r"`sh -c 'echo no mirror >&2; exit 9'` failed:\nno mirr"):
        debian_python.called(["sh", "-c", "echo no mirror >&2; exit 9"])


def test_a_child_does_not_see_where_this_python_finds_its_modules(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/ours")

    assert debian_python.called(["sh", "-c", "echo $PYTHONPATH"]) == "\n"


def test_a_script_that_knows_how_it_was_called_stands_where_the_program_was(
    tmp_path: Path, without_uv: list[list[str]]
) -> None:
    program = unpacked(tmp_path)

    python = debian_python.make_environment(FAKE, tmp_path)

    done = subprocess.run([program, "-c", "1"], capture_output=True, text=True, check=True)  # noqa: S603  # ours
    assert done.stdout == f"{program} {tmp_path} {program}.program -c 1\n"
    assert python == tmp_path / "environment" / "bin" / "python"
    assert without_uv[-1][:3] == ["uv", "venv", "--clear"]


def test_setting_up_again_keeps_the_program(tmp_path: Path, without_uv: list[list[str]]) -> None:
    program = unpacked(tmp_path)

    for _ in range(2):
        debian_python.make_environment(FAKE, tmp_path)

    assert Path(f"{program}.program").read_text() == "not for this machine"
    assert len(without_uv) == 2


def test_packages_are_verified_by_the_keys_of_debian(
    tmp_path: Path, without_uv: list[list[str]]
) -> None:
    debian_python.unpack(FAKE, tmp_path, "qemu-user:amd64")

    source = (tmp_path / "apt/etc/apt/sources.list").read_text()
    assert source == f"deb [signed-by={debian_python.KEYS}] {debian_python.MIRROR} sid main\n"
    assert (tmp_path / "debian" / "lib").readlink() == Path("usr/lib")
    assert any(words[-1] == "python3.13" for words in without_uv)
    assert any(words[-1] == "qemu-user:amd64" for words in without_uv)


# --- Arm -----------------------------------------------------------------------------------------
def emulator(folder: Path, source: str) -> None:
    """Put a program where the emulated interpreter would be."""
    python = folder / "environment" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{source}\n")
    python.chmod(0o755)


def test_without_an_emulator_it_says_how_to_set_it_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert arm.main(["record", str(tmp_path)]) == ExitCode.MISSING

    assert f"`python scripts/arm.py setup {tmp_path}` makes it" in capsys.readouterr().err


def test_a_recording_over_its_time_is_incomplete_and_goes_on_later(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    emulator(tmp_path, "exec sleep 60")

    assert arm.main(["record", str(tmp_path), "--minutes", "0.005"]) == ExitCode.MISSING
    assert "0.005 minutes are over: say it again to go on" in capsys.readouterr().err


@pytest.mark.parametrize("has_journal", [False, True])
def test_a_recording_that_was_begun_is_resumed(tmp_path: Path, has_journal: bool) -> None:
    emulator(tmp_path, f'echo "$@" > {tmp_path}/words; exit 3')
    if has_journal:
        journal = journal_path(tmp_path / "recordings" / "standard")
        journal.parent.mkdir()
        journal.touch()

    assert arm.main(["record", str(tmp_path), "--tier", "standard"]) == ExitCode.MISSING

    words = (tmp_path / "words").read_text()
    assert words.startswith("-m conformance record --backend cpu --tier standard --seed 0 ")
    assert ("--resume" in words) is has_journal
