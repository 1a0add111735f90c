"""What Linux tells of processes, of which one may end at any time: in /proc."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

PROC = Path("/proc")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def family(process: int) -> list[int]:
    """Return a process and its children; nothing of one that has ended."""
    with contextlib.suppress(OSError):
        children = (PROC / f"{process}/task/{process}/children").read_text()
        return [process, *map(int, children.split())]
    return []


def peak_mib(process: int) -> float | None:
    """Return the most memory that it has had so far, in MiB; None of one that has ended."""
    peak = re.search(r"VmHWM:\s+(\d+) kB", _read(process, "status"))
    return int(peak[1]) / 1024 if peak else None


def cpu_s(process: int) -> float:
    """Return the CPU that all its threads have had so far, in seconds; 0 of one that has ended."""
    fields = _read(process, "stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S if fields else 0.0


def descendants(ancestor: int, command: bytes) -> Iterator[int]:
    """Yield the processes below one whose command line begins so."""
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            begins = (folder / "cmdline").read_bytes().startswith(command)
            if begins and _is_below(int(folder.name), ancestor):
                yield int(folder.name)


def _is_below(process: int, ancestor: int) -> bool:
    while parent := re.search(r"^PPid:\s*(\d+)", _read(process, "status"), re.MULTILINE):
        process = int(parent[1])
        if process == ancestor:
            return True
    return False


def _read(process: int, name: str) -> str:
    with contextlib.suppress(OSError):
        return (PROC / str(process) / name).read_text()
    return ""
