"""Stage a recording beside a golden set, for review.

A golden set is a recording that somebody accepted, with a reason. Staging puts the outcomes of a
recording into `.pending` within the set; accepting merges them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Collection
from pathlib import Path

from conformance.cases.catalogue import Catalogue
from conformance.cases.offers import is_offered
from conformance.cases.selection import Selection, select_for_goldens
from conformance.core import versions
from conformance.core.errors import GoldenError, StagingError, no_reason
from conformance.core.files import at_work, atomic_folder, scratch_folder, write_file, writing
from conformance.core.ids import Case, parse_case
from conformance.core.machine import machine_fault
from conformance.core.paths import (
    FLAX_TREES,
    LAYERS,
    MANIFEST,
    OVERLAYS,
    PENDING,
    golden_option,
    overlay_name,
    overlay_names,
)
from conformance.core.records import BASE, Entry, Environment, Raised
from conformance.core.settings import require_usual_compiler
from conformance.core.words import counted
from conformance.observe.record import failed_by_the_machine, record
from conformance.store.entries import GOLDEN, RECORDING
from conformance.store.read import Store, open_store
from conformance.store.stack import Overlay, Stack
from conformance.store.write import now, write_store

STAGE = "stage.json"

TRANSFORM = "eager"
"""Goldens are what eager calls return; no other transform may change that."""


Recorder = Callable[[list[Case], Catalogue, Path], Store]
"""Observes cases, and stores the outcomes in a new folder: see `observe.record`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What is waiting to be accepted, and from whom.

    overlay: the name of the overlay that it changes within the set, see `paths.OVERLAY_NAME`; ""
    for the set itself. layers: it changes the goldens of layers. base: digest of the manifests that
    it was staged against.
    """

    scope: str
    reason: str
    date: str
    overlay: str = ""
    layers: bool = False
    base: str = ""

    @property
    def part(self) -> str:
        """The path of the store that it changes, within the set."""
        if self.layers:
            return LAYERS
        return f"{OVERLAYS}/{self.overlay}" if self.overlay else ""

    @property
    def target(self) -> str:
        """What it changes, in words."""
        if self.layers:
            return "the layers"
        return f"overlay {self.overlay}" if self.overlay else "the set"

    @property
    def backend(self) -> str:
        """Whose answers they are."""
        return self.overlay.partition("@")[0] or BASE

    @property
    def release(self) -> str:
        """The release of JAX that they are of; "" for all."""
        return self.overlay.partition("@")[2]


# --- Staging -------------------------------------------------------------------------------------
def golden_cases(catalogue: Catalogue, selection: Selection, backend: str = BASE) -> list[Case]:
    """Return the eager case of every problem that the selection holds and the backend is asked.

    Raises:
        SelectionError: see `matrix.select`.
    """
    asked = {case.problem for case in select_for_goldens(catalogue, selection)}
    cases = (Case(problem=problem, backend=backend, transform=TRANSFORM) for problem in asked)
    return sorted(filter(is_offered, cases), key=lambda case: (case.group, case))


def record_and_stage(
    folder: Path,
    catalogue: Catalogue,
    cases: list[Case],
    *,
    scope: str,
    reason: str,
    overlay: str = "",
    below: Stack | None = None,
    recorder: Recorder = record,
) -> dict[str, str]:
    """Observe the cases here and now, and stage what they return; see `stage`.

    Return the cases that the machine failed, and how. They are left out, and the scope says so:
    their goldens stay as they are.

    Raises:
        StagingError: no reason is given, or something is pending already.
        GoldenError: the machine failed all; the folder cannot be written, or another command is at
            work on it.
    """
    with at_work(folder):
        require_stageable(folder, reason)
        with scratch_folder(folder) as scratch:
            recording = recorder(cases, catalogue, scratch / RECORDING)
            failed = failed_by_the_machine(recording)
            if failed:
                scope = f"{scope} but for {', '.join(failed)}"
            stage_into(
                folder,
                recording,
                scope=scope,
                reason=reason,
                overlay=overlay,
                below=below,
                left_out=failed,
            )
            return failed


def stage(
    folder: Path,
    recording: Store,
    *,
    scope: str,
    reason: str,
    overlay: str = "",
    below: Stack | None = None,
) -> Stage:
    """Stage the eager outcomes that a recording holds of the cpu, or of the overlay's backend.

    below: the golden sets on which this one lies, as `--overlay` has it; None if on none.

    Raises:
        StagingError: no reason is given, something is pending already, or the recording holds
            nothing of the kind.
        GoldenError: the recording holds something that no golden can be, or lacks what needs Flax;
            the folder cannot be written, or another command is at work on it.
    """
    with at_work(folder):
        require_stageable(folder, reason)
        return stage_into(
            folder, recording, scope=scope, reason=reason, overlay=overlay, below=below
        )


def require_stageable(folder: Path, reason: str) -> None:
    """Refuse a set that something waits for already, or a change without a reason."""
    if not reason.strip():
        raise no_reason()
    if (folder / PENDING).exists():
        raise StagingError(
            f"{folder / PENDING} is waiting already: see it with `conformance goldens review"
            f"{golden_option(folder)}`, then `accept` or `reject` it"
        )


def stage_into(
    folder: Path,
    recording: Store,
    *,
    scope: str,
    reason: str,
    overlay: str,
    below: Stack | None = None,
    left_out: Collection[str] = (),
) -> Stage:
    """Stage into a set that nobody else changes. left_out: ids of cases."""
    require_usual_compiler(recording.environment, "goldens")
    staged = Stage(scope=scope, reason=reason, date=now(), overlay=overlay)
    _require_release(recording, staged.release)
    entries = _golden_entries(recording, staged.backend, left_out)
    if overlay:
        _require_base(stacked(folder, below), folder, recording, entries)
    else:
        _require_whole(recording)
    return put(folder, staged, entries, recording.environment, below)


def put(
    folder: Path,
    staged: Stage,
    entries: list[Entry],
    environment: Environment,
    below: Stack | None = None,
) -> Stage:
    """Put goldens beside the set, to wait.

    environment: where they were made. below: see `stage`.
    """
    staged = dataclasses.replace(staged, base=digest_of(folder, staged, below))
    kind = LAYERS if staged.layers else GOLDEN
    with writing(folder), atomic_folder(folder / PENDING) as draft:
        write_store(
            draft, entries, kind=kind, provenance=[{"environment": dataclasses.asdict(environment)}]
        )
        waiting = versions.STAGE.stamped(dataclasses.asdict(staged))
        write_file(draft / STAGE, json.dumps(waiting, indent=1).encode())
    return staged


def _require_whole(recording: Store) -> None:
    if left_out := recording.latest.get("left_out"):
        raise GoldenError(
            f"{recording.folder} was made without Flax and lacks {', '.join(left_out)}: "
            "install Flax and record again"
        )


def _require_release(recording: Store, release: str) -> None:
    made = recording.environment.packages.get("jax", "")
    if release and overlay_name(BASE, release) not in overlay_names(BASE, made):
        raise StagingError(
            f"{recording.folder} was made by jax {made or 'of an unknown version'}, which is none "
            f"of {release}: record under that release, or name the one that made it"
        )


def _require_base(base: Stack | None, folder: Path, recording: Store, entries: list[Entry]) -> None:
    unknown = [entry.id for entry in entries if base is None or not base.golden(entry.id, BASE)]
    if unknown:
        raise StagingError(
            f"{recording.folder} holds {counted(len(unknown), 'problem')} without a golden in "
            f"{folder} to differ from, first: {unknown[0]}. Stage those first, or record a smaller "
            "tier"
        )


def _golden_entries(recording: Store, backend: str, left_out: Collection[str] = ()) -> list[Entry]:
    if recording.kind != RECORDING:
        raise StagingError(f"{recording.folder} is a {recording.kind}: only a recording is staged")
    cases = [parse_case(key) for key in recording.ids()]
    ids = [case.id for case in cases if (case.backend, case.transform) == (backend, TRANSFORM)]
    if not ids:
        raise StagingError(
            f"{recording.folder} holds no {TRANSFORM} case of {backend}: record some with "
            f"`conformance record --backend {backend} --transform {TRANSFORM} --out DIR`"
        )
    if not (kept := [key for key in ids if key not in left_out]):
        raise GoldenError(f"the machine failed {', '.join(ids)}: nothing is left to stage")
    entries = [entry for key in kept if (entry := recording.entry(key))]
    require_fit(entries, recording.folder)
    return [_golden(entry) for entry in entries]


def require_fit(entries: list[Entry], source: object) -> None:
    """Refuse outcomes of which no golden can be made. source: what holds them.

    Raises:
        GoldenError: there is one; the message names the first.
    """
    faults = [f"{entry.id} {fault}" for entry in entries if (fault := _unfit(entry))]
    if faults:
        raise GoldenError(
            f"{source} holds {len(faults)} outcomes that no golden can be, first: "
            f"{faults[0]}. Mend that and record again"
        )


def _unfit(entry: Entry) -> str:
    """Return why the outcome must not become a golden; "" if it may."""
    outcome = entry.outcome
    if machine_fault(outcome):
        return "was failed by the machine"
    if isinstance(outcome, Raised):
        unbuilt = outcome.exception == "SpecError"
        return f"has an initializer that cannot be built: {outcome.message}" if unbuilt else ""
    if entry.extra.get("repeat_sha256") != outcome.sha256:
        return "returned other bits when it was called again"
    return ""


def _golden(entry: Entry) -> Entry:
    extra = {"stages": entry.stages} if entry.stages else {}
    return dataclasses.replace(entry, id=parse_case(entry.id).problem.id, extra=extra)


def overlay_of(backend: str, release: str = "") -> str:
    """Return the name of the overlay that holds what a backend returns; "" is the set itself."""
    return "" if (backend, release) == (BASE, "") else overlay_name(backend, release)


def open_if_there(folder: Path) -> Store | None:
    """Return a set, or None where there is none."""
    return open_store(folder) if (folder / MANIFEST).exists() else None


def stacked(folder: Path, below: Stack | None) -> Stack | None:
    """Return the set on what lies below it; None where there is neither.

    Raises:
        GoldenError: the set cannot be read.
    """
    store = open_if_there(folder)
    if below is None:
        return None if store is None else Stack(base=store)
    return below.under(Overlay(folder=folder, store=store))


def digest_of(folder: Path, staged: Stage, below: Stack | None = None) -> str:
    """Return the digest of the manifests that accepting reads."""
    digest = hashlib.sha256()
    others = [] if below is None else below.manifests()
    others += [folder / FLAX_TREES] if staged.layers else []
    for path in (folder / MANIFEST, folder / staged.part / MANIFEST, *others):
        digest.update(path.read_bytes() if path.exists() else b"absent")
    return digest.hexdigest()
