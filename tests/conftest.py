"""What is collected, what tests share, and what they see of the machine that runs them.

Tests that need an extra are there where the extra is. No draw is timed. The tests of a file run in
one process, which keeps what they share. All processes share byte code and compiled programs, and
those that tests start share what they import: see warm/.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import hashlib
import importlib.util
import json
import os
import re
import shlex
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from _pytest.assertion import rewrite

from conformance.core.ending import seek_no_garbage
from conformance.observe import environment, lapack
from conformance.observe.process import force_host_devices
from tests import warm
from tests.cpu import Meter
from tests.quickly import quick

collect_ignore = [] if importlib.util.find_spec("ray") else ["observe/test_fleet_ray.py"]

if importlib.util.find_spec("hypothesis"):  # absent where nothing but JAX and pytest is
    from hypothesis import settings

    # Wall time says nothing on a machine that others use: a draw of 20 ms took 340 ms at times.
    settings.register_profile("unhurried", deadline=None)
    settings.load_profile("unhurried")


NO_BYTE_CODE, BYTE_CODE = "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"

PROGRAMS = "JAX_COMPILATION_CACHE_DIR"
OF_ANY_SIZE = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
COMPILE_ANEW = {"JAX_ENABLE_COMPILATION_CACHE": "0"}
"""So that no test leaves anything in the user's cache."""

WITHOUT_HYPOTHESIS = ("-p", "no:hypothesispytest")
"""Its plug-in imports all of it at the end of each run of pytest, which takes a quarter second."""

PYTHON = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Force host devices, and let workers and children share byte code and compiled programs."""
    if not is_asked(config):
        return
    gc.disable()  # until all is collected, of which nothing is garbage
    seek_no_garbage()  # at the end, in all that tests left
    # Before any file is imported: the first draw of one fixes how many devices JAX has.
    force_host_devices()
    # Two processes may use one program at once: what is half written is compiled again.
    config.addinivalue_line("filterwarnings", "ignore:Error reading persistent compilation cache")
    # CUDA's compiler is asked for what it writes on the way, so it must run, and as ever.
    must_compile = importlib.util.find_spec("jax_cuda13_plugin") is not None
    if is_worker(config):
        config.stash[PYTHON] = config.workerinput["python"]  # type: ignore[attr-defined]  # of xdist
    else:
        share(config, is_compiling=must_compile)
        config.stash[PYTHON] = started_python(config)
    if is_controller(config):
        rewrite_asserts(config, Path(__file__).parent)
    if is_worker(config):  # what `scripts/mutants.py` forks of a process so limited did not end
        config.add_cleanup(lapack.multiply_in_one_thread())
    if not is_controller(config):
        keep_freed_memory()
    if not must_compile and not is_controller(config):
        compile_quickly()
    if config.getoption("--cpu"):
        python = config.stash[PYTHON]
        servers = None if python == warm.COLD else Path(python).parent
        config.pluginmanager.register(Meter(servers, is_controller=is_controller(config)))


def is_asked(config: pytest.Config) -> bool:
    """Return whether tests of this folder are asked for.

    Beside a file that is named by its module, pytest loads what a `test*` of the working directory
    has for a conftest: the harness's own run would have been one of other devices and flags.
    """
    here = Path(__file__).parent
    paths = (Path(arg.partition("::")[0]) for arg in config.args)
    asked = [config.invocation_params.dir / path for path in paths]
    return any(here.is_relative_to(path) or path.is_relative_to(here) for path in asked)


def share(config: pytest.Config, *, is_compiling: bool) -> None:
    """Name the folders of byte code and of programs, before JAX looks for them."""
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    if sys.dont_write_bytecode:
        patch.delenv(NO_BYTE_CODE, raising=False)
        folder = _folder_of_byte_code(config)
        lend_byte_code(Path(folder))
        patch.setenv(BYTE_CODE, folder)
    if PROGRAMS in os.environ:
        return
    settings = (
        COMPILE_ANEW if is_compiling else {PROGRAMS: _folder_of_programs(config), **OF_ANY_SIZE}
    )
    for name, value in settings.items():
        patch.setenv(name, value)


def lend_byte_code(folder: Path) -> None:
    """Link into a new folder the byte code that lies beside the sources of what is installed.

    Python looks for byte code in one place alone: each worker would compile JAX, SciPy and pandas
    anew, which takes 5 s of CPU. What is stale is found out where it is read, as ever.
    """
    if any(folder.iterdir()):
        return
    tail = f".{sys.implementation.cache_tag}.pyc"
    roots = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    walked = (Path(at) for root in roots for at, _, _ in os.walk(root))
    for kept in {at for at in walked if at.name == "__pycache__"}:
        where = folder / kept.parent.relative_to(kept.anchor)
        where.mkdir(parents=True, exist_ok=True)
        for name in os.listdir(kept):
            if name.endswith(tail):
                (where / name).symlink_to(kept / name)


def started_python(config: pytest.Config) -> str:
    """Return a Python that has imported JAX before, for all processes that run tests."""
    if config.getoption("--cold"):
        return warm.COLD
    stack = contextlib.ExitStack()
    config.add_cleanup(stack.close)
    return stack.enter_context(warm.python())


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["python"] = node.config.stash.get(PYTHON, warm.COLD)


def is_worker(config: pytest.Config) -> bool:
    """Return whether another process asked this one to run tests."""
    return hasattr(config, "workerinput")


def is_controller(config: pytest.Config) -> bool:
    """Return whether other processes run the tests."""
    return bool(getattr(config.option, "tx", None)) and not is_worker(config)


def rewrite_asserts(config: pytest.Config, here: Path) -> None:
    """Write the byte code of all tests of a folder, before each worker does so for itself.

    Only where all are asked for, and of files that have none or changed since. Nobody trusts it: a
    worker makes anew what is not of a file's text. Nothing public of pytest does so without a run.
    """
    asked = [config.invocation_params.dir / arg for arg in config.args]
    if not any(here.is_relative_to(path) for path in asked):
        return
    state = config.stash[rewrite.assertstate_key]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "pycache_prefix", os.environ.get(BYTE_CODE))  # as the workers have it
        for path in here.rglob("test_*.py"):
            folder = rewrite.get_cache_dir(path)
            kept = folder / f"{path.stem}{rewrite.PYC_TAIL}"
            if kept.exists() and kept.stat().st_mtime > path.stat().st_mtime:
                continue
            if rewrite.try_makedirs(folder):
                facts, code = rewrite._rewrite_test(path, config)
                rewrite._write_pyc(state, code, facts, kept)


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's `mallopt`."""

MOST_FREED, MOST_IN_HEAP = (1 << 31) - 1, 1 << 28
"""Bytes: of freed memory that stays with the process, and of the largest array that lies there."""


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, for the next array, where it is GNU's.

    Else each array of 32 MiB or more, and in a young process each of 128 KiB, is of pages that the
    system hands out anew and clears: a fifth of the CPU of a test that looks at a whole lattice.
    """
    with contextlib.suppress(AttributeError, OSError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, MOST_IN_HEAP)
        mallopt(M_TRIM_THRESHOLD, MOST_FREED)


def compile_quickly() -> None:
    """Let XLA unroll and inline less in this process: it gives the same bits in less time.

    Other bits come of arrays of four columns under AVX-512 alone, which a child draws where a test
    is about them. A draw of shape 3x3x4x8 is compiled in 0.3 s of CPU instead of 3. XLA reads its
    flags once, when JAX first asks for its devices: no child inherits this one, and no record shows
    it. What a child draws is compared with it in test_compiled_quickly.py; and the goldens were
    made without it.
    """
    import jax

    flags = os.environ["XLA_FLAGS"]
    if (quicker := quick(flags)) == flags:
        return  # and no device is opened before somebody needs it
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XLA_FLAGS", quicker)
        jax.devices()


def _folder_of_byte_code(config: pytest.Config) -> str:
    """Return where byte code is kept: for later runs, as Python tells by itself what is stale."""
    return _folder(config, "byte-code")


def _folder_of_programs(config: pytest.Config) -> str:
    """Return where programs are kept for later runs, by all that may change them but JAX's key.

    That is the processor they are compiled for, and the C library that constants are folded with.
    """
    facts = environment.processor_facts() | environment.libc_fact()
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return _folder(config, f"jax-{digest[:16]}")


def _folder(config: pytest.Config, name: str) -> str:
    """Return a folder of pytest's cache; where that is off, one that ends with this run."""
    if config.pluginmanager.has_plugin("cacheprovider"):
        assert config.cache is not None
        return str(config.cache.mkdir(name))
    folder = tempfile.TemporaryDirectory(prefix="tests-", ignore_cleanup_errors=True)
    config.add_cleanup(folder.cleanup)
    return folder.name


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config) -> Any:
    """Send all tests of a file to one worker, unless --dist asks otherwise."""
    if config.getvalue("dist") != "load":
        return None
    from xdist.workermanage import parse_tx_spec_config

    from conformance.run.scheduling import GroupScheduling

    return GroupScheduling(len(parse_tx_spec_config(config)), file_of, cost)


N_NEW_OBJECTS = 50_000
"""After which garbage is looked for. As Python has it, each 2,000 ask for it."""

DEAREST = ("findings", "gate", "matrices", "oracle_followed", "faults", "audit", "law")
"""Files that take longest, which workers begin with."""


def file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]


def cost(nodeids: Sequence[str]) -> float:
    name = file_of(nodeids[0]).rpartition("test_")[2].removesuffix(".py")
    return len(nodeids) + (1e6 / (1 + DEAREST.index(name)) if name in DEAREST else 0)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Let the garbage collector pass over the ten thousand tests: they are there until the end.

    It looks for garbage less often, too: that took 2.5 % of the CPU of 1,400 tests.
    """
    if not is_asked(session.config):
        return
    gc.collect()
    gc.freeze()
    gc.set_threshold(N_NEW_OBJECTS)
    gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cold", action="store_true", help="let no process share what it imports")
    parser.addoption("--cpu", action="store_true", help="show which CPU the tests took")


@pytest.fixture(scope="session", autouse=True)
def warm_python(request: pytest.FixtureRequest) -> Iterator[None]:
    """Start processes of a Python that has imported JAX before; and no Hypothesis in pytest's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", request.config.stash[PYTHON])
        patch.setenv("PYTEST_ADDOPTS", shlex.join(WITHOUT_HYPOTHESIS))
        yield


@pytest.fixture
def cold_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start processes of a Python that has imported nothing."""
    monkeypatch.setattr(sys, "executable", warm.COLD)


AMBIENT = environment.environment_variables()
"""What the machine that runs the tests has set: a LAPACK kernel, or JAX's platforms."""


def without_ambient(text: str) -> str:
    """Return what a child process printed without its notes and settings of AMBIENT variables."""
    for name, value in AMBIENT.items():
        text = re.sub(rf"^note: {name}=.*\n", "", text, flags=re.MULTILINE)
        text = text.replace(f"{name}={shlex.quote(value)} ", "")
    return text


@pytest.fixture(scope="session", autouse=True)
def what_the_machine_sets_is_not_on_record() -> Iterator[None]:
    """Let rerun lines and notes speak of the variables that a test sets, and of no others.

    For the whole session: what a module shares must not be made under another environment.
    """
    known = environment.environment_variables

    def set_by_the_test() -> dict[str, str]:
        return {name: value for name, value in known().items() if AMBIENT.get(name) != value}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environment, "environment_variables", set_by_the_test)
        yield
