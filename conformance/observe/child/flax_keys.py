"""The keys that Flax derives for parameters, as a target.

Every parameter of these models is the words of the key that its initializer was given. No random
number is drawn from it, so a change here is a change of Flax, or of how JAX splits keys.
"""

from __future__ import annotations

from typing import Any

TARGET = "conformance.observe.child.flax_keys:all_keys"


def words(key: Any, *_: Any) -> Any:
    """Return the words of a key, typed or not: an initializer that shows its argument."""
    import jax

    return jax.random.key_data(key)


def linen_keys() -> Any:
    """Return the keys of a Linen model: named, nested, repeated, shared and of two collections."""
    import jax
    from flax import linen

    class Leaf(linen.Module):
        @linen.compact
        def __call__(self) -> None:
            self.param("kernel", words)
            self.param("bias", words)
            self.variable("cache", "state", lambda: words(self.make_rng("cache")))

    class Block(linen.Module):
        @linen.compact
        def __call__(self) -> None:
            Leaf()()
            Leaf()()
            Leaf(name="named")()

    class Model(linen.Module):
        def setup(self) -> None:
            self.attribute = Leaf()
            self.listed = [Leaf(), Leaf()]

        @linen.compact
        def __call__(self) -> None:
            self.param("scale", words)
            self.attribute()
            for leaf in self.listed:
                leaf()
            Block()()

    names = ("params", "cache")
    return Model().init({name: jax.random.PRNGKey(i) for i, name in enumerate(names)})


def nnx_keys() -> Any:
    """Return the keys of an NNX stream, in order, of two streams and of one that falls back."""
    from flax import nnx

    rngs = nnx.Rngs(0, params=1)
    streams = {"params": rngs.params, "dropout": rngs.dropout}
    return {name: [words(stream()) for _ in range(4)] for name, stream in streams.items()}


def all_keys() -> Any:
    """Return the keys of both: of Linen alone where this Flax has no NNX."""
    try:
        from flax import nnx as _  # noqa: F401
    except ImportError:
        return {"linen": linen_keys()}
    return {"linen": linen_keys(), "nnx": nnx_keys()}
