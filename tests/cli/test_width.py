"""What commands print fits the terminal, and is whole where it goes elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from conformance.cli import main, output
from conformance.cli.faults import as_text
from conformance.core.records import DriftClass
from conformance.planted.matrix import Matrix
from conformance.planted.record import Tried
from conformance.predict.compiled import COLUMNS, table
from tests.cli.test_history import NORMAL, write_run

WORDS = {
    "list --initializers": "--json - or a pipe",
    "list --backends": "pip install",
    "doctor": "jax_threefry_gpu_kernel_lowering",
    "history reports": "jax 0.10.2 -> 0.12.0.1",
    "audit tests.audited_models:two_inputs": "--json FILE, the page or a pipe",
}
"""Commands that print tables, each with what is to be read whatever the width."""


@pytest.fixture
def columns(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> int | None:
    """Return how wide the terminal is that commands of this test see; None: a pipe."""
    monkeypatch.chdir(tmp_path)
    found: int | None = getattr(request, "param", None)
    monkeypatch.setattr(output, "width_of", lambda _: found)
    for number, (jax, name) in enumerate(
        [("0.10.2", DriftClass.IDENTICAL), ("0.12.0.1", DriftClass.STREAM)]
    ):
        write_run(tmp_path / "reports", f"20261130T06050{number}Z-1", jax, {NORMAL: name})
    return found


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("columns", [80, 40], indirect=True)
def test_no_line_is_wider_than_the_terminal(
    words: str, columns: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == 0

    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= columns
    assert WORDS[words] in " ".join(told.split())


def test_a_pipe_gets_whole_lines_between_tabs(
    columns: None, capsys: pytest.CaptureFixture[str]
) -> None:
    del columns
    assert main(["list", "--initializers", "--initializer", "constant_channels"]) == 0

    (line,) = capsys.readouterr().out.splitlines()
    name, *_, definition = line.split("\t")
    assert (name, definition[-8:]) == ("constant_channels", " 0.875))")


OF_A_FAULT: Mapping[str, Any] = {"claim": "oracle", "killed_by": ("oracle",), "passed": ()}


@pytest.mark.parametrize("width", [80, 40])
def test_tables_of_compilers_and_of_faults_fit(width: int) -> None:
    rows = [["lecun_normal-float32-64x32-s0", *["f" * 30] * (len(COLUMNS) - 1)]]
    killed = tuple(
        Tried(name=f"fault_{n}", kind="law", tier="quick", question="", **OF_A_FAULT)
        for n in range(9)
    )
    texts = [table(COLUMNS, rows, width), as_text(Matrix(tried=killed, is_whole=False), width)]

    assert max(len(line) for text in texts for line in text.splitlines()[:-1]) <= width
    assert table(COLUMNS, rows).startswith("| problem")
