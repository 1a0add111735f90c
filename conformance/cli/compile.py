"""`conformance compile`: compile for accelerators that are not here, and predict CUDA's bits."""

from __future__ import annotations

import argparse
import collections
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from conformance import aot, lowering, options, ptx
from conformance.budgets import BUDGETS
from conformance.budgets import load as load_budgets
from conformance.builtin import load_catalogue
from conformance.catalogue import Catalogue, InitializerSpec
from conformance.cli import compiled
from conformance.cli.compiled import Row
from conformance.cli.main import FAILED, OK
from conformance.definition import expected_error
from conformance.engine import installed_jax
from conformance.golden import open_store
from conformance.ledger import load as load_ledger
from conformance.matrix import SelectionError, select
from conformance.model import Case, Problem

DEFAULTS = {"cuda": "h100", "tpu": "v5e:1x1"}


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
        help="cuda: emulate the PTX of the selected cases, and show how the device's bits lie to "
        "the CPU's and the oracle's",
    )
    parser.add_argument(
        "--record", type=Path, metavar="DIR", help="cuda: store the predictions in DIR"
    )
    parser.add_argument(
        "--golden", default=None, metavar="DIR", help="golden set (default: the shipped one)"
    )
    parser.add_argument(
        "--accept",
        action="store_true",
        help=f"store these programs in DIR/{compiled.COMPILED}, instead of comparing with it",
    )
    parser.add_argument("--reason", default="", help="why they are right; kept with them")
    options.add_selection_options(parser.add_argument)


def run(arguments: argparse.Namespace) -> int:
    """Compile, report, compare with what is accepted, and predict if asked.

    FAILED when something failed that should not have, or is not what the same versions made before.

    Raises:
        SelectionError: the options contradict each other, or what is to be accepted is wrong.
        CompilerAbsent: the platform's compiler is not installed.
        TargetError: a target is unknown.
        GoldenError: what is accepted cannot be read.
    """
    names = _targets(arguments)
    catalogue = load_catalogue()
    problems = _problems(arguments, catalogue)
    targets = [aot.open_target(arguments.platform, name) for name in names]
    rows = []
    for target in targets:
        for problem in problems:
            row = compiled_row(problem, target, catalogue)
            rows.append(row)
            if arguments.out:
                store_programs(row, arguments.out / compiled.folder_name(target.name))
    print(table(COLUMNS, map(cells, rows)))
    for line in summary(rows):
        print(line)
    is_wrong = any(row.is_wrong for row in rows) | _settle(rows, arguments)
    if arguments.predict or arguments.record:
        _predict(arguments, targets[0], catalogue)
    return FAILED if is_wrong else OK


def _settle(rows: Sequence[Row], arguments: argparse.Namespace) -> bool:
    """Accept the rows of each target, or compare them; return whether one is wrongly another."""
    golden = options.golden_folder(arguments.golden)
    here = aot.versions(arguments.platform)
    is_wrong = False
    for name in dict.fromkeys(row.target for row in rows):
        mine = [row for row in rows if row.target == name]
        if arguments.accept:
            print(compiled.accept(golden, name, mine, here, arguments.reason))
            continue
        found = compiled.compare(golden, name, mine, here)
        print(found.text)
        is_wrong |= found.is_wrong
    return is_wrong


def _targets(arguments: argparse.Namespace) -> list[str]:
    is_cuda = arguments.platform == "cuda"
    if arguments.topology if is_cuda else arguments.target:
        wrong, right = ("topology", "target") if is_cuda else ("target", "topology")
        raise SelectionError(f"--{wrong} is not for {arguments.platform}: name it by --{right}")
    if not is_cuda and (arguments.predict or arguments.record):
        raise SelectionError("only CUDA is predicted: leave out --predict and --record")
    if arguments.accept and not arguments.reason:
        raise SelectionError("--accept needs --reason '...': why are these programs right?")
    text = arguments.target if is_cuda else arguments.topology
    return [name.strip() for name in (text or DEFAULTS[arguments.platform]).split(",")]


def _problems(arguments: argparse.Namespace, catalogue: Catalogue) -> list[Problem]:
    selection = options.selection_on(("cpu",), options.values_of(arguments))
    return sorted({case.problem for case in select(catalogue, selection)})


def compiled_row(problem: Problem, target: aot.Target, catalogue: Catalogue) -> Row:
    """Compile one problem as `jax.jit` would; whatever is raised on the way is its result."""
    from conformance.backends.pjrt import eager, settings, typed_key

    spec = catalogue.lookup(problem.initializer)
    made, fingerprint, error = None, "", ""
    try:
        with settings(problem):
            function = eager(spec.build(), problem, [])
            lowered = aot.lower(target, function, [typed_key(problem)])
            fingerprint = lowering.fingerprint(lowered.as_text())
            made = aot.compile_lowered(target, lowered)
    except Exception as raised:
        error = f"{type(raised).__name__}: {str(raised).partition(chr(10))[0]}"
    expected, excuse = _expected(problem, target.platform, spec)
    return Row(
        problem=problem,
        target=target.name,
        lowered=fingerprint,
        compiled=made,
        error=error,
        expected=expected,
        excuse=excuse,
    )


def _expected(problem: Problem, platform: str, spec: InitializerSpec) -> tuple[str, str]:
    """Return the exception that must come, and who says so; twice "" where none must."""
    if refused := expected_error(spec.definition, problem.shape, problem.dtype):
        return refused, "as defined"
    case = Case(problem=problem, backend=platform, transform="jit")
    known = load_ledger().matching(case, installed_jax())
    entry = next((entry for entry in known if entry.outcome), None)
    return (entry.outcome.removeprefix("raises "), entry.id) if entry else ("", "")


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


def cells(row: Row) -> tuple[str, ...]:
    """Return the row of the table."""
    start = (row.problem.id, row.target)
    if row.compiled is None:
        return (*start, *[""] * 5, f"{'FAILED' if row.is_wrong else row.excuse}: {row.error}"[:120])
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


def summary(rows: Sequence[Row]) -> Iterator[str]:
    """Yield how many problems compiled for each target, and why the others did not."""
    for target in dict.fromkeys(row.target for row in rows):
        mine = [row for row in rows if row.target == target]
        done = sum(row.compiled is not None for row in mine)
        excused = sum(bool(row.error) and not row.is_wrong for row in mine)
        yield (
            f"compiled for {target}: {done} of {len(mine)}; {excused} refused as the definition "
            f"demands or the ledger knows; {sum(row.is_wrong for row in mine)} wrong"
        )
        excuses = collections.Counter(row.excuse for row in mine if row.error and not row.is_wrong)
        yield from (f"  {count} x {excuse}" for excuse, count in excuses.most_common())
        errors = collections.Counter(_fault(row) for row in mine if row.is_wrong)
        yield from (f"  {count} x WRONG: {fault}" for fault, count in errors.most_common())


def _fault(row: Row) -> str:
    if not row.expected:
        return row.error
    happened = row.error or "it compiled"
    return f"{row.excuse} expects {row.expected}, but {happened}"


# --- Files and predictions -----------------------------------------------------------------------


def store_programs(row: Row, folder: Path) -> None:
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


def _predict(arguments: argparse.Namespace, target: aot.Target, catalogue: Catalogue) -> None:
    from conformance import predictions

    golden, folder = options.golden_folder(None), arguments.record
    selection = options.selection_on(("cuda-emulated",), options.values_of(arguments))
    cases = select(catalogue, selection)
    judged = list(predictions.judge(cases, target, catalogue, load_budgets(golden / BUDGETS)))
    print()
    print(table(predictions.COLUMNS, map(predictions.cells, judged)))
    print(predictions.summary(judged))
    if folder:
        count = predictions.store(judged, target, catalogue, folder, open_store(golden))
        print(f"stored {count} cases in {folder}")
