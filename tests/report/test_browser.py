"""The page in a real Chromium: filter, sort, click, copy, and what remains where scripts may not.

Needs the dependency group `browser` and an installed Chromium: `tox run -e browser`. Skipped where
either is missing, unless REQUIRE_BROWSER is set.
"""

from __future__ import annotations

import functools
import http.server
import importlib.util
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from conformance.report.page.model import Failure, Night, Page, Rows
from conformance.report.page.render import N_OPEN, html

from .test_page import EVIL, page

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from playwright.sync_api import Page as Tab

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

JENKINS = "sandbox; default-src 'none'; img-src 'self'; style-src 'self'"
"""What Jenkins sends with the artifacts of a build: jenkins.io, "Configuring CSP"."""

N_ROWS = 60

ROWS = Rows(
    columns=("case", "class", "ULP", "dtype", "rerun"),
    values=[
        (
            f"case {n:02}",
            "rounding" if n % 3 else "stream",
            n,
            "float32" if n % 2 else "bfloat16",
            f"conformance run {n}",
        )
        for n in range(N_ROWS)
    ],
    filters=("class", "dtype"),
    elsewhere="records.parquet",
    command="rerun",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    is_required = bool(os.environ.get("REQUIRE_BROWSER"))
    missing = [
        *([] if importlib.util.find_spec("playwright") else ["the dependency group `browser`"]),
        *([] if CHROMIUM else ["Chromium"]),
    ]
    if missing:
        (pytest.fail if is_required else pytest.skip)(f"not installed: {' and '.join(missing)}")
    from playwright import sync_api as playwright

    with playwright.sync_playwright() as driver:
        # Its own sandbox needs user namespaces, which containers rarely grant.
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def tab(browser: Browser, tmp_path: Path) -> Iterator[Tab]:
    """A tab that shows the page from disk; at its end nothing was refused or raised."""
    path = tmp_path / "index.html"
    path.write_text(html(page(rows=ROWS)), encoding="utf-8")
    context = browser.new_context()
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: complaints.append(request.url))
    opened.goto(path.as_uri())
    opened.wait_for_selector("body[data-ready]")
    yield opened
    context.close()
    assert [text for text in complaints if not text.startswith((path.as_uri(), "data:"))] == []


def shown(tab: Tab, column: int = 0) -> list[str]:
    """Return the texts of one column of the rows that are shown."""
    cells: list[str] = tab.locator(f"table.rows tbody td:nth-child({column + 1})").all_inner_texts()
    return cells


def test_rows_are_shown_in_the_order_of_the_report(tab: Tab) -> None:
    assert shown(tab) == [f"case {n:02}" for n in range(25)]


def test_a_filter_narrows_the_rows_and_is_kept_in_the_address(tab: Tab) -> None:
    tab.locator("select[name=class]").select_option("stream")
    tab.locator("select[name=dtype]").select_option("float32")

    assert shown(tab) == [f"case {n:02}" for n in range(N_ROWS) if n % 3 == 0 and n % 2]
    assert tab.url.endswith("#class=stream&dtype=float32")


def test_a_column_sorts_as_numbers_and_the_address_brings_it_back(tab: Tab) -> None:
    head = tab.locator("table.rows thead th", has_text="ULP")
    head.click()
    head.click()

    assert shown(tab, 2) == [str(n) for n in range(N_ROWS - 1, N_ROWS - 26, -1)]
    tab.reload()
    tab.wait_for_selector("body[data-ready]")
    assert shown(tab, 2)[0] == str(N_ROWS - 1)


def test_a_view_is_restored_from_the_address(tab: Tab) -> None:
    tab.goto(f"{tab.url}#dtype=bfloat16&search=%22case+1%22&order=case+desc")
    tab.wait_for_function("document.querySelector('table.rows td').textContent === 'case 18'")

    assert shown(tab) == ["case 18", "case 16", "case 14", "case 12", "case 10"]
    assert tab.locator("select[name=dtype]").input_value() == "bfloat16"


def test_show_all_undoes_everything(tab: Tab) -> None:
    tab.locator("select[name=class]").select_option("stream")
    tab.get_by_role("button", name="show all").click()

    assert len(shown(tab)) == 25
    assert tab.url.endswith("#")


def test_a_click_on_the_heatmap_filters_the_rows(tab: Tab) -> None:
    tab.get_by_role("button", name="normal, float32").click()

    assert set(shown(tab, 3)) == {"float32"}
    assert "dtype=float32" in tab.url


def test_a_command_is_copied_or_where_that_is_forbidden_selected(tab: Tab) -> None:
    tab.evaluate("() => { navigator.clipboard.writeText = async () => { throw new Error(); }; }")
    button = tab.locator("table.rows tbody tr").first.get_by_role("button")
    button.click()

    assert button.inner_text() == "selected"
    assert tab.evaluate("getSelection().toString()") == "conformance run 0"


def test_a_command_is_copied(tab: Tab) -> None:
    tab.evaluate(
        "() => { navigator.clipboard.writeText = async (text) => { window.copied = text; }; }"
    )
    button = tab.locator(".rerun button").first
    button.click()

    assert button.inner_text() == "copied"
    assert tab.evaluate("window.copied") == "run a"


def test_a_command_is_copied_where_there_are_no_rows(browser: Browser, tmp_path: Path) -> None:
    """As on the page of a review, of a law or of an audit."""
    path = tmp_path / "index.html"
    path.write_text(html(page(rows=None)), encoding="utf-8")
    tab = browser.new_page()
    tab.goto(path.as_uri())
    tab.wait_for_selector("body[data-ready]")
    tab.evaluate(
        "() => { navigator.clipboard.writeText = async (text) => { window.copied = text; }; }"
    )

    tab.locator(".rerun button").click()

    assert tab.evaluate("window.copied") == "run a"
    tab.close()


def test_the_page_never_scrolls_sideways_on_a_telephone(tab: Tab) -> None:
    tab.set_viewport_size({"width": 390, "height": 800})
    tab.locator("select[name=dtype]").evaluate(
        "(node, text) => node.add(new Option(text))", "x" * 99
    )

    assert tab.evaluate("document.documentElement.scrollWidth") == 390


def test_it_can_be_used_by_keyboard(tab: Tab) -> None:
    field = tab.get_by_role("button", name="normal, float32")
    field.focus()
    tab.keyboard.press("Enter")

    assert set(shown(tab, 3)) == {"float32"}


def many_failures() -> Page:
    nights = tuple(
        Night(run_id=f"run {n}", drift_class=name) for n, name in enumerate(("identical", "stream"))
    )
    failures = (
        Failure(name=f"case {n}", message=f"what {n}", drift_class="stream", nights=nights)
        for n in range(N_OPEN + 2)
    )
    return page(failures=tuple(failures), rows=ROWS)


@pytest.fixture
def long_tab(browser: Browser, tmp_path: Path) -> Iterator[Tab]:
    """A tab that shows a page of more failures than stand there at once."""
    path = tmp_path / "index.html"
    path.write_text(html(many_failures()), encoding="utf-8")
    opened = browser.new_page()
    opened.goto(path.as_uri())
    opened.wait_for_selector("body[data-ready]")
    yield opened
    opened.close()


def test_failures_beyond_a_few_open_on_a_key(long_tab: Tab) -> None:
    others = long_tab.locator("details.others > summary")
    last = long_tab.locator("summary code").last
    assert others.inner_text() == "2 others"
    assert not last.is_visible()

    others.focus()
    long_tab.keyboard.press("Enter")

    assert last.is_visible()


def test_on_paper_each_failure_is_whole(long_tab: Tab) -> None:
    last = long_tab.locator("pre").last
    assert not last.is_visible()

    long_tab.emulate_media(media="print")

    assert last.is_visible()
    assert not long_tab.locator("#rows").is_visible()


def test_a_history_is_drawn_in_the_colors_of_its_classes(long_tab: Tab) -> None:
    colors = (
        long_tab.locator(".nights")
        .first.locator("i")
        .evaluate_all("marks => marks.map(mark => getComputedStyle(mark).backgroundColor)")
    )
    badge = long_tab.locator(".badge.c-stream").first
    assert colors[1] == badge.evaluate("badge => getComputedStyle(badge).backgroundColor")
    assert colors[0] != colors[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_buttons_that_lead_nowhere_are_legible(
    browser: Browser, tmp_path: Path, scheme: Any
) -> None:
    """Those of the first page were black in the dark; axe asks nothing of what is disabled."""
    path = tmp_path / "index.html"
    path.write_text(html(page(rows=ROWS)), encoding="utf-8")
    tab = browser.new_page(color_scheme=scheme)
    tab.goto(path.as_uri())
    tab.wait_for_selector("body[data-ready]")
    color = "element => getComputedStyle(element).color"
    disabled = tab.locator(".dt-paging-button.disabled").first.evaluate(color)
    quiet = tab.locator(".quiet").first.evaluate(color)
    tab.close()

    assert disabled == quiet


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_issue(browser: Browser, tmp_path: Path, scheme: Any) -> None:
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

    path = tmp_path / "index.html"
    path.write_text(html(many_failures()), encoding="utf-8")
    # Axe is injected as a script, which the page's own policy forbids.
    context = browser.new_context(color_scheme=scheme, bypass_csp=True)
    tab = context.new_page()
    tab.goto(path.as_uri())
    tab.wait_for_selector("body[data-ready]")
    found = Axe().run(tab).response["violations"]
    context.close()

    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in serious] == []


def test_an_initializer_named_as_a_script_is_text(browser: Browser, tmp_path: Path) -> None:
    rows = Rows(
        columns=("case", "rerun"), values=[(EVIL, EVIL)], filters=("case",), command="rerun"
    )
    path = tmp_path / "index.html"
    path.write_text(html(page(rows=rows)), encoding="utf-8")
    tab = browser.new_page()
    tab.add_init_script("window.alert = () => { window.pwned = true; }")
    tab.goto(path.as_uri())
    tab.wait_for_selector("body[data-ready]")

    assert '<script>alert("x")</script>' in shown(tab)[0]
    assert tab.evaluate("window.pwned") is None
    tab.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder as Jenkins does artifacts."""

    def end_headers(self) -> None:
        """Add the policy."""
        self.send_header("Content-Security-Policy", JENKINS)
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_under_jenkins_policy_it_is_complete_in_plain_html(
    browser: Browser, tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text(html(page(rows=ROWS)), encoding="utf-8")
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tab = browser.new_page()
        tab.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        text = tab.locator("body").inner_text()
        tab.close()
        server.shutdown()

    for part in ("FAILED: 1 of 2 cases", "another stream", "0.11.2", "run a", "rounding; 1 of 2"):
        assert part in text
    assert f"The table of {N_ROWS} rows needs scripts" in text
