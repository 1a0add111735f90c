"""A call as programs that another release can run: serialized exports, one for each step.

An eager call is several programs: JAX compiles and runs one for each operation, or function under
`jit`, that the initializer calls. Tracing the call lists them. Each is exported by itself, with its
scalars as arguments, so that no compiler can fold what it did not fold before; the jitted call is
one step. Run again, the steps must return what the call returned, or they prove nothing.

Runs inside the environment of one release, so it needs what recording needs; and flatbuffers, with
which JAX serializes. What cannot be done under a release is an answer, with the reason.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from conformance.cases.catalogue import Catalogue
from conformance.core.arrays import Array, as_dtype, returned
from conformance.core.ids import Case
from conformance.observe.backends.problem import settings, typed_key
from conformance.observe.backends.transforms import one_call
from conformance.observe.jax_compat import Operation, Value, traced

REASON_LENGTH = 300


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One program. inputs, outputs: names of the values that it takes and makes."""

    exported: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The programs of one call, in order. constants: values that no step makes. result: a name."""

    steps: tuple[Step, ...]
    constants: Mapping[str, Array]
    result: str

    def run(self) -> str:
        """Return the digest of what the steps return here."""
        values: dict[str, Any] = dict(self.constants)
        for step in self.steps:
            results = step.exported.call(*(values[name] for name in step.inputs))
            values.update(zip(step.outputs, results, strict=True))
        return returned(np.asarray(values[self.result])).sha256


Answer = dict[str, Any]
"""`sha256` of what the steps return, or the `reason` why that cannot be told."""


def export_all(cases: Sequence[Case], catalogue: Catalogue) -> Iterator[tuple[str, Answer]]:
    """Yield for each case its steps and the digest of what they return here, or the reason."""
    for case in cases:
        yield case.id, _answer(functools.partial(_exported, case, catalogue))


def run_all(exported: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Answer]]:
    """Yield for each case the digest of what its steps return here, or the reason."""
    for key, fields in exported.items():
        yield key, _answer(functools.partial(_ran, fields))


def _answer(attempt: Callable[[], Answer]) -> Answer:
    try:
        return attempt()
    except Exception as error:  # whatever a release makes of it says why nothing can be told
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return {"reason": text[:REASON_LENGTH]}


def _exported(case: Case, catalogue: Catalogue) -> Answer:
    import jax

    problem = case.problem
    initializer = catalogue.lookup(problem.initializer).build()
    with settings(problem):
        call = one_call(case.transform, initializer, problem, jax.devices())
        steps = trace(call, typed_key(problem))
        return {**fields_of(steps), "sha256": steps.run()}


def _ran(fields: Mapping[str, Any]) -> Answer:
    return {"sha256": parsed(fields).run()}


# --- Tracing -------------------------------------------------------------------------------------


def trace(call: Any, key: Any) -> Steps:
    """Return the steps of a call with a key like this one."""
    import jax

    implementation: Any = jax.random.key_impl(key)  # a name, or what stands for one
    words = np.asarray(jax.random.key_data(key))
    program = traced(lambda data: call(_wrapped(data, implementation)), words)
    ((taken,), (result,)) = program.inputs, program.outputs
    return Steps(
        steps=tuple(
            Step(
                exported=_export(operation, implementation),
                inputs=tuple(map(_name, operation.inputs)),
                outputs=tuple(map(_name, operation.outputs)),
            )
            for operation in program.operations
        ),
        constants={
            _name(value): np.asarray(_unwrapped(array))
            for value, array in {taken: words, **program.constants}.items()
        },
        result=_name(result),
    )


def _name(value: Value) -> str:
    return str(value.number)


def _export(operation: Operation, implementation: Any) -> Any:
    """Return the program of one operation. Keys go in and out as their words."""
    import jax

    forms = [value.form for value in operation.inputs]

    def step(*arrays: Any) -> tuple[Any, ...]:
        inputs = [
            _wrapped(array, implementation) if _is_key(form) else array
            for array, form in zip(arrays, forms, strict=True)
        ]
        return tuple(map(_unwrapped, operation.run(*inputs)))

    shapes = [_shape_of(form, implementation) for form in forms]
    # A step that used no argument would else be another program, and could not take it.
    return _export_module().export(jax.jit(step, keep_unused=True))(*shapes)


def _shape_of(form: Any, implementation: Any) -> Any:
    import jax

    if not _is_key(form):
        return jax.ShapeDtypeStruct(form.shape, form.dtype)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    words = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0, impl=implementation)))
    return jax.ShapeDtypeStruct((*form.shape, *words.shape), words.dtype)  # type: ignore[no-untyped-call]  # as above


def _is_key(array: Any) -> bool:
    import jax

    return bool(jax.numpy.issubdtype(array.dtype, jax.dtypes.prng_key))


def _wrapped(words: Any, implementation: Any) -> Any:
    import jax

    return jax.random.wrap_key_data(words, impl=implementation)


def _unwrapped(value: Any) -> Any:
    import jax

    return jax.random.key_data(value) if hasattr(value, "dtype") and _is_key(value) else value


def _export_module() -> Any:
    """Return the module that exports: `jax.export` since JAX 0.4.30.

    Raises:
        NotImplementedError: this JAX has none.
    """
    try:
        from jax import export
    except ImportError:
        raise NotImplementedError("it is older than jax.export") from None
    return export


# --- As JSON -------------------------------------------------------------------------------------


def fields_of(steps: Steps) -> dict[str, Any]:
    """Return the steps as JSON holds them."""
    return {
        "steps": [
            {
                "exported": base64.b64encode(bytes(step.exported.serialize())).decode(),
                "inputs": list(step.inputs),
                "outputs": list(step.outputs),
            }
            for step in steps.steps
        ],
        "constants": {
            name: {
                "dtype": str(array.dtype),
                "shape": list(array.shape),
                "bits": array.tobytes().hex(),
            }
            for name, array in steps.constants.items()
        },
        "result": steps.result,
    }


def parsed(fields: Mapping[str, Any]) -> Steps:
    """Return the steps that `fields_of` wrote, perhaps under another release.

    Raises:
        Exception: this release cannot read the programs of that one; it says why.
    """
    deserialize = _export_module().deserialize
    return Steps(
        steps=tuple(
            Step(
                exported=deserialize(bytearray(base64.b64decode(step["exported"]))),
                inputs=tuple(step["inputs"]),
                outputs=tuple(step["outputs"]),
            )
            for step in fields["steps"]
        ),
        constants={
            name: np.frombuffer(bytes.fromhex(part["bits"]), as_dtype(part["dtype"])).reshape(
                part["shape"]
            )
            for name, part in fields["constants"].items()
        },
        result=fields["result"],
    )
