"""Which LAPACK factors matrices on the CPU: library, version, kernel and number of threads.

JAX's CPU `qr` calls the LAPACK of SciPy. OpenBLAS chooses its kernel by the model of the CPU, or by
OPENBLAS_CORETYPE, and each kernel rounds otherwise: `orthogonal` has other last digits from 4 x 4
on. For some kernels the number of threads counts as well, from 256 x 256 on.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import importlib.util
import platform
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from conformance.core.causes import LAPACK_FACTS

WITNESS = "threadpoolctl"
"""The package that can tell; without it nothing is known."""

LIBRARIES = {"openblas": "OpenBLAS", "mkl": "MKL", "blis": "BLIS", "flexiblas": "FlexiBLAS"}
"""What its makers call a library, by what threadpoolctl calls it."""


def facts() -> dict[str, str]:
    """Return what is known of the LAPACK that JAX uses in this process; asked once.

    Threads are as they stood when first asked. MKL tells no kernel, Accelerate neither kernel nor
    threads. Without SciPy or threadpoolctl, or where several libraries may be meant, nothing is
    known.
    """
    return dict(_facts())


@functools.cache
def _facts() -> Mapping[str, str]:
    # Old SciPy beside a NumPy that it was not built for raises whatever it likes.
    with contextlib.suppress(Exception):
        _load()
        loaded = importlib.import_module(WITNESS).threadpool_info()
        library = of_scipy(loaded, scipy=_folder("scipy"), numpy=_folder("numpy"))
        return described(library) if library else _accelerate()
    return {}


def multiply_in_one_thread() -> Callable[[], None]:
    """Let NumPy use one thread of its own library in this process; return what undoes it.

    For processes that share the cores already: a second thread mostly waits, and waits busily. The
    library that JAX calls keeps its threads, which are on record: where it is NumPy's too, as in
    conda, or nobody can tell, nothing changes.
    """
    with contextlib.suppress(ImportError):
        control = importlib.import_module(WITNESS).ThreadpoolController()
        found = (library for library in control.info() if library["user_api"] == "blas")
        own = [library["filepath"] for library in found if _is_of(library, _folder("numpy"))]
        limited = control.select(filepath=own).limit(limits=1)
        return cast(Callable[[], None], limited.restore_original_limits)
    return lambda: None


def _load() -> None:
    """Load the library, as jaxlib does at the first QR by importing what is linked to it here.

    The package of that module takes a third of a second of CPU to import: where its file is there
    to be seen, it is loaded alone.
    """
    if file := _extension():
        ctypes.CDLL(str(file))
    else:
        importlib.import_module("scipy.linalg.cython_lapack")


def _extension() -> Path | None:
    found = list((_folder("scipy") / "linalg").glob("cython_lapack.*.so"))
    return found[0] if len(found) == 1 else None


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).resolve().parent


def of_scipy(
    loaded: Sequence[Mapping[str, Any]], *, scipy: Path, numpy: Path
) -> Mapping[str, Any] | None:
    """Return SciPy's of the loaded libraries, as threadpoolctl tells them; None if that is unclear.

    NumPy's wheels bring one of their own. SciPy's lies in its folder or in `scipy.libs`; where
    neither holds any, the one that is not NumPy's is shared by all. FlexiBLAS hands calls on to
    another library, whose kernel and threads then count.
    """
    found = [library for library in loaded if library["user_api"] == "blas"]
    own = [library for library in found if _is_of(library, scipy)]
    candidates = own or [library for library in found if not _is_of(library, numpy)]
    front = [library for library in candidates if library["internal_api"] == "flexiblas"]
    behind = [library for library in candidates if library not in front]
    if len(front) == 1:
        return {**(behind[0] if len(behind) == 1 else {}), **front[0]}
    return candidates[0] if len(candidates) == 1 else None


def _is_of(library: Mapping[str, Any], package: Path) -> bool:
    file = Path(library["filepath"])
    return any(
        file.is_relative_to(folder)
        for folder in (package, package.with_name(f"{package.name}.libs"))
    )


def described(library: Mapping[str, Any]) -> dict[str, str]:
    """Return the facts of one library, as threadpoolctl tells it; what it does not tell is left."""
    name = LIBRARIES.get(library["internal_api"], library["internal_api"])
    words = (name, library.get("version"), library.get("current_backend"))
    values = (
        " ".join(filter(None, words)),
        library.get("architecture"),
        library.get("num_threads"),
    )
    return {fact: str(value) for fact, value in zip(LAPACK_FACTS, values, strict=True) if value}


def _accelerate() -> dict[str, str]:
    """Return the facts where SciPy was built for Apple's Accelerate, which is part of macOS."""
    built_for = importlib.import_module("scipy.__config__").CONFIG["Build Dependencies"]["lapack"]
    if built_for["name"].lower() != "accelerate":
        return {}
    return {"lapack": f"Accelerate {platform.mac_ver()[0]}".strip()}
