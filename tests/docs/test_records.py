"""docs/records.md says of every output what is in it, and nothing else."""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pandas as pd
import pytest

from conformance.cli import audit, bisect, cache, doctor, explain, faults, history, law, lowering
from conformance.cli import compile as compiling
from conformance.cli import list as listing
from conformance.cli.main import ARGUMENTS, COMMANDS
from conformance.cli.reviewed import review_json
from conformance.core import versions
from conformance.core.errors import ExitCode
from conformance.core.records import Environment
from conformance.core.versions import Format
from conformance.curate.review import Review
from conformance.curate.stage import Stage
from conformance.merge.facts import Merged
from conformance.merge.text import to_json as merge_json
from conformance.models.audit import Audit, Audited, Gain
from conformance.planted.matrix import Matrix
from conformance.planted.record import Tried
from conformance.report.as_json import to_json as run_json
from conformance.report.rows import COLUMNS, Column
from conformance.report.run import Run
from conformance.run import explain as explaining
from conformance.store.accepted import Accepted
from conformance.upgrade.bisect import Found
from conformance.upgrade.compare import Comparison
from conformance.upgrade.policy import DriftPolicy, judge
from conformance.upgrade.tables import PairRow
from conformance.upgrade.tables import to_json as comparison_json
from tests import ROOT

TEXT = (ROOT / "docs" / "records.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Return what stands under a heading, up to the next one."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"docs/records.md has no section {title!r}"
    return found[1]


def names(title: str) -> list[str]:
    """Return the names in the first column of the section's table."""
    return re.findall(r"^\| `(\w+)`", section(title), re.MULTILINE)


def lines_of(columns: Iterable[Column]) -> Iterator[str]:
    for each in columns:
        optional = ", may be missing" if each.is_optional else ""
        yield f"| `{each.name}` | {each.dtype}{optional} | {each.since} | {each.says} |"


def test_every_column_of_rows_is_listed_in_order_and_in_its_own_words() -> None:
    """On failure: put the lines that the message shows into the document."""
    listed = [line for line in section("Rows").splitlines() if line.startswith("| `")]

    assert listed == list(lines_of(COLUMNS))


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.name)
def test_a_column_says_something_that_fits_a_cell(column: Column) -> None:
    assert column.says
    assert "|" not in column.says
    assert "\n" not in column.says


def test_every_column_of_pairs_is_listed_in_order() -> None:
    assert names("Pairs of a comparison") == [each.name for each in dataclasses.fields(PairRow)]


def test_every_field_of_a_comparison_is_listed() -> None:
    nowhere = Environment(packages={}, config={}, host={}, devices={})
    empty = Comparison(
        before="a", after="b", environments=(nowhere, nowhere), pairs=(), lost=(), new=()
    )

    verdict = judge(empty, DriftPolicy(), datetime.date(2026, 1, 1))
    written = json.loads(comparison_json(verdict))

    assert names("A comparison") == list(written)


def test_every_field_of_a_merge_is_listed() -> None:
    empty = Merged(
        places=(),
        n_results=0,
        problems=(),
        conflicts=(),
        missing={},
        failed=(),
        beyond=(),
        faults=(),
    )

    assert names("A merge") == list(json.loads(merge_json(empty)))


NO_ROWS = pd.DataFrame({name: [] for name in ("backend", "case", "run_id")})
NO_PARAMETERS = Audit(
    framework="nnx",
    seed=0,
    is_abstract=False,
    is_partitionable=True,
    versions="",
    parameters=(),
)
NOTHING_STAGED = Review(
    stage=Stage(scope="", reason="", date=""),
    environment=Environment(packages={}, config={}, host={}, devices={}),
    changes={},
    new=(),
    removed=(),
    orphans=(),
)
NOTHING_RUN = Run(
    run_id="",
    command="",
    folder=ROOT,
    rows=(),
    expected=(),
    environment=NOTHING_STAGED.environment,
    elapsed_s=0.0,
)
NOTHING_HERE = doctor.Examined(
    packages={},
    devices={},
    host={},
    config={},
    configuration={},
    programs=[],
    backends=[],
    unusual=[],
    golden="",
)

NOTHING_EXPLAINED = explaining.Explanation(case="", device="", definition="", facts=())

DOCUMENTS: dict[str, tuple[Format, Callable[[], str]]] = {
    "A bisection": (
        versions.BISECTION,
        lambda: bisect.to_json(
            Found(points=(), failures={}),
            argparse.Namespace(package="jax", before="1", after="2", at_least="law"),
        ),
    ),
    "A history": (
        versions.HISTORY,
        lambda: history.to_json(NO_ROWS, NO_ROWS, []),
    ),
    "Laws": (versions.LAWS, lambda: law.to_json([])),
    "An audit": (versions.AUDIT, lambda: audit.as_json(NO_PARAMETERS)),
    "An explanation": (
        versions.EXPLANATION,
        lambda: explain.to_json(NOTHING_EXPLAINED, []),
    ),
    "Planted faults": (
        versions.FAULTS,
        lambda: faults.as_json(Matrix(tried=(), is_whole=False)),
    ),
    "Lowered programs": (
        versions.LOWERING,
        lambda: lowering.to_json(Accepted(versions="", reason="", lines={}), [], "", 0),
    ),
    "A run as a document": (versions.RUN, lambda: run_json(NOTHING_RUN, ExitCode.OK)),
    "A compilation": (versions.COMPILATION, lambda: compiling.to_json([], [], "", ExitCode.OK)),
    "A list": (versions.LISTING, lambda: listing.to_json("cases", [], [])),
    "What is here": (versions.DOCTOR, lambda: doctor.to_json(NOTHING_HERE)),
    "The cache": (versions.CACHE, lambda: cache.to_json([])),
    "A review of goldens": (versions.REVIEW, lambda: review_json(NOTHING_STAGED)),
}
"""What `--json` prints of nothing, by its section."""


@pytest.mark.parametrize("title", DOCUMENTS)
def test_every_field_of_a_document_is_listed_in_order(title: str) -> None:
    form, written = DOCUMENTS[title]

    document = json.loads(written())

    assert names(title) == list(document)
    assert document["schema"] == form.newest
    assert f"version of the format `{form.name}`" in section(title)


def test_every_field_of_a_parameter_of_an_audit_is_listed() -> None:
    listed = names("Parameters of an audit")

    assert listed == [each.name for each in dataclasses.fields(Audited)]


def test_every_field_of_a_use_is_listed() -> None:
    assert names("Uses of a parameter") == [each.name for each in dataclasses.fields(Gain)]


def test_every_field_of_a_stage_is_listed() -> None:
    listed = names("Stages of an explanation")

    assert listed == [each.name for each in dataclasses.fields(explaining.Stage)]


def test_every_field_of_a_planted_fault_is_listed() -> None:
    assert names("A planted fault") == [each.name for each in dataclasses.fields(Tried)]


def test_every_command_that_writes_json_is_listed_and_no_other() -> None:
    told = re.search(r"^\| `--json FILE` \| (.*?) \|", section("Where outputs go"), re.MULTILINE)
    assert told

    commands = set(re.findall(r"`([a-z ]+)`", told[1]))

    assert commands == set(taking("--json"))


def taking(option: str) -> Iterator[str]:
    """Yield the commands of the program that take an option, and the actions of commands."""
    for name in COMMANDS:
        parser = argparse.ArgumentParser()
        importlib.import_module(f"{ARGUMENTS}.{name}").add_arguments(parser)
        for path, each in [(name, parser), *within(name, parser)]:
            if option in each._option_string_actions:
                yield path


def within(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, Any]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from ((f"{name} {inner}", each) for inner, each in action.choices.items())


def test_every_section_of_an_environment_is_listed() -> None:
    assert names("An environment") == [each.name for each in dataclasses.fields(Environment)]
