"""The pytest front end: options, cases as items, scheduling by compile group, rows, summary.

Thin: what a case comes to is the engine's business, what a reader sees is the report's. pytest
loads this module in every run of everybody who has the package installed, so it imports next to
nothing, and does nothing, until a run addresses the package: `pytest --pyargs conformance`, or the
path of its folder. Only then do its options exist, so they clash with no other project's.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import re
import shlex
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conformance.core.records import MACHINE, Environment
from conformance.core.settings import unusual
from conformance.run import options
from conformance.run.scheduling import case_of, compile_group, cost

if TYPE_CHECKING:
    from conformance.run.session import Session


PACKAGE = Path(__file__).parent
SUITE = PACKAGE / "suite"

ROW, FAULT = "conformance_row", "conformance_fault"

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

INFRASTRUCTURE, EMPTY = 3, 5
"""Exit codes as the command line has them; UsageError makes the 4 of a wrong call."""

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


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> None:
    """Declare the options, if the run may be about this package.

    Values of options that do not exist yet look like positional arguments here, so the folders of
    the ini file count even where an argument was given; and pytest would look for conftest files
    beside the folder that `--golden` names, so it gets the arguments parsed anew.
    """
    args[:] = map(moved, args)
    folder, known = early_config.invocation_params.dir, early_config.known_args_namespace
    arguments = [*known.file_or_dir, *early_config.getini("testpaths"), str(folder)]
    if not is_addressed(arguments, folder):
        return
    group = parser.getgroup("conformance", "numerical conformance of initializers")
    options.add_selection_options(group.addoption)
    options.add_judging_options(group.addoption)
    options.add_report_options(group.addoption)
    again = parser.parse_known_args(args, copy.copy(early_config.option))
    again.confcutdir = known.confcutdir
    early_config.known_args_namespace = again


def pytest_configure(config: pytest.Config) -> None:
    """Start the session of a run about this package; in a worker, before JAX can start."""
    if not is_addressed(config.args, config.invocation_params.dir):
        return
    from conformance.run.session import Session

    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    part: Controller | Worker
    if worker is None:
        part = Controller(config)
        run_id = part.run_id
    else:
        part = Worker(int(worker["workerid"].removeprefix("gw")))
        run_id = worker[RUN_ID]
    config.stash[SESSION] = Session(
        lambda name: config.getoption(f"--{name}"), run_id, pytest_words=_call_of_pytest(config)
    )
    config.pluginmanager.register(part, "conformance-session")
    config.pluginmanager.register(Faults(), "conformance-faults")
    if options.narrows_cases(lambda name: config.getoption(f"--{name}")):
        config.pluginmanager.register(Narrowed(), "conformance-narrowed")


def _call_of_pytest(config: pytest.Config) -> tuple[str, ...]:
    """Return how pytest must be called to load the plugins that may register initializers."""
    plugins = [name for name in config.option.plugins if not name.startswith("no:")]
    return ("pytest", *(word for name in plugins for word in ("-p", name)), "--pyargs")


@pytest.fixture(scope="session")
def conformance_session(request: pytest.FixtureRequest) -> Session:
    """The catalogue, goldens, ledger, engine and cases of this process."""
    return request.config.stash[SESSION]


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
    """Tells what is no verdict from what is one: absent backends, and files that cannot be read."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Report the message alone, and end the run where a backend is absent."""
        from conformance.core.errors import StoreError
        from conformance.observe.backends import BackendUnavailable

        report = yield
        error = call.excinfo.value if call.excinfo else None
        if isinstance(error, BackendUnavailable | StoreError):
            report.longrepr = str(error)
            report.user_properties.append((FAULT, str(error)))
        if isinstance(error, BackendUnavailable):
            item.session.shouldstop = str(error)
        return report


# --- Workers -------------------------------------------------------------------------------------
class Worker:
    """One process of several: takes an accelerator, and sends home what it ran in."""

    def __init__(self, number: int) -> None:
        from conformance.observe.process import assign_accelerator

        assign_accelerator(number)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Attach the environment to what xdist returns from this worker."""
        shared = session.config.stash[SESSION]
        if shared.has_run:
            output = session.config.workeroutput  # type: ignore[attr-defined]  # added by xdist
            output[ENVIRONMENT] = json.dumps(dataclasses.asdict(shared.environment))


# --- The controlling process, which may be the only one ------------------------------------------
class Controller:
    """Checks the options before all else, gathers the rows of all processes, and reports."""

    def __init__(self, config: pytest.Config) -> None:
        from conformance.report.recorder import RunRecorder

        self._config = config
        self._expected: set[str] = set()
        self._failed_others: set[str] = set()
        self._faults: list[str] = []
        self._environment: Environment | None = None
        self._recorder = RunRecorder(
            folder=Path(config.getoption("--reports")),
            command=shlex.join(["pytest", *map(str, config.invocation_params.args)]),
        )

    @property
    def run_id(self) -> str:
        """Name of the run and of its report folder."""
        return self._recorder.run_id

    @property
    def _session(self) -> Session:
        return self._config.stash[SESSION]

    def pytest_report_header(self) -> list[str]:
        """Show versions, backends, tier, goldens, and what is unusual about this process."""
        from conformance.observe import environment

        option, versions = self._config.getoption, environment.package_versions()
        shown = ("jax", "jaxlib", "flax", "numpy", "python")
        ambient = Environment(
            packages={},
            config=environment.environment_variables(),
            host=environment.processor_facts(),
            devices={},
        )
        return [
            "conformance: " + ", ".join(f"{name} {versions.get(name, 'absent')}" for name in shown),
            f"conformance: backends {','.join(option('--backend')) or options.AUTO}, "
            f"tier {option('--tier') or 'standard'}, "
            f"goldens {options.golden_folder(option('--golden'))}, run {self.run_id}",
            *(f"conformance: note: {line}" for line in unusual(ambient)),
            *([LEFT_OUT] if options.narrows_cases(lambda name: option(f"--{name}")) else []),
        ]

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """Refuse a selection that is wrong or empty, before a worker starts."""
        from conformance.core.errors import CatalogueError, EmptySelection, SelectionError

        try:
            self._session.validate_selection()
        except EmptySelection as error:
            pytest.exit(str(error), returncode=EMPTY)
        except (SelectionError, CatalogueError) as error:
            raise pytest.UsageError(str(error)) from error

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_auto_num_workers(self) -> int | None:
        """Start no more workers than accelerators can take."""
        from conformance.observe.process import most_workers

        return most_workers()

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker the id of the run."""
        node.workerinput[RUN_ID] = self.run_id

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config) -> Any:
        """Send all cases of a compile group to one worker, unless --dist asks otherwise."""
        if config.getvalue("dist") != "load":
            return None
        from xdist.workermanage import parse_tx_spec_config

        from conformance.run.scheduling import GroupScheduling

        return GroupScheduling(len(parse_tx_spec_config(config)), compile_group, cost)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the cases of a run without workers."""
        self._expect([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Note the cases that a worker collected; all workers collect the same."""
        self._expect(ids)

    def _expect(self, nodeids: list[str]) -> None:
        """Note the cases among the tests, and refuse to run them without goldens and ledger."""
        from conformance.core.errors import LedgerError, StoreError

        cases = {case.id for case in map(case_of, nodeids) if case}
        if not cases or self._config.option.collectonly:
            return
        try:
            self._session.validate_files()
        except LedgerError as error:
            raise pytest.UsageError(str(error)) from error
        except StoreError as error:
            pytest.exit(str(error), returncode=INFRASTRUCTURE)
        self._expected |= cases

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the row that came with a finished case, at once."""
        case, properties = case_of(report.nodeid), dict(report.user_properties)
        if report.failed and case is None:
            self._failed_others.add(report.nodeid)
        if FAULT in properties:
            self._faults.append(str(properties[FAULT]))
        if ROW in properties and report.when == "call":
            self._add(str(properties[ROW]))
        elif report.failed and case is not None:
            self._recorder.miss(case.id, str(properties.get(FAULT, report.longrepr)))

    def _add(self, text: str) -> None:
        from conformance.core.errors import ReportError
        from conformance.report.rows import from_json

        try:
            values = from_json(text)
            self._recorder.add(values)
            if values.failed_checks == MACHINE:
                self._faults.append(values.messages)
        except ReportError as error:
            pytest.exit(str(error), returncode=INFRASTRUCTURE)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take the environment that a worker ran in, and note that one died."""
        if error is not None:
            self._faults.append(f"worker {node.gateway.id} died: {error}")
        text = getattr(node, "workeroutput", {}).get(ENVIRONMENT)
        self._environment = self._environment or (Environment(**json.loads(text)) if text else None)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the reports, whether or not every case left a row, and settle the exit code."""
        is_green = self._report(session) if self._expected else True
        if self._faults:
            session.exitstatus = INFRASTRUCTURE
        elif session.exitstatus == pytest.ExitCode.OK and not is_green:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _report(self, session: pytest.Session) -> bool:
        """Write the reports, and return whether every case has a verdict and none failed."""
        from conformance.core.errors import ReportError

        try:
            run = self._recorder.finish(
                expected=sorted(self._expected),
                environment=self._ran_in(),
                ending=_ending(session),
                golden_environment=self._session.golden_environment,
                matrices=self._session.matrices,
                junit=self._config.getoption("--junit-report"),
                html=self._config.getoption("--html-report"),
            )
        except ReportError as error:
            pytest.exit(str(error), returncode=INFRASTRUCTURE)
        return run.is_green

    def _ran_in(self) -> Environment:
        """Return the environment of the first worker that told it, or else of this process."""
        from conformance.observe import environment
        from conformance.observe.backends import BackendUnavailable

        if self._environment is None:
            try:
                self._environment = self._session.environment
            except BackendUnavailable:
                self._environment = environment.capture()
        return self._environment

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None]:
        """Say what explains a failure by itself before all failures, and the verdict after them."""
        from conformance.core.settings import unusual

        lines = self._recorder.summary_lines()
        notes = [f"note: {line}" for line in unusual(self._ran_in())] if lines else []
        _section(terminalreporter, "conformance: read this first", notes)
        yield
        others = len(self._failed_others)
        also = [f"and {others} tests that are no cases failed, see above"] if others else []
        faults = list(dict.fromkeys(self._faults))
        told = [*faults, *lines, *(also if lines else []), *_lowered(terminalreporter)]
        _section(terminalreporter, "conformance", told)


def _lowered(reporter: Any) -> list[str]:
    """Return a line about what this JAX lowers otherwise, which fails no test; or none."""
    properties = [dict(report.user_properties) for report in reporter.stats.get("xfailed", [])]
    keys = [key for found in properties for key in json.loads(found.get(LOWERED, "[]"))]
    if not keys:
        return []
    names = sorted({key.partition(" ")[0] for key in keys})
    others = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return [
        f"lowering: {len(keys)} initializers and dtypes are lowered to other programs than the "
        f"accepted ones ({', '.join(names[:3])}{others}): `conformance lowering` names them"
    ]


def _ending(session: pytest.Session) -> str:
    """Return why the session ended before its tests did, or ""."""
    if session.exitstatus == pytest.ExitCode.INTERRUPTED:
        return "the run was interrupted"
    return str(session.shouldfail or session.shouldstop or "")


def _section(reporter: Any, title: str, lines: Sequence[str]) -> None:
    if lines:
        reporter.section(title)
        for line in lines:
            reporter.write_line(line)
