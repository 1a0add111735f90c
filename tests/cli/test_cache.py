"""The user's cache is listed, and what was of no use for long is removed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from conformance.cli.main import main
from conformance.core.files import locked
from conformance.core.paths import cache_folder

DAY_S = 86_400


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fill a cache of one's own: an environment of 40 days, a recording of today."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for kind, name, age in (("environments", "old", 40), ("recordings", "new", 0)):
        folder = cache_folder(kind) / name
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"x" * 1500)
        moment = time.time() - age * DAY_S
        os.utime(folder, (moment, moment))


def held() -> list[str]:
    """Return the names of the entries of the cache."""
    return sorted(path.name for path in cache_folder("").glob("*/[!.]*"))


def test_a_list_names_each_entry_with_its_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "list"]) == 0
    printed = capsys.readouterr().out
    assert "environments/old" in printed
    assert "  1.5 kB  environments: one release of JAX or Flax and what it needs\n" in printed
    assert "    3 kB  in " in printed


def test_a_kind_of_which_nothing_is_left_is_listed_so(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--kind", "environments")
    assert main(["cache", "prune", "--older-than", "0", *words]) == 0
    capsys.readouterr()

    assert main(["cache", "list", *words]) == 0

    kind, total = capsys.readouterr().out.splitlines()
    assert kind == "     0 B  environments: one release of JAX or Flax and what it needs"
    assert total.startswith("     0 B  of these kinds in ")


def test_what_was_of_no_use_for_long_is_removed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "prune"]) == 0
    assert "removed 1 of 2 entries, 1.5 kB" in capsys.readouterr().out
    assert held() == ["new"]


def test_everything_goes_where_that_is_asked_for() -> None:
    assert main(["cache", "prune", "--older-than", "0"]) == 0
    assert held() == []


def test_one_kind_goes_alone() -> None:
    assert main(["cache", "prune", "--older-than", "0", "--kind", "recordings"]) == 0
    assert held() == ["old"]


def test_what_another_process_holds_stays_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with locked(cache_folder("environments") / "old"):
        assert main(["cache", "prune"]) == 3
    assert "is being changed by process" in capsys.readouterr().err
    assert "old" in held()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list", "--kind", "recording"], "kind 'recording' is unknown: did you mean recordings"),
        (["prune", "--older-than", "-1"], "--older-than -1 is no number of days"),
    ],
)
def test_a_wrong_call_is_one(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["cache", *words]) == 4
    assert message in capsys.readouterr().err
