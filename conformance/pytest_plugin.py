"""The pytest front end: options, cases as items, scheduling by compile group, rows, summary.

Thin: what a case comes to is the engine's business, what a reader sees is the report's.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from conformance import environment, options
from conformance.backends import BackendUnavailable
from conformance.backends.process import assign_accelerator, force_host_devices
from conformance.builtin import load_catalogue
from conformance.engine import Engine, Policy
from conformance.golden import GoldenError, open_store
from conformance.ledger import LedgerError
from conformance.ledger import load as load_ledger
from conformance.matrix import SelectionError, select
from conformance.model import Case, CaseResult, DriftClass, Environment, Status, Tier, parse_case
from conformance.report.errors import ReportError
from conformance.report.recorder import RunRecorder
from conformance.report.rows import Row, from_json, row, to_json

ROW, RUN_ID, ENVIRONMENT = "conformance_row", "conformance_run", "conformance_environment"
CASE_TEST = "test_initializers.py::test_case["


class Session:
    """What the tests of one process share: catalogue, goldens, ledger, engine."""

    def __init__(self, config: pytest.Config, run_id: str) -> None:
        self._config = config
        self.run_id = run_id
        self.has_run = False

    @functools.cached_property
    def catalogue(self) -> Any:
        """The builtin initializers and those that users registered."""
        return load_catalogue()

    @functools.cached_property
    def goldens(self) -> Any:
        """The golden set that judges this run."""
        return open_store(options.golden_folder(self._config.getoption("--golden")))

    @functools.cached_property
    def ledger(self) -> Any:
        """The known limitations."""
        path = self._config.getoption("--ledger")
        return load_ledger(Path(path)) if path else load_ledger()

    @functools.cached_property
    def engine(self) -> Engine:
        """The engine under this run's policy."""
        return Engine(
            catalogue=self.catalogue,
            goldens=self.goldens,
            ledger=self.ledger,
            policy=Policy(max_drift=DriftClass(self._config.getoption("--max-drift"))),
        )

    @functools.cached_property
    def cases(self) -> list[Case]:
        """The selected cases."""
        selection = options.selection_from(lambda name: self._config.getoption(f"--{name}"))
        return select(self.catalogue, selection)

    @functools.cached_property
    def captured(self) -> Environment:
        """The environment of this process, devices included."""
        return environment.capture(tuple(sorted({case.backend for case in self.cases})))

    def run(self, case: Case, item: pytest.Item) -> str:
        """Evaluate the case, attach its row to the item, and return why it failed, or ""."""
        self.has_run = True
        try:
            result = self.engine.evaluate(case)
        except (BackendUnavailable, GoldenError) as error:
            return str(error)
        values = row(result, self.captured, run_id=self.run_id)
        item.user_properties.append((ROW, to_json(values)))
        return failure_text(result)


SESSION = pytest.StashKey[Session]()


def failure_text(result: CaseResult) -> str:
    """Return the messages of the failed checks and how to run the case again; "" if none failed."""
    if result.status is not Status.FAILED:
        return ""
    messages = [check.message for check in result.checks if check.status is Status.FAILED]
    rerun = f"rerun: conformance run {result.observation.case.id}"
    if not any(rerun in message for message in messages):
        messages.append(f"  {rerun}")
    return "\n".join(messages)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the selection, the judging options and where reports go."""
    group = parser.getgroup("conformance", "numerical conformance of initializers")
    options.add_selection_options(group.addoption)
    options.add_judging_options(group.addoption)
    group.addoption(
        "--junit-report", action="store_true", help="also write junit.xml to the reports"
    )
    group.addoption("--html-report", action="store_true", help="also write report.html")


def pytest_configure(config: pytest.Config) -> None:
    """Start the report session; in a worker, take one accelerator before JAX starts."""
    worker = getattr(config, "workerinput", None)
    if "sharded" in str(config.getoption("--transform")) or config.getoption("--tier") == Tier.FULL:
        force_host_devices()
    if worker is not None:
        assign_accelerator(int(worker["workerid"].removeprefix("gw")))
        config.pluginmanager.register(EnvironmentSender(), "conformance-environment")
        config.stash[SESSION] = Session(config, worker[RUN_ID])
        return
    collector = RowCollector(config)
    config.pluginmanager.register(collector, "conformance-rows")
    config.stash[SESSION] = Session(config, collector.run_id)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Show versions, backends, tier and goldens."""
    versions = environment.package_versions()
    shown = ("jax", "jaxlib", "flax", "numpy", "python")
    backends = ",".join(config.getoption("--backend")) or "auto"
    return [
        "conformance: " + ", ".join(f"{name} {versions.get(name, 'absent')}" for name in shown),
        f"conformance: backends {backends}, tier {config.getoption('--tier') or 'standard'}, "
        f"goldens {options.golden_folder(config.getoption('--golden'))}, "
        f"run {config.stash[SESSION].run_id}",
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one item of every selected case."""
    if metafunc.definition.name == "test_case" and "case" in metafunc.fixturenames:
        try:
            cases = metafunc.config.stash[SESSION].cases
        except (SelectionError, LedgerError, ValueError) as error:
            raise pytest.UsageError(str(error)) from error
        metafunc.parametrize("case", cases, ids=[case.id for case in cases])


@pytest.fixture(scope="session")
def conformance_session(request: pytest.FixtureRequest) -> Session:
    """The catalogue, goldens, ledger and engine of this process."""
    return request.config.stash[SESSION]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Send all cases of a compile group to one worker, so that each program compiles once."""
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class CompileGroupScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            return compile_group(nodeid)

    return CompileGroupScheduling(config, log)


def compile_group(nodeid: str) -> str:
    """Return the compile group of a case's item; any other item is a group of its own."""
    if CASE_TEST not in nodeid:
        return nodeid
    return parse_case(case_id(nodeid)).group


def case_id(nodeid: str) -> str:
    """Return the id of the case that an item runs."""
    return nodeid.partition("[")[2].removesuffix("]")


class RowCollector:
    """Gathers the rows of all workers in the controlling process, and reports on them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._expected: set[str] = set()
        self._environment: Environment | None = None
        self._recorder = RunRecorder(
            folder=Path(config.getoption("--reports")),
            command=shlex.join(["pytest", *map(str, config.invocation_params.args)]),
        )

    @property
    def run_id(self) -> str:
        """Name of the run and of its report folder."""
        return self._recorder.run_id

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker the id of the run."""
        node.workerinput[RUN_ID] = self.run_id

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Note the cases of a run without workers."""
        self._expected |= {
            case_id(item.nodeid) for item in session.items if CASE_TEST in item.nodeid
        }

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Note the cases that a worker collected; all workers collect the same."""
        self._expected |= {case_id(nodeid) for nodeid in ids if CASE_TEST in nodeid}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write the row that came with a finished case, at once."""
        if report.when == "call":
            for name, value in report.user_properties:
                if name == ROW:
                    self._add(from_json(str(value)))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take the environment that a worker ran in."""
        text = getattr(node, "workeroutput", {}).get(ENVIRONMENT)
        self._environment = self._environment or (Environment(**json.loads(text)) if text else None)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the reports, whether or not every case left a row."""
        if not self._expected:
            return
        if self._environment is None and not session.config.option.collectonly:
            self._environment = self._config.stash[SESSION].captured
        if self._environment is not None:
            self._finish(self._environment)

    def _add(self, row: Row) -> None:
        try:
            self._recorder.add(row)
        except ReportError as error:
            pytest.exit(str(error), returncode=3)

    def _finish(self, environment: Environment) -> None:
        try:
            self._recorder.finish(
                expected=sorted(self._expected),
                environment=environment,
                junit=self._config.getoption("--junit-report"),
                html=self._config.getoption("--html-report"),
            )
        except ReportError as error:
            pytest.exit(str(error), returncode=3)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show the verdict by class and by initializer."""
        if lines := self._recorder.summary_lines():
            terminalreporter.section("conformance")
            for line in lines:
                terminalreporter.write_line(line)


class EnvironmentSender:
    """In a worker: send home the environment that the cases ran in."""

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Attach the environment to what xdist returns from this worker."""
        shared = session.config.stash[SESSION]
        output = session.config.workeroutput  # type: ignore[attr-defined]  # added by xdist
        if shared.has_run:
            output[ENVIRONMENT] = json.dumps(dataclasses.asdict(shared.captured))
