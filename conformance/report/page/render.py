"""A page as HTML: one file, complete without scripts, in which nothing is fetched from anywhere.

With scripts off, or forbidden by whoever serves the file, the verdict, the environment, the counts,
the failures and the tables are plain HTML. With them on, the rows of the page, embedded as packed
JSON, can be filtered and sorted. The page's own policy names the digests of its script and its
styles, so that nothing which came from data can run: Content Security Policy Level 3, 2.3.1.
"""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import json
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Any

import jinja2

from conformance.report.escape import printable
from conformance.report.page.model import N_FAILURES, Page, Rows

HERE = files(__package__)

TABLES, OURS = "vendor/dataTables.min.js", "templates/page.js"
SCRIPTS = (TABLES, OURS)
STYLES = ("vendor/dataTables.dataTables.min.css", "templates/page.css")

N_OPEN = 10
"""Failures that stand before the heatmap, a line each; the others open on a click."""

N_TABLE_LINES = 200
"""Lines of one table that somebody may still scroll through; the files beside the page hold all."""


def html(page: Page) -> str:
    """Return the page as one HTML document."""
    script = _text(_scripts(page))
    style = _text(STYLES)
    policy = (
        f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            page=page,
            policy=policy,
            # These two are files of this package and nothing of data: escaping would break them.
            script=script,
            style=style,
            packed=packed(page.rows) if page.rows else "",
            n_failures=N_FAILURES,
            n_open=N_OPEN,
            n_table_lines=N_TABLE_LINES,
        )
    )


def _scripts(page: Page) -> tuple[str, ...]:
    """Return the scripts that the page has a use for: of a table, or of buttons alone."""
    if page.rows is not None:
        return SCRIPTS
    return (OURS,) if any(failure.rerun for failure in page.failures) else ()


@functools.cache
def _environment() -> jinja2.Environment:
    loader = jinja2.FunctionLoader(lambda name: (HERE / "templates" / name).read_text("utf-8"))
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.filters["data_uri"] = _data_uri
    return environment


@functools.cache
def _text(names: tuple[str, ...]) -> str:
    """Return the files, one after the other; what would end their element is refused."""
    text = "\n".join((HERE / name).read_text("utf-8") for name in names)
    assert "</script" not in text
    assert "</style" not in text
    return text


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'" if text else "'none'"


def _data_uri(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def packed(rows: Rows) -> str:
    """Return the rows as base64 of gzip of JSON, by columns, each text in it once.

    A column is {"texts": [...], "at": [...]} of indices into its texts, or {"values": [...]}. The
    same rows give the same bytes.
    """
    document = {
        "columns": rows.columns,
        "filters": rows.filters,
        "command": rows.command,
        "data": [_column(values) for values in zip(*rows.values, strict=True)],
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _column(values: Sequence[Any]) -> dict[str, Any]:
    if not any(isinstance(value, str) for value in values):
        return {"values": values}
    texts = {text: at for at, text in enumerate(dict.fromkeys(_texts(values)))}
    return {"texts": list(texts), "at": [texts[text] for text in _texts(values)]}


def _texts(values: Iterable[Any]) -> Iterable[str]:
    return ("" if value is None else printable(str(value)) for value in values)
