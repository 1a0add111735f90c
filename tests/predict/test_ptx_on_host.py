"""The emulator against a second implementation: the same programs, compiled for this processor."""

from __future__ import annotations

import functools
import re

import numpy as np
import pytest

from conformance.core.arrays import Array
from conformance.core.formats import LOG2_LATTICE, LOG2_STRATA
from conformance.predict import ptx
from conformance.predict.ptx import program as programs
from tests import ROOT
from tests.host import Host

FOLDER = ROOT / "tests" / "data" / "lattice"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ll"))
KEY = [np.zeros(1, np.uint32)]


def text_of(name: str, suffix: str) -> str:
    return (FOLDER / f"{name}.{suffix}").read_text(encoding="utf-8")


def program_of(name: str) -> ptx.Program:
    return ptx.load(text_of(name, "hlo"), [text_of(name, "ptx")], text_of(name, "thunks"))


@functools.cache
def executed(name: str, ir: str) -> Array:
    """Return what the processor makes of the program, its kernels compiled from the IR."""
    host = Host(re.split("(?<=\n)(?=; ModuleID)", ir))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(programs, "run", host.run)
        return program_of(name).run(KEY)


def differences(one: Array, two: Array) -> int:
    word = f"u{one.dtype.itemsize}"
    return int(np.count_nonzero(one.view(word) != two.view(word)))


@pytest.mark.parametrize("name", NAMES)
def test_every_point_of_a_law_is_bitwise_what_the_processor_computes(name: str) -> None:
    emulated = program_of(name).run(KEY)

    points = 2 ** (LOG2_LATTICE[32] if "float32" in name else LOG2_STRATA)
    assert emulated.size >= points
    assert differences(emulated, executed(name, text_of(name, "ll"))) == 0


def test_contracted_products_would_be_seen() -> None:
    """LLVM may fuse what the IR marks so: then half of all values move."""
    ir = text_of("lecun_normal-float32", "ll")
    contracted = re.sub(r"(?<== )(fadd|fsub|fmul)\b", r"\1 contract", ir)

    moved = differences(
        executed("lecun_normal-float32", ir), executed("lecun_normal-float32", contracted)
    )

    assert moved > 2**21
