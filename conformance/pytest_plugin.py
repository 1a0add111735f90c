"""The pytest front end: options, cases as items, scheduling by compile group, rows, summary.

Thin: what a case comes to is the engine's business, what a reader sees is the report's. pytest
loads this module in every run of everybody who has the package installed, so it imports next to
nothing, and does nothing, until a run addresses the package: `pytest --pyargs conformance`, or the
path of its folder. Only then do its options exist, so they clash with no other project's.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import dataclasses
import gc
import importlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeGuard

import pytest

if TYPE_CHECKING:
    from conformance.core.errors import ExitCode
    from conformance.core.ids import Block, Case
    from conformance.run.gathering import Gathering
    from conformance.run.options import Options
    from conformance.run.session import Session


PACKAGE = Path(__file__).parent
SUITE = PACKAGE / "suite"

ROW, FAULT, REASON = "conformance_row", "conformance_fault", "conformance_reason"
PLAIN = "conformance_plain"
"""Property of a test of a block of seeds: the rows that have their like."""

LOWERED = "conformance_lowered"
"""Property of a test: what another JAX than the accepted one lowers to another program, as JSON."""

RUN_ID, ENVIRONMENT = "conformance_run", "conformance_environment"

MOVED = re.compile(r"^(?P<package>(.*/)?conformance)(?P<mark>[./])(?P<name>test_\w+(\.py)?($|::))")
"""Of tests: they lay in the package's own folder, so rerun lines of old reports name them there."""

OF_THE_SELECTION = ("test_initializers.py", "test_law.py")
"""Files whose tests are what the options select; layers, lowering and the guide have others."""

LEFT_OUT = (
    "conformance: cases are selected, so the tests of layers, lowering, the guide and completeness "
    "are left out"
)

NO_KEYWORDS: Mapping[str, Literal[1]] = MappingProxyType({})

LOST_IN_A_ROW = 3
"""Workers that may be lost in a row before one of them has begun a test: what ends them is no test.
Those that a test ends are replaced without limit."""

SESSION = pytest.StashKey["Session"]()


# --- Whether the run is about this package -------------------------------------------------------
def is_addressed(arguments: Sequence[str], folder: Path) -> bool:
    """Return whether any positional argument, relative to the folder, names this package."""
    return any(_names_package(argument, folder) for argument in arguments)


def _names_package(argument: str, folder: Path) -> bool:
    name = argument.partition("::")[0]
    if name.split(".")[0] == PACKAGE.name:
        return True
    path = (folder / name).resolve()
    return path.is_relative_to(PACKAGE) or path == PACKAGE.parent


def moved(argument: str) -> str:
    """Return where tests lie now that an old report names: `conformance.test_initializers`."""
    return MOVED.sub(r"\g<package>\g<mark>suite\g<mark>\g<name>", argument)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None, None, None]:
    """Declare the options, if the run may be about this package, before conftest files are read.

    Values of options that do not exist yet look like positional arguments here, so the folders of
    the ini file count even where an argument was given; and pytest would look for conftest files
    beside the folder that `--golden` names, so it gets the arguments parsed anew.

    Raises:
        pytest.UsageError: a conftest file, or another plug-in, has an option of the same name.
    """
    args[:] = map(moved, args)
    folder, known = early_config.invocation_params.dir, early_config.known_args_namespace
    arguments = [*known.file_or_dir, *early_config.getini("testpaths"), str(folder)]
    if not is_addressed(arguments, folder):
        yield
        return
    from conformance.run import declared

    group = parser.getgroup("conformance", "numerical conformance of initializers")
    with _refusing_clashes(folder):
        declared.add_pytest_options(group.addoption)
        again = parser.parse_known_args(args, copy.copy(early_config.option))
        again.confcutdir = known.confcutdir
        early_config.known_args_namespace = again
        yield
        # pytest 8 asks argparse about the options of conftest files later, where nobody tells why.
        parser.parse_known_args(args, copy.copy(early_config.option))


@contextlib.contextmanager
def _refusing_clashes(folder: Path) -> Iterator[None]:
    """Let a run end with one line where an option of ours is declared by somebody else too."""
    try:
        yield
    except (ValueError, argparse.ArgumentError) as error:
        if (name := _ours(str(error))) is None:
            raise
        raise pytest.UsageError(
            f"conformance has an option {name}, and so has a conftest.py of {folder} or another "
            "plug-in: use `conformance run`, which loads neither, or leave it out by --noconftest "
            "or `-p no:NAME`"
        ) from error


def _ours(text: str) -> str | None:
    """Return which option of ours a text names, or None."""
    from conformance.run import declared

    ours: list[str] = []
    declared.add_pytest_options(lambda *names, **_: ours.extend(names))
    return next((name for name in re.findall(r"--[a-z][\w-]*", text) if name in ours), None)


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, Any, Any]:
    """Let one worker run the tests where nobody says how many: a crash of it is survived."""
    is_controller = not hasattr(config, "workerinput")
    if is_controller and is_addressed(config.args, config.invocation_params.dir):
        _isolate(config.option)
        _settle_root(config)
    return (yield)


def _isolate(option: Any) -> None:
    """Ask xdist for one worker, unless tests must run here, and for another one for each lost."""
    if not hasattr(option, "numprocesses"):  # xdist is absent, or was left out
        return
    is_here = option.usepdb or option.trace or option.capture == "no" or option.collectonly
    is_settled = option.distload or option.tx or option.dist != "no"
    if option.numprocesses is None and not (is_here or is_settled):
        option.numprocesses = 1
    if option.maxworkerrestart is None:
        option.maxworkerrestart = str(sys.maxsize)


def _settle_root(config: pytest.Config) -> None:
    """Give every worker the root folder and the ini file of this process, whenever it starts.

    To pytest the values of our options look like paths of tests, of which those that exist decide
    both. The folder of the reports exists from the first row on: a worker that took the place of a
    lost one would have other names for the tests.
    """
    ini = ("-c", str(config.inipath)) if config.inipath else ()
    words = (f"--rootdir={config.rootpath}", *ini)
    given = config.invocation_params
    config.invocation_params = dataclasses.replace(given, args=(*words, *given.args))


def pytest_configure(config: pytest.Config) -> None:
    """Start the session of a run about this package; in a worker, before JAX can start."""
    if not is_addressed(config.args, config.invocation_params.dir):
        return
    from conformance.core.errors import SelectionError
    from conformance.report.recorder import new_run_id
    from conformance.run import options
    from conformance.run.session import Session

    try:
        asked = options.read(lambda name: config.getoption(f"--{name}"))
    except SelectionError as error:
        raise pytest.UsageError(str(error)) from error
    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker is None:
        _require_jax()
    _hurry(asked)
    part: Controller | Worker
    if worker is None:
        session = Session(asked, new_run_id(), pytest_words=_call_of_pytest(config))
        part = Controller(config, session)
    else:
        session = Session(asked, worker[RUN_ID], pytest_words=_call_of_pytest(config))
        number = int(worker["workerid"].removeprefix("gw"))
        part = Worker(config, number, config.getoption("--case-timeout"))
    config.stash[SESSION] = session
    config.pluginmanager.register(part, "conformance-session")
    config.pluginmanager.register(Faults(), "conformance-faults")
    if asked.narrows_cases:
        config.pluginmanager.register(Narrowed(), "conformance-narrowed")


def _require_jax() -> None:
    """End a run in one line where JAX cannot be imported, as with a jaxlib of another release.

    It would end in an error for each file, or for each worker, of which none names the reason.
    """
    from conformance.core.imports import told

    try:
        importlib.import_module("jax")
    except Exception as error:
        if (known := told(error)) is None:
            raise
        pytest.exit(f"conformance: {known}", returncode=known.exit_code)


def _hurry(asked: Options) -> None:
    """Let XLA optimize less where that is wanted, before any test can start JAX."""
    if not asked.is_fast:
        return
    from conformance.core.errors import SelectionError
    from conformance.observe.process import optimize_less

    try:
        optimize_less()
    except SelectionError as error:
        raise pytest.UsageError(str(error)) from error


def _call_of_pytest(config: pytest.Config) -> tuple[str, ...]:
    """Return how pytest must be called to load the plugins that may register initializers."""
    plugins = [name for name in config.option.plugins if not name.startswith("no:")]
    return ("pytest", *(word for name in plugins for word in ("-p", name)), "--pyargs")


@pytest.fixture(scope="session")
def conformance_session(request: pytest.FixtureRequest) -> Iterator[Session]:
    """The catalogue, goldens, ledger, engine, cases and kept programs of this process."""
    from conformance.observe import programs

    session = request.config.stash[SESSION].prepared()
    _note(request.config, session)
    with programs.kept(session.environment):
        yield session


def _note(config: pytest.Config, session: Session) -> None:
    """Write down how a run of ranges of seeds was begun, so that `conformance run` can go on.

    It could not where pytest chose among the tests, or knows initializers that the command line
    does not.
    """
    from conformance.cases.catalogue import registered_names
    from conformance.run import resuming

    chosen = ("keyword", "markexpr", "deselect", "lf", "stepwise")
    is_chosen = any(getattr(config.option, name, None) for name in chosen)
    folder = Path(config.getoption("--reports")) / session.run_id
    if not session.blocks or is_chosen or registered_names() or resuming.is_noted(folder):
        return
    where, by = session.environment, session.judged_by
    resuming.note(folder, resuming.Begun(given=_given(config), environment=where, judged_by=by))


def _given(config: pytest.Config) -> dict[str, Any]:
    """Return what `options.given` would have told of the command line."""
    from conformance.run import options

    names = (name for name in options.nothing_given() if name != "cases")
    return {**{name: config.getoption(f"--{name}") for name in names}, "cases": None}


class Narrowed:
    """Leaves out the tests of this package that no selection of cases can narrow."""

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Keep cases, sweeps, and the tests of others."""
        left_out = [
            item
            for item in items
            if item.path.parent == SUITE and item.path.name not in OF_THE_SELECTION
        ]
        if left_out:
            config.hook.pytest_deselected(items=left_out)
            items[:] = [item for item in items if item not in left_out]


class Faults:
    """Tells what is no verdict from what is one: what is absent, and files that cannot be read."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Report the message alone, and end the run where a backend is absent."""
        from conformance.core.errors import Absent
        from conformance.observe.backends import BackendUnavailable

        report = yield
        error = call.excinfo.value if call.excinfo else None
        if isinstance(error, Absent):
            report.longrepr = str(error)
            report.user_properties.append((FAULT, str(error)))
        if isinstance(error, BackendUnavailable):
            item.session.shouldstop = str(error)
        return report


# --- Workers -------------------------------------------------------------------------------------
class Worker:
    """One process of several: takes an accelerator, and sends home what it ran in.

    timeout_s: for a test.
    """

    def __init__(self, config: pytest.Config, number: int, timeout_s: float) -> None:
        from conformance.observe.process import assign_accelerator

        assign_accelerator(number)
        self._config = config
        self._timeout_s = timeout_s

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Leave the other cores to the other workers."""
        from conformance.observe.lapack import multiply_in_one_thread

        session.config.add_cleanup(multiply_in_one_thread())

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Let go of the items of blocks, now that their names are sent home, until each is run."""
        session.items = Items(session.items)  # type: ignore[assignment]  # which is only read now
        gc.collect()  # an item and its keywords hold each other

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_protocol(self) -> Generator[None, Any, Any]:
        """End this process, which another one replaces, where a test hangs."""
        from conformance.observe.worker import deadline

        with deadline(self._timeout_s):
            return (yield)

    @pytest.hookimpl(specname="pytest_runtest_protocol", wrapper=True, tryfirst=True)
    def pytest_let_go_of_item(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Let an item that was run end, if it is one that is made anew."""
        result = yield
        if isinstance(items := item.session.items, Items):
            items.let_go(item)
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Let go of a report that xdist has sent home: here nobody tells of it."""
        _drop_rows(report)
        if report.passed:
            _forget(self._config, report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Attach the environment to what xdist returns from this worker."""
        from conformance.run.gathering import environment_text

        shared = session.config.stash[SESSION]
        if shared.has_run:
            output = session.config.workeroutput  # type: ignore[attr-defined]  # added by xdist
            output[ENVIRONMENT] = environment_text(shared.environment)


class Items(Sequence[pytest.Item]):
    """Items of which those of blocks are made anew whenever they are asked for.

    Every worker has an item for each block of all workers, of some 4 KiB with what pytest adds as
    it runs; a block is a tenth of that. One that a plug-in or a conftest has changed stays.
    """

    def __init__(self, items: Sequence[pytest.Item]) -> None:
        blocks = (item for item in items if _is_of_block(item))
        self._like: Any = next(blocks, None)
        plain: Any = self._like and self._item(0, _case_of(self._like))
        self._traits = plain and _traits(plain)
        self._held = [_case_of(item) if self._is_made_anew(item) else item for item in items]
        self._made: dict[int, pytest.Item] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._held)

    def __getitem__(self, number: Any) -> Any:
        """Return one or some of them; the two that were made last are the same when asked again."""
        if isinstance(number, slice):
            return [self[each] for each in range(len(self))[number]]
        number = range(len(self))[number]
        if isinstance(held := self._held[number], pytest.Item):
            return held
        if number not in self._made:
            if len(self._made) == 2:  # one that runs, and the one after it
                del self._made[next(iter(self._made))]
            self._made[number] = self._item(number, held)
        return self._made[number]

    def let_go(self, item: pytest.Item) -> None:
        """Let an item that was made here, and is run, end when nobody asks for it any more.

        It and its keywords hold each other, which Python would find much later: when there are a
        quarter more objects than JAX has.
        """
        if item.parent is not None and any(each is item for each in self._made.values()):
            item.keywords = item.parent.keywords

    def _is_made_anew(self, item: pytest.Item) -> bool:
        return _is_of_block(item) and _traits(item) == self._traits

    def _item(self, number: int, block: Any) -> pytest.Item:
        """Return what pytest collected for the block."""
        values = {"params": {"case": block}, "indices": {"case": number}, "_idlist": [block.id]}
        found: pytest.Item = pytest.Function.from_parent(
            self._like.parent,
            name=_name_of(self._like, block),
            callspec=dataclasses.replace(self._like.callspec, **values),
            fixtureinfo=self._like._fixtureinfo,
            keywords={block.id: True},
            originalname=self._like.originalname,
        )
        return found


def _is_of_block(item: pytest.Item) -> TypeGuard[pytest.Function]:
    """Return whether an item is what pytest made of a block, as far as its case and name tell."""
    from conformance.core.ids import Block

    if type(item) is not pytest.Function or not isinstance(block := _case_of(item), Block):
        return False
    return list(item.callspec.params) == ["case"] and item.name == _name_of(item, block)


def _traits(item: pytest.Function) -> tuple[Any, ...]:
    """Return all that items of blocks have alike, unless somebody has changed one."""
    marks = (tuple(item.own_markers), frozenset(item.extra_keyword_matches))
    counts = (len(item.keywords), len(item.user_properties), len(item.stash))
    names = (item.nodeid.removesuffix(item.name), item.originalname)
    fixtures = tuple(item.fixturenames)
    return item.parent, item.obj, fixtures, *marks, *counts, *names, frozenset(vars(item))


def _name_of(item: pytest.Function, block: Block) -> str:
    return f"{item.originalname}[{block.id}]"


def _drop_rows(report: pytest.TestReport) -> None:
    """Take the rows of a block off a report.

    Whoever tells of reports keeps each to the end: a million rows would stay with them.
    """
    if any(name == PLAIN for name, _ in report.user_properties):
        kept = [(n, v) for n, v in report.user_properties if n not in (PLAIN, ROW)]
        report.user_properties[:] = kept


def _forget(config: pytest.Config, report: pytest.TestReport) -> None:
    """Take a report, the last one that it was told, off what the terminal's reporter keeps."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    for kept in reporter.stats.values() if reporter else ():
        if kept and kept[-1] is report:
            kept.pop()


# --- The controlling process, which may be the only one ------------------------------------------
class Controller:
    """Checks what was asked for before all else, and hands on what pytest tells of the run."""

    def __init__(self, config: pytest.Config, session: Session) -> None:
        from conformance.report.recorder import RunRecorder
        from conformance.run.gathering import Gathering
        from conformance.run.interruption import no_early_success, orderly_interruption

        self._config = config
        self._session = session
        command = shlex.join(["pytest", *map(str, config.invocation_params.args)])
        folder = Path(config.getoption("--reports"))
        recorder = RunRecorder(folder=folder, command=command, run_id=session.run_id)
        self._gathering: Gathering = Gathering(session, recorder)
        self._ending = self._lost = ""
        self._n_idle_losses = 0
        stack = contextlib.ExitStack()
        stack.enter_context(orderly_interruption())
        stack.enter_context(no_early_success())
        config.add_cleanup(stack.close)

    def pytest_report_header(self) -> list[str]:
        """Show versions, backends, tier, goldens, and what is unusual about this process."""
        from conformance.cases.backends import installed
        from conformance.core.settings import unusual
        from conformance.observe import environment

        asked, versions = self._session.options, environment.package_versions()
        shown = ("jax", "jaxlib", "flax", "numpy", "python")
        return [
            "conformance: " + ", ".join(f"{name} {versions.get(name, 'absent')}" for name in shown),
            f"conformance: backends {','.join(asked.asked.backends) or 'auto'}, "
            f"tier {asked.asked.tier}, goldens {asked.golden_folder}, run {self._session.run_id}",
            *(f"conformance: overlay {folder}" for folder in asked.overlays),
            *(f"conformance: {line}" for line in self._error_budget()),
            *(f"conformance: note: {line}" for line in unusual(environment.ambient())),
            *(f"conformance: note: {line}" for line in installed().faults()),
            *([LEFT_OUT] if asked.narrows_cases else []),
        ]

    def _error_budget(self) -> Iterator[str]:
        """Yield how the run shares it out; nothing where the selection is refused."""
        from conformance.core.errors import ConformanceError

        with contextlib.suppress(ConformanceError):
            yield self._session.error_budget_on_cpu()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Refuse a selection that is wrong or empty, before a worker starts."""
        with self._refusing():
            self._session.validate_selection()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, Any, Any]:
        """End the run, and report it, where a worker cannot take the place of another one."""
        from conformance.core.errors import WorkerGone

        try:
            return (yield)
        except WorkerGone as error:
            self._ending = str(error)
            raise pytest.Session.Interrupted(str(error)) from error

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        """Let an expected error end the run, with one line and its exit code."""
        from conformance.core.errors import ConformanceError, ExitCode

        try:
            yield
        except ConformanceError as error:
            if error.exit_code == ExitCode.USAGE:
                raise pytest.UsageError(str(error)) from error
            self._ending = str(error)
            pytest.exit(str(error), returncode=error.exit_code)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_auto_num_workers(self) -> int | None:
        """Start no more workers than accelerators can take."""
        from conformance.observe.process import most_workers

        return most_workers()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker the id of the run."""
        node.workerinput[RUN_ID] = self._session.run_id

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config) -> Any:
        """Send all cases of a compile group to one worker, unless --dist asks otherwise."""
        if config.getvalue("dist") != "load":
            return None
        from xdist.workermanage import parse_tx_spec_config

        from conformance.run.scheduling import GroupScheduling, compile_group, cost

        cases = self._gathering.cases  # filled before the first test is dealt out
        return GroupScheduling(
            len(parse_tx_spec_config(config)),
            lambda test: compile_group(test, cases),
            lambda tests: cost(tests, cases),
        )

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the cases of a run without workers."""
        found = {item.nodeid: _case_of(item) for item in session.items}
        self._expect({test: case for test, case in found.items() if case})

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Note the cases that the first worker collected; all workers collect the same."""
        from conformance.run.scheduling import case_of

        if not self._gathering.cases:
            found = {test: case_of(test) for test in ids}
            self._expect({test: case for test, case in found.items() if case})

    def _expect(self, cases: Mapping[str, Case | Block]) -> None:
        if not self._config.option.collectonly:
            with self._refusing():
                self._gathering.expect(cases)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the row that came with a finished case, or why none did."""
        properties = dict(report.user_properties)
        if report.when == "call":
            with self._refusing():
                self._take(report.nodeid, report.user_properties)
            _drop_rows(report)
        has_rows = report.when == "call" and bool({ROW, PLAIN} & set(properties))
        if report.failed and (FAULT in properties or not has_rows):
            why = str(properties.get(FAULT, properties.get(REASON, _raised(report))))
            self._gathering.miss(report.nodeid, why, is_fault=FAULT in properties)

    @pytest.hookimpl(specname="pytest_runtest_logreport", trylast=True)
    def pytest_let_go_of_blocks(self, report: pytest.TestReport) -> None:
        """Keep of a block that passed its call alone, and that without what all have alike.

        Else each block of a million seeds would cost some 9 KiB here to the end of the run.
        """
        from conformance.core.ids import Block

        if report.passed and isinstance(self._gathering.cases.get(report.nodeid), Block):
            report.keywords = NO_KEYWORDS
            for name in ("worker_id", "testrun_uid"):  # texts of its own from the worker
                vars(report).pop(name, None)
            file, line, test = report.location
            report.location = sys.intern(file), line, test
            if report.when != "call":
                _forget(self._config, report)

    def _take(self, test: str, properties: Sequence[tuple[str, object]]) -> None:
        """Take the rows among the properties of a test."""
        for name, value in properties:
            if name == ROW:
                self._gathering.add(test, str(value))
            elif name == PLAIN:
                self._gathering.add_lots(str(value))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take the environment that a worker ran in, and note that one died."""
        from conformance.core.errors import WorkerGone

        if error is not None:
            self._lost = _lost(node, error, self._config.getoption("--case-timeout"))
            self._n_idle_losses += 1
            if self._n_idle_losses > LOST_IN_A_ROW:
                raise WorkerGone(f"workers are lost before their first test: {self._lost}")
        if text := getattr(node, "workeroutput", {}).get(ENVIRONMENT):
            self._gathering.ran_in(text)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """Say of the test that its worker was lost in how that ended."""
        from conformance.core.ids import Block

        self._n_idle_losses = 0
        unit = self._gathering.cases.get(crashitem)
        report.longrepr = f"no verdict on {crashitem}: {self._lost}"
        property_ = (REASON, self._lost) if unit else (FAULT, report.longrepr)
        report.user_properties.append(property_)
        if isinstance(unit, Block):
            with self._refusing():
                self._judge_seed_by_seed(crashitem, unit, report)

    def _judge_seed_by_seed(self, test: str, block: Block, report: pytest.TestReport) -> None:
        """Take the verdicts on a block that ended its worker, and tell of it what is wrong.

        It stays without where this process knows initializers that another one would not.
        """
        from conformance.cases.catalogue import registered_names
        from conformance.report.lots import Lots
        from conformance.run.blocks import first_of
        from conformance.run.isolated import seed_by_seed

        if registered_names():
            return
        timeout_s, run_id = self._config.getoption("--case-timeout"), self._session.run_id
        wrong: list[str] = []
        for found in seed_by_seed(block, _given(self._config), timeout_s, run_id):
            self._gathering.take(test, found)
            if not isinstance(found, Lots):
                lost = f"no verdict on {found.case.id}: {found.reason}" if found.reason else ""
                wrong += filter(None, (found.text, lost))
        report.outcome = "failed" if wrong else "passed"
        report.longrepr = first_of(wrong) or None

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note that the run was ended from outside; pytest ends runs by such exceptions too."""
        from conformance.core.errors import Terminated

        self._gathering.interrupted |= excinfo.type is KeyboardInterrupt
        self._gathering.terminated |= excinfo.type is Terminated

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the reports, whether or not every case left a row, and settle the exit code."""
        ending = self._ending or _ending(session)
        if self._n_idle_losses:
            self._gathering.lose(f"a worker was lost between tests: {self._lost}")
        with self._refusing():
            self._gathering.finish(ending=ending, junit=self._config.getoption("--junit-report"))
        session.exitstatus = settled(session.exitstatus, self._gathering.exit_code)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None]:
        """Say what explains a failure by itself before all failures, and the verdict after them."""
        from conformance.core.settings import unusual

        told = self._gathering.lines()
        notes = [f"note: {line}" for line in unusual(self._gathering.environment)] if told else []
        _section(terminalreporter, "conformance: read this first", notes)
        yield
        told = [*told, *self._kept(), *_lowered(terminalreporter)]
        _section(terminalreporter, "conformance", told)

    def _kept(self) -> Iterator[str]:
        """Yield how to go on with a run that was interrupted, if there is a way."""
        from conformance.run import resuming

        if self._gathering.interrupted and resuming.is_noted(self._gathering.folder):
            words = shlex.join(["conformance", "run", "--resume", str(self._gathering.folder)])
            yield f"`{words}` goes on with its cases"


def settled(status: int, code: ExitCode) -> int:
    """Return the exit code of a run, of pytest's own and of what the run comes to.

    pytest's 1 says that tests failed, which those without a verdict do too; its 2 that the run, or
    the collection, was cut short.
    """
    from conformance.core.errors import ExitCode

    if status == pytest.ExitCode.TESTS_FAILED:
        return code or ExitCode.FAILED
    if status == pytest.ExitCode.INTERRUPTED:
        status = ExitCode.MISSING
    return next((each for each in ExitCode if each in (status, code)), status)


def _lost(node: Any, error: object, timeout_s: float) -> str:
    """Return how a worker's process ended, or what xdist knows of it."""
    from conformance.observe.worker import ending

    with contextlib.suppress(AttributeError, subprocess.TimeoutExpired):  # one of another machine
        return ending(node.gateway._io.popen.wait(timeout=5), timeout_s)
    return str(error)


def _raised(report: pytest.TestReport) -> str:
    """Return what ended a test: the exception alone where pytest tells it apart."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash else report.longrepr)


def _case_of(item: pytest.Item) -> Case | Block | None:
    """Return the case, or the block of cases, that a test runs; or None."""
    from conformance.core.ids import Block, Case

    made_of = getattr(item, "callspec", None)
    case = made_of.params.get("case") if made_of else None
    return case if isinstance(case, Case | Block) else None


def _lowered(reporter: Any) -> list[str]:
    """Return a line about what this JAX lowers otherwise, which fails no test; or none."""
    from conformance.core.words import counted

    properties = [dict(report.user_properties) for report in reporter.stats.get("xfailed", [])]
    keys = [key for found in properties for key in json.loads(found.get(LOWERED, "[]"))]
    if not keys:
        return []
    names = sorted({key.partition(" ")[0] for key in keys})
    others = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [
        "lowering: other programs than the accepted ones in "
        f"{counted(len(keys), 'pair')} of an initializer and a dtype "
        f"({', '.join(names[:3])}{others}): `conformance lowering` names them"
    ]


def _ending(session: pytest.Session) -> str:
    """Return why the session ended before its tests did, or ""."""
    if session.exitstatus == pytest.ExitCode.INTERRUPTED:
        return "the run was interrupted"
    return str(session.shouldfail or session.shouldstop or "")


def _section(reporter: Any, title: str, lines: Sequence[str]) -> None:
    from conformance.report.escape import printable

    if lines:
        reporter.section(title)
        for line in lines:
            reporter.write_line(printable(line))
