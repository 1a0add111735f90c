"""IREE compiles and runs what JAX lowers; where it is not installed, the way to it is named.

What runs on Vulkan is skipped where no driver is, unless REQUIRE_VULKAN is set.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import math
import os
import weakref
from collections.abc import Callable, Iterator
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
from conformance.core.records import Budget, Observation, Raised, Returned, Status
from conformance.judge.law.accuracy import gather
from conformance.judge.law.checks import judge_law
from conformance.observe import sweep as law
from conformance.observe.backends import BackendUnavailable, iree, open_backend
from conformance.observe.backends.exported import ExportedBackend, export, key_data
from conformance.observe.environment import device_facts

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


def close_devices() -> None:
    """Let go of what holds a device: while one of Vulkan is open, two threads of it are busy."""
    iree._compiled.cache_clear()
    iree._config.cache_clear()


@pytest.fixture(autouse=True)
def devices_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close all devices after each test, and while a program is compiled.

    The busy threads of one took a fifth of all CPU until the end of the process, and as much as
    the compiler beside it.
    """
    compiled = iree.compiled

    def compiled_alone(text: str, options: tuple[str, ...], driver: iree.Driver) -> bytes:
        close_devices()
        return compiled(text, options, driver)

    monkeypatch.setattr(iree, "compiled", compiled_alone)
    yield
    close_devices()


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
    assert "pip install iree-base-compiler iree-base-runtime, the extra [iree]" in str(caught.value)


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
def test_a_program_that_is_let_go_holds_no_device() -> None:
    """At once: no garbage has to be looked for."""
    program = export(jax.random.key_data, jax.random.key(0))
    call = iree.loaded(iree.compiled(program.text, iree.OPTIONS, iree.CPU), iree.CPU)
    held = weakref.ref(iree._config(iree.CPU.name))

    del call
    close_devices()

    assert held() is None


@needs_iree
@pytest.mark.parametrize("initializer", ["normal", "truncated_normal_tail"])
def test_a_draw_is_a_value_of_the_exact_law(initializer: str) -> None:
    """In bfloat16 IREE rounds where kernels end; a law that it folds ends them elsewhere."""
    spec, backend = CATALOGUE.lookup(initializer), open_backend("iree")

    swept = law.sweep(spec, sweep_case(spec, "bfloat16", "iree", "eager"), backend).values

    drawn = array_of(f"{initializer}-bfloat16-11x12-s0-iree-eager")
    assert np.isin(drawn, swept).all()


# --- GPUs ----------------------------------------------------------------------------------------

NO_CUDA = """Error creating driver: c/runtime/src/iree/hal/drivers/cuda/cuda_dynamic_symbols.c:66: \
UNAVAILABLE; CUDA driver library 'libcuda.so'/'nvcuda.dll' not available"""


class HalDriver:
    """What IREE's runtime takes for a driver."""

    def __init__(self, devices: list[dict[str, Any]], told: str = "") -> None:
        self._devices, self._told = devices, told

    def query_available_devices(self) -> list[dict[str, Any]]:
        """Return those that there are."""
        return self._devices

    def create_device(self, device: dict[str, Any]) -> object:
        """Return something that nothing runs on."""
        return device

    def dump_device_info(self, _: int) -> str:
        """Return what a driver would say of each."""
        return self._told


Found = HalDriver | Exception
"""A driver, or what looking for it raises."""


@pytest.fixture
def with_driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Found], None]]:
    """Let IREE's runtime find that driver, or raise that."""
    from iree import runtime

    def get_driver(found: Found) -> HalDriver:
        if isinstance(found, Exception):
            raise found
        return found

    def finding(found: Found) -> None:
        monkeypatch.setattr(runtime, "get_driver", lambda _: get_driver(found))
        monkeypatch.setattr(runtime, "Config", lambda **_: None)
        iree._config.cache_clear()

    yield finding
    iree._config.cache_clear()


@needs_iree
@pytest.mark.parametrize(
    ("backend", "way_out"),
    [
        ("iree-vulkan", "apt-get install mesa-vulkan-drivers libvulkan1"),
        ("iree-cuda", "where `nvidia-smi` shows a GPU"),
        ("iree-hip", "where `rocminfo` shows a GPU"),
    ],
)
def test_a_gpu_that_is_not_there_is_a_fault_of_the_machine(
    backend: str,
    way_out: str,
    with_driver: Callable[[Found], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    with_driver(RuntimeError(NO_CUDA))

    code = main(["run", "--in-process", f"normal-float32-64-s0-{backend}-eager"])

    told = capsys.readouterr().err
    assert code == 3
    assert f"backend {backend!r} was asked for, and UNAVAILABLE; CUDA driver library" in told
    assert way_out in told
    assert "cuda_dynamic_symbols" not in told


@needs_iree
def test_a_driver_without_a_device_is_no_backend(
    with_driver: Callable[[Found], None],
) -> None:
    with_driver(HalDriver([]))

    with pytest.raises(BackendUnavailable, match=r"'iree-vulkan' .* driver finds no device"):
        open_backend("iree-vulkan")

    assert device_facts(("iree-vulkan",)) == {}


MI300X = {"device_id": 1, "name": "AMD Instinct MI300X"}


@needs_iree
def test_programs_are_compiled_for_the_chip_that_the_driver_names(
    with_driver: Callable[[Found], None],
) -> None:
    told = "\n- gpu-compute-capability: 9.4\n- gpu-arch-name: gfx942:sramecc+:xnack-\n"
    with_driver(HalDriver([MI300X], told))

    backend = open_backend("iree-hip")

    assert backend.device.startswith("iree rocm gfx942 (")
    assert backend.device.endswith(") on AMD Instinct MI300X")
    assert device_facts(("iree-hip",))["iree-hip.gpu-compute-capability"] == "9.4"


@needs_iree
def test_a_chip_that_no_driver_names_is_asked_for(
    with_driver: Callable[[Found], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_driver(HalDriver([MI300X]))

    with pytest.raises(BackendUnavailable, match="MI300X has: set IREE_HIP_TARGET, as in"):
        open_backend("iree-hip")

    monkeypatch.setenv("IREE_HIP_TARGET", "gfx90a")
    assert open_backend("iree-hip").device.startswith("iree rocm gfx90a (")


def test_the_functions_of_spir_v_that_take_no_float64_are_not_asked_for_it() -> None:
    with pytest.raises(SelectionError, match="exp and log of SPIR-V take no float64"):
        select(CATALOGUE, Selection(cases=("normal-float64-64-s0-iree-vulkan-eager",)))


@pytest.fixture(scope="module")
def vulkan() -> ExportedBackend:
    try:
        backend = open_backend("iree-vulkan")
    except BackendUnavailable as error:
        if os.environ.get("REQUIRE_VULKAN"):
            raise
        pytest.skip(str(error))
    assert isinstance(backend, ExportedBackend)
    return backend


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_uniforms_on_vulkan_are_those_of_xla(vulkan: ExportedBackend, dtype: str) -> None:
    observation = observe(f"uniform_1-{dtype}-17x13-s0-iree-vulkan-eager")

    assert isinstance(observation.outcome, Returned)
    assert observation.repeat_sha256 == observation.outcome.sha256
    assert observation.device == vulkan.device
    expected = array_of(f"uniform_1-{dtype}-17x13-s0-cpu-eager")
    assert np.array_equal(whole(observation.outcome), expected)


def test_the_device_and_its_driver_are_on_record(vulkan: ExportedBackend) -> None:
    facts = device_facts(("iree-vulkan",))

    assert vulkan.device.startswith("iree vulkan-spirv turing (")
    assert vulkan.device.endswith(f" on {facts['iree-vulkan.kind']}")
    assert facts["iree-vulkan.target"] == "turing"
    assert facts["iree-vulkan.driver_info"]
    assert facts["iree-vulkan.api"].startswith("1.")


def test_no_call_on_vulkan_depends_on_where_an_array_lies(vulkan: ExportedBackend) -> None:
    """The driver refuses arrays of NumPy that begin on no page: nine in ten of `to_host`.

    So ten calls all succeed by chance once in 10^10 runs.
    """
    key, held = jax.random.key(0), []
    program = export(lambda key: jax.random.bits(key, (64,)), key)
    options = (f"{iree.GPUS[vulkan.name].option}=turing", *iree.EVERYWHERE)

    found: list[Array] = []
    for n_bytes in range(0, 10_000, 1000):
        held.append(np.empty(n_bytes, np.uint8))  # moves what is allocated next
        found += iree.run(program, key_data(key), options, iree.GPUS[vulkan.name])

    assert (np.array(found) == np.asarray(jax.random.bits(key, (64,)))).all()


FORGIVING = Budget(max_ulp=2**40, max_ulp_at_sigma=math.inf)


@pytest.mark.parametrize("factor", [1.0, 1.01])
def test_a_variance_that_is_2_percent_off_fails_on_vulkan(
    vulkan: ExportedBackend, factor: float
) -> None:
    right = CATALOGUE.lookup("uniform_1")
    wrong = dataclasses.replace(
        right, build=lambda: lambda key, *asked: right.build()(key, *asked) * factor
    )

    swept = law.sweep(wrong, sweep_case(right, "float16", vulkan.name, "eager"), vulkan)

    assert right.definition
    results = judge_law(gather(right.definition, swept, FORGIVING))
    failed = {result.check for result in results if result.status is Status.FAILED}
    assert ("law_variance" in failed) == (factor == 1.01)
    assert bool(failed) == (factor == 1.01)
