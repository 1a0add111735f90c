"""Observe, judge, compare, sweep, solve and explain, of an initializer or an array at hand."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.api.answers import Answer, Compared, Explained, Judged, Observed, Swept
from conformance.api.asked import (
    Initializer,
    case_of,
    catalogue_of,
    definition_of,
    dtype_of,
    named_case,
    problem_of,
    spec_of,
)
from conformance.cases.catalogue import InitializerSpec
from conformance.cases.offers import refuse
from conformance.cases.sweeps import TRANSFORMS, is_swept, sweep_case, unswept_reason
from conformance.core.arrays import Array, returned
from conformance.core.budgets import BudgetTable
from conformance.core.errors import ReportError, SelectionError, unknown
from conformance.core.formats import DTYPES
from conformance.core.ids import Case
from conformance.core.laws import Definition
from conformance.core.paths import shipped
from conformance.core.records import BASE, VALUES, Budget, CaseResult, Observation
from conformance.core.settings import installed_jax
from conformance.judge.bench import Bench
from conformance.judge.budgets import budget_for
from conformance.judge.checks.base import not_applicable
from conformance.judge.drift import DEFAULT_BUDGET
from conformance.judge.law.checks import ACCURACY
from conformance.judge.law.verdict import LawResult
from conformance.judge.ledger import Ledger
from conformance.judge.rules import default_checks, load_ledger
from conformance.judge.verdict import compare as compare_outcomes
from conformance.judge.verdict import judge as judge_observation
from conformance.judge.verdict import verdict
from conformance.observe.backends import present_backends
from conformance.observe.observer import Observer
from conformance.oracle import solve
from conformance.run.evaluate import further_draws, judged
from conformance.run.explain import explanation
from conformance.run.sweeps import evaluate as evaluate_sweep
from conformance.store.budgets import stacked
from conformance.store.stack import open_stack

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN_TO_ALL = Ledger(limitations=())
"""What is known of an initializer that is no one's but the caller's."""


def observe(
    initializer: Initializer,
    *,
    definition: Definition | None = None,
    shape: Sequence[int] | None = None,
    dtype: Any = None,
    key: Any = None,
    backend: str | None = None,
    transform: str | None = None,
) -> Observed:
    """Call an initializer, and return what it did: an array, or what it raised.

    >>> seen = conformance.observe("lecun_normal", shape=(64, 32), dtype="bfloat16", key=7)
    >>> seen.array.shape, seen.array.dtype
    ((64, 32), dtype(bfloat16))

    Args:
        initializer: a function of (key, shape, dtype), as those of `jax.nn.initializers` are; or
            the name of one that is known here. Or the id of a case, as reports name it: then
            nothing else is given.
        definition: what the function must return, such as `Normal(stddev=0.02)`; for `judge`.
        shape: of the array; (64, 32) if not given.
        dtype: of the array, by name or as JAX has it; float32 if not given.
        key: a seed, a text such as `s0.fold5`, or a key of JAX; the seed 0 if not given.
        backend: cpu, cuda, tpu or another; the device that JAX takes, if not given.
        transform: eager, jit, vmap, sharded or another; eager if not given.

    Raises:
        ConformanceError: something asked for is not known or not here, or the function cannot be
            called as initializers are; the message says what is.
    """
    given = {
        "definition": definition,
        "shape": shape,
        "dtype": dtype,
        "key": key,
        "backend": backend,
        "transform": transform,
    }
    is_known = isinstance(initializer, str)
    if isinstance(initializer, str) and "-" in initializer:
        case, spec = named_case(initializer, given)
    else:
        spec = spec_of(initializer, definition)
        case = case_of(problem_of(spec.name, shape, dtype, key), backend, transform)
    return Observed(observation=Observer().observe(case, spec), spec=spec, is_known=is_known)


def judge(observed: Observed) -> Judged:
    """Return the verdict of all checks on what was observed.

    An initializer that is known here is held to its golden, where one is stored, and to its
    definition. A function of yours is held to the definition that `observe` was given.

    >>> verdict = conformance.judge(conformance.observe("lecun_normal"))
    >>> verdict.has_passed
    True

    Raises:
        StoreError: the goldens that came with this package cannot be read.
    """
    _require_observed("judge", observed)
    result_of = _of_known if observed.is_known else _of_function
    return Judged(result=result_of(observed.observation, observed.spec))


def _require_observed(name: str, observed: object) -> None:
    if not isinstance(observed, Observed):
        raise SelectionError(
            f"{name} takes what conformance.observe returns, and not {type(observed).__name__}: "
            f"write conformance.{name}(conformance.observe(initializer))"
        )


def _of_known(observation: Observation, spec: InitializerSpec) -> CaseResult:
    return judged(observation, _bench(spec, load_ledger()), Observer())


def _of_function(observation: Observation, spec: InitializerSpec) -> CaseResult:
    """Judge without a golden: nobody has stored one of a function that has no name here."""
    bench, observer = _bench(spec, UNKNOWN_TO_ALL), Observer()
    checks = [check for check in default_checks(bench.max_drift) if check.name != VALUES]
    return judge_observation(
        observer.in_full(observation, spec),
        spec=spec,
        golden=None,
        budgets=bench.budgets,
        ledger=bench.ledger,
        checks=checks,
        jax_version=installed_jax(),
        looks=further_draws(observation, bench, observer),
    )


def _bench(spec: InitializerSpec, ledger: Ledger) -> Bench:
    return Bench(
        specs={spec.name: spec}, goldens=open_stack(shipped()), ledger=ledger, budgets=_budgets()
    )


@functools.cache
def _budgets() -> BudgetTable:
    return stacked(shipped())


def compare(actual: Any, expected: Any, *, definition: Definition | None = None) -> Compared:
    """Return how one array differs from another: the class of the change, and the worst element.

    Both may be arrays of JAX or NumPy, or what `observe` and `oracle` return. Of an answer of the
    oracle that with the roundings of JAX's own steps counts, if there is one, and up to the budget
    that was measured for its definition a change is rounding; else up to 6 ULP.

    >>> before, after = (conformance.observe("he_normal", key=key) for key in (0, 1))
    >>> conformance.compare(after, before).drift_class
    <DriftClass.STREAM: 'stream'>

    Args:
        actual: the array in question.
        expected: what it is held to.
        definition: the law of both, whose sigma distances are measured by; else that of what was
            observed or answered for, or the spread of `expected` itself.
    """
    sides = (actual, expected)
    answer = next((side for side in sides if isinstance(side, Answer)), None)
    definition = definition or next(filter(None, map(_definition_of, sides)), None)
    spec = InitializerSpec(
        name="compared",
        build=lambda: _nothing,
        definition=definition,
        family=definition.family if definition else "custom",
    )
    budget = DEFAULT_BUDGET if answer is None else _budget(answer, sides)
    one, two = (_outcome(side) for side in sides)
    problem = None if answer is None else answer.problem
    return Compared(drift=compare_outcomes(one, two, spec, budget, problem=problem))


def _definition_of(side: object) -> Definition | None:
    match side:
        case Answer():
            return side.definition
        case Observed():
            return side.spec.definition
        case _:
            return None


def _nothing(*_: object) -> None:
    """Stand where nothing is called."""


def _budget(answer: Answer, sides: Sequence[object]) -> Budget:
    """Return how far what was observed may lie from what the oracle says."""
    backends = [side.case.backend for side in sides if isinstance(side, Observed)]
    spec = InitializerSpec(
        name=answer.problem.initializer,
        build=lambda: _nothing,
        definition=answer.definition,
        family=answer.definition.family,
    )
    backend = backends[0] if backends else BASE
    case = Case(problem=answer.problem, backend=backend, transform="eager")
    return budget_for(spec, case, _budgets())


def _outcome(side: object) -> Any:
    match side:
        case Observed():
            return side.observation.outcome
        case Answer():
            # Rounded once, an answer shows in which direction JAX's own steps round.
            return returned(side.array if side.followed is None else side.followed)
        case _:
            return returned(_as_array(side))


def _as_array(value: object) -> Array:
    try:
        array = np.asarray(value)
    except TypeError as error:  # a key of JAX is one
        raise SelectionError(f"compare takes arrays of numbers: {error}") from None
    if array.dtype.name not in DTYPES:
        raise SelectionError(
            f"compare takes arrays of {', '.join(DTYPES)}, and not {type(value).__name__} of dtype "
            f"{array.dtype.name}; two folders are for `conformance compare`"
        )
    return array


def law(
    initializer: Initializer,
    *,
    definition: Definition | None = None,
    dtype: Any = "float32",
    backend: str | None = None,
    transform: str = "eager",
) -> Swept:
    """Return the exact law of an initializer: its values at all words its generator can draw.

    Without sampling noise, in a second or less: mean, variance, bounds, and the worst error. Of an
    initializer that draws one word for each element.

    >>> swept = conformance.law("uniform", dtype="bfloat16")
    >>> swept.exact.n_points, swept.exact.maximum
    (128, 0.0099...)

    Args:
        initializer: a function of (key, shape, dtype), or the name of one that is known here.
        definition: what the function must return; a name has its own.
        dtype: float32, bfloat16, float16, or another that is swept.
        backend: cpu, cuda, tpu or another; the device that JAX takes, if not given.
        transform: eager or jit.

    Raises:
        ConformanceError: something asked for is not known, not here, or cannot be swept.
    """
    spec = spec_of(initializer, definition)
    if not is_swept(spec) or spec.definition is None:
        raise SelectionError(
            f"{spec.name} cannot be swept: {unswept_reason(spec)}. A function of yours needs "
            "definition=, such as Normal(stddev=0.02); matrices and constants have no law of "
            "single elements"
        )
    if transform not in TRANSFORMS:
        raise SelectionError(unknown("transform", transform, TRANSFORMS))
    backend = present_backends()[-1] if backend is None else backend
    case = sweep_case(spec, dtype_of(dtype), backend, transform)
    refuse(backend, transform, "threefry2x32", (), case.problem.dtype)
    is_known = isinstance(initializer, str)
    result = evaluate_sweep(
        case,
        catalogue=catalogue_of(spec),
        budgets=_budgets(),
        ledger=load_ledger() if is_known else UNKNOWN_TO_ALL,
    )
    return Swept(result=result if is_known else _without_budget(result), definition=spec.definition)


def _without_budget(result: LawResult) -> LawResult:
    """Return the verdict without a word on accuracy, for which nobody measured a budget."""
    found = result.result
    checks = tuple(
        dataclasses.replace(not_applicable(ACCURACY), metrics=check.metrics)
        if check.check == ACCURACY
        else check
        for check in found.checks
    )
    return dataclasses.replace(result, result=verdict(found.observation, checks, None, ()))


def oracle(
    definition: Definition | str,
    *,
    shape: Sequence[int] | None = None,
    dtype: Any = None,
    key: Any = None,
) -> Answer:
    """Return the array that a definition demands, by NumPy alone: JAX is not asked.

    >>> answer = conformance.oracle(conformance.Normal(stddev=0.02), shape=(4, 8), key=7)
    >>> answer.array.shape, answer.array.dtype
    ((4, 8), dtype('float32'))
    >>> initializer = jax.nn.initializers.normal(0.02)
    >>> found = conformance.compare(initializer(jax.random.key(7), (4, 8)), answer)
    >>> found.drift_class in ("identical", "rounding")
    True

    Args:
        definition: such as `Normal(stddev=0.02)`; or the name of an initializer that has one.
        shape: of the array; (64, 32) if not given.
        dtype: of the array; float32 if not given.
        key: a seed, a text, or a key of JAX, as `observe` takes; the seed 0 if not given.

    Raises:
        OracleUnavailable: it has no answer, as where the call must raise; the message says why.
        ConformanceError: something asked for is not known.
    """
    name, law = definition_of(definition)
    problem = problem_of(name, shape, dtype, key)
    return Answer(problem=problem, definition=law, solution=solve(problem, law))


def explain(observed: Observed) -> Explained:
    """Return each stage of what was observed, from the key to the array, beside the oracle's.

    >>> print(conformance.explain(conformance.observe("lecun_normal", shape=(4, 8))))
    lecun_normal-float32-4x8-s0-cpu-eager on cpu
    definition: VarianceScaling(scale=1.0, mode='fan_in', distribution='truncated_normal'...
    """
    _require_observed("explain", observed)
    lines = explanation(observed.case, catalogue_of(observed.spec)).lines()
    return Explained(lines=tuple(lines))


def load_records(
    folder: str | os.PathLike[str] = "reports", *, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return what runs reported, as a pandas frame: one row a case, with versions and flags.

    folder: of one run, or the folder of reports, of which all runs are read, oldest first.
    columns: those to read, of a run of many seeds: all of a million rows are a GiB.

    >>> rows = conformance.load_records("reports")  # of `conformance run zeros-...-eager ones-...`
    >>> rows.groupby("initializer", observed=True)["drift_class"].max().to_dict()
    {'ones': 'identical', 'zeros': 'identical'}

    Raises:
        ReportError: there is no run, or one that this version cannot read.
        ValueError: there is no such column.
    """
    from conformance.report.frames import read_run, read_runs
    from conformance.report.run import RECORDS, ROWS

    place = Path(folder)
    if not place.is_dir():
        raise ReportError(f"{place} is no folder: name the one that `--reports` named, or a run's")
    is_run = any((place / name).exists() for name in (RECORDS, ROWS))
    return (read_run if is_run else read_runs)(place, columns=columns)
