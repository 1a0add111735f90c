"""`conformance list`: what there is to run, one a line, for eyes and for `xargs`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from conformance.cases.backends import installed
from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.cases.selection import select
from conformance.core.errors import ExitCode
from conformance.core.ids import Case
from conformance.run import options

BACKENDS = "backends"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what is listed, and the selection."""
    parser.description = (
        "List what a selection holds, one a line. Lists cases on the CPU unless --backend says "
        "otherwise, whatever devices are present; never starts JAX."
    )
    kind = parser.add_mutually_exclusive_group()
    for name, (_, text) in KINDS.items():
        kind.add_argument(f"--{name}", dest="kind", action="store_const", const=name, help=text)
    text = "backends by name: what `auto` makes of each, who brings it, what installs it"
    kind.add_argument(f"--{BACKENDS}", dest="kind", action="store_const", const=BACKENDS, help=text)
    options.add_selection_options(parser.add_argument)


def run(arguments: argparse.Namespace) -> int:
    """Print one line for each initializer, problem or case of the selection, or each backend."""
    catalogue = load_catalogue()
    if arguments.kind == BACKENDS:
        print("\n".join(_backends()))
        return ExitCode.OK
    selection = options.read_arguments(arguments).on("cpu")
    lines, _ = KINDS[arguments.kind or "cases"]
    print("\n".join(lines(catalogue, select(catalogue, selection))))
    return ExitCode.OK


def _backends() -> list[str]:
    """Return the backends between tabs, then why others cannot be used; none is opened."""
    known = installed()
    lines = [
        f"{spec.name}\t{'executor' if spec.is_executor else 'device'}\t{spec.origin}\t"
        f"{spec.hint or 'comes with JAX, or its plug-in'}"
        for spec in known.specs()
    ]
    return [*lines, *(f"note: {fault}" for fault in known.faults())]


def _initializers(catalogue: Catalogue, cases: list[Case]) -> list[str]:
    names = sorted({case.problem.initializer for case in cases})
    specs = map(catalogue.lookup, names)
    return [
        f"{spec.name}\t{spec.family}\t{spec.tier}\t{spec.definition or 'no definition'}"
        for spec in specs
    ]


def _problems(_: Catalogue, cases: list[Case]) -> list[str]:
    return sorted({case.problem.id for case in cases})


def _cases(_: Catalogue, cases: list[Case]) -> list[str]:
    return [case.id for case in cases]


KINDS: dict[str, tuple[Callable[[Catalogue, list[Case]], list[str]], str]] = {
    "cases": (_cases, "case ids (default), as `conformance run` takes them"),
    "problems": (_problems, "problem ids: what goldens are kept for"),
    "initializers": (_initializers, "name, family, smallest tier and definition, between tabs"),
}
