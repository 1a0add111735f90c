"""Two stores -> a comparison -> a verdict -> tables and files."""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cli import main
from conformance.core.arrays import returned
from conformance.core.errors import EmptySelection, ExitCode, GoldenError, PolicyError
from conformance.core.paths import MANIFEST, PROVENANCE
from conformance.core.records import DriftClass, Entry, Raised
from conformance.report.markdown import ISSUE_BYTES
from conformance.store.entries import GOLDEN, RECORDING, TREE, parameter_id
from conformance.store.write import write_store
from conformance.upgrade.compare import Comparison, compare_folders
from conformance.upgrade.defaults import NOT_THE_REASON
from conformance.upgrade.page import page_of
from conformance.upgrade.policy import (
    Allowance,
    DriftPolicy,
    Verdict,
    judge,
    load_policy,
)
from conformance.upgrade.tables import pair_rows, to_json, to_markdown, to_text

CASE = "normal-float32-64x32-s0-cpu-eager"
OTHER = "zeros-float32-64x32-s0-cpu-eager"
PROBLEM = "normal-float32-64x32-s0"
TODAY = datetime.date(2026, 6, 1)

WriteStore = Callable[..., Path]


def draw(seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(0, 0.01, (64, 32)).astype(np.float32)


def nudged(array: Any) -> Any:
    """Return the array with every third element one ULP off, by turns from zero and towards it."""
    words = array.copy().view(np.uint32)
    words.reshape(-1)[::6] += 1
    words.reshape(-1)[3::6] -= 1
    return words.view(np.float32)


@pytest.fixture
def store(tmp_path: Path) -> WriteStore:
    """Return a function that writes a store of outcomes and returns its folder."""

    def write(
        name: str,
        outcomes: Mapping[str, Any],
        *,
        kind: str = RECORDING,
        jax: str = "1.0",
        stages: Mapping[str, str] | None = None,
        programs: Mapping[str, str] | None = None,
    ) -> Path:
        entries = [
            Entry(
                id=key,
                shard="family/shard.safetensors",
                outcome=value if isinstance(value, Raised) else returned(value),
                extra={"stages": stages} if stages else {},
            )
            for key, value in outcomes.items()
        ]
        environment = {"packages": {"jax": jax}, "config": {}, "host": {}, "devices": {}}
        provenance = {"environment": environment, "programs": programs or {}}
        write_store(tmp_path / name, entries, kind=kind, provenance=[provenance])
        return tmp_path / name

    return write


def compared(before: Path, after: Path) -> Comparison:
    return compare_folders(before, after, load_catalogue())


def verdict_on(comparison: Comparison, policy: DriftPolicy | None = None) -> Verdict:
    return judge(comparison, policy or DriftPolicy(), TODAY)


# --- Pairs ---------------------------------------------------------------------------------------


def test_equal_bits_are_identical(store: WriteStore) -> None:
    found = compared(store("a", {CASE: draw()}), store("b", {CASE: draw()}))

    assert [pair.drift.drift_class for pair in found.pairs] == [DriftClass.IDENTICAL]


def test_an_exception_that_speaks_otherwise_is_no_drift_and_is_counted(store: WriteStore) -> None:
    sides = [
        store(name, {CASE: Raised(exception="TypeError", message=text), OTHER: draw()})
        for name, text in (("a", "no such dtype"), ("b", "unsupported dtype"))
    ]

    found = compared(*sides)
    text = to_text(verdict_on(found))

    assert found.counts()[DriftClass.IDENTICAL] == 2
    assert "1 case: raises the same exception with another message, which is no drift" in text


def test_an_exception_that_speaks_alike_is_not_counted(store: WriteStore) -> None:
    raised = Raised(exception="TypeError", message="no such dtype")

    found = compared(*(store(name, {CASE: raised}) for name in ("a", "b")))

    assert found.remarks == []


@pytest.mark.parametrize("name", ["device", "mode"])
def test_a_text_that_no_recorder_writes_is_refused(store: WriteStore, name: str) -> None:
    folder = store("a", {CASE: draw()})
    manifest = folder / MANIFEST
    text = manifest.read_text().replace('"shard":', f'"{name}":"{"x" * 5000}","shard":', 1)
    manifest.write_text(text)

    with pytest.raises(GoldenError, match=rf"{name} has 5000 characters, more than 4096"):
        compared(folder, folder)


def test_cases_that_the_machine_failed_are_not_compared(store: WriteStore) -> None:
    """Both sides raise alike, which says nothing about what they would have returned."""
    lost = Raised(exception="JaxRuntimeError", message="RESOURCE_EXHAUSTED: out of memory")
    sides = [store(name, {CASE: lost}) for name in ("a", "b")]
    provenance = json.loads((sides[1] / PROVENANCE).read_text())
    provenance[0]["machine_faults"] = [CASE]
    (sides[1] / PROVENANCE).write_text(json.dumps(provenance))

    with pytest.raises(GoldenError, match=rf"/b: the machine failed {CASE}: record them again"):
        compared(*sides)


def test_the_second_side_is_the_actual_one(store: WriteStore) -> None:
    expected, actual = draw(), nudged(draw())

    (pair,) = compared(store("a", {CASE: expected}), store("b", {CASE: actual})).pairs

    assert pair.drift.drift_class is DriftClass.ROUNDING
    assert pair.drift.max_ulp == 1
    assert pair.drift.worst_index is not None
    assert pair.drift.worst_expected == float(expected[pair.drift.worst_index])
    assert pair.drift.worst_actual == float(actual[pair.drift.worst_index])


def test_the_first_differing_stage_is_named(store: WriteStore) -> None:
    before = store("a", {CASE: draw()}, stages={"key": "1", "bits": "2", "uniform": "3"})
    after = store("b", {CASE: draw(1)}, stages={"key": "1", "bits": "9", "uniform": "8"})

    (pair,) = compared(before, after).pairs

    assert pair.drift.stage == "bits"
    assert pair.drift.drift_class is DriftClass.STREAM


def test_an_exception_that_comes_or_goes_is_a_change_of_contract(store: WriteStore) -> None:
    raised = Raised(exception="TypeError", message="no")

    (pair,) = compared(store("a", {CASE: draw()}), store("b", {CASE: raised})).pairs

    assert pair.drift.drift_class is DriftClass.CONTRACT
    assert "returns an array -> raises TypeError" in pair.drift.detail


def test_cases_of_one_side_only_are_lost_or_new(store: WriteStore) -> None:
    zeros = np.zeros((64, 32), np.float32)

    found = compared(
        store("a", {CASE: draw(), OTHER: zeros}),
        store("b", {CASE: draw(), "ones-float32-64x32-s0-cpu-eager": zeros + 1}),
    )

    assert found.lost == (OTHER,)
    assert found.new == ("ones-float32-64x32-s0-cpu-eager",)


def test_an_initializer_that_this_catalogue_lacks_is_compared_all_the_same(
    store: WriteStore,
) -> None:
    case = "somebodys_own-float32-64x32-s0-cpu-eager"

    (pair,) = compared(store("a", {case: draw()}), store("b", {case: nudged(draw())})).pairs

    assert pair.drift.drift_class is DriftClass.ROUNDING


def test_sides_without_a_common_case_are_refused_with_an_example_of_each(
    store: WriteStore,
) -> None:
    before, after = store("a", {CASE: draw()}), store("b", {OTHER: draw()})

    with pytest.raises(EmptySelection) as caught:
        compared(before, after)

    assert f"a holds 1 such as {CASE}" in str(caught.value)
    assert f"b holds 1 such as {OTHER}" in str(caught.value)
    assert "Record the same selection on both" in str(caught.value)


def test_a_recording_is_compared_with_the_golden_of_its_problem(store: WriteStore) -> None:
    golden = store("golden", {PROBLEM: draw()}, kind=GOLDEN)

    (pair,) = compared(golden, store("b", {CASE: nudged(draw())})).pairs

    assert (pair.name, pair.drift.drift_class) == (CASE, DriftClass.ROUNDING)


def test_two_golden_sets_are_compared_in_their_overlays_too(store: WriteStore) -> None:
    before = store("a", {PROBLEM: draw()}, kind=GOLDEN)
    after = store("b", {PROBLEM: draw()}, kind=GOLDEN)
    store("b/overlays/tpu", {PROBLEM: nudged(draw())}, kind=GOLDEN)

    found = {pair.name: pair.drift.drift_class for pair in compared(before, after).pairs}

    assert found == {PROBLEM: DriftClass.IDENTICAL, f"{PROBLEM} on tpu": DriftClass.ROUNDING}


def test_a_store_of_another_schema_is_refused(store: WriteStore) -> None:
    before, after = store("a", {CASE: draw()}), store("b", {CASE: draw()})
    manifest = after / "manifest.json"
    manifest.write_text(re.sub('"schema": [0-9]+', '"schema": 99', manifest.read_text()))

    with pytest.raises(GoldenError, match="has version 99 of the format `recording`"):
        compared(before, after)


# --- Parameters ----------------------------------------------------------------------------------


def tree(store: WriteStore, name: str, leaves: Mapping[str, Any]) -> Path:
    return store(name, {parameter_id(path): leaf for path, leaf in leaves.items()}, kind=TREE)


def test_parameters_are_named_by_their_path(store: WriteStore) -> None:
    leaves = {"params/conv-1/kernel": draw(), "100%/bias": draw(1)}

    found = compared(tree(store, "a", leaves), tree(store, "b", leaves))

    assert {pair.name for pair in found.pairs} == set(leaves)


def test_a_parameter_that_changes_dtype_is_the_same_parameter(store: WriteStore) -> None:
    before = tree(store, "a", {"kernel": draw()})

    (pair,) = compared(before, tree(store, "b", {"kernel": draw().astype(np.float16)})).pairs

    assert pair.drift.drift_class is DriftClass.STRUCTURAL
    assert pair.drift.detail == "float32[64, 32] -> float16[64, 32]"


@pytest.mark.parametrize(
    ("after", "drift_class"),
    [
        (np.array([1, 2], np.uint32), DriftClass.IDENTICAL),
        (np.array([1, 3], np.uint32), DriftClass.LAW),
        (np.array([1], np.uint32), DriftClass.STRUCTURAL),
    ],
)
def test_no_rounding_explains_a_changed_integer(
    store: WriteStore, after: Any, drift_class: DriftClass
) -> None:
    before = tree(store, "a", {"count": np.array([1, 2], np.uint32)})

    (pair,) = compared(before, tree(store, "b", {"count": after})).pairs

    assert pair.drift.drift_class is drift_class


def test_parameters_and_a_recording_are_not_compared(store: WriteStore) -> None:
    before, after = tree(store, "a", {"kernel": draw()}), store("b", {CASE: draw()})

    with pytest.raises(GoldenError, match="with the same --target"):
        compared(before, after)


# --- Policy --------------------------------------------------------------------------------------


@pytest.fixture
def streams(store: WriteStore) -> Comparison:
    """Return a comparison in which one case of two has a new stream."""
    zeros = np.zeros((64, 32), np.float32)
    return compared(
        store("a", {CASE: draw(), OTHER: zeros}, jax="1.0"),
        store("b", {CASE: draw(1), OTHER: zeros}, jax="2.0"),
    )


def test_drift_beyond_the_policy_is_not_clean(streams: Comparison) -> None:
    verdict = verdict_on(streams)

    assert [pair.name for pair in verdict.beyond] == [CASE]
    assert verdict.line.startswith("DRIFT: ")
    assert "1 of 2 cases beyond rounding: 1 identical, 1 stream" in verdict.line


def test_drift_within_the_policy_is_clean(streams: Comparison) -> None:
    verdict = verdict_on(streams, DriftPolicy(max_drift=DriftClass.STREAM))

    assert verdict.is_clean
    assert verdict.line.startswith("CLEAN: ")


def test_a_lost_case_is_not_clean(store: WriteStore) -> None:
    before = store("a", {CASE: draw(), OTHER: draw()})

    verdict = verdict_on(compared(before, store("b", {CASE: draw()})))

    assert not verdict.is_clean
    assert "1 case lost" in verdict.line
    assert OTHER in to_text(verdict)


def allowance(**fields: Any) -> Allowance:
    return Allowance(**{"max_drift": DriftClass.STREAM, "reason": "reseeded", **fields})


def test_an_allowance_covers_what_matches_it(streams: Comparison) -> None:
    policy = DriftPolicy(allowances=(allowance(initializer="nor*", dtype="float32"),))

    verdict = verdict_on(streams, policy)

    assert verdict.is_clean
    assert "reseeded" in to_text(verdict)


@pytest.mark.parametrize(
    "fields",
    [
        {"initializer": "he_*"},
        {"dtype": "bfloat16"},
        {"max_drift": DriftClass.TRANSFORM},
    ],
)
def test_an_allowance_covers_nothing_else(streams: Comparison, fields: Any) -> None:
    verdict = verdict_on(streams, DriftPolicy(allowances=(allowance(**fields),)))

    assert not verdict.is_clean


def test_an_expired_allowance_no_longer_counts_and_is_named(streams: Comparison) -> None:
    policy = DriftPolicy(allowances=(allowance(expires=TODAY),))

    verdict = verdict_on(streams, policy)

    assert not verdict.is_clean
    assert "Expired acknowledgements" in to_text(verdict)


def test_an_allowance_counts_until_the_day_before_it_expires(streams: Comparison) -> None:
    policy = DriftPolicy(allowances=(allowance(expires=TODAY + datetime.timedelta(days=1)),))

    assert verdict_on(streams, policy).is_clean


def policy_file(folder: Path, text: str) -> Path:
    path = folder / "pyproject.toml"
    path.write_text(text)
    return path


def test_the_policy_is_read_from_toml(tmp_path: Path) -> None:
    path = policy_file(
        tmp_path,
        """
        [tool.conformance]
        max-drift = "transform"
        [[tool.conformance.allow]]
        initializer = "*_normal"
        max-drift = "stream"
        reason = "we reseed"
        expires = 2027-01-31
        """,
    )

    policy = load_policy(path)

    assert policy.max_drift is DriftClass.TRANSFORM
    assert policy.allowances == (
        Allowance(
            initializer="*_normal",
            max_drift=DriftClass.STREAM,
            reason="we reseed",
            expires=datetime.date(2027, 1, 31),
        ),
    )


def test_without_a_file_rounding_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert load_policy(None) == DriftPolicy(max_drift=DriftClass.ROUNDING)


def test_a_project_without_a_policy_has_that_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nline-length = 100")

    assert load_policy(None) == DriftPolicy(max_drift=DriftClass.ROUNDING)


def test_a_policy_that_is_named_and_not_there_is_refused(tmp_path: Path) -> None:
    """It may be stricter than what counts without it."""
    with pytest.raises(PolicyError, match=r"cannot be read \(FileNotFoundError"):
        load_policy(tmp_path / "policy.toml")


def test_the_option_takes_the_place_of_the_file(tmp_path: Path) -> None:
    path = policy_file(tmp_path, '[tool.conformance]\nmax-drift = "stream"')

    assert load_policy(path, "identical").max_drift is DriftClass.IDENTICAL


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool", "cannot be read .TOMLDecodeError"),
        ('[conformance]\nmax-drift = "law"', r"it has no table \[tool.conformance\]"),
        ("tool = 3", "3 is not an object"),
        (
            '[tool.conformance]\nmax_drift = "stream"',
            "'max_drift' is unknown: did you mean max-drift",
        ),
        (
            '[tool.conformance]\nmax-drift = "none"',
            "max-drift: value 'none' is unknown: choose from biased, contract, identical, law,",
        ),
        (
            '[tool.conformance]\nmax-drift = "biassed"',
            "max-drift: value 'biassed' is unknown: did you mean biased",
        ),
        ("[tool.conformance]\nallow = 3", "allow: 3 is not a list"),
        (
            '[[tool.conformance.allow]]\nmax-drift = "law"',
            "#1: the field 'reason' is missing",
        ),
        ('[[tool.conformance.allow]]\nreason = "x"', "#1: the field 'max-drift' is missing"),
        (
            '[[tool.conformance.allow]]\nmax-drift = "law"\nreason = " "',
            "#1, reason: ' ' is not a",
        ),
        (
            '[[tool.conformance.allow]]\nmax-drift = "law"\nreason = "x"\ninitializer = ["a"]',
            r"allow #1, initializer: \['a'\] is not a text",
        ),
        (
            '[[tool.conformance.allow]]\nmax-drift = "law"\nreason = "x"\nexpires = "2027-01-31"',
            "allow #1, expires: '2027-01-31' is not a date without quotes, as in",
        ),
    ],
)
def test_a_policy_that_cannot_be_understood_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(PolicyError, match=message):
        load_policy(policy_file(tmp_path, text))


# --- Tables and files ----------------------------------------------------------------------------


def test_the_environment_stands_above_the_counts(streams: Comparison) -> None:
    text = to_text(verdict_on(streams))

    assert text.index("jax   1.0     2.0") < text.index("By class")


def test_ulp_figures_of_a_group_leave_out_new_streams(store: WriteStore) -> None:
    near = "normal-float32-16x1-s0-cpu-eager"
    small = draw()[:16, :1].copy()
    before = store("a", {CASE: draw(), near: small})

    text = to_text(verdict_on(compared(before, store("b", {CASE: draw(1), near: nudged(small)}))))

    row = next(line for line in text.split("By dtype")[1].splitlines() if "float32" in line)
    assert row.split()[-2] == "1"


def test_two_recordings_tell_the_cause_by_their_programs(store: WriteStore) -> None:
    programs = {"cpu normal float32": "aa"}
    before = store("a", {CASE: draw(), OTHER: draw()}, programs=programs)
    after = store("b", {CASE: nudged(draw()), OTHER: draw()}, programs=programs)

    verdict = verdict_on(compared(before, after))

    row = next(row for row in pair_rows(verdict) if row.name == CASE)
    assert (row.cause, row.proof) == ("compiler", "both sides lower the same program")
    assert "compiler  XLA compiles the same program otherwise" in to_text(verdict)
    assert list(verdict.comparison.causes) == [CASE]


def test_markdown_keeps_its_cells(streams: Comparison) -> None:
    text = to_markdown(verdict_on(streams), notes=["a | b <script>"])

    assert "a \\| b &lt;script&gt;" in text
    assert "## By class" in text


def test_markdown_fits_an_issue_and_says_what_was_cut(streams: Comparison) -> None:
    remark = "a remark of some length " * 2_700

    text = to_markdown(verdict_on(streams), notes=[remark])

    assert len(text.encode()) <= ISSUE_BYTES
    assert re.search(r"\nToo long to show here: .*What --csv FILE writes has all\.\n$", text)


def test_json_holds_every_pair(streams: Comparison) -> None:
    document = json.loads(to_json(verdict_on(streams)))

    assert document["counts"]["stream"] == 1
    assert [pair["name"] for pair in document["pairs"]] == [CASE, OTHER]
    assert [pair["is_allowed"] for pair in document["pairs"]] == [False, True]


def test_an_infinite_distance_is_valid_json(store: WriteStore) -> None:
    broken = draw()
    broken[0, 0] = np.inf
    comparison = compared(store("a", {CASE: draw()}), store("b", {CASE: broken}))

    document = json.loads(to_json(verdict_on(comparison)))

    assert document["pairs"][0]["max_ulp_at_sigma"] == "inf"
    assert document["pairs"][0]["max_ulp"] == 2**64 - 1


# --- The command ---------------------------------------------------------------------------------


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder without a policy."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.usefixtures("at_home")
def test_exit_code_0_when_clean(store: WriteStore, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["compare", str(store("a", {CASE: draw()})), str(store("b", {CASE: draw()}))])

    assert code == 0
    assert capsys.readouterr().out.startswith("CLEAN: ")


@pytest.mark.usefixtures("at_home")
def test_exit_code_1_when_beyond_the_policy(store: WriteStore) -> None:
    before, after = store("a", {CASE: draw()}), store("b", {CASE: nudged(draw())})

    codes = [
        main(["compare", str(before), str(after), "--max-drift", worst])
        for worst in ("identical", "rounding")
    ]

    assert codes == [1, 0]


@pytest.mark.usefixtures("at_home")
def test_exit_code_3_when_a_side_is_no_store(
    store: WriteStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["compare", str(store("a", {CASE: draw()})), str(tmp_path / "nowhere")])

    assert code == 3
    assert "nowhere holds no manifest.json" in capsys.readouterr().err


def test_exit_code_4_when_the_policy_is_wrong(
    store: WriteStore, at_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policy_file(at_home, '[tool.conformance]\nmax-drift = "none"')

    code = main(["compare", str(store("a", {CASE: draw()})), str(store("b", {CASE: draw()}))])

    assert code == 4
    assert "max-drift: value 'none' is unknown" in capsys.readouterr().err


@pytest.mark.usefixtures("at_home")
def test_exit_code_5_when_nothing_is_compared(
    store: WriteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["compare", str(store("a", {CASE: draw()})), str(store("b", {OTHER: draw()}))])

    assert code == 5
    assert "no case is on both sides" in capsys.readouterr().err


def test_the_files_hold_the_same_rows(at_home: Path, streams: Comparison) -> None:
    folders = [str(at_home.parent / name) for name in ("a", "b")]
    outputs = [f"--{kind}=out.{kind}" for kind in ("csv", "parquet", "json", "markdown")]

    main(["compare", *folders, *outputs])

    rows = pair_rows(verdict_on(streams))
    csv = pd.read_csv("out.csv", keep_default_na=False)
    parquet = pd.read_parquet("out.parquet")
    assert list(csv["name"]) == list(parquet["name"]) == [row.name for row in rows]
    assert list(csv["drift_class"]) == list(parquet["drift_class"]) == ["stream", "identical"]
    assert int(parquet["max_ulp"][0]) == rows[0].max_ulp
    assert json.loads(Path("out.json").read_text())["counts"]["stream"] == 1
    assert Path("out.markdown").read_text().startswith("# DRIFT: ")


@pytest.mark.usefixtures("at_home")
def test_json_alone_is_printed_on_request(
    store: WriteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    main(
        ["compare", str(store("a", {CASE: draw()})), str(store("b", {CASE: draw()})), "--json", "-"]
    )

    assert json.loads(capsys.readouterr().out)["is_clean"] is True


def test_an_output_that_cannot_be_written_is_an_error(
    store: WriteStore, at_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(store(name, {CASE: draw()})) for name in ("a", "b")]
    (at_home / "no").write_text("no folder")

    code = main(["compare", *folders, "--csv", str(at_home / "no" / "where.csv")])

    assert code == 3
    assert "where.csv" in capsys.readouterr().err


# --- The page -------------------------------------------------------------------------------------


def test_the_page_says_what_drifted_and_what_differs_where_no_cause_is_known(
    streams: Comparison,
) -> None:
    """A drift of contract has no cause that programs tell: the page had no sentence at all."""
    before, after = streams.environments
    old = dataclasses.replace(before, packages={**before.packages, "jax": "0.11.2"})
    comparison = dataclasses.replace(streams, environments=(old, after), causes={})

    page = page_of(verdict_on(comparison), ExitCode.FAILED)

    n = len(verdict_on(comparison).beyond)
    assert page.sentence == (
        f"{n} of {len(streams.pairs)} cases returned another stream: "
        f"jax is {after.packages['jax']} in {streams.after}, 0.11.2 in {streams.before}"
    )
    assert len(page.failures) == n
    assert {each.rerun for each in page.failures} == {
        f"conformance explain {pair.name}" for pair in verdict_on(comparison).beyond
    }


def test_the_page_of_goldens_has_no_case_to_ask_again(streams: Comparison) -> None:
    case = dataclasses.replace(streams.pairs[0].case, backend="any", transform="any")
    pair = dataclasses.replace(streams.pairs[0], case=case)
    comparison = dataclasses.replace(streams, pairs=(pair,), causes={})

    page = page_of(verdict_on(comparison), ExitCode.FAILED)

    assert [each.rerun for each in page.failures] == [""]


def test_the_page_of_nothing_beyond_the_policy_has_no_sentence(streams: Comparison) -> None:
    clean = verdict_on(streams, DriftPolicy(max_drift=DriftClass.STREAM))

    assert page_of(clean, ExitCode.OK).sentence == ""


def test_the_page_has_the_default_that_brings_old_bits_back_for_its_sentence(
    streams: Comparison,
) -> None:
    """It was a note under 'drifted by lowering: JAX lowers another program', which it explains."""
    other = f"the default of jax_enable_x64 changed from 0 to 1: JAX_ENABLE_X64=0 {NOT_THE_REASON}"
    reason = (
        "the default of jax_threefry_partitionable changed from False to True: "
        "JAX_THREEFRY_PARTITIONABLE=False brings the old bits back in 1 of 1 case that drifted "
        "(tried)"
    )
    comparison = dataclasses.replace(streams, defaults=(other, reason))

    page = page_of(verdict_on(comparison), ExitCode.FAILED)

    assert page.sentence == reason
    assert page.notes == (other,)


def test_the_page_counts_the_worst_class_first(streams: Comparison) -> None:
    page = page_of(verdict_on(streams), ExitCode.FAILED)

    assert list(page.counts) == ["stream", "identical"]
