"""Observe: run cases on their backends. Knows nothing of goldens, checks or reports.

All that a recording needs, so that it can be made where only JAX, NumPy, ml_dtypes and safetensors
are installed.
"""

from __future__ import annotations

from conformance.backends import Backend, open_backend
from conformance.catalogue import Catalogue
from conformance.model import Case, Observation


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
        if case.backend not in self._backends:
            self._backends[case.backend] = open_backend(case.backend)
        spec = self._catalogue.lookup(case.problem.initializer)
        return self._backends[case.backend].observe(case, spec)
