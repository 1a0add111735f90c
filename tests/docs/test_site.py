"""docs/ reads the same on GitHub and as the site that `tox run -e docs` builds.

The build itself refuses links between pages that lead nowhere. These are the ways in which the two
differ: what the site leaves out, and what its Markdown takes otherwise than GitHub's.
"""

from __future__ import annotations

import importlib
import itertools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
SITE = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
IMAGE = re.compile(r'(?:src|srcset)="([^"]+)"')
ITEM = re.compile(r"( *)([-*]|\d+\.) ")


def leaves(nav: Any) -> Iterator[str]:
    """Yield the pages of a navigation, in its order."""
    for entry in nav:
        for value in entry.values():
            yield from [value] if isinstance(value, str) else leaves(value)


def prose(text: str) -> str:
    """Return the text without fenced blocks and code, which hold no links and no headings."""
    without_blocks = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]+`", "", without_blocks)


def anchors(path: Path) -> set[str]:
    """Return the anchors of the headings, as GitHub makes them."""
    text = re.sub(r"^ *```.*?^ *```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    shown = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title) for title in titles)
    return {re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in shown}


def links(path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the file and the anchor of each link that stays in the repository."""
    for target, anchor in LINK.findall(prose(path.read_text())):
        yield (path.parent / target).resolve() if target else path, anchor


def test_every_page_is_in_the_navigation_once() -> None:
    assert sorted(leaves(SITE["nav"])) == PAGES


@pytest.mark.parametrize("name", PAGES)
def test_a_link_of_a_page_stays_in_docs(name: str) -> None:
    """One to another folder would lead nowhere on the site."""
    outside = [str(path) for path, _ in links(DOCS / name) if DOCS not in path.parents]

    assert outside == []


def test_every_picture_is_shown_and_every_shown_one_is_there() -> None:
    shown = {name for page in PAGES for name in IMAGE.findall((DOCS / page).read_text())}

    assert shown == {f"images/{path.name}" for path in (DOCS / "images").glob("*")}


@pytest.mark.parametrize("path", [ROOT / "README.md", *(DOCS / name for name in PAGES)], ids=str)
def test_a_link_to_a_heading_finds_it(path: Path) -> None:
    dead = [
        f"{target.name}#{anchor}"
        for target, anchor in links(path)
        if anchor and anchor not in anchors(target)
    ]

    assert dead == []


@pytest.mark.parametrize("name", PAGES)
def test_a_list_is_one_on_the_site_too(name: str) -> None:
    """There it needs an empty line before it, and what is inside four blanks."""
    text = re.sub(r"^```.*?^```$", "", (DOCS / name).read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = text.splitlines()

    glued = [
        line
        for before, line in itertools.pairwise(lines)
        if ITEM.match(line) and before.strip() and not (ITEM.match(before) or before[:1] == " ")
    ]
    shallow = re.findall(r"^ {1,3}```.*$", text, re.MULTILINE)

    assert (glued, shallow) == ([], [])


def test_every_name_of_the_reference_is_there() -> None:
    names = re.findall(r"^::: ([\w.]+)$", (DOCS / "reference.md").read_text(), re.MULTILINE)

    assert len(names) > 10
    for name in names:
        assert _found(name), name


def _found(name: str) -> bool:
    module, _, attribute = name.rpartition(".")
    try:
        return hasattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError:
        owner, _, outer = module.rpartition(".")
        return hasattr(getattr(importlib.import_module(owner), outer), attribute)
