"""A run as JUnit XML: limited cases are skipped with their reason, missing ones are errors."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from conformance.core.records import Status
from conformance.report.escape import printable
from conformance.report.rows import Row
from conformance.report.run import Run

FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold in any form (section 2.2); ElementTree would write them."""


def junit(run: Run) -> str:
    """Return the run as one test suite, a test case each."""
    missing = [(case, why) for why, cases in run.missing_by_reason.items() for case in cases]
    suite = ElementTree.Element(
        "testsuite",
        name="conformance",
        tests=str(len(run.judged) + len(missing)),
        failures=str(len(run.failed)),
        errors=str(len(missing)),
        skipped=str(sum(run.limitations.values())),
        time=f"{run.elapsed_s:.3f}",
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in run.environment.packages.items():
        ElementTree.SubElement(properties, "property", name=_clean(name), value=_clean(value))
    for row in run.judged:
        _add_case(suite, row)
    for case, reason in missing:
        element = _case(suite, case, elapsed_s=0.0)
        ElementTree.SubElement(element, "error", message=_clean(reason))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_case(suite: ElementTree.Element, row: Row) -> None:
    element = _case(suite, row.case, elapsed_s=row.elapsed_s)
    text = _clean(f"{row.messages}\n  rerun: {row.rerun}")
    headline = text.partition("\n")[0]
    if row.status == Status.FAILED:
        ElementTree.SubElement(element, "failure", message=headline).text = text
    if row.status == Status.LIMITED:
        ElementTree.SubElement(element, "skipped", message=headline)


def _case(suite: ElementTree.Element, case: str, *, elapsed_s: float) -> ElementTree.Element:
    return ElementTree.SubElement(
        suite,
        "testcase",
        classname=_clean(f"conformance.{case.partition('-')[0]}"),
        name=_clean(case),
        time=f"{elapsed_s:.6f}",
    )


def _clean(text: str) -> str:
    return FORBIDDEN.sub("\ufffd", printable(text))
