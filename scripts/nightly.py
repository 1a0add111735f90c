"""The steps of the nightly run that are more than one command.

    python scripts/nightly.py plan --accelerators "cuda tpu"      # the matrix, for GITHUB_OUTPUT
    python scripts/nightly.py verdict --jobs JSON --night night --out verdict
    python scripts/nightly.py first-bad --lane newest --verdict verdict --out first-bad

`plan` runs before anything is installed, from this checkout with the standard library.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import findings
from machines import ACCEPTED, MACHINES, read_machines

if TYPE_CHECKING:  # they need packages: see `plan`
    from drifts import Row

MAX_CASES = 20
"""Cases that a bisection looks at: each is recorded under several releases."""

MAX_SUMMARY_BYTES = 2**20
"""GitHub drops a larger step summary as a whole."""

WHAT_ELSE = """\
Look at what else differs from where the goldens were made, such as a change of this repository,
another package, LAPACK, C library or CPU, or a flag. `conformance doctor` shows them."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job of the matrix: a machine, a JAX and a shard.

    jax: what pip is given. lane: which JAX that is, as the file of machines calls it. artifact:
    its name, under which the outcome is downloaded. machine: the machine and its JAX, which all
    shards share.
    """

    runner: tuple[str, ...]
    backend: str
    xla_flags: str
    jax: str
    lane: str
    shard: str
    artifact: str
    machine: str


WRONG_CALL = 4
"""As `conformance` has it: 1 would be drift."""


def main(words: Sequence[str] | None = None) -> int:
    """Run the step that the first word names; what is wrong with the call is a line, and 4."""
    try:
        return run(words)
    except SystemExit as error:
        if not isinstance(error.code, str):
            raise
        print(error.code, file=sys.stderr)
        return WRONG_CALL


def run(words: Sequence[str] | None) -> int:
    """Run the step that the first word names.

    Raises:
        SystemExit: a file or a name is wrong, with what to say of it.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    steps = parser.add_subparsers(dest="step", required=True)
    step = steps.add_parser("plan")
    step.add_argument("--accelerators", default="", help="names of machines, apart from CPUs")
    step = steps.add_parser("verdict")
    step.add_argument("--jobs", required=True, help="the matrix that `plan` printed, as JSON")
    step.add_argument("--night", type=Path, required=True, help="folder of all outcomes")
    step.add_argument("--out", type=Path, required=True, help="new folder for the verdict")
    step.add_argument("--tier", default="full", help="tier that was run (default: full)")
    step = steps.add_parser("first-bad")
    step.add_argument("--lane", required=True, help="which JAX, as machines.toml calls it")
    step.add_argument("--verdict", type=Path, required=True, help="what `verdict` wrote")
    step.add_argument("--out", type=Path, required=True, help="new folder for what was found")
    arguments = parser.parse_args(words)
    if arguments.step == "plan":
        jobs = plan(MACHINES, arguments.accelerators.split())
        print(f"jobs={json.dumps([dataclasses.asdict(job) for job in jobs])}")
        return 0
    if arguments.step == "verdict":
        jobs = [Job(**job) for job in json.loads(arguments.jobs)]
        verdict(jobs, arguments.night, arguments.out, arguments.tier)
        return 0
    return first_bad(arguments.lane, arguments.verdict, arguments.out)


# --- Plan ----------------------------------------------------------------------------------------


def plan(machines: Path, accelerators: Sequence[str]) -> list[Job]:
    """Return the jobs of the night: all CPUs, and the accelerators that are named.

    Raises:
        SystemExit: an accelerator is named that the file does not know, or see `read_machines`.
    """
    found = read_machines(machines)
    names = {machine.name for machine in found.machine if machine.accelerator}
    if strangers := set(accelerators) - names:
        sys.exit(f"ACCELERATORS names {min(strangers)}: {machines.name} knows {sorted(names)}")
    taking_part = [
        machine
        for machine in found.machine
        if machine.name in accelerators or not machine.accelerator
    ]
    return [
        Job(
            runner=machine.runner,
            backend=machine.backend,
            xla_flags=machine.xla_flags,
            jax=requirements[machine.backend],
            lane=lane,
            shard=f"{index}/{machine.shards}",
            artifact=f"night-{machine.name}-{lane}-{index}",
            machine=f"{machine.name}-{lane}",
        )
        for machine, (lane, requirements) in itertools.product(taking_part, found.jax.items())
        for index in range(1, machine.shards + 1)
    ]


# --- Verdict -------------------------------------------------------------------------------------


def verdict(jobs: Sequence[Job], night: Path, out: Path, tier: str) -> None:
    """Merge the outcomes of the night: `code`, `table.md`, `findings.json`, `merge.json`, a page.

    A planned job without an outcome, or whose outcome is no verdict, makes the night incomplete;
    what drifted in the others is the headline all the same. Each artifact is only believed about
    its own job: it is moved to where that belongs.
    """
    from drifts import findings_of, missing_of, rows_of

    from conformance.cli import main as conformance
    from conformance.core.errors import ExitCode

    out.mkdir(parents=True)
    absent = [job for job in jobs if not _came_to_a_verdict(night / job.artifact)]
    lanes = {job.machine: job.lane for job in jobs}
    for job in jobs:
        if (night / job.artifact).exists():
            (night / job.machine).mkdir(exist_ok=True)
            (night / job.artifact).rename(night / job.machine / job.artifact)
    folders = [str(night / machine) for machine in sorted(lanes)]
    files = ["--json", str(out / "merge.json"), "--markdown", str(out / "merge.md")]
    code = conformance(["merge", *folders, "--tier", tier, *files, "--reports", str(out)])
    merged = read_merge(out)
    rows = rows_of(merged)
    missing = missing_of(merged, lanes)
    for job in absent:
        line = f"No verdict came from {job.artifact}: see its job."
        missing[job.lane] = (line, *missing.get(job.lane, ()))
    code = ExitCode.first(code, ExitCode.MISSING if missing else ExitCode.OK)
    if code != ExitCode.OK and not (rows or missing):
        missing[findings.EVERY_LANE] = (f"{merged['verdict']} (exit code {int(code)}).",)
    findings.write(out, findings_of(rows, missing))
    (out / "table.md").write_text(_fitting(_table(out / "merge.md", code, absent, lanes)))
    (out / "code").write_text(f"{int(code)}\n")


def read_merge(folder: Path) -> Mapping[str, Any]:
    """Return what `merge --json` wrote to the folder, or the merge of nothing."""
    path = folder / "merge.json"
    empty = {"verdict": "Nothing could be merged", "places": {}, "missing": {}}
    lists: dict[str, list[Any]] = {"failed": [], "beyond": [], "conflicts": [], "faults": []}
    found = json.loads(path.read_text()) if path.exists() else {}
    return {**empty, **lists, **found}


def _table(merged: Path, code: int, absent: Sequence[Job], machines: Mapping[str, str]) -> str:
    """Return the summary: what drifted, then what is missing, then all the tables."""
    text = merged.read_text() if merged.exists() else "# INCOMPLETE: nothing could be merged\n"
    heading, _, tables = text.partition("\n")
    if absent and code != 1:
        heading = f"# INCOMPLETE: no verdict from {len(absent)} of the jobs"
        tables = f"\nOf the others: {text.partition(chr(10))[0].lstrip('# ')}\n{tables}"
    notes = [f"No verdict came from {job.artifact}: see its job." for job in absent]
    left_out = read_machines(MACHINES).left_out(list(machines))
    notes += [f"Did not take part: {name}." for name in left_out]
    return "\n\n".join([heading, *notes, tables.lstrip("\n")])


def _fitting(text: str) -> str:
    """Return the text, cut at a line where a step summary would be dropped for its size."""
    note = b"\nThe artifacts hold the rest.\n"
    data = text.encode()
    if len(data) <= MAX_SUMMARY_BYTES:
        return text
    return (data[: data.rfind(b"\n", 0, MAX_SUMMARY_BYTES - len(note)) + 1] + note).decode()


def _came_to_a_verdict(folder: Path) -> bool:
    path = folder / "code"
    return path.exists() and path.read_text().strip() in ("0", "1")


# --- The first bad version -----------------------------------------------------------------------


def first_bad(lane: str, verdict: Path, out: Path) -> int:
    """Write since which JAX the cases drift, or why that cannot be said; never nothing.

    Returns the code of a search that broke down, else 0.
    """
    from drifts import rows_of

    out.mkdir(parents=True)
    rows = [row for row in rows_of(read_merge(verdict)) if row.lane in (lane, findings.EVERY_LANE)]
    code, text = _searched(lane, rows, out / f"bisect-{lane}.txt")
    (out / f"first-bad-{lane}.txt").write_text(text.rstrip("\n") + "\n")
    print(text)
    return code


def _searched(lane: str, rows: Sequence[Row], output: Path) -> tuple[int, str]:
    from commands import run
    from drifts import cases_to_bisect, least_class
    from packaging.version import Version

    from conformance.core.errors import SideError
    from conformance.upgrade.pins import pinned
    from conformance.upgrade.releases import Registry, list_releases

    if not rows:
        return 0, f"Nothing drifted under the {lane} JAX."
    cases = cases_to_bisect(rows, MAX_CASES)
    if not cases:
        return 0, "No case drifted on the CPU, which is where releases can be compared."
    (accepted,) = pinned(ACCEPTED.name, ACCEPTED.read_text(), "jax")
    options = read_machines(MACHINES).registry_options(lane)
    index = options[options.index("--index") + 1] if "--index" in options else None
    try:
        newest = list_releases("jax", Registry(index=index, pre="--pre" in options)).latest
    except SideError as error:
        return int(error.exit_code), f"The search could not begin: {error}"
    if Version(newest) <= Version(accepted):
        versions = ", ".join(sorted({row.jax for row in rows if row.is_on_cpu}))
        later = "release or build" if "--pre" in options else "release"
        return 0, (
            f"Nothing to search: jax {accepted} is accepted, and there is no later {later}; the "
            f"cases drifted under jax {versions}.\nSo no release is the cause. {WHAT_ELSE}"
        )
    sides = ["--from", accepted, "--to", newest, *options, "--class", str(least_class(rows))]
    ended = run(["bisect", *sides, *(f"--case={case}" for case in cases)], output)
    if not ended.is_verdict:
        return ended.code, f"The search broke down (exit code {ended.code}):\n{ended.last_words}"
    text = output.read_text().strip()
    if ended.code:
        return 0, text
    places = "; ".join(sorted({row.place for row in rows if row.is_on_cpu}))
    return 0, (
        f"{text}\nSo no release is the cause on the CPU of this search; the cases drifted at "
        f"{places}. {WHAT_ELSE}"
    )


if __name__ == "__main__":
    sys.exit(main())
