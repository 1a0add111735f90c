"""Plots as SVG documents, by matplotlib, without a display."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "conformance",
    "font.size": 9,
}
"""Text stays text, which is small and can be read by all; the same plot gives the same bytes."""

MOST = 15
"""The digit of a field of a map in which all elements differ."""

INK, IDEAL, WORST = "#57606a", "#b3202c", "#0550ae"


def law(
    edges: Sequence[float],
    density: Sequence[float],
    ideal: Sequence[float],
    worst: Sequence[float],
    mean: Sequence[float],
) -> bytes:
    """Return a law beside its ideal, and its errors by random word; arguments: see `law.Curve`."""
    with rc_context(SETTINGS):
        canvas = Canvas(figsize=(7.2, 2.4), layout="constrained")
        left, right = canvas.subplots(1, 2)
        left.stairs(density, edges, fill=True, color=INK, alpha=0.4, label="swept")
        middles = [(low + high) / 2 for low, high in itertools.pairwise(edges)]
        left.plot(middles, ideal, color=IDEAL, linewidth=1, label="continuous law")
        left.set(xlabel="value / sigma", ylabel="density")
        at = [(step + 0.5) / len(worst) for step in range(len(worst))]
        right.plot(at, worst, color=WORST, linewidth=1, label="largest |error|")
        right.plot(at, mean, color=INK, linewidth=1, label="mean error, away from 0")
        right.set(xlabel="random word / 2^bits", ylabel="ULP")
        for axes in (left, right):
            axes.legend(frameon=False, fontsize=7)
            axes.spines[["top", "right"]].set_visible(False)
        return _svg(canvas)


def mismatch(fields: Sequence[Sequence[int]], size: tuple[int, int]) -> bytes:
    """Return a map of where a matrix differs. fields: their digits, 0 to 15, by rows."""
    rows, columns = size
    with rc_context(SETTINGS):
        canvas = Canvas(figsize=(3.6, 2.4), layout="constrained")
        axes = canvas.subplots()
        shown = axes.imshow(
            fields,
            cmap="magma_r",
            vmin=0,
            vmax=MOST,
            aspect="auto",
            interpolation="nearest",
            extent=(0, columns, rows, 0),
        )
        axes.set(xlabel="last axis", ylabel="all others")
        bar = canvas.colorbar(shown, ticks=[0, MOST])
        bar.set_ticklabels(["none", "all"])
        return _svg(canvas)


def _svg(canvas: Canvas) -> bytes:
    file = io.BytesIO()
    canvas.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()
