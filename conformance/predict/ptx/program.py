"""A compiled program: its kernels in order, and the arrays that they read and write.

The optimized HLO says which fusion reads what; a fusion and its kernel share their name, and the
kernel takes the fusion's distinct operands, then its results. The runtime's thunks say how each
kernel is launched. Anything else in the program, such as a call of cuSOLVER, is refused by name.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from conformance.predict.ptx import influence
from conformance.predict.ptx.approximate import OFFSETS
from conformance.predict.ptx.errors import PtxError, UnsupportedPtx
from conformance.predict.ptx.machine import Launch, run
from conformance.predict.ptx.parser import Kernel, parse

Array = npt.NDArray[Any]

THUNK = re.compile(
    r"^\d+: kCustomKernel\s*\[[^\]]*\]\s+(?P<name>\S+)"
    r"\s+grid: \[(?P<grid>[\d, ]+)\] threads: \[(?P<threads>[\d, ]+)\]",
    re.MULTILINE,
)
RESULT = re.compile(
    r"\s*(?P<root>ROOT )?%(?P<name>[\w.-]+) = (?P<form>\([^=]*?\)|\S+) (?P<kind>[\w-]+)"
    r"\((?P<operands>[^)]*)\)(?P<rest>.*)"
)
"""An instruction of HLO; its form is that of an array, or several in brackets."""

FORM = re.compile(r"(?P<dtype>\w+)\[(?P<sizes>[\d,]*)\](?P<layout>\{[^}]*\})?")

COPIES = ("copy", "bitcast")
"""HLO instructions that move bytes; layouts are C order on both sides."""

HLO_DTYPES = {
    "pred": np.dtype(np.bool_),
    "c64": np.dtype(np.complex64),
    "c128": np.dtype(np.complex128),
    "bf16": np.dtype(ml_dtypes.bfloat16),
    **{f"f{bits}": np.dtype(f"f{bits // 8}") for bits in (16, 32, 64)},
    **{
        f"{kind}{bits}": np.dtype(f"{'ui'[kind == 's']}{bits // 8}")
        for kind in "us"
        for bits in (8, 16, 32, 64)
    },
}


Form = tuple[np.dtype[Any], tuple[int, ...]]
"""Dtype and shape of an array."""

Site = tuple[int, int]
"""An approximate instruction: the number of its step, and its index in the kernel there."""

Choice = Mapping[Site, int]
"""The offset that each approximate instruction takes; 0 where absent. See `approximate`."""

NEAREST: Choice = {}
"""Every approximate instruction rounds correctly."""

MOST_CHOICES = 5**5
"""Runs of one program that `Program.choices` may ask for."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One kernel of the program: what it reads, by name, and what it writes.

    Without a kernel it copies what it reads, or `part` of that. dials: its approximate
    instructions, in groups that are varied as one; found once, for a prediction runs it often.
    """

    kernel: Kernel | None = None
    launch: Launch | None = None
    dials: tuple[influence.Sites, ...] = ()
    part: tuple[slice, ...] = ()
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Kernels in order, between arrays that have names.

    forms: dtype and shape of each array. parameters, result: names of what goes in and comes out.
    """

    steps: tuple[Step, ...]
    forms: Mapping[str, Form]
    parameters: tuple[str, ...]
    constants: Mapping[str, Array]
    result: str

    def run(self, arguments: Sequence[Array], choice: Choice = NEAREST) -> Array:
        """Return what the program makes of the arguments; it raises what `trace` raises."""
        return self.trace(arguments, choice)[0]

    def trace(self, arguments: Sequence[Array], choice: Choice) -> tuple[Array, frozenset[Site]]:
        """Return what the program makes of the arguments, and which sites are scattered.

        Those are the approximate instructions whose results may differ from element to element:
        their operands do, or several of them share a dial.

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
        scattered = {site for dial in self.dials() if len(dial) > 1 for site in dial}
        for number, step in enumerate(self.steps):
            offsets = {index: offset for (of, index), offset in choice.items() if of == number}
            found = self._run_step(step, buffers, offsets)
            scattered.update((number, index) for index in found)
        dtype, shape = self.forms[self.result]
        return buffers[self.result].view(dtype).reshape(shape), frozenset(scattered)

    def choices(self) -> Iterator[Choice]:
        """Yield choices that give every element each of its permitted values; NEAREST first.

        An element must depend on one element of every array before it, as in a program whose
        threads do not talk to each other.

        Raises:
            UnsupportedPtx: there are more than MOST_CHOICES.
        """
        dials = self.dials()
        if len(OFFSETS) ** len(dials) > MOST_CHOICES:
            raise UnsupportedPtx(
                f"{len(dials)} approximate instructions meet in a result: more than "
                f"{MOST_CHOICES} runs would be needed to bound it"
            )
        for offsets in itertools.product(OFFSETS, repeat=len(dials)):
            turned = zip(dials, offsets, strict=True)
            yield {site: offset for dial, offset in turned for site in dial if offset}

    def dials(self) -> list[list[Site]]:
        """Return the approximate instructions in groups that are varied as one."""
        return [
            [(number, index) for index in group]
            for number, step in enumerate(self.steps)
            for group in step.dials
        ]

    def _run_step(
        self, step: Step, buffers: dict[str, Array], offsets: Mapping[int, int]
    ) -> frozenset[int]:
        """Run one step, and return the scattered instructions of its kernel."""
        if step.kernel is None or step.launch is None:
            dtype, shape = self.forms[step.reads[0]]
            whole = buffers[step.reads[0]].view(dtype).reshape(shape)
            buffers[step.writes[0]] = _bytes(whole[step.part])
            return frozenset()
        operands = {name: buffers[name].copy() for name in step.reads}
        for name in step.writes:
            dtype, shape = self.forms[name]
            operands[name] = np.zeros(math.prod(shape) * dtype.itemsize, np.uint8)
        done = run(step.kernel, step.launch, list(operands.values()), offsets)
        changed = _results(step, {list(operands)[number] for number in done.stored})
        buffers.update({name: operands[source] for name, source in changed.items()})
        return done.scattered


def _results(step: Step, stored: Collection[str]) -> dict[str, str]:
    """Return in which array each result lies: its own, or an operand that it takes the place of.

    XLA gives a result the memory of an operand that nobody needs any more, and its kernel then uses
    one of the two equal pointers for both.

    Raises:
        PtxError: it cannot be told what was stored where.
    """
    overwritten = [name for name in step.reads if name in stored]
    unwritten = [name for name in step.writes if name not in stored]
    if len(overwritten) != len(unwritten) or len(unwritten) > 1:
        raise PtxError(
            f"{', '.join(step.writes)}: the kernel stores to {', '.join(sorted(stored)) or 'none'} "
            f"of its arrays, which leaves open where {', '.join(unwritten) or 'the rest'} is"
        )
    in_place = dict(zip(unwritten, overwritten, strict=True))
    return {name: in_place.get(name, name) for name in step.writes}


def _bytes(array: Array) -> Array:
    return np.frombuffer(bytearray(array.tobytes()), np.uint8)


def load(hlo: str, ptx: Sequence[str], thunks: str) -> Program:
    """Return the program that optimized HLO, PTX modules and the list of thunks describe.

    Raises:
        UnsupportedPtx: a step is no kernel, or an instruction of HLO is not understood.
        PtxError: the three do not fit together.
    """
    instructions = _entry(hlo)
    # First: that a library is called says more than what its neighbours are made of.
    _refuse_calls(instructions)
    loading = _Loading(hlo, ptx, thunks)
    for found in instructions:
        loading.take(found)
    if loading.launches:
        name = loading.launches[0][0]
        raise PtxError(f"kernel {name} is launched, and no fusion of the HLO is left")
    numbered = sorted(loading.parameters.items())
    return Program(
        steps=tuple(loading.steps),
        forms=loading.forms,
        parameters=tuple(name for _, name in numbered),
        constants=loading.constants,
        result=loading.result,
    )


class _Loading:
    """What is known of a program after some of its instructions.

    parts: what each array of several is called, by the name of its `get-tuple-element`. launches:
    those that no fusion has taken yet.
    """

    def __init__(self, hlo: str, ptx: Sequence[str], thunks: str) -> None:
        self._hlo = hlo
        self._kernels = {kernel.name: kernel for text in ptx for kernel in parse(text)}
        self._parts: dict[str, str] = {}
        self.launches = _launches(thunks)
        self.steps: list[Step] = []
        self.forms: dict[str, Form] = {}
        self.parameters: dict[int, str] = {}
        self.constants: dict[str, Array] = {}
        self.result = ""

    def take(self, found: re.Match[str]) -> None:
        """Add one instruction."""
        name, kind = found["name"], found["kind"]
        operands = re.findall(r"%([\w.-]+)", found["operands"])
        reads = tuple(dict.fromkeys(self._parts.get(operand, operand) for operand in operands))
        if kind == "get-tuple-element":
            (index,) = re.findall(r"index=(\d+)", found["rest"])
            self._parts[name] = _part(reads[0], index)
            return
        mine = _forms(found)
        self.forms.update(mine)
        self.result = name if found["root"] else self.result
        if kind == "parameter":
            self.parameters[int(found["operands"])] = name
        elif kind == "constant":
            self.constants[name] = _constant(found, *mine[name])
        else:
            self.steps.append(self._step(found, reads, tuple(mine)))

    def _step(self, found: re.Match[str], reads: tuple[str, ...], writes: tuple[str, ...]) -> Step:
        if found["kind"] in COPIES:
            return Step(reads=reads, writes=writes)
        if part := _sliced(found, self._hlo):
            return Step(part=part, reads=reads, writes=writes)
        kernel, launch = _launched(found["name"], self._kernels, self.launches)
        dials = influence.dials(kernel)
        return Step(kernel=kernel, launch=launch, dials=dials, reads=reads, writes=writes)


def _sliced(found: re.Match[str], hlo: str) -> tuple[slice, ...]:
    """Return what a fusion cuts out, if it does nothing else: the runtime copies that itself."""
    called = re.search(r"calls=(%[\w.-]+)", found["rest"])
    body = called and _computation(hlo, re.escape(called[1]))
    cut = body and re.fullmatch(
        r"[^\n]* parameter\(0\)[^\n]*\n[^\n]* slice\([^)]*\), slice=\{([^}]*)\}[^\n]*\n", body[1]
    )
    if not cut:
        return ()
    bounds = re.findall(r"\[(\d+):(\d+)(?::(\d+))?\]", cut[1])
    return tuple(slice(int(start), int(stop), int(step or 1)) for start, stop, step in bounds)


def _computation(hlo: str, name: str) -> re.Match[str] | None:
    """Return the text of a computation, and in its first group the lines between the braces."""
    return re.search(rf"^{name} [^\n]*\{{\n(.*?)^\}}", hlo, re.MULTILINE | re.DOTALL)


def _refuse_calls(instructions: Sequence[re.Match[str]]) -> None:
    """Refuse what the runtime does by other means than a kernel of this program."""
    for found in instructions:
        if found["kind"] not in ("parameter", "constant", "fusion", "get-tuple-element", *COPIES):
            called = re.search(r'custom_call_target="([^"]*)"', found.string)
            what = f"a call of {called[1]}" if called else found["kind"]
            raise UnsupportedPtx(f"the program needs {what}, which is no kernel of its own")


def _launched(
    name: str, kernels: Mapping[str, Kernel], launches: list[tuple[str, Launch]]
) -> tuple[Kernel, Launch]:
    """Take the next launch off the list, and return its kernel, which must be that of the fusion.

    A kernel has the name of its fusion, with underscores for dots. Fusions that compute the same
    share one, which has the name of one of them; both lists are in the order of execution.
    """
    launched, launch = launches.pop(0) if launches else ("", None)
    own = re.sub(r"\W", "_", name)
    kernel = kernels.get(launched)
    if kernel is None or launch is None or (launched != own and own in kernels):
        raise PtxError(
            f"{name} is not in the PTX, which holds {', '.join(kernels) or 'nothing'}, or is not "
            f"launched in its turn, where {launched or 'nothing'} is"
        )
    return kernel, launch


def _launches(thunks: str) -> list[tuple[str, Launch]]:
    """Return which kernels are launched, in order, each on how many blocks of how many threads."""
    launches = []
    for found in THUNK.finditer(thunks):
        grid, threads = (
            [int(size) for size in found[part].split(",")] for part in ("grid", "threads")
        )
        if max(*grid[1:], *threads[1:]) > 1:
            raise UnsupportedPtx(f"{found['name']} is launched on a grid of several dimensions")
        launches.append((found["name"], Launch(blocks=grid[0], threads=threads[0])))
    return launches


def entry(hlo: str) -> str:
    """Return the text of the entry computation, all that `load` needs of the HLO.

    Raises:
        PtxError: there is none.
    """
    body = _computation(hlo, "ENTRY")
    if body is None:
        raise PtxError("the HLO has no entry computation")
    return body[0]


def _entry(hlo: str) -> list[re.Match[str]]:
    """Return the instructions of the entry computation, in order of execution."""
    instructions = []
    for line in re.sub(r"/\*.*?\*/", "", entry(hlo)).splitlines()[1:-1]:
        found = RESULT.match(line)
        if found is None:
            raise UnsupportedPtx(f"HLO instruction {line.strip()[:80]!r} is not understood")
        instructions.append(found)
    return instructions


def _constant(found: re.Match[str], dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """Return the array of a constant; HLO writes small ones out, and of large ones nothing."""
    texts = re.findall(r"[^\s{},]+", found["operands"])
    if len(texts) != math.prod(shape) or "..." in texts:
        raise UnsupportedPtx(
            f"constant {found['name']} of shape {list(shape)} is not read: HLO does not write it"
        )
    if dtype.kind == "b":
        return np.array([text == "true" for text in texts], dtype).reshape(shape)
    number = int if dtype.kind in "iu" else float
    return np.array([number(text) for text in texts]).astype(dtype).reshape(shape)


def _part(name: str, index: str | int) -> str:
    """Return what an array of several that one instruction makes is called."""
    return f"{name}:{index}"


def _forms(found: re.Match[str]) -> dict[str, Form]:
    """Return dtype and shape of each array that an instruction makes, by name."""
    name, forms = found["name"], list(FORM.finditer(found["form"]))
    if not found["form"].startswith("("):
        return {name: _form(name, forms[0])}
    return {_part(name, index): _form(name, form) for index, form in enumerate(forms)}


def _form(name: str, form: re.Match[str]) -> Form:
    """Return dtype and shape; the layout must be C order, for the result is read so."""
    shape = tuple(int(size) for size in form["sizes"].split(",") if size)
    layout = re.findall(r"\d+", (form["layout"] or "").partition(":")[0])
    if [int(axis) for axis in layout] not in ([], list(reversed(range(len(shape))))):
        raise UnsupportedPtx(f"{name} has the layout {form['layout']}, not C order")
    if form["dtype"] not in HLO_DTYPES:
        raise UnsupportedPtx(f"{name} has the dtype {form['dtype']}")
    return HLO_DTYPES[form["dtype"]], shape
