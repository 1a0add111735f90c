"""A user's model as two programs: what makes its parameters, and what uses them.

The target takes nothing, `rngs` (NNX) or `key` (Equinox), and returns one of

    a linen module and its example inputs:  return Model(), jnp.ones((1, 28, 28))
    an nnx or Equinox module, with inputs:  return Model(rngs=rngs), x
    a Haiku transform and its inputs:       return haiku.transform(forward), x
    a Keras model that is built:            return model
    a parameter tree, whose keys are then unknown.

Flags and other methods are bound with `functools.partial`, as in `partial(model, train=False), x`,
`partial(model.encode, scale=2), x` or `partial(model.init, method="encode"), x`; of a Haiku
transform with its `apply`. Inputs may be shapes (`jax.ShapeDtypeStruct`): nothing is run to read a
model. What the target makes under `eval_shape` is traced like anything else.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import ml_dtypes
import numpy as np

from conformance.core.arrays import Array
from conformance.core.errors import TargetError
from conformance.models.declared import (
    is_of_shapes,
    linen_dtypes,
    nnx_dtypes,
    other_variables,
    shapes_traced,
)
from conformance.models.formula import (
    FROM_INPUTS,
    Constant,
    Formula,
    Unknown,
    read,
    root_keys,
    values,
)
from conformance.models.keys import keys_of
from conformance.models.notes import Use
from conformance.models.terms import DATA, view_of
from conformance.models.uses import uses
from conformance.observe.jax_compat import traced
from conformance.observe.target import blamed, load_target

LINEN, NNX, TREE = "linen", "nnx", "tree"
PYTREE, HAIKU, KERAS = "pytree", "haiku", "keras"

FLAGS = {
    "train": False,
    "training": False,
    "is_training": False,
    "deterministic": True,
    "use_running_average": True,
}
"""Flags that a call may require, and what they are without training."""

ORIGINAL = "_original_fn"
"""Where the functions of a Haiku transform hold the one that was transformed."""

Leaves = dict[str, Any]
"""Arrays by path, parts joined by dots."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """What is known of a parameter before its programs are read.

    declared: the `param_dtype` of its module; "" where that has none.
    variable: its type, if it is a variable of NNX that is no parameter.
    """

    shape: tuple[int, ...]
    dtype: str
    declared: str = ""
    variable: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model under one seed.

    leaves: its parameters by path. formulas: how each was made; none of a tree.
    uses: what each is used for; None where no program says, for the reason `no_uses`.
    arrays: their values; empty where nothing was run.
    unrepeated: parameters that another construction made otherwise: of what lies outside of it.
    root: the name of the key in the formulas.
    separator, partitionable: of Flax's key derivation and of JAX's bits, as configured.
    """

    framework: str
    seed: int
    leaves: Mapping[str, Leaf]
    formulas: Mapping[str, Formula]
    uses: tuple[Use, ...] | None
    no_uses: str
    arrays: Mapping[str, Array]
    unrepeated: frozenset[str]
    root: str
    separator: bool
    partitionable: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What modules say: `param_dtype` by their path, types of other variables by theirs."""

    dtypes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Kind(Protocol):
    """How the models of one library are made and called; both are traced."""

    framework: str
    root: str
    inputs: tuple[Any, ...]

    def build(self, key: Any, inputs: tuple[Any, ...]) -> Leaves:
        """Return the parameters."""

    def facts(self) -> Facts:
        """Return what modules said of the parameters when they were built."""

    def call(self, leaves: Leaves, key: Any, inputs: tuple[Any, ...], *, is_training: bool) -> Any:
        """Return the outputs of the model with these parameters, once they were built.

        is_training: what flags say that nobody bound.
        """


def load(target: str, *, seed: int = 0, abstract: bool = False) -> Model:
    """Import the target and return its model.

    abstract: nothing is run; values are then not confirmed.

    Raises:
        TargetError: the target cannot be imported, raises, or returns something else.
    """
    import flax  # noqa: F401  # without it neither linen nor NNX is told from anything else
    import jax

    make = load_target(target)
    with blamed(target):
        made = _made(make, jax.random.key(seed))
        kind = _kind(make, made)
        if kind is None:
            _require_values(jax.tree_util.tree_leaves(made), target)
            return _checked(_of_arrays(made, target, seed), target)
        if isinstance(kind, _Nnx) and is_of_shapes(_parts(made)[0].module):
            if kind.is_of_shapes():
                return _checked(_of_shapes(kind, seed), target)
            abstract = True
        return _checked(_of_programs(kind, seed, abstract), target)


def _checked(model: Model, target: str) -> Model:
    if not model.leaves:
        raise TargetError(f"target {target!r} has no parameters: nothing to audit")
    constants = [each for each in model.formulas.values() if isinstance(each, Constant)]
    _require_values([each.value for each in constants], target)
    return model


def _require_values(leaves: Sequence[object], target: str) -> None:
    if is_of_shapes(leaves):
        raise TargetError(
            f"target {target!r} returns shapes, as `eval_shape` does, which do not say how they "
            "are drawn: let it take `rngs` (NNX) or `key`, and return Model(rngs=rngs), x; it is "
            "traced then, and with --abstract nothing is run"
        )


def _settings() -> dict[str, bool]:
    import jax
    from flax import config

    return {
        "separator": bool(getattr(config, "flax_fix_rng_separator", False)),
        "partitionable": bool(jax.config.jax_threefry_partitionable),
    }


def _of_arrays(made: Any, target: str, seed: int) -> Model:
    """Return a model of which there are arrays only: a parameter tree, or a built Keras model."""
    framework, arrays = TREE, dict[str, Array]()
    if isinstance(made, Mapping):
        arrays = {n.removeprefix("params."): np.asarray(v) for n, v in _flat(made).items()}
    elif _is_keras(made):
        framework = KERAS
        arrays = {each.path.replace("/", "."): np.asarray(each.value) for each in made.variables}
    else:
        wanted = "a linen module with its inputs, an nnx module, or a parameter tree"
        raise TargetError(f"target {target!r} returns {_described(made)}; needed is {wanted}")
    for name, array in arrays.items():
        if not _is_numeric(array):
            raise TargetError(
                f"target {target!r} has {name!r} among its arrays, of {array.dtype}, which holds "
                "no numbers: leave it out"
            )
    found, reason = (None, "arrays alone do not say what they are used for")
    return Model(
        framework=framework,
        seed=seed,
        leaves={name: _leaf(name, array) for name, array in arrays.items()},
        formulas={},
        uses=found,
        no_uses=reason,
        arrays=arrays,
        unrepeated=frozenset(),
        root="",
        **_settings(),
    )


def _is_numeric(array: Array) -> bool:
    """Return whether an array holds numbers: of bool, of NumPy's, or such as bfloat16."""
    return array.dtype.kind in "biufc" or array.dtype.name in vars(ml_dtypes)


def _of_programs(kind: Kind, seed: int, abstract: bool) -> Model:
    import jax

    key = jax.random.key(seed)
    arrays, rebuilt = _partition(kind.inputs)
    names: list[str] = []
    leaves: dict[str, Leaf] = {}

    def build(key: Any, *arrays: Any) -> list[Any]:
        made = kind.build(key, rebuilt(arrays))
        names[:] = sorted(made)
        leaves.update((name, _leaf(name, made[name], kind.facts())) for name in names)
        return [made[name] for name in names]

    program = traced(build, key, *arrays)
    roots: list[Formula] = [root_keys(kind.root, _prng(key)), *[FROM_INPUTS] * len(arrays)]
    formulas = dict(zip(names, read(program, roots), strict=True))
    outside = {name: _outside(formula, kind.root) for name, formula in formulas.items()}
    unrepeated: frozenset[str] = frozenset()
    if any(outside.values()):
        again = traced(lambda *inputs: build(*inputs), key, *arrays)  # JAX knows what it traced
        others = dict(zip(names, read(again, roots), strict=True))
        unrepeated = frozenset(n for n in names if outside[n] != _outside(others[n], kind.root))
    found, reason = _uses(kind, leaves, key, arrays, rebuilt)
    made = [] if abstract else values(program, [key, *map(_real, arrays)])
    return Model(
        framework=kind.framework,
        seed=seed,
        leaves=leaves,
        formulas=formulas,
        uses=found,
        no_uses=reason,
        arrays=dict(zip(names, made, strict=False)),
        unrepeated=unrepeated,
        root=kind.root,
        **_settings(),
    )


SHAPES_ALONE = "made by eval_shape elsewhere: let `make` construct the module, and it is traced"


def _of_shapes(kind: _Nnx, seed: int) -> Model:
    """Return a model of which there are shapes only, and its call: nothing says what is drawn."""
    import jax

    arrays, rebuilt = _partition(kind.inputs)
    made = kind.build(jax.random.key(seed), kind.inputs)
    leaves = {name: _leaf(name, made[name], kind.facts()) for name in sorted(made)}
    found, reason = _uses(kind, leaves, jax.random.key(seed), arrays, rebuilt)
    return Model(
        framework=kind.framework,
        seed=seed,
        leaves=leaves,
        formulas={name: Unknown(SHAPES_ALONE) for name in leaves},
        uses=found,
        no_uses=reason,
        arrays={},
        unrepeated=frozenset(),
        root=kind.root,
        **_settings(),
    )


def _outside(formula: Formula, root: str) -> tuple[object, ...]:
    """Return what of a formula did not come from the key that was given."""
    if isinstance(formula, Constant) and not formula.is_uniform:
        return (formula.array.tobytes(),)
    return tuple(dict.fromkeys(key.root for key in keys_of(formula) if key.root != root))


def _uses(
    kind: Kind,
    leaves: Mapping[str, Leaf],
    key: Any,
    arrays: Sequence[Any],
    rebuilt: Callable[[Sequence[Any]], tuple[Any, ...]],
) -> tuple[tuple[Use, ...] | None, str]:
    """Return what the parameters are used for, or why nobody knows."""
    if not kind.inputs:
        return None, "no inputs are given: return them after the module"
    found = _uses_of_call(kind, leaves, key, arrays, rebuilt, is_training=False)
    if {use.parameter for use in found} != set(leaves):
        found += _uses_of_call(kind, leaves, key, arrays, rebuilt, is_training=True)
    return tuple(dict.fromkeys(found)), ""


def _uses_of_call(
    kind: Kind,
    leaves: Mapping[str, Leaf],
    key: Any,
    arrays: Sequence[Any],
    rebuilt: Callable[[Sequence[Any]], tuple[Any, ...]],
    *,
    is_training: bool,
) -> list[Use]:
    import jax

    stand_ins = [_shape(leaf.shape, leaf.dtype) for leaf in leaves.values()]

    def call(values: list[Any], key: Any, *arrays: Any) -> Any:
        named = dict(zip(leaves, values, strict=True))
        made = kind.call(named, key, rebuilt(arrays), is_training=is_training)
        return [leaf for leaf in jax.tree_util.tree_leaves(made) if hasattr(leaf, "dtype")]

    program = traced(call, stand_ins, key, *arrays)
    views = [view_of(name, leaf.shape) for name, leaf in leaves.items()]
    return uses(program, [*views, DATA, *[DATA] * len(arrays)])


def _real(array: Any) -> Any:
    """Return an input as an array: zeros where only its shape is known."""
    import jax

    return array if hasattr(array, "__array__") else jax.numpy.zeros(array.shape, array.dtype)


def _leaf(name: str, array: Any, facts: Facts | None = None) -> Leaf:
    facts = facts or Facts()
    return Leaf(
        shape=tuple(array.shape),
        dtype=str(array.dtype),
        declared=facts.dtypes.get(name.rpartition(".")[0], ""),
        variable=facts.variables.get(name, ""),
    )


def _shape(shape: tuple[int, ...], dtype: str) -> Any:
    import jax

    from conformance.core.arrays import as_dtype

    return jax.ShapeDtypeStruct(shape, as_dtype(dtype))  # type: ignore[no-untyped-call]  # JAX


def _prng(key: Any) -> str:
    return str(key.dtype).removeprefix("key<").removesuffix(">")


def _partition(
    inputs: tuple[Any, ...],
) -> tuple[list[Any], Callable[[Sequence[Any]], tuple[Any, ...]]]:
    """Return the arrays among the inputs, and what puts others in their places."""
    import jax

    leaves, structure = jax.tree_util.tree_flatten(inputs)
    places = [i for i, leaf in enumerate(leaves) if hasattr(leaf, "shape")]

    def rebuilt(arrays: Sequence[Any]) -> tuple[Any, ...]:
        full = list(leaves)
        for place, array in zip(places, arrays, strict=True):
            full[place] = array
        found: tuple[Any, ...] = jax.tree_util.tree_unflatten(structure, full)
        return found

    return [leaves[place] for place in places], rebuilt


# --- What a target returns -----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Called:
    """A module with the method that is called, and what is bound to it."""

    module: Any
    method: str
    named: Mapping[str, Any]


def _made(make: Callable[..., Any], key: Any) -> Any:
    """Return what the target returns, of NNX and Equinox without values."""
    names = _parameters(make)
    if "rngs" not in names and "key" not in names:
        return make()
    made: list[Any] = []

    def build(key: Any) -> None:
        made.append(_call_target(make, key))

    traced(build, key)
    return made[0]


def _call_target(make: Callable[..., Any], key: Any) -> Any:
    """Return what the target returns, within a trace."""
    names = _parameters(make)
    with shapes_traced():
        if "rngs" in names:
            from flax import nnx

            return make(rngs=nnx.Rngs(key))
        return make(key=key) if "key" in names else make()


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(function).parameters


def _parts(made: Any) -> tuple[Called, tuple[Any, ...]]:
    """Return the module that a target returns and how it is called, and its inputs."""
    is_alone = not isinstance(made, tuple) or _is_transform(made)
    first, *inputs = (made,) if is_alone else made
    if len(inputs) == 1 and isinstance(inputs[0], tuple):
        inputs = list(inputs[0])
    named: dict[str, Any] = {}
    if isinstance(first, functools.partial):
        named, inputs = dict(first.keywords), [*first.args, *inputs]
        first = first.func
    method = "__call__"
    if inspect.ismethod(first):
        method, first = first.__name__, first.__self__
    if hasattr(first, ORIGINAL) and not _is_transform(first):
        import haiku

        first = haiku.transform_with_state(getattr(first, ORIGINAL))
    return Called(module=first, method=method, named=named), tuple(inputs)


def _kind(make: Callable[..., Any], made: Any) -> Kind | None:
    """Return how to read what a target returns; None of arrays."""
    import flax.linen as nn
    from flax import nnx

    if made == () or isinstance(made, Mapping) or _is_keras(made):
        return None
    called, inputs = _parts(made)
    module = called.module
    if isinstance(module, nn.Module) and (inputs or called.named):
        return _Linen(called, inputs)
    if isinstance(module, nnx.Module):
        return _Nnx(make, called, _shapes(inputs))
    if _is_transform(module):
        return _Haiku(module, called, inputs)
    if callable(module) and not inspect.isroutine(module) and _array_leaves(module):
        return _Pytree(make, called, _shapes(inputs))
    return None


def _described(made: Any) -> str:
    """Return the type, of a tuple with those of its parts."""
    if isinstance(made, tuple):
        return f"({', '.join(type(part).__name__ for part in made)})"
    return type(made).__name__


def _is_transform(made: Any) -> bool:
    return {"init", "apply"} <= set(getattr(made, "_fields", ()))


def _is_keras(made: Any) -> bool:
    return hasattr(made, "stateless_call") and hasattr(made, "trainable_variables")


def _shapes(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return inputs that were made within a trace as shapes."""
    import jax

    def shape(leaf: Any) -> Any:
        if isinstance(leaf, jax.core.Tracer):
            return _shape(tuple(leaf.shape), str(leaf.dtype))
        return leaf

    found: tuple[Any, ...] = jax.tree_util.tree_map(shape, inputs)
    return found


def _array_leaves(tree: Any) -> Leaves:
    """Return the real arrays of a tree by path."""
    import jax

    return {
        _path_text(path): leaf
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
        if hasattr(leaf, "dtype") and jax.numpy.issubdtype(leaf.dtype, np.inexact)
    }


def _flat(tree: Any) -> Leaves:
    import jax
    from flax.core import meta

    pairs = jax.tree_util.tree_flatten_with_path(meta.unbox(tree))[0]
    return {_path_text(path): leaf for path, leaf in pairs}


def _path_text(path: Sequence[Any]) -> str:
    parts = (getattr(e, "key", getattr(e, "name", getattr(e, "idx", e))) for e in path)
    return ".".join(map(_part, parts))


def _part(part: Any) -> str:
    return "/".join(map(str, part)) if isinstance(part, tuple) else str(part)


def _with_flags(
    function: Any, named: Mapping[str, Any], n_inputs: int, *, is_training: bool = False
) -> dict[str, Any]:
    """Return the keywords of a call, with the flags that it takes and nobody gave.

    Where they have a default it stands for no training.
    """
    signature = inspect.signature(function)
    missing = {}
    for place, (name, parameter) in enumerate(signature.parameters.items()):
        is_given = name in named or (parameter.kind != parameter.KEYWORD_ONLY and place < n_inputs)
        is_required = parameter.default is inspect.Parameter.empty
        if name in FLAGS and not is_given and (is_required or is_training):
            missing[name] = FLAGS[name] is not is_training
    return {**missing, **named}


# --- Libraries -----------------------------------------------------------------------------------


class _Linen:
    framework, root = LINEN, "params"

    def __init__(self, called: Called, inputs: tuple[Any, ...]) -> None:
        self.inputs = inputs
        self._module = called.module
        named = dict(called.named)
        method = named.pop("method", None)
        if called.method not in ("__call__", "init", "init_with_output", "apply", "lazy_init"):
            method = called.method
        self._options = {} if method is None else {"method": method}
        self._rngs = tuple(named.pop("rngs", ()))  # by name: all are made of the seed's key
        named.pop("mutable", None)
        function = getattr(self._module, method) if isinstance(method, str) else method
        self._function, self._named = function or self._module.__call__, named
        self._dtypes: Mapping[str, str] = {}
        self._names: list[str] = []
        self._structure: Any = None
        self._has_others = False

    def facts(self) -> Facts:
        return Facts(dtypes=self._dtypes)

    def _keywords(self, *, is_training: bool = False) -> dict[str, Any]:
        n_inputs = len(self.inputs)
        flags = _with_flags(self._function, self._named, n_inputs, is_training=is_training)
        return {**flags, **self._options}

    def _variables(self, key: Any, inputs: tuple[Any, ...]) -> Any:
        rngs = dict.fromkeys(("params", *self._rngs), key) if self._rngs else key
        return self._module.init(rngs, *inputs, **self._keywords())

    def build(self, key: Any, inputs: tuple[Any, ...]) -> Leaves:
        import jax

        with linen_dtypes() as self._dtypes:
            variables = self._variables(key, inputs)
        params = variables.get("params", {})
        self._names, self._structure = list(_flat(params)), jax.tree_util.tree_structure(params)
        self._has_others = set(variables) != {"params"}
        return _flat(params)

    def call(self, leaves: Leaves, key: Any, inputs: tuple[Any, ...], *, is_training: bool) -> Any:
        import jax
        from flax.core import DenyList

        variables = self._variables(key, inputs) if self._has_others else {}
        values = [leaves[name] for name in self._names]
        params = jax.tree_util.tree_unflatten(self._structure, values)
        rngs = dict.fromkeys(("params", *self._rngs), key)
        return self._module.apply(
            {**variables, "params": params},
            *inputs,
            rngs=rngs,
            mutable=DenyList("params"),
            **self._keywords(is_training=is_training),
        )


class _Nnx:
    framework, root = NNX, "default"

    def __init__(self, make: Callable[..., Any], called: Called, inputs: tuple[Any, ...]) -> None:
        self.inputs, self._make, self._called = inputs, make, called
        self._facts = Facts()

    def is_of_shapes(self) -> bool:
        """Return whether even within a trace there are but shapes: it was made elsewhere."""
        import jax

        found: list[bool] = []
        traced(lambda key: found.append(is_of_shapes(self._module(key).module)), jax.random.key(0))
        return found[0]

    def facts(self) -> Facts:
        return self._facts

    def _module(self, key: Any) -> Called:
        """Return the module anew: one that was made outside of a trace is not changed within."""
        import jax
        from flax import nnx

        called = _parts(_call_target(self._make, key))[0]
        structure, state = nnx.split(called.module)
        variables = jax.tree_util.tree_map(lambda leaf: leaf, state)
        return dataclasses.replace(called, module=nnx.merge(structure, variables))

    def _state(self, module: Any) -> Any:
        from flax import nnx

        return nnx.state(module, nnx.Not(nnx.RngState))

    def build(self, key: Any, inputs: tuple[Any, ...]) -> Leaves:
        del inputs
        module = self._module(key).module
        state = self._state(module)
        variables = {_path_text(p): kind for p, kind in other_variables(state).items()}
        self._facts = Facts(dtypes=nnx_dtypes(module), variables=variables)
        return _variables(state)

    def call(self, leaves: Leaves, key: Any, inputs: tuple[Any, ...], *, is_training: bool) -> Any:
        import jax
        from flax import nnx

        called = self._module(key)
        state = self._state(called.module)
        structure = jax.tree_util.tree_structure(state)
        values = [leaves[name] for name in _variables(state)]
        nnx.update(called.module, jax.tree_util.tree_unflatten(structure, values))
        function = getattr(called.module, called.method)
        flags = _with_flags(function, called.named, len(inputs), is_training=is_training)
        return function(*inputs, **flags)


def _variables(state: Any) -> Leaves:
    """Return the arrays of an NNX state by path; a variable's own `value` is no part of it."""
    import jax

    found = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        inner = path[:-1] if getattr(path[-1], "name", "") in ("value", "raw_value") else path
        found[_path_text(inner)] = leaf
    return found


class _Pytree:
    """A callable tree of arrays: an Equinox module, or anything like it."""

    framework, root = PYTREE, "key"

    def __init__(self, make: Callable[..., Any], called: Called, inputs: tuple[Any, ...]) -> None:
        self.inputs, self._make, self._called = inputs, make, called

    def facts(self) -> Facts:
        return Facts()

    def build(self, key: Any, inputs: tuple[Any, ...]) -> Leaves:
        del inputs
        return _array_leaves(_parts(_call_target(self._make, key))[0].module)

    def call(self, leaves: Leaves, key: Any, inputs: tuple[Any, ...], *, is_training: bool) -> Any:
        import jax

        called = _parts(_call_target(self._make, key))[0]
        pairs, structure = jax.tree_util.tree_flatten_with_path(called.module)
        values = [leaves.get(_path_text(path), leaf) for path, leaf in pairs]
        module = jax.tree_util.tree_unflatten(structure, values)
        function = getattr(module, called.method)
        flags = _with_flags(function, called.named, len(inputs), is_training=is_training)
        return function(*inputs, **flags)


class _Haiku:
    framework, root = HAIKU, "key"

    def __init__(self, transform: Any, called: Called, inputs: tuple[Any, ...]) -> None:
        self.inputs, self._transform, self._named = inputs, transform, called.named
        self._has_state = type(transform).__name__.endswith("WithState")
        self._function = getattr(transform.init, ORIGINAL, transform.init)

    def facts(self) -> Facts:
        return Facts()

    def _keywords(self, *, is_training: bool = False) -> dict[str, Any]:
        n_inputs = len(self.inputs)
        return _with_flags(self._function, self._named, n_inputs, is_training=is_training)

    def _initial(self, key: Any, inputs: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        # Haiku's batch norm makes its averages in training only.
        made = self._transform.init(key, *inputs, **self._keywords(is_training=True))
        return (made[0], (made[1],)) if self._has_state else (made, ())

    def build(self, key: Any, inputs: tuple[Any, ...]) -> Leaves:
        return _flat(self._initial(key, inputs)[0])

    def call(self, leaves: Leaves, key: Any, inputs: tuple[Any, ...], *, is_training: bool) -> Any:
        import jax

        params, state = self._initial(key, inputs)
        structure = jax.tree_util.tree_structure(params)
        values = [leaves[name] for name in _flat(params)]
        params = jax.tree_util.tree_unflatten(structure, values)
        keywords = self._keywords(is_training=is_training)
        return self._transform.apply(params, *state, key, *inputs, **keywords)
