"""Programs that are kept between runs return what compiled ones do, bit for bit."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.core.formats import FORMATS, WIDE_DTYPES
from conformance.core.records import Environment
from conformance.observe import programs
from conformance.observe.jax_compat import x64_for
from conformance.observe.programs import Programs
from conformance.observe.worker import Voice
from conformance.run import isolated
from conformance.run.isolated import judge
from conformance.run.options import given
from tests import small_golden
from tests.together import UNOPTIMIZED

WHERE = Environment(packages={"jaxlib": "1"}, config={}, host={"libc": "glibc 2.36"}, devices={})

SHAPES = {
    "uniform": (5,),
    "normal": (5,),
    "truncated_normal_narrow": (5,),
    "lecun_normal": (5, 1),
    "orthogonal": (5, 3),
    "delta_orthogonal": (1, 2, 3),
    "constant": (5,),
}
"""An initializer of each family, and a shape that compiles fast."""

SOME = ("float32", "bfloat16", "float64", "complex64")
"""dtypes of all families but the one whose programs compile fastest, which is drawn in each."""

N_PROGRAMS = 2
"""Those without x64, and with it."""

COMPILED, FOUND = "/jax/compilation_cache/cache_misses", "/jax/compilation_cache/cache_hits"


@contextlib.contextmanager
def setting(name: str, value: object) -> Iterator[None]:
    """Give JAX a setting for the block."""
    before = getattr(jax.config, name)
    jax.config.update(name, value)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    try:
        yield
    finally:
        jax.config.update(name, before)  # type: ignore[no-untyped-call]  # JAX leaves it untyped


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Give the test a cache of its own; JAX may have been told of another one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with (
        setting("jax_compilation_cache_dir", None),
        setting("jax_enable_compilation_cache", True),
    ):
        yield


@pytest.fixture
def events() -> Iterator[list[str]]:
    """Note what JAX tells of its cache; its public face forgets no listener, so one turns deaf."""
    seen: list[str] = []
    is_heard = True

    def note(event: str, **_: object) -> None:
        if is_heard:
            seen.append(event)

    jax.monitoring.register_event_listener(note)
    yield seen
    is_heard = False


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("name", SHAPES)
def test_a_kept_program_returns_the_bits_of_a_compiled_one(name: str, events: list[str]) -> None:
    key = jax.random.key(0)
    with programs.kept(WHERE):
        compiled = drawn(name, key)
    n_compiled = events.count(COMPILED)
    events.clear()
    with programs.kept(WHERE):
        kept = drawn(name, key)

    assert kept == compiled
    assert len(kept) > 0
    assert events.count(FOUND) == n_compiled >= N_PROGRAMS
    assert events.count(COMPILED) == 0


def drawn(name: str, key: Any) -> dict[str, bytes]:
    """Return what an initializer returns in all dtypes that it takes, in programs made anew.

    One program draws all that need no x64, and one the others: compiling is what takes the time.
    Both sides are compiled with the same options, so they need not be those of users.
    """
    initializer = load_catalogue().lookup(name).build()
    bits: dict[str, bytes] = {}

    def draws(key: Any, dtypes: Sequence[str]) -> dict[str, Any]:
        found = {}
        for dtype in dtypes:
            with contextlib.suppress(TypeError, ValueError):  # no such draw
                found[dtype] = initializer(key, SHAPES[name], dtype)
        return found

    asked = FORMATS if name == "uniform" else SOME
    narrow, wide = (
        [dtype for dtype in asked if (dtype in WIDE_DTYPES) == is_wide] for is_wide in (False, True)
    )
    for dtypes in (narrow, wide):
        with x64_for(dtypes[0]):
            draw = functools.partial(draws, dtypes=dtypes)
            found = jax.jit(draw, compiler_options=UNOPTIMIZED)(key)
            bits |= {dtype: np.asarray(array).tobytes() for dtype, array in found.items()}
    return bits


class Listener(Voice):
    """Hears what a worker says in this process."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}

    def begin(self, cases: Sequence[str], **facts: Any) -> None:
        """Know the cases already."""

    def answer(self, case: str, **answer: Any) -> None:
        """Note the row without what no two runs share."""
        row = json.loads(answer["row"])
        self.rows[case] = {name: row[name] for name in row if name not in OF_ONE_RUN}


OF_ONE_RUN = ("recorded_at", "elapsed_s")


@pytest.mark.usefixtures("own_cache")
def test_a_worker_keeps_what_it_compiled_and_says_the_same_with_it(
    tmp_path: Path, events: list[str]
) -> None:
    case = "uniform-float32-11x3-s0-cpu-jit"
    folder = small_golden.write(tmp_path / "golden", case)
    asked = argparse.Namespace(cases=[case], golden=str(folder))
    first, second = Listener(), Listener()
    task = {"options": given(asked), "run_id": "run", "done": [], "n_parts": 1, "part": 0}
    for listener in (first, second):
        jax.clear_caches()  # type: ignore[no-untyped-call]  # JAX leaves it untyped
        events.clear()
        judge(task, {}, listener)

    assert second.rows == first.rows != {}
    assert FOUND in events
    assert COMPILED not in events


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize(("n_parts", "is_limited"), [(1, False), (2, True)])
def test_workers_that_share_the_cores_multiply_in_one_thread(
    n_parts: int, *, is_limited: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A second thread waits busily for a core that another worker has."""
    case, seen = "zeros-float32-7-s0-cpu-eager", []

    def limit() -> Callable[[], None]:
        seen.append("limited")
        return lambda: seen.append("undone")

    monkeypatch.setattr(isolated, "multiply_in_one_thread", limit)
    folder = small_golden.write(tmp_path / "golden", case)
    asked = argparse.Namespace(cases=[case], golden=str(folder))

    judge(
        {"options": given(asked), "run_id": "run", "done": [], "n_parts": n_parts, "part": 0},
        {},
        Listener(),
    )

    assert seen == (["limited", "undone"] if is_limited else [])


@pytest.mark.usefixtures("own_cache")
def test_a_program_is_kept_for_later_runs_by_whatever_can_change_numbers() -> None:
    other = dataclasses.replace(WHERE, host={"libc": "glibc 2.43"})

    assert programs.folder_for(WHERE) == programs.folder_for(WHERE)
    assert programs.folder_for(WHERE) != programs.folder_for(other)


@pytest.mark.usefixtures("own_cache")
def test_the_settings_of_jax_are_left_as_they_were() -> None:
    before = dict(jax.config.values)

    with programs.kept(WHERE):
        assert dict(jax.config.values) != before

    assert dict(jax.config.values) == before


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize(
    ("name", "value"),
    [("jax_compilation_cache_dir", "elsewhere"), ("jax_enable_compilation_cache", False)],
)
def test_what_jax_was_told_of_its_cache_comes_first(name: str, value: object) -> None:
    with setting(name, value), programs.kept(WHERE):
        assert getattr(jax.config, name) == value

    assert not programs.folder_for(WHERE).exists()


# --- What lies there -----------------------------------------------------------------------------


def test_a_damaged_program_is_compiled_again_and_replaced(tmp_path: Path) -> None:
    Programs(tmp_path).put("key", b"program")
    data = (tmp_path / "key").read_bytes()
    for damaged in (data[:-1], data[:-1] + b"?", b""):
        (tmp_path / "key").write_bytes(damaged)

        assert Programs(tmp_path).get("key") is None

    Programs(tmp_path).put("key", b"program")
    assert Programs(tmp_path).get("key") == b"program"


def test_no_other_process_sees_a_program_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_short(path: Path, data: bytes) -> None:
        path.touch()
        raise OSError(f"no space for {len(data)} bytes")

    monkeypatch.setattr(Path, "write_bytes", cut_short)

    Programs(tmp_path).put("key", b"program")

    assert not list(tmp_path.iterdir())


def test_where_the_compiler_refuses_what_was_kept_all_is_compiled(tmp_path: Path) -> None:
    for key in ("refused", "another"):
        Programs(tmp_path).put(key, b"program")
    cache = Programs(tmp_path)

    assert cache.get("refused") == b"program"
    cache.put("refused", b"program")  # compiled again, though it was given
    assert cache.get("another") is None


def test_a_disk_that_refuses_costs_a_compilation_and_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    Programs(tmp_path / "file").put("key", b"program")

    assert Programs(tmp_path / "file").get("key") is None


@pytest.mark.usefixtures("own_cache")
def test_nobody_else_may_write_what_this_process_will_execute() -> None:
    with programs.kept(WHERE):
        assert stat.S_IMODE(programs.folder_for(WHERE).stat().st_mode) == 0o700


# --- What is told of it --------------------------------------------------------------------------


@pytest.mark.usefixtures("own_cache")
def test_how_many_programs_a_run_would_not_compile_is_told() -> None:
    Programs(programs.folder_for(WHERE)).put("key", b"program")

    first, second = programs.lines(WHERE)

    assert first == f"1 kept for runs in this environment, in {programs.folder_for(WHERE)}"
    assert "JAX_ENABLE_COMPILATION_CACHE=0" in second


@pytest.mark.usefixtures("own_cache")
def test_that_jax_keeps_programs_itself_is_told() -> None:
    with setting("jax_compilation_cache_dir", "elsewhere"):
        assert programs.lines(WHERE) == ["JAX itself keeps them, in elsewhere"]


@pytest.mark.usefixtures("own_cache")
def test_that_no_program_is_kept_is_told() -> None:
    with setting("jax_enable_compilation_cache", False):
        assert programs.lines(WHERE) == ["none is kept, as JAX_ENABLE_COMPILATION_CACHE says"]
