"""Observe: run cases on their backends. Knows nothing of goldens, checks or reports.

All that a recording needs, so that it can be made where only JAX, NumPy, ml_dtypes and safetensors
are installed.
"""

from __future__ import annotations

import dataclasses

from conformance.backends import Backend, open_backend
from conformance.catalogue import Catalogue, InitializerSpec
from conformance.model import Case, Observation, Raised


class Observer:
    """Runs cases, and opens each backend once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._backends: dict[str, Backend] = {}

    def observe(self, case: Case) -> Observation:
        """Run the case on its backend.

        Raises:
            BackendUnavailable: the backend has no device in this process.
        """
        return self._backend(case).observe(case, self._spec(case))

    def with_stages(self, observation: Observation) -> Observation:
        """Return the observation with digests of its stages, where the backend can tell them."""
        if isinstance(observation.outcome, Raised):
            return observation
        case = observation.case
        stages = self._backend(case).stages(case, self._spec(case))
        return dataclasses.replace(observation, stages=stages)

    def _backend(self, case: Case) -> Backend:
        if case.backend not in self._backends:
            self._backends[case.backend] = open_backend(case.backend)
        return self._backends[case.backend]

    def _spec(self, case: Case) -> InitializerSpec:
        return self._catalogue.lookup(case.problem.initializer)
