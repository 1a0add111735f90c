"""CPU, CUDA, TPU and any other PJRT platform: one code path through JAX itself."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from conformance.cases.backends import installed, lookup
from conformance.cases.catalogue import InitializerSpec
from conformance.core.arrays import Array, returned
from conformance.core.errors import Absent, BackendUnavailable, nearest
from conformance.core.formats import WIDE_DTYPES, is_complex
from conformance.core.ids import CALLS, SHARDED, Block, Case, Problem
from conformance.core.keys import KeySpec
from conformance.core.laws import Sampler, sampler_of
from conformance.core.records import COMPILED, Observation, Raised, Returned
from conformance.observe.backends.problem import seed_keys, settings, typed_key, typed_keys
from conformance.observe.backends.stages import DRAWS, normals, stage_arrays, stage_digests
from conformance.observe.backends.transforms import TRANSFORMS, Call, mapped, one_call
from conformance.observe.jax_compat import platforms, whole_tracebacks
from conformance.observe.process import HOST_DEVICES_FLAG, SHARDS

T = TypeVar("T")

KEPT_KEYS = 1024
"""Keys that are kept: a tier has a handful of seeds, and of a million each is asked for once."""


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
        self._programs: dict[str, tuple[tuple[object, ...], InitializerSpec, Call]] = {}
        try:
            self._devices: list[Any] = jax.devices(platform)
        except (RuntimeError, AssertionError) as error:
            present, hint = ", ".join(present_platforms()), lookup(platform).hint
            raise BackendUnavailable(
                f"backend {platform!r} was asked for and has no device here (present: {present}): "
                f"{_meant(platform)}install its JAX plugin{f' ({hint})' if hint else ''}, or leave "
                f"it out of --backend. JAX says: {error}"
            ) from error

    def observe(self, case: Case, spec: InitializerSpec, *, is_shared: bool = False) -> Observation:
        """Run the case twice with one key; the second digest is `repeat_sha256`.

        Errors of the call are outcomes. So is a spec that cannot be built: `SpecError`.
        is_shared: whether a program may be that of the case before, if it is the same one.
        """
        if case.transform in SHARDED and len(self._devices) < SHARDS:
            raise BackendUnavailable(
                f"{case.id} needs {SHARDS} devices of {self.name}, found {len(self._devices)}: "
                f"on cpu set XLA_FLAGS={HOST_DEVICES_FLAG}={SHARDS}"
            )
        try:
            call = self._one_call(case, spec) if is_shared else self._new_call(case, spec)
        except Absent:
            raise
        except Exception as error:
            refusal = Raised(exception="SpecError", message=f"{type(error).__name__}: {error}")
            return self._observation(case, refusal, None, 0.0)
        start = time.perf_counter()
        outcome = self._attempt(case, call, _as_outcome)
        elapsed_s = time.perf_counter() - start
        repeat = None
        if isinstance(outcome, Returned):
            repeat = self._attempt(case, call, functools.partial(_digest_of, first=outcome))
        return self._observation(case, outcome, repeat, elapsed_s)

    def many(self, block: Block, spec: InitializerSpec) -> Callable[[], Many]:
        """Return a call that draws all arrays of a block at once, under the block's transform.

        The eager one stays eager: its operations run one by one, each over all arrays. It raises
        whatever the initializer does when it is asked for many.
        """
        return self._draw(block, self._many_call(block, spec))

    def many_drawn(self, block: Block, spec: InitializerSpec) -> Callable[[], Many]:
        """Return a call that draws the normals of all orthogonal cases of a block; see `drawn`."""
        case = block.case
        sampler = sampler_of(spec.definition, case.problem.shape)
        assert sampler is not None
        tall = dataclasses.replace(case.problem, shape=sampler.shape)
        transform = "eager" if case.transform in CALLS else case.transform

        def make() -> Call:
            return mapped(transform, normals(tall, sampler.drawn_with), tall, self._devices)

        return self._draw(block, self._program("many normals", case, spec, make))

    def _draw(self, block: Block, call: Call) -> Callable[[], Many]:
        problem = block.case.problem
        with self._here(), settings(problem):
            keys = seed_keys(problem, block.seeds)

        def draw() -> Many:
            with self._here(), settings(problem):
                arrays = call(keys)
                weak_type = bool(getattr(arrays.aval, "weak_type", False))
                return Many(arrays=np.asarray(arrays), weak_type=weak_type)

        return draw

    def _new_call(self, case: Case, spec: InitializerSpec) -> Call:
        return TRANSFORMS[case.transform](spec.build(), case.problem, self._devices)

    def _one_call(self, case: Case, spec: InitializerSpec) -> Call:
        return self._program("one", case, spec, lambda: self._new_call(case, spec))

    def _many_call(self, block: Block, spec: InitializerSpec) -> Call:
        case = block.case

        def make() -> Call:
            return mapped(case.transform, spec.build(), case.problem, self._devices)

        return self._program("many", case, spec, make)

    def _program(
        self, kind: str, case: Case, spec: InitializerSpec, make: Callable[[], Call]
    ) -> Call:
        """Return a call; a compiled one is kept for the next case, or block, of the same program.

        JAX keeps what it compiled with the function: another of the same text is compiled anew.
        """
        if case.transform not in COMPILED:
            return make()
        problem = case.problem
        asked = (case.transform, problem.dtype, problem.shape, problem.prng)
        kept = self._programs.get(kind)
        if kept is None or kept[0] != asked or kept[1] is not spec:
            kept = self._programs[kind] = asked, spec, make()
        return kept[2]

    def forget(self) -> None:
        """Keep no program: what its compilation left changed, it must show again."""
        self._programs.clear()

    def draws(self, case: Case, spec: InitializerSpec, keys: Sequence[KeySpec]) -> list[Array]:
        """Return what the case draws under each of some keys; it raises what the call raises."""
        problem = case.problem
        call = TRANSFORMS[case.transform](spec.build(), problem, self._devices)
        with self._here(), settings(problem):
            return [np.asarray(call(key)) for key in self._other_keys(case, keys)]

    def stages(self, case: Case, spec: InitializerSpec) -> Mapping[str, str]:
        """Return digests of the stages before the result; empty where none are defined."""
        problem = case.problem
        sampler = sampler_for(case, spec)
        if sampler is None:
            return {}
        asked = (problem.dtype, problem.key, problem.prng, sampler)
        if asked not in self._stages:
            with self._here(), settings(problem):
                self._stages[asked] = stage_digests(self._key(problem), problem, sampler)
        return self._stages[asked]

    def stage_arrays(self, case: Case, spec: InitializerSpec) -> Mapping[str, Array]:
        """Return the stages before the result; empty where none are defined."""
        sampler = sampler_for(case, spec)
        if sampler is None:
            return {}
        with self._here(), settings(case.problem):
            return stage_arrays(self._key(case.problem), case.problem, sampler)

    def drawn(self, case: Case, spec: InitializerSpec) -> Array | None:
        """Return the normals of an orthogonal case, drawn under the transform of the case.

        Eager or compiled they may round otherwise, and under vmap some PRNGs draw other bits.
        Within the compiled initializer the compiler may round them otherwise still.
        """
        problem = case.problem
        sampler = sampler_of(spec.definition, problem.shape)
        if sampler is None:
            return None
        tall = dataclasses.replace(problem, shape=sampler.shape)

        def make() -> Call:
            function = normals(tall, sampler.drawn_with)
            return one_call(case.transform, function, tall, self._devices)

        call = self._program("normals", case, spec, make)
        with self._here(), settings(problem):
            return np.asarray(call(self._key(problem)))

    def execute(self, function: Call, key: Any) -> Array:
        """Return what the function makes of the key on this device."""
        with self._here():
            return np.asarray(function(key))

    @property
    def device(self) -> str:
        """Return the kind of the device that cases run on."""
        return str(self._devices[0].device_kind)

    def _observation(
        self,
        case: Case,
        outcome: Returned | Raised,
        repeat: str | Raised | None,
        elapsed_s: float,
    ) -> Observation:
        return Observation(
            case=case,
            outcome=outcome,
            repeat_sha256=repeat if isinstance(repeat, str) else None,
            device=self.device,
            elapsed_s=elapsed_s,
        )

    def _attempt(
        self, case: Case, call: Callable[[Any], Any], read: Callable[[Any], T]
    ) -> T | Raised:
        """Return what is read of the array that the call returns, or what was raised."""
        try:
            with self._here(), settings(case.problem), whole_tracebacks():
                return read(call(self._key(case.problem)))
        except Exception as error:
            return Raised(exception=type(error).__name__, message=str(error))

    def _key(self, problem: Problem) -> Any:
        """Return the problem's key, made once: keys are immutable, and making one costs 0.2 ms."""
        how = (problem.seed, problem.words, problem.steps, problem.prng)
        asked = (*how, problem.dtype in WIDE_DTYPES)
        if asked not in self._keys:
            if len(self._keys) == KEPT_KEYS:
                self._keys.clear()
            self._keys[asked] = typed_key(problem)
        return self._keys[asked]

    def _other_keys(self, case: Case, keys: Sequence[KeySpec]) -> list[Any]:
        """Return other keys of a case: a single one is asked for by a thousand cases, and kept."""
        if len(keys) == 1:
            return [self._key(case.of_key(keys[0]).problem)]
        return typed_keys(case.problem, keys)

    def _here(self) -> contextlib.AbstractContextManager[Any]:
        """Return a context in which JAX makes its arrays on this device."""
        import jax

        context: contextlib.AbstractContextManager[Any] = jax.default_device(self._devices[0])
        return context


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


def _as_outcome(array: Any) -> Returned:
    values = _values(array)
    return returned(values, weak_type=bool(getattr(array.aval, "weak_type", False)))


def _digest_of(array: Any, first: Returned) -> str:
    """Return the digest of what a second call returned; that of the first, if the bits are its."""
    bits = _values(array).tobytes()
    return first.sha256 if bits == first.bits else hashlib.sha256(bits).hexdigest()


def _values(array: Any) -> Array:
    import jax

    if not isinstance(array, jax.Array):
        raise TypeError(f"the initializer returned a {type(array).__name__}, not a jax.Array")
    return np.asarray(array)
