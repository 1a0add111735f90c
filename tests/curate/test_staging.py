"""Golden sets change by review and acceptance only, and no accident costs more than the change."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.cases.selection import Selection
from conformance.core import inventory
from conformance.core.arrays import returned
from conformance.core.errors import GoldenError, StagingError
from conformance.core.files import locked
from conformance.core.ids import Tier
from conformance.core.inventory import INVENTORY
from conformance.core.laws import Normal
from conformance.core.paths import MANIFEST, OVERLAYS, PENDING, PROVENANCE, golden_folder
from conformance.core.records import DriftClass, Entry, Outcome, Raised, Returned
from conformance.curate import accept as accepting
from conformance.curate import stage as staging
from conformance.curate.accept import accept, accept_recording, prune, reject
from conformance.curate.review import pending, review
from conformance.store.entries import RECORDING, shard_name
from conformance.store.read import Store, open_store
from conformance.store.stack import open_stack
from conformance.store.verify import verify
from conformance.store.write import write_store
from tests import ROOT

ENVIRONMENT = {"packages": {"jax": "1.2.3"}, "config": {}, "host": {}, "devices": {}}
A, B, C = "mine-float32-64-s0", "mine-bfloat16-64-s0", "other-float32-64-s0"


def draws(seed: int) -> Any:
    return np.random.default_rng(seed).normal(size=64).astype(np.float32)


VALUES: dict[str, Any] = {A: draws(0), B: draws(1).astype("float16"), C: draws(2)}


@pytest.fixture
def catalogue() -> Catalogue:
    """Two initializers that nobody calls here."""
    catalogue = Catalogue()
    for name in ("mine", "other"):
        catalogue.register(name, lambda: lambda *_: None, definition=Normal(stddev=1.0))
    return catalogue


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., Store]:
    """Return a function that makes a recording of outcomes by problem id."""
    numbers = itertools.count()

    def make(
        values: dict[str, Any], *, backend: str = "cpu", transform: str = "eager", **more: Any
    ) -> Store:
        folder = tmp_path / f"recording{next(numbers)}"
        entries = [
            recorded_entry(f"{key}-{backend}-{transform}", value) for key, value in values.items()
        ]
        provenance = {"environment": ENVIRONMENT, "left_out": [], **more}
        write_store(folder, entries, kind=RECORDING, provenance=[provenance])
        return open_store(folder)

    return make


def recorded_entry(case_id: str, value: Any) -> Entry:
    outcome: Outcome = value if isinstance(value, Raised) else returned(value)
    repeat = None if isinstance(outcome, Raised) else outcome.sha256
    return Entry(
        id=case_id,
        shard=shard_name("custom", case_id.partition("-")[0]),
        outcome=outcome,
        extra={"device": "cpu", "repeat_sha256": repeat, "stages": {"key": "abcd1234"}},
    )


Recorded = Callable[..., Store]


def stage(folder: Path, recording: Store, **arguments: Any) -> None:
    arguments = {"scope": "--all", "reason": "because", **arguments}
    staging.stage(folder, recording, **arguments)


@pytest.fixture
def golden(tmp_path: Path, recorded: Recorded, catalogue: Catalogue) -> Path:
    """An accepted set of VALUES."""
    folder = tmp_path / "sets" / "golden"
    stage(folder, recorded(VALUES), reason="first")
    accept(folder, catalogue)
    return folder


def content(folder: Path) -> dict[str, Outcome]:
    assert verify(folder) == []
    return {entry.id: entry.outcome for entry in open_store(folder).entries()}


def files(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


# --- Staging -------------------------------------------------------------------------------------


def test_staging_leaves_the_set_as_it_is(golden: Path, recorded: Recorded) -> None:
    before = files(golden)

    stage(golden, recorded({A: draws(7)}))

    after = files(golden)
    assert {name: data for name, data in after.items() if not name.startswith(".")} == before


def test_what_is_staged_says_scope_reason_and_target(golden: Path, recorded: Recorded) -> None:
    stage(golden, recorded({A: draws(7)}), scope="--initializer mine", reason="a new stream")

    staged = pending(golden)

    assert staged is not None
    assert (staged.scope, staged.reason, staged.overlay) == (
        "--initializer mine",
        "a new stream",
        "",
    )


def test_nothing_is_staged_without_a_reason(golden: Path, recorded: Recorded) -> None:
    with pytest.raises(StagingError, match="no reason is given: say by --reason why"):
        stage(golden, recorded({A: draws(7)}), reason=" ")


def test_a_second_staging_is_refused_and_the_first_is_kept(
    golden: Path, recorded: Recorded
) -> None:
    stage(golden, recorded({A: draws(7)}), reason="one")

    hint = rf"waiting already: see it with `conformance goldens review --golden {golden}`"
    with pytest.raises(StagingError, match=hint):
        stage(golden, recorded({A: draws(8)}), reason="two")

    staged = pending(golden)
    assert staged is not None
    assert staged.reason == "one"


def test_only_recordings_are_staged(golden: Path) -> None:
    with pytest.raises(StagingError, match="is a golden: only a recording is staged"):
        stage(golden, open_store(golden))


def test_a_recording_without_an_eager_case_of_the_cpu_is_refused(
    golden: Path, recorded: Recorded
) -> None:
    with pytest.raises(StagingError, match="holds no eager case of cpu: record some with"):
        stage(golden, recorded({A: draws(7)}, transform="jit"))


def test_a_recording_without_flax_is_refused_by_what_it_lacks(
    golden: Path, recorded: Recorded
) -> None:
    with pytest.raises(GoldenError, match="made without Flax and lacks ones_init_nnx: install"):
        stage(golden, recorded({A: draws(7)}, left_out=["ones_init_nnx"]))


@pytest.mark.parametrize(
    ("exception", "message", "why"),
    [
        ("XlaRuntimeError", "RESOURCE_EXHAUSTED: no memory", "was failed by the machine"),
        ("SpecError", "ValueError: no mode", "cannot be built: ValueError: no mode"),
    ],
)
def test_what_no_golden_can_be_is_refused_by_name(
    exception: str, message: str, why: str, golden: Path, recorded: Recorded
) -> None:
    raised = Raised(exception=exception, message=message)

    with pytest.raises(GoldenError, match=f"1 outcomes .* first: {A}-cpu-eager .*{why}"):
        stage(golden, recorded({A: raised, C: draws(7)}))


def test_an_initializer_that_does_not_repeat_itself_gets_no_golden(
    golden: Path, tmp_path: Path
) -> None:
    entry = recorded_entry(f"{A}-cpu-eager", draws(7))
    fickle = dataclasses.replace(entry, extra={**entry.extra, "repeat_sha256": "0" * 64})
    provenance = [{"environment": ENVIRONMENT, "left_out": []}]
    write_store(tmp_path / "fickle", [fickle], kind=RECORDING, provenance=provenance)

    with pytest.raises(GoldenError, match="returned other bits when it was called again"):
        stage(golden, open_store(tmp_path / "fickle"))


def test_cases_are_recorded_and_staged_in_one_go(tmp_path: Path) -> None:
    import jax

    catalogue = Catalogue()
    catalogue.register("mine", lambda: jax.nn.initializers.ones)
    selection = Selection(tier=Tier.QUICK, dtypes=("float32",), shapes=("64",))
    cases = staging.golden_cases(catalogue, selection)

    staging.record_and_stage(tmp_path / "golden", catalogue, cases, scope="all", reason="first")
    reviewed = accept(tmp_path / "golden", catalogue)

    assert reviewed.new == (A,)
    assert content(tmp_path / "golden") == {A: returned(np.ones(64, np.float32))}
    assert [path.name for path in (tmp_path / "golden").glob(".*")] == []


def test_a_problem_asked_by_any_transform_has_its_golden_from_the_eager_call(
    catalogue: Catalogue,
) -> None:
    selection = Selection(tier=Tier.FULL, transforms=("jit", "vmap"), shapes=("64",), seeds=(0,))

    cases = staging.golden_cases(catalogue, selection)

    assert {case.transform for case in cases} == {"eager"}
    assert A in {case.problem.id for case in cases}


# --- Reviewing -----------------------------------------------------------------------------------


def test_a_review_gives_each_change_its_class(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    either_way = np.resize([np.float32(9), np.float32(-9)], VALUES[A].shape)
    nudged = np.nextafter(VALUES[A], either_way)
    error = Raised(exception="ValueError", message="no")
    new = "other-float16-64-s0"
    values = {A: nudged, B: VALUES[B], C: error, new: draws(5).astype("float16")}
    stage(golden, recorded(values))

    reviewed = review(golden, catalogue)

    classes = {key: drift.drift_class for key, drift in reviewed.drifts.items()}
    assert classes == {
        A: DriftClass.ROUNDING,
        B: DriftClass.IDENTICAL,
        C: DriftClass.CONTRACT,
    }
    assert reviewed.new == (new,)
    assert reviewed.counts() == {"identical": 1, "rounding": 1, "contract": 1, "new": 1}


def test_a_pattern_accepts_some_and_the_others_stay_pending(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    before, wanted = content(golden), {A: draws(7), B: draws(8).astype("float16"), C: draws(9)}
    stage(golden, recorded(wanted), reason="three")

    accepted = accept(golden, catalogue, patterns=["mine-float32-*"])

    assert (list(accepted.changes), accepted.n_waiting) == ([A], 2)
    assert content(golden) == before | {A: returned(wanted[A])}
    left = review(golden, catalogue)
    assert (sorted(left.changes), left.stage.reason) == ([B, C], "three")
    accept(golden, catalogue)
    assert content(golden) == {key: returned(value) for key, value in wanted.items()}
    assert pending(golden) is None


def test_a_pattern_rejects_some_and_the_others_stay_pending(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    before = content(golden)
    stage(golden, recorded({A: draws(7), C: draws(9)}))

    assert reject(golden, patterns=["other-*"]) == (A,)

    assert content(golden) == before
    assert list(review(golden, catalogue).changes) == [A]
    assert reject(golden, patterns=[A]) == ()
    assert pending(golden) is None


def test_a_pattern_that_matches_nothing_pending_changes_nothing(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    stage(golden, recorded({A: draws(7)}))
    before = files(golden)

    for change in (
        lambda: accept(golden, catalogue, patterns=["mine-float32-65-*"]),
        lambda: reject(golden, patterns=["mine-float32-65-*"]),
        lambda: review(golden, catalogue, patterns=["mine-float32-65-*"]),
    ):
        with pytest.raises(StagingError, match=r"'mine-float32-65-\*' is unknown: did you mean"):
            change()

    assert files(golden) == before


def test_a_pattern_for_which_the_disk_is_full_loses_nothing(
    golden: Path, recorded: Recorded, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage(golden, recorded({A: draws(7), C: draws(9)}))
    before = files(golden)

    def refuse(*_: object, **__: object) -> None:
        raise GoldenError("full")

    monkeypatch.setattr(accepting, "put", refuse)
    for change in (
        lambda: accept(golden, catalogue, patterns=[A]),
        lambda: reject(golden, patterns=[A]),
    ):
        with pytest.raises(GoldenError, match="full"):
            change()

    assert files(golden) == before


def test_what_may_be_no_golden_is_told(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    same, other_seed = draws(7), A.replace("-s0", "-s1")
    ones = np.ones(64, np.float32)
    stage(golden, recorded({A: same, other_seed: same, C: ones}))

    doubts = review(golden, catalogue).doubts

    assert f"it is one array with {A}: the key is ignored" in doubts[other_seed]
    assert f"it is one array with {other_seed}: the key is ignored" in doubts[A]
    assert any("differ from the definition" in fault for fault in doubts[A])
    assert any("the distribution functions lie" in fault for fault in doubts[C])


def test_right_goldens_raise_no_doubt(tmp_path: Path, recorded: Recorded) -> None:
    known, folder = load_catalogue(), tmp_path / "golden"
    ids = ("lecun_normal-float32-64x32-s0", "zeros-float32-64x32-s0", "zeros-float32-64x32-s1")
    shipped = open_store(golden_folder(None))
    entries = {key: entry.outcome for key in ids if (entry := shipped.entry(key))}
    values = {
        key: np.frombuffer(outcome.bits, outcome.dtype).reshape(outcome.shape)
        for key, outcome in entries.items()
        if isinstance(outcome, Returned)
    }
    stage(folder, recorded(values))

    assert len(values) == len(ids)
    assert review(folder, known).doubts == {}


def test_a_review_names_orphans(golden: Path, recorded: Recorded) -> None:
    alone = Catalogue()
    alone.register("mine", lambda: lambda *_: None)
    stage(golden, recorded({A: draws(7)}))

    assert review(golden, alone).orphans == (C,)


def test_there_is_nothing_to_review_unless_something_is_pending(
    golden: Path, catalogue: Catalogue
) -> None:
    with pytest.raises(StagingError, match=r"nothing is pending in .*golden: stage something"):
        review(golden, catalogue)


def test_a_stage_that_cannot_be_read_says_how_to_drop_it(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    stage(golden, recorded({A: draws(7)}))
    (golden / PENDING / staging.STAGE).write_text("{")

    with pytest.raises(GoldenError, match=r"stage\.json cannot be read .* goldens reject"):
        review(golden, catalogue)


def test_what_is_pending_and_lacks_a_shard_says_how_to_drop_it(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    stage(golden, recorded({A: draws(7)}))
    (golden / PENDING / shard_name("custom", "mine")).unlink()

    with pytest.raises(GoldenError, match=r"mine\.safetensors .*: drop it with .* goldens reject"):
        review(golden, catalogue)


# --- Accepting -----------------------------------------------------------------------------------


def test_accepting_replaces_what_was_staged_and_keeps_the_rest(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    stage(golden, recorded({A: draws(7)}))

    accept(golden, catalogue)

    expected = {**VALUES, A: draws(7)}
    assert content(golden) == {key: returned(value) for key, value in expected.items()}
    assert pending(golden) is None


def test_accepting_rewrites_no_shard_that_did_not_change(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    before = files(golden)
    stage(golden, recorded({A: draws(7)}))

    accept(golden, catalogue)

    after = files(golden)
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert changed == {INVENTORY, MANIFEST, PROVENANCE, shard_name("custom", "mine")}


def test_accepting_keeps_files_that_are_no_part_of_the_set(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    (golden / "budgets.json").write_text("{}")
    stage(golden, recorded({A: draws(7)}))

    accept(golden, catalogue)

    assert (golden / "budgets.json").read_text() == "{}"


def test_the_provenance_grows_by_what_was_accepted(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    stage(golden, recorded({A: VALUES[A], C: draws(7)}), scope="--shape 64", reason="why not")

    accept(golden, catalogue)

    first, second = open_store(golden).provenance
    assert first["reason"] == "first"
    assert (second["scope"], second["reason"]) == ("--shape 64", "why not")
    assert second["counts"] == {"identical": 1, "stream": 1}
    assert second["environment"] == ENVIRONMENT


def test_goldens_keep_stages_and_nothing_else_of_the_recording(golden: Path) -> None:
    entry = open_store(golden).entry(A)

    assert entry is not None
    assert entry.extra == {"stages": {"key": "abcd1234"}}


def test_accepting_without_anything_pending_is_refused(golden: Path, catalogue: Catalogue) -> None:
    with pytest.raises(StagingError, match=r"nothing is pending in .*golden"):
        accept(golden, catalogue)


def test_what_was_staged_against_another_set_is_refused(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    stage(golden, recorded({A: draws(7)}))
    manifest = (golden / MANIFEST).read_text()
    (golden / MANIFEST).write_text(manifest + "\n")

    with pytest.raises(StagingError, match="staged against another golden set than is there now"):
        accept(golden, catalogue)

    assert pending(golden) is not None


def test_a_damaged_set_is_not_built_upon(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    stage(golden, recorded({A: draws(7)}))
    (golden / shard_name("custom", "other")).unlink()

    with pytest.raises(GoldenError, match=r"other\.safetensors cannot be read"):
        accept(golden, catalogue)

    assert pending(golden) is not None


def test_rejecting_drops_what_is_pending_and_nothing_else(golden: Path, recorded: Recorded) -> None:
    before = files(golden)
    stage(golden, recorded({A: draws(7)}))

    reject(golden)

    assert files(golden) == before


def test_there_is_nothing_to_reject_unless_something_is_pending(golden: Path) -> None:
    with pytest.raises(StagingError, match="there is nothing to reject"):
        reject(golden)


# --- Pruning -------------------------------------------------------------------------------------


def test_pruning_removes_orphans_from_the_set_and_its_overlays(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    cuda = recorded({A: draws(7), C: draws(8)}, backend="cuda")
    accept_recording(golden, catalogue, cuda, overlay="cuda", reason="FMA")
    alone = Catalogue()
    alone.register("mine", lambda: lambda *_: None)

    removed = prune(golden, alone, reason="other is gone")

    assert removed == [C]
    assert sorted(content(golden)) == [B, A]
    assert sorted(content(golden / OVERLAYS / "cuda")) == [A]
    assert open_store(golden).provenance[-1]["reason"] == "other is gone"
    assert not (golden / shard_name("custom", "other")).exists()


def test_pruning_without_orphans_changes_nothing(golden: Path, catalogue: Catalogue) -> None:
    before = files(golden)

    assert prune(golden, catalogue, reason="tidy") == []
    assert files(golden) == before


def test_pruning_demands_a_reason(golden: Path, catalogue: Catalogue) -> None:
    with pytest.raises(StagingError, match="no reason is given"):
        prune(golden, catalogue, reason="")


def test_pruning_waits_until_nothing_is_pending(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    stage(golden, recorded({A: draws(7)}))

    with pytest.raises(StagingError, match="is waiting already"):
        prune(golden, catalogue, reason="tidy")


# --- Overlays ------------------------------------------------------------------------------------


def test_an_overlay_holds_only_what_differs(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    before = content(golden)
    cuda = recorded({A: draws(7), B: VALUES[B], C: VALUES[C]}, backend="cuda")

    accept_recording(golden, catalogue, cuda, overlay="cuda", reason="FMA")

    assert content(golden / OVERLAYS / "cuda") == {A: returned(draws(7))}
    assert content(golden) == before


def test_a_problem_on_which_a_backend_agrees_again_leaves_its_overlay(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    first = recorded({A: draws(7), C: draws(8)}, backend="cuda")
    accept_recording(golden, catalogue, first, overlay="cuda", reason="FMA")
    second = recorded({A: VALUES[A]}, backend="cuda")

    reviewed = accept_recording(golden, catalogue, second, overlay="cuda", reason="mended")

    assert reviewed.removed == (A,)
    assert sorted(content(golden / OVERLAYS / "cuda")) == [C]


def test_an_overlay_differs_from_something(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    unknown = "other-float16-64-s0"
    cuda = recorded({unknown: draws(7)}, backend="cuda")

    with pytest.raises(StagingError, match=f"1 problem without a golden .* first: {unknown}"):
        accept_recording(golden, catalogue, cuda, overlay="cuda", reason="FMA")


def test_an_overlay_that_cannot_be_accepted_leaves_nothing_pending(
    golden: Path,
    recorded: Recorded,
    catalogue: Catalogue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any) -> None:
        raise GoldenError("refused")

    monkeypatch.setattr(accepting, "_accept", refuse)

    with pytest.raises(GoldenError, match="refused"):
        accept_recording(
            golden, catalogue, recorded({A: draws(7)}, backend="cuda"), overlay="cuda", reason="x"
        )

    assert pending(golden) is None


def test_an_overlay_in_a_folder_of_its_own_holds_only_what_differs(
    golden: Path, recorded: Recorded, catalogue: Catalogue, tmp_path: Path
) -> None:
    before, mine = files(golden), tmp_path / "mine"
    cuda = recorded({A: draws(7), B: VALUES[B]}, backend="cuda")

    stage(mine, cuda, overlay="cuda", below=open_stack(golden))
    accept(mine, catalogue, open_stack(golden))

    assert content(mine / OVERLAYS / "cuda") == {A: returned(draws(7))}
    assert content(mine) == {}
    assert inventory.faults(mine) == {}
    assert files(golden) == before


def test_an_overlay_keeps_the_history_of_its_store_when_it_is_changed_again(
    golden: Path, recorded: Recorded, catalogue: Catalogue, tmp_path: Path
) -> None:
    """Also when it has held nothing meanwhile, since the backend agreed with the set."""
    below, mine = open_stack(golden), tmp_path / "mine"
    for seed in (7, 0, 8):
        cuda = recorded({A: draws(seed)}, backend="cuda")
        reason = f"seed {seed}"
        accept_recording(mine, catalogue, cuda, overlay="cuda", reason=reason, below=below)

    assert content(mine / OVERLAYS / "cuda") == {A: returned(draws(8))}
    assert [each["reason"] for each in open_store(mine).provenance] == ["seed 7"]
    told = open_store(mine / OVERLAYS / "cuda").provenance
    assert [each["reason"] for each in told] == ["seed 7", "seed 0", "seed 8"]


def test_what_the_cpu_returns_is_reviewed_before_the_set_takes_it(
    golden: Path, recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    there = recorded({A: draws(7)}).folder
    words = ["--backend", "cpu", "--from", there, "--reason", "x"]

    assert goldens("accept", "--golden", golden, *words) == 4
    assert "what the cpu returns is reviewed before it is accepted" in capsys.readouterr().err


def test_an_overlay_of_the_cpu_may_hold_what_no_other_set_does(
    golden: Path, recorded: Recorded, catalogue: Catalogue, tmp_path: Path
) -> None:
    below, new = open_stack(golden), "other-float16-64-s0"
    stage(tmp_path / "mine", recorded({A: VALUES[A], C: draws(7), new: draws(8)}), below=below)

    reviewed = review(tmp_path / "mine", catalogue, below)
    accept(tmp_path / "mine", catalogue, below)

    assert (reviewed.new, sorted(reviewed.drifts)) == ((new,), [A, C])
    assert sorted(content(tmp_path / "mine")) == sorted([C, new])


def test_an_overlay_of_a_release_needs_a_recording_of_that_release(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    with pytest.raises(StagingError, match=r"was made by jax 1\.2\.3, which is none of 1\.3: rec"):
        stage(golden, recorded({A: draws(7)}), overlay="cpu@1.3")

    stage(golden, recorded({A: draws(7), B: VALUES[B]}), overlay="cpu@1.2")
    accept(golden, catalogue)
    assert content(golden / OVERLAYS / "cpu@1.2") == {A: returned(draws(7))}


def test_what_was_staged_on_other_sets_is_not_accepted(
    golden: Path, recorded: Recorded, catalogue: Catalogue, tmp_path: Path
) -> None:
    stage(tmp_path / "mine", recorded({A: draws(7)}), below=open_stack(golden))
    stage(golden, recorded({A: draws(8)}))
    accept(golden, catalogue)

    with pytest.raises(StagingError, match="was staged against another golden set"):
        accept(tmp_path / "mine", catalogue, open_stack(golden))


@pytest.mark.parametrize("words", [["--release", "soon"], ["--backend", "a/b"]])
def test_an_overlay_is_of_a_backend_and_a_release(
    words: list[str], golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert goldens("stage", "--golden", golden, *words, "--from", golden, "--reason", "x") == 4
    assert f"{words[1]!r}" in (told := capsys.readouterr().err)
    assert "name no overlay: write a backend, as in cuda, and numbers of JAX" in told


# --- Accidents -----------------------------------------------------------------------------------


def test_a_disk_that_is_full_at_any_write_costs_nothing(
    golden: Path,
    recorded: Recorded,
    catalogue: Catalogue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Room is refused at the first flush, then at the second, until accepting needs no more."""
    stage(golden, recorded({A: draws(7), C: draws(8)}))
    before, neighbours = files(golden), os.listdir(golden.parent)
    for room in itertools.count():
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync_for(room))
            error = error_of(accept, golden, catalogue)
        if not error:
            break
        assert "No space left on device. Free the disk" in error
        assert files(golden) == before
        assert os.listdir(golden.parent) == neighbours

    assert room > 4
    assert content(golden)[A] == returned(draws(7))


def fsync_for(room: int) -> Callable[[int], None]:
    """Return an fsync that fails once it has been called `room` times."""
    left, flush = iter(range(room)), os.fsync

    def fsync(descriptor: int) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(descriptor)

    return fsync


def error_of(function: Callable[..., object], *arguments: object) -> str:
    try:
        function(*arguments)
    except GoldenError as error:
        return str(error)
    return ""


def test_a_folder_that_cannot_be_written_is_named_with_the_way_out(
    tmp_path: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    recording = recorded({A: draws(7)})
    monkeypatch.setattr(Path, "mkdir", refuse)

    with pytest.raises(GoldenError, match="golden cannot be written: Read-only file system"):
        stage(tmp_path / "golden", recording)


def test_two_commands_do_not_change_a_set_at_once(golden: Path, recorded: Recorded) -> None:
    with locked(golden), pytest.raises(GoldenError, match="golden is being changed by process"):
        stage(golden, recorded({A: draws(7)}))


def test_two_sets_in_one_folder_do_not_wait_for_each_other(
    golden: Path, recorded: Recorded
) -> None:
    with locked(golden):
        stage(golden.with_name("other"), recorded({A: draws(7)}))

    assert pending(golden.with_name("other")) is not None


KILLED = """
import os, shutil, sys
from pathlib import Path
from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.core import files
from conformance.curate.accept import accept
from conformance.store.read import open_store
from conformance.store.verify import verify

golden, work = Path(sys.argv[1]), Path(sys.argv[2])
catalogue = Catalogue()
for name in ("mine", "other"):
    catalogue.register(name, lambda: None)

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

def accept_until(step):
    count = 0
    events = ("open", "os.chmod", "os.link", "os.symlink", "os.truncate", "shutil.rmtree",
              "os.rename", "os.remove", "os.rmdir", "os.mkdir", "fcntl.flock")
    def watch(event, arguments):
        nonlocal count
        if event in events and (event != "open" or arguments[2] & WRITES):
            count += 1
            if count == step:
                os._exit(9)
    sys.addaudithook(watch)
    accept(folder, catalogue)
    os._exit(0)

folder = work / "whole" / "golden"
shutil.copytree(golden, folder, symlinks=True)
accept(folder, catalogue)  # what it imports no step need read again

step, code = 0, 9
while code == 9:
    step += 1
    folder = work / str(step) / "golden"
    shutil.copytree(golden, folder, symlinks=True)
    child = os.fork()
    if not child:
        accept_until(step)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    words = [files.recover(folder)]
    left = set(os.listdir(folder.parent)) - {".golden.lock"}  # holds nothing
    words += [f"faults {verify(folder)}", f"left {sorted(left)}"]
    words += [f"pending {(folder / '.pending').exists()}"]
    words += [f"git {(folder / '.git' / 'HEAD').read_text()}", os.readlink(folder / "link")]
    words += [open_store(folder).entry(key).outcome.sha256 for key in sys.argv[3:]]
    print(" | ".join(words))
assert code == 0, code
"""


def test_a_kill_at_any_step_leaves_the_old_set_or_the_new_one(
    golden: Path, recorded: Recorded, tmp_path: Path
) -> None:
    """The process ends without a word at its first change of the disk, then at its second, ...

    To end where it reads is to end at the change that follows.
    """
    (golden / ".git").mkdir()
    (golden / ".git" / "HEAD").write_text("main")
    (golden / "link").symlink_to("nowhere")
    stage(golden, recorded({A: draws(7), C: draws(8)}))
    command = [sys.executable, "-c", KILLED, str(golden), str(tmp_path / "work"), A, C]

    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603

    assert done.stderr == ""
    old = " | ".join(returned(value).sha256 for value in (VALUES[A], VALUES[C]))
    new = " | ".join(returned(draws(seed)).sha256 for seed in (7, 8))
    outcomes = [line.split(" | ", 1) for line in done.stdout.splitlines()]
    assert len(outcomes) >= 40
    allowed = {
        f"faults [] | left ['golden'] | pending True | git main | nowhere | {old}",
        f"faults [] | left ['golden'] | pending False | git main | nowhere | {new}",
    }
    assert {state for _, state in outcomes} == allowed
    kinds = {said.split()[0] if said else "" for said, _ in outcomes}
    assert kinds == {"", "undid", "finished"}


AT_RANDOM = """
import os, random, shutil, signal, sys, time
from pathlib import Path
from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.core import files
from conformance.curate.accept import accept
from conformance.store.read import open_store
from conformance.store.verify import verify

golden, work = Path(sys.argv[1]), Path(sys.argv[2])
catalogue = Catalogue()
for name in ("mine", "other"):
    catalogue.register(name, lambda: None)

def killed_after(seconds, folder):
    shutil.copytree(golden, folder)
    child = os.fork()
    if not child:
        accept(folder, catalogue)
        os._exit(0)
    start = time.monotonic()
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return time.monotonic() - start

shutil.copytree(golden, work / "first" / "golden")
accept(work / "first" / "golden", catalogue)  # what it imports no other need read again
whole_s = killed_after(None, work / "whole" / "golden")
for number in range(40):
    folder = work / str(number) / "golden"
    killed_after(random.Random(number).uniform(0, whole_s), folder)
    files.recover(folder)
    assert not verify(folder), verify(folder)
    print(*[open_store(folder).entry(key).outcome.sha256 for key in sys.argv[3:]])
"""


def test_an_accept_that_is_killed_forty_times_loses_nothing(
    golden: Path, recorded: Recorded, tmp_path: Path
) -> None:
    stage(golden, recorded({A: draws(7), C: draws(8)}))
    command = [sys.executable, "-c", AT_RANDOM, str(golden), str(tmp_path / "work"), A, C]

    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603

    assert done.stderr == ""
    old = " ".join(returned(value).sha256 for value in (VALUES[A], VALUES[C]))
    new = " ".join(returned(draws(seed)).sha256 for seed in (7, 8))
    assert len(done.stdout.splitlines()) == 40
    assert set(done.stdout.splitlines()) <= {old, new}


ACCEPT = """
import sys
from pathlib import Path
from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.curate.accept import accept

catalogue = Catalogue()
for name in ("mine", "other"):
    catalogue.register(name, lambda: None)
print("ready", flush=True)
sys.stdin.readline()
try:
    accept(Path(sys.argv[1]), catalogue)
    print("accepted")
except Exception as error:
    print(error)
"""


def test_of_two_accepts_at_once_one_is_done_and_the_other_told(
    golden: Path, recorded: Recorded
) -> None:
    stage(golden, recorded({A: draws(7)}), reason="second")
    command = [sys.executable, "-c", ACCEPT, str(golden)]
    both = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603
        for _ in range(2)
    ]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()

    said = {process.communicate()[0] for process in both}

    (told,) = said - {"accepted\n"}
    assert re.search("is being changed by .*process|nothing is pending", told)
    assert content(golden)[A] == returned(draws(7))
    assert [record["reason"] for record in open_store(golden).provenance] == ["first", "second"]


# --- What is in the folder besides ---------------------------------------------------------------


def test_accepting_keeps_all_that_is_not_of_the_set_as_it_is(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    (golden / ".gitattributes").write_text("* -text")
    (golden / "empty" / "within").mkdir(parents=True)
    (golden / "notes").mkdir()
    (golden / "notes" / "tool.sh").write_text("true")
    (golden / "notes" / "tool.sh").chmod(0o755)
    (golden / "notes" / "link").symlink_to("tool.sh")
    (golden / "folder").symlink_to("notes", target_is_directory=True)
    (golden / "dangling").symlink_to("nowhere")
    (golden / "notes").chmod(0o555)
    (golden / MANIFEST).chmod(0o640)
    (golden / shard_name("custom", "mine")).chmod(0o600)
    before = states(golden)
    stage(golden, recorded({A: draws(7)}))

    accept(golden, catalogue)

    assert states(golden) == before
    assert content(golden)[A] == returned(draws(7))
    assert os.listdir(golden.parent) == ["golden"]


def states(folder: Path) -> dict[str, tuple[str, int]]:
    """Return where each link points, and the mode of all else, by name."""
    return {
        path.relative_to(folder).as_posix(): (
            (os.readlink(path), 0) if path.is_symlink() else ("", path.stat().st_mode)
        )
        for path in (folder, *folder.rglob("*"))
    }


@pytest.mark.parametrize("change", ["accept", "prune"])
def test_a_set_that_is_a_repository_keeps_its_history(
    change: str, golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    def git(*words: str) -> str:
        command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *words]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=golden)  # noqa: S603
        return done.stdout

    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "goldens")
    if change == "accept":
        stage(golden, recorded({A: draws(7)}))
        accept(golden, catalogue)
    else:
        alone = Catalogue()
        alone.register("mine", lambda: lambda *_: None)
        prune(golden, alone, reason="other is gone")

    assert git("log", "--format=%s") == "goldens\n"
    assert " M manifest.json" in git("status", "--short").splitlines()
    assert git("fsck") == ""


def test_a_family_of_which_nothing_is_left_leaves_no_folder(golden: Path) -> None:
    prune(golden, Catalogue(), reason="all are gone")

    assert not (golden / "custom").exists()


def test_a_link_in_place_of_a_folder_of_the_set_is_refused(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    (golden / "custom").rename(golden / "elsewhere")
    (golden / "custom").symlink_to("elsewhere")
    stage(golden, recorded({A: draws(7)}))
    before = files(golden)

    with pytest.raises(GoldenError, match="custom is a link where the set has what it must change"):
        accept(golden, catalogue)

    assert files(golden) == before


# --- Who reads meanwhile -------------------------------------------------------------------------


def test_a_run_that_reads_while_another_accepts_says_so(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    opened = open_store(golden)
    stage(golden, recorded({A: draws(7)}))
    accept(golden, catalogue)

    with pytest.raises(GoldenError, match="golden was changed since it was opened, by `conforma"):
        opened.entry(A)


def test_an_overlay_that_came_after_the_set_was_opened_is_not_mixed_in(
    golden: Path, recorded: Recorded, catalogue: Catalogue
) -> None:
    opened = open_store(golden)
    stage(golden, recorded({A: draws(7)}))
    accept(golden, catalogue)
    cuda = recorded({C: draws(8)}, backend="cuda")
    accept_recording(golden, catalogue, cuda, overlay="cuda", reason="FMA")

    with pytest.raises(GoldenError, match="what was read before is of the old set"):
        opened.golden(C, "cuda")


def test_a_set_left_between_its_renames_says_how_to_finish_that(golden: Path) -> None:
    golden.rename(golden.with_name(".golden.replaced"))

    hint = rf"finish that with `conformance goldens pending --golden {golden}`"
    with pytest.raises(GoldenError, match=hint):
        open_store(golden)


def test_what_a_killed_staging_left_is_cleared_away(golden: Path, recorded: Recorded) -> None:
    (golden / ".scratch.0123abcd.tmp").mkdir()

    stage(golden, recorded({A: draws(7)}))

    assert [path.name for path in golden.glob(".*")] == [PENDING]


# --- The command line ----------------------------------------------------------------------------


def goldens(*words: object) -> int:
    from conformance.cli import main

    return main(["goldens", *map(str, words)])


def test_staging_without_a_scope_is_a_wrong_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert goldens("stage", "--golden", tmp_path / "golden", "--reason", "x") == 4
    assert "a scope is needed, and none was given" in capsys.readouterr().err


def test_staging_all_of_a_part_is_a_wrong_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--all", "--dtype", "float32", "--reason", "x")

    assert goldens("stage", "--golden", tmp_path / "golden", *words) == 4
    assert "and --all beside --dtype was given" in capsys.readouterr().err


def test_a_scope_beside_a_recording_is_a_wrong_call(
    golden: Path, recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = recorded({A: draws(7)}).folder
    words = ("--from", recording, "--dtype", "float32", "--reason", "x")

    assert goldens("stage", "--golden", golden, *words) == 4
    assert "--from stages the whole recording: leave out" in capsys.readouterr().err


def test_textconv_is_installed_within_a_clone_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert goldens("install-textconv") == 4
    assert "call this within the clone" in capsys.readouterr().err


def test_an_overlay_without_a_recording_is_a_wrong_call(
    golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert goldens("accept", "--golden", golden, "--backend", "cuda") == 4
    assert "--backend and --from go together" in capsys.readouterr().err


def test_a_reason_comes_with_staging_not_with_accepting(
    golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert goldens("accept", "--golden", golden, "--reason", "x") == 4
    assert "--reason and --release belong to `stage`" in capsys.readouterr().err


def test_stage_review_accept_and_verify_by_command(
    golden: Path, recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    """The specs of this set are not installed, so the review is of public ones."""
    key = "normal-float32-64-s0"
    one, two = recorded({key: draws(0)}).folder, recorded({key: draws(1)}).folder

    for recording in (one, two):
        assert goldens("stage", "--golden", golden, "--from", recording, "--reason", "x") == 0
        assert goldens("pending", "--golden", golden) == 0
        assert goldens("accept", "--golden", golden) == 0
    assert goldens("verify", "--golden", golden) == 0

    said = capsys.readouterr().out
    assert "for the set: recording recording1; reason: x" in said
    assert "new               1" in said
    assert "stream: normal 1" in said or "law: normal 1" in said
    assert f"  {key}: 64 of 64 elements, at most" in said
    assert "orphans, kept until `conformance goldens prune`: mine 2, other 1" in said
    assert f"{golden}: all is as it was stored: 4 problems" in said


def test_each_command_tells_what_is_unusual_about_where_the_outcomes_come_from(
    golden: Path, recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    config = {"jax_threefry_partitionable": "False"}
    key = "normal-float32-64-s0"
    recording = recorded({key: draws(0)}, environment={**ENVIRONMENT, "config": config}).folder

    for words in (("stage", "--from", recording, "--reason", "x"), ("review",), ("accept",)):
        goldens(words[0], "--golden", golden, *words[1:])
        first, *_ = capsys.readouterr().out.splitlines()
        assert first.startswith("note: jax_threefry_partitionable=False: every draw of threefry")


def test_a_call_that_does_not_fit_the_set_is_a_wrong_call(
    golden: Path, recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = recorded({A: draws(0)}).folder
    from_recording = ("stage", "--golden", golden, "--from", recording)

    assert goldens("review", "--golden", golden) == 4
    assert goldens("accept", "--golden", golden) == 4
    assert goldens("reject", "--golden", golden) == 4
    assert goldens(*from_recording) == 4
    assert goldens("stage", "--golden", golden, "--from", golden, "--reason", "x") == 4
    assert f"stage something with `conformance goldens stage --golden {golden}`" in (
        capsys.readouterr().err
    )


def test_a_recording_that_no_golden_can_be_made_of_is_no_wrong_call(
    golden: Path, recorded: Recorded
) -> None:
    recording = recorded({A: Raised(exception="MemoryError", message="")}).folder

    assert goldens("stage", "--golden", golden, "--from", recording, "--reason", "x") == 3


def test_reject_and_prune_by_command(
    golden: Path, recorded: Recorded, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = recorded({"normal-float32-64-s0": draws(0)}).folder

    assert goldens("stage", "--golden", golden, "--from", recording, "--reason", "x") == 0
    assert goldens("reject", "--golden", golden) == 0
    assert goldens("pending", "--golden", golden) == 0
    assert goldens("prune", "--golden", golden, "--reason", "not mine") == 0

    said = capsys.readouterr().out
    assert f"nothing is pending in {golden}" in said
    assert f"removed {C}\nremoved 3 orphans from {golden}" in said


def test_a_broken_set_fails_verify_by_file_and_problem(
    golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = golden / MANIFEST
    path.write_text(path.read_text().replace(returned(VALUES[C]).sha256, "0" * 64))

    assert goldens("verify", "--golden", golden) == 3
    said = capsys.readouterr().err
    assert f"the entry of {C} cannot be read (its array is another one" in said
    assert f"{golden}: 1 fault\n" in said


def test_an_interrupted_change_is_undone_by_the_next_command(
    golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    golden.rename(golden.with_name(".golden.replaced"))

    assert goldens("pending", "--golden", golden) == 0

    assert f"undid the change of {golden} that was interrupted" in capsys.readouterr().err
    assert sorted(content(golden)) == sorted(VALUES)


def test_a_set_behind_a_link_changes_where_it_is(
    golden: Path, recorded: Recorded, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(golden)
    recording = recorded({"normal-float32-64-s0": draws(0)}).folder

    assert goldens("stage", "--golden", link, "--from", recording, "--reason", "x") == 0
    assert goldens("accept", "--golden", link) == 0

    assert link.is_symlink()
    assert len(content(golden)) == 4


def test_git_shows_shards_as_text_once_that_is_installed(
    golden: Path,
    recorded: Recorded,
    catalogue: Catalogue,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def git(*words: str) -> str:
        command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *words]
        done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
        return done.stdout

    monkeypatch.chdir(golden.parent)
    attributes = ROOT / ".gitattributes"
    (golden.parent / ".gitattributes").write_text(attributes.read_text())
    git("init", "--quiet")
    assert goldens("install-textconv") == 0
    git("add", "--all")
    git("commit", "--quiet", "--message", "goldens")
    changed = VALUES[A].copy()
    changed[20] = 0.25
    stage(golden, recorded({A: changed}))
    accept(golden, catalogue)

    diff = git("diff", "--", "golden/custom/mine.safetensors")

    added = [line for line in diff.splitlines() if line.startswith("+ ")]
    assert len(added) == 1
    assert added[0].startswith("+  [16] ")
    assert added[0].split()[6] == "0.25"
    assert A in diff
    assert "git diff now shows golden shards as text" in capsys.readouterr().out
