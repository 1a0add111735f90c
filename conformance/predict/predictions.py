"""What a CUDA device will return, how that differs from CPU and definition, and its record.

Predictions are stored as of cases of the backend `cuda`, with all that they permit where they leave
something open. The first recording made on such a device confirms them or refutes them:
`conformance compare`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.cases.selection import Selection, select
from conformance.core.arrays import Array, returned, thin
from conformance.core.budgets import BudgetTable
from conformance.core.errors import GoldenError
from conformance.core.files import atomic_folder, remove, require_new, writing
from conformance.core.ids import Case, Problem, Tier
from conformance.core.inventory import changing
from conformance.core.paths import MANIFEST, PREDICTIONS
from conformance.core.records import (
    COMPUTE_CAPABILITY,
    Budget,
    Drift,
    Entry,
    Environment,
    Observation,
    Outcome,
    Raised,
    Returned,
)
from conformance.core.settings import differences
from conformance.core.words import counted
from conformance.judge.budgets import budget_for
from conformance.judge.verdict import compare
from conformance.observe import environment
from conformance.observe.backends.pjrt import PjrtBackend
from conformance.oracle import OracleUnavailable, solve
from conformance.predict import aot, ptx
from conformance.predict.cuda_emulated import CudaEmulatedBackend
from conformance.store.entries import HIGHEST, LOWEST, PREDICTED, entry_of
from conformance.store.read import Store, open_store
from conformance.store.write import now, write_store

PLATFORM = "cuda"

DIGITS = 16
"""How many digits of a digest tell the whole arrays that a prediction permits apart."""

COLUMNS = (
    "case",
    "equal to CPU",
    "ULP",
    "ULP of sigma",
    "class",
    "open",
    "ULP of sigma from oracle",
    "class from oracle",
)
"""`open`: elements with more than one permitted result."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One predicted case. prediction: None where something was raised.

    from_cpu, from_oracle: how it differs from the CPU's array, and the oracle's where it has one.
    """

    observation: Observation
    prediction: ptx.Prediction | None
    from_cpu: Drift
    from_oracle: Drift | None

    @property
    def n_open(self) -> int:
        """Elements for which several results are permitted."""
        return int(self.prediction.is_open.sum()) if self.prediction else 0


def judge(
    cases: Sequence[Case],
    target: aot.Target,
    catalogue: Catalogue,
    measured: BudgetTable,
) -> Iterator[Judged]:
    """Predict every case, and judge it by the measured budgets of the CPU."""
    emulated, cpu = CudaEmulatedBackend(target), PjrtBackend("cpu")
    for case in cases:
        spec = catalogue.lookup(case.problem.initializer)
        on_cpu = dataclasses.replace(case, backend=cpu.name)
        yield _judged(on_cpu, spec, emulated, cpu, measured)


def _judged(
    case: Case,
    spec: InitializerSpec,
    emulated: CudaEmulatedBackend,
    cpu: PjrtBackend,
    measured: BudgetTable,
) -> Judged:
    observed = emulated.observe(case, spec)
    outcome = observed.outcome
    prediction = None if isinstance(outcome, Raised) else emulated.predict(case, spec)
    budget = budget_for(spec, case, measured)
    expected = cpu.observe(case, spec).outcome
    on_device = dataclasses.replace(case, backend=PLATFORM)
    return Judged(
        observation=dataclasses.replace(observed, case=on_device),
        prediction=prediction,
        from_cpu=compare(outcome, expected, spec, budget.doubled(), problem=case.problem),
        from_oracle=_from_oracle(outcome, case.problem, spec, budget),
    )


def _from_oracle(
    outcome: Outcome, problem: Problem, spec: InitializerSpec, budget: Budget
) -> Drift | None:
    if isinstance(outcome, Raised) or spec.definition is None:
        return None
    try:
        expected = returned(solve(problem, spec.definition).expected)
    except OracleUnavailable:
        return None
    return compare(outcome, expected, spec, budget, problem=problem)


def cells(judged: Judged) -> tuple[str, ...]:
    """Return the row of one prediction; see COLUMNS."""
    case_id, drift = judged.observation.case.id, judged.from_cpu
    outcome = judged.observation.outcome
    if isinstance(outcome, Raised):
        return (case_id, f"raises {outcome.exception}", "", "", str(drift.drift_class), "", "", "")
    equal = f"{drift.n_elements - drift.n_different} of {drift.n_elements}"
    oracle = judged.from_oracle
    figures = ("", "") if oracle is None else (_ulp(oracle), str(oracle.drift_class))
    return (
        case_id,
        equal,
        str(drift.max_ulp or 0),
        _ulp(drift),
        str(drift.drift_class),
        str(judged.n_open),
        *figures,
    )


def _ulp(drift: Drift) -> str:
    return f"{drift.max_ulp_at_sigma or 0:.3g}"


def summary(judged: Sequence[Judged]) -> str:
    """Return one line: how many predictions there are, and how they lie to the CPU."""
    arrays = [one for one in judged if one.prediction]
    equal = sum(one.from_cpu.n_different == 0 for one in arrays)
    decided = sum(one.n_open == 0 for one in arrays)
    return (
        f"predicted {len(arrays)} of {counted(len(judged), 'case')}: {equal} bitwise equal to "
        f"the CPU, {decided} without an open element"
    )


def store(
    judged: Sequence[Judged],
    target: aot.Target,
    catalogue: Catalogue,
    folder: Path,
    goldens: Store,
) -> int:
    """Write the predictions as a new store, and return how many; provenance counts open elements.

    What the emulator cannot run is left out: it says nothing about the device. Of an array that is
    the golden one, one element is kept beside its digest. goldens: what is called so.

    Raises:
        GoldenError: the folder is not empty, the disk refuses, or a golden cannot be read.
    """
    kept = [one for one in judged if not _is_beyond(one.observation.outcome)]
    bounded = [one for one in kept if _needs_bounds(one)]
    predicted = Predictions(
        entries=[_entry(one, catalogue, goldens) for one in kept],
        bounds={
            name: [_bound(one, name, catalogue) for one in bounded] for name in (LOWEST, HIGHEST)
        },
        open_elements={one.observation.case.id: one.n_open for one in kept if one.n_open},
        asked=_asked([one.observation.case for one in judged]),
    )
    predicted.write(folder, target)
    return len(predicted.entries)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """A set of predictions.

    bounds: of the cases that are open element by element, by store. asked: which cases were asked
    for, of which some may be beyond the emulator.
    """

    entries: list[Entry]
    bounds: Mapping[str, list[Entry]]
    open_elements: Mapping[str, int]
    asked: str

    def write(self, folder: Path, target: aot.Target) -> None:
        """Write the set as a new store.

        Raises:
            GoldenError: the folder is not empty, or the disk refuses.
        """
        provenance = {
            "environment": dataclasses.asdict(_environment(target)),
            "date": now(),
            "predicted_for": f"{target.kind} ({target.name})",
            "open_elements": dict(self.open_elements),
            "asked": self.asked,
        }
        with writing(folder), atomic_folder(folder) as draft:
            write_store(draft, self.entries, kind=PREDICTED, provenance=[provenance])
            for name, bounds in self.bounds.items():
                if bounds:
                    write_store(draft / name, bounds, kind=PREDICTED, provenance=[provenance])


def _environment(target: aot.Target) -> Environment:
    """Return what decides about the bits: what compiles here, and for which device."""
    device = {f"{PLATFORM}.{COMPUTE_CAPABILITY}": target.compute_capability}
    return dataclasses.replace(environment.capture(()), devices=device)


# --- Part by part --------------------------------------------------------------------------------
Told = Callable[[Sequence[Judged]], None]


def parts_folder(folder: Path) -> Path:
    """Return where unfinished predictions of `folder` keep their parts, hidden from sets."""
    return folder.with_name(f".{folder.name}.parts")


def store_by_parts(
    cases: Sequence[Case],
    target: aot.Target,
    catalogue: Catalogue,
    folder: Path,
    goldens: Store,
    measured: BudgetTable,
    *,
    resume: bool,
    told: Told,
) -> int:
    """Predict the cases, one compile group after the other, and store them; return how many.

    Each group is on the disk before the next one begins, so that predictions that were killed go on
    with `resume`. Those of the quick tier come first. told: called after each group.

    Raises:
        GoldenError: the folder is not empty, there are parts and `resume` was not asked for, or
            they were made otherwise; or the disk refuses.
    """
    require_new(folder)
    parts = parts_folder(folder)
    if parts.exists() and not resume:
        raise GoldenError(
            f"{parts} holds unfinished predictions: go on with them by --resume, or delete it to "
            "begin anew"
        )
    made = []
    for name, mine in _groups(cases, catalogue):
        part = parts / name
        if part.exists():
            _require_same(open_store(part), target, mine)
        else:
            judged = list(judge(mine, target, catalogue, measured))
            store(judged, target, catalogue, part, goldens)
            told(judged)
        made.append(part)
    joined = _joined(made, _asked(cases))
    with _listing(folder):
        joined.write(folder, target)
    remove(parts)
    return len(joined.entries)


def _listing(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Let the golden set in which the folder lies, if it does, list what is written there."""
    golden = folder.absolute().parents[1]
    is_in_set = folder.parent.name == PREDICTIONS and (golden / MANIFEST).exists()
    return changing(golden) if is_in_set else contextlib.nullcontext()


def _groups(cases: Iterable[Case], catalogue: Catalogue) -> list[tuple[str, list[Case]]]:
    """Return the compile groups, by name, those with cases of the quick tier first."""
    quick = {case.problem for case in select(catalogue, Selection(tier=Tier.QUICK))}
    groups: dict[str, list[Case]] = {}
    for case in cases:
        groups.setdefault(case.group, []).append(case)
    return sorted(
        groups.items(), key=lambda each: quick.isdisjoint(case.problem for case in each[1])
    )


def _require_same(part: Store, target: aot.Target, cases: Sequence[Case]) -> None:
    faults = differences(part.environment, _environment(target))
    if (was := part.latest.get("asked")) != (now := _asked(cases)):
        faults.append(f"asked for: {was} -> {now}")
    if faults:
        raise GoldenError(
            f"{part.folder} was predicted otherwise ({'; '.join(faults[:3])}): restore that, or "
            f"delete {part.folder.parent} to begin anew"
        )


def _asked(cases: Iterable[Case]) -> str:
    """Return how many cases are asked for, and the digest of their ids on the device."""
    ids = sorted(dataclasses.replace(case, backend=PLATFORM).id for case in cases)
    return f"{counted(len(ids), 'case')} {hashlib.sha256(chr(10).join(ids).encode()).hexdigest()}"


def _joined(parts: Iterable[Path], asked: str) -> Predictions:
    stores = [open_store(part) for part in parts]
    bounds: dict[str, list[Entry]] = {LOWEST: [], HIGHEST: []}
    for each in stores:
        for name in each.bound_names():
            bounds[name] += open_store(each.folder / name).entries()
    return Predictions(
        entries=[entry for each in stores for entry in each.entries()],
        bounds=bounds,
        open_elements={
            key: count for each in stores for key, count in each.latest["open_elements"].items()
        },
        asked=asked,
    )


def _entry(one: Judged, catalogue: Catalogue, goldens: Store) -> Entry:
    """Return a prediction as it is stored, with the whole arrays that are permitted beside it."""
    case, prediction = one.observation.case, one.prediction
    entry = entry_of(one.observation, catalogue.lookup(case.problem.initializer).family)
    extra = {name: entry.extra[name] for name in ("device", "mode")}
    if prediction is not None and len(prediction.digests) > 1:
        extra["permitted"] = [digest[:DIGITS] for digest in prediction.digests]
    outcome = entry.outcome
    golden = goldens.golden(case.problem.id, PLATFORM)
    if isinstance(outcome, Returned) and golden and outcome.is_whole:
        is_golden = getattr(golden.outcome, "sha256", None) == outcome.sha256
        outcome = thin(outcome, max(1, math.prod(outcome.shape))) if is_golden else outcome
    return dataclasses.replace(entry, outcome=outcome, extra=extra)


def _needs_bounds(one: Judged) -> bool:
    """Return whether elements are open, each by itself."""
    return one.prediction is not None and one.n_open > 0 and not one.prediction.digests


def _bound(one: Judged, name: str, catalogue: Catalogue) -> Entry:
    """Return the lowest or the highest array that is permitted, as it is stored."""
    assert one.prediction is not None
    array: Array = getattr(one.prediction, name)
    observation = dataclasses.replace(one.observation, outcome=returned(array))
    family = catalogue.lookup(one.observation.case.problem.initializer).family
    return dataclasses.replace(entry_of(observation, family), extra={})


def _is_beyond(outcome: Outcome) -> bool:
    emulator = (ptx.PtxError.__name__, ptx.UnsupportedPtx.__name__)
    return isinstance(outcome, Raised) and outcome.exception in emulator
