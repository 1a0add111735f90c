"""The commands of `conformance goldens` that stage, review and change golden sets."""

from __future__ import annotations

import argparse
import collections
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from conformance import options
from conformance.builtin import load_catalogue
from conformance.cli.goldens import SCOPE
from conformance.cli.main import OK
from conformance.cli.record import ProgressLine
from conformance.environment import unusual
from conformance.golden import golden_option, open_store
from conformance.matrix import Selection, SelectionError
from conformance.model import Drift, DriftClass, Tier
from conformance.staging import (
    Review,
    accept,
    accept_overlay,
    golden_cases,
    pending,
    prune,
    record_and_stage,
    recover,
    reject,
    review,
    stage,
)

SHOWN = 10
"""Problems of one class that a review names."""


def _stage(arguments: argparse.Namespace) -> int:
    folder = _recovered(arguments)
    catalogue = load_catalogue()
    if arguments.recording:
        if arguments.all or _narrowed(arguments):
            raise SelectionError("--from stages the whole recording: leave out --all and the rest")
        recording = open_store(arguments.recording)
        scope = f"recording {arguments.recording.name}"
        stage(folder, recording, scope=scope, reason=arguments.reason)
    else:
        record_and_stage(
            folder,
            catalogue,
            golden_cases(catalogue, _scope(arguments)),
            scope=_scope_text(arguments),
            reason=arguments.reason,
            progress=ProgressLine(),
        )
    print(review_text(review(folder, catalogue)))
    option = golden_option(folder)
    print(f"accept it with `conformance goldens accept{option}`, or drop it with `... reject`")
    return OK


def _review(arguments: argparse.Namespace) -> int:
    print(review_text(review(_recovered(arguments), load_catalogue())))
    return OK


def _accept(arguments: argparse.Namespace) -> int:
    if bool(arguments.overlay) != bool(arguments.recording):
        raise SelectionError("--overlay and --from go together: give both or neither")
    folder, catalogue = _recovered(arguments), load_catalogue()
    if arguments.overlay:
        recording = open_store(arguments.recording)
        accepted = accept_overlay(
            folder, catalogue, recording, backend=arguments.overlay, reason=arguments.reason
        )
    elif arguments.reason:
        raise SelectionError("--reason belongs to `stage`; here it is for --overlay only")
    else:
        accepted = accept(folder, catalogue)
    print(review_text(accepted))
    print(f"accepted into {folder}")
    return OK


def _reject(arguments: argparse.Namespace) -> int:
    folder = _recovered(arguments)
    reject(folder)
    print(f"dropped what was pending in {folder}")
    return OK


def _pending(arguments: argparse.Namespace) -> int:
    folder = _recovered(arguments)
    staged = pending(folder)
    if staged is None:
        print(f"nothing is pending in {folder}")
        return OK
    target = f"overlay {staged.overlay}" if staged.overlay else "the set"
    print(f"pending for {target} of {folder}, staged {staged.date}: {staged.scope}")
    print(f"reason: {staged.reason}")
    return OK


def _prune(arguments: argparse.Namespace) -> int:
    folder = _recovered(arguments)
    removed = prune(folder, load_catalogue(), reason=arguments.reason)
    for key in removed:
        print(f"removed {key}")
    print(f"removed {len(removed)} orphans from {folder}")
    return OK


CHANGES = {
    "stage": _stage,
    "review": _review,
    "accept": _accept,
    "reject": _reject,
    "pending": _pending,
    "prune": _prune,
}


def _recovered(arguments: argparse.Namespace) -> Path:
    """Return the golden set, after finishing what a killed command left undone."""
    folder = options.golden_folder(arguments.golden).resolve()  # a link stays where it is
    if done := recover(folder):
        print(done, file=sys.stderr)
    return folder


def _scope(arguments: argparse.Namespace) -> Selection:
    narrowed = _narrowed(arguments)
    if bool(narrowed) == arguments.all:
        found = f"--all beside --{narrowed[0]}" if narrowed else "none"
        raise SelectionError(
            f"a scope is needed, and {found} was given: "
            f"narrow it by {', '.join(f'--{name}' for name in SCOPE)}, or say --all"
        )
    return options.selection_on(("cpu",), options.values_of(arguments))


def _narrowed(arguments: argparse.Namespace) -> list[str]:
    return [name for name in SCOPE if getattr(arguments, name)]


def _scope_text(arguments: argparse.Namespace) -> str:
    parts = [f"--tier {arguments.tier or Tier.STANDARD}"]
    parts += ["--all"] if arguments.all else []
    parts += [f"--{name} {','.join(getattr(arguments, name))}" for name in _narrowed(arguments)]
    return " ".join(parts)


# --- The review as text --------------------------------------------------------------------------


def review_text(reviewed: Review) -> str:
    """Return the drift table old -> new: counts by class, then each class by initializer.

    Before it stands what is unusual about where the new outcomes were recorded.
    """
    staged = reviewed.stage
    target = f"overlay {staged.overlay}" if staged.overlay else "the set"
    lines = [
        *(f"note: {line}" for line in unusual(reviewed.environment)),
        f"for {target}: {staged.scope}; reason: {staged.reason}",
        "class      problems",
    ]
    lines += [f"{name:<10} {count:>8}" for name, count in reviewed.counts().items()]
    for drift_class in list(DriftClass)[1:]:
        lines += _class_lines(drift_class, reviewed.drifts)
    lines += _named("new", reviewed.new)
    lines += _named("removed, equal to the set itself", reviewed.removed)
    lines += _named("orphans, kept until `conformance goldens prune`", reviewed.orphans)
    return "\n".join(lines)


def _class_lines(drift_class: DriftClass, drifts: Mapping[str, Drift]) -> list[str]:
    found = {key: drift for key, drift in drifts.items() if drift.drift_class is drift_class}
    if not found:
        return []
    worst = sorted(found, key=lambda key: (-(found[key].max_ulp_at_sigma or 0.0), key))
    lines = [f"{drift_class.value}: {_by_initializer(found)}"]
    lines += [f"  {key}: {_drift_text(found[key])}" for key in worst[:SHOWN]]
    return [*lines, *_rest(len(worst))]


def _drift_text(drift: Drift) -> str:
    if not drift.n_different:
        return drift.detail
    text = f"{drift.n_different} of {drift.n_elements} elements"
    if drift.max_ulp_at_sigma is not None:
        text += f", at most {drift.max_ulp} ULP ({drift.max_ulp_at_sigma:.3g} ULP of sigma)"
    return f"{text}; {drift.detail}" if drift.detail else text


def _named(title: str, ids: tuple[str, ...]) -> list[str]:
    if not ids:
        return []
    lines = [f"{title}: {_by_initializer(ids)}", *(f"  {key}" for key in ids[:SHOWN])]
    return [*lines, *_rest(len(ids))]


def _rest(count: int) -> list[str]:
    return [f"  ... and {count - SHOWN} more"] if count > SHOWN else []


def _by_initializer(ids: Iterable[str]) -> str:
    counts = collections.Counter(key.partition("-")[0] for key in ids)
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
