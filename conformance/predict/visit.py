"""A visit: all that a machine tells that is lent for minutes, has no network, and holds only JAX.

What matters most comes first. Each answer is in a journal before the next question is asked, so
that a visit that is stopped at any moment leaves all that it heard, and another one goes on there:

    quick.journal       the quick tier, eager
    predicted.journal   what is predicted for the device, or where nothing is: the standard tier,
                        but for arrays of a million elements
    laws.journal        whole laws, of every word that a draw can take, by their digests
    laws.txt            the checks of these laws, which need all of their values
    largest.journal     the quick tier's initializers under the largest 32-bit seed
    layers.journal      the parameters of Flax's layers
    iree.journal        the quick tier by IREE's programs, where they and its runtime came along
    programs.json       what the device's compiler makes of the initializers, as fingerprints

`conformance record --finish` makes a recording of the journals of cases. A law is on record as a
parameter of the layer `laws.NAME`, since no case id names one.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import textwrap
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.cases.selection import Selection, select, select_for_goldens
from conformance.cases.sweeps import sweep_case
from conformance.core.arrays import FULL_SIZE_LIMIT, returned
from conformance.core.errors import Absent, BackendUnavailable, SweepError
from conformance.core.files import writing
from conformance.core.formats import NARROW_DTYPES
from conformance.core.ids import Case, Parameter, Tier, parse_case
from conformance.core.lattice import Sweep
from conformance.core.paths import BUDGETS, COMPILED, LAYERS, PREDICTIONS, shipped
from conformance.core.records import (
    COMPUTE_CAPABILITY,
    Entry,
    Environment,
    Outcome,
    Raised,
    Status,
)
from conformance.judge.law.accuracy import gather
from conformance.judge.law.checks import judge_law
from conformance.observe import environment, lowering
from conformance.observe.backends import open_backend
from conformance.observe.backends.kept import open_kept, read_index
from conformance.observe.backends.problem import settings, typed_key
from conformance.observe.backends.transforms import eager
from conformance.observe.journal import Journal, header_line
from conformance.observe.observer import Observer
from conformance.observe.record import without_absent
from conformance.observe.sweep import sweep
from conformance.observe.worker import set_deadline
from conformance.predict import aot, cuda_emulated
from conformance.store.accepted import Accepted, changes, save
from conformance.store.accepted import load as load_programs
from conformance.store.budgets import load as load_budgets
from conformance.store.entries import RECORDING, entry_of, reduced, shard_name
from conformance.store.read import Store, open_store

BUDGET_S = 540.0
"""Seconds of a visit: loans are of ten minutes, and JAX and the transfers take their part."""

MARGIN_S = 20.0
"""How much earlier the last question is asked: far more than any program takes to compile."""

LARGEST_WORD = 2**32 - 1
"""The largest seed that fits the low word of a key."""

LAWS = ("lecun_normal", "normal", "glorot_uniform")
"""One of each family that is drawn: truncated normal, normal, uniform."""

TOPICS = ("quick", "predicted", "laws", "largest", "programs", "layers", "iree")
"""What is asked, in this order: what matters most comes first, and what may not run comes last."""

PROGRAMS = "programs.json"

LAW_TEXTS = "laws.txt"

BUDGETED_AS = {"cuda": cuda_emulated.NAME}
"""By whose budgets a backend is judged that has none of its own yet."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of the device: `ask` answers it. id: of a case, or of a layer in a dtype."""

    id: str
    ask: Callable[[], Sequence[Entry]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """Questions that share a journal, the most important first.

    environment: in which they are answered, where that is not the visit's.
    """

    name: str
    questions: Sequence[Question]
    environment: Environment | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How far a topic came.

    n_before: answered by an earlier visit. n_equal: digests as predicted, of layers
    as on the CPU; n_unequal: other ones, which `compare` judges. note: why there is nothing to ask.
    """

    name: str
    n_asked: int
    n_before: int = 0
    n_answered: int = 0
    n_equal: int = 0
    n_unequal: int = 0
    elapsed_s: float = 0.0
    note: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left to ask."""
        return self.n_before + self.n_answered == self.n_asked

    def __str__(self) -> str:
        if self.note:
            return f"{self.name}: {self.note}"
        done = self.n_before + self.n_answered
        pace = f", {self.n_answered / self.elapsed_s:.1f} a second" if self.elapsed_s else ""
        text = f"{self.name}: {done} of {self.n_asked} in {self.elapsed_s:.0f} s{pace}"
        if self.n_equal or self.n_unequal:
            text += f"; {self.n_equal} as expected, {self.n_unequal} not by digest"
        return text


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a visit is: question `number` of `total` of a topic is answered."""

    topic: str
    number: int
    total: int
    pace: float
    elapsed_s: float
    budget_s: float

    def __str__(self) -> str:
        return (
            f"{self.topic}: {self.number} of {self.total}, {self.pace:.1f} a second, "
            f"{self.elapsed_s:.0f} of {self.budget_s:.0f} s"
        )


Told = Callable[[Progress], None]


class Visit:
    """A visit to a device of this process, which leaves its journals in a folder.

    backend: of JAX. predictions: sets of predictions, of which the ones for the device are put to
    the test, and where none is, all. kept: files of programs that IREE compiled beforehand.

    left_out: initializers that cannot be built here, as Flax is not installed, with the reason.

    Raises:
        BackendUnavailable: there is no such device here.
    """

    def __init__(
        self,
        folder: Path,
        backend: str,
        *,
        predictions: Sequence[Store],
        kept: Sequence[Path] = (),
        budget_s: float = BUDGET_S,
        catalogue: Catalogue | None = None,
    ) -> None:
        self._start = time.monotonic()
        self._folder, self._backend, self._budget_s = folder, backend, budget_s
        self._catalogue = catalogue or load_catalogue()
        self._device = open_backend(backend)
        self._observer, self._kept = Observer(), kept
        self.environment = environment.capture((backend,))
        self._predictions = alike(predictions, self.environment) or list(predictions)
        self._answered = [store for store in self._predictions if answers(store, self.environment)]
        self._budgets = load_budgets(shipped() / BUDGETS)
        layers = shipped() / LAYERS
        self._expected = [*self._answered, *([open_store(layers)] if layers.exists() else [])]
        self.left_out: dict[str, str] = {}

    @property
    def heading(self) -> str:
        """What is visited, and what is put to the test there."""
        facts = self.environment.devices
        capability = _capability(self.environment)
        known = f" (compute capability {capability})" if capability else ""
        names = ", ".join(store.folder.name for store in self._answered) or "none of this release"
        packages = self.environment.packages
        return (
            f"{facts.get(f'{self._backend}.kind', self._backend)}{known}, jax {packages['jax']}, "
            f"jaxlib {packages['jaxlib']}; predictions: {names}; {self._budget_s:.0f} s"
        )

    @property
    def is_over(self) -> bool:
        """Whether no further question may be asked."""
        return time.monotonic() - self._start > self._budget_s - MARGIN_S

    def run(self, told: Told, names: Collection[str] = TOPICS) -> Iterator[Tally]:
        """Ask, topic after topic, and yield how far each came; the process ends at the deadline.

        names: of the topics to ask, where not all are meant.

        Raises:
            GoldenError: a journal in the folder belongs to another visit, or is damaged; or there
                can be no such folder.
            JournalError: the disk refuses.
        """
        with writing(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        # By the system, for what a compiler hangs in listens to nothing else.
        set_deadline(max(0.1, self._budget_s - (time.monotonic() - self._start)))
        try:
            for topic in self._topics():
                if topic.name in names:
                    yield self._asked(topic, told)
            if "programs" in names:
                yield self._programs(told)
            if "layers" in names:
                yield self._layers(told)
            if "iree" in names:
                yield from self._by_iree(told)
        finally:
            set_deadline(0)

    def _topics(self) -> Iterator[Topic]:
        """Yield the topics of cases; what an earlier one asks is not asked again."""
        seen: set[str] = set()
        for topic in (self.quick(), self.predicted(), self.laws(), self.largest()):
            fresh = [each for each in topic.questions if each.id not in seen]
            seen.update(each.id for each in fresh)
            yield dataclasses.replace(topic, questions=fresh)

    # --- What is asked ---------------------------------------------------------------------------
    def quick(self) -> Topic:
        """The quick tier."""
        chosen = Selection(tier=Tier.QUICK, backends=(self._backend,))
        return self._topic("quick", select(self._catalogue, chosen))

    def predicted(self) -> Topic:
        """Exactly the cases that are predicted for the device, those of this release first.

        Where nothing is predicted, the standard tier, but for arrays of a million elements, which
        would make 215 MiB of a journal of 13: what is to be carried away is at most 16.
        """
        ids = sorted({key for each in self._predictions for key in each.ids()})
        cases = [dataclasses.replace(parse_case(key), backend=self._backend) for key in ids]
        if not cases:
            chosen = Selection(tier=Tier.STANDARD, backends=(self._backend,))
            every = select_for_goldens(self._catalogue, chosen)
            cases = [case for case in every if math.prod(case.problem.shape) <= FULL_SIZE_LIMIT]
        first = {key for each in self._answered for key in each.ids()}
        # Jitted float32 first: it differs most from the CPU, and nearly all of it is decided.
        cases.sort(
            key=lambda case: (
                case.id not in first,
                case.transform != "jit",
                case.problem.dtype != "float32",
                case.group,
                case,
            )
        )
        return self._topic("predicted", cases)

    def laws(self) -> Topic:
        """Three laws in three dtypes, every word of them, by both ways of asking."""
        questions = []
        for transform, dtype, name in itertools.product(("jit", "eager"), NARROW_DTYPES, LAWS):
            if name in self._catalogue:
                spec = self._catalogue.lookup(name)
                case = sweep_case(spec, dtype, self._backend, transform)
                key = Parameter(layer=f"laws.{name}", dtype=dtype, path=transform).id
                questions.append(Question(id=key, ask=functools.partial(self._swept, key, case)))
        return Topic(name="laws", questions=questions)

    def largest(self) -> Topic:
        """The largest word as a seed."""
        chosen = Selection(
            tier=Tier.QUICK,
            backends=(self._backend,),
            seeds=(LARGEST_WORD,),
            shapes=("64x32",),
            transforms=("eager", "jit"),
        )
        return self._topic("largest", select(self._catalogue, chosen))

    def _topic(self, name: str, cases: Sequence[Case]) -> Topic:
        return Topic(
            name=name,
            questions=[
                Question(id=case.id, ask=functools.partial(self._observed, case))
                for case in self._known(cases)
            ],
        )

    def _known(self, cases: Iterable[Case]) -> list[Case]:
        """Return the cases whose initializers can be built here, and note why others cannot.

        Some need Flax; some that were asked for elsewhere are not in this catalogue.
        """
        mine = [case for case in cases if case.problem.initializer in self._catalogue]
        known, left_out = without_absent(mine, self._catalogue)
        self.left_out.update(left_out)
        return known

    # --- What is answered ------------------------------------------------------------------------
    def _observed(self, case: Case, observer: Observer | None = None) -> Sequence[Entry]:
        spec = self._catalogue.lookup(case.problem.initializer)
        observed = (observer or self._observer).observe_in_full(case, spec)
        return [entry_of(observed, spec.family)]

    def _swept(self, key: str, case: Case) -> Sequence[Entry]:
        """Return a whole law: its digest, those of its blocks, moments, and a sample."""
        spec = self._catalogue.lookup(case.problem.initializer)
        try:
            swept = sweep(spec, case, self._device)
            outcome: Outcome = returned(swept.values)
            self._note(f"{key}: {self._law_text(spec, swept)}")
        except SweepError as error:
            outcome = Raised(exception=type(error).__name__, message=str(error))
        entry = Entry(id=key, shard=shard_name("laws", spec.name), outcome=outcome)
        return [reduced(entry, RECORDING)]

    def _law_text(self, spec: InitializerSpec, swept: Sweep) -> str:
        """Return what the checks of the law say: figures, then the messages of those that fail.

        No ledger is asked: reading one needs more than JAX brings.
        """
        assert spec.definition is not None
        backend = BUDGETED_AS.get(self._backend, self._backend)
        budget = self._budgets.of(backend, spec.name, swept.case.problem.dtype)
        checks = judge_law(gather(spec.definition, swept, budget))
        faults = [check for check in checks if check.status is Status.FAILED]
        names = ", ".join(check.check for check in faults)
        figures = (
            f"{name} {value:.3g}" for check in checks for name, value in check.metrics.items()
        )
        head = f"{f'fails {names}' if faults else 'passes'}: {', '.join(figures)}"
        return "\n".join([head, *(textwrap.indent(check.message, "  ") for check in faults)])

    def _note(self, text: str) -> None:
        """Add to what the checks of laws say, and hand it to the system at once."""
        path = self._folder / LAW_TEXTS
        with writing(path), path.open("a", encoding="utf-8") as stream:
            stream.write(f"{text}\n")

    def _asked(self, topic: Topic, told: Told) -> Tally:
        """Ask what no journal answers yet, while there is time."""
        ids = [each.id for each in topic.questions]
        path = self._folder / f"{topic.name}.journal"
        journal = Journal(path, header_line(ids, topic.environment or self.environment))
        known = journal.read() if path.exists() else {}
        answered = known.keys() | {key.rpartition("/")[0] for key in known}  # layers, by parameters
        todo = [each for each in topic.questions if each.id not in answered]
        counts = {True: 0, False: 0}
        start, n_answered = time.monotonic(), 0
        with journal.appending() as append:
            for each in todo:
                if self.is_over:
                    break
                for entry in each.ask():
                    append(entry)
                    if (is_equal := self._is_as_predicted(entry)) is not None:
                        counts[is_equal] += 1
                n_answered += 1
                elapsed_s = time.monotonic() - start
                told(
                    Progress(
                        topic=topic.name,
                        number=len(ids) - len(todo) + n_answered,
                        total=len(ids),
                        pace=n_answered / max(elapsed_s, 1e-9),
                        elapsed_s=time.monotonic() - self._start,
                        budget_s=self._budget_s,
                    )
                )
        return Tally(
            name=topic.name,
            n_asked=len(ids),
            n_before=len(ids) - len(todo),
            n_answered=n_answered,
            n_equal=counts[True],
            n_unequal=counts[False],
            elapsed_s=time.monotonic() - start,
        )

    def _is_as_predicted(self, entry: Entry) -> bool | None:
        """Return whether the digest is a predicted one, or a layer's golden; None without one."""
        for store in self._expected:
            found = store.entry(entry.id)
            if found is None or isinstance(found.outcome, Raised):
                continue
            return getattr(entry.outcome, "sha256", "") == found.outcome.sha256
        return None

    # --- IREE, layers and programs ---------------------------------------------------------------
    def _by_iree(self, told: Told) -> Iterator[Tally]:
        """Ask what IREE compiled beforehand, of the GPUs that IREE's own drivers find."""
        held, backends = [], []
        for path in self._kept:
            try:
                index, backend = read_index(path), open_kept(path)
            except Absent as fault:
                yield Tally(name="iree", n_asked=0, note=f"not asked: {fault}")
            else:
                held.append(index)
                backends.append(backend)
        if not held:
            return
        observer = Observer(backends)
        asked = self._known(parse_case(key) for index in held for key in index.cases)
        here = environment.capture((self._backend, *(each.name for each in backends)))
        compiled_by = {name: text for index in held for name, text in index.packages.items()}
        topic = Topic(
            name="iree",
            questions=[
                Question(id=case.id, ask=functools.partial(self._observed, case, observer))
                for case in asked
            ],
            environment=dataclasses.replace(here, packages={**here.packages, **compiled_by}),
        )
        try:
            yield self._asked(topic, told)
        except BackendUnavailable as fault:
            yield Tally(name="iree", n_asked=0, note=f"given up: {fault}")

    def _layers(self, told: Told) -> Tally:
        """Ask every layer of the installed Flax for its parameters, in each dtype."""
        try:
            from conformance.flax.layers import PARAM_DTYPES
            from conformance.flax.observe import installed_layers
        except ImportError as error:
            return Tally(name="layers", n_asked=0, note=f"not asked, for {error.name} is missing")
        questions = [
            Question(
                id=Parameter(layer=layer.name, dtype=dtype).id,
                ask=functools.partial(_parameters, layer, dtype),
            )
            for layer, dtype in itertools.product(installed_layers(), PARAM_DTYPES)
        ]
        return self._asked(Topic(name="layers", questions=questions), told)

    def _programs(self, told: Told) -> Tally:
        """Compile on the device what was compiled ahead of time for one like it.

        Equal fingerprints say that what was predicted from a description is what runs.
        """
        start, name = time.monotonic(), "programs"
        target = self._described()
        if target is None:
            return Tally(name=name, n_asked=0, note="nothing was compiled ahead for this device")
        path = shipped() / COMPILED / f"{target.name}.json"
        accepted = load_programs(path, "`conformance compile`")
        cases = self._known(parse_case(f"{key}-{self._backend}-jit") for key in accepted.lines)
        asked = {case.problem.id: case for case in cases}
        found: dict[str, Mapping[str, str]] = {}
        for number, (key, case) in enumerate(asked.items(), start=1):
            if self.is_over:
                break
            found[key] = self._program(case, target)
            self._save(found)
            told(
                Progress(
                    topic=name,
                    number=number,
                    total=len(asked),
                    pace=number / (time.monotonic() - start),
                    elapsed_s=time.monotonic() - self._start,
                    budget_s=self._budget_s,
                )
            )
        moved = {change.key for change in changes(accepted.lines, found)}
        return Tally(
            name=name,
            n_asked=len(asked),
            n_answered=len(found),
            n_equal=len(found.keys() - moved),
            n_unequal=len(moved),
            elapsed_s=time.monotonic() - start,
        )

    def _described(self) -> aot.Target | None:
        """Return this device by the name of the target that is described like it; None for none."""
        import jax

        device = jax.devices(self._backend)[0]
        name = aot.described(self._backend, device)
        if not (name and (shipped() / COMPILED / f"{name}.json").exists()):
            return None
        return aot.Target(platform=self._backend, name=name, kind=device.device_kind, handle=device)

    def _program(self, case: Case, target: aot.Target) -> Mapping[str, str]:
        spec, problem = self._catalogue.lookup(case.problem.initializer), case.problem
        try:
            with settings(problem):
                lowered = aot.lower(target, eager(spec.build(), problem, []), [typed_key(problem)])
                made = aot.compile_lowered(target, lowered)
        except Exception as error:
            return {"error": f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"}
        return made.fields(lowering.fingerprint(lowered.as_text()))

    def _save(self, found: Mapping[str, Mapping[str, str]]) -> None:
        versions = aot.versions(self._backend)
        reason = f"compiled on {self._device.device}"
        save(self._folder / PROGRAMS, Accepted(versions=versions, reason=reason, lines=found))


def alike(predictions: Sequence[Store], here: Environment) -> list[Store]:
    """Return the sets that are for devices of the compute capability that is here."""
    return [each for each in predictions if _capability(each.environment) == _capability(here)]


def answers(predictions: Store, here: Environment) -> bool:
    """Return whether what is recorded here puts a set to the test, but for settings."""
    return bool(alike([predictions], here)) and all(
        predictions.environment.packages.get(name) == here.packages.get(name)
        for name in ("jax", "jaxlib")
    )


def _capability(found: Environment) -> str:
    """Return the compute capability of CUDA devices; "" where there is none or it is not known."""
    return found.devices.get(f"cuda.{COMPUTE_CAPABILITY}", "")


def open_predictions(golden: Path) -> list[Store]:
    """Return the sets of predictions of a golden set."""
    folder = golden / PREDICTIONS
    return [open_store(folder / name) for name in open_store(golden).prediction_names()]


def _parameters(layer: Any, dtype: str) -> Sequence[Entry]:
    from conformance.flax import store
    from conformance.flax.observe import tree

    found = store.outcomes_of(layer.name, dtype, tree(layer, dtype))
    return [store.entry_of(key, outcome) for key, outcome in found.items()]
