"""`conformance compile`: compile for accelerators that are not here, and predict CUDA's bits."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from conformance import aot, options, ptx
from conformance.budgets import FILE_NAME
from conformance.budgets import load as load_budgets
from conformance.builtin import load_catalogue
from conformance.catalogue import Catalogue, InitializerSpec
from conformance.cli.main import FAILED, OK
from conformance.definition import expected_error
from conformance.engine import installed_jax
from conformance.ledger import load as load_ledger
from conformance.matrix import SelectionError, select
from conformance.model import Case, Problem

DEFAULTS = {"cuda": "h100", "tpu": "v5e:1x1"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One problem, compiled for one target.

    error: what was raised, with the first line of its message; "" if it compiled. excuse: why an
    error is right: the definition demands it, or the ledger knows of it.
    """

    problem: Problem
    target: str
    compiled: aot.Compiled | None
    error: str
    excuse: str

    @property
    def is_wrong(self) -> bool:
        """Whether it failed and should not have, or the other way round."""
        return bool(self.error) != bool(self.excuse)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the targets, the selection and what is made of the programs."""
    parser.add_argument("--platform", required=True, choices=aot.PLATFORMS)
    parser.add_argument(
        "--target", help=f"cuda: the device, of {', '.join(aot.target_names())} (default: h100)"
    )
    parser.add_argument(
        "--topology", help="tpu: topologies, comma-separated, as in v5e:1x1,v4:1x1x1 (v5e:1x1)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="store PTX and HLO in DIR")
    parser.add_argument(
        "--predict",
        action="store_true",
        help="cuda: emulate the PTX and show how the device's bits lie to the CPU's and the "
        "oracle's, eager and jitted",
    )
    parser.add_argument(
        "--record", type=Path, metavar="DIR", help="cuda: store the predictions as a recording"
    )
    options.add_selection_options(parser.add_argument)


def run(arguments: argparse.Namespace) -> int:
    """Compile, report, and predict if asked; FAILED when something failed that should not have.

    Raises:
        SelectionError: the options contradict each other.
        CompilerAbsent: the platform's compiler is not installed.
        TargetError: a target is unknown.
    """
    names = _targets(arguments)
    catalogue = load_catalogue()
    problems = _problems(arguments, catalogue)
    targets = [aot.open_target(arguments.platform, name) for name in names]
    rows = []
    for target in targets:
        for problem in problems:
            row = _row(problem, target, catalogue)
            rows.append(row)
            if arguments.out:
                _store(row, arguments.out / target.name.replace(":", "-"))
    print(table(COLUMNS, map(_cells, rows)))
    for line in _summary(rows):
        print(line)
    if arguments.predict or arguments.record:
        _predict(problems, targets[0], catalogue, arguments.record)
    return FAILED if any(row.is_wrong for row in rows) else OK


def _targets(arguments: argparse.Namespace) -> list[str]:
    is_cuda = arguments.platform == "cuda"
    if arguments.topology if is_cuda else arguments.target:
        wrong, right = ("topology", "target") if is_cuda else ("target", "topology")
        raise SelectionError(f"--{wrong} is not for {arguments.platform}: name it by --{right}")
    if not is_cuda and (arguments.predict or arguments.record):
        raise SelectionError("only CUDA is predicted: leave out --predict and --record")
    text = arguments.target if is_cuda else arguments.topology
    return [name.strip() for name in (text or DEFAULTS[arguments.platform]).split(",")]


def _problems(arguments: argparse.Namespace, catalogue: Catalogue) -> list[Problem]:
    selection = options.selection_on(("cpu",), options.values_of(arguments))
    return sorted({case.problem for case in select(catalogue, selection)})


def _row(problem: Problem, target: aot.Target, catalogue: Catalogue) -> Row:
    """Compile one problem as `jax.jit` would; whatever is raised on the way is its result."""
    from conformance.backends.pjrt import eager, settings, typed_key

    spec = catalogue.lookup(problem.initializer)
    compiled, error = None, ""
    try:
        with settings(problem):
            function = eager(spec.build(), problem, [])
            compiled = aot.compile_lowered(
                target, aot.lower(target, function, [typed_key(problem)])
            )
    except Exception as raised:
        error = f"{type(raised).__name__}: {str(raised).partition(chr(10))[0]}"
    excuse = _excuse(problem, target.platform, spec)
    return Row(problem=problem, target=target.name, compiled=compiled, error=error, excuse=excuse)


def _excuse(problem: Problem, platform: str, spec: InitializerSpec) -> str:
    if expected_error(spec.definition, problem.shape, problem.dtype):
        return "as defined"
    case = Case(problem=problem, backend=platform, transform="jit")
    known = load_ledger().matching(case, installed_jax())
    return next((entry.id for entry in known if entry.outcome), "")


# --- Text ----------------------------------------------------------------------------------------

COLUMNS = (
    "problem",
    "compiled for",
    "kernels",
    "instructions",
    "registers",
    "code bytes",
    "temp bytes",
    "fingerprint, or error",
)


def _cells(row: Row) -> tuple[str, ...]:
    start = (row.problem.id, row.target)
    if row.compiled is None:
        return (*start, *[""] * 5, f"{row.excuse or 'FAILED'}: {row.error}"[:120])
    made = row.compiled
    sizes = (str(made.temp_bytes), made.fingerprint)
    if not made.ptx:
        return (*start, "", "", "", str(made.code_bytes), *sizes)
    return (*start, *map(str, _counts(made.ptx)), "", *sizes)


def _counts(texts: Sequence[str]) -> tuple[int, int, int]:
    """Return how many kernels there are, their instructions, and the registers that they declare.

    Counted in the text, so that programs outside the emulated subset count too. Registers are
    PTX's virtual ones: what the device's own assembler makes of them is not known here.
    """
    text = "\n".join(texts)
    registers = re.findall(r"\.reg\s+\.\w+\s+%\w+<(\d+)>", text)
    return (
        len(re.findall(r"\.visible\s+\.entry", text)),
        len(re.findall(r"^\t+(?:@!?%p\d+ )?[a-z][\w.:]*[^\n]*;$", text, re.MULTILINE)),
        sum(int(count) - 1 for count in registers),
    )


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table that lines up in a terminal too."""
    rows = [list(head), *map(list, lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    texts = [
        "| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    return "\n".join([texts[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *texts[1:]])


def _summary(rows: Sequence[Row]) -> Iterator[str]:
    for target in dict.fromkeys(row.target for row in rows):
        mine = [row for row in rows if row.target == target]
        done = sum(row.compiled is not None for row in mine)
        excused = sum(bool(row.error and row.excuse) for row in mine)
        yield (
            f"compiled for {target}: {done} of {len(mine)}; {excused} refused as the definition "
            f"demands or the ledger knows; {sum(row.is_wrong for row in mine)} wrong"
        )
        errors = collections.Counter(row.error for row in mine if row.is_wrong)
        yield from (f"  {count} x {error or 'compiled'}" for error, count in errors.most_common())


# --- Files and predictions -----------------------------------------------------------------------


def _store(row: Row, folder: Path) -> None:
    """Write what the emulator reads: PTX, the entry computation and the thunks; or the HLO."""
    if row.compiled is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    made = row.compiled
    texts = {"hlo": aot.stripped(made.hlo)}
    if made.ptx:
        texts = {"ptx": "\n".join(made.ptx), "hlo": ptx.entry(made.hlo), "thunks": made.thunks}
    for suffix, text in texts.items():
        (folder / f"{row.problem.id}.{suffix}").write_text(text, encoding="utf-8", newline="\n")


def _predict(
    problems: Sequence[Problem], target: aot.Target, catalogue: Catalogue, record: Path | None
) -> None:
    from conformance import predictions

    measured = load_budgets(options.golden_folder(None) / FILE_NAME)
    judged = list(predictions.judge(problems, target, catalogue, measured))
    print()
    print(table(predictions.COLUMNS, map(predictions.cells, judged)))
    print(predictions.summary(judged))
    if record:
        print(f"stored {predictions.store(judged, target, catalogue, record)} cases in {record}")
