"""A traced program, opened: which operation is a call, a loop or a branch under any JAX release.

What differs between releases is told here and nowhere else in this package: the names of calls
(`pjit` up to 0.6, `jit` from 0.8; `custom_vjp_call_jaxpr` up to 0.5), and how a scan says which of
its arguments are constants, carried, or read slice by slice (counts up to 0.11, trees from 0.12).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from conformance.core.arrays import Array
from conformance.observe.jax_compat import Operation, Program

CALLS = frozenset(
    {
        *("jit", "pjit", "closed_call", "core_call", "xla_call"),
        *("remat", "remat2", "checkpoint"),
        *("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"),
    }
)
"""Operations that run their first program once, on their own inputs, for their own outputs.

A closed list: a scan without constants looks like a call, and what is not known is no call."""

SAME = frozenset(
    {
        *("copy", "copy_p", "stop_gradient", "optimization_barrier", "sharding_constraint"),
        *("random_clone", "name", "reduce_precision"),
    }
)
"""Operations whose every output is the input of the same place."""

ELEMENTWISE = frozenset(
    {
        *("add", "add_any", "sub", "mul", "div", "rem", "max", "min", "neg", "sign", "abs", "pow"),
        *("sqrt", "rsqrt", "cbrt", "square", "integer_pow", "exp", "exp2", "log", "log1p", "expm1"),
        *("tanh", "sin", "cos", "tan", "logistic", "erf", "erfc", "erf_inv", "nextafter", "floor"),
        *("ceil", "round", "clamp", "is_finite", "not", "and", "or", "xor", "eq", "ne", "lt", "le"),
        *("gt", "ge", "convert_element_type", "shift_left", "shift_right_logical"),
        *("shift_right_arithmetic", "bitcast_convert_type", "complex"),
    }
)
"""Operations that make each element of their output of the same element of their inputs."""

SUMS = ("add", "sub", "add_any")

MOVING = frozenset(
    {"reshape", "transpose", "squeeze", "broadcast_in_dim", "slice", "rev", "expand_dims"}
)
"""Operations that make an array of the elements of another one, by their parameters alone."""

MOVING_BY_INDEX = frozenset({"gather", "dynamic_slice"})
"""The same, by their other inputs."""

NOT_FUNCTIONS = ("callback", "infeed", "rng_uniform", "axis_index")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A scan: its inputs are constants, then what is carried, then what is read slice by slice.

    Its outputs are what is carried, then what each turn appends.
    """

    body: Program
    n_constants: int
    n_carried: int
    length: int
    is_reversed: bool


def body_of(operation: Operation) -> Program | None:
    """Return the program that a call runs; None for anything else."""
    if operation.name not in CALLS or not operation.programs:
        return None
    return operation.programs[0]


def loop_of(operation: Operation) -> Loop | None:
    """Return the loop that a scan is; None for anything else."""
    if operation.name != "scan":
        return None
    parameters = operation.parameters
    if "ft_in" in parameters:
        constants, carried, _ = (len(list(each)) for each in parameters["ft_in"].unpack())
    else:
        constants, carried = parameters["num_consts"], parameters["num_carry"]
    return Loop(
        body=operation.programs[0],
        n_constants=constants,
        n_carried=carried,
        length=parameters["length"],
        is_reversed=parameters["reverse"],
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class While:
    """A loop: its inputs are constants of the condition, those of the body, then the state."""

    condition: Program
    body: Program
    n_of_condition: int
    n_of_body: int


def while_of(operation: Operation) -> While | None:
    """Return the loop that a `while` is; None for anything else."""
    if operation.name != "while":
        return None
    order = [name for name in operation.parameters if name in {"cond_jaxpr", "body_jaxpr"}]
    programs = dict(zip(order, operation.programs, strict=True))
    return While(
        condition=programs["cond_jaxpr"],
        body=programs["body_jaxpr"],
        n_of_condition=operation.parameters["cond_nconsts"],
        n_of_body=operation.parameters["body_nconsts"],
    )


def live(program: Program) -> Iterator[Operation]:
    """Return the operations on which an output depends, in their order."""
    wanted, found = set(program.outputs), list[Operation]()
    for operation in reversed(program.operations):
        if not wanted.isdisjoint(operation.outputs):
            wanted.update(operation.inputs)
            found.append(operation)
    return reversed(found)


def default_branch(operation: Operation) -> int:
    """Return which branch a `platform_index` takes where no platform has one of its own."""
    platforms = operation.parameters["platforms"]
    return next((i for i, each in enumerate(platforms) if each is None), len(platforms) - 1)


def asks_the_world(operation: Operation) -> bool:
    """Return whether the operation is more than a function: it must never be run to be read."""
    return any(part in operation.name for part in NOT_FUNCTIONS)


def shape_of(operation: Operation, place: int = 0) -> tuple[int, ...]:
    """Return the shape of one output."""
    return tuple(operation.outputs[place].form.shape)


def dtype_of(operation: Operation, place: int = 0) -> str:
    """Return the name of the dtype of one output; `key<fry>` and the like for keys."""
    return str(operation.outputs[place].form.dtype)


def computed(operation: Operation, arrays: Sequence[Any]) -> tuple[Array, ...]:
    """Return the outputs of an operation on NumPy arrays."""
    return tuple(np.asarray(each) for each in operation.run(*arrays))


def moved(operation: Operation, array: Array) -> Array:
    """Return what one of MOVING makes of an array of anything, as a view where NumPy can."""
    parameters = operation.parameters
    match operation.name:
        case "transpose":
            return array.transpose(parameters["permutation"])
        case "slice":
            strides = parameters["strides"] or (1,) * array.ndim
            bounds = zip(
                parameters["start_indices"], parameters["limit_indices"], strides, strict=True
            )
            return array[tuple(slice(*each) for each in bounds)]
        case "rev":
            return np.flip(array, parameters["dimensions"])
        case "broadcast_in_dim":
            sizes = [1] * len(parameters["shape"])
            for axis, size in zip(parameters["broadcast_dimensions"], array.shape, strict=True):
                sizes[axis] = size
            return np.broadcast_to(array.reshape(sizes), parameters["shape"])
        case _:
            return array.reshape(shape_of(operation))
