"""Mistakes that the words of a call show by themselves, told before anything heavy is imported.

Neither NumPy nor JAX is needed to see that an initializer is unknown, that two options contradict
each other, or that a report has no place: nobody waits a second for that, or for a whole run.
"""

from __future__ import annotations

import argparse
import errno
import itertools
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from conformance.cases.builtin import load_catalogue
from conformance.cases.selection import Selection, blocks, require_known, require_offered, select
from conformance.cli.arguments.compile import targets
from conformance.cli.arguments.forms import STDOUT
from conformance.cli.arguments.gate import SELECTION
from conformance.cli.arguments.goldens import SCOPE
from conformance.cli.arguments.run import add_arguments as declare_run
from conformance.core.errors import SelectionError, cannot_write, no_reason
from conformance.core.files import require_new
from conformance.observe.target import require_found
from conformance.predict.targets import require_known as require_known_target
from conformance.run import options

FILES = ("json", "markdown", "csv", "parquet", "page")
"""Options that name a file to write, in commands that have them."""

FOLDERS = ("reports", "out", "record")
"""Options that name a folder to write into."""


def refuse_mistakes(arguments: argparse.Namespace) -> None:
    """Ensure that a call can be meant as it was written.

    Raises:
        SelectionError: a value is unknown, or one option contradicts another.
        ReportError: a report cannot be written where it is to go.
    """
    if judge := OF_A_COMMAND.get(arguments.command):
        judge(arguments)
    # Which layers and dtypes of theirs there are, the installed Flax tells.
    if hasattr(arguments, "initializer") and not getattr(arguments, "layer", None):
        _refuse_unknown(arguments)
    _refuse_places(arguments)


def _refuse_unknown(arguments: argparse.Namespace) -> None:
    """Ensure that every value of a selection is one, and can be asked of its backend."""
    asked = options.read_arguments(arguments).on()
    require_known(load_catalogue(), asked)
    require_offered(asked)


# --- What one command alone takes ----------------------------------------------------------------
def _run(arguments: argparse.Namespace) -> None:
    if arguments.fleet and arguments.recording:
        raise SelectionError("--fleet and --recording contradict each other: give one")
    is_here = not (arguments.fleet or arguments.recording)
    if arguments.workers > 1 and (not is_here or options.runs_here(arguments)):
        raise SelectionError(
            f"-n {arguments.workers} starts workers on this machine, which --fleet, --recording "
            "and --in-process do not, nor a program that registered initializers: leave it out"
        )
    if arguments.resume is not None:
        _resume(arguments)
    elif not arguments.recording:  # which alone knows what it holds
        asked, catalogue = options.read_arguments(arguments).on("cpu"), load_catalogue()
        # A whole tier has cases: to list them takes a second, and the run does it.
        if asked != Selection(tier=asked.tier, backends=("cpu",)):
            _ = blocks(catalogue, asked) or select(catalogue, asked)


RESUMED_WITH = (
    *("resume", "workers", "in_process", "case_timeout", "junit_report", "json"),
    *("fleet", "fleet_timeout"),
)
"""Options that say how cases are run, and not which or by what they are judged."""


def _resume(arguments: argparse.Namespace) -> None:
    parser = argparse.ArgumentParser()
    declare_run(parser)
    for name, default in vars(parser.parse_args([])).items():
        if name not in RESUMED_WITH and (value := getattr(arguments, name)) != default:
            raise SelectionError(
                f"--resume goes on with what the run was asked, and --{name.replace('_', '-')} "
                f"{value} asks for more: leave it out, or begin anew, without --resume"
            )


def _record(arguments: argparse.Namespace) -> None:
    if not arguments.out.name:
        raise SelectionError(f"--out {arguments.out} is no new folder: name one, as in recording")
    given = options.read_arguments(arguments)
    if arguments.finish and (given.is_narrowed or given.asked.cases or arguments.resume):
        raise SelectionError(
            "--finish takes what journals hold: leave out the selection and --resume"
        )
    if bool(arguments.coordinator) != bool(arguments.process):
        raise SelectionError("--coordinator HOST:PORT and --process I/N are named together")
    if arguments.coordinator and given.is_auto:
        raise SelectionError("a pod is of one backend: name it by --backend")
    if not (arguments.resume or arguments.coordinator):
        require_new(arguments.out)


def _explain(arguments: argparse.Namespace) -> None:
    require_known(load_catalogue(), Selection(cases=(arguments.case,)))


def _audit(arguments: argparse.Namespace) -> None:
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` does: targets are the user's own modules
    require_found(arguments.target)


def _faults(arguments: argparse.Namespace) -> None:
    from conformance.planted.known import chosen, known_faults  # no other command loads them

    chosen(known_faults(), arguments.only)


def _gate(arguments: argparse.Namespace) -> None:
    from conformance.upgrade.releases import CURRENT, LATEST, Registry, parse_side

    _target(arguments)
    for text in (arguments.before, arguments.after):
        if text not in (CURRENT, LATEST):  # of which packages and an index tell
            parse_side(text, arguments.package, Registry())


def _target(arguments: argparse.Namespace) -> None:
    narrowed = [name for name in SELECTION if getattr(arguments, name)]
    if arguments.target and narrowed:
        raise SelectionError(f"--target and --{narrowed[0]} contradict each other: give one")


def _bisect(arguments: argparse.Namespace) -> None:
    from conformance.upgrade.releases import CURRENT

    if CURRENT in (arguments.before, arguments.after):
        raise SelectionError("bisect goes over releases: give versions, or --to latest")
    others = ("target", *SELECTION)
    narrowed = [name for name in others if getattr(arguments, name)]
    if arguments.case and narrowed:
        raise SelectionError(f"--case and --{narrowed[0]} contradict each other: give one")
    if arguments.case:
        require_known(load_catalogue(), Selection(cases=tuple(arguments.case)))
    _target(arguments)


def _compile(arguments: argparse.Namespace) -> None:
    is_cuda = arguments.platform == "cuda"
    if arguments.topology if is_cuda else arguments.target:
        wrong, right = ("topology", "target") if is_cuda else ("target", "topology")
        raise SelectionError(f"--{wrong} is not for {arguments.platform}: name it by --{right}")
    if not is_cuda and (arguments.predict or arguments.record):
        raise SelectionError("only CUDA is predicted: leave out --predict and --record")
    if arguments.resume and not arguments.record:
        raise SelectionError("--resume goes on with predictions: name their folder by --record")
    if arguments.record and (arguments.out or arguments.accept):
        raise SelectionError("--record predicts, and keeps no programs: leave out --out, --accept")
    if arguments.accept and not arguments.reason:
        raise SelectionError("--accept needs --reason '...': why are these programs right?")
    if not all(targets(arguments)):
        raise SelectionError(f"a device without a name is among {targets(arguments)}: leave it out")
    for name in targets(arguments):
        require_known_target(arguments.platform, name)
    if arguments.record and not arguments.resume:
        require_new(arguments.record)


def _lowering(arguments: argparse.Namespace) -> None:
    if arguments.accept and not arguments.reason:
        raise SelectionError("--accept needs --reason '...': why are they right?")


def _goldens(arguments: argparse.Namespace) -> None:
    if judge := OF_GOLDENS.get(arguments.goldens_command):
        judge(arguments)


def _stage(arguments: argparse.Namespace) -> None:
    narrowed = [name for name in SCOPE if getattr(arguments, name)]
    if arguments.layer:
        _stage_layers(arguments)
    elif arguments.recording:
        if arguments.all or narrowed:
            raise SelectionError("--from stages the whole recording: leave out --all and the rest")
    elif bool(narrowed) == arguments.all:
        found = f"--all beside --{narrowed[0]}" if narrowed else "none"
        raise SelectionError(
            f"a scope is needed, and {found} was given: "
            f"narrow it by {', '.join(f'--{name}' for name in SCOPE)}, or say --all"
        )
    _require_reason(arguments)


def _stage_layers(arguments: argparse.Namespace) -> None:
    if arguments.overlay:
        raise SelectionError(
            "--layer stages layers, and no overlay has any: leave out --overlay, or name the set "
            "that is to hold them with --golden"
        )
    rest = ("all", "tier", "recording", "maker", "release", *(set(SCOPE) - {"dtype"}))
    if any(getattr(arguments, name) for name in rest):
        raise SelectionError("--layer stages layers, narrowed by --dtype alone: leave out the rest")


def _accept(arguments: argparse.Namespace) -> None:
    if bool(arguments.maker) != bool(arguments.recording):
        raise SelectionError("--backend and --from go together: give both or neither")
    if arguments.recording and arguments.patterns:
        raise SelectionError("--from accepts the whole recording: leave out the patterns")
    if arguments.recording:
        _require_reason(arguments)
    elif arguments.reason or arguments.release:
        raise SelectionError(
            "--reason and --release belong to `stage`; here they are for --from only"
        )


def _require_reason(arguments: argparse.Namespace) -> None:
    if not arguments.reason.strip():
        raise no_reason()


OF_GOLDENS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "stage": _stage,
    "accept": _accept,
    "prune": _require_reason,
}

OF_A_COMMAND: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "run": _run,
    "record": _record,
    "explain": _explain,
    "audit": _audit,
    "faults": _faults,
    "gate": _gate,
    "bisect": _bisect,
    "compile": _compile,
    "lowering": _lowering,
    "goldens": _goldens,
}


# --- Places to write -----------------------------------------------------------------------------
def _refuse_places(arguments: argparse.Namespace) -> None:
    for option, path, is_folder in _places(arguments):
        if number := _fault(path, is_folder=is_folder):
            choice = f"--{option} {'DIR' if is_folder else 'FILE'}"
            raise cannot_write(path, OSError(number, os.strerror(number)), choice)


def _places(arguments: argparse.Namespace) -> Iterator[tuple[str, Path, bool]]:
    """Yield what a command is to write: the option, the place, and whether it is a folder."""
    for option in (*FILES, *FOLDERS):
        if arguments.command == "history" and option == "reports":
            continue  # which it reads
        value = getattr(arguments, option, None)
        if isinstance(value, str | Path) and str(value) != STDOUT:
            yield option, Path(value), option in FOLDERS


def _fault(path: Path, *, is_folder: bool) -> int:
    """Return why a file or a folder cannot be written there, as the system numbers it; 0: it can.

    What is missing of the way to it is made.
    """
    if not is_folder and path.is_dir():
        return errno.EISDIR
    if not is_folder and path.exists():
        return 0 if os.access(path, os.W_OK) else errno.EACCES
    place = path.absolute()
    nearest = next(each for each in itertools.chain([place], place.parents) if each.exists())
    if not nearest.is_dir():
        return errno.ENOTDIR
    return 0 if os.access(nearest, os.W_OK | os.X_OK) else errno.EACCES
