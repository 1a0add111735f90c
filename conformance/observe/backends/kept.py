"""IREE's programs, compiled beforehand for a machine that has IREE's runtime and not its compiler.

One file holds the programs of some cases and of their stages, each by the digest of the StableHLO
that JAX lowers. The machine lowers what it is asked itself, and runs what is held for just that: so
a file serves the JAX under which it was made.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.core.arrays import Array
from conformance.core.errors import BackendUnavailable, GoldenError, Malformed
from conformance.core.files import atomic_file, writing
from conformance.core.ids import Case
from conformance.core.reading import naming, parse_json, record
from conformance.core.versions import KEPT
from conformance.core.watching import Watch, unwatched
from conformance.observe.backends import iree
from conformance.observe.backends.exported import ExportedBackend, Program, programs

INDEX = "index.json"

LOWERING = ("jax", "jaxlib")
"""Whose versions decide what is lowered."""

WAY_OUT = "make it anew with scripts/iree_for_a_gpu.py, under the JAX of the machine"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What a file holds.

    backend: of the cases. chip: what the programs are compiled for. packages: the versions of JAX
    and of IREE's compiler. cases: by id; of those that JAX refuses to trace there is no program.
    """

    backend: str
    chip: str
    packages: Mapping[str, str]
    cases: tuple[str, ...]


# --- Where the compiler is -----------------------------------------------------------------------
def keep(
    path: Path, cases: Sequence[Case], catalogue: Catalogue, watch: Watch[Case] = unwatched
) -> dict[str, str]:
    """Compile cases of one backend for the chip that it names by itself, into a file.

    Returns the cases that are left out, as IREE cannot compile them, with the first line of why.

    Raises:
        BackendUnavailable: IREE's compiler is not installed, or which chip there is only the
            driver of its machine knows.
        GoldenError: the disk refuses.
    """
    (name,) = {case.backend for case in cases}
    driver, packages = iree.GPUS[name], _packages(name)
    if not driver.chip:
        raise BackendUnavailable(f"{name}: only its driver says which chip a machine has")
    compiled = functools.partial(
        iree.compiled, options=iree.options(name, driver.chip), driver=driver
    )
    from iree.compiler import CompilerToolError

    kept, left_out = [], {}
    with writing(path), atomic_file(path) as draft, zipfile.ZipFile(draft, "w") as file:
        for case in watch(cases, len(cases)):
            try:
                for program in _programs(case, catalogue.lookup(case.problem.initializer)):
                    if (key := _key(program)) not in file.NameToInfo:
                        _add(file, key, compiled(program.text))
                kept.append(case.id)
            except CompilerToolError as error:
                left_out[case.id] = _diagnosis(str(error))
        index = Index(backend=name, chip=driver.chip, packages=packages, cases=tuple(kept))
        _add(file, INDEX, json.dumps(KEPT.stamped(dataclasses.asdict(index)), indent=1).encode())
    return left_out


def _diagnosis(message: str) -> str:
    """Return the first error of the compiler's."""
    found = re.search(r"error: (.*)", message)
    return found[1] if found else message.partition("\n")[0]


def _packages(name: str) -> dict[str, str]:
    return {
        **{each: importlib.metadata.version(each) for each in LOWERING},
        iree.COMPILER: iree.require(name, iree.COMPILER),
    }


def _programs(case: Case, spec: InitializerSpec) -> Iterator[Program]:
    """Yield the programs of a case, up to one that JAX refuses to trace: it will there too."""
    with contextlib.suppress(Exception):
        yield from programs(case, spec)


def _key(program: Program) -> str:
    return f"{hashlib.sha256(program.text.encode()).hexdigest()}.vmfb"


def _add(file: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Add a member that says nothing of when it was made."""
    file.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


# --- Where the device is -------------------------------------------------------------------------
def read_index(path: Path) -> Index:
    """Return what a file holds.

    Raises:
        GoldenError: it cannot be read.
    """
    if (data := _member(path, INDEX)) is None:
        raise GoldenError(f"{path} has no {INDEX}: {WAY_OUT}")
    with naming(path, GoldenError, WAY_OUT):
        index = record(Index, KEPT.content(parse_json(data.decode()), path, GoldenError))
        if index.backend not in iree.GPUS:
            raise Malformed.value(index.backend, f"one of {', '.join(iree.GPUS)}").within("backend")
    return index


def open_kept(path: Path) -> ExportedBackend:
    """Return the backend that runs the programs of a file on the first device of its driver.

    Asked for what the file does not hold, it raises BackendUnavailable, which is no outcome.

    Raises:
        GoldenError: the file cannot be read.
        BackendUnavailable: the programs are of another JAX than this one, IREE's runtime is not
            installed, or its driver finds no device.
    """
    index = read_index(path)
    name, facts = index.backend, iree.device_facts(index.backend)
    for package in LOWERING:
        if (here := importlib.metadata.version(package)) != index.packages.get(package):
            raise BackendUnavailable(
                f"{path} holds what {package} {index.packages.get(package)} lowers, and here is "
                f"{package} {here}: {WAY_OUT}"
            )
    version = index.packages.get(iree.COMPILER, "")
    return ExportedBackend(
        name=name,
        device=iree.device_text(name, index.chip, version, facts["kind"]),
        runner=_Runner(path, iree.GPUS[name]),
    )


class _Runner:
    """Runs the programs that a file holds."""

    def __init__(self, path: Path, driver: iree.Driver) -> None:
        self._path, self._driver = path, driver
        self._loaded = functools.cache(self._load)

    def __call__(self, program: Program, words: Array) -> Sequence[Array]:
        return self._loaded(_key(program))(words)

    def _load(self, key: str) -> iree.Call:
        if (binary := _member(self._path, key)) is None:
            raise BackendUnavailable(
                f"{self._path} does not hold the program that is lowered here ({key}), under other "
                f"settings of JAX or another catalogue: {WAY_OUT}"
            )
        return iree.loaded(binary, self._driver)


def _member(path: Path, name: str) -> bytes | None:
    """Return a member of a file; None where it has none of that name.

    Raises:
        GoldenError: the file cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as file:
            return file.read(name) if name in file.NameToInfo else None
    except (OSError, zipfile.BadZipFile, zlib.error) as fault:
        raise GoldenError(f"{path} cannot be read ({fault}): {WAY_OUT}") from fault
