"""What happened in a run, and what differs that may explain it, in one sentence."""

from __future__ import annotations

import collections

from conformance.core.records import DriftClass, Environment, Status
from conformance.core.settings import CONSEQUENCES, Difference, differing, repeats_setting, told
from conformance.core.words import counted
from conformance.report.run import CLASSES, NO_GOLDEN, Run, by_class

N_FACTS = 2
"""Facts that the sentence names; the table of the environment has all."""

DID = {
    DriftClass.IDENTICAL: "returned the golden's bits and failed a check",
    DriftClass.ROUNDING: "rounded otherwise",
    DriftClass.BIASED: "rounded one way, or by another mode",
    DriftClass.TRANSFORM: "made other numbers of the same random bits",
    DriftClass.STREAM: "returned another stream",
    DriftClass.LAW: "drew from another law",
    DriftClass.STRUCTURAL: "put elements elsewhere, or another shape or dtype",
    DriftClass.CONTRACT: "broke the contract of an initializer",
    DriftClass.UNKNOWN: "differ in what was seen of them",
    NO_GOLDEN: "failed a check, and had no golden",
}
"""What the failed cases of a class did, as the sentence says it."""

ARE_CODE = ("jax", "jaxlib", "flax", "numpy", "scipy", "ml_dtypes")
"""Packages that compute numbers."""

TOLD_CODE = ("jax", "jaxlib", "flax")
"""Those that a summary names of both sides."""

ARE_HARDWARE = ("isa", "xla_isa", "lapack", "lapack_kernel", "lapack_threads", "libc")
"""Facts of a host that may move the last digits, and no more."""

ROUNDS = (DriftClass.ROUNDING, DriftClass.BIASED, DriftClass.TRANSFORM, DriftClass.UNKNOWN)


SIDES = ("here", "where the goldens were made")
"""What the two sides of a run are called in its sentence."""


def headline(run: Run) -> str:
    """Return what most failed cases did, and what differs from where the goldens were made.

        10 of 18 cases returned another stream: jax_threefry_partitionable is False here, True
        where the goldens were made

    What differs is said, not that it is the cause: a rerun without it proves that. "" where nothing
    failed.
    """
    failed = by_class({key: n for key, n in run.tally.items() if key.status == Status.FAILED})
    classes = collections.Counter({name: failed[name] for name in reversed(CLASSES)})
    return happened(classes, run.n_judged, run.environment, run.golden_environment)


def happened(
    classes: collections.Counter[str],
    n_cases: int,
    here: Environment,
    there: Environment | None,
    names: tuple[str, str] = SIDES,
) -> str:
    """Return what most of what drifted did, of so many cases, and what differs there; or "".

    classes: how many are of each, the worst first. there: the other side; None where nobody knows.
    names: what the two sides are called.
    """
    if not classes.total():
        return ""
    most, n = classes.most_common(1)[0]
    sentence = f"{n} of {counted(n_cases, 'case')} {DID[most]}"
    if there is None or most == NO_GOLDEN:
        return sentence
    return f"{sentence}: {_facts(suspects(here, there, most), names)}"


def suspects(here: Environment, there: Environment, drift_class: str) -> list[Difference]:
    """Return of what differs between two sides that which such drift can come of.

    Settings before versions, and those before the hardware, which can only round otherwise.
    """
    found = [each for each in differing(here, there) if not repeats_setting(each.name, here.config)]
    matter = (CONSEQUENCES.keys(), ARE_CODE, *((ARE_HARDWARE,) if drift_class in ROUNDS else ()))
    return [each for names in matter for each in found if each.name in names]


def _facts(differences: list[Difference], names: tuple[str, str]) -> str:
    here, there = names
    if not differences:
        return f"nothing that is known to matter differs {_between(names)}"
    # Where the goldens were made is long, and said once.
    each_there, at_end = ("", f" {there}") if names == SIDES else (f" {there}", "")
    named = " and ".join(
        f"{each.name} is {each.left} {here}, {each.right}{each_there}"
        for each in differences[:N_FACTS]
    )
    rest = len(differences) - N_FACTS
    verb = "differs" if rest == 1 else "differ"
    more = f", and {counted(rest, 'other fact')} {verb}" if rest > 0 else ""
    return f"{named}{at_end}{more}"


def _between(names: tuple[str, str]) -> str:
    return f"from {names[1]}" if names == SIDES else "between the sides"


def sides(run: Run) -> list[str]:
    """Return what numbers depend on most, of both sides, a line each.

        here: jax 0.12.0.1, jaxlib 0.12.0.1, flax 0.12.1, OpenBLAS 0.3.30 Haswell, cpu

    One line alone where nobody knows where the goldens were made.
    """
    there = run.golden_environment
    lines = [f"here: {side(run.environment)}"]
    return [*lines, f"goldens: {side(there)}"] if there is not None else lines


def side(environment: Environment) -> str:
    """Return what numbers depend on most, in one line."""
    packages, host = environment.packages, told(environment.host)
    code = [f"{name} {packages[name]}" for name in TOLD_CODE if name in packages]
    lapack = dict.fromkeys((host["lapack"], host["lapack_kernel"]))
    kinds = [value for name, value in environment.devices.items() if name.endswith(".kind")]
    hardware = dict.fromkeys([*kinds, *([host["cpu"]] if "cpu" in host else [])])
    return ", ".join([*code, f"LAPACK {' '.join(lapack)}", *hardware])
