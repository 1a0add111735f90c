"""Lets tox take the newest Python on the machine, whichever one tox itself runs under.

The goldens were made with the newest JAX, which needs a newer Python than this project does. tox-uv
tries only the first entry of `base_python`, so the choice is made here; tox loads this file by
itself. pyenv hides all versions but the selected ones, so their folders are appended to PATH.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tox.config.loader.memory import MemoryLoader
from tox.config.sets import EnvConfigSet
from tox.plugin import impl
from tox.session.state import State

VERSIONS = ("3.13", "3.12", "3.11")


def newest_python() -> str | None:
    """Return the newest working Python on PATH, or None where only tox's own is to be found."""
    return next((path for version in VERSIONS for path in _interpreters(version)), None)


def _interpreters(version: str) -> Iterator[str]:
    """Yield the executables of that version; pyenv's stubs of hidden versions fail when run."""
    for folder in os.environ["PATH"].split(os.pathsep):
        if path := shutil.which(f"python{version}", path=folder):
            command = [path, "-c", "import sys; print(sys.executable)"]
            found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # from PATH
            if found.returncode == 0:
                yield found.stdout.strip()


def _show_pyenv_versions() -> None:
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    folders = [os.environ.get("PATH", os.defpath), *map(str, sorted(root.glob("versions/3.*/bin")))]
    os.environ["PATH"] = os.pathsep.join(folders)


@impl
def tox_add_env_config(env_conf: EnvConfigSet, state: State) -> None:
    """Make the newest Python the default of every environment whose name says no version."""
    del state
    if python := newest_python():
        env_conf.loaders.append(MemoryLoader(default_base_python=[python]))


_show_pyenv_versions()
