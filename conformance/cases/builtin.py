"""The initializers of `jax.nn.initializers`, `flax.linen.initializers` and `flax.nnx.initializers`.

Flax re-exports JAX's objects: such names are one spec, asserted to be one object and run once. JAX
and Flax are imported when a spec is built, never before.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import inspect
from collections.abc import Iterable, Iterator
from typing import Any

from conformance.cases.catalogue import Catalogue, Initializer, InitializerSpec, add_registered
from conformance.core.errors import InitializerUnavailable
from conformance.core.ids import Tier
from conformance.core.imports import broken
from conformance.core.later import np
from conformance.core.laws import (
    MODES,
    Constant,
    Definition,
    DeltaOrthogonal,
    Normal,
    Orthogonal,
    TruncatedNormal,
    Uniform,
    VarianceScaling,
)

JAX, LINEN, NNX = "jax.nn.initializers", "flax.linen.initializers", "flax.nnx.initializers"
NAMESPACES = (JAX, LINEN, NNX)

FIRST_WITH = {"jax.nn": "jax", "flax.linen": "flax", "flax.nnx": "flax>=0.9, the first that has it"}
"""What to install where the parent of a namespace is missing."""

ALIASES = {
    "glorot_normal": ("xavier_normal",),
    "glorot_uniform": ("xavier_uniform",),
    "he_normal": ("kaiming_normal",),
    "he_uniform": ("kaiming_uniform",),
}

DIRECT = ("zeros", "ones")
"""Initializers that are called as they are; every other public name builds one."""

SCALINGS = {
    "glorot_normal": (1.0, "fan_avg", "truncated_normal"),
    "glorot_uniform": (1.0, "fan_avg", "uniform"),
    "he_normal": (2.0, "fan_in", "truncated_normal"),
    "he_uniform": (2.0, "fan_in", "uniform"),
    "lecun_normal": (1.0, "fan_in", "truncated_normal"),
    "lecun_uniform": (1.0, "fan_in", "uniform"),
}

Row = tuple[str, str, dict[str, Any], Definition]
"""Spec name, public name of the builder, its arguments, and what they define."""


def load_catalogue() -> Catalogue:
    """Return the builtin specs, and after them those that users registered.

    Raises:
        ValueError: a user's registration is not valid, or takes a name that is taken.
    """
    catalogue = Catalogue()
    for spec in builtin_specs():
        catalogue.add(spec)
    add_registered(catalogue)
    return catalogue


def builtin_specs() -> Iterator[InitializerSpec]:
    """Yield the spec of every public initializer and of every variant."""
    for name, definition in PUBLIC.items():
        yield _spec((name, name, _arguments(name), definition), Tier.QUICK, _public_names(name))
    for name, value in (("zeros_init", 0.0), ("ones_init", 1.0)):
        for namespace, suffix in ((LINEN, "linen"), (NNX, "nnx")):
            yield InitializerSpec(
                name=f"{name}_{suffix}",
                build=functools.partial(build, namespace, name, {}),
                definition=Constant(value=value),
                family="constant",
                public_names=(f"{namespace}.{name}",),
                tier=Tier.QUICK,
            )
    for row in VARIANTS:
        yield _spec(row, Tier.STANDARD)
    for row in EXOTIC_VARIANTS:
        yield _spec(row, Tier.FULL)


def build(namespace: str, name: str, arguments: dict[str, Any]) -> Initializer:
    """Return the initializer that the public name stands for, built with the arguments."""
    public: Initializer = getattr(namespace_module(namespace), name)
    if name in DIRECT:
        return public
    if isinstance(arguments.get("value"), tuple):  # several constants come as an array
        arguments = {"value": np.asarray(arguments["value"], np.float32)}
    built: Initializer = public(**arguments)
    return built


def import_packages(specs: Iterable[InitializerSpec]) -> None:
    """Import what the builtin ones among the specs are called from, where it is here.

    Flax imports orbax, and that has JAX forget what it has compiled: late, it costs programs twice.
    """
    calls = (each.build for each in specs if isinstance(each.build, functools.partial))
    for namespace in dict.fromkeys(each.args[0] for each in calls if each.func is build):
        with contextlib.suppress(Exception):  # the case that asks for it says so
            namespace_module(namespace)


def namespace_module(namespace: str) -> Any:
    """Return the module; `flax.nnx.initializers` is an attribute, not an importable path.

    Raises:
        InitializerUnavailable: Flax is not installed, or a release of before it had this.
        PackageBroken: it is installed, and does not fit the JAX beside it.
    """
    parent, _, child = namespace.rpartition(".")
    package = parent.partition(".")[0]
    try:
        return getattr(importlib.import_module(parent), child)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name in (package, parent):
            raise InitializerUnavailable(
                f"{namespace} is not here: {_installed(package)}. Install {FIRST_WITH[parent]}"
            ) from error
        if known := broken(error):
            raise known from error
        raise


def _installed(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)} is installed, and lacks it"
    except importlib.metadata.PackageNotFoundError:
        return f"{package} is not installed"


PUBLIC: dict[str, Definition] = {
    "zeros": Constant(value=0.0),
    "ones": Constant(value=1.0),
    "constant": Constant(value=0.5),
    "normal": Normal(stddev=0.01),
    "truncated_normal": TruncatedNormal(stddev=0.01),
    "uniform": Uniform(scale=0.01),
    "orthogonal": Orthogonal(),
    "delta_orthogonal": DeltaOrthogonal(),
    "variance_scaling": VarianceScaling(scale=1.0, mode="fan_in", distribution="truncated_normal"),
    **{
        name: VarianceScaling(scale=scale, mode=mode, distribution=distribution)
        for name, (scale, mode, distribution) in SCALINGS.items()
    },
}
"""Every public name that is no alias, with its defaults or the least arguments it needs."""


def _arguments(name: str) -> dict[str, Any]:
    least: dict[str, dict[str, Any]] = {
        "constant": {"value": 0.5},
        "variance_scaling": {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal"},
    }
    return least.get(name, {})


def _constant(name: str, value: Any) -> Row:
    return (f"constant_{name}", "constant", {"value": value}, Constant(value=value))


def _scaling(name: str, builder: str = "variance_scaling", **fields: Any) -> Row:
    """Return a variance-scaling variant; the axes not given keep their defaults."""
    if builder == "variance_scaling":
        return (name, builder, fields, VarianceScaling(**fields))
    scale, mode, distribution = SCALINGS[builder]
    definition = VarianceScaling(scale=scale, mode=mode, distribution=distribution, **fields)
    return (name, builder, fields, definition)


DISTRIBUTIONS = ("truncated_normal", "normal", "uniform")

CHANNELS = tuple(i / 8 for i in range(8))
"""One value for each of 8 output channels: exact in every float format."""

VARIANTS: tuple[Row, ...] = (
    _constant("negative", -7.0),
    _constant("integer", 3),
    _constant("third", 1 / 3),
    _constant("channels", CHANNELS),
    ("normal_1", "normal", {"stddev": 1.0}, Normal(stddev=1.0)),
    ("normal_0.02", "normal", {"stddev": 0.02}, Normal(stddev=0.02)),
    ("truncated_normal_1", "truncated_normal", {"stddev": 1.0}, TruncatedNormal(stddev=1.0)),
    *(
        (
            f"truncated_normal_{name}",
            "truncated_normal",
            {"stddev": 1.0, "lower": lower, "upper": upper},
            TruncatedNormal(stddev=1.0, lower=lower, upper=upper),
        )
        for name, lower, upper in (
            ("3sigma", -3.0, 3.0),
            ("asymmetric", -1.0, 3.0),
            ("positive", 0.0, 2.0),
            ("tail", 2.0, 4.0),
        )
    ),
    ("uniform_1", "uniform", {"scale": 1.0}, Uniform(scale=1.0)),
    ("uniform_negative", "uniform", {"scale": -0.5}, Uniform(scale=-0.5)),
    *(
        _scaling(f"scaling_{mode}_{distribution}", scale=1.0, mode=mode, distribution=distribution)
        for mode in MODES
        for distribution in DISTRIBUTIONS
        if (mode, distribution) != ("fan_in", "truncated_normal")  # the public default
    ),
    _scaling("lecun_normal_heads", "lecun_normal", in_axis=0, out_axis=(1, 2)),
    _scaling("lecun_normal_heads_out", "lecun_normal", in_axis=(0, 1), out_axis=2),
    _scaling("lecun_normal_in0", "lecun_normal", in_axis=0, out_axis=-1),
    _scaling("glorot_uniform_batch0", "glorot_uniform", batch_axis=0),
    _scaling("he_normal_batch0", "he_normal", batch_axis=(0,)),
    _scaling("he_uniform_transposed", "he_uniform", in_axis=-1, out_axis=-2),
    _scaling("glorot_normal_vector", "glorot_normal", in_axis=-1, out_axis=-1),
    ("orthogonal_scaled", "orthogonal", {"scale": 1.5}, Orthogonal(scale=1.5)),
    ("orthogonal_column0", "orthogonal", {"column_axis": 0}, Orthogonal(column_axis=0)),
    ("delta_orthogonal_scaled", "delta_orthogonal", {"scale": 0.5}, DeltaOrthogonal(scale=0.5)),
)

EXOTIC_VARIANTS: tuple[Row, ...] = (
    ("normal_large", "normal", {"stddev": 1000.0}, Normal(stddev=1000.0)),
    ("normal_tiny", "normal", {"stddev": 1e-4}, Normal(stddev=1e-4)),
    ("uniform_large", "uniform", {"scale": 100.0}, Uniform(scale=100.0)),
    (
        "truncated_normal_narrow",
        "truncated_normal",
        {"stddev": 1.0, "lower": -0.25, "upper": 0.25},
        TruncatedNormal(stddev=1.0, lower=-0.25, upper=0.25),
    ),
    _scaling("scaling_tiny", scale=1e-4, mode="fan_in", distribution="normal"),
    _scaling("scaling_large", scale=100.0, mode="fan_out", distribution="uniform"),
    _scaling("lecun_uniform_heads", "lecun_uniform", in_axis=0, out_axis=(1, 2)),
    _scaling("he_normal_heads_batch", "he_normal", in_axis=1, out_axis=2, batch_axis=0),
    (
        "delta_orthogonal_column0",
        "delta_orthogonal",
        {"column_axis": 0},
        DeltaOrthogonal(column_axis=0),
    ),
)

BUILTIN_FAMILIES = frozenset(definition.family for definition in PUBLIC.values())
"""Families whose budgets are measured; those of users' initializers are not."""


def _spec(row: Row, tier: Tier, public_names: tuple[str, ...] = ()) -> InitializerSpec:
    name, builder, arguments, definition = row
    return InitializerSpec(
        name=name,
        build=functools.partial(build, JAX, builder, arguments),
        definition=definition,
        family=definition.family,
        public_names=public_names,
        tier=tier,
    )


def _public_names(name: str) -> tuple[str, ...]:
    return tuple(
        f"{namespace}.{alias}"
        for namespace in NAMESPACES
        for alias in (name, *ALIASES.get(name, ()))
    )


def uncovered_public_names(specs: Iterable[InitializerSpec] | None = None) -> list[str]:
    """Return the public initializers of the installed JAX and Flax that no spec stands for."""
    covered = {name for spec in specs or builtin_specs() for name in spec.public_names}
    return sorted(set(public_initializers()) - covered)


def public_initializers() -> list[str]:
    """Return the qualified names of all public functions of the three namespaces."""
    return [
        f"{namespace}.{name}"
        for namespace in NAMESPACES
        for name, value in vars(namespace_module(namespace)).items()
        if not name.startswith("_") and inspect.isfunction(value)
    ]


def alias_faults() -> list[str]:
    """Return a line for each public name that is missing, or is not the object its spec runs."""
    faults = []
    for name in PUBLIC:
        runs = getattr(namespace_module(JAX), name)
        for qualified in _public_names(name):
            namespace, _, alias = qualified.rpartition(".")
            found = getattr(namespace_module(namespace), alias, None)
            if found is None:
                faults.append(f"{qualified} does not exist in this release")
            elif found is not runs:
                faults.append(f"{qualified} is no longer {JAX}.{name}: give it a spec of its own")
    return faults
