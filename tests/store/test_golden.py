"""The store gives back what was put in, proves it by digests, and names what is damaged."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.core.arrays import as_dtype, block_digests, returned
from conformance.core.errors import GoldenError
from conformance.core.formats import DTYPES
from conformance.core.ids import Problem
from conformance.core.paths import MANIFEST, OVERLAYS, golden_option, shipped
from conformance.core.records import Entry, Environment, Raised, Returned
from conformance.store import read as reading
from conformance.store.entries import GOLDEN, RECORDING, shard_name
from conformance.store.read import open_store
from conformance.store.textconv import textconv
from conformance.store.verify import verify
from conformance.store.write import write_store
from tests import ROOT

ENVIRONMENT = {"packages": {"jax": "1.2.3"}, "config": {}, "host": {}, "devices": {}}
PROVENANCE: list[Mapping[str, Any]] = [{"environment": ENVIRONMENT, "reason": "first"}]


def entry(key: str, array: Any, **extra: Any) -> Entry:
    name = key.partition("-")[0]
    return Entry(
        id=key, shard=shard_name("normal", name), outcome=returned(np.asarray(array)), extra=extra
    )


def ramp(size: int, start: float = 0.0) -> np.ndarray[Any, Any]:
    return np.arange(size, dtype=np.float32) + np.float32(start)


def write(folder: Path, *entries: Entry, kind: str = GOLDEN) -> Path:
    write_store(folder, list(entries), kind=kind, provenance=PROVENANCE)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A set of three problems in two shards."""
    return write(
        tmp_path / "golden",
        entry("normal-float32-64-s0", ramp(64)),
        entry("normal-float32-64-s1", ramp(64, 0.5)),
        entry("uniform-float32-4x4-s0", ramp(16).reshape(4, 4)),
    )


# --- What is put in comes out ---------------------------------------------------------------------


@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.lists(st.integers(0, 5), max_size=3).map(tuple),
    weak_type=st.booleans(),
    data=st.data(),
)
def test_an_array_is_read_back_bit_by_bit(
    dtype: str,
    shape: tuple[int, ...],
    weak_type: bool,
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    size_bytes = int(np.prod(shape, dtype=int)) * as_dtype(dtype).itemsize
    bits = data.draw(st.binary(min_size=size_bytes, max_size=size_bytes))
    with np.errstate(all="ignore"):  # any bits may come, signalling not-a-numbers included
        array = np.frombuffer(bits, as_dtype(dtype)).reshape(shape)
        outcome = returned(array, weak_type=weak_type)
        key = Problem(initializer="normal", dtype=dtype, shape=shape, seed=3).id
        folder = tmp_path_factory.mktemp("store") / "golden"
        write(folder, dataclasses.replace(entry(key, array), outcome=outcome))

        kept = open_store(folder).entry(key)

    assert kept is not None
    assert isinstance(kept.outcome, Returned)
    assert (kept.outcome.bits, kept.outcome.sha256) == (bits, outcome.sha256)
    assert (kept.outcome.dtype, kept.outcome.shape) == (dtype, shape)
    assert kept.outcome.weak_type is weak_type
    assert repr(kept.outcome.moments) == repr(outcome.moments)  # not-a-number is not itself


def test_an_outcome_of_another_dtype_and_shape_than_asked_is_kept_as_it_was(
    tmp_path: Path,
) -> None:
    key = "normal-float32-64-s0"
    folder = write(tmp_path / "golden", entry(key, np.ones((2, 3), np.float16)))

    kept = open_store(folder).entry(key)

    assert kept is not None
    assert isinstance(kept.outcome, Returned)
    assert (kept.outcome.dtype, kept.outcome.shape) == ("float16", (2, 3))


def test_an_exception_is_an_outcome(tmp_path: Path) -> None:
    raised = Raised(exception="ValueError", message="no fans in\nscalars")
    key = "normal-float32-scalar-s0"
    shard = shard_name("normal", "normal")
    folder = write(tmp_path / "golden", Entry(id=key, shard=shard, outcome=raised))

    kept = open_store(folder).entry(key)

    assert kept == Entry(id=key, shard=shard, outcome=raised)


def test_a_large_array_is_kept_as_digests_moments_and_a_strided_sample(tmp_path: Path) -> None:
    array = ramp(1 << 16).reshape(256, 256)
    full = returned(array)
    key = "normal-float32-256x256-s0"
    folder = write(tmp_path / "golden", entry(key, array))

    kept = open_store(folder).entry(key)

    assert kept is not None
    assert isinstance(kept.outcome, Returned)
    assert (kept.outcome.sha256, kept.outcome.moments) == (full.sha256, full.moments)
    assert kept.outcome.blocks == block_digests(full)
    assert kept.outcome.stride % 2 == 1
    sample = np.frombuffer(kept.outcome.bits, np.float32)
    np.testing.assert_array_equal(sample, array.reshape(-1)[:: kept.outcome.stride])


def test_no_more_shards_stay_in_memory_than_have_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a model's parameters each is a shard, and all together no memory has room for."""
    keys = [f"{name}-float32-64-s0" for name in ("a", "b", "c")]
    store = open_store(write(tmp_path / "golden", *(entry(key, ramp(64)) for key in keys)))
    (size,) = {store._shards[name].size_bytes for name in store.shards()}
    monkeypatch.setattr(reading, "LARGEST_HELD", 2 * size)

    held = [len(store._arrays) for key in keys if store.entry(key)]

    assert held == [1, 2, 1]


def test_stages_are_kept_in_the_order_of_the_computation(tmp_path: Path) -> None:
    key = "normal-float32-64-s0"
    stages = {"unit": "dd", "bits": "bb", "key": "aa", "uniform": "cc"}
    folder = write(tmp_path / "golden", entry(key, ramp(64), stages=stages))

    kept = open_store(folder).entry(key)

    assert kept is not None
    assert list(kept.stages.items()) == [
        ("key", "aa"),
        ("bits", "bb"),
        ("uniform", "cc"),
        ("unit", "dd"),
    ]


def test_a_problem_that_is_not_stored_has_no_entry(folder: Path) -> None:
    assert open_store(folder).entry("normal-float32-64-s7") is None


def test_an_observation_is_read_back_from_a_recording(tmp_path: Path) -> None:
    key = "normal-float32-64-s0-cuda-jit"
    extra = {"device": "H100", "elapsed_s": 0.5, "repeat_sha256": "ab", "stages": {"key": "cd"}}
    folder = write(tmp_path / "rec", entry(key, ramp(64), **extra), kind=RECORDING)

    observation = open_store(folder).observation(key)

    assert observation.case.id == key
    assert observation.outcome == returned(ramp(64))
    assert (observation.device, observation.elapsed_s) == ("H100", 0.5)
    assert (observation.repeat_sha256, observation.stages) == ("ab", {"key": "cd"})
    assert observation.mode == "executed"


def test_a_golden_set_holds_no_observations(folder: Path) -> None:
    with pytest.raises(GoldenError, match="is a golden that holds no observation of normal-"):
        open_store(folder).observation("normal-float32-64-s0")


def test_the_environment_is_that_of_the_last_record_that_names_one(tmp_path: Path) -> None:
    later = {"environment": {**ENVIRONMENT, "packages": {"jax": "4.5.6"}}}
    provenance: list[Mapping[str, Any]] = [*PROVENANCE, later, {"reason": "pruned"}]
    write_store(tmp_path / "golden", [], kind=GOLDEN, provenance=provenance)

    environment = open_store(tmp_path / "golden").environment

    assert environment == Environment(packages={"jax": "4.5.6"}, config={}, host={}, devices={})


def test_a_provenance_without_an_environment_is_refused_by_name(tmp_path: Path) -> None:
    write_store(tmp_path / "golden", [], kind=GOLDEN, provenance=[])

    with pytest.raises(GoldenError, match=r"provenance\.json names no environment"):
        open_store(tmp_path / "golden").environment  # noqa: B018


def test_a_provenance_of_nothing_is_refused_by_name(tmp_path: Path) -> None:
    write_store(tmp_path / "recording", [], kind=RECORDING, provenance=[])

    with pytest.raises(GoldenError, match=r"provenance\.json names no recording: copy it again"):
        open_store(tmp_path / "recording").latest  # noqa: B018


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"environment": 1}',
            r"provenance\.json cannot be read .* is not a list\)",
        ),
        ("[1]", r"provenance\.json cannot be read \(#1: 1 is not an object\)"),
        ('[{"machine_faults": 5}]', r"\(#1, machine_faults: 5 is not a list\)"),
        ('[{"environment": 1}]', r"\(#1, environment: 1 is not an object with packages"),
        (
            '[{"environment": {"packages": {}}}]',
            r"\(#1, environment: the field 'config' is",
        ),
        ('[{"enviroment": {}}]', r"\(#1: field 'enviroment' is unknown: did you mean environment"),
        (
            '[{"environment": {"packages": {"jax": 1}, "config": {}, "host": {}, "devices": {}}}]',
            r"\(#1, environment, packages, jax: 1 is not a text\)",
        ),
    ],
)
def test_a_provenance_that_is_none_is_refused(text: str, message: str, folder: Path) -> None:
    (folder / "provenance.json").write_text(text)

    with pytest.raises(GoldenError, match=message):
        _ = open_store(folder).environment


def test_the_way_out_of_damage_is_that_of_the_store(tmp_path: Path) -> None:
    case = "normal-float32-64-s0-cpu-eager"
    recorded = write(tmp_path / "recorded", entry(case, ramp(64)), kind=RECORDING)
    (recorded / "normal/normal.safetensors").unlink()

    with pytest.raises(GoldenError, match=r"copy it again .*, or record anew with") as error_info:
        open_store(recorded).entry(case)

    assert "goldens" not in str(error_info.value)


def test_commands_that_messages_name_are_about_the_set_in_use(tmp_path: Path) -> None:
    assert golden_option(shipped()) == ""
    assert golden_option(tmp_path / "my set") == f" --golden '{tmp_path}/my set'"
    assert golden_option(tmp_path / "mine" / OVERLAYS / "cuda") == f" --golden {tmp_path}/mine"


def test_an_overlay_goes_before_the_set_on_its_backend_only(folder: Path) -> None:
    key, other = "normal-float32-64-s0", ramp(64, 7.0)
    write(folder / OVERLAYS / "cuda", entry(key, other))
    store = open_store(folder)

    on_cuda, on_cpu = store.golden(key, "cuda"), store.golden(key, "cpu")

    assert on_cuda is not None
    assert on_cpu is not None
    assert on_cuda.outcome == returned(other)
    assert on_cpu.outcome == returned(ramp(64))


def test_what_an_overlay_lacks_comes_from_the_set(folder: Path) -> None:
    write(folder / OVERLAYS / "cuda", entry("normal-float32-64-s0", ramp(64, 7.0)))
    store = open_store(folder)

    assert store.golden("normal-float32-64-s1", "cuda") == store.entry("normal-float32-64-s1")


def test_a_golden_was_made_on_the_backend_of_its_overlay_or_else_of_the_set(folder: Path) -> None:
    write(folder / OVERLAYS / "cuda", entry("normal-float32-64-s0", ramp(64, 7.0)))
    store = open_store(folder)

    asked = [("64-s0", "cuda"), ("64-s1", "cuda"), ("64-s0", "iree")]
    found = [store.golden(f"normal-float32-{problem}", backend) for problem, backend in asked]
    assert [entry and entry.maker for entry in found] == ["cuda", "cpu", "cpu"]


# --- The files -----------------------------------------------------------------------------------


def test_the_files_depend_on_the_entries_alone_not_on_their_order(tmp_path: Path) -> None:
    entries = [entry(f"normal-float32-8-s{seed}", ramp(8, seed)) for seed in range(12)]

    one, two = write(tmp_path / "one", *entries), write(tmp_path / "two", *reversed(entries))

    for path in (MANIFEST, shard_name("normal", "normal")):
        assert (one / path).read_bytes() == (two / path).read_bytes()


def test_one_changed_problem_changes_one_line_of_the_manifest_and_that_of_its_shard(
    tmp_path: Path,
) -> None:
    entries = [entry(f"normal-float32-8-s{seed}", ramp(8, seed)) for seed in range(12)]
    changed = [*entries[:-1], entry(entries[-1].id, ramp(8, 99.0))]

    one, two = write(tmp_path / "one", *entries), write(tmp_path / "two", *changed)

    lines = [(path / MANIFEST).read_text().splitlines() for path in (one, two)]
    differing = {line.split(":")[0] for line in set(lines[0]) ^ set(lines[1])}
    assert differing == {'"normal/normal.safetensors"', f'"{entries[-1].id}"'}


def test_a_set_reads_each_of_its_shards_once_however_many_goldens_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [entry(f"normal_{i % 5}-float32-8-s{i}", ramp(8)) for i in range(50)]
    folder = write(tmp_path / "golden", *entries)
    read = reading._read_file
    names: list[str] = []

    def counting(path: Path, size_bytes: int) -> bytes:
        names.append(path.name)
        return read(path, size_bytes)

    monkeypatch.setattr(reading, "_read_file", counting)

    store = open_store(folder)
    found = [store.golden(key, "cpu") for key in store.ids()]

    assert None not in found
    assert sorted(names) == [f"normal_{i}.safetensors" for i in range(5)]


# --- What cannot be written ----------------------------------------------------------------------


def test_a_manifest_of_a_set_is_parsed_once_and_one_that_changed_is_parsed_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those that are parsed in a moment, nor those that would fill the memory."""
    parsed: list[str] = []

    def parse(text: str) -> Any:
        parsed.append(text)
        return json.loads(text)

    path = folder / MANIFEST
    text = path.read_text()
    monkeypatch.setattr(reading, "parse_json", parse)
    for kept, times in ((range(len(text), len(text) + 2), 1), (range(1), 2), (range(9), 2)):
        monkeypatch.setattr(reading, "KEPT", kept)
        parsed.clear()
        assert open_store(folder).ids() == open_store(folder).ids()
        assert len(parsed) == times

    monkeypatch.setattr(reading, "KEPT", range(len(text), len(text) + 2))
    path.write_text(text + " ")
    assert len(open_store(folder)) == len(json.loads(text)["entries"])
    assert parsed[-1] == text + " "


def test_a_store_is_never_written_over_another(folder: Path) -> None:
    with pytest.raises(GoldenError, match="golden is not empty: name a new folder"):
        write(folder)


def test_an_id_is_stored_once(tmp_path: Path) -> None:
    twice = [entry("normal-float32-8-s0", ramp(8))] * 2

    with pytest.raises(GoldenError, match="normal-float32-8-s0 would be stored twice"):
        write(tmp_path / "golden", *twice)


def test_a_full_disk_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)

    with pytest.raises(GoldenError, match=r"golden cannot be written: No space left .*Free the"):
        write(tmp_path / "golden", entry("normal-float32-8-s0", ramp(8)))


# --- What cannot be read -------------------------------------------------------------------------


def test_a_folder_without_a_manifest_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(GoldenError, match=r"holds no manifest\.json: name a golden set or"):
        open_store(tmp_path)


def manifest(**fields: Any) -> str:
    """Return a manifest of nothing, but for the fields that are given."""
    empty = {"schema": 1, "kind": GOLDEN, "shards": {}, "entries": {}}
    return json.dumps({**empty, **fields})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema": 1, "kind"', r"manifest\.json cannot be read .*restore it"),
        ("[]", r"manifest\.json cannot be read \(\[\] is not an object of the format `golden set`"),
        (
            manifest(schema=9),
            "has version 9 of the format `golden set`, this release reads",
        ),
        (manifest(schema="1"), r"\(schema: '1' is not a version of the format `golden set`"),
        ('{"schema": 1, "kind": "golden"}', r"\(the field 'shards' is missing\)"),
        (manifest(kind="glden"), r"\(kind: value 'glden' is unknown: did you mean golden"),
        (manifest(kind=7), r"\(kind: 7 is not a text\)"),
        (manifest(kind=["golden"]), r"\(kind: \['golden'\] is not a text\)"),
        (manifest(entries=[]), r"\(entries: \[\] is not an object\)"),
        (manifest(entries={"a": 1}), r"\(entries, a: 1 is not an object\)"),
        (manifest(shards={"a": {}}), r"\(shards, a: the field 'sha256' is missing\)"),
        (
            manifest(kind=RECORDING, entries={"normal-float32-64-s0-cpu-egaer": {}}),
            r"\(entries: .*transform 'egaer' .* is unknown",
        ),
    ],
)
def test_a_manifest_that_is_none_is_refused(text: str, message: str, folder: Path) -> None:
    (folder / MANIFEST).write_text(text)

    with pytest.raises(GoldenError, match=message):
        open_store(folder)


def damaged(folder: Path, find: str, replacement: str) -> Path:
    """Return the folder once the manifest's text has been changed."""
    text = (folder / MANIFEST).read_text()
    assert find in text
    (folder / MANIFEST).write_text(text.replace(find, replacement))
    return folder


def read_first(folder: Path) -> None:
    open_store(folder).entry("normal-float32-64-s0")


def test_a_missing_shard_is_named(folder: Path) -> None:
    (folder / "normal/normal.safetensors").unlink()

    with pytest.raises(GoldenError, match=r"normal\.safetensors cannot be read \(No such file"):
        read_first(folder)


def test_a_truncated_shard_is_named(folder: Path) -> None:
    path = folder / "normal/normal.safetensors"
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(GoldenError, match=r"\(it has \d+ bytes, the manifest says \d+\)"):
        read_first(folder)


def test_a_flipped_byte_is_found(folder: Path) -> None:
    path = folder / "normal/normal.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)

    with pytest.raises(GoldenError, match=r"normal\.safetensors is damaged, its sha256 is not"):
        read_first(folder)


def test_damage_to_one_shard_leaves_the_others_readable(folder: Path) -> None:
    (folder / "normal/normal.safetensors").unlink()

    assert open_store(folder).entry("uniform-float32-4x4-s0") is not None


def test_a_shard_that_only_pretends_is_refused(folder: Path) -> None:
    """Its digest may be right: whoever wrote the manifest put something else there."""
    path = folder / "normal/normal.safetensors"
    path.write_bytes(b"no shard")
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["shards"]["normal/normal.safetensors"] = {
        "sha256": hashlib.sha256(b"no shard").hexdigest(),
        "size_bytes": 8,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest))

    with pytest.raises(GoldenError, match=r"normal\.safetensors is no safetensors file"):
        read_first(folder)


def test_a_shard_that_links_out_of_the_set_is_refused(folder: Path, tmp_path: Path) -> None:
    path = folder / "normal/normal.safetensors"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(GoldenError, match=r"'normal/normal\.safetensors' lies outside"):
        read_first(folder)


@pytest.mark.parametrize("name", ["normal/normal.safetensors", MANIFEST])
def test_a_pipe_is_not_waited_for(name: str, folder: Path) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)

    with pytest.raises(GoldenError, match=rf"{name} cannot be read \(it is no plain file\)"):
        read_first(folder)


def test_a_shard_of_another_size_is_refused_before_it_is_read(folder: Path) -> None:
    """A sparse file of a tebibyte takes no room on the disk, and does not fit into memory."""
    os.truncate(folder / "normal/normal.safetensors", 2**40)

    with pytest.raises(GoldenError, match=rf"it has {2**40} bytes, the manifest says"):
        read_first(folder)


@pytest.mark.parametrize(
    ("find", "replacement", "message"),
    [
        ('"shard":"normal/', '"shard":"other/', r"names the unlisted shard other/normal"),
        ("normal/normal.", "../normal/normal.", r"'\.\./normal/normal\.\S+ lies outside"),
        (
            '"shard":',
            '"shart":',
            r"entry of normal-float32-64-s0 cannot .* 'shart' is unknown",
        ),
        ('"shard":', '"stride":"x","shard":', r"cannot be read \(stride: 'x' is not an integer\)"),
        (
            '"shard":',
            '"stride":true,"shard":',
            r"\(stride: True is not an integer\)",
        ),
        ('"sha256":', '"sha265":', r"field 'sha265' is unknown: did you mean sha256"),
        (
            '"shard":',
            '"moments":[],"shard":',
            r"\(moments: \[\] is not an object with mean",
        ),
        ('"shard":', '"stages":null,"shard":', r"\(stages: None is not an object\)"),
        ('"shard":', '"device":7,"shard":', r"cannot be read \(device: 7 is not a text\)"),
        ('"shard":', '"stages":{"key":0},"shard":', r"\(stages, key: 0 is not a text\)"),
        ("-float32-64-s0", "-float32-65-s0", r"holds no array for normal-float32-65-s0"),
        (
            '"shard":',
            '"blocks":["ab"],"shard":',
            r"\(1 digests of blocks are stored, \[64\] has 16\)",
        ),
        ('"shard":', '"shape":[3],"shard":', r"256 bytes are stored, float32\[3\] needs 12"),
    ],
)
def test_a_manifest_that_disagrees_with_its_shard_is_named(
    find: str, replacement: str, message: str, folder: Path
) -> None:
    damaged(folder, find, replacement)

    with pytest.raises(GoldenError, match=message):
        list(open_store(folder).entries())


# --- Verifying -----------------------------------------------------------------------------------


def test_a_sound_set_has_no_faults(folder: Path) -> None:
    write(folder / OVERLAYS / "cuda", entry("normal-float32-64-s0", ramp(64, 7.0)))

    assert verify(folder) == []


def test_verify_names_file_and_problem_of_a_forged_array(folder: Path) -> None:
    sha256 = returned(ramp(64)).sha256
    damaged(folder, sha256, "0" * 64)

    assert verify(folder) == [
        f"{folder}/manifest.json: the entry of normal-float32-64-s0 cannot be read (its "
        "array is another one than the digest says): restore it from version control, or stage "
        f"new goldens with `conformance goldens stage --golden {folder}`"
    ]


def test_verify_names_every_fault_once(folder: Path) -> None:
    (folder / "normal/normal.safetensors").unlink()
    (folder / "normal/uniform.safetensors").write_bytes(b"")

    faults = verify(folder)

    assert [fault.split()[0] for fault in faults] == [
        f"{folder}/normal/normal.safetensors",
        f"{folder}/normal/uniform.safetensors",
    ]


def test_verify_finds_an_array_that_no_entry_speaks_of(folder: Path) -> None:
    lines = (folder / MANIFEST).read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith('"normal-float32-64-s1"')]
    (folder / MANIFEST).write_text("".join(kept))

    (fault,) = verify(folder)

    assert "holds an array normal-float32-64-s1 that the manifest does not list" in fault


def test_verify_finds_a_shard_that_the_manifest_does_not_list(folder: Path) -> None:
    (folder / "normal/normal.safetensors").rename(folder / "normal/old.safetensors")

    assert (
        f"{folder}/normal/old.safetensors is a shard that the manifest does not list: delete it"
        in verify(folder)
    )


def test_verify_looks_into_overlays(folder: Path) -> None:
    overlay = write(folder / OVERLAYS / "cuda", entry("normal-float32-64-s0", ramp(64, 7.0)))
    (overlay / "normal/normal.safetensors").unlink()

    (fault,) = verify(folder)

    assert f"{overlay}/normal/normal.safetensors cannot be read" in fault


def test_verify_leaves_alone_what_is_pending(folder: Path) -> None:
    write(folder / ".pending", entry("normal-float32-64-s0", ramp(64, 7.0)))

    assert verify(folder) == []


# --- Showing -------------------------------------------------------------------------------------


def test_a_shard_as_text_shows_ids_and_values(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "golden",
        entry("normal-bfloat16-2-s0", np.array([1 / 3, np.nan], ml_dtypes.bfloat16)),
        entry("normal-complex64-1-s0", np.array([1 - 2j], np.complex64)),
        entry("normal-float32-9-s0", np.array([0.1, *range(8)], np.float32)),
    )

    assert textconv(folder / shard_name("normal", "normal")) == (
        "normal-bfloat16-2-s0\n  [0] 0.334 nan:7fc0\n"
        "normal-complex64-1-s0\n  [0] 1 -2\n"
        "normal-float32-9-s0\n  [0] 0.100000001 0 1 2 3 4 5 6\n  [8] 7\n"
    )


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_neighbours_show_as_different_text(dtype: str, tmp_path: Path) -> None:
    width = as_dtype(dtype).itemsize
    one = np.ones(1, as_dtype(dtype)).view(f"u{width}")
    words = (one + np.arange(-500, 500)).astype(f"u{width}")
    folder = write(
        tmp_path / "golden", entry(f"normal-{dtype}-1000-s0", words.view(as_dtype(dtype)))
    )
    finite = {
        w for w in words.tolist() if np.isfinite(np.array(w, f"u{width}").view(as_dtype(dtype)))
    }

    text = textconv(folder / shard_name("normal", "normal"))

    shown = {value for line in text.splitlines()[1:] for value in line.split()[1:]}
    assert len({value for value in shown if "nan" not in value}) == len(finite)


def test_what_is_no_shard_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"no shard")

    with pytest.raises(GoldenError, match=r"x\.safetensors cannot be shown"):
        textconv(path)


def test_git_takes_shards_for_binary_files_that_have_a_text() -> None:
    attributes = subprocess.run(
        ["git", "check-attr", "text", "diff", "merge", "--", "golden/normal/normal.safetensors"],  # noqa: S607
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )

    values = [line.rsplit(": ", 1)[1] for line in attributes.stdout.splitlines()]
    assert values == ["unset", "safetensors", "unset"]
