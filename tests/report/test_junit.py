"""A run as JUnit XML, read back: what is counted, what is shown, and what XML cannot hold."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from conformance.core.ids import parse_case
from conformance.core.records import (
    MACHINE,
    CaseResult,
    CheckResult,
    Environment,
    Observation,
    Raised,
    Status,
)
from conformance.report.junit import junit
from conformance.report.rows import Place, Row, row
from conformance.report.run import Run

PASSED, FAILED, LIMITED = Status.PASSED, Status.FAILED, Status.LIMITED

ENVIRONMENT = Environment(
    packages={"jax": "0.12", "numpy": "2\x00"}, config={}, host={}, devices={}
)


def case_id(seed: int) -> str:
    return f"he_normal-float32-4-s{seed}-cpu-eager"


def judged(seed: int, status: Status = PASSED, message: str = "", check: str = "values") -> Row:
    verdict = CaseResult(
        observation=Observation(
            case=parse_case(case_id(seed)),
            outcome=Raised(exception="TypeError", message=""),
            repeat_sha256=None,
            device="cpu:0",
            elapsed_s=0.0625 + seed,
        ),
        status=status,
        checks=(CheckResult(check=check, status=status, message=message),),
        limitation="known" if status is LIMITED else None,
    )
    place = Place(environment=ENVIRONMENT, backend="cpu")
    return row(verdict, place, run_id="run", rerun=f"conformance run {case_id(seed)}")


def run_of(*rows: Row, missing: int = 0, ending: str = "", elapsed_s: float = 1.0) -> Run:
    unjudged = [case_id(seed) for seed in range(90, 90 + missing)]
    return Run(
        run_id="run",
        command="conformance run",
        folder=Path(),
        rows=rows,
        expected=(*(row.case for row in rows), *unjudged),
        environment=ENVIRONMENT,
        elapsed_s=elapsed_s,
        ending=ending,
    )


def suite_of(run: Run) -> ElementTree.Element:
    root = ElementTree.fromstring(junit(run))  # noqa: S314  # it is our own text

    (suite,) = root.findall("testsuite")
    assert root.tag == "testsuites"
    return suite


def cases_of(run: Run) -> dict[str, ElementTree.Element]:
    return {case.get("name", ""): case for case in suite_of(run).findall("testcase")}


MIXED = run_of(
    judged(0),
    judged(1, FAILED, "first line\nsecond <line>"),
    judged(2, LIMITED, "known limitation"),
    judged(3),
    judged(4, LIMITED, "another"),
    missing=3,
    ending="killed",
    elapsed_s=12.34567,
)


def test_a_suite_counts_what_is_in_it() -> None:
    suite = suite_of(MIXED)

    assert dict(suite.attrib) == {
        "name": "conformance",
        "tests": "8",
        "failures": "1",
        "errors": "3",
        "skipped": "2",
        "time": "12.346",
    }


def test_each_case_is_a_test_with_its_time() -> None:
    cases = cases_of(MIXED)

    assert list(cases) == [case_id(seed) for seed in (0, 1, 2, 3, 4, 90, 91, 92)]
    assert {case.get("classname") for case in cases.values()} == {"conformance.he_normal"}
    times = [case.get("time") for case in cases.values()]
    assert times[:5] == ["0.062500", "1.062500", "2.062500", "3.062500", "4.062500"]
    assert times[5:] == ["0.000000"] * 3


def test_what_came_of_a_case_is_said_in_one_element() -> None:
    said = {name: [part.tag for part in case] for name, case in cases_of(MIXED).items()}

    assert list(said.values()) == [
        [],
        ["failure"],
        ["skipped"],
        [],
        ["skipped"],
        ["error"],
        ["error"],
        ["error"],
    ]


def test_a_failure_has_its_headline_its_text_and_how_to_see_it_again() -> None:
    (failure,) = cases_of(MIXED)[case_id(1)]

    assert failure.get("message") == "first line"
    assert failure.text == (f"first line\nsecond <line>\n  rerun: conformance run {case_id(1)}")


def test_what_is_limited_is_skipped_with_its_reason() -> None:
    (skipped,) = cases_of(MIXED)[case_id(2)]

    assert skipped.get("message") == "known limitation"
    assert skipped.text is None


def test_what_is_missing_is_an_error_with_its_reason() -> None:
    (error,) = cases_of(MIXED)[case_id(91)]

    assert error.get("message") == "killed"


def test_a_case_that_the_machine_failed_is_missing_and_not_failed() -> None:
    run = run_of(judged(0), judged(1, FAILED, "out of memory", MACHINE))

    suite = suite_of(run)
    (error,) = cases_of(run)[case_id(1)]

    assert [suite.get(name) for name in ("tests", "failures", "errors")] == ["2", "0", "1"]
    assert (error.tag, error.get("message")) == ("error", "out of memory")


def test_what_is_of_no_case_is_counted_and_told() -> None:
    """A test besides those of cases that failed, as of a law, and one that came to no verdict."""
    run = run_of(judged(0), judged(1, FAILED, "wrong"), missing=1, ending="killed")
    run = dataclasses.replace(run, others={"test_law": "off"}, unjudged=("no sweep",))

    suite = suite_of(run)
    told = [(each.tag, each.get("message")) for case in suite.findall("testcase") for each in case]

    counted = [suite.get(name) for name in ("tests", "failures", "errors")]
    assert counted == ["5", "2", "2"]
    assert told == [
        ("failure", "wrong"),
        ("error", "killed"),
        ("failure", "off"),
        ("error", "no sweep"),
    ]


def test_versions_are_properties() -> None:
    found = [dict(each.attrib) for each in suite_of(run_of(judged(0))).iter("property")]

    assert found == [{"name": "jax", "value": "0.12"}, {"name": "numpy", "value": r"2\x00"}]


def test_a_run_of_nothing_is_an_empty_suite() -> None:
    suite = suite_of(run_of(missing=0))

    assert suite.get("tests") == "0"
    assert suite.findall("testcase") == []


def test_the_text_is_a_file_of_lines() -> None:
    text = junit(MIXED)

    assert text.startswith("<?xml version=")
    assert text.endswith("</testsuites>\n")
    assert len(text.splitlines()) > len(MIXED.expected)


HELD = "\t\n\r\u0020\ud7ff\ue000\ufffd\U00010000\U0010ffff"
"""The ends of each range that XML 1.0 allows (section 2.2)."""

BESIDE = "\x00\x08\x0b\x0c\x0e\x1f\ud800\udfff"
"""What lies just beside them; it is shown as its escape. U+FFFE and U+FFFF are no characters."""


@pytest.mark.parametrize("character", HELD[3:], ids=ascii)
def test_what_xml_can_hold_is_kept(character: str) -> None:
    (failure,) = cases_of(run_of(judged(1, FAILED, f"a{character}b")))[case_id(1)]

    assert failure.get("message") == f"a{character}b"
    assert (failure.text or "").startswith(f"a{character}b")


@pytest.mark.parametrize(
    ("character", "shown"),
    [*((each, ascii(each)[1:-1]) for each in BESIDE), ("\ufffe", "\ufffd"), ("\uffff", "\ufffd")],
    ids=ascii,
)
def test_what_xml_cannot_hold_is_replaced(character: str, shown: str) -> None:
    (failure,) = cases_of(run_of(judged(1, FAILED, f"a{character}b")))[case_id(1)]

    assert failure.get("message") == f"a{shown}b"
    assert (failure.text or "").startswith(f"a{shown}b")


def test_white_space_that_xml_can_hold_is_kept() -> None:
    (failure,) = cases_of(run_of(judged(1, FAILED, "a\tb\nc")))[case_id(1)]

    assert (failure.text or "").startswith("a\tb\nc")


@pytest.mark.parametrize("ending", ["out of\x00 memory"])
def test_a_reason_is_cleaned_too(ending: str) -> None:
    run = run_of(missing=1, ending=ending)

    (error,) = cases_of(run)[case_id(90)]

    assert error.get("message") == r"out of\x00 memory"


def test_no_control_character_makes_the_document_unreadable() -> None:
    evil = "he_normal\x1b[2J-float32-4-s0-cpu-eager"
    row = dataclasses.replace(judged(0, FAILED, "\x1b]0;owned\x07\ud800"), case=evil)

    text = junit(run_of(row))

    (case,) = ElementTree.fromstring(text).iter("testcase")  # noqa: S314  # ours
    assert case.get("name") == evil.replace("\x1b", r"\x1b")
    assert r"\x1b]0;owned\x07\ud800" in str(case.find("failure").text)  # type: ignore[union-attr]  # it failed


# --- The dialect ---------------------------------------------------------------------------------
# Jenkins' xUnit plug-in, junit-10.xsd; it is what the newest viewers still read.

REQUIRED = {
    "testsuite": {"name", "tests", "failures", "errors"},
    "testcase": {"name"},
    "property": {"name", "value"},
}
ALLOWED = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {
        *("name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp"),
        *("hostname", "id", "package", "file", "log", "url"),
    },
    "properties": set(),
    "property": {"name", "value"},
    "testcase": {"name", "time", "classname", "group"},
    "failure": {"type", "message"},
    "error": {"type", "message"},
    "skipped": {"type", "message"},
}
"""Attributes by element, and no other element."""

INSIDE = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "properties": {"property"},
    "testcase": {"failure", "error", "skipped"},
}
TIME = re.compile(r"[0-9]{0,3}([0-9]{3})*(\.[0-9]*)?")
"""Seconds; the schema takes no exponent, and no sign."""


def faults_of(text: str) -> list[str]:
    """Return where a document leaves the dialect."""
    return [
        f"{element.tag}: {what}"
        for element in ElementTree.fromstring(text).iter()  # noqa: S314  # our own text
        for what in (
            *(REQUIRED.get(element.tag, set()) - element.attrib.keys()),
            *(element.attrib.keys() - ALLOWED.get(element.tag, set())),
            *({child.tag for child in element} - INSIDE.get(element.tag, set())),
            *(time for time in [element.get("time", "0")] if not TIME.fullmatch(time)),
        )
    ]


def test_the_document_is_of_the_dialect_that_viewers_read() -> None:
    assert faults_of(junit(MIXED)) == []


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        (' failures="1"', "", "testsuite: failures"),
        ("<properties>", '<properties file="x">', "properties: file"),
        ('time="0.062500"', 'time="1e-05"', "testcase: 1e-05"),
        ("<skipped ", "<omitted ", "testcase: omitted"),
    ],
)
def test_a_document_of_another_dialect_would_be_noticed(right: str, wrong: str, fault: str) -> None:
    text = junit(MIXED)
    assert right in text

    assert fault in faults_of(text.replace(right, wrong))


def test_a_reader_of_junit_counts_what_the_run_counts(tmp_path: Path) -> None:
    junitparser = pytest.importorskip("junitparser", reason="of the dependency group `tests`")
    path = tmp_path / "junit.xml"
    path.write_text(junit(MIXED), encoding="utf-8")

    (suite,) = junitparser.JUnitXml.fromfile(str(path))
    stated = (suite.tests, suite.failures, suite.errors, suite.skipped)
    suite.update_statistics()

    assert stated == (suite.tests, suite.failures, suite.errors, suite.skipped) == (8, 1, 3, 2)
    kinds = [type(result).__name__ for case in suite for result in case.result]
    assert kinds == ["Failure", "Skipped", "Skipped", "Error", "Error", "Error"]
