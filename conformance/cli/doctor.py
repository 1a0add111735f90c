"""`conformance doctor`: what in this environment can change numbers, and what is unusual in it."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
from collections.abc import Mapping

from conformance.cases.backends import HERE, BackendSpec, installed
from conformance.core.errors import ExitCode
from conformance.core.paths import golden_folder
from conformance.core.records import Environment
from conformance.core.settings import NOTE, comparable, differences, told, unusual
from conformance.flax.store import open_layers
from conformance.observe import environment, lapack, programs
from conformance.observe.backends import present_backends
from conformance.report.aligned import aligned
from conformance.store.read import open_store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the golden set whose environment this one is compared with."""
    parser.add_argument(
        "--golden", default=None, metavar="DIR", help="golden set (default: the shipped one)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the facts, then what is unusual, then what differs from where the goldens were made."""
    here = environment.capture(present_backends())
    shown = dataclasses.replace(here, host=told(here.host))
    for title in ("packages", "devices", "host", "config"):
        print("\n".join(_section(title, getattr(shown, title))))
    print("\n".join(["compiled programs", *programs.lines(here)]))
    print("\n".join(backend_lines()))
    print("\n".join(unusual_lines(here)))
    print("\n".join(golden_lines(here, arguments.golden)))
    return ExitCode.OK


def backend_lines() -> list[str]:
    """Return what each backend is: one that answers here, or what installs it; then what is broken.

    Executors are not opened, since some start a compiler.
    """
    present, known = present_backends(), installed()
    lines = [
        f"  {spec.name}: {'present' if spec.name in present else _absent(spec)}"
        f"{'' if spec.origin == HERE else f', of {spec.origin}'}"
        for spec in known.specs()
    ]
    others = [f"  {name}: present" for name in present if name not in known.names()]
    return ["backends", *lines, *others, *(f"  {fault}" for fault in known.faults())]


def _absent(spec: BackendSpec) -> str:
    kind = "an executor" if spec.is_executor else "absent"
    return f"{kind} ({spec.hint})" if spec.hint else kind


def unusual_lines(here: Environment) -> list[str]:
    """Return each unusual setting with its consequence."""
    found = [*unusual(here), *_untold(here)]
    return ["unusual", *(f"  {line}" for line in found or ["nothing"])]


def _untold(here: Environment) -> list[str]:
    """Return how to learn which LAPACK this is, where nothing here can tell."""
    if "lapack" in here.host or importlib.util.find_spec(lapack.WITNESS):
        return []
    return [f"lapack=unknown: `pip install {lapack.WITNESS}` tells which, and its kernel"]


def golden_lines(here: Environment, golden: str | None) -> list[str]:
    """Return what differs from where the golden set and its layers were made, golden first.

    Raises:
        GoldenError: the set cannot be read.
    """
    folder = golden_folder(golden)
    there, of_layers = open_store(folder).environment, open_layers(folder)
    found = _unlike(there, here)
    lines = [f"unlike where {folder} was made", *(f"  {line}" for line in found or ["nothing"])]
    if of_layers is None:
        return lines
    others = [line for line in _unlike(of_layers.environment, here) if line not in found]
    return [
        *lines,
        "and, besides, where its layers were",
        *(f"  {line}" for line in others or ["nothing"]),
    ]


def _unlike(there: Environment, here: Environment) -> list[str]:
    notes = (f"{name}: {text}" for name, text in there.host.items() if name.endswith(NOTE))
    return [*differences(there, comparable(here, there)), *notes]


def _section(title: str, facts: Mapping[str, str]) -> list[str]:
    return [title, *(f"  {line}" for line in aligned(list(facts.items())))]
