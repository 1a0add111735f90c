"""Which program JAX lowers each initializer to, for platforms that need not be here.

A fingerprint is the digest of the StableHLO that a compiler gets, without source locations. The
same fingerprint and other bits mean that the compiler changed; another fingerprint, that JAX did.
`golden/lowering.json` holds one line for each initializer and dtype, as `store.accepted` keeps
them: from 0.11.2 to 0.12.0 the normals changed, all of them and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.core.arrays import as_dtype
from conformance.core.errors import InitializerUnavailable, PackageBroken
from conformance.core.formats import NARROW_DTYPES
from conformance.core.ids import Case, Problem
from conformance.core.laws import expected_error
from conformance.core.records import COMPILED
from conformance.observe.backends.problem import settings
from conformance.observe.folding import stepwise_folds, whole_folds

ACCEPT = "`conformance lowering --accept --reason '...'`"

PLATFORMS = ("cpu", "cuda", "tpu", "rocm")

DTYPES = NARROW_DTYPES

SHAPES = ((64, 32), (5, 4, 8))
"""The second is for axes and kernels that need a third dimension."""


def versions() -> str:
    """Return the versions that decide about the text of a program."""
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("jax", "jaxlib"))


def fingerprints(spec: InitializerSpec) -> dict[str, dict[str, str]]:
    """Return `initializer dtype` -> platform -> 16 hexadecimal digits, or `raises X`.

    Traced once a dtype.

    Raises:
        InitializerUnavailable: Flax, which has it, is not installed.
        PackageBroken: it is, and cannot be imported.
    """
    return {f"{spec.name} {dtype}": _by_platform(spec, dtype) for dtype in DTYPES}


def _by_platform(spec: InitializerSpec, dtype: str) -> dict[str, str]:
    import jax

    try:
        traced = jax.jit(_program(spec, dtype), keep_unused=True).trace(_words())
    except (InitializerUnavailable, PackageBroken):  # no answer: there is no program
        raise
    except Exception as error:
        return dict.fromkeys(PLATFORMS, f"raises {type(error).__name__}")
    return {platform: _fingerprint(traced, platform) for platform in PLATFORMS}


def _program(spec: InitializerSpec, dtype: str) -> Callable[[Any], Any]:
    """Return the initializer as a function of key data, in a shape that it accepts."""
    import jax

    shape = next((s for s in SHAPES if not expected_error(spec.definition, s, dtype)), SHAPES[0])
    initializer = spec.build()

    def program(words: Any) -> Any:  # its name is part of the text
        key = jax.random.wrap_key_data(words, impl="threefry2x32")
        return initializer(key, shape, as_dtype(dtype))

    return program


def _words() -> Any:
    import jax

    return jax.random.key_data(jax.random.key(0))


def _fingerprint(traced: Any, platform: str) -> str:
    try:
        text: str = traced.lower(lowering_platforms=(platform,)).as_text()
    except Exception as error:
        return f"raises {type(error).__name__}"
    return fingerprint(text)


def recorded(cases: Iterable[Case], catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    """Return what is lowered for the cases here, under any release of JAX.

    programs: `platform initializer dtype` -> the fingerprint. calls: the same -> the functions of
    LAPACK and other libraries that the program calls, where it does. folded: the same and `whole`
    or `steps` -> function of a constant -> [what XLA folds it to, what its kernel returns], where a
    call that is compiled whole, or step by step, has any; see `conformance.observe.folding`.

    Of platforms that have a device. What cannot be lowered, or not under this release, is left out:
    nothing is known of it.
    """
    cases = list(cases)
    asked = {program_key(case): case for case in cases}
    lowered = {key: _lowered_here(asked[key], catalogue) for key in sorted(asked)}
    texts = {key: text for key, text in lowered.items() if text}
    calls = {key: custom_calls(text) for key, text in texts.items()}
    compiled = {folding_key(case): case for case in cases}
    folds = {key: _folds_here(compiled[key], catalogue) for key in sorted(compiled)}
    return {
        "programs": {key: fingerprint(text) for key, text in texts.items()},
        "calls": {key: names for key, names in calls.items() if names},
        "folded": {key: found for key, found in folds.items() if found},
    }


def program_key(case: Case) -> str:
    """Return the name of a case's program in what is recorded of programs and calls."""
    return " ".join((case.backend, case.problem.initializer, case.problem.dtype))


def folding_key(case: Case) -> str:
    """Return the name of a case's program in what is recorded of folded constants."""
    return f"{program_key(case)} {'whole' if case.transform in COMPILED else 'steps'}"


def custom_calls(text: str) -> list[str]:
    """Return the names of what a program calls outside of XLA, sorted."""
    return sorted(set(re.findall(r"custom_call @([\w.]+)", text)))


def _lowered_here(case: Case, catalogue: Catalogue) -> str | None:
    import jax

    spec, dtype = catalogue.lookup(case.problem.initializer), case.problem.dtype
    try:
        with _here(case):
            lowered = jax.jit(_program(spec, dtype), keep_unused=True).lower(_words())
        return str(lowered.as_text())
    except Exception:
        return None


def _folds_here(case: Case, catalogue: Catalogue) -> dict[str, list[str]]:
    spec, dtype = catalogue.lookup(case.problem.initializer), case.problem.dtype
    folds = whole_folds if case.transform in COMPILED else stepwise_folds
    try:
        with _here(case):
            found = folds(_program(spec, dtype), _words())
        return {fold.call: [fold.folded, fold.computed] for fold in found}
    except Exception:
        return {}


@contextlib.contextmanager
def _here(case: Case) -> Iterator[None]:
    import jax

    asked = case.problem
    problem = Problem(initializer=asked.initializer, dtype=asked.dtype, shape=SHAPES[0], seed=0)
    with jax.default_device(jax.devices(case.backend)[0]), settings(problem):
        yield


def fingerprint(text: str) -> str:
    """Return what stands for a program's text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
