"""Make small faults in the core and the judge, one at a time, and show which no test notices.

    python scripts/mutants.py                          every mutant of the modules below
    python scripts/mutants.py conformance/core/ulp.py       of some modules
    python scripts/mutants.py --minutes 60 --jobs 4    as many as fit, drawn by lot each day
    python scripts/mutants.py --again                  those that were not killed when last judged
    python scripts/mutants.py --again --write          the same, and the table in docs/mutants.md

Cosmic Ray says what can be changed, and how. The tests that execute the changed line judge, and the
first that fails ends it. No source on disk changes. Where the line is of a function that nothing
calls at import, the judge is forked from a process that has collected all tests, and gives the
function the code of the mutant. Any other is judged in a process forked from one that has imported
NumPy, SciPy, JAX and pytest only: there the package is imported with the mutant in place of its
module.

Judges are the tests of the files that JUDGES names, of at most SLOWEST_JUDGE_S each. What the
faults of conformance/suite/faults returned is stored, and so are the programs that other tests
compile, so that each judges in a fraction of a second.

A survivor that no test can kill, because nobody could see what it changes, is listed with the
reason in tests/mutants.toml. Exit code 1: another survives, or one of a comparison or a bound, one
that is listed does not, or more than SHARE_THAT_MAY_SURVIVE do; 3: a test fails without any mutant,
or time was over before all that judge were known, so nothing can be said. What was not judged in
time is counted as such.
"""

from __future__ import annotations

import argparse
import ast
import collections
import dataclasses
import datetime
import difflib
import fnmatch
import functools
import gc
import hashlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import itertools
import json
import math
import os
import platform
import random
import resource
import signal
import sys
import tempfile
import time
import tomllib
import traceback
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import MutationVisitor

ROOT = Path(__file__).parent.parent
KEPT = ROOT / "build" / "mutants"

SETTINGS = {
    "JAX_COMPILATION_CACHE_DIR": str(KEPT / "programs"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    "OPENBLAS_NUM_THREADS": "1",  # forked processes share the cores
    "PYTEST_ADDOPTS": "",  # of other runs: without a plug-in, its option here would end each
    "XLA_FLAGS": "--xla_backend_optimization_level=1",  # or tests/conftest.py asks JAX for devices
}
"""Of the run's own process, set before NumPy and JAX are imported."""

RESULTS = KEPT / "results"
"""How mutants ended when last judged: a file for each module."""

LISTED = ROOT / "tests" / "mutants.toml"

PAGE = ROOT / "docs" / "mutants.md"
TABLE, END = "<!-- mutants -->", "<!-- end -->"

MODULES = (
    "core/arrays.py",
    "core/budgets.py",
    "core/formats.py",
    "core/ids.py",
    "core/lattice.py",
    "core/laws/*.py",
    "core/reading.py",
    "core/records.py",
    "core/ulp.py",
    "flax/checks.py",
    "flax/recognition.py",
    "judge/**/*.py",
    "oracle/*.py",
    "store/budgets.py",
)
"""The core and the judge: what makes a verdict, and what the verdict rests on."""

JUDGES = (
    *("accepted", "alpha", "arrays", "backward_error", "battery", "block", "bounds", "budget*"),
    *("case_set", "lines"),
    *("check_oracle", "check_statistics", "circular", "classify"),
    *("contract", "curve", "definition", "departures", "drawn", "drift"),
    *("element", "exact", "faults", "formats", "geometry"),
    *("haar", "ids", "keys", "lattice", "law", "law_check", "laws", "ledger", "logistic", "looks"),
    *("matrices", "matrix_draws"),
    *("model", "module_checks", "moments", "oracle_*", "parts", "permitted", "predicted"),
    *("reach", "reading", "recognition", "records", "refuted", "replay", "rules"),
    *("sample", "sampler", "stages"),
    *("statistics*", "structure", "ulp", "users_law", "values", "verdict", "ways", "witness"),
)
"""Files in folders of tests/ that judge, without their `test_`: those that start no processes."""

SLOWEST_JUDGE_S = 3.0
"""Of CPU, while the lines that it executes are noted."""

MOST_BYTES = 8 << 30
"""What a judge may address: a mutant may ask for an array without end."""

SHARE_THAT_MAY_SURVIVE = 0.1
NO_PROGRAM = 71
"""Exit status of a judge whose mutant is no program."""

NOT_IN_PLACE = 72
"""Exit status of a judge that finds no function to change: the mutant must be imported."""

ENDS = {
    "0": "survived",
    "5": "survived",
    "timeout": "timeout",
    str(NO_PROGRAM): "no program",
}
"""What the end of a judge says of its mutant; any other end is that it was killed."""

PRELOADED = (
    "coverage",
    "flax.linen",
    "flax.nnx",
    "hypothesis",
    "jax",
    "ml_dtypes",
    "mpmath",
    "numpy.testing",
    "pandas",
    "pyarrow.parquet",
    "pytest",
    "safetensors.numpy",
    "scipy.linalg",
    "scipy.special",
    "scipy.stats",
    "xdist.plugin",
)
"""What a judge imports besides the package: once, before the first fork."""

Task = tuple[Any, Callable[[], int], float]
"""Its name, what it does in a process of its own, and the limit of CPU in s."""

NO_TESTS = 5
"""How pytest ends where all of a file is left out, as without an extra that it needs."""

PYTEST = (
    *("-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:randomly", "--hypothesis-seed=0"),
    *("-p", "no:unraisableexception"),  # it collects garbage twice: half of a judge's time
    "--assert=plain",  # pytest would find the module first, to rewrite it, and not the mutant
    "--cold",  # no judge starts a process, so none needs a server that has imported JAX
)


# --- What can be changed -------------------------------------------------------------------------

_COMPARISONS = {
    # A relational operator needs three mutants; the others fall with them. Kaminski, Ammann &
    # Offutt, Improving logic-based testing, Journal of Systems and Software 86 (2013) 2002-2012.
    "Lt": ("LtE", "NotEq", "GtE"),
    "LtE": ("Lt", "Eq", "Gt"),
    "Gt": ("GtE", "NotEq", "LtE"),
    "GtE": ("Gt", "Eq", "Lt"),
    # Most compare names or shapes, which have no order.
    "Eq": ("NotEq",),
    "NotEq": ("Eq",),
    "Is": ("IsNot",),
    "IsNot": ("Is",),
}
_ARITHMETIC = {
    "Add": "Sub",
    "Sub": "Add",
    "Mul": "Div",
    "Div": "Mul",
    "FloorDiv": "Div",
    "Mod": "FloorDiv",
    "Pow": "Mul",
    "RShift": "LShift",
    "LShift": "RShift",
    "BitOr": "BitAnd",
    "BitAnd": "BitOr",
    "BitXor": "BitAnd",
}
OPERATORS = (
    *(f"ReplaceComparisonOperator_{a}_{b}" for a, others in _COMPARISONS.items() for b in others),
    *(f"ReplaceBinaryOperator_{a}_{b}" for a, b in _ARITHMETIC.items()),
    "ReplaceUnaryOperator_Delete_USub",
    "ReplaceUnaryOperator_Delete_Invert",
    "ReplaceUnaryOperator_Delete_Not",
    "AddNot",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ExceptionReplacer",
    "NumberReplacer",
    "RemoveDecorator",
    "ZeroIterationForLoop",
)

STORAGE = ("cache", "dataclass")
"""In decorators that say how a record or a result is stored."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One small fault: an operator of Cosmic Ray at one place of one module.

    path: of the module, from the root of the repository. occurrence: the operator's count of it.
    lines: of the statement, from its first to the one that is changed. function: where it is.
    """

    path: str
    operator: str
    occurrence: int
    lines: tuple[int, int]
    function: str

    def source(self) -> str:
        """Return the module with the fault."""
        visitor = MutationVisitor(self.occurrence, _operator(self.operator))
        changed = visitor.walk(_tree(self.path))
        _tree.cache_clear()  # it is not what it was
        if not visitor.mutation_applied:
            raise ValueError(f"{self} changes nothing: the module changed since it was listed")
        return str(changed.get_code())

    def change(self) -> tuple[str, str]:
        """Return what the changed lines say without the fault, and with it."""
        texts = _read(self.path).splitlines(), self.source().splitlines()
        diff = [line for line in difflib.ndiff(*texts) if line[0] in "-+"]
        before, after = (
            " ".join(word for line in diff if line[0] == sign for word in line[1:].split())
            for sign in "-+"
        )
        return before, after


def mutants_of(path: str) -> Iterator[Mutant]:
    """Yield what can be changed in a module, but for what `_is_idle` and `_is_rest` name."""
    for name in OPERATORS:
        for occurrence, (node, number, start) in enumerate(_places(path, name)):
            if not _is_idle(node) and (number or not _is_rest(node)):
                yield Mutant(
                    path=path,
                    operator=name,
                    occurrence=occurrence,
                    lines=(_statement(node).start_pos[0], start[0]),
                    function=_function(node),
                )


def is_of_comparison(mutant: Mutant) -> bool:
    """Return whether it changes or negates a comparison, a number in one, or a constant it names.

    Bounds are such. Nobody needs to say why one that survives is the same: `n != 0` says it of a
    count, and where the two sides only take another time a test counts what is done twice.
    """
    places = _places(mutant.path, mutant.operator)
    node, _, _ = next(itertools.islice(places, mutant.occurrence, None))
    negated = _negated(node, mutant.operator)
    if negated is not None:
        return any(inner.type == "comparison" for inner in ast_nodes(negated))
    if mutant.function == "<module>" and any(
        _is_compared(mutant.path, name) for name in _names_given(_statement(node))
    ):
        return True
    return any(outer.type == "comparison" for outer in _outwards(node))


def _negated(node: Any, operator: str) -> Any:
    """Return what an operator negates: by a `not` more, or by one less."""
    if operator == "AddNot":
        return node.children[2 if node.type == "test" else 1]
    return node.children[1] if operator == "ReplaceUnaryOperator_Delete_Not" else None


def _names_given(statement: Any) -> set[str]:
    """Return the names that a statement of a module assigns, annotated or several at once too."""
    text = _text(statement)
    if statement.type not in ("simple_stmt", "expr_stmt", "annassign"):
        return set()  # a block, whose own statements are looked at
    nodes = ast.walk(ast.parse(text))
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _places(path: str, operator: str) -> Iterator[tuple[Any, int, tuple[int, int]]]:
    """Yield each place that an operator changes: the node, which change of it, and where."""
    for node in _nodes(path):
        for number, (start, _end) in enumerate(_operator(operator).mutation_positions(node)):
            yield node, number, start


def _is_compared(path: str, name: str) -> bool:
    """Return whether a comparison names a constant, in its module or where it is imported."""
    files = (str(file.relative_to(ROOT)) for file in ROOT.glob("conformance/**/*.py"))
    return name in _compared(path)[0] or any(name in _compared(file)[1] for file in files)


@functools.cache
def _compared(path: str) -> tuple[set[str], set[str]]:
    """Return all names in comparisons of a file, and of which it imports the value or the module.

    An imported name counts as it is called where it is from.
    """
    nodes = list(ast.walk(ast.parse(_read(path))))
    imports = (node for node in nodes if isinstance(node, ast.ImportFrom))
    aliases = [alias for node in imports for alias in node.names]
    compared = (node for node in nodes if isinstance(node, ast.Compare))
    inner = [node for comparison in compared for node in ast.walk(comparison)]
    found = {node.id for node in inner if isinstance(node, ast.Name)}
    of_modules = {
        node.attr for node in inner if isinstance(node, ast.Attribute) and node.attr.isupper()
    }
    imported = {alias.name for alias in aliases if (alias.asname or alias.name) in found}
    return found, imported | of_modules


def _is_idle(node: Any) -> bool:
    """Return whether no test is meant to see a change there.

    Annotations are never evaluated. How a record is stored (`dataclass(slots=True)`) and whether a
    result is kept (`cache`) change nothing but memory and time. `strict=True` of `zip` and `assert`
    say what holds anyway. The `*` of a signature is no product. Whether what only annotations name
    is imported (`if TYPE_CHECKING`) is seen by a process of its own, if at all.
    """
    if node.parent is not None and node.parent.type in ("param", "parameters"):
        return str(node.type) == "operator"
    for inner in _outwards(node):
        if inner.type in ("annassign", "tfpdef") and _is_annotation(inner, node):
            return True
        if inner.type == "assert_stmt" or _is_of_annotations(inner):
            return True
        if inner.type == "decorator" and any(word in _text(inner) for word in STORAGE):
            return True
        if inner.type == "argument" and _text(inner) == "strict=True":
            return True
        if inner.type != "funcdef" and inner is getattr(inner.parent, "annotation", None):
            return True
    return False


def _is_rest(node: Any) -> bool:
    """Return whether a number is the 1 of `reshape(-1)`, whose first change is to 2.

    NumPy takes any negative size for the one that is left.
    """
    sign = node.parent
    if node.type != "number" or sign is None or _text(sign) != "-1":
        return False
    call = sign.parent.parent if sign.parent.type == "arglist" else sign.parent
    called = call.get_previous_sibling()
    return called is not None and _text(called) == ".reshape"


def _is_of_annotations(inner: Any) -> bool:
    """Return whether the statement imports what only annotations name."""
    names = ("TYPE_CHECKING", "typing.TYPE_CHECKING")
    return inner.type == "if_stmt" and _text(inner.children[1]) in names


def _is_annotation(inner: Any, node: Any) -> bool:
    """Return whether the node is in `: annotation`, not behind the `=` that follows it."""
    value = inner.children[3] if inner.type == "annassign" and len(inner.children) > 3 else None
    return value is None or not any(outer is value for outer in _outwards(node))


def _text(node: Any) -> str:
    return str(node.get_code()).strip()


def _outwards(node: Any) -> Iterator[Any]:
    while node is not None:
        yield node
        node = node.parent


def _statement(node: Any) -> Any:
    """Return the innermost statement around a node."""
    blocks = ("suite", "file_input")
    return next(n for n in _outwards(node) if n.parent is None or n.parent.type in blocks)


def _function(node: Any) -> str:
    names = [n.name.value for n in _outwards(node) if n.type in ("funcdef", "classdef")]
    return ".".join(reversed(names)) or "<module>"


@functools.cache
def _operator(name: str) -> Any:
    return plugins.get_operator(f"core/{name}")()


@functools.cache
def _nodes(path: str) -> list[Any]:
    return list(ast_nodes(get_ast(_read(path))))


@functools.cache
def _tree(path: str) -> Any:
    return get_ast(_read(path))


@functools.cache
def _read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


# --- In a process of its own ---------------------------------------------------------------------


class _OneModule(importlib.machinery.SourceFileLoader):
    """Loads another text than the file's, and leaves no byte code."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self._text = text

    def get_code(self, fullname: str) -> types.CodeType:
        return compile(self._text, self.get_filename(fullname), "exec", dont_inherit=True)


class _InPlaceOf(importlib.abc.MetaPathFinder):
    """Finds one module, whose text is given."""

    def __init__(self, path: str, text: str) -> None:
        parts = Path(path).with_suffix("").parts
        self._is_package = parts[-1] == "__init__"
        self._name = ".".join(parts[:-1] if self._is_package else parts)
        self._path, self._text = str(ROOT / path), text

    def find_spec(
        self,
        fullname: str,
        path: Any = None,  # noqa: ARG002  # as the protocol has it
        target: Any = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(
            fullname,
            self._path,
            loader=_OneModule(fullname, self._path, self._text),
            submodule_search_locations=[str(Path(self._path).parent)] if self._is_package else None,
        )


class _Chosen:
    """Runs the named tests only, the quickest first.

    A mutant may change the name of a test, which is made of the values of its parameters: in place
    of one that is not there all tests of its function run.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._rank = {name: rank for rank, name in enumerate(names)}

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        gone = self._rank.keys() - {item.nodeid for item in items}
        renamed = {_function_of_test(name) for name in gone}
        chosen = (
            item
            for item in items
            if item.nodeid in self._rank or _function_of_test(item.nodeid) in renamed
        )
        items[:] = sorted(chosen, key=lambda item: self._rank.get(item.nodeid, len(self._rank)))


def _function_of_test(name: str) -> str:
    return name.partition("[")[0]


class _Watched:
    """Notes how long each test takes, what came of it, and which lines it executes.

    What a fixture of wider scope executes, every test of its file rests on.
    """

    def __init__(self, modules: Sequence[str]) -> None:
        import coverage

        self.coverage = coverage.Coverage(
            data_file=None, include=[str(ROOT / path) for path in modules]
        )
        self.took: dict[str, float] = {}
        self.failed: set[str] = set()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        forget()  # else only the first test that asks executes it
        self.coverage.switch_context(nodeid)
        self.took[nodeid] = -time.process_time()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.took[nodeid] += time.process_time()

    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> None:
        is_own = fixturedef.scope == "function"
        nodeid = request.node.nodeid
        self.coverage.switch_context(nodeid if is_own else f"{nodeid.partition('::')[0]}::")

    def pytest_runtest_call(self, item: Any) -> None:
        self.coverage.switch_context(item.nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.outcome != "passed":
            self.failed.add(report.nodeid)

    def lines(self, modules: Sequence[str]) -> dict[str, dict[int, list[str]]]:
        """Return, by module and line, the contexts that executed it; "" is at import."""
        data = self.coverage.get_data()
        return {
            path: {
                line: sorted(contexts)
                for line, contexts in data.contexts_by_lineno(str(ROOT / path)).items()
            }
            for path in modules
        }


def fork(work: Callable[[], int], limit_s: float) -> int:
    """Run the work in a process of its own, silently; what it returns is the exit status.

    limit_s: of CPU, and so the same on a busy machine. Returns its process id.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pid = os.fork()
    if pid:
        return pid
    status = 70
    heard = os.dup(2)
    try:
        cpu_s = resource.RLIM_INFINITY if limit_s == math.inf else math.ceil(limit_s)
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
        silent = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(silent, descriptor)
        status = work()
    except Exception:
        os.write(heard, traceback.format_exc().encode())
    finally:
        os._exit(status)


def finished(pid: int) -> str | None:
    """Return how a process ended: `0` and other exit statuses, `timeout`; None while it runs."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    if not ended:
        return None
    code = os.waitstatus_to_exitcode(status)
    return "timeout" if code in (-signal.SIGXCPU, -signal.SIGKILL) else str(code)


def run_all(tasks: Iterable[Task], jobs: int, until: float) -> Iterator[tuple[Any, str]]:
    """Run (name, work, CPU limit in s) side by side; yield (name, how it ended) as they end.

    until: on the monotonic clock, when what still runs is killed. Of that nothing is yielded.
    """
    running: dict[int, Any] = {}
    waiting = iter(tasks)
    is_open = True
    while is_open or running:
        if time.monotonic() > until:
            for pid in running:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            return
        while is_open and len(running) < jobs:
            task = next(waiting, None)
            is_open = task is not None
            if task is not None:
                name, work, limit_s = task
                running[fork(work, limit_s)] = name
        for pid, name in list(running.items()):
            if (end := finished(pid)) is not None:
                del running[pid]
                yield name, end
        time.sleep(0.005)


# --- Who judges ----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Judges:
    """The tests that judge: how long each takes, and which lines it executes."""

    took: Mapping[str, float]
    lines: Mapping[str, Mapping[int, frozenset[str]]]

    def of(self, mutant: Mutant) -> list[str]:
        """Return the tests that execute the changed statement, the quickest first.

        The tests of the module's name judge too (test_law_check.py is of judge/law/checks.py): that
        a test rests on a field of a record, or on what another test has had cached, no executed
        line tells. A statement that is executed at import is judged by all that the module's
        functions are.
        """
        return self._of(mutant.path, mutant.lines)

    def is_at_import(self, mutant: Mutant) -> bool:
        """Return whether the changed statement is executed before any test is."""
        lines, (first, last) = self.lines.get(mutant.path, {}), mutant.lines
        return any("" in lines.get(number, ()) for number in range(first, last + 1))

    def limit_s(self, mutant: Mutant) -> float:
        """Return how long all that judge may take, of CPU."""
        return 10 + 3 * sum(self.took[test] for test in self.of(mutant))

    @functools.cache  # noqa: B019  # for as long as the run: many mutants change one statement
    def _of(self, path: str, changed: tuple[int, int]) -> list[str]:
        lines, own = self.lines.get(path, {}), self._own(path)
        first, last = changed
        found = frozenset[str]().union(*(lines.get(n, frozenset()) for n in range(first, last + 1)))
        if "" in found:
            found = frozenset[str]().union(*lines.values())
        files = {name.removesuffix("::") for name in found if name.endswith("::")}
        by_file = {test for test in self.took if test.partition("::")[0] in files}
        return sorted(
            (found | by_file | own) & self.took.keys(),
            key=lambda test: (test not in found, test not in own, self.took[test]),
        )

    @functools.cache  # noqa: B019  # as above
    def _own(self, path: str) -> frozenset[str]:
        """Return the tests of the module's name."""
        parts = Path(path).with_suffix("").parts

        def is_own(test: str) -> bool:
            words = Path(test.partition("::")[0]).stem.removeprefix("test_").split("_")
            return all(any(part.startswith(word) for part in parts) for word in words)

        return frozenset(filter(is_own, self.took))


def find_judges(
    modules: Sequence[str], names: Iterable[str], jobs: int, until: float
) -> Judges | None:
    """Run the tests of each file once, watched; files that have not changed are not run again.

    None where time is over first: no mutant may survive because its judges were not found.
    """
    KEPT.mkdir(parents=True, exist_ok=True)
    files = (file for name in names for file in sorted(ROOT.glob(f"tests/*/test_{name}.py")))
    kept = {file: _where_watched(file) for file in files}
    if not watch({file: where for file, where in kept.items() if not where.exists()}, jobs, until):
        return None
    took: dict[str, float] = {}
    lines: dict[str, dict[int, set[str]]] = {path: collections.defaultdict(set) for path in modules}
    for where in filter(Path.exists, kept.values()):
        found = json.loads(where.read_text(encoding="utf-8"))
        took |= {test: s for test, s in found["took"].items() if s <= SLOWEST_JUDGE_S}
        for path in modules:
            for line, tests in found["lines"].get(path, {}).items():
                lines[path][int(line)] |= set(tests)
    frozen = {path: {n: frozenset(tests) for n, tests in of.items()} for path, of in lines.items()}
    return Judges(took=took, lines=frozen)


def _where_watched(file: Path) -> Path:
    """Return where it is kept what a file of tests executes."""
    return KEPT / f"{file.stem}-{_package()}-{_digest([file])}.json"


@functools.cache
def _package() -> str:
    return _digest(map(ROOT.joinpath, default_modules()), ROOT.glob("tests/[!t]*.py"))


def watch(files: Mapping[Path, Path], jobs: int, until: float) -> bool:
    """Note in a file, for each file of tests, what it executes; return whether time sufficed."""
    tasks = (
        (file, functools.partial(_watch, file, files[file]), 900.0)
        for file in told("finding judges", list(files))
    )
    ended = dict(run_all(tasks, jobs, until))
    for file, end in ended.items():
        if end != "0":
            print(f"{file.name} judges nothing: {end}", flush=True)
    if missing := [file.name for file in files if file not in ended]:
        print(
            f"time is over before {len(missing)} of {len(files)} files were watched, so nothing "
            f"can be said: {', '.join(missing)}. Run it again, it goes on from here"
        )
    return not missing


def told(what: str, files: Sequence[Path]) -> Iterator[Path]:
    """Yield the files, saying of each that it is its turn."""
    for number, file in enumerate(files, start=1):
        print(f"{what}: file {number} of {len(files)}, {file.name}", flush=True)
        yield file


def stored_faults() -> Path:
    """Return the folder of what the planted faults returned; whichever judge is first fills it."""
    digest = _digest(ROOT.glob("conformance/**/*.py"))
    folder = KEPT / f"faults-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _digest(*files: Iterable[Path]) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for file in sorted(file for some in files for file in some):
        digest.update(str(file.relative_to(ROOT)).encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _watch(file: Path, where: Path) -> int:
    """Run one file of tests, and keep what each executes; all modules, whichever are asked for."""
    import pytest

    modules = default_modules()
    watched = _Watched(modules)
    watched.coverage.start()
    status = pytest.main([*PYTEST, str(file.relative_to(ROOT))], plugins=[watched])
    watched.coverage.stop()
    if status not in (0, 1, NO_TESTS):
        return status
    took = {test: s for test, s in watched.took.items() if test not in watched.failed}
    text = json.dumps({"took": took, "lines": watched.lines(modules)})
    put(where, text)
    return 0


def put(where: Path, text: str) -> None:
    """Write a file whole or not at all: a run of hours may be killed, and the next one reads it."""
    part = where.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.rename(where)


def judge(mutant: Mutant | None, tests: Sequence[str]) -> int:
    """Return pytest's exit status of the tests, with the mutant in place of its module."""
    import pytest

    if mutant is not None:
        try:
            text = mutant.source()
            compile(text, mutant.path, "exec", dont_inherit=True)
        except (SyntaxError, AttributeError):  # `not x := y`; an exception that is a tuple
            return NO_PROGRAM
        sys.meta_path.insert(0, _InPlaceOf(mutant.path, text))
    files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
    return int(pytest.main([*PYTEST, "-x", *files], plugins=[_Chosen(tests)]))


def judged(
    mutants: Sequence[Mutant], judges: Judges, jobs: int, until: float
) -> Iterator[tuple[Mutant, str]]:
    """Yield each mutant with an end of ENDS, or `no test`, until time is over."""
    yield from ((mutant, "no test") for mutant in mutants if not judges.of(mutant))
    can_be_judged = [mutant for mutant in mutants if judges.of(mutant)]
    at_import = [mutant for mutant in can_be_judged if judges.is_at_import(mutant)]
    in_place = [mutant for mutant in can_be_judged if not judges.is_at_import(mutant)]
    for mutant, end in judged_in_place(in_place, judges, jobs, until):
        if end == str(NOT_IN_PLACE):
            at_import.append(mutant)
        else:
            yield mutant, ENDS.get(end, "killed")
    tasks = (
        (mutant, functools.partial(judge, mutant, judges.of(mutant)), judges.limit_s(mutant))
        for mutant in at_import
    )
    for mutant, end in run_all(tasks, jobs, until):
        yield mutant, ENDS.get(end, "killed")


def judged_in_place(
    mutants: Sequence[Mutant], judges: Judges, jobs: int, until: float
) -> Iterator[tuple[Mutant, str]]:
    """Yield how each mutant ends that changes functions of a process with all tests collected."""

    def tasks(items: Mapping[str, Any]) -> Iterator[Task]:
        gc.unfreeze()  # tests/conftest.py froze what was collected, which is found no more then
        functions = functions_by_path({mutant.path for mutant in mutants})
        for path in functions:  # once, and not in each fork
            _codes_of(path, _read(path))
            _tree(path)
        gc.collect()
        gc.freeze()
        for number, mutant in enumerate(mutants):
            chosen = [items[test] for test in judges.of(mutant) if test in items]
            work = functools.partial(judge_in_place, mutant, functions[mutant.path], chosen)
            yield number, work, judges.limit_s(mutant)

    tests = {test for mutant in mutants for test in judges.of(mutant)}
    for number, end in with_collected(tests, tasks, jobs, until):
        yield mutants[number], end


def judge_in_place(
    mutant: Mutant, functions: Sequence[types.FunctionType], items: Sequence[Any]
) -> int:
    """Return 1 if a test fails with the functions as the mutant has them, 0 if none does."""
    try:
        n_changed = change_in_place(mutant, functions)
    except (SyntaxError, AttributeError):
        return NO_PROGRAM
    forget()  # what was found while the tests were collected
    return run_items(items) if n_changed else NOT_IN_PLACE


def forget() -> None:
    """Empty what `functools.cache` holds of the functions of the package and of its tests."""
    named = list(sys.modules.items())
    modules = (module for name, module in named if name.startswith(("conformance.", "tests.")))
    for thing in (thing for module in modules for thing in vars(module).values()):
        if isinstance(thing, functools._lru_cache_wrapper):
            thing.cache_clear()


def run_items(items: Sequence[Any]) -> int:
    """Run collected tests, and return 1 at the first that fails, else 0."""
    for item, following in itertools.zip_longest(items, items[1:]):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if item.session.testsfailed:
            return 1
    return 0


def with_collected(
    tests: Iterable[str],
    tasks: Callable[[Mapping[str, Any]], Iterable[Task]],
    jobs: int,
    until: float,
) -> Iterator[tuple[Any, str]]:
    """Yield how tasks end in forks of a process that has collected the files of the tests.

    tasks: made there, of the collected tests by name; their names are numbers or text.
    """
    files = sorted({test.partition("::")[0] for test in tests})
    if not files:
        return
    reading, writing = os.pipe()

    class _Forks:
        """Runs tasks in place of the tests."""

        def pytest_runtestloop(self, session: Any) -> bool:
            if (n_threads := len(os.listdir("/proc/self/task"))) > 1:
                raise RuntimeError(f"collecting {files} started {n_threads - 1} threads")
            items = {item.nodeid: item for item in session.items}
            for name, end in run_all(tasks(items), jobs, until):
                os.write(writing, f"{json.dumps([name, end])}\n".encode())
            return True

    def work() -> int:
        import pytest

        return int(pytest.main([*PYTEST, *files], plugins=[_Forks()]))

    pid = fork(work, math.inf)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as lines:
        yield from (tuple(json.loads(line)) for line in lines)
    os.waitpid(pid, 0)


def functions_by_path(paths: Iterable[str]) -> dict[str, list[types.FunctionType]]:
    """Return all functions that there are of each module."""
    found: dict[str, list[types.FunctionType]] = {str(ROOT / path): [] for path in paths}
    for thing in gc.get_objects():
        if type(thing) is types.FunctionType and thing.__code__.co_filename in found:
            found[thing.__code__.co_filename].append(thing)
    return {str(Path(path).relative_to(ROOT)): functions for path, functions in found.items()}


def change_in_place(mutant: Mutant, functions: Sequence[types.FunctionType]) -> int:
    """Give functions of the module the code of the mutant; return how many have another now."""
    before, after = (
        _codes_of(mutant.path, _read(mutant.path)),
        _codes_of(mutant.path, mutant.source()),
    )
    if [code.co_qualname for code in before] != [code.co_qualname for code in after]:
        return 0
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    n_changed = 0
    for function in functions:
        for old, new in changed:
            if function.__code__ == old and function.__code__.co_freevars == new.co_freevars:
                function.__code__ = new
                n_changed += 1
                break
    return n_changed


@functools.cache
def _codes_of(path: str, text: str) -> list[types.CodeType]:
    return list(_codes(compile(text, str(ROOT / path), "exec", dont_inherit=True)))


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield the code of each function and class in a module's, in the order of the source."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from _codes(constant)


# --- What is told --------------------------------------------------------------------------------

ALIVE = ("survived", "no test")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A mutant that no test can kill: where, what the line says before and after, and why."""

    path: str
    function: str
    before: str
    after: str
    reason: str

    @property
    def place(self) -> tuple[str, str, str, str]:
        """What a survivor is found by: lines move, and what they say seldom changes."""
        return (self.path, self.function, self.before, self.after)


def listed() -> dict[tuple[str, str, str, str], Listed]:
    """Return the survivors that are accounted for, by place."""
    if not LISTED.exists():
        return {}
    entries = tomllib.loads(LISTED.read_text(encoding="utf-8")).get("mutant", [])
    return {entry.place: entry for entry in (Listed(**fields) for fields in entries)}


def place_of(mutant: Mutant) -> tuple[str, str, str, str]:
    """Return what a mutant is listed by."""
    before, after = mutant.change()
    return (mutant.path, mutant.function, before, after)


HEAD = ("module", "mutants", "judged", "killed", "survive", "listed", "before")
"""Of the table: `survive` counts what no test killed, `listed` those of them with a reason, and
`before` what survived when the table was last written."""


def table(
    results: Mapping[Mutant, str], n_mutants: Mapping[str, int], before: Mapping[str, str]
) -> str:
    """Return, by module, how many mutants there are, and what became of them."""
    known = listed()
    counts = {path: collections.Counter[str](mutants=n) for path, n in n_mutants.items()}
    for mutant, end in results.items():
        is_alive = end in ALIVE
        counts[mutant.path]["judged"] += 1
        counts[mutant.path]["survive" if is_alive else "killed"] += 1
        counts[mutant.path]["listed"] += is_alive and place_of(mutant) in known
    counts = {path: count for path, count in sorted(counts.items()) if count["mutants"]}
    counts["all"] = sum(counts.values(), collections.Counter())
    rows = (
        [path, *(str(count[name]) for name in HEAD[1:-1]), before.get(path, "")]
        for path, count in counts.items()
    )
    lines = (HEAD, ("---", *["---:"] * (len(HEAD) - 1)), *rows)
    return "\n".join(f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in lines)


def survived_before(page: str) -> dict[str, str]:
    """Return how many mutants of each module survive by the table of a page."""
    rows = (line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| "))
    place = HEAD.index("survive")
    return {cells[0]: cells[place] for cells in rows if len(cells) > place}


def written(page: str, summary: str, shown: str, today: datetime.date) -> str:
    """Return the page with another table."""
    head, _, rest = page.partition(TABLE)
    _, _, tail = rest.partition(END)
    version = importlib.metadata.version
    on = f"JAX {version('jax')}, Python {platform.python_version()}"
    return f"{head}{TABLE}\n\n{today}, {on}: {summary}.\n\n{shown}\n\n{END}{tail}"


def tell(mutant: Mutant, end: str) -> str:
    """Return where a mutant is, and what it changes."""
    before, after = mutant.change()
    return (
        f"{mutant.path}:{mutant.lines[1]} {mutant.function}: {end}, {mutant.operator}\n"
        f"  - {before}\n  + {after}"
    )


def default_modules() -> list[str]:
    """Return the modules of MODULES, from the root of the repository."""
    package = ROOT / "conformance"
    found = (file for pattern in MODULES for file in sorted(package.glob(pattern)))
    return [str(file.relative_to(ROOT)) for file in found]


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge mutants, and print those that survive."""
    options = _parse(arguments)
    until = time.monotonic() + 60 * options.minutes
    os.environ |= SETTINGS
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    preload()
    all_mutants = [
        mutant
        for path in options.modules
        for mutant in mutants_of(path)
        if fnmatch.fnmatchcase(mutant.operator, options.operator)
    ]
    last = kept_results(options.modules) if options.again else {}
    is_by_all = tuple(options.judges) == JUDGES
    results = {m: last[m] for m in all_mutants if last.get(m, ALIVE[0]) not in ALIVE}
    today = datetime.datetime.now(datetime.UTC).date()
    mutants = by_lot((mutant for mutant in all_mutants if mutant not in results), today)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = folder
        os.environ["STORED_FAULTS"] = str(stored_faults())
        judges = find_judges(options.modules, options.judges, options.jobs, until)
        if judges is None:
            return 3
        needed = {test for mutant in mutants for test in judges.of(mutant)}
        print(
            f"{len(mutants)} mutants in {len(options.modules)} modules; {len(needed)} tests judge",
            flush=True,
        )
        if not is_sane(needed, judges, options.jobs, until):
            return 3
        known = listed()
        for number, (mutant, end) in enumerate(judged(mutants, judges, options.jobs, until), 1):
            results[mutant] = end
            if end in ALIVE and place_of(mutant) not in known:
                print(tell(mutant, end), flush=True)
            if number % 50 == 0:
                keep_results(results, is_by_all=is_by_all)
                print(f"{number} judged, {len(alive_of(results))} alive", flush=True)
    keep_results(results, is_by_all=is_by_all)
    no_programs = {mutant for mutant, end in results.items() if end == "no program"}
    programs = {mutant: end for mutant, end in results.items() if mutant not in no_programs}
    n_mutants = collections.Counter(m.path for m in all_mutants if m not in no_programs)
    return report(programs, n_mutants, is_written=options.write)


def by_lot(mutants: Iterable[Mutant], today: datetime.date) -> list[Mutant]:
    """Return them in an order that is another every day.

    Of a run that is over before all are judged the next one, which knows nothing of it, would else
    judge the same again, and the rest nobody.
    """
    drawn = list(mutants)
    random.Random(today.toordinal()).shuffle(drawn)  # noqa: S311  # a lot, not a secret
    return drawn


def preload() -> None:
    """Import what judges share, and let them keep the byte code of what they do not."""
    for name in PRELOADED:  # before: in a new folder there is none, and to compile all takes 6 s
        importlib.import_module(name)
    sys.dont_write_bytecode, sys.pycache_prefix = False, str(KEPT / "bytecode")
    gc.collect()
    gc.freeze()


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="conformance/core/ulp.py ...")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="side by side")
    parser.add_argument(
        "--judges", nargs="+", default=JUDGES, help="files of tests/: ulp, oracle_*"
    )
    parser.add_argument(
        "--operator", default="*", metavar="GLOB", help="only of these: 'ReplaceComparison*'"
    )
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.name}")
    parser.add_argument(
        "--again", action="store_true", help="only what was not killed when last judged"
    )
    options = parser.parse_args(arguments)
    options.modules = options.modules or default_modules()
    if unknown := [path for path in options.modules if path not in default_modules()]:
        parser.error(f"{unknown[0]} is none of the modules: {', '.join(default_modules())}")
    if not fnmatch.filter(OPERATORS, options.operator):
        parser.error(f"{options.operator!r} is none of the operators: {', '.join(OPERATORS)}")
    if options.jobs < 1:
        parser.error(f"--jobs {options.jobs}: nothing is judged by fewer than 1")
    return options


def is_sane(tests: Iterable[str], judges: Judges, jobs: int, until: float) -> bool:
    """Return whether the tests pass without a mutant in time, else say which files do not.

    Those that passed before, with what they execute as it is, are not run again.
    """
    by_file: dict[str, list[str]] = collections.defaultdict(list)
    for test in sorted(tests, key=judges.took.__getitem__):
        by_file[test.partition("::")[0]].append(test)
    passed = {file: _passed(file) for file in by_file}
    by_file = {
        f: left
        for f, names in by_file.items()
        if (left := [n for n in names if n not in passed[f]])
    }

    def tasks(items: Mapping[str, Any]) -> Iterator[Task]:
        for file, names in by_file.items():
            chosen = [items[name] for name in names]
            limit_s = 60 + 3 * sum(judges.took[name] for name in names)
            yield file, functools.partial(run_items, chosen), limit_s

    print(f"running judges without a mutant, of files: {len(by_file)}", flush=True)
    ended = dict(with_collected(by_file, tasks, jobs, until))
    wrong = {file: ended.get(file, "timeout") for file in by_file if ended.get(file) != "0"}
    for file, end in wrong.items():
        print(f"without a mutant {file} ends with {end}, so nothing can be said: pytest {file}")
    for file in by_file.keys() - wrong.keys():
        text = json.dumps(sorted({*passed[file], *by_file[file]}))
        put(_where_passed(file), text)
    return not wrong


def _passed(file: str) -> frozenset[str]:
    """Return the tests of a file that passed before."""
    where = _where_passed(file)
    return frozenset(json.loads(where.read_text(encoding="utf-8")) if where.exists() else ())


def _where_passed(file: str) -> Path:
    return _where_watched(ROOT / file).with_suffix(".passed")


def kept_results(modules: Iterable[str]) -> dict[Mutant, str]:
    """Return how mutants ended when last judged, by whichever run, of modules that are as then."""
    found: dict[Mutant, str] = {}
    for where in filter(Path.exists, map(_where_kept, modules)):
        for fields, end in json.loads(where.read_text(encoding="utf-8")):
            found[Mutant(**{**fields, "lines": tuple(fields["lines"])})] = end
    return found


def keep_results(results: Mapping[Mutant, str], *, is_by_all: bool) -> None:
    """Keep how mutants ended, for `--again`: of each module all that is known.

    is_by_all: whether all tests of JUDGES judged. What survives a few of them was killed all the
    same, if it ever was.
    """
    RESULTS.mkdir(parents=True, exist_ok=True)
    paths = {mutant.path for mutant in results}
    for path in paths:
        known = kept_results([path])
        known |= {
            mutant: end
            for mutant, end in results.items()
            if mutant.path == path and (is_by_all or end not in ALIVE or mutant not in known)
        }
        text = json.dumps([[dataclasses.asdict(mutant), end] for mutant, end in known.items()])
        put(_where_kept(path), text)


def _where_kept(path: str) -> Path:
    return RESULTS / f"{path.replace('/', '.')}-{_digest([ROOT / path])}.json"


def alive_of(results: Mapping[Mutant, str]) -> set[Mutant]:
    """Return the mutants that no test noticed."""
    return {mutant for mutant, end in results.items() if end in ALIVE}


def report(
    results: Mapping[Mutant, str], n_mutants: Mapping[str, int], *, is_written: bool = False
) -> int:
    """Print what survives, and by module how many; return the exit code.

    n_mutants: by module. is_written: whether the table goes into PAGE, too.
    """
    known = listed()
    alive = alive_of(results)
    new = [mutant for mutant in alive if place_of(mutant) not in known]
    functions = {place[:2] for place in known}
    killed = (m for m in results.keys() - alive if (m.path, m.function) in functions)
    stale = set(map(place_of, killed)) & known.keys()
    for place in sorted(stale):
        print(f"no longer survives, take it out of {LISTED.name}: {' | '.join(place)}")
    compared = [mutant for mutant in alive if is_of_comparison(mutant)]
    for mutant in sorted(compared, key=lambda mutant: (mutant.path, mutant.lines)):
        print(f"of a comparison, where no reason will do: {tell(mutant, results[mutant])}")
    page = PAGE.read_text(encoding="utf-8")
    shown = table(results, n_mutants, survived_before(page))
    total = sum(n_mutants.values())
    summary = (
        f"{len(results)} of {total} mutants judged, {total - len(results)} not for want of "
        f"time: {len(results) - len(alive)} killed, "
        f"{len(alive)} survive, of which {len(alive) - len(new)} are listed with a reason "
        f"and {len(compared)} are of a comparison or a bound"
    )
    print(f"{shown}\n{summary}")
    if is_written:
        PAGE.write_text(
            written(page, summary, shown, datetime.datetime.now(datetime.UTC).date()),
            encoding="utf-8",
        )
    is_too_much = len(alive) > SHARE_THAT_MAY_SURVIVE * len(results)
    if total and not results:
        return 3
    return 1 if new or stale or compared or is_too_much else 0


if __name__ == "__main__":
    raise SystemExit(main())
