"""What the upgrade's gate hands on, and the issue that comes of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import track_issues
from commands import Ended
from gate_upgrade import findings_of, main

from tests import ROOT, warm
from tests.scripts.test_nights import stand_in

BEFORE = "jax 0.12.0.1 (.github/accepted.txt)"


def verdict(*pairs: dict[str, Any], after: str = "jax 0.13.0", **values: Any) -> str:
    line = f"DRIFT: {BEFORE} -> {after}: {len(pairs)} of 9 cases beyond rounding"
    document = {"before": BEFORE, "after": after, "verdict": line, "pairs": pairs}
    return json.dumps({**document, "lost": {}, "unseen": {}, **values})


def pair(initializer: str = "normal", drift_class: str = "stream") -> dict[str, Any]:
    return {
        "initializer": initializer,
        "dtype": "float32",
        "drift_class": drift_class,
        "is_allowed": drift_class == "identical",
    }


class Gate:
    """A `conformance gate` that ends as it is told, and GitHub."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._n_nights = 0
        gh = (ROOT / "tests" / "fake_gh.py").read_text().partition("\n")[2]
        stand_in(folder / "bin" / "gh", f"#!{warm.COLD} -IS\n{gh}")

    def ends(self, code: int, document: str = "", error: str = "") -> None:
        """Write the document and a table, and end so; neither where the document is empty."""
        (self._folder / "verdict.json").write_text(document)
        write = (
            f'[ "$1" = --json ] && cp {self._folder}/verdict.json "$2"; '
            '[ "$1" = --markdown ] && printf "## DRIFT\\n\\ntables\\n" > "$2"; '
        )
        stand_in(
            self._folder / "bin" / "conformance",
            f'#!/bin/sh\necho "$*" > {self._folder}/words\necho "{error}" >&2\n'
            f"while [ $# -gt 0 ]; do {write if document else ''}shift; done\nexit {code}\n",
        )

    @property
    def words(self) -> str:
        """What the gate was called with."""
        return (self._folder / "words").read_text()

    def night(self, lane: str = "newest") -> int:
        """Gate one lane and tell; the other lane's job left what it did on a clean night."""
        self._n_nights += 1
        folders = {name: self._folder / f"{self._n_nights}-{name}" for name in (lane, "other")}
        code = main([lane, "--out", str(folders[lane]), "--tier", "standard"])
        folders["other"].mkdir()
        (folders["other"] / "findings.json").write_text('{"drifts": [], "missing": {}}')
        words = ["--run", "URL", "--date", f"2026-12-{self._n_nights:02}"]
        track_issues.main(["upgrade", *map(str, folders.values()), *words])
        return code

    @property
    def issues(self) -> list[dict[str, Any]]:
        """All issues, the oldest first."""
        found: list[dict[str, Any]] = json.loads((self._folder / "github.json").read_text())[
            "issues"
        ]
        return found


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """Return a gate in a checkout."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE_GH", str(tmp_path / "github.json"))
    monkeypatch.chdir(ROOT)
    return Gate(tmp_path)


def test_the_accepted_release_is_gated_against_the_newest_of_the_lane(gate: Gate) -> None:
    gate.ends(0, verdict(pair(drift_class="identical")))

    assert gate.night("nightly") == 0

    assert gate.words.startswith("gate --from .github/accepted.txt --to latest --pre --index http")
    assert "--tier standard" in gate.words
    assert gate.issues == []


def test_the_title_names_both_releases(gate: Gate) -> None:
    gate.ends(1, verdict(pair(), pair("uniform")))

    assert gate.night() == 0

    (issue,) = gate.issues
    assert issue["title"] == "Drift first seen in jax 0.13.0 (accepted: jax 0.12.0.1)"
    assert issue["body"].startswith("**DRIFT: jax 0.12.0.1 (.github/accepted.txt) -&gt; jax 0.13.0")
    assert issue["body"].count("tables") == 1


def test_another_release_with_the_same_drift_is_the_same_issue(gate: Gate) -> None:
    gate.ends(1, verdict(pair()))
    gate.night()
    gate.ends(1, verdict(pair(), after="jax 0.13.1"))

    gate.night()

    (issue,) = gate.issues
    assert "jax 0.13.0" in issue["title"]
    assert "-&gt; jax 0.13.1" in issue["body"].partition("### Nights")[0]
    assert "jax 0.13.0" in issue["body"].partition("### Nights")[2]


def test_lost_cases_come_second_and_are_their_own_issue(gate: Gate) -> None:
    gate.ends(1, verdict(pair(), lost={"ones-x": "jax 0.13.0: its process ended"}))

    gate.night()

    drift, missing = gate.issues
    assert "Besides, not all was judged:\n\n- 1 case lost: ones-x" in drift["body"]
    assert missing["title"] == "Upgrade conformance: not all was judged"


def test_a_release_that_cannot_be_installed_is_no_verdict_and_closes_nothing(gate: Gate) -> None:
    gate.ends(1, verdict(pair()))
    gate.night()
    gate.ends(3, error="conformance: jax 0.13.0 cannot be installed")

    assert gate.night() == 3

    drift, missing = gate.issues
    assert drift["open"]
    assert drift["body"].startswith("**DRIFT")
    assert "exit code 3: conformance: jax 0.13.0 cannot be installed" in missing["body"]


def test_a_code_that_the_files_do_not_explain_is_told() -> None:
    ended = Ended(code=3, last_words="no space left")

    found = findings_of("newest", json.loads(verdict()), "", ended)

    assert found.missing == {"newest": ("The gate of newest: exit code 3: no space left",)}


def test_a_clean_gate_closes_the_issue(gate: Gate) -> None:
    gate.ends(1, verdict(pair()))
    gate.night()
    gate.ends(0, verdict())

    gate.night()

    assert not gate.issues[0]["open"]
