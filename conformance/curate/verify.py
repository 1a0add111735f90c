"""Whether all that a golden set holds can be believed, or a set of predictions.

The store's own digests come first: see `golden.verify`. What has none is held to what it says by
itself: provenance to its form, stages to those of other problems that draw alike, and the files
beside the store to the names and figures that they can hold.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from conformance.cases.catalogue import Catalogue
from conformance.core import inventory
from conformance.core.arrays import as_dtype
from conformance.core.budgets import Measurement
from conformance.core.errors import StoreError, unknown
from conformance.core.formats import DTYPES, WIDE_DTYPES
from conformance.core.lattice import Point
from conformance.core.laws import sampler_of
from conformance.core.paths import (
    BUDGETS,
    COMPILED,
    LAYERS,
    LOWERING,
    MANIFEST,
    OVERLAY_NAME,
    OVERLAYS,
    PREDICTIONS,
    PROVENANCE,
)
from conformance.core.records import STAGES, Entry
from conformance.core.ulp import spacing_at
from conformance.flax.store import Earlier, open_layers
from conformance.store import accepted, budgets
from conformance.store.entries import GOLDEN, PREDICTED, problem_of
from conformance.store.read import Store, open_store
from conformance.store.stack import is_of_budgets
from conformance.store.verify import verify

FINGERPRINT = re.compile(r"[0-9a-f]{16}|raises \w+")
FREE_FIELDS = re.compile(r"error|\w+_bytes")
"""What accepted programs say beside fingerprints."""

STAGE_DIGEST = re.compile(r"[0-9a-f]{8}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What was looked at, and what is wrong.

    held: how many of each kind of thing the set holds. absent: files that it does not have. faults:
    one line each, which begins with the file.
    """

    held: Mapping[str, int]
    absent: tuple[str, ...]
    faults: tuple[str, ...]


def verify_set(folder: Path, catalogue: Catalogue) -> Verified:
    """Return what is wrong with a golden set, an overlay of budgets alone, or a set of predictions.

    Raises:
        StoreError: its manifest cannot be read.
    """
    if is_of_budgets(folder):
        held, absent, faults = _beside(folder, catalogue)
        return Verified(held=held, absent=(MANIFEST, *absent), faults=tuple(faults))
    base = open_store(folder)
    if base.kind == PREDICTED:
        predicted = _predictions(base)
        return dataclasses.replace(predicted, faults=(*verify(folder), *predicted.faults))
    faults = [*verify(folder), *_store_faults(base, catalogue)]
    for name in base.overlay_names():
        faults += _store_faults(open_store(folder / OVERLAYS / name), catalogue)
        if not OVERLAY_NAME.fullmatch(name):
            faults.append(
                f"{folder / OVERLAYS / name} is of no backend and release: rename it, as in "
                "`cuda` or `cpu@0.10`, or delete it"
            )
    predictions = [
        _predictions(open_store(folder / PREDICTIONS / device))
        for device in base.prediction_names()
    ]
    faults += [fault for found in predictions for fault in found.faults]
    held, absent = {"problems": len(base)}, []
    count, wrong = _check_layers(folder)
    faults += wrong
    if count is None:
        absent.append(LAYERS)
    else:
        held["parameters of layers"] = count
    beside, others, wrong = _beside(folder, catalogue, "\n".join(faults))
    held, absent, faults = held | beside, [*absent, *others], [*faults, *wrong]
    if base.version > 1 and not (folder / inventory.INVENTORY).exists():
        faults.append(f"{folder / inventory.INVENTORY} is gone: {inventory.WAY_OUT}")
    for found in predictions:
        held |= {what: held.get(what, 0) + count for what, count in found.held.items()}
    return Verified(held=held, absent=tuple(absent), faults=tuple(faults))


def _beside(
    folder: Path, catalogue: Catalogue, said: str = ""
) -> tuple[dict[str, int], list[str], list[str]]:
    """Return what the files beside the store hold, those that are absent, and what is wrong.

    said: faults that are known already, whose files need no other line.
    """
    held: dict[str, int] = {}
    absent, faults = [], []
    for name, (what, read) in FILES.items():
        if not (folder / name).exists():
            absent.append(name)
            continue
        count, wrong = _read(folder / name, read, catalogue)
        held[what] = count
        faults += wrong
    for path in sorted((folder / COMPILED).glob("*.json")):
        count, wrong = _read(path, _programs, catalogue)
        held["compiled programs"] = held.get("compiled programs", 0) + count
        faults += wrong
    named = "\n".join([said, *faults])
    faults += [
        f"{folder / name} {fault}"
        for name, fault in inventory.faults(folder).items()
        if str(folder / name) not in named
    ]
    return held, absent, faults


def _read(path: Path, read: Reader, catalogue: Catalogue) -> tuple[int, list[str]]:
    try:
        count, found = read(path, catalogue)
    except StoreError as error:
        return 0, [str(error)]
    return count, [f"{path}: {fault}" for fault in found]


def _predictions(store: Store) -> Verified:
    """Return what is wrong with what predictions say is permitted, whole files or not."""
    faults = []
    if not all(record.get("predicted_for") for record in store.provenance):
        faults.append(f"{store.folder / PROVENANCE}: a record does not say for what was predicted")
    for entry in _readable(store):
        permitted = entry.extra.get("permitted", [])
        digest = getattr(entry.outcome, "sha256", "")
        if permitted and not any(digest.startswith(each) for each in permitted):
            faults.append(
                f"{store.folder / MANIFEST}: of {entry.id} the predicted array is none of the "
                f"{len(permitted)} that are permitted"
            )
    bounds = [len(open_store(store.folder / name)) for name in store.bound_names()]
    held = {"predictions": len(store), "of them with bounds": max(bounds, default=0)}
    return Verified(held=held, absent=(), faults=tuple(faults))


# --- The store -----------------------------------------------------------------------------------


def _store_faults(store: Store, catalogue: Catalogue) -> Iterator[str]:
    if store.kind != GOLDEN:
        yield f"{store.folder / MANIFEST}: the kind is {store.kind}, not {GOLDEN}"
        return
    yield from (f"{store.folder / PROVENANCE}: {fault}" for fault in _provenance_faults(store))
    yield from (
        f"{store.folder / MANIFEST}: {fault}" for fault in stage_faults(_readable(store), catalogue)
    )


def _check_layers(folder: Path) -> tuple[int | None, list[str]]:
    """Return how many parameters of layers a set holds, None for none at all, and what is wrong."""
    try:
        store = open_layers(folder)
    except StoreError as error:
        return 0, [str(error)]
    if store is None:
        return None, []
    faults = [f"{store.folder / PROVENANCE}: {fault}" for fault in _provenance_faults(store)]
    if isinstance(store, Store) and store.kind != LAYERS:
        faults.append(f"{store.folder / MANIFEST}: the kind is {store.kind}, not {LAYERS}")
    return len(store.ids()), faults


def _provenance_faults(store: Store | Earlier) -> Iterator[str]:
    try:
        records, _ = store.provenance, store.environment
    except StoreError as error:
        yield str(error)
        return
    for number, record in enumerate(records, start=1):
        if not str(record.get("reason", "")).strip():
            yield f"record {number} gives no reason"
        try:
            datetime.datetime.fromisoformat(str(record.get("date")))
        except ValueError:
            yield f"record {number} has the date {record.get('date')!r}, which is none"


def stage_faults(entries: Iterable[Entry], catalogue: Catalogue) -> Iterator[str]:
    """Yield what no digest of a stage can be, and which problems that draw alike disagree."""
    alike: dict[tuple[object, ...], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for entry in entries:
        for name, digest in entry.stages.items():
            if name not in STAGES or not STAGE_DIGEST.fullmatch(digest):
                yield f"the stage {name} of {entry.id} has the digest {digest!r}, which is none"
            elif draws := _draws(entry.id, name, catalogue):
                alike[draws][digest].append(entry.id)
    for draws, digests in alike.items():
        if len(digests) > 1:
            fewest, most = sorted(digests.values(), key=len)[:: len(digests) - 1]
            yield (
                f"the stage {draws[0]} of {fewest[0]} has another digest than that of {most[0]}, "
                "which draws alike"
            )


def _readable(store: Store) -> Iterator[Entry]:
    """Yield the entries that can be read; `golden.verify` names the others."""
    for key in store.ids():
        try:
            entry = store.entry(key)
        except StoreError:
            continue
        if entry is not None:
            yield entry


def _draws(key: str, stage: str, catalogue: Catalogue) -> tuple[object, ...] | None:
    """Return what decides about a stage; None where nobody knows."""
    problem = problem_of(key)
    is_wide = problem.dtype in WIDE_DTYPES
    if stage == STAGES[0]:
        return stage, problem.key, problem.prng, is_wide
    if problem.initializer not in catalogue:
        return None
    sampler = sampler_of(catalogue.lookup(problem.initializer).definition, problem.shape)
    if sampler is None:
        return None
    return stage, problem.key, problem.prng, problem.dtype, sampler


# --- The files beside it -------------------------------------------------------------------------


def _budgets(path: Path, catalogue: Catalogue) -> tuple[int, list[str]]:
    table = budgets.read(path).measurements
    found = [
        f"the budget of {key} {fault}"
        for key, measurement in table.items()
        if (fault := _budget_fault(measurement, catalogue))
    ]
    return len(table), found


def _budget_fault(measurement: Measurement, catalogue: Catalogue) -> str:
    if measurement.initializer not in catalogue:
        return "belongs to no initializer"
    if measurement.dtype not in DTYPES:
        return f"names the {unknown('dtype', measurement.dtype, list(DTYPES))}"
    family = catalogue.lookup(measurement.initializer).family
    if measurement.family != family:
        return f"counts it among {measurement.family}, and it is of {family}"
    points = [point for point in (measurement.at_value, measurement.at_sigma) if point]
    if not all(map(_is_error, points)):
        return "holds a figure that no error can be"
    return "" if _are_of_their_elements(measurement) else "is not the error of its own element"


def _is_error(point: Point) -> bool:
    figures = (point.ulp, point.fraction, point.actual, point.expected)
    return all(isinstance(value, int | float) and math.isfinite(value) for value in figures) and (
        point.ulp >= 0 and 0 <= point.fraction < 1
    )


def _are_of_their_elements(measurement: Measurement) -> bool:
    """Return whether the errors are those of the elements beside them.

    At the value an error counts representable numbers, from a value that is none: to within one.
    At sigma it counts spacings there, which are a power of two.
    """
    dtype = as_dtype(measurement.dtype)
    value, sigma = measurement.at_value, measurement.at_sigma
    if value and abs(_distance(value) / spacing_at(value.expected, dtype) - value.ulp) > 1:
        return False
    if not sigma or not sigma.ulp:
        return not sigma or not _distance(sigma)
    mantissa = math.frexp(_distance(sigma) / sigma.ulp)[0]
    return min(mantissa - 0.5, 1 - mantissa) < RELATIVE_ERROR


RELATIVE_ERROR = 1e-6
"""Far above that of a quotient of float64, and of numbers that JSON holds in full."""


def _distance(point: Point) -> float:
    return abs(point.actual - point.expected)


def _programs(path: Path, catalogue: Catalogue) -> tuple[int, list[str]]:
    known = accepted.load(path, "the command that wrote it")
    found = []
    for key, fields in known.lines.items():
        if re.split("[ -]", key, maxsplit=1)[0] not in catalogue:
            found.append(f"{key} belongs to no initializer")
        for field, value in fields.items():
            if not (FREE_FIELDS.fullmatch(field) or FINGERPRINT.fullmatch(value)):
                found.append(f"{field} of {key} is {value!r}, which is no fingerprint")
    return len(known.lines), found


Reader = Callable[[Path, Catalogue], tuple[int, list[str]]]
"""Returns how much a file holds, and what is wrong with it."""

FILES: Mapping[str, tuple[str, Reader]] = {
    BUDGETS: ("budgets", _budgets),
    LOWERING: ("lowered programs", _programs),
}
"""Files of a set: what they hold, and how it is read."""
