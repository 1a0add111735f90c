"""Files and folders that are whole or not there: locks, atomic files, folders that swap places.

All that this package keeps is written through here. What is written goes into a draft beside its
place; the draft is flushed, takes the place by renaming, and then the folder is flushed that holds
it. So a kill, or a machine that stops, leaves the old content or the new one. POSIX only: locks are
`flock`, and renaming replaces what is there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from conformance.core.errors import GoldenError

try:
    import fcntl
except ModuleNotFoundError as error:
    raise ImportError(
        f"conformance runs on Linux and macOS, and this is {os.name!r}, which has no fcntl: on "
        "Windows use WSL"
    ) from error

Waiting = Callable[[str], None]
"""Told who holds a lock, once, before waiting for it."""

VERSION_CONTROL = ".git"


# --- Locks ---------------------------------------------------------------------------------------
@contextlib.contextmanager
def locked(target: Path, waiting: Waiting | None = None) -> Iterator[None]:
    """Hold what lies at `target`, or will, against other processes; clear killed drafts of it away.

    The lock is a file of its own beside the target, `.NAME.lock`, since the target itself may be
    replaced; it goes with the lock, and one that a kill left behind holds nothing.

    waiting: told who holds it, and then this waits for them; without it nobody waits.

    Raises:
        GoldenError: another process holds it, or the disk refuses.
    """
    place = target.resolve()
    with contextlib.ExitStack() as held:
        with writing(target):
            place.parent.mkdir(parents=True, exist_ok=True)
            lock = place.with_name(f".{place.name}.lock")
            while not _taken(lock, target, waiting, held):
                held.close()
            _clear_drafts(place.parent, re.escape(place.name))
        yield


def _taken(lock: Path, target: Path, waiting: Waiting | None, held: contextlib.ExitStack) -> bool:
    """Return whether the lock is held now; if not, its last holder removed the file: try again."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
    held.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 1000, 0).decode(errors="replace") or "another process"
        if waiting is None:
            raise GoldenError(
                f"{target} is being changed by {holder}: wait until that is done, or name another "
                "folder"
            ) from error
        waiting(holder)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    if not _is_at(lock, descriptor):
        return False
    held.callback(_unlink, lock)  # before the descriptor is closed, so that no other lock is hit
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()}".encode(), 0)
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _unlink(lock: Path) -> None:
    with contextlib.suppress(OSError):  # one that stays holds nothing
        lock.unlink()


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raise what the disk refuses as a GoldenError."""
    try:
        yield
    except OSError as error:
        raise GoldenError(
            f"{folder} cannot be written: {error.strerror or error}. Free the disk or fix the "
            "permissions and run the command again; what was there before is unchanged"
        ) from error


# --- Drafts --------------------------------------------------------------------------------------
@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Lend the name of a draft that takes the place of `path`, with its mode, if the block ends.

    A link stays one: what it points at is replaced. A device or a pipe is written as it is.
    """
    place = path.resolve()
    if path.exists() and not place.is_file():
        yield path
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with _draft(place) as draft:
        yield draft
        if place.exists():
            shutil.copymode(place, draft)
        _flush(draft)
        draft.replace(place)
        _flush_name(place)


def replace_file(path: Path, text: str | bytes) -> None:
    """Give a file this content, at once and whole."""
    with atomic_file(path) as draft:
        draft.write_bytes(text.encode() if isinstance(text, str) else text)


def put_file(path: Path, data: bytes) -> None:
    """Give a file this content, whole for whoever reads it, without waiting for the disk.

    For files that can be made again, and of which is seen that they are damaged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _draft(path) as draft:
        draft.write_bytes(data)
        draft.replace(path)


@contextlib.contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Lend the name of a draft that becomes the new `folder` if the block ends.

    Raises:
        GoldenError: the folder holds something.
    """
    require_new(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _draft(folder) as draft:
        yield draft
        flush_tree(draft)
        draft.rename(folder)
        _flush_name(folder)


@contextlib.contextmanager
def cached_folder(folder: Path) -> Iterator[Path]:
    """Lend the name of a draft that becomes `folder`, unless another process was first.

    For folders that are named by all that their content depends on, so that either will do.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _draft(folder) as draft:
        yield draft
        os.sync()  # of an environment's 14,000 files each flush took 3 ms, this half a second
        try:
            draft.rename(folder)
        except OSError:
            if not folder.exists():
                raise
        _flush_name(folder)


@contextlib.contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Lend an empty folder within `folder`, on its disk, until the block ends."""
    with _draft(folder / "scratch") as scratch:
        with writing(folder):
            scratch.mkdir(parents=True)
        yield scratch


def move_folder(folder: Path, place: Path) -> None:
    """Give a folder another place on the same disk, at once."""
    folder.rename(place)


def require_new(folder: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        GoldenError: it does, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise GoldenError(f"{folder} is a file: name a new folder")
    if folder.exists() and any(folder.iterdir()):
        raise GoldenError(f"{folder} is not empty: name a new folder, or remove it first")


def write_file(path: Path, data: bytes) -> None:
    """Write a file of a draft, and its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@contextlib.contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """Lend a name beside `path` that nobody else uses; remove what is still there in the end."""
    draft = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        yield draft
    finally:
        discard(draft)


def is_draft(path: Path, of: str = ".+") -> bool:
    """Return whether the name is one that drafts have. of: pattern of what they are drafts of."""
    return re.fullmatch(rf"\.{of}\.[0-9a-f]{{8}}\.tmp", path.name) is not None


def _clear_drafts(folder: Path, of: str = ".+") -> None:
    """Remove drafts that nobody is writing any more."""
    for path in folder.glob(".*.tmp"):
        if is_draft(path, of):
            discard(path)


def remove(path: Path) -> None:
    """Remove a file, or a folder with all in it, read-only folders too, if there is one.

    Raises:
        OSError: the disk refuses.
    """
    if path.is_symlink() or path.is_file():
        path.unlink()
        return
    for folder, _, _ in os.walk(path):
        if not os.access(folder, os.W_OK):
            os.chmod(folder, 0o700)
    if path.exists():
        shutil.rmtree(path)


def discard(path: Path) -> None:
    """Remove what nobody will miss, as far as the disk lets."""
    with contextlib.suppress(OSError):
        remove(path)


# --- Flushing ------------------------------------------------------------------------------------
def flush_tree(folder: Path) -> None:
    """Wait until the disk has a folder's files and folders, itself last.

    A file with a second name was there before, and nothing has been written to it.
    """
    for inner, _, names in os.walk(folder, topdown=False):
        for path in (Path(inner, name) for name in names):
            if path.is_file() and not path.is_symlink() and path.stat().st_nlink == 1:
                _flush(path)
        _flush(Path(inner))


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_name(path: Path) -> None:
    """Wait until the disk has the new name; the change is made, an error would say it is not."""
    with contextlib.suppress(OSError):
        _flush(path.parent)


# --- Golden sets ---------------------------------------------------------------------------------
@contextlib.contextmanager
def at_work(folder: Path, waiting: Waiting | None = None) -> Iterator[None]:
    """Hold a set, recovered, against other commands; make its folder if there is none.

    Whoever writes anything into a set holds it, since `swap` replaces all that is in it.

    Raises:
        GoldenError: see `locked`.
    """
    place = folder.resolve()
    with locked(folder, waiting):
        with writing(folder):
            _recover(place)
            place.mkdir(exist_ok=True)
            _clear_drafts(place)
        yield


def successor(folder: Path) -> Path:
    """Return where a set's successor is written; `recover` knows it by its name."""
    place = folder.resolve()
    return place.with_name(f".{place.name}.draft")


def _replaced(folder: Path) -> Path:
    place = folder.resolve()
    return place.with_name(f".{place.name}.replaced")


def is_changing(folder: Path) -> bool:
    """Return whether the set is between its two renames, or was left there by a kill."""
    return _replaced(folder).exists() and not folder.exists()


def swap(folder: Path) -> None:
    """Let the set's successor take its place; the moment between the renames is `recover`'s."""
    folder.rename(_replaced(folder))
    try:
        successor(folder).rename(folder)
    except OSError:
        _replaced(folder).rename(folder)
        raise
    _flush_name(folder)
    _drop_replaced(folder)


def _drop_replaced(folder: Path) -> None:
    """Remove the set that was replaced, once its version control has moved over.

    That is moved, not copied, so that what git writes in the meantime is not lost.
    """
    history = _replaced(folder) / VERSION_CONTROL
    if os.path.lexists(history):
        history.rename(folder / VERSION_CONTROL)
        _flush_name(folder / VERSION_CONTROL)
    discard(_replaced(folder))


def recover(folder: Path) -> str:
    """Finish or undo what a killed `accept` or `prune` left behind, and say which; "" if nothing.

    Raises:
        GoldenError: the disk refuses, or another command is at work.
    """
    if not (successor(folder).exists() or _replaced(folder).exists()):
        return ""
    with locked(folder), writing(folder):
        return _recover(folder)


def _recover(folder: Path) -> str:
    """Do the work of `recover`, with the lock held.

    The successor is complete once the set has been renamed: from then on the change is finished.
    """
    draft, replaced = successor(folder), _replaced(folder)
    if replaced.exists() and not folder.exists():
        has_changed = draft.exists()
        (draft if has_changed else replaced).rename(folder)
    elif replaced.exists() or draft.exists():
        has_changed = replaced.exists()
    else:
        return ""
    discard(draft)
    _drop_replaced(folder)
    return f"{'finished' if has_changed else 'undid'} the change of {folder} that was interrupted"


def digest(*parts: str) -> str:
    """Return a name for the parts that any change to one of them changes."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
