"""What IREE compiled beforehand runs where its compiler is not, and is no outcome where it cannot.

This CPU stands for the GPU: its driver is asked in the place of Vulkan's.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from conformance.cases.builtin import load_catalogue
from conformance.core.errors import BackendUnavailable, GoldenError
from conformance.core.ids import parse_case
from conformance.core.records import Observation, Raised
from conformance.observe.backends import iree
from conformance.observe.backends.exported import ExportedBackend
from conformance.observe.backends.kept import INDEX, keep, open_kept, read_index
from conformance.observe.observer import Observer

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("iree") is None, reason="the extra [iree] is not installed"
)

CATALOGUE = load_catalogue()

NAME = "iree-vulkan"

VULKAN = iree.GPUS[NAME]

DRAWN, REFUSED = (f"{name}-float32-64-s0-{NAME}-eager" for name in ("uniform", "lecun_normal"))


@pytest.fixture(scope="module")
def cpu() -> iree.Driver:
    """Return the driver that stands for Vulkan's."""
    return iree.Driver(
        name="local-sync", code="llvm-cpu", chip="generic", option="--iree-llvmcpu-target-cpu"
    )


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch, cpu: iree.Driver) -> None:
    monkeypatch.setitem(iree.GPUS, NAME, cpu)


@pytest.fixture(scope="module")
def kept(cpu: iree.Driver, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kept") / f"{NAME}.zip"
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(iree.GPUS, NAME, cpu)
        assert keep(path, [parse_case(DRAWN), parse_case(REFUSED)], CATALOGUE) == {}
    return path


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let IREE's compiler be absent."""
    installed = importlib.metadata.version

    def version(name: str) -> str:
        if name == iree.COMPILER:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed(name)

    def compiled(*_: object) -> bytes:
        raise AssertionError("no compiler is here")

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(iree, "compiled", compiled)


def indexed(path: Path, index: dict[str, object]) -> None:
    """Write a file that holds this index alone."""
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(INDEX, json.dumps(index))


def observed(backend: ExportedBackend, text: str) -> Observation:
    case = parse_case(text)
    spec = CATALOGUE.lookup(case.problem.initializer)
    return Observer([backend]).observe_in_full(case, spec)


@pytest.mark.usefixtures("no_compiler")
def test_what_is_kept_needs_no_compiler(kept: Path) -> None:
    found = observed(open_kept(kept), DRAWN)

    assert not isinstance(found.outcome, Raised), found.outcome
    assert found.stages
    assert found.device.startswith("iree llvm-cpu generic (")


def test_what_is_kept_returns_what_the_compiler_makes_here(kept: Path) -> None:
    one, two = (observed(each, DRAWN) for each in (open_kept(kept), iree.open_backend(NAME)))

    assert (one.outcome, one.stages, one.device) == (two.outcome, two.stages, two.device)


def test_a_case_that_jax_refuses_to_trace_is_refused_there_too(kept: Path) -> None:
    found = observed(open_kept(kept), REFUSED).outcome

    assert isinstance(found, Raised)
    assert found.exception == "ValueError"
    assert set(read_index(kept).cases) == {DRAWN, REFUSED}


def test_a_program_that_is_not_held_is_no_outcome(kept: Path) -> None:
    with pytest.raises(BackendUnavailable, match="does not hold the program that is lowered here"):
        observed(open_kept(kept), f"normal-float32-64-s0-{NAME}-eager")


def test_programs_of_another_jax_are_refused(kept: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(kept) as old, zipfile.ZipFile(other, "w") as new:
        index = json.loads(old.read(INDEX))
        index["packages"]["jax"] = "0.1"
        new.writestr(INDEX, json.dumps(index))

    with pytest.raises(BackendUnavailable, match=r"holds what jax 0\.1 lowers, and here is jax"):
        open_kept(other)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(b"PK"), r"cannot be read \(File is not a zip file\)"),
        (lambda path: path.unlink(), r"cannot be read \(.*No such file"),
        (lambda path: zipfile.ZipFile(path, "w").close(), f"has no {INDEX}"),
        (
            lambda path: indexed(path, {"schema": 1}),
            "'backend' is missing.*iree_for_a_gpu",
        ),
        (lambda path: indexed(path, {"schema": 9}), "has version 9 of the format `compiled before"),
        (
            lambda path: indexed(
                path, {"schema": 1, "backend": "x", "chip": "", "packages": {}, "cases": []}
            ),
            r"cannot be read \(backend: 'x' is not one of iree-vulkan, iree-cuda, iree-hip\)",
        ),
    ],
)
def test_a_damaged_file_is_named(
    kept: Path, tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / kept.name
    path.write_bytes(kept.read_bytes())
    damage(path)

    with pytest.raises(GoldenError, match=f"{path}.*{message}"):
        read_index(path)


def test_what_iree_cannot_compile_is_left_out_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No 64-bit integers, with which threefry counts, in IREE's idea of an Adreno."""
    adreno = dataclasses.replace(VULKAN, chip="adreno")
    monkeypatch.setitem(iree.GPUS, NAME, adreno)
    drawn = f"normal-float32-64x32-s0-{NAME}-eager"

    left_out = keep(tmp_path / "few.zip", [parse_case(drawn), parse_case(REFUSED)], CATALOGUE)

    assert list(left_out) == [drawn]
    assert "failed to legalize operation" in left_out[drawn]
    assert read_index(tmp_path / "few.zip").cases == (REFUSED,)


def test_a_chip_that_only_the_driver_knows_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="only its driver says which chip"):
        keep(tmp_path / "hip.zip", [parse_case("normal-float32-64-s0-iree-hip-eager")], CATALOGUE)
