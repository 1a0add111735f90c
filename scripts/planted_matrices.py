"""Plant faults in orthogonal matrices of every kind, and show that each is found.

    python scripts/planted_matrices.py                          a table, and what was found
    python scripts/planted_matrices.py --dtype complex64 --markdown --large

Each matrix is what JAX returns under the LAPACK kernel that is in force, with one thing changed. It
is held to what was drawn for it, within the budgets of the golden set. Exit code 1: a fault was
missed, or a right matrix called wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import ml_dtypes
import numpy as np

from conformance.core.arrays import Array, as_dtype, returned, widen
from conformance.core.formats import WIDE_DTYPES
from conformance.core.ids import format_shape
from conformance.core.laws import DeltaOrthogonal, Orthogonal, tall_shape
from conformance.core.paths import BUDGETS, golden_folder
from conformance.core.records import Budget, MatrixBudget
from conformance.judge.checks.matrices import (
    Drawn,
    MatrixDefinition,
    fault_of,
    laid_out,
    matrix_errors,
    tall_of,
)
from conformance.observe.environment import host_facts
from conformance.observe.jax_compat import x64
from conformance.oracle import haar
from conformance.report.aligned import aligned, markdown_table
from conformance.store import budgets

DTYPES = ("float32", "float64", "complex64", "complex128")
SMALL = 1e-4
"""By how much a column is scaled or turned."""

MOST_SEEDS = 100
"""Seeds tried until a change is a fault: a reflection of the plane, say, is its own transpose."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One way of asking for an orthogonal matrix."""

    shape: tuple[int, ...]
    definition: MatrixDefinition = dataclasses.field(default_factory=Orthogonal)

    @property
    def name(self) -> str:
        """The shape, and what is not as usual."""
        asked = self.definition
        kind = "delta " if isinstance(asked, DeltaOrthogonal) else ""
        scale = f" x {asked.scale:g}" if asked.scale != 1 else ""
        axis = f" columns on axis {asked.column_axis}" if asked.column_axis != -1 else ""
        return f"{kind}{format_shape(self.shape)}{scale}{axis}"

    @property
    def tall(self) -> tuple[int, int]:
        """Rows and columns of what is drawn."""
        return tall_shape(self.shape, self.definition)


SETTINGS = (
    *(Setting(shape=(side, side)) for side in (2, 3, 4, 16, 64, 256)),
    *(Setting(shape=shape) for shape in ((9, 6), (64, 32), (1024, 16), (6, 9), (32, 64))),
    Setting(shape=(3, 3, 16, 32)),
    Setting(shape=(3, 3, 16, 32), definition=DeltaOrthogonal()),
    Setting(shape=(64, 32), definition=Orthogonal(scale=1.5)),
    Setting(shape=(6, 9), definition=Orthogonal(scale=-0.5)),
    Setting(shape=(3, 4, 5), definition=Orthogonal(column_axis=0)),
    Setting(shape=(9, 6), definition=Orthogonal(column_axis=0)),
)
LARGE = Setting(shape=(1024, 1024))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What JAX draws and returns for one key: `orthonormal` is tall, without its scale, widened."""

    array: Array
    drawn: Array
    orthonormal: Array
    seed: int


Drawing = Callable[[Setting, str, int], Draw]
"""setting, dtype, seed -> what is drawn, and a right matrix made of it."""


def draw(setting: Setting, dtype: str, seed: int) -> Draw:
    """Return what JAX draws for the seed, and the matrix it makes of it."""
    import jax

    with x64() if dtype in WIDE_DTYPES else contextlib.nullcontext():
        array, drawn = arrays_of_jax(jax.random.key(seed), setting, dtype)
        return draw_of(np.asarray(array), np.asarray(drawn), setting, seed)


def arrays_of_jax(key: Any, setting: Setting, dtype: str) -> tuple[Any, Any]:
    """Return JAX's matrix for a key, and the normals that the same key draws."""
    import jax

    asked = setting.definition
    of_kind = (
        jax.nn.initializers.delta_orthogonal
        if isinstance(asked, DeltaOrthogonal)
        else jax.nn.initializers.orthogonal
    )
    initializer = of_kind(scale=asked.scale, column_axis=asked.column_axis)
    array = initializer(key, setting.shape, as_dtype(dtype))
    return array, jax.random.normal(key, setting.tall, as_dtype(dtype))


def draw_of(array: Array, drawn: Array, setting: Setting, seed: int) -> Draw:
    """Return a matrix and what was drawn for it as a draw of the setting."""
    tall = widen(tall_of(array, setting.definition)) / setting.definition.scale
    return Draw(array=array, drawn=drawn, orthonormal=tall, seed=seed)


# --- Faults --------------------------------------------------------------------------------------

Change = Callable[[Draw], Array | None]
"""What is drawn -> a wrong tall matrix without its scale; None where it happens to be right."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that can be wrong, and where it can be."""

    name: str
    change: Change
    only: Callable[[Setting, str], bool] = lambda _setting, _dtype: True


def _negated(draw: Draw) -> Array:
    wrong = draw.orthonormal.copy()
    wrong[:, wrong.shape[1] // 2] *= -1
    return wrong


def _swapped(first: int, second: int) -> Change:
    def change(draw: Draw) -> Array:
        wrong = draw.orthonormal.copy()
        wrong[:, [first, second]] = wrong[:, [second, first]]
        return wrong

    return change


def _scaled(draw: Draw) -> Array:
    wrong = draw.orthonormal.copy()
    wrong[:, -1] *= 1 + SMALL
    return wrong


def _turned_within_span(draw: Draw) -> Array:
    wrong = draw.orthonormal.copy()
    wrong[:, -1] += SMALL * wrong[:, 0]
    return wrong


def _turned_out_of_span(draw: Draw) -> Array:
    wrong = draw.orthonormal.copy()
    outside = np.linalg.qr(wrong, mode="complete").Q[:, -1]
    wrong[:, -1] += SMALL * outside
    return wrong


def _turned_in_their_plane(draw: Draw) -> Array:
    """Stay orthonormal: only what was drawn tells."""
    wrong = draw.orthonormal.copy()
    cosine, sine = np.cos(SMALL), np.sin(SMALL)
    wrong[:, :2] = wrong[:, :2] @ np.array([[cosine, sine], [-sine, cosine]])
    return wrong


def _without_sign_fix(draw: Draw) -> Array | None:
    orthonormal, triangle = np.linalg.qr(draw.drawn)
    return None if (triangle.diagonal().real > 0).all() else widen(orthonormal)


def _nearest_orthogonal(draw: Draw) -> Array:
    """U V^H of the singular value decomposition: Haar too, and not what is defined."""
    left, _, right = np.linalg.svd(widen(draw.drawn), full_matrices=False)
    return np.asarray(left @ right)


def _from_uniforms(draw: Draw) -> Array:
    uniforms = np.random.default_rng(draw.seed).uniform(size=draw.drawn.shape)
    return haar(uniforms.astype(draw.orthonormal.dtype))


def _from_another_draw(draw: Draw) -> Array:
    normals = np.random.default_rng(draw.seed).standard_normal((2, *draw.drawn.shape))
    return haar(normals[0] + 1j * normals[1] if draw.drawn.dtype.kind == "c" else normals[0])


def _transposed(draw: Draw) -> Array | None:
    wrong = draw.orthonormal.T
    return None if np.abs(wrong - draw.orthonormal).max() < 0.1 else wrong


def _rows_permuted(draw: Draw) -> Array:
    return np.roll(draw.orthonormal, 1, axis=0)


def _one_element(draw: Draw) -> Array:
    wrong = draw.orthonormal.copy()
    wrong[wrong.shape[0] // 2, wrong.shape[1] // 2] += 1e-3
    return wrong


def _rounded_to_bfloat16(draw: Draw) -> Array:
    parts = np.ascontiguousarray(draw.orthonormal).view(np.float64)
    parts = parts.astype(ml_dtypes.bfloat16).astype(np.float64)
    return parts.view(draw.orthonormal.dtype)


def _one_nan(draw: Draw) -> Array:
    wrong = draw.orthonormal.copy()
    wrong[-1, 0] = np.nan
    return wrong


FAULTS = (
    Fault(name="one column negated", change=_negated),
    Fault(name="neighbouring columns swapped", change=_swapped(0, 1)),
    Fault(name="first and last column swapped", change=_swapped(0, -1)),
    Fault(name="one column scaled by 1 + 1e-4", change=_scaled),
    Fault(name="one column turned by 1e-4 within the span", change=_turned_within_span),
    Fault(
        name="one column turned by 1e-4 out of the span",
        change=_turned_out_of_span,
        only=lambda setting, _: setting.tall[0] > setting.tall[1],
    ),
    Fault(name="two columns turned by 1e-4 in their plane", change=_turned_in_their_plane),
    Fault(name="sign fix left out", change=_without_sign_fix),
    Fault(name="nearest orthogonal matrix (SVD)", change=_nearest_orthogonal),
    Fault(name="Q of uniforms", change=_from_uniforms),
    Fault(name="Q of another draw", change=_from_another_draw),
    Fault(
        name="transposed",
        change=_transposed,
        only=lambda setting, _: setting.tall[0] == setting.tall[1],
    ),
    Fault(
        name="conjugated",
        change=lambda draw: draw.orthonormal.conj(),
        only=lambda _, dtype: dtype.startswith("complex"),
    ),
    Fault(name="rows permuted", change=_rows_permuted),
    Fault(name="one element 1e-3 off", change=_one_element),
    Fault(name="rounded to bfloat16", change=_rounded_to_bfloat16),
    Fault(name="one NaN", change=_one_nan),
)
OFF_CENTRE = "1e-30 off the centre"
RIGHT = "none"
NAMES = (RIGHT, *(fault.name for fault in FAULTS), OFF_CENTRE)


# --- The table -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One matrix and what was found. column, gram, lowest_diagonal: in u; see `backward_error`."""

    setting: str
    dtype: str
    fault: str
    column: float
    gram: float
    lowest_diagonal: float
    verdict: str

    @property
    def is_as_planted(self) -> bool:
        """Whether a fault was found, or a right matrix passed."""
        return (self.verdict == "") == (self.fault == RIGHT)


def planted(
    setting: Setting, dtype: str, names: Collection[str] = NAMES, drawing: Drawing = draw
) -> Iterator[tuple[str, Array, Array]]:
    """Yield each named fault that the setting can have: its name, the wrong array, what was drawn.

    The right array comes first, whatever is named.
    """
    first = drawing(setting, dtype, 0)
    yield RIGHT, first.array, first.drawn
    for fault in FAULTS:
        if fault.name in names and fault.only(setting, dtype):
            later = (drawing(setting, dtype, seed) for seed in range(1, MOST_SEEDS))
            wrong, drawn = _first_wrong(fault, itertools.chain([first], later))
            yield fault.name, array_of(wrong, setting, dtype), drawn
    if OFF_CENTRE in names and isinstance(setting.definition, DeltaOrthogonal):
        array = first.array.copy()
        array[(0,) * array.ndim] = 1e-30
        yield OFF_CENTRE, array, first.drawn


def _first_wrong(fault: Fault, draws: Iterable[Draw]) -> tuple[Array, Array]:
    for found in draws:
        wrong = fault.change(found)
        if wrong is not None:
            return wrong, found.drawn
    raise AssertionError(f"{fault.name} is no fault of any of {MOST_SEEDS} draws")


def array_of(orthonormal: Array, setting: Setting, dtype: str) -> Array:
    """Return a tall matrix as a result of the setting: scaled, laid out and rounded once."""
    scaled = setting.definition.scale * orthonormal
    flat = laid_out(scaled, setting.shape, setting.definition)
    return flat.reshape(setting.shape).astype(as_dtype(dtype))


def judged(name: str, array: Array, drawn: Array, setting: Setting, budget: Budget) -> Row:
    """Return what the checks make of an array, given what was drawn for it."""
    outcome = returned(array)
    witness = Drawn(matrix=drawn, slack=np.zeros(drawn.shape[1]), source="recorded")
    errors = matrix_errors(outcome, setting.definition, witness, budget)
    return Row(
        setting=setting.name,
        dtype=outcome.dtype,
        fault=name,
        column=errors.columns.largest,
        gram=errors.gram.largest,
        lowest_diagonal=errors.columns.lowest_diagonal,
        verdict=fault_of(outcome, setting.definition, witness, budget),
    )


def rows_of(setting: Setting, dtype: str, budget: Budget, drawing: Drawing = draw) -> list[Row]:
    """Return a row for the right matrix and one for each fault."""
    return [
        judged(name, array, drawn, setting, budget)
        for name, array, drawn in planted(setting, dtype, drawing=drawing)
    ]


def to_text(rows: Iterable[Row], *, is_markdown: bool) -> str:
    """Return the table, aligned, or as Markdown."""
    head = ("shape", "fault", "c (u)", "g (u)", "lowest diagonal (u)", "verdict")
    cells = [_cells(row) for row in rows]
    return "\n".join(markdown_table(head, cells) if is_markdown else aligned([head, *cells]))


def _cells(row: Row) -> tuple[str, ...]:
    verdict = row.verdict.partition(",")[0].partition("(")[0].partition(": the first")[0].strip()
    figures = (row.column, row.gram, row.lowest_diagonal)
    return row.setting, row.fault, *(f"{figure:.3g}" for figure in figures), verdict or "right"


def summary(rows: list[Row]) -> str:
    """Return how many were planted and found, and how many right ones passed."""
    right = [row for row in rows if row.fault == RIGHT]
    wrong = [row for row in rows if row.fault != RIGHT]
    found, passed = (sum(row.is_as_planted for row in part) for part in (wrong, right))
    return (
        f"{len(wrong)} faults planted, {found} found; {len(right)} right matrices, {passed} passed"
    )


def main(words: list[str]) -> int:
    """Print the table of every dtype and what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dtype", action="append", choices=DTYPES, help="default: all")
    parser.add_argument("--large", action="store_true", help="1024 x 1024 too")
    parser.add_argument("--markdown", action="store_true", help="a table for a document")
    parser.add_argument("--golden", default=None, help="golden set (default: the shipped one)")
    parser.add_argument(
        "--bounds", nargs=2, type=float, metavar=("COLUMN", "GRAM"), help="in place of the budgets"
    )
    options_ = parser.parse_args(words)
    table = budgets.load(golden_folder(options_.golden) / BUDGETS)
    settings = (*SETTINGS, LARGE) if options_.large else SETTINGS
    rows: list[Row] = []
    for dtype in options_.dtype or DTYPES:
        bounds = table.matrix_budget("cpu", dtype)
        if options_.bounds:
            bounds = MatrixBudget(column=options_.bounds[0], gram=options_.bounds[1])
        budget = Budget(max_ulp=0, max_ulp_at_sigma=0.0, matrix=bounds)
        found = [row for setting in settings for row in rows_of(setting, dtype, budget)]
        print(f"\n{dtype}, {kernel()}, bounds {_bounds_text(bounds)}\n")
        print(to_text(found, is_markdown=options_.markdown))
        rows += found
    print(f"\n{summary(rows)}")
    for row in rows:
        if not row.is_as_planted:
            print(f"not as planted: {row.dtype} {row.setting}, {row.fault}: {row.verdict}")
    return 0 if all(row.is_as_planted for row in rows) else 1


def kernel() -> str:
    """Return the LAPACK that makes the matrices."""
    facts: dict[str, Any] = dict(host_facts())
    names = (facts.get(name, "unknown") for name in ("lapack", "lapack_kernel", "lapack_threads"))
    return "{}, kernel {}, {} threads".format(*names)


def _bounds_text(bounds: MatrixBudget | None) -> str:
    return f"{bounds.column:.3g} u and {bounds.gram:.3g} u" if bounds else "by theory"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
