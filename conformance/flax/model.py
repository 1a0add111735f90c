"""The parameters of a user's model: from `package.module:function` to arrays by path.

The function takes nothing (or, for nnx, the `rngs` to use) and returns one of

    a linen module and its example inputs:  return Model(), jnp.ones((1, 28, 28))
    or, where it takes several:             return Model(), x, y    (or Model(), (x, y))
    an nnx module:                          return Model(rngs=rngs)
    a parameter tree, whose keys are then unknown.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from conformance.core.arrays import Array
from conformance.core.errors import TargetError
from conformance.flax.observe import flatten, nnx_state
from conformance.observe.target import blamed, load_target

LINEN, NNX, TREE = "linen", "nnx", "tree"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The parameters of one model under one seed.

    arrays: by path, parts joined by dots; in linen without the collection `params`.
    is_abstract: only shapes and dtypes are known, and the arrays are stand-ins.
    separator, partitionable: of Flax's key derivation and of JAX's bits, as configured.
    """

    framework: str
    seed: int
    arrays: Mapping[str, Array]
    is_abstract: bool
    separator: bool
    partitionable: bool


def load(target: str, *, seed: int = 0, abstract: bool = False) -> Model:
    """Import the target, call it, and return its parameters.

    Linen models are initialized from shapes: no forward pass runs, unless a parameter depends on
    one. abstract: nothing runs at all, and only shapes and dtypes come back.

    Raises:
        TargetError: the target cannot be imported, raises, or returns something else.
    """
    try:
        import jax
        from flax import config
    except ImportError as error:
        raise TargetError(f"an audit needs JAX and Flax ({error}): pip install flax") from error

    make = load_target(target)
    with blamed(target):
        framework, arrays = _arrays(make, target, seed, abstract)
    if not arrays:
        raise TargetError(f"target {target!r} has no parameters: nothing to audit")
    return Model(
        framework=framework,
        seed=seed,
        arrays=arrays,
        is_abstract=abstract,
        separator=bool(config.flax_fix_rng_separator),
        partitionable=bool(jax.config.jax_threefry_partitionable),
    )


def _arrays(make: Any, target: str, seed: int, abstract: bool) -> tuple[str, dict[str, Array]]:
    import flax.linen as nn
    from flax import nnx

    made = _abstract_nnx(make, seed) if abstract and _takes_rngs(make) else _call(make, seed)
    if isinstance(made, nnx.Module):
        return NNX, _abstract_state(made) if abstract else nnx_state(made)
    if isinstance(made, tuple) and len(made) > 1 and isinstance(made[0], nn.Module):
        module, *inputs = made
        several = isinstance(inputs[0], tuple) and len(inputs) == 1
        return LINEN, _linen_arrays(module, inputs[0] if several else inputs, seed, abstract)
    if isinstance(made, Mapping) and not abstract:
        return TREE, {name.removeprefix("params."): value for name, value in flatten(made).items()}
    wanted = "a linen module with its inputs, an nnx module, or a parameter tree"
    raise TargetError(f"target {target!r} returns {_described(made)}; needed is {wanted}")


def _described(made: Any) -> str:
    """Return the type, of a tuple with those of its parts."""
    if isinstance(made, tuple):
        return f"({', '.join(type(part).__name__ for part in made)})"
    return type(made).__name__


def _takes_rngs(make: Any) -> bool:
    return "rngs" in inspect.signature(make).parameters


def _call(make: Any, seed: int) -> Any:
    from flax import nnx

    return make(nnx.Rngs(seed)) if _takes_rngs(make) else make()


def _abstract_nnx(make: Any, seed: int) -> Any:
    from flax import nnx

    return nnx.eval_shape(lambda: make(nnx.Rngs(seed)))


def _abstract_state(module: Any) -> dict[str, Array]:
    from flax import nnx

    return _stand_ins(nnx.to_pure_dict(nnx.state(module, nnx.Not(nnx.RngState))))


def _linen_arrays(
    module: Any, arguments: Sequence[Any], seed: int, abstract: bool
) -> dict[str, Array]:
    import jax
    from flax.errors import LazyInitError

    root = jax.random.key(seed)
    if abstract:
        tree = jax.eval_shape(module.init, root, *arguments)
        found = _stand_ins(tree)
    else:
        try:
            found = flatten(module.lazy_init(root, *arguments))
        except LazyInitError:  # a parameter is computed from the inputs, so they must be real
            found = flatten(module.init(root, *arguments))
    return {
        name.removeprefix("params."): value
        for name, value in found.items()
        if name.startswith("params.")
    }


def _stand_ins(tree: Any) -> dict[str, Array]:
    """Return arrays of the right shape and dtype that occupy no memory."""
    import jax

    def stand_in(leaf: Any) -> Array:
        return np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape)

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {
        jax.tree_util.keystr(path, simple=True, separator="."): stand_in(leaf)
        for path, leaf in leaves
        if not str(leaf.dtype).startswith("key<")
    }
