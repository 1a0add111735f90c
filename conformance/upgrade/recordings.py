"""What a side returned: recorded once in its environment, kept by content, and read ever after.

A recording is named by all that it depends on: the environment's pins, the part of this package
that records, what was asked, the flags, the host's processor, and the C library and LAPACK of this
process, which stand for those that a release finds on this host. Parameters of a user's model
depend on files that nobody can list, and so does a JAX built at home: those are recorded every
time.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from conformance.core.deadline import CASE_TIMEOUT_S
from conformance.core.errors import SideError
from conformance.core.files import (
    cached_folder,
    digest,
    locked,
    move_folder,
    replace_file,
    scratch_folder,
    write_file,
)
from conformance.core.ids import Case
from conformance.core.paths import PACKAGE, cache_folder
from conformance.core.watching import pace
from conformance.core.words import counted
from conformance.observe.child.__main__ import GONE, REFUSED
from conformance.observe.environment import environment_variables, host_facts
from conformance.observe.journal import journal_path
from conformance.observe.record import failed_by_the_machine
from conformance.store.read import Store, open_store
from conformance.upgrade.cache import touch
from conformance.upgrade.environments import Plan, build
from conformance.upgrade.rerun import Interpreter

RECORDER = (
    "conformance.observe.child.__main__",
    "conformance.observe.child.apart",
    "conformance.observe.child.flax_keys",
    "conformance.observe.child.parameters",
    "conformance.upgrade.qr",
)
"""What runs in the environment of a release. Only these modules and what they import are given to
it, so a change to any other records nothing again."""

Say = Callable[[str], None]
"""Shows how far the recordings are; called a few times a second."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to record: the cases, or the target instead; target: `package.module:function`.

    whole: of which of them, by their names in the recording, to keep all elements however many they
        are. Of a target no other parameters are kept then.
    settings: what the recorder is started with besides the variables of this process, `NAME=value`.
    timeout_s: for a case, or for each parameter of a target. It is no part of what is asked: no
        recording is named by it.
    """

    cases: tuple[Case, ...] = ()
    target: str | None = None
    whole: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    timeout_s: float = CASE_TIMEOUT_S

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the cases."""
        return tuple(case.id for case in self.cases)

    def whole_of(self, names: Sequence[str]) -> Asked:
        """Return what records these of it, by their names in the recording, with all elements."""
        cases = tuple(case for case in self.cases if case.id in names)
        return dataclasses.replace(self, cases=cases, whole=tuple(names))

    def under(self, setting: str, names: Sequence[str]) -> Asked:
        """Return what records these of it with the setting; of a target all parameters."""
        cases = tuple(case for case in self.cases if case.id in names)
        return dataclasses.replace(self, cases=cases, settings=(setting,))

    @property
    def is_lasting(self) -> bool:
        """Whether the answer depends on nothing but the environment and this package."""
        is_ours = self.target is None or self.target.startswith("conformance.")
        return is_ours and not self.settings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What to record, and where. apart: where a recording goes that lacks cases."""

    plan: Plan
    asked: Asked
    folder: Path
    apart: Path
    log: Path
    _read: list[int] = dataclasses.field(default_factory=lambda: [0, 0])

    @property
    def place(self) -> Path:
        """Where the recording is, or will be."""
        return self.apart if self.apart.exists() else self.folder

    @property
    def patience_s(self) -> float:
        """How long it may finish nothing."""
        return STALLED_S + self.asked.timeout_s

    @property
    def total(self) -> int:
        return len(self.asked.cases)

    @property
    def request(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.request.json")

    def done(self) -> int:
        """Return how many cases the journal holds; reads what was added since the last call."""
        with contextlib.suppress(OSError), journal_path(self.folder).open("rb") as stream:
            size, lines = self._read
            stream.seek(size)
            added = stream.read()
            self._read[:] = size + len(added), lines + added.count(b"\n")
        return max(0, self._read[1] - 1)


@contextlib.contextmanager
def passing_folder() -> Iterator[Path]:
    """Lend a folder for what is recorded every time, until the command is done with it."""
    with scratch_folder(cache_folder("passing")) as folder:
        yield folder


def record_sides(plans: Sequence[Plan], asked: Asked, say: Say, passing: Path) -> list[Store]:
    """Return what each side returned, recording side by side what was not recorded before.

    An interrupted recording goes on where it was. A side that fails does not stop the other, whose
    recording is kept. One with cases that the machine failed is not kept for other commands.

    passing: where recordings go that are made every time; see `passing_folder`.

    Raises:
        SideError: a side cannot be installed, refuses, or crashes; all that failed are named.
    """
    jobs = [_job(plan, asked, passing) for plan in plans]
    missing = {job.folder: job for job in jobs if not job.place.exists()}
    failures = _record(list(missing.values()), say)
    if failures:
        raise SideError("\n".join(failures))
    for job in jobs:
        touch(job.place)
    return [open_store(job.place) for job in jobs]


def find_recording(plan: Plan, asked: Asked) -> Store | None:
    """Return an earlier recording of the plan that holds all the cases, or None."""
    for folder in sorted(folder_of(plan).glob("*/")):
        if not folder.name.startswith("."):
            store = open_store(folder)
            if all(key in store for key in asked.ids):
                return store
    return None


def folder_of(plan: Plan) -> Path:
    """Return where all is kept that the plan's release answered on this machine."""
    facts = sorted({**environment_variables(), **host_facts()}.items())
    name = digest(plan.key, sources().name, *map(str, facts))
    return cache_folder("recordings") / name


def _job(plan: Plan, asked: Asked, passing: Path) -> _Job:
    is_lasting = asked.is_lasting and plan.is_lasting
    whole = ("whole", *asked.whole) if asked.whole else ()
    name = digest(asked.target or "", *asked.ids, *whole, *asked.settings)
    folder = folder_of(plan) / name if is_lasting else passing / digest(plan.key, name)
    place = folder if is_lasting else cache_folder("logs") / folder.name  # it outlives the folder
    return _Job(
        plan=plan,
        asked=asked,
        folder=folder,
        apart=passing / f"partly-{digest(plan.key, name)}",
        log=place.with_name(f"{place.name}.log"),
    )


# --- Running -------------------------------------------------------------------------------------


def _record(jobs: list[_Job], say: Say) -> list[str]:
    """Run the jobs side by side to their ends; return one message for each that failed."""
    failures, running = [], []
    with contextlib.ExitStack() as stack:
        # In one order everywhere, or two processes could wait for each other.
        for job in sorted(jobs, key=lambda each: each.folder):
            stack.enter_context(_locked(job, say))
            if job.folder.exists():
                continue
            say(f"{job.plan.name}: preparing its environment")
            try:
                running.append((job, stack.enter_context(_started(job))))
            except SideError as error:
                failures.append(str(error))
        stalled = _wait(running, say)
        ended = [(job, process.returncode) for job, process in running]
        failed = [(job, code) for job, code in ended if code or not job.folder.exists()]
        for job, _ in running:
            if job.folder.exists() and failed_by_the_machine(open_store(job.folder)):
                move_folder(job.folder, job.apart)
        return [*failures, *(_failure(job, code, job.folder in stalled) for job, code in failed)]


@contextlib.contextmanager
def _locked(job: _Job, say: Say) -> Iterator[None]:
    """Hold the recording for this process; wait while another one makes it."""
    # The recorder itself, in another process, locks the folder.
    with locked(job.request, lambda holder: say(f"{job.plan.name}: {holder} records it; waiting")):
        yield


@contextlib.contextmanager
def _started(job: _Job) -> Iterator[subprocess.Popen[bytes]]:
    """Run the recorder in the job's environment; end it if this block is left before it ends."""
    python = build(job.plan)
    what = {"cases": job.asked.ids} if (target := job.asked.target) is None else {"target": target}
    request = {"out": str(job.folder), "timeout_s": job.asked.timeout_s, **what}
    if job.asked.whole:
        request["whole"] = job.asked.whole
    replace_file(job.request, json.dumps(request))
    command = [str(python), "-m", "conformance.observe.child", str(job.request)]
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # the command is this package's own
            command, stdout=log, stderr=log, env=_environment(job.asked), cwd=_work_folder(job)
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()


def _environment(asked: Asked) -> dict[str, str]:
    named = (setting.partition("=") for setting in asked.settings)
    return variables() | {name: value for name, _, value in named}


def _work_folder(job: _Job) -> Path:
    """Return where the recorder runs: for a target, where the user stands, to find its module."""
    return Path.cwd() if job.asked.target else job.folder.parent


def variables(*folders: str) -> dict[str, str]:
    """Return the variables of this process, less those that would let its packages leak in.

    folders: of further packages that the recorder may import.
    """
    dropped = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join([str(sources()), *folders]),
        "PYTHONUNBUFFERED": "1",
    }


def interpreters_of(plans: tuple[Plan, Plan]) -> tuple[Interpreter, Interpreter]:
    """Return the Pythons of the two environments, which have the SciPy of each.

    Raises:
        SideError: one cannot be built.
    """
    before, after = (Interpreter(python=str(build(plan)), variables=variables()) for plan in plans)
    return before, after


STALLED_S = 3600.0
"""A recorder that finishes nothing for so long is ended: a case takes seconds, a model minutes.
One that hangs in a case ends that itself, unless a case may take longer."""


def _wait(running: list[tuple[_Job, subprocess.Popen[bytes]]], say: Say) -> set[Path]:
    """Wait for the recorders; end those that finish no case for STALLED_S, and return which."""
    stalled: set[Path] = set()
    start = time.monotonic()
    last = {job.folder: (0, start) for job, _ in running}
    total = sum(job.total for job, _ in running)
    n_before = sum(job.done() for job, _ in running)
    while any(process.poll() is None for _, process in running):
        for job, process in running:
            done, since = last[job.folder]
            if job.done() != done:
                last[job.folder] = job.done(), time.monotonic()
            elif time.monotonic() - since > job.patience_s and process.poll() is None:
                process.terminate()  # it has a worker to end
                stalled.add(job.folder)
        states = "; ".join(f"{job.plan.name}: {_state(job, process)}" for job, process in running)
        n_done = sum(job.done() for job, _ in running)
        at_pace = pace(n_done - n_before, total - n_done, time.monotonic() - start)
        say(", ".join(filter(None, [states, at_pace])))
        time.sleep(0.2)
    return stalled


def _state(job: _Job, process: subprocess.Popen[bytes]) -> str:
    if process.poll() is not None:
        return "failed" if process.returncode else "done"
    return "running" if job.asked.target else f"{job.done()} of {counted(job.total, 'case')}"


def _failure(job: _Job, code: int, is_stalled: bool) -> str:
    """Return what is known of a recorder that ended with a code other than 0."""
    words = job.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = words[-1] if words else "none"
    if code == REFUSED:
        return f"{job.plan.name}: {last}"
    if code == GONE:
        before = _before(words[:-1])
        return f"{job.plan.name}: {last} (all: {job.log}){before and f'. Before that: {before}'}"
    ended = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
    if is_stalled:
        ended = f"finished nothing for {job.patience_s:g} s and was ended"
    kept = f"; kept, and not run again: {counted(job.done(), 'case')}" if job.done() else ""
    return f"{job.plan.name} {ended} while recording{kept}. Its last words: {last} (all: {job.log})"


def _before(words: Sequence[str]) -> str:
    """Return where a process was when it ended, if faulthandler says so; else its last words."""
    for head, place in itertools.pairwise(words):
        if head.startswith("Current thread") and place.strip().startswith('File "'):
            return place.strip()
    return words[-1].strip() if words else ""


# --- The part of this package that records -------------------------------------------------------


@functools.cache
def sources() -> Path:
    """Return a folder that holds the recorder and nothing else of this package, by content."""
    files = recorder()
    texts = {module: path.read_text(encoding="utf-8") for module, path in files.items()}
    folder = cache_folder("recorders") / digest(*texts, *texts.values())
    if not folder.exists():
        with cached_folder(folder) as draft:
            for module, path in files.items():
                write_file(draft / path.relative_to(PACKAGE.parent), texts[module].encode())
    return folder


def recorder() -> dict[str, Path]:
    """Return the modules of this package that recording needs, and their files, by name."""
    found: dict[str, Path] = {}
    waiting = list(RECORDER)
    while waiting:
        module = waiting.pop()
        if module not in found and (path := _file_of(module)) is not None:
            found[module] = path
            waiting += [*_parents(module), *_imported(path)]
    return dict(sorted(found.items()))


def _file_of(module: str) -> Path | None:
    base = PACKAGE.parent.joinpath(*module.split("."))
    return next((p for p in (base / "__init__.py", base.with_suffix(".py")) if p.exists()), None)


def _parents(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts))]


def _imported(path: Path) -> Iterator[str]:
    """Yield what of this package a file imports, in functions too; some may be no modules."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name:
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
