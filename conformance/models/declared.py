"""What modules of Flax declare of their parameters, and shapes that they were asked for alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any


@contextlib.contextmanager
def linen_dtypes() -> Iterator[dict[str, str]]:
    """Collect, by path, the `param_dtype` of each module of linen that is called within."""
    import flax.linen as nn

    found: dict[str, str] = {}

    def noted(call: Callable[..., Any], arguments: Any, keywords: Any, context: Any) -> Any:
        if dtype := _dtype_of(context.module):
            found[".".join(context.module.path)] = dtype
        return call(*arguments, **keywords)

    with nn.intercept_methods(noted):
        yield found


def nnx_dtypes(module: Any) -> Mapping[str, str]:
    """Return, by path, the `param_dtype` of a module of NNX and of all modules in it."""
    from flax import nnx

    return {
        ".".join(map(str, path)): dtype
        for path, node in nnx.iter_graph(module)
        if isinstance(node, nnx.Module) and (dtype := _dtype_of(node))
    }


def _dtype_of(module: Any) -> str:
    """Return the `param_dtype` of a module, as JAX holds it; "" where it has none."""
    import jax

    dtype = getattr(module, "param_dtype", None)
    return str(jax.dtypes.canonicalize_dtype(dtype)) if dtype is not None else ""


def other_variables(state: Any) -> Mapping[tuple[Any, ...], str]:
    """Return the types of the variables of an NNX state that are no parameters, by their path."""
    import jax
    from flax import nnx

    def is_variable(leaf: Any) -> bool:
        return isinstance(leaf, nnx.Variable) or type(leaf).__name__ == "VariableState"

    found = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(state, is_leaf=is_variable)[0]:
        kind = getattr(leaf, "type", type(leaf))
        if is_variable(leaf) and not issubclass(kind, nnx.Param):
            found[tuple(path)] = kind.__name__
    return found


@contextlib.contextmanager
def shapes_traced() -> Iterator[None]:
    """Trace, within a trace, what `jax.eval_shape` and NNX's are asked to find the shapes of.

    Nothing is run for that either, and the program then says how what has these shapes is made.
    """
    import jax

    eval_shape = jax.eval_shape

    def through(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        if is_of_shapes((arguments, keywords)):
            return eval_shape(function, *arguments, **keywords)
        return function(*arguments, **keywords)

    jax.eval_shape = through  # type: ignore[assignment]  # mypy compares the names of arguments
    try:
        yield
    finally:
        jax.eval_shape = eval_shape


def is_of_shapes(tree: Any) -> bool:
    """Return whether a tree holds shapes in the place of arrays."""
    import jax

    leaves = jax.tree_util.tree_leaves(tree)
    return any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves)
