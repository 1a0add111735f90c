"""An isolated environment for one side: solved once, built once, kept by content.

A plan is a Python and a list of exact pins. Its digest names the environment, so two sides that
need the same packages share one, and a plan solved before needs no network.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.version import Version

from conformance.core.errors import SideError, UnknownRelease
from conformance.core.files import cached_folder, digest, replace_file, scratch_folder
from conformance.core.paths import cache_folder
from conformance.core.reading import document, record
from conformance.upgrade.cache import touch
from conformance.upgrade.releases import Registry, Side
from conformance.upgrade.uv import uv

OLDEST_PYTHON = (3, 11)
"""What recording itself needs."""

_FLAX = "flax|orbax-checkpoint|optax|chex|tensorstore"
NOT_SHARED = {
    "jax": re.compile(rf"(?:jax|jaxlib|jax-[\w-]+|libtpu|{_FLAX})\b"),
    "flax": re.compile(rf"(?:{_FLAX})\b"),
}
"""Pins that the second side does not take over from the first, by what is upgraded. Under another
JAX, Flax and what it needs follow: an old Flax may not import beside a new JAX."""


OWN_BUILD = re.compile(r"(jax|jaxlib|flax)==.*(dev|\+)")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one side installs. An empty `python` means the running environment, taken as it is."""

    name: str
    python: str
    pins: tuple[str, ...]

    @property
    def key(self) -> str:
        """Name of the environment, by content; what is local counts with its bytes."""
        local = (_content(path) for path in map(_local, self.pins) if path)
        return digest(self.python, *self.pins, *local)

    @property
    def is_current(self) -> bool:
        """Whether this is the environment that the program runs in."""
        return not self.python

    @property
    def is_lasting(self) -> bool:
        """Whether the pins say all: a build of one's own keeps its version when it changes."""
        return not (self.is_current and any(map(OWN_BUILD.match, self.pins)))


def _local(pin: str) -> Path | None:
    """Return the wheel or folder that a pin points at, None for a release of the registry."""
    place = pin.rpartition(" @ ")[2]
    if place.startswith("file://"):
        return Path(url2pathname(urlsplit(place).path))
    return Path(place) if Path(place).is_absolute() else None


def _content(path: Path) -> str:
    """Return the digest of a wheel, or of the files of a folder."""
    files = [path] if path.is_file() else sorted(_files(path))
    parts = []
    for file in files:
        with file.open("rb") as stream:
            parts.append(hashlib.file_digest(stream, "sha256").hexdigest())
    return digest(*map(str, files), *parts)


DERIVED = re.compile(
    r"\.(git|hg|svn|v?env|tox|nox|idea|vscode|hypothesis|eggs|\w+_cache)|__pycache__|.*\.egg-info"
)
"""Names of folders that are no source of a package: version control, and what tools write."""

MARKS = ("pyvenv.cfg", "CACHEDIR.TAG")
"""Files that say of the folder that holds them that it is an environment, or a cache."""


def _files(folder: Path) -> Iterator[Path]:
    """Yield all files that may end in a package built of the folder: its data count as its code.

    So do names that begin with a dot, and what lies in a folder that is a link: builders take both.
    """
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        is_again = os.path.realpath(place) in seen  # a link to what holds it
        seen.add(os.path.realpath(place))
        folders[:] = [name for name in folders if not DERIVED.fullmatch(name)]
        if is_again or (Path(place) != folder and any(mark in names for mark in MARKS)):
            folders.clear()
            continue
        if Path(place) == folder and "build" in folders:
            folders.remove("build")  # where setuptools writes while it builds
        yield from (path for name in names if (path := Path(place, name)).is_file())


@functools.cache
def pythons() -> tuple[str, ...]:
    """Return the interpreters to try: the running one, then those found, newest first.

    Searched are PATH and pyenv's folder; a Python too old to record is left out.
    """
    found: dict[tuple[int, int], str] = {}
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for minor in range(OLDEST_PYTHON[1], OLDEST_PYTHON[1] + 10):
        name = f"python3.{minor}"
        kept = sorted(pyenv.glob(f"3.{minor}.*/bin/{name}"))
        candidates = [shutil.which(name), *map(str, kept)]
        # A shim of pyenv answers to every name, and fails for a version that is not chosen.
        works = (path for path in candidates if path and _runs(path, minor))
        if path := next(works, None):
            found[(3, minor)] = path
    found.pop(sys.version_info[:2], None)
    return (sys.executable, *(found[version] for version in sorted(found, reverse=True)))


def _runs(python: str, minor: int) -> bool:
    code = f"import sys; sys.exit(sys.version_info[:2] != (3, {minor}))"
    command = [python, "-c", code]
    return not subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603


# --- Solving -------------------------------------------------------------------------------------


def solve(
    side: Side,
    registry: Registry,
    *,
    extra: Sequence[str] = (),
    like: Plan | None = None,
    fresh: bool = False,
) -> Plan:
    """Return the plan of a side, on the first Python for which there is one.

    extra: requirements of the user's own code. like: the other side's plan, whose Python and pins
    are taken over as far as this side allows. fresh: ask the registry even if the same was solved
    before, as for a nightly build.

    Raises:
        SideError: there is no solution on any Python; the message carries the resolver's reason.
        UnknownRelease: because there is no such release.
    """
    if side.is_current:
        return _current_plan(side)
    question = _question(side, extra)
    preferred = (like.python if like else "", *_shared(side, like))
    local = (_content(path) for path in map(_local, question.splitlines()) if path)
    asked = digest(question, *registry.uv_arguments(), *preferred, sys.executable, *local)
    path = cache_folder("plans") / f"{asked}.json"
    if path.exists() and not fresh:
        return record(Plan, document(path))
    is_asked_more = bool(extra or side.constraints)
    plan = _solve(side, question, registry, like, is_asked_more=is_asked_more)
    replace_file(path, json.dumps(dataclasses.asdict(plan), indent=1))
    return plan


def _current_plan(side: Side) -> Plan:
    installed = {
        f"{found.name}=={found.version}".lower() for found in importlib.metadata.distributions()
    }
    return Plan(name=side.name, python="", pins=tuple(sorted(installed)))


def _question(side: Side, extra: Sequence[str]) -> str:
    lines = [*side.requirements, *extra]
    if side.constraints:
        lines += side.constraints.read_text(encoding="utf-8").splitlines()
    return "\n".join(lines) + "\n"


def _shared(side: Side, like: Plan | None) -> tuple[str, ...]:
    if like is None:
        return ()
    return tuple(pin for pin in like.pins if not NOT_SHARED[side.package].match(pin))


def _solve(
    side: Side, question: str, registry: Registry, like: Plan | None, *, is_asked_more: bool
) -> Plan:
    preferred = (like.python,) if like and like.python else ()
    reasons: dict[str, list[str]] = {}
    for python in dict.fromkeys((*preferred, *pythons())):
        try:
            pins = _compile(question, registry, python, _shared(side, like))
        except subprocess.CalledProcessError as error:
            reasons.setdefault(_reason(error.stderr), []).append(python)
            continue
        return Plan(name=side.name, python=python, pins=pins)
    tried = (f"{reason} (tried {', '.join(tried)})" for reason, tried in reasons.items())
    said = " ".join(reasons)
    kind = UnknownRelease if side.version and re.search(NEVER, said) else SideError
    way_out = _way_out(said, is_asked_more=is_asked_more)
    if side.version and Version(side.version).is_prerelease and not registry.pre:
        way_out += "; development releases and candidates need --pre, nightly ones --index URL too"
    raise kind(f"{side.name} cannot be installed: {way_out}\n" + "\n".join(tried))


def _compile(
    question: str, registry: Registry, python: str, preferences: Sequence[str]
) -> tuple[str, ...]:
    """Return the pins that uv finds. It keeps those of an earlier output file where it can."""
    with scratch_folder(cache_folder("plans")) as folder:
        inputs, output = folder / "requirements.in", folder / "requirements.txt"
        inputs.write_text(question, encoding="utf-8")
        output.write_text("\n".join(preferences) + "\n", encoding="utf-8")
        uv(
            *("pip", "compile", str(inputs), "--output-file", str(output), "--python", python),
            *("--no-header", "--no-annotate", "--quiet", *registry.uv_arguments()),
        )
        return tuple(output.read_text(encoding="utf-8").split("\n")[:-1])


def _reason(stderr: str) -> str:
    text = " ".join(stderr.split())
    text = text.removeprefix("error: No solution found when resolving dependencies cause: ")
    return text[:600] + ("..." if len(text) > 600 else "")


WAYS_OUT = (
    (
        r"client error|dns error|timed out|network was disabled",
        "the registry does not answer: restore the network, or give a side solved before",
    ),
    (
        r"was yanked",
        "that release was withdrawn (yanked): choose one before or after it",
    ),
    (
        r"only jaxlib>=\S+ is available",
        "the registry no longer has its jaxlib, for any Python: choose a newer release",
    ),
    (
        r"no wheels with a matching Python|requires-python|requires Python|only jaxlib\S+ is avail",
        "no installed Python suits it: install the one that its wheels are for",
    ),
    (
        r"does not appear to be a Python project",
        "that folder is no project: give --with one that has a pyproject.toml",
    ),
    (
        r"was not found in the package registry",
        "the registry has no package of that name: spell it as it is published, or give a folder",
    ),
    (r"no version of", "there is no such release: `pip index versions jax` (or flax) lists them"),
)
"""What the resolver says, and what to do about it; the first that matches counts."""

NEVER = r"no version of (jax|flax)==|was yanked|only jaxlib>=\S+ is available"
"""What the resolver says of a release that nobody can install."""


def _way_out(said: str, *, is_asked_more: bool) -> str:
    """Return what to do. is_asked_more: whether the caller asked for more than the release."""
    ways = (way for words, way in WAYS_OUT if re.search(words, said, re.IGNORECASE))
    contradiction = (
        "the requirements contradict each other: loosen --with or the constraints"
        if is_asked_more
        else "what it needs contradicts itself in the registry of today: choose another release"
    )
    return next(ways, contradiction)


# --- Building ------------------------------------------------------------------------------------


def build(plan: Plan) -> Path:
    """Return the interpreter of the plan's environment, made now if it was not before.

    Raises:
        SideError: a package cannot be installed.
    """
    if plan.is_current:
        return Path(sys.executable)
    folder = cache_folder("environments") / plan.key
    if not folder.exists():
        _build(plan, folder)
    touch(folder)
    return folder / "bin" / "python"


def _build(plan: Plan, folder: Path) -> None:
    try:
        with cached_folder(folder) as draft:
            pins = draft / "pins.txt"
            uv("venv", "--quiet", "--python", plan.python, "--relocatable", str(draft))
            pins.write_text("\n".join(plan.pins) + "\n", encoding="utf-8")
            # uv takes a folder that a file names from its cache, edited or not; it builds one anew
            # that the command line names.
            local = [str(path) for path in map(_local, plan.pins) if path]
            uv(
                *("pip", "install", "--quiet", "--python", str(draft / "bin" / "python")),
                *("--no-deps", "--requirements", str(pins), *local),
            )
    except subprocess.CalledProcessError as error:
        raise SideError(
            f"the environment of {plan.name} cannot be built ({_reason(error.stderr)}): "
            "restore the network or free the disk, and run the command again"
        ) from error
