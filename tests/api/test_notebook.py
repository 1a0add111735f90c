"""The notebook of docs/ runs, and shows a table or a plot where it asks for an answer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT, warm

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")

NOTEBOOK = ROOT / "docs" / "own-initializer.ipynb"


@pytest.mark.usefixtures("cold_python")
def test_the_notebook_shows_tables_and_plots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    assert sys.executable == warm.COLD
    notebook = nbformat.read(NOTEBOOK, as_version=4)

    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, resources=resources, timeout=300).execute()

    shown = [shown_by(cell) for cell in notebook.cells if cell.cell_type == "code"]
    told, pages = [text for text, _ in shown], [page for _, page in shown]
    assert ["<table>" in page for page in pages] == [False, True, True, True, True, True]
    assert ["<svg" in page for page in pages] == [False, False, False, True, False, False]
    assert told[2].startswith("PASSED: small_normal-bfloat16-64x32-s0-cpu-eager")
    assert told[4].startswith("FAILED: confused-float32-64x32-s0-cpu-eager")
    assert told[5].startswith(("identical: ", "rounding: "))


def shown_by(cell: Any) -> tuple[str, str]:
    """Return what a cell shows, as text and as HTML."""
    data = [output.data for output in cell.outputs if output.output_type == "execute_result"]
    text, page = (
        "".join(each.get(kind, "") for each in data) for kind in ("text/plain", "text/html")
    )
    return text, page


def test_the_notebook_is_kept_without_what_it_shows() -> None:
    """Which would be of another day; and 25 kB a plot."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)

    assert [cell.outputs for cell in notebook.cells if cell.get("outputs")] == []
