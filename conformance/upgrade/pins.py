"""Which release of a package a file of requirements, or a lock file, pins."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from conformance.core.errors import SelectionError

Pin = tuple[str, str]
"""The name of a package, and its one release."""


def pinned(file_name: str, text: str, package: str) -> tuple[str, ...]:
    """Return the releases of the package that the file pins, oldest first; of a fork, several.

    The name says how the file is read: pyproject.toml, Pipfile.lock, uv.lock, poetry.lock,
    pdm.lock and pylock.toml, and everything else as requirements, one a line.

    Raises:
        SelectionError: it is not what its name says.
    """
    try:
        found = {release for name, release in _pins(file_name, text) if _same(name, package)}
        return tuple(sorted(found, key=Version))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise SelectionError(
            f"{file_name} cannot be read as what its name says ({type(error).__name__}: {error}): "
            "mend it, or name the releases yourself"
        ) from error


def _same(name: str, package: str) -> bool:
    return canonicalize_name(name) == canonicalize_name(package)


def _pins(file_name: str, text: str) -> Iterable[Pin]:
    base = file_name.rpartition("/")[2]
    if base == "Pipfile.lock":
        return _of_pipfile(json.loads(text))
    if base == "pyproject.toml":
        return _of_requirements(_in_project(tomllib.loads(text)))
    if base.endswith(".lock") or re.fullmatch(r"pylock(\..+)?\.toml", base):
        return _of_lock(tomllib.loads(text))
    return _of_requirements(_lines(text))


def _of_lock(document: Mapping[str, Any]) -> Iterator[Pin]:
    """Yield what a lock in TOML has; `packages` is PEP 751's word, `package` everybody else's."""
    for each in (*document.get("package", ()), *document.get("packages", ())):
        if "version" in each:  # neither a folder nor a revision has one
            yield each["name"], each["version"]


def _of_pipfile(document: Mapping[str, Any]) -> Iterator[Pin]:
    for section in ("default", "develop"):
        for name, each in document.get(section, {}).items():
            yield from _of_requirements([f"{name}{each.get('version', '')}"])


def _in_project(document: Mapping[str, Any]) -> Iterator[str]:
    project = document.get("project", {})
    groups = (project.get("optional-dependencies", {}), document.get("dependency-groups", {}))
    yield from project.get("dependencies", ())
    for lists in groups:
        for words in lists.values():
            yield from (word for word in words if isinstance(word, str))


def _lines(text: str) -> Iterator[str]:
    """Yield the requirements of a file: pip's reference, "Requirements File Format"."""
    for line in re.sub(r"\\\r?\n", " ", text).splitlines():
        words = re.sub(r"(^|\s)#.*", "", line).strip()
        if words and not words.startswith("-"):  # its own options, such as --index-url
            yield re.split(r"\s--", words)[0]


def _of_requirements(lines: Iterable[str]) -> Iterator[Pin]:
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # a path or an address, which pip takes and PEP 508 does not
            continue
        for each in requirement.specifier:
            if each.operator in ("==", "===") and not each.version.endswith(".*"):
                yield requirement.name, each.version
