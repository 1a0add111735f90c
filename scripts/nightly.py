"""The steps of the nightly run that are more than one command.

    python scripts/nightly.py plan --accelerators "cuda tpu"      # the matrix, for GITHUB_OUTPUT
    python scripts/nightly.py verdict --jobs JSON --night night --out verdict
    python scripts/nightly.py cases verdict/merge.json            # what to bisect, one id a line

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

ROOT = Path(__file__).parents[1]
MACHINES = ROOT / ".github" / "machines.toml"

MAX_CASES = 20
"""Cases that a bisection looks at: each is recorded under several releases."""

MAX_SUMMARY_BYTES = 2**20
"""GitHub drops a larger step summary as a whole."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where cases run: the labels of a runner, what is asked of it, and in how many shards.

    accelerator: whether it takes part only when it is named.
    """

    name: str
    runner: tuple[str, ...]
    backend: str
    shards: int
    xla_flags: str = ""
    accelerator: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """The file of machines. jax: which JAX -> backend -> what pip is given."""

    machine: tuple[Machine, ...]
    jax: Mapping[str, Mapping[str, str]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job of the matrix: a machine, a JAX and a shard.

    jax: what pip is given. artifact: its name, under which the outcome is downloaded.
    machine: the machine and its JAX, which all shards share.
    """

    runner: tuple[str, ...]
    backend: str
    xla_flags: str
    jax: str
    shard: str
    artifact: str
    machine: str


def main(words: Sequence[str] | None = None) -> int:
    """Run the step that the first word names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    steps = parser.add_subparsers(dest="step", required=True)
    step = steps.add_parser("plan")
    step.add_argument("--accelerators", default="", help="names of machines, apart from CPUs")
    step = steps.add_parser("verdict")
    step.add_argument("--jobs", required=True, help="the matrix that `plan` printed, as JSON")
    step.add_argument("--night", type=Path, required=True, help="folder of all outcomes")
    step.add_argument("--out", type=Path, required=True, help="new folder for the verdict")
    step.add_argument("--tier", default="full", help="tier that was run (default: full)")
    step = steps.add_parser("cases")
    step.add_argument("merge", type=Path, help="what `conformance merge --json` wrote")
    arguments = parser.parse_args(words)
    if arguments.step == "plan":
        jobs = plan(MACHINES, arguments.accelerators.split())
        print(f"jobs={json.dumps([dataclasses.asdict(job) for job in jobs])}")
    elif arguments.step == "cases":
        print("".join(f"{case}\n" for case in cases(arguments.merge)), end="")
    else:
        jobs = [Job(**job) for job in json.loads(arguments.jobs)]
        verdict(jobs, arguments.night, arguments.out, arguments.tier)
    return 0


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
            shard=f"{index}/{machine.shards}",
            artifact=f"night-{machine.name}-{jax}-{index}",
            machine=f"{machine.name}-{jax}",
        )
        for machine, (jax, requirements) in itertools.product(taking_part, found.jax.items())
        for index in range(1, machine.shards + 1)
    ]


def read_machines(path: Path) -> Machines:
    """Return what the file of machines says.

    Raises:
        SystemExit: it cannot be read, or says nothing of a backend's JAX; the message names the
            place.
    """
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    from conformance.core.errors import Malformed, SelectionError
    from conformance.core.reading import document, naming, record

    try:
        with naming(path, SelectionError, "mend it"):
            found = record(Machines, document(path))
            for jax, requirements in found.jax.items():
                if lacking := {each.backend for each in found.machine} - requirements.keys():
                    raise Malformed(f"jax.{jax} says nothing of {min(lacking)}")
    except SelectionError as error:
        sys.exit(str(error))
    return found


def verdict(jobs: Sequence[Job], night: Path, out: Path, tier: str) -> None:
    """Merge the outcomes of the night, and write `code`, `table.md` and `merge.json`.

    A planned job without an outcome, or whose outcome is no verdict, makes the night incomplete.
    Each artifact is only believed about its own job: it is moved to where that belongs.
    """
    from conformance.cli import main as conformance
    from conformance.core.errors import ExitCode

    out.mkdir(parents=True)
    absent = [job.artifact for job in jobs if not _came_to_a_verdict(night / job.artifact)]
    machines = sorted({job.machine for job in jobs})
    for job in jobs:
        if (night / job.artifact).exists():
            (night / job.machine).mkdir(exist_ok=True)
            (night / job.artifact).rename(night / job.machine / job.artifact)
    folders = [str(night / machine) for machine in machines]
    merged = out / "merge.md"
    files = ["--json", str(out / "merge.json"), "--markdown", str(merged)]
    code = conformance(["merge", *folders, "--tier", tier, *files])
    notes = [f"No verdict came from {name}: see its job.\n" for name in absent]
    notes += [f"Did not take part: {name}.\n" for name in left_out(MACHINES, machines)]
    (out / "table.md").write_text(_fitting("\n".join([*notes, _read(merged)])))
    if absent and code != ExitCode.FAILED:
        code = ExitCode.MISSING
    (out / "code").write_text(f"{int(code)}\n")


def left_out(machines: Path, planned: Sequence[str]) -> list[str]:
    """Return the machines of the file that no job was planned for."""
    found = read_machines(machines)
    names = [machine.name for machine in found.machine]
    return [name for name in names if not any(f"{name}-{jax}" in planned for jax in found.jax)]


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else "Nothing could be merged.\n"


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


def cases(merge: Path) -> list[str]:
    """Return the cases on a CPU that failed or drifted beyond the policy, at most MAX_CASES.

    Spread over all that there are, since neighbours tend to have one cause.
    """
    document = json.loads(merge.read_text())
    rows = [*document["failed"], *document["beyond"]]
    found = sorted({row["case"] for row in rows if row["backend"] == "cpu"})
    step = -(-len(found) // MAX_CASES) or 1
    return found[::step]


if __name__ == "__main__":
    sys.exit(main())
