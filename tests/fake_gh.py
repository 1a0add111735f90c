#!/usr/bin/env python3
"""A gh for tests: issues and comments of one repository, in the file that FAKE_GH names.

Every call is kept too. What GitHub refuses is refused: a long body, a label that does not exist.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

MAX_CHARACTERS = 65_536
BOT = {"type": "Bot", "login": "github-actions[bot]"}


def main(words: list[str]) -> None:
    """Do what gh would, for the calls that are made."""
    path = Path(os.environ["FAKE_GH"])
    state = json.loads(path.read_text()) if path.exists() else new_state()
    state["calls"].append(words)
    text = sys.stdin.read() if "-" in words or "body=@-" in words else ""
    if len(text) > MAX_CHARACTERS:
        sys.exit(f"GraphQL: Body is too long (maximum is {MAX_CHARACTERS} characters)")
    if os.environ.get("FAKE_GH_READ_ONLY") and writes(words):
        sys.exit("HTTP 403: Resource not accessible by integration")
    command = words[0] if words[0] == "api" else " ".join(words[:2])
    COMMANDS[command](state, words, text)
    path.write_text(json.dumps(state))


def new_state() -> dict[str, Any]:
    """Return a repository without issues."""
    return {"calls": [], "issues": [], "labels": [], "comments": []}


def writes(words: list[str]) -> bool:
    """Return whether the call changes anything."""
    return words[:2] != ["issue", "list"] and (words[0] != "api" or "--method" in words)


def option(words: list[str], name: str) -> str:
    """Return the value of an option."""
    return words[words.index(name) + 1]


def issue(state: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """Return the issue whose number is the third word."""
    found: dict[str, Any]
    (found,) = (each for each in state["issues"] if str(each["number"]) == words[2])
    return found


def list_issues(state: dict[str, Any], words: list[str], _: str) -> None:
    """Print the open issues of a label."""
    label = option(words, "--label")
    fields = option(words, "--json").split(",")
    chosen = [each for each in state["issues"] if each["open"] and label in each["labels"]]
    sys.stdout.write(json.dumps([{name: each[name] for name in fields} for each in chosen]))


def create_issue(state: dict[str, Any], words: list[str], text: str) -> None:
    """Open an issue."""
    label = option(words, "--label")
    if label not in state["labels"]:
        sys.exit(f"could not add label: '{label}' not found")
    number = len(state["issues"]) + 1
    new = {"number": number, "title": option(words, "--title"), "body": text, "open": True}
    state["issues"].append({**new, "labels": [label], "comments": []})


def edit_issue(state: dict[str, Any], words: list[str], text: str) -> None:
    """Replace the body."""
    issue(state, words)["body"] = text


def comment_issue(state: dict[str, Any], words: list[str], text: str) -> None:
    """Add a comment."""
    issue(state, words)["comments"].append(text)


def close_issue(state: dict[str, Any], words: list[str], _: str) -> None:
    """Close, with a comment."""
    issue(state, words)["comments"].append(option(words, "--comment"))
    issue(state, words)["open"] = False


def create_label(state: dict[str, Any], words: list[str], _: str) -> None:
    """Make a label, if it is not there."""
    state["labels"] = sorted({*state["labels"], words[2]})


def api(state: dict[str, Any], words: list[str], text: str) -> None:
    """List, make and change the comments of a pull request."""
    if "--method" not in words:
        sys.stdout.write(json.dumps([state["comments"], []]))
    elif option(words, "--method") == "POST":
        number = len(state["comments"]) + 1
        state["comments"].append({"id": number, "user": BOT, "body": text})
    else:
        number = int(words[1].rpartition("/")[2])
        (found,) = (each for each in state["comments"] if each["id"] == number)
        found["body"] = text


COMMANDS = {
    "issue list": list_issues,
    "issue create": create_issue,
    "issue edit": edit_issue,
    "issue comment": comment_issue,
    "issue close": close_issue,
    "label create": create_label,
    "api": api,
}

if __name__ == "__main__":
    main(sys.argv[1:])
