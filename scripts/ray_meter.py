"""Throughput of ranges of seeds on a Ray cluster of this machine, each worker held to one core.

    python scripts/ray_meter.py WORKERS SEEDS     in an environment with the extra `fleet`

Prints a line of JSON: see `Metered`. A worker that waits is lost throughput: beside the time stands
which part of it the workers were idle, from the start of the first parcel to the end of the last.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from processes import cpu_s, descendants

EVERY_S = 0.2

TASK = b"ray::"
"""How the command line of a worker of Ray begins while it has a task, or had one."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """What a run took, in seconds.

    judging_s: from when the first verdicts came to when the last did, without the start and the
        reports. driver_cpu_s: of the command. workers_cpu_s: of all workers, over judging_s.
    """

    n_workers: int
    n_cases: int
    judging_s: float
    driver_cpu_s: float
    workers_cpu_s: float

    @property
    def cases_a_second(self) -> float:
        """The throughput."""
        return self.n_cases / self.judging_s

    @property
    def idle(self) -> float:
        """The share of the workers' time that they did not compute: they waited, or others ran."""
        return 1 - self.workers_cpu_s / (self.n_workers * self.judging_s)


@contextlib.contextmanager
def cluster(n_workers: int) -> Iterator[str]:
    """Yield the address of a cluster of nodes of one CPU, each held to a core of its own."""
    import ray.cluster_utils

    mine = sorted(os.sched_getaffinity(0))
    if len(mine) < n_workers:
        raise SystemExit(f"{n_workers} workers need as many cores, and here are {len(mine)}")
    found: Any = None
    try:
        for core in mine[:n_workers]:
            os.sched_setaffinity(0, {core})  # which the processes of the node inherit
            if found is None:
                arguments = {"num_cpus": 1, "include_dashboard": False}
                found = ray.cluster_utils.Cluster(initialize_head=True, head_node_args=arguments)
            else:
                found.add_node(num_cpus=1)
        os.sched_setaffinity(0, mine)
        yield str(found.address)
    finally:
        os.sched_setaffinity(0, mine)
        if found is not None:
            found.shutdown()


def metered(n_workers: int, words: list[str]) -> Metered:
    """Run the cases that the words select on so many workers."""
    with tempfile.TemporaryDirectory() as name, cluster(n_workers) as address:
        command = [sys.executable, "-m", "conformance", "run", "--fleet", address]
        command += [*words, "--backend", "cpu", "--reports", name]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603  # ours
        seen: list[_Seen] = []
        while process.poll() is None:
            seen.append(_Seen.now(Path(name), process.pid))
            time.sleep(EVERY_S)
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}, not measured")
        (records,) = Path(name).glob("*/records.parquet")
        import pyarrow.parquet as pq

        n_rows = pq.ParquetFile(records).metadata.num_rows
    begun = next(each for each in seen if each.size_bytes)
    done = next(each for each in seen if each.size_bytes == seen[-1].size_bytes)
    return Metered(
        n_workers=n_workers,
        n_cases=round(n_rows * (1 - begun.size_bytes / done.size_bytes)),
        judging_s=done.at_s - begun.at_s,
        driver_cpu_s=done.driver_cpu_s - begun.driver_cpu_s,
        workers_cpu_s=done.workers_cpu_s - begun.workers_cpu_s,
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """How far a run was at one moment. size_bytes: of the verdicts that had come home."""

    at_s: float
    size_bytes: int
    driver_cpu_s: float
    workers_cpu_s: float

    @staticmethod
    def now(reports: Path, driver: int) -> _Seen:
        return _Seen(
            at_s=time.perf_counter(),
            size_bytes=_size(reports),
            driver_cpu_s=cpu_s(driver),
            workers_cpu_s=sum(map(cpu_s, descendants(os.getpid(), TASK))),
        )


def _size(reports: Path) -> int:
    """Return how much of the verdicts has come home, in bytes."""
    return sum(path.stat().st_size for path in reports.glob("*/lots.jsonl"))


def main(arguments: list[str]) -> None:
    """Measure, and print what was found."""
    n_workers, n_seeds, *words = arguments
    words = [*words, "--seed", f"0:{n_seeds}"]
    print(json.dumps(dataclasses.asdict(metered(int(n_workers), words))))


if __name__ == "__main__":
    main(sys.argv[1:])
