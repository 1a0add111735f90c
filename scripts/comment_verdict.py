"""Keep one comment of a pull request that says what its gate says.

    python3 scripts/comment_verdict.py verdict --pull-request 7 --run URL

The folder holds what `gate_pull_request.py` wrote. Standard library and `gh` only, so that the job
with the token installs nothing. Where the token may not write, as on a pull request from a fork,
that is a warning: the verdict is the gate's own check, its summary and its artifact.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

MARK = "<!-- initializer-conformance: gate -->"
"""Begins the comment that is ours."""

FORBIDDEN = "Resource not accessible"
"""What GitHub says to a token that may not do what it asks for."""

NOTHING = "Nothing to gate"
"""Begins a text that is no reason for a comment, where there is none yet."""

NO_VERDICT = "**No verdict.** The job that gates this pull request did not get that far.\n"


def main(words: Sequence[str] | None = None) -> int:
    """Write the comment, or bring the earlier one up to date."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pull-request", type=int, required=True, metavar="NUMBER")
    parser.add_argument("--run", required=True, metavar="URL", help="the run to point to")
    arguments = parser.parse_args(words)
    path = arguments.folder / "comment.md"
    text = path.read_text() if path.exists() else NO_VERDICT
    body = f"{MARK}\n{text}\n[This run]({arguments.run}) has the page and all files.\n"
    try:
        _keep(arguments.pull_request, body, is_news=not text.startswith(NOTHING))
    except subprocess.CalledProcessError as error:
        if FORBIDDEN not in error.stderr:
            print(error.stderr, file=sys.stderr)
            raise
        print("::warning::The verdict is not a comment: this token may not write any.")
    return 0


def _keep(pull_request: int, body: str, *, is_news: bool) -> None:
    """Change the comment that is there; make one only of news."""
    comments = "repos/{owner}/{repo}/issues"
    path = f"{comments}/{pull_request}/comments"
    pages = json.loads(_gh("api", path, "--paginate", "--slurp"))
    # Anybody may write our mark; only a bot's comment can be ours.
    ours = [
        each["id"]
        for each in itertools.chain.from_iterable(pages)
        if each["user"]["type"] == "Bot" and each["body"].startswith(MARK)
    ]
    if ours:
        _gh(
            "api",
            f"{comments}/comments/{ours[-1]}",
            "--method",
            "PATCH",
            "-F",
            "body=@-",
            text=body,
        )
    elif is_news:
        _gh("api", path, "--method", "POST", "-F", "body=@-", text=body)


def _gh(*words: str, text: str = "") -> str:
    command = ["gh", *words]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)  # noqa: S603  # our words
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
