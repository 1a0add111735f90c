"""Folders -> facts. What cannot be read is named and left out; it never stops the rest."""

from __future__ import annotations

import dataclasses
import itertools
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from conformance.cases.builtin import load_catalogue
from conformance.core.errors import GoldenError, ReportError, StoreError
from conformance.core.ids import parse_case
from conformance.core.machine import machine_fault
from conformance.core.paths import MANIFEST
from conformance.core.records import BASE, Outcome
from conformance.core.settings import OPTIMIZATION_FLAG
from conformance.core.watching import Watch, unwatched
from conformance.judge.bench import Bench
from conformance.merge.facts import Fact, Judgement, Place
from conformance.merge.judging import judgement
from conformance.merge.lots import Lot
from conformance.merge.runs import FEW, Read, place_of, read_run
from conformance.observe.pod import joined, parts_in
from conformance.observe.record import write_recording
from conformance.report.rows import environment_values, outcome_text
from conformance.report.run import RECORDS, ROWS
from conformance.store.entries import RECORDING
from conformance.store.read import Store, open_store
from conformance.store.verify import verify

JOURNALS = "*.journal"

MALFORMED = (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError)
"""What a file of the right format and the wrong content may lead to."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """All that was read.

    lots: the facts of ranges of seeds, of which there may be millions; facts: all others.
    outcomes: the arrays that recordings hold, by their text. faults: one line for each folder that
    could not be read or is unfinished, and for each shard that is not there.
    """

    facts: frozenset[Fact]
    lots: tuple[Lot, ...]
    outcomes: Mapping[str, Outcome]
    faults: tuple[str, ...]

    @property
    def examples(self) -> Iterator[Fact]:
        """The facts, and one of each lot: all that says where they are from and what judged."""
        return itertools.chain(self.facts, (lot.fact for lot in self.lots))


def read_sources(
    folders: Iterable[Path],
    bench: Bench | None = None,
    watch: Watch[Path] = unwatched,
    *,
    few: int = FEW,
) -> Sources:
    """Return what the recordings and runs in the folders say, at whatever depth they lie.

    bench: what judges recordings; None leaves them unjudged. few: see FEW.
    """
    facts: set[Fact] = set()
    lots: list[Lot] = []
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
                read = _read(path, str(folder), bench, few)
            except (StoreError, ReportError) as error:
                faults.append(str(error))
                continue
            except (OSError, *MALFORMED) as error:
                faults.append(
                    f"{path} is not what its format says ({type(error).__name__}: {error}): "
                    "record or run it again"
                )
                continue
            facts.update(read.facts)
            lots += read.lots
            outcomes |= read.outcomes
            faults += read.faults
    faults += lost_shards(itertools.chain(facts, (lot.fact for lot in lots)))
    return Sources(
        facts=frozenset(facts),
        lots=tuple(lots),
        outcomes=outcomes,
        faults=tuple(sorted(set(faults))),
    )


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


def hurried(facts: Iterable[Fact]) -> str:
    """Return which of these facts no verdict can rest on, as XLA optimized less; else ""."""
    roots = sorted({fact.root for fact in facts if OPTIMIZATION_FLAG in fact.place.flags})
    if not roots:
        return ""
    return (
        f"{', '.join(roots)}: compiled with {OPTIMIZATION_FLAG}, on which no verdict rests: run or "
        "record it again without, and without --fast"
    )


def _sources(folder: Path) -> Iterator[Path]:
    if any((folder / name).exists() for name in (MANIFEST, ROWS, RECORDS)) or parts_in(folder):
        yield folder
    elif folder.is_dir():
        yield from sorted(folder.glob(JOURNALS))
        for child in sorted(folder.iterdir()):
            if child.is_dir() and not child.name.startswith("."):
                yield from _sources(child)


def _read(path: Path, root: str, bench: Bench | None, few: int) -> Read:
    """Return what a source says: all of it, or nothing."""
    if path.is_file():
        raise GoldenError(f"{path} is an unfinished recording: go on with it by --resume")
    if (path / MANIFEST).exists():
        return _read_recording(path, root, bench)
    if parts_in(path):
        return _read_pod(path, root, bench)
    return read_run(path, root, few)


# --- Recordings ----------------------------------------------------------------------------------


def _read_recording(folder: Path, root: str, bench: Bench | None) -> Read:
    store = open_store(folder)
    if store.kind != RECORDING:
        raise GoldenError(f"{folder} is a {store.kind}: a merge takes recordings and runs")
    if found := verify(folder):
        raise GoldenError(found[0])
    read = dict(_recorded(store, root, bench))
    sound = {fact: outcome for fact, outcome in read.items() if not machine_fault(outcome)}
    return Read(
        facts=tuple(sound),
        outcomes={fact.outcome: outcome for fact, outcome in sound.items()},
        faults=tuple(
            f"{folder}: the machine failed {fact.case} ({fact.outcome}): record it again"
            for fact in read.keys() - sound.keys()
        ),
    )


def _read_pod(folder: Path, root: str, bench: Bench | None) -> Read:
    """Return what the arrays say that the processes of a pod hold together."""
    found = joined(folder, load_catalogue())
    if not found.entries:
        return Read(faults=tuple(found.lost))
    with tempfile.TemporaryDirectory() as scratch:
        place, entries = Path(scratch, "pod"), list(found.entries.values())
        write_recording(place, entries, found.environment, found.asked)
        read = _read_recording(place, root, bench)
    facts = tuple(dataclasses.replace(fact, source=str(folder)) for fact in read.facts)
    return dataclasses.replace(read, facts=facts, faults=(*found.lost, *read.faults))


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
    return place_of({**environment_values(store.environment, asked["backend"]), **asked})
