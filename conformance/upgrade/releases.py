"""Which releases there are, which one is meant, and what each needs beside it."""

from __future__ import annotations

import dataclasses
import datetime
import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

from packaging.version import InvalidVersion, Version

from conformance.core.errors import SelectionError, SideError, nearest, unknown
from conformance.core.files import replace_file
from conformance.core.paths import cache_folder
from conformance.observe.lapack import WITNESS
from conformance.upgrade.known import NEEDS, Known
from conformance.upgrade.pins import pinned
from conformance.upgrade.uv import uv

CURRENT, LATEST = "current", "latest"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Where releases come from: the default registry, and perhaps an index of nightly builds."""

    index: str | None = None
    pre: bool = False

    def uv_arguments(self) -> list[str]:
        """Return the options that say the same to uv."""
        if self.index is None:
            return []
        # A nightly index holds the same names as the registry: the newest of both is meant. Which
        # development release is meant the requirements say; the rest stays with its releases.
        return ["--index", self.index, "--index-strategy", "unsafe-best-match"]

    def pip_arguments(self) -> list[str]:
        """Return the options that say the same to pip."""
        arguments = ["--pre"] if self.pre else []
        return [*arguments, "--extra-index-url", self.index] if self.index else arguments


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseList:
    """The releases of a package that this Python can have, oldest first.

    note: "" or that the registry did not answer, and how old the list is.
    """

    package: str
    versions: tuple[str, ...]
    note: str = ""

    @property
    def latest(self) -> str:
        """The newest release."""
        return self.versions[-1]

    def require(self, version: str) -> str:
        """Return the version as the list writes it.

        Raises:
            SelectionError: there is no such release; the message offers the nearest.
        """
        if version not in self.versions:
            recent, kind = self.versions[-1], f"{self.package} release"
            longer = [each for each in self.versions if each.startswith(f"{version}.")]
            longer = longer or nearest(version, (LATEST, CURRENT))
            raise SelectionError(
                f"{unknown(kind, version, self.versions, meant=longer[-3:])} "
                f"(the newest is {recent}; a development release needs --pre)"
            )
        return version

    def between(self, first: str, last: str) -> tuple[str, ...]:
        """Return the releases from first to last, both included.

        Raises:
            SelectionError: one is unknown, or the first is not the older.
        """
        start, end = (self.versions.index(self.require(version)) for version in (first, last))
        if start == end:
            raise SelectionError(
                f"--from and --to are both {first}: no release lies between, so none can be found"
            )
        if start > end:
            raise SelectionError(f"--from {first} is not older than --to {last}: swap them")
        return self.versions[start : end + 1]


def list_releases(package: str, registry: Registry) -> ReleaseList:
    """Return the releases that the registry offers; the list of last time where it is silent.

    Raises:
        SideError: the registry does not answer, and no earlier list is at hand.
    """
    kind = "-pre" if registry.pre else ""
    path = cache_folder("releases") / f"{package}{kind}.json"
    command = [
        *("run", "--isolated", "--no-project", "--quiet", "--python", sys.executable),
        *("--with", "pip", "--", "python", "-m", "pip", "index", "versions", package),
        *("--json", "--disable-pip-version-check", *registry.pip_arguments()),
    ]
    try:
        versions = _parse_versions(uv(*command))
    except (subprocess.CalledProcessError, ValueError) as error:
        return _remembered(package, path, error)
    replace_file(path, json.dumps({"date": str(_today()), "versions": versions}))
    return ReleaseList(package=package, versions=tuple(versions))


def _parse_versions(text: str) -> list[str]:
    versions = json.loads(text)["versions"]
    return sorted(map(str, versions), key=Version)


def _remembered(package: str, path: Path, error: Exception) -> ReleaseList:
    reason = str(getattr(error, "stderr", "") or error).strip().splitlines()[-1:]
    said = reason[0] if reason else "no answer"
    if not path.exists():
        raise SideError(
            f"the list of {package} releases cannot be read ({said}), and no earlier one is at "
            "hand: restore the network, or give exact versions that were installed before"
        ) from error
    document = json.loads(path.read_text(encoding="utf-8"))
    return ReleaseList(
        package=package,
        versions=tuple(document["versions"]),
        note=f"the registry does not answer ({said}); releases as of {document['date']}",
    )


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


# --- What a side is ------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of a comparison, before it is solved.

    name: what reports call it. package: what is upgraded. requirements: what is asked of the
    resolver, of the package and its companions. constraints: a file of more. version: the release,
    where it is one. is_current: the environment that this program runs in, taken as it is. notes:
    what a reader must know of it.
    """

    name: str
    package: str
    requirements: tuple[str, ...] = ()
    constraints: Path | None = None
    version: str | None = None
    is_current: bool = False
    notes: tuple[str, ...] = ()


def parse_side(text: str, package: str, registry: Registry) -> Side:
    """Return the side that a word of the command line means.

    A release, `current`, `latest`, a file of constraints, or wheels joined by commas.

    Raises:
        SelectionError: it is none of these.
        SideError: `latest` was asked for and the registry does not answer.
    """
    if text == CURRENT:
        name = f"current ({package} {importlib.metadata.version(package)})"
        return Side(name=name, package=package, is_current=True)
    if text == LATEST:
        releases = list_releases(package, registry)
        side = release_side(releases.latest, package)
        notes = (releases.note, *side.notes) if releases.note else side.notes
        return dataclasses.replace(side, notes=notes)
    if ".whl" in text:
        return _wheels(text, package)
    if Path(text).is_file():
        return _constrained(text, package)
    return release_side(text, package)


def _constrained(text: str, package: str) -> Side:
    """Return the side of a file of constraints, by the release that it pins, if it pins one."""
    path = Path(text)
    releases = pinned(path.name, path.read_text(encoding="utf-8"), package)
    version = releases[0] if len(releases) == 1 else None
    return Side(
        name=f"{package} {version} ({text})" if version else text,
        package=package,
        requirements=(package, *companions_of(package)),
        constraints=path.absolute(),
        version=version,
    )


def _wheels(text: str, package: str) -> Side:
    paths = [Path(part).absolute() for part in text.split(",")]
    for path in paths:
        if not path.is_file():
            raise SelectionError(f"wheel {path} does not exist")
    name = ", ".join(path.name for path in paths)
    wheels = tuple(f"{path.name.partition('-')[0]} @ {path.as_uri()}" for path in paths)
    return Side(
        name=name, package=package, requirements=(*wheels, package, *companions_of(package))
    )


def release_side(text: str, package: str) -> Side:
    """Return the side of one release, with what it needs.

    Raises:
        SelectionError: the text is no version.
    """
    try:
        version = Version(text)
    except InvalidVersion:
        raise SelectionError(
            f"{text!r} is no release of {package}: give a version, `current`, `latest`, a file of "
            "constraints or a wheel that exists"
        ) from None
    pinned = [f"{package}=={text}"]
    if package == "jax":
        # Some releases of jax have no jaxlib of their own and share the one before.
        pinned.append(f"jaxlib<={text}")
    needs = needs_of(package, version)
    return Side(
        name=f"{package} {text}",
        package=package,
        requirements=(*pinned, *companions_of(package), *(need.requirement for need in needs)),
        version=text,
        notes=tuple(f"{package} {text} needs {need.requirement}: it {need.fact}" for need in needs),
    )


def needs_of(package: str, version: Version) -> list[Known]:
    """Return what a release needs beyond its metadata: of each companion the tightest bound."""
    tightest: dict[str, Known] = {}
    for need in NEEDS:
        if need.package == package and version < Version(need.before):
            tightest.setdefault(need.requirement.partition("<")[0], need)
    return list(tightest.values())


def companions_of(package: str) -> tuple[str, ...]:
    """Return what is installed beside the package: Flax, and what recording needs and makes use of.

    threadpoolctl, which names the LAPACK, is pure Python: every release can have the same.
    """
    # The extra `cpu` pins the jaxlib of the same release, which old releases alone do not.
    other = "jax[cpu]" if package == "flax" else "flax"
    return (other, "numpy", "ml_dtypes", "safetensors>=0.4.3", f"{WITNESS}>=3.1")
