"""Files to which a line of JSON is added at a time, each with a checksum of its own.

The last line of a process that was killed may have been cut short: it ends in no newline, and was
never written. Anything else that is not what was written is damage, and named.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

from conformance.core.errors import Malformed

SEAL = "crc32"
"""Key of the checksum, the last of its line: of the text of the object without it."""

_SEALED = re.compile(rf'(?P<text>.*), "{SEAL}": "(?P<sum>[0-9a-f]{{8}})"}}', re.DOTALL)


def sealed(text: str) -> str:
    """Return an object that is a line of JSON, and not empty, with its checksum."""
    return f'{text[:-1]}, "{SEAL}": "{_checksum(text)}"}}'


def opened(line: str) -> str:
    """Return the object without its checksum, or as it is where it has none.

    Raises:
        Malformed: the object is not the one that it was sealed as.
    """
    found = _SEALED.fullmatch(line)
    if found is None:
        return line
    text = f"{found['text']}}}"
    if (now := _checksum(text)) != found["sum"]:
        raise Malformed(f"its checksum is {now}, and was {found['sum']} when it was written")
    return text


def is_sealed(line: str) -> bool:
    """Return whether the line has a checksum."""
    return _SEALED.fullmatch(line) is not None


def append(path: str | Path, line: str) -> None:
    """Add a line to a file, which is opened for it: nothing is left in a buffer, or open, after.

    By the system's own calls: Python's files take twice as long to look at what they open.

    Raises:
        OSError: the line was not written, or not all of it.
    """
    data = f"{line}\n".encode()
    descriptor = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o666)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


def whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file, from 1 on, without their ends; one that was cut short is not."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n"):
                yield number, line[:-1]


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
