"""Folders -> facts. What cannot be read is named and left out; it never stops the rest."""

from __future__ import annotations

import dataclasses
import re
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from conformance.cases.builtin import load_catalogue
from conformance.core.causes import LAPACK_FACTS
from conformance.core.errors import GoldenError, ReportError, StoreError, UnfinishedRunWarning
from conformance.core.ids import parse_case
from conformance.core.machine import machine_fault
from conformance.core.paths import MANIFEST
from conformance.core.records import BASE, MACHINE, Outcome
from conformance.core.settings import HARMLESS_FLAGS
from conformance.core.watching import Watch, unwatched
from conformance.judge.bench import Bench
from conformance.merge.facts import Fact, Judgement, Place
from conformance.merge.judging import judgement
from conformance.observe.pod import joined, parts_in
from conformance.observe.record import write_recording
from conformance.report.rows import environment_values, outcome_text
from conformance.report.run import RECORDS, ROWS
from conformance.store.entries import RECORDING
from conformance.store.read import Store, open_store
from conformance.store.verify import verify

JOURNALS = "*.journal"

PLACE_COLUMNS = tuple(field.name for field in dataclasses.fields(Place))
JUDGEMENT_COLUMNS = tuple(
    field.name for field in dataclasses.fields(Judgement) if field.name != "by"
)

JUDGED_BY = "judged_by"

MALFORMED = (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError)
"""What a file of the right format and the wrong content may lead to."""

# `XLA_FLAGS=` is left with nothing behind it when its harmless flags are gone.
_EMPTY_FLAGS = re.compile(r"XLA_FLAGS=\s*(?=\w+=|$)")

# Where LAPACK is known they change nothing that it does not say.
_LAPACK_VARIABLES = re.compile(
    r"(?<!\S)(?:OPENBLAS|GOTO|OMP|MKL|BLIS|VECLIB|FLEXIBLAS)(?:_\w+)?=\S*"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """All that was read.

    outcomes: the arrays that recordings hold, by their text. faults: one line for each folder that
    could not be read or is unfinished, and for each shard that is not there.
    """

    facts: frozenset[Fact]
    outcomes: Mapping[str, Outcome]
    faults: tuple[str, ...]


def read_sources(
    folders: Iterable[Path], bench: Bench | None = None, watch: Watch[Path] = unwatched
) -> Sources:
    """Return what the recordings and runs in the folders say, at whatever depth they lie.

    bench: what judges recordings; None leaves them unjudged.
    """
    facts: set[Fact] = set()
    outcomes: dict[str, Outcome] = {}
    faults: list[str] = []
    named = sorted({folder.resolve(): folder for folder in folders}.values())
    for folder in watch(named, len(named)):
        found = list(_sources(folder))
        if not found:
            faults.append(
                f"{folder} holds neither a recording ({MANIFEST}) nor a run ({ROWS}): "
                "name folders that `conformance record --out` or `--reports` wrote to"
            )
        for path in found:
            try:
                _read(path, str(folder), bench, facts, outcomes, faults)
            except (StoreError, ReportError) as error:
                faults.append(str(error))
            except (OSError, *MALFORMED) as error:
                faults.append(
                    f"{path} is not what its format says ({type(error).__name__}: {error}): "
                    "record or run it again"
                )
    faults += lost_shards(facts)
    return Sources(facts=frozenset(facts), outcomes=outcomes, faults=tuple(sorted(set(faults))))


_SHARD = re.compile(r"(?P<asked>.*) --shard (?P<number>\d+)/(?P<count>\d+)")


def lost_shards(facts: Iterable[Fact]) -> list[str]:
    """Return a line for each shard of a selection of which others are there, on like machines.

    Beneath one folder they may come of hosts with several CPUs, of one host from several folders.
    Where two folders hold the same shard they are two runs, and each must be whole.
    """
    beneath: dict[tuple[str, tuple[str, ...], str, int], set[int]] = {}
    of_host: dict[tuple[Place, str, int], dict[str, set[int]]] = {}
    for fact in facts:
        if shard := _SHARD.fullmatch(fact.asked):
            asked, count, number = shard["asked"], int(shard["count"]), int(shard["number"])
            key = (fact.root, fact.place.kind, asked, count)
            beneath.setdefault(key, set()).add(number)
            folders = of_host.setdefault((fact.place, asked, count), {})
            folders.setdefault(fact.root, set()).add(number)
    lines = []
    for (root, kind, asked, count), numbers in sorted(beneath.items()):
        runs = (
            folders
            for (place, *what), folders in of_host.items()
            if root in folders and place.kind == kind and what == [asked, count]
        )
        there = numbers.union(*map(_of_one_run, runs))
        lines += [
            f"{root}: shard {number}/{count} of {asked} on {' '.join(filter(None, kind))} is not "
            "there: run it, or name one folder that holds all shards of that machine"
            for number in sorted(set(range(1, count + 1)) - there)
        ]
    return lines


def _of_one_run(folders: Mapping[str, set[int]]) -> set[int]:
    """Return the shards that the folders hold together; none where one shard lies in two."""
    together = set().union(*folders.values())
    return together if len(together) == sum(map(len, folders.values())) else set()


def mixed(facts: Iterable[Fact]) -> str:
    """Return why verdicts of these facts do not belong together: other goldens or rules; else "".

    Rows of earlier versions do not say by what they were judged, and contradict nothing.
    """
    folders: dict[str, set[str]] = {}
    for fact in facts:
        if fact.judgement and fact.judgement.by:
            folders.setdefault(fact.judgement.by, set()).add(fact.root)
    if len(folders) < 2:
        return ""
    parts = (f"{by}: {', '.join(sorted(roots))}" for by, roots in sorted(folders.items()))
    return (
        f"verdicts were given by different rules ({'; '.join(parts)}): judge them anew by the same "
        "goldens, ledger and policy, or merge them as they are with --mixed"
    )


def _sources(folder: Path) -> Iterator[Path]:
    if any((folder / name).exists() for name in (MANIFEST, ROWS, RECORDS)) or parts_in(folder):
        yield folder
    elif folder.is_dir():
        yield from sorted(folder.glob(JOURNALS))
        for child in sorted(folder.iterdir()):
            if child.is_dir() and not child.name.startswith("."):
                yield from _sources(child)


def _read(
    path: Path,
    root: str,
    bench: Bench | None,
    facts: set[Fact],
    outcomes: dict[str, Outcome],
    faults: list[str],
) -> None:
    if path.is_file():
        raise GoldenError(f"{path} is an unfinished recording: go on with it by --resume")
    if (path / MANIFEST).exists():
        _read_recording(path, root, bench, facts, outcomes, faults)
    elif parts_in(path):
        _read_pod(path, root, bench, facts, outcomes, faults)
    else:
        _read_run(path, root, facts, faults)


# --- Recordings ----------------------------------------------------------------------------------


def _read_recording(
    folder: Path,
    root: str,
    bench: Bench | None,
    facts: set[Fact],
    outcomes: dict[str, Outcome],
    faults: list[str],
) -> None:
    """Read a recording whole, or nothing of it."""
    store = open_store(folder)
    if store.kind != RECORDING:
        raise GoldenError(f"{folder} is a {store.kind}: a merge takes recordings and runs")
    if found := verify(folder):
        raise GoldenError(found[0])
    read = dict(_recorded(store, root, bench))
    sound = {fact: outcome for fact, outcome in read.items() if not machine_fault(outcome)}
    faults += [
        f"{folder}: the machine failed {fact.case} ({fact.outcome}): record it again"
        for fact in read.keys() - sound.keys()
    ]
    facts.update(sound)
    outcomes.update({fact.outcome: outcome for fact, outcome in sound.items()})


def _read_pod(
    folder: Path,
    root: str,
    bench: Bench | None,
    facts: set[Fact],
    outcomes: dict[str, Outcome],
    faults: list[str],
) -> None:
    """Read the arrays that the processes of a pod hold together, as a recording of them."""
    found = joined(folder, load_catalogue())
    faults += found.lost
    if not found.entries:
        return
    with tempfile.TemporaryDirectory() as scratch:
        place, entries = Path(scratch, "pod"), list(found.entries.values())
        write_recording(place, entries, found.environment, found.asked)
        read: set[Fact] = set()
        _read_recording(place, root, bench, read, outcomes, faults)
    facts.update(dataclasses.replace(fact, source=str(folder)) for fact in read)


def _recorded(store: Store, root: str, bench: Bench | None) -> Iterator[tuple[Fact, Outcome]]:
    places: dict[tuple[str, ...], Place] = {}
    for entry in store.entries():
        case = parse_case(entry.id)
        mode, device = (str(entry.extra.get(name, "")) for name in ("mode", "device"))
        key = (case.backend, mode, device)
        if key not in places:
            places[key] = _place_of(store, backend=case.backend, mode=mode, device=device)
        fact = Fact(
            problem=case.problem,
            transform=case.transform,
            place=places[key],
            outcome=outcome_text(entry.outcome),
            source=str(store.folder),
            root=root,
            judgement=_judged(store, entry.id, bench),
            asked=str(store.latest.get("asked", "")),
        )
        yield fact, entry.outcome


def _judged(store: Store, key: str, bench: Bench | None) -> Judgement | None:
    observation = store.observation(key)
    if bench is None or machine_fault(observation.outcome):
        return None
    return judgement(observation, store.environment.packages.get("jax", ""), bench)


def golden_place(store: Store) -> Place | None:
    """Return where the goldens were made, as far as one environment says it; None if none does."""
    try:
        return _place_of(store, backend=BASE, mode="executed", device=BASE)
    except StoreError:
        return None


def _place_of(store: Store, **asked: str) -> Place:
    return _place({**environment_values(store.environment, asked["backend"]), **asked})


# --- Runs ----------------------------------------------------------------------------------------


def _read_run(folder: Path, root: str, facts: set[Fact], faults: list[str]) -> None:
    from conformance.report.frames import read_run

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UnfinishedRunWarning)
        records = read_run(folder)
    faults += [str(warning.message) for warning in caught]
    columns = {"case", "outcome", "asked", JUDGED_BY, *PLACE_COLUMNS, *JUDGEMENT_COLUMNS}
    values = records[sorted(columns)].astype(object)
    rows = values.where(values.notna(), None).to_dict("records")
    judged = (row for row in rows if row["failed_checks"] != MACHINE)
    facts.update([_fact({str(key): row[key] for key in row}, folder, root) for row in judged])


def _fact(row: Mapping[str, Any], folder: Path, root: str) -> Fact:
    case = parse_case(row["case"])
    texts = {name: row[name] or "" for name in JUDGEMENT_COLUMNS if not name.startswith("max_")}
    return Fact(
        problem=case.problem,
        transform=case.transform,
        place=_place(row),
        outcome=row["outcome"],
        source=str(folder),
        root=root,
        judgement=Judgement(
            **texts,
            max_ulp=row["max_ulp"],
            max_ulp_at_sigma=row["max_ulp_at_sigma"],
            by=row[JUDGED_BY] or "",
        ),
        asked=row["asked"] or "",
    )


def _place(values: Mapping[str, Any]) -> Place:
    texts = {name: str(values[name] or "") for name in PLACE_COLUMNS}
    flags = _EMPTY_FLAGS.sub("", HARMLESS_FLAGS.sub("", texts["flags"]))
    if all(texts[name] for name in LAPACK_FACTS):
        flags = _LAPACK_VARIABLES.sub("", flags)
    return Place(**{**texts, "flags": " ".join(flags.split())})
