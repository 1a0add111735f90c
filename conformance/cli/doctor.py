"""`conformance doctor`: what in this environment can change numbers, and what is unusual in it."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path

from conformance.cases.backends import HERE, BackendSpec, installed
from conformance.cli.output import tell, write_all
from conformance.core.configuration import configured
from conformance.core.errors import ExitCode, GoldenError
from conformance.core.paths import golden_folder
from conformance.core.records import Environment
from conformance.core.settings import NOTE, comparable, differences, told, unusual
from conformance.core.versions import DOCTOR
from conformance.flax.store import open_layers
from conformance.observe import environment, lapack, programs
from conformance.observe.backends import present_backends
from conformance.report.aligned import described, wrapped
from conformance.store.read import open_store


def run(arguments: argparse.Namespace) -> int:
    """Print the facts, then what is unusual, then what differs from where the goldens were made."""
    found, fault = examined(golden_folder(arguments.golden))
    code = write_all(
        tell(arguments, functools.partial(to_text, found), json=lambda: to_json(found))
    )
    if fault is not None:
        raise fault
    return ExitCode.first(ExitCode.OK, code)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found here, a line each but for the facts.

    golden: the folder whose making this environment is compared with. unlike_golden: None where it
    cannot be read. unlike_layers: None where the set holds no layers; else what differs from where
    those were made, and is not in unlike_golden.
    """

    packages: Mapping[str, str]
    devices: Mapping[str, str]
    host: Mapping[str, str]
    config: Mapping[str, str]
    configuration: Mapping[str, str]
    programs: list[str]
    backends: list[str]
    unusual: list[str]
    golden: str
    unlike_golden: list[str] | None = None
    unlike_layers: list[str] | None = None


def examined(golden: Path) -> tuple[Examined, GoldenError | None]:
    """Return what is here and differs from where the goldens were made, and why that is unknown."""
    here = environment.capture(present_backends())
    found = Examined(
        packages=here.packages,
        devices=here.devices,
        host=told(here.host),
        config=here.config,
        configuration=configuration_told(),
        programs=programs.lines(here),
        backends=backend_lines(),
        unusual=[*unusual(here), *_untold(here)],
        golden=str(golden),
    )
    try:
        there, of_layers = open_store(golden).environment, open_layers(golden)
    except GoldenError as error:
        return found, error
    unlike, others = _unlike(there, here), None
    if of_layers is not None:
        others = [line for line in _unlike(of_layers.environment, here) if line not in unlike]
    return dataclasses.replace(found, unlike_golden=unlike, unlike_layers=others), None


def configuration_told() -> dict[str, str]:
    """Return the options whose defaults are set, each with its value and by what."""
    return {
        f"--{name}": f"{','.join(setting.texts)} ({setting.source})"
        for name, setting in configured().items()
    }


def to_text(found: Examined, width: int | None = None) -> str:
    """Return each section under its title, for a terminal of that width."""
    room = None if width is None else width - len(INDENT)
    sections = {
        **{name: described(getattr(found, name).items(), room) for name in FACTS},
        "configuration": described(found.configuration.items(), room) or ["nothing"],
        "compiled programs": found.programs,
        "backends": found.backends,
        "unusual": found.unusual or ["nothing"],
    }
    if found.unlike_golden is not None:
        sections[f"unlike where {found.golden} was made"] = found.unlike_golden or ["nothing"]
    if found.unlike_layers is not None:
        sections["and, besides, where its layers were"] = found.unlike_layers or ["nothing"]
    lines = []
    for title, texts in sections.items():
        lines += [*wrapped(title, width)]
        lines += [f"{INDENT}{line}" for text in texts for line in wrapped(text, room)]
    return "\n".join([*lines, ""])


INDENT = "  "
"""Before the lines of a section."""


FACTS = ("packages", "devices", "host", "config")


def to_json(found: Examined) -> str:
    """Return the same as one JSON document."""
    return json.dumps(DOCTOR.stamped(dataclasses.asdict(found)), indent=1) + "\n"


def backend_lines() -> list[str]:
    """Return what each backend is: one that answers here, or what installs it; then what is broken.

    Executors are not opened, since some start a compiler.
    """
    present, known = present_backends(), installed()
    lines = [
        f"{spec.name}: {'present' if spec.name in present else _absent(spec)}"
        f"{'' if spec.origin == HERE else f', of {spec.origin}'}"
        for spec in known.specs()
    ]
    others = [f"{name}: present" for name in present if name not in known.names()]
    return [*lines, *others, *known.faults()]


def _absent(spec: BackendSpec) -> str:
    kind = "an executor" if spec.is_executor else "absent"
    return f"{kind} ({spec.hint})" if spec.hint else kind


def _untold(here: Environment) -> list[str]:
    """Return how to learn which LAPACK this is, where nothing here can tell."""
    if "lapack" in here.host or importlib.util.find_spec(lapack.WITNESS):
        return []
    return [f"lapack=unknown: `pip install {lapack.WITNESS}` tells which, and its kernel"]


def _unlike(there: Environment, here: Environment) -> list[str]:
    notes = (f"{name}: {text}" for name, text in there.host.items() if name.endswith(NOTE))
    return [*differences(there, comparable(here, there)), *notes]
