"""uv, which builds the environments."""

from __future__ import annotations

import shutil
import subprocess

from conformance.core.errors import SideError


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
