"""Nothing that a golden set holds is taken on trust: each part, spoilt, is named by its file."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cli import main
from conformance.core.paths import MANIFEST, OVERLAYS, PROVENANCE, shipped
from conformance.curate.verify import Verified, verify_set
from tests import small_golden

CATALOGUE = load_catalogue()
NORMAL, OTHER = "normal-float32-64-s0-cpu-eager", "normal_1-float32-64-s0-cpu-eager"
FILES = ("budgets.json", "lowering.json", "modules.json")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a set of two problems that draw alike, with the files that the shipped one has."""
    folder = small_golden.write(tmp_path_factory.mktemp("set") / "golden", NORMAL, OTHER)
    for name in FILES:
        shutil.copy(shipped() / name, folder)
    shutil.copytree(shipped() / "compiled", folder / "compiled")
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


def test_what_is_held_and_what_is_absent_is_told(golden: Path) -> None:
    (golden / "modules.json").unlink()

    found = verify_set(golden, CATALOGUE)

    assert found == Verified(held=found.held, absent=("modules.json",), faults=())
    assert found.held["problems"] == 2
    assert {"budgets", "lowered programs", "compiled programs"} < set(found.held)


def test_a_store_of_another_kind_is_no_golden_set(golden: Path) -> None:
    change(golden / MANIFEST, lambda manifest: manifest.update(kind="parameters"))

    assert faults(golden) == [f"{golden / MANIFEST}: the kind is parameters, not golden"]


def test_an_overlay_is_held_to_the_same(golden: Path) -> None:
    overlay = small_golden.write(golden / OVERLAYS / "cuda", NORMAL)
    (overlay / "budgets.json").unlink()
    change(overlay / PROVENANCE, lambda records: records[0].update(reason=" "))

    assert faults(golden) == [f"{overlay / PROVENANCE}: record 1 gives no reason"]


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
            lambda document: first_line(document, "entries").update(bits="01" * 16),
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

    code = main(["goldens", "verify", "--golden", str(golden)])

    said = capsys.readouterr().out
    assert code == 0
    assert f"{golden}: all is as it was stored: 2 problems, " in said
    assert f"{golden} has no lowering.json" in said


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
