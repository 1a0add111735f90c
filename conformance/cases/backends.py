"""Which backends there are, and what each can be asked, needs and is installed by: nothing opens.

Ours are the records of `OURS`. A package adds one through the entry-point group
`conformance.backends`: an entry point of the backend's name that names a `BackendSpec`. An entry
point is loaded when its backend is first asked about, so whoever declares one must not import JAX.
Any other name is a PJRT platform of which nothing is known.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from conformance.core.errors import BackendUnavailable, CatalogueError
from conformance.core.formats import DTYPES, FORMATS, is_complex
from conformance.core.ids import PRNGS, is_backend

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINT_GROUP = "conformance.backends"

PJRT = "conformance.observe.backends.pjrt:PjrtBackend"
"""What opens a platform of JAX's own."""

HERE = "this package"

EXECUTED_DTYPES = tuple(name for name in DTYPES if FORMATS[name].bits > 8)
"""Executors round 8 bits each as it likes: IREE stores them only, the emulator has no such PTX."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a backend can be asked that cannot be asked everything, and why nothing else."""

    transforms: tuple[str, ...] = ("eager", "legacy_key", "vmap")
    prngs: tuple[str, ...] = tuple(name for name in PRNGS if name.startswith("threefry2x32"))
    dtypes: tuple[str, ...] = EXECUTED_DTYPES
    most_elements: float = math.inf
    reason: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Strata:
    """How many points the sweeps of a slow backend have, as a power of two.

    shapes: what stands for `Format.sweep_shapes` there, of as many elements at least.
    """

    log2_points: int = 16
    shapes: tuple[tuple[int, ...], ...] = ((257, 258), (41, 41, 42))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BackendSpec:
    """One backend that can be asked cases. What stands for a function is text, `module:function`.

    open: takes the name and returns an `observe.backends.Backend`, or raises BackendUnavailable.
    offer: None where it can be asked everything. hint: what installs it, and where it works.
    resource: what a node of a cluster must have one of. strata: those of its sweeps, float32's
        too, where all words would take too long. facts: returns what the versions of
        packages do not say, such as that of a driver. packages: distributions that decide about
        its numbers. is_executor: it is no device, so `auto` leaves it out, and it calls no library:
        nothing factors matrices there. has_host_devices: it can be told to have as many devices as
        `sharded` needs. origin: the distribution that brings it.
    """

    name: str
    open: str = PJRT
    offer: Offer | None = None
    hint: str = ""
    resource: str = "CPU"
    strata: Strata | None = None
    facts: str = ""
    packages: tuple[str, ...] = ()
    is_executor: bool = False
    has_host_devices: bool = False
    origin: str = HERE


_IREE = BackendSpec(
    name="iree",
    open="conformance.observe.backends.iree:open_backend",
    offer=Offer(
        reason="it compiles the exported program, for one device, for which eager and jit are "
        "one; and each compiler implements rng_bit_generator as it likes"
    ),
    hint="pip install iree-base-compiler iree-base-runtime, the extra [iree] of this package",
    packages=("iree-base-compiler", "iree-base-runtime"),
    is_executor=True,
)


def _iree(
    driver: str, *, needs: str, offer: Offer | None = _IREE.offer, resource: str = "GPU"
) -> BackendSpec:
    """Return IREE on the devices of one of its drivers."""
    return dataclasses.replace(
        _IREE,
        name=f"iree-{driver}",
        offer=offer,
        hint=f"{_IREE.hint}, and {needs}",
        resource=resource,
        facts=f"conformance.observe.backends.iree:{driver}_facts",
    )


OURS = (
    BackendSpec(name="cpu", has_host_devices=True),
    BackendSpec(
        name="cuda",
        hint="pip install 'jax[cuda13]', where `nvidia-smi` shows a GPU",
        resource="GPU",
        facts="conformance.observe.environment:cuda_facts",
        # What compiles kernels and what is called: QR is cuSOLVER's and cuBLAS's. CUDA 13 has no
        # suffix but for cuDNN.
        packages=(
            *("jax-cuda12-plugin", "jax-cuda13-plugin", "nvidia-cublas", "nvidia-cublas-cu12"),
            *("nvidia-cuda-nvcc", "nvidia-cuda-nvcc-cu12", "nvidia-cuda-runtime"),
            *("nvidia-cuda-runtime-cu12", "nvidia-cudnn-cu12", "nvidia-cudnn-cu13"),
            *("nvidia-cusolver", "nvidia-cusolver-cu12", "nvidia-nvjitlink"),
            "nvidia-nvjitlink-cu12",
        ),
    ),
    BackendSpec(name="rocm", resource="GPU"),
    BackendSpec(
        name="tpu",
        hint="pip install 'jax[tpu]', on a TPU host",
        resource="TPU",
        packages=("libtpu",),
    ),
    BackendSpec(
        name="stablehlo",
        open="conformance.observe.backends.stablehlo:open_backend",
        offer=Offer(
            most_elements=4096,
            reason="it interprets the exported program, on one device, for which eager and jit are "
            "one; it knows no rng_bit_generator and takes 0.15 ms an element",
        ),
        hint="pip install 'jax>=0.10', whose jaxlib holds it",
        strata=Strata(),  # at 40 us a point
        is_executor=True,
    ),
    _IREE,
    _iree(
        "vulkan",
        offer=Offer(
            dtypes=tuple(
                name for name in EXECUTED_DTYPES if (FORMATS[name].real or name) != "float64"
            ),
            reason="it compiles the exported program, for one device, for which eager and jit are "
            "one; each compiler implements rng_bit_generator as it likes; and the exp and log of "
            "SPIR-V take no float64",
        ),
        needs="the Vulkan driver of a GPU, or Mesa's for this CPU: "
        "apt-get install mesa-vulkan-drivers libvulkan1",
        resource="CPU",
    ),
    _iree("cuda", needs="NVIDIA's driver, where `nvidia-smi` shows a GPU"),
    _iree("hip", needs="ROCm, where `rocminfo` shows a GPU"),
    BackendSpec(
        name="cuda-emulated",
        open="conformance.predict.cuda_emulated:open_backend",
        offer=Offer(
            transforms=("eager", "legacy_key", "vmap", "jit"),
            prngs=PRNGS,
            dtypes=tuple(dtype for dtype in EXECUTED_DTYPES if not is_complex(dtype)),
            reason="it emulates one device, and no functions that kernels call, such as the sine "
            "of a complex number's angle",
        ),
        hint="the extra [cuda-aot] of this package, with JAX_PLATFORMS=cpu",
        is_executor=True,
    ),
)
"""The backends of this package. `hint` of JAX's own plugins is that of
https://docs.jax.dev/en/latest/installation.html"""


class Backends:
    """The backends of this package, and those that entry points bring."""

    def __init__(self, entry_points: Iterable[EntryPoint]) -> None:
        self._ours = {spec.name: spec for spec in OURS}
        self._brought: dict[str, list[EntryPoint]] = {}
        for entry_point in entry_points:
            self._brought.setdefault(entry_point.name, []).append(entry_point)
        self._found: dict[str, BackendSpec] = {}

    def names(self) -> list[str]:
        """Return the names that there are; nothing is loaded."""
        return list(dict.fromkeys((*self._ours, *self.brought())))

    def brought(self) -> list[str]:
        """Return the names that entry points have; nothing is loaded."""
        return sorted(self._brought)

    def lookup(self, name: str) -> BackendSpec:
        """Return the backend of that name; what nobody has declared is a PJRT platform.

        Raises:
            CatalogueError: two have declared it.
            BackendUnavailable: its entry point cannot be loaded, or names something else.
        """
        if name not in self._found:
            self._found[name] = self._looked_up(name)
        return self._found[name]

    def specs(self) -> list[BackendSpec]:
        """Return every backend that can be looked up."""
        return [spec for name in self.names() if isinstance(spec := self._tried(name), BackendSpec)]

    def faults(self) -> list[str]:
        """Return why the others cannot be."""
        return [fault for name in self.names() if isinstance(fault := self._tried(name), str)]

    def _tried(self, name: str) -> BackendSpec | str:
        try:
            return self.lookup(name)
        except (BackendUnavailable, CatalogueError) as error:
            return str(error)

    def _looked_up(self, name: str) -> BackendSpec:
        ours, brought = self._ours.get(name), self._brought.get(name, [])
        declared = [*([HERE] if ours else []), *map(_described, brought)]
        if len(declared) > 1:
            raise CatalogueError(
                f"backend {name!r} is declared by {' and by '.join(declared)}: uninstall all but "
                "one of them, or rename an entry point"
            )
        return _loaded(brought[0]) if brought else ours or BackendSpec(name=name, origin="")


def _loaded(entry_point: EntryPoint) -> BackendSpec:
    """Return what an entry point declares.

    Raises:
        BackendUnavailable: it cannot be loaded, or declares something else.
    """
    try:
        spec = entry_point.load()
    except Exception as error:
        raise _broken(entry_point, f"{type(error).__name__}: {error}") from error
    if not isinstance(spec, BackendSpec):
        raise _broken(entry_point, f"it is a {type(spec).__name__}, no BackendSpec")
    if spec.name != entry_point.name:
        raise _broken(entry_point, f"it declares the backend {spec.name!r}, unlike its own name")
    if not is_backend(spec.name):
        raise _broken(entry_point, "its name cannot be part of a case id: use letters, digits, '_'")
    found = entry_point.dist
    packages = (*([found.name] if found else []), *spec.packages)
    return dataclasses.replace(spec, packages=packages, origin=_distribution(entry_point))


def _broken(entry_point: EntryPoint, fault: str) -> BackendUnavailable:
    return BackendUnavailable(
        f"backend {entry_point.name!r} cannot be used, for {_described(entry_point)} is broken "
        f"({fault}): update that distribution, or uninstall it"
    )


def _described(entry_point: EntryPoint) -> str:
    return f"entry point {entry_point.name} = {entry_point.value} of {_distribution(entry_point)}"


def _distribution(entry_point: EntryPoint) -> str:
    found = entry_point.dist
    return f"{found.name} {found.version}" if found else "an unknown distribution"


@functools.cache  # what is installed does not change, and is asked about for every case
def installed() -> Backends:
    """Return the backends of this installation."""
    from conformance.core.installation import entry_points  # importlib.metadata takes a while

    return Backends(entry_points(ENTRY_POINT_GROUP))


def lookup(name: str) -> BackendSpec:
    """Return the backend of that name in this installation; raises as `Backends.lookup` does."""
    return installed().lookup(name)
