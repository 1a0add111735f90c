"""Run on the host's own processor the LLVM IR that XLA makes PTX of.

A second implementation of the same programs, which shares nothing with the emulator below the order
of the kernels: LLVM's x86 back end in place of its NVPTX one, and the processor's rounding and
fused multiply-add in place of NumPy's. Multiplications are not contracted with additions: LLVM does
that only where the IR allows it, and this does not.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from conformance.predict.ptx.machine import Bytes, Choice, Launch, Trace
from conformance.predict.ptx.parser import Kernel

PRELUDE = """
@tid = internal global i32 0
@ctaid = internal global i32 0

define internal i32 @host.read.ptx.sreg.tid.x() alwaysinline {
  %1 = load i32, ptr @tid
  ret i32 %1
}
define internal i32 @host.read.ptx.sreg.ctaid.x() alwaysinline {
  %1 = load i32, ptr @ctaid
  ret i32 %1
}
define internal void @host.griddepcontrol.wait() alwaysinline {
  ret void
}
declare float @llvm.fabs.f32(float)
define internal float @host.fabs.f32(float %x) alwaysinline {
  %1 = call float @llvm.fabs.f32(float %x)
  ret float %1
}
declare double @llvm.fabs.f64(double)
define internal double @host.fabs.f64(double %x) alwaysinline {
  %1 = call double @llvm.fabs.f64(double %x)
  ret double %1
}
declare float @llvm.sqrt.f32(float)
define internal float @host.sqrt.approx.f(float %x) alwaysinline {
  %1 = call float @llvm.sqrt.f32(float %x)
  ret float %1
}

; Towards zero (mode 0): one step back where the nearest sum is beyond. Its error is Knuth's.
define internal float @host.fadd.f32(float %a, float %b, i32 %mode) alwaysinline {
  %sum = fadd float %a, %b
  %virtual = fsub float %sum, %a
  %rest = fsub float %sum, %virtual
  %left = fsub float %a, %rest
  %right = fsub float %b, %virtual
  %error = fadd float %left, %right
  %up = fcmp ogt float %sum, 0.0
  %above = fcmp olt float %error, 0.0
  %below = fcmp ogt float %error, 0.0
  %beyond = select i1 %up, i1 %above, i1 %below
  %bits = bitcast float %sum to i32
  %step = zext i1 %beyond to i32
  %cut = sub i32 %bits, %step
  %result = bitcast i32 %cut to float
  ret float %result
}
define internal i32 @host.d2i.hi(double %x) alwaysinline {
  %bits = bitcast double %x to i64
  %high = lshr i64 %bits, 32
  %word = trunc i64 %high to i32
  ret i32 %word
}
define internal i32 @host.d2i.lo(double %x) alwaysinline {
  %bits = bitcast double %x to i64
  %word = trunc i64 %bits to i32
  ret i32 %word
}
define internal double @host.lohi.i2d(i32 %low, i32 %high) alwaysinline {
  %1 = zext i32 %low to i64
  %2 = zext i32 %high to i64
  %3 = shl i64 %2, 32
  %4 = or i64 %1, %3
  %5 = bitcast i64 %4 to double
  ret double %5
}

; Of the upper half of the operand, rounded to 20 bits.
define internal double @host.rcp.approx.ftz.d(double %x) alwaysinline {
  %bits = bitcast double %x to i64
  %upper = and i64 %bits, -4294967296
  %cut = bitcast i64 %upper to double
  %quotient = fdiv double 1.0, %cut
  %wide = bitcast double %quotient to i64
  %more = add i64 %wide, 2147483648
  %near = and i64 %more, -4294967296
  %result = bitcast i64 %near to double
  ret double %result
}
"""

DRIVER = """
define void @drive({parameters}, i32 %blocks, i32 %threads) {{
start:
  br label %block
block:
  %b = phi i32 [ 0, %start ], [ %b1, %done ]
  store i32 %b, ptr @ctaid
  br label %thread
thread:
  %t = phi i32 [ 0, %block ], [ %t1, %thread ]
  store i32 %t, ptr @tid
  call void @{name}({parameters})
  %t1 = add i32 %t, 1
  %more = icmp ult i32 %t1, %threads
  br i1 %more, label %thread, label %done
done:
  %b1 = add i32 %b, 1
  %again = icmp ult i32 %b1, %blocks
  br i1 %again, label %block, label %end
end:
  ret void
}}
"""

INFINITIES = {"+inf": "0x7FF0000000000000", "-inf": "0xFFF0000000000000"}


def translated(text: str) -> str:
    """Return IR for NVPTX as IR for the host, in the syntax of the LLVM that is here."""
    text = re.sub(r"/\*.*?\*/", "", text)
    text = re.sub(r"^target .*$|^declare .*@llvm\.nvvm\..*$|^!.*$", "", text, flags=re.MULTILINE)
    text = text.replace("ptx_kernel ", "").replace(" addrspace(1)", "")
    text = text.replace("addrspacecast ptr", "bitcast ptr").replace("@llvm.nvvm.", "@host.")
    text = re.sub(r", ![\w.]+ !\d+", "", text)
    text = re.sub(r"\bf0x([0-9A-F]{8})\b", lambda found: _double(found[1]), text)
    text = re.sub(r"\bf0x([0-9A-F]{16})\b", r"0x\1", text)
    text = re.sub(r"(?<= )[+-]inf\b", lambda found: INFINITIES[found[0]], text)
    return re.sub(r"^.*\bfloat\b.*$", lambda found: _singles(found[0]), text, flags=re.MULTILINE)


def _singles(line: str) -> str:
    """Return a line on floats with its decimal numbers as patterns: LLVM 22 rounds none of them."""
    return re.sub(r"(?<= )-?\d\.\d+e[-+]\d+\b", lambda found: _hex(np.float32(found[0])), line)


def _double(pattern: str) -> str:
    return _hex(np.array([int(pattern, 16)], np.uint32).view(np.float32)[0])


def _hex(value: np.float32) -> str:
    """Return the pattern of the same number in float64, which is how LLVM 22 writes a float."""
    return f"0x{np.float64(value).view(np.uint64):016X}"


class Host:
    """The kernels of one program, compiled for this processor."""

    def __init__(self, modules: Sequence[str]) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        self._engines = {}
        for text in modules:
            found = re.search(r"^define .*@(\w+)\((.*)\) local", text, re.MULTILINE)
            assert found is not None
            self._engines[found[1]] = self._compiled(text, found[1], found[2].count("ptr "))

    def _compiled(self, text: str, name: str, n_parameters: int) -> tuple[Any, Any]:
        parameters = ", ".join(f"ptr %p{number}" for number in range(n_parameters))
        driver = DRIVER.format(name=name, parameters=parameters)
        module = llvm.parse_assembly(translated(text) + PRELUDE + driver)
        module.verify()
        target = llvm.Target.from_default_triple()
        features = llvm.get_host_cpu_features().flatten()
        machine = target.create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=features, opt=2
        )
        engine = llvm.create_mcjit_compiler(module, machine)
        engine.finalize_object()
        address = engine.get_function_address("drive")
        arguments = [ctypes.c_void_p] * n_parameters + [ctypes.c_uint32] * 2
        return engine, ctypes.CFUNCTYPE(None, *arguments)(address)

    def run(self, kernel: Kernel, launch: Launch, buffers: Sequence[Bytes], _: Choice) -> Trace:
        """Do what `conformance.predict.ptx.machine.run` does."""
        before = [buffer.copy() for buffer in buffers]
        pointers = [buffer.ctypes.data for buffer in buffers]
        _, drive = self._engines[kernel.name]
        drive(*pointers, launch.blocks, launch.threads)
        changed = (
            number
            for number, (old, new) in enumerate(zip(before, buffers, strict=True))
            if old.tobytes() != new.tobytes()
        )
        return Trace(stored=frozenset(changed), scattered=frozenset())
