"""Whole architectures are read completely from their shapes, with no fault that is not there."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conformance.cli import main
from conformance.core.arrays import returned
from conformance.core.errors import LedgerError
from conformance.models.audit import Audit, Audited, audit
from conformance.models.changes import changes
from conformance.models.known import excused, load_known
from conformance.models.model import load

HERE = "tests.models.architectures"


@functools.cache
def audited(name: str) -> Audit:
    return audit(load(f"{HERE}:{name}", abstract=True))


def row(name: str, path: str) -> Audited:
    return next(one for one in audited(name).parameters if one.path == path)


@pytest.mark.parametrize("name", ["vit", "mixer", "resnet", "decoder", "gemma_put_right"])
def test_every_kernel_of_a_healthy_architecture_has_a_fan_and_no_fault(name: str) -> None:
    parameters = audited(name).parameters

    assert [
        (one.path, one.faults, one.notes) for one in parameters if one.faults or one.notes
    ] == []
    assert all(one.fan_in for one in parameters if one.path.endswith("kernel"))


def test_values_are_confirmed_where_a_scanned_block_is_also_given_data() -> None:
    result = audit(load(f"{HERE}:decoder"))

    drawn = [one for one in result.parameters if one.key]
    assert result.n_faults == 0
    assert all(one.n_compared and one.digest for one in drawn)


def test_the_default_of_an_einsum_over_heads_is_a_fault() -> None:
    assert row("gemma", "query.kernel").faults == (
        "wrong fan: gain 0.25: as if fan-in were 128, not 32: axis 0 counted",
    )


@pytest.mark.parametrize(
    ("name", "path", "true", "gain"),
    [
        ("upsampler", "ConvTranspose_0.kernel", 16, 1 / 4),
        ("local", "local.kernel", 36, 1 / 64),
    ],
)
def test_layers_of_linen_that_count_too_much_are_named(
    name: str, path: str, true: float, gain: float
) -> None:
    kernel = row(name, path)

    assert kernel.fan_in == true
    assert kernel.gain == pytest.approx(gain)
    assert [fault.partition(":")[0] for fault in kernel.faults] == ["wrong fan"]


def test_a_fan_out_of_he_is_told_by_its_gain_alone() -> None:
    kernel = row("resnet", "Conv_1.kernel")

    assert (kernel.fan_in, kernel.faults) == (72, ())
    assert kernel.gain == pytest.approx(1)  # 2 / (9 * 16) * 72


def test_a_scanned_stack_has_all_its_keys_and_the_fan_of_one_turn() -> None:
    parameters = audited("decoder").parameters
    kernel = next(one for one in parameters if one.path.endswith("Dense_0.kernel"))

    assert (kernel.shape, kernel.fan_in) == ((3, 16, 48), 16)
    assert kernel.draw.startswith("split 3[*] ")


def test_a_tied_table_has_the_gain_of_each_use() -> None:
    table = row("decoder", "Embed_0.embedding")

    assert [(use.kind, use.fan_in, use.factor) for use in table.uses] == [
        ("lookup", 1, 4),
        ("contraction", 16, 1),
    ]


def test_a_transform_of_haiku_is_taken_as_it_is() -> None:
    pytest.importorskip("haiku")
    kernel = row("haiku_mlp", "mlp/~/linear_0.w")

    assert kernel.fan_in == 16
    assert [fault.partition(":")[0] for fault in kernel.faults] == ["missing truncation correction"]


def test_a_module_of_equinox_is_taken_as_it_is() -> None:
    pytest.importorskip("equinox")
    kernel = row("equinox_mlp", "layers.0.weight")

    assert kernel.initializer == ("uniform of +-fan_in**-0.5 (PyTorch) with in_axis=1, out_axis=0")
    assert audited("equinox_mlp").n_faults == 0


def test_both_kernels_of_a_cell_may_have_the_bounds_that_suit_one() -> None:
    """+-16**-0.5 is lecun_uniform of 48 as well, and 48 are the outputs of three gates."""
    pytest.importorskip("equinox")
    kernel = row("equinox_cell", "weight_ih")

    assert kernel.fan_in == 8
    assert kernel.notes == ("within the bounds of weight_hh, which suit the fan-in of that one",)
    assert audited("equinox_cell").n_faults == 0


def test_the_same_bounds_are_a_wrong_fan_where_no_kernel_beside_has_them() -> None:
    pytest.importorskip("equinox")
    kernel = row("equinox_cell_of_another_law", "weight_ih")

    assert any(fault.startswith("wrong fan: gain 0.167") for fault in kernel.faults)


HIGH_WATER = """
import re, sys
from pathlib import Path
from conformance.cli.main import main
code = main(sys.argv[1:])
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1], file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells it so")
def test_a_model_of_billions_is_read_from_its_shapes_in_one_gibibyte() -> None:
    """By the process itself: what `wait4` tells counts the memory of who started it."""
    words = ["audit", f"{HERE}:billions", "--abstract", "--json", "-"]
    ended = subprocess.run(  # noqa: S603  # ours
        [sys.executable, "-c", HIGH_WATER, *words], capture_output=True, text=True, check=False
    )

    document = json.loads(ended.stdout)
    sizes = [math.prod(one["shape"]) for one in document["parameters"]]
    assert (ended.returncode, document["n_faults"]) == (0, 0), ended.stderr
    assert sum(sizes) > 8.5e9
    assert int(ended.stderr.split()[-1]) < 1 << 20  # KiB


# --- Faults that are known, and changes ----------------------------------------------------------

ENTRY = """
[[known]]
parameter = "query.*"
fault = "wrong fan: *"
reason = "trained so"
"""


def test_a_known_fault_is_set_apart_with_its_reason(tmp_path: Path) -> None:
    ledger = tmp_path / "known.toml"
    ledger.write_text(ENTRY)

    result = excused(audited("gemma"), load_known(ledger))

    assert result.n_faults == 0
    assert [known for one in result.parameters for known in one.known] == [
        "wrong fan: gain 0.25: as if fan-in were 128, not 32: axis 0 counted (known: trained so)"
    ]


def test_an_entry_that_matches_no_fault_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = tmp_path / "known.toml"
    ledger.write_text(ENTRY)

    target = f"{HERE}:gemma_put_right"
    code = main(["audit", target, "--abstract", "--ledger", str(ledger)])

    assert code == 1
    assert "ledger entry `query.*: wrong fan: *` matches no fault" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("reason", "why", "reason"), ("trained so", " ", "reason of an entry is empty")],
)
def test_an_entry_that_is_not_understood_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    ledger = tmp_path / "known.toml"
    ledger.write_text(ENTRY.replace(old, new))

    with pytest.raises(LedgerError, match=message):
        load_known(ledger)


def changed(**facts: object) -> list[tuple[str, str]]:
    """Return what changed since an audit of which the first kernel was otherwise."""
    now = audited("gemma")
    first = now.parameters[0]
    n_all = math.prod(first.shape)
    first = dataclasses.replace(first, digest="a", n_compared=n_all, faults=())
    now = dataclasses.replace(now, parameters=(first, *now.parameters[1:]))
    was = dataclasses.replace(first, **facts)  # type: ignore[arg-type]  # any field
    before = dataclasses.replace(now, parameters=(was, *now.parameters[1:]))
    return [(each.path, each.drift) for each in changes(before, now)]


@pytest.mark.parametrize(
    ("facts", "drift"),
    [
        ({"digest": "b"}, "rounding"),
        ({"digest": "b", "n_compared": 0}, "unknown"),
        ({"digest": "b", "n_compared": 9}, "unknown"),
        ({"digest": "b", "key": "other"}, "stream"),
        ({"digest": "b", "formula": "normal(stddev=1)"}, "law"),
        ({"digest": "b", "shape": (1,)}, "structural"),
    ],
)
def test_a_change_has_the_class_of_what_is_other(facts: dict[str, object], drift: str) -> None:
    assert changed(**facts) == [("out.kernel", drift)]


def test_what_is_equal_is_no_change() -> None:
    assert changed() == []


def test_another_layout_of_words_is_another_stream() -> None:
    now = audited("gemma")
    before = dataclasses.replace(now, is_partitionable=not now.is_partitionable)

    assert {each.drift for each in changes(before, now)} == {"stream"}


ENDS = np.tile(np.array([np.inf, -np.inf], np.float32), 16)


@pytest.mark.parametrize(
    ("change", "drift"),
    [
        (lambda x: np.nextafter(x, np.float32(np.inf)), "biased"),
        (lambda x: np.nextafter(x, ENDS), "rounding"),
        (lambda x: 1.5 * x, "law"),
        (lambda x: x[:, ::-1], "structural"),
        (lambda x: x, ""),
    ],
)
def test_of_values_the_class_is_that_of_the_gates_judge(change: Any, drift: str) -> None:
    array = np.random.default_rng(0).normal(size=(64, 32)).astype(np.float32)

    def pairs(path: str) -> Any:
        now = np.ascontiguousarray(change(array)).astype(np.float32)
        return (returned(array), returned(now)) if path == "out.kernel" else None

    now = audited("gemma")

    assert [each.drift for each in changes(now, now, pairs)] == ([drift] if drift else [])


def test_the_command_keeps_values_and_judges_those_of_another_day(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target, kept = f"{HERE}:gemma_put_right", tmp_path / "before"

    assert main(["audit", target, "--keep", str(kept)]) == 0
    assert main(["audit", target, "--baseline", str(kept)]) == 0
    assert "change" not in capsys.readouterr().out
    assert main(["audit", target, "--seed", "1", "--baseline", str(kept)]) == 1
    told = capsys.readouterr().out
    assert "change  query.kernel: stream: " in told
    assert "elements differ; key " in told


def test_a_folder_that_holds_something_is_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    code = main(["audit", f"{HERE}:gemma_put_right", "--keep", str(tmp_path)])

    assert code == 3
    assert str(tmp_path) in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_the_command_tells_what_changed_since_an_audit_and_exits_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline, target = tmp_path / "before.json", f"{HERE}:gemma_put_right"
    assert main(["audit", target, "--abstract", "--json", str(baseline)]) == 0
    assert main(["audit", target, "--abstract", "--baseline", str(baseline)]) == 0
    document = json.loads(baseline.read_text())
    document["parameters"][1]["formula"] = "normal(stddev=1)"
    baseline.write_text(json.dumps(document))

    code = main(["audit", target, "--abstract", "--baseline", str(baseline)])

    assert code == 1
    assert "change  query.kernel: law: normal(stddev=1), now trunc" in capsys.readouterr().out
