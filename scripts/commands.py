"""Running a command of this package as a step of a workflow does."""

from __future__ import annotations

import collections
import dataclasses
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

N_LAST = 5
"""Lines of a command's errors that are told again where it broke down."""

N_CHARACTERS = 1000
"""Of these lines; a resolver's one line can be long."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a command ended. last_words: the end of what it wrote to its standard error."""

    code: int
    last_words: str

    @property
    def is_verdict(self) -> bool:
        """Whether it said yes or no: 0 and 1 do, and no other code."""
        return self.code in (0, 1)


def run(words: Sequence[str], output: Path) -> Ended:
    """Run `conformance` with these words; its output goes to a file, its errors on as they come."""
    last: collections.deque[str] = collections.deque(maxlen=N_LAST)
    command = ["conformance", *words]
    print("+", *command, file=sys.stderr, flush=True)
    with (
        output.open("w") as text,
        subprocess.Popen(command, stdout=text, stderr=subprocess.PIPE, text=True) as child,  # noqa: S603  # our words
    ):
        assert child.stderr is not None
        for line in child.stderr:
            print(line, end="", file=sys.stderr, flush=True)
            last.append(line)
    return Ended(code=child.returncode, last_words="".join(last).strip()[-N_CHARACTERS:])
