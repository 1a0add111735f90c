"""A run as JUnit XML: limited cases are skipped with their reason, missing ones are errors."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterable
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from conformance.core.case_set import cases_of
from conformance.core.records import MACHINE, Status
from conformance.report.escape import printable
from conformance.report.lots import Lot
from conformance.report.rows import Row
from conformance.report.run import Run

FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold in any form (section 2.2); XMLGenerator would write them."""


def junit(run: Run) -> str:
    """Return what `write_junit` writes of a run whose rows are all held."""
    out = io.StringIO()
    write_junit(run, run.rows, (), out)
    return out.getvalue()


def write_junit(run: Run, rows: Iterable[Row], lots: Iterable[Lot], out: io.TextIOBase) -> None:
    """Write the run as one test suite, a test case each, none of which is held.

    rows: all but those of the lots.
    """
    xml = _Xml(out)
    xml.begin("testsuites")
    xml.begin(
        "testsuite",
        name="conformance",
        tests=str(run.n_judged + run.n_missing + len(run.others) + len(run.unjudged)),
        failures=str(run.n_failed + len(run.others)),
        errors=str(run.n_missing + len(run.unjudged)),
        skipped=str(sum(run.limitations.values())),
        time=f"{run.elapsed_s:.3f}",
    )
    xml.begin("properties")
    for name, value in run.environment.packages.items():
        xml.element("property", name=_clean(name), value=_clean(value))
    xml.end("properties")
    for row in rows:
        if row.failed_checks != MACHINE:
            _write_case(xml, row)
    for lot in lots:
        _write_lot(xml, lot)
    for reason, ids in run.missing_by_reason.items():
        for case in itertools.chain.from_iterable(map(cases_of, ids)):
            _write_other(xml, case, "error", reason)
    for test, said in run.others.items():
        _write_other(xml, test, "failure", said)
    for said in run.unjudged:
        _write_other(xml, "no verdict", "error", said)
    xml.end("testsuite")
    xml.end("testsuites")


class _Xml:
    """Elements, each on a line of its own."""

    def __init__(self, out: io.TextIOBase) -> None:
        self._generator = XMLGenerator(out, "utf-8", short_empty_elements=True)
        self._generator.startDocument()

    def begin(self, tag: str, /, **attributes: str) -> None:
        """Open an element."""
        self._generator.startElement(tag, AttributesImpl(attributes))
        self._generator.characters("\n")

    def end(self, tag: str) -> None:
        """Close the element."""
        self._generator.endElement(tag)
        self._generator.characters("\n")

    def element(self, tag: str, text: str = "", /, **attributes: str) -> None:
        """Write an element that holds just this text."""
        self._generator.startElement(tag, AttributesImpl(attributes))
        if text:
            self._generator.characters(text)
        self.end(tag)


def _write_case(xml: _Xml, row: Row) -> None:
    text = _clean(f"{row.messages}\n  rerun: {row.rerun}")
    headline = text.partition("\n")[0]
    named = _named(row.case, row.elapsed_s)
    if row.status not in (Status.FAILED, Status.LIMITED):
        xml.element("testcase", **named)
        return
    xml.begin("testcase", **named)
    if row.status == Status.FAILED:
        xml.element("failure", text, message=headline)
    else:
        xml.element("skipped", message=headline)
    xml.end("testcase")


def _write_lot(xml: _Xml, lot: Lot) -> None:
    if lot.row.status == Status.LIMITED:
        for row in lot.rows():
            _write_case(xml, row)
        return
    for case in lot.cases():
        xml.element("testcase", **_named(case, lot.row.elapsed_s))


def _write_other(xml: _Xml, name: str, tag: str, said: str) -> None:
    """Write what has no row: a case without a result, or a test of no case."""
    xml.begin("testcase", **_named(name, 0.0))
    xml.element(tag, message=_clean(said))
    xml.end("testcase")


def _named(case: str, elapsed_s: float) -> dict[str, str]:
    return {
        "classname": _clean(f"conformance.{case.partition('-')[0]}"),
        "name": _clean(case),
        "time": f"{elapsed_s:.6f}",
    }


def _clean(text: str) -> str:
    return FORBIDDEN.sub("\ufffd", printable(text))
