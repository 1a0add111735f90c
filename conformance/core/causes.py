"""What numbers depend on beside JAX, told apart in a sentence: LAPACK and the C library.

JAX's CPU `qr` is SciPy's OpenBLAS, whose kernel follows the CPU model, and from some sizes on its
number of threads. XLA folds functions of constants with the C library of the host it compiles on.
Both come from `Environment.host`; a fact that is not there is unknown, and unknown is never equal
to what is known. Pure, and low: comparisons, merges, runs and their reports name these causes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

UNKNOWN = "unknown"

LAPACK_FACTS = ("lapack", "lapack_kernel", "lapack_threads")
"""Library with its version, kernel and number of threads: `OpenBLAS 0.3.31`, `Haswell`, `2`."""

LIBC_FACT = "libc"
"""C library with its version."""


def lapack_difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return how the LAPACK of two hosts differs, `OpenBLAS kernel: SkylakeX -> Haswell`, or "".

    What one side does not know counts only where nothing that both know differs. "" where both
    know the same, or both nothing.
    """
    return known_lapack_difference(before, after) or _sentence(_half_known(_lapack(before, after)))


def known_lapack_difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return in what two LAPACKs differ that both hosts know, or "": the unknown explains nothing.

    Of `OpenBLAS` and `OpenBLAS 0.3.31` that is nothing.
    """
    return _sentence(_known(_lapack(before, after)))


def libc_difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return how the C libraries of two hosts differ, `glibc: 2.36 -> 2.43`, or ""."""
    return known_libc_difference(before, after) or _sentence(_half_known(_libc(before, after)))


def known_libc_difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return how two C libraries differ if both hosts know theirs, or ""."""
    return _sentence(_known(_libc(before, after)))


def is_lapack_known(*hosts: Mapping[str, str]) -> bool:
    """Return whether all the hosts name library and kernel; else a difference proves nothing."""
    library, kernel, _ = LAPACK_FACTS
    return all(_told(host, library) and _told(host, kernel) for host in hosts)


def known_isa_difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return which instruction sets XLA may use on one of two hosts only, or "" if not known.

        avx512f avx512_bf16 there, not here

    What XLA was allowed (`xla_isa`) counts, and else all that the CPU has (`isa`).
    """
    one, two = (host.get("xla_isa") or host.get("isa") or "" for host in (before, after))
    if not (one and two) or UNKNOWN in (one, two):
        return ""
    there = [name for name in one.split() if name not in two.split()]
    here = [name for name in two.split() if name not in one.split()]
    sides = ((there, "there, not here"), (here, "here, not there"))
    return "; ".join(f"{' '.join(names)} {where}" for names, where in sides if names)


class _Part(NamedTuple):
    """What is compared, and its two values; "" where it is unknown."""

    name: str
    before: str
    after: str


def _lapack(before: Mapping[str, str], after: Mapping[str, str]) -> list[_Part]:
    library, kernel, threads = LAPACK_FACTS
    name = _common_name(before, after, library, "LAPACK")
    return [
        _version(before, after, library, name),
        _Part(f"{name} kernel", *_both(before, after, kernel)),
        _Part(f"{name} threads", *_both(before, after, threads)),
    ]


def _libc(before: Mapping[str, str], after: Mapping[str, str]) -> list[_Part]:
    name = _common_name(before, after, LIBC_FACT, "C library")
    return [_version(before, after, LIBC_FACT, name)]


def _common_name(
    before: Mapping[str, str], after: Mapping[str, str], fact: str, otherwise: str
) -> str:
    """Return the name in `name version` that the sides do not contradict each other about."""
    names = {text.partition(" ")[0] for text in _both(before, after, fact) if text}
    return names.pop() if len(names) == 1 else otherwise


def _version(before: Mapping[str, str], after: Mapping[str, str], fact: str, name: str) -> _Part:
    one, two = (text.removeprefix(name).strip() for text in _both(before, after, fact))
    return _Part(name, one, two)


def _both(before: Mapping[str, str], after: Mapping[str, str], fact: str) -> tuple[str, str]:
    return _told(before, fact), _told(after, fact)


def _told(host: Mapping[str, str], fact: str) -> str:
    """Return a fact; "" if it is unknown."""
    value = host.get(fact, UNKNOWN)
    return "" if value == UNKNOWN else value


def _known(parts: list[_Part]) -> list[_Part]:
    return [part for part in parts if part.before and part.after and part.before != part.after]


def _half_known(parts: list[_Part]) -> list[_Part]:
    return [part for part in parts if bool(part.before) != bool(part.after)]


def _sentence(parts: list[_Part]) -> str:
    return ", ".join(
        f"{part.name}: {part.before or UNKNOWN} -> {part.after or UNKNOWN}" for part in parts
    )
