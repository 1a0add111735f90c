"""IREE compiles and runs what JAX lowers; where it is not installed, the way to it is named."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from typing import Any

import jax
import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.selection import Selection, select
from conformance.cases.sweeps import sweep_case
from conformance.cli import main
from conformance.core.arrays import Array, whole
from conformance.core.errors import SelectionError
from conformance.core.ids import parse_case
from conformance.core.records import Observation, Raised, Returned
from conformance.observe import sweep as law
from conformance.observe.backends import BackendUnavailable, open_backend

CATALOGUE = load_catalogue()

needs_iree = pytest.mark.skipif(
    importlib.util.find_spec("iree") is None, reason="the extra [iree] is not installed"
)


def observe(text: str) -> Observation:
    case = parse_case(text)
    return open_backend(case.backend).observe(case, CATALOGUE.lookup(case.problem.initializer))


def array_of(text: str) -> Array:
    found = observe(text).outcome
    assert isinstance(found, Returned)
    return whole(found)


@pytest.fixture
def no_iree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no package of IREE be installed."""
    installed = importlib.metadata.version

    def version(name: str) -> str:
        if name.startswith("iree"):
            raise importlib.metadata.PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(importlib.metadata, "version", version)


@pytest.mark.usefixtures("no_iree")
def test_a_missing_extra_says_which_command_installs_it() -> None:
    with pytest.raises(BackendUnavailable) as caught:
        open_backend("iree")

    assert "iree-base-compiler is not installed" in str(caught.value)
    assert "pip install iree-base-compiler iree-base-runtime (the extra [iree]" in str(caught.value)


@pytest.mark.usefixtures("no_iree")
def test_a_run_without_the_extra_is_a_fault_of_the_machine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["run", "--in-process", "normal-float32-64-s0-iree-eager"])

    assert code == 3
    assert "iree-base-compiler is not installed" in capsys.readouterr().err


def test_bits_that_each_compiler_makes_as_it_likes_are_not_asked_for() -> None:
    with pytest.raises(SelectionError, match="each compiler implements rng_bit_generator as it"):
        select(CATALOGUE, Selection(cases=("normal-float32-64-s0-rbg-iree-eager",)))


@needs_iree
def test_uniforms_are_those_of_xla_and_come_out_twice() -> None:
    """The runtime uses the memory of a result again: a view of one would show the next."""
    observation = observe("uniform_1-float32-17x13-s0-iree-eager")

    assert isinstance(observation.outcome, Returned)
    assert observation.repeat_sha256 == observation.outcome.sha256
    assert observation.device.startswith("iree llvm-cpu generic")
    expected = array_of("uniform_1-float32-17x13-s0-cpu-eager")
    assert np.array_equal(whole(observation.outcome), expected)


@needs_iree
def test_float64_is_not_demoted() -> None:
    """By default IREE computes float64 in float32."""
    found = array_of("uniform_1-float64-17x13-s0-iree-eager")

    assert np.array_equal(found, array_of("uniform_1-float64-17x13-s0-cpu-eager"))


@needs_iree
def test_float16_keeps_its_subnormals() -> None:
    """Without hardware for the conversion, IREE makes element 63 of this array 0."""
    found = array_of("uniform-float16-64-s0-iree-eager")

    assert 0 < found[63] < np.finfo(np.float16).tiny
    assert np.array_equal(found, array_of("uniform-float16-64-s0-cpu-eager"))


@needs_iree
def test_lapack_is_refused_before_the_compiler_is_asked() -> None:
    found = observe("orthogonal-float32-17x13-s0-iree-eager").outcome

    assert isinstance(found, Raised)
    assert found.exception == "UnsupportedOperation"


POINTS = np.linspace(0.1, 3.5, 2000, dtype=np.float32)


def erf_of_argument(key: Any) -> Any:
    zero = jax.random.key_data(key)[0].astype(np.float32)
    return jax.lax.erf(POINTS + zero)


@needs_iree
def test_a_constant_is_computed_as_the_target_computes_it() -> None:
    """By default IREE folds constants on the machine at hand, whose FMA rounds 3 % otherwise."""
    backend, key = open_backend("iree"), jax.random.key(0)

    folded = backend.execute(lambda _: jax.lax.erf(jax.numpy.asarray(POINTS)), key)

    assert np.array_equal(folded, backend.execute(erf_of_argument, key))


@needs_iree
@pytest.mark.parametrize("initializer", ["lecun_normal", "truncated_normal_tail"])
def test_a_draw_is_a_value_of_the_exact_law(initializer: str) -> None:
    """In bfloat16 IREE rounds where kernels end; a law that it folds ends them elsewhere."""
    spec, backend = CATALOGUE.lookup(initializer), open_backend("iree")

    swept = law.sweep(spec, sweep_case(spec, "bfloat16", "iree", "eager"), backend).values

    drawn = array_of(f"{initializer}-bfloat16-11x12-s0-iree-eager")
    assert np.isin(drawn, swept).all()
