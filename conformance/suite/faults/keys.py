"""Right but for keys that are not usual: those of large seeds, high words, children."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.core.records import DriftClass
from conformance.suite.faults.fault import Fault, Shape, Wrong


def _rekeyed(change: Callable[[Any, Any], tuple[Any, Any]]) -> Wrong:
    """Return what the right initializer returns for other words of the key, high and low."""

    def wrong(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        import jax
        import jax.numpy as jnp

        words = jnp.stack(change(*jax.random.key_data(key))).astype("uint32")
        return right(jax.random.wrap_key_data(words), shape, dtype)

    return wrong


def _signed(bits: int) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Return the seed cut to so many bits, the first of which is its sign."""

    def change(high: Any, low: Any) -> tuple[Any, Any]:
        import jax

        unused = 32 - bits
        cut = jax.lax.bitcast_convert_type(low << unused, "int32") >> unused
        return high, jax.lax.bitcast_convert_type(cut, "uint32")

    return change


def _only(seed: int) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Return the key of another seed for one seed."""

    def change(high: Any, low: Any) -> tuple[Any, Any]:
        import jax.numpy as jnp

        return high, jnp.where((high == 0) & (low == seed), seed + 1, low)

    return change


def _mistaken(child: Callable[[Any], Any], other: Callable[[Any], Any]) -> Wrong:
    """Return what the right initializer returns for another key, where a child of key(7) is due."""

    def wrong(right: Initializer, key: Any, shape: Shape, dtype: Any) -> Any:
        import jax

        parent, data = jax.random.key(7), jax.random.key_data(key)
        if (data == jax.random.key_data(child(parent))).all():
            key = other(parent)
        return right(key, shape, dtype)

    return wrong


def _second_of_two(parent: Any) -> Any:
    import jax

    return jax.random.split(parent)[1]


def _first_of_two(parent: Any) -> Any:
    import jax

    return jax.random.split(parent)[0]


def _folded(parent: Any) -> Any:
    import jax

    return jax.random.fold_in(parent, 5)


def _itself(parent: Any) -> Any:
    return parent


def _fault(name: str, wrong: Wrong, key: str, base: str = "normal") -> Fault:
    return Fault(
        name=name, base=base, wrong=wrong, key=key, caught_by="oracle", drift=DriftClass.STREAM
    )


FAULTS = (
    _fault("seed_as_signed_8_bits", _rekeyed(_signed(8)), "s200", "uniform"),
    _fault("seed_as_signed_16_bits", _rekeyed(_signed(16)), "s40000", "glorot_uniform"),
    _fault("seed_as_signed_17_bits", _rekeyed(_signed(17)), "s65543", "truncated_normal"),
    _fault("seed_as_signed_31_bits", _rekeyed(_signed(31)), "s2147483655", "lecun_normal"),
    _fault("only_seed_7_is_wrong", _rekeyed(_only(7)), "s7"),
    _fault("only_seed_13_is_wrong", _rekeyed(_only(13)), "s13"),
    _fault("high_word_ignored", _rekeyed(lambda _, low: (low * 0, low)), "k0000000100000007"),
    _fault("child_is_its_sibling", _mistaken(_second_of_two, _first_of_two), "s7.split2at1"),
    _fault("child_is_its_parent", _mistaken(_second_of_two, _itself), "s7.split2at1", "he_normal"),
    _fault("fold_in_does_nothing", _mistaken(_folded, _itself), "s7.fold5", "uniform_negative"),
)
