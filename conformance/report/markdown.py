"""A run as Markdown that fits a CI step summary."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Iterable, Sequence

from conformance.report.aligned import markdown_line, markdown_table
from conformance.report.escape import markdown_cell, printable
from conformance.report.explained import written_notes
from conformance.report.headline import headline
from conformance.report.run import Run
from conformance.report.tables import Table, tables

MAX_BYTES = 2**18
"""A quarter of what the summary of a step may have before GitHub drops it as a whole: a step may
append those of several runs. docs.github.com, "Adding a job summary"."""

ISSUE_BYTES = 2**16 - 1
"""GitHub refuses the text of an issue or a comment of more characters; bytes are never fewer."""

N_BLOCKS = 200
"""Lines of one table that somebody may still scroll through; the files beside it hold all."""

N_MESSAGES = 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading, what must follow it, and blocks of which the last may be cut, never parted.

    n_unheld: blocks that `elsewhere` alone has.
    """

    title: str
    head: str
    blocks: tuple[str, ...]
    max_blocks: int
    elsewhere: str
    n_unheld: int = 0

    def text(self, max_bytes: int) -> str:
        """Return as many blocks as fit, with a line that says how many did not; "" if none fits."""
        start = f"\n## {self.title}\n\n{self.head}"
        left = max_bytes - size_bytes(start) - size_bytes(self._note(self._n_all))
        kept = []
        for block in self.blocks[: self.max_blocks]:
            left -= size_bytes(block)
            if left < 0:
                break
            kept.append(block)
        if not kept:
            return ""
        n_cut = self._n_all - len(kept)
        return start + "".join(kept) + (self._note(n_cut) if n_cut else "")

    @property
    def _n_all(self) -> int:
        return len(self.blocks) + self.n_unheld

    def _note(self, n_cut: int) -> str:
        return f"\n{n_cut} of {self._n_all} left out here; {self.elsewhere} has all.\n"


def markdown(run: Run, max_bytes: int = MAX_BYTES) -> str:
    """Return the summary, verdict first, in at most `max_bytes` of UTF-8; it says what was cut."""
    text = f"# {markdown_cell(run.verdict)}\n\nRun {run.run_id}, {run.elapsed_s:.1f} s.\n"
    sentence = f"\n**{markdown_cell(headline(run))}**\n" if run.n_failed else ""
    text += sentence + "".join(f"\n{markdown_cell(line)}\n" for line in written_notes(run))
    sections = [table_section(table) for table in tables(run)]
    sections += [_messages(run)] if run.n_failed else []
    sections += [_others(run)] if run.others or run.unjudged else []
    return fitted(text, sections, max_bytes, elsewhere="The files beside summary.md have")


def fitted(text: str, sections: Sequence[Section], max_bytes: int, *, elsewhere: str) -> str:
    """Return the text and as much of the sections as fits, with the titles of those that do not.

    elsewhere: what has all, and its verb.
    """
    note = "\nToo long to show here: {}. " + f"{elsewhere} all.\n"
    titles = ", ".join(section.title for section in sections)
    left = max_bytes - size_bytes(text) - size_bytes(note) - size_bytes(titles)
    dropped = []
    for section in sections:
        part = section.text(left)
        left -= size_bytes(part)
        text += part
        if not part:
            dropped.append(section.title)
    return text + (note.format(", ".join(dropped)) if dropped else "")


def size_bytes(text: str) -> int:
    """Return the length of the text in UTF-8 as it will be written."""
    return len(text.encode(errors="backslashreplace"))


def table_section(table: Table, max_blocks: int = N_BLOCKS) -> Section:
    """Return the table as a section that may be cut."""
    head, rule = markdown_table([*map(markdown_cell, table.head)], ())
    return Section(
        title=table.title,
        head=f"{head}\n{rule}\n",
        blocks=tuple(map(_line, table.lines)),
        max_blocks=max_blocks,
        elsewhere=table.elsewhere,
        n_unheld=table.n_unheld,
    )


def _messages(run: Run) -> Section:
    # <pre> instead of a fence: no message can end it early, and GitHub escapes nothing in it.
    texts = [f"{row.messages}\n  rerun: {row.rerun}" for row in run.failed]
    n_unheld = run.n_failed - len(texts)
    return _said("What failed", texts, elsewhere=run.elsewhere, n_unheld=n_unheld)


def _others(run: Run) -> Section:
    texts = [*(f"{test}\n{said}" for test, said in run.others.items()), *run.unjudged]
    return _said("Besides cases", texts, elsewhere="the output of pytest")


def _said(title: str, texts: Iterable[str], *, elsewhere: str, n_unheld: int = 0) -> Section:
    blocks = (f"<pre>{html.escape(printable(text), quote=False)}</pre>\n\n" for text in texts)
    return Section(
        title=title,
        head="",
        blocks=tuple(blocks),
        max_blocks=N_MESSAGES,
        elsewhere=elsewhere,
        n_unheld=n_unheld,
    )


def _line(cells: tuple[str, ...]) -> str:
    return f"{markdown_line(map(markdown_cell, cells))}\n"
