"""The mutation run: what it changes, who judges, and what it says of survivors."""

from __future__ import annotations

import ast
import dataclasses
import datetime
import functools
import importlib.util
import math
import os
import re
import resource
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import mutants
import pytest
from mutants import (
    Judges,
    Mutant,
    Task,
    by_lot,
    change_in_place,
    find_judges,
    finished,
    fork,
    functions_by_path,
    is_sane,
    judged,
    judged_in_place,
    keep_results,
    kept_results,
    listed,
    mutants_of,
    report,
    run_all,
    run_items,
    tell,
    with_collected,
)

from tests import ROOT

PATH = "pkg/module.py"
Changes = Callable[[str], set[tuple[str, str]]]


@pytest.fixture
def changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Changes]:
    """Return a function from a module's text to (before, after) of each of its mutants."""
    monkeypatch.setattr(mutants, "ROOT", tmp_path)

    def forget() -> None:
        for kept in (mutants._read, mutants._nodes, mutants._tree, mutants._compared):
            kept.cache_clear()

    def of(text: str) -> set[tuple[str, str]]:
        (tmp_path / "pkg").mkdir(exist_ok=True)
        (tmp_path / PATH).write_text(text, encoding="utf-8")
        forget()
        return {mutant.change() for mutant in mutants_of(PATH)}

    forget()
    yield of
    forget()


def test_a_comparison_gets_its_neighbours_and_its_negation(changes: Changes) -> None:
    found = changes("if a < b:\n    pass\n")

    assert found == {
        ("if a < b:", "if a <= b:"),
        ("if a < b:", "if a != b:"),
        ("if a < b:", "if a >= b:"),
        ("if a < b:", "if not a < b:"),
    }


def test_a_number_moves_to_both_sides(changes: Changes) -> None:
    assert changes("BOUND = 6\n") == {("BOUND = 6", "BOUND = 7"), ("BOUND = 6", "BOUND = 5")}


@pytest.mark.parametrize(
    "text",
    [
        "x: int | None\n",
        "def f(x: int | None) -> int | None: ...\n",
        "@dataclasses.dataclass(frozen=True)\nclass A: ...\n",
        "@functools.lru_cache(maxsize=4)\ndef f(): ...\n",
        "assert a < 3\n",
        "zip(a, b, strict=True)\n",
        "def f(a, *, b): ...\n",
        "if TYPE_CHECKING:\n    import numpy as np\n",
        "if typing.TYPE_CHECKING:\n    import numpy as np\n",
    ],
)
def test_what_no_test_is_meant_to_see_is_left_alone(changes: Changes, text: str) -> None:
    assert changes(text) == set()


@pytest.mark.parametrize("shape", ["-1", "-1, 3", "3, -1", "*s, -1"])
def test_the_size_that_is_left_is_no_other_negative_one(changes: Changes, shape: str) -> None:
    """NumPy takes -2 for -1; 0 and 1 are other sizes."""
    text = f"a.reshape({shape})"

    found = {after for _, after in changes(f"{text}\n")}

    assert text.replace("-1", "- 2") not in found
    assert {text.replace("-1", changed) for changed in ("- 0", "1")} <= found


@pytest.mark.parametrize("text", ["a[-1]", "f(-1)", "a.reshape(b[-1])", "a.reshape(n - 1)"])
def test_another_negative_number_is_changed(changes: Changes, text: str) -> None:
    found = {after.replace(" ", "") for _, after in changes(f"{text}\n")}

    assert text.replace("1", "2").replace(" ", "") in found


@pytest.mark.parametrize(
    ("text", "n_compared", "n_others"),
    [
        ("if a < b: pass", 4, 0),  # two neighbours, two negations
        ("if f(a, 2): pass", 0, 3),
        ("x = 3 if a[1] in b else 5", 3, 4),
        ("while a or b < 7: pass", 6, 1),
        ("return max(a, 7)", 0, 2),
        ("NAMED = 1 << 21\n_ = a < NAMED", 8, 0),
        ("IMPORTED = 1 << 21", 5, 0),
        ("NAMED_OTHERWISE = 1 << 21", 5, 0),
        ("OF_A_MODULE = 1 << 21", 5, 0),
        ("ANNOTATED: int = 1 << 21\n_ = a < ANNOTATED", 8, 0),
        ("ONE, TWO = 1, 21\n_ = a < TWO", 7, 0),
        ("if not a < b: pass", 5, 0),
        ("if not f(a): pass", 0, 2),
        ("OF_ANOTHER = 1 << 21", 0, 5),
        ("def f(a=1):\n    NAMED = 1", 0, 4),
    ],
)
def test_what_changes_a_comparison_is_told_from_what_does_not(
    changes: Changes, tmp_path: Path, text: str, n_compared: int, n_others: int
) -> None:
    """So is a constant that a comparison names, where it is or where it is imported."""
    (tmp_path / "conformance").mkdir()
    others = {
        "one": "from m import IMPORTED\n0 < IMPORTED",
        "two": "0 < OF_ANOTHER",
        "three": "from m import NAMED_OTHERWISE as N\n0 < N",
        "four": "import m\n0 < m.OF_A_MODULE",
    }
    for name, content in others.items():
        (tmp_path / "conformance" / f"{name}.py").write_text(content, encoding="utf-8")
    changes(text)

    found = [mutants.is_of_comparison(mutant) for mutant in mutants_of(PATH)]

    assert (found.count(True), found.count(False)) == (n_compared, n_others)


def test_what_follows_an_import_for_annotations_is_changed(changes: Changes) -> None:
    found = changes("if TYPE_CHECKING:\n    import numpy\nif a:\n    pass\n")

    assert found == {("if a:", "if not a:")}


def test_a_default_behind_an_annotation_is_changed(changes: Changes) -> None:
    found = changes("def f(x: int = 1): ...\n")

    assert ("def f(x: int = 1): ...", "def f(x: int = 2): ...") in found


def test_a_run_that_ends_early_judges_others_than_that_of_the_day_before() -> None:
    every = [a_mutant(line) for line in range(100)]
    days = [datetime.date(2026, 11, day) for day in (29, 30)]

    before, today = (by_lot(every, day) for day in days)

    assert by_lot(every, days[1]) == today
    assert set(before) == set(today) == set(every)
    assert set(before[:50]) != set(today[:50])


def a_mutant(line: int = 4, path: str = PATH) -> Mutant:
    return Mutant(path=path, operator="AddNot", occurrence=0, lines=(line, line), function="f")


def test_the_tests_that_execute_a_line_judge_it_its_own_file_and_the_quickest_first() -> None:
    tests = {"t/test_a.py::slow": 1.0, "t/test_a.py::quick": 0.1, "t/test_module.py::own": 2.0}
    judges = Judges(took=tests, lines={PATH: {4: frozenset(tests)}})

    order = ["t/test_module.py::own", "t/test_a.py::quick", "t/test_a.py::slow"]
    assert judges.of(a_mutant()) == order


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("conformance/judge/law/checks.py", "test_law_check.py"),
        ("conformance/judge/checks/oracle.py", "test_check_oracle.py"),
        ("conformance/oracle/keys.py", "test_oracle_keys.py"),
        ("conformance/judge/drift/geometry.py", "test_geometry.py"),
    ],
)
def test_a_file_named_after_a_module_judges_all_of_it_and_no_other(path: str, own: str) -> None:
    """The folder has no say: tests/oracle/ holds no test of judge/checks/oracle.py."""
    files = [own, "test_law_accuracy.py", "test_oracle_rounding.py", "test_moments.py"]
    judges = Judges(took={f"tests/oracle/{file}::test": 1.0 for file in files}, lines={})

    assert judges.of(a_mutant(path=path)) == [f"tests/oracle/{own}::test"]


def test_what_is_executed_at_import_is_judged_by_all_that_touch_the_module() -> None:
    judges = Judges(
        took={"tests/test_a.py::one": 1.0, "tests/test_b.py::two": 2.0},
        lines={PATH: {1: frozenset({""}), 4: frozenset({"tests/test_a.py::one"})}},
    )

    assert judges.of(a_mutant(1)) == ["tests/test_a.py::one"]


def test_a_test_that_the_mutant_renames_judges_it_too() -> None:
    """`test_law[Uniform(lower=0)]` is `test_law[Uniform(lower=1)]` where the default is changed."""
    names = ["t.py::a", "t.py::b[0]", "t.py::b[1]", "t.py::c[1]", "t.py::d", "t.py::e[0]"]
    items = [types.SimpleNamespace(nodeid=name) for name in names]

    mutants._Chosen(
        ["t.py::d", "t.py::a", "t.py::b[2]", "t.py::e[0]"]
    ).pytest_collection_modifyitems(items)

    chosen = ["t.py::d", "t.py::a", "t.py::e[0]", "t.py::b[0]", "t.py::b[1]"]
    assert [item.nodeid for item in items] == chosen


@pytest.mark.parametrize("name", ["conformance.made", "tests.made", "other"])
def test_what_functions_of_the_package_and_of_its_tests_keep_is_forgotten(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    made: list[int] = []
    module.kept = functools.cache(lambda: made.append(1))

    module.kept()
    mutants.forget()
    module.kept()

    assert len(made) == (1 if name == "other" else 2)


def test_each_test_is_watched_while_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the lines that make a value would be executed by the first test that asks for it."""
    seen: list[str] = []
    watched = mutants._Watched([])
    monkeypatch.setattr(watched, "coverage", types.SimpleNamespace(switch_context=seen.append))
    monkeypatch.setattr(mutants, "forget", lambda: seen.append("forgotten"))

    for test in ("a", "b"):
        watched.pytest_runtest_logstart(test)

    assert seen == ["forgotten", "a", "forgotten", "b"]


def test_what_was_kept_while_tests_were_collected_does_not_hide_a_mutant(
    changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes(FUNCTIONS)
    seen: list[str] = []
    monkeypatch.setattr(mutants, "change_in_place", lambda *_: 1)
    monkeypatch.setattr(mutants, "forget", lambda: seen.append("forgotten"))
    monkeypatch.setattr(mutants, "run_items", seen.extend)

    mutants.judge_in_place(a_mutant(), [], ["run"])

    assert seen == ["forgotten", "run"]


def test_what_a_shared_fixture_executes_is_judged_by_its_whole_file() -> None:
    judges = Judges(
        took={"tests/test_a.py::one": 1.0, "tests/test_b.py::two": 2.0},
        lines={PATH: {4: frozenset({"tests/test_a.py::"})}},
    )

    assert judges.of(a_mutant()) == ["tests/test_a.py::one"]


def ended(work: Callable[[], int], limit_s: float = 60.0) -> str:
    pid = fork(work, limit_s)
    while (end := finished(pid)) is None:
        time.sleep(0.005)
    return end


def _for_ever() -> int:
    while True:
        pass


def _ask_for_too_much() -> int:
    return len(bytearray(mutants.MOST_BYTES))


@pytest.mark.parametrize("status", [0, 1])
def test_a_fork_ends_with_the_status_of_its_work(status: int) -> None:
    assert ended(lambda: status) == str(status)


def test_a_fork_that_never_ends_is_ended() -> None:
    assert ended(_for_ever, limit_s=1.0) == "timeout"


def test_a_fork_that_asks_for_memory_without_end_fails(capfd: pytest.CaptureFixture[str]) -> None:
    assert ended(_ask_for_too_much) == "70"
    assert "MemoryError" in capfd.readouterr().err


def test_what_runs_when_time_is_over_is_killed_and_has_no_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tasks = [("quick", lambda: 0, 60.0), ("endless", _for_ever, 60.0), ("late", lambda: 0, 60.0)]
    now = 0.0
    clock = types.SimpleNamespace(monotonic=lambda: now, sleep=time.sleep)
    monkeypatch.setattr(mutants, "time", clock)
    running = run_all(tasks, 2, 1.0)

    assert [next(running), next(running)] == [("quick", "0"), ("late", "0")]
    now = 2.0
    assert list(running) == []
    assert list(run_all(tasks, 2, 1.0)) == []
    with pytest.raises(ChildProcessError):
        os.wait()


def test_judges_that_were_not_found_in_time_are_named_and_nothing_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mutants, "KEPT", tmp_path)
    monkeypatch.setattr(mutants, "_watch", lambda *_: _for_ever())

    found = find_judges([], ["arrays", "ulp"], 1, time.monotonic() + 0.2)

    assert found is None
    assert capsys.readouterr().out == (
        "finding judges: file 1 of 2, test_arrays.py\n"
        "time is over before 2 of 2 files were watched, so nothing can be said: test_arrays.py, "
        "test_ulp.py. Run it again, it goes on from here\n"
    )


def test_a_file_that_cannot_be_watched_judges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mutants, "KEPT", tmp_path)
    monkeypatch.setattr(mutants, "_watch", lambda *_: 9)

    found = find_judges([], ["ulp"], 1, math.inf)

    assert found is not None
    assert (found.took, found.lines) == ({}, {})
    assert "test_ulp.py judges nothing: 9" in capsys.readouterr().out


QUIETLY = (
    "-q",
    *("-p", "no:cacheprovider", "-p", "no:randomly"),
    *("-p", "no:unraisableexception"),  # it looks for garbage five times, in all that tests hold
)
"""Options of pytest where a test's own process is forked."""


@pytest.fixture
def collected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of a test that passes, one that fails, and one that never ends."""
    monkeypatch.setattr(mutants, "PYTEST", QUIETLY)
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    monkeypatch.setattr(mutants, "KEPT", tmp_path)
    monkeypatch.setattr(mutants, "_package", lambda: "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test_a.py").write_text(
        "def test_right(): pass\ndef test_wrong(): assert False\n", encoding="utf-8"
    )
    (tmp_path / "test_b.py").write_text(
        "from pathlib import Path\n\n"
        "def test_endless():\n    Path('begun').touch()\n    while True: pass\n",
        encoding="utf-8",
    )
    return ["test_a.py::test_right", "test_a.py::test_wrong", "test_b.py::test_endless"]


def test_tasks_run_side_by_side_where_all_tests_are_collected_once(collected: list[str]) -> None:
    """Each within a limit of its own: see test_a_fork_that_never_ends_is_ended."""
    right, wrong, endless = collected

    def tasks(items: Mapping[str, Any]) -> Iterator[Task]:
        for name in (right, wrong):
            yield name, functools.partial(run_items, [items[name]]), 60.0
        yield endless, lambda: resource.getrlimit(resource.RLIMIT_CPU)[0], 7.0

    ended = dict(with_collected(collected, tasks, 2, math.inf))

    assert ended == {right: "0", wrong: "1", endless: "7"}


@pytest.mark.parametrize("hook", ["pytest_collection_finish", "pytest_runtest_setup"])
def test_functions_are_found_whether_or_not_what_was_collected_is_frozen(
    hook: str, changes: Changes, collected: list[str], tmp_path: Path
) -> None:
    """The conftest of tests/ freezes all, and no garbage collector lists what is frozen."""
    changes("def f(a):\n    return a + 1\n")
    (tmp_path / "conftest.py").write_text(
        f"import gc\n\ndef {hook}():\n    gc.freeze()\n", encoding="utf-8"
    )
    (tmp_path / "test_a.py").write_text(
        "from pkg.module import f\n\ndef test_right():\n    assert f(1) == 2\n", encoding="utf-8"
    )
    (mutant,) = (m for m in mutants_of(PATH) if m.operator == "ReplaceBinaryOperator_Add_Sub")
    judges = Judges(took={collected[0]: 1.0}, lines={PATH: {2: frozenset(collected[:1])}})

    assert dict(judged_in_place([mutant], judges, 1, math.inf)) == {mutant: "1"}


def test_no_test_is_collected_for_nothing() -> None:
    assert list(with_collected([], lambda _: pytest.fail("asked"), 1, math.inf)) == []


def judges_of(tests: Iterable[str]) -> Judges:
    return Judges(took=dict.fromkeys(tests, 1.0), lines={PATH: {}})


def test_judges_that_pass_are_run_once(
    collected: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = collected[:1]

    first = is_sane(right, judges_of(collected), 1, math.inf)
    monkeypatch.setattr(mutants, "with_collected", lambda tests, *_: dict.fromkeys(tests, "1"))
    again = is_sane(right, judges_of(collected), 1, math.inf)

    assert first
    assert again
    assert capsys.readouterr().out == (
        "running judges without a mutant, of files: 1\n"
        "running judges without a mutant, of files: 0\n"
    )


def test_a_judge_that_fails_or_does_not_end_in_time_says_nothing(
    collected: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Time is over once the endless one has begun, which is after the others have ended."""
    clock = types.SimpleNamespace(monotonic=lambda: float(Path("begun").exists()), sleep=time.sleep)
    monkeypatch.setattr(mutants, "time", clock)

    sane = is_sane(collected, judges_of(collected), 1, 0.5)
    again = is_sane(collected[1:2], judges_of(collected), 1, math.inf)

    assert not sane
    assert not again
    assert capsys.readouterr().out == (
        "running judges without a mutant, of files: 2\n"
        "without a mutant test_a.py ends with 1, so nothing can be said: pytest test_a.py\n"
        "without a mutant test_b.py ends with timeout, so nothing can be said: pytest test_b.py\n"
        "running judges without a mutant, of files: 1\n"
        "without a mutant test_a.py ends with 1, so nothing can be said: pytest test_a.py\n"
    )


def test_a_mutant_whose_judges_do_not_end_in_time_is_not_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mutants, "judge", lambda *_: _for_ever())
    test = "tests/judge/test_a.py::one"
    judges = Judges(took={test: 1.0}, lines={PATH: {4: frozenset({"", test})}})

    assert list(judged([a_mutant()], judges, 1, time.monotonic() + 0.2)) == []


def test_what_cannot_be_changed_in_place_is_imported_with_the_mutant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So is what is executed at import: it is not tried in place."""
    test = "tests/judge/test_a.py::one"
    lines = {4: frozenset({test}), 5: frozenset({"", test}), 6: frozenset({test}), 7: frozenset()}
    judges = Judges(took={test: 1.0}, lines={PATH: lines})
    tried = []

    def in_place(found: Iterable[Mutant], *_: Any) -> Iterator[tuple[Mutant, str]]:
        for mutant in found:
            tried.append(mutant)
            yield mutant, "72" if mutant == a_mutant(6) else "0"

    monkeypatch.setattr(mutants, "judged_in_place", in_place)
    monkeypatch.setattr(mutants, "judge", lambda *_: 1)
    ended = dict(judged([a_mutant(n) for n in (4, 5, 6, 7)], judges, 1, math.inf))

    assert tried == [a_mutant(4), a_mutant(6)]
    ends = {4: "survived", 5: "killed", 6: "killed", 7: "no test"}
    assert ended == {a_mutant(n): end for n, end in ends.items()}


FUNCTIONS = """
import functools

LIMIT = 3

def outer(a):
    def inner(b):
        return a + b

    return inner

made = outer(10)

@functools.cache
def kept(a):
    return a * 2

class Of:
    @property
    def three(self):
        return [n + 1 for n in range(LIMIT)]

    pair = staticmethod(lambda a: a - 1)
"""


@pytest.mark.parametrize(
    ("before", "after", "value"),
    [
        ("return a + b", "return a - b", (9, 4, [1, 2, 3], 1)),
        ("return a * 2", "return a / 2", (11, 1, [1, 2, 3], 1)),
        ("return a * 2", "return a * 3", (11, 6, [1, 2, 3], 1)),
        ("return [n + 1 for n in range(LIMIT)]", "return [n - 1 for n in range(LIMIT)]", None),
        ("pair = staticmethod(lambda a: a - 1)", "pair = staticmethod(lambda a: a + 1)", None),
        ("LIMIT = 3", "LIMIT = 4", (11, 4, [1, 2, 3], 1)),
    ],
)
def test_functions_are_changed_where_they_are(
    changes: Changes, tmp_path: Path, before: str, after: str, value: Any
) -> None:
    """Also where they were wrapped, or made by another; what a module holds besides is not."""
    changes(FUNCTIONS)
    spec = importlib.util.spec_from_file_location("module", tmp_path / PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (mutant,) = (m for m in mutants_of(PATH) if m.change() == (before, after))

    n_changed = change_in_place(mutant, functions_by_path([PATH])[PATH])

    of = module.Of()
    now = (module.made(1), module.kept(2), of.three, of.pair(2))
    expected = value or (11, 4, *(([-1, 0, 1], 1) if "for n" in before else ([1, 2, 3], 3)))
    assert now == expected
    assert (n_changed > 0) == (before != "LIMIT = 3")


def test_how_mutants_ended_is_kept_for_as_long_as_their_module_is_the_same(
    a_real_mutant: Mutant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutants, "RESULTS", tmp_path / "results")
    other = dataclasses.replace(a_real_mutant, occurrence=7)

    keep_results({a_real_mutant: "survived", other: "killed"}, is_by_all=False)
    keep_results({a_real_mutant: "killed", other: "survived"}, is_by_all=False)

    assert kept_results([PATH]) == {a_real_mutant: "killed", other: "killed"}
    keep_results({other: "survived"}, is_by_all=True)
    assert kept_results([PATH]) == {a_real_mutant: "killed", other: "survived"}
    (tmp_path / PATH).write_text("if b:\n    pass\n", encoding="utf-8")
    assert kept_results([PATH]) == {}


def test_a_run_that_is_killed_while_it_keeps_results_leaves_those_before(
    a_real_mutant: Mutant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutants, "RESULTS", tmp_path / "results")
    keep_results({a_real_mutant: "killed"}, is_by_all=True)
    write_text = Path.write_text

    def killed(path: Path, text: str, encoding: str) -> None:
        write_text(path, text[: len(text) // 2], encoding)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        keep_results({a_real_mutant: "survived"}, is_by_all=True)

    assert kept_results([PATH]) == {a_real_mutant: "killed"}


@pytest.mark.usefixtures("listing")
def test_what_was_not_judged_is_counted_as_such_and_nothing_judged_is_no_success(
    a_real_mutant: Mutant, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report({a_real_mutant: "killed"}, {PATH: 7}) == 0
    assert "1 of 7 mutants judged, 6 not for want of time: 1 killed" in capsys.readouterr().out
    assert report({}, {PATH: 7}) == 3


A_PAGE = """# Mutants

| a | table |
| --- | --- |

<!-- mutants -->

| module | mutants | judged | killed | survive | listed | before |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| pkg/module.py | 9 | 9 | 2 | 7 | 0 | |
| all | 9 | 9 | 2 | 7 | 0 | |

<!-- end -->

The end.
"""


@pytest.fixture
def a_real_mutant(changes: Changes) -> Mutant:
    changes("if a:\n    pass\n")
    return next(mutants_of(PATH))


@pytest.fixture
def listing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file in which survivors are listed, which is not there yet; and make a page."""
    monkeypatch.setattr(mutants, "LISTED", tmp_path / "mutants.toml")
    monkeypatch.setattr(mutants, "PAGE", tmp_path / "mutants.md")
    mutants.PAGE.write_text(A_PAGE, encoding="utf-8")
    return tmp_path / "mutants.toml"


def test_a_survivor_is_told_by_place_and_change(a_real_mutant: Mutant) -> None:
    text = tell(a_real_mutant, "survived")

    assert text == "pkg/module.py:1 <module>: survived, AddNot\n  - if a:\n  + if not a:"


@pytest.mark.usefixtures("listing")
def test_a_survivor_that_nobody_listed_fails_the_run(
    a_real_mutant: Mutant, capsys: pytest.CaptureFixture[str]
) -> None:
    code = report({a_real_mutant: "survived"}, {PATH: 1})

    assert code == 1
    told = capsys.readouterr().out
    assert "| pkg/module.py | 1 | 1 | 0 | 1 | 0 | 7 |" in told
    assert "0 killed, 1 survive, of which 0 are listed" in told


def test_the_table_is_written_with_what_survived_when_it_was_last_written(
    a_real_mutant: Mutant, listing: Path
) -> None:
    listing.write_text(ENTRY, encoding="utf-8")
    results = {a_real_mutant: "survived", a_mutant(7): "killed", a_mutant(8): "timeout"}

    report(results, {PATH: 4, "pkg/b.py": 5, "pkg/empty.py": 0}, is_written=True)

    head, _, rest = mutants.PAGE.read_text(encoding="utf-8").partition("<!-- mutants -->\n\n")
    told, _, tail = rest.partition("\n\n<!-- end -->")
    assert (head, tail) == (A_PAGE.partition("<!-- mutants -->")[0], "\n\nThe end.\n")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d, JAX \S+, Python \S+: 3 of 9 mutants judged, 6 not for want of time: "
        r"2 killed, 1 survive, of which 1 are listed with a reason "
        r"and 0 are of a comparison or a bound\.\n\n"
        r"\| module \| mutants \| judged \| killed \| survive \| listed \| before \|\n"
        r"\| --- \|(?: ---: \|){6}\n"
        r"\| pkg/b.py \| 5 \| 0 \| 0 \| 0 \| 0 \| \|\n"
        r"\| pkg/module.py \| 4 \| 3 \| 2 \| 1 \| 1 \| 7 \|\n"
        r"\| all \| 9 \| 3 \| 2 \| 1 \| 1 \| 7 \|",
        told,
    )


ENTRY = """
[[mutant]]
path = "pkg/module.py"
function = "<module>"
before = "if a:"
after = "if not a:"
reason = "nobody sees it"
"""


def test_a_survivor_that_is_listed_passes(
    a_real_mutant: Mutant, listing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listing.write_text(ENTRY, encoding="utf-8")

    results = {a_real_mutant: "survived"} | {a_mutant(n): "killed" for n in range(9)}
    code = report(results, {PATH: 10})

    assert code == 0
    assert "1 survive, of which 1 are listed with a reason" in capsys.readouterr().out


def test_a_survivor_of_a_comparison_fails_the_run_though_it_is_listed(
    changes: Changes, listing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listing.write_text(ENTRY.replace("if a:", "if a < b:").replace("not a", "a != b"), "utf-8")
    changes("if a < b:\n    pass\n")
    (survivor,) = (m for m in mutants_of(PATH) if m.change()[1] == "if a != b:")

    code = report({survivor: "survived"} | {a_mutant(n): "killed" for n in range(9)}, {PATH: 10})

    assert code == 1
    told = capsys.readouterr().out
    assert "1 survive, of which 1 are listed with a reason and 1 are of a comparison or a" in told
    assert (
        "of a comparison, where no reason will do: pkg/module.py:1 <module>: survived, "
        "ReplaceComparisonOperator_Lt_NotEq\n  - if a < b:\n  + if a != b:\n"
    ) in told


def test_a_listed_mutant_that_is_killed_must_be_taken_out(
    a_real_mutant: Mutant, listing: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listing.write_text(ENTRY, encoding="utf-8")

    code = report({a_real_mutant: "killed"}, {PATH: 1})

    assert code == 1
    assert (
        "no longer survives, take it out of mutants.toml: pkg/module.py" in capsys.readouterr().out
    )


@pytest.mark.parametrize("path", sorted({entry.path for entry in listed().values()}))
def test_every_listed_mutant_is_of_a_line_that_is_still_there_and_has_a_reason(path: str) -> None:
    """Where the line has changed since, somebody must look again."""
    source = (ROOT / path).read_text(encoding="utf-8")
    entries = [entry for entry in listed().values() if entry.path == path]

    for entry in entries:
        assert entry.before in " ".join(text_of(source, entry.function).split())
        assert entry.after != entry.before
        assert len(entry.reason) > 10
    assert path in mutants.default_modules()


def text_of(source: str, function: str) -> str:
    """Return the text of `Class.function`; of all for `<module>`."""
    names = [] if function == "<module>" else function.split(".")
    node: ast.AST = ast.parse(source)
    for name in names:
        node = next(inner for inner in ast.walk(node) if getattr(inner, "name", None) == name)
    return ast.get_source_segment(source, node) or source


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["conformance/core/none.py"], "conformance/core/none.py is none of the modules: "),
        (["--operator", "Replacecomparison*"], "'Replacecomparison*' is none of the operators: "),
        (["--jobs", "0"], "--jobs 0: nothing is judged by fewer than 1"),
    ],
)
def test_a_call_that_would_judge_nothing_is_refused(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        mutants._parse(arguments)

    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_every_name_of_a_judge_is_that_of_a_file() -> None:
    assert [n for n in mutants.JUDGES if not list(ROOT.glob(f"tests/*/test_{n}.py"))] == []


NO_JUDGES = {
    "of what is no module of the run": {
        *("test_configuration", "test_differing_hosts", "test_errors", "test_files"),
        *("test_installation", "test_words"),
    },
    "of cases that JAX draws anew for each test": {"test_by_design"},
}


def test_every_file_of_tests_of_the_core_the_judge_and_the_oracle_judges_or_is_named() -> None:
    """Tests that move into a file of their own would else judge no more."""
    files = {file for name in mutants.JUDGES for file in ROOT.glob(f"tests/*/test_{name}.py")}
    every = {file for folder in ("core", "judge", "oracle") for file in files_of(folder)}

    assert {file.stem for file in every - files} == set().union(*NO_JUDGES.values())


def files_of(folder: str) -> Iterator[Path]:
    return (ROOT / "tests" / folder).glob("test_*.py")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "exit_code", "told"),
    [
        ("conformance/oracle/rounding.py", 0, "0 survive"),
        ("conformance/judge/drift/stages.py", 1, "conformance/judge/drift/stages.py:18 "),
    ],
)
def test_mutants_die_where_the_tests_of_their_module_judge_and_else_survive(
    module: str, exit_code: int, told: str
) -> None:
    command = [sys.executable, "scripts/mutants.py", module, "--judges", "oracle_rounding"]

    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603

    assert ran.returncode == exit_code, ran.stdout + ran.stderr
    assert told in ran.stdout
