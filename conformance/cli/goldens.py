"""`conformance goldens`: look at golden sets, and change them: stage, review, accept, prune."""

from __future__ import annotations

import argparse
import functools
import glob
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.cases.selection import Selection
from conformance.cli.arguments.goldens import SCOPE
from conformance.cli.output import tell, write_all, write_page
from conformance.cli.progress import Progress
from conformance.cli.record import record_supervised, say_failed
from conformance.cli.reviewed import (
    entry_lines,
    kinds_of,
    review_json,
    review_page,
    review_text,
)
from conformance.core.errors import ExitCode, SelectionError
from conformance.core.files import recover
from conformance.core.ids import Case, Tier
from conformance.core.paths import OVERLAY_NAME, PENDING, golden_folder, golden_option, named
from conformance.core.records import BASE, Entry
from conformance.core.settings import require_usual_compiler
from conformance.core.words import counted
from conformance.curate.accept import accept, accept_recording, prune, reject
from conformance.curate.layers import (
    Apart,
    Here,
    asked_dtypes,
    asked_layers,
    record_and_stage_layers,
)
from conformance.curate.review import Review, pending, review
from conformance.curate.stage import (
    Recorder,
    golden_cases,
    overlay_of,
    record_and_stage,
    stage,
)
from conformance.observe import environment
from conformance.observe.record import record
from conformance.run import options
from conformance.run.interruption import telling_what_is_kept
from conformance.store.read import Store, open_store
from conformance.store.stack import Stack, open_stack
from conformance.store.textconv import textconv


def run(arguments: argparse.Namespace) -> int:
    """Run the subcommand that was chosen."""
    match arguments.goldens_command:
        case "verify":
            folders = [golden_folder(arguments.golden), *_overlays(arguments)]
            return max(_verify(folder, judges=arguments.judge) for folder in folders)
        case "textconv":
            sys.stdout.write(textconv(arguments.file))
            return ExitCode.OK
        case "install-textconv":
            return _install_textconv()
        case name:
            from conformance.cli import goldens as golden_changes

            return golden_changes.CHANGES[name](arguments)


def _verify(folder: Path, *, judges: bool) -> int:
    from conformance.cases.builtin import load_catalogue
    from conformance.curate.doubts import judged_faults
    from conformance.curate.verify import verify_set
    from conformance.judge.rules import load_ledger

    found = verify_set(folder, load_catalogue())
    for fault in found.faults:
        print(fault, file=sys.stderr)
    wrong = 0
    if judges and not found.faults:
        with Progress("judged") as progress:
            watch = functools.partial(progress.over, name=_id)
            for fault in judged_faults(folder, load_catalogue(), load_ledger(), watch):
                progress.tell(fault)
                wrong += 1
    if wrong:
        print(f"{folder}: {counted(wrong, 'golden')} wrong", file=sys.stderr)
        return ExitCode.FAILED
    if found.faults:
        print(f"{folder}: {counted(len(found.faults), 'fault')}", file=sys.stderr)
        return ExitCode.MISSING
    held = ", ".join(_held(what, count) for what, count in found.held.items())
    print(f"{folder}: all is as it was stored: {held}")
    if found.absent:
        print(f"{folder} has no {', '.join(found.absent)}, as a set may")
    return ExitCode.OK


def _held(what: str, count: int) -> str:
    """Return how many there are of a kind of thing, which goes by its plural."""
    if what.startswith("of them"):
        return f"{count} {what}"
    noun, of, owner = what.partition(" of ")
    return counted(count, f"{noun.removesuffix('s')}{of}{owner}", what)


def _install_textconv() -> int:
    """Tell the git repository of the working folder how to show shards; see .gitattributes."""
    program = shlex.quote(str(Path(sysconfig.get_path("scripts")) / "conformance"))
    for name, value in (
        ("textconv", f"{program} goldens textconv"),
        ("xfuncname", "^([^ ].*)$"),
        ("cachetextconv", "true"),
    ):
        command = ["git", "config", f"diff.safetensors.{name}", value]
        done = subprocess.run(command, check=False)  # noqa: S603  # nothing comes from outside
        if done.returncode:
            print("call this within the clone whose git diff is meant", file=sys.stderr)
            return ExitCode.USAGE
    print("git diff now shows golden shards as text in this clone")
    return ExitCode.OK


def _stage(arguments: argparse.Namespace) -> int:
    require_usual_compiler(environment.ambient(), "goldens")  # before minutes of recording
    folder, below = _place(arguments)
    with telling_what_is_kept(lambda: "nothing is staged, and nothing has changed"):
        failed = _staged(folder, below, arguments)
    print(review_text(_reviewed(folder, below)))
    option = _option(arguments)
    print(f"accept it with `conformance goldens accept{option}`, or drop it with `... reject`")
    say_failed(failed)
    return ExitCode.of(missing=bool(failed))


def _staged(folder: Path, below: Stack | None, arguments: argparse.Namespace) -> Mapping[str, str]:
    """Stage what was asked for; return those that ended their process, and how."""
    catalogue, overlay = load_catalogue(), _overlay(arguments)
    failed: Mapping[str, str] = {}
    if arguments.layer:
        failed = _stage_layers(folder, arguments)
    elif arguments.recording:
        recording = open_store(arguments.recording)
        scope = f"recording {arguments.recording.name}"
        stage(folder, recording, scope=scope, reason=arguments.reason, overlay=overlay, below=below)
    else:
        failed = record_and_stage(
            folder,
            catalogue,
            golden_cases(catalogue, _scope(arguments), arguments.maker or BASE),
            scope=_scope_text(arguments),
            reason=arguments.reason,
            overlay=overlay,
            below=below,
            recorder=_recorder(arguments),
        )
    return failed


def _recorder(arguments: argparse.Namespace) -> Recorder:
    """Return what records here, or in a worker, in which a case may crash."""
    if options.runs_here(arguments):
        return _record_here

    def recorder(cases: list[Case], _: Catalogue, folder: Path) -> Store:
        given = {**options.nothing_given(), "cases": [case.id for case in cases]}
        asked = {"options": given, "out": str(folder), "resume": False, "whole": False}
        record_supervised(asked, arguments.case_timeout)
        return open_store(folder)

    return recorder


def _record_here(cases: list[Case], catalogue: Catalogue, folder: Path) -> Store:
    with Progress("recorded") as progress:
        return record(cases, catalogue, folder, progress=progress)


def _stage_layers(folder: Path, arguments: argparse.Namespace) -> Mapping[str, str]:
    """Stage layers; return those that ended their process, and how."""
    asked = {name: options.values(name, getattr(arguments, name)) for name in ("layer", "dtype")}
    is_here = options.runs_here(arguments)
    with Progress("initialized") as progress:
        return record_and_stage_layers(
            folder,
            asked_layers(asked["layer"]),
            asked_dtypes(asked["dtype"]),
            scope=" ".join(f"--{name} {','.join(found)}" for name, found in asked.items() if found),
            reason=arguments.reason,
            observer=Here(progress=progress)
            if is_here
            else Apart(progress=progress, timeout_s=arguments.case_timeout),
        )


def _review(arguments: argparse.Namespace) -> int:
    folder, below = _place(arguments)
    _require_set(folder)
    reviewed = _reviewed(folder, below, arguments.patterns)
    if arguments.interactive:
        return _decide(reviewed, folder, below)
    files = tell(
        arguments, lambda _: f"{review_text(reviewed)}\n", json=lambda: review_json(reviewed)
    )
    page = review_page(reviewed, folder, _option(arguments))
    files.append(lambda: write_page(page, arguments.reports))
    return ExitCode.first(ExitCode.OK, write_all(files))


def _reviewed(folder: Path, below: Stack | None, patterns: Sequence[str] = ()) -> Review:
    with Progress("reviewed") as progress:
        watch = functools.partial(progress.over, name=_id)
        return review(folder, load_catalogue(), below, patterns, watch)


def _id(entry: Entry) -> str:
    return entry.id


def _decide(reviewed: Review, folder: Path, below: Stack | None) -> int:
    """Ask about each kind of change, then do what was said, all at once; what is skipped waits.

    Raises:
        SelectionError: nobody can be asked.
    """
    if not sys.stdin.isatty():
        raise SelectionError(
            "--interactive asks, and standard input is no terminal: name what to accept, as in "
            "`conformance goldens accept 'lecun_*-bfloat16-*'`"
        )
    answers: dict[str, list[str]] = {ACCEPT: [], REJECT: []}
    for title, keys in kinds_of(reviewed).items():
        print(
            "\n".join(["", title, *(line for key in keys for line in entry_lines(reviewed, key))])
        )
        answer = _asked("[a]ccept, [r]eject, [s]kip, [q]uit? ")
        if answer == QUIT:
            break
        answers.setdefault(answer, []).extend(keys)
    for what, change in (
        (REJECT, lambda chosen: reject(folder, below, chosen)),
        (ACCEPT, lambda chosen: accept(folder, load_catalogue(), below, chosen)),
    ):
        if chosen := answers[what]:
            change([glob.escape(key) for key in chosen])
            print(f"{what}ed {counted(len(chosen), 'golden')}")
    return ExitCode.OK


ACCEPT, REJECT, SKIP, QUIT = "accept", "reject", "skip", "quit"


def _asked(question: str) -> str:
    """Return one of the answers, asked until it is one; the end of the input quits."""
    while True:
        try:
            given = input(question).strip().lower()
        except EOFError:
            return QUIT
        for answer in (ACCEPT, REJECT, SKIP, QUIT):
            if given and answer.startswith(given):
                return answer


def _accept(arguments: argparse.Namespace) -> int:
    if arguments.recording and not (_overlay(arguments) or arguments.overlay):
        raise SelectionError(
            "what the cpu returns is reviewed before it is accepted: give the recording to "
            "`conformance goldens stage --from`, or name another --backend, a --release or an "
            "--overlay"
        )
    (folder, below), catalogue = _place(arguments), load_catalogue()
    if arguments.recording:
        accepted = accept_recording(
            folder,
            catalogue,
            open_store(arguments.recording),
            overlay=_overlay(arguments),
            reason=arguments.reason,
            below=below,
        )
    else:
        _require_set(folder)
        accepted = accept(folder, catalogue, below, arguments.patterns)
    print(review_text(accepted))
    print(f"accepted into {folder}")
    return ExitCode.OK


def _reject(arguments: argparse.Namespace) -> int:
    folder, below = _place(arguments)
    _require_set(folder)
    left = reject(folder, below, arguments.patterns)
    rest = f"; {counted(len(left), 'other')} still pending" if left else ""
    print(f"dropped what was pending in {folder}{rest}")
    return ExitCode.OK


def _pending(arguments: argparse.Namespace) -> int:
    folder, _ = _place(arguments)
    staged = pending(folder)
    if staged is None:
        _require_set(folder)
        print(f"nothing is pending in {folder}")
        return ExitCode.OK
    print(f"pending for {staged.target} of {folder}, staged {staged.date}: {staged.scope}")
    print(f"reason: {staged.reason}")
    return ExitCode.OK


def _prune(arguments: argparse.Namespace) -> int:
    folder, _ = _place(arguments)
    removed = prune(folder, load_catalogue(), reason=arguments.reason)
    for key in removed:
        print(f"removed {key}")
    print(f"removed {len(removed)} orphans from {folder}")
    return ExitCode.OK


CHANGES = {
    "stage": _stage,
    "review": _review,
    "accept": _accept,
    "reject": _reject,
    "pending": _pending,
    "prune": _prune,
}


def _place(arguments: argparse.Namespace) -> tuple[Path, Stack | None]:
    """Return the set that is changed, and those on which it lies, if it is an overlay.

    What a killed command left undone there is finished first.
    """
    golden, overlays = golden_folder(arguments.golden), _overlays(arguments)
    folder = [golden, *overlays][-1].resolve()  # a link stays where it is
    if done := recover(folder):
        print(done, file=sys.stderr)
    print(f"golden set: {folder}", file=sys.stderr)
    return folder, open_stack(golden, overlays[:-1]) if overlays else None


def _require_set(folder: Path) -> None:
    """Ensure that there is a set of which something may be pending: else that is no answer.

    Raises:
        GoldenError: there is none.
    """
    if not (folder / PENDING).exists():
        open_store(folder)


def _overlays(arguments: argparse.Namespace) -> list[Path]:
    return [Path(named("overlay", folder)) for folder in arguments.overlay]


def _option(arguments: argparse.Namespace) -> str:
    return golden_option(golden_folder(arguments.golden), _overlays(arguments))


def _overlay(arguments: argparse.Namespace) -> str:
    """Return the name of the overlay within the set that is changed; "" of the set itself."""
    name = overlay_of(arguments.maker or BASE, arguments.release)
    if name and not OVERLAY_NAME.fullmatch(name):
        raise SelectionError(
            f"--backend {arguments.maker!r} --release {arguments.release!r} name no overlay: "
            "write a backend, as in cuda, and numbers of JAX, as in 0.10 or 0.10.2"
        )
    return name


def _scope(arguments: argparse.Namespace) -> Selection:
    return options.read_arguments(arguments).on("cpu")


def _narrowed(arguments: argparse.Namespace) -> list[str]:
    return [name for name in SCOPE if getattr(arguments, name)]


def _scope_text(arguments: argparse.Namespace) -> str:
    parts = [f"--tier {arguments.tier or Tier.STANDARD}"]
    parts += ["--all"] if arguments.all else []
    parts += [f"--{name} {','.join(getattr(arguments, name))}" for name in _narrowed(arguments)]
    return " ".join(parts)
