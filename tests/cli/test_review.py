"""`conformance goldens review`: told by class, decided kind by kind, shown as a page."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from conformance.cli import main
from conformance.core.arrays import returned
from conformance.core.paths import golden_folder
from conformance.core.records import Entry, Outcome, Returned
from conformance.curate.stage import stage
from conformance.store.entries import GOLDEN, RECORDING
from conformance.store.read import open_store
from conformance.store.write import write_store

SAME = "lecun_normal-float32-64x32-s0"
NUDGED = "he_normal-float32-64x32-s0"
ANOTHER = "normal-bfloat16-64x32-s0"

ENVIRONMENT = {"packages": {"jax": "0.12.0.1"}, "config": {}, "host": {}, "devices": {}}


def values_of(outcome: Outcome) -> np.ndarray:
    assert isinstance(outcome, Returned)
    return np.frombuffer(outcome.bits, outcome.dtype).reshape(outcome.shape).copy()


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    """A set of three goldens, for which two changes are pending: of rounding, and of one value."""
    shipped, folder = open_store(golden_folder(None)), tmp_path / "golden"
    entries = [entry for key in (SAME, NUDGED, ANOTHER) if (entry := shipped.entry(key))]
    made = [{"environment": ENVIRONMENT}]
    write_store(folder, entries, kind=GOLDEN, provenance=made)
    after = {entry.id: values_of(entry.outcome) for entry in entries}
    after[NUDGED][0, 0] = np.nextafter(after[NUDGED][0, 0], np.float32(9))
    after[ANOTHER][:] = 1
    recorded = [
        Entry(
            id=f"{entry.id}-cpu-eager",
            shard=entry.shard,
            outcome=(outcome := returned(after[entry.id])),
            extra={"repeat_sha256": outcome.sha256},
        )
        for entry in entries
    ]
    write_store(
        tmp_path / "recording",
        recorded,
        kind=RECORDING,
        provenance=[{"environment": ENVIRONMENT, "left_out": []}],
    )
    stage(folder, open_store(tmp_path / "recording"), scope="all", reason="a test")
    return folder


Answering = Callable[..., None]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Answering:
    """Return what gives the answers to the next questions; then the input ends."""

    def give(*answers: str) -> None:
        left: Iterator[str] = iter(answers)

        def answer(_: str) -> str:
            try:
                return next(left)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr("builtins.input", answer)

    return give


def review(golden: Path, *words: str) -> int:
    reports = str(golden.parent / "reports")
    return main(["goldens", "review", "--golden", str(golden), "--reports", reports, *words])


def held(golden: Path) -> dict[str, Outcome]:
    return {entry.id: entry.outcome for entry in open_store(golden).entries()}


def test_a_review_is_told_and_shown(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert review(golden) == 0

    told = capsys.readouterr().out
    assert "DOUBTFUL, a golden must not be wrong: normal 1" in told
    assert "the mean is 1, 100 sigma from the law's" in told
    assert "\nset: jax " in told
    assert "\nstaged: jax " in told
    (page,) = golden.parent.glob("reports/*/index.html")
    text = page.read_text()
    assert '<th scope="row">jax</th><td>0.12.0.1</td><td>0.12.0.1</td>' in text
    for part in (
        "PENDING for the set: 1 identical, 1 rounding, 1 law",
        "What would change",
        "was float32[64x32] mean",
        f"conformance goldens accept --golden {golden} {NUDGED}",
        "DOUBTFUL",
    ):
        assert part in text
    assert text.index(ANOTHER) < text.index(NUDGED)
    assert SAME not in text


def test_a_pattern_narrows_a_review(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert review(golden, "he_*") == 0

    told = capsys.readouterr().out
    assert "2 others not shown; they stay pending" in told
    assert ANOTHER not in told


def test_each_kind_is_decided_alone(
    golden: Path, answering: Answering, capsys: pytest.CaptureFixture[str]
) -> None:
    before = held(golden)
    answering("nonsense", "r", "accept", "s")

    assert review(golden, "--interactive") == 0

    told = capsys.readouterr().out
    assert "law: normal bfloat16" in told
    assert "is  float32[64x32] mean" in told
    assert "rejected 1 golden" in told
    assert "accepted 1 golden" in told
    after = held(golden)
    assert {key for key in after if after[key] != before[key]} == {NUDGED}
    assert review(golden) == 0
    assert "identical         1" in capsys.readouterr().out


@pytest.mark.parametrize("answers", [("q",), ()])
def test_who_quits_changes_nothing(
    golden: Path, answering: Answering, answers: tuple[str, ...]
) -> None:
    before = held(golden)
    answering(*answers)

    assert review(golden, "--interactive") == 0

    assert held(golden) == before


def test_nobody_is_asked_without_a_terminal(
    golden: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)

    assert review(golden, "--interactive") == 4
    assert "standard input is no terminal" in capsys.readouterr().err


def test_accept_and_reject_take_patterns(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = held(golden)

    assert main(["goldens", "reject", "--golden", str(golden), "normal-*"]) == 0
    assert "2 others still pending" in capsys.readouterr().out
    assert main(["goldens", "accept", "--golden", str(golden), "he_normal-*"]) == 0

    after = held(golden)
    assert {key for key in after if after[key] != before[key]} == {NUDGED}
    assert main(["goldens", "accept", "--golden", str(golden), "typo*"]) == 4
    assert "pending golden 'typo*' is unknown" in capsys.readouterr().err


def test_a_review_is_told_to_programs_too(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    review(golden, "--json", "-")

    document = json.loads(capsys.readouterr().out)
    classes = {change["id"]: change["class"] for change in document["changes"]}
    assert classes == {SAME: "identical", NUDGED: "rounding", ANOTHER: "law"}
    assert document["counts"] == {"identical": 1, "rounding": 1, "law": 1}
    assert list(document["doubts"]) == [ANOTHER]


ALIKE = (SAME, NUDGED)
"""Problems that scale one unit variate."""


OTHER_DIGEST = "0" * 8


def staged_anew(folder: Path, *ids: str) -> Path:
    """Return a set of ALIKE, for which these are pending with another unit variate."""
    shipped, golden = open_store(golden_folder(None)), folder / "golden"
    entries = [entry for key in ALIKE if (entry := shipped.entry(key))]
    write_store(golden, entries, kind=GOLDEN, provenance=[{"environment": ENVIRONMENT}])
    recorded = [
        dataclasses.replace(
            entry,
            id=f"{entry.id}-cpu-eager",
            extra={
                "stages": {**entry.stages, "unit": OTHER_DIGEST},
                "repeat_sha256": getattr(entry.outcome, "sha256", None),
            },
        )
        for entry in entries
        if entry.id in ids
    ]
    made = [{"environment": ENVIRONMENT, "left_out": []}]
    write_store(folder / "recording", recorded, kind=RECORDING, provenance=made)
    stage(golden, open_store(folder / "recording"), scope="all", reason="a test")
    return golden


def test_a_review_says_what_would_no_longer_agree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was accepted without a word, and `verify` refused the set afterwards."""
    golden = staged_anew(tmp_path, ALIKE[0])

    assert review(golden) == 0

    told = capsys.readouterr().out
    assert "PARTED, stage what draws alike together: 1 stage\n  the stage unit of " in told
    (page,) = golden.parent.glob("reports/*/index.html")
    assert "PARTED, stage what draws alike together: 1 stage" in page.read_text()


def test_what_is_staged_together_is_not_parted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert review(staged_anew(tmp_path, *ALIKE)) == 0

    assert "PARTED" not in capsys.readouterr().out
