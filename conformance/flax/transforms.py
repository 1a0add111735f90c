"""Small models under Flax's lifted transforms, as parameter trees by path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from conformance.flax.observe import SEED, Tree, flatten, nnx_state

COPIES = 3
FEATURES = 4
WIDE = 32
"""Features that 8 devices divide."""


def linen(module: Any, *shape: int) -> Tree:
    """Return the variables of a linen module for an input of ones."""
    import jax

    return flatten(module.init(jax.random.key(SEED), np.ones(shape or (2, FEATURES), np.float32)))


def dense(features: int = FEATURES) -> Tree:
    """Return a Dense as it is."""
    import flax.linen as nn

    return linen(nn.Dense(features))


def rematerialized() -> Tree:
    """Return the same Dense under `nn.remat`."""
    import flax.linen as nn

    return linen(nn.remat(nn.Dense)(FEATURES))


def vmapped(*, split: bool, shared: bool = False) -> Tree:
    """Return COPIES of a Dense under `nn.vmap`; or one, `shared` by all of them."""
    import flax.linen as nn

    layers = nn.vmap(
        nn.Dense,
        variable_axes={"params": None if shared else 0},
        split_rngs={"params": split},
        in_axes=0,
        axis_size=COPIES,
    )
    return linen(layers(FEATURES), COPIES, 2, FEATURES)


def scanned(*, split: bool, shared: bool = False, checked: bool = True) -> Tree:
    """Return COPIES of a Dense under `nn.scan`, below `layers`; or one, shared by all steps."""
    import flax.linen as nn

    class Step(nn.Module):
        @nn.compact
        def __call__(self, carry: Any, _: None) -> tuple[Any, None]:
            return nn.Dense(FEATURES, name="dense")(carry), None

    class Outer(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            return nn.scan(
                Step,
                variable_axes={} if shared else {"params": 0},
                variable_broadcast="params" if shared else False,
                split_rngs={"params": split},
                length=COPIES,
                check_constancy_invariants=checked,
            )(name="layers")(x, None)[0]

    return linen(Outer())


def sharing_scope() -> Tree:
    """Return a Dense and an adapter that share one scope; the adapter draws first."""
    import flax.linen as nn

    class Adapted(nn.Module):
        base: Any

        @nn.compact
        def __call__(self, x: Any) -> Any:
            nn.share_scope(self, self.base)
            weights = self.param("adapter", nn.initializers.normal(1.0), (FEATURES, FEATURES))
            return self.base(x) + x @ weights

    class Outer(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            return Adapted(nn.Dense(FEATURES, name="layer"))(x)

    return linen(Outer())


def collision(outer: str, inner: str) -> Tree:
    """Return a Dense called `inner` in a module called `outer`."""
    import flax.linen as nn

    class Wrapper(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            return nn.Dense(FEATURES, name=inner)(x)

    class Outer(nn.Module):
        @nn.compact
        def __call__(self, x: Any) -> Any:
            return Wrapper(name=outer)(x)

    return linen(Outer())


def with_separator(make: Callable[[], Tree]) -> Tree:
    """Return what `make` returns while `flax_fix_rng_separator` is on."""
    from flax import config

    before = config.flax_fix_rng_separator
    config.update("flax_fix_rng_separator", True)
    try:
        return make()
    finally:
        config.update("flax_fix_rng_separator", before)


def jitted() -> Tree:
    """Return a Dense, initialized in one compiled program."""
    import flax.linen as nn
    import jax

    inputs = np.ones((2, FEATURES), np.float32)
    return flatten(jax.jit(nn.Dense(FEATURES).init)(jax.random.key(SEED), inputs))


def partitioned(n_devices: int) -> Tree:
    """Return a Dense with `nn.with_partitioning`, initialized over a mesh of devices."""
    import flax.linen as nn
    import jax
    from jax.sharding import Mesh

    kernel_init = nn.with_partitioning(nn.initializers.lecun_normal(), (None, "devices"))
    module = nn.Dense(WIDE, kernel_init=kernel_init)
    inputs = np.ones((2, FEATURES), np.float32)
    root = jax.random.key(SEED)
    mesh = Mesh(np.array(jax.devices("cpu")[:n_devices]), ("devices",))
    shapes = jax.eval_shape(module.init, root, inputs)
    shardings = nn.get_sharding(shapes, mesh)
    return flatten(jax.jit(module.init, out_shardings=shardings)(root, inputs))


def nnx_partitioned(n_devices: int) -> Tree:
    """Return a Linear with sharding metadata, made in one program over a mesh of devices."""
    import jax
    from flax import nnx
    from jax.sharding import Mesh

    kernel_init = nnx.with_partitioning(nnx.initializers.lecun_normal(), (None, "devices"))

    def make() -> Any:
        return nnx.Linear(FEATURES, WIDE, kernel_init=kernel_init, rngs=nnx.Rngs(SEED))

    with jax.set_mesh(Mesh(np.array(jax.devices("cpu")[:n_devices]), ("devices",))):
        return nnx_state(nnx.jit(make)())


def nnx_linear(rngs: Any, features: int = FEATURES) -> Tree:
    """Return a Linear drawn from the given streams."""
    from flax import nnx

    return nnx_state(nnx.Linear(FEATURES, features, rngs=rngs))


def nnx_rngs(**streams: int) -> Any:
    """Return `nnx.Rngs(**streams)`."""
    from flax import nnx

    return nnx.Rngs(**streams)


def nnx_vmapped(*, split: bool) -> Tree:
    """Return COPIES of a Linear made under `nnx.vmap`, with keys split or not."""
    from flax import nnx

    call = nnx.vmap(_make_linear, in_axes=0 if split else None, axis_size=COPIES)
    return nnx_state(_split(call, split)(nnx.Rngs(SEED)))


def nnx_scanned(*, split: bool) -> Tree:
    """Return COPIES of a Linear made under `nnx.scan`, with keys split or not."""
    from flax import nnx

    def step(carry: int, rngs: Any) -> Any:
        return carry, _make_linear(rngs)

    axes = (nnx.Carry, 0 if split else None)
    lifted = nnx.scan(step, in_axes=axes, out_axes=(nnx.Carry, 0), length=COPIES)
    return nnx_state(_split(lambda rngs: lifted(0, rngs)[1], split)(nnx.Rngs(SEED)))


def _make_linear(rngs: Any) -> Any:
    from flax import nnx

    return nnx.Linear(FEATURES, FEATURES, rngs=rngs)


def _split(call: Callable[[Any], Any], split: bool) -> Callable[[Any], Any]:
    from flax import nnx

    splitting: Callable[[Any], Any] = nnx.split_rngs(splits=COPIES)(call)
    return splitting if split else call


def nnx_jitted() -> Tree:
    """Return a Linear made in one compiled program."""
    from flax import nnx

    return nnx_state(nnx.jit(lambda: nnx.Linear(FEATURES, FEATURES, rngs=nnx.Rngs(SEED)))())


def key_words(key: Any) -> Any:
    """Return the words of typed keys."""
    import jax

    return jax.random.key_data(key)


def weight_norm_outcome() -> str:
    """Return what `nnx.WeightNorm` with a random initializer of its scales comes to."""
    from flax import nnx

    rngs = nnx_rngs(default=SEED)
    layer = nnx.Linear(FEATURES, FEATURES, rngs=rngs)
    try:
        module = nnx.WeightNorm(layer, scale_init=nnx.initializers.uniform(), rngs=rngs)
    except TypeError as error:
        return f"raises {type(error).__name__}"
    return "returns " + ", ".join(name for name in nnx_state(module) if name.startswith("scales"))
