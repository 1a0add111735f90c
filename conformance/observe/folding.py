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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

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
    closed = _jaxpr_of(program, arguments)
    return _once(_folds(closed.jaxpr, closed.consts, [None for _ in closed.jaxpr.invars], []))


def stepwise_folds(program: Any, *arguments: Any) -> list[Fold]:
    """Return the same of a call whose operations are compiled one by one, as an eager one's are."""
    steps = [
        (inner, [None for _ in equation.invars])
        for equation in _jaxpr_of(program, arguments).jaxpr.eqns
        if (inner := _inner(equation)) is not None
    ]
    return _once(
        fold for step, nothing in steps for fold in _folds(step.jaxpr, step.consts, nothing, [])
    )


def _jaxpr_of(program: Any, arguments: Sequence[Any]) -> Any:
    import jax

    return jax.make_jaxpr(program)(*arguments)


def _once(folds: Iterable[Fold]) -> list[Fold]:
    found = {fold.call: fold for fold in folds}
    return [found[call] for call in sorted(found)]


def _folds(
    jaxpr: Any,
    constants: Sequence[Any],
    arguments: Sequence[_Constant | None],
    results: list[_Constant | None],
) -> Iterator[Fold]:
    """Yield the folds of a function, and append what it returns. None is what is not constant."""
    known: dict[Any, _Constant | None] = dict(zip(jaxpr.invars, arguments, strict=True))
    for variable, value in zip(jaxpr.constvars, constants, strict=True):
        known[variable] = _Constant(value=value, is_passed=False)

    for equation in jaxpr.eqns:
        inputs = [_of(variable, known) for variable in equation.invars]
        outputs: list[_Constant | None] = []
        if (inner := _inner(equation)) is not None:
            passed = [each and _Constant(value=each.value, is_passed=True) for each in inputs]
            yield from _folds(inner.jaxpr, inner.consts, passed, outputs)
        elif _is_small(equation) and (given := [each for each in inputs if each]) == inputs:
            outputs += _evaluated(equation, given)
            yield from _measured(equation, given, outputs)
        known.update(zip(equation.outvars, outputs, strict=False))
    results += [_of(variable, known) for variable in jaxpr.outvars]


def _of(variable: Any, known: Mapping[Any, _Constant | None]) -> _Constant | None:
    if hasattr(variable, "val"):
        return _Constant(value=variable.val, is_passed=False)
    return known.get(variable)


def _inner(equation: Any) -> Any:
    """Return the program that the equation calls once with its own arguments, or None."""
    inner = equation.params.get("jaxpr", equation.params.get("call_jaxpr"))
    is_called = hasattr(inner, "consts") and equation.primitive.name not in ("scan", "while")
    return inner if is_called and len(inner.jaxpr.invars) == len(equation.invars) else None


def _is_small(equation: Any) -> bool:
    sizes = (getattr(variable.aval, "size", MOST_ELEMENTS + 1) for variable in equation.outvars)
    return equation.primitive.name != "random_wrap" and all(n <= MOST_ELEMENTS for n in sizes)


def _evaluated(equation: Any, inputs: Sequence[_Constant]) -> list[_Constant | None]:
    """Return the results as JAX computes them by themselves, with arguments."""
    results = _bind(equation, _arrays(equation, inputs))
    is_passed = any(each.is_passed for each in inputs)
    outputs = results if equation.primitive.multiple_results else [results]
    return [_Constant(value=np.asarray(value), is_passed=is_passed) for value in outputs]


def _bind(equation: Any, arrays: Sequence[Any]) -> Any:
    bound = equation.primitive.get_bind_params(equation.params)
    # Before JAX 0.11 functions among the parameters came apart from the others.
    functions, parameters = bound if isinstance(bound, tuple) else ([], bound)
    return equation.primitive.bind(*functions, *arrays, **parameters)


def _arrays(equation: Any, inputs: Sequence[_Constant]) -> list[Any]:
    return [
        np.asarray(each.value, variable.aval.dtype)
        for variable, each in zip(equation.invars, inputs, strict=True)
    ]


def _measured(
    equation: Any, inputs: Sequence[_Constant], outputs: Sequence[_Constant | None]
) -> Iterator[Fold]:
    """Yield what the function is folded to, each element a fold, if it is one of FUNCTIONS."""
    name = equation.primitive.name
    if name not in FUNCTIONS or equation.outvars[0].aval.dtype.name not in REAL:
        return
    ((argument,), (computed,)) = _arrays(equation, inputs), outputs
    assert computed is not None
    folded = _folded(equation, argument, is_passed=inputs[0].is_passed)
    for each, one, two in zip(argument.flat, folded.flat, computed.value.flat, strict=True):
        yield Fold(call=f"{name}({_text(each)})", folded=_text(one), computed=_text(two))


def _folded(equation: Any, argument: Any, *, is_passed: bool) -> Any:
    """Return what a program makes of the constant, written where the function is or passed to it.

    The program has no arguments: nothing is left of it but what was folded.
    """
    import jax

    def function(value: Any) -> Any:
        return _bind(equation, [value])

    callee = jax.jit(function) if is_passed else function
    return np.asarray(jax.jit(lambda: callee(argument))())


def _text(value: Any) -> str:
    """Return the shortest decimal that is read back to the same bits."""
    is_narrow = value.dtype.name == "bfloat16"
    return repr(float(value)) if is_narrow else np.format_float_positional(value, trim="0")
