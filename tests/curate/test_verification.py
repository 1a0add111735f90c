"""Nothing that a golden set holds is taken on trust: each part, spoilt, is named by its file."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cli import main
from conformance.cli.goldens import _held
from conformance.core import inventory
from conformance.core.errors import BudgetError, GoldenError, StoreError
from conformance.core.paths import FLAX_TREES, MANIFEST, OVERLAYS, PROVENANCE, shipped
from conformance.curate.accept import prune
from conformance.curate.verify import Verified, verify_set
from conformance.store import budgets
from tests import ROOT, small_golden

CATALOGUE = load_catalogue()
NORMAL, OTHER = "normal-float32-64-s0-cpu-eager", "normal_1-float32-64-s0-cpu-eager"
FILES = ("budgets.json", "lowering.json")
EARLIER = ROOT / "tests" / "data" / "formats" / "2026-11-29" / "golden"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a set of two problems that draw alike, with the files that the shipped one has."""
    folder = small_golden.write(tmp_path_factory.mktemp("set") / "golden", NORMAL, OTHER)
    for name in FILES:
        shutil.copy(shipped() / name, folder)
    shutil.copy(EARLIER / FLAX_TREES, folder)
    shutil.copytree(shipped() / "compiled", folder / "compiled")
    inventory.write(folder)
    return folder


@pytest.fixture
def golden(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "golden"))


def change(path: Path, edit: Callable[[Any], None]) -> None:
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def faults(golden: Path) -> list[str]:
    return list(verify_set(golden, CATALOGUE).faults)


def first_line(document: Any, name: str) -> Any:
    return next(iter(document[name].values()))


def test_the_shipped_set_is_sound() -> None:
    found = verify_set(shipped(), CATALOGUE)

    assert found.faults == ()
    assert found.absent == ()


def test_one_of_a_kind_is_told_as_one() -> None:
    held = {"problems": 1, "parameters of layers": 1, "budgets": 2, "of them with bounds": 1}

    told = [_held(what, count) for what, count in held.items()]

    assert told == ["1 problem", "1 parameter of layers", "2 budgets", "1 of them with bounds"]


def test_what_is_held_and_what_is_absent_is_told(golden: Path) -> None:
    (golden / "modules.json").unlink()
    inventory.write(golden)

    found = verify_set(golden, CATALOGUE)

    assert found == Verified(held=found.held, absent=("layers",), faults=())
    assert found.held["problems"] == 2
    assert {"budgets", "lowered programs", "compiled programs"} < set(found.held)


def test_a_store_of_another_kind_is_no_golden_set(golden: Path) -> None:
    change(golden / MANIFEST, lambda manifest: manifest.update(kind="parameters", schema=1))

    assert faults(golden) == [f"{golden / MANIFEST}: the kind is parameters, not golden"]


def test_an_overlay_is_held_to_the_same(golden: Path) -> None:
    overlay = small_golden.write(golden / OVERLAYS / "cuda", NORMAL)
    (overlay / "budgets.json").unlink()
    (overlay / "inventory.json").unlink()
    inventory.write(golden)
    change(overlay / PROVENANCE, lambda records: records[0].update(reason=" "))

    assert faults(golden) == [f"{overlay / PROVENANCE}: record 1 gives no reason"]


def test_an_overlay_is_of_a_backend_and_a_release(golden: Path) -> None:
    (golden / OVERLAYS).mkdir()
    overlay = small_golden.write(golden / OVERLAYS / "cpu@soon", NORMAL)
    (overlay / "budgets.json").unlink()
    (overlay / "inventory.json").unlink()
    inventory.write(golden)

    (fault,) = faults(golden)

    assert fault.startswith(f"{overlay} is of no backend and release: rename it, as in `cuda`")


def test_budgets_alone_are_verified(golden: Path) -> None:
    (golden / "mine").mkdir()
    shutil.copy(golden / "budgets.json", golden / "mine")
    inventory.write(golden / "mine")
    assert faults(golden / "mine") == []

    (golden / "mine" / "budgets.json").write_text("{}")
    assert faults(golden / "mine")


@pytest.mark.parametrize(
    ("edit", "fault"),
    [
        (lambda records: records[0].pop("reason"), "record 1 gives no reason"),
        (lambda records: records[0].update(date="soon"), "the date 'soon', which is none"),
        (lambda records: records.clear(), "names no environment"),
        (lambda records: records[0].update(environment={}), "environment: the field 'packages' is"),
    ],
)
def test_a_provenance_that_says_too_little_is_named(
    edit: Callable[[Any], None], fault: str, golden: Path
) -> None:
    change(golden / PROVENANCE, edit)

    (found,) = faults(golden)
    assert found.startswith(str(golden / PROVENANCE))
    assert fault in found


@pytest.mark.parametrize("stage", ["key", "bits", "uniform", "unit"])
def test_a_stage_whose_digest_changed_disagrees_with_those_that_draw_alike(
    stage: str, golden: Path
) -> None:
    def flip(manifest: Any) -> None:
        stages = first_line(manifest, "entries")["stages"]
        stages[stage] = f"{int(stages[stage], 16) ^ 1:08x}"

    change(golden / MANIFEST, flip)

    (found,) = faults(golden)
    assert re.search(rf"the stage {stage} of normal\S* has another digest than that of norm", found)


@pytest.mark.parametrize(
    "stages", [{"key": "xyz"}, {"quay": "00000000"}], ids=["no digest", "no stage"]
)
def test_a_stage_that_is_none_is_named(stages: dict[str, str], golden: Path) -> None:
    change(
        golden / MANIFEST, lambda manifest: first_line(manifest, "entries").update(stages=stages)
    )

    (found,) = faults(golden)
    assert f"the stage {next(iter(stages))} of normal-float32-64-s0 has the digest" in found


@pytest.mark.parametrize(
    ("file", "edit", "fault"),
    [
        ("budgets.json", lambda document: document.clear(), "cannot be read"),
        (
            "budgets.json",
            lambda document: first_line(document, "budgets").update(family="normal"),
            "counts it among normal, and it is of",
        ),
        (
            "budgets.json",
            lambda document: first_line(document, "budgets")["at_sigma"].update(ulp=-1.0),
            "holds a figure that no error can be",
        ),
        (
            "budgets.json",
            lambda document: rename(document["budgets"], "cpu nromal float32"),
            "belongs to no initializer",
        ),
        (
            "budgets.json",
            lambda document: rename(document["budgets"], "cpu normal float23"),
            "names the dtype 'float23' is unknown: did you mean float32",
        ),
        ("lowering.json", lambda document: document.pop("versions"), "cannot be read"),
        (
            "lowering.json",
            lambda document: first_line(document, "fingerprints").update(cpu="8d43"),
            "cpu of constant bfloat16 is '8d43', which is no fingerprint",
        ),
        (
            "compiled/h100.json",
            lambda document: rename(document["fingerprints"], "nromal-float32-64x32-s0"),
            "nromal-float32-64x32-s0 belongs to no initializer",
        ),
        ("modules.json", lambda document: document.pop("schema"), "cannot be read"),
        ("modules.json", lambda document: document.update(entries=[1]), "cannot be read"),
        (
            "modules.json",
            lambda document: first_line(document, "entries").update(bits="01" * 24),
            "does not have the digest it states",
        ),
    ],
)
def test_a_file_beside_the_store_is_named_with_what_is_wrong(
    file: str, edit: Callable[[Any], None], fault: str, golden: Path
) -> None:
    change(golden / file, edit)

    (found,) = faults(golden)
    assert found.startswith(str(golden / file))
    assert fault in found


def rename(lines: dict[str, Any], name: str) -> None:
    lines[name] = lines.pop(next(iter(lines)))


def test_the_command_counts_what_is_sound(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (golden / "lowering.json").unlink()
    inventory.write(golden)

    code = main(["goldens", "verify", "--golden", str(golden)])

    said = capsys.readouterr().out
    assert code == 0
    assert f"{golden}: all is as it was stored: 2 problems, " in said
    assert re.search(rf"^{golden} has no .*lowering.json.*, as a set may$", said, re.MULTILINE)


def test_the_command_without_a_verdict_names_every_fault(
    golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (golden / "lowering.json").write_text("{")
    (golden / "modules.json").write_text("{")

    code = main(["goldens", "verify", "--golden", str(golden)])

    said = capsys.readouterr().err
    assert code == 3
    assert f"{golden}/lowering.json cannot be read" in said
    assert f"{golden}/modules.json cannot be read" in said
    assert f"{golden}: 2 faults" in said


# --- Every file ----------------------------------------------------------------------------------


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """Change one byte in the middle, to another that JSON may hold there too."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


SPOILT: dict[str, Callable[[Path], object]] = {"gone": Path.unlink, "cut": cut, "flipped": flip}


@pytest.mark.parametrize("how", SPOILT)
def test_no_file_of_a_set_is_lost_or_changed_unseen(whole: Path, tmp_path: Path, how: str) -> None:
    names = [path.relative_to(whole) for path in whole.rglob("*") if path.is_file()]
    missed = []
    for name in names:
        golden = Path(shutil.copytree(whole, tmp_path / "golden"))
        SPOILT[how](golden / name)
        with contextlib.suppress(StoreError):
            missed += [] if faults(golden) else [name]
        shutil.rmtree(golden)

    assert len(names) > 14
    assert missed == []


def test_two_files_that_changed_places_are_named(golden: Path) -> None:
    one, two = (golden / "compiled" / name for name in ("a100.json", "b200.json"))
    text = one.read_text()
    one.write_text(two.read_text())
    two.write_text(text)

    assert [fault.partition(" ")[0] for fault in faults(golden)] == [str(one), str(two)]


def test_a_budget_that_somebody_loosened_is_no_budget(golden: Path) -> None:
    change(golden / "budgets.json", lambda d: first_line(d, "budgets").update(reason="loose"))

    with pytest.raises(BudgetError, match=r"budgets.json is another file than inventory.json"):
        budgets.load(golden / "budgets.json")


def test_a_command_that_writes_budgets_lists_them_anew(golden: Path) -> None:
    table = budgets.load(golden / "budgets.json")
    measured = next(iter(table.measurements.values()))
    again = dataclasses.replace(measured, reason="again")
    budgets.update(golden / "budgets.json", [again], "again", print)

    assert faults(golden) == []
    assert budgets.load(golden / "budgets.json").measurements[measured.key].reason == "again"


def test_a_set_of_before_inventories_is_read_without_one(golden: Path) -> None:
    change(golden / MANIFEST, lambda document: document.update(schema=1))
    (golden / "inventory.json").unlink()

    assert faults(golden) == []


def test_an_installation_goes_without_predictions(
    golden: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (golden / "predicted" / "h100").mkdir(parents=True)
    (golden / "predicted" / "h100" / "notes.json").write_text("{}")
    inventory.write(golden)
    shutil.rmtree(golden / "predicted")

    in_a_checkout = faults(golden)
    monkeypatch.setattr(inventory, "PACKAGED", golden)

    assert [fault.partition(" is ")[0] for fault in in_a_checkout] == [
        f"{golden}/predicted/h100/notes.json"
    ]
    assert faults(golden) == []


@pytest.mark.parametrize("name", [".", "../golden", "{}/"])
def test_a_set_may_be_named_from_within(
    golden: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(golden)

    assert main(["goldens", "verify", "--golden", name.format(golden)]) == 0
    assert main(["goldens", "pending", "--golden", name.format(golden)]) == 0
    assert main(["run", NORMAL, "--golden", name.format(golden), "--reports", "../reports"]) == 0


def test_a_set_without_a_name_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["goldens", "verify", "--golden", ""]) == 4
    assert "--golden '' has an empty value" in capsys.readouterr().err


def test_what_somebody_edited_is_not_listed_as_if_it_were_ours(golden: Path) -> None:
    """Else `accept` would make a loosened budget one of the set's."""
    change(golden / "budgets.json", lambda d: first_line(d, "budgets").update(reason="loose"))
    edited = (golden / "budgets.json").read_text()

    with pytest.raises(GoldenError, match=r"budgets.json is another file"):
        prune(golden, CATALOGUE, reason="a reason")
    with (
        pytest.raises(GoldenError, match=r"budgets.json is another file"),
        inventory.changing(golden),
    ):
        pass

    assert (golden / "budgets.json").read_text() == edited
    assert len(faults(golden)) == 1


def test_budgets_of_a_set_that_lost_its_inventory_are_refused(golden: Path) -> None:
    (golden / "inventory.json").unlink()

    with pytest.raises(BudgetError, match=r"inventory.json is gone: restore it"):
        budgets.load(golden / "budgets.json")


@pytest.mark.parametrize("point", ["at_value", "at_sigma"])
@pytest.mark.parametrize("factor", [1.5, 1e6])
def test_a_budget_is_the_error_of_the_element_beside_it(
    golden: Path, point: str, factor: float
) -> None:
    """Whoever lists an edited file anew, too."""

    def loosen(document: Any) -> None:
        lines = document["budgets"].values()
        line = max(lines, key=lambda each: (each.get(point) or {"ulp": 0})["ulp"])
        line[point]["ulp"] *= factor

    change(golden / "budgets.json", loosen)
    inventory.write(golden)

    (fault,) = faults(golden)
    assert fault.endswith("is not the error of its own element")
