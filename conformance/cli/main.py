"""Find the command, run it, and turn what goes wrong into one clear line and an exit code."""

from __future__ import annotations

import argparse
import importlib
import itertools
import sys
from collections.abc import Collection, Sequence
from typing import Any, NoReturn

from conformance.cli.configured import Configurable
from conformance.cli.output import Output, standard_output
from conformance.core.ending import seek_no_garbage
from conformance.core.errors import (
    ConformanceError,
    ExitCode,
    SelectionError,
    nearest,
    unknown,
)
from conformance.core.imports import told
from conformance.core.paths import empty
from conformance.report.escape import printable
from conformance.run.interruption import (
    exit_code,
    no_early_success,
    orderly_interruption,
    say_ended,
)

COMMANDS = {
    "run": "run cases and report the verdict",
    "record": "run cases and store what they returned, without judging",
    "compare": "compare two recordings or golden sets, case by case",
    "gate": "record under two releases and say whether the upgrade changes anything",
    "bisect": "find the release since which something differs",
    "merge": "merge results of several machines, nights and shards into one verdict",
    "history": "show when each case last changed class, over many runs",
    "goldens": "review, accept, reject, prune and verify golden sets",
    "list": "list initializers, problems or cases",
    "law": "sweep initializers over every random word and show their exact laws",
    "faults": "plant faults on purpose, and show which check each of them dies of",
    "lowering": "compare the programs that JAX lowers with the accepted ones",
    "compile": "compile for an accelerator that is not here, and predict CUDA's bits",
    "audit": "audit the initial parameters of a model: keys, laws, fans, duplicates",
    "explain": "show the stages of one case beside the oracle's",
    "cache": "list and clear what earlier commands left in the user's cache",
    "completion": "print a script with which a shell completes commands and options",
    "doctor": "show what in this environment can change numbers",
}
"""Command names and their one-line help; `ARGUMENTS.<name>` says what each takes,
and `conformance.cli.<name>` does it."""

ARGUMENTS = "conformance.cli.arguments"

EXAMPLES = """
examples:
  conformance run --tier quick                                 every initializer, in a minute
  conformance run --initializer 'he_*' --dtype bfloat16        some of them
  conformance run lecun_normal-float32-64x32-s0-cpu-eager      one case, as reports name it
  conformance gate --from 0.11.2 --to latest                   may we take the new JAX?
  conformance doctor                                           what here can change numbers
"""


class Once(argparse._StoreAction):
    """Takes the value of an option, and no other one after it: the last would win unseen."""

    _given: Any = None

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Take the value.

        Raises:
            argparse.ArgumentError: another one was given before.
        """
        if self._given not in (None, values):
            raise argparse.ArgumentError(
                self, f"given twice, as {self._given} and as {values}: give one"
            )
        if option_string is not None:
            self._given = values
        super().__call__(parser, namespace, values, option_string)


class Parser(argparse.ArgumentParser):
    """A parser that tells a wrong call in its own words, with the exit code of all wrong calls."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for name in (None, "store"):
            self.register("action", name, Once)

    def parse_known_args(self, *arguments: Any) -> tuple[Any, list[str]]:  # type: ignore[override]
        """Parse, and refuse what is left: the command that was given knows its own options."""
        found, rest = super().parse_known_args(*arguments)
        for word in rest:
            self.exit(ExitCode.USAGE, f"{self.prog}: {self._one_too_many(word)}\n")
        return found, rest

    def _one_too_many(self, word: str) -> str:
        """Return what to say of a word that the command has no use for."""
        see = f"see `{self.prog} --help`"
        if not word.startswith("-"):
            return f"argument {word!r} is one too many: {see}"
        option = word.partition("=")[0]
        # Without the hyphens, which all options share.
        known = {each.lstrip("-"): each for each in self._option_string_actions}
        near = [known[name] for name in nearest(option.lstrip("-"), known)]
        hint = f"did you mean {' or '.join(near)}?" if near else see
        return f"option {option!r} is unknown: {hint}"

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse what is no choice, and say which one may be meant."""
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, unknown("value", value, list(action.choices)))

    def error(self, message: str) -> NoReturn:
        """Print the message, and where help is; the usage of `run` would hide it, and exit."""
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    A wrong call, a broken file, a missing device and a missing package are one line on stderr. Any
    other exception is a defect of this program, and shows its traceback.
    """
    seek_no_garbage()
    try:
        return _run(list(sys.argv[1:] if argv is None else argv))
    except Exception as error:
        if (known := told(error)) is None:
            raise
        print(f"conformance: {known}", file=sys.stderr)
        return known.exit_code


def _run(words: list[str]) -> int:
    try:
        with no_early_success(), orderly_interruption(), standard_output() as output:
            refuse_empty(words)
            arguments = _parsed(words, output)
            _refuse_mistakes(arguments)
            code: int = _module(arguments.command).run(arguments)
            output.flush()
    except KeyboardInterrupt as error:
        say_ended(error)
        return exit_code(error)
    except ConformanceError as error:
        print(f"conformance: {printable(str(error))}", file=sys.stderr)
        return error.exit_code
    if output.fault:
        print(f"conformance: {output.fault}", file=sys.stderr)
        return ExitCode.first(code, ExitCode.MISSING)
    return code


def _refuse_mistakes(arguments: argparse.Namespace) -> None:
    from conformance.cli.mistakes import refuse_mistakes  # here, not above: help has none

    refuse_mistakes(arguments)


def _parsed(words: list[str], output: Output) -> argparse.Namespace:
    """Return the parsed command line; help that cannot be written is no success."""
    try:
        return parse(words)
    except SystemExit as end:
        output.flush()
        if end.code != ExitCode.OK or not output.fault:
            raise
        print(f"conformance: {output.fault}", file=sys.stderr)
        raise SystemExit(ExitCode.MISSING) from None


def refuse_empty(words: list[str]) -> None:
    """Refuse words that name nothing, as a shell makes of a variable that is not set.

    None of them may mean "all", "here" or "as if it was not given": a gate of `--target ""` would
    pass for another question than the one that was asked.

    Raises:
        SelectionError: an option or an argument is empty.
    """
    for before, word in itertools.pairwise(["", *words]):
        is_joined = word.startswith("--") and "=" in word
        option, _, value = word.partition("=") if is_joined else (before, "", word)
        if value.strip():
            continue
        if option.startswith("--") and (is_joined or "=" not in option):
            raise empty(option.removeprefix("--"), value)
        raise SelectionError(f"an argument is empty ({value!r}): name one, or leave it out")


def parse(words: list[str]) -> argparse.Namespace:
    """Return the parsed command line; only what the command that it names takes is imported.

    Raises:
        SelectionError: what is configured is wrong.
    """
    chosen = next((word for word in words if not word.startswith("-")), None)
    parser, commands = program([chosen] if chosen in COMMANDS else [])
    if not words:
        parser.print_help(sys.stderr)
        parser.exit(ExitCode.USAGE, EXAMPLES)
    if chosen is not None and words[0] not in (chosen, "-h", "--help", "--version"):
        parser.error(f"{words[0]!r} stands before the command: write `conformance run {words[0]}`")
    if chosen is not None and chosen not in COMMANDS:
        parser.error(unknown("command", chosen, list(COMMANDS)))
    configurable = [Configurable(command) for command in commands]
    arguments = parser.parse_args(words)
    for each in configurable:
        each.fill(arguments)
    return arguments


def program(names: Collection[str]) -> tuple[Parser, list[Parser]]:
    """Return the parser of all commands, and those of the named ones, which alone know options."""
    parser = Parser(
        prog="conformance", description="Numerical conformance of JAX and Flax initializers."
    )
    own = importlib.import_module("conformance")  # above this layer, and loaded before it
    parser.add_argument("--version", action="version", version=f"conformance {own.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    known = [commands.choices[name] for name in names]
    for name in names:
        importlib.import_module(f"{ARGUMENTS}.{name}").add_arguments(commands.choices[name])
    return parser, known


def say_waiting(holder: str) -> None:
    """Say for whom a command waits that changes a golden set."""
    print(f"waiting: the golden set is being changed by {holder}", file=sys.stderr)


def _module(command: str) -> Any:
    return importlib.import_module(f"conformance.cli.{command}")
