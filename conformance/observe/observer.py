"""Observe: run cases on their backends. Knows nothing of goldens, checks or reports.

All that a recording needs, so that it can be made where only JAX, NumPy, ml_dtypes and safetensors
are installed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from conformance.cases.catalogue import InitializerSpec
from conformance.core.arrays import Array
from conformance.core.ids import Block, Case, Problem
from conformance.core.keys import KeySpec
from conformance.core.laws import DeltaOrthogonal, Orthogonal, expected_error
from conformance.core.records import Observation, Raised, Returned
from conformance.observe.backends import Backend, open_backend
from conformance.observe.backends.pjrt import PjrtBackend
from conformance.observe.state import State


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draws:
    """What the seeds of a block draw, along the first axis.

    is_repeated: whether a second call gave the same bits. elapsed_s: of one call, a seed's share.
    normals: what was drawn for each orthogonal matrix, if that is known.
    """

    arrays: Array
    is_repeated: npt.NDArray[np.bool_]
    elapsed_s: float
    normals: Array | None = None


class Observer:
    """Runs cases, and opens each backend once, but for those that are open already: `backends`."""

    def __init__(self, backends: Iterable[Backend] = ()) -> None:
        self._backends = {backend.name: backend for backend in backends}
        self._is_shared = False

    @contextlib.contextmanager
    def one_program(self) -> Iterator[None]:
        """Let cases that come one after the other share their program, if it is the same."""
        self._is_shared = True
        try:
            yield
        finally:
            self._is_shared = False

    def observe(self, case: Case, spec: InitializerSpec) -> Observation:
        """Run the case on its backend, and put back what it changed in this process.

        Raises:
            BackendUnavailable: the backend has no device in this process.
        """
        backend, before = self._backend(case), State.now()
        if isinstance(backend, PjrtBackend):
            observation = backend.observe(case, spec, is_shared=self._is_shared)
        else:
            observation = backend.observe(case, spec)
        if changed := before.restored():
            observation = dataclasses.replace(observation, changed=changed)
            if isinstance(backend, PjrtBackend):
                backend.forget()
        return self._with_draw(observation, spec)

    def observe_many(self, block: Block, spec: InitializerSpec) -> Draws | Raised | None:
        """Draw all arrays of a block twice, or refuse to; None where that cannot be done at once.

        What a call leaves changed is put back, and then nothing is at once: the call that does it
        is found one by one.
        """
        backend, before = self._backend(block.case), State.now()
        if not isinstance(backend, PjrtBackend):
            return None
        start = time.perf_counter()
        try:
            draw = backend.many(block, spec)
            first, second = draw(), draw()
        except Exception as error:
            refusal = Raised(exception=type(error).__name__, message=str(error))
            return None if before.restored() else refusal
        if before.restored():
            backend.forget()
            return None
        problem, size = block.case.problem, len(block.seeds)
        wanted = (problem.dtype, (size, *problem.shape), False)
        if (str(first.arrays.dtype), first.arrays.shape, first.weak_type) != wanted:
            return None
        rows = (each.arrays.reshape(size, -1).view(np.uint8) for each in (first, second))
        return Draws(
            arrays=first.arrays,
            is_repeated=np.equal(*rows).all(axis=1),
            elapsed_s=(time.perf_counter() - start) / 2 / size,
            normals=self._normals(backend, block, spec),
        )

    @staticmethod
    def _normals(backend: PjrtBackend, block: Block, spec: InitializerSpec) -> Array | None:
        if isinstance(spec.definition, Orthogonal | DeltaOrthogonal):
            with contextlib.suppress(Exception):
                return backend.many_drawn(block, spec)().arrays
        return None

    def draws(self, case: Case, spec: InitializerSpec, keys: Sequence[KeySpec]) -> Array | None:
        """Return what the case draws under other keys, along a new first axis.

        One call after the other, since some generators draw other bits for many keys at once. None
        where that is not asked, or not possible: the case's own array is judged without.
        """
        backend = self._backend(case)
        if not keys or case.transform == "vmap" or not isinstance(backend, PjrtBackend):
            return None
        before = State.now()
        try:
            arrays = backend.draws(case, spec, keys)
        except Exception:
            return None
        finally:
            before.restored()
        problem = case.problem
        wanted = (problem.dtype, problem.shape)
        if any((str(each.dtype), each.shape) != wanted for each in arrays):
            return None
        return np.stack(arrays)

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
