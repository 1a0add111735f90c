"""Another program is told from the same one, and by whom it was changed."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import jax
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import InitializerSpec
from conformance.cli import main
from conformance.core.errors import InitializerUnavailable, PackageBroken
from conformance.observe import lowering
from conformance.observe.lowering import PLATFORMS, fingerprints
from conformance.store.accepted import Accepted, changes, save

pytest_plugins = ["pytester"]

UNIFORM = load_catalogue().lookup("uniform")


def with_build(initializer: Any) -> InitializerSpec:
    return dataclasses.replace(UNIFORM, build=lambda: initializer)


def doubled(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return what `uniform` does, in one operation more."""
    return 2 * jax.nn.initializers.uniform()(key, shape, dtype)


def test_one_initializer_has_one_fingerprint() -> None:
    assert fingerprints(UNIFORM) == fingerprints(UNIFORM)


def test_the_same_program_from_another_place_has_the_same_fingerprint() -> None:
    """Locations are no part of it: an editor's newline must not look like a change of JAX."""

    def elsewhere(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        return jax.nn.initializers.uniform()(key, shape, dtype)

    assert fingerprints(with_build(elsewhere)) == fingerprints(UNIFORM)


def test_one_operation_more_is_another_program_on_every_platform() -> None:
    found = changes(fingerprints(UNIFORM), fingerprints(with_build(doubled)))

    changed = {(change.key, platform) for change in found for platform in change.fields}
    assert changed == {
        (f"uniform {dtype}", platform) for dtype in lowering.DTYPES for platform in PLATFORMS
    }


def test_what_cannot_be_lowered_is_on_record_too() -> None:
    found = fingerprints(load_catalogue().lookup("orthogonal"))

    assert set(found["orthogonal bfloat16"].values()) == {"raises TypeError"}
    assert len(set(found["orthogonal float32"].values())) == len(PLATFORMS)


@pytest.fixture
def only_uniform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Let the command see one initializer, and a golden folder of its own."""
    monkeypatch.setattr("conformance.cli.lowering.builtin_specs", lambda: [UNIFORM])
    return tmp_path


def test_accepting_needs_a_reason(only_uniform: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["lowering", "--golden", str(only_uniform), "--accept"])

    assert code == 4
    assert "--accept needs --reason '...'" in capsys.readouterr().err
    assert list(only_uniform.iterdir()) == []


def test_what_was_accepted_is_unchanged(
    only_uniform: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["lowering", "--golden", str(only_uniform), "--accept", "--reason", "first"])

    code = main(["lowering", "--golden", str(only_uniform)])

    assert code == 0
    assert "0 of 3 pairs of an initializer and a dtype" in capsys.readouterr().out


@pytest.mark.parametrize(("accepted_under", "code"), [(lowering.versions(), 1), ("jax 9", 0)])
def test_another_program_fails_under_the_accepted_version_only(
    only_uniform: Path, accepted_under: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    old = fingerprints(with_build(doubled))
    accepted = Accepted(versions=accepted_under, reason="old", lines=old)
    save(only_uniform / "lowering.json", accepted)

    assert main(["lowering", "--golden", str(only_uniform)]) == code
    assert "3 of 3 pairs of an initializer and a dtype" in capsys.readouterr().out


def test_a_run_tells_in_one_line_what_another_jax_lowers_otherwise(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    keys = [f"uniform_1 {dtype}" for dtype in lowering.DTYPES]
    lines = {key: dict.fromkeys(PLATFORMS, "ff") for key in keys}
    save(tmp_path / "lowering.json", Accepted(versions="jax 0.1", reason="old", lines=lines))
    test = "conformance.suite.test_lowering::test_lowering[uniform_1]"

    result = pytester.runpytest_subprocess("--pyargs", test, "--golden", str(tmp_path), timeout=600)

    result.assert_outcomes(xfailed=1)
    result.stdout.fnmatch_lines(
        [
            "lowering: other programs than the accepted ones in 3 pairs of an initializer and a "
            "dtype (uniform_1): `conformance lowering` names them"
        ]
    )


def test_a_package_that_cannot_be_imported_is_no_other_program() -> None:
    def build() -> Any:
        raise PackageBroken("flax is installed and cannot be imported")

    spec = dataclasses.replace(load_catalogue().lookup("zeros"), build=build)

    with pytest.raises(PackageBroken, match="flax is installed"):
        fingerprints(spec)


def test_an_initializer_that_is_not_installed_has_no_program_and_is_no_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without Flax `conformance lowering` told of 12 other programs, and how to accept them."""
    for name in {"flax", *(each for each in sys.modules if each.partition(".")[0] == "flax")}:
        monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(InitializerUnavailable, match=r"flax\.linen\.initializers is not here"):
        fingerprints(load_catalogue().lookup("zeros_init_linen"))
