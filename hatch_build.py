"""What of the metadata depends on where the source lies: the project's addresses, and its README.

On an index a README has no files beside it, so its links become those of the repository, at the
commit that was built. Which repository that is, this source does not know: GitHub's runners say so,
and a clone by its `origin`. Built from anything else there are none, rather than wrong ones.
A wheel that is built from an sdist takes both from there: hatchling reads its PKG-INFO.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(\]\()(?![a-z]+:|#)([^)]+\))")
"""A link of Markdown to a file: neither an address nor a heading of the same page."""

ORIGIN = re.compile(r"(?:https://|git@|ssh://git@)github\.com[/:]([^/]+/[^/]+?)(?:\.git)?/?")


class CustomMetadataHook(MetadataHookInterface):
    """Adds `readme` and `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set both, as far as they are known."""
        folder = Path(self.root)
        repository, commit = repository_of(folder, os.environ)
        text = (folder / "README.md").read_text(encoding="utf-8")
        if repository:
            metadata["urls"] = addresses(repository)
            text = absolute(text, repository, commit)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def repository_of(folder: Path, variables: Mapping[str, str]) -> tuple[str, str]:
    """Return the address of the repository and the commit that is checked out; "" of neither."""
    commit = variables.get("GITHUB_SHA") or _git(folder, "rev-parse", "HEAD")
    if name := variables.get("GITHUB_REPOSITORY"):
        return f"{variables.get('GITHUB_SERVER_URL', 'https://github.com')}/{name}", commit
    if found := ORIGIN.fullmatch(_git(folder, "remote", "get-url", "origin")):
        return f"https://github.com/{found[1]}", commit
    return "", ""


def addresses(repository: str) -> dict[str, str]:
    """Return the addresses that an index shows, by their well-known labels."""
    return {
        "Repository": repository,
        "Issues": f"{repository}/issues",
        "Documentation": f"{repository}/tree/main/docs",
        "Changelog": f"{repository}/blob/main/CHANGELOG.md",
    }


def absolute(text: str, repository: str, commit: str) -> str:
    """Return Markdown whose links to files lead to the repository, at a commit."""
    return LINK.sub(rf"\g<1>{repository}/blob/{commit or 'main'}/\g<2>", text)


def _git(folder: Path, *words: str) -> str:
    """Return what git says; "" where there is none, or the folder is no clone's root."""
    if not (folder / ".git").exists():
        return ""
    try:
        command = ["git", "-C", str(folder), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        return ""
    return done.stdout.strip()
