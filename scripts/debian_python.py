"""Set up a Python of another Debian, with its own C library, beside this system's.

    python scripts/debian_python.py DIR        # prints the interpreter, for `cpus.py --libc`

Debian testing's Python is unpacked into DIR and started by its own loader, so nothing of this
system is changed, and neither root nor chroot is needed. DIR/environment is an environment of it
with this package and what judging needs. Needs apt-get and dpkg-deb, as Debian and Ubuntu have
them, Debian's keys (package debian-archive-keyring) and uv.

Exits with 3 where something is missing, and says what.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from conformance.core.errors import ExitCode

ROOT = Path(__file__).parent.parent
MIRROR = "http://deb.debian.org/debian"
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

TOOLS = {
    "apt-get": "this needs Debian, or a system made of it",
    "dpkg-deb": "this needs Debian, or a system made of it",
    "uv": "`pip install uv` provides it",
}


class MissingHere(Exception):  # noqa: N818  # it names a state
    """Something that setting up needs is not here; the message says what, and the way out."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Debian:
    """A release of Debian for one architecture, its Python, and how a process of it is started.

    loader: shell words before the program; {folder} is where all is, "$0" how it was called.
    """

    suite: str
    architecture: str
    python: str
    loader: tuple[str, ...]


TESTING = Debian(
    suite="forky",
    architecture="amd64",
    python="3.14",
    loader=(
        "{folder}/debian/usr/lib64/ld-linux-x86-64.so.2",
        "--inhibit-cache",
        *("--library-path", "{folder}/debian/usr/lib/x86_64-linux-gnu"),
        *("--argv0", '"$0"'),
    ),
)


def require_tools(keys: Path = KEYS) -> None:
    """Ensure that all is here that setting up needs.

    Raises:
        MissingHere: something is not.
    """
    for tool, way_out in TOOLS.items():
        if shutil.which(tool) is None:
            raise MissingHere(f"{tool} is missing: {way_out}")
    if not keys.exists():
        raise MissingHere(
            f"{keys} is missing, which holds Debian's keys: install debian-archive-keyring"
        )


def unpack(debian: Debian, folder: Path, *others: str) -> None:
    """Put the release's Python, and all that it needs, under `folder`/debian.

    others: packages to put under `folder`/others without what they need, as in `qemu-user:amd64`.

    Raises:
        MissingHere: the mirror does not answer, or does not have it.
    """
    apt = folder / "apt"
    for name in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "var/lib/apt/lists/partial"):
        (apt / name).mkdir(parents=True, exist_ok=True)
    archives = apt / "var/cache/apt/archives"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    (apt / "var/lib/dpkg").mkdir(parents=True, exist_ok=True)
    (apt / "var/lib/dpkg/status").touch()
    (apt / "etc/apt/sources.list").write_text(
        f"deb [signed-by={KEYS}] {MIRROR} {debian.suite} main\n"
    )
    host = called(["dpkg", "--print-architecture"]).strip()
    settings = {
        "Dir": apt,
        "Dir::State::status": apt / "var/lib/dpkg/status",
        "APT::Architecture": debian.architecture,
        "APT::Architectures::": host,
        "APT::Sandbox::User": "",
    }
    get = ["apt-get", *(f"-o{name}={value}" for name, value in settings.items()), "-qq"]
    called([*get, "update"])
    wanted = ["libstdc++6", f"python{debian.python}"]  # the first one for wheels
    called([*get, "install", "--yes", "--no-install-recommends", "--download-only", *wanted])
    merge_usr(folder / "debian")
    unpack_all(archives.glob("*.deb"), folder / "debian")
    if others:
        downloads = folder / "downloads"
        downloads.mkdir(exist_ok=True)
        called([*get, "download", *others], cwd=downloads)
        unpack_all(downloads.glob("*.deb"), folder / "others")


def merge_usr(root: Path) -> None:
    """Let /lib be /usr/lib, as an installed Debian has it: loaders are looked for there."""
    for name in ("lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")


def unpack_all(packages: Iterable[Path], root: Path) -> None:
    """Unpack packages without running anything of them."""
    for package in sorted(packages):
        called(["dpkg-deb", "--extract", str(package), str(root)])


def make_environment(debian: Debian, folder: Path) -> Path:
    """Make a virtual environment of the unpacked Python; return its interpreter.

    A script that starts the program by its loader stands where the program was, so that every
    environment made of it, and every process that it starts, is such a one.
    """
    script = folder / "debian" / "usr" / "bin" / f"python{debian.python}"
    program = script.with_name(f"{script.name}.program")
    if not program.exists():
        script.rename(program)
    loader = " ".join(word.format(folder=shlex.quote(str(folder))) for word in debian.loader)
    script.write_text(f'#!/bin/sh\nexec {loader} {shlex.quote(str(program))} "$@"\n')
    script.chmod(0o755)
    called(["uv", "venv", "--clear", "--python", str(script), str(folder / "environment")])
    return folder / "environment" / "bin" / "python"


def called(words: Sequence[str], cwd: Path | None = None) -> str:
    """Return what a command prints.

    Raises:
        MissingHere: it failed; the message ends with what it said.
    """
    done = subprocess.run(  # noqa: S603  # ours
        words, cwd=cwd, capture_output=True, text=True, check=False, env=plain()
    )
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise MissingHere(f"`{shlex.join(words)}` failed:\n{said}")
    return done.stdout


def plain() -> dict[str, str]:
    """Return the environment without what would lead another Python to this one's modules."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def main(words: Sequence[str]) -> int:
    """Set the environment up and print its interpreter."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, metavar="DIR", help="new folder")
    folder = parser.parse_args(words).folder.resolve()
    try:
        require_tools()
        unpack(TESTING, folder)
        python = make_environment(TESTING, folder)
        called(["uv", "pip", "install", "--python", str(python), "--editable", f"{ROOT}[judge]"])
    except MissingHere as error:
        print(error, file=sys.stderr)
        return ExitCode.MISSING
    print(python)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
