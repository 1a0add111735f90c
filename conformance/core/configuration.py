"""Defaults of options that a project or a shell sets: pyproject.toml, and variables over it.

[tool.conformance]
tier = "quick"
golden = "goldens"
backend = ["cpu", "cuda"]
case-timeout = 60

CONFORMANCE_TIER=full is the same for a shell, CONFORMANCE_CASE_TIMEOUT=600 too, and
CONFORMANCE_BACKEND=cpu,cuda. An option that is given goes before both. The table also holds the
policy of comparisons: see `upgrade.policy`.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from conformance.core.drift_class import DriftClass
from conformance.core.errors import Malformed, SelectionError
from conformance.core.ids import Tier
from conformance.core.reading import NAMED, naming, record, toml

FILE_NAME, TABLE = "pyproject.toml", "conformance"

PREFIX = "CONFORMANCE_"

OF_THE_POLICY = "allow"
"""The key of the table that is no default of an option."""

WAY_OUT = "see docs/configuration.md for what it may say"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What may be configured, by the names of the options; paths are of the current folder."""

    backend: tuple[str, ...] | None = None
    case_timeout: float | None = dataclasses.field(default=None, metadata={NAMED: "case-timeout"})
    golden: str | None = None
    ledger: str | None = None
    max_drift: DriftClass | None = dataclasses.field(default=None, metadata={NAMED: "max-drift"})
    overlay: tuple[str, ...] | None = None
    reports: str | None = None
    tier: Tier | None = None
    workers: int | Literal["auto"] | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One default that was set. texts: as the option would be given. source: by what."""

    texts: tuple[str, ...]
    source: str


NAMES = {
    str(each.metadata.get(NAMED, each.name)): each.name
    for each in dataclasses.fields(Configuration)
}
"""The field of each key."""

_LISTS, _NUMBERS = ("backend", "overlay"), ("case-timeout", "workers")


def configured(
    folder: Path | None = None, variables: Mapping[str, str] = os.environ
) -> dict[str, Setting]:
    """Return what is set, by the names of the options.

    folder: where pyproject.toml may lie; None: the current one.

    Raises:
        SelectionError: a key or a variable is unknown, or a value is none that its option takes.
    """
    path = (folder or Path()) / FILE_NAME
    return {**_of_file(path), **dict(_of_variables(variables))}


def _of_file(path: Path) -> dict[str, Setting]:
    if not _concerns_us(path):
        return {}
    with naming(path, SelectionError, WAY_OUT):
        table = record(dict[str, Any], toml(path).get("tool", {})).get(TABLE, {})
        if not isinstance(table, dict):
            raise Malformed.value(table, "a table").within(f"tool.{TABLE}")
        own = {name: value for name, value in table.items() if name != OF_THE_POLICY}
        found = record(Configuration, own)
    return _settings(found, f"{path} [tool.{TABLE}]")


def _concerns_us(path: Path) -> bool:
    """Return whether a file may say something of ours, in whichever way TOML writes a table.

    Whatever else is wrong in it: a file that is no TOML concerns us where the table is in sight.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return TABLE in text and TABLE in tomllib.loads(text).get("tool", {})
    except tomllib.TOMLDecodeError:
        return f"tool.{TABLE}" in text
    except (OSError, UnicodeDecodeError, TypeError):
        return False


def _of_variables(variables: Mapping[str, str]) -> Iterator[tuple[str, Setting]]:
    for variable, text in variables.items():
        if not variable.startswith(PREFIX):
            continue
        name = variable.removeprefix(PREFIX).lower().replace("_", "-")
        with naming(Path(f"${variable}"), SelectionError, WAY_OUT):
            found = record(Configuration, {name: _value(name, text)})
        yield from _settings(found, f"${variable}").items()


def _value(name: str, text: str) -> Any:
    """Return the text of a variable as the file would have it."""
    if not text.strip():
        raise Malformed("it is empty: unset it, or give it a value")
    if name in _LISTS:
        return [each.strip() for each in text.split(",")]
    if name in _NUMBERS:
        try:
            return int(text) if text.isdigit() else float(text)
        except ValueError:
            return text
    return text


def _settings(found: Configuration, source: str) -> dict[str, Setting]:
    values = {name: getattr(found, field) for name, field in NAMES.items()}
    return {
        name: Setting(texts=value if isinstance(value, tuple) else (_text(value),), source=source)
        for name, value in values.items()
        if value is not None
    }


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
