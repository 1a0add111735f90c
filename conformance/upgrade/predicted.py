"""Which recordings put predictions to the test: those of the device that was compiled for.

XLA compiles for a compute capability, so every GPU of it runs the same programs. Another one,
another JAX or XLA, or a setting that changes programs, and the recording says nothing of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from conformance.cases.catalogue import Catalogue
from conformance.core.errors import NoTest
from conformance.core.ids import parse_case
from conformance.core.paths import MANIFEST
from conformance.core.records import COMPUTE_CAPABILITY, Environment
from conformance.core.settings import HARMLESS_FLAGS, LAPACK_KERNELS, LAPACK_THREADS
from conformance.store.read import Store, open_store

PLATFORM = "cuda"

CAPABILITY = f"{PLATFORM}.{COMPUTE_CAPABILITY}"

COMPILERS = ("jax", "jaxlib")

UNRELATED = {"jax_platforms", "cuda_visible_devices", *LAPACK_KERNELS, *LAPACK_THREADS}
"""Variables, by lower-case name, that change no program of a GPU: they choose devices, or what the
host's LAPACK does."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """A recording that puts predictions to the test.

    predicted_for, device: what was described, and what answered. families: of the initializers of
    both sides.
    """

    predicted_for: str
    device: str
    capability: str
    families: Mapping[str, str]

    @property
    def remark(self) -> str:
        """What to say where another device of the same kind answers; else ""."""
        if not self.device or self.predicted_for.startswith(self.device):
            return ""
        return (
            f"{self.device} answers for {self.predicted_for}: both are of compute capability "
            f"{self.capability}, for which XLA compiles"
        )


def test_of(
    predictions: Store, recording: Store, names: tuple[str, str], catalogue: Catalogue
) -> Test:
    """Return what a recording puts to the test.

    Raises:
        NoTest: the recording is of a device, a compiler or settings that were not predicted.
    """
    made_for, made_on = _key(predictions.environment), _key(recording.environment)
    if faults := [
        f"{name}: {made_for.get(name, 'not stated')} -> {made_on.get(name, 'not stated')}"
        for name in sorted({*made_for, *made_on, CAPABILITY})
        if made_for.get(name) != made_on.get(name) or name not in made_for
    ]:
        raise NoTest(
            f"{names[1]} neither confirms nor refutes {names[0]}, which is predicted for another "
            f"device, compiler or setting ({'; '.join(faults)}): {_way_out(predictions, made_on)}"
        )
    ids = {*predictions.ids(), *recording.ids()}
    initializers = {parse_case(key).problem.initializer for key in ids}
    return Test(
        predicted_for=str(predictions.latest.get("predicted_for", "")),
        device=recording.environment.devices.get(f"{PLATFORM}.kind", ""),
        capability=made_on[CAPABILITY],
        families={
            name: catalogue.lookup(name).family for name in initializers if name in catalogue
        },
    )


def _key(found: Environment) -> dict[str, str]:
    """Return all that a prediction depends on: compute capability, compilers, settings."""
    settings = {
        name: " ".join(HARMLESS_FLAGS.sub("", value).split())
        for name, value in found.config.items()
        if name.lower() not in UNRELATED
    }
    versions = {name: found.packages[name] for name in COMPILERS if name in found.packages}
    capability = {name: found.devices[name] for name in (CAPABILITY,) if name in found.devices}
    return {**versions, **{name: text for name, text in settings.items() if text}, **capability}


def _way_out(predictions: Store, wanted: Mapping[str, str]) -> str:
    """Return what to compare with instead, and how it is made where there is no such set."""
    if CAPABILITY not in wanted:
        return "record it anew with this version, on a CUDA device"
    for path in sorted(predictions.folder.parent.glob(f"*/{MANIFEST}")):
        if _key(_environment(path.parent)) == wanted:
            return f"compare it with {path.parent}"
    return (
        "predict for it under its JAX, with `conformance compile --platform cuda --target DEVICE "
        "--record DIR`"
    )


def _environment(folder: Path) -> Environment:
    return open_store(folder).environment
