"""A run as one HTML page that needs no other file, no script and no network."""

from __future__ import annotations

import html

from conformance.report.explained import roundings_explained
from conformance.report.run import Run
from conformance.report.tables import Table, tables

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem }
h1 { padding: .5rem .8rem; color: #fff; background: #2e7d32 }
h1.bad { background: #b71c1c }
table { border-collapse: collapse; margin-bottom: 1rem }
th, td { border-bottom: 1px solid #ccc; padding: .2rem .7rem }
th, td { text-align: left; vertical-align: top }
pre { background: #f5f5f5; padding: .6rem; overflow-x: auto }
"""


def page(run: Run) -> str:
    """Return the page: verdict, every table in full, every message of a failed case."""
    mood = "" if run.is_green else ' class="bad"'
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f"<title>{_text(run.verdict)}</title><style>{STYLE}</style></head><body>",
        f"<h1{mood}>{_text(run.verdict)}</h1>",
        f"<p>Run {_text(run.run_id)}, {run.elapsed_s:.1f} s.</p>",
        *(f"<p>{_text(line)}</p>" for line in roundings_explained(run)),
        *map(_table, tables(run)),
        *_messages(run),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _table(table: Table) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in table.head)
    lines = "\n".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in line) + "</tr>"
        for line in table.lines
    )
    return (
        f"<h2>{_text(table.title)}</h2>\n<table><thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{lines}\n</tbody></table>"
    )


def _messages(run: Run) -> list[str]:
    if not run.failed:
        return []
    texts = (f"{row.messages}\n  rerun: {row.rerun}" for row in run.failed)
    return ["<h2>What failed</h2>", *(f"<pre>{_text(text)}</pre>" for text in texts)]


def _text(text: str) -> str:
    return html.escape(text)
