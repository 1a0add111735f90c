"""A golden set of a few problems, made in a moment by the JAX that is here."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.core import inventory
from conformance.core.ids import Case, parse_case
from conformance.core.paths import BUDGETS, LAYERS, shipped
from conformance.core.records import Entry, Observation, Outcome
from conformance.flax import store as layers
from conformance.observe.environment import capture
from conformance.observe.observer import Observer
from conformance.store.entries import GOLDEN, RECORDING, entry_of
from conformance.store.write import now, write_store


def observed(case: Case, catalogue: Catalogue) -> Observation:
    """Return what a case does here, with its stages."""
    spec, observer = catalogue.lookup(case.problem.initializer), Observer()
    return observer.with_stages(observer.observe(case, spec), spec)


def outcome_of(case: Case, catalogue: Catalogue) -> Outcome:
    """Return what a case returns here; stages, which take a program each, are not asked for."""
    return Observer().observe(case, catalogue.lookup(case.problem.initializer)).outcome


def write(folder: Path, *case_ids: str, is_recording: bool = False, jax: str = "") -> Path:
    """Write what the cases return here, as goldens of their problems or as a recording.

    jax: version to pretend to. The budgets are those of the shipped set.
    """
    catalogue = load_catalogue()
    entries: list[Entry] = []
    for case in map(parse_case, case_ids):
        observation = observed(case, catalogue)
        entry = entry_of(observation, catalogue.lookup(case.problem.initializer).family)
        entries.append(entry if is_recording else dataclasses.replace(entry, id=case.problem.id))
    kind = RECORDING if is_recording else GOLDEN
    environment = dataclasses.asdict(capture(("cpu",)))
    environment["packages"] |= {"jax": jax} if jax else {}
    provenance = {
        "environment": environment,
        "machine_faults": [],
        "date": now(),
        "reason": "a test",
    }
    write_store(folder, entries, kind=kind, provenance=[provenance])
    shutil.copy(shipped() / BUDGETS, folder)
    if not is_recording:
        inventory.write(folder)
    return folder


def write_layers(folder: Path, outcomes: Mapping[str, Outcome], jax: str = "") -> None:
    """Give a set goldens of layers, by id. jax: version to pretend to."""
    environment = dataclasses.asdict(capture(("cpu",)))
    environment["packages"] |= {"jax": jax} if jax else {}
    provenance = {"environment": environment, "date": now(), "reason": "a test"}
    entries = [layers.entry_of(key, outcome) for key, outcome in outcomes.items()]
    write_store(folder / LAYERS, entries, kind=LAYERS, provenance=[provenance])
