"""What of JAX is not public, or differs between its releases."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import itertools
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from conformance.core.formats import WIDE_DTYPES, default_log2_points
from conformance.core.ids import LATTICE, PRNGS
from conformance.core.lattice import spread


def mlir_modules() -> tuple[Any, Any]:
    """Return JAX's own `mlir`, which makes contexts that know its dialects, and MLIR's `ir`.

    Raises:
        ImportError: this JAX has them elsewhere.
    """
    from jax._src.interpreters import mlir
    from jaxlib.mlir import ir

    return mlir, ir


def stablehlo_dialect() -> Any:
    """Return the dialect StableHLO, whose `eval_module` interprets programs from JAX 0.10 on.

    Raises:
        ImportError: jaxlib holds none.
    """
    from jaxlib.mlir.dialects import stablehlo

    return stablehlo


class ProgramCache(Protocol):
    """What JAX may ask for compiled programs."""

    def get(self, key: str) -> bytes | None:
        """Return the program of that key, or None."""

    def put(self, key: str, value: bytes) -> None:
        """Take a program that was just compiled."""


def programs_folder() -> str | None:
    """Return where JAX was told to keep compiled programs, or None if nowhere."""
    import jax

    folder: str | None = jax.config.jax_compilation_cache_dir
    return folder or None


def may_keep_programs() -> bool:
    """Return whether JAX would keep compiled programs if it were told where."""
    import jax

    return bool(jax.config.jax_enable_compilation_cache)


@contextlib.contextmanager
def keeping_programs(cache: ProgramCache, folder: Path) -> Iterator[None]:
    """Let JAX ask the cache for every program, and hand it each that was compiled, in the block.

    folder: where the cache is; JAX keeps nothing there itself.
    """
    import jax
    from jax._src import compilation_cache

    settings = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
        # XLA's own caches, of what a GPU was measured to be fastest with, are no programs.
        "jax_persistent_cache_enable_xla_caches": "none",
    }
    known = {name: getattr(jax.config, name) for name in settings if hasattr(jax.config, name)}
    module: Any = compilation_cache
    module.reset_cache()  # what it found out while there was no cache
    try:
        for name in known:
            jax.config.update(name, settings[name])  # type: ignore[no-untyped-call]  # JAX leaves it untyped
        module._cache, module._cache_initialized = cache, True
        yield
    finally:
        for name, value in known.items():
            jax.config.update(name, value)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
        module.reset_cache()


def topology(platform: str, arguments: Mapping[str, str]) -> Any:
    """Return the description of devices that are not there, for which programs can be compiled."""
    from jax.experimental import topologies

    return topologies.get_topology_desc(platform=platform, **arguments)


def x64() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which 64-bit dtypes exist, under old and new JAX alike."""
    import jax

    # `jax.experimental.enable_x64` is the only name before JAX 0.8.
    module = jax if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental")
    context: contextlib.AbstractContextManager[Any] = module.enable_x64(True)
    return context


def whole_tracebacks() -> contextlib.AbstractContextManager[Any]:
    """Return a context in which JAX raises exceptions with their tracebacks as they are.

    Else it leaves its own frames out, for which it looks up a dozen folders for each frame of the
    stack: of an exception within pytest ten milliseconds. Type and text of it are the same. The
    setting is this thread's alone, and no program depends on it.
    """
    from jax._src import config

    setting = getattr(config, "traceback_filtering", None)
    if setting is None:  # this JAX has it elsewhere, and takes its time
        return contextlib.nullcontext()
    context: contextlib.AbstractContextManager[Any] = setting("off")
    return context


def key_words(key: object) -> tuple[str, tuple[int, ...]] | None:
    """Return the generator and the words of one key of JAX, typed or not; None of anything else."""
    import jax

    if not isinstance(key, jax.Array):
        return None
    try:
        words = np.asarray(jax.random.key_data(key))
    except TypeError:
        return None
    if words.ndim != 1 or words.dtype != np.uint32:
        return None
    is_typed = jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key)
    # Words alone do not say whose they are: the default's.
    name = str(jax.random.key_impl(key)) if is_typed else str(jax.config.jax_default_prng_impl)
    return (name, tuple(words.tolist())) if name in PRNGS else None


def platforms() -> list[str]:
    """Return the platforms that have a device in this process, the default one last; starts JAX.

    A platform is told by the name that its plug-in registered: `jax.default_backend` calls CUDA and
    ROCm alike.

    Raises:
        RuntimeError, AssertionError: JAX_PLATFORMS names none that is here.
    """
    from jax._src import xla_bridge

    clients, default = xla_bridge.backends(), xla_bridge.get_backend()
    # Until 0.4.31 an interpreter of XLA's counted as a platform.
    names = (name for name in clients if name != "interpreter")
    return sorted(names, key=lambda name: clients[name] is default)


def has_started() -> bool:
    """Return whether JAX has made its devices, and read the flags of XLA; starts nothing."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    return bridge is not None and bool(bridge.backends_are_initialized())


def x64_for(dtype: str) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which arrays of the dtype exist."""
    return x64() if dtype in WIDE_DTYPES else contextlib.nullcontext()


@functools.cache
def lattice_key(log2_count: int | None = None) -> Any:
    """Return a typed key whose random bits are `lattice_words`, over and over."""
    import jax
    from jax.extend.random import define_prng_impl

    implementation = define_prng_impl(
        key_shape=(1,),
        seed=lambda _: jax.numpy.zeros((1,), "uint32"),
        split=lambda key, shape: jax.numpy.broadcast_to(key, (*shape, 1)),
        random_bits=functools.partial(_counting_bits, log2_count),
        fold_in=lambda key, _: key,
        name=LATTICE,
    )
    return jax.random.key(0, impl=implementation)


def _counting_bits(log2_count: int | None, key: Any, bits: int, shape: tuple[int, ...]) -> Any:
    """Return `lattice_words(bits, log2_count)` in the shape, starting again at the end.

    They count on from the key's word, which is 0. If they did not depend on the key, a compiler
    could take a whole law for a constant, and compute it by other means than it computes draws.
    """
    import jax

    log2_count = log2_count or default_log2_points(bits)
    word = jax.numpy.dtype(f"u{bits // 8}")
    counter = (key[0] + jax.lax.iota(jax.numpy.uint32, math.prod(shape))) % (1 << log2_count)
    return spread(counter.astype(word), bits, log2_count).reshape(shape)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """An array or key of a traced program, told from its others by the number.

    form: its shape, dtype and weak type, as JAX holds them.
    """

    number: int
    form: Any = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One step of a traced program.

    name: of its primitive, under which releases may differ: `jit` was `pjit`.
    programs: what `_programs` finds among the parameters.
    is_call: whether it runs its one program once, with its own inputs, for its own outputs.
    run: returns its outputs for arrays or keys, traced or not.
    """

    name: str
    parameters: Mapping[str, Any]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    programs: tuple[Program, ...]
    is_call: bool
    run: Callable[..., tuple[Any, ...]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A function as JAX traced it: its operations in the order in which they run.

    constants: what it holds, literals among it. Of an open jaxpr only the literals are known.
    """

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    constants: Mapping[Value, Any]
    operations: tuple[Operation, ...]

    def needed(self) -> Program:
        """Return the program without the operations that none of its outputs depends on."""
        wanted, kept = set(self.outputs), []
        for operation in reversed(self.operations):
            if wanted.intersection(operation.outputs):
                wanted.update(operation.inputs)
                kept.append(operation)
        return dataclasses.replace(self, operations=tuple(reversed(kept)))

    def all_operations(self) -> Iterator[Operation]:
        """Yield its operations, each followed by those of the programs in it.

        Each is yielded once, however often a loop or devices run it, and those of all branches.
        """
        for operation in self.operations:
            yield operation
            for program in operation.programs:
                yield from program.all_operations()


def traced(function: Callable[..., Any], *arguments: Any) -> Program:
    """Return the program that the function is for arguments like these."""
    import jax

    return _program(jax.make_jaxpr(function)(*arguments))


def _program(jaxpr: Any) -> Program:
    """Return a jaxpr, with its constants or without, as a record."""
    constants = getattr(jaxpr, "consts", ())
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    numbers = itertools.count()
    values: dict[Any, Value] = {}
    held: dict[Value, Any] = {}

    def value_of(variable: Any) -> Value:
        is_literal = hasattr(variable, "val")
        if not is_literal and variable in values:
            return values[variable]
        value = Value(number=next(numbers), form=variable.aval)
        if is_literal:
            held[value] = np.asarray(variable.val, variable.aval.dtype)
        else:
            values[variable] = value
        return value

    inputs = tuple(map(value_of, jaxpr.invars))
    held.update(zip(map(value_of, jaxpr.constvars), constants, strict=False))
    return Program(
        inputs=inputs,
        operations=tuple(
            each
            for equation in jaxpr.eqns
            for each in _as_before(_operation(equation, value_of), numbers)
        ),
        outputs=tuple(map(value_of, jaxpr.outvars)),
        constants=held,
    )


def _as_before(operation: Operation, numbers: Iterator[int]) -> Iterator[Operation]:
    """Yield an operation; of `stack`, from JAX 0.12 on, what it was before: a concatenation.

    numbers: of values that no other has.
    """
    if operation.name != "stack":
        yield operation
        return
    import jax
    from jax import lax

    axis, (output,) = operation.parameters["axis"], operation.outputs
    shape = (*output.form.shape[:axis], 1, *output.form.shape[axis + 1 :])
    places = tuple(place for place in range(len(shape)) if place != axis)
    forms = [
        jax.ShapeDtypeStruct(shape, each.form.dtype)  # type: ignore[no-untyped-call]  # JAX
        for each in operation.inputs
    ]
    parts = [Value(number=next(numbers), form=form) for form in forms]
    for value, part in zip(operation.inputs, parts, strict=True):
        yield dataclasses.replace(
            operation,
            name="broadcast_in_dim",
            parameters={"shape": shape, "broadcast_dimensions": places},
            inputs=(value,),
            outputs=(part,),
            run=lambda array: (lax.broadcast_in_dim(array, shape, places),),
        )
    yield dataclasses.replace(
        operation,
        name="concatenate",
        parameters={"dimension": axis},
        inputs=tuple(parts),
        run=lambda *arrays: (lax.concatenate(arrays, axis),),
    )


def _operation(equation: Any, value_of: Callable[[Any], Value]) -> Operation:
    name, parameters = str(equation.primitive.name), equation.params
    inputs = tuple(map(value_of, equation.invars))
    outputs = tuple(map(value_of, equation.outvars))
    programs = tuple(_programs(tuple(parameters.values())))
    is_call = (
        name != "scan"  # of a carry alone it may look like a call, and is a loop
        and len(programs) == 1
        and _forms(programs[0].inputs) == _forms(inputs)
        and _forms(programs[0].outputs) == _forms(outputs)
    )
    return Operation(
        name=name,
        parameters=parameters,
        inputs=inputs,
        outputs=outputs,
        programs=programs,
        is_call=is_call,
        run=functools.partial(_run, equation.primitive, parameters),
    )


def _programs(parameter: Any) -> Iterator[Program]:
    """Yield the programs that a parameter of an operation is or holds, in its order.

    Those are jaxprs, closed or open, alone or in tuples, lists and mappings, however deep: of jit,
    checkpoint, custom derivatives (the function itself), branches of cond, conditions and bodies of
    loops, shard_map and pmap, and what reductions and scatters combine elements by. Not entered is
    what JAX would yet have to trace: the rules of a custom derivative.
    """
    if hasattr(parameter, "eqns") or hasattr(getattr(parameter, "jaxpr", None), "eqns"):
        yield _program(parameter)
    elif isinstance(parameter, tuple | list | Mapping):
        parts = parameter.values() if isinstance(parameter, Mapping) else parameter
        for part in parts:
            yield from _programs(part)


def _forms(values: Iterable[Value]) -> list[tuple[Any, Any]]:
    return [
        (getattr(each.form, "shape", None), getattr(each.form, "dtype", None)) for each in values
    ]


def _run(primitive: Any, parameters: Mapping[str, Any], *arrays: Any) -> tuple[Any, ...]:
    bound = primitive.get_bind_params(parameters)
    # Before JAX 0.11 functions among the parameters came apart from the others.
    functions, others = bound if isinstance(bound, tuple) else ([], bound)
    results = primitive.bind(*functions, *arrays, **others)
    return tuple(results) if primitive.multiple_results else (results,)


QR = "qr"
"""The function of `jax.numpy.linalg` that factors."""


@contextlib.contextmanager
def factored() -> Iterator[list[tuple[Any, Any]]]:
    """Collect each matrix that JAX factors within the block, and the Q of its QR.

    Programs are traced anew, for those compiled before would say nothing; a callback in them tells
    what was factored. So a program may be compiled otherwise here: compare what it returns.
    """
    jax = importlib.import_module("jax")  # whose functions of caches and effects have no types
    found: list[tuple[Any, Any]] = []
    places = [
        importlib.import_module(name) for name in ("jax._src.numpy.linalg", "jax.numpy.linalg")
    ]
    originals = [getattr(place, QR) for place in places]

    def told(matrix: Any, q: Any) -> None:
        found.append((np.asarray(matrix), np.asarray(q)))

    def qr(matrix: Any, *arguments: Any, **named: Any) -> Any:
        result = originals[0](matrix, *arguments, **named)
        if isinstance(result, tuple):
            jax.debug.callback(told, matrix, result[0])
        return result

    jax.clear_caches()
    for place in places:
        setattr(place, QR, qr)
    try:
        yield found
        jax.effects_barrier()
    finally:
        for place, original in zip(places, originals, strict=True):
            setattr(place, QR, original)
        jax.clear_caches()
