"""Which program JAX lowers each initializer to, for platforms that need not be here.

A fingerprint is the digest of the StableHLO that a compiler gets, without source locations. The
same fingerprint and other bits mean that the compiler changed; another fingerprint, that JAX did.
`golden/lowering.json` holds one line for each initializer and dtype. A release may lower another
program, so fingerprints are held to those of the same release only; beside another one, a
difference is information: from 0.11.2 to 0.12.0 the normals changed, all of them and nothing else.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from conformance.arrays import as_dtype
from conformance.catalogue import InitializerSpec
from conformance.definition import expected_error
from conformance.golden import GoldenError
from conformance.model import SCHEMA

FILE_NAME = "lowering.json"
ACCEPT = "`conformance lowering --accept --reason '...'`"

PLATFORMS = ("cpu", "cuda", "tpu", "rocm")
DTYPES = ("float32", "bfloat16", "float16")
SHAPES = ((64, 32), (5, 4, 8))
"""The second is for axes and kernels that need a third dimension."""

Fingerprints = Mapping[str, Mapping[str, str]]
"""`initializer dtype` -> platform -> 16 hexadecimal digits, or `raises X`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lowerings:
    """Accepted fingerprints. versions: of JAX and jaxlib, as `versions()` writes them."""

    versions: str
    reason: str
    fingerprints: Fingerprints


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One initializer and dtype whose programs are not the accepted ones, on some platforms."""

    key: str
    platforms: tuple[str, ...]
    detail: str

    def __str__(self) -> str:
        return f"{self.key} on {', '.join(self.platforms)}: {self.detail}"


def versions() -> str:
    """Return the versions that decide about the text of a program."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("jax", "jaxlib"))


def fingerprints(spec: InitializerSpec) -> dict[str, dict[str, str]]:
    """Return the fingerprint of the spec in each dtype on each platform; tracing once a dtype."""
    return {f"{spec.name} {dtype}": _by_platform(spec, dtype) for dtype in DTYPES}


def _by_platform(spec: InitializerSpec, dtype: str) -> dict[str, str]:
    import jax

    shape = next((s for s in SHAPES if not expected_error(spec.definition, s, dtype)), SHAPES[0])

    def program(words: Any) -> Any:  # its name is part of the text
        key = jax.random.wrap_key_data(words, impl="threefry2x32")
        return initializer(key, shape, as_dtype(dtype))

    try:
        initializer = spec.build()
        traced = jax.jit(program, keep_unused=True).trace(jax.random.key_data(jax.random.key(0)))
    except Exception as error:
        return dict.fromkeys(PLATFORMS, f"raises {type(error).__name__}")
    return {platform: _fingerprint(traced, platform) for platform in PLATFORMS}


def _fingerprint(traced: Any, platform: str) -> str:
    try:
        text: str = traced.lower(lowering_platforms=(platform,)).as_text()
    except Exception as error:
        return f"raises {type(error).__name__}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def changes(accepted: Fingerprints, found: Fingerprints) -> list[Change]:
    """Return what was found and is not accepted, in the order found."""
    return [
        change for key, programs in found.items() for change in _changes(key, accepted, programs)
    ]


def _changes(key: str, accepted: Fingerprints, programs: Mapping[str, str]) -> Iterable[Change]:
    if key not in accepted:
        yield Change(key=key, platforms=tuple(programs), detail=f"none accepted, see {ACCEPT}")
        return
    platforms: dict[str, list[str]] = {}
    for platform, now in programs.items():
        before = accepted[key].get(platform, "none")
        if before != now:
            platforms.setdefault(f"{before} -> {now}", []).append(platform)
    for detail, names in platforms.items():
        yield Change(key=key, platforms=tuple(names), detail=detail)


def explain(accepted: Lowerings, found: list[Change], here: str) -> str:
    """Return what the changes mean under the versions `here`, and what to do; "" if there are none.

    Under the accepted versions they are a fault of this tree or of the environment, else they say
    that JAX lowers other programs now.
    """
    if not found:
        return ""
    lines = [f"  {change}" for change in found]
    if here != accepted.versions:
        head = f"{here} lowers other programs than {accepted.versions}, whose are accepted:"
        return "\n".join([head, *lines])
    return "\n".join(
        [
            f"under {here}, these are lowered to other programs than were accepted:",
            *lines,
            "  The version is the same, so the initializer, a setting or a patch changed. If it is",
            f"  right: {ACCEPT}",
        ]
    )


def load(path: Path) -> Lowerings:
    """Return the accepted fingerprints in a file.

    Raises:
        GoldenError: there is none, or it cannot be read as this schema or an older one.
    """
    if not path.exists():
        raise GoldenError(f"{path} does not exist: accept fingerprints with {ACCEPT}")
    try:
        document = json.loads(path.read_text())
        if document["schema"] > SCHEMA:
            raise GoldenError(
                f"{path} has schema {document['schema']}, and this version reads up to {SCHEMA}: "
                "update this package"
            )
        return Lowerings(
            versions=document["versions"],
            reason=document["reason"],
            fingerprints={key: dict(line) for key, line in document["fingerprints"].items()},
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise GoldenError(
            f"{path} cannot be read ({type(error).__name__}: {error}): restore it from version "
            f"control, or write it anew with {ACCEPT}"
        ) from error


def save(path: Path, lowerings: Lowerings) -> None:
    """Write the fingerprints, one sorted line each, so that `git diff` shows one line a change."""
    lines = ",\n".join(
        f"{json.dumps(key)}: {json.dumps(programs, sort_keys=True)}"
        for key, programs in sorted(lowerings.fingerprints.items())
    )
    head = {"schema": SCHEMA, "versions": lowerings.versions, "reason": lowerings.reason}
    text = f'{json.dumps(head)[:-1]}, "fingerprints": {{\n{lines}\n}}}}\n'
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(path)
