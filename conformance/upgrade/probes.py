"""The causes of drift, asked of both sides: what the first lowered is run under the second.

One case speaks for all of its initializer, dtype and transform: the one that drifted worst. What
the sides answered is kept beside their recordings.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.core.errors import SideError
from conformance.core.files import cached_folder, digest, replace_file, scratch_folder
from conformance.core.paths import cache_folder
from conformance.core.records import DriftClass, Returned
from conformance.core.words import counted
from conformance.store.read import Store
from conformance.upgrade.cause import Cause, Digests, Finding, decide, unknown
from conformance.upgrade.compare import Comparison, Pair
from conformance.upgrade.environments import Plan, build
from conformance.upgrade.policy import worst_first
from conformance.upgrade.recordings import Say, folder_of, variables
from conformance.upgrade.uv import uv

SERIALIZER = ("absl-py", "flatbuffers")
"""What JAX serializes exports with, and does not install. Any version serves every release; absl is
what releases before 0.6 import there."""

Answers = Mapping[str, Mapping[str, Any]]
"""Case -> what a side answered: see `exports`."""

Question = Callable[[Sequence[str]], Mapping[str, Any]]
"""The request about some of the cases."""


def causes(
    comparison: Comparison, stores: tuple[Store, Store], plans: tuple[Plan, Plan], say: Say
) -> dict[str, Finding]:
    """Return the cause of the drift of one case for each initializer, dtype and transform.

    Where running its program proves nothing, what the comparison tells of it counts.
    """
    proven = _proven(worst_first(list(comparison.pairs)), stores, plans, say)
    told = {key: one for key, one in comparison.causes.items() if one.cause is not Cause.UNKNOWN}
    return {
        key: told.get(key, finding) if finding.cause is Cause.UNKNOWN else finding
        for key, finding in proven.items()
    }


def _proven(
    pairs: Iterable[Pair], stores: tuple[Store, Store], plans: tuple[Plan, Plan], say: Say
) -> dict[str, Finding]:
    found = {pair: digests for pair in pairs if (digests := _digests(pair, stores))}
    chosen = {pair.case.id: found[pair] for pair in _chosen(found)}
    if not chosen:
        return {}
    before, after = plans
    try:
        exported, own = (_exported(plan, list(chosen), say) for plan in plans)
        runnable = {key: fields for key, fields in exported.items() if "steps" in fields}
        ran = _ran(after, before, runnable, say) if runnable else {}
    except SideError as error:
        return dict.fromkeys(chosen, unknown(str(error)))
    names = (before.name, after.name)
    return {
        key: decide(digests, (exported[key], own[key]), ran.get(key, {}), names)
        for key, digests in chosen.items()
    }


def _digests(pair: Pair, stores: tuple[Store, Store]) -> Digests | None:
    """Return what both sides returned; None if they agree, or one of them raised."""
    if pair.drift.drift_class is DriftClass.IDENTICAL:
        return None
    before, after = (store.entry(pair.case.id) for store in stores)
    assert before is not None
    assert after is not None
    if not (isinstance(before.outcome, Returned) and isinstance(after.outcome, Returned)):
        return None
    return Digests(before=before.outcome.sha256, after=after.outcome.sha256)


def _chosen(drifted: Iterable[Pair]) -> list[Pair]:
    """Return one pair for each initializer, dtype and transform: the first, which is the worst."""
    first: dict[tuple[str, str, str], Pair] = {}
    for pair in drifted:
        problem = pair.case.problem
        first.setdefault((problem.initializer, problem.dtype, pair.case.transform), pair)
    return list(first.values())


# --- Asking a side -------------------------------------------------------------------------------


def _exported(plan: Plan, cases: Sequence[str], say: Say) -> Answers:
    say(f"{plan.name}: exporting of what drifted {counted(len(cases), 'case')}")
    path = folder_of(plan) / f"{digest(*sorted(cases))}.exports.json"
    return _asked(plan, sorted(cases), lambda keys: {"export": keys}, path)


def _ran(plan: Plan, origin: Plan, exported: Answers, say: Say) -> Answers:
    say(f"{plan.name}: running what {origin.name} exported")
    path = folder_of(plan) / f"{digest(origin.key, *sorted(exported))}.ran.json"
    return _asked(
        plan, sorted(exported), lambda keys: {"run": {k: exported[k] for k in keys}}, path
    )


def _asked(plan: Plan, keys: Sequence[str], question: Question, path: Path) -> Answers:
    """Return what the plan's release answers; from the file, if it was asked before.

    A case that crashes it is one without proof: the others are asked again.

    Raises:
        SideError: the release, or the library that JAX serializes with, cannot be installed.
    """
    if path.exists() and plan.is_lasting:
        kept: Answers = json.loads(path.read_text(encoding="utf-8"))
        return kept
    answers: dict[str, Mapping[str, Any]] = {}
    while left := [key for key in keys if key not in answers]:
        told, ending = _run(plan, question(left), path)
        answers.update(told)
        if failed := next((key for key in left if key not in told), None):
            answers[failed] = {"reason": ending}
    replace_file(path, json.dumps(answers))
    return answers


def _run(plan: Plan, question: Mapping[str, Any], path: Path) -> tuple[Answers, str]:
    """Return what was answered until the process ended, and how it ended."""
    # All cases of a gate are the CPU's, and an export is for the default platform.
    environment = {**variables(str(_serializer())), "JAX_PLATFORMS": "cpu"}
    with scratch_folder(path.parent) as scratch:
        request, out = scratch / "request.json", scratch / "answers.jsonl"
        request.write_text(json.dumps({"out": str(out), **question}), encoding="utf-8")
        command = [str(build(plan)), "-m", "conformance.observe.child", str(request)]
        done = subprocess.run(  # noqa: S603  # the command is this package's own
            command, env=environment, cwd=path.parent, capture_output=True, text=True, check=False
        )
        lines = out.read_text(encoding="utf-8").split("\n")[:-1] if out.exists() else []
    return dict(json.loads(line) for line in lines), _ending(done)


def _ending(done: subprocess.CompletedProcess[str]) -> str:
    if done.returncode < 0:
        return f"the process was killed by {signal.Signals(-done.returncode).name}"
    last = (done.stderr.strip().splitlines() or ["no word"])[-1]
    return f"the process exited with {done.returncode}: {last}"


def _serializer() -> Path:
    """Return a folder with the library that JAX serializes with, installed at the first call.

    Raises:
        SideError: it cannot be.
    """
    folder = cache_folder("libraries") / "-".join(SERIALIZER)
    if folder.exists():
        return folder
    try:
        with cached_folder(folder) as draft:
            uv(
                *("pip", "install", "--quiet", "--no-deps", "--python", sys.executable),
                *("--target", str(draft), *SERIALIZER),
            )
    except subprocess.CalledProcessError as error:
        raise SideError(
            f"{' and '.join(SERIALIZER)}, with which JAX serializes, cannot be installed: restore "
            "the network"
        ) from error
    return folder
