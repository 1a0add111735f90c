"""Another program is told from the same one, and by whom it was changed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import pytest

from conformance import lowering
from conformance.builtin import load_catalogue
from conformance.catalogue import InitializerSpec
from conformance.cli import main
from conformance.golden import GoldenError
from conformance.lowering import PLATFORMS, Lowerings, changes, explain, fingerprints, load, save

UNIFORM = load_catalogue().lookup("uniform")
PROGRAMS = {"cpu": "aa", "cuda": "bb"}
ACCEPTED = Lowerings(versions="jax 9", reason="because", fingerprints={"normal float32": PROGRAMS})


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

    changed = {(change.key, platform) for change in found for platform in change.platforms}
    assert changed == {
        (f"uniform {dtype}", platform) for dtype in lowering.DTYPES for platform in PLATFORMS
    }


def test_what_cannot_be_lowered_is_on_record_too() -> None:
    found = fingerprints(load_catalogue().lookup("orthogonal"))

    assert set(found["orthogonal bfloat16"].values()) == {"raises TypeError"}
    assert len(set(found["orthogonal float32"].values())) == len(PLATFORMS)


def test_the_platforms_with_one_change_are_named_together() -> None:
    (change,) = changes(ACCEPTED.fingerprints, {"normal float32": {"cpu": "aa", "cuda": "cc"}})

    assert str(change) == "normal float32 on cuda: bb -> cc"


def test_what_was_never_accepted_is_a_change() -> None:
    (change,) = changes(ACCEPTED.fingerprints, {"uniform float32": PROGRAMS})

    assert "none accepted, see `conformance lowering --accept" in str(change)


def test_a_change_under_the_same_version_says_how_to_accept_it() -> None:
    found = changes(ACCEPTED.fingerprints, {"normal float32": {"cpu": "ff", "cuda": "bb"}})

    text = explain(ACCEPTED, found, "jax 9")

    assert "under jax 9, these are lowered to other programs than were accepted" in text
    assert "normal float32 on cpu: aa -> ff" in text
    assert "`conformance lowering --accept --reason '...'`" in text


def test_a_change_under_another_version_says_that_jax_changed() -> None:
    found = changes(ACCEPTED.fingerprints, {"normal float32": {"cpu": "ff", "cuda": "bb"}})

    text = explain(ACCEPTED, found, "jax 10")

    assert text.startswith("jax 10 lowers other programs than jax 9, whose are accepted:")
    assert "--accept" not in text


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save(tmp_path / "golden" / "lowering.json", ACCEPTED)

    assert load(tmp_path / "golden" / "lowering.json") == ACCEPTED


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not exist: accept fingerprints with"),
        ("{", "cannot be read .JSONDecodeError.*: restore it from version control"),
        ('{"schema": 1}', "cannot be read .KeyError: 'versions'"),
        ('{"schema": 99}', "has schema 99, and this version reads up to"),
    ],
)
def test_broken_fingerprints_are_refused_by_name(
    tmp_path: Path, text: str | None, message: str
) -> None:
    path = tmp_path / "lowering.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises(GoldenError, match=message) as caught:
        load(path)

    assert str(path) in str(caught.value)


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
    assert "0 of 3 initializers and dtypes" in capsys.readouterr().out


@pytest.mark.parametrize(("accepted_under", "code"), [(lowering.versions(), 1), ("jax 9", 0)])
def test_another_program_fails_under_the_accepted_version_only(
    only_uniform: Path, accepted_under: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    old = fingerprints(with_build(doubled))
    accepted = Lowerings(versions=accepted_under, reason="old", fingerprints=old)
    save(only_uniform / "lowering.json", accepted)

    assert main(["lowering", "--golden", str(only_uniform)]) == code
    assert "3 of 3 initializers and dtypes are lowered to other programs" in capsys.readouterr().out
