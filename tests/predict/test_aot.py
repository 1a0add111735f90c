"""Compiling for what is not here: targets, refusals, the command, and the backend that emulates."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.planes import problems
from conformance.cli.arguments.compile import targets
from conformance.cli.main import main
from conformance.core.errors import CompilerAbsent, SelectionError, UnknownTarget
from conformance.core.ids import Case, Problem, Tier, parse_case
from conformance.core.records import Raised, Returned
from conformance.observe.backends import BackendUnavailable, open_backend
from conformance.predict import aot, ptx
from conformance.predict import compiled as programs
from conformance.predict.compiled import _counts, summary, table
from conformance.predict.targets import target_names
from conformance.store.accepted import load as load_accepted
from tests import ROOT

PTX = ROOT / "tests" / "data" / "ptx"
PROBLEM = Problem(initializer="normal", dtype="float32", shape=(64, 32), seed=0)

needs_cuda_compiler = pytest.mark.skipif(
    importlib.util.find_spec("jax_cuda13_plugin") is None,
    reason="needs the extra cuda-aot, which holds the CUDA compiler",
)


def with_modules(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Look for this module, in place of those that bring compilers."""
    for platform, compiler in aot.COMPILERS.items():
        changed = dataclasses.replace(compiler, modules=(module,))
        monkeypatch.setitem(aot.COMPILERS, platform, changed)


@pytest.fixture
def no_compilers(monkeypatch: pytest.MonkeyPatch) -> None:
    with_modules(monkeypatch, "absent")


# --- Targets -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_compilers")
@pytest.mark.parametrize(("platform", "extra"), [("cuda", "cuda-aot"), ("tpu", "tpu")])
def test_an_absent_compiler_is_said_with_the_command_that_installs_it(
    platform: str, extra: str
) -> None:
    with pytest.raises(CompilerAbsent, match=rf"pip install (-e )?'[^']+\[{extra}\]'"):
        aot.open_target(platform, "h100")


def test_the_extras_that_messages_name_exist() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert {compiler.extra for compiler in aot.COMPILERS.values()} <= set(
        project["optional-dependencies"]
    )


def present(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every compiler look installed."""
    with_modules(monkeypatch, "json")


def test_an_unknown_device_is_said_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    present(monkeypatch)

    with pytest.raises(UnknownTarget, match=r"'a100x' is unknown: choose from .*h100"):
        aot.open_target("cuda", "a100x")


@pytest.mark.parametrize("name", ["v5e", "v5e:", "v5e:1x", "v5e 1x1"])
def test_a_topology_that_cannot_be_read_is_said_with_an_example(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    present(monkeypatch)

    with pytest.raises(UnknownTarget, match="write generation:shape, as in v5e:1x1"):
        aot.open_target("tpu", name)


def test_what_the_plugin_refuses_is_an_unknown_target(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("no such topology\nand a trace")

    present(monkeypatch)
    monkeypatch.setattr(aot, "topology", refuse)

    with pytest.raises(UnknownTarget, match=r"'v9z:1x1' is refused .*: no such topology$"):
        aot.open_target("tpu", "v9z:1x1")


def test_a_compiler_that_another_process_holds_is_told_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("ABORTED: Internal error when accessing libtpu multi-process lockfile.")

    present(monkeypatch)
    monkeypatch.setattr(aot, "topology", refuse)

    with pytest.raises(CompilerAbsent, match="set ALLOW_MULTIPLE_LIBTPU_LOAD=1"):
        aot.open_target("tpu", "v5e:1x1")


def test_every_described_device_says_its_compute_capability() -> None:
    folder = ROOT / "conformance" / "predict" / "ptx" / "targets"
    texts = [(folder / f"{name}.txtpb").read_text() for name in target_names()]

    assert texts
    assert all("cuda_compute_capability" in text for text in texts)


# --- Fingerprints --------------------------------------------------------------------------------

HLO = """HloModule jit_f, is_scheduled=true

FileNames
1 "/somewhere/a.py"

StackFrames
1 {file_location_id=1}

ENTRY %main (p: u32[2]) -> u32[2] {
  ROOT %p = u32[2]{0} parameter(0), metadata={op_name="jit(f)/mul" stack_frame_id=6}
}
"""


def compiled(hlo: str = HLO, texts: tuple[str, ...] = ()) -> aot.Compiled:
    return aot.Compiled(hlo=hlo, ptx=texts, code_bytes=7, temp_bytes=9, elapsed_s=0.1)


@pytest.mark.parametrize(
    ("old", "new"), [("jit_f", "jit_g"), ("a.py", "b.py"), ("stack_frame_id=6", "stack_frame_id=7")]
)
def test_names_and_places_do_not_change_a_fingerprint(old: str, new: str) -> None:
    assert compiled(HLO.replace(old, new)).fingerprint == compiled().fingerprint


def test_another_instruction_changes_a_fingerprint() -> None:
    assert compiled(HLO.replace("u32[2]{0}", "u32[3]{0}")).fingerprint != compiled().fingerprint


# --- The command ---------------------------------------------------------------------------------


def row(**fields: Any) -> programs.Row:
    given: dict[str, Any] = {
        "problem": PROBLEM,
        "target": "h100",
        "lowered": "aa",
        "compiled": None,
        "error": "",
        "expected": "",
        "excuse": "",
        **fields,
    }
    return programs.Row(**given)


@pytest.mark.parametrize(
    ("error", "expected", "is_wrong"),
    [
        ("", "", False),
        ("TypeError: x", "", True),
        ("TypeError: x", "TypeError", False),
        ("ValueError: x", "TypeError", True),
        ("", "TypeError", True),
    ],
)
def test_a_row_is_wrong_when_it_is_not_what_is_expected(
    error: str, expected: str, is_wrong: bool
) -> None:
    assert row(error=error, expected=expected).is_wrong is is_wrong


def test_the_summary_counts_errors_by_excuse_and_by_fault() -> None:
    known = {"expected": "TypeError", "excuse": "known-defect"}
    rows = [
        row(error="TypeError: x"),
        row(error="TypeError: x"),
        row(error="TypeError: y", **known),
        row(compiled=compiled(), **known),
        row(compiled=compiled()),
    ]

    lines = list(summary(rows))

    assert lines == [
        "compiled for h100: 2 of 5; 1 refused as the definition demands or the ledger knows; "
        "3 wrong",
        "  1 x known-defect",
        "  2 x WRONG: TypeError: x",
        "  1 x WRONG: known-defect expects TypeError, but it compiled",
    ]


def test_kernels_instructions_and_registers_are_counted_in_the_text() -> None:
    text = (PTX / "normal-float32-64x32-s0.ptx").read_text()
    (kernel,) = ptx.parse(text)

    kernels, instructions, registers = _counts([text])

    assert (kernels, instructions) == (1, len(kernel.instructions))
    assert registers == 162


def test_a_table_lines_up() -> None:
    lines = table(("a", "long"), [("wide cell", "b")]).splitlines()

    assert len({len(line) for line in lines}) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--platform", "cuda", "--topology", "v5e:1x1"], "--topology is not for cuda"),
        (["--platform", "tpu", "--target", "h100"], "--target is not for tpu"),
        (["--platform", "tpu", "--predict"], "only CUDA is predicted"),
        (["--platform", "tpu", "--record", "x"], "only CUDA is predicted"),
        (["--platform", "tpu", "--accept"], "--accept needs --reason '...'"),
        (["--platform", "cuda", "--resume"], "name their folder by --record"),
        (["--platform", "cuda", "--record", "x", "--out", "y"], "--record predicts, and keeps no"),
    ],
)
def test_options_of_another_platform_are_a_wrong_call(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    code = main(["compile", *words])

    assert code == 4
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("no_compilers")
def test_the_command_without_a_compiler_is_the_fault_of_the_machine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["compile", "--platform", "tpu", "--tier", "quick"])

    assert code == 3
    assert "pip install" in capsys.readouterr().err


def arguments(**fields: Any) -> argparse.Namespace:
    given = {"platform": "cuda", "target": None, "topology": None, "predict": False, "record": None}
    given |= {"resume": False, "out": None}
    return argparse.Namespace(**{**given, "accept": False, "reason": "", **fields})


def test_several_topologies_are_separated_by_commas() -> None:
    asked = arguments(platform="tpu", topology="v5e:1x1, v4:1x1x1")

    assert targets(asked) == ["v5e:1x1", "v4:1x1x1"]


# --- Devices that are here -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("platform", "facts", "name"),
    [
        ("cuda", {"device_kind": "NVIDIA H200", "compute_capability": "9.0"}, "h100"),
        ("cuda", {"device_kind": "NVIDIA A100", "compute_capability": "8.0"}, "a100"),
        ("cuda", {"device_kind": "NVIDIA B200", "compute_capability": "10.0"}, "b200"),
        ("cuda", {"device_kind": "NVIDIA L4", "compute_capability": "8.9"}, ""),
        ("tpu", {"device_kind": "TPU v5 lite"}, "v5e-1x1"),
        ("tpu", {"device_kind": "TPU v2"}, ""),
        ("cpu", {"device_kind": "cpu"}, ""),
    ],
)
def test_a_device_is_the_target_of_its_compute_capability_or_generation(
    platform: str, facts: dict[str, str], name: str
) -> None:
    assert aot.described(platform, argparse.Namespace(**facts)) == name


@pytest.mark.parametrize("name", sorted(set(aot.TPU_KINDS.values())))
def test_programs_of_each_tpu_that_is_known_by_name_are_kept(name: str) -> None:
    assert (ROOT / "golden" / "compiled" / f"{name}.json").exists()


# --- Accepted programs ---------------------------------------------------------------------------

OTHER = dataclasses.replace(PROBLEM, initializer="uniform")
NEW = compiled(HLO.replace("u32[2]{0}", "u32[3]{0}"))


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    """Return a golden folder with two accepted programs for the H100."""
    rows = [row(compiled=compiled()), row(compiled=compiled(), problem=OTHER)]
    programs.accept(tmp_path, "h100", rows, "jax 9, pjrt 9", "because")
    return tmp_path


def test_accepted_programs_are_unchanged(golden: Path) -> None:
    found = programs.compare(golden, "h100", [row(compiled=compiled())], "jax 9, pjrt 9")

    assert not found.is_wrong
    assert found.text == (
        "h100: 0 of 1 program other than the accepted ones of jax 9, pjrt 9; 0 never accepted"
    )


def test_another_program_of_the_same_versions_fails_by_name(golden: Path) -> None:
    found = programs.compare(golden, "h100", [row(compiled=NEW)], "jax 9, pjrt 9")

    change = f"{PROBLEM.id} (hlo): {compiled().fingerprint} -> {NEW.fingerprint}"
    assert found.is_wrong
    assert change in found.text
    assert "right: `conformance compile ... --accept --reason '...'`" in found.text


def test_another_program_of_other_versions_is_told(golden: Path) -> None:
    found = programs.compare(golden, "h100", [row(compiled=NEW, lowered="bb")], "jax 10, pjrt 10")

    assert not found.is_wrong
    assert "jax 10, pjrt 10 makes other programs than jax 9, pjrt 9" in found.text
    assert f"{PROBLEM.id} (lowered): aa -> bb" in found.text


def test_an_error_in_place_of_a_program_is_a_change(golden: Path) -> None:
    found = programs.compare(golden, "h100", [row(error="TypeError: x")], "jax 9, pjrt 9")

    assert found.is_wrong
    assert f"{PROBLEM.id} (error): none -> TypeError: x" in found.text


def test_what_was_never_accepted_is_told(golden: Path) -> None:
    other = dataclasses.replace(PROBLEM, seed=1)

    found = programs.compare(golden, "h100", [row(compiled=NEW, problem=other)], "jax 9, pjrt 9")
    absent = programs.compare(golden, "v5e:1x1", [row(compiled=NEW)], "jax 9, pjrt 9")

    assert "1 never accepted" in found.text
    assert absent.text.startswith("v5e:1x1: no programs are accepted, see `conformance compile")
    assert [found.is_wrong, absent.is_wrong] == [False, False]


def test_accepting_some_problems_keeps_the_others(golden: Path) -> None:
    programs.accept(golden, "h100", [row(compiled=NEW)], "jax 9, pjrt 9", "better")

    both = [row(compiled=NEW), row(compiled=compiled(), problem=OTHER)]
    assert not programs.compare(golden, "h100", both, "jax 9, pjrt 9").is_wrong


def test_programs_of_two_versions_are_not_mixed(golden: Path) -> None:
    with pytest.raises(SelectionError, match=r"holds programs of jax 9.* uniform-.* delete"):
        programs.accept(golden, "h100", [row(compiled=NEW)], "jax 10", "newer")


def test_what_is_wrong_is_not_accepted(golden: Path) -> None:
    before = programs.path_of(golden, "h100").read_text()

    with pytest.raises(SelectionError, match=rf"1 wrong program, {PROBLEM.id} for one"):
        programs.accept(golden, "h100", [row(error="TypeError: x")], "jax 9, pjrt 9", "no")

    assert programs.path_of(golden, "h100").read_text() == before


def test_the_ptx_counts_beside_the_hlo() -> None:
    one, two = (row(compiled=compiled(texts=(text,))).fields for text in ("add", "sub"))

    assert one["hlo"] == two["hlo"]
    assert one["ptx"] != two["ptx"]


def test_kernels_have_no_order() -> None:
    one, two = (row(compiled=compiled(texts=texts)).fields for texts in (("a", "b"), ("b", "a")))

    assert one == two


TARGETS = ("h100", "a100", "b200", "v4-1x1x1", "v5e-1x1", "v5p-1x1x1", "v6e-1x1", "tpu7x-1x1x1")


@pytest.mark.parametrize("target", TARGETS)
def test_every_problem_of_the_quick_tier_has_an_accepted_program(target: str) -> None:
    """In 64 x 32; and none is kept of a problem that is gone."""
    held = load_accepted(ROOT / "golden" / "compiled" / f"{target}.json", programs.ACCEPT).lines
    needed = {p.id for p in problems(load_catalogue(), Tier.QUICK) if p.shape == PROBLEM.shape}
    known = {p.id for p in problems(load_catalogue(), Tier.FULL)}

    assert not needed - held.keys()
    assert not held.keys() - known


def test_each_target_with_accepted_programs_is_tested() -> None:
    assert {path.stem for path in (ROOT / "golden" / "compiled").iterdir()} == set(TARGETS)


# --- The backend ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_compilers")
def test_the_backend_without_its_extra_is_unavailable_and_says_what_to_install() -> None:
    with pytest.raises(BackendUnavailable, match=r"'cuda-emulated' .*\[cuda-aot\]"):
        open_backend("cuda-emulated")


def test_a_backend_of_two_words_is_read_from_a_case_id() -> None:
    case = Case(problem=PROBLEM, backend="cuda-emulated", transform="jit")

    assert parse_case(case.id) == case


@needs_cuda_compiler
@pytest.mark.parametrize("transform", ["eager", "jit"])
def test_a_case_is_compiled_and_emulated(transform: str) -> None:
    backend = open_backend("cuda-emulated")
    case = Case(problem=PROBLEM, backend="cuda-emulated", transform=transform)

    observation = backend.observe(case, load_catalogue().lookup("normal"))

    assert isinstance(observation.outcome, Returned)
    assert observation.mode == "predicted"
    assert observation.repeat_sha256 == observation.outcome.sha256


@needs_cuda_compiler
def test_a_call_of_a_library_is_an_outcome_that_names_it() -> None:
    problem = dataclasses.replace(PROBLEM, initializer="orthogonal")
    case = Case(problem=problem, backend="cuda-emulated", transform="jit")

    outcome = open_backend("cuda-emulated").observe(case, load_catalogue().lookup("orthogonal"))

    assert isinstance(outcome.outcome, Raised)
    assert "cusolver_geqrf" in outcome.outcome.message


@needs_cuda_compiler
def test_the_command_reproduces_the_kept_programs(tmp_path: Path) -> None:
    words = ["--platform", "cuda", "--tier", "quick", "--shape", "64x32", "--dtype", "float32"]
    main(["compile", *words, "--initializer", "normal", "--out", str(tmp_path)])

    made = (tmp_path / "h100" / "normal-float32-64x32-s0.ptx").read_text()
    assert made == (PTX / "normal-float32-64x32-s0.ptx").read_text()
