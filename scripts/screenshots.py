"""Take the pictures of docs/page.md: a run in which three initializers are wrong, and a law.

    python scripts/screenshots.py    # into docs/images; needs the dependency group `browser`

The wrong initializers are those of `conformance/suite/faults`; a run makes the pages of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import io
import pkgutil
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conformance.cases.builtin import NAMESPACES
from conformance.cli import main as conformance
from conformance.suite.faults import FAULTS, Fault

if TYPE_CHECKING:
    from playwright.sync_api import Browser

IMAGES = Path(__file__).parents[1] / "docs" / "images"
PLANTED = ("variance_doubled", "another_key", "transposed")
RUN = ("--initializer", "he_*,lecun_*,glorot_*", "--shape", "64x32", "--tier", "quick")
LAW = ("--initializer", "lecun_normal", "--dtype", "bfloat16", "--tier", "quick")
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SCHEMES = ("light", "dark")
WIDTH = 1280
N_COLORS = 64
"""A page has few: so a picture takes a third of the bytes, and looks the same."""


def main(words: list[str] | None = None) -> int:
    """Make both pages and take each picture in light and in dark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=IMAGES, help="default: docs/images")
    out = parser.parse_args(words).out
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as reports:
        pages = {
            "law": page_of(Path(reports) / "law", ["law", *LAW]),
            "run": page_of(Path(reports) / "run", ["run", "--in-process", *RUN], PLANTED),
        }
        for name, path in pages.items():
            for scheme, data in pictures(path, SHOTS[name]):
                (out / f"{name}-{scheme}.png").write_bytes(data)
    return 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A picture: the page from the element that a selector names, so many pixels high."""

    first: str
    height: int


SHOTS = {
    "run": Shot(first="html:has(body[data-ready])", height=960),
    "law": Shot(first="html:has(figure)", height=560),
}


def page_of(reports: Path, words: list[str], planted: tuple[str, ...] = ()) -> Path:
    """Return the page that a command leaves, run under initializers that are wrong.

    Raises:
        SystemExit: the command passed though something was planted, or failed though nothing was.
    """
    for name in planted:
        plant(next(fault for fault in FAULTS if fault.name == name))
    code = conformance([*words, "--reports", str(reports)])
    if code != bool(planted):
        sys.exit(
            f"conformance {' '.join(words)} ended with {code}, planted: {planted or 'nothing'}"
        )
    return next(reports.glob("*/index.html"))


def plant(fault: Fault) -> None:
    """Replace the initializer that a fault is made of, wherever it is public, in this process."""
    for namespace in map(pkgutil.resolve_name, NAMESPACES):
        right = getattr(namespace, fault.base)
        setattr(namespace, fault.base, functools.partial(built_wrong, fault, right))


def built_wrong(fault: Fault, right: Any, *arguments: Any, **named: Any) -> Any:
    """Return the wrong initializer, built as the right one would be."""
    return fault.build(right(*arguments, **named))


def pictures(page: Path, shot: Shot) -> Iterator[tuple[str, bytes]]:
    """Yield each color scheme with the picture of the page in it."""
    from playwright import sync_api as playwright

    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        sys.exit(f"no Chromium is installed: one of {', '.join(CHROMIUM)} is needed")
    with playwright.sync_playwright() as driver:
        # Its own sandbox needs user namespaces, which containers rarely grant.
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        for scheme in SCHEMES:
            yield scheme, picture(browser, page, shot, scheme)
        browser.close()


def picture(browser: Browser, page: Path, shot: Shot, scheme: Any) -> bytes:
    """Return what a window shows of the page from an element on, as a PNG of few colors."""
    from PIL import Image

    size: Any = {"width": WIDTH, "height": shot.height}
    tab = browser.new_page(viewport=size, color_scheme=scheme)
    tab.goto(page.as_uri())
    tab.locator(shot.first).first.evaluate("element => element.scrollIntoView()")
    shown = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
    data = io.BytesIO()
    shown.quantize(N_COLORS, dither=Image.Dither.NONE).save(data, "PNG", optimize=True)
    return data.getvalue()


if __name__ == "__main__":
    sys.exit(main())
