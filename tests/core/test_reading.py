"""One strict reader: what a field is annotated with is what it holds, or the place is named."""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from conformance.core import versions
from conformance.core.errors import BudgetError, Malformed
from conformance.core.reading import NAMED, Figure, document, naming, read_file, record
from conformance.core.records import DriftClass
from conformance.report.rows import ROWS
from tests import ROOT


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    """What another record holds."""

    count: int
    worst: Figure = 0.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    """A field of every type that files of ours hold."""

    text: str
    drift: DriftClass = dataclasses.field(default=DriftClass.LAW, metadata={NAMED: "max-drift"})
    number: float = 0.0
    truth: bool | None = None
    inner: Inner | None = None
    names: tuple[str, ...] = ()
    by_name: Mapping[str, tuple[Inner, ...]] = dataclasses.field(default_factory=dict)
    told: Annotated[str, "what nobody but another reader asks"] = ""
    until: datetime.date | None = None
    anything: Any = None


def test_a_document_becomes_the_record_that_it_describes() -> None:
    day = datetime.date(2027, 1, 31)
    found = record(
        Outer,
        {
            "text": "a",
            "max-drift": "stream",
            "number": 1,
            "truth": False,
            "inner": {"count": 2, "worst": "inf"},
            "names": ["b", "c"],
            "by_name": {"d": [{"count": 3}]},
            "told": "e",
            "until": day,
            "anything": [None],
        },
    )

    assert found == Outer(
        text="a",
        drift=DriftClass.STREAM,
        number=1.0,
        truth=False,
        inner=Inner(count=2, worst=math.inf),
        names=("b", "c"),
        by_name={"d": (Inner(count=3),)},
        told="e",
        until=day,
        anything=[None],
    )
    assert (type(found.number), type(found.drift)) == (float, DriftClass)


def test_what_is_absent_holds_its_default() -> None:
    assert record(Outer, {"text": "a"}) == Outer(text="a")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": None}, "text: None is not a text"),
        ({"number": True}, "number: True is not a number"),
        ({"number": math.nan}, "number: nan is not a number"),
        ({"number": "nan"}, "number: 'nan' is not a number"),
        ({"number": 10**400}, f"number: {str(10**400)[:80]}... is not a number"),
        ({"truth": 1}, "truth: 1 is not true or false"),
        ({"names": "b"}, "names: 'b' is not a list"),
        ({"names": ["b", 3]}, "names #2: 3 is not a text"),
        ({"inner": [1]}, "inner: [1] is not an object with count"),
        ({"inner": {"count": 2.0}}, "inner, count: 2.0 is not an integer"),
        ({"inner": {"count": 2, "worst": "far"}}, "inner, worst: 'far' is not a number"),
        ({"inner": {}}, "inner: the field 'count' is missing"),
        ({"by_name": {"d": [{"count": True}]}}, "by_name, d #1, count: True is not an integer"),
        ({"by_name": []}, "by_name: [] is not an object"),
        ({"truht": 1}, "field 'truht' is unknown: did you mean truth?"),
        ({"drift": "law"}, "field 'drift' is unknown: did you mean max-drift?"),
        ({"max-drift": "steam"}, "max-drift: value 'steam' is unknown: did you mean stream?"),
        ({"max-drift": 1}, "max-drift: 1 is not a text"),
        (
            {"until": datetime.datetime(2027, 1, 31, tzinfo=datetime.UTC)},
            "until: datetime.datetime(2027, 1, 31, 0, 0, tzinfo=datetime.timezone.utc) is not a "
            "date without quotes, as in 2027-01-31",
        ),
    ],
)
def test_what_is_something_else_is_refused_by_its_place(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(Malformed) as caught:
        record(Outer, {"text": "a", **changes})

    assert str(caught.value) == message


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Either:
    """Fields that take a number or one of some words, as the settings have them."""

    first: int
    second: str
    workers: int | Literal["auto", "none"] | None = None
    word: Literal["auto", "none"] = "auto"
    size: int | str = 0


GIVEN = {"first": 1, "second": "a"}


@pytest.mark.parametrize(
    "changes",
    [
        {"workers": 3},
        {"workers": "auto"},
        {"workers": "none"},
        {"workers": None},
        {"word": "none"},
        {"size": 7},
        {"size": "seven"},
    ],
    ids=str,
)
def test_a_field_of_several_types_takes_a_value_of_each(changes: dict[str, Any]) -> None:
    assert record(Either, {**GIVEN, **changes}) == Either(**{**GIVEN, **changes})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "[] is not an object with first, second"),
        ({}, "the field 'first' is missing"),
        ({"first": 1}, "the field 'second' is missing"),
        ({**GIVEN, "b": 1, "a": 2}, "field 'a' is unknown: choose from first, second, size, "),
        ({**GIVEN, "workers": "atuo"}, "workers: 'atuo' is not an integer or auto or none"),
        ({**GIVEN, "workers": True}, "workers: True is not an integer or auto or none"),
        ({**GIVEN, "word": "atuo"}, "word: value 'atuo' is unknown: did you mean auto?"),
        ({**GIVEN, "word": 1}, "word: 1 is not a text"),
        ({**GIVEN, "word": None}, "word: None is not a text"),
        ({**GIVEN, "size": 1.5}, "size: 1.5 is not an integer"),
        ({**GIVEN, "size": None}, "size: None is not an integer"),
    ],
    ids=str,
)
def test_a_value_of_none_of_them_is_refused_by_what_each_needs(value: Any, message: str) -> None:
    with pytest.raises(Malformed) as caught:
        record(Either, value)

    assert str(caught.value).startswith(message)


def test_a_record_without_needs_names_none() -> None:
    @dataclasses.dataclass
    class Nothing:
        """Whose fields all have defaults, one of them made anew each time."""

        names: tuple[str, ...] = dataclasses.field(default_factory=tuple)

    assert record(Nothing, {}) == Nothing()
    with pytest.raises(Malformed, match=r"^\[\] is not an object$"):
        record(Nothing, [])


@pytest.mark.parametrize(
    ("value", "message"),
    [(math.inf, "inf is not a number"), (10**309, "is not a number"), ("1", "'1' is not a number")],
    ids=["inf", "10^309", "text"],
)
def test_a_number_is_finite_and_no_text(value: object, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        record(float, value)


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (float, [0.5, math.inf], "#2: inf is not a number"),
        (float, [0.5, True], "#2: True is not a number"),
        (float, [0.5, "inf"], "#2: 'inf' is not a number"),
        (Figure, [0.5, math.nan], "#2: nan is not a number"),
        (Figure, [0.5, None], "#2: None is not a number"),
        (int, [1, True], "#2: True is not an integer"),
        (int, [1, 1.0], "#2: 1.0 is not an integer"),
        (str, ["a", 1], "#2: 1 is not a text"),
    ],
)
def test_the_item_of_a_list_that_is_something_else_is_refused_by_its_number(
    kind: Any, values: list[Any], message: str
) -> None:
    with pytest.raises(Malformed) as caught:
        record(tuple[kind, ...], values)

    assert str(caught.value) == message


@pytest.mark.parametrize("values", [[], [0.5, 2.0], [0.5, 2], [2]])
def test_a_list_of_numbers_is_a_tuple_of_floats(values: list[float]) -> None:
    found = record(tuple[float, ...], values)

    assert found == tuple(values)
    assert {type(each) for each in found} <= {float}


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_a_figure_may_be_the_text_of_what_json_cannot_say(text: str) -> None:
    found: float = record(Figure, text)

    assert repr(found) == text


# --- Files ---------------------------------------------------------------------------------------


def read(path: Path) -> Inner:
    return read_file(Inner, path, versions.BUDGETS, error=BudgetError, way_out="measure again")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "JSONDecodeError: Expecting"),
        ("\udcff", "UnicodeDecodeError: "),
        ("[" * 100_000, "RecursionError: "),
        ("[]", "[] is not an object of the format `budgets`"),
        ('{"schema": 1, "count": 1, "count": 2}', "the field 'count' is there twice"),
        ('{"a": 1, "count": 1, "b": 3, "count": 2}', "the field 'count' is there twice"),
        ('{"count": 1}', "schema: None is not a version of the format `budgets`, from 1 on"),
        ('{"schema": true, "count": 1}', "schema: True is not a version"),
        ('{"schema": 0, "count": 1}', "schema: 0 is not a version"),
        ('{"schema": 1, "count": NaN}', "count: nan is not an integer"),
        ('{"schema": 1, "count": "one"}', "count: 'one' is not an integer"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_the_way_out(
    text: str, fault: str, tmp_path: Path
) -> None:
    path = tmp_path / "inner.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))

    with pytest.raises(BudgetError) as caught:
        read(path)

    assert str(caught.value).startswith(f"{path} cannot be read ({fault}")
    assert str(caught.value).endswith("): measure again")
    assert caught.value.__cause__ is not None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"cannot be read \(FileNotFoundError"):
        read(tmp_path / "inner.json")


def test_a_newer_version_is_refused_by_both_and_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "inner.json"
    path.write_text(json.dumps({"schema": 3, "count": 1, "what": "nobody here knows"}))

    with pytest.raises(BudgetError) as caught:
        read(path)

    assert str(caught.value) == (
        f"{path} has version 3 of the format `budgets`, this release reads up to 1: "
        "update this package"
    )


def test_a_file_says_by_its_name_that_it_is_toml(tmp_path: Path) -> None:
    path = tmp_path / "inner.toml"
    path.write_text("count = 3")

    assert record(Inner, document(path)) == Inner(count=3)


def test_a_fault_of_the_program_is_no_fault_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), naming(tmp_path, BudgetError, ""):
        raise ZeroDivisionError


def test_the_documented_formats_are_those_that_there_are() -> None:
    text = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    lines = [
        f"| {form.name} | {form.newest} | {form.older} |" for form in (*versions.FORMATS, ROWS)
    ]

    assert "\n".join(["| --- | --- | --- |", *lines, ""]) in text
