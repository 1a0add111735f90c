"""What JAX does not publish is touched in one module: scripts and tests included."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from conformance.core.paths import PACKAGE
from tests import ROOT

READER = PACKAGE / "observe" / "jax_compat.py"

INSIDES = {"eqns", "jaxpr", "invars", "outvars", "constvars", "primitive"}
"""Attributes of jaxprs and of what they hold."""

UNPUBLISHED = re.compile(r"(jax\._src|jaxlib|jax\.extend|jax\.experimental\.topologies)(\.|$)")

WORDS = re.compile(rf"\b({'|'.join(sorted(INSIDES))}|_src|jaxlib|extend|topologies)\b")
"""Of which a module that touches any of it has one: nine in ten have none, and are not parsed."""


def touched(source: str) -> list[str]:
    """Return each thing that JAX does not publish and the module touches, in order of names."""
    return sorted(set(_touched(ast.parse(source)))) if WORDS.search(source) else []


def _touched(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        for name in _names(node):
            if name.rpartition(".")[2] in INSIDES or UNPUBLISHED.match(name):
                yield name


def _names(node: ast.AST) -> Iterator[str]:
    """Yield the modules and attributes that a statement or expression reads, in full."""
    match node:
        case ast.Import(names=aliases):
            yield from (alias.name for alias in aliases)
        case ast.ImportFrom(module=str(module), names=aliases):
            yield from (f"{module}.{alias.name}" for alias in aliases)
        case ast.Attribute():
            yield _dotted(node)
        case ast.Call(
            func=ast.Name(id="getattr" | "hasattr"), args=[_, ast.Constant(value=str(name)), *_]
        ):
            yield f".{name}"
        case ast.Call(args=[ast.Constant(value=str(name)), *_]) if _is_import(node.func):
            yield name


def _dotted(node: ast.expr) -> str:
    """Return `a.b.c` as it stands, and `().c` for an attribute of anything but names."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{_dotted(value)}.{name}"
        case _:
            return "()"


def _is_import(function: ast.expr) -> bool:
    """Return whether a function takes a module or object by its name."""
    last = ast.unparse(function).rpartition(".")[2]
    return last in {"import_module", "importorskip", "find_spec", "setattr", "delattr"}


MODULES = [
    path
    for folder in (PACKAGE, ROOT / "scripts", ROOT / "tests")
    for path in sorted(folder.rglob("*.py"))
    if path != READER
]


def test_nobody_but_the_reader_touches_what_jax_does_not_publish() -> None:
    found = {
        str(path.relative_to(ROOT)): names
        for path in MODULES
        if (names := touched(path.read_text(encoding="utf-8")))
    }

    assert found == {}


def test_the_reader_touches_it() -> None:
    assert {name.rpartition(".")[2] for name in touched(READER.read_text("utf-8"))} >= INSIDES


@pytest.mark.parametrize(
    "source",
    [
        "import jaxlib.mlir",
        "from jax import extend",
        "from jax._src import core",
        "from jax.experimental import topologies",
        "jax._src.random.normal",
        "for e in traced.jaxpr.eqns: pass",
        "f().primitive.name",
        "getattr(part, 'jaxpr', part)",
        "importlib.import_module('jaxlib.mlir.ir')",
        "monkeypatch.setattr('jax._src.random.normal', wrong)",
    ],
)
def test_every_way_to_touch_it_is_seen(source: str) -> None:
    assert touched(source)


@pytest.mark.parametrize(
    "source",
    ["packages['jaxlib']", "'as jax._src.random does'", "rows.jaxlib", "jax.random.normal"],
)
def test_what_only_names_it_is_not(source: str) -> None:
    assert touched(source) == []
