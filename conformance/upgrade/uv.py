"""uv, the cache folder, and files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import uuid
from pathlib import Path


class SideError(RuntimeError):
    """One side cannot be had: no release list, no solution, no environment, or it crashed.

    The message says which side, why, and what to do; the other side's work is kept.
    """


class UnknownRelease(SideError):  # noqa: N818  # names what was asked for
    """The release that was asked for does not exist: a wrong call."""


def uv(*arguments: str) -> str:
    """Run uv and return what it printed.

    Raises:
        SideError: uv is not installed.
        subprocess.CalledProcessError: it failed; `stderr` says why.
    """
    program = shutil.which("uv")
    if program is None:
        raise SideError("uv is not installed, and builds the environments: `pip install uv`")
    result = subprocess.run(  # noqa: S603  # arguments are passed as they are, to no shell
        [program, *arguments], check=True, capture_output=True, text=True
    )
    return result.stdout


def cache_folder(kind: str) -> Path:
    """Return the folder of the user's cache that holds things of this kind."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "initializer-conformance" / kind


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
