"""How the key of a draw is made, as text and back: as in `s7`, `s7.fold5` and `s7.split3at1`.

    s7                   jax.random.key(7)
    k000000010000abcd    jax.random.wrap_key_data([0x00000001, 0x0000abcd])
    s7.fold5             jax.random.fold_in(jax.random.key(7), 5)
    s7.split3at1         jax.random.split(jax.random.key(7), 3)[1]
    s7.split3at1.fold5   fold_in of that child, and so on

The words of a key are eight hexadecimal digits each, the high one first: two of Threefry, four of
`rbg`. No character of a key separates fields of an id, or means anything to a shell or a path.
"""

from __future__ import annotations

import dataclasses
import functools
import re

WORD_BITS = 32

WORD_DIGITS = 8

LARGEST = 2**63 - 1
"""The largest seed that JAX takes."""

LARGEST_DATA = 2**32 - 1
"""The largest number that `fold_in` takes."""

MOST_CHILDREN = 2**20
"""Of one split, all of which JAX computes: 8 MiB of keys."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Step:
    """One key made of another: `fold_in(key, number)`, or child `index` of `split(key, number)`."""

    name: str
    number: int
    index: int = 0

    @property
    def text(self) -> str:
        """Return `fold5` or `split3at1`."""
        child = f"at{self.index}" if self.name == SPLIT else ""
        return f"{self.name}{self.number}{child}"


FOLD, SPLIT = "fold", "split"

_STEP = re.compile(
    rf"(?P<name>{FOLD})(?P<number>[0-9]+)|{SPLIT}(?P<children>[0-9]+)at(?P<index>[0-9]+)"
)

_ROOT = re.compile(rf"s(?P<seed>[0-9]+)|k(?P<words>([0-9a-f]{{{WORD_DIGITS}}})+)")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class KeySpec:
    """How a key is made: from a seed or from its words, then step by step.

    seed: 0 where the words are given. words: of 32 bits; empty where a seed makes the key.
    """

    seed: int = 0
    words: tuple[int, ...] = ()
    steps: tuple[Step, ...] = ()

    @property
    def is_seed(self) -> bool:
        """Whether the key is that of its seed and nothing else."""
        return not (self.words or self.steps)

    @property
    def text(self) -> str:
        """Return the key as ids have it: see above."""
        words = "".join(f"{word:0{WORD_DIGITS}x}" for word in self.words)
        root = f"k{words}" if words else f"s{self.seed}"
        return ".".join((root, *(step.text for step in self.steps)))

    def fold_in(self, number: int) -> KeySpec:
        """Return how the key is made that `jax.random.fold_in` makes of this one."""
        return self._next(Step(name=FOLD, number=number))

    def split(self, number: int, index: int) -> KeySpec:
        """Return how child `index` of `jax.random.split(key, number)` is made."""
        return self._next(Step(name=SPLIT, number=number, index=index))

    def _next(self, step: Step) -> KeySpec:
        return dataclasses.replace(self, steps=(*self.steps, step))


def parse_key(text: str) -> KeySpec:
    """Return the key that `text` describes.

    Raises:
        ValueError: it describes none; the message says which part, and how one is written.
    """
    root, *steps = text.split(".")
    if not (found := _ROOT.fullmatch(root)):
        raise ValueError(
            f"key {text!r} is not understood: write a seed as s7, or the words of a key as "
            "k000000010000abcd, eight hexadecimal digits each; then perhaps .fold5 or .split3at1"
        )
    digits = found["words"] or ""
    if (seed := int(found["seed"] or 0)) > LARGEST:
        raise ValueError(f"seed {seed} is larger than {LARGEST}, the largest that JAX takes")
    words = (digits[i : i + WORD_DIGITS] for i in range(0, len(digits), WORD_DIGITS))
    return KeySpec(
        seed=seed,
        words=tuple(int(word, 16) for word in words),
        steps=tuple(_parse_step(step, text) for step in steps),
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """How the key that draws is made, where an initializer draws with another than it is given.

    root: what it makes a key of, whatever it is given; None where it starts from that.
    steps: from the root on.
    """

    root: KeySpec | None = None
    steps: tuple[Step, ...] = ()


@functools.lru_cache(maxsize=256)
def parse_descent(text: str) -> Descent:
    """Return what a text such as `split2at1`, `s7.fold5` or "" says of the key that draws.

    Raises:
        ValueError: it says nothing of the kind; the message says which part, and how it is written.
    """
    if not text:
        return Descent()
    if not _ROOT.fullmatch(text.partition(".")[0]):
        return Descent(steps=tuple(_parse_step(step, text) for step in text.split(".")))
    key = parse_key(text)
    return Descent(root=dataclasses.replace(key, steps=()), steps=key.steps)


def _parse_step(step: str, text: str) -> Step:
    found = _STEP.fullmatch(step)
    if not found:
        raise ValueError(
            f"{step!r} in key {text!r} is not understood: write fold5 for fold_in(key, 5), or "
            "split3at1 for split(key, 3)[1]"
        )
    if found["name"]:
        if (number := int(found["number"])) > LARGEST_DATA:
            raise ValueError(
                f"{step!r} in key {text!r}: fold_in takes numbers of 32 bits, up to {LARGEST_DATA}"
            )
        return Step(name=FOLD, number=number)
    children, index = int(found["children"]), int(found["index"])
    if index >= children:
        raise ValueError(
            f"{step!r} in key {text!r}: the children of split(key, {children}) are numbered from 0 "
            f"to {children - 1}"
            if children
            else f"{step!r} in key {text!r}: split(key, 0) has no children"
        )
    if children > MOST_CHILDREN:
        raise ValueError(
            f"{step!r} in key {text!r}: split into {MOST_CHILDREN} keys at most, since all are made"
        )
    return Step(name=SPLIT, number=children, index=index)
