"""The parameters of a user's own model as a recording.

Runs inside the environment of one release, so it needs what recording needs and nothing more. The
target is a function without arguments that returns the parameters: any tree of arrays.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from conformance.core.arrays import returned, sampled
from conformance.core.arrays import whole as array_of
from conformance.core.errors import TargetError
from conformance.core.files import atomic_folder, locked, writing
from conformance.core.records import Entry, Returned
from conformance.observe import environment
from conformance.observe.child.factored import drawn_for, may_be_orthogonal
from conformance.observe.target import Target, blamed, load_target
from conformance.observe.worker import Voice
from conformance.store.entries import TREE, parameter_id
from conformance.store.write import write_one_by_one


def record_apart(asked: Mapping[str, Any], lost: Mapping[str, str], voice: Voice) -> None:
    """Record a target, as a task of a worker; the deadline is that of each parameter."""
    del lost  # there is nothing else to do in its place
    name = asked["target"]
    voice.begin([name])
    record_target(name, Path(asked["out"]), asked.get("whole", ()), step=voice.go_on)
    voice.answer(name)


def record_target(
    name: str,
    folder: Path,
    whole: Collection[str] = (),
    step: Callable[[], None] = lambda: None,
) -> None:
    """Call the target twice and store its parameters in the new `folder`, by path.

    Where some may be orthogonal matrices, it is called once more, for what was drawn for them.

    Of each parameter that is too large the digest, the moments and a sample are kept; one tree at a
    time is in memory, and beside it one array.

    whole: ids of the parameters to store, these with all their elements; all others are left out.
    step: called with each parameter of each call.

    Raises:
        TargetError: it cannot be imported or called, raises, returns something else than arrays, or
            returns other values the second time.
        GoldenError: the folder is not empty, or the disk refuses.
    """
    target = load_target(name)
    require_no_arguments(name, target)

    def parameters() -> Iterator[tuple[str, Any]]:
        for pair in leaves(name, target):
            step()
            yield pair

    digests: dict[str, str] = {}
    if not whole:
        first = _summary(name, parameters(), digests)
        require_same(name, first, _summary(name, parameters()))
    else:
        asked = (pair for pair in parameters() if parameter_id(pair[0]) in whole)
        for path, leaf in asked:
            note_matrix(digests, path, as_outcome(name, path, leaf))
    drawn = drawn_for(parameters(), digests) if digests else {}
    captured = environment.capture(("cpu",))
    provenance = {"environment": dataclasses.asdict(captured), "target": name}
    if whole:
        outcomes = (
            (key, dataclasses.replace(as_outcome(name, path, leaf), drawn=drawn.get(path)))
            for path, leaf in parameters()
            if (key := parameter_id(path)) in whole
        )
    else:
        outcomes = (
            (parameter_id(path), dataclasses.replace(outcome, drawn=drawn.get(path)))
            for path, outcome in sorted(first.items())
        )
    entries = (
        Entry(id=key, shard=f"parameters/{number:06}.safetensors", outcome=outcome)
        for number, (key, outcome) in enumerate(outcomes)
    )
    with locked(folder), writing(folder), atomic_folder(folder) as draft:
        write_one_by_one(draft, entries, kind=TREE, provenance=[provenance])


def _summary(
    name: str, parameters: Iterable[tuple[str, Any]], matrices: dict[str, str] | None = None
) -> dict[str, Returned]:
    """Return the parameters of one call by path, as they are stored, and let go of the tree.

    matrices: takes the digests of those that may be orthogonal matrices, and are stored whole.
    """
    found = {}
    for path, leaf in parameters:
        found[path] = outcome = sampled(as_outcome(name, path, leaf))
        if matrices is not None:
            note_matrix(matrices, path, outcome)
    return found


def note_matrix(digests: dict[str, str], path: str, outcome: Returned) -> None:
    """Take the digest of a parameter of which all is at hand, if it may be an orthogonal matrix."""
    if outcome.is_whole and may_be_orthogonal(array_of(outcome)):
        digests[path] = outcome.sha256


def require_no_arguments(name: str, target: Target) -> None:
    """Ensure that the target can be called as it is.

    Raises:
        TargetError: it needs arguments.
    """
    kinds = inspect.Parameter
    needed = [
        parameter.name
        for parameter in inspect.signature(target).parameters.values()
        if parameter.default is kinds.empty
        and parameter.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD)
    ]
    if needed:
        raise TargetError(
            f"target {name!r} needs the arguments {', '.join(needed)}: name a function without "
            "arguments that makes its own key and sample input"
        )


def leaves(name: str, target: Target) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of a target's tree with their paths, `layer/kernel`.

    A target that is a generator yields such pairs itself, of a model that no memory holds at once.

    Raises:
        TargetError: there are none, the target raises, or what it yields are no pairs.
    """
    with blamed(name):
        tree = target()
    is_empty = True
    for path, leaf in _yielded(name, tree) if isinstance(tree, Iterator) else _flattened(tree):
        is_empty = False
        yield path, leaf
    if is_empty:
        raise TargetError(f"target {name!r} returns no parameters: return a tree of arrays")


def _flattened(tree: Any) -> Iterator[tuple[str, Any]]:
    import jax

    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        yield "/".join(map(_step, path)) or "(the array)", leaf


def _yielded(name: str, pairs: Iterator[Any]) -> Iterator[tuple[str, Any]]:
    while True:
        with blamed(name):
            pair = next(pairs, None)
        match pair:
            case None:
                return
            case (str(path), leaf):
                yield path, leaf
            case _:
                raise TargetError(
                    f"target {name!r} yields a {type(pair).__name__}: yield pairs of a path and "
                    "an array, or return a tree of arrays"
                )


def _step(step: Any) -> str:
    for attribute in ("key", "name", "idx"):
        if hasattr(step, attribute):
            return str(getattr(step, attribute))
    return str(step)


def as_outcome(name: str, path: str, leaf: Any) -> Returned:
    """Return a leaf as an outcome. Keys count as their words.

    Raises:
        TargetError: it is no array.
    """
    import jax

    if isinstance(leaf, jax.Array) and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    if not isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float | complex):
        raise TargetError(
            f"target {name!r} returns a {type(leaf).__name__} at {path}, not an array: return the "
            "parameters alone, of a Flax NNX module nnx.state(module)"
        )
    return returned(np.asarray(leaf))


def require_same(name: str, first: dict[str, Returned], second: dict[str, Returned]) -> None:
    """Ensure that both calls returned the same bits under the same paths.

    Raises:
        TargetError: they did not; the message names the first path that differs.
    """
    for path in [*first, *second]:
        one, two = first.get(path), second.get(path)
        if one is None or two is None or one.sha256 != two.sha256:
            raise TargetError(
                f"target {name!r} is not deterministic, a second call differs at {path}: take all "
                "randomness from a key with a fixed seed"
            )
