"""`conformance law`: the table, the budgets it writes, and its exit codes."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from conformance.cli import main
from conformance.core.inventory import INVENTORY
from conformance.core.paths import BUDGETS
from conformance.observe.backends.pjrt import PjrtBackend
from conformance.run.sweeping import Step, SweepVerdict
from conformance.store.budgets import load

WRITE = "--write-budgets"
HERE = "--in-process"  # a worker's sweeps are looked at in test_crashes
SMALL = [
    "law",
    HERE,
    *["--initializer", "he_uniform,normal_1", "--dtype", "bfloat16", "--backend", "cpu"],
]


def test_a_clean_sweep_prints_one_row_each_and_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(SMALL)

    head, *rows = capsys.readouterr().out.splitlines()
    assert code == 0
    assert head.split()[:4] == ["initializer", "dtype", "transform", "distinct"]
    assert [row.split()[:4] for row in rows] == [
        ["normal_1", "bfloat16", "eager", "128"],
        ["normal_1", "bfloat16", "jit", "128"],
        ["he_uniform", "bfloat16", "eager", "128"],
        ["he_uniform", "bfloat16", "jit", "128"],
    ]
    assert all(row.endswith("passed") for row in rows)


def test_markdown_makes_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    main([*SMALL, "--markdown", "--transform", "jit"])

    head, rule, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("| initializer | dtype |")
    assert set(rule) == set("| -")
    assert len(rows) == 2


def test_a_missing_budget_fails_and_is_explained_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / BUDGETS).write_text('{"schema": 1, "budgets": {}}')

    code = main([*SMALL, "--golden", str(tmp_path)])

    out = capsys.readouterr().out
    assert code == 1
    assert out.count("no budget is stored for normal_1 in bfloat16 on cpu") == 1
    assert f"--backend cpu --golden {tmp_path} --write-budgets`" in out
    words = "--initializer normal_1 --dtype bfloat16 --backend cpu --transform eager"
    assert f"  rerun: conformance law {words} --golden {tmp_path}\n" in out


def test_a_set_without_budgets_gives_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([*SMALL, "--golden", str(tmp_path)])

    assert code == 3
    assert f"{tmp_path} holds no budgets.json to judge by" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--initializer", "he_nromal"], "initializer 'he_nromal' is unknown: did you mean he_n"),
        (["--dtype", "bfloat17"], "dtype 'bfloat17' is unknown: did you mean bfloat16"),
        (["--transform", "jti"], "transform 'jti' is unknown: did you mean jit"),
    ],
)
def test_a_name_that_is_none_is_a_wrong_call(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["law", HERE, *words])

    assert code == 4
    assert message in capsys.readouterr().err


def test_a_sweep_without_memory_is_no_verdict(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def exhaust(*_: object) -> object:
        raise MemoryError("no room for 128 elements")

    monkeypatch.setattr(PjrtBackend, "execute", exhaust)

    code = main([*SMALL, "--transform", "jit"])

    out = capsys.readouterr().out
    assert code == 3
    assert "so nothing is known about the initializer: MemoryError: no room for 128" in out


def test_budgets_are_written_and_then_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([*SMALL, "--golden", str(tmp_path), WRITE])

    assert code == 0
    assert f"2 budgets measured, 2 now in {tmp_path / BUDGETS}" in capsys.readouterr().out
    assert main([*SMALL, "--golden", str(tmp_path)]) == 0


def test_a_budget_that_would_grow_needs_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*SMALL, "--golden", str(tmp_path), WRITE])
    path = tmp_path / BUDGETS
    path.write_text(path.read_text().replace('"ulp": 1.0', '"ulp": 0.25'))
    (tmp_path / INVENTORY).unlink()  # which tells that somebody else wrote this

    refused = main([*SMALL, "--golden", str(tmp_path), WRITE])
    told = capsys.readouterr().err
    accepted = main([*SMALL, "--golden", str(tmp_path), WRITE, "--reason", "why not"])

    assert (refused, accepted) == (4, 0)
    assert "these budgets would grow" in told
    assert "why not" in {line.reason for line in load(path).measurements.values()}


def test_a_wrong_law_writes_no_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "ledger.toml"
    empty.touch()
    arguments = [
        "--initializer",
        "truncated_normal_tail",
        "--dtype",
        "bfloat16",
        "--backend",
        "cpu",
    ]

    code = main(["law", HERE, *arguments, "--golden", str(tmp_path), "--ledger", str(empty), WRITE])

    assert code == 1
    told = capsys.readouterr().err
    assert "sets no budget until this is explained" in told
    assert 'and prng = ["lattice"]' in told
    assert not (tmp_path / BUDGETS).exists()


def test_no_budget_is_written_where_a_sweep_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = SweepVerdict(
        head=(), rows=(), messages=("no verdict on x: why",), sources=(), rerun="again", code=3
    )
    step = Step(id="x", total=1, verdict=lost)
    monkeypatch.setattr(
        "conformance.cli.law.verdicts_here", lambda *_, **__: (each for each in [step])
    )

    code = main([*SMALL, "--golden", str(tmp_path), WRITE])

    said = capsys.readouterr()
    assert code == 3
    assert "no verdict on x: why\n  rerun: again" in said.out
    assert "no budgets were written" in said.err
    assert not (tmp_path / BUDGETS).exists()


def test_nothing_to_sweep_is_an_empty_run(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["law", HERE, "--initializer", "zeros"])

    assert code == 5
    assert "matches no sweep" in capsys.readouterr().err


def test_the_page_names_the_versions_and_the_machine(tmp_path: Path) -> None:
    assert main([*SMALL, "--transform", "jit", "--reports", str(tmp_path)]) == 0

    (page,) = tmp_path.glob("*/index.html")
    text = page.read_text()
    version = importlib.metadata.version("jaxlib")
    assert f'<th scope="row">jaxlib</th><td>{version}</td></tr>' in text
    assert '<th scope="row">machine</th>' in text
