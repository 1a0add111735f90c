"""Run every program and every table of docs/findings.md again, and put in what they print now.

A table stands under a comment with its command; a program's output in the `text` block after it.
Where the output depends on the machine, several such blocks follow one another. The first line of
each names the cause, and the block with this machine's cause must be what the program prints here.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import re
import shlex
import sys
from pathlib import Path

from conformance.cli.law import MarkdownTable
from conformance.cli.main import parse
from conformance.observe.process import force_host_devices
from conformance.run import options
from conformance.run.sweeping import verdicts_here

FINDINGS = Path(__file__).parent.parent / "docs" / "findings.md"

TABLE = re.compile(r"<!-- conformance (?P<command>.*) -->\n\n(?:\|.*\n)+")
PROGRAM = re.compile(
    r"```python\n(?P<source>.*?)```\n(?P<outputs>(?:\n```text\n.*?```\n)+)", re.DOTALL
)
OUTPUT = re.compile(r"```text\n(.*?)```\n", re.DOTALL)


def refreshed(text: str) -> str:
    """Return the document with all that is generated made again."""
    return PROGRAM.sub(_program, TABLE.sub(_table, text))


def _table(match: re.Match[str]) -> str:
    """Return what the command prints: without its page, whose plots take as long as the sweeps."""
    command = match["command"]
    given = options.given(parse(shlex.split(command)))
    table = MarkdownTable()
    with contextlib.redirect_stdout(io.StringIO()) as output:
        for step in verdicts_here(given, is_measuring=False):
            table.add(step.verdict.head, step.verdict.rows)
    return f"<!-- conformance {command} -->\n\n{output.getvalue()}"


def _program(match: re.Match[str]) -> str:
    source = match["source"]
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(compile(source, str(FINDINGS), "exec"), {"__name__": "__main__"})  # noqa: S102  # ours
    outputs = renewed(OUTPUT.findall(match["outputs"]), output.getvalue())
    return f"```python\n{source}```\n" + "".join(f"\n```text\n{text}```\n" for text in outputs)


def renewed(stated: list[str], printed: str) -> list[str]:
    """Return the stated outputs with that of the printed one's cause replaced, or added at the end.

    A single output names no cause: it is what the program prints on every machine.
    """
    if len(stated) == 1:
        return [printed]
    others = {_cause(text): text for text in stated}
    return list((others | {_cause(printed): printed}).values())


def _cause(output: str) -> str:
    return output.partition("\n")[0]


def check(text: str) -> int:
    """Print what would change; 1 if anything would."""
    lines = difflib.unified_diff(text.splitlines(), refreshed(text).splitlines(), lineterm="", n=0)
    changed = "\n".join(lines)
    print(changed or f"{FINDINGS.name} is up to date")
    return 1 if changed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say what would change")
    force_host_devices()  # the finding about shards cannot ask for them: JAX will have started
    if parser.parse_args().check:
        sys.exit(check(FINDINGS.read_text()))
    FINDINGS.write_text(refreshed(FINDINGS.read_text()))
