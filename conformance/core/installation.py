"""What is installed: what distributions bring to this program, and how it came here itself."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import shlex
import sys
from importlib.metadata import EntryPoints
from typing import Any
from urllib.parse import urlsplit

from conformance.core.paths import PACKAGE

NAME = "initializer-conformance"


def entry_points(group: str) -> EntryPoints:
    """Return the entry points of a group, of all that is installed."""
    return _entry_points(tuple(sys.path)).select(group=group)


@functools.cache  # 20 ms each time, for every file of entry points there is
def _entry_points(path: tuple[str, ...]) -> EntryPoints:
    """Return all entry points that are found along the path, which is sys.path."""
    del path
    return importlib.metadata.entry_points()


def extra_command(extra: str) -> str:
    """Return the command that installs what an extra asks for, from where the rest came.

    Only what came from an index has a name that an index knows. All else is told by its folder, its
    wheel or its repository, as installers write it down (PEP 610).
    """
    if (PACKAGE.parent / "pyproject.toml").exists():  # a checkout, installed or not
        return f"pip install -e {shlex.quote(f'{PACKAGE.parent}[{extra}]')}"
    return f"pip install {shlex.quote(_requirement(extra))}"


def _requirement(extra: str) -> str:
    origin = _origin()
    if origin is None:
        return f"{NAME}[{extra}]"
    url = origin["url"]
    if vcs := origin.get("vcs_info"):
        return f"{NAME}[{extra}] @ {vcs['vcs']}+{url}@{vcs['commit_id']}"
    if "dir_info" in origin:
        from urllib.request import url2pathname  # which imports all that fetches from the web

        return f"{url2pathname(urlsplit(url).path)}[{extra}]"
    return f"{NAME}[{extra}] @ {url}"


def _origin() -> dict[str, Any] | None:
    """Return what the installer wrote down; None where it came from an index, or nobody knows."""
    try:
        text = importlib.metadata.distribution(NAME).read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return None
    return None if text is None else json.loads(text)
