"""Golden sets one on another: which of them answers, and by what name."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.core import inventory
from conformance.core.errors import BudgetError, GoldenError, SelectionError
from conformance.core.paths import BUDGETS, LEDGER, MANIFEST, OVERLAYS, golden_option, overlay_names
from conformance.core.records import DriftClass
from conformance.store.budgets import save, stacked
from conformance.store.entries import RECORDING
from conformance.store.stack import Stack, open_stack
from conformance.store.yardstick import judged_by
from tests.judge.test_budgets import measurement, table
from tests.store.test_golden import entry, ramp, write

KEY = "normal-float32-64-s0"


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    return write(tmp_path / "golden", entry(KEY, ramp(64)))


def overlay(folder: Path, start: float, within: str = "") -> Path:
    """Write a set that holds another array of the problem, or an overlay within it that does."""
    if within and not (folder / MANIFEST).exists():
        write(folder)
    write(folder / OVERLAYS / within if within else folder, entry(KEY, ramp(64, start)))
    return folder


def answer(stack: Stack, backend: str = "cpu", release: str = "") -> str:
    """Return the name of the overlay that answers."""
    found = stack.golden(KEY, backend, release)
    assert found is not None
    return found.overlay


def test_a_set_without_overlays_answers_for_itself(golden: Path) -> None:
    assert answer(open_stack(golden)) == ""


def test_the_overlay_named_last_counts(golden: Path, tmp_path: Path) -> None:
    one, two = overlay(tmp_path / "one", 1.0), overlay(tmp_path / "two", 2.0)

    assert answer(open_stack(golden, [one, two])) == "two"
    assert answer(open_stack(golden, [two, one])) == "one"


def test_what_an_overlay_does_not_hold_is_that_of_the_set_below(
    golden: Path, tmp_path: Path
) -> None:
    other = write(tmp_path / "other", entry("normal-float32-64-s1", ramp(64)))

    assert answer(open_stack(golden, [other])) == ""


def test_what_a_backend_answered_counts_before_what_the_cpu_did(
    golden: Path, tmp_path: Path
) -> None:
    overlay(golden, 1.0, "cuda")
    stack = open_stack(golden, [overlay(tmp_path / "of_cpu", 2.0)])

    assert answer(stack, "cuda") == "overlays/cuda"
    assert answer(stack, "tpu") == "of_cpu"


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("0.10.2", "pinned/overlays/cpu@0.10.2"),
        ("0.10.1", "pinned/overlays/cpu@0.10"),
        ("0.12.0.1", ""),
        ("0.1", ""),
        ("", ""),
    ],
)
def test_an_overlay_of_a_release_counts_under_it_alone(
    release: str, expected: str, golden: Path, tmp_path: Path
) -> None:
    pinned = overlay(tmp_path / "pinned", 1.0, "cpu@0.10")
    overlay(pinned, 2.0, "cpu@0.10.2")

    stack = open_stack(golden, [pinned])

    assert answer(stack, "cpu", release) == expected
    assert answer(stack, "cuda", release) == expected


def test_the_overlay_of_the_nearest_release_comes_first() -> None:
    assert overlay_names("cpu", "0.10.2") == ("cpu@0.10.2", "cpu@0.10", "cpu@0", "cpu")
    assert overlay_names("cpu", "") == ("cpu",)


def test_two_overlays_of_one_name_are_refused(golden: Path, tmp_path: Path) -> None:
    one, two = overlay(tmp_path / "a" / "mine", 1.0), overlay(tmp_path / "b" / "mine", 2.0)

    with pytest.raises(SelectionError, match=r"2 folders called 'mine', and verdicts .*: rename"):
        open_stack(golden, [one, two])


def test_an_overlay_that_is_not_there_is_named(golden: Path, tmp_path: Path) -> None:
    with pytest.raises(GoldenError, match=r"absent holds no manifest\.json: name a golden set"):
        open_stack(golden, [tmp_path / "absent"])


def test_a_recording_is_no_overlay(golden: Path, tmp_path: Path) -> None:
    recording = write(tmp_path / "seen", entry(f"{KEY}-cpu-eager", ramp(64)), kind=RECORDING)

    with pytest.raises(GoldenError, match=r"seen is a recording, and --overlay takes a golden set"):
        open_stack(golden, [recording])


def test_budgets_alone_are_an_overlay(golden: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    save(tmp_path / "mine" / BUDGETS, table(measurement()))

    assert answer(open_stack(golden, [tmp_path / "mine"])) == ""


def test_budgets_are_no_overlay_where_the_inventory_lists_a_store(
    golden: Path, tmp_path: Path
) -> None:
    mine = overlay(tmp_path / "mine", 1.0)
    save(mine / BUDGETS, table(measurement()))
    inventory.write(mine)
    (mine / MANIFEST).unlink()

    with pytest.raises(GoldenError, match=r"mine holds no manifest\.json"):
        open_stack(golden, [mine])


# --- Budgets -------------------------------------------------------------------------------------


def test_the_budget_named_last_counts_and_says_where_it_is_from(
    golden: Path, tmp_path: Path
) -> None:
    for folder, ulp in ((golden, 1.0), (tmp_path / "one", 2.0), (tmp_path / "two", 3.0)):
        folder.mkdir(exist_ok=True)
        save(folder / BUDGETS, table(measurement(ulp=ulp)))
    inventory.write(golden)
    line = measurement()

    def found(*overlays: Path) -> tuple[int, str]:
        budget = stacked(golden, overlays).of(line.backend, line.initializer, line.dtype)
        assert budget is not None
        return budget.max_ulp, budget.overlay

    assert found() == (1, "")
    assert found(tmp_path / "one", tmp_path / "two") == (3, "two")
    assert found(tmp_path / "two", tmp_path / "one") == (2, "one")


def test_the_file_does_not_say_which_overlay_it_belongs_to(golden: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    save(tmp_path / "mine" / BUDGETS, table(measurement()))
    save(golden / BUDGETS, stacked(golden, [tmp_path / "mine"]))

    assert "overlay" not in (golden / BUDGETS).read_text()


def test_a_missing_budget_is_measured_into_the_overlays_that_judged(
    golden: Path, tmp_path: Path
) -> None:
    with pytest.raises(BudgetError, match=rf"--golden {golden} --overlay mine --write-budgets`"):
        stacked(golden, [Path("mine")]).budget("acme", "normal", "normal", "float32")

    assert golden_option(golden, [tmp_path / "a b"]).endswith(f" --overlay '{tmp_path}/a b'")


# --- The rules -----------------------------------------------------------------------------------


def test_the_rules_name_every_overlay_with_its_digest(golden: Path, tmp_path: Path) -> None:
    one, two = overlay(tmp_path / "one", 1.0), overlay(tmp_path / "two", 2.0)

    def rules(*overlays: Path) -> str:
        return judged_by(golden, LEDGER, DriftClass.ROUNDING, overlays)

    assert ", overlay one " in rules(one, two)
    assert ", overlay two " in rules(one, two)
    assert len({rules(), rules(one), rules(one, two), rules(two, one)}) == 4
    overlay(tmp_path / "again" / "one", 3.0)
    assert rules(one) != rules(tmp_path / "again" / "one")
