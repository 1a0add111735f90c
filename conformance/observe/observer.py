"""Observe: run cases on their backends. Knows nothing of goldens, checks or reports.

All that a recording needs, so that it can be made where only JAX, NumPy, ml_dtypes and safetensors
are installed.
"""

from __future__ import annotations

import contextlib
import dataclasses

from conformance.cases.catalogue import InitializerSpec
from conformance.core.ids import Case, Problem
from conformance.core.laws import DeltaOrthogonal, Orthogonal, expected_error
from conformance.core.records import Observation, Raised, Returned
from conformance.observe.backends import Backend, open_backend
from conformance.observe.state import State


class Observer:
    """Runs cases, and opens each backend once."""

    def __init__(self) -> None:
        self._backends: dict[str, Backend] = {}

    def observe(self, case: Case, spec: InitializerSpec) -> Observation:
        """Run the case on its backend, and put back what it changed in this process.

        Raises:
            BackendUnavailable: the backend has no device in this process.
        """
        backend, before = self._backend(case), State.now()
        observation = backend.observe(case, spec)
        if changed := before.restored():
            observation = dataclasses.replace(observation, changed=changed)
        return self._with_draw(observation, spec)

    def _with_draw(self, observation: Observation, spec: InitializerSpec) -> Observation:
        """Return the observation with what was drawn for an orthogonal matrix, if that is known.

        What cannot be drawn must not cost what was observed: the oracle says it then.
        """
        outcome, case = observation.outcome, observation.case
        if not isinstance(outcome, Returned) or not _is_matrix(spec, case.problem, outcome):
            return observation
        with contextlib.suppress(Exception):
            drawn = self._backend(case).drawn(case, spec)
            if drawn is not None:
                outcome = dataclasses.replace(outcome, drawn=drawn.tobytes())
        return dataclasses.replace(observation, outcome=outcome)

    def observe_in_full(self, case: Case, spec: InitializerSpec) -> Observation:
        """Run the case, and look into its stages, where they can be computed.

        Stages only explain a difference: a failure among them must not cost what was observed.

        Raises:
            BackendUnavailable: the backend has no device in this process.
        """
        return self.in_full(self.observe(case, spec), spec)

    def in_full(self, observation: Observation, spec: InitializerSpec) -> Observation:
        """Return the observation with its stages, or as it is where they cannot be computed."""
        with contextlib.suppress(Exception):
            return self.with_stages(observation, spec)
        return observation

    def with_stages(self, observation: Observation, spec: InitializerSpec) -> Observation:
        """Return the observation with digests of its stages, where the backend can tell them."""
        if isinstance(observation.outcome, Raised):
            return observation
        case = observation.case
        stages = self._backend(case).stages(case, spec)
        return dataclasses.replace(observation, stages=stages)

    def _backend(self, case: Case) -> Backend:
        if case.backend not in self._backends:
            self._backends[case.backend] = open_backend(case.backend)
        return self._backends[case.backend]


def _is_matrix(spec: InitializerSpec, problem: Problem, outcome: Returned) -> bool:
    """Return whether an orthogonal matrix came back where one was due."""
    if not isinstance(spec.definition, Orthogonal | DeltaOrthogonal):
        return False
    if (outcome.dtype, outcome.shape) != (problem.dtype, problem.shape):
        return False
    return expected_error(spec.definition, problem.shape, problem.dtype) is None
