"""All that a release of ours has written is read, whatever version another format has by now.

The files in tests/data/formats were written by the code of their days.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import pytest
from drifts import rows_of
from nightly import read_merge

from conformance.cli import main
from conformance.cli.history import last_changes
from conformance.core.errors import ConformanceError
from conformance.core.paths import BUDGETS, LOWERING, PENDING, shipped
from conformance.core.records import Raised, Returned
from conformance.core.versions import FORMATS, Format
from conformance.curate.review import pending
from conformance.flax import store as layers
from conformance.merge.sources import read_sources
from conformance.observe.journal import Journal, header_line
from conformance.report.frames import read_drift, read_run, read_runs
from conformance.report.rows import ROWS
from conformance.store import accepted, budgets
from conformance.store.read import open_store
from conformance.upgrade.survey import read as read_survey
from tests import ROOT

FILES = ROOT / "tests" / "data" / "formats"
EARLIER = [FILES / "2026-11-25", FILES / "2026-11-29"]
CASES = (
    "lecun_normal-float32-1024x1024-s0-cpu-eager",
    "lecun_normal-float32-17x13-s0-cpu-eager",
    "orthogonal-bfloat16-17x13-s0-cpu-eager",
    "orthogonal-float32-17x13-s0-cpu-eager",
)


@pytest.fixture(params=EARLIER, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a copy, which commands may write to."""
    earlier: Path = request.param
    return Path(shutil.copytree(earlier, tmp_path / earlier.name))


def run_in(folder: Path) -> Path:
    (run,) = (folder / "runs").iterdir()
    return run


# --- Each file, by what reads it -----------------------------------------------------------------


def test_the_outcomes_of_a_recording_are_read(folder: Path) -> None:
    recording = open_store(folder / "recording")

    assert recording.ids() == list(CASES)
    large, small, refused, matrix = (recording.observation(case).outcome for case in CASES)
    assert isinstance(large, Returned)
    assert (large.shape, large.stride) == ((1024, 1024), 1023)
    assert isinstance(small, Returned)
    assert small.stride == 1
    assert isinstance(refused, Raised)
    assert refused.exception == "TypeError"
    assert isinstance(matrix, Returned)
    assert (matrix.drawn is None) == (folder.name == "2026-11-25")
    assert recording.environment.packages["jax"] == "0.12.0.1"


def test_a_recording_is_judged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)

    assert main(["run", "--recording", "recording", "--reports", "reports"]) == 0


def test_a_recording_is_compared_with_a_set_of_the_same_day(folder: Path) -> None:
    assert main(["compare", str(folder / "recording"), str(folder / "golden")]) == 0


def test_two_days_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    before, after = (str(folder / "recording") for folder in EARLIER)

    assert main(["compare", before, after]) == 0
    assert "4 cases: 4 identical" in capsys.readouterr().out


def test_all_is_merged(capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(folder / name) for folder in EARLIER for name in ("recording", "runs")]
    golden = str(EARLIER[0] / "golden")

    assert main(["merge", *folders, "--golden", golden]) == 0
    assert "PASSED: " in capsys.readouterr().out
    assert read_sources(map(Path, folders)).faults == ()


def test_what_was_merged_is_read(folder: Path) -> None:
    assert rows_of(read_merge(folder)) == []


def test_a_set_is_as_it_was_stored(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["goldens", "verify", "--golden", str(folder / "golden")]) == 0
    assert "all is as it was stored: 4 problems" in capsys.readouterr().out


def test_budgets_and_programs_of_a_set_are_read(folder: Path) -> None:
    table = budgets.load(folder / "golden" / BUDGETS)
    programs = accepted.load(folder / "golden" / LOWERING, "a command")

    assert table.of("cpu", "lecun_normal", "float32") is not None
    assert (table.matrix_budget("cpu", "float32") is None) == (folder.name == "2026-11-25")
    assert programs.versions == "jax 0.12.0.1, jaxlib 0.12.0.1"


def test_layers_of_a_set_are_read(folder: Path) -> None:
    goldens = layers.open_layers(folder / "golden")

    assert goldens is not None
    assert goldens.ids() == ["flax.linen.Dense/float32/params.kernel"]
    assert goldens.environment.packages["flax"] == "0.12.12"


def test_what_is_pending_can_be_accepted(folder: Path) -> None:
    """Its shards are those of the set: they are not kept twice."""
    for path in (folder / "golden").glob("*/*.safetensors"):
        waiting = folder / "pending" / PENDING / path.parent.name / path.name
        waiting.parent.mkdir()
        shutil.copy(path, waiting)

    assert main(["goldens", "accept", "--golden", str(folder / "pending")]) == 0

    store, accepted = open_store(folder / "golden"), open_store(folder / "pending")
    assert accepted.latest["reason"] == "a set that waits"
    assert [entry.outcome for entry in accepted.entries()] == [
        entry.outcome for entry in store.entries()
    ]


def test_an_unfinished_recording_goes_on(folder: Path) -> None:
    environment = open_store(folder / "recording").environment
    header = header_line(CASES, environment)

    assert len(Journal(folder / "unfinished.journal", header).read()) == 3


def test_a_run_is_read_alike_from_each_of_its_files(folder: Path) -> None:
    run = run_in(folder)
    records = read_run(run)
    (run / "records.parquet").unlink()
    with pytest.warns(UserWarning, match="did not finish"):
        rows = read_run(run)

    assert sorted(records["case"]) == sorted(rows["case"]) == list(CASES)
    assert len(read_drift(run)) == 1
    assert records["lapack"].isna().all() == (folder.name == "2026-11-25")


def test_runs_have_a_history(tmp_path: Path) -> None:
    for folder in EARLIER:
        shutil.copytree(folder / "runs", tmp_path, dirs_exist_ok=True)

    rows = read_runs(tmp_path)

    assert rows["run_id"].nunique() == 2
    assert last_changes(rows).empty


# --- Each version, raised beside any other that is not -------------------------------------------


@contextlib.contextmanager
def raised(forms: Collection[Format]) -> Iterator[None]:
    """Let formats have a version more."""
    before = [form.newest for form in forms]
    for form, newest in zip(forms, before, strict=True):
        object.__setattr__(form, "newest", newest + 1)
    try:
        yield
    finally:
        for form, newest in zip(forms, before, strict=True):
            object.__setattr__(form, "newest", newest)


ALL = (*FORMATS, ROWS)


def parts() -> list[list[Format]]:
    """Return sets of formats by the bits of their numbers.

    Each of two formats is in a set that the other is not in: their numbers differ in a bit.
    """
    return [
        [form for number, form in enumerate(ALL) if number >> bit & 1 == value]
        for bit in range((len(ALL) - 1).bit_length())
        for value in (0, 1)
    ]


def read_journal(folder: Path) -> object:
    environment = open_store(folder / "recording").environment
    header = header_line(CASES, environment)
    return Journal(folder / "unfinished.journal", header).read()


READERS: dict[str, Callable[[Path], object]] = {
    "golden/manifest.json": lambda path: list(open_store(path.parent).entries()),
    "recording/manifest.json": lambda path: list(open_store(path.parent).entries()),
    "golden/budgets.json": budgets.load,
    "golden/lowering.json": lambda path: accepted.load(path, "a command"),
    "golden/modules.json": lambda path: layers.load(path.parent),
    "pending/.pending/stage.json": lambda path: pending(path.parent.parent),
    "unfinished.journal": lambda path: read_journal(path.parent),
}
"""Files that state a version, and are read by it; rows and the survey besides."""


def read_all(folder: Path) -> None:
    for name, reader in READERS.items():
        reader(folder / name)
    read_run(run_in(folder))


@pytest.mark.parametrize("forms", parts())
def test_versions_that_are_raised_leave_every_file_readable(forms: list[Format]) -> None:
    with raised(forms):
        for folder in EARLIER:
            read_all(folder)
        assert open_store(shipped()).entry("lecun_normal-float32-64x32-s0")
        budgets.load(shipped() / BUDGETS)
        accepted.load(shipped() / LOWERING, "a command")
        layers.load(shipped())
        read_survey(ROOT / "docs" / "jax-releases.json")


@pytest.mark.parametrize("name", READERS)
def test_a_file_of_a_newer_version_is_refused_by_both_versions(name: str, folder: Path) -> None:
    path = folder / name
    head, *lines = path.read_text().split("\n")
    document = json.loads("\n".join([head, *lines]) if path.suffix == ".json" else head)
    newer = json.dumps({**document, "schema": 99})
    path.write_text("\n".join([newer, *lines]) if path.suffix == ".journal" else newer)

    with pytest.raises(ConformanceError) as caught:
        READERS[name](path)

    assert re.search(
        r"has version 99 of the format `[a-z ]+`, this release reads up to \d+: update this",
        str(caught.value),
    )
    assert str(path) in str(caught.value)


def test_every_format_has_a_name_of_its_own_and_says_how_older_files_are_read() -> None:
    assert len({form.name for form in ALL}) == len(ALL)
    assert all(form.older for form in ALL)
