"""Which LAPACK factors matrices here is known by name, or said to be unknown."""

from __future__ import annotations

import importlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import threadpoolctl

from conformance.core.causes import LAPACK_FACTS
from conformance.observe import lapack

SITE = Path("/site")
SCIPY, NUMPY = SITE / "scipy", SITE / "numpy"


def library(filepath: str, internal_api: str = "openblas", **more: Any) -> dict[str, Any]:
    """Return what threadpoolctl tells of a library."""
    facts = {"user_api": "blas", "internal_api": internal_api, "version": "1.2", "num_threads": 2}
    return {**facts, "filepath": f"{SITE}/{filepath}", **more}


def chosen(*loaded: Mapping[str, Any]) -> str | None:
    found = lapack.of_scipy(loaded, scipy=SCIPY, numpy=NUMPY)
    return None if found is None else found["filepath"].removeprefix(f"{SITE}/")


@pytest.fixture
def unasked() -> Iterator[None]:
    """Ask anew, and forget what was said."""
    lapack._facts.cache_clear()
    yield
    lapack._facts.cache_clear()


def test_the_library_of_this_process_is_known() -> None:
    known = lapack.facts()

    assert known["lapack"].startswith("OpenBLAS ")
    assert known["lapack_kernel"].isalnum()
    assert known["lapack_threads"].isdigit()


@pytest.mark.usefixtures("unasked")
def test_where_the_file_is_not_to_be_seen_its_module_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    by_file = lapack.facts()
    lapack._facts.cache_clear()
    asked: list[str] = []
    monkeypatch.setattr(lapack, "_extension", lambda: None)
    monkeypatch.setattr(importlib, "import_module", noting(asked))

    assert lapack.facts() == by_file
    assert "scipy.linalg.cython_lapack" in asked


def noting(asked: list[str]) -> Any:
    real = importlib.import_module

    def import_module(name: str) -> Any:
        asked.append(name)
        return real(name)

    return import_module


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernel is one of x86-64")
def test_kernel_and_threads_are_those_that_variables_ask_for() -> None:
    program = "from conformance.observe import lapack; print(lapack.facts())"
    asked = {"OPENBLAS_CORETYPE": "Prescott", "OPENBLAS_NUM_THREADS": "1"}

    done = subprocess.run(  # noqa: S603  # this Python, with a program of ours
        [sys.executable, "-c", program],
        env=os.environ | asked,
        capture_output=True,
        text=True,
        check=True,
    )

    # OpenBLAS calls its Prescott kernel by the name of the core that it is of.
    assert "'lapack_kernel': 'Katmai', 'lapack_threads': '1'" in done.stdout


@pytest.mark.usefixtures("unasked")
@pytest.mark.parametrize("absent", ["threadpoolctl", "scipy"])
def test_without_scipy_or_threadpoolctl_nothing_is_known(
    absent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    # What is imported already is no proof that a new process finds it.
    monkeypatch.setitem(sys.modules, "scipy.linalg.cython_lapack", None)

    assert lapack.facts() == {}


@pytest.mark.usefixtures("unasked")
def test_a_library_that_cannot_be_asked_costs_no_more_than_its_facts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise OSError("no such symbol")

    monkeypatch.setattr(threadpoolctl, "threadpool_info", fail)

    assert lapack.facts() == {}


@pytest.mark.usefixtures("unasked")
def test_accelerate_is_known_by_what_scipy_was_built_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is a part of macOS, which threadpoolctl does not see."""
    built = {"Build Dependencies": {"lapack": {"name": "Accelerate"}}}
    monkeypatch.setattr(threadpoolctl, "threadpool_info", list)
    monkeypatch.setattr("scipy.__config__.CONFIG", built)
    monkeypatch.setattr("platform.mac_ver", lambda: ("14.5", ("", "", ""), "arm64"))

    assert lapack.facts() == {"lapack": "Accelerate 14.5"}


def test_what_is_known_cannot_be_changed_by_a_caller() -> None:
    lapack.facts().clear()

    assert lapack.facts()


# --- The one of several --------------------------------------------------------------------------


def test_of_two_wheels_that_of_scipy_counts() -> None:
    own = library("scipy.libs/libscipy_openblas.so")

    assert chosen(library("numpy.libs/libscipy_openblas64_.so"), own) == own["filepath"][6:]


def test_a_library_that_another_package_brought_does_not_count_beside_scipys() -> None:
    own = library("scipy.libs/libscipy_openblas.so")

    assert chosen(library("torch/lib/libopenblas.so"), own) == own["filepath"][6:]


def test_a_library_within_the_package_is_its_own() -> None:
    assert chosen(library("numpy/.dylibs/libopenblas.dylib"), library("scipy/.dylibs/libo.dylib"))


def test_a_library_that_is_neithers_is_shared() -> None:
    shared = library("../lib/libmkl_rt.so", "mkl")

    assert chosen(shared, library("numpy.libs/libopenblas.so")) == "../lib/libmkl_rt.so"


def test_numpys_alone_says_nothing_about_scipy() -> None:
    assert chosen(library("numpy.libs/libscipy_openblas64_.so")) is None


def test_which_of_two_strangers_is_meant_is_unknown() -> None:
    assert chosen(library("../lib/libopenblas.so"), library("../lib/libblis.so", "blis")) is None


def test_a_library_of_threads_is_no_lapack() -> None:
    openmp = library("../lib/libgomp.so", "openmp", user_api="openmp")

    assert chosen(openmp, library("../lib/libopenblas.so")) == "../lib/libopenblas.so"


def test_the_library_behind_flexiblas_gives_the_kernel() -> None:
    front = library("../lib/libflexiblas.so", "flexiblas", current_backend="OPENBLAS-OPENMP")
    behind = library("../lib/libopenblas.so", version="9.9", architecture="Haswell")

    found = lapack.of_scipy([front, behind], scipy=SCIPY, numpy=NUMPY)

    assert found is not None
    assert lapack.described(found) == {
        "lapack": "FlexiBLAS 1.2 OPENBLAS-OPENMP",
        "lapack_kernel": "Haswell",
        "lapack_threads": "2",
    }


@pytest.mark.parametrize(
    ("told", "facts"),
    [
        (library("x", "mkl", version="2021.4-Product"), ("MKL 2021.4-Product", None, "2")),
        (library("x", "blis", architecture="skx", num_threads=1), ("BLIS 1.2", "skx", "1")),
        (library("x", version=None, num_threads=None), ("OpenBLAS", None, None)),
    ],
)
def test_what_a_library_does_not_tell_is_left_out(
    told: dict[str, Any], facts: tuple[str | None, ...]
) -> None:
    known = lapack.described(told)

    assert tuple(map(known.get, LAPACK_FACTS)) == facts


def test_numpy_alone_is_limited_to_one_thread() -> None:
    """How many SciPy has, which JAX calls, is on record and may change bits."""
    importlib.import_module("scipy.linalg")  # which brings its library

    def threads() -> dict[str, int]:
        found = threadpoolctl.threadpool_info()
        return {Path(each["filepath"]).parent.name: each["num_threads"] for each in found}

    with threadpoolctl.threadpool_limits(2, "blas"):
        undo = lapack.multiply_in_one_thread()
        during = threads()
        undo()
        after = threads()

    assert (during["numpy.libs"], during["scipy.libs"]) == (1, 2)
    assert (after["numpy.libs"], after["scipy.libs"]) == (2, 2)


def test_without_the_witness_numpy_keeps_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, lapack.WITNESS, None)

    lapack.multiply_in_one_thread()()
