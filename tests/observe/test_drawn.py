"""What was drawn for a matrix travels with its recording, whole, and judges it later."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cli import main
from conformance.core.arrays import returned, whole
from conformance.core.errors import GoldenError
from conformance.core.ids import Case, parse_case
from conformance.core.paths import MANIFEST
from conformance.core.records import Entry, Returned
from conformance.observe import record as recording
from conformance.observe.journal import journal_path
from conformance.observe.record import record
from conformance.store import entries as golden
from conformance.store.entries import RECORDING, entry_from
from conformance.store.read import open_store
from conformance.store.verify import verify
from conformance.store.write import drawn_shard, write_store
from tests import small_golden

SMALL = "orthogonal-float32-9x6-s0-cpu-eager"
LARGE = "orthogonal-float32-128x64-s0-cpu-eager"
PLAIN = "normal-float32-64-s0-cpu-eager"
IDS = (SMALL, LARGE, PLAIN)
CASES = [parse_case(text) for text in IDS]
SHARD = drawn_shard("orthogonal/orthogonal.safetensors")


def drawn_of(case: Case) -> bytes | None:
    outcome = small_golden.outcome_of(case, load_catalogue())
    assert isinstance(outcome, Returned)
    return outcome.drawn


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return small_golden.write(tmp_path / "recorded", *IDS, is_recording=True)


@pytest.fixture
def accepted(tmp_path: Path) -> Path:
    return small_golden.write(tmp_path / "golden", *IDS)


# --- Keeping -------------------------------------------------------------------------------------


def test_a_recording_keeps_what_was_drawn_and_the_matrix_whole(recorded: Path) -> None:
    store = open_store(recorded)

    for case in CASES:
        outcome = store.observation(case.id).outcome
        assert isinstance(outcome, Returned)
        assert outcome.drawn == drawn_of(case)
        assert outcome.stride == 1
    assert SHARD in store.shards()
    assert verify(recorded) == []


def test_a_golden_set_keeps_neither(accepted: Path) -> None:
    store = open_store(accepted)
    outcome = store.golden(parse_case(LARGE).problem.id, "cpu")

    assert outcome is not None
    assert isinstance(outcome.outcome, Returned)
    assert outcome.outcome.drawn is None
    assert outcome.outcome.stride != 1
    assert not any(name.startswith(golden.DRAWN) for name in store.shards())
    assert golden.DRAWN not in (accepted / MANIFEST).read_text()


def test_a_matrix_too_large_to_keep_is_sampled_and_its_draw_is_dropped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(golden.MOST_KEPT, golden.RECORDING, 4096)

    store = open_store(small_golden.write(tmp_path / "made", SMALL, LARGE, is_recording=True))
    small, large = (store.observation(text).outcome for text in (SMALL, LARGE))

    assert isinstance(small, Returned)
    assert isinstance(large, Returned)
    assert (small.stride, small.drawn is None) == (1, False)
    assert (large.stride == 1, large.drawn) == (False, None)


def test_a_resumed_recording_keeps_what_its_journal_held(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "recorded"
    observed = recording._observed

    def interrupted(*arguments: object) -> Iterator[Entry]:
        entries = observed(*arguments)  # type: ignore[arg-type]  # handed on as they are
        yield next(entries)
        yield next(entries)
        raise KeyboardInterrupt

    monkeypatch.setattr(recording, "_observed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        record(CASES, load_catalogue(), folder)
    monkeypatch.setattr(recording, "_observed", observed)
    assert "drawn_bits" in journal_path(folder).read_text()

    resumed = record(CASES, load_catalogue(), folder, resume=True)

    for case in CASES:
        outcome = resumed.observation(case.id).outcome
        assert isinstance(outcome, Returned)
        assert outcome.drawn == drawn_of(case)


# --- Damage --------------------------------------------------------------------------------------


def test_a_flipped_byte_of_what_was_drawn_is_found(recorded: Path) -> None:
    path = recorded / SHARD
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    store = open_store(recorded)

    with pytest.raises(GoldenError, match=f"{SHARD} is damaged, its sha256 is not the manifest's"):
        store.observation(SMALL)
    assert store.observation(PLAIN)
    assert any(SHARD in fault for fault in verify(recorded))


def test_a_draw_that_is_another_than_its_digest_says_is_named(recorded: Path) -> None:
    path = recorded / MANIFEST
    manifest = json.loads(path.read_text())
    manifest["entries"][SMALL][golden.DRAWN] = "0" * 64
    path.write_text(json.dumps(manifest))

    with pytest.raises(GoldenError, match=f"{SMALL} cannot be read .*what was drawn for it is ano"):
        open_store(recorded).observation(SMALL)


def test_a_missing_shard_of_draws_is_named(recorded: Path) -> None:
    (recorded / SHARD).unlink()

    with pytest.raises(GoldenError, match=f"{SHARD} cannot be read"):
        open_store(recorded).observation(LARGE)


# --- Judging later -------------------------------------------------------------------------------


def judged(recorded: Path, accepted: Path) -> int:
    words = ["--golden", str(accepted), "--recording", str(recorded)]
    return main(["run", *IDS, *words, "--report", str(recorded / "report")])


def test_a_recording_of_matrices_is_judged_later(
    recorded: Path, accepted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = judged(recorded, accepted)

    assert (code, "3 cases" in capsys.readouterr().out) == (0, True)


def test_a_recording_made_before_draws_were_kept_is_judged_by_the_oracles(
    recorded: Path, accepted: Path, tmp_path: Path
) -> None:
    older = _without_draws(recorded, tmp_path / "older")

    assert not (older / SHARD).exists()
    assert judged(older, accepted) == 0


def test_the_wrong_matrix_of_an_older_recording_is_found_by_the_oracles_draw(
    recorded: Path, accepted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = _without_draws(recorded, tmp_path / "older", swap=True)

    code = judged(older, accepted)

    assert code == 1
    assert "is not that of the Q of the matrix that was drawn (by the oracle)" in (
        capsys.readouterr().out
    )


def _without_draws(recorded: Path, folder: Path, *, swap: bool = False) -> Path:
    """Write the recording as it was made before: no draws, large arrays as samples."""
    store, entries = open_store(recorded), []
    for entry in store.entries():
        outcome = entry.outcome
        assert isinstance(outcome, Returned)
        if swap and entry.id == SMALL:
            array = whole(outcome).copy()
            array[:, [0, 1]] = array[:, [1, 0]]
            outcome = returned(array)
            extra = {**entry.extra, "repeat_sha256": outcome.sha256}
            entry = dataclasses.replace(entry, extra=extra)
        kept = dataclasses.replace(outcome, drawn=None)
        entries.append(dataclasses.replace(entry, outcome=kept))
    write_store(folder, entries, kind=RECORDING, provenance=store.provenance)
    return folder


def test_a_draw_that_no_entry_claims_is_found(recorded: Path) -> None:
    manifest = json.loads((recorded / MANIFEST).read_text())
    del manifest["entries"][SMALL]["drawn"]
    (recorded / MANIFEST).write_text(json.dumps(manifest))

    (fault,) = verify(recorded)

    assert f"{SHARD} holds an array {SMALL} that the manifest does not list: " in fault


def test_a_draw_of_another_size_is_refused(recorded: Path) -> None:
    """Its digest may be right, if the manifest was written so."""
    fields = json.loads((recorded / MANIFEST).read_text())["entries"][SMALL]
    bits = open_store(recorded).shard("orthogonal/orthogonal.safetensors")[SMALL].tobytes()
    short = bits[:-4]
    fields["drawn"] = hashlib.sha256(short).hexdigest()

    with pytest.raises(ValueError, match=r"212 bytes were drawn for it, float32\[9, 6\] needs"):
        entry_from(SMALL, fields, bits, short)
