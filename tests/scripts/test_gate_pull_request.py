"""The gate for other repositories, on a small one that was made for this."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import comment_verdict
import gate_pull_request
import pytest
from gate_pull_request import main

from tests import ROOT, warm

ACTIONS = ROOT / ".github" / "actions"
PAGE = ROOT / "docs" / "gate-pull-requests.md"
CASES = "--initializer uniform,ones --dtype float32 --shape 64x32"
yaml: Any = importlib.import_module("yaml")  # it has no types


def stand_in(path: Path, body: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(body)
    path.chmod(0o755)


class Repository:
    """A repository, the programs beside it, and the issues and comments that GitHub would hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._programs = folder.parent / "bin"
        self.git("init", "--quiet", "--initial-branch", "main")
        gh = (ROOT / "tests" / "fake_gh.py").read_text().partition("\n")[2]
        stand_in(self._programs / "gh", f"#!{warm.COLD} -IS\n{gh}")

    def git(self, *words: str) -> None:
        """Run git as somebody."""
        who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        command = ["git", *who, *words]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)  # noqa: S603  # ours

    def commit(self, **files: str) -> None:
        """Commit files, `_` standing for the dot of a name."""
        for name, text in files.items():
            (self.folder / name.replace("_", ".")).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "change")

    def gates(self, *, code: int = 0, table: str = "## CLEAN\n", error: str = "") -> None:
        """Let `conformance gate` write this table and end so; no table where it is empty."""
        write = f'[ "$1" = --markdown ] && printf "%s" \'{table}\' > "$2"; ' if table else ""
        stand_in(
            self._programs / "conformance",
            f'#!/bin/sh\necho "$*" >> {self.folder.parent}/gates\n'
            f"echo '{error}' >&2\nwhile [ $# -gt 0 ]; do {write}shift; done\nexit {code}\n",
        )

    @property
    def calls(self) -> str:
        """The words that `conformance` was called with, but for what it writes."""
        path = self.folder.parent / "gates"
        return path.read_text().partition(" --json")[0] if path.exists() else ""

    @property
    def comments(self) -> list[str]:
        """The comments of the pull request."""
        path = self.folder.parent / "github.json"
        return [each["body"] for each in json.loads(path.read_text())["comments"]]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Return an empty repository, in which the test is."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{Path(warm.COLD).parent}:/usr/bin:/bin")
    monkeypatch.setenv("FAKE_GH", str(tmp_path / "github.json"))
    found = Repository(folder)
    found.gates()
    return found


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Return a folder that is not there yet."""
    return tmp_path / "verdict"


def told(out: Path) -> int:
    return comment_verdict.main([str(out), "--pull-request", "7", "--run", "https://ci.example/1"])


# --- What is raised ------------------------------------------------------------------------------


def test_a_raised_pin_is_gated_from_the_old_release_to_the_new(
    repository: Repository, out: Path
) -> None:
    repository.commit(requirements_txt="flax\njax==0.6.2\n", README_md="jax==9.9\n")
    repository.commit(requirements_txt="flax\njax==0.8.3\n")

    code = main(["--out", str(out)])

    assert code == 0
    assert repository.calls == "gate --from 0.6.2 --to 0.8.3"
    assert (out / "code").read_text() == "0\n"


LOCK = '[[package]]\nname = "jax"\nversion = "{}"\n[[package]]\nname = "jaxlib"\nversion = "{}"\n'


def test_several_files_that_agree_are_one_raise(repository: Repository, out: Path) -> None:
    repository.commit(requirements_txt="jax==0.6.2\n", uv_lock=LOCK.format("0.6.2", "0.6.2"))
    repository.commit(requirements_txt="jax==0.8.3\n", uv_lock=LOCK.format("0.8.3", "0.8.3"))
    main(["--out", str(out), "--files", "requirements.txt"])
    assert repository.calls == "gate --from 0.6.2 --to 0.8.3"


def test_another_jaxlib_is_gated_as_it_is_pinned(repository: Repository, out: Path) -> None:
    repository.commit(uv_lock=LOCK.format("0.6.2", "0.6.1"))
    repository.commit(uv_lock=LOCK.format("0.6.2", "0.6.2"))

    main(["--out", str(out)])

    assert repository.calls == f"gate --from {out}/before.txt --to 0.6.2"
    assert (out / "before.txt").read_text() == "jax==0.6.2\njaxlib==0.6.1\n"


def test_of_a_lock_with_forks_the_one_that_moved_is_gated(
    repository: Repository, out: Path
) -> None:
    old = '[[package]]\nname = "jax"\nversion = "0.4.38"\n'
    repository.commit(uv_lock=old + old.replace("0.4.38", "0.6.2"))
    repository.commit(uv_lock=old + old.replace("0.4.38", "0.8.3"))

    main(["--out", str(out)])

    assert repository.calls == "gate --from 0.6.2 --to 0.8.3"


def test_what_is_asked_is_handed_on(repository: Repository, out: Path) -> None:
    words = ["--from", "0.6.2", "--to", "latest", "--target", "mine.model:init"]
    words += ["--with", ".\n optax==0.2 \n", "--options", "--tier standard --max-drift identical"]

    main(["--out", str(out), *words])

    assert repository.calls == (
        "gate --from 0.6.2 --to latest --target mine.model:init --with . --with optax==0.2 "
        "--tier standard --max-drift identical"
    )


def test_a_pull_request_that_raises_no_jax_is_not_gated(repository: Repository, out: Path) -> None:
    repository.commit(requirements_txt="jax==0.6.2\nflax==0.10\n")
    repository.commit(requirements_txt="jax==0.6.2\nflax==0.11\n")

    code = main(["--out", str(out)])
    told(out)

    assert (code, repository.calls) == (0, "")
    assert repository.comments == []


@pytest.mark.parametrize(
    ("before", "after", "words", "message"),
    [
        ({"requirements_txt": "jax\n"}, {}, [], "no file pins jax (looked at: requirements.txt)"),
        ({}, {}, ["--files", "gone.txt"], "`files` names gone.txt, which is no file of this"),
        ({}, {}, ["--to", "0.8.3"], "`from` is '' and `to` is '0.8.3': give both, or none"),
        ({}, {}, ["--base", "v9"], "v9: the checkout does not hold it. Give actions/checkout"),
        (
            {"uv_lock": "[[package"},
            {},
            [],
            "uv.lock cannot be read as what its name says (TOMLDecodeError",
        ),
        (
            {"requirements_txt": "jax==0.6.2\n", "constraints_txt": "jax==0.6.2\n"},
            {"requirements_txt": "jax==0.8.3\n", "constraints_txt": "jax==0.8.2\n"},
            [],
            "files disagree: jax 0.6.2 -> jax 0.8.2 in constraints.txt; jax 0.6.2 -> jax 0.8.3 in "
            "requirements.txt. Give `from` and `to`, or fewer `files`",
        ),
        (
            {"requirements_txt": "jax==0.6.2\n"},
            {"requirements_txt": "jax==0.7.0 ; python_version<'3.11'\njax==0.8.3\n"},
            [],
            "requirements.txt pinned jax 0.6.2 and now 0.7.0, 0.8.3: give `from` and `to`",
        ),
    ],
    ids=["no-pin", "no-file", "one-side", "no-base", "broken", "disagree", "fork"],
)
def test_what_cannot_be_gated_is_a_wrong_call_that_names_the_way_out(
    before: dict[str, str],
    after: dict[str, str],
    words: list[str],
    message: str,
    repository: Repository,
    out: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    repository.commit(**before)
    repository.commit(**after)

    code = main(["--out", str(out), *words])
    told(out)

    assert (code, repository.calls) == (4, "")
    assert message in capsys.readouterr().err
    assert "**Not gated.**" in repository.comments[0]


# --- What is said --------------------------------------------------------------------------------


def test_the_verdict_is_one_comment_however_often_the_gate_runs(
    repository: Repository, tmp_path: Path
) -> None:
    sides = ["--from", "1", "--to", "2"]
    for number, (code, table) in enumerate([(1, "## DRIFT: 3 of 4\n"), (0, "## CLEAN: 4\n")]):
        repository.gates(code=code, table=table)
        assert main(["--out", str(tmp_path / f"{number}"), *sides]) == code
        told(tmp_path / f"{number}")

    (comment,) = repository.comments
    assert comment == (
        f"{comment_verdict.MARK}\n## CLEAN: 4\n\n"
        "[This run](https://ci.example/1) has the page and all files.\n"
    )


def test_somebody_elses_comment_with_our_mark_is_left_alone(
    repository: Repository, out: Path, tmp_path: Path
) -> None:
    theirs = {"id": 1, "user": {"type": "User"}, "body": f"{comment_verdict.MARK}\nhello"}
    state = {"calls": [], "issues": [], "labels": [], "comments": [theirs]}
    (tmp_path / "github.json").write_text(json.dumps(state))
    main(["--out", str(out), "--from", "1", "--to", "2"])

    told(out)

    first, second = repository.comments
    assert first.endswith("hello")
    assert "## CLEAN" in second


def test_a_side_that_cannot_be_had_is_no_verdict_with_its_reason(
    repository: Repository, out: Path
) -> None:
    repository.gates(code=3, table="", error="conformance: jax 2 cannot be installed")

    code = main(["--out", str(out), "--from", "1", "--to", "2"])
    told(out)

    assert code == 3
    assert "## NO VERDICT: exit code 3\n\nconformance: jax 2 cannot" in repository.comments[0]


def test_a_gate_that_left_nothing_is_said(repository: Repository, out: Path) -> None:
    out.mkdir()

    told(out)

    assert "**No verdict.** The job that gates" in repository.comments[0]


def test_a_long_table_is_cut_to_what_a_comment_holds(
    repository: Repository, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_pull_request, "MAX_CHARACTERS", 100)
    repository.gates(table="a line of it\n" * 20)

    main(["--out", str(out), "--from", "1", "--to", "2"])

    text = (out / "comment.md").read_text()
    assert text == "a line of it\n" * 5 + "\nThe artifact holds the rest.\n"


@pytest.mark.usefixtures("repository")
def test_a_token_that_may_not_write_is_a_warning_and_no_failure(
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FAKE_GH_READ_ONLY", "1")
    main(["--out", str(out), "--from", "1", "--to", "2"])

    assert told(out) == 0
    assert "::warning::The verdict is not a comment" in capsys.readouterr().out


def test_another_failure_of_github_is_a_failure(
    repository: Repository, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert repository.folder.exists()
    stand_in(tmp_path / "bin" / "gh", "#!/bin/sh\necho 'HTTP 502: Server Error' >&2\nexit 1\n")
    monkeypatch.setenv("GH_TOKEN", "none")

    with pytest.raises(subprocess.CalledProcessError):
        told(out)


# --- The whole way -------------------------------------------------------------------------------


@pytest.fixture
def releases(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offer the made-up releases of fake_uv.py, of which 1.0 and 2.0 draw other streams."""
    assert repository.folder.exists()
    program = f'#!/bin/sh\nexec {sys.executable} -m conformance "$@"\n'
    stand_in(tmp_path / "bin" / "conformance", program)
    uv = ROOT / "tests" / "fake_uv.py"
    stand_in(tmp_path / "bin" / "uv", f'#!/bin/sh\nexec {sys.executable} {uv} "$@"\n')
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # it may not be installed
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FAKE_UV_LOG", str(tmp_path / "calls.log"))
    monkeypatch.setenv("FAKE_UV_PYTHON", sys.executable)


@pytest.mark.usefixtures("releases")
def test_the_whole_way_from_a_raised_pin_to_a_comment_and_a_page(
    repository: Repository, out: Path
) -> None:
    repository.commit(requirements_txt="jax==1.0\n")
    repository.commit(requirements_txt="jax==2.0\n")

    code = main(["--out", str(out), "--options", CASES])
    told(out)

    (comment,) = repository.comments
    (page,) = out.glob("*/index.html")
    assert code == 1
    headline = "# DRIFT: jax 1.0 -&gt; jax 2.0: 1 of 2 cases beyond rounding: 1 identical, 1 stream"
    assert comment.splitlines()[1] == headline
    assert "since which release: conformance bisect --from 1.0 --to 2.0" in comment
    assert "jax 1.0" in page.read_text()
    assert json.loads((out / "verdict.json").read_text())["after"] == "jax 2.0"
    assert (out / "cases.csv").exists()


# --- The actions ---------------------------------------------------------------------------------


def action(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ACTIONS / name / "action.yml").read_text())
    return document


def test_the_documented_workflow_uses_the_actions_as_they_are() -> None:
    """Its inputs exist, each job has the rights that it needs, and it is pinned as ours are."""
    text = PAGE.read_text().partition("```yaml\n")[2].partition("```")[0]
    jobs = yaml.safe_load(text)["jobs"]
    table = PAGE.read_text().partition("| input of `gate` |")[2]

    used = {each["uses"]: each.get("with", {}) for job in jobs.values() for each in job["steps"]}

    place = "OWNER/initializer-conformance/.github/actions"
    assert used[f"{place}/gate@COMMIT"].keys() <= action("gate")["inputs"].keys()
    assert used[f"{place}/comment@COMMIT"] == {}
    assert all(f"`{name}`" in table for name in action("gate")["inputs"])
    assert jobs["gate"]["permissions"] == {"contents": "read"}
    assert jobs["comment"]["permissions"] == {"pull-requests": "write"}
    (checkout,) = (uses for uses in used if uses.startswith("actions/checkout@"))
    assert used[checkout] == {"fetch-depth": 2, "persist-credentials": False}
    assert checkout in (ROOT / ".github" / "workflows" / "ci.yml").read_text()


def test_both_actions_speak_of_one_artifact() -> None:
    names = {action(name)["inputs"]["artifact"]["default"] for name in ("gate", "comment")}

    assert len(names) == 1


def steps_of(name: str) -> dict[str, str]:
    """Return the shell of each named step of an action."""
    steps = action(name)["runs"]["steps"]
    return {step["name"]: step["run"] for step in steps if "run" in step}


@pytest.mark.parametrize("name", ["gate", "comment"])
def test_no_input_is_pasted_into_a_shell(name: str) -> None:
    assert not any("${{" in script for script in steps_of(name).values())


def run_step(script: str, **variables: str) -> int:
    """Run a step as GitHub does: https://docs.github.com, "Workflow syntax", shell."""
    command = ["/bin/bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    environment = {**os.environ, "HERE": str(ROOT), **variables}
    done = subprocess.run(command, env=environment, check=False, capture_output=True)  # noqa: S603  # ours
    return done.returncode


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_steps_of_the_actions_gate_and_comment(
    code: int, repository: Repository, tmp_path: Path
) -> None:
    """The shell of both actions, in a repository that raises JAX, with inputs left empty or odd."""
    repository.commit(requirements_txt="jax==0.6.2\n")
    repository.commit(requirements_txt="jax==0.8.3\n")
    repository.gates(code=code, table="## A VERDICT\n")
    (tmp_path / "conformance").mkdir()
    python = tmp_path / "conformance" / "bin" / "python"
    stand_in(python, f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    files = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    names = ("FROM", "TO", "FILES", "TARGET", "WITH", "OPTIONS")
    inputs = {**dict.fromkeys(names, ""), "TARGET": "mine:init $(exit 9) 'x"}

    status = run_step(steps_of("gate")["Gate"], RUNNER_TEMP=str(tmp_path), **files, **inputs)
    said = run_step(steps_of("comment")["Comment"], RUNNER_TEMP=str(tmp_path), NUMBER="7", RUN="R")

    assert (status, said) == (code, 0)
    assert repository.calls == "gate --from 0.6.2 --to 0.8.3 --target mine:init $(exit 9) 'x"
    assert (tmp_path / "GITHUB_OUTPUT").read_text() == f"code={code}\n"
    assert (tmp_path / "GITHUB_STEP_SUMMARY").read_text() == "## A VERDICT\n"
    assert "## A VERDICT" in repository.comments[0]
