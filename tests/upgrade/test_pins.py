"""What requirements and lock files pin."""

from __future__ import annotations

import pytest

from conformance.core.errors import SelectionError
from conformance.upgrade.pins import pinned

REQUIREMENTS = r"""
# jax==9.9
--index-url https://example.org/simple
jax[cuda12]==0.6.2 \
    --hash=sha256:aaaa \
    --hash=sha256:bbbb  # via flax
jaxlib==0.6.1 ; python_version >= "3.10"
jax_tqdm==0.1
./local/package
flax>=0.10
"""

LOCK = """
version = 1

[[package]]
name = "jax"
version = "0.6.2"
source = { registry = "https://example.org/simple" }

[[package]]
name = "mine"
source = { editable = "." }
"""

PROJECT = """
[project]
name = "mine"
dependencies = ["numpy", "JAX == 0.6.2"]

[dependency-groups]
dev = ["pytest==9.2.0", { include-group = "docs" }]
docs = []
"""

PIPFILE = """{"default": {"jax": {"extras": ["cuda12"], "version": "==0.6.2"},
"mine": {"path": "."}}}"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("requirements/base.txt", REQUIREMENTS),
        ("uv.lock", LOCK),
        ("poetry.lock", LOCK),
        ("pylock.gpu.toml", LOCK.replace("[[package]]", "[[packages]]")),
        ("pyproject.toml", PROJECT),
        ("sub/Pipfile.lock", PIPFILE),
    ],
)
def test_a_pinned_release_is_found(name: str, text: str) -> None:
    assert pinned(name, text, "jax") == ("0.6.2",)


def test_a_package_of_a_similar_name_is_another() -> None:
    assert pinned("r.txt", REQUIREMENTS, "jaxlib") == ("0.6.1",)
    assert pinned("r.txt", REQUIREMENTS, "Jax-Tqdm") == ("0.1",)


@pytest.mark.parametrize("line", ["jax", "jax>=0.6", "jax==0.6.*", "jax @ git+https://example.org"])
def test_what_allows_several_releases_pins_none(line: str) -> None:
    assert pinned("r.txt", line, "jax") == ()


def test_a_lock_of_several_releases_shows_all_the_oldest_first() -> None:
    text = LOCK + '[[package]]\nname = "jax"\nversion = "0.10.2"\n'

    assert pinned("uv.lock", text, "jax") == ("0.6.2", "0.10.2")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("uv.lock", "[[package"),
        ("uv.lock", "package = 3"),
        ("uv.lock", '[[package]]\nversion = "1"'),
        ("Pipfile.lock", "[]"),
        ("Pipfile.lock", "{"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_named(name: str, text: str) -> None:
    with pytest.raises(SelectionError, match=f"{name} cannot be read as what its name says"):
        pinned(name, text, "jax")
