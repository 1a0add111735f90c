"""The options that both front ends take, and the selection they make."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from conformance.cases.catalogue import registered_names
from conformance.cases.selection import Selection
from conformance.core.deadline import CASE_TIMEOUT_S
from conformance.core.errors import SelectionError, unknown
from conformance.core.ids import SHARDED, Tier
from conformance.core.keys import LARGEST, parse_key
from conformance.core.paths import LEDGER, empty, golden_option, named, shipped
from conformance.core.records import DriftClass, Environment
from conformance.core.settings import assignments
from conformance.observe.backends import present_backends
from conformance.observe.process import force_host_devices, optimize_less
from conformance.run.declared import AUTO, DEFAULT_DRIFT, LIST_OPTIONS

MOST_SEEDS = 100_000_000
"""Seeds of one range. At 5,000 cells a second, see docs/how-it-works.md, that many take one
initializer, one dtype and one shape half a day; and what is to be done is listed before it is."""


def runs_here(arguments: argparse.Namespace) -> bool:
    """Return whether a command runs its cases in this process.

    It does where it was told to, and where a program registered initializers before it called the
    command: a worker has never heard of them.
    """
    return arguments.in_process or bool(registered_names())


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the caller asked for, read once at the start: which cases, and judged by what.

    asked: the selection as it was named; its backends are () where none was, and `auto` may be one
        of them. tier: None where none was named, which `asked` takes as the standard one.
    fresh_seeds: what the keys of further draws are derived from, beside the problem.
    golden, ledger: None means the shipped ones. overlays: the golden sets that lie on that one.
    timeout_s: for a case. is_fast: XLA optimizes less; see `optimize_less`.
    """

    asked: Selection = dataclasses.field(default_factory=lambda: Selection(backends=()))
    tier: Tier | None = None
    golden: Path | None = None
    overlays: tuple[Path, ...] = ()
    max_drift: DriftClass = DEFAULT_DRIFT
    ledger: Path | None = None
    fresh_seeds: int = 0
    timeout_s: float = CASE_TIMEOUT_S
    is_fast: bool = False

    @property
    def is_auto(self) -> bool:
        """Whether the backends present take part."""
        return not self.asked.cases and (not self.asked.backends or AUTO in self.asked.backends)

    @property
    def narrows_cases(self) -> bool:
        """Whether cases are picked out by what they ask, whatever the backend and the tier."""
        asked = self.asked
        seeds = (*asked.seeds, *asked.ranges, *asked.keys)
        axes = (asked.dtypes, asked.shapes, seeds, asked.prngs, asked.transforms)
        return any((asked.initializers, *axes))

    @property
    def is_narrowed(self) -> bool:
        """Whether anything narrows the selection; a shard alone does not."""
        return self.tier is not None or bool(self.asked.backends) or self.narrows_cases

    @property
    def golden_folder(self) -> Path:
        """The golden set asked for, or the one shipped with this installation."""
        return self.golden or shipped()

    @property
    def ledger_file(self) -> Path:
        """The ledger asked for, or the one shipped with this installation."""
        return self.ledger or LEDGER

    @property
    def golden_option(self) -> str:
        """How commands name the golden sets that judge."""
        return golden_option(self.golden_folder, self.overlays)

    def on(self, *present: str) -> Selection:
        """Return the selection on the backends that were named, and on those for `auto`."""
        named = tuple(name for name in self.asked.backends if name != AUTO)
        also = present if self.is_auto else ()
        return dataclasses.replace(self.asked, backends=tuple(dict.fromkeys((*named, *also))))


def read(value: Callable[[str], Any], cases: Sequence[str] = ()) -> Options:
    """Return the options that a front end holds. value: an option's by its name; None: not there.

    Raises:
        SelectionError: a value is empty or cannot be read, or case ids come with --backend.
    """
    texts = {name: value(name) for name in ("tier", "shard", "golden", "ledger", "reports")}
    for name, text in texts.items():
        if text is not None:
            named(name, text)
    overlays = tuple(Path(named("overlay", folder)) for folder in value("overlay") or [])
    lists = {name: values(name, value(name) or []) for name in LIST_OPTIONS}
    if cases and lists["backend"]:
        raise SelectionError("case ids name their backend: leave out --backend")
    if cases and texts["tier"] is not None:
        raise SelectionError("case ids are run whatever their tier: leave out --tier")
    golden, ledger = texts["golden"], texts["ledger"]
    read_tier = None if texts["tier"] is None else _tier(texts["tier"])
    asked = Selection(
        tier=read_tier or Tier.STANDARD,
        backends=lists["backend"],
        initializers=lists["initializer"],
        dtypes=lists["dtype"],
        shapes=lists["shape"],
        **_seeds(lists["seed"]),
        keys=_keys(lists["key"], lists["seed"]),
        prngs=lists["prng"],
        transforms=lists["transform"],
        cases=tuple(cases),
        shard=_shard(texts["shard"] or "1/1"),
    )
    return Options(
        asked=asked,
        tier=read_tier,
        golden=None if golden is None else Path(golden),
        overlays=overlays,
        max_drift=DriftClass(value("max-drift") or DEFAULT_DRIFT),
        ledger=None if ledger is None else Path(ledger),
        fresh_seeds=_fresh(value("fresh-seeds")),
        timeout_s=value("case-timeout") or CASE_TIMEOUT_S,
        is_fast=bool(value("fast")),
    )


def _fresh(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise SelectionError(
            f"--fresh-seeds {text!r} is not a whole number of 0 or more: give one that names the "
            "night, such as its date"
        )
    return int(text)


def given(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what a command was given, by the names of the options, as JSON can hold it."""
    names = nothing_given()
    return {name: getattr(arguments, name.replace("-", "_"), None) for name in names}


def nothing_given() -> dict[str, Any]:
    """Return what `given` tells of a command that was given nothing."""
    names = (*LIST_OPTIONS, "tier", "shard", "golden", "overlay", "max-drift", "ledger")
    return dict.fromkeys((*names, "fresh-seeds", "case-timeout", "fast", "reports", "cases"))


def read_arguments(arguments: argparse.Namespace) -> Options:
    """Return the options of a command; one that it has not is as if it were not given.

    Raises:
        SelectionError: a value is empty or cannot be read, or case ids come with --backend.
    """
    return read_given(given(arguments))


def read_given(values: Mapping[str, Any]) -> Options:
    """Return the options that `given` told, in this or another process.

    Raises:
        SelectionError: a value is empty or cannot be read, or case ids come with --backend.
    """
    return read(values.get, values["cases"] or ())


def selection_here(options: Options) -> Selection:
    """Return the selection on this machine, and make this process fit to run it.

    `auto` becomes the backends present in this process, which starts JAX; before that, XLA is
    asked for the host devices that sharded cases need, and to optimize less where that is wanted.
    """
    if options.is_fast:
        optimize_less()
    if may_shard(options.asked):
        force_host_devices()
    return options.on(*present_backends()) if options.is_auto else options.on()


def may_shard(selection: Selection) -> bool:
    """Return whether cases of the selection may spread an array over several devices."""
    if selection.cases:
        return any(case.endswith(SHARDED) for case in selection.cases)
    if selection.transforms:
        return not set(SHARDED).isdisjoint(selection.transforms)
    return selection.tier is not Tier.QUICK


def rerun(words: Sequence[str], options: Options, environment: Environment) -> str:
    """Return the command that repeats what was seen: the words, and all that the verdict hung on.

    That is every judging option, the deadline, and every setting of JAX, XLA and the drivers that
    is not as usual.
    """
    return rerunner(options, environment)(words)


def rerunner(options: Options, environment: Environment) -> Callable[[Sequence[str]], str]:
    """Return `rerun` of any words, for a run of which all cases have these options."""
    judging: Mapping[str, Sequence[object]] = {
        "golden": [options.golden],
        "overlay": options.overlays,
        "max-drift": [None if options.max_drift is DEFAULT_DRIFT else options.max_drift],
        "ledger": [options.ledger],
        "fresh-seeds": [options.fresh_seeds or None],
        "case-timeout": [None if options.timeout_s == CASE_TIMEOUT_S else f"{options.timeout_s:g}"],
    }
    parts = [
        [f"--{name}", str(value)]
        for name, values in judging.items()
        for value in values
        if value is not None
    ]
    before, after = assignments(environment), shlex.join(itertools.chain(*parts))
    return lambda words: " ".join(filter(None, [*before, shlex.join(words), after]))


def values(name: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Return the values of an option that takes some separated by commas, and may be repeated.

    Raises:
        SelectionError: one is empty.
    """
    parts = tuple(part.strip() for text in texts for part in text.split(","))
    if not all(parts):
        raise empty(name, ",".join(texts))
    return parts


def _tier(text: str) -> Tier:
    try:
        return Tier(text)
    except ValueError:
        raise SelectionError(unknown("tier", text, list(Tier))) from None


def _seeds(texts: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of a selection for seeds: where one is a range, all are."""
    if not any(":" in text for text in texts):
        return {"seeds": tuple(map(_seed, texts))}
    return {"ranges": tuple(map(_range, texts))}


def _keys(texts: tuple[str, ...], seeds: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys as ids write them."""
    if texts and any(":" in seed for seed in seeds):
        raise SelectionError(
            f"--seed {','.join(seeds)} is a range, which is run by itself: ask for --key "
            f"{','.join(texts)} in a run of its own"
        )
    try:
        return tuple(parse_key(text).text for text in texts)
    except ValueError as error:
        raise SelectionError(str(error)) from None


def _range(text: str) -> range:
    start, colon, stop = text.partition(":")
    found = range(_seed(start), _seed(stop) if colon else _seed(start) + 1)
    if not found:
        raise SelectionError(
            f"seeds {text!r} are none: write the first and the one after the last, as in 0:200"
        )
    if found.stop - found.start > MOST_SEEDS:
        raise SelectionError(
            f"seeds {text!r} are {found.stop - found.start:,}, more than the {MOST_SEEDS:,} of one "
            "run: ask for fewer, and for the rest in runs of their own"
        )
    return found


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise SelectionError(f"seed {text!r} is not a whole number of 0 or more")
    if int(text) > LARGEST:
        raise SelectionError(f"seed {text} is larger than {LARGEST}, the largest that JAX takes")
    return int(text)


def _shard(text: str) -> tuple[int, int]:
    index, slash, count = text.partition("/")
    if not (slash and index.isdigit() and count.isdigit()):
        raise SelectionError(f"shard {text!r} is not understood: write --shard 2/5")
    return int(index), int(count)
