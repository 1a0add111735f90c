"""On a real Ray cluster of two nodes the verdict is that of one machine, come what may.

Collected only where the extra `fleet` is installed: see conftest.py.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import ray.cluster_utils

from conformance.cli import main
from conformance.core.lines import SEAL
from conformance.observe import fleet
from conformance.report.frames import read_run
from tests import warm

pytestmark = [
    pytest.mark.fleet,
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # Ray's own
]

SELECTION = ["--backend", "cpu", "--tier", "quick", "--initializer", "uniform,he_normal,orthogonal"]
OF_THE_RUN = {"run_id", "rerun", "recorded_at", "elapsed_s", SEAL}
"""What two runs of the same cases may differ in."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a cluster of two nodes with one CPU each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setattr(sys, "executable", warm.COLD)  # a node starts threads and workers of its own
        arguments = {"num_cpus": 1, "include_dashboard": False}
        cluster = ray.cluster_utils.Cluster(initialize_head=True, head_node_args=arguments)
        cluster.add_node(num_cpus=1)
        try:
            yield str(cluster.address)
        finally:
            ray.shutdown()
            cluster.shutdown()


def rows_of(reports: Path) -> list[dict[str, Any]]:
    """Return the rows of the only run, by case, without what differs from run to run."""
    (path,) = reports.glob("*/rows.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    kept = [{name: row[name] for name in row if name not in OF_THE_RUN} for row in rows]
    return sorted(kept, key=lambda row: str(row["case"]))


def test_a_run_that_lost_a_worker_in_the_middle_has_the_verdict_of_one_machine(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the bit layout before JAX 0.5, so that there is something to say about most cases."""
    monkeypatch.setenv("JAX_THREEFRY_PARTITIONABLE", "0")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as Ray has it where a task has one CPU
    attempts = tmp_path / "attempts"
    attempts.mkdir()

    def dying_once(ids: tuple[str, ...]) -> fleet.Observed:
        nth = len(list(attempts.iterdir()))
        (attempts / f"{nth}-{os.getpid()}-{time.time_ns()}").write_text(ids[0])
        if nth == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return observe(ids)

    observe = fleet.observe_group
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(fleet, "observe_group", dying_once)
    here, there = tmp_path / "here", tmp_path / "there"
    program = str(Path(sys.executable).with_name("conformance"))
    local = [program, "run", *SELECTION, "--reports", str(here)]
    alone = subprocess.run(local, check=False, capture_output=True)  # noqa: S603  # ours

    code = main(["run", "--fleet", address, *SELECTION, "--reports", str(there)])

    asked = [path.read_text() for path in attempts.iterdir()]
    assert len(asked) > len(set(asked))  # a group was tried again
    assert code == alone.returncode == 1
    assert rows_of(there) == rows_of(here)
    rows = next(there.glob("*/rows.jsonl")).read_text()
    assert f" --fleet {address}" in rows
    assert "JAX_THREEFRY_PARTITIONABLE=False conformance run " in rows


def test_a_range_of_seeds_has_the_rows_of_one_machine(address: str, tmp_path: Path) -> None:
    """Each block is judged on a node; what its processes have set is what the node says."""
    words = ["run", "--backend", "cpu", "--initializer", "normal,zeros", "--dtype", "float32"]
    words += ["--shape", "64", "--seed", "0:450", "--reports"]

    codes = (
        main([*words, str(tmp_path / "there"), "--fleet", address]),
        main([*words, str(tmp_path / "here"), "--in-process"]),
    )

    assert codes == (0, 0)
    one, other = (outcomes_of(tmp_path / name) for name in ("there", "here"))
    assert one == other
    assert len(one) == 900


def test_a_range_of_seeds_that_was_cut_short_goes_on(address: str, tmp_path: Path) -> None:
    words = ["run", "--backend", "cpu", "--initializer", "normal,zeros", "--dtype", "float32"]
    words += ["--shape", "64", "--seed", "0:450", "--reports", str(tmp_path), "--fleet", address]
    assert main(words) == 0
    expected = outcomes_of(tmp_path)
    [folder] = tmp_path.iterdir()
    kept = (folder / "lots.jsonl").read_text().splitlines(keepends=True)[:2]
    (folder / "lots.jsonl").write_text(f"{''.join(kept)}{kept[0][:40]}")

    assert main(["run", "--resume", str(folder)]) == 0

    assert (folder / "lots.jsonl").read_text().splitlines(keepends=True)[:2] == kept
    assert outcomes_of(tmp_path) == expected


def outcomes_of(reports: Path) -> list[list[str]]:
    """Return what came of each case of the only run, sorted by its id."""
    (folder,) = reports.iterdir()
    rows = read_run(folder, columns=["case", "outcome", "status", "mode"])
    return sorted(rows.astype(str).to_numpy().tolist())


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShortWork:
    """Work that tells which node did it."""

    name: str
    backend: str = "cpu"
    n_ahead: int = 1
    parts: tuple[()] = ()

    @property
    def call(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """What a worker does."""
        return node_of_this, ()


def node_of_this() -> str:
    time.sleep(0.2)
    return str(ray.get_runtime_context().get_node_id())


def test_short_work_goes_in_turn_to_the_nodes_that_are_known(address: str) -> None:
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    cluster = fleet.RayCluster(address, {})
    try:
        work = [ShortWork(name=str(number)) for number in range(12)]
        found = [each.observed for each in fleet.arrivals(work, cluster, timeout_s=60.0)]
    finally:
        cluster.close()

    counts = collections.Counter(found)
    assert len(counts) == 2
    assert min(counts.values()) >= 4


def test_a_resource_that_the_cluster_lacks_fails_before_anything_runs(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--fleet", address, "--backend", "tpu", "--tier", "quick"]

    assert main([*words, "--reports", str(tmp_path)]) == 3
    assert "backend 'tpu' needs a node with a TPU" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_group_that_hangs_is_ended_and_named(
    address: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def hanging(ids: tuple[str, ...]) -> fleet.Observed:
        time.sleep(600)
        raise AssertionError(ids)

    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(fleet, "observe_group", hanging)
    case = "zeros-float32-64-s0-cpu-eager"
    words = ["run", case, "--fleet", address, "--fleet-timeout", "2", "--reports", str(tmp_path)]

    assert main(words) == 3
    assert "was tried 3 times: it was not done within 2 s" in capsys.readouterr().out


def test_an_address_where_no_cluster_answers_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--fleet", "nowhere", "--backend", "cpu", "--tier", "quick"]

    assert main([*words, "--reports", str(tmp_path)]) == 3
    assert "no Ray cluster answers at 'nowhere'" in capsys.readouterr().err
