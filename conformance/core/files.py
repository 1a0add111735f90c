"""Files and folders that are whole or not there: locks, atomic files, folders that swap places."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from conformance.core.errors import GoldenError


def sync_folders(folder: Path) -> None:
    """Flush a folder's files and folders to the disk, itself last."""
    for path in (*folder.rglob("*/"), folder):
        _sync(path)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def draft_path(folder: Path) -> Path:
    """Return where a set's successor is written."""
    return folder.with_name(f".{folder.name}.draft")


def _replaced(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.replaced")


def swap(folder: Path) -> None:
    """Let the draft and the set change places; the moment between the renames is `recover`'s."""
    folder.rename(_replaced(folder))
    try:
        draft_path(folder).rename(folder)
    except OSError:
        _replaced(folder).rename(folder)
        raise
    with contextlib.suppress(OSError):  # the change is made; an error would say that it is not
        _sync(folder.parent)
    shutil.rmtree(_replaced(folder), ignore_errors=True)


def recover(folder: Path) -> str:
    """Finish or undo what a killed `accept` or `prune` left behind, and say which; "" if nothing.

    The draft is complete once the set has been renamed, so the change is finished from then on.

    Raises:
        GoldenError: the disk refuses, or another command is at work.
    """
    with _locked(folder):
        return _recover(folder)


def _recover(folder: Path) -> str:
    draft, replaced = draft_path(folder), _replaced(folder)
    interrupted = draft.exists() or replaced.exists()
    has_changed = replaced.exists() and (folder.exists() or draft.exists())
    with writing(folder):
        if replaced.exists() and not folder.exists():
            (draft if has_changed else replaced).rename(folder)
    for path in (draft, replaced):
        shutil.rmtree(path, ignore_errors=True)
    if not interrupted:
        return ""
    return f"{'finished' if has_changed else 'undid'} the change of {folder} that was interrupted"


# --- The folder ----------------------------------------------------------------------------------
@contextlib.contextmanager
def at_work(folder: Path) -> Iterator[None]:
    """Hold the set, recovered, against other commands; make its folder if there is none."""
    with _locked(folder):
        _recover(folder)
        with writing(folder):
            folder.mkdir(exist_ok=True)
        yield


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock the folder that the set lies in: the set itself is replaced, and locks stay behind."""
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise GoldenError(
            f"another command is changing the goldens in {folder.parent}: wait until it is done"
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raise what the disk refuses as a GoldenError."""
    try:
        yield
    except OSError as error:
        raise refused(folder, error) from error


@contextlib.contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Lend a folder within the set, on its disk; clear away those that a kill left behind."""
    for path in folder.glob(".scratch-*"):
        shutil.rmtree(path, ignore_errors=True)
    with writing(folder):
        scratch = tempfile.TemporaryDirectory(prefix=".scratch-", dir=folder)
    with scratch as name:
        yield Path(name)


def refused(path: Path, error: OSError) -> GoldenError:
    """Return the error to raise when the disk refuses a write."""
    return GoldenError(
        f"{path} cannot be written: {error.strerror or error}. Free the disk or fix the "
        "permissions and run the command again; what was there before is unchanged"
    )


def write_file(path: Path, data: bytes) -> None:
    """Write a file and its folders, and wait until the disk has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def keep_file(path: Path, name: Path) -> None:
    """Give a file that stays as it is a second name; a copy where the disk has no hard links."""
    name.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, name)
    except OSError:
        write_file(name, path.read_bytes())


def digest(*parts: str) -> str:
    """Return a name for the parts that any change to one of them changes."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def replace_file(path: Path, text: str) -> None:
    """Write a file so that it is never seen half-written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_of(path)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def publish(draft: Path, folder: Path) -> None:
    """Give a finished folder its name; if another process was first, its folder stays."""
    try:
        draft.rename(folder)
    except OSError:
        if not folder.exists():
            raise
        shutil.rmtree(draft)


def draft_of(path: Path) -> Path:
    """Return a name beside `path` that no other process uses."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
