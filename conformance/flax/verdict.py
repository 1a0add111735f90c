"""Are a layer's parameters what they must be? Judged by the checks of cases, by the same rules.

A layer adds a claim to an initializer: which key it derives for which parameter. So a parameter is
first held to its claim, bit by bit: it is what JAX's initializer makes of the key that the oracle
derives. What the initializer made of that key is then a case like any other, judged with the
budgets, classes, stages and ledger of cases, and against the golden of the parameter.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.core.arrays import Array, returned
from conformance.core.ids import Case, Parameter, Problem
from conformance.core.laws import Definition
from conformance.core.records import (
    BASE,
    VALUES,
    Drift,
    DriftClass,
    Entry,
    Observation,
    Outcome,
    Raised,
    Returned,
    Status,
)
from conformance.core.settings import installed_jax
from conformance.flax import observe, store
from conformance.flax.checks import derived_key, parameter_fault, tree_fault
from conformance.flax.layers import Claim, Layer
from conformance.flax.observe import LAYERS, REVEALING, SEED
from conformance.judge.budgets import Budgets, release_budget
from conformance.judge.drift import classify
from conformance.judge.ledger import Ledger
from conformance.judge.rules import default_checks
from conformance.judge.verdict import compare, judge
from conformance.oracle.threefry import Key

NO_KEY = np.zeros(2, np.uint32)
"""For initializers that ignore it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """By what layers are judged: what cases are judged by, and the goldens of layers.

    folder: the set that holds them.
    """

    catalogue: Catalogue
    budgets: Budgets
    ledger: Ledger
    goldens: Mapping[str, Outcome]
    folder: Path
    max_drift: DriftClass = DriftClass.ROUNDING

    def missing(self, layer: Layer, ids: Iterable[str]) -> list[str]:
        """Return which of the layer's ids have no golden, with the command that stages one."""
        command = store.staging(self.folder, layer.name)
        return [f"{key} has no golden: run `{command}`" for key in ids if key not in self.goldens]


Tree = Mapping[str, Array] | Raised


def layer_faults(layer: Layer, dtype: str, tree: Tree, rules: Rules) -> list[str]:
    """Return what is wrong with the layer's tree: its claims, its draws, its goldens."""
    faults = claim_faults(layer, dtype, tree)
    if isinstance(tree, Raised):
        return faults + _faults_of_error(layer, dtype, rules)
    faults += rules.missing(layer, store.outcomes_of(layer.name, dtype, tree))
    for claim in layer.claims:
        if claim.name in tree:
            faults += _faults_of_parameter(layer, claim, dtype, tree[claim.name], rules)
    return faults


def claim_faults(layer: Layer, dtype: str, tree: Tree, *, revealing: bool = False) -> list[str]:
    """Return every departure of the tree from the layer's claims."""
    drawn = {claim: _drawn(layer, claim, dtype, revealing) for claim in layer.claims}
    refusals = {value.exception for value in drawn.values() if isinstance(value, Raised)}
    if isinstance(tree, Raised):
        if tree.exception in refusals:
            return []  # the initializer itself refuses this dtype: the ledger speaks of it
        return [f"raises {tree.exception}: {tree.message}"]
    if refusals:
        return [f"returns, though an initializer of its claims raises {', '.join(refusals)}"]
    found = [tree_fault(layer, tree)]
    for claim, array in drawn.items():
        if claim.name in tree and not isinstance(array, Raised):
            fault = parameter_fault(claim, dtype, tree, array)
            found.append(f"{claim.name} {fault}" if fault else "")
    return [fault for fault in found if fault]


def _drawn(layer: Layer, claim: Claim, dtype: str, revealing: bool = False) -> Array | Raised:
    """Return what JAX's initializer makes of the key that the oracle derives."""
    definition = REVEALING if revealing and claim.argument else claim.definition
    return observe.draw(definition, _key(layer, claim), claim.drawn_shape, claim.drawn_dtype(dtype))


def _key(layer: Layer, claim: Claim) -> Key:
    key = derived_key(layer, claim, SEED)
    return NO_KEY if key is None else key


# --- Draws as cases ------------------------------------------------------------------------------


def _faults_of_error(layer: Layer, dtype: str, rules: Rules) -> list[str]:
    """Return what is wrong with the error that initializing raised, which is an outcome too.

    It is that of an initializer, whose case it is: the ledger knows which releases raise what.
    """
    name = store.entry_id(layer.name, dtype)
    faults = rules.missing(layer, [name])
    for claim in layer.claims:
        drawn = _drawn(layer, claim, dtype)
        if isinstance(drawn, Raised):
            faults += _judged(layer, claim, dtype, drawn, rules.goldens.get(name), rules)
    return faults


def _faults_of_parameter(
    layer: Layer, claim: Claim, dtype: str, parameter: Array, rules: Rules
) -> list[str]:
    drawn = _drawn(layer, claim, dtype)
    if isinstance(drawn, Raised):
        return []  # a fault of the claim, which has been told
    name = store.entry_id(layer.name, dtype, claim.name)
    golden = rules.goldens.get(name)
    if golden is None or _is_as_drawn(claim, dtype, str(parameter.dtype)):
        return _judged(layer, claim, dtype, drawn, golden, rules)
    drift = classify(returned(parameter), golden)
    faults = _judged(layer, claim, dtype, drawn, None, rules)
    if drift.drift_class.rank > rules.max_drift.rank:
        faults.append(f"{name} drifted from its golden: {drift.drift_class}: {drift.detail}")
    return faults


def _judged(
    layer: Layer,
    claim: Claim,
    dtype: str,
    drawn: Array | Raised,
    golden: Outcome | None,
    rules: Rules,
) -> list[str]:
    """Return the messages of the checks that the draw fails, with the parameter's name in them.

    golden: of the parameter, which has the shape of the tree; None to judge without.
    """
    spec = spec_of(claim.definition, rules.catalogue)
    key = _key(layer, claim)
    name, accepted = store.entry_id(layer.name, dtype, claim.name), None
    if golden is not None:
        accepted = Entry(id=name, shard="", outcome=_as_drawn(golden, claim))
    observation = observed(claim, dtype, drawn, spec, key)
    verdict = functools.partial(
        judge,
        spec=spec,
        golden=accepted,
        budgets=rules.budgets,
        ledger=rules.ledger,
        checks=default_checks(rules.max_drift),
        jax_version=installed_jax(),
        key=key,
    )
    result = verdict(observation)
    if result.status is Status.FAILED and isinstance(observation.outcome, Returned):
        stages = observe.stages(claim.definition, key, observation.case.problem)
        result = verdict(dataclasses.replace(observation, stages=stages))
    failed = [check for check in result.checks if check.status is Status.FAILED]
    if golden is None:
        failed = [check for check in failed if check.check != VALUES]
    return [check.message.replace(observation.case.id, name) for check in failed]


def observed(
    claim: Claim, dtype: str, drawn: Array | Raised, spec: InitializerSpec, key: Key
) -> Observation:
    """Return the draw of a parameter as the observation of a case.

    Its problem has the seed of the layer's root, from which the key of the draw is derived. The
    layer's own call was the first, and `claim_faults` compares the two bit by bit.
    """
    case = _case(claim, dtype, spec)
    outcome: Outcome = drawn if isinstance(drawn, Raised) else returned(drawn)
    if isinstance(outcome, Returned):
        normals = observe.normals(claim.definition, key, case.problem)
        outcome = dataclasses.replace(outcome, drawn=normals)
    return Observation(
        case=case,
        outcome=outcome,
        repeat_sha256=outcome.sha256 if isinstance(outcome, Returned) else None,
        device=BASE,
        elapsed_s=0.0,
    )


def parameter_drift(
    parameter: Parameter,
    actual: Outcome,
    expected: Outcome,
    *,
    catalogue: Catalogue,
    budgets: Budgets,
) -> Drift:
    """Return how a parameter differs from its golden, by the law of its draw where it is one."""
    found = (
        (layer, claim)
        for layer in LAYERS
        for claim in layer.claims
        if (layer.name, claim.name) == (parameter.layer, parameter.path)
    )
    layer, claim = next(found, (None, None))
    returned_dtype = expected.dtype if isinstance(expected, Returned) else ""
    if not (layer and claim and _is_as_drawn(claim, parameter.dtype, returned_dtype)):
        return classify(actual, expected)
    spec = spec_of(claim.definition, catalogue)
    case = _case(claim, parameter.dtype, spec)
    return compare(
        _as_drawn(actual, claim),
        _as_drawn(expected, claim),
        spec,
        release_budget(spec, case, budgets),
        problem=case.problem,
        key=_key(layer, claim),
    )


def _is_as_drawn(claim: Claim, dtype: str, returned_dtype: str) -> bool:
    """Return whether a parameter is its draw, and so a case.

    What the layer made of the draw, by a norm or a cast, is none: it has its claim.
    """
    return not claim.normalized and returned_dtype == claim.drawn_dtype(dtype)


def _case(claim: Claim, dtype: str, spec: InitializerSpec) -> Case:
    problem = Problem(
        initializer=spec.name,
        dtype=claim.drawn_dtype(dtype),
        shape=claim.drawn_shape,
        seed=SEED,
    )
    return Case(problem=problem, backend=BASE, transform="eager")


def spec_of(definition: Definition, catalogue: Catalogue) -> InitializerSpec:
    """Return the built-in initializer of a definition; one without a name where there is none."""
    family = definition.family
    for spec in catalogue:
        if spec.definition == definition and spec.family == family:
            return spec
    return InitializerSpec(
        name=family,
        build=lambda: observe.initializer(definition),
        definition=definition,
        family=family,
    )


def _as_drawn(golden: Outcome, claim: Claim) -> Outcome:
    """Return the golden of a parameter in the shape in which its initializer draws."""
    if isinstance(golden, Raised) or golden.shape != claim.shape:
        return golden
    return dataclasses.replace(golden, shape=claim.drawn_shape)
