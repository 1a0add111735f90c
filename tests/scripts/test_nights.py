"""Nights from their shards to their issues, with stand-ins for the registry, bisect and GitHub."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import machines
import nightly
import pytest
import track_issues
from nightly import main

from conformance.core.ids import parse_case
from conformance.core.records import (
    CaseResult,
    CheckResult,
    Drift,
    DriftClass,
    Environment,
    Observation,
    Status,
)
from conformance.report.recorder import RunRecorder
from conformance.report.rows import Place, row
from tests import ROOT, warm
from tests.merge.test_merge import AS_ALWAYS, NEW_STREAM

ACCEPTED, NEXT, BUILD = "0.12.0.1", "0.13.0", "0.13.1.dev20261129"
ONE, TWO = "normal-float32-64-s0-cpu-eager", "uniform-float32-64-s0-cpu-eager"
URL = "https://nightly.example/simple"

TWO_MACHINES = f"""
[[machine]]
name = "x86"
runner = ["ubuntu"]
backend = "cpu"
shards = 2

[jax.newest]
cpu = "jax jaxlib"

[jax.nightly]
cpu = "--pre jax jaxlib --extra-index-url {URL}"
"""


def stand_in(path: Path, body: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(body)
    path.chmod(0o755)


class World:
    """A repository with its issues, a registry, and a bisect that says what it is told to say.

    made: where nights are kept that were judged: a night like one of them is not judged again.
    """

    def __init__(self, folder: Path, made: Path) -> None:
        self._folder = folder
        self._made = made
        self._n_nights = 0
        (folder / "machines.toml").write_text(TWO_MACHINES)
        gh = (ROOT / "tests" / "fake_gh.py").read_text().partition("\n")[2]
        # Without site-packages, which it does not need, it starts at once.
        stand_in(folder / "bin" / "gh", f"#!{warm.COLD} -IS\n{gh}")
        self.offers([ACCEPTED], [ACCEPTED])
        self.bisects("jax 0.12.0.1 -> 0.13.0: 1 stream", code=1)

    def offers(self, releases: Sequence[str], builds: Sequence[str]) -> None:
        """Let the registry list these, and its index of nightly builds those."""
        lists = [json.dumps({"versions": list(each)}) for each in (releases, builds)]
        stand_in(
            self._folder / "bin" / "uv",
            f"#!/bin/sh\ncase \"$*\" in *--pre*) echo '{lists[1]}';; *) echo '{lists[0]}';; esac\n",
        )

    def bisects(self, text: str, *, code: int, error: str = "") -> None:
        """Let `conformance bisect` end so."""
        script = f"#!/bin/sh\necho \"$*\" >> {self._folder}/bisections\necho '{text}'\n"
        stand_in(self._folder / "bin" / "conformance", f"{script}echo '{error}' >&2\nexit {code}\n")

    @property
    def bisections(self) -> list[str]:
        """The calls of `conformance`, a line each."""
        path = self._folder / "bisections"
        return path.read_text().splitlines() if path.exists() else []

    def night(self, newest: Shards, nightly_build: Shards, jax: str = ACCEPTED) -> Path:
        """Run the jobs of one night on what its shards left; return its verdict."""
        self._n_nights += 1
        key = hashlib.sha256(repr((newest, nightly_build, jax)).encode()).hexdigest()
        made = self._made / key
        if not made.exists():
            self._judge(made, {"newest": (jax, newest), "nightly": (BUILD, nightly_build)})
        verdict = self._folder / f"{self._n_nights}" / "verdict"
        shutil.copytree(made / "verdict", verdict)
        return verdict

    def _judge(self, folder: Path, lanes: dict[str, tuple[str, Shards]]) -> None:
        for lane, (jax, shards) in lanes.items():
            for number, cases in enumerate(shards, start=1):
                if cases is not None:
                    write_shard(folder / "night" / f"night-x86-{lane}-{number}", jax, cases)
        plan = nightly.plan(self._folder / "machines.toml", [])
        jobs = json.dumps([dataclasses.asdict(job) for job in plan])
        night, out = str(folder / "night"), str(folder / "verdict")
        main(["verdict", "--jobs", jobs, "--night", night, "--out", out])

    def told(self, verdict: Path, *lanes: str) -> None:
        """Search where the workflow would, or only in these lanes, and tell the issues."""
        if (verdict / "code").read_text() == "1\n":
            for lane in lanes or ("newest", "nightly"):
                out = verdict.parent / f"first-bad-{lane}"
                words = ["--lane", lane, "--verdict", str(verdict), "--out", str(out)]
                main(["first-bad", *words])
                (out / f"first-bad-{lane}.txt").rename(verdict / f"first-bad-{lane}.txt")
        date = f"2026-12-{self._n_nights:02}"
        run = f"https://ci.example/{self._n_nights}"
        track_issues.main(["nightly", str(verdict), "--run", run, "--date", date])

    @property
    def issues(self) -> list[dict[str, Any]]:
        """All issues, the oldest first."""
        path = self._folder / "github.json"
        found: list[dict[str, Any]] = json.loads(path.read_text())["issues"]
        return found


Shards = Sequence[dict[str, DriftClass] | None]
"""What the cases of each shard drifted by; None of a shard that left nothing."""

CLEAN: Shards = ({ONE: DriftClass.IDENTICAL}, {TWO: DriftClass.IDENTICAL})
STREAM: Shards = ({ONE: DriftClass.STREAM}, {TWO: DriftClass.IDENTICAL})
BOTH: Shards = ({ONE: DriftClass.STREAM}, {TWO: DriftClass.STREAM})
ABSENT: Shards = ({ONE: DriftClass.IDENTICAL}, None)
STREAM_AND_ABSENT: Shards = ({ONE: DriftClass.STREAM}, None)


def write_shard(folder: Path, jax: str, cases: dict[str, DriftClass]) -> None:
    """Write the outcome of one job."""
    recorder = RunRecorder(folder=folder, command="conformance run")
    environment = Environment(packages={"jax": jax}, config={}, host={}, devices={})
    for key, drift_class in cases.items():
        is_right = drift_class is DriftClass.IDENTICAL
        status = Status.PASSED if is_right else Status.FAILED
        result = CaseResult(
            observation=Observation(
                case=parse_case(key),
                outcome=AS_ALWAYS if is_right else NEW_STREAM,
                repeat_sha256=None,
                device="cpu",
                elapsed_s=0.0,
            ),
            status=status,
            checks=(CheckResult(check="values", status=status),),
            drift=Drift(drift_class=drift_class),
        )
        place = Place(environment=environment, backend=result.observation.case.backend)
        recorder.add(row(result, place, run_id=recorder.run_id, rerun=""))
    recorder.finish(expected=list(cases), environment=environment)
    code = int(any(each is not DriftClass.IDENTICAL for each in cases.values()))
    (folder / "code").write_text(f"{code}\n")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where nights are kept for all tests."""
    return tmp_path_factory.mktemp("made")


@pytest.fixture
def world(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world of two shards of one machine; the two cases are the whole tier."""
    monkeypatch.setattr("conformance.cli.merge._questions", lambda *_: [])
    monkeypatch.setattr(nightly, "MACHINES", tmp_path / "machines.toml")
    monkeypatch.setattr(machines, "MACHINES", tmp_path / "machines.toml")
    accepted = tmp_path / "accepted.txt"
    accepted.write_text(f"jax=={ACCEPTED}\njaxlib=={ACCEPTED}\n")
    monkeypatch.setattr(nightly, "ACCEPTED", accepted)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE_GH", str(tmp_path / "github.json"))
    monkeypatch.chdir(tmp_path)
    return World(tmp_path, made)


# --- Drift ---------------------------------------------------------------------------------------


def test_a_clean_night_opens_nothing(world: World) -> None:
    world.told(world.night(CLEAN, CLEAN))

    assert world.issues == []
    assert world.bisections == []


def test_drift_opens_one_issue_that_begins_with_it(world: World) -> None:
    world.offers([ACCEPTED, NEXT], [ACCEPTED, NEXT])

    world.told(world.night(BOTH, CLEAN, jax=NEXT))

    (issue,) = world.issues
    assert issue["title"] == "Nightly conformance: stream drift under jax 0.13.0"
    assert issue["body"].startswith(
        "**2 cases returned another stream under jax 0.13.0, at cpu**\n\n"
        "First bad version (newest):\n\n<pre>\njax 0.12.0.1 -&gt; 0.13.0: 1 stream\n</pre>"
    )
    assert "| normal | float32 at cpu |\n| uniform | float32 at cpu |" in issue["body"]
    assert f"`conformance run {ONE}`" in issue["body"]
    assert "missing" not in issue["body"]


def test_the_search_goes_from_the_accepted_to_the_newest_release_of_the_lane(world: World) -> None:
    world.offers([ACCEPTED, NEXT], [ACCEPTED, BUILD])

    world.told(world.night(STREAM, BOTH, jax=NEXT))

    release, build = world.bisections
    assert release == f"bisect --from {ACCEPTED} --to {NEXT} --class stream --case={ONE}"
    options = f"--pre --index {URL} --class stream"
    assert build == f"bisect --from {ACCEPTED} --to {BUILD} {options} --case={ONE} --case={TWO}"


def test_where_the_newest_release_is_the_accepted_one_nothing_is_bisected(world: World) -> None:
    world.told(world.night(STREAM, CLEAN))

    (issue,) = world.issues
    assert world.bisections == []
    assert (
        "<pre>\nNothing to search: jax 0.12.0.1 is accepted, and there is no later release; the "
        "cases drifted under jax 0.12.0.1.\nSo no release is the cause. Look at what else differs"
    ) in issue["body"]


def test_a_search_that_finds_no_change_says_that_no_release_is_the_cause(world: World) -> None:
    world.offers([ACCEPTED, NEXT], [ACCEPTED])
    world.bisects("no change of class stream or worse between jax 0.12.0.1 and 0.13.0", code=0)

    world.told(world.night(STREAM, CLEAN, jax=NEXT))

    assert (
        "and 0.13.0\nSo no release is the cause on the CPU of this search; the cases drifted at "
        "cpu 0.13.0. Look at what else differs"
    ) in world.issues[0]["body"]


def test_a_search_that_breaks_down_says_so_and_fails_its_job(world: World) -> None:
    world.offers([ACCEPTED, NEXT], [ACCEPTED])
    world.bisects("", code=3, error="conformance: jax 0.13.0 cannot be installed")
    verdict = world.night(STREAM, CLEAN, jax=NEXT)
    out = verdict.parent / "first-bad"

    code = main(["first-bad", "--lane", "newest", "--verdict", str(verdict), "--out", str(out)])

    assert code == 3
    assert (out / "first-bad-newest.txt").read_text() == (
        "The search broke down (exit code 3):\nconformance: jax 0.13.0 cannot be installed\n"
    )


def test_a_registry_that_does_not_answer_is_said(world: World, tmp_path: Path) -> None:
    stand_in(tmp_path / "bin" / "uv", "#!/bin/sh\necho no route to host >&2\nexit 2\n")
    verdict = world.night(STREAM, CLEAN, jax=NEXT)
    out = verdict.parent / "first-bad"

    code = main(["first-bad", "--lane", "newest", "--verdict", str(verdict), "--out", str(out)])

    assert code == 3
    said = (out / "first-bad-newest.txt").read_text()
    assert said.startswith("The search could not begin: the list of jax releases cannot be read")
    assert "no route to host" in said


def test_drift_under_both_jax_is_two_issues_each_with_its_own_search(world: World) -> None:
    world.offers([ACCEPTED], [ACCEPTED, BUILD])
    world.bisects(f"jax {ACCEPTED} -> {BUILD}: 1 stream", code=1)

    world.told(world.night(STREAM, STREAM))

    nightly_build, newest = sorted(world.issues, key=lambda issue: -len(issue["title"]))
    assert nightly_build["title"] == f"Nightly conformance: stream drift under jax {BUILD}"
    assert f"jax {ACCEPTED} -&gt; {BUILD}: 1 stream" in nightly_build["body"]
    assert "Nothing to search" in newest["body"]


# --- What is missing -----------------------------------------------------------------------------


def test_an_absent_job_is_an_issue_about_what_is_missing(world: World) -> None:
    world.told(world.night(ABSENT, CLEAN))

    (issue,) = world.issues
    assert issue["title"] == "Nightly conformance: not all was judged"
    assert issue["body"].startswith(
        "**Not all was judged.**\n\n- No verdict came from night-x86-newest-2: see its job."
    )


def test_drift_is_the_headline_of_a_night_with_an_absent_job_and_is_searched(world: World) -> None:
    world.offers([ACCEPTED, NEXT], [ACCEPTED])

    verdict = world.night(STREAM_AND_ABSENT, CLEAN, jax=NEXT)
    world.told(verdict)

    drift, missing = world.issues
    headline, second, first_bad = drift["body"].split("\n\n")[:3]
    assert (verdict / "code").read_text() == "1\n"
    assert headline == "**1 case returned another stream under jax 0.13.0, at cpu**"
    assert second == "Besides, not all was judged:"
    assert "No verdict came from night-x86-newest-2" in first_bad
    assert "First bad version (newest)" in drift["body"]
    assert missing["title"] == "Nightly conformance: not all was judged"
    table = (verdict / "table.md").read_text()
    assert table.startswith("# FAILED: 1 failed")
    assert table.index("# FAILED") < table.index("No verdict came from") < table.index("## failed")
    assert table.index("## failed") < table.index("## missing")


def test_a_night_that_is_incomplete_leaves_the_body_that_names_the_drift(world: World) -> None:
    world.told(world.night(STREAM, CLEAN))
    before = world.issues[0]["body"]

    verdict = world.night(ABSENT, CLEAN)
    world.told(verdict)

    drift, missing = world.issues
    assert (verdict / "code").read_text() == "3\n"
    assert drift["body"].partition("### Nights")[0] == before.partition("### Nights")[0]
    assert (
        "| 2026-12-02 | [not seen, but not all was judged](https://ci.example/2) |"
        in (drift["body"])
    )
    assert (drift["open"], drift["comments"]) == (True, [])
    assert missing["open"]


def test_a_whole_verdict_that_is_missing_closes_nothing(world: World, tmp_path: Path) -> None:
    world.told(world.night(STREAM, CLEAN))
    (tmp_path / "nothing").mkdir()

    words = ["nightly", str(tmp_path / "nothing"), "--run", "URL", "--date", "2026-12-02"]
    track_issues.main(words)

    drift, missing = world.issues
    assert drift["open"]
    assert "returned another stream" in drift["body"]
    assert "- The job that makes `nothing` came to no verdict: see the run." in missing["body"]


def test_a_job_that_is_absent_under_one_jax_does_not_hold_up_the_other(world: World) -> None:
    world.told(world.night(STREAM, CLEAN))

    world.told(world.night(CLEAN, ABSENT))

    drift, missing = world.issues
    assert not drift["open"]
    assert missing["open"]


# --- From night to night -------------------------------------------------------------------------


def test_the_same_drift_is_the_same_issue_with_a_line_a_night_and_no_comment(world: World) -> None:
    for _ in range(3):
        world.told(world.night(STREAM, CLEAN))

    (issue,) = world.issues
    nights = [line for line in issue["body"].splitlines() if line.startswith("| 2026-12-")]
    assert [line.split(" | ")[0] for line in nights] == [
        "| 2026-12-01",
        "| 2026-12-02",
        "| 2026-12-03",
    ]
    assert "Nothing to search: jax 0.12.0.1 is accepted" in nights[0]
    assert issue["comments"] == []


def test_drift_that_spreads_is_told_in_a_comment(world: World) -> None:
    world.told(world.night(STREAM, CLEAN))

    world.told(world.night(BOTH, CLEAN))

    (issue,) = world.issues
    assert issue["comments"] == [
        "Changed on 2026-12-02: 2 cases returned another stream under jax 0.12.0.1, at cpu "
        "(https://ci.example/2).\n\n- now also uniform: float32 at cpu"
    ]
    assert issue["body"].startswith("**2 cases")


def test_drift_that_shrinks_is_told_only_by_a_night_that_judged_all(world: World) -> None:
    world.told(world.night(BOTH, CLEAN))
    world.told(world.night(STREAM_AND_ABSENT, CLEAN))
    assert world.issues[0]["comments"] == []

    world.told(world.night(STREAM, CLEAN))

    (comment,) = world.issues[0]["comments"]
    assert comment.endswith("- no longer uniform: float32 at cpu")


def test_another_kind_of_drift_is_another_issue(world: World) -> None:
    world.told(world.night(STREAM, CLEAN))

    law: Shards = ({ONE: DriftClass.STREAM}, {TWO: DriftClass.LAW})
    world.told(world.night(law, CLEAN))

    first, second = world.issues
    assert first["comments"] == []
    assert second["title"] == "Nightly conformance: law drift under jax 0.12.0.1"


def test_recovery_closes_the_issues_with_a_comment_that_says_how_long_it_was(world: World) -> None:
    world.told(world.night(STREAM_AND_ABSENT, CLEAN))
    world.told(world.night(STREAM_AND_ABSENT, CLEAN))

    world.told(world.night(CLEAN, CLEAN))

    drift, missing = world.issues
    assert not drift["open"]
    assert not missing["open"]
    assert drift["comments"] == [
        "Gone: all was judged, and this was not seen again: https://ci.example/3. "
        "It was open since 2026-12-01, over 2 runs."
    ]
    assert drift["body"].startswith("**1 case returned another stream")
    assert "| 2026-12-03 | [gone](https://ci.example/3) |" in drift["body"]


def test_drift_that_comes_back_is_another_drift(world: World) -> None:
    for shards in (STREAM, CLEAN, STREAM):
        world.told(world.night(shards, CLEAN))

    old, new = world.issues
    assert (old["open"], new["open"]) == (False, True)
    assert old["title"] == new["title"]
