"""Compile the kernels that walk a whole lattice on an H100, and keep them for the tests.

Of each, PTX, HLO and thunks, as `predict.ptx.load` takes them, and the LLVM IR that the PTX was
made of. Needs the extra `cuda-aot`, and JAX_PLATFORMS=cpu.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from pathlib import Path

import jax

from conformance.cases.builtin import load_catalogue
from conformance.cases.sweeps import log2_points, sweep_case
from conformance.core.arrays import as_dtype
from conformance.core.formats import WIDE_DTYPES
from conformance.observe.jax_compat import lattice_key
from conformance.predict import aot, ptx

CASES = (
    ("normal", "float32"),
    ("lecun_normal", "float32"),
    ("truncated_normal_positive", "float32"),
    ("normal", "float64"),
    ("lecun_normal", "float64"),
)

SEPARATOR = "\n\n"
"""Between the modules of one program."""


def keep(initializer: str, dtype: str, folder: Path) -> None:
    """Write the files of one law, jitted."""
    spec = load_catalogue().lookup(initializer)
    case = sweep_case(spec, dtype, "cuda-emulated", "jit")
    shape, build = case.problem.shape, spec.build()
    with tempfile.TemporaryDirectory() as dump:
        wide = jax.enable_x64(True) if dtype in WIDE_DTYPES else contextlib.nullcontext()
        with wide:
            lowered = aot.lower(
                aot.open_target("cuda", "h100"),
                lambda key: build(key, shape, as_dtype(dtype)),
                [lattice_key(log2_points(case))],
            )
            options = {"xla_dump_to": dump, "xla_dump_emitter_re": ".*"}
            compiled = lowered.compile(compiler_options=options)
        texts = {"hlo": ptx.entry(aot.stripped(compiled.as_text()))}
        for suffix, pattern in (
            ("ptx", "*.ptx"),
            ("thunks", "*.thunk_sequence.txt"),
            ("ll", "*.ir-with-opt.ll"),
        ):
            paths = sorted(Path(dump).glob(pattern))
            texts[suffix] = SEPARATOR.join(path.read_text() for path in paths)
    for suffix, text in texts.items():
        (folder / f"{initializer}-{dtype}.{suffix}").write_text(text, encoding="utf-8")


def main() -> None:
    """Write all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for initializer, dtype in CASES:
        keep(initializer, dtype, folder)


if __name__ == "__main__":
    main()
