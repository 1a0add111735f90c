"""Under Flax's transforms what must be independent is, and what must be equal is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from conformance.core.arrays import Array
from conformance.core.ids import Tier
from conformance.core.records import Raised
from conformance.flax import observe, transforms
from conformance.flax.layers import LECUN
from conformance.flax.observe import SEED
from conformance.judge.ledger import Ledger
from conformance.oracle import fold_in, linen_key, seed_key, split
from conformance.oracle.threefry import Key
from conformance.suite.test_modules import hold
from conformance.suite.test_modules import ledger as ledger
from conformance.suite.test_modules import not_in_the_quick_tier as not_in_the_quick_tier
from conformance.suite.test_modules import on_cpu as on_cpu

pytestmark = pytest.mark.usefixtures("not_in_the_quick_tier")

ROOT = seed_key(SEED)
COPIES = transforms.COPIES


def lecun(key: Key, features: int = transforms.FEATURES) -> Array:
    """Return the kernel that a Dense or Linear draws from the key."""
    kernel = observe.draw(LECUN, key, (transforms.FEATURES, features), "float32")
    assert not isinstance(kernel, Raised)
    return kernel


def assert_copies(kernels: Array, keys: Sequence[Key]) -> None:
    """Fail unless each slice along axis 0 is the kernel of its key, bit for bit."""
    same = [
        kernel.tobytes() == lecun(key).tobytes() for kernel, key in zip(kernels, keys, strict=False)
    ]
    assert len(kernels) == len(keys), f"{len(kernels)} slices, not {len(keys)}"
    assert all(same), f"slices {[i for i, ok in enumerate(same) if not ok]} have other keys"


def test_remat_leaves_every_parameter_as_it_was() -> None:
    """Recomputing the forward pass is no reason for other weights."""
    assert digests(transforms.rematerialized()) == digests(transforms.dense())


def digests(tree: Mapping[str, Array]) -> dict[str, bytes]:
    """Return the bits of every array."""
    return {name: array.tobytes() for name, array in tree.items()}


def test_vmap_with_split_keys_makes_independent_copies() -> None:
    """Copy i has the i-th key split from the root."""
    kernels = transforms.vmapped(split=True)["params.kernel"]

    assert_copies(kernels, [linen_key(key, (1,)) for key in split(ROOT, COPIES)])


def test_vmap_without_split_keys_makes_equal_copies() -> None:
    """All copies have the root key."""
    kernels = transforms.vmapped(split=False)["params.kernel"]

    assert_copies(kernels, [linen_key(ROOT, (1,))] * COPIES)


def test_vmap_over_shared_parameters_makes_one_kernel() -> None:
    """There is one kernel, that of the layer by itself."""
    tree = transforms.vmapped(split=False, shared=True)

    assert digests(tree) == digests(transforms.dense())


def test_scan_over_shared_parameters_makes_one_kernel() -> None:
    """There is one kernel, that of the layer by itself at its path."""
    kernel = transforms.scanned(split=False, shared=True)["params.layers.dense.kernel"]

    assert kernel.tobytes() == lecun(linen_key(ROOT, ("layers", "dense", 1))).tobytes()


def test_scan_without_split_keys_makes_equal_copies() -> None:
    """All steps have one key: that of the second trace of the body."""
    kernels = transforms.scanned(split=False)["params.layers.dense.kernel"]

    assert_copies(kernels, [linen_key(ROOT, ("layers", "dense", 3))] * COPIES)


def test_scan_without_its_invariance_check_draws_number_1() -> None:
    """Step i has the i-th key split from the root, folded with path and draw."""
    kernels = transforms.scanned(split=True, checked=False)["params.layers.dense.kernel"]

    keys = [linen_key(key, ("layers", "dense", 1)) for key in split(ROOT, COPIES)]
    assert_copies(kernels, keys)


def test_scan_draws_the_same_whether_or_not_it_checks_invariance(ledger: Ledger) -> None:
    """A finding: the draws are numbered on through both traces of the body."""
    kernels = transforms.scanned(split=True)["params.layers.dense.kernel"]

    numbers = [
        number
        for number in range(1, 8)
        if kernels[0].tobytes()
        == lecun(linen_key(split(ROOT, COPIES)[0], ("layers", "dense", number))).tobytes()
    ]
    outcome = f"draw {', '.join(map(str, numbers))}"
    keys = [linen_key(key, ("layers", "dense", *numbers)) for key in split(ROOT, COPIES)]
    assert_copies(kernels, keys)
    hold(ledger, "scan-counts-its-traces", outcome)


def test_modules_that_share_a_scope_share_its_count() -> None:
    """The adapter takes draw 1, so the kernel that was draw 1 becomes draw 2."""
    tree = transforms.sharing_scope()

    assert set(tree) == {"params.layer.adapter", "params.layer.kernel", "params.layer.bias"}
    expected = lecun(linen_key(ROOT, ("layer", 2)))
    assert tree["params.layer.kernel"].tobytes() == expected.tobytes()


def test_paths_that_join_to_one_text_have_different_keys(ledger: Ledger) -> None:
    """A finding: they have one key."""
    one = transforms.collision("block", "1x")["params.block.1x.kernel"]
    two = transforms.collision("block1", "x")["params.block1.x.kernel"]

    equal = one.tobytes() == two.tobytes()
    outcome = "equal kernels" if equal else "different kernels"
    hold(ledger, "paths-join-without-a-mark", outcome)


@pytest.mark.parametrize("path", [("block", "1x"), ("block1", "x")])
def test_the_separator_flag_marks_where_a_part_of_a_path_ends(path: tuple[str, str]) -> None:
    """With `flax_fix_rng_separator` each part is hashed after a zero byte."""
    tree = transforms.with_separator(lambda: transforms.collision(*path))

    expected = lecun(linen_key(ROOT, (*path, 1), separator=True))
    assert tree[f"params.{'.'.join(path)}.kernel"].tobytes() == expected.tobytes()


def test_jit_leaves_every_parameter_as_it_was() -> None:
    """In linen and in nnx."""
    assert digests(transforms.jitted()) == digests(transforms.dense())
    eager = transforms.nnx_linear(transforms.nnx_rngs(default=SEED))
    assert digests(transforms.nnx_jitted()) == digests(eager)


def test_partitioning_over_devices_leaves_every_parameter_as_it_was(n_devices: int) -> None:
    """`nn.with_partitioning` says where values lie, never which they are."""
    sharded = transforms.partitioned(n_devices)

    assert digests(sharded) == digests(transforms.dense(transforms.WIDE))


def test_nnx_sharding_metadata_leaves_every_parameter_as_it_was(n_devices: int) -> None:
    """The same in nnx, where the mesh is ambient."""
    sharded = transforms.nnx_partitioned(n_devices)

    plain = transforms.nnx_linear(transforms.nnx_rngs(default=SEED), transforms.WIDE)
    assert digests(sharded) == digests(plain)


@pytest.mark.parametrize("lifted", [transforms.nnx_vmapped, transforms.nnx_scanned])
def test_nnx_copies_with_split_keys_are_independent(lifted: Callable[..., observe.Tree]) -> None:
    """Copy i draws number 0 of the i-th stream split from the first key."""
    kernels = lifted(split=True)["kernel"]

    assert_copies(kernels, [fold_in(key, 0) for key in split(fold_in(ROOT, 0), COPIES)])


@pytest.mark.parametrize("lifted", [transforms.nnx_vmapped, transforms.nnx_scanned])
def test_nnx_copies_without_split_keys_are_equal(
    lifted: Callable[..., observe.Tree],
) -> None:
    """Every copy starts at the count that the stream had."""
    kernels = lifted(split=False)["kernel"]

    assert_copies(kernels, [fold_in(ROOT, 0)] * COPIES)


def test_an_nnx_layer_draws_from_the_stream_params() -> None:
    """And from `default` only where there is no such stream."""
    rngs = transforms.nnx_rngs(default=0, params=7)

    kernel = transforms.nnx_linear(rngs)["kernel"]

    assert kernel.tobytes() == lecun(fold_in(seed_key(7), 0)).tobytes()


def test_a_fork_of_nnx_rngs_takes_one_key_and_counts_from_0() -> None:
    """The fork draws below key 0 of its parent; the parent goes on with key 1."""
    parent = transforms.nnx_rngs(default=SEED)
    forked = transforms.nnx_linear(parent.fork())["kernel"]

    assert forked.tobytes() == lecun(fold_in(fold_in(ROOT, 0), 0)).tobytes()
    assert transforms.nnx_linear(parent)["kernel"].tobytes() == lecun(fold_in(ROOT, 1)).tobytes()


def test_a_split_of_nnx_rngs_splits_its_next_key() -> None:
    """`Rngs.split(n)` holds the n keys split from key 0."""
    rngs = transforms.nnx_rngs(default=SEED).split(COPIES)

    keys = np.asarray(transforms.key_words(rngs.default.key[...]))
    assert keys.tobytes() == split(fold_in(ROOT, 0), COPIES).tobytes()


def test_nnx_streams_of_one_seed_have_different_keys(ledger: Ledger) -> None:
    """A finding: the name of a stream is not part of its keys."""
    rngs = transforms.nnx_rngs(params=0, dropout=0)
    keys = [np.asarray(transforms.key_words(stream())) for stream in (rngs.params, rngs.dropout)]

    equal = keys[0].tobytes() == keys[1].tobytes()
    outcome = "equal keys" if equal else "different keys"
    hold(ledger, "streams-of-one-seed-are-one-stream", outcome)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Shard over the 8 host devices that the full tier forces; elsewhere over the one there is."""
    if "n_devices" in metafunc.fixturenames:
        is_full = metafunc.config.getoption("--tier") == Tier.FULL
        metafunc.parametrize("n_devices", [8] if is_full else [1])
