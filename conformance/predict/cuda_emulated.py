"""CUDA without a GPU: compiled ahead of time for a described device, its PTX run by NumPy.

JAX and XLA do all they would do on the device but the last step. What comes back is a prediction:
observations carry the mode `predicted`, and elements that an approximate instruction decides have
an interval.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from conformance.cases.catalogue import InitializerSpec
from conformance.core.arrays import Array, digest, returned
from conformance.core.errors import BackendUnavailable, CompilerAbsent, UnknownTarget
from conformance.core.ids import Case
from conformance.core.records import STAGES, Observation, Raised, Returned
from conformance.observe.backends.pjrt import sampler_for
from conformance.observe.backends.problem import settings, typed_key
from conformance.observe.backends.stages import staged
from conformance.observe.backends.transforms import TRANSFORMS as EXECUTED
from conformance.observe.jax_compat import Operation, Value, traced
from conformance.predict import aot, ptx

NAME = "cuda-emulated"
TARGET = "h100"

Function = Callable[..., Any]

KEY = "key"
"""What chains call the words of the key."""


Prepared = tuple[ptx.Chain, Mapping[str, Array], bool]
"""The programs of a case, their arguments, and whether the array is weakly typed."""

TRANSFORMS = {name: EXECUTED[name] for name in ("eager", "legacy_key", "vmap", "jit")}
"""How each transform asks. All run operation by operation, as JAX dispatches them; a function under
`jit` is one operation."""


def open_backend(name: str = NAME) -> CudaEmulatedBackend:
    """Return the emulator of the H100 as a backend.

    Raises:
        BackendUnavailable: the CUDA compiler is not installed.
    """
    try:
        return CudaEmulatedBackend(aot.open_target("cuda", TARGET))
    except (CompilerAbsent, UnknownTarget) as error:
        raise BackendUnavailable(f"backend {name!r} cannot be opened: {error}") from error


class CudaEmulatedBackend:
    """Predicts what cases return on a CUDA device, without one."""

    def __init__(self, target: aot.Target) -> None:
        self.name = NAME
        self.device = target.kind
        self._target = target
        self._programs: dict[str, ptx.Program] = {}
        self._last: tuple[Case, Prepared] | None = None

    def observe(self, case: Case, spec: InitializerSpec) -> Observation:
        """Predict the case; what tracing, compiling and emulating raise is an outcome."""
        start = time.perf_counter()
        repeat = None
        try:
            chain, arguments, weak_type = self._prepared(case, spec)
            outcome: Returned | Raised = returned(chain.run(arguments), weak_type=weak_type)
            repeat = returned(chain.run(arguments)).sha256
        except Exception as error:
            outcome = Raised(exception=type(error).__name__, message=str(error))
        return Observation(
            case=case,
            outcome=outcome,
            repeat_sha256=repeat,
            device=self.device,
            elapsed_s=time.perf_counter() - start,
            mode="predicted",
        )

    def predict(self, case: Case, spec: InitializerSpec) -> ptx.Prediction:
        """Return the case's array with the interval of each element; it raises what that raises."""
        chain, arguments, _ = self._prepared(case, spec)
        return chain.predict(arguments)

    def stages(self, case: Case, spec: InitializerSpec) -> Mapping[str, str]:
        """Return digests of the stages before the result; none where one cannot be emulated.

        Stages only explain a difference: what they need must not cost what was predicted.
        """
        try:
            arrays = self.stage_arrays(case, spec)
        except ptx.UnsupportedPtx:
            return {}
        return {name: digest(array) for name, array in arrays.items()}

    def stage_arrays(self, case: Case, spec: InitializerSpec) -> Mapping[str, Array]:
        """Return the stages before the result, each by a program of its own."""
        problem = case.problem
        drawn = sampler_for(case, spec)
        if drawn is None:
            return {}
        with settings(problem):
            key = typed_key(problem)
            return {
                name: self.execute(lambda key, name=name: staged(key, problem, drawn)[name], key)
                for name in STAGES[:-1]
            }

    def drawn(self, case: Case, spec: InitializerSpec) -> Array | None:
        """Return None: no QR runs here, so no matrix comes back."""
        del case, spec
        return None

    def execute(self, function: Function, key: Any) -> Array:
        """Return what the function makes of the key."""
        chain, _ = self._chain(function, key)
        return chain.run({KEY: physical(key)})

    def _prepared(self, case: Case, spec: InitializerSpec) -> Prepared:
        """Return what the case runs; what was prepared last is kept, since lowering takes longest.

        Raises:
            ValueError: emulated devices know no such transform.
        """
        if self._last is None or self._last[0] != case:
            self._last = case, self._prepare(case, spec)
        return self._last[1]

    def _prepare(self, case: Case, spec: InitializerSpec) -> Prepared:
        problem = case.problem
        if case.transform not in TRANSFORMS:
            raise ValueError(
                f"{case.id}: transform {case.transform!r} is not emulated: "
                f"ask for {', '.join(TRANSFORMS)}"
            )
        function = TRANSFORMS[case.transform](spec.build(), problem, [])
        with settings(problem):
            key = typed_key(problem)
            chain, result = self._chain(function, key)
        return chain, {KEY: physical(key)}, bool(result.weak_type)

    def _chain(self, function: Function, key: Any) -> tuple[ptx.Chain, Any]:
        """Return a function as JAX runs it outside `jit`, one program an operation, and its form.

        Raises:
            UnsupportedPtx: an operation returns several arrays.
        """
        program = traced(function, key)
        (taken,), (result,) = program.inputs, program.outputs

        def name(value: Value) -> str:
            return KEY if value == taken else str(value.number)

        links = []
        for operation in program.operations:
            if len(operation.outputs) > 1:
                raise ptx.UnsupportedPtx(
                    f"operation {operation.name} returns several arrays: only one is "
                    "carried from program to program"
                )
            compiled = self._program(_alone(operation), [each.form for each in operation.inputs])
            reads = tuple(map(name, operation.inputs))
            links.append(ptx.Link(program=compiled, reads=reads, writes=name(operation.outputs[0])))
        # Literals are arguments outside `jit`, not constants that a compiler could fold.
        constants = {name(value): physical(array) for value, array in program.constants.items()}
        return ptx.Chain(links=tuple(links), constants=constants, result=name(result)), result.form

    def _program(self, function: Function, arguments: Sequence[Any]) -> ptx.Program:
        """Return the compiled program, the one compiled before if it lowers to the same text."""
        lowered = aot.lower(self._target, function, arguments)
        text = lowered.as_text()
        if text not in self._programs:
            compiled = aot.compile_lowered(self._target, lowered)
            self._programs[text] = ptx.load(compiled.hlo, compiled.ptx, compiled.thunks)
        return self._programs[text]


def physical(array: Any) -> Array:
    """Return the array as it lies in memory: of keys, their words."""
    import jax

    is_key = jax.numpy.issubdtype(array.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(array) if is_key else array)


def _alone(operation: Operation) -> Function:
    """Return an operation of one output as a function of its inputs."""

    def function(*operands: Any) -> Any:
        (output,) = operation.run(*operands)
        return output

    return function
