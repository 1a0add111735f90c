"""What a mistake at the command line is told: the value, what was meant, and the exit code."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.cli import main
from conformance.cli.main import COMMANDS
from conformance.core.errors import nearest, unknown
from conformance.core.imports import broken
from tests import ROOT, warm

MISTAKES = {
    "run lecun_normal": "'lecun_normal' names an initializer, and no case: say --initializer",
    "explain zeros": "'zeros' names an initializer, and no case: say --initializer zeros",
    "run lecun_*": "or a whole id, as in lecun_normal-float32-64x32-s0-cpu-eager",
    "run --initializer lecun_norml": "did you mean lecun_normal or",
    "run --initializer lecun_norml*": "did you mean lecun_normal or",
    "run --initializer zzz*": "initializer 'zzz*' is unknown: choose from constant, ",
    "run --dtype float33": "did you mean float32 or",
    "run --transform vmapp": "did you mean vmap?",
    "run --unknown-option": "option '--unknown-option' is unknown: see `conformance run --help`",
    "run --initialiser zeros": "option '--initialiser' is unknown: did you mean --initializer",
    "run --seeds=3": "option '--seeds' is unknown: did you mean --seed",
    "goldens stage --reasn x": "option '--reasn' is unknown: did you mean --reason",
    "goldens pending zeros": "argument 'zeros' is one too many",
    "goldens acept": "value 'acept' is unknown: did you mean accept?",
    "runn": "command 'runn' is unknown: did you mean run?",
    "run --seed -1": "seed '-1' is not a whole number of 0 or more",
    "run --shape 3y4": "3y4",
    "run --tier quik": "tier 'quik' is unknown: did you mean quick?",
    "run --max-drift rounded": "value 'rounded' is unknown: did you mean rounding",
    "run --seed 5:3": "seeds '5:3' are none: write the first and the one after the last",
    "run --shape 64x": "shape '64x' is not understood: write sizes joined by 'x' (64x32)",
    "run -n 0": "'0' is no number of processes: 1 to 1024, or auto",
    "run --fresh-seeds x": "--fresh-seeds 'x' is not a whole number of 0 or more",
    "run --recording r --fleet auto": "--fleet and --recording contradict each other",
    "run --resume r --tier quick": "and --tier quick asks for more: leave it out",
    "run --backend cpu zeros-float32-7-s0-cpu-eager": "case ids name their backend: leave out",
    "list --prng threefri": "prng 'threefri' is unknown: did you mean threefry2x32?",
    "list --key s7.fold": "'fold' in key 's7.fold' is not understood: write fold5",
    "explain zeros-float32-7-s0-cpu": "transform 'cpu' in 'zeros-float32-7-s0-cpu' is unknown",
    "record zeros-float32-7-s0-cpu-eager --out .": "--out . is no new folder: name one",
    "compile --platform tpus": "value 'tpus' is unknown: did you mean tpu?",
    "compile --platform cuda --target h1000": "cuda target 'h1000' is unknown: choose from",
    "compile --platform tpu --topology v5e": "write generation:shape, as in v5e:1x1",
    "compile --platform cuda --topology v5e:1x1": "--topology is not for cuda: name it by --target",
    "goldens stage --reason x": "a scope is needed, and none was given",
    "goldens accept --backend cuda": "--backend and --from go together: give both or neither",
    "cache prune --older-than -1": "--older-than -1 is no number of days",
    "cache list --kind plan": "kind 'plan' is unknown: did you mean plans?",
    "bisect --from 0.5 --to current": "bisect goes over releases: give versions, or --to latest",
    "gate --from 1 --to 2 --target x --dtype float32": "--target and --dtype contradict each other",
    "lowering --accept": "--accept needs --reason",
    "completion bsh": "value 'bsh' is unknown: did you mean bash",
    "compare a b --policy nofile": "nofile cannot be read",
    "run --shard 3/2": "3/2",
    "--tier quick": "'--tier' stands before the command: write `conformance run --tier`",
    "--no-such run": "'--no-such' stands before the command",
    "audit json:dumps --seed x": "argument --seed: 'x' is no whole number",
    "cache prune --older-than soon": "argument --older-than: 'soon' is no whole number",
    "run --tier quick --tier full": "--tier: given twice, as quick and as full: give one",
    "gate --from 0.9 --from 0.10 --to 0.11": "--from: given twice, as 0.9 and as 0.10: give one",
    "run -n 2 --workers 3": "-n/--workers: given twice, as 2 and as 3: give one",
    "run --ledger nofile --initializer zeros": "nofile cannot be read",
    "run --case-timeout 0": "'0' is no number of seconds above 0",
    "law --initializer zzz": "initializer 'zzz' is unknown: choose from constant, ",
    "list --transform vmapp": "did you mean vmap?",
    "audit no_such:thing": "no module 'no_such' is found",
    "audit nothing": "'nothing'",
    "run zeros-float32-7-s0-cpu-eager --dtype float32": "case ids and --dtype float32 contradict",
    "run zeros-float32-7-s0-cpu-eager --tier quick": "case ids are run whatever their tier",
    "explain zeros-float33-7-s0-cpu-eager": "'zeros-float33-7-s0' is unknown: did you mean float32",
    "explain zeros-float32-7-s0-cpu-eagr": "'zeros-float32-7-s0-cpu-eagr' is unknown: did you mean "
    "eager?",
    "explain zeros-float32-7-s0-threefri-cpu-eager": "is unknown: did you mean threefry2x32?",
    "run help": "'help' is no case id: one reads lecun_normal-float32-64x32-s0-cpu-eager",
    "run --initializer xavier_uniform": "'xavier_uniform' is unknown: did you mean glorot_uniform?",
    "run --initializer jax.nn.initializers.he_normal": "is unknown: did you mean he_normal?",
    "run --dtype FLOAT32": "dtype 'FLOAT32' is unknown: did you mean float32?",
    "run --seed 0:999999999999": "are 999,999,999,999, more than the 100,000,000 of one run",
    "run -n 100000": "'100000' is no number of processes: 1 to 1024, or auto",
    "run --n 2": "option '--n' is unknown: did you mean -n?",
    "run --fleet-timeout -1": "'-1' is no number of seconds above 0",
    "record zeros-float32-7-s0-cpu-eagr --out x": "did you mean eager?",
    "record --dtype f32 --out x": "dtype 'f32' is unknown: did you mean float32?",
    "law --dtype f32": "dtype 'f32' is unknown: did you mean float32?",
    "gate --from 0.10": "the following arguments are required: --to",
    "compare golden": "the following arguments are required: after",
    "cache foo": "value 'foo' is unknown: choose from list, prune",
    "run --backend= --tier quick": "--backend",
    "run --reports=": "--reports",
}
"""Wrong calls, each with a part of what it is told: all of them are 4."""

ABSENT = {
    "run --golden nowhere --initializer zeros": "nowhere holds no manifest.json: name a golden set",
    "compare a b": "a holds no manifest.json: name a golden set or a recording",
    "merge nodir": "nodir holds neither a recording (manifest.json) nor a run (rows.jsonl)",
    "history nodir": "nodir holds no run",
    "run --resume nodir": "nodir holds no run to go on with, as it has no begun.json",
    "doctor --golden nodir": "nodir holds no manifest.json: name a golden set",
    "goldens verify --golden nodir": "nodir holds no manifest.json: name a golden set",
    "goldens pending --golden nodir": "nodir holds no manifest.json: name a golden set",
    "goldens textconv nofile": "nofile cannot be shown",
    "goldens review --golden nodir": "nodir holds no manifest.json: name a golden set",
    "goldens accept --golden nodir": "nodir holds no manifest.json: name a golden set",
    "goldens reject --golden nodir": "nodir holds no manifest.json: name a golden set",
    "history pyproject.toml": "pyproject.toml holds no run",
}
"""What is not there, told so: 3."""


@pytest.mark.parametrize("words", MISTAKES)
def test_a_wrong_call_is_told_what_was_meant(
    words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = main(words.split())
    except SystemExit as error:  # argparse ends the process
        code = int(str(error.code))

    told = capsys.readouterr().err
    assert (code, MISTAKES[words] in told) == (4, True), told
    assert "Traceback" not in told
    assert max(map(len, told.splitlines())) < 400


LATE = {
    "compare a b --policy nofile",
    "run --ledger nofile --initializer zeros",
}
"""Wrong calls of which a file tells, and not the words alone."""

TELLS = """
import contextlib, json, os, sys
from conformance.cli import main

first, calls = json.load(sys.stdin)
for words in first:  # what they import no other need import again
    with contextlib.suppress(SystemExit):
        main(words.split())
for words in calls:
    if not os.fork():
        try:
            code = main(words.split())
        except SystemExit as end:
            code = end.code
        heavy = {"numpy", "ml_dtypes", "scipy", "pandas", "jax", "flax"} & sys.modules.keys()
        os.write(1, f"{json.dumps([words, code, sorted(heavy)])}\\n".encode())
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, list[str]]]:
    """Return how each wrong call ended in a process of its own, and what heavy that had imported.

    All have also what one call of each command imports: if that is heavy, no call is right.
    """
    folder = tmp_path_factory.mktemp("cold")
    (folder / "file").touch()
    first = {words.split()[0]: words for words in sorted(MISTAKES.keys() - LATE)}
    done = subprocess.run(  # noqa: S603  # this interpreter
        [warm.COLD, "-c", TELLS],
        input=json.dumps([list(first.values()), sorted({*MISTAKES, *UNWRITABLE})]),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:2]])},
        capture_output=True,
        text=True,
        check=True,
    )
    told = map(json.loads, done.stdout.splitlines())
    return {words: (code, heavy) for words, code, heavy in told}


@pytest.mark.parametrize("words", sorted(MISTAKES.keys() - LATE))
def test_a_mistake_is_told_before_anything_heavy_is_imported(
    words: str, imported: dict[str, tuple[int, list[str]]]
) -> None:
    assert imported[words] == (4, [])


def test_what_needs_numpy_is_seen_to_import_it(
    imported: dict[str, tuple[int, list[str]]],
) -> None:
    code, heavy = imported["compare a b --policy nofile"]

    assert (code, "numpy" in heavy) == (4, True)


UNWRITABLE = {
    "run --initializer zeros --json .": "cannot be written to .: Is a directory.",
    "run --initializer zeros --reports file": "cannot be written to file: Not a directory.",
    "history . --page .": "choose another with --page",
    "compare a b --csv .": "choose another with --csv",
    "compare a b --parquet file/x": "cannot be written to file/x: Not a directory.",
    "merge a --markdown .": "choose another with --markdown",
    "audit os:getcwd --json file/sub/x": "cannot be written to file/sub/x: Not a directory.",
    "compile --platform cuda --out file": "choose another with --out",
    "record zeros-float32-7-s0-cpu-eager --out file": "file is a file: name a new folder",
}
"""What cannot be written, told before there is anything to write: 3."""


@pytest.mark.parametrize("words", UNWRITABLE)
def test_a_place_that_takes_no_report_is_told_before_the_work(
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    imported: dict[str, tuple[int, list[str]]],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()

    assert main(words.split()) == 3

    told = capsys.readouterr()
    assert (UNWRITABLE[words] in told.err, told.out) == (True, ""), told.err
    assert imported[words] == (3, [])


def test_a_pipe_takes_a_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["list", "--initializer", "zeros", "--json", "/dev/null"]) == 0

    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("words", ["law --dtype f32", "record --dtype f32 --out x"])
def test_a_mistake_is_told_before_a_worker_is_started(
    words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.chdir(tmp_path)

    assert main(words.split()) == 4


def test_what_cannot_be_swept_is_told_some_that_can(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["law", "--in-process", "--initializer", "zeros"]) == 5

    told = capsys.readouterr().err
    assert "Initializers that draw one word for each element: glorot_normal, " in told
    assert " more; and orthogonal, whose matrices are swept over seeds" in told
    assert len(told) < 700


@pytest.mark.parametrize("words", ABSENT)
def test_what_is_absent_is_told(
    words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(words.split()) == 3

    told = capsys.readouterr()
    assert ABSENT[words] in told.err + told.out
    assert "classes" not in told.out


def test_a_file_is_no_folder_to_record_into(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    words = ["record", "--in-process", "zeros-float32-7-s0-cpu-eager", "--out"]

    assert main([*words, str(tmp_path / "file")]) == 3

    assert "file is a file: name a new folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "meant"),
    [("gpu", "did you mean cuda or rocm? Else "), ("stablehlos", "did you mean stablehlo? Else ")],
)
def test_a_backend_that_no_plugin_has_is_told_which_may_be_meant(
    name: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--in-process", "--backend", name, "--initializer", "zeros"]) == 3

    assert meant in capsys.readouterr().err


def test_nothing_said_is_told_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])

    assert ended.value.code == 4
    told = capsys.readouterr().err
    assert "conformance gate --from 0.11.2 --to latest" in told
    assert "merge" in told


@pytest.mark.usefixtures("cold_python")
@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("jax", ["run", "--tier", "quick", "--initializer", "zeros"]),
        ("jax", ["doctor"]),
        ("pandas", ["history", "reports"]),
    ],
)
def test_a_package_that_cannot_be_imported_is_one_line(
    package: str, words: list[str], tmp_path: Path
) -> None:
    (tmp_path / f"{package}.py").write_text("raise RuntimeError('jaxlib is newer than jax')\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(  # noqa: S603  # this interpreter
        [sys.executable, "-m", "conformance", *words],
        env={**os.environ, "PYTHONPATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 3, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"conformance: {package} is installed and cannot be imported (Runtime")


def test_the_package_to_blame_is_not_the_one_that_imports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flax imports JAX; but what is gone from a JAX that is loaded, an older Flax asks for."""
    for name, text in {
        "layers_of_broken/__init__.py": "import broken_arrays",
        "broken_arrays/__init__.py": "import broken_arrays.core",
        "broken_arrays/core.py": "raise RuntimeError('mismatch')",
        "layers_of_whole/__init__.py": "import whole_arrays.gone",
        "whole_arrays/__init__.py": "",
        "whole_arrays/gone.py": "raise RuntimeError('removed')",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    packages = sorted(each.name for each in tmp_path.iterdir())
    monkeypatch.setattr("conformance.core.imports.NEEDED", packages)
    monkeypatch.syspath_prepend(tmp_path)

    blamed = []
    for name in ("layers_of_broken", "layers_of_whole"):
        with pytest.raises(RuntimeError) as raised:
            importlib.import_module(name)
        blamed.append(str(broken(raised.value)).split()[0])

    assert blamed == ["broken_arrays", "layers_of_whole"]


@pytest.mark.parametrize("name", ["lowering", "compile"])
def test_help_spells_names_as_they_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])

    told = " ".join(capsys.readouterr().out.split())
    text = COMMANDS[name]
    assert f"{text[0].upper()}{text[1:]}." in told
    assert "write all of it as JSON to FILE" in told


def test_a_defect_of_this_program_is_no_broken_package() -> None:
    with pytest.raises(RuntimeError) as raised:
        raise RuntimeError("ours")

    assert broken(raised.value) is None
    assert broken(ModuleNotFoundError("no", name="pandas")) is None


def test_a_long_list_is_cut_and_counted() -> None:
    known = [f"name{n:02}" for n in range(30)]

    assert unknown("thing", "x", known).endswith("name11 and 18 more")
    assert unknown("thing", "x", known[:12]).endswith("name10, name11")
    assert nearest("*name01*", known)[0] == "name01"
