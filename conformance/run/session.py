"""What the cases of one process share under either front end, each part made when needed.

What judges is imported when needed too: a process whose workers judge starts them before that.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from conformance.cases.builtin import import_packages, load_catalogue
from conformance.cases.catalogue import Catalogue, registered_names
from conformance.cases.planes import tier_of
from conformance.cases.selection import blocks, select
from conformance.core.errors import (
    Absent,
    GoldenError,
)
from conformance.core.ids import Block, Case, Tier, parse_case
from conformance.core.laws import DeltaOrthogonal, Orthogonal
from conformance.core.paths import PROVENANCE
from conformance.core.records import CaseResult, Environment, Status
from conformance.observe import environment
from conformance.observe.backends import open_backend
from conformance.observe.observer import Observer
from conformance.report.escape import printable
from conformance.report.lots import Lots, Told
from conformance.report.messages import messages_of, sources_of
from conformance.report.rows import Place, Row, row
from conformance.run.options import Options, rerun, rerunner, selection_here
from conformance.store.entries import RECORDING
from conformance.store.read import open_store
from conformance.store.stack import Stack, open_stack

if TYPE_CHECKING:
    from conformance.judge.bench import Bench
    from conformance.judge.ledger import Ledger
    from conformance.report.page.model import Figure
    from conformance.run.matrix_sweep import MatrixSweep

NOWHERE = Environment(packages={}, config={}, host={}, devices={})
"""What a command depends on that needs no setting repeated."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of one case: a row, or the reason why there is none.

    text: what is wrong, and how to run the case again; "" if nothing is.
    """

    case: Case
    row: Row | None = None
    text: str = ""
    reason: str = ""


class Session:
    """The catalogue, goldens, ledger, bench and cases that the options ask for.

    pytest_words: the call of pytest that knows what is registered here by `register`; the command
        line does not. done: ids of cases and blocks that have their verdicts already.

    Raises:
        SelectionError, CatalogueError, LedgerError, GoldenError: from the part that is wrong, when
            it is first needed.
    """

    def __init__(
        self,
        options: Options,
        run_id: str,
        pytest_words: tuple[str, ...] = (),
        *,
        done: Collection[str] = (),
    ) -> None:
        self.run_id = run_id
        self.has_run = False
        self._done = frozenset(done)
        self.options = options
        self._pytest_words = pytest_words
        self.observer = Observer()
        self._last_place: Place | None = None
        self._asked = options.asked.text

    @functools.cached_property
    def catalogue(self) -> Catalogue:
        """The builtin initializers and those that users registered."""
        return load_catalogue()

    @functools.cached_property
    def goldens(self) -> Stack:
        """The golden set that judges this run, and the overlays on it."""
        return open_stack(self.options.golden_folder, self.options.overlays)

    @functools.cached_property
    def ledger(self) -> Ledger:
        """The known limitations."""
        from conformance.judge.rules import load_ledger

        return load_ledger(self.options.ledger_file)

    @functools.cached_property
    def bench(self) -> Bench:
        """By what this run judges."""
        from conformance.run.evaluate import bench_of

        return bench_of(self.options, self.catalogue, self.goldens, self.ledger)

    @property
    def judged_by(self) -> str:
        """By what this run judges; see `Bench`."""
        return self.bench.by

    @functools.cached_property
    def selected(self) -> list[Case | Block]:
        """The selected cases, or blocks of them for ranges of seeds, done or not. Starts JAX.

        Where no backend was named, on those present.
        """
        asked = selection_here(self.options)
        return [*blocks(self.catalogue, asked)] or [*select(self.catalogue, asked)]

    @functools.cached_property
    def units(self) -> list[Case | Block]:
        """Those that are to be done."""
        return [unit for unit in self.selected if unit.id not in self._done]

    @functools.cached_property
    def cases(self) -> list[Case]:
        """The selected cases, if they are evaluated one by one."""
        return [unit for unit in self.units if isinstance(unit, Case)]

    @functools.cached_property
    def blocks(self) -> list[Block]:
        """The selected ranges of seeds, which are evaluated as blocks; or none."""
        return [unit for unit in self.units if isinstance(unit, Block)]

    @property
    def n_cases(self) -> int:
        """How many cases there are."""
        return sum(len(block.seeds) for block in self.blocks) + len(self.cases)

    def error_budget(self) -> str:
        """Return how this run shares out its error budget, in a line."""
        return _error_budget(self.catalogue, self.selected)

    def error_budget_on_cpu(self) -> str:
        """Return the same without starting JAX: `auto` counts as `cpu`.

        Raises:
            SelectionError, CatalogueError: as `validate_selection`.
        """
        asked = self.options.on("cpu")
        units = [*blocks(self.catalogue, asked)] or select(self.catalogue, asked)
        return _error_budget(self.catalogue, units)

    @property
    def expected(self) -> Iterable[str]:
        """Ids of the cases, or of blocks of them, that are to have a verdict."""
        return (unit.id for unit in self.units)

    @functools.cached_property
    def environment(self) -> Environment:
        """The environment of this process, with the devices that the cases run on.

        Raises:
            BackendUnavailable: a backend that a case asks for has no device in this process.
        """
        programs = (each.case if isinstance(each, Block) else each for each in self.selected)
        names = tuple(sorted({case.backend for case in programs}))
        for name in names:
            open_backend(name)
        return environment.capture(names)

    @functools.cached_property
    def golden_environment(self) -> Environment | None:
        """Where the goldens were made, which explains what they find; None if they do not say."""
        with contextlib.suppress(GoldenError):
            return self.goldens.environment
        return None

    @property
    def matrices(self) -> list[str]:
        """The names of the initializers that factor a matrix."""
        return [
            spec.name
            for spec in self.catalogue
            if isinstance(spec.definition, Orthogonal | DeltaOrthogonal)
        ]

    def arriving(self) -> Iterator[Case]:
        """Yield the cases in the order in which they can be evaluated."""
        yield from self.cases

    def close(self) -> None:
        """Give back what was opened for the session."""

    def validate_selection(self) -> None:
        """Ensure that the selection makes sense, without starting JAX: `auto` counts as `cpu`.

        Raises:
            SelectionError, CatalogueError: it does not, or selects nothing.
        """
        asked = self.options.on("cpu")
        _ = blocks(self.catalogue, asked) or select(self.catalogue, asked)

    def validate_files(self) -> None:
        """Ensure that the golden set and the ledger can be read.

        Raises:
            GoldenError, LedgerError: one cannot.
            SelectionError: two overlays have the same name.
        """
        _ = self.goldens, self.ledger

    def prepared(self) -> Session:
        """Return this session with all that its cases share made: the first pays for no other.

        Raises:
            BackendUnavailable: a backend of the session has no device in this process.
            StoreError, LedgerError: the golden set, its budgets or the ledger cannot be read.
        """
        _ = self.environment, self.bench
        names = dict.fromkeys(
            (each.case if isinstance(each, Block) else each).problem.initializer
            for each in self.units
        )
        import_packages(map(self.catalogue.lookup, names))
        return self

    def verdicts(self) -> Iterator[Verdict | Lots | Told]:
        """Yield what comes of each case, as it comes."""
        if not self.blocks:
            return map(self.verdict, self.arriving())
        from conformance.run.blocks import block_verdicts

        return (each for block in self.blocks for each in block_verdicts(self, block))

    def verdict(self, case: Case) -> Verdict:
        """Evaluate the case; what is absent, as a backend or a golden, is the reason of none."""
        try:
            result, values = self.evaluate(case)
        except Absent as error:
            return Verdict(case=case, reason=str(error))
        return Verdict(case=case, row=values, text=self.failure_text(result, values.rerun))

    def evaluate(self, case: Case) -> tuple[CaseResult, Row]:
        """Run the case here and return its verdict, and that as a row.

        Raises:
            BackendUnavailable: a backend of the session has no device in this process.
            GoldenError: the golden cannot be read.
        """
        from conformance.run.evaluate import evaluate

        result = evaluate(case, self.bench, self.observer)
        self.has_run = True
        return result, self.row(result, self.environment)

    def row(self, result: CaseResult, where: Environment) -> Row:
        """Return the verdict as a row, with the environment of its case."""
        rerun = self.rerun(result.observation.case)
        return row(
            result,
            self._place(where, result.observation.case.backend),
            run_id=self.run_id,
            rerun=rerun,
            option=self._golden_option,
            judged_by=self.judged_by,
            asked=self._asked,
        )

    def _place(self, where: Environment, backend: str) -> Place:
        """Return the place that rows are from: the last one's, if it is that."""
        last = self._last_place
        if last is None or last.environment is not where or last.backend != backend:
            last = self._last_place = Place(environment=where, backend=backend)
        return last

    @functools.cached_property
    def _golden_option(self) -> str:
        return self.options.golden_option

    def laws(self, failed: Iterable[Row]) -> tuple[Figure, ...]:
        """Return plots of the laws of what failed, swept where the cases ran."""
        if not (rows := tuple(failed)):
            return ()
        from conformance.run.laws import laws_of  # and with it all that sweeps

        here = self.has_run or bool(registered_names())
        return laws_of(rows, self.options, self.catalogue, here=here)

    def failure_text(self, result: CaseResult, rerun: str) -> str:
        """Return what the failed checks say, and how to run the case again; "" if none failed."""
        if result.status is not Status.FAILED:
            return ""
        messages = messages_of(result, [Status.FAILED], self._golden_option)
        return printable("\n".join([*messages, *sources_of(result), f"  rerun: {rerun}"]))

    def rerun(self, case: Case) -> str:
        """Return the command that runs the case again, as it was run and judged here."""
        words = self._pytest_call(case, "conformance.suite.test_initializers")
        return self._command(words or ["conformance", "run", case.id])

    def rerun_sweep(self, case: Case) -> str:
        """Return the command that sweeps again, as it was swept and judged here."""
        from conformance.run.sweeps import rerun_words

        words = self._pytest_call(case, "conformance.suite.test_law")
        return self._command(words or rerun_words(case))

    def rerun_matrices(self, sweep: MatrixSweep) -> str:
        """Return the command that sweeps the matrices again, as they were judged here."""
        return self._command(sweep.rerun_words)

    def _pytest_call(self, case: Case, module: str) -> list[str]:
        name = case.problem.initializer
        if not self._pytest_words or name not in self._registered:
            return []
        tier = self.options.asked.tier
        return [*self._pytest_words, module, "--initializer", name, "--tier", tier, "-k", case.id]

    @functools.cached_property
    def _registered(self) -> frozenset[str]:
        return registered_names()

    @functools.cached_property
    def _command(self) -> Callable[[Sequence[str]], str]:
        return rerunner(self.options, self.environment)


def _error_budget(catalogue: Catalogue, units: Iterable[Case | Block]) -> str:
    from conformance.judge.alpha import allocation_text
    from conformance.judge.sampled import is_sampled

    n_cases = n_samples = 0
    for unit in units:
        case, size = (unit.case, len(unit.seeds)) if isinstance(unit, Block) else (unit, 1)
        n_cases += size
        if is_sampled(catalogue.lookup(case.problem.initializer).definition, case.problem):
            n_samples += size
    return allocation_text(n_cases, n_samples)


class Recorded(Session):
    """A session whose cases were observed elsewhere: it judges a recording."""

    def __init__(self, recording: Path, options: Options, run_id: str) -> None:
        super().__init__(options, run_id)
        self._recording = open_store(recording)
        if self._recording.kind != RECORDING:
            raise GoldenError(
                f"{recording} is a golden set: --recording takes what `conformance record` wrote"
            )

    @functools.cached_property
    def selected(self) -> list[Case | Block]:
        """All recorded cases; or those that were asked for, whether or not they were recorded.

        Where no tier is named, the recording's own is meant.
        """
        recorded = tuple(self._recording.ids())
        if self.options.asked.cases or self.options.is_narrowed:
            backends = sorted({parse_case(key).backend for key in recorded})
            asked = self.options.on(*backends)
            tier = self.options.tier or self._tier
            return [*select(self.catalogue, dataclasses.replace(asked, tier=tier))]
        return [*select(self.catalogue, dataclasses.replace(self.options.asked, cases=recorded))]

    @property
    def _tier(self) -> Tier:
        """The tier that was recorded: the smallest that holds all problems which any tier has."""
        recorded = {parse_case(key).problem for key in self._recording.ids()}
        known = (problem for problem in recorded if problem.initializer in self.catalogue)
        tiers = (tier_of(each, self.catalogue.lookup(each.initializer)) for each in known)
        found = (tier for tier in tiers if tier is not None)
        return max(found, key=lambda tier: tier.rank, default=Tier.STANDARD)

    @functools.cached_property
    def environment(self) -> Environment:
        """The environment that the recording was made in."""
        return self._recording.environment

    def laws(self, failed: Iterable[Row]) -> tuple[Figure, ...]:
        """Return nothing: what was observed elsewhere is not to be swept here."""
        del failed
        return ()

    def evaluate(self, case: Case) -> tuple[CaseResult, Row]:
        """Judge the recorded observation of the case, by the JAX version that made it.

        Raises:
            GoldenError: the case was not recorded, or the golden cannot be read.
        """
        observation = self._recording.observation(case.id)
        result = self.bench.judge(observation, self._jax)
        return result, self.row(result, self.environment)

    @functools.cached_property
    def _jax(self) -> str:
        text = self.environment.packages.get("jax", "")
        try:
            return str(Version(text))
        except InvalidVersion as error:
            raise GoldenError(
                f"{self._recording.folder / PROVENANCE} says that jax {text!r} made the recording, "
                f"which is no version: {self._recording.way_out}"
            ) from error

    def rerun(self, case: Case) -> str:
        """Return the command that judges the recorded case again; settings here change nothing."""
        words = ["conformance", "run", case.id, "--recording", str(self._recording.folder)]
        return rerun(words, self.options, NOWHERE)
