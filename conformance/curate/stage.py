"""Golden sets change here and nowhere else: stage, review, accept or reject, prune.

A golden set is a recording that somebody accepted, with a reason. Staging puts the outcomes of a
recording into `.pending` within the set; accepting merges them. The set is never written in place:
its successor is written beside it, flushed, and the two change places by renaming, so that a kill
at any moment leaves the old set or the new one whole, and `recover` puts it where it belongs.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from conformance.budgets import BUDGETS, BudgetTable
from conformance.budgets import load as load_budgets
from conformance.catalogue import Catalogue, InitializerSpec
from conformance.checks.budget import release_budget
from conformance.checks.matrices import is_matrix
from conformance.engine import compare
from conformance.golden import (
    BASE,
    GOLDEN,
    MANIFEST,
    OVERLAYS,
    RECORDING,
    Entry,
    GoldenError,
    Store,
    golden_option,
    open_store,
    refused,
    write_file,
    write_store,
)
from conformance.matrix import Selection, SelectionError, problems, select
from conformance.model import (
    Case,
    Drift,
    DriftClass,
    Environment,
    Outcome,
    Raised,
    Tier,
    parse_case,
    parse_problem,
)
from conformance.recording import Progress, machine_fault, now, record

PENDING = ".pending"
STAGE = "stage.json"
TRANSFORM = "eager"
"""Goldens are what eager calls return; no other transform may change that."""


class StagingError(SelectionError):
    """What was asked for does not fit the state of the golden set. Nothing has changed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What is waiting to be accepted, and from whom.

    overlay: the backend whose overlay it changes; "" for the set itself.
    base: digest of the manifests that it was staged against.
    """

    scope: str
    reason: str
    date: str
    overlay: str
    base: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What accepting would change.

    environment: where what is staged was recorded. drifts: by problem id, for what the set holds
    already. new: what it does not hold yet. removed: what an overlay no longer needs, since the
    backend now agrees with the set itself. orphans: what the set holds and no tier asks for; only
    `prune` removes them.
    """

    stage: Stage
    environment: Environment
    drifts: Mapping[str, Drift]
    new: tuple[str, ...]
    removed: tuple[str, ...]
    orphans: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """Return the number of problems by class of drift, then of new and of removed ones."""
        by_class = collections.Counter(drift.drift_class for drift in self.drifts.values())
        counts = {name.value: by_class[name] for name in DriftClass if by_class[name]}
        others = {"new": len(self.new), "removed": len(self.removed)}
        return counts | {name: count for name, count in others.items() if count}


# --- Staging -------------------------------------------------------------------------------------


def golden_cases(catalogue: Catalogue, selection: Selection) -> list[Case]:
    """Return the eager CPU case of every problem that the selection holds.

    Raises:
        SelectionError: see `matrix.select`.
    """
    asked = {case.problem for case in select(catalogue, selection)}
    cases = [Case(problem=problem, backend="cpu", transform=TRANSFORM) for problem in asked]
    return sorted(cases, key=lambda case: (case.group, case))


def record_and_stage(
    folder: Path,
    catalogue: Catalogue,
    cases: list[Case],
    *,
    scope: str,
    reason: str,
    progress: Progress | None = None,
) -> Stage:
    """Observe the cases here and now, and stage what they return.

    Raises:
        StagingError: no reason is given, or something is pending already.
        GoldenError: the folder cannot be written, or another command is at work on it.
    """
    with at_work(folder):
        require_stageable(folder, reason)
        with scratch_folder(folder) as scratch:
            recording = record(cases, catalogue, scratch / RECORDING, progress=progress)
            return stage_into(folder, recording, scope=scope, reason=reason, overlay="")


def stage(folder: Path, recording: Store, *, scope: str, reason: str, overlay: str = "") -> Stage:
    """Stage the eager outcomes that a recording holds of the cpu, or of the overlay's backend.

    Raises:
        StagingError: no reason is given, something is pending already, or the recording holds
            nothing of the kind.
        GoldenError: the recording holds something that no golden can be, or lacks what needs Flax;
            the folder cannot be written, or another command is at work on it.
    """
    with at_work(folder):
        require_stageable(folder, reason)
        return stage_into(folder, recording, scope=scope, reason=reason, overlay=overlay)


def require_stageable(folder: Path, reason: str) -> None:
    """Refuse a set that something waits for already, or a change without a reason."""
    if not reason.strip():
        raise StagingError("no reason is given: say by --reason why the goldens change")
    if (folder / PENDING).exists():
        raise StagingError(
            f"{folder / PENDING} is waiting already: see it with `conformance goldens review"
            f"{golden_option(folder)}`, then `accept` or `reject` it"
        )


def stage_into(folder: Path, recording: Store, *, scope: str, reason: str, overlay: str) -> Stage:
    """Stage into a set that nobody else changes."""
    entries = _golden_entries(recording, overlay or "cpu")
    _require_base(folder, recording, entries) if overlay else _require_whole(recording)
    staged = Stage(
        scope=scope, reason=reason, date=now(), overlay=overlay, base=digest_of(folder, overlay)
    )
    provenance = [{"environment": dataclasses.asdict(recording.environment)}]
    with scratch_folder(folder) as scratch:
        draft = scratch / "draft"
        write_store(draft, entries, kind=GOLDEN, provenance=provenance)
        with writing(folder):
            write_file(draft / STAGE, json.dumps(dataclasses.asdict(staged), indent=1).encode())
            draft.rename(folder / PENDING)
    return staged


def _require_whole(recording: Store) -> None:
    if left_out := recording.provenance[-1].get("left_out"):
        raise GoldenError(
            f"{recording.folder} was made without Flax and lacks {', '.join(left_out)}: "
            "install Flax and record again"
        )


def _require_base(folder: Path, recording: Store, entries: list[Entry]) -> None:
    base = open_if_there(folder)
    unknown = [entry.id for entry in entries if base is None or entry.id not in base]
    if unknown:
        raise StagingError(
            f"{recording.folder} holds {len(unknown)} problems that have no golden in {folder} "
            f"to differ from, first: {unknown[0]}. Stage those first, or record a smaller tier"
        )


def _golden_entries(recording: Store, backend: str) -> list[Entry]:
    if recording.kind != RECORDING:
        raise StagingError(f"{recording.folder} is a {recording.kind}: only a recording is staged")
    cases = [parse_case(key) for key in recording.ids()]
    ids = [case.id for case in cases if (case.backend, case.transform) == (backend, TRANSFORM)]
    if not ids:
        raise StagingError(
            f"{recording.folder} holds no {TRANSFORM} case of {backend}: record some with "
            f"`conformance record --backend {backend} --transform {TRANSFORM} --out DIR`"
        )
    entries = [entry for key in ids if (entry := recording.entry(key))]
    faults = [f"{entry.id} {fault}" for entry in entries if (fault := _unfit(entry))]
    if faults:
        raise GoldenError(
            f"{recording.folder} holds {len(faults)} outcomes that no golden can be, first: "
            f"{faults[0]}. Mend that and record again"
        )
    return [_golden(entry) for entry in entries]


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


# --- Reviewing -----------------------------------------------------------------------------------


def pending(folder: Path) -> Stage | None:
    """Return what is waiting to be accepted, or None.

    Raises:
        GoldenError: what is there cannot be read.
    """
    path = folder / PENDING / STAGE
    if not path.parent.exists():
        return None
    try:
        return Stage(**json.loads(path.read_text()))
    except (OSError, TypeError, ValueError) as error:
        raise GoldenError(
            f"{path} cannot be read ({error}): drop it with "
            f"`conformance goldens reject{golden_option(folder)}`"
        ) from error


def review(folder: Path, catalogue: Catalogue) -> Review:
    """Return what accepting the pending goldens would change.

    Raises:
        StagingError: nothing is pending, or it was staged against another set than is there now.
        GoldenError: the set or what is pending is damaged.
    """
    return Merge(folder).review(catalogue)


class Merge:
    """The set, what is pending, and the entries that come of the two."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stage = _require_pending(folder)
        self.pending = open_store(folder / PENDING)
        self.base = open_if_there(folder)
        self.target = target_folder(folder, self.stage.overlay)
        self.old = open_if_there(self.target)

    def review(self, catalogue: Catalogue) -> Review:
        """Compare what is staged with what the set holds already."""
        drifts, new = {}, []
        for entry in self.pending.entries():
            expected = self._expected(entry.id)
            if expected is None:
                new.append(entry.id)
            else:
                spec = catalogue.lookup(entry.id.partition("-")[0])
                drifts[entry.id] = self._drift(entry, expected, spec)
        return Review(
            stage=self.stage,
            environment=self.pending.environment,
            drifts=drifts,
            new=tuple(new),
            removed=tuple(key for key in self.old_ids() if key not in self.merged),
            orphans=tuple(orphans(self.base, catalogue)) if self.base else (),
        )

    def _drift(self, entry: Entry, expected: Entry, spec: InitializerSpec) -> Drift:
        case = Case(
            problem=parse_problem(entry.id),
            backend=self.stage.overlay or BASE,
            transform="eager",
        )
        budgets = self._budgets if is_matrix(spec.definition) else None
        budget = release_budget(spec, case, budgets)
        return compare(entry.outcome, expected.outcome, spec, budget, problem=case.problem)

    @functools.cached_property
    def _budgets(self) -> BudgetTable:
        return load_budgets(self.folder / BUDGETS)

    def old_ids(self) -> list[str]:
        """Return what the target holds today."""
        return self.old.ids() if self.old else []

    @functools.cached_property
    def merged(self) -> dict[str, Entry]:
        """The entries of the target once this is accepted, by id."""
        old = {entry.id: entry for entry in self.old.entries()} if self.old else {}
        merged = old | {entry.id: entry for entry in self.pending.entries()}
        if not self.stage.overlay:
            return merged
        return {key: entry for key, entry in merged.items() if self._differs_from_base(entry)}

    def _expected(self, key: str) -> Entry | None:
        if self.base is None:
            return None
        return self.base.golden(key, self.stage.overlay or "cpu")

    def _differs_from_base(self, entry: Entry) -> bool:
        base = self.base.entry(entry.id) if self.base else None
        return base is not None and _identity(base.outcome) != _identity(entry.outcome)


def _identity(outcome: Outcome) -> tuple[Any, ...]:
    """Return what two outcomes have in common exactly if they are the same to the bit."""
    if isinstance(outcome, Raised):
        return (outcome.exception,)
    return (outcome.dtype, outcome.shape, outcome.weak_type, outcome.sha256)


def _require_pending(folder: Path) -> Stage:
    staged = pending(folder)
    if staged is None:
        raise StagingError(
            f"nothing is pending in {folder}: stage something with "
            f"`conformance goldens stage{golden_option(folder)}`"
        )
    if staged.base != digest_of(folder, staged.overlay):
        raise StagingError(
            f"{folder / PENDING} was staged against another golden set than is there now: "
            f"drop it with `conformance goldens reject{golden_option(folder)}` and stage again"
        )
    return staged


def orphans(store: Store, catalogue: Catalogue) -> list[str]:
    """Return the stored problems that no tier asks for any more."""
    asked = {problem.id for problem in problems(catalogue, Tier.FULL)}
    return [key for key in store.ids() if key not in asked]


# --- Changing the set ----------------------------------------------------------------------------


def accept(folder: Path, catalogue: Catalogue) -> Review:
    """Merge what is pending into the set, and return what that changed.

    Raises:
        StagingError: nothing is pending, or it was staged against another set than is there now.
        GoldenError: the set or what is pending is damaged, the disk refuses, or another command is
            at work. The old set and what is pending are then untouched.
    """
    with at_work(folder):
        return _accept(folder, catalogue)


def accept_overlay(
    folder: Path, catalogue: Catalogue, recording: Store, *, backend: str, reason: str
) -> Review:
    """Stage a backend's recording for its overlay, accept it, and return what that changed.

    The overlay holds the problems whose bits differ from the set's, and no others. If accepting
    fails, nothing is left pending.

    Raises:
        StagingError, GoldenError: as for `stage` and `accept`.
    """
    with at_work(folder):
        require_stageable(folder, reason)
        stage_into(
            folder,
            recording,
            scope=f"recording {recording.folder.name}",
            reason=reason,
            overlay=backend,
        )
        try:
            return _accept(folder, catalogue)
        finally:
            shutil.rmtree(folder / PENDING, ignore_errors=True)


def _accept(folder: Path, catalogue: Catalogue) -> Review:
    merge = Merge(folder)
    reviewed = merge.review(catalogue)
    history = {
        "date": now(),
        "scope": merge.stage.scope,
        "reason": merge.stage.reason,
        "counts": reviewed.counts(),
        "environment": dataclasses.asdict(merge.pending.environment),
    }
    _replace(folder, {merge.target: _Content.of(merge.old, list(merge.merged.values()), history)})
    return reviewed


def reject(folder: Path) -> None:
    """Remove what is pending.

    Raises:
        StagingError: nothing is.
        GoldenError: the disk refuses, or another command is at work.
    """
    with at_work(folder):
        if not (folder / PENDING).exists():
            raise StagingError(f"nothing is pending in {folder}: there is nothing to reject")
        with writing(folder):
            shutil.rmtree(folder / PENDING)


def prune(folder: Path, catalogue: Catalogue, *, reason: str) -> list[str]:
    """Remove from the set and its overlays what no tier asks for, and return the ids.

    Raises:
        StagingError: no reason is given, or something is pending.
        GoldenError: the set is damaged, the disk refuses, or another command is at work; the old
            set is then untouched.
    """
    with at_work(folder):
        require_stageable(folder, reason)
        base = open_store(folder)
        stores = [base, *(base.overlay(name) for name in base.overlay_names())]
        contents, removed = {}, set()
        for store in stores:
            gone = set(orphans(store, catalogue)) if store else set()
            if store and gone:
                kept = [entry for entry in store.entries() if entry.id not in gone]
                history = {"date": now(), "reason": reason, "counts": {"pruned": len(gone)}}
                contents[store.folder] = _Content.of(store, kept, history)
                removed |= gone
        if contents:
            _replace(folder, contents)
        return sorted(removed)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """What a store is to hold; `superseded` are the shards that it held before."""

    entries: list[Entry]
    provenance: list[Mapping[str, Any]]
    superseded: list[str]

    @classmethod
    def of(cls, old: Store | None, entries: list[Entry], history: Mapping[str, Any]) -> _Content:
        return cls(
            entries=entries,
            provenance=[*(old.provenance if old else ()), history],
            superseded=old.shards() if old else [],
        )


def _replace(folder: Path, contents: Mapping[Path, _Content]) -> None:
    """Give the stores within `folder` new contents, all at once; other files stay as they are.

    What is pending does not survive: the new set has either taken it up or made it stale.
    """
    draft = draft_path(folder)
    try:
        for target, content in contents.items():
            write_store(
                draft / target.relative_to(folder),
                content.entries,
                kind=GOLDEN,
                provenance=content.provenance,
            )
        with writing(folder):
            _copy_others(folder, draft, contents)
            sync_folders(draft)
            swap(folder)
    finally:
        if folder.exists():  # else the draft is all there is, and `recover` needs it
            shutil.rmtree(draft, ignore_errors=True)


def _copy_others(folder: Path, draft: Path, contents: Mapping[Path, _Content]) -> None:
    superseded = {
        target / name for target, content in contents.items() for name in content.superseded
    }
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if name.parts[0].startswith(".") or path.is_dir() or path in superseded:
            continue
        if not (draft / name).exists():
            write_file(draft / name, path.read_bytes())


def sync_folders(folder: Path) -> None:
    """Flush a folder's files and folders to the disk, itself last."""
    for path in (*folder.rglob("*/"), folder):
        _sync(path)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def draft_path(folder: Path) -> Path:
    """Return where a set's successor is written."""
    return folder.with_name(f".{folder.name}.draft")


def _replaced(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.replaced")


def swap(folder: Path) -> None:
    """Let the draft and the set change places; the moment between the renames is `recover`'s."""
    folder.rename(_replaced(folder))
    try:
        draft_path(folder).rename(folder)
    except OSError:
        _replaced(folder).rename(folder)
        raise
    with contextlib.suppress(OSError):  # the change is made; an error would say that it is not
        _sync(folder.parent)
    shutil.rmtree(_replaced(folder), ignore_errors=True)


def recover(folder: Path) -> str:
    """Finish or undo what a killed `accept` or `prune` left behind, and say which; "" if nothing.

    The draft is complete once the set has been renamed, so the change is finished from then on.

    Raises:
        GoldenError: the disk refuses, or another command is at work.
    """
    with _locked(folder):
        return _recover(folder)


def _recover(folder: Path) -> str:
    draft, replaced = draft_path(folder), _replaced(folder)
    interrupted = draft.exists() or replaced.exists()
    has_changed = replaced.exists() and (folder.exists() or draft.exists())
    with writing(folder):
        if replaced.exists() and not folder.exists():
            (draft if has_changed else replaced).rename(folder)
    for path in (draft, replaced):
        shutil.rmtree(path, ignore_errors=True)
    if not interrupted:
        return ""
    return f"{'finished' if has_changed else 'undid'} the change of {folder} that was interrupted"


# --- The folder ----------------------------------------------------------------------------------


@contextlib.contextmanager
def at_work(folder: Path) -> Iterator[None]:
    """Hold the set, recovered, against other commands; make its folder if there is none."""
    with _locked(folder):
        _recover(folder)
        with writing(folder):
            folder.mkdir(exist_ok=True)
        yield


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock the folder that the set lies in: the set itself is replaced, and locks stay behind."""
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise GoldenError(
            f"another command is changing the goldens in {folder.parent}: wait until it is done"
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raise what the disk refuses as a GoldenError."""
    try:
        yield
    except OSError as error:
        raise refused(folder, error) from error


@contextlib.contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Lend a folder within the set, on its disk; clear away those that a kill left behind."""
    for path in folder.glob(".scratch-*"):
        shutil.rmtree(path, ignore_errors=True)
    with writing(folder):
        scratch = tempfile.TemporaryDirectory(prefix=".scratch-", dir=folder)
    with scratch as name:
        yield Path(name)


def target_folder(folder: Path, overlay: str) -> Path:
    """Return the folder of a set that a stage changes."""
    return folder / OVERLAYS / overlay if overlay else folder


def open_if_there(folder: Path) -> Store | None:
    """Return a set, or None where there is none."""
    return open_store(folder) if (folder / MANIFEST).exists() else None


def digest_of(folder: Path, overlay: str) -> str:
    """Return the digest of the manifests that accepting reads."""
    digest = hashlib.sha256()
    for path in (folder / MANIFEST, target_folder(folder, overlay) / MANIFEST):
        digest.update(path.read_bytes() if path.exists() else b"absent")
    return digest.hexdigest()
