"""Which key Flax hands to each parameter, and which one a problem is drawn with."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import flax
import flax.linen as nn
import jax
import numpy as np
import pytest
from flax import nnx

from conformance.cases.builtin import load_catalogue
from conformance.core.arrays import Array
from conformance.core.ids import PRNGS, Problem, parse_case, parse_problem
from conformance.core.keys import KeySpec
from conformance.core.prng import n_words
from conformance.judge.statistics import look_keys
from conformance.observe.backends import pjrt
from conformance.observe.backends import problem as problem_keys
from conformance.observe.backends.problem import settings, typed_key, typed_keys
from conformance.oracle import fold_in, linen_fold, linen_key, nnx_key, seed_key, split
from conformance.oracle.initializers import key_of

SEED = 11


def words_of(key: Any) -> Array:
    return np.asarray(jax.random.key_data(key))


class Leaf(nn.Module):
    """Two parameters, whose values are the words of the keys that they were given."""

    @nn.compact
    def __call__(self) -> None:  # noqa: D102 (Flax names it)
        self.param("kernel", words_of_traced)
        self.param("bias", words_of_traced)


def words_of_traced(key: Any) -> Any:
    return jax.random.key_data(key)


class Tree(nn.Module):
    """Modules within modules, some named, some not; and a parameter drawn between them."""

    @nn.compact
    def __call__(self) -> None:  # noqa: D102 (Flax names it)
        Leaf(name="head")()
        self.param("scale", words_of_traced)
        Leaf()()
        Branch(name="block")()
        Branch(name="block1")()


class Branch(nn.Module):
    """Leaves whose names, joined to that of their branch, run together."""

    @nn.compact
    def __call__(self) -> None:  # noqa: D102 (Flax names it)
        Leaf(name="1x")()
        Leaf(name="x")()


def linen_words() -> dict[str, Any]:
    variables = Tree().init(jax.random.key(SEED))
    params: dict[str, Any] = variables["params"]
    return params


PATHS: dict[tuple[str, ...], tuple[str | int, ...]] = {
    ("scale",): (1,),
    ("head", "kernel"): ("head", 1),
    ("head", "bias"): ("head", 2),
    ("Leaf_0", "kernel"): ("Leaf_0", 1),
    ("Leaf_0", "bias"): ("Leaf_0", 2),
    ("block", "1x", "kernel"): ("block", "1x", 1),
    ("block1", "x", "kernel"): ("block1", "x", 1),
    ("block1", "x", "bias"): ("block1", "x", 2),
}
"""Where a parameter lies in the tree, and the path that Flax hashes for it."""


@pytest.mark.parametrize("separator", [False, True])
def test_linen_keys_are_those_that_flax_hands_out(separator: bool) -> None:
    with flax.config.temp_flip_flag("fix_rng_separator", separator):
        words = linen_words()

    for place, path in PATHS.items():
        found: Any = words
        for name in place:
            found = found[name]
        expected = linen_key(seed_key(SEED), path, separator=separator)
        np.testing.assert_array_equal(np.asarray(found), expected, err_msg=str(place))


def test_without_separators_two_layers_share_their_keys() -> None:
    words = linen_words()

    np.testing.assert_array_equal(words["block"]["1x"]["kernel"], words["block1"]["x"]["kernel"])
    root = seed_key(SEED)
    np.testing.assert_array_equal(
        linen_key(root, ("block", "1x", 1)), linen_key(root, ("block1", "x", 1))
    )


def test_parts_are_joined_without_a_separator_unless_told() -> None:
    digest = hashlib.sha1(b"block1x\x01", usedforsecurity=False).digest()

    assert linen_fold(("block", "1x", 1)) == int.from_bytes(digest[:4], "big")
    assert linen_fold(("block1", "x", 1)) == linen_fold(("block", "1x", 1))
    marked = hashlib.sha1(b"\0block\x001x\0\x01", usedforsecurity=False).digest()
    assert linen_fold(("block", "1x", 1), separator=True) == int.from_bytes(marked[:4], "big")


def test_with_separators_they_do_not() -> None:
    root = seed_key(SEED)
    one, other = (
        linen_key(root, path, separator=True) for path in (("block", "1x", 1), ("block1", "x", 1))
    )

    assert one.tolist() != other.tolist()


def test_no_path_leaves_the_root_key() -> None:
    root = seed_key(SEED)

    assert linen_key(root, ()) is root


STREAMS: dict[str, int] = {"default": 3, "params": 5}


@pytest.mark.parametrize("name", ["params", "default", "dropout"])
def test_nnx_keys_are_counted_by_stream(name: str) -> None:
    """A stream without a seed of its own, such as dropout, is the default stream."""
    rngs = nnx.Rngs(**STREAMS)
    actual = [words_of(rngs[name]()) for _ in range(3)]

    expected = [nnx_key(STREAMS, name, count) for count in range(3)]
    np.testing.assert_array_equal(actual, expected)


def test_a_stream_without_a_seed_takes_its_turn_in_the_default_one() -> None:
    rngs = nnx.Rngs(3)
    rngs.dropout()

    np.testing.assert_array_equal(words_of(rngs.params()), nnx_key({"default": 3}, "params", 1))


def test_the_255th_draw_is_one_byte_of_a_linen_path() -> None:
    root = np.array([7, 9], np.uint32)
    digest = hashlib.sha1(b"dense\xff", usedforsecurity=False).digest()

    expected = fold_in(root, int.from_bytes(digest[:4], "big"))
    assert linen_key(root, ("dense", 255)).tolist() == expected.tolist()


def test_a_seed_of_64_bits_is_cut_unless_x64_is_said() -> None:
    seed = (5 << 32) + 7
    cut, whole = ({"params": seed_key(seed, x64=x64)} for x64 in (False, True))

    assert nnx_key({"params": seed}, "params", 1).tolist() == nnx_key(cut, "params", 1).tolist()
    assert (
        nnx_key({"params": seed}, "params", 1, x64=True).tolist()
        == nnx_key(whole, "params", 1).tolist()
        != nnx_key(cut, "params", 1).tolist()
    )


def test_a_root_key_is_taken_as_it_is() -> None:
    root = np.array([7, 9], np.uint32)
    rngs = nnx.Rngs(params=jax.random.wrap_key_data(jax.numpy.asarray(root)))

    np.testing.assert_array_equal(words_of(rngs.params()), nnx_key({"params": root}, "params", 0))


def test_the_roots_of_split_streams_are_the_split_of_the_next_key() -> None:
    rngs = nnx.Rngs(**STREAMS)
    rngs.params()
    roots = words_of(rngs.params.split(4).key[...])

    np.testing.assert_array_equal(roots, split(nnx_key(STREAMS, "params", 1), 4))


def test_a_forked_stream_starts_from_the_next_key() -> None:
    forked = nnx.Rngs(**STREAMS).fork()
    root = nnx_key(STREAMS, "params", 0)

    np.testing.assert_array_equal(words_of(forked.params()), nnx_key({"params": root}, "params", 0))


def test_layers_draw_their_keys_in_the_order_in_which_they_are_built() -> None:
    drawn: list[Array] = []

    def recording(initializer: Callable[..., Any]) -> Callable[..., Any]:
        def record(key: Any, shape: Any, dtype: Any) -> Any:
            drawn.append(words_of(key))
            return initializer(key, shape, dtype)

        return record

    rngs = nnx.Rngs(**STREAMS)
    for _ in range(2):
        nnx.Linear(
            2,
            3,
            kernel_init=recording(nnx.initializers.lecun_normal()),
            bias_init=recording(nnx.initializers.zeros_init()),
            rngs=rngs,
        )

    expected = [nnx_key(STREAMS, "params", count) for count in range(4)]
    np.testing.assert_array_equal(drawn, expected)


def test_a_stream_that_nobody_seeded_is_refused() -> None:
    with pytest.raises(KeyError, match="no stream 'dropout' and no 'default' among params"):
        nnx_key({"params": 1}, "dropout", 0)


# --- Keys of problems ----------------------------------------------------------------------------

KEYS = (
    "s7",
    "s4294967301",
    "s7.fold0",
    "s7.fold4294967295",
    "s7.split2at0",
    "s7.split2at1",
    "s7.split5at4",
    "k123456789abcdef0",
    "kffffffff00000000.split3at2.fold5.split2at1",
)


WORDS = dict(
    zip(
        KEYS,
        (
            [0, 7],
            [0, 5],
            [3625411723, 1954958720],
            [3658129989, 1719350670],
            [3625411723, 1954958720],
            [195045567, 4062205631],
            [51277378, 3088387524],
            [305419896, 2596069104],
            [3139517245, 3647976877],
        ),
        strict=True,
    )
)

ORIGINAL = [1948237315, 1058547403]
"""Of `s7.split2at1` in the layout that cannot be partitioned."""


def problem_of_key(text: str, dtype: str, prng: str) -> Problem:
    return parse_problem(f"normal-{dtype}-64-{text}-{prng}".removesuffix("-threefry2x32"))


@pytest.mark.parametrize("prng", PRNGS[:3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_keys_of_problems_are_those_that_jax_makes(dtype: str, prng: str) -> None:
    for text in KEYS:
        problem = problem_of_key(text, dtype, prng)
        with settings(problem):
            actual = np.asarray(jax.random.key_data(typed_key(problem)))

        expected = key_of(problem, partitionable=not prng.endswith("nonpartitionable"))

        np.testing.assert_array_equal(actual, expected, err_msg=problem.id)


@pytest.mark.parametrize("prng", PRNGS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_hundred_keys_are_those_that_are_made_one_by_one(dtype: str, prng: str) -> None:
    problem = problem_of_key("s7", dtype, prng)
    wanted = [key for look in look_keys(problem, n_looks=2) for key in look]
    wanted += [problem.key.fold_in(2**32 - 1), problem.key.split(5, 3).fold_in(2)]
    wanted += [KeySpec(seed=seed) for seed in (2**31, 2**32 - 1, 2**32, 2**63 - 1)]
    wanted.append(KeySpec(words=tuple(range(7, 7 + n_words(prng)))))
    with settings(problem):
        made = typed_keys(problem, wanted)
        for key, found in zip(wanted, made, strict=True):
            own = dataclasses.replace(problem, seed=key.seed, words=key.words, steps=key.steps)
            expected = typed_key(own)

            assert found.dtype == expected.dtype, key.text
            words, known = map(jax.random.key_data, (found, expected))
            np.testing.assert_array_equal(words, known, err_msg=key.text)


def test_a_key_of_which_two_children_are_wanted_is_split_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    split: list[int] = []

    def counted(key: Any, number: int) -> Any:
        split.append(number)
        return jax.random.split(key, number)

    monkeypatch.setattr(problem_keys, "_compiled", lambda: (counted, jax.random.fold_in))
    problem = problem_of_key("s7", "float32", "rbg")
    root = problem.key

    typed_keys(problem, [root.split(2, 0), root.split(2, 1), root.split(3, 1), root])

    assert split == [2, 3]


def test_the_one_other_key_of_many_cases_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def counted(problem: Problem) -> Any:
        made.append(problem.id)
        return typed_key(problem)

    monkeypatch.setattr(pjrt, "typed_key", counted)
    backend, spec = pjrt.PjrtBackend("cpu"), load_catalogue().lookup("normal")
    for shape in ("64", "8x4"):
        case = parse_case(f"normal-float32-{shape}-s0-cpu-eager")
        (alone,) = backend.draws(case, spec, [KeySpec(seed=1)])
        among, _ = backend.draws(case, spec, [KeySpec(seed=1), KeySpec(seed=2)])

        assert alone.tobytes() == among.tobytes()

    assert made == ["normal-float32-64-s1"]


def test_the_words_of_keys_do_not_change() -> None:
    """Known answers, of JAX 0.12.0.1: both sides might change together."""
    words = {text: key_of(problem_of_key(text, "float32", PRNGS[0])).tolist() for text in KEYS}
    layout = key_of(problem_of_key("s7.split2at1", "float32", PRNGS[0]), partitionable=False)

    assert words == WORDS
    assert layout.tolist() == ORIGINAL


@pytest.mark.parametrize("partitionable", [True, False])
@pytest.mark.parametrize("child", ["split4at{}", "fold{}"])
def test_no_child_of_a_key_is_its_parent_or_another_child(child: str, partitionable: bool) -> None:
    texts = ["s7", *(f"s7.{child.format(i)}" for i in range(4))]
    problems = [problem_of_key(text, "float32", PRNGS[0]) for text in texts]
    keys = {tuple(key_of(each, partitionable=partitionable).tolist()) for each in problems}

    assert len(keys) == len(texts)


def test_a_child_of_split_is_that_of_fold_in_by_its_number() -> None:
    """So JAX makes them in the layout that can be partitioned: whoever mixes both repeats keys."""
    folded, child, original = (
        key_of(problem_of_key(text, "float32", PRNGS[0]), partitionable=layout).tolist()
        for text, layout in (("s7.fold1", True), ("s7.split5at1", True), ("s7.split5at1", False))
    )

    assert folded == child != original
