"""Faults of a model that are known: which, why they are left, and that they are still there.

An entry excuses the faults that it names and no others. One that matches nothing has outlived its
fault, and is told as loudly as a fault.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from pathlib import Path

from conformance.core.errors import LedgerError
from conformance.core.reading import naming, record, toml
from conformance.models.audit import Audit, Audited


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """One entry. parameter, fault: glob patterns, of the path and of the text that is told."""

    parameter: str
    fault: str
    reason: str

    def covers(self, parameter: Audited, fault: str) -> bool:
        """Return whether the entry speaks of a fault of a parameter."""
        is_named = fnmatch.fnmatchcase(parameter.path, self.parameter)
        return is_named and fnmatch.fnmatchcase(fault, self.fault)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    known: tuple[Known, ...] = ()


def load_known(path: Path) -> tuple[Known, ...]:
    """Return the entries of a TOML file.

    Raises:
        LedgerError: it cannot be read, or an entry lacks a field or says nothing in one.
    """
    way_out = "put it right; an entry is a [[known]] table with parameter, fault and reason"
    with naming(path, LedgerError, way_out):
        entries = record(_File, toml(path)).known
    for entry in entries:
        for field in dataclasses.fields(entry):
            if not getattr(entry, field.name).strip():
                raise LedgerError(f"{path}: {field.name} of an entry is empty: {way_out}")
    return entries


def excused(result: Audit, entries: tuple[Known, ...]) -> Audit:
    """Return the audit with the faults that are known set apart, and entries that match none."""
    parameters = tuple(_excused(parameter, entries) for parameter in result.parameters)
    outlived = tuple(
        f"{entry.parameter}: {entry.fault}"
        for entry in entries
        if not any(
            entry.covers(parameter, fault)
            for parameter in result.parameters
            for fault in parameter.faults
        )
    )
    return dataclasses.replace(result, parameters=parameters, outlived=outlived)


def _excused(parameter: Audited, entries: tuple[Known, ...]) -> Audited:
    left, known = [], []
    for fault in parameter.faults:
        reasons = [entry.reason for entry in entries if entry.covers(parameter, fault)]
        if reasons:
            known.append(f"{fault} (known: {reasons[0]})")
        else:
            left.append(fault)
    return dataclasses.replace(parameter, faults=tuple(left), known=tuple(known))
