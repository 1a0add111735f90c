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
from conformance.observe.backends.pjrt import TRANSFORMS as EXECUTED
from conformance.observe.backends.pjrt import sampler_for, settings, typed_key
from conformance.observe.backends.stages import staged
from conformance.predict import aot, ptx

NAME = "cuda-emulated"
TARGET = "h100"

Function = Callable[..., Any]

KEY = "key"
"""What chains call the words of the key."""


TRANSFORMS = {name: EXECUTED[name] for name in ("eager", "legacy_key", "vmap", "jit")}
"""How each transform asks. All run operation by operation, as JAX dispatches them; a function under
`jit` is one operation."""


def open_backend() -> CudaEmulatedBackend:
    """Return the emulator of the H100 as a backend.

    Raises:
        BackendUnavailable: the CUDA compiler is not installed.
    """
    try:
        return CudaEmulatedBackend(aot.open_target("cuda", TARGET))
    except (CompilerAbsent, UnknownTarget) as error:
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

    def _prepared(
        self, case: Case, spec: InitializerSpec
    ) -> tuple[ptx.Chain, Mapping[str, Array], bool]:
        """Return the programs of the case, their arguments, and whether the array is weakly typed.

        Raises:
            ValueError: emulated devices know no such transform.
        """
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
        import jax

        traced = jax.make_jaxpr(function)(key)
        names = _Names(traced)
        links = []
        for equation in traced.jaxpr.eqns:
            if len(equation.outvars) > 1:
                raise ptx.UnsupportedPtx(
                    f"operation {equation.primitive.name} returns several arrays: only one is "
                    "carried from program to program"
                )
            program = self._program(_bound(equation), [each.aval for each in equation.invars])
            reads = tuple(map(names.of, equation.invars))
            links.append(ptx.Link(program=program, reads=reads, writes=names.of(*equation.outvars)))
        result = names.of(traced.jaxpr.outvars[0])
        chain = ptx.Chain(links=tuple(links), constants=names.constants, result=result)
        return chain, traced.out_avals[0]

    def _program(self, function: Function, arguments: Sequence[Any]) -> ptx.Program:
        """Return the compiled program, the one compiled before if it lowers to the same text."""
        lowered = aot.lower(self._target, function, arguments)
        text = lowered.as_text()
        if text not in self._programs:
            compiled = aot.compile_lowered(self._target, lowered)
            self._programs[text] = ptx.load(compiled.hlo, compiled.ptx, compiled.thunks)
        return self._programs[text]


class _Names:
    """What a chain calls the variables of a traced function of a key, and those that are known.

    Literals are arguments outside `jit`, not constants that a compiler could fold.
    """

    def __init__(self, traced: Any) -> None:
        jaxpr = traced.jaxpr
        self._numbers = {variable: str(number) for number, variable in enumerate(jaxpr.constvars)}
        self._numbers[jaxpr.invars[0]] = KEY
        self.constants = {
            self.of(variable): physical(value)
            for variable, value in zip(jaxpr.constvars, traced.consts, strict=True)
        }

    def of(self, variable: Any) -> str:
        """Return the name of a variable, or of a literal."""
        if not hasattr(variable, "val"):
            return self._numbers.setdefault(variable, str(len(self._numbers)))
        literal = np.asarray(variable.val, variable.aval.dtype)
        name = f"{literal.dtype} {literal.tobytes().hex()}"
        self.constants[name] = literal
        return name


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
