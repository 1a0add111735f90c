"""Groups come back whatever happens to their workers, or say why they did not. Needs no Ray."""

from __future__ import annotations

import dataclasses
import importlib
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.selection import Selection, select
from conformance.cli import main
from conformance.core.errors import FleetUnavailable, UnfinishedRunWarning
from conformance.core.ids import Block, Case, Tier, parse_case, parse_unit
from conformance.core.installation import extra_command
from conformance.core.records import IN_BLOCK, Environment, Returned
from conformance.merge import read_sources
from conformance.observe import fleet
from conformance.observe.fleet import (
    ATTEMPTS,
    Arrival,
    Group,
    Observed,
    Places,
    WorkerLost,
    arrivals,
    groups_of,
    observe_group,
    require_resources,
    resource_of,
)
from conformance.observe.observer import Observer
from conformance.report.frames import read_run
from conformance.report.lots import LOTS_FILE
from conformance.report.run import RECORDS, ROWS
from conformance.run import resuming
from conformance.run.options import nothing_given
from conformance.run.parcels import asked_of_nodes, judge_parcel, parcels_of
from conformance.run.resuming import Begun
from tests import ROOT

NOTHING = Observed(
    observations=(), environment=Environment(packages={}, config={}, host={}, devices={})
)


def group(shape: int = 64, backend: str = "cpu", n_cases: int = 1) -> Group:
    ids = (f"zeros-float32-{shape}-s{seed}-{backend}-eager" for seed in range(n_cases))
    return Group(cases=tuple(map(parse_case, ids)))


class FakeCluster:
    """A cluster whose workers do at once what they are told to, or never end.

    fates: for each attempt at a group, by shape: an error to raise, or `hang`; else it succeeds.
    """

    def __init__(
        self,
        present: Mapping[str, float],
        fates: Mapping[str, list[Exception | str]] | None = None,
    ) -> None:
        self.present = dict(present)
        self.fates = {name: list(steps) for name, steps in (fates or {}).items()}
        self.most_at_once: dict[str, int] = {}
        self.cancelled: list[str] = []
        self._running: dict[int, tuple[Group, Exception | str | None]] = {}
        self._n_submitted = 0

    def resources(self) -> Mapping[str, float]:
        """Return what the test says."""
        return self.present

    def submit(self, group: Group) -> int:
        """Note the attempt."""
        steps = self.fates.get(group.name, [])
        self._n_submitted += 1
        self._running[self._n_submitted] = group, steps.pop(0) if steps else None
        name = resource_of(group.backend)
        same = sum(resource_of(each.backend) == name for each, _ in self._running.values())
        self.most_at_once[name] = max(same, self.most_at_once.get(name, 0))
        return self._n_submitted

    def wait(self, tickets: Collection[int], timeout_s: float) -> list[int]:
        """Return one ticket that does not hang."""
        assert timeout_s > 0
        return [ticket for ticket in tickets if self._running[ticket][1] != "hang"][:1]

    def result(self, ticket: int) -> Observed:
        """Do what fate has in store."""
        _, fate = self._running.pop(ticket)
        if isinstance(fate, Exception):
            raise fate
        return NOTHING

    def cancel(self, ticket: int) -> None:
        """Note it."""
        self.cancelled.append(self._running.pop(ticket)[0].name)


def outcomes(cluster: FakeCluster, *groups: Group, timeout_s: float = 60.0) -> dict[str, str]:
    """Return the reason of each group by its name: "" where it was observed."""
    arrived: list[Arrival[Group]] = list(arrivals(groups, cluster, timeout_s=timeout_s))
    assert len(arrived) == len(groups)
    assert all((each.observed is None) == bool(each.reason) for each in arrived)
    return {each.group.name: each.reason for each in arrived}


# --- Groups --------------------------------------------------------------------------------------


def test_cases_that_share_programs_go_to_one_worker_and_the_largest_group_goes_first() -> None:
    small, large = group(shape=8), group(shape=64, n_cases=3)

    groups = groups_of([*small.cases, *large.cases])

    assert [each.name for each in groups] == [large.name, small.name]
    assert groups[0].cases == large.cases


@pytest.mark.parametrize(
    ("backend", "resource"),
    [("cpu", "CPU"), ("cuda", "GPU"), ("rocm", "GPU"), ("tpu", "TPU"), ("stablehlo", "CPU")],
)
def test_a_group_goes_where_its_backend_is(backend: str, resource: str) -> None:
    assert resource_of(group(backend=backend).backend) == resource


def test_a_worker_observes_its_cases_with_their_stages() -> None:
    observed = observe_group(("uniform-float32-64-s0-cpu-eager",))

    (observation,) = observed.observations
    assert observation.case.id == "uniform-float32-64-s0-cpu-eager"
    assert "bits" in observation.stages
    assert observed.environment.devices["cpu.kind"] == "cpu"


def test_stages_that_cannot_be_computed_do_not_cost_what_was_observed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(Observer, "with_stages", fail)

    (observation,) = observe_group(("uniform-float32-64-s0-cpu-eager",)).observations

    assert isinstance(observation.outcome, Returned)
    assert observation.stages == {}


# --- Before anything runs ------------------------------------------------------------------------


def test_a_resource_that_no_node_has_is_refused_by_name() -> None:
    cluster = FakeCluster({"CPU": 4.0, "GPU": 1.0, "node:a": 1.0})

    with pytest.raises(FleetUnavailable) as error_info:
        require_resources(["cpu", "tpu"], cluster)

    assert str(error_info.value) == (
        "backend 'tpu' needs a node with a TPU, and the cluster has CPU 4, GPU 1: "
        "add such a node, or leave the backend out"
    )


def test_resources_that_are_there_are_enough() -> None:
    require_resources(["cpu", "cuda"], FakeCluster({"CPU": 4.0, "GPU": 1.0}))


# --- While it runs -------------------------------------------------------------------------------


def test_every_group_comes_back() -> None:
    groups = [group(shape) for shape in range(1, 9)]

    assert set(outcomes(FakeCluster({"CPU": 2.0}), *groups).values()) == {""}


def test_no_more_groups_are_handed_over_than_there_are_resources() -> None:
    cluster = FakeCluster({"CPU": 2.0, "GPU": 1.0})
    groups = [group(shape, backend) for shape in range(1, 6) for backend in ("cpu", "cuda")]

    outcomes(cluster, *groups)

    assert cluster.most_at_once == {"CPU": 2, "GPU": 1}


def test_a_group_that_lost_its_worker_is_given_to_another() -> None:
    one = group()
    cluster = FakeCluster({"CPU": 1.0}, {one.name: [WorkerLost("gone"), WorkerLost("gone")]})

    assert outcomes(cluster, one) == {one.name: ""}


def test_a_group_that_loses_every_worker_says_so_and_holds_up_no_other() -> None:
    bad, good = group(shape=1), group(shape=2)
    cluster = FakeCluster({"CPU": 1.0}, {bad.name: [WorkerLost("gone")] * ATTEMPTS})

    assert outcomes(cluster, bad, good) == {
        bad.name: f"{bad.name} was tried 3 times: gone",
        good.name: "",
    }


def test_a_group_that_hangs_is_cancelled_and_given_to_another() -> None:
    one = group()
    cluster = FakeCluster({"CPU": 1.0}, {one.name: ["hang"]})

    assert outcomes(cluster, one, timeout_s=0.01) == {one.name: ""}
    assert cluster.cancelled == [one.name]


def test_a_group_that_always_hangs_says_so() -> None:
    one = group()
    cluster = FakeCluster({"CPU": 1.0}, {one.name: ["hang"] * ATTEMPTS})

    reasons = outcomes(cluster, one, timeout_s=0.01)

    assert reasons == {one.name: f"{one.name} was tried 3 times: it was not done within 0.01 s"}


def test_a_node_without_the_backend_is_not_asked_again() -> None:
    one = group()
    cluster = FakeCluster({"CPU": 1.0}, {one.name: [FleetUnavailable("no device")]})

    assert outcomes(cluster, one) == {one.name: "no device"}


def test_groups_whose_last_node_left_do_not_wait_for_ever() -> None:
    here, gone = group(backend="cpu"), group(backend="tpu")

    reasons = outcomes(FakeCluster({"CPU": 1.0}), here, gone)

    assert reasons == {here.name: "", gone.name: "no node with a TPU is left"}


# --- The command ---------------------------------------------------------------------------------


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)


@pytest.mark.usefixtures("without_ray")
def test_without_the_extra_the_command_says_what_installs_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--fleet", "auto", "--backend", "cpu", "--tier", "quick"]

    assert main([*words, "--reports", str(tmp_path)]) == 3
    assert f"--fleet needs Ray: {extra_command('fleet')}" in capsys.readouterr().err


def test_a_fleet_needs_its_backends_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--fleet", "auto", "--tier", "quick", "--reports", str(tmp_path)]) == 4
    assert "--fleet needs --backend" in capsys.readouterr().err


def test_a_fleet_and_a_recording_contradict_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--fleet", "auto", "--recording", str(tmp_path), "--reports", str(tmp_path)]

    assert main(words) == 4
    assert "--fleet and --recording contradict each other" in capsys.readouterr().err


class LocalFleet(FakeCluster):
    """Stands in for Ray: every group is observed in this process, but for some that are lost."""

    lost: tuple[str, ...] = ()

    def __init__(self, address: str, variables: Mapping[str, str]) -> None:
        super().__init__(
            {"CPU": 1.0}, {name: [WorkerLost("gone")] * ATTEMPTS for name in self.lost}
        )
        self.address, self.variables = address, variables

    def probe(self, backend: str) -> Environment:
        """Return the environment here."""
        return fleet.probe(backend)

    def result(self, ticket: int) -> Observed:
        """Observe here."""
        group = self._running[ticket][0]
        super().result(ticket)
        return observe_group(tuple(case.id for case in group.cases))

    def close(self) -> None:
        """Do nothing."""


WORDS = ["run", "--fleet", "x", "--backend", "cpu", "--tier", "quick", "--initializer", "zeros"]


def test_what_a_fleet_observed_is_judged_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "RayCluster", LocalFleet)

    assert main([*WORDS, "--reports", str(tmp_path)]) == 0
    assert "PASSED: 9 cases, 9 identical" in capsys.readouterr().out


def test_what_was_lost_is_missing_by_name_and_is_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = "cpu-eager-float32-threefry2x32-64"
    monkeypatch.setattr(fleet, "RayCluster", LocalFleet)
    monkeypatch.setattr(LocalFleet, "lost", (lost,))

    assert main([*WORDS, "--reports", str(tmp_path)]) == 3

    printed = capsys.readouterr().out
    assert f"no verdict on zeros-float32-64-s0-cpu-eager: {lost} was tried 3 times: gone" in printed
    assert "INCOMPLETE: 1 of 9 cases left no result" in printed


# --- Ranges of seeds -----------------------------------------------------------------------------
SEEDS = ["--initializer", "normal,zeros", "--shape", "64", "--dtype", "float32", "--seed", "0:450"]
OF_THE_RUN = ["run_id", "rerun", "recorded_at", "elapsed_s"]
"""Columns in which two runs of the same cases may differ."""


class LocalParcels(LocalFleet):
    """Stands in for Ray: parcels are judged in this process."""

    def result(self, ticket: int) -> Any:
        """Judge here."""
        function, arguments = self._running[ticket][0].call
        FakeCluster.result(self, ticket)
        return pickle.loads(pickle.dumps(function(*arguments)))  # noqa: S301  # as Ray brings it home


def rows_of(reports: Path) -> pd.DataFrame:
    (folder,) = reports.iterdir()
    return read_run(folder).sort_values("case", ignore_index=True)


def test_a_range_of_seeds_has_the_rows_of_one_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "RayCluster", LocalParcels)
    words = ["run", "--backend", "cpu", *SEEDS, "--reports"]

    codes = (
        main([*words, str(tmp_path / "there"), "--fleet", "x"]),
        main([*words, str(tmp_path / "here"), "--in-process"]),
    )

    assert codes == (0, 0)
    there, here = (rows_of(tmp_path / name) for name in ("there", "here"))
    pd.testing.assert_frame_equal(there.drop(columns=OF_THE_RUN), here.drop(columns=OF_THE_RUN))
    assert there["rerun"].str.contains(" --fleet x").all()
    assert (there["mode"] == IN_BLOCK).sum() == 900 - 2 * 2 * 3  # the ends of three blocks each


def run_there(reports: Path, *asked: str) -> Path:
    """Run on the cluster, and return the folder."""
    main(["run", "--backend", "cpu", *asked, "--reports", str(reports), "--fleet", "x"])
    [folder] = reports.iterdir()
    return folder


@pytest.mark.parametrize("name", ["blocks", "cases"])
def test_a_run_of_a_fleet_that_was_cut_short_goes_on(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By --resume alone, as on one machine; the cluster may have another address by then."""
    monkeypatch.setattr(fleet, "RayCluster", LocalParcels if name == "blocks" else LocalFleet)
    asked = SEEDS if name == "blocks" else ["--initializer", "zeros", "--tier", "quick"]
    folder = run_there(tmp_path, *asked)
    expected = rows_of(tmp_path).drop(columns=["recorded_at", "elapsed_s"])
    path = folder / (LOTS_FILE if name == "blocks" else ROWS)
    kept = path.read_text().splitlines(keepends=True)[:2]
    path.write_text(f"{''.join(kept)}{kept[0][:40]}")
    (folder / RECORDS).unlink()

    assert main(["run", "--resume", str(folder)]) == 0
    assert path.read_text().splitlines(keepends=True)[:2] == kept
    found = rows_of(tmp_path).drop(columns=["recorded_at", "elapsed_s"])
    pd.testing.assert_frame_equal(found, expected, check_categorical=False)

    path.write_text("".join(kept))
    assert main(["run", "--resume", str(folder), "--fleet", "y"]) == 0
    reruns = rows_of(tmp_path)["rerun"]
    assert set(reruns.str.extract(r"--fleet (\w)")[0]) == {"x", "y"}


def test_blocks_that_a_fleet_lost_are_done_when_it_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_the_middle_block(monkeypatch)
    folder = run_there(tmp_path, *SEEDS)
    monkeypatch.setattr(LocalParcels, "lost", ())

    assert main(["run", "--resume", str(folder)]) == 0
    assert "PASSED: 900 cases" in capsys.readouterr().out


def test_a_run_of_a_fleet_that_is_done_is_reported_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "RayCluster", LocalParcels)
    folder = run_there(tmp_path, *SEEDS)
    (folder / RECORDS).unlink()

    assert main(["run", "--resume", str(folder)]) == 0
    assert len(rows_of(tmp_path)) == 900


def test_nodes_may_be_unlike_each_other_and_their_versions_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "RayCluster", LocalParcels)
    folder = run_there(tmp_path, *SEEDS)
    here = fleet.probe("cpu")
    other = dataclasses.replace(here, host={"cpu": "other"}, devices={"cpu": "other"})
    monkeypatch.setattr(LocalParcels, "probe", lambda *_: other)
    assert main(["run", "--resume", str(folder)]) == 0

    other = dataclasses.replace(here, packages={**here.packages, "jaxlib": "0.1"})
    assert main(["run", "--resume", str(folder)]) == 3
    assert f"{folder} was begun otherwise (jaxlib: " in capsys.readouterr().err


@pytest.mark.parametrize("here", [["--in-process"], ["-n", "2"]])
def test_a_run_of_a_fleet_does_not_go_on_here(
    here: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = Environment(packages={}, config={}, host={}, devices={})
    begun = Begun(given=nothing_given(), environment=nowhere, judged_by="", fleet="x")
    resuming.note(tmp_path, begun)

    assert main(["run", "--resume", str(tmp_path), *here]) == 4
    assert f"{tmp_path} was begun on the Ray cluster x: leave out " in capsys.readouterr().err


def test_a_run_of_this_machine_does_not_go_on_in_a_fleet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = Environment(packages={}, config={}, host={}, devices={})
    resuming.note(tmp_path, Begun(given=nothing_given(), environment=nowhere, judged_by=""))

    assert main(["run", "--resume", str(tmp_path), "--fleet", "x"]) == 4
    assert f"{tmp_path} was begun on this machine: leave out --fleet x" in capsys.readouterr().err


def test_of_a_parcel_that_ends_workers_only_the_block_is_lost_that_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = lose_the_middle_block(monkeypatch)

    assert (
        main(["run", "--backend", "cpu", *SEEDS, "--reports", str(tmp_path), "--fleet", "x"]) == 3
    )

    printed = capsys.readouterr().out
    assert f"no verdict on normal-float32-64-s200-cpu-eager: {bad} was tried 3 times" in printed
    assert "INCOMPLETE: 200 of 900 cases left no result" in printed
    with pytest.warns(UnfinishedRunWarning):
        assert len(rows_of(tmp_path)) == 700


PARTS = ("0:200", "200:400", "400:450")


def lose_the_middle_block(monkeypatch: pytest.MonkeyPatch) -> str:
    """Let a fleet lose the parcel of all blocks, and the middle one by itself; return its id."""
    first, bad, last = (f"normal-float32-64-s{seeds}-cpu-eager" for seeds in PARTS)
    monkeypatch.setattr(fleet, "RayCluster", LocalParcels)
    monkeypatch.setattr(LocalParcels, "lost", (f"{first} to {last}", bad))
    return bad


def test_a_node_that_judges_by_other_goldens_is_refused() -> None:
    given = {**nothing_given(), "backend": ["cpu"]}
    asked = asked_of_nodes(given, "run", "x", "goldens of another day")

    with pytest.raises(FleetUnavailable, match="and the command by goldens of another day: give"):
        judge_parcel(asked, [f"zeros-float32-64-s{PARTS[0]}-cpu-eager"])


def test_a_parcel_holds_blocks_of_one_program_and_a_second_of_work() -> None:
    ids = [
        f"{name}-float32-64-s{n}:{n + 200}-cpu-eager"
        for name in "ab"
        for n in range(0, 50_000, 200)
    ]
    blocks = [each for each in map(parse_unit, ids) if isinstance(each, Block)]

    parcels = parcels_of(blocks, "")

    assert [len(each.blocks) for each in parcels] == [125] * 4
    assert [block for each in parcels for block in each.blocks] == blocks
    assert parcels[0].name == f"{ids[0]} to {ids[124]}"
    assert [each.parts for each in parcels[0].parts] == [()] * 125


def test_a_parcel_waits_where_its_worker_is_and_has_the_time_of_the_one_ahead() -> None:
    blocks = [
        Block(case=parse_case(f"{name}-float32-64-s0-cpu-eager"), seeds=range(9)) for name in "abcd"
    ]
    parcels = parcels_of(blocks, "")
    cluster = FakeCluster({"CPU": 1.0}, {parcels[0].name: ["hang"] * ATTEMPTS})

    found = list(arrivals(parcels, cluster, timeout_s=0.05))

    assert cluster.most_at_once == {"CPU": 2}
    assert {each.reason.partition(": ")[2] for each in found} == {
        "",
        "it was not done within 0.05 s",
    }


def test_a_worker_has_its_next_group_before_anybody_looks_at_what_it_brought() -> None:
    cluster = FakeCluster({"CPU": 1.0})
    arriving = arrivals([group(8), group(16)], cluster, timeout_s=60.0)

    next(arriving)

    assert [each.name for each, _ in cluster._running.values()] == [group(16).name]


def test_work_goes_to_the_node_that_has_the_least_of_it_for_its_size() -> None:
    places = Places()
    sizes = {"small": 1.0, "large": 3.0, "strange": 8.0}
    assert places.choose(sizes, 2) is None

    places.leave("first", "small")
    places.leave("second", "large")
    handed = []
    for ticket in range(8):
        node = places.choose(sizes, 2)
        assert node is not None
        places.hand(ticket, node)
        handed.append(node)

    assert handed.count("small") == 2
    assert handed.count("large") == 6

    places.leave(handed.index("small"), "small")

    assert places.choose(sizes, 2) == "small"


def test_work_goes_to_no_node_that_left_or_has_not_what_it_needs() -> None:
    places = Places()
    for node in ("gone", "bare", "here"):
        places.leave(node, node)

    assert places.choose({"bare": 0.0, "here": 1.0}, 2) == "here"
    assert places.choose({"bare": 0.0}, 2) is None


def test_a_node_that_only_lost_its_work_is_not_known_to_be_free() -> None:
    places = Places()
    places.hand("ticket", "here")

    places.leave("ticket")

    assert places.choose({"here": 1.0}, 2) is None


def test_what_no_known_node_has_room_for_may_go_to_one_that_joined() -> None:
    places = Places()
    places.leave("first", "here")
    sizes = {"here": 1.0, "joined": 1.0}

    chosen = []
    for ticket in range(4):
        chosen.append(places.choose(sizes, 2))
        if chosen[-1] is not None:
            places.hand(ticket, chosen[-1])

    assert chosen == ["here", "here", None, None]


def test_a_node_where_the_time_of_work_was_over_is_given_none_until_it_does_some() -> None:
    """Others may have taken it: what waits there would wait three times, and be given up."""
    places = Places()
    places.leave("first", "taken")
    places.hand("second", "taken")

    places.give_up("second")

    assert places.choose({"taken": 1.0}, 2) is None

    places.leave("third", "taken")

    assert places.choose({"taken": 1.0}, 2) == "taken"


# --- Shards without Ray, as docs/fleet.md tells --------------------------------------------------

DOCUMENT = (ROOT / "docs" / "fleet.md").read_text()


def block(language: str, containing: str) -> str:
    """Return the code block of the document in that language that contains the text."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    (one,) = (text for text in found if containing in text)
    return str(one)


def slurm(index: int, count: int) -> tuple[str, dict[str, str]]:
    """Return the script and the variables of one task, numbered from 1."""
    variables = {"SLURM_ARRAY_TASK_ID": str(index), "SLURM_ARRAY_TASK_COUNT": str(count)}
    return block("bash", "SBATCH"), variables


def kubernetes(index: int, count: int) -> tuple[str, dict[str, str]]:
    """Return the script and the variables of one pod, numbered from 0 by Kubernetes."""
    spec = importlib.import_module("yaml").safe_load(block("yaml", "Indexed"))["spec"]
    assert spec["completions"] == 16
    (container,) = spec["template"]["spec"]["containers"]
    script = container["args"][0].replace("/16", f"/{count}")
    return script, {"JOB_COMPLETION_INDEX": str(index - 1)}


def run_script(script: str, variables: Mapping[str, str], folder: Path, program: str) -> None:
    """Run a documented script with something in the place of `conformance`."""
    stand_in = folder / "conformance"
    stand_in.write_text(f"#!/bin/bash\n{program}\n")
    stand_in.chmod(0o755)
    subprocess.run(  # noqa: S603  # the document's own script
        ["/bin/bash", "-e", "-c", script],
        cwd=folder,
        env={**os.environ, **variables, "PATH": f"{folder}:{os.environ['PATH']}"},
        check=True,
    )


@pytest.mark.parametrize("task", [slurm, kubernetes])
def test_a_scheduler_numbers_the_shards_and_keeps_their_reports_in_one_folder(
    task: Callable[[int, int], tuple[str, dict[str, str]]], tmp_path: Path
) -> None:
    for index in (1, 2, 3):
        script, variables = task(index, 3)
        run_script(script, variables, tmp_path, 'echo "$@" >> words')

    calls = [line.split() for line in (tmp_path / "words").read_text().splitlines()]
    assert [call[call.index("--shard") + 1] for call in calls] == ["1/3", "2/3", "3/3"]
    reports = [Path(call[call.index("--reports") + 1]) for call in calls]
    assert len(set(reports)) == 3
    assert {path.parent for path in reports} == {Path("results/cuda")}


@pytest.mark.slow
def test_shards_of_a_scheduler_are_whole_together(tmp_path: Path) -> None:
    """On the CPU, for a few cases: a stand-in narrows what the script asks for."""
    narrowed = (
        'set -- "${@/cuda/cpu}"\n'
        f'exec {sys.executable} -m conformance "${{@/full/quick}}" --initializer zeros'
    )

    for index in (1, 2):
        run_script(*slurm(index, 2), tmp_path, narrowed)

    facts = read_sources([tmp_path / "results" / "cpu"]).facts
    assert sorted(fact.case for fact in facts) == sorted(case.id for case in select_zeros())


def select_zeros() -> list[Case]:
    """Return what the stand-in asks for, whole."""
    return select(load_catalogue(), Selection(tier=Tier.QUICK, initializers=("zeros",)))
