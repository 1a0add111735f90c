"""Keep one issue for each drift, and one for what is missing: opened, kept up to date, closed.

    python3 scripts/track_issues.py nightly verdict --run URL

Each folder holds `findings.json` and, where somebody searched for it, `first-bad-<lane>.txt`.

- A drift is known by a key in its issue's body. While it lasts its issue says what there is now,
  with a line for each night; a comment is written when what drifts has changed.
- A night that could not judge all adds a line and leaves the rest of the body as it was: it can
  neither close an issue nor take the place of what the last whole night said.
- A night that judged all of a lane, and found the drift no more, closes its issue. If it comes
  back it is another drift, and has an issue of its own.

Standard library and `gh` only, so that the job with the token installs nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import html
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import findings as handed_on
from findings import EVERY_LANE, Drift, Findings

LABEL = "conformance"
"""Of every issue that is kept here: nobody without triage rights can give it to one of theirs."""

MAX_CHARACTERS = 60_000
"""GitHub refuses issues of more than 65,536 characters."""

MAX_FIRST_BAD = 5_000
MAX_NIGHTS = 60
"""Lines of nights that a body keeps; how many there were is said."""

INCOMPLETE = "incomplete"

NIGHTS = "\n\n### Nights\n\n"
HEAD = "| night | what | first bad |\n| --- | --- | --- |\n"
STATE = re.compile(r"<!-- conformance (\{.*?\}) -->")
NOT_WHOLE = "not seen, but not all was judged"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """When, and the run to point to."""

    date: str
    run: str

    def line(self, what: str, first_bad: str = "") -> str:
        """Return the line of the night in the table of an issue."""
        return f"| {self.date} | [{_cell(what)}]({self.run}) | {_cell(first_bad)} |\n"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """An open issue: what its body says above the nights, the nights, and what it is about.

    n_nights: how many there were, whether or not their lines are kept.
    """

    number: str
    key: str
    lane: str
    top: str
    nights: tuple[str, ...]
    parts: Mapping[str, str]
    since: str
    n_nights: int

    @classmethod
    def read(cls, number: str, body: str) -> Issue | None:
        """Return the issue, or None if it is not one that is kept here."""
        body = body.replace("\r\n", "\n")  # as the web form saves them
        found = STATE.findall(body)
        if not found:
            return None
        top, _, rest = body.rpartition(NIGHTS)
        nights = [line for line in rest.splitlines(keepends=True) if line.startswith("| 2")]
        return cls(number=number, top=top, nights=tuple(nights), **json.loads(found[-1]))

    def body(self) -> str:
        """Return the whole text, its upper part cut at a line if it is too long."""
        kept = self.nights[-MAX_NIGHTS:]
        cut = self.n_nights - len(kept)
        earlier = f"\n{cut} earlier of {self.n_nights} are not shown.\n" if cut else ""
        state = {name: getattr(self, name) for name in ("key", "lane", "parts", "since")}
        # An HTML comment must not end early: no text may hold its end.
        text = json.dumps({**state, "n_nights": self.n_nights}).replace(">", "\\u003e")
        rest = f"{NIGHTS}{HEAD}{''.join(kept)}{earlier}\n<!-- conformance {text} -->\n"
        return _cut(self.top, MAX_CHARACTERS - len(rest)) + rest

    def after(self, line: str, **changes: Any) -> Issue:
        """Return the issue a night later."""
        n_nights = self.n_nights + 1
        return dataclasses.replace(self, nights=(*self.nights, line), n_nights=n_nights, **changes)


def _cut(text: str, n_characters: int) -> str:
    note = "\nThe run's artifacts hold the rest.\n"
    if len(text) <= n_characters:
        return text
    return text[: text.rfind("\n", 0, n_characters - len(note)) + 1] + note


def main(words: Sequence[str] | None = None) -> int:
    """Make the issues say what the folders say."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("subject", choices=("nightly", "upgrade"))
    parser.add_argument("folders", nargs="+", type=Path, help="one for each verdict")
    parser.add_argument("--run", required=True, metavar="URL", help="the run to point to")
    today = datetime.datetime.now(datetime.UTC).date()
    parser.add_argument("--date", default=str(today), help="of the night (default: today)")
    arguments = parser.parse_args(words)
    found = gathered(arguments.folders)
    first_bad = {
        path.stem.removeprefix("first-bad-"): path.read_text()
        for folder in arguments.folders
        for path in sorted(folder.glob("first-bad-*.txt"))
    }
    night = Night(date=arguments.date, run=arguments.run)
    Tracker(arguments.subject, found, first_bad, night).run()
    return 0


def gathered(folders: Iterable[Path]) -> Findings:
    """Return the findings of all folders; where one holds none, nothing of any lane is certain."""
    drifts: list[Drift] = []
    missing: dict[str, tuple[str, ...]] = {}
    for folder in folders:
        found = handed_on.read(folder)
        if found is None:
            line = f"The job that makes `{folder.name}` came to no verdict: see the run."
            found = Findings(missing={EVERY_LANE: (line,)})
        drifts += found.drifts
        for lane, lines in found.missing.items():
            missing[lane] = (*missing.get(lane, ()), *lines)
    return Findings(drifts=tuple(drifts), missing=missing)


class Tracker:
    """Holds the open issues to what the night found."""

    def __init__(
        self, subject: str, found: Findings, first_bad: Mapping[str, str], night: Night
    ) -> None:
        self._subject = subject
        self._found = found
        self._first_bad = first_bad
        self._night = night

    def run(self) -> None:
        """Open, bring up to date and close."""
        issues = open_issues(self._subject)
        for drift in self._found.drifts:
            self._seen(drift, issues.pop(drift.key, None))
        incomplete = issues.pop(f"{self._subject}/{INCOMPLETE}", None)
        for issue in issues.values():
            self._not_seen(issue)
        self._missing(incomplete)

    def _seen(self, drift: Drift, issue: Issue | None) -> None:
        line = self._night.line(drift.headline, self._first_bad.get(drift.lane, ""))
        top = self._top(drift)
        if issue is None:
            self._open(drift.title, drift.key, drift.lane, top, line, drift.parts)
            return
        # What was not judged tonight may drift as before.
        kept = issue.parts if self._is_missing(drift.lane) else {}
        parts = {**kept, **drift.parts}
        edit(issue.after(line, top=top, parts=parts))
        if news := changes(issue.parts, parts):
            text = f"Changed on {self._night.date}: {drift.headline} ({self._night.run}).\n\n{news}"
            gh("issue", "comment", issue.number, "--body-file", "-", text=text)

    def _not_seen(self, issue: Issue) -> None:
        if self._is_missing(issue.lane):
            edit(issue.after(self._night.line(NOT_WHOLE)))
            return
        self._close(issue, "gone", "Gone: all was judged, and this was not seen again")

    def _missing(self, issue: Issue | None) -> None:
        missing = self._found.missing
        if not missing:
            if issue is not None:
                self._close(issue, "whole again", "Whole again: all was judged")
            return
        lines = [line for lines in missing.values() for line in lines]
        top = f"**Not all was judged.**\n\n{_listed(lines)}\n\nFrom {self._night.run}"
        more = f" (and {len(lines) - 1} more)" if lines[1:] else ""
        line = self._night.line(f"{lines[0]}{more}")
        if issue is not None:
            edit(issue.after(line, top=top))
            return
        title = f"{self._subject.capitalize()} conformance: not all was judged"
        self._open(title, f"{self._subject}/{INCOMPLETE}", EVERY_LANE, top, line, {})

    def _is_missing(self, lane: str) -> bool:
        return lane in self._found.missing or EVERY_LANE in self._found.missing

    def _top(self, drift: Drift) -> str:
        """Return what drifted, then what is missing, then since when, and all the rest."""
        missing = self._found.missing
        lines = [*missing.get(drift.lane, ()), *missing.get(EVERY_LANE, ())]
        parts = [f"**{drift.headline}**"]
        parts += [f"Besides, not all was judged:\n\n{_listed(lines)}"] if lines else []
        if text := self._first_bad.get(drift.lane, "").strip():
            shown = html.escape(_cut(text, MAX_FIRST_BAD), quote=False)
            parts.append(f"First bad version ({drift.lane}):\n\n<pre>\n{shown}\n</pre>")
        parts += [drift.detail.strip(), f"From {self._night.run}"]
        return "\n\n".join(parts)

    def _open(
        self, title: str, key: str, lane: str, top: str, line: str, parts: Mapping[str, str]
    ) -> None:
        issue = Issue(
            number="",
            key=key,
            lane=lane,
            top=top,
            nights=(line,),
            parts=parts,
            since=self._night.date,
            n_nights=1,
        )
        told = ("--description", "Kept by the conformance runs", "--color", "1d76db")
        gh("label", "create", LABEL, "--force", *told)
        words = ("--title", title, "--label", LABEL, "--body-file", "-")
        gh("issue", "create", *words, text=issue.body())

    def _close(self, issue: Issue, what: str, sentence: str) -> None:
        edit(issue.after(self._night.line(what)))
        runs = "1 run" if issue.n_nights == 1 else f"{issue.n_nights} runs"
        lasted = f"It was open since {issue.since}, over {runs}."
        text = f"{sentence}: {self._night.run}. {lasted}"
        gh("issue", "close", issue.number, "--comment", text)


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Return what is new, other or gone, a line each; "" if nothing is."""
    lines = []
    for name in dict.fromkeys([*before, *now]):
        old, new = before.get(name), now.get(name)
        if old is None:
            lines.append(f"- now also {name}: {new}")
        elif new is None:
            lines.append(f"- no longer {name}: {old}")
        elif old != new:
            lines.append(f"- {name}: {new} (was: {old})")
    return _cut("\n".join(lines), MAX_CHARACTERS)


def _listed(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _cell(text: str) -> str:
    """Return the first line, as text that fits a cell of a table."""
    line = next(iter(text.strip().splitlines()), "")[:200]
    return re.sub(r"([\\`*\[\]|<>])", r"\\\1", line)


# --- GitHub --------------------------------------------------------------------------------------


def open_issues(subject: str) -> dict[str, Issue]:
    """Return the open issues of a subject that are kept here, by key; of several the newest."""
    words = ("--state", "open", "--label", LABEL, "--limit", "500", "--json", "number,body")
    listed = json.loads(gh("issue", "list", *words))
    issues = [Issue.read(str(each["number"]), each["body"]) for each in listed]
    kept = [issue for issue in issues if issue and issue.key.startswith(f"{subject}/")]
    return {issue.key: issue for issue in sorted(kept, key=lambda each: int(each.number))}


def edit(issue: Issue) -> None:
    """Give the issue its body."""
    gh("issue", "edit", issue.number, "--body-file", "-", text=issue.body())


def gh(*words: str, text: str = "") -> str:
    """Run GitHub's command line and return what it prints."""
    command = ["gh", *words]
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603  # our words
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
