"""The file of machines: where the nightly run happens, and under which JAX.

It is read before anything is installed, from this checkout with the standard library.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
MACHINES = ROOT / ".github" / "machines.toml"
ACCEPTED = ROOT / ".github" / "accepted.txt"


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

    def left_out(self, planned: Sequence[str]) -> list[str]:
        """Return the machines of which none is among those planned, with any JAX."""
        names = [machine.name for machine in self.machine]
        return [name for name in names if not any(f"{name}-{jax}" in planned for jax in self.jax)]

    def registry_options(self, jax: str) -> list[str]:
        """Return the options of `conformance gate` and `bisect` that say where that JAX is found.

        Raises:
            SystemExit: there is no such JAX.
        """
        if jax not in self.jax:
            sys.exit(f"{jax!r} is no JAX of {MACHINES.name}: it knows {', '.join(self.jax)}")
        words = self.jax[jax]["cpu"].split()
        pre = ["--pre"] if "--pre" in words else []
        option = "--extra-index-url"
        return [*pre, "--index", words[words.index(option) + 1]] if option in words else pre


def read_machines(path: Path) -> Machines:
    """Return what the file of machines says.

    Raises:
        SystemExit: it cannot be read, says nothing of a backend's JAX, or describes a machine that
            no job would run on or two share the name of; the message names the place.
    """
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    from conformance.core.errors import Malformed, SelectionError
    from conformance.core.reading import document, naming, record

    try:
        with naming(path, SelectionError, "mend it"):
            found = record(Machines, document(path))
            for number, machine in enumerate(found.machine, start=1):
                for field, fault in _faults(machine, found.machine[: number - 1]).items():
                    raise Malformed(fault, ("machine", f"#{number}", field))
            for jax, requirements in found.jax.items():
                if lacking := {each.backend for each in found.machine} - requirements.keys():
                    raise Malformed(f"jax.{jax} says nothing of {min(lacking)}")
    except SelectionError as error:
        sys.exit(str(error))
    return found


def _faults(machine: Machine, before: Sequence[Machine]) -> dict[str, str]:
    """Return why jobs of a machine would never come to a verdict of their own, by the field."""
    faults = {}
    if machine.name in {each.name for each in before}:
        faults["name"] = f"{machine.name!r} is another machine's, whose artifacts it would replace"
    if not machine.runner:
        faults["runner"] = "[] is not a list of labels"
    if machine.shards < 1:
        faults["shards"] = f"{machine.shards} is not a number of jobs, from 1 on"
    return faults
