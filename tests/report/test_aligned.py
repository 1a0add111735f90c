"""Tables fit the terminal they go to, and are whole where they go elsewhere."""

from __future__ import annotations

import pytest

from conformance.report.aligned import aligned, described, fitting, hidden_note, wrapped

AUDITED = [
    ["parameter", "shape", "draw", "fan in", "std", "expected"],
    ["params.encoder.layer_0.attention.kernel", "64x8x8", "normal", "64", "0.125", "0.125 (+0 se)"],
    ["params.bias", "8", "constant", "", "0", ""],
]


@pytest.mark.parametrize(
    ("width", "shown"),
    [(None, [0, 1, 2, 3]), (36, [0, 1, 2, 3]), (35, [0, 1, 3]), (26, [0, 1, 3]), (25, [0, 3])],
)
def test_a_table_keeps_its_first_and_last_columns(width: int | None, shown: list[int]) -> None:
    assert fitting([10, 6, 8, 6], width) == shown


def test_columns_that_do_not_fit_are_told() -> None:
    assert hidden_note(4, 4, "--json") == ""
    assert hidden_note(3, 4, "--json") == "3 of 4 columns fit this terminal; --json has all"


@pytest.mark.parametrize("width", [22, 40, 60, 79, 80])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = aligned(AUDITED, width=width, elsewhere="--json FILE")

    assert max(map(len, lines)) <= width
    assert lines[-1].endswith("all")


def test_what_fits_is_shown_as_it_is_without_a_note() -> None:
    assert aligned(AUDITED, width=200, elsewhere="--json FILE") == aligned(AUDITED)


def test_a_name_is_cut_last_and_in_its_middle() -> None:
    head, kernel, *_ = aligned(AUDITED, width=80, elsewhere="--json FILE")
    _, short, *_ = aligned(AUDITED, width=40, elsewhere="--json FILE")

    assert kernel.startswith("params.encoder.layer_0.attention.kernel  ")
    assert head.endswith("  expected")
    assert (short[:11], short.split()[0][-7:]) == ("params.enco", ".kernel")


def test_a_long_text_at_the_end_takes_more_lines_and_loses_nothing() -> None:
    text = "pip install iree-base-compiler iree-base-runtime"
    first, *more, last = aligned([["iree", text], ["cpu", ""]], width=30, elsewhere="the page")

    assert " ".join([first, *more]).split() == ["iree", *text.split()]
    assert (first[:6], {line[:6] for line in more}, last) == ("iree  ", {"      "}, "cpu")


def test_a_cut_cell_says_so_and_the_table_too() -> None:
    rows = [["check", "killed", "n"], ["oracle", "a, " * 40, "40"]]
    _, line, *note = aligned(rows, width=40, elsewhere="the page")

    assert (len(line), "..." in line, line[-4:]) == (40, True, "  40")
    assert " ".join(map(str.strip, note)) == (
        "some cells are cut to fit this terminal; the page has all"
    )


def test_numbers_stay_on_the_right_whatever_is_left_out() -> None:
    rows = [["name", "text", "first", "last"], ["a" * 20, "b" * 20, "1", "2"]]
    head, line, *_ = aligned(rows, n_left=2, width=30, elsewhere="x")

    assert head.endswith("  last")
    assert line.endswith("     2")


@pytest.mark.parametrize("width", [40, 80])
def test_a_long_value_takes_more_lines_and_loses_nothing(width: int) -> None:
    facts = [("isa", "avx avx2 avx512f " * 8), ("jax_default_prng_impl", "threefry2x32")]

    lines = described(facts, width)

    assert max(map(len, lines)) <= width
    assert " ".join(lines).split() == " ".join(" ".join(fact) for fact in facts).split()


def test_without_a_terminal_every_line_is_whole() -> None:
    assert described([("isa", "avx " * 40)]) == [f"isa  {'avx ' * 40}".rstrip()]
    assert wrapped("a word " * 40, None) == [("a word " * 40).rstrip()]
