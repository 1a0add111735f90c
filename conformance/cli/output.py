"""Standard output as a command needs it: its reader may leave, and the verdict still comes."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from conformance.cli.arguments.forms import STDOUT
from conformance.cli.terminal import width_of
from conformance.core.errors import ExitCode, ReportError, cannot_write
from conformance.core.imports import told
from conformance.report.escape import printable

if TYPE_CHECKING:
    from conformance.report.page.model import Page

Render = Callable[[], str]


def tell(
    arguments: argparse.Namespace, text: Callable[[int | None], str], **forms: Render
) -> list[Callable[[], None]]:
    """Print the text, or instead of it the forms that go to standard output.

    text: of so many columns as the terminal has; None: of whole lines, for a file or a pipe.

    Returns what writes the others: after the verdict is told, since a file may not take it.
    """
    files = {name: file for name in forms if (file := getattr(arguments, name)) is not None}
    printed = [forms[name] for name, file in files.items() if file == STDOUT]
    if printed:
        sys.stdout.write("".join(render() for render in printed))
    else:
        sys.stdout.write(text(width_of(sys.stdout)))
    return [
        functools.partial(_write_form, Path(file), forms[name])
        for name, file in files.items()
        if file != STDOUT
    ]


def _write_form(path: Path, render: Render) -> None:
    write_text(path, render())


class Output:
    """A stream that goes on into nothing when its reader, `head` say, has seen enough.

    What is written is text: a terminal obeys nothing in it; see `escape.printable`.

    stream: None where the caller closed it, which is a reader who left at once. fault: why the
        place cannot be written, a full disk say; "" if it can. The command goes on: its verdict
        counts.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self.fault = ""
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text, if anybody reads it."""
        if self._stream is not None:
            with self._unless_left(self._stream):
                self._stream.write(printable(text))
        return len(text)

    def flush(self) -> None:
        """Send what was written, if anybody reads it."""
        if self._stream is not None:
            with self._unless_left(self._stream):
                self._stream.flush()

    def isatty(self) -> bool:
        """Return whether somebody looks."""
        return self._stream is not None and not self._stream.closed and self._stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _unless_left(self, stream: TextIO) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            _leave(stream)
        except OSError as error:
            _leave(stream)
            self.fault = (
                f"standard output cannot be written: {error.strerror or error}. Free that place, "
                "or send the output elsewhere"
            )


def _leave(stream: TextIO) -> None:
    """Let the rest, and what Python flushes at its end, go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


@contextlib.contextmanager
def standard_output() -> Iterator[Output]:
    """Lend a standard output that never ends a command by a reader who left.

    A standard error that the caller closed is there too, and goes nowhere.
    """
    output = Output(sys.stdout)
    with contextlib.ExitStack() as stack:
        if sys.stderr is None:
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stderr(nowhere))
        stack.enter_context(contextlib.redirect_stdout(cast("TextIO", output)))
        yield output


def write_all(files: Iterable[Callable[[], None]]) -> ExitCode:
    """Write each file; say which cannot be written, and return whether one is missing.

    So does one for which a package is missing: the verdict has been said, and it counts.
    """
    code = ExitCode.OK
    for write in files:
        try:
            write()
        except Exception as error:
            known = error if isinstance(error, ReportError) else told(error)
            if known is None:
                raise
            print(f"conformance: {printable(str(known))}", file=sys.stderr)
            code = known.exit_code
    return code


def write_text(path: Path, text: str) -> None:
    """Write the text at once and whole.

    Raises:
        ReportError: the place takes no file.
    """
    # Here, not above, as hashing is what takes longest of help.
    from conformance.core.files import replace_file

    try:
        replace_file(path, text.encode(errors="backslashreplace"))
    except OSError as error:
        raise cannot_write(path, error) from error


def write_page(page: Page, folder: str) -> None:
    """Write the page to a folder of its own, as a run does, and say on standard error where.

    Raises:
        ReportError: the place takes no file.
    """
    # Here, not above: every command has an output, and most have no page.
    from conformance.report.page.render import html
    from conformance.report.recorder import PAGE, new_run_id

    path = Path(folder) / new_run_id() / PAGE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path.parent, error, "--reports DIR") from error
    write_text(path, html(page))
    print(f"page: {path}", file=sys.stderr)
