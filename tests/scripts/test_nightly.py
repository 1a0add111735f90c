"""The nightly workflow's steps, run here with stand-ins for what only GitHub has."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import machines
import nightly
import pytest
from machines import MACHINES, read_machines
from nightly import main, plan

from conformance.cli import merge
from tests import ROOT, warm
from tests.merge.test_merge import ONE, ROUNDED, TWO, run_of

WORKFLOWS = ROOT / ".github" / "workflows"
yaml: Any = importlib.import_module("yaml")  # it has no types


def workflow(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((WORKFLOWS / f"{name}.yml").read_text())
    return document


def step_of(job: str, name: str) -> str:
    """Return the shell of the step of that name or id."""
    steps = workflow("nightly")["jobs"][job]["steps"]
    (found,) = (step["run"] for step in steps if name in (step.get("name"), step.get("id")))
    return str(found)


def stand_in(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\n{body}\n")
    path.chmod(0o755)


def shell(script: str, folder: Path, **variables: str) -> int:
    """Run a step as GitHub does, in `folder`, which comes first on the path."""
    environment = {"PATH": f"{folder}:{Path(warm.COLD).parent}:{os.environ['PATH']}"}
    done = subprocess.run(  # noqa: S603  # our own script
        ["/bin/bash", "-e", "-c", script],
        cwd=folder,
        env={**os.environ, **environment, **variables},
        check=False,
        capture_output=True,
    )
    return done.returncode


# --- Who may do what -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nightly", "upgrade"])
def test_only_the_job_that_runs_nothing_new_may_write(name: str) -> None:
    document = workflow(name)

    assert document["permissions"] == {}
    for job, spec in document["jobs"].items():
        writes = [what for what, how in spec["permissions"].items() if how != "read"]
        assert writes == (["issues"] if job == "tell" else []), job


@pytest.mark.parametrize("name", ["nightly", "upgrade"])
def test_the_job_with_the_token_installs_nothing_and_others_never_see_it(name: str) -> None:
    for job, spec in workflow(name)["jobs"].items():
        text = json.dumps(spec)
        if job == "tell":
            commands = [step["run"] for step in spec["steps"] if "run" in step]
            assert [command.strip().split()[:2] for command in commands] == [
                ["python3", "scripts/track_issues.py"]
            ]
        else:
            assert "github.token" not in text
            assert "secrets." not in text


@pytest.mark.parametrize("name", sorted(path.stem for path in WORKFLOWS.iterdir()))
def test_no_checkout_leaves_credentials_behind(name: str) -> None:
    steps = [step for spec in workflow(name)["jobs"].values() for step in spec["steps"]]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout")]

    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


@pytest.mark.parametrize("name", ["nightly", "upgrade"])
def test_artifacts_are_uploaded_whatever_came_before(name: str) -> None:
    steps = [step for spec in workflow(name)["jobs"].values() for step in spec["steps"]]
    uploads = [step for step in steps if step.get("uses", "").startswith("actions/upload")]

    assert uploads
    assert all(step["if"] == "always()" for step in uploads)
    assert all(step["with"]["if-no-files-found"] == "error" for step in uploads)


def test_runner_labels_of_accelerators_stand_in_one_file_only() -> None:
    assert "self-hosted" in MACHINES.read_text()
    assert all("self-hosted" not in path.read_text() for path in WORKFLOWS.iterdir())


# --- Plan ----------------------------------------------------------------------------------------


def test_every_machine_runs_every_shard_under_both_jax() -> None:
    jobs = plan(MACHINES, ["cuda", "tpu"])

    assert {job.machine for job in jobs} == {
        f"{machine}-{jax}"
        for machine in ("x86", "x86-avx", "arm", "apple", "cuda", "tpu")
        for jax in ("newest", "nightly")
    }
    assert [job.shard for job in jobs if job.machine == "arm-nightly"] == [
        "1/4",
        "2/4",
        "3/4",
        "4/4",
    ]
    assert len({job.artifact for job in jobs}) == len(jobs)


def test_accelerators_without_a_runner_do_not_wait_for_one_and_are_said_to_be_absent() -> None:
    jobs = plan(MACHINES, [])

    assert {job.backend for job in jobs} == {"cpu"}
    assert read_machines(MACHINES).left_out([job.machine for job in jobs]) == ["cuda", "tpu"]


def test_the_nightly_index_never_stands_in_for_the_registry() -> None:
    """It holds JAX alone: with `--index-url`, pip would find no CUDA library."""
    requirements = tomllib.loads(MACHINES.read_text())["jax"]["nightly"]

    assert set(requirements) == {"cpu", "cuda", "tpu"}
    for line in requirements.values():
        assert "--extra-index-url" in line.split()
        assert "--index-url" not in line.split()


def test_an_unknown_accelerator_is_refused_by_name() -> None:
    with pytest.raises(SystemExit, match=r"ACCELERATORS names gpu: machines\.toml knows"):
        plan(MACHINES, ["gpu"])


def test_the_plan_is_one_line_for_the_output_of_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    main(["plan", "--accelerators", "tpu"])

    name, _, value = capsys.readouterr().out.partition("=")
    assert name == "jobs"
    assert "tpu" in {job["backend"] for job in json.loads(value)}


# --- Observe -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "fails"), [(0, False), (1, False), (3, True), (5, True)])
def test_a_run_without_a_verdict_fails_its_job_and_leaves_its_code(
    code: int, fails: bool, tmp_path: Path
) -> None:
    stand_in(tmp_path, "pytest", f'echo "$@" > words; exit {code}')

    status = shell(step_of("observe", "Observe and judge"), tmp_path, BACKEND="cpu", SHARD="2/4")

    assert bool(status) is fails
    assert (tmp_path / "night" / "code").read_text() == f"{code}\n"
    assert (
        "--tier full --backend cpu --shard 2/4 --reports night" in (tmp_path / "words").read_text()
    )


# --- The file of machines -------------------------------------------------------------------------

WHOLE = """
[[machine]]
name = "x86"
runner = ["ubuntu"]
backend = "cpu"
shards = 2

[jax.newest]
cpu = "jax"
"""


def test_a_machine_is_read_with_what_it_does_not_say(tmp_path: Path) -> None:
    (tmp_path / "machines.toml").write_text(WHOLE)

    found = read_machines(tmp_path / "machines.toml")

    assert found.machine == (
        machines.Machine(name="x86", runner=("ubuntu",), backend="cpu", shards=2),
    )
    assert found.jax == {"newest": {"cpu": "jax"}}


@pytest.mark.parametrize(
    ("old", "new", "needed"),
    [
        ("shards = 2", 'shards = "2"', "shards"),
        ("shards = 2", "shard = 2", "shard"),
        ("shards = 2", "", "the field 'shards' is missing"),
        ("shards = 2", "shards = 0", "machine #1, shards: 0 is not a number of jobs, from 1 on"),
        ('["ubuntu"]', "[]", "machine #1, runner: [] is not a list of labels"),
        (
            "[jax.newest]",
            '[[machine]]\nname = "x86"\nrunner = ["b"]\nbackend = "cpu"\nshards = 1\n[jax.newest]',
            "machine #2, name: 'x86' is another machine's",
        ),
        ('runner = ["ubuntu"]', 'runner = "ubuntu"', "runner"),
        ('cpu = "jax"', 'cuda = "jax"', "jax.newest says nothing of cpu"),
        ("[jax.newest]", "[jax.newest", "TOMLDecodeError"),
    ],
    ids=[
        *("text", "stranger", "missing", "no-shard", "no-label", "twice"),
        *("no-list", "no-jax", "no-toml"),
    ],
)
def test_a_file_of_machines_that_is_wrong_is_refused_by_place(
    old: str, new: str, needed: str, tmp_path: Path
) -> None:
    path = tmp_path / "machines.toml"
    path.write_text(WHOLE.replace(old, new))

    with pytest.raises(SystemExit) as caught:
        plan(path, [])

    assert str(path) in str(caught.value)
    assert needed in str(caught.value)


def test_a_file_of_machines_that_is_wrong_is_a_wrong_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """1 would be drift."""
    path = tmp_path / "machines.toml"
    path.write_text("machine = 3")
    monkeypatch.setattr(nightly, "MACHINES", path)

    assert nightly.main(["plan"]) == 4
    assert str(path) in capsys.readouterr().err


def test_the_plan_is_made_before_anything_is_installed() -> None:
    """Without site-packages, as on the machine that plans."""
    command = [sys.executable, "-E", "-s", "-S", str(ROOT / "scripts" / "nightly.py"), "plan"]

    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # ours

    assert len(json.loads(done.stdout.removeprefix("jobs="))) == len(plan(MACHINES, []))


# --- Verdict -------------------------------------------------------------------------------------


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Two shards of one machine, as JSON."""
    machines = tmp_path / "machines.toml"
    machines.write_text(
        '[[machine]]\nname = "x86"\nrunner = ["ubuntu"]\nbackend = "cpu"\nshards = 2\n'
        '[jax.newest]\ncpu = "jax"\n'
    )
    monkeypatch.setattr(nightly, "MACHINES", machines)
    return json.dumps([vars_of(job) for job in plan(machines, [])])


def vars_of(job: nightly.Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in nightly.Job.__slots__}


def shard(night: Path, index: int, case: str, code: str = "0") -> Path:
    folder = night / f"night-x86-newest-{index}"
    run_of(folder, case)
    (folder / "code").write_text(f"{code}\n")
    return folder


def judged(tmp_path: Path, jobs: str) -> tuple[str, str]:
    """Return the code and the table of the night."""
    out = tmp_path / "verdict"
    main(["verdict", "--jobs", jobs, "--night", str(tmp_path / "night"), "--out", str(out)])
    return (out / "code").read_text().strip(), (out / "table.md").read_text()


@pytest.fixture
def only_two_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the two cases for the whole tier."""
    monkeypatch.setattr(merge, "_questions", lambda *_: [])


@pytest.mark.usefixtures("only_two_cases")
def test_a_night_of_clean_shards_is_clean(tmp_path: Path, jobs: str) -> None:
    shard(tmp_path / "night", 1, ONE)
    shard(tmp_path / "night", 2, TWO)

    code, table = judged(tmp_path, jobs)

    assert code == "0"
    assert "# PASSED: 2 results of 2 problems" in table


@pytest.mark.usefixtures("only_two_cases")
def test_a_planned_job_that_left_nothing_makes_the_night_incomplete(
    tmp_path: Path, jobs: str
) -> None:
    shard(tmp_path / "night", 1, ONE)

    code, table = judged(tmp_path, jobs)

    assert code == "3"
    assert "No verdict came from night-x86-newest-2: see its job." in table


@pytest.mark.usefixtures("only_two_cases")
def test_a_job_that_broke_down_is_no_verdict(tmp_path: Path, jobs: str) -> None:
    shard(tmp_path / "night", 1, ONE)
    shard(tmp_path / "night", 2, TWO, code="3")

    code, table = judged(tmp_path, jobs)

    assert code == "3"
    assert "No verdict came from night-x86-newest-2" in table


@pytest.mark.usefixtures("only_two_cases")
def test_an_artifact_that_is_named_like_no_job_is_not_believed(tmp_path: Path, jobs: str) -> None:
    shard(tmp_path / "night", 1, ONE)
    shard(tmp_path / "night", 2, TWO)
    stranger = shard(tmp_path / "night", 3, ONE)
    run_of(stranger, ONE, outcome=ROUNDED)

    assert judged(tmp_path, jobs)[0] == "0"


def test_cases_that_no_shard_ran_are_missing(tmp_path: Path, jobs: str) -> None:
    shard(tmp_path / "night", 1, ONE)
    shard(tmp_path / "night", 2, TWO)

    code, table = judged(tmp_path, jobs)

    assert code == "3"
    assert "# INCOMPLETE" in table


def test_a_table_is_cut_below_what_github_drops(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, jobs: str
) -> None:
    monkeypatch.setattr(nightly, "MAX_SUMMARY_BYTES", 500)
    whole_tier = merge._questions
    monkeypatch.setattr(merge, "_questions", lambda *asked: whole_tier(*asked)[:20])
    shard(tmp_path / "night", 1, ONE)
    shard(tmp_path / "night", 2, TWO)

    _, table = judged(tmp_path, jobs)

    assert len(table.encode()) <= 500
    assert table.endswith("\nThe artifacts hold the rest.\n")


# --- Where a JAX is found ------------------------------------------------------------------------


def test_the_index_of_nightly_builds_is_the_one_that_pip_is_given() -> None:
    found = read_machines(MACHINES)

    assert found.registry_options("newest") == []
    pre, option, index = found.registry_options("nightly")
    assert (pre, option) == ("--pre", "--index")
    assert f"--extra-index-url {index}" in found.jax["nightly"]["cpu"]
    assert not any(index in path.read_text() for path in WORKFLOWS.iterdir())


def test_an_unknown_jax_is_refused_by_name() -> None:
    with pytest.raises(SystemExit, match=r"'weekly' is no JAX of machines\.toml: it knows newest"):
        read_machines(MACHINES).registry_options("weekly")


@pytest.mark.parametrize("name", ["nightly", "upgrade"])
def test_workflows_ask_for_every_jax_of_the_file(name: str) -> None:
    job = {"nightly": "first-bad", "upgrade": "gate"}[name]

    lanes = workflow(name)["jobs"][job]["strategy"]["matrix"]["lane"]

    assert lanes == list(read_machines(MACHINES).jax)
