"""What numbers depend on beside JAX, told apart in a sentence: LAPACK and the C library.

JAX's CPU `qr` is SciPy's OpenBLAS, whose kernel follows the CPU model, and from some sizes on its
number of threads. XLA folds functions of constants with the C library of the host it compiles on.
Both come from `Environment.host`; a fact that is not there is unknown, and unknown is never equal
to what is known. Pure, and low: comparisons, merges and runs all name these causes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

UNKNOWN = "unknown"

LIBC_FACT = "libc"
"""C library with its version."""


def lapack_difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return how the LAPACK of two hosts differs, `OpenBLAS kernel: SkylakeX -> Haswell`, or "".

    What one side does not know counts only where nothing that both know differs. "" where both
    know the same, or both nothing.
    """
    library = _common_name(before, after, "lapack", "LAPACK")
    return _sentence(
        [
            _version(before, after, "lapack", library),
            _Part(f"{library} kernel", *_both(before, after, "lapack_kernel")),
            _Part(f"{library} threads", *_both(before, after, "lapack_threads")),
        ]
    )


def libc_difference(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return how the C libraries of two hosts differ, `glibc: 2.36 -> 2.43`, or ""."""
    name = _common_name(before, after, LIBC_FACT, "C library")
    return _sentence([_version(before, after, LIBC_FACT, name)])


def is_lapack_known(*hosts: Mapping[str, str]) -> bool:
    """Return whether all the hosts name library and kernel; else a difference proves nothing."""
    return all(_told(host, "lapack") and _told(host, "lapack_kernel") for host in hosts)


def is_libc_known(*hosts: Mapping[str, str]) -> bool:
    """Return whether all the hosts name their C library."""
    return all(_told(host, LIBC_FACT) for host in hosts)


class _Part(NamedTuple):
    """What is compared, and its two values; "" where it is unknown."""

    name: str
    before: str
    after: str


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
    """Return a fact without the note behind a semicolon on how it is known; "" if unknown."""
    value = host.get(fact, UNKNOWN).partition(";")[0].strip()
    return "" if value == UNKNOWN else value


def _sentence(parts: list[_Part]) -> str:
    known = [part for part in parts if part.before and part.after and part.before != part.after]
    unknown = [part for part in parts if bool(part.before) != bool(part.after)]
    return ", ".join(
        f"{part.name}: {part.before or UNKNOWN} -> {part.after or UNKNOWN}"
        for part in known or unknown
    )
