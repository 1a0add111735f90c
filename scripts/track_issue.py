"""Keep one issue that says what a verdict says: opened, brought up to date, closed when clean.

    python3 scripts/track_issue.py verdict --title "Drift in the nightly JAX" --run URL

The folder holds `code`, the exit code of what judged, `table.md` and, where somebody searched for
it, `first-bad-*.txt`. Standard library and `gh` only, so that the job with the token installs
nothing.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

MAX_CHARACTERS = 60_000
"""GitHub refuses issues of more than 65,536 characters."""

CLEAN, DRIFTED = "0", "1"


def main() -> int:
    """Make the issue say what the folder says."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--title", required=True)
    parser.add_argument("--run", required=True, metavar="URL", help="the run to point to")
    arguments = parser.parse_args()
    code = read_code(arguments.folder)
    number = open_issue(arguments.title)
    if code == CLEAN:
        if number:
            gh("issue", "close", number, "--comment", f"Clean again: {arguments.run}")
        return 0
    text = body(arguments.folder, code, arguments.run)
    if number:
        gh("issue", "edit", number, "--body-file", "-", text=text)
    else:
        gh("issue", "create", "--title", arguments.title, "--body-file", "-", text=text)
    return 0


def read_code(folder: Path) -> str:
    """Return the exit code in the folder, or "" if there is none."""
    path = folder / "code"
    return re.sub(r"\D", "", path.read_text()) if path.exists() else ""


def open_issue(title: str) -> str:
    """Return the number of the open issue of that title, or ""."""
    listed = gh("issue", "list", "--state", "open", "--limit", "200", "--json", "number,title")
    numbers = [issue["number"] for issue in json.loads(listed) if issue["title"] == title]
    return str(numbers[0]) if numbers else ""


def body(folder: Path, code: str, run: str) -> str:
    """Return the text of the issue, cut at a line if it is too long."""
    table = folder / "table.md"
    parts = [table.read_text()] if table.exists() else []
    if code != DRIFTED:
        parts.insert(0, f"There is no verdict (exit code {code or 'unknown'}).\n")
    parts += [
        f"\n{path.stem}:\n\n```text\n{path.read_text()}```\n"
        for path in sorted(folder.glob("first-bad-*.txt"))
    ]
    end = f"\nFrom {run}\n"
    text = "".join(parts)
    if len(text) > MAX_CHARACTERS:
        text = text[: text.rfind("\n", 0, MAX_CHARACTERS) + 1] + "\nThe artifacts hold the rest.\n"
    return text + end


def gh(*words: str, text: str = "") -> str:
    """Run GitHub's command line and return what it prints."""
    command = ["gh", *words]
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603  # our words
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
