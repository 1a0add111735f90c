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

from conformance import aot, ptx
from conformance.arrays import Array, digest, returned
from conformance.backends.base import BackendUnavailable
from conformance.backends.pjrt import eager, legacy_key, sampler_for, settings, typed_key
from conformance.backends.stages import staged
from conformance.catalogue import InitializerSpec
from conformance.model import STAGES, Case, Observation, Raised, Returned

NAME = "cuda-emulated"
TARGET = "h100"

Function = Callable[..., Any]
Run = Callable[[ptx.Choice], Array]

TRANSFORMS = {"eager": eager, "legacy_key": legacy_key, "jit": eager}
"""How each transform asks; all but `jit` run operation by operation, as JAX dispatches them."""


def open_backend() -> CudaEmulatedBackend:
    """Return the emulator of the H100 as a backend.

    Raises:
        BackendUnavailable: the CUDA compiler is not installed.
    """
    try:
        return CudaEmulatedBackend(aot.open_target("cuda", TARGET))
    except (aot.CompilerAbsent, aot.UnknownTarget) as error:
        raise BackendUnavailable(f"backend {NAME!r} cannot be opened: {error}") from error


class CudaEmulatedBackend:
    """Predicts what cases return on a CUDA device, without one."""

    def __init__(self, target: aot.Target) -> None:
        self.name = NAME
        self.device = target.kind
        self._target = target
        self._programs: dict[str, ptx.Program] = {}

    def observe(self, case: Case, spec: InitializerSpec) -> Observation:
        """Predict the case; what tracing, compiling and emulating raise is an outcome."""
        start = time.perf_counter()
        repeat = None
        try:
            run, weak_type = self._prepared(case, spec)
            outcome: Returned | Raised = returned(run(ptx.Choice()), weak_type=weak_type)
            repeat = returned(run(ptx.Choice())).sha256
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
        run, _ = self._prepared(case, spec)
        return ptx.predict(run)

    def stages(self, case: Case, spec: InitializerSpec) -> Mapping[str, str]:
        """Return digests of the stages before the result; empty where none are defined."""
        return {name: digest(array) for name, array in self.stage_arrays(case, spec).items()}

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

    def execute(self, function: Function, key: Any) -> Array:
        """Return what the function makes of the key, compiled as one program."""
        return self._program(function, [key]).run([physical(key)], ptx.Choice())

    def _prepared(self, case: Case, spec: InitializerSpec) -> tuple[Run, bool]:
        """Return how to run the case, everything compiled, and whether its array is weakly typed.

        Raises:
            ValueError: emulated devices know no such transform.
        """
        import jax

        problem = case.problem
        if case.transform not in TRANSFORMS:
            raise ValueError(
                f"{case.id}: transform {case.transform!r} is not emulated: "
                f"ask for {', '.join(TRANSFORMS)}"
            )
        function = TRANSFORMS[case.transform](spec.build(), problem, [])
        with settings(problem):
            key = typed_key(problem)
            traced = jax.make_jaxpr(function)(key)
            weak_type = bool(traced.out_avals[0].weak_type)
            if case.transform != "jit":
                return self._by_operation(traced, key), weak_type
            program = self._program(function, [key])
        data = physical(key)
        return lambda choice: program.run([data], choice), weak_type

    def _by_operation(self, traced: Any, key: Any) -> Run:
        """Return how to run a traced function as JAX does outside `jit`: one program an operation.

        Literals are arguments there, not constants that a compiler could fold.
        """
        jaxpr = traced.jaxpr
        programs = [self._program(_bound(equation), _avals(equation)) for equation in jaxpr.eqns]
        known = dict(zip(jaxpr.constvars, map(physical, traced.consts), strict=True))
        known[jaxpr.invars[0]] = physical(key)

        def run(choice: ptx.Choice) -> Array:
            values = dict(known)
            for equation, program in zip(jaxpr.eqns, programs, strict=True):
                arguments = [_value(variable, values) for variable in equation.invars]
                values[equation.outvars[0]] = program.run(arguments, choice)
            return _value(jaxpr.outvars[0], values)

        return run

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


def _bound(equation: Any) -> Function:
    """Return the operation of an equation as a function of its operands."""

    def operation(*operands: Any) -> Any:
        results = equation.primitive.bind(*operands, **equation.params)
        return results[0] if equation.primitive.multiple_results else results

    return operation


def _avals(equation: Any) -> list[Any]:
    return [variable.aval for variable in equation.invars]


def _value(variable: Any, values: Mapping[Any, Array]) -> Array:
    """Return what a variable holds, or what a literal is."""
    if hasattr(variable, "val"):
        return np.asarray(variable.val, variable.aval.dtype)
    return values[variable]
