"""Which approximate instructions of a kernel meet in one of its results.

Only those have to be varied against each other. A kernel that computes four elements a thread holds
every instruction four times; copies that never meet can take the same offset in one run.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping

from conformance.predict.ptx.operations import OPERATIONS
from conformance.predict.ptx.parser import Instruction, Kernel

REGISTER = re.compile(r"%?[A-Za-z_]\w*")

MEMORY = "[]"
"""Stands for all that is stored. `ld.global.nc` reads what no kernel writes meanwhile (9.7.9.9)."""

Sites = frozenset[int]
"""Approximate instructions, by their index in the kernel."""


def is_approximate(instruction: Instruction) -> bool:
    """Return whether several results of the instruction are permitted."""
    operation = OPERATIONS.get(instruction.opcode)
    return operation is not None and operation.is_approximate


def dials(kernel: Kernel) -> tuple[Sites, ...]:
    """Return the approximate instructions in groups, of which no two members meet in a result.

    Varying each group as one against all others gives every result all its permitted values.
    """
    if not any(map(is_approximate, kernel.instructions)):
        return ()
    meetings = list(_stored(kernel))
    groups: list[Sites] = []
    for index, instruction in enumerate(kernel.instructions):
        if is_approximate(instruction):
            met: Sites = frozenset().union(*(sites for sites in meetings if index in sites))
            free = next((number for number, group in enumerate(groups) if not group & met), None)
            if free is None:
                groups.append(frozenset({index}))
            else:
                groups[free] |= {index}
    return tuple(groups)


def _stored(kernel: Kernel) -> Iterator[Sites]:
    """Yield the approximate instructions that each stored word depends on."""
    reach, control = _reach(kernel)
    for instruction in kernel.instructions:
        if instruction.opcode.startswith("st."):
            address, words = instruction.operands
            for word in REGISTER.findall(words):
                yield _union(reach, [word, *REGISTER.findall(address)]) | control


def _reach(kernel: Kernel) -> tuple[Mapping[str, Sites], Sites]:
    """Return what each register depends on, whatever path was taken, and what the paths depend on.

    Conservative: a register depends on all that is ever written to it, and everything on the
    predicates of all jumps.
    """
    reach: dict[str, Sites] = {}
    control: Sites = frozenset()
    while True:
        before, count = control, sum(map(len, reach.values()))
        for index, instruction in enumerate(kernel.instructions):
            written, read = _flow(instruction)
            sites = _union(reach, read)
            if instruction.opcode.startswith("bra"):
                control |= sites
            if is_approximate(instruction):
                sites |= {index}
            for register in written:
                reach[register] = reach.get(register, frozenset()) | sites
        if (before, count) == (control, sum(map(len, reach.values()))):
            return reach, control


def _flow(instruction: Instruction) -> tuple[list[str], list[str]]:
    """Return the registers that an instruction writes and those that it reads; MEMORY is one."""
    opcode = instruction.opcode
    guard = [instruction.guard] if instruction.guard else []
    operands = [REGISTER.findall(operand) for operand in instruction.operands]
    if opcode.startswith("st."):
        return [MEMORY], [*guard, *itertools.chain(*operands)]
    if opcode.startswith("bra") or not operands:
        return [], [*guard, *itertools.chain(*operands)]
    if opcode.startswith("ld.global") and ".nc" not in opcode:
        guard.append(MEMORY)
    return operands[0], [*guard, *itertools.chain(*operands[1:])]


def _union(reach: Mapping[str, Sites], registers: list[str]) -> Sites:
    return frozenset().union(*(reach.get(register, frozenset()) for register in registers))
