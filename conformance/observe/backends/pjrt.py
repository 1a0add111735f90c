"""CPU, CUDA, TPU and any other PJRT platform: one code path through JAX itself."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from conformance.cases.backends import installed, lookup
from conformance.cases.catalogue import Initializer, InitializerSpec
from conformance.core.arrays import Array, as_dtype, returned
from conformance.core.errors import BackendUnavailable, nearest
from conformance.core.formats import WIDE_DTYPES, is_complex
from conformance.core.ids import Block, Case, Problem
from conformance.core.keys import FOLD
from conformance.core.laws import Sampler, sampler_of
from conformance.core.records import COMPILED, Observation, Raised, Returned
from conformance.observe.backends.stages import DRAWS, stage_arrays, stage_digests
from conformance.observe.jax_compat import platforms, x64
from conformance.observe.process import HOST_DEVICES_FLAG, SHARDS

Call = Callable[[Any], Any]
"""Key -> array: an initializer under one transform."""

KEPT_KEYS = 1024
"""Keys that are kept: a tier has a handful of seeds, and of a million each is asked for once."""

VMAP_SEEDS = 4
"""Seeds in one vmapped call; the case's own is the one before last."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Many:
    """The arrays of many seeds, along a new first axis."""

    arrays: Array
    weak_type: bool


def _meant(name: str) -> str:
    """Return which backends may have been meant by a name that none has; "" if one has it.

    `gpu` is JAX's name for either of two platforms, whose bits differ.
    """
    known = installed().names()
    near = ["cuda", "rocm"] if name == "gpu" else nearest(name, known)
    return f"did you mean {' or '.join(near)}? Else " if near and name not in known else ""


class PjrtBackend:
    """Runs cases on the first device of a PJRT platform.

    Raises:
        BackendUnavailable: the platform has no device in this process.
    """

    def __init__(self, platform: str) -> None:
        import jax

        self.name = platform
        self._keys: dict[tuple[object, ...], Any] = {}
        self._stages: dict[tuple[object, ...], Mapping[str, str]] = {}
        try:
            self._devices: list[Any] = jax.devices(platform)
        except (RuntimeError, AssertionError) as error:
            present, hint = ", ".join(present_platforms()), lookup(platform).hint
            raise BackendUnavailable(
                f"backend {platform!r} was asked for and has no device here (present: {present}): "
                f"{_meant(platform)}install its JAX plugin{f' ({hint})' if hint else ''}, or leave "
                f"it out of --backend. JAX says: {error}"
            ) from error

    def observe(self, case: Case, spec: InitializerSpec) -> Observation:
        """Run the case twice with one key; the second digest is `repeat_sha256`.

        Errors of the call are outcomes. So is a spec that cannot be built: `SpecError`.
        """
        if case.transform == "sharded" and len(self._devices) < SHARDS:
            raise BackendUnavailable(
                f"{case.id} needs {SHARDS} devices of {self.name}, found {len(self._devices)}: "
                f"on cpu set XLA_FLAGS={HOST_DEVICES_FLAG}={SHARDS}"
            )
        try:
            call = TRANSFORMS[case.transform](spec.build(), case.problem, self._devices)
        except Exception as error:
            refusal = Raised(exception="SpecError", message=f"{type(error).__name__}: {error}")
            return self._observation(case, refusal, None, 0.0)
        start = time.perf_counter()
        outcome = self._attempt(case, call)
        elapsed_s = time.perf_counter() - start
        repeat = self._attempt(case, call) if isinstance(outcome, Returned) else None
        return self._observation(case, outcome, repeat, elapsed_s)

    def many(self, block: Block, spec: InitializerSpec) -> Callable[[], Many]:
        """Return a call that draws all arrays of a block at once, under the block's transform.

        The eager one stays eager: its operations run one by one, each over all arrays. It raises
        whatever the initializer does when it is asked for many.
        """
        problem, transform = block.case.problem, block.case.transform
        call = mapped(transform, spec.build(), problem, self._devices)
        with self._ambient(problem):
            keys = typed_keys(problem, block.seeds)

        def draw() -> Many:
            with self._ambient(problem):
                arrays = call(keys)
                weak_type = bool(getattr(arrays.aval, "weak_type", False))
                return Many(arrays=np.asarray(arrays), weak_type=weak_type)

        return draw

    def stages(self, case: Case, spec: InitializerSpec) -> Mapping[str, str]:
        """Return digests of the stages before the result; empty where none are defined."""
        problem = case.problem
        sampler = sampler_for(case, spec)
        if sampler is None:
            return {}
        asked = (problem.dtype, problem.key, problem.prng, sampler)
        if asked not in self._stages:
            with self._ambient(problem):
                self._stages[asked] = stage_digests(self._key(problem), problem, sampler)
        return self._stages[asked]

    def stage_arrays(self, case: Case, spec: InitializerSpec) -> Mapping[str, Array]:
        """Return the stages before the result; empty where none are defined."""
        sampler = sampler_for(case, spec)
        if sampler is None:
            return {}
        with self._ambient(case.problem):
            return stage_arrays(self._key(case.problem), case.problem, sampler)

    def drawn(self, case: Case, spec: InitializerSpec) -> Array | None:
        """Return the normals of an orthogonal case, drawn under the transform of the case.

        Eager or compiled they may round otherwise, and under vmap some PRNGs draw other bits.
        Within the compiled initializer the compiler may round them otherwise still.
        """
        import jax

        problem = case.problem
        sampler = sampler_of(spec.definition, problem.shape)
        if sampler is None:
            return None
        tall = dataclasses.replace(problem, shape=sampler.shape)
        call = TRANSFORMS[case.transform](jax.random.normal, tall, self._devices)
        with self._ambient(problem):
            return np.asarray(call(self._key(problem)))

    def execute(self, function: Call, key: Any) -> Array:
        """Return what the function makes of the key on this device."""
        import jax

        with jax.default_device(self._devices[0]):
            return np.asarray(function(key))

    @property
    def device(self) -> str:
        """Return the kind of the device that cases run on."""
        return str(self._devices[0].device_kind)

    def _observation(
        self,
        case: Case,
        outcome: Returned | Raised,
        repeat: Returned | Raised | None,
        elapsed_s: float,
    ) -> Observation:
        return Observation(
            case=case,
            outcome=outcome,
            repeat_sha256=repeat.sha256 if isinstance(repeat, Returned) else None,
            device=self.device,
            elapsed_s=elapsed_s,
        )

    def _attempt(self, case: Case, call: Callable[[Any], Any]) -> Returned | Raised:
        try:
            with self._ambient(case.problem):
                return _as_outcome(call(self._key(case.problem)))
        except Exception as error:
            return Raised(exception=type(error).__name__, message=str(error))

    def _key(self, problem: Problem) -> Any:
        """Return the problem's key, made once: keys are immutable, and making one costs 0.2 ms."""
        asked = (problem.key, problem.prng, problem.dtype in WIDE_DTYPES)
        if asked not in self._keys:
            if len(self._keys) == KEPT_KEYS:
                self._keys.clear()
            self._keys[asked] = typed_key(problem)
        return self._keys[asked]

    @contextlib.contextmanager
    def _ambient(self, problem: Problem) -> Iterator[None]:
        import jax

        with jax.default_device(self._devices[0]), settings(problem):
            yield


@contextlib.contextmanager
def settings(problem: Problem) -> Iterator[None]:
    """Enter the JAX settings that a problem asks for: 64 bits, and how threefry lays out bits."""
    import jax

    with contextlib.ExitStack() as stack:
        if problem.dtype in WIDE_DTYPES:
            stack.enter_context(x64())
        if problem.prng.endswith("partitionable"):
            partitionable = not problem.prng.endswith("nonpartitionable")
            stack.enter_context(jax.threefry_partitionable(partitionable))
        yield


def sampler_for(case: Case, spec: InitializerSpec) -> Sampler | None:
    """Return how the case's elements are drawn; None where that is unknown or has two parts.

    None too where the call is compiled whole: the samplers called one by one say nothing of it; and
    where a user's law names a function that `stages.DRAWS` does not hold.
    """
    if is_complex(case.problem.dtype) or case.transform in COMPILED:
        return None
    sampler = sampler_of(spec.definition, case.problem.shape)
    return sampler if sampler is not None and sampler.kind in DRAWS else None


def present_platforms() -> tuple[str, ...]:
    """Return the platforms with a device in this process, the default one last, cpu first.

    Raises:
        BackendUnavailable: JAX_PLATFORMS names none that is here; JAX asserts or raises then.
    """
    import jax

    try:
        found = platforms()
    except (RuntimeError, AssertionError) as error:
        raise BackendUnavailable(
            f"JAX finds no device: JAX_PLATFORMS is {jax.config.jax_platforms!r}, and nothing of "
            "it is here. Unset it, or install the plugin that it names"
        ) from error
    return tuple(sorted(found, key=lambda name: name != "cpu"))


def typed_key(problem: Problem) -> Any:
    """Return the problem's key, typed, of the PRNG implementation it names.

    To be called within `settings`, since how children of a key are numbered is one of them.
    """
    import jax

    if problem.words:
        data = np.array(problem.words, np.uint32)
        key = jax.random.wrap_key_data(data, impl=_implementation(problem))
    else:
        key = seed_key(problem, problem.seed)
    for step in problem.steps:
        if step.name == FOLD:
            key = jax.random.fold_in(key, step.number)
        else:
            key = jax.random.split(key, step.number)[step.index]
    return key


def seed_key(problem: Problem, seed: Any) -> Any:
    """Return the key of another seed, of the same implementation."""
    import jax

    return jax.random.key(seed, impl=_implementation(problem))


def _implementation(problem: Problem) -> str:
    return problem.prng.partition("_")[0] if "threefry" in problem.prng else problem.prng


def typed_keys(problem: Problem, seeds: range) -> Any:
    """Return the keys of many seeds; those that fit 32 bits are made at once."""
    import jax

    if seeds[-1] >= 2**32:
        return jax.numpy.stack([seed_key(problem, seed) for seed in seeds])
    made: Call = jax.vmap(lambda seed: seed_key(problem, seed))
    return made(np.asarray(seeds, np.uint32))


def _as_outcome(array: Any) -> Returned:
    import jax

    if not isinstance(array, jax.Array):
        raise TypeError(f"the initializer returned a {type(array).__name__}, not a jax.Array")
    weak_type = bool(getattr(array.aval, "weak_type", False))
    return returned(np.asarray(array), weak_type=weak_type)


def eager(initializer: Initializer, problem: Problem, _: list[Any]) -> Call:
    """Return the plain call."""
    return lambda key: initializer(key, problem.shape, as_dtype(problem.dtype))


def legacy_key(initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    """Return the call with a raw uint32 key, as before typed keys."""
    import jax

    call = eager(initializer, problem, devices)
    return lambda key: call(jax.random.key_data(key))


def _jit(initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    import jax

    call: Call = jax.jit(eager(initializer, problem, devices))
    return call


def vmap(initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    """Return the call mapped over VMAP_SEEDS keys, reduced to the case's own."""
    import jax

    call = jax.vmap(eager(initializer, problem, devices))
    others = [seed_key(problem, 1000 + i) for i in range(VMAP_SEEDS - 1)]
    return lambda key: call(jax.numpy.stack([*others[:-1], key, others[-1]]))[VMAP_SEEDS - 2]


def _sharded(initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    return _over_devices(eager(initializer, problem, devices), problem, devices)


def _over_devices(call: Call, problem: Problem, devices: list[Any], *mapped: None) -> Call:
    """Return the call compiled for several devices. mapped: None for each new first axis."""
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    mesh = Mesh(np.array(devices[:SHARDS]), ("devices",))
    split = _sharded_axis(problem.shape)
    axes = ["devices" if axis == split else None for axis in range(len(problem.shape))]
    spec = PartitionSpec(*mapped, *axes)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
    compiled: Call = jax.jit(call, out_shardings=NamedSharding(mesh, spec))
    return compiled


def _sharded_axis(shape: tuple[int, ...]) -> int | None:
    """Return the first axis that the devices divide, or None: then every device holds a replica."""
    divisible = (axis for axis, size in enumerate(shape) if size and size % SHARDS == 0)
    return next(divisible, None)


TRANSFORMS: dict[str, Callable[[Initializer, Problem, list[Any]], Call]] = {
    "eager": eager,
    "legacy_key": legacy_key,
    "jit": _jit,
    "vmap": vmap,
    "sharded": _sharded,
}


def mapped(transform: str, initializer: Initializer, problem: Problem, devices: list[Any]) -> Call:
    """Return the call of a transform over many keys at once; `vmap` itself is one of them."""
    import jax

    plain = legacy_key if transform == "legacy_key" else eager
    call: Call = jax.vmap(plain(initializer, problem, devices))
    if transform == "sharded":
        return _over_devices(call, problem, devices, None)
    return jax.jit(call) if transform == "jit" else call
