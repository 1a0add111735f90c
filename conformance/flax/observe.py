"""Initialize a layer, or call one initializer with a given key, and return the arrays."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import inspect
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from packaging.version import Version

from conformance.cases.builtin import JAX, namespace_module
from conformance.core.arrays import Array, as_dtype
from conformance.core.ids import Problem
from conformance.core.laws import (
    Constant,
    Definition,
    DeltaOrthogonal,
    Normal,
    Orthogonal,
    Uniform,
    VarianceScaling,
    sampler_of,
    tall_shape,
)
from conformance.core.records import Raised
from conformance.flax import linen_layers, nnx_layers
from conformance.flax.layers import Layer
from conformance.observe.backends.stages import stage_digests

SEED = 0
"""Of the root key in linen, and of the stream `default` in nnx."""

Tree = dict[str, Array]
"""Arrays by path, parts joined by dots."""

LAYERS = linen_layers.LAYERS + nnx_layers.LAYERS

REVEALING = Uniform(scale=1.0)
"""Passed instead of a constant initializer, it shows which key the layer hands over."""


@contextlib.contextmanager
def on_cpu() -> Iterator[None]:
    """Run on the CPU, whatever else is there: claims are bitwise and goldens made on it."""
    import jax

    with jax.default_device(jax.devices("cpu")[0]):
        yield


def public_modules(namespace: str) -> dict[str, type]:
    """Return the public Module classes by qualified name; aliases once, under the class's name.

    The bases that have no call of their own (`Module`, `RNNCellBase`) are left out: they are no
    layers.
    """
    module = importlib.import_module(namespace)
    found = {
        value
        for name, value in vars(module).items()
        if not name.startswith("_") and inspect.isclass(value) and issubclass(value, module.Module)
    }
    bases = {module.Module, module.RNNCellBase}
    return {f"{namespace}.{value.__name__}": value for value in found - bases}


def uncovered_layers() -> list[str]:
    """Return the public layers of the installed Flax that no `Layer` stands for."""
    public = {
        name for namespace in ("flax.linen", "flax.nnx") for name in public_modules(namespace)
    }
    return sorted(public - {layer.public_name for layer in LAYERS})


def installed_layers() -> tuple[Layer, ...]:
    """Return the layers that the installed release of Flax must have."""
    installed = Version(importlib.metadata.version("flax"))
    return tuple(layer for layer in LAYERS if installed >= Version(layer.since))


def tree(layer: Layer, dtype: str, *, revealing: bool = False) -> Tree | Raised:
    """Return the layer's variables, or the error of initializing it."""
    arguments: dict[str, Any] = {"param_dtype": as_dtype(dtype)}
    if revealing:
        arguments |= dict.fromkeys(layer.arguments, initializer(REVEALING))
    observe = _linen_tree if layer.is_linen else _nnx_tree
    try:
        with warnings.catch_warnings():
            # A deprecated layer must draw what it did as long as it is there.
            warnings.simplefilter("ignore", DeprecationWarning)
            return observe(layer, arguments)
    except Exception as error:
        return Raised(exception=type(error).__name__, message=str(error))


def _linen_tree(layer: Layer, arguments: Mapping[str, Any]) -> Tree:
    """Initialize from shapes alone: `lazy_init` runs the initializers and nothing else."""
    import flax.linen as nn
    import jax

    def shape(*sizes: int, dtype: str = "float32") -> Any:
        return jax.ShapeDtypeStruct(sizes, np.dtype(dtype))  # type: ignore[no-untyped-call]  # JAX

    module = layer.build(nn, **arguments)
    root = jax.random.key(SEED)
    return flatten(module.lazy_init(root, *layer.inputs(shape), **layer.options))


def terms_per_output(layer: Layer) -> int:
    """Return how many inputs a linen layer sums into one output: its value where all is one."""
    import flax.linen as nn
    import jax

    def ones(*sizes: int, dtype: str = "float32") -> Any:
        return jax.numpy.ones(sizes, dtype)

    fill = {claim.path[-1]: float(claim.path[-1] == "kernel") for claim in layer.claims}
    parameters = {
        claim.path[-1]: jax.numpy.full(claim.shape, fill[claim.path[-1]]) for claim in layer.claims
    }
    output = layer.build(nn).apply({"params": parameters}, *layer.inputs(ones))
    return int(output.max())


def _nnx_tree(layer: Layer, arguments: Mapping[str, Any]) -> Tree:
    from flax import nnx

    return nnx_state(layer.build(nnx, nnx.Rngs(SEED), **arguments))


def nnx_state(module: Any) -> Tree:
    """Return the variables of an nnx module but for its random streams."""
    from flax import nnx

    pairs = nnx.to_flat_state(nnx.state(module, nnx.Not(nnx.RngState)))
    return {".".join(map(_part, path)): np.asarray(value[...]) for path, value in pairs}


def _part(part: Any) -> str:
    return "/".join(part) if isinstance(part, tuple) else str(part)


def flatten(variables: Mapping[str, Any], path: tuple[str, ...] = ()) -> Tree:
    """Return a linen variable dictionary as arrays by path; boxed ones without their box."""
    from flax.core import meta

    found: Tree = {}
    for name, value in meta.unbox(variables).items():
        if isinstance(value, Mapping):
            found |= flatten(value, (*path, name))
        else:
            found[".".join((*path, name))] = np.asarray(value)
    return found


@functools.cache
def initializer(definition: Definition) -> Any:
    """Return the JAX initializer that the definition describes.

    Raises:
        ValueError: JAX has none that this function knows of.
    """
    public = namespace_module(JAX)
    match definition:
        case Constant(value=value):
            return public.constant(value)
        case Normal(stddev=stddev):
            return public.normal(stddev)
        case Uniform(scale=scale):
            return public.uniform(scale)
        case Orthogonal(scale=scale, column_axis=axis):
            return public.orthogonal(scale, axis)
        case VarianceScaling(scale=scale, mode=mode, distribution=distribution) as scaling:
            return public.variance_scaling(
                scale,
                mode,
                distribution,
                in_axis=scaling.in_axis,
                out_axis=scaling.out_axis,
                batch_axis=scaling.batch_axis,
            )
        case _:
            raise ValueError(f"no JAX initializer is known for {definition}")


def draw(
    definition: Definition, key: npt.NDArray[np.uint32], shape: tuple[int, ...], dtype: str
) -> Array | Raised:
    """Return what JAX's initializer makes of the two key words."""
    try:
        return np.asarray(initializer(definition)(_typed(key), shape, as_dtype(dtype)))
    except Exception as error:
        return Raised(exception=type(error).__name__, message=str(error))


def stages(definition: Definition, key: npt.NDArray[np.uint32], problem: Problem) -> dict[str, str]:
    """Return digests of the stages before the result of a draw from the two key words."""
    sampler = sampler_of(definition, problem.shape)
    return {} if sampler is None else stage_digests(_typed(key), problem, sampler)


def normals(definition: Definition, key: npt.NDArray[np.uint32], problem: Problem) -> bytes | None:
    """Return the bits of what is drawn for an orthogonal matrix; None for other definitions."""
    import jax

    if not isinstance(definition, Orthogonal | DeltaOrthogonal):
        return None
    shape = tall_shape(problem.shape, definition)
    return np.asarray(jax.random.normal(_typed(key), shape, as_dtype(problem.dtype))).tobytes()


def _typed(key: npt.NDArray[np.uint32]) -> Any:
    import jax

    return jax.random.wrap_key_data(jax.numpy.asarray(key), impl="threefry2x32")
