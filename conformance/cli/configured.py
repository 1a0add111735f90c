"""Options that were not given, from the configuration: an option goes before it."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from conformance.core.errors import SelectionError

if TYPE_CHECKING:
    from conformance.core.configuration import Setting

NAMES = (
    *("backend", "case-timeout", "golden", "ledger", "max-drift", "overlay", "reports", "tier"),
    "workers",
)
"""Options that `core.configuration` knows, which help does not import."""


UNFIT = {
    "policy": ("max-drift",),  # the file that was named says what passes
    "cases": ("backend", "tier"),  # an id says both
    "layer": ("tier",),  # layers have none
    "finish": ("backend", "tier"),  # journals hold what was asked
    "folders": ("tier",),  # of a merge, which would demand all of it
}
"""What is not filled in beside an option that was given: it would contradict it."""


class Configurable:
    """The options of a command that may be configured, without defaults until it was parsed.

    Only so is known which of them were given.
    """

    def __init__(self, command: argparse.ArgumentParser) -> None:
        taken = list(_options(command))
        self._actions = {
            name: [each for each in taken if f"--{name}" in each.option_strings] for name in NAMES
        }
        self._defaults = {id(each): each.default for each in self._all()}
        for each in self._all():
            each.default = None

    def fill(self, arguments: argparse.Namespace) -> None:
        """Give each option that was not given what is configured, or else its own default.

        Raises:
            SelectionError: what is configured is no value that the option takes.
        """
        settings = _settings(arguments) if any(self._all()) else {}
        for name, actions in self._actions.items():
            for action in actions:
                if getattr(arguments, action.dest, "elsewhere") is not None:
                    continue
                # `stage --backend` says whose answers they are, and not where to run.
                setting = settings.get(name) if action.dest == name.replace("-", "_") else None
                default = self._defaults[id(action)]
                value = default if setting is None else _value(action, setting)
                setattr(arguments, action.dest, value)

    def _all(self) -> Iterator[argparse.Action]:
        for actions in self._actions.values():
            yield from actions


def _settings(arguments: argparse.Namespace) -> Mapping[str, Setting]:
    """Return what is configured that is for these arguments."""
    from conformance.core.configuration import configured

    if arguments.command == "run" and arguments.resume is not None:
        return {}  # it goes on as it was begun
    found = configured()
    given = (names for option, names in UNFIT.items() if getattr(arguments, option, None))
    unfit = set(itertools.chain.from_iterable(given))
    return {name: setting for name, setting in found.items() if name not in unfit}


def _options(command: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the options of a command and of its actions, as `goldens stage` is one."""
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                yield from _options(each)
        else:
            yield action


def _value(action: argparse.Action, setting: Setting) -> Any:
    """Return what the option would be, had it been given so."""
    if isinstance(action, argparse._AppendAction):
        return list(setting.texts)
    (text,) = setting.texts
    if action.type is None:
        return text
    try:
        return action.type(text)  # type: ignore[operator]  # or the name of a registered one
    except argparse.ArgumentTypeError as error:
        raise SelectionError(f"{setting.source}: {error}") from None
