"""Executors of exported programs: what `jax.export` lowers for the CPU, run by something else.

Initializer, transform and samplers are traced and lowered by JAX; key data goes in and words come
out, so that no executor has to know a typed key or a 16-bit float. Such an executor has one way of
asking: `eager` means the exported program, and there is no jitted one beside it.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from conformance.cases.catalogue import InitializerSpec
from conformance.core.arrays import Array, as_dtype, digest, returned
from conformance.core.errors import Absent
from conformance.core.ids import Case, Problem
from conformance.core.laws import Sampler
from conformance.core.records import Observation, Raised, Returned
from conformance.observe.backends.pjrt import sampler_for
from conformance.observe.backends.problem import settings, typed_key
from conformance.observe.backends.stages import staged
from conformance.observe.backends.transforms import eager, legacy_key, vmap
from conformance.observe.jax_compat import mlir_modules

PLATFORM = "cpu"
"""What the programs are lowered for."""

CUSTOM_CALL = re.compile(r"stablehlo\.custom_call @([\w.]+)")

Function = Callable[[Any], Any]
"""Key -> an array, or several."""


class UnsupportedOperation(NotImplementedError):  # noqa: N818  # names a state, not a mistake
    """The executor cannot run an operation of the program; the message names it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What one returned array is: an exported program says it only of the words it is made of."""

    dtype: str
    shape: tuple[int, ...]
    weak_type: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A function of key data as StableHLO.

    text: the module, whose `main` takes one array of uint32 and returns the words of each result.
    """

    text: str = dataclasses.field(repr=False)
    forms: tuple[Form, ...]

    def restore(self, words: Sequence[Array]) -> list[Array]:
        """Return the results that the words are the bits of."""
        return [
            np.ascontiguousarray(part).reshape(-1).view(as_dtype(form.dtype)).reshape(form.shape)
            for part, form in zip(words, self.forms, strict=True)
        ]


Runner = Callable[[Program, Array], Sequence[Array]]
"""Runs a program on key data and returns the words of each result, one unsigned integer each."""


class ExportedBackend:
    """Runs cases as exported programs.

    name: as in case ids. device: the executor, with its version. runner: what runs a program; what
    it raises is an outcome.
    """

    def __init__(self, *, name: str, device: str, runner: Runner) -> None:
        self.name = name
        self.device = device
        self._run = runner
        self._stages: dict[tuple[object, ...], Mapping[str, Array]] = {}

    def observe(self, case: Case, spec: InitializerSpec) -> Observation:
        """Export the case, run it twice; errors of tracing, lowering and running are outcomes.

        Raises:
            ValueError: exported programs know no such transform.
        """
        if case.transform not in TRANSFORMS:
            raise ValueError(
                f"{case.id}: transform {case.transform!r} is none of an exported program, which "
                f"knows {', '.join(TRANSFORMS)}: ask another backend"
            )
        start = time.perf_counter()
        outcome, repeat = self._attempt(case, spec)
        return Observation(
            case=case,
            outcome=outcome,
            repeat_sha256=repeat,
            device=self.device,
            elapsed_s=time.perf_counter() - start,
        )

    def stages(self, case: Case, spec: InitializerSpec) -> Mapping[str, str]:
        """Return digests of the stages before the result; empty where none are defined."""
        return {name: digest(array) for name, array in self.stage_arrays(case, spec).items()}

    def stage_arrays(self, case: Case, spec: InitializerSpec) -> Mapping[str, Array]:
        """Return the stages before the result, from one exported program of all samplers."""
        problem = case.problem
        drawn = sampler_for(case, spec)
        if drawn is None:
            return {}
        asked = (problem.dtype, problem.key, problem.prng, drawn)
        if asked not in self._stages:
            with settings(problem):
                names, program, key = _stage_program(problem, drawn)
                arrays = program.restore(self._run(program, key_data(key)))
            self._stages[asked] = dict(zip(names, arrays, strict=True))
        return self._stages[asked]

    def drawn(self, case: Case, spec: InitializerSpec) -> Array | None:
        """Return None: no QR runs here, so no matrix comes back."""
        del case, spec
        return None

    def execute(self, function: Function, key: Any) -> Array:
        """Return what the function makes of the key, as this executor computes it."""
        program = _exported(function, key)
        return program.restore(self._run(program, key_data(key)))[0]

    def _attempt(self, case: Case, spec: InitializerSpec) -> tuple[Returned | Raised, str | None]:
        """Return the outcome, and the digest of a second run of the same program."""
        problem = case.problem
        try:
            function = TRANSFORMS[case.transform](spec.build(), problem, [])
        except Absent:
            raise
        except Exception as error:
            message = f"{type(error).__name__}: {error}"
            return Raised(exception="SpecError", message=message), None
        try:
            with settings(problem):
                key = typed_key(problem)
                program = _exported(function, key)
                first, second = (
                    program.restore(self._run(program, key_data(key)))[0] for _ in range(2)
                )
        except Absent:
            raise
        except Exception as error:
            return Raised(exception=type(error).__name__, message=str(error)), None
        outcome = returned(first, weak_type=program.forms[0].weak_type)
        return outcome, returned(second).sha256


def programs(case: Case, spec: InitializerSpec) -> Iterator[Program]:
    """Yield what `ExportedBackend.observe` runs, and then what `stages` does.

    Raises:
        Exception: whatever tracing raises, and `UnsupportedOperation`: nothing would be run.
    """
    function = TRANSFORMS[case.transform](spec.build(), case.problem, [])
    with settings(case.problem):
        yield _exported(function, typed_key(case.problem))
        if (drawn := sampler_for(case, spec)) is not None:
            yield _stage_program(case.problem, drawn)[1]


def _stage_program(problem: Problem, drawn: Sampler) -> tuple[list[str], Program, Any]:
    """Return the stages' names, one program of all of them, and its key, under `settings`."""
    names: list[str] = []
    key = typed_key(problem)

    def draw(key: Any) -> list[Any]:
        stages = staged(key, problem, drawn)
        names[:] = stages
        return list(stages.values())

    program = _exported(draw, key)
    return names, program, key


def _exported(function: Function, key: Any) -> Program:
    program = export(function, key)
    require_no_custom_call(program)
    return program


def export(function: Function, key: Any, platform: str = PLATFORM) -> Program:
    """Return the program that JAX lowers for a function of a key like this one.

    Raises:
        TypeError: the function returned something else than arrays.
        Exception: whatever the function raises when it is traced.
    """
    import jax
    from jax import export as jax_export

    forms: list[Form] = []
    implementation, data = jax.random.key_impl(key), key_data(key)

    def main(words: Any) -> tuple[Any, ...]:
        results = function(jax.random.wrap_key_data(words, impl=implementation))
        arrays = results if isinstance(results, list | tuple) else [results]
        forms[:] = [_form(array) for array in arrays]
        return tuple(_as_words(array) for array in arrays)

    jitted = jax.jit(main, keep_unused=True)  # else a constant's program takes no argument
    exported = jax_export.export(jitted, platforms=[platform])(jax.eval_shape(lambda: data))
    return Program(text=_without_locations(exported.mlir_module()), forms=tuple(forms))


def _without_locations(text: str) -> str:
    """Return the module as JAX lowers it wherever its sources lie, and whoever calls it."""
    mlir, ir = mlir_modules()
    with mlir.make_ir_context():
        return str(ir.Module.parse(text).operation.get_asm(enable_debug_info=False))


def require_no_custom_call(program: Program) -> None:
    """Ensure that the program holds operations of StableHLO only.

    Raises:
        UnsupportedOperation: it calls a kernel of XLA's own; LAPACK's, say.
    """
    if kernels := sorted(set(CUSTOM_CALL.findall(program.text))):
        raise UnsupportedOperation(
            f"the exported program calls {', '.join(kernels)}, of which StableHLO knows the name "
            "only: XLA alone can run it"
        )


def key_data(key: Any) -> Array:
    """Return the words of a typed key."""
    import jax

    return np.asarray(jax.random.key_data(key))


def _form(array: Any) -> Form:
    import jax

    if not isinstance(array, jax.Array):
        raise TypeError(f"the initializer returned a {type(array).__name__}, not a jax.Array")
    weak_type = bool(getattr(array.aval, "weak_type", False))
    return Form(dtype=str(array.dtype), shape=tuple(array.shape), weak_type=weak_type)


def _as_words(array: Any) -> Any:
    """Return the bits as unsigned integers; of complex numbers, pairs in a last axis of size 2."""
    import jax

    if array.dtype.kind == "c":
        array = jax.numpy.stack([array.real, array.imag], axis=-1)
    word = np.dtype(f"u{array.dtype.itemsize}")
    return array if array.dtype == word else jax.lax.bitcast_convert_type(array, word)


TRANSFORMS = {"eager": eager, "legacy_key": legacy_key, "vmap": vmap}
"""What can be asked of an exported program. `jit` would be the program of `eager` again, and
`sharded` needs several devices."""
