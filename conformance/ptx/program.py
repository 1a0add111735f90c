"""A compiled program: its kernels in order, and the arrays that they read and write.

The optimized HLO says which fusion reads what; a fusion and its kernel share their name, and the
kernel takes the fusion's distinct operands, then its results. The runtime's thunks say how each
kernel is launched. Anything else in the program, such as a call of cuSOLVER, is refused by name.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from conformance.ptx.approximate import Choice
from conformance.ptx.errors import PtxError, UnsupportedPtx
from conformance.ptx.machine import Launch, run
from conformance.ptx.parser import Kernel, parse

Array = npt.NDArray[Any]

THUNK = re.compile(
    r"^\d+: kCustomKernel\s*\[[^\]]*\]\s+(?P<name>\S+)"
    r"\s+grid: \[(?P<grid>[\d, ]+)\] threads: \[(?P<threads>[\d, ]+)\]",
    re.MULTILINE,
)
RESULT = re.compile(
    r"\s*(?P<root>ROOT )?%(?P<name>[\w.-]+) = (?:(?P<dtype>\w+)\[(?P<sizes>[\d,]*)\]"
    r"(?P<layout>\{[^}]*\})?|\(.*?\)) (?P<kind>[\w-]+)\((?P<operands>[^)]*)\)"
)
"""An instruction of HLO. One that returns a tuple has no dtype here, and is always refused."""

COPIES = ("copy", "bitcast")
"""HLO instructions that move bytes; layouts are C order on both sides."""

HLO_DTYPES = {
    "pred": np.dtype(np.bool_),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    **{f"f{bits}": np.dtype(f"f{bits // 8}") for bits in (16, 32, 64)},
    **{
        f"{kind}{bits}": np.dtype(f"{'ui'[kind == 's']}{bits // 8}")
        for kind in "us"
        for bits in (8, 16, 32, 64)
    },
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One kernel of the program: what it reads, by name, and what it writes.

    Without a kernel it copies what it reads.
    """

    kernel: Kernel | None = None
    launch: Launch | None = None
    reads: tuple[str, ...]
    writes: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Kernels in order, between arrays that have names.

    forms: dtype and shape of each array. parameters, result: names of what goes in and comes out.
    """

    steps: tuple[Step, ...]
    forms: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]
    parameters: tuple[str, ...]
    constants: Mapping[str, Array]
    result: str

    def run(self, arguments: Sequence[Array], choice: Choice) -> Array:
        """Return what the program makes of the arguments.

        Raises:
            PtxError: an instruction is outside the subset, or an argument of another size.
        """
        buffers = {name: _bytes(array) for name, array in self.constants.items()}
        for name, argument in zip(self.parameters, arguments, strict=True):
            dtype, shape = self.forms[name]
            if argument.dtype != dtype or argument.shape != shape:
                raise PtxError(
                    f"argument {name} is {argument.dtype}{list(argument.shape)}, the program needs "
                    f"{dtype}{list(shape)}"
                )
            buffers[name] = _bytes(argument)
        for step in self.steps:
            self._run_step(step, buffers, choice)
        dtype, shape = self.forms[self.result]
        return buffers[self.result].view(dtype).reshape(shape)

    def _run_step(self, step: Step, buffers: dict[str, Array], choice: Choice) -> None:
        if step.kernel is None or step.launch is None:
            buffers[step.writes] = buffers[step.reads[0]].copy()
            return
        dtype, shape = self.forms[step.writes]
        buffers[step.writes] = np.zeros(math.prod(shape) * dtype.itemsize, np.uint8)
        named = [*dict.fromkeys(step.reads), step.writes]
        run(step.kernel, step.launch, [buffers[name] for name in named], choice)


def _bytes(array: Array) -> Array:
    return np.frombuffer(bytearray(array.tobytes()), np.uint8)


def load(hlo: str, ptx: Sequence[str], thunks: str) -> Program:
    """Return the program that optimized HLO, PTX modules and the list of thunks describe.

    Raises:
        UnsupportedPtx: a step is no kernel, or an instruction of HLO is not understood.
        PtxError: the three do not fit together.
    """
    instructions = _entry(hlo)
    _refuse_calls(instructions)
    launches = _launches(thunks)
    kernels = {kernel.name: kernel for text in ptx for kernel in parse(text)}
    steps, forms, parameters, constants, result = [], {}, {}, {}, ""
    for found in instructions:
        name, operands = found["name"], tuple(re.findall(r"%([\w.-]+)", found["operands"]))
        forms[name] = _form(found)
        result = name if found["root"] else result
        if found["kind"] == "parameter":
            parameters[int(found["operands"])] = name
        elif found["kind"] == "constant":
            constants[name] = _constant(found, *forms[name])
        elif found["kind"] in COPIES:
            steps.append(Step(reads=operands, writes=name))
        else:
            kernel = _named(kernels, name, "PTX")
            launch = _named(launches, kernel.name, "list of thunks")
            steps.append(Step(kernel=kernel, launch=launch, reads=operands, writes=name))
    return Program(
        steps=tuple(steps),
        forms=forms,
        parameters=tuple(parameters[number] for number in sorted(parameters)),
        constants=constants,
        result=result,
    )


def _refuse_calls(instructions: Sequence[re.Match[str]]) -> None:
    """Refuse what the runtime does by other means than a kernel of this program."""
    for found in instructions:
        if found["kind"] not in ("parameter", "constant", "fusion", *COPIES):
            called = re.search(r'custom_call_target="([^"]*)"', found.string)
            what = f"a call of {called[1]}" if called else found["kind"]
            raise UnsupportedPtx(f"the program needs {what}, which is no kernel of its own")


def _named(table: Mapping[str, Any], name: str, place: str) -> Any:
    """Return what a fusion's name stands for: a kernel's name has underscores for dots."""
    found = table.get(name) or table.get(re.sub(r"\W", "_", name))
    if found is None:
        raise PtxError(f"{name} is not in the {place}, which holds {', '.join(table) or 'nothing'}")
    return found


def _launches(thunks: str) -> dict[str, Launch]:
    launches = {}
    for found in THUNK.finditer(thunks):
        grid, threads = (
            [int(size) for size in found[part].split(",")] for part in ("grid", "threads")
        )
        if max(*grid[1:], *threads[1:]) > 1:
            raise UnsupportedPtx(f"{found['name']} is launched on a grid of several dimensions")
        launches[found["name"]] = Launch(blocks=grid[0], threads=threads[0])
    return launches


def entry(hlo: str) -> str:
    """Return the text of the entry computation, all that `load` needs of the HLO.

    Raises:
        PtxError: there is none.
    """
    body = re.search(r"^ENTRY [^\n]*\{\n.*?^\}", hlo, re.MULTILINE | re.DOTALL)
    if body is None:
        raise PtxError("the HLO has no entry computation")
    return body[0]


def _entry(hlo: str) -> list[re.Match[str]]:
    """Return the instructions of the entry computation, in order of execution."""
    instructions = []
    for line in entry(hlo).splitlines()[1:-1]:
        found = RESULT.match(line)
        if found is None:
            raise UnsupportedPtx(f"HLO instruction {line.strip()[:80]!r} is not understood")
        instructions.append(found)
    return instructions


def _constant(found: re.Match[str], dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """Return the array of a constant that is one number, or empty."""
    if 0 in shape:
        return np.zeros(shape, dtype)
    if shape:
        raise UnsupportedPtx(f"constant {found['name']} of shape {list(shape)} is not read")
    return np.asarray(float(found["operands"])).astype(dtype)


def _form(found: re.Match[str]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return dtype and shape; the layout must be C order, for the result is read so."""
    shape = tuple(int(size) for size in found["sizes"].split(",") if size)
    layout = re.findall(r"\d+", (found["layout"] or "").partition(":")[0])
    if [int(axis) for axis in layout] not in ([], list(reversed(range(len(shape))))):
        raise UnsupportedPtx(f"{found['name']} has the layout {found['layout']}, not C order")
    if found["dtype"] not in HLO_DTYPES:
        raise UnsupportedPtx(f"{found['name']} has the dtype {found['dtype']}")
    return HLO_DTYPES[found["dtype"]], shape
