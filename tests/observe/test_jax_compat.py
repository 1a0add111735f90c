"""Traced programs are read by one module, which enters whatever JAX nests in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from conformance.observe.folding import stepwise_folds, whole_folds
from conformance.observe.jax_compat import Program, _programs, traced

BOUND = np.float32(-0.25)
ONE = np.float32(1)

# --- What nests ----------------------------------------------------------------------------------


def folded() -> Any:
    """Return a function of a constant: what a program that XLA compiles whole folds."""
    return jax.lax.erf(jnp.asarray(BOUND))


def ruled(value: Any) -> Any:
    """Return the value and the constant, by a function with a rule for its derivative."""
    function = jax.custom_jvp(lambda value: value + folded())
    function.defjvp(lambda primals, tangents: (primals[0], tangents[0]))
    return function(value)


def reversed_by_rule(value: Any) -> Any:
    """Return the same by a function with a rule for its derivative in reverse."""
    function = jax.custom_vjp(lambda value: value + folded())
    function.defvjp(lambda value: (value, None), lambda _, cotangent: (cotangent,))
    return function(value)


def on_each_device(value: Any) -> Any:
    """Return the same with the number of the device, which only the mesh around it knows."""
    mesh = jax.make_mesh((1,), ("devices",))
    spec = jax.sharding.PartitionSpec()  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    return jax.shard_map(
        lambda value: value + folded() + jax.lax.axis_index("devices"),
        mesh=mesh,
        in_specs=spec,
        out_specs=spec,
        check_vma=False,
    )(value)


def solved(value: Any) -> Any:
    """Return the value by a primitive whose parameter is a tuple of programs with names."""
    return jax.lax.custom_linear_solve(
        lambda x: x * folded(), value, lambda _, b: b, symmetric=True
    )


def counted(value: Any) -> Any:
    return jax.lax.while_loop(lambda v: v < 3, lambda v: v + folded() ** 2, value)


def until(value: Any) -> Any:
    return jax.lax.while_loop(lambda v: v < folded(), lambda v: v + ONE, value)


NESTED: dict[str, Callable[[Any], Any]] = {
    "jit": jax.jit(lambda value: value + folded()),
    "jit in jit": jax.jit(jax.jit(lambda value: value + folded())),
    "checkpoint": jax.checkpoint(lambda value: value + folded()),
    "a rule": ruled,
    "a rule in reverse": reversed_by_rule,
    "a branch": lambda value: jax.lax.cond(value > 0, lambda v: v, lambda v: v + folded(), value),
    "a body of scan": lambda value: jax.lax.scan(
        lambda carry, _: (carry + folded(), None), value, None, length=3
    )[0],
    "a body of while": counted,
    "a condition of while": until,
    "each device": on_each_device,
    "several programs": solved,
    "jit in a branch in scan": lambda value: jax.lax.scan(
        lambda carry, _: (jax.lax.cond(carry > 0, jax.jit(ruled), jnp.negative, carry), None),
        value,
        None,
        length=3,
    )[0],
}


@pytest.mark.parametrize("name", NESTED)
def test_a_program_is_entered_wherever_it_nests(name: str) -> None:
    names = [each.name for each in traced(NESTED[name], ONE).all_operations()]

    assert "erf" in names


@pytest.mark.parametrize("name", NESTED)
@pytest.mark.parametrize("folds", [whole_folds, stepwise_folds])
def test_a_constant_is_seen_wherever_it_nests(folds: Callable[..., Any], name: str) -> None:
    assert [fold.call for fold in folds(NESTED[name], ONE)] == ["erf(-0.25)"]


def test_what_combines_elements_is_no_call_with_the_arguments_of_the_reduction() -> None:
    """It has as many inputs as the reduction, and other ones."""

    def program(value: Any) -> Any:
        constants = jnp.asarray([BOUND, BOUND])
        return value + jax.lax.reduce(constants, ONE, lambda a, b: a * jax.lax.erf(b) + a, (0,))

    (reduction,) = [each for each in traced(program, ONE).operations if each.name == "reduce"]

    assert (len(reduction.programs), reduction.is_call) == (1, False)
    assert whole_folds(program, ONE) == []


def test_a_loop_over_a_carry_alone_is_no_call() -> None:
    (loop,) = traced(NESTED["a body of scan"], ONE).operations

    assert not loop.is_call


@pytest.mark.parametrize("wrap", [tuple, list, lambda parts: dict(enumerate(parts))])
def test_programs_are_found_in_parameters_however_they_are_held(
    wrap: Callable[[Any], Any],
) -> None:
    program = jax.make_jaxpr(jnp.sin)(ONE)

    found = tuple(_programs(wrap([None, program, wrap([program]), jnp.sin])))

    assert [[step.name for step in each.operations] for each in found] == [["sin"]] * 2


# --- What is read of them ------------------------------------------------------------------------


def run(program: Program, *arguments: Any) -> list[Any]:
    """Return what the operations make of the arguments, each run by itself."""
    values = {**program.constants, **dict(zip(program.inputs, arguments, strict=True))}
    for operation in program.operations:
        results = operation.run(*(values[each] for each in operation.inputs))
        values.update(zip(operation.outputs, results, strict=True))
    return [values[each] for each in program.outputs]


@pytest.mark.parametrize("name", NESTED)
def test_the_operations_of_a_program_return_what_the_function_returns(name: str) -> None:
    (result,) = run(traced(NESTED[name], ONE), ONE)

    np.testing.assert_array_equal(result, NESTED[name](ONE))


def test_values_are_told_apart_within_a_program() -> None:
    table = jnp.arange(3.0)
    program = traced(lambda a, b: (a * 2 + b * 2, a, table), ONE, ONE)

    assert len({*program.inputs, *program.constants}) == 2 + len(program.constants)
    assert program.outputs[1] == program.inputs[0]
    np.testing.assert_array_equal(program.constants[program.outputs[2]], table)
