"""How XLA compiles for tests: in less time than for users, to the same bits."""

from __future__ import annotations

from conformance.core.settings import FAST_LEVEL, OPTIMIZATION_FLAG

LEFT_OUT = ("disable_loop_unrolling", "disable_slp_vectorizer")
"""What LLVM is told to leave out. Optimizing for size would leave out more, and cost three seconds
of CPU where a test draws a whole lattice.
"""

QUICK = (
    f"{OPTIMIZATION_FLAG}={FAST_LEVEL}",
    f"--xla_backend_extra_options={','.join(f'xla_cpu_{each}' for each in LEFT_OUT)}",
    "--xla_llvm_disable_expensive_passes=true",
    "--xla_cpu_parallel_codegen_split_count=1",
)
"""XLA ends a process whose flags it does not know: JAX 0.6.2 knows these, and 0.4.30 not."""


def quick(flags: str) -> str:
    """Return flags of XLA, with those that let it compile quickly unless they ask for a level."""
    return flags if OPTIMIZATION_FLAG in flags else " ".join([flags, *QUICK]).strip()
