"""LAPACK and the C library of two hosts differ by what both know, and are never guessed."""

from __future__ import annotations

import pytest

from conformance.core.causes import (
    is_lapack_known,
    known_lapack_difference,
    known_libc_difference,
    lapack_difference,
    libc_difference,
)

HASWELL = {"lapack": "OpenBLAS 0.3.31.dev", "lapack_kernel": "Haswell", "lapack_threads": "2"}


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"lapack_kernel": "SkylakeX"}, "OpenBLAS kernel: Haswell -> SkylakeX"),
        ({"lapack": "OpenBLAS 0.3.32"}, "OpenBLAS: 0.3.31.dev -> 0.3.32"),
        ({"lapack": "MKL 2026.1"}, "LAPACK: OpenBLAS 0.3.31.dev -> MKL 2026.1"),
        ({"lapack_threads": "1"}, "OpenBLAS threads: 2 -> 1"),
        (
            {"lapack_kernel": "Zen", "lapack_threads": "1"},
            "OpenBLAS kernel: Haswell -> Zen, OpenBLAS threads: 2 -> 1",
        ),
    ],
)
def test_what_differs_between_two_lapacks_is_named(changed: dict[str, str], sentence: str) -> None:
    assert lapack_difference(HASWELL, HASWELL | changed) == sentence


@pytest.mark.parametrize("other", [{}, {"lapack": "unknown", "lapack_kernel": "unknown"}])
def test_unknown_is_never_equal_to_what_is_known(other: dict[str, str]) -> None:
    found = lapack_difference(HASWELL, other)

    assert "OpenBLAS kernel: Haswell -> unknown" in found
    assert not is_lapack_known(HASWELL, other)


@pytest.mark.parametrize("host", [{}, HASWELL])
def test_equal_or_unknown_on_both_sides_is_no_difference(host: dict[str, str]) -> None:
    assert lapack_difference(host, dict(host)) == ""


def test_what_one_side_does_not_know_does_not_hide_what_both_know() -> None:
    inferred = {"lapack": "OpenBLAS", "lapack_kernel": "Haswell"}

    assert lapack_difference(inferred, HASWELL | {"lapack_kernel": "Zen"}) == (
        "OpenBLAS kernel: Haswell -> Zen"
    )


@pytest.mark.parametrize(
    "other", [{}, {"lapack": "OpenBLAS"}, {"lapack": "OpenBLAS", "lapack_kernel": "Haswell"}]
)
def test_what_one_side_does_not_know_is_no_difference_that_is_known(other: dict[str, str]) -> None:
    assert lapack_difference(other, HASWELL)
    assert known_lapack_difference(other, HASWELL) == ""


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("glibc 2.36", "glibc 2.43", "glibc: 2.36 -> 2.43"),
        ("glibc 2.36", "musl 1.2", "C library: glibc 2.36 -> musl 1.2"),
        ("glibc 2.36", "unknown", "glibc: 2.36 -> unknown"),
        ("glibc 2.36", "glibc 2.36", ""),
    ],
)
def test_what_differs_between_two_c_libraries_is_named(
    before: str, after: str, sentence: str
) -> None:
    assert libc_difference({"libc": before}, {"libc": after}) == sentence
    known = "" if after == "unknown" else sentence
    assert known_libc_difference({"libc": before}, {"libc": after}) == known
