"""LAPACK and the C library are causes proven, told by what was recorded, or not claimed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cli import main
from conformance.core.arrays import returned
from conformance.core.ids import parse_case
from conformance.core.laws import DeltaOrthogonal, Orthogonal
from conformance.core.records import Entry
from conformance.oracle import haar, solve_normals
from conformance.store.entries import RECORDING
from conformance.store.read import Store, open_store
from conformance.store.write import write_store
from conformance.upgrade import outside
from conformance.upgrade.cause import Cause, Finding
from conformance.upgrade.compare import compare_stores
from conformance.upgrade.outside import Suspect, explained, told_by_lapack
from conformance.upgrade.qr import Factored, parsed, result
from conformance.upgrade.rerun import Interpreter, Rerun, rerun

CATALOGUE = load_catalogue()
HASWELL = {"lapack": "OpenBLAS 0.3.31.dev", "lapack_kernel": "Haswell", "lapack_threads": "2"}
SKYLAKE = HASWELL | {"lapack_kernel": "SkylakeX"}


def ran(digest: str, obstacle: str = "") -> Rerun:
    return Rerun(digests={"case": digest}, obstacle=obstacle)


# --- The verdict on LAPACK -----------------------------------------------------------------------


def told(
    reruns: list[Rerun], before: Mapping[str, str] = SKYLAKE, *, is_recorded: bool = True
) -> Finding:
    suspect = Suspect(name="case", digests=("old", "new"), matrix=None, is_recorded=is_recorded)
    return told_by_lapack(suspect, reruns, (before, HASWELL), "same JAX, other")


def test_both_sides_bits_from_scipy_alone_prove_it() -> None:
    found = told([ran("old"), ran("new")])

    assert found.cause is Cause.LAPACK
    assert found.proof == (
        "same JAX, other OpenBLAS kernel: SkylakeX -> Haswell; SciPy's own QR of the same matrix "
        "returns both sides' bits, under the LAPACK of each"
    )
    assert found.cause.meaning == "the same program calls another LAPACK"


def test_a_kernel_that_cannot_run_here_leaves_what_was_recorded() -> None:
    obstacle = "kernel SkylakeX cannot run on this CPU (killed by SIGILL)"

    found = told([Rerun(digests={}, obstacle=obstacle), ran("new")])

    assert found.cause is Cause.LAPACK
    assert found.proof.endswith(f"told by what was recorded, not run again: {obstacle}")


def test_without_the_matrix_nothing_is_run_again() -> None:
    assert told([]).proof.endswith("not run again: the matrix that was drawn is not recorded")


def test_other_bits_of_a_matrix_that_was_not_recorded_refute_nothing() -> None:
    found = told([ran("third"), ran("new")], is_recorded=False)

    assert found.cause is Cause.LAPACK
    assert found.proof.endswith("not run again: the matrix that was drawn is not recorded")


@pytest.mark.parametrize("reruns", [[ran("third"), ran("new")], [ran("old"), ran("old")]])
def test_other_bits_under_the_very_lapack_of_a_side_refute_it(reruns: list[Rerun]) -> None:
    found = told(reruns)

    assert found.cause is Cause.UNKNOWN
    assert "but SciPy's own QR of the same matrix returns other bits" in found.proof


def test_other_bits_under_another_lapack_refute_nothing() -> None:
    obstacle = "what is installed here is another (OpenBLAS: 0.3.30 -> 0.3.31.dev)"

    found = told([ran("third", obstacle), ran("new")])

    assert found.cause is Cause.LAPACK


def test_an_unknown_lapack_proves_nothing() -> None:
    found = told([ran("new", "the LAPACK is not known"), ran("new")], before={})

    assert found.cause is Cause.UNKNOWN
    assert found.proof == (
        "its program calls LAPACK, which is not recorded on one side "
        "(OpenBLAS: unknown -> 0.3.31.dev, OpenBLAS kernel: unknown -> Haswell, OpenBLAS threads: "
        "unknown -> 2)"
    )


# --- SciPy's QR ----------------------------------------------------------------------------------


def factored(name: str, dtype: str, shape: tuple[int, ...]) -> Factored:
    """Return what the initializer factors for key 0."""
    definition = CATALOGUE.lookup(name).definition
    assert isinstance(definition, Orthogonal | DeltaOrthogonal)
    inner = shape[-2:] if isinstance(definition, DeltaOrthogonal) else shape
    columns = inner[definition.column_axis]
    rows = int(np.prod(inner)) // columns
    tall = (max(rows, columns), min(rows, columns))
    drawn = np.asarray(jax.random.normal(jax.random.key(0), tall, dtype))
    return Factored(
        dtype=dtype,
        rows=tall[0],
        columns=tall[1],
        bits=drawn.tobytes(),
        shape=shape,
        column_axis=definition.column_axis,
        scale=definition.scale,
        is_central=isinstance(definition, DeltaOrthogonal),
    )


@pytest.mark.parametrize(
    ("name", "dtype", "shape"),
    [
        ("orthogonal", "float32", (2, 2)),
        ("orthogonal", "float32", (256, 256)),
        ("orthogonal", "float64", (32, 64)),
        ("orthogonal", "complex64", (8, 4)),
        ("orthogonal", "complex128", (64, 32)),
        ("orthogonal_scaled", "float32", (2, 32, 32)),
        ("orthogonal_column0", "float32", (32, 8, 8)),
        ("delta_orthogonal", "complex64", (3, 4, 8)),
        ("delta_orthogonal_scaled", "float32", (4, 5, 8, 8)),
    ],
)
def test_scipy_alone_returns_the_bits_of_jax(name: str, dtype: str, shape: tuple[int, ...]) -> None:
    """Most of these matrices are of shapes that other tests have compiled."""
    with jax.enable_x64(dtype in ("float64", "complex128")):
        asked = factored(name, dtype, shape)
        expected = CATALOGUE.lookup(name).build()(jax.random.key(0), shape, np.dtype(dtype))

        actual = result(parsed(json.loads(json.dumps(asked.as_json()))))

    assert actual.tobytes() == np.asarray(expected).tobytes()


def test_a_rerun_returns_what_each_kernel_makes_of_the_matrix() -> None:
    matrix = factored("orthogonal", "float32", (64, 32))
    kernels = [{"lapack_kernel": name, "lapack_threads": "1"} for name in ("Katmai", "Nehalem")]

    found = [rerun({"case": matrix}, HASWELL | kernel, Interpreter()) for kernel in kernels]
    here = hashlib.sha256(result(matrix).tobytes()).hexdigest()

    assert all(len(each.digests["case"]) == len(here) for each in found)
    if os.uname().machine == "x86_64":
        assert found[0].digests != found[1].digests


@pytest.fixture
def python(tmp_path: Path) -> Callable[[str], Interpreter]:
    """Return a function that returns an interpreter which does what a shell command says."""

    def write(command: str) -> Interpreter:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{command}\n")
        path.chmod(0o755)
        return Interpreter(python=str(path))

    return write


@pytest.mark.parametrize(
    ("command", "obstacle"),
    [
        ("kill -ILL $$", "kernel SkylakeX cannot run on this CPU (killed by SIGILL)"),
        ("echo no scipy >&2; exit 3", "SciPy's QR exited with 3: no scipy"),
        ("""echo '{"host": {}}'""", "the LAPACK is not known"),
        (
            f"""echo '{json.dumps({"host": HASWELL})}'""",
            "what is installed here is another (OpenBLAS kernel: SkylakeX -> Haswell)",
        ),
        (f"""echo '{json.dumps({"host": SKYLAKE})}'""", ""),
    ],
)
def test_why_a_rerun_is_not_what_was_asked_for(
    python: Callable[[str], Interpreter], command: str, obstacle: str
) -> None:
    assert rerun({}, SKYLAKE, python(command)).obstacle == obstacle


def test_a_rerun_that_takes_too_long_is_ended(
    python: Callable[[str], Interpreter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conformance.upgrade.rerun.TIME_LIMIT_S", 0.1)

    assert rerun({}, SKYLAKE, python("exec sleep 5")).obstacle == "SciPy's QR took more than 0 s"


# --- Two recordings ------------------------------------------------------------------------------

ORTHOGONAL = "orthogonal-float32-64x32-s0-cpu-eager"
NARROW = "truncated_normal_narrow-float32-64x32-s0-cpu-jit"
GLIBC = ({"libc": "glibc 2.36"}, {"libc": "glibc 2.43"})
FOLDED = {"cpu truncated_normal_narrow float32 whole": {"erf(0.25)": ["0.1", "0.3"]}}
FOLDED_OTHERWISE = {"cpu truncated_normal_narrow float32 whole": {"erf(0.25)": ["0.2", "0.3"]}}

WriteSide = Callable[..., Store]


@pytest.fixture
def side(tmp_path: Path) -> WriteSide:
    """Return a function that writes a recording of one case, and returns it."""

    def write(
        name: str, case: str, array: Any, host: Mapping[str, str], **provenance: Any
    ) -> Store:
        entry = Entry(id=case, shard="a/b.safetensors", outcome=returned(array))
        packages = {"jax": provenance.pop("jax", "1.0"), "jaxlib": "1.0"}
        config = provenance.pop("config", {})
        environment = {"packages": packages, "config": config, "host": host, "devices": {}}
        record = {"environment": environment, **provenance}
        write_store(tmp_path / name, [entry], kind=RECORDING, provenance=[record])
        return open_store(tmp_path / name)

    return write


def draw(n_ulp: int = 0) -> Any:
    """Return one draw, rows of it moved from zero and as many towards it, as rounding would."""
    array = np.random.default_rng(0).normal(0, 0.1, (64, 32)).astype(np.float32)
    words = array.view(np.uint32)
    words[::6] += np.uint32(n_ulp)
    words[3::6] -= np.uint32(n_ulp)
    return array


def right(n_ulp: int = 0) -> Any:
    """Return the Q that ORTHOGONAL wants, some of its elements rounded otherwise."""
    problem = parse_case(ORTHOGONAL).problem
    normals = solve_normals(problem, Orthogonal())
    array = haar(normals.value).astype(np.float32)
    array.view(np.uint32)[::3] += np.uint32(n_ulp)
    return array


def wrong(n_ulp: int = 0) -> Any:
    """Return the same with its first columns swapped."""
    return np.ascontiguousarray(right(n_ulp)[:, [1, 0, *range(2, 32)]])


def cause(before: Store, after: Store) -> Finding | None:
    comparison = compare_stores(before, after, CATALOGUE, names=("a", "b"))
    causes = explained(comparison, (before, after), CATALOGUE).causes
    return next(iter(causes.values()), None)


@pytest.fixture
def no_rerun(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let nothing run SciPy; return the cases of which it was asked to."""
    asked: list[str] = []

    def refuse(matrices: Mapping[str, Factored], *_: object) -> Rerun:
        asked.extend(matrices)
        return Rerun(digests={}, obstacle="no SciPy")

    monkeypatch.setattr(outside, "rerun", refuse)
    return asked


def test_what_calls_lapack_is_told_by_the_program_before_the_definition(
    side: WriteSide, no_rerun: list[str]
) -> None:
    """A user's initializer may call LAPACK too; nobody knows the matrix that it factors."""
    calls = {"cpu mine float32": ["lapack_sgeqrf_ffi"]}
    case = "mine-float32-64x32-s0-cpu-jit"

    found = cause(
        side("a", case, draw(), SKYLAKE, calls=calls),
        side("b", case, draw(1), HASWELL, calls=calls),
    )

    assert found is not None
    assert found.cause is Cause.LAPACK
    assert no_rerun == []


def test_a_program_that_calls_no_lapack_is_not_blamed_on_it(side: WriteSide) -> None:
    case = "normal-float32-64x32-s0-cpu-jit"

    assert cause(side("a", case, draw(), SKYLAKE), side("b", case, draw(1), HASWELL)) is None


@pytest.mark.usefixtures("no_rerun")
def test_an_orthogonal_that_an_accelerator_made_is_not_blamed_on_lapack(side: WriteSide) -> None:
    case = "orthogonal-float32-64x32-s0-tpu-eager"

    assert cause(side("a", case, draw(), SKYLAKE), side("b", case, draw(1), HASWELL)) is None


def test_the_same_lapack_is_no_cause(side: WriteSide, no_rerun: list[str]) -> None:
    before, after = (side(n, ORTHOGONAL, draw(i), HASWELL) for i, n in enumerate("ab"))

    assert cause(before, after) is None
    assert no_rerun == []


@pytest.mark.usefixtures("no_rerun")
def test_under_another_jax_only_the_same_program_is_blamed_on_lapack(side: WriteSide) -> None:
    programs = {"cpu orthogonal float32": "aa"}
    before = side("a", ORTHOGONAL, right(), SKYLAKE, programs=programs)
    same = side("b", ORTHOGONAL, right(1), HASWELL, programs=programs, jax="2.0")
    other = side("c", ORTHOGONAL, right(1), HASWELL, jax="2.0")

    assert (found := cause(before, same)) is not None
    assert found.cause is Cause.LAPACK
    assert found.proof.startswith("same program, other OpenBLAS kernel: SkylakeX -> Haswell;")
    assert cause(before, other) is None


@pytest.mark.usefixtures("no_rerun")
def test_old_recordings_say_that_lapack_was_not_recorded(side: WriteSide) -> None:
    found = cause(side("a", ORTHOGONAL, right(), {}), side("b", ORTHOGONAL, right(1), {}))

    assert found is not None
    assert found.cause is Cause.UNKNOWN
    assert found.proof == "its program calls LAPACK, which is not recorded on either side"


def test_a_matrix_that_is_wrong_is_not_blamed_on_another_lapack(side: WriteSide) -> None:
    """Two right ones are rounding apart, so another LAPACK is no reason for more."""
    before, after = side("a", ORTHOGONAL, right(), SKYLAKE), side("b", ORTHOGONAL, wrong(), HASWELL)

    assert cause(before, after) is None


def test_another_folded_constant_is_the_doing_of_the_c_library(side: WriteSide) -> None:
    found = cause(
        side("a", NARROW, draw(), GLIBC[0], folded=FOLDED),
        side("b", NARROW, draw(1), GLIBC[1], folded=FOLDED_OTHERWISE),
    )

    assert found is not None
    assert found.cause is Cause.LIBC
    assert found.cause.meaning == "XLA folded constants with another C library"
    assert found.proof == (
        "same JAX, other glibc: 2.36 -> 2.43, constants folded by erf: XLA folds erf(0.25) to "
        "0.1 and to 0.2, while its kernel computes 0.3 on both"
    )


def test_the_same_folded_constants_clear_the_c_library(side: WriteSide) -> None:
    before, after = (
        side(name, NARROW, draw(i), GLIBC[i], folded=FOLDED) for i, name in enumerate("ab")
    )

    assert cause(before, after) is None


def test_under_another_xla_a_folded_constant_accuses_nobody_alone(side: WriteSide) -> None:
    programs = {"cpu truncated_normal_narrow float32": "aa"}
    before = side("a", NARROW, draw(), GLIBC[0], folded=FOLDED, programs=programs)
    after = side(
        *("b", NARROW, draw(1), GLIBC[1]), folded=FOLDED_OTHERWISE, programs=programs, jax="2.0"
    )

    found = cause(before, after)

    assert found is not None
    assert found.cause is Cause.UNKNOWN
    assert found.proof.endswith("its own doing, or the C library's (glibc: 2.36 -> 2.43)")


@pytest.mark.parametrize(
    ("case", "hosts", "is_told"),
    [
        (NARROW, GLIBC, True),
        (NARROW, (GLIBC[0], {}), False),
        (NARROW, (GLIBC[0], GLIBC[0]), False),
        (NARROW.replace("jit", "eager"), GLIBC, False),
        ("normal-float32-64x32-s0-cpu-jit", GLIBC, False),
    ],
)
def test_without_recorded_constants_the_hosts_tell_of_programs_with_bounds(
    side: WriteSide, case: str, hosts: tuple[dict[str, str], dict[str, str]], is_told: bool
) -> None:
    before, after = (side(name, case, draw(i), hosts[i]) for i, name in enumerate("ab"))

    found = cause(before, after)

    assert (found is not None) is is_told
    if found is not None:
        assert found.cause is Cause.LIBC
        assert found.proof.endswith("told by what was recorded, not the constants")


def test_other_compiler_flags_are_another_compiler(side: WriteSide) -> None:
    config = {"XLA_FLAGS": "--xla_cpu_max_isa=AVX"}

    before = side("a", NARROW, draw(), GLIBC[0], config=config)

    assert cause(before, side("b", NARROW, draw(1), GLIBC[1])) is None


# --- Two kernels, really -------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the kernels are those of x86")
def test_two_recordings_under_two_kernels_are_told_apart_and_proven(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cases = [ORTHOGONAL, ORTHOGONAL.replace("eager", "jit"), "uniform-float32-64x32-s0-cpu-jit"]
    folders = [tmp_path / name for name in ("Prescott", "Nehalem")]
    for folder in folders:
        command = [sys.executable, "-m", "conformance", "record", "--out", str(folder), *cases]
        variables = {**os.environ, "OPENBLAS_CORETYPE": folder.name}
        subprocess.run(command, check=True, env=variables, capture_output=True)  # noqa: S603

    main(["compare", *map(str, folders), "--json", "-"])

    pairs = {pair["name"]: pair for pair in json.loads(capsys.readouterr().out)["pairs"]}
    assert pairs[cases[2]]["cause"] is None
    for case in cases[:2]:
        assert pairs[case]["cause"] == "lapack"
        assert "same JAX, other OpenBLAS kernel: Katmai -> Nehalem" in pairs[case]["proof"]
        assert "returns both sides' bits, under the LAPACK of each" in pairs[case]["proof"]
