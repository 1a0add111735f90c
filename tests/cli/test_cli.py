"""The command line: what is printed, what is written, which exit code comes of it."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

from conformance.cases import catalogue
from conformance.cases.builtin import load_catalogue
from conformance.cases.selection import Selection, select
from conformance.cli import main
from conformance.cli.progress import Progress
from conformance.core.arrays import returned, whole
from conformance.core.errors import Terminated, UnfinishedRunWarning, WorkerGone
from conformance.core.ids import Tier, parse_case
from conformance.core.laws import Normal
from conformance.core.records import IN_BLOCK, Returned
from conformance.observe import environment, lapack, programs
from conformance.observe.backends import BackendUnavailable, open_backend
from conformance.report.frames import read_run
from conformance.report.run import RECORDS
from conformance.run.explain import matrix_lines
from conformance.run.options import Options
from conformance.run.session import Recorded, Session, Verdict
from tests import small_golden
from tests.conftest import without_ambient

ZEROS, UNIFORM = "zeros-float32-64-s0-cpu-eager", "uniform-float32-64-s0-cpu-eager"
OTHER_SEED = "uniform-bfloat16-64-s1-cpu-eager"
"""Of a law that is swept in no time, as it is for the page of a run that fails."""
ORTHOGONAL = "orthogonal-float32-64-s0-cpu-eager"
MATRIX = "orthogonal-float32-4x3-s0-cpu-eager"


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_golden.write(tmp_path_factory.mktemp("set") / "golden", ZEROS, UNIFORM, ORTHOGONAL)


@pytest.fixture
def run_cases(golden: Path, tmp_path: Path) -> list[str]:
    """Return the words of `conformance run` up to the cases, which run in this process."""
    return [
        *("run", "--in-process"),
        *("--golden", str(golden), "--reports", str(tmp_path / "reports")),
    ]


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what a test registers."""
    monkeypatch.setattr(catalogue, "_REGISTERED", [])


def reports_of(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "reports").iterdir()
    return folder


# --- Starting ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("cold_python")
def test_a_run_in_which_nothing_fails_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    """Its worker judges; the command has nothing to sweep, no cluster, and nothing to fetch."""
    needless = {
        *("conformance.run.fleet", "conformance.run.laws", "conformance.judge.rules"),
        *("urllib.request", "pandas", "jax", "scipy"),
    }
    words = ["run", "zeros-float32-64-s0-cpu-eager", "--reports", str(tmp_path)]
    program = (
        "import sys; from conformance.cli import main\n"
        f"print(main({words}), {needless} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program]

    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603  # ours

    assert printed.splitlines()[-1] == "0 set()"


@pytest.mark.usefixtures("cold_python")
def test_help_imports_nothing_slow() -> None:
    program = (
        "import sys; from conformance.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'jax', 'numpy', 'pandas', 'flax', 'pytest'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program]

    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603  # ours

    assert printed.splitlines()[-1] == "[]"


@pytest.mark.usefixtures("cold_python")
def test_the_module_is_the_command_and_hands_its_exit_code_on() -> None:
    call = [sys.executable, "-m", "conformance", "list", "--nonsense"]

    done = subprocess.run(call, check=False, capture_output=True, text=True)  # noqa: S603  # ours

    assert done.returncode == 4
    assert "conformance list: option '--nonsense' is unknown" in done.stderr


def test_an_unknown_command_is_a_wrong_call_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["lst"])

    assert exit_info.value.code == 4
    assert "command 'lst' is unknown: did you mean list?" in capsys.readouterr().err


def test_a_wrong_option_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["list", "--no-such-option"])

    assert exit_info.value.code == 4
    assert "option '--no-such-option' is unknown" in capsys.readouterr().err


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["--version"])

    version = importlib.metadata.version("initializer-conformance")
    assert exit_info.value.code == 0
    assert capsys.readouterr().out == f"conformance {version}\n"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    script = "from conformance.cli import main; raise SystemExit(main(['list']))"
    with subprocess.Popen(  # noqa: S603  # ours
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        complaints = process.stderr.read()

    assert (process.returncode, complaints) == (0, b"")


# --- run -----------------------------------------------------------------------------------------


def test_equal_bits_pass_and_are_reported(
    run_cases: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([*run_cases, ZEROS, UNIFORM])

    assert code == 0
    assert "PASSED: 2 cases, 2 identical" in capsys.readouterr().out
    assert (reports_of(tmp_path) / RECORDS).exists()


def test_a_case_without_a_golden_fails_with_a_way_out(
    run_cases: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([*run_cases, OTHER_SEED])

    printed = capsys.readouterr().out
    assert code == 1
    assert "no golden is stored for uniform-bfloat16-64-s1" in printed
    assert f"rerun: conformance run {OTHER_SEED}" in printed


def test_a_drift_is_told_by_worst_element_class_stage_and_rerun(
    run_cases: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with jax.threefry_partitionable(False):
        code = main([*run_cases, UNIFORM])

    printed = capsys.readouterr().out
    assert code == 1
    assert f"64 of 64 elements of {UNIFORM} differ from the golden" in printed
    assert "first differing stage: bits; class: stream" in printed
    assert f"rerun: JAX_THREEFRY_PARTITIONABLE=False conformance run {UNIFORM}" in printed


@pytest.mark.parametrize("place", ["-", "run.json"])
def test_a_run_is_one_json_document_beside_or_instead_of_the_text(
    place: str,
    run_cases: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)

    with jax.threefry_partitionable(False):
        code = main([*run_cases, UNIFORM, ZEROS, "--json", place])

    printed = capsys.readouterr().out
    document = json.loads(printed if place == "-" else Path(place).read_text())
    assert (code, document["code"], document["n_judged"]) == (1, 1, 2)
    (failed,) = document["failed"]
    assert (failed["case"], failed["drift_class"]) == (UNIFORM, "stream")
    assert f"conformance run {UNIFORM}" in failed["rerun"]
    assert document["verdict"].startswith("FAILED: 1 of 2 cases")
    assert Path(document["folder"]).is_dir()


def test_the_rerun_line_repeats_the_failure(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a process of its own, whose settings are those that the line names."""
    (tmp_path / "ledger.toml").touch()
    judging = ["--golden", str(golden), "--max-drift", "transform"]
    words = [*judging, "--ledger", str(tmp_path / "ledger.toml")]
    with jax.threefry_partitionable(False):
        main(["run", UNIFORM, "--in-process", *words, "--reports", str(tmp_path / "reports")])
    printed = capsys.readouterr().out
    rerun = next(line for line in printed.splitlines() if line.startswith("  rerun: "))

    assert rerun == (
        f"  rerun: JAX_THREEFRY_PARTITIONABLE=False conformance run {UNIFORM} {' '.join(words)}"
    )
    setting, _, *again = rerun.removeprefix("  rerun: ").split()
    ended = subprocess.run(  # noqa: S603  # ours
        [sys.executable, "-m", "conformance", *again],
        env=os.environ | dict([setting.split("=")]),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert rerun in without_ambient(ended.stdout).splitlines()


def test_a_recorded_case_is_rerun_from_its_recording(
    run_cases: list[str], recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = small_golden.write(recording.parent / "other", OTHER_SEED, is_recording=True)

    with jax.threefry_partitionable(False):  # says nothing about the recording
        main([*run_cases, "--recording", str(other)])

    rerun = f"  rerun: conformance run {OTHER_SEED} --recording {other} --golden "
    assert rerun in capsys.readouterr().out


def test_a_problem_that_no_tier_asks_for_is_judged_by_its_definition(
    run_cases: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*run_cases, "zeros-float32-65x32-s0-cpu-eager"]) == 0
    assert "PASSED: 1 case, 1 no golden" in capsys.readouterr().out


def test_a_range_of_seeds_is_one_run(
    run_cases: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--initializer", "uniform", "--dtype", "float32", "--shape", "7", "--seed", "10:40"]

    assert main([*run_cases, *words]) == 0
    assert "PASSED: 30 cases, 30 no golden" in capsys.readouterr().out
    [folder] = Path(run_cases[run_cases.index("--reports") + 1]).iterdir()
    rows = read_run(folder)
    assert sorted(rows["seed"]) == list(range(10, 40))
    assert rows["mode"].value_counts().to_dict() == {"executed": 2, IN_BLOCK: 28}


def test_the_way_to_a_golden_names_its_tier_and_its_set(
    run_cases: list[str], golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*run_cases, OTHER_SEED])

    command = f"conformance goldens stage --initializer uniform --tier full --golden {golden} "
    assert f"`{command}--reason '...'`" in capsys.readouterr().out


# --- The machine's faults ------------------------------------------------------------------------


def exhaust(*_: object) -> None:
    raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 256 bytes.")


@pytest.mark.usefixtures("registered")
def test_a_case_without_memory_is_recorded_and_the_run_goes_on_to_no_verdict(
    run_cases: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue.register("greedy", lambda: exhaust)
    greedy = "greedy-float32-64-s0-cpu-eager"

    code = main([*run_cases, greedy, ZEROS, UNIFORM])

    printed = capsys.readouterr().out
    assert code == 3
    assert f"the machine failed {greedy}, so nothing is known about the initializer: Jax" in printed
    assert "INCOMPLETE: 1 of 3 cases left no result; none of the other 2 failed" in printed
    assert "no golden" not in printed
    with pytest.warns(UnfinishedRunWarning, match="RESOURCE_EXHAUSTED"):
        records = read_run(reports_of(tmp_path))
    assert list(records["case"]) == [greedy, UNIFORM, ZEROS]
    assert list(records["failed_checks"]) == ["machine", "", ""]


def test_what_explains_a_difference_is_said_before_it(
    run_cases: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with jax.threefry_partitionable(False):
        main([*run_cases, UNIFORM])

    first, *_ = capsys.readouterr().out.splitlines()
    assert first == (
        "note: jax_threefry_partitionable=False: every draw of threefry2x32 is another stream"
    )


def test_a_raise_that_is_due_passes(run_cases: list[str]) -> None:
    assert main([*run_cases, ORTHOGONAL]) == 0


def test_junit_is_written_on_request(run_cases: list[str], tmp_path: Path) -> None:
    main([*run_cases, ZEROS, "--junit-report"])

    assert (reports_of(tmp_path) / "junit.xml").exists()


@pytest.mark.usefixtures("registered")
def test_a_registered_initializer_gets_every_check(
    run_cases: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It states N(0, 1) and returns twice that: the oracle sees it, and a golden is missing."""
    catalogue.register(
        "doubled",
        lambda: lambda key, shape, dtype: 2 * jax.random.normal(key, shape, dtype),
        definition=Normal(stddev=1.0),
    )

    code = main([*run_cases, "doubled-bfloat16-64-s0-cpu-eager"])

    printed = capsys.readouterr().out
    assert code == 1
    assert "no golden is stored for doubled-bfloat16-64-s0" in printed
    assert "differ from the definition" in printed


@pytest.mark.usefixtures("registered")
def test_a_spec_that_raises_while_building_fails_by_name(
    run_cases: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def build() -> catalogue.Initializer:
        raise RuntimeError("no such layer")

    catalogue.register("broken", build)

    code = main([*run_cases, "broken-float32-64-s0-cpu-eager"])

    assert code == 1
    assert "the `build` of its spec raised RuntimeError: no such layer" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--initializer", "nromal"], "initializer 'nromal' is unknown: did you mean normal"),
        (["--dtype", "float31"], "dtype 'float31' is unknown: did you mean float32"),
        (["--shape", "64*32"], "shape '64*32' is not understood: write sizes joined by 'x'"),
        (["--seed", "9223372036854775808"], "seed 9223372036854775808 is larger than 92233"),
        (["--seed", "5:5"], "seeds '5:5' are none: write the first and the one after the last"),
        (["--seed", "5:x"], "seed 'x' is not a whole number of 0 or more"),
        (["--tier", "quik"], "tier 'quik' is unknown: did you mean quick?"),
        (["--seed", "-1"], "seed '-1' is not a whole number of 0 or more"),
        (["--shard", "3"], "shard '3' is not understood: write --shard 2/5"),
        (["--shard", "3/2"], "shard 3/2 does not exist"),
        ([ZEROS, "--backend", "cpu"], "case ids name their backend: leave out --backend"),
        ([ZEROS, "--dtype", "float32"], "case ids and --dtype float32 contradict each other"),
        (["zeros-float32-64-s0"], "transform 's0' in 'zeros-float32-64-s0' is unknown"),
        *(
            ([f"--{name}", text], f"--{name} {text!r} has an empty value: name one, or leave")
            for name in ("golden", "ledger", "reports", "shard", "tier", "dtype", "initializer")
            for text in ("", " ")
        ),
        (["--ledger", "/no/ledger.toml"], "/no/ledger.toml cannot be read"),
    ],
)
def test_a_wrong_call_is_one_line(
    run_cases: list[str], words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([*run_cases, *words])

    complaint = capsys.readouterr().err
    assert code == 4
    assert message in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gate", "--from", "1", "--to", "2", "--target", ""], "--target '' has an empty value"),
        (["gate", "--from", "1", "--to", "2", "--with="], "--with '' has an empty value"),
        (["goldens", "stage", "--all", "--backend", " "], "--backend ' ' has an empty value"),
        (["record", ZEROS, "--out", ""], "--out '' has an empty value"),
        (["run", "--recording="], "--recording '' has an empty value"),
        (["compare", "", "b"], "an argument is empty ('')"),
        (["merge", "--tier=quick", ""], "an argument is empty ('')"),
    ],
)
def test_a_word_that_names_nothing_is_a_wrong_call_of_every_command(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(words)

    assert code == 4
    assert message in capsys.readouterr().err


def test_a_selection_that_holds_nothing_is_not_green(
    run_cases: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--tier", "quick", "--initializer", "lecun_normal_in0"]

    assert main([*run_cases, *words]) == 5
    assert "the selection matches no case" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("backend", "command"),
    [
        ("cuda", r"pip install 'jax\[cuda13\]', where `nvidia-smi` shows a GPU"),
        ("tpu", r"pip install 'jax\[tpu\]', on a TPU host"),
    ],
)
def test_an_absent_accelerator_is_told_with_what_installs_its_plugin(
    backend: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(_: str) -> list[object]:
        raise RuntimeError(f"Unknown backend {backend}")

    monkeypatch.setattr(jax, "devices", absent)

    with pytest.raises(BackendUnavailable, match=rf"{backend}' was asked for .*\({command}\)"):
        open_backend(backend)


def test_an_absent_backend_fails_by_name(
    run_cases: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([*run_cases, ZEROS, ZEROS.replace("cpu", "quantum")])

    assert code == 3
    assert "backend 'quantum' was asked for and has no device here" in capsys.readouterr().err
    assert not (tmp_path / "reports").exists()


def test_a_missing_golden_set_is_told_before_anything_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["run", ZEROS, "--golden", str(tmp_path), "--reports", str(tmp_path / "reports")])

    assert code == 3
    assert f"{tmp_path} holds no manifest.json" in capsys.readouterr().err


def test_a_damaged_shard_costs_the_verdict_on_its_cases_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    golden = small_golden.write(tmp_path / "golden", ZEROS, UNIFORM)
    shard = golden / "uniform" / "uniform.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + b"!")

    code = main(
        ["run", ZEROS, UNIFORM, "--golden", str(golden), "--reports", str(tmp_path / "reports")]
    )

    printed = capsys.readouterr().out
    assert code == 3
    assert f"no verdict on {UNIFORM}: {shard} is damaged" in printed
    assert f"no result came from:\n  {UNIFORM}\n    {shard} is damaged" in printed
    assert "INCOMPLETE: 1 of 2 cases left no result; none of the other 1 failed" in printed


def test_reports_where_a_file_stands_are_refused(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()

    code = main(["run", ZEROS, "--golden", str(golden), "--reports", str(tmp_path / "file")])

    assert code == 3
    assert "choose another with --reports DIR" in capsys.readouterr().err


def test_an_interrupted_run_reports_what_it_has(
    run_cases: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "__call__", interrupt)

    code = main([*run_cases, ZEROS, UNIFORM])

    printed = capsys.readouterr().out
    assert code == 130
    assert "INCOMPLETE: 1 of 2 cases left no result" in printed
    assert "    the run was interrupted\n" in printed


@pytest.mark.parametrize(
    ("end", "expected"),
    [(KeyboardInterrupt, (130, "interrupted")), (Terminated, (143, "terminated"))],
)
def test_an_end_from_outside_while_a_command_is_loaded_is_one_line(
    end: type[BaseException],
    expected: tuple[int, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def loading(_: str) -> None:
        raise end

    monkeypatch.setattr(sys.modules["conformance.cli.main"], "_module", loading)

    code = main(["run", ZEROS])

    assert (code, capsys.readouterr().err) == (expected[0], f"conformance: {expected[1]}\n")


def test_a_worker_that_nothing_can_replace_ends_the_run_which_is_reported(
    run_cases: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def one_verdict(session: Session) -> Iterator[Verdict]:
        yield session.verdict(session.cases[0])
        raise WorkerGone("a device is gone")

    monkeypatch.setattr(Session, "verdicts", one_verdict)

    code = main([*run_cases, ZEROS, UNIFORM])

    printed = capsys.readouterr().out
    assert code == 3
    assert "INCOMPLETE: 1 of 2 cases left no result" in printed
    assert "    a device is gone\n" in printed


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon"])
def test_a_deadline_is_a_number_of_seconds(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["run", ZEROS, f"--case-timeout={text}"])

    assert exit_info.value.code == 4
    assert f"{text!r} is no number of seconds above 0, of a year at most" in capsys.readouterr().err


# --- run --recording -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elsewhere") / "recording"
    return small_golden.write(folder, ZEROS, UNIFORM, is_recording=True)


def test_a_recording_is_judged_without_running(
    run_cases: list[str], recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([*run_cases, "--recording", str(recording)])

    assert code == 0
    assert "PASSED: 2 cases" in capsys.readouterr().out


def test_a_recording_is_judged_by_the_jax_that_made_it(
    tmp_path: Path, run_cases: list[str]
) -> None:
    """An entry for old releases excuses a missing golden: it must match the recording only."""
    old = small_golden.write(tmp_path / "old", OTHER_SEED, is_recording=True, jax="0.4.20")
    ledger = tmp_path / "ledger.toml"
    ledger.write_text(
        '[[limitation]]\nid = "old"\ninitializer = ["uniform"]\nchecks = ["values"]\n'
        'reason = "a test"\nlink = "none"\njax = "<0.5"\n'
    )
    words = [*run_cases, "--ledger", str(ledger)]

    assert main([*words, "--recording", str(old)]) == 0
    assert main([*words, OTHER_SEED]) == 1


def test_a_case_that_was_not_recorded_keeps_the_run_from_being_whole(
    run_cases: list[str], recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([*run_cases, ZEROS, ORTHOGONAL, "--recording", str(recording)])

    printed = capsys.readouterr().out
    assert code == 3
    assert f"no verdict on {ORTHOGONAL}" in printed
    assert "INCOMPLETE: 1 of 2 cases left no result" in printed


def test_a_selection_narrows_a_recording(
    run_cases: list[str], recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--initializer", "zeros", "--dtype", "float32", "--shape", "64", "--tier", "quick"]

    code = main([*run_cases, *words, "--recording", str(recording)])

    assert code == 0
    assert "PASSED: 1 case," in capsys.readouterr().out


def test_a_selection_of_a_recording_is_of_the_tier_that_was_recorded(recording: Path) -> None:
    """Else a recording of the quick tier, as a gate makes, lacks what only larger tiers ask."""
    narrowed = Options(asked=Selection(initializers=("zeros",), backends=()))

    cases = Recorded(recording, narrowed, "run").cases

    quick = Selection(tier=Tier.QUICK, initializers=("zeros",), backends=("cpu",))
    assert cases == select(load_catalogue(), quick)


@pytest.mark.parametrize("jax_version", ["twelve", ""])
def test_a_recording_that_does_not_say_which_jax_made_it_gives_no_verdict(
    jax_version: str, tmp_path: Path, run_cases: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    made = small_golden.write(tmp_path / "made", ZEROS, is_recording=True)
    provenance = json.loads((made / "provenance.json").read_text())
    provenance[0]["environment"]["packages"]["jax"] = jax_version
    (made / "provenance.json").write_text(json.dumps(provenance))

    code = main([*run_cases, "--recording", str(made)])

    assert code == 3
    told = f"says that jax {jax_version!r} made the recording, which is no version: copy it again"
    assert told in capsys.readouterr().out


def test_a_golden_set_is_no_recording(
    run_cases: list[str], golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([*run_cases, "--recording", str(golden)])

    assert code == 3
    assert "is a golden set: --recording takes" in capsys.readouterr().err


# --- list ----------------------------------------------------------------------------------------


def test_cases_are_listed_one_a_line_as_run_takes_them(
    run_cases: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    selection = ["--initializer", "zeros,uniform", "--dtype", "float32", "--shape", "64"]

    main(["list", *selection, "--tier", "quick"])

    listed = capsys.readouterr().out.split()
    assert listed == [UNIFORM, ZEROS]
    assert main([*run_cases, *listed]) == 0


def test_problems_name_no_backend(capsys: pytest.CaptureFixture[str]) -> None:
    main(["list", "--problems", "--initializer", "zeros", "--tier", "quick", "--shape", "64"])

    assert capsys.readouterr().out.split() == [
        "zeros-bfloat16-64-s0",
        "zeros-float16-64-s0",
        "zeros-float32-64-s0",
    ]


def test_initializers_are_listed_with_family_tier_and_definition(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["list", "--initializers", "--initializer", "normal_1"])

    assert capsys.readouterr().out == "normal_1\tnormal\tstandard\tNormal(stddev=1.0)\n"


# --- explain -------------------------------------------------------------------------------------


def explained(capsys: pytest.CaptureFixture[str], case: str) -> str:
    assert main(["explain", case]) == 0
    return capsys.readouterr().out


def test_each_stage_is_shown_beside_the_oracles(capsys: pytest.CaptureFixture[str]) -> None:
    printed = explained(capsys, UNIFORM)

    for stage in ("key", "bits", "uniform", "unit", "scaled, rounded at every step as JAX does"):
        assert f"\n{stage}: equal\n  observed " in printed
    assert "law: mean 0.005, variance 8.33333333e-06, within [0, 0.01]" in printed


def test_an_explanation_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    with jax.threefry_partitionable(False):
        assert main(["explain", UNIFORM, "--json", "-"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert (told["case"], told["device"]) == (UNIFORM, "cpu")
    assert "jax_threefry_partitionable" in {each.partition("=")[0] for each in told["unusual"]}
    seen = {stage["name"]: stage for stage in told["stages"]}
    assert seen["key"]["comparison"] == "equal"
    assert seen["key"]["observed"] == seen["key"]["oracle"] != ""
    assert seen["bits"]["observed"] != seen["bits"]["oracle"]


def test_a_stage_that_differs_shows_its_worst_element(capsys: pytest.CaptureFixture[str]) -> None:
    with jax.threefry_partitionable(False):
        printed = explained(capsys, UNIFORM)

    assert "note: jax_threefry_partitionable=False" in printed
    assert "key: equal" in printed
    assert "bits: 64 of 64 words differ, first at (0,)" in printed
    assert "scaled: 64 of 64 elements differ, at most " in printed


def test_a_constant_has_only_its_result(capsys: pytest.CaptureFixture[str]) -> None:
    printed = explained(capsys, ZEROS)

    assert "scaled: equal\n  observed 0 0 0 0 ..." in printed
    assert "bits" not in printed


def test_a_matrix_is_explained_by_its_backward_errors(capsys: pytest.CaptureFixture[str]) -> None:
    printed = explained(capsys, MATRIX)

    assert "\nmatrix: the Q of what was drawn (recorded); u = 5.96e-08\n" in printed
    assert re.search(r"\n  column error \S+ u \(at most \S+\), column \d+\n", printed)
    assert re.search(r"\n  gram error \S+ u \(at most \S+\), at \(\d+, \d+\)\n", printed)
    assert "; signs left to rounding: 0\n" in printed


def test_a_matrix_that_is_wrong_is_explained_by_its_fault() -> None:
    case, catalogue = parse_case(MATRIX), load_catalogue()
    outcome = small_golden.observed(case, catalogue).outcome
    assert isinstance(outcome, Returned)
    swapped = dataclasses.replace(returned(whole(outcome)[:, [1, 0, 2]]), drawn=outcome.drawn)

    lines = matrix_lines(case, catalogue.lookup("orthogonal"), swapped)

    assert lines[0].startswith("matrix: wrong: column 0 is not that of the Q of the matrix that ")


def test_an_array_without_elements_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    printed = explained(capsys, "uniform-float32-0x8-s0-cpu-eager")

    assert "sample: no elements" in printed
    assert "scaled: equal\n  observed no elements" in printed


def test_a_raise_is_set_against_the_definition(capsys: pytest.CaptureFixture[str]) -> None:
    printed = explained(capsys, ORTHOGONAL)

    assert "raised: ValueError: orthogonal initializer requires at least a 2D shape" in printed
    assert "by definition: ValueError must be raised" in printed


def test_without_an_oracle_the_reason_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    printed = explained(capsys, "uniform-float32-64-s0-rbg-cpu-eager")

    assert "no oracle: uniform-float32-64-s0-rbg draws from rbg" in printed
    assert "scaled: nothing to compare with" in printed


def test_an_unknown_case_cannot_be_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", UNIFORM.replace("uniform", "uniforn")]) == 4
    assert "did you mean uniform" in capsys.readouterr().err


# --- doctor --------------------------------------------------------------------------------------


def test_what_is_unusual_is_named_with_its_consequence(
    golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with jax.enable_x64(True):
        main(["doctor", "--golden", str(golden)])

    printed = capsys.readouterr().out
    assert "jax_enable_x64=True: seeds keep their high word" in printed
    _, unlike = printed.split(f"unlike where {golden} was made\n")
    assert "  jax_enable_x64: False -> True\n" in unlike


def test_what_the_numbers_depend_on_is_shown_as_known_or_unknown(
    golden: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lapack, "facts", lambda: {"lapack_kernel": "Haswell"})

    main(["doctor", "--golden", str(golden)])

    shown = capsys.readouterr().out.partition("\nunusual\n")[0]
    lines = {line.split()[0]: line.split()[1:] for line in shown.splitlines()}
    assert lines["lapack_kernel"] == ["Haswell"]
    assert lines["lapack"] == lines["lapack_threads"] == ["unknown"]
    assert lines["libc"] not in ([], ["unknown"])


def test_the_doctor_tells_on_which_compiled_programs_a_run_would_rest(
    golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["doctor", "--golden", str(golden)])

    (line, *_) = capsys.readouterr().out.partition("\ncompiled programs\n")[2].splitlines()
    assert line.strip() in programs.lines(environment.capture(("cpu",)))


def test_where_nothing_tells_the_lapack_the_doctor_says_what_would(
    golden: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lapack, "facts", dict)
    monkeypatch.setattr(lapack, "WITNESS", "no_such_package")

    main(["doctor", "--golden", str(golden)])

    assert "unusual\n  lapack=unknown: `pip install no_such_package`" in capsys.readouterr().out


def test_another_kernel_than_the_goldens_is_named(
    golden: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    was = environment.host_facts()["lapack_kernel"]
    monkeypatch.setattr(lapack, "facts", lambda: {"lapack_kernel": "OfNoCPU"})

    main(["doctor", "--golden", str(golden)])

    unlike = capsys.readouterr().out.partition("unlike where")[2]
    assert f"  lapack_kernel: {was} -> OfNoCPU\n" in unlike


def test_the_doctor_tells_what_layers_alone_were_made_by(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "golden"
    shutil.copytree(golden, folder)
    small_golden.write_layers(folder, {}, jax="0.1")

    main(["doctor", "--golden", str(folder)])

    besides = capsys.readouterr().out.partition("and, besides, where its layers were\n")[2]
    assert besides == f"  jax: 0.1 -> {jax.__version__}\n"


def test_how_a_fact_of_the_goldens_is_known_is_told(
    golden: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "golden"
    shutil.copytree(golden, folder)
    path = folder / "provenance.json"
    records = json.loads(path.read_text())
    records[-1]["environment"]["host"]["lapack_note"] = "inferred"
    path.write_text(json.dumps(records))

    main(["doctor", "--golden", str(folder)])

    assert "  lapack_note: inferred\n" in capsys.readouterr().out.partition("unlike where")[2]


def test_the_doctor_has_no_word_on_a_golden_set_that_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["doctor", "--golden", str(tmp_path)])

    said = capsys.readouterr()
    assert code == 3
    assert "\nunusual\n" in said.out
    assert f"{tmp_path} holds no manifest.json" in said.err


def test_versions_devices_and_instruction_sets_are_shown(
    golden: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["doctor", "--golden", str(golden)])

    printed = capsys.readouterr().out
    assert f"jax {jax.__version__}" in " ".join(printed.split())
    for fact in ("cpu.kind", "isa", "jax_threefry_partitionable"):
        assert f"  {fact} " in printed
