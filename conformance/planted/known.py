"""Which faults there are: ours, and those that entry points bring.

An entry point of the group `conformance.faults` names a sequence of `Fault` and `LayerFault`.
Nothing else imports what is wrong on purpose: no run pays for it.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint

from conformance.core import installation
from conformance.core.errors import CatalogueError, SelectionError, unknown
from conformance.planted.fault import Fault, LayerFault, Planted

ENTRY_POINT_GROUP = "conformance.faults"

OURS = EntryPoint(
    name="conformance", value="conformance.suite.faults:EVERY", group=ENTRY_POINT_GROUP
)


def known_faults() -> tuple[Planted, ...]:
    """Return all faults, ours first.

    Raises:
        CatalogueError: an entry point cannot be loaded or names something else, or two faults share
            a name.
    """
    faults: dict[str, Planted] = {}
    for entry_point in (OURS, *installation.entry_points(ENTRY_POINT_GROUP)):
        for fault in _loaded(entry_point):
            if fault.name in faults:
                raise CatalogueError(
                    f"two faults are called {fault.name!r}, the second in {entry_point.value}: "
                    "rename one"
                )
            faults[fault.name] = fault
    return tuple(faults.values())


def _loaded(entry_point: EntryPoint) -> Iterator[Planted]:
    where = f"entry point {entry_point.name} = {entry_point.value} of {ENTRY_POINT_GROUP}"
    way_out = "mend that distribution, or uninstall it"
    try:
        found = tuple(entry_point.load())
    except Exception as error:
        fault = f"{type(error).__name__}: {error}"
        raise CatalogueError(f"{where} cannot be read ({fault}): {way_out}") from error
    for each in found:
        if not isinstance(each, Fault | LayerFault):
            raise CatalogueError(f"{where} holds {each!r}, which is no Fault: {way_out}")
        yield each


def chosen(faults: Sequence[Planted], patterns: Sequence[str]) -> tuple[Planted, ...]:
    """Return the faults whose name or kind fits one of the patterns; all where there is none.

    Raises:
        SelectionError: a pattern fits nothing.
    """
    for pattern in patterns:
        if not any(_fits(fault, pattern) for fault in faults):
            names = {name for fault in faults for name in (fault.name, fault.kind)}
            raise SelectionError(unknown("fault", pattern, names))
    if not patterns:
        return tuple(faults)
    return tuple(fault for fault in faults if any(_fits(fault, each) for each in patterns))


def _fits(fault: Planted, pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for text in (fault.name, fault.kind))
