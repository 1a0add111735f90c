"""The table of CPU: who is counted, and for which test."""

from __future__ import annotations

import re
import resource
import types
from pathlib import Path
from typing import Any, cast

import pytest

from tests.cpu import Meter, used_s
from tests.warm.server import USED

pytest_plugins = ["pytester"]

WORKS = """
import time

def test_that_works():
    until = time.process_time() + 0.1
    while time.process_time() < until: pass
"""

LETS_WORK = """
import subprocess, sys

BURN = "import time\\nwhile time.process_time() < 0.3: pass"

def test_that_lets_work():
    subprocess.run([sys.executable, "-c", BURN], check=True)

def test_that_rests():
    time.sleep(0.5)
"""


@pytest.mark.usefixtures("cold_python")
def test_a_test_is_charged_for_itself_for_what_it_starts_and_for_what_is_forked_for_it(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    file = pytester.makepyfile(WORKS + LETS_WORK).name
    (tmp_path / f"a{USED}").write_text(f"3.0 \n7.0 {file}::test_that_rests\n0.5 \n")
    (tmp_path / f"b{USED}").write_text(f"0.25 {file}::test_that_rests\n")
    meter = Meter(tmp_path, is_controller=False)

    result = pytester.runpytest_inprocess("-p", "no:randomly", plugins=[meter])

    shown = re.findall(r"^ *(\S+) s \S+::(\w+)$", str(result.stdout), re.MULTILINE)
    assert [name for _, name in shown] == [
        "test_that_rests",
        "test_that_lets_work",
        "test_that_works",
    ]
    rests, lets_work, works = (float(cpu_s) for cpu_s, _ in shown)
    assert rests >= 7.25
    assert lets_work >= 0.3
    assert works >= 0.1
    result.stdout.fnmatch_lines(["* s in all, 10.8 of what was forked"])


def test_what_workers_used_is_added(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(WORKS)
    meter = Meter(None, is_controller=True)
    for node in ({"workeroutput": {"cpu_s": 1000.0}}, {"workeroutput": {"cpu_s": 70.0}}, {}):
        meter.pytest_testnodedown(types.SimpleNamespace(**node))  # the last is lost

    result = pytester.runpytest_inprocess("-p", "no:randomly", plugins=[meter])

    whole = re.search(r"^(\S+) s in all", str(result.stdout), re.MULTILINE)
    assert whole is not None
    own_s = resource.getrusage(resource.RUSAGE_SELF)
    assert 1070 < float(whole[1]) <= 1070.1 + own_s.ru_utime + own_s.ru_stime


def test_a_worker_tells_what_it_used_and_what_it_waited_for() -> None:
    output: dict[str, float] = {}
    config = types.SimpleNamespace(workeroutput=output)
    before_s = used_s()

    Meter(None, is_controller=False).pytest_sessionfinish(
        cast(Any, types.SimpleNamespace(config=config))
    )

    assert before_s <= output["cpu_s"] <= used_s()
