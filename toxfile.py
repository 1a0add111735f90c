"""Lets tox take the newest Python on the machine, whichever one tox itself runs under.

The goldens were made with the newest JAX, which needs a newer Python than this project does. tox-uv
tries only the first entry of `base_python`, so the choice is made here; tox loads this file by
itself. pyenv hides all versions but the selected ones, so their folders are appended to PATH.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from tox.config.loader.memory import MemoryLoader
from tox.config.sets import EnvConfigSet
from tox.plugin import impl
from tox.session.state import State

OLDEST = 11
"""The oldest Python 3 that is supported. There is no newest: what comes next year is taken too."""

NAME = re.compile(r"python3\.(\d+)")


def newest_python() -> str | None:
    """Return the newest working Python on PATH, or None where only tox's own is to be found."""
    found: dict[int, list[Path]] = {}
    for folder in map(Path, os.environ["PATH"].split(os.pathsep)):
        for path in sorted(folder.glob("python3.*")):
            if (name := NAME.fullmatch(path.name)) and int(name[1]) >= OLDEST:
                found.setdefault(int(name[1]), []).append(path)
    working = (each for minor in sorted(found, reverse=True) for each in map(_runs, found[minor]))
    return next(filter(None, working), None)


def _runs(path: Path) -> str:
    """Return the executable behind a path; "" of a pre-release, and of what does not run.

    pyenv's stubs of versions that it hides fail when they are run.
    """
    code = "import sys; print(sys.executable) if sys.version_info[3] == 'final' else sys.exit(1)"
    try:
        found = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603  # from PATH
    except OSError:
        return ""
    return "" if found.returncode else found.stdout.strip()


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
