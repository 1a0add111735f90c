"""Which functions of constants a program takes, and what XLA makes of them here.

XLA folds a function of constants at compile time, with the C library of the host it compiles on;
the kernel that it compiles for the same function of an argument has code of its own. So erf of a
bound is one number in an eager call and may be another in a jitted one, and that other one follows
the C library: glibc 2.36 and 2.43 differ by an ULP in erf(0.25 / sqrt 2), and then in most draws of
a jitted `truncated_normal` with those bounds. A constant that is written where the function is
takes a third way: StableHLO folds that without a C library. (openxla/xla pull request 33212 says
that XLA's folding uses the host's library.)
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from conformance.observe.jax_compat import Operation, Program, traced

FUNCTIONS = (
    *("erf", "erfc", "erf_inv", "exp", "exp2", "expm1", "log", "log1p"),
    *("sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan", "cbrt", "lgamma"),
)
"""JAX's primitives of one argument that a C library computes, and need not round correctly."""

MOST_ELEMENTS = 16
"""Larger constants are no bounds, and are left alone."""

REAL = ("float32", "float64", "float16", "bfloat16")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One function of a constant: what XLA folds it to, and what the compiled kernel returns.

    call: as in `erf(-0.17677669)`. Values are decimals that are read back to the same bits.
    """

    call: str
    folded: str
    computed: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Constant:
    """A value that no argument of the program decides.

    is_passed: whether it comes from an argument of the function that uses it. StableHLO's own
    folder, which asks no C library, sees within a function only: what it cannot fold XLA does.
    """

    value: Any
    is_passed: bool


def whole_folds(program: Any, *arguments: Any) -> list[Fold]:
    """Return the functions of constants in a program that is compiled whole, each once, by name."""
    return _once(_own_folds(traced(program, *arguments)))


def stepwise_folds(program: Any, *arguments: Any) -> list[Fold]:
    """Return the same of a call whose operations are compiled one by one, as an eager one's are."""
    operations = traced(program, *arguments).operations
    return _once(itertools.chain.from_iterable(map(_inner_folds, operations)))


def _once(folds: Iterable[Fold]) -> list[Fold]:
    found = {fold.call: fold for fold in folds}
    return [found[call] for call in sorted(found)]


def _inner_folds(operation: Operation) -> Iterator[Fold]:
    return itertools.chain.from_iterable(map(_own_folds, operation.programs))


def _own_folds(program: Program) -> Iterator[Fold]:
    """Yield the folds of a program whatever its arguments are."""
    return _folds(program, [None for _ in program.inputs], [])


def _folds(
    program: Program, arguments: Sequence[_Constant | None], results: list[_Constant | None]
) -> Iterator[Fold]:
    """Yield the folds of a program, and append what it returns. None is what is not constant."""
    known = dict(zip(program.inputs, arguments, strict=True))
    for held, value in program.constants.items():
        known[held] = _Constant(value=value, is_passed=False)

    for operation in program.operations:
        inputs = [known.get(value) for value in operation.inputs]
        outputs: list[_Constant | None] = []
        if operation.is_call:
            passed = [each and _Constant(value=each.value, is_passed=True) for each in inputs]
            yield from _folds(operation.programs[0], passed, outputs)
        else:
            yield from _inner_folds(operation)
            if _is_small(operation) and (given := [each for each in inputs if each]) == inputs:
                outputs += _evaluated(operation, given)
                yield from _measured(operation, given, outputs)
        known.update(zip(operation.outputs, outputs, strict=False))
    results += [known.get(value) for value in program.outputs]


def _is_small(operation: Operation) -> bool:
    sizes = (getattr(value.form, "size", MOST_ELEMENTS + 1) for value in operation.outputs)
    return operation.name != "random_wrap" and all(n <= MOST_ELEMENTS for n in sizes)


def _evaluated(operation: Operation, inputs: Sequence[_Constant]) -> list[_Constant | None]:
    """Return the results as JAX computes them by themselves, with arguments.

    There are none of what cannot run by itself, as a device's number in its mesh.
    """
    try:
        results = operation.run(*_arrays(operation, inputs))
    except NameError:  # an axis that only the program around it names
        return []
    is_passed = any(each.is_passed for each in inputs)
    return [_Constant(value=np.asarray(value), is_passed=is_passed) for value in results]


def _arrays(operation: Operation, inputs: Sequence[_Constant]) -> list[Any]:
    return [
        np.asarray(each.value, value.form.dtype)
        for value, each in zip(operation.inputs, inputs, strict=True)
    ]


def _measured(
    operation: Operation, inputs: Sequence[_Constant], outputs: Sequence[_Constant | None]
) -> Iterator[Fold]:
    """Yield what the function is folded to, each element a fold, if it is one of FUNCTIONS."""
    if operation.name not in FUNCTIONS or operation.outputs[0].form.dtype.name not in REAL:
        return
    ((argument,), (computed,)) = _arrays(operation, inputs), outputs
    assert computed is not None
    folded = _folded(operation, argument, is_passed=inputs[0].is_passed)
    for each, one, two in zip(argument.flat, folded.flat, computed.value.flat, strict=True):
        yield Fold(call=f"{operation.name}({_text(each)})", folded=_text(one), computed=_text(two))


def _folded(operation: Operation, argument: Any, *, is_passed: bool) -> Any:
    """Return what a program makes of the constant, written where the function is or passed to it.

    The program has no arguments: nothing is left of it but what was folded.
    """
    import jax

    callee = jax.jit(operation.run) if is_passed else operation.run
    return np.asarray(jax.jit(lambda: callee(argument)[0])())


def _text(value: Any) -> str:
    """Return the shortest decimal that is read back to the same bits."""
    is_narrow = value.dtype.name == "bfloat16"
    return repr(float(value)) if is_narrow else np.format_float_positional(value, trim="0")
