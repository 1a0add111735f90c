"""Gate a pull request that raises JAX: which release it had, which it gets, and what that changes.

    python scripts/gate_pull_request.py --out verdict
    python scripts/gate_pull_request.py --out verdict --target mypkg.model:init_params --with .

Runs in the repository that is gated, at the merge of the pull request, whose first parent is what
it is merged into. Writes `code`, `comment.md`, and of the gate `table.md`, `verdict.json`,
`cases.csv` and a page. The exit code is the gate's.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import commands
from comment_verdict import NOTHING

from conformance.core.errors import ExitCode, SelectionError
from conformance.report.escape import markdown_cell
from conformance.upgrade.pins import pinned

PATTERNS = (
    *("*requirements*.txt", "*constraints*.txt", "*pyproject.toml", "*pylock*.toml"),
    *("*uv.lock", "*poetry.lock", "*pdm.lock", "*Pipfile.lock"),
)
"""Files that may pin a release; `*` stands for folders too."""

MAX_CHARACTERS = 60_000
"""GitHub refuses comments of more than 65,536 characters."""

NOT_THERE = (
    "the checkout does not hold it. Give actions/checkout `fetch-depth: 2`, or name a commit "
    "that is there with --base"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A JAX as a file pins it. jaxlib: "" where the file leaves it to JAX."""

    jax: str
    jaxlib: str = ""

    def __str__(self) -> str:
        is_own = self.jaxlib in ("", self.jax)
        return f"jax {self.jax}" if is_own else f"jax {self.jax} with jaxlib {self.jaxlib}"

    def side(self, path: Path) -> str:
        """Return the side of a gate: the release, or where jaxlib is another, a file of both."""
        if self.jaxlib in ("", self.jax):
            return self.jax
        path.write_text(f"jax=={self.jax}\njaxlib=={self.jaxlib}\n")
        return str(path)


Raise = tuple[Release, Release]
"""What was pinned, and what is now."""


def main(words: Sequence[str] | None = None) -> int:
    """Find what is raised, gate it, and write what a comment says."""
    arguments = parse(words)
    out: Path = arguments.out
    out.mkdir(parents=True)
    try:
        sides = sides_of(arguments)
    except SelectionError as error:
        code, text = int(error.exit_code), f"**Not gated.** {markdown_cell(str(error))}\n"
        print(f"conformance: {error}", file=sys.stderr)
    else:
        if sides is None:
            code, text = 0, f"{NOTHING}: this pull request changes no pinned JAX.\n"
        else:
            code, text = gate(sides, arguments)
    (out / "code").write_text(f"{code}\n")
    (out / "comment.md").write_text(text)
    return code


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Return what was asked; an empty word means what leaving it out does, as in a workflow."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="new folder for the verdict")
    parser.add_argument("--base", default="HEAD^1", help="commit that is merged into")
    parser.add_argument("--files", default="", help="files that pin JAX, in place of all known")
    parser.add_argument("--from", dest="before", default="", help="side, in place of what is found")
    parser.add_argument("--to", dest="after", default="", help="side, in place of what is found")
    parser.add_argument("--target", default="", help="as `conformance gate` takes it")
    parser.add_argument("--with", dest="extra", default="", help="requirements, one a line")
    parser.add_argument("--options", default="", help="more words for `conformance gate`")
    return parser.parse_args(words)


def sides_of(arguments: argparse.Namespace) -> tuple[str, str] | None:
    """Return both sides of the gate; None where no JAX is raised.

    Raises:
        SelectionError: only one side was given, or the files do not say one of each.
    """
    given = (arguments.before, arguments.after)
    if all(given):
        return given
    if any(given):
        raise SelectionError(f"`from` is {given[0]!r} and `to` is {given[1]!r}: give both, or none")
    found = find_raise(arguments.base, arguments.files.split())
    if found is None:
        return None
    before, after = (
        release.side(arguments.out / f"{name}.txt")
        for name, release in zip(("before", "after"), found, strict=True)
    )
    return before, after


def gate(sides: tuple[str, str], arguments: argparse.Namespace) -> tuple[int, str]:
    """Return the gate's code and what a comment says of it."""
    out: Path = arguments.out
    words = ["--from", sides[0], "--to", sides[1]]
    words += ["--target", arguments.target] if arguments.target else []
    for requirement in filter(None, map(str.strip, arguments.extra.splitlines())):
        words += ["--with", requirement]
    words += shlex.split(arguments.options)
    words += ["--json", str(out / "verdict.json"), "--csv", str(out / "cases.csv")]
    words += ["--markdown", str(out / "table.md"), "--reports", str(out)]
    ended = commands.run(["gate", *words], out / "gate.txt")
    table = out / "table.md"
    if not table.exists():
        why = ended.last_words or "it said nothing"
        table.write_text(f"## NO VERDICT: exit code {ended.code}\n\n{markdown_cell(why)}\n")
    return ended.code, _fitting(table.read_text())


def _fitting(text: str) -> str:
    note = "\nThe artifact holds the rest.\n"
    if len(text) <= MAX_CHARACTERS:
        return text
    return text[: text.rfind("\n", 0, MAX_CHARACTERS - len(note)) + 1] + note


# --- What is raised ------------------------------------------------------------------------------


def find_raise(base: str, files: Sequence[str]) -> Raise | None:
    """Return the JAX before and after, None where no file changes it.

    Raises:
        SelectionError: a file is not there, no file pins JAX, or they do not agree.
    """
    _git("rev-parse", "--verify", f"{base}^{{commit}}", fault=f"{base}: {NOT_THERE}")
    known = _git("ls-files").splitlines()
    if strangers := [name for name in files if name not in known]:
        raise SelectionError(f"`files` names {strangers[0]}, which is no file of this repository")
    chosen = files or [name for name in known if any(fnmatchcase(name, each) for each in PATTERNS)]
    pinning: dict[str, tuple[str, ...]] = {}
    raises: dict[Raise, list[str]] = {}
    for name in chosen:
        before, after = _before(base, name), Path(name).read_text(encoding="utf-8")
        if releases := pinned(name, after, "jax"):
            pinning[name] = releases
        if before is not None and (found := _raise_in(name, before, after)):
            raises.setdefault(found, []).append(name)
    if not pinning:
        raise SelectionError(
            f"no file pins jax (looked at: {', '.join(chosen) or 'none'}): name those that do with "
            "`files`, or give `from` and `to`"
        )
    if len(raises) > 1:
        said = "; ".join(f"{a} -> {b} in {', '.join(where)}" for (a, b), where in raises.items())
        raise SelectionError(f"files disagree: {said}. Give `from` and `to`, or fewer `files`")
    return next(iter(raises), None)


def _before(base: str, name: str) -> str | None:
    """Return the file as it was, or None where it was not."""
    return _git("show", f"{base}:{name}") if _git("ls-tree", base, "--", name) else None


def _raise_in(name: str, before: str, after: str) -> Raise | None:
    jax, jaxlib = (
        [set(pinned(name, text, package)) for text in (before, after)]
        for package in ("jax", "jaxlib")
    )
    if jax[0] == jax[1] and jaxlib[0] == jaxlib[1]:
        return None
    jaxes = _one_each(name, "jax", *jax)
    jaxlibs = _one_each(name, "jaxlib", *jaxlib) if all(jaxlib) else ("", "")
    old, new = (
        Release(jax=each, jaxlib=jaxlib) for each, jaxlib in zip(jaxes, jaxlibs, strict=True)
    )
    return old, new


def _one_each(name: str, package: str, before: set[str], after: set[str]) -> tuple[str, str]:
    """Return the release that went and the one that came, or the one that stayed, twice."""
    gone, new = (before - after or before), (after - before or after)
    if len(gone) == len(new) == 1:
        return gone.pop(), new.pop()
    was, now = (_listed(each) for each in (before, after))
    raise SelectionError(f"{name} pinned {package} {was} and now {now}: give `from` and `to`")


def _listed(releases: Iterable[str]) -> str:
    return ", ".join(sorted(releases)) or "nowhere"


def _git(*words: str, fault: str = "") -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)  # noqa: S603, S607  # our words
    if done.returncode:
        raise SelectionError(fault or f"git {shlex.join(words)}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(ExitCode(main()))
