"""Run a kernel: all threads at once, one NumPy array a register.

Threads do not talk to each other: shared memory, barriers and atomics are outside the subset, so
the order in which threads run cannot matter. Where they take different branches, the threads that
are furthest behind run until all have met again.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from conformance.predict.ptx.errors import PtxError, UnsupportedPtx
from conformance.predict.ptx.operations import DTYPES, OPERATIONS, Operation
from conformance.predict.ptx.parser import Instruction, Kernel

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]

CHUNK = 1 << 16
"""Threads per pass: a few hundred registers of 64 Ki words stay below 100 MiB."""

ADDRESS_BITS = 40
"""Each buffer has its own range of addresses; number 0 stays empty, as the null page."""

Choice = Mapping[int, int]
"""The offset that each approximate instruction takes, by its index; 0 where absent."""

MEMORY = re.compile(r"(ld|st)\.global(?:\.nc)?(?:\.v([24]))?\.(?:b|u|f)(8|16|32|64)")
LOAD_PARAMETER = re.compile(r"ld\.param(::entry)?\.[bu]64")
ADDRESS = re.compile(r"\[(%\w+)(?:\+(-?\d+))?\]")
PACKING = {"mov.b32": "b32", "mov.b64": "b64"}
IGNORED = "_"
"""What stands in a vector for a part that nobody wants."""

PATTERNS = {"0f": 4, "0d": 8}
"""Prefixes of constants that are bit patterns, and their sizes in bytes."""

NO_EFFECT = ("griddepcontrol.wait", "griddepcontrol.launch_dependents")
"""They order whole kernels, which run one after the other here anyway."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How many blocks of how many threads, along x."""

    blocks: int
    threads: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What a kernel did.

    stored: the buffers that it stored to. scattered: the approximate instructions whose operands
    were not the same in all threads; all others return one result, whatever it is.
    """

    stored: frozenset[int]
    scattered: frozenset[int]


def run(kernel: Kernel, launch: Launch, buffers: Sequence[Bytes], choice: Choice) -> Trace:
    """Run a kernel on the buffers, one for each parameter.

    Raises:
        UnsupportedPtx: an instruction outside the subset; the message names it.
        PtxError: parameters and buffers do not match, or an address lies outside its buffer.
    """
    if len(buffers) != len(kernel.parameters):
        raise PtxError(
            f"{kernel.name} takes {len(kernel.parameters)} buffers, {len(buffers)} were given"
        )
    total = launch.blocks * launch.threads
    stored: set[int] = set()
    operands: dict[int, set[bytes]] = {}
    for start in range(0, total, CHUNK):
        threads = np.arange(start, min(start + CHUNK, total), dtype=np.uint32)
        part = _Machine(kernel, launch, buffers, choice, threads)
        part.run()
        stored |= part.stored
        for index, seen in part.operands.items():
            operands.setdefault(index, set()).update(seen)
    scattered = frozenset(index for index, seen in operands.items() if len(seen) > 1)
    return Trace(stored=frozenset(stored), scattered=scattered)


class _Machine:
    """The threads of one pass: their registers, and where each of them is.

    stored: buffers, by number. operands: of approximate instructions, those of the first thread,
    and of another one if there is one with others.
    """

    def __init__(
        self,
        kernel: Kernel,
        launch: Launch,
        buffers: Sequence[Bytes],
        choice: Choice,
        threads: Array,
    ) -> None:
        self._kernel = kernel
        self._buffers = buffers
        self._choice = choice
        self._size = len(threads)
        self._registers: dict[str, Array] = {}
        block, thread = np.divmod(threads, np.uint32(launch.threads))
        self._special = {
            "%tid.x": thread,
            "%ctaid.x": block,
            "%ntid.x": self._filled(launch.threads, "u32"),
            "%nctaid.x": self._filled(launch.blocks, "u32"),
        }
        self._everyone = np.ones(self._size, dtype=np.bool_)
        self._at: int | Array = 0  # a number while all threads are at one instruction, as mostly
        self._chosen: dict[int, Array] = {}
        self.stored: set[int] = set()
        self.operands: dict[int, set[bytes]] = {}

    def run(self) -> None:
        """Run until every thread has returned."""
        end = len(self._kernel.instructions)
        while (behind := int(np.min(self._at))) < end:
            self._step(behind, self._those_at(behind))

    def _those_at(self, index: int) -> Array:
        """Return which threads are there: where all are, `self._everyone` itself."""
        active = self._at == index
        return self._everyone if np.all(active) else np.asarray(active)

    def _go(self, index: int, active: Array) -> None:
        """Let the active threads run the instruction next."""
        is_all = active is self._everyone
        self._at = index if is_all else np.where(active, np.int32(index), np.int32(self._at))

    def _step(self, index: int, active: Array) -> None:
        """Run one instruction in the active threads."""
        instruction = self._kernel.instructions[index]
        self._go(index + 1, active)
        if instruction.guard:
            active = active & (self._read(instruction.guard, "pred") ^ instruction.is_negated)
        opcode = instruction.opcode
        if opcode in PACKING and any("{" in operand for operand in instruction.operands):
            self._pack(instruction, active)
        elif opcode in OPERATIONS:
            self._compute(OPERATIONS[opcode], index, instruction, active)
        elif found := MEMORY.fullmatch(opcode):
            self._access(instruction, active, found)
        elif opcode == "ret":
            self._go(len(self._kernel.instructions), active)
        elif opcode in ("bra", "bra.uni"):
            self._go(self._kernel.labels[instruction.operands[0]], active)
        elif LOAD_PARAMETER.fullmatch(opcode):
            name = instruction.operands[1].strip("[]")
            number = self._kernel.parameters.index(name) + 1
            self._write(
                instruction.operands[0], self._filled(number << ADDRESS_BITS, "u64"), active
            )
        elif opcode not in NO_EFFECT:
            raise UnsupportedPtx(
                f"{self._kernel.name}: instruction {str(instruction)!r} is outside the emulated "
                "subset: add it to conformance/predict/ptx/operations.py, rounded by the manual"
            )

    def _compute(
        self, operation: Operation, index: int, instruction: Instruction, active: Array
    ) -> None:
        target, *sources = instruction.operands
        values = [
            self._read(source, kind)
            for source, kind in zip(sources, operation.operands, strict=True)
        ]
        offset = []
        if operation.is_approximate:
            self._require_once(index, instruction, active)
            self._note_operands(index, values, active)
            offset = [self._choice.get(index, 0)]
        with np.errstate(all="ignore"):
            result = operation.compute(*values, *offset)
        self._write(target, np.asarray(result, DTYPES[operation.result]), active)

    def _require_once(self, index: int, instruction: Instruction, active: Array) -> None:
        """Refuse an approximate instruction in a loop: its results could not be told apart."""
        before = self._chosen.get(index, np.zeros(self._size, dtype=np.bool_))
        if (before & active).any():
            raise UnsupportedPtx(
                f"{self._kernel.name}: {str(instruction)!r} runs twice in one thread, and each "
                "time may return another permitted result: no interval can be given"
            )
        self._chosen[index] = before | active

    def _note_operands(self, index: int, values: Sequence[Array], active: Array) -> None:
        words = [value[active].view(f"u{value.dtype.itemsize}") for value in values]
        if words[0].size:
            other = np.logical_or.reduce([word != word[0] for word in words]).argmax()
            seen = (b"".join(word[place].tobytes() for word in words) for place in (0, other))
            self.operands[index] = set(seen)

    def _pack(self, instruction: Instruction, active: Array) -> None:
        """`mov` between a register and a vector of narrower ones, lowest first (9.7.9.1 mov)."""
        wide = PACKING[instruction.opcode]
        target, source = instruction.operands
        names = _vector(target if target.startswith("{") else source)
        size = 8 * DTYPES[wide].itemsize // len(names)
        shifts = [DTYPES[wide].type(size * position) for position in range(len(names))]
        if target.startswith("{"):
            whole = self._read(source, wide)
            for name, shift in zip(names, shifts, strict=True):
                if name != IGNORED:
                    self._write(name, (whole >> shift).astype(f"u{size // 8}"), active)
            return
        parts = [self._read(name, f"b{size}").astype(DTYPES[wide]) for name in names]
        shifted = [part << shift for part, shift in zip(parts, shifts, strict=True)]
        self._write(target, np.bitwise_or.reduce(shifted), active)

    # --- Registers and immediates ----------------------------------------------------------------

    def _read(self, operand: str, kind: str) -> Array:
        """Return an operand as the type says, one value a thread."""
        dtype = DTYPES[kind]
        if operand in self._special:
            return self._special[operand].view(dtype)
        if not operand.startswith("%"):
            return self._filled(_immediate(operand, dtype), kind)
        if operand not in self._registers:
            raise PtxError(f"{self._kernel.name}: register {operand} is read before it is written")
        held = self._registers[operand]
        if held.dtype.itemsize != dtype.itemsize:
            raise PtxError(
                f"{self._kernel.name}: register {operand} of {8 * held.dtype.itemsize} bits is "
                f"read as {kind}"
            )
        return held.view(dtype)

    def _write(self, register: str, values: Array, active: Array) -> None:
        raw = values if values.dtype == np.bool_ else values.view(f"u{values.dtype.itemsize}")
        if active is not self._everyone:
            before = self._registers.get(register, np.zeros_like(raw))
            raw = np.where(active, raw, before)
        self._registers[register] = raw

    def _filled(self, value: int, kind: str) -> Array:
        """Return the value in every thread; it is the bit pattern of a float."""
        dtype = DTYPES[kind]
        if dtype == np.bool_:
            return np.full(self._size, bool(value))
        width = 8 * dtype.itemsize
        return np.full(self._size, value % (1 << width), f"u{dtype.itemsize}").view(dtype)

    # --- Memory ----------------------------------------------------------------------------------

    def _access(self, instruction: Instruction, active: Array, found: re.Match[str]) -> None:
        """Load or store words; a vector lies in consecutive addresses (PTX ISA 9.0, 9.7.9)."""
        is_load, size = found[1] == "ld", int(found[3]) // 8
        register, address = instruction.operands[:: 1 if is_load else -1]
        names = _vector(register)
        if len(names) != int(found[2] or 1):
            raise PtxError(f"{self._kernel.name}: {str(instruction)!r} has {len(names)} registers")
        start = self._addresses(address)
        for position, name in enumerate(names):
            number, words, index = self._locate(start + np.uint64(position * size), size, active)
            if is_load:
                loaded = np.zeros(self._size, f"u{size}")
                loaded[active] = words[index[active]]
                self._write(name, loaded, active)
            elif number >= 0:
                words[index[active]] = self._word(name, size)[active]
                self.stored.add(number)

    def _word(self, name: str, size: int) -> Array:
        """Return what a store of `size` bytes takes of a register: its low bytes, if it is wider.

        PTX ISA 9.0, 9.4.1: "the source data is truncated (chopped)".
        """
        held = self._registers.get(name)
        if held is None or held.dtype.itemsize <= size:
            return self._read(name, f"b{8 * size}")
        return held.astype(f"u{size}")

    def _addresses(self, operand: str) -> Array:
        found = ADDRESS.fullmatch(operand)
        if found is None:
            raise UnsupportedPtx(f"{self._kernel.name}: address {operand!r} is not understood")
        return self._read(found[1], "u64") + np.uint64(int(found[2] or 0) % (1 << 64))

    def _locate(self, addresses: Array, size: int, active: Array) -> tuple[int, Array, Array]:
        """Return the number of the one buffer that the addresses lie in, its words, and which.

        Where no thread is active it has no number, -1, and no words.
        """
        numbers, offsets = (
            addresses >> np.uint64(ADDRESS_BITS),
            addresses & np.uint64((1 << ADDRESS_BITS) - 1),
        )
        used = numbers[active]
        if not used.size:
            return -1, np.zeros(0, f"u{size}"), offsets
        if used.min() != used.max() or not 1 <= used[0] <= len(self._buffers):
            raise PtxError(f"{self._kernel.name}: addresses lie in no or in several buffers")
        number = int(used[0]) - 1
        words = self._buffers[number].view(f"u{size}")
        index, rest = np.divmod(offsets, np.uint64(size))
        if rest[active].any() or index[active].max() >= words.size:
            raise PtxError(
                f"{self._kernel.name}: an address is misaligned, or outside the "
                f"{words.nbytes} bytes of its buffer"
            )
        return number, words, index.astype(np.int64)


def _vector(operand: str) -> list[str]:
    """Return the registers of {a, b}, or the one that is no vector."""
    return [name.strip() for name in operand.strip("{}").split(",")]


def _immediate(text: str, dtype: np.dtype[Any]) -> int:
    """Return the bit pattern of a constant.

    `0f` and `0d` are the patterns of a float32 and a float64, and `U` marks an unsigned integer
    (PTX ISA 9.0, 4.5).
    """
    if text[:2] in PATTERNS:
        if dtype.itemsize != PATTERNS[text[:2]]:
            raise PtxError(
                f"constant {text} has {8 * PATTERNS[text[:2]]} bits, and {dtype} is needed"
            )
        return int(text[2:], 16)
    try:
        return int(text.removesuffix("U"), 0)
    except ValueError:
        raise PtxError(f"constant {text!r} is not understood") from None
