"""PTX text -> kernels. Reads what LLVM's NVPTX back end writes; refuses the rest by name.

Grammar: PTX ISA 9.0, chapters 4 (syntax), 9.2 (predicated execution) and 11 (directives).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from conformance.predict.ptx.errors import PtxError, UnsupportedPtx

ENTRY = re.compile(
    r"\.visible\s+\.entry\s+(?P<name>\w+)\s*\((?P<parameters>[^)]*)\)(?P<directives>[^{]*)\{"
)
PARAMETER = re.compile(r"\.param\s+\.u64\s+(?:\.ptr\s+(?:\.align\s+\d+\s+)?)?(\w+)")
STATEMENT = re.compile(
    r"(?:@(?P<negation>!?)(?P<guard>%p\d+)\s+)?(?P<opcode>[a-z][\w.:]*)(?:\s+(?P<operands>.*))?"
)
OPERAND = re.compile(r"\{[^}]*\}|\[[^\]]*\]|[^,\s]+")
REGISTERS = re.compile(r"\.reg\s+\.(?:pred|b16|b32|b64)\s+(?:%[a-z]+<\d+>|\w+)")
BLOCK = re.compile(r"\{\s*(\.reg [^;]*;[^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")
"""Statements with registers of their own; each of LLVM's writes them before it reads them."""
HARMLESS = re.compile(r"\.(version|target|address_size)\s.*|\.visible \.global [^;=]*(= .*)?;")
"""Directives of a module that change no result: how to read it, and the bytes of HLO's constants,
which kernels are given as arguments."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """One instruction. It runs where its guard holds, or does not hold if `is_negated`.

    operands: registers, immediates, addresses in [], vectors in {}, or the name of a label.
    """

    opcode: str
    operands: tuple[str, ...]
    guard: str = ""
    is_negated: bool = False

    def __str__(self) -> str:
        guard = f"@{'!' * self.is_negated}{self.guard} " if self.guard else ""
        return f"{guard}{self.opcode} {', '.join(self.operands)}".strip()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One entry function. labels: index of the instruction after."""

    name: str
    parameters: tuple[str, ...]
    labels: Mapping[str, int]
    instructions: tuple[Instruction, ...]


def parse(text: str) -> tuple[Kernel, ...]:
    """Return the kernels of a module, in its order.

    Raises:
        UnsupportedPtx: a directive outside the subset, such as shared memory or a function.
        PtxError: the text is no PTX of this form.
    """
    text = re.sub(r"//[^\n]*", "", text)
    kernels = []
    position = 0
    while entry := ENTRY.search(text, position):
        _require_harmless(text[position : entry.start()])
        end = text.find("\n}", entry.end())
        if end < 0:
            raise PtxError(f"the body of {entry['name']} does not end: the text is cut off")
        kernels.append(_kernel(entry, text[entry.end() : end]))
        position = end + 2
    _require_harmless(text[position:])
    return tuple(kernels)


def _require_harmless(text: str) -> None:
    for line in filter(None, map(str.strip, text.splitlines())):
        if not HARMLESS.fullmatch(line):
            raise UnsupportedPtx(f"directive {line!r} is outside the emulated subset")


def _kernel(entry: re.Match[str], body: str) -> Kernel:
    labels: dict[str, int] = {}
    instructions: list[Instruction] = []
    for statement in _statements(body):
        if statement.endswith(":"):
            labels[statement[:-1]] = len(instructions)
        elif statement.startswith(".") and not REGISTERS.fullmatch(statement):
            raise UnsupportedPtx(
                f"{entry['name']}: directive {statement!r} is outside the emulated subset"
            )
        elif not statement.startswith("."):
            instructions.append(_instruction(statement))
    return Kernel(
        name=entry["name"],
        parameters=tuple(PARAMETER.findall(entry["parameters"])),
        labels=labels,
        instructions=tuple(instructions),
    )


def _statements(body: str) -> list[str]:
    """Return declarations, labels and instructions; a label keeps its colon."""
    split = re.sub(r"^\s*([$\w]+):(?!:)", r"\1:;", body, flags=re.MULTILINE)
    split = BLOCK.sub(r"\1", split)
    return [" ".join(part.split()) for part in split.split(";") if part.strip()]


def _instruction(statement: str) -> Instruction:
    found = STATEMENT.fullmatch(statement)
    if found is None:
        raise PtxError(f"{statement!r} is no instruction")
    return Instruction(
        opcode=found["opcode"],
        operands=tuple(OPERAND.findall(found["operands"] or "")),
        guard=found["guard"] or "",
        is_negated=found["negation"] == "!",
    )
