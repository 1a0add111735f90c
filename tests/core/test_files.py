"""What is written is whole or not there, and nobody else writes it meanwhile."""

from __future__ import annotations

import ast
import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conformance.core import files
from conformance.core.errors import GoldenError
from conformance.core.paths import PACKAGE

pytestmark = pytest.mark.usefixtures("cold_python")  # a lock names the process that holds it

HERE = Path(files.__file__)


# --- Locks ---------------------------------------------------------------------------------------

HOLDER = """
import sys, time
from pathlib import Path
from conformance.core.files import locked

with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds `target` until it is told to go on, or killed."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "target")]
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_holds_it_and_what_to_do(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(GoldenError) as caught, files.locked(tmp_path / "target"):
        pass

    assert str(caught.value) == (
        f"{tmp_path / 'target'} is being changed by process {holder.pid} on {os.uname().nodename}: "
        "wait until that is done, or name another folder"
    )


def test_who_is_willing_to_wait_is_told_for_whom_and_comes_next(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    def go_on(who: str) -> None:
        told.append(who)
        assert holder.stdin is not None
        holder.stdin.write("\n")
        holder.stdin.flush()

    told: list[str] = []
    with files.locked(tmp_path / "target", go_on):
        holder.wait(timeout=60)

    assert told == [f"process {holder.pid} on {os.uname().nodename}"]


def test_a_killed_process_holds_nothing_and_its_drafts_are_cleared_away(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    (tmp_path / ".target.0123abcd.tmp").mkdir()
    (tmp_path / ".other.0123abcd.tmp").mkdir()
    holder.send_signal(signal.SIGKILL)
    holder.wait(timeout=60)

    with files.locked(tmp_path / "target"):
        held = sorted(os.listdir(tmp_path))

    assert held == [".other.0123abcd.tmp", ".target.lock"]
    assert os.listdir(tmp_path) == [".other.0123abcd.tmp"]


def test_what_lies_side_by_side_is_held_by_itself(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    with files.locked(tmp_path / "other"):
        assert holder.poll() is None


def test_a_link_is_held_with_what_it_points_at(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    (tmp_path / "link").symlink_to("target")

    with (
        pytest.raises(GoldenError, match=f"changed by process {holder.pid}"),
        files.locked(tmp_path / "link"),
    ):
        pass


def test_never_do_two_hold_it_though_the_file_of_the_lock_comes_and_goes(tmp_path: Path) -> None:
    inside, most = 0, 0

    def enter() -> None:
        nonlocal inside, most
        for _ in range(25):
            with files.locked(tmp_path / "target", lambda _: None):
                inside += 1
                time.sleep(0.001)
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)

    assert most == 1
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("call", ["flock", "open"])
def test_a_disk_that_has_no_locks_is_named_and_no_descriptor_leaks(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    before = os.listdir("/proc/self/fd")
    with monkeypatch.context() as patch:
        patch.setattr(*{"flock": (fcntl, "flock"), "open": (os, "open")}[call], refuse)
        with (
            pytest.raises(GoldenError, match="target cannot be written: No locks available"),
            files.locked(tmp_path / "target"),
        ):
            pass

    assert os.listdir("/proc/self/fd") == before


def test_where_there_are_no_locks_the_import_says_what_to_do() -> None:
    code = "import sys; sys.modules['fcntl'] = None; import conformance.core.files"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603

    assert done.stderr.splitlines()[-1] == (
        "ImportError: conformance runs on Linux and macOS, and this is 'posix', which has no "
        "fcntl: on Windows use WSL"
    )


# --- Files ---------------------------------------------------------------------------------------


def test_a_file_keeps_its_mode_and_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o640)
    (tmp_path / "link").symlink_to("file")

    files.replace_file(tmp_path / "link", "new")

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_text() == "new"
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_file_that_cannot_be_finished_leaves_the_old_one_and_no_draft(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")

    def write() -> None:
        with files.atomic_file(tmp_path / "file") as draft:
            draft.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()

    assert (tmp_path / "file").read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


Step = tuple[str, str]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """What is flushed and renamed, in order, by name; all drafts are called `draft`."""
    seen: list[Step] = []
    flush, rename, replace = os.fsync, Path.rename, Path.replace

    def name(path: Path) -> str:
        return "draft" if files.is_draft(path) else path.name

    def flushed(descriptor: int) -> None:
        seen.append(("flush", name(Path(os.readlink(f"/proc/self/fd/{descriptor}")))))
        flush(descriptor)

    def renamed(self: Path, target: Path, of: Callable[[Path, Path], Path] = rename) -> Path:
        seen.append(("rename", name(self)))
        return of(self, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "rename", renamed)
    monkeypatch.setattr(Path, "replace", lambda self, to: renamed(self, to, replace))
    return seen


def test_a_file_is_flushed_then_renamed_then_its_folder_is_flushed(
    tmp_path: Path, steps: list[Step]
) -> None:
    files.replace_file(tmp_path / "file", "new")

    assert steps == [("flush", "draft"), ("rename", "draft"), ("flush", tmp_path.name)]


# --- Folders -------------------------------------------------------------------------------------


def test_a_folder_is_flushed_with_all_in_it_then_renamed_then_its_parent_is_flushed(
    tmp_path: Path, steps: list[Step]
) -> None:
    with files.atomic_folder(tmp_path / "folder") as draft:
        files.write_file(draft / "within" / "file", b"new")

    assert steps == [
        ("flush", "file"),
        ("flush", "within"),
        ("flush", "draft"),
        ("rename", "draft"),
        ("flush", tmp_path.name),
    ]


def test_a_folder_that_cannot_be_finished_is_not_there(tmp_path: Path) -> None:
    def write() -> None:
        with files.atomic_folder(tmp_path / "folder") as draft:
            files.write_file(draft / "file", b"ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()

    assert os.listdir(tmp_path) == []


def test_a_folder_that_holds_something_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder" / "within").mkdir(parents=True)

    with (
        pytest.raises(GoldenError, match="folder is not empty: name a new folder, or remove it"),
        files.atomic_folder(tmp_path / "folder"),
    ):
        pass


def test_of_two_processes_that_make_the_same_folder_the_first_one_counts(tmp_path: Path) -> None:
    with files.cached_folder(tmp_path / "folder") as draft:
        files.write_file(draft / "file", b"second")
        with files.cached_folder(tmp_path / "folder") as other:
            files.write_file(other / "file", b"first")

    assert (tmp_path / "folder" / "file").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["folder"]


def test_read_only_folders_are_removed_and_what_links_point_at_is_not(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir(mode=0o555)
    (tmp_path / "folder" / "within").mkdir(parents=True)
    (tmp_path / "folder" / "within" / "file").write_text("")
    (tmp_path / "folder" / "within" / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "folder" / "within").chmod(0o555)

    files.remove(tmp_path / "folder")

    assert os.listdir(tmp_path) == ["kept"]
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o555


# --- One place -----------------------------------------------------------------------------------


FORBIDDEN = ("rename", "renames", "fsync", "rmtree", "move")
SUFFIXES = (".partial", ".draft", ".tmp", ".lock")
LOCK_FILES = ("Pipfile.lock", ".lock")
"""Of package managers, which are read by their names."""

WORDS = re.compile(
    rf"""\b(fcntl|shutil|from\s+os|os\s*\.\s*replace|{"|".join(FORBIDDEN)})\b"""
    rf"""|({"|".join(map(re.escape, SUFFIXES))})['"{{]"""
    r"""|(?<!dataclasses)\.\s*replace\s*\((?!["'][^"']*["']\s*,\s*[^\s)])"""
)
"""Of which a module that does any of it has one: most have none, and are not parsed."""


def own_ways(path: Path) -> Iterator[str]:
    """Yield what a module does to files that is the work of core/files."""
    name, source = path.relative_to(PACKAGE.parent), path.read_text(encoding="utf-8")
    if not WORDS.search(source):
        return
    for node in ast.walk(ast.parse(source)):
        if way := own_way(node):
            yield f"{name}:{getattr(node, 'lineno', 0)} {way}"


def own_way(node: ast.AST) -> str:
    match node:
        case ast.Import(names=names) if any(alias.name == "fcntl" for alias in names):
            return "imports fcntl"
        case ast.ImportFrom(module="fcntl" | "shutil" | "os"):
            return f"imports from {node.module}"
        case ast.Call(func=ast.Attribute(attr=called)) if called in FORBIDDEN:
            return f"calls {called}"
        case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr="replace")):
            return "calls os.replace"
        # Path.replace takes one argument; those of texts, records and dates take others.
        case ast.Call(func=ast.Attribute(attr="replace"), args=[_], keywords=[]):
            return "calls replace"
        case ast.Constant(value=str(text)) if text.endswith(SUFFIXES) and text not in LOCK_FILES:
            return f"names a draft or a lock of its own, {text}"
    return ""


@pytest.mark.parametrize(
    "source",
    [
        "import fcntl",
        "from os import rename",
        "from shutil import copy",
        "shutil.rmtree(folder)",
        "path.rename(target)",
        "os.replace('draft', target)",
        "path.replace(target)",
        "path . replace (\n    'target'\n)",
        "path.replace('text', )",
        "name = f'{path}.tmp'",
        "name = f'.partial{number}'",
    ],
)
def test_a_module_that_does_any_of_it_is_parsed(source: str) -> None:
    assert any(own_way(node) for node in ast.walk(ast.parse(source)))
    assert WORDS.search(source)


def test_only_core_files_locks_renames_flushes_and_removes_folders() -> None:
    found = [way for path in PACKAGE.rglob("*.py") if path != HERE for way in own_ways(path)]

    assert found == []
    assert {way.split(" ", 1)[1] for way in own_ways(HERE)} >= {
        "imports fcntl",
        "calls fsync",
        "calls rename",
        "calls replace",
        "calls rmtree",
    }


def test_a_device_or_a_pipe_is_written_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[str] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_text()))
    reader.start()

    files.replace_file(pipe, "a table")
    reader.join(timeout=60)

    assert received == ["a table"]
    assert pipe.is_fifo()
