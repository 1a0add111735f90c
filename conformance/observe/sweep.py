"""The exact law: an initializer's values at every word its generator could have drawn.

JAX makes a float32 uniform of 23 random bits, a float16 of 10, a bfloat16 of 7. A PRNG whose
"random bits" count through all of these walks the unmodified initializer over its whole law, on
any backend and in under a second. What is then said of mean, variance, support and error holds for
certain: there is no sampling noise.

A float64 has 52 bits, too many to count: its sweep takes one word in each of 2^20 equal strata, and
the case says so by its prng. So does float32 where an interpreter takes 40 us for each point.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, Protocol

from conformance.cases.catalogue import Initializer, InitializerSpec
from conformance.cases.sweeps import log2_points
from conformance.core.arrays import Array, as_dtype
from conformance.core.errors import Absent, NotElementwise, SweepError
from conformance.core.formats import FORMATS
from conformance.core.ids import Case
from conformance.core.lattice import Sweep, lattice_words
from conformance.observe.jax_compat import lattice_key, traced, x64_for


class Executor(Protocol):
    """What a sweep runs on: a backend."""

    @property
    def device(self) -> str:
        """What the rows call it."""

    def execute(self, function: Callable[[Any], Any], key: Any) -> Array:
        """Return what a function of a typed key returns there."""


def sweep(spec: InitializerSpec, case: Case, executor: Executor) -> Sweep:
    """Run the unmodified initializer over all words, on the executor.

    Raises:
        NotElementwise: it draws other than one word per element, or with another key.
        SweepError: it raised, or returned another dtype or shape.
    """
    start = time.perf_counter()
    with x64_for(case.problem.dtype):
        try:
            initializer, key = spec.build(), lattice_key(log2_points(case))
            _require_one_word_each(initializer, case, key)
            array = executor.execute(_call(initializer, case), key)
        except (NotElementwise, Absent):
            raise
        except Exception as error:
            raise SweepError(f"{case.id} raised {type(error).__name__}: {error}") from error
    problem = case.problem
    if (str(array.dtype), array.shape) != (problem.dtype, problem.shape):
        raise SweepError(
            f"{case.id} returned {array.dtype}{list(array.shape)}, "
            f"asked for {problem.dtype}{list(problem.shape)}"
        )
    words = lattice_words(FORMATS[problem.dtype].word_bits, log2_points(case))
    return Sweep(
        case=case,
        device=executor.device,
        words=words,
        values=array.reshape(-1)[: words.size],
        elapsed_s=time.perf_counter() - start,
    )


def _call(initializer: Initializer, case: Case) -> Any:
    import jax

    def call(key: Any) -> Any:
        return initializer(key, case.problem.shape, as_dtype(case.problem.dtype))

    return {"eager": call, "jit": jax.jit(call)}[case.transform]


def _require_one_word_each(initializer: Initializer, case: Case, key: Any) -> None:
    """Raise unless the traced program draws once: a word of the usual width for each element.

    And with the key that is given, or one that is made of it: no other's words are the lattice's.
    """
    problem = case.problem
    program = traced(lambda key: initializer(key, problem.shape, as_dtype(problem.dtype)), key)
    operations = [each for each in program.needed().all_operations() if each.name == "random_bits"]
    if operations and all(each.inputs[0].form.dtype != key.dtype for each in operations):
        raise NotElementwise(
            f"{problem.initializer} draws nothing from the key that it is given, but with a key of "
            "its own: it has no law over keys. If that is meant, say which by `drawn_with`, as in "
            "drawn_with='s7' for jax.random.key(7); each of its arrays is then held to that key"
        )
    draws = [
        (each.parameters["bit_width"], math.prod(each.parameters["shape"])) for each in operations
    ]
    needed = (FORMATS[problem.dtype].word_bits, math.prod(problem.shape))
    if draws != [needed]:
        found = " and ".join(f"{count} words of {bits} bits" for bits, count in draws) or "no words"
        raise NotElementwise(
            f"{problem.initializer} draws {found} for {needed[1]} elements of {problem.dtype}: "
            f"only a sampler that draws one word of {needed[0]} bits for each has a law that can "
            "be counted through"
        )
