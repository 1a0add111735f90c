"""What records in the environment of a release survives what it records."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest

from conformance.core.named import function
from conformance.observe.child import __main__ as child
from conformance.observe.child import parameters
from conformance.observe.child.__main__ import GONE
from conformance.observe.worker import Voice
from conformance.upgrade.recordings import recorder
from tests import deadly

TARGETS = """
from tests.deadly import ENDINGS

for name, (end, _) in ENDINGS.items():
    globals()[name] = lambda end=end: end()

def healthy():
    yield "kernel", 1.0
    yield "bias", 0.0
"""

TIMEOUT_S = 3


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module of targets, and where to write what is asked for."""
    (tmp_path / "targets.py").write_text(TARGETS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # this process is pytest's
    yield tmp_path / "asked.json"
    sys.modules.pop("targets", None)


def record(asked: Path, name: str) -> int:
    request = {"target": f"targets:{name}", "timeout_s": TIMEOUT_S}
    asked.write_text(json.dumps({**request, "out": str(asked.parent / "out")}))
    return child.main(str(asked))


@pytest.mark.parametrize("name", sorted(deadly.ENDINGS))
def test_a_target_that_ends_its_process_is_told_and_leaves_nothing(
    name: str, asked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert record(asked, name) == GONE

    told = f"target 'targets:{name}': {deadly.told(TIMEOUT_S)[name]}"
    assert capsys.readouterr().err.splitlines()[-1] == told
    assert sorted(path.name for path in asked.parent.glob("out*")) == []


class Log:
    """Keeps what a task says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: self.said.append(name)


def test_the_deadline_of_a_target_is_that_of_each_parameter_of_each_call(asked: Path) -> None:
    voice = Log()

    parameters.record_apart(
        {"target": "targets:healthy", "out": str(asked.parent / "out")}, {}, cast(Voice, voice)
    )

    assert voice.said == ["begin", *["go_on"] * 4, "answer"]


@pytest.mark.parametrize("task", [child.CASES, child.TARGET])
def test_what_its_worker_runs_is_given_to_a_release(task: str) -> None:
    """No import says so: the process that starts a worker does without what that imports."""
    assert callable(function(task))
    assert task.partition(":")[0] in recorder()


@pytest.mark.usefixtures("cold_python")
def test_what_waits_for_a_worker_imports_no_arrays() -> None:
    program = f"import sys, {child.__name__}; print({{'jax', 'numpy'}} & sys.modules.keys())"

    done = subprocess.run(  # noqa: S603  # ours
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout == "set()\n"
