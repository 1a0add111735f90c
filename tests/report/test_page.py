"""The page: complete without scripts, nothing of data can run, and nothing is fetched."""

from __future__ import annotations

import base64
import dataclasses
import gzip
import hashlib
import html
import html.parser
import json
import re
from typing import Any

import pytest

from conformance.core.errors import ExitCode
from conformance.core.records import Drift, DriftClass, Environment
from conformance.report.page.model import (
    MAX_ROWS,
    Cell,
    Failure,
    Heatmap,
    Page,
    Rows,
    Tone,
    distances,
    facts_of,
)
from conformance.report.page.of_run import page_of_run
from conformance.report.page.render import SCRIPTS, packed
from conformance.report.page.render import html as to_html
from conformance.report.run import key_of
from conformance.report.tables import Table

from .test_report import as_row, failure, result, run_of

EVIL = '<script>alert("x")</script>\x1b[31m</style>"\'&'

HERE = Environment(
    packages={"jax": "0.12.0.1"},
    config={"jax_enable_x64": "True", "JAX_ENABLE_X64": "1"},
    host={"cpu": "AMD"},
    devices={"cpu.kind": "cpu"},
)
THERE = dataclasses.replace(HERE, packages={"jax": "0.11.2"}, config={"jax_enable_x64": "False"})


class Document(html.parser.HTMLParser):
    """What a browser without scripts shows of a page, and which elements it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.bodies: dict[str, list[str]] = {"script": [], "style": []}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take an element."""
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        """Leave it."""
        del tag
        self._inside = ""

    def handle_data(self, data: str) -> None:
        """Take text, of scripts and styles apart."""
        if self._inside in self.bodies:
            self.bodies[self._inside].append(data)
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All that is shown, with single blanks."""
        return " ".join(" ".join(self.texts).split())


def page(**changes: Any) -> Page:
    rows = Rows(
        columns=("case", "class", "ULP"),
        values=[("a", "rounding", 1), ("b", "identical", None)],
        filters=("class",),
        elsewhere="records.parquet",
    )
    whole = Page(
        title="title",
        tone=Tone.FAILED,
        verdict="FAILED: 1 of 2 cases",
        sentence="1 of 2 cases returned another stream",
        facts=tuple(facts_of(HERE, THERE)),
        counts={"stream": 1, "no golden": 1},
        failures=(Failure(name="a", message="what", drift_class="stream", rerun="run a"),),
        elsewhere="drift.csv",
        heatmaps=(
            Heatmap.of(
                "initializer",
                "dtype",
                {("normal", "float32"): Cell(drift_class="rounding", n_cases=2, n_bad=1)},
                bad="failed",
            ),
        ),
        tables=(Table(title="By dtype", head=("dtype",), lines=(("float32",),), elsewhere=""),),
        rows=rows,
    )
    return dataclasses.replace(whole, **changes)


def test_a_page_is_complete_without_scripts() -> None:
    shown = Document(to_html(page())).text

    for text in (
        "FAILED: 1 of 2 cases",
        "1 of 2 cases returned another stream.",
        "stream 1",
        "jax 0.12.0.1 0.11.2",
        "run a",
        "normal rounding; 1 of 2",
        "float32",
        "records.parquet holds the same rows",
    ):
        assert text in shown


def test_what_differs_comes_first_and_variables_that_repeat_a_setting_do_not_count() -> None:
    facts = list(facts_of(HERE, THERE))

    assert [fact.name for fact in facts] == ["jax", "jax_enable_x64", "cpu", *late(), "cpu.kind"]
    assert [fact.differs for fact in facts[:3]] == [True, True, False]


def late() -> list[str]:
    shown = [fact.name for fact in facts_of(HERE, HERE)]
    return shown[shown.index("cpu") + 1 : shown.index("cpu.kind")]


def test_the_other_side_is_unknown_where_nobody_knows_it() -> None:
    facts = list(facts_of(HERE, None))

    assert {fact.there for fact in facts} == {None}
    assert not any(fact.differs for fact in facts)
    assert "jax 0.12.0.1 unknown" in Document(to_html(page(facts=tuple(facts)))).text


def test_nothing_from_data_becomes_markup() -> None:
    evil = page(
        title=EVIL,
        verdict=EVIL,
        sentence=EVIL,
        notes=(EVIL,),
        counts={EVIL: 1},
        failures=(Failure(name=EVIL, message=EVIL, drift_class=EVIL, facts=EVIL, rerun=EVIL),),
        heatmaps=(
            Heatmap.of(
                EVIL, EVIL, {(EVIL, EVIL): Cell(drift_class=EVIL, n_cases=1, n_bad=1)}, bad=EVIL
            ),
        ),
        tables=(Table(title=EVIL, head=(EVIL,), lines=((EVIL,),), elsewhere=EVIL),),
        rows=Rows(columns=(EVIL,), values=[(EVIL,)], filters=(EVIL,), elsewhere=EVIL),
    )

    plain, shown = Document(to_html(page())), Document(to_html(evil))

    names = [name for name, _ in shown.elements]
    assert set(names) == {name for name, _ in plain.elements}
    assert names.count("script") == 2
    assert names.count("style") == 1
    assert "\x1b" not in to_html(evil)
    assert shown.text.count('<script>alert("x")</script>\\x1b[31m</style>"\'&') >= 10


def test_the_policy_names_the_digests_of_what_is_there() -> None:
    document = Document(to_html(page()))
    policy = next(
        attributes["content"] or ""
        for name, attributes in document.elements
        if name == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    _, script = document.bodies["script"]
    (style,) = document.bodies["style"]

    for text in (script, style):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


def test_nothing_is_fetched() -> None:
    document = Document(to_html(page()))

    for name, attributes in document.elements:
        assert name not in ("link", "iframe", "object", "embed")
        for key in ("src", "href", "action"):
            assert (attributes.get(key) or "data:").startswith("data:")
        assert not any(key.startswith("on") or key == "style" for key in attributes)


def test_a_page_without_rows_and_commands_has_no_script() -> None:
    text = to_html(page(rows=None, failures=()))

    assert "script" not in [name for name, _ in Document(text).elements]
    assert "script-src 'none'" in html.unescape(text)


def test_a_page_without_rows_has_the_script_of_buttons_alone() -> None:
    (script,) = Document(to_html(page(rows=None))).bodies["script"]

    assert "copyButton" in script
    assert "DataTables" not in script.partition("new DataTable")[0]


def unpacked(text: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(text)))


def test_rows_are_packed_by_columns_and_nothing_is_lost() -> None:
    values = [("a", 1, None), ("b", 2**63, 1.5), ("a", None, None)]
    document = unpacked(packed(Rows(columns=("x", "y", "z"), values=values, filters=("x",))))

    assert document["data"] == [
        {"texts": ["a", "b"], "at": [0, 1, 0]},
        {"values": [1, 2**63, None]},
        {"values": [None, 1.5, None]},
    ]
    assert document["filters"] == ["x"]


def test_no_rows_are_packed_too() -> None:
    assert unpacked(packed(Rows(columns=("x",), values=[], filters=())))["data"] == []


def test_ten_thousand_rows_fit_two_megabytes() -> None:
    digests = [hashlib.sha256(str(n).encode()).hexdigest() for n in range(10_000)]
    values = [
        (f"he_normal-bfloat16-{n}x{n % 97}-s{n}-cpu-eager", "rounding", n, digests[n][:16])
        for n in range(10_000)
    ]
    rows = Rows(columns=("case", "class", "ULP", "detail"), values=values, filters=("class",))

    assert len(to_html(page(rows=rows)).encode()) < 2_000_000


def test_failures_and_lines_that_are_left_out_are_counted() -> None:
    failures = tuple(Failure(name=f"case {n}", message="") for n in range(1234))
    lines = tuple((str(n),) for n in range(300))
    many = page(
        failures=failures,
        tables=(Table(title="By", head=("n",), lines=lines, elsewhere="records.parquet"),),
        rows=dataclasses.replace(page().rows, n_left_out=990_000),  # type: ignore[type-var]
    )
    shown = Document(to_html(many)).text

    assert "The first 200 of 1,234; drift.csv has all." in shown
    assert "100 of 300 lines left out here; records.parquet has all." in shown
    assert "990,000 others are in records.parquet." in shown
    assert MAX_ROWS >= 10_000


@pytest.mark.parametrize(
    ("code", "tone"),
    [
        (ExitCode.OK, Tone.PASSED),
        (ExitCode.FAILED, Tone.FAILED),
        (ExitCode.MISSING, Tone.INCOMPLETE),
        (ExitCode.INTERRUPTED, Tone.INCOMPLETE),
    ],
)
def test_the_tone_is_that_of_the_exit_code(code: ExitCode, tone: Tone) -> None:
    assert Tone.of(code) is tone


@dataclasses.dataclass(frozen=True)
class Distance:
    """What has two distances."""

    max_ulp: int | None
    max_ulp_at_sigma: float | None


@pytest.mark.parametrize(
    ("drift", "shown"),
    [
        (None, (None, None)),
        (Distance(None, 1.0), (None, None)),
        (Distance(3, 1.5), (3, 1.5)),
        (Distance(2**64 - 1, float("nan")), (-1, None)),
        (Distance(3, float("inf")), (3, None)),
    ],
)
def test_distances_are_numbers_of_json(drift: Distance | None, shown: tuple[Any, Any]) -> None:
    assert distances(drift) == shown


def test_the_scripts_name_their_licence() -> None:
    assert SCRIPTS[0] == "vendor/dataTables.min.js"
    assert re.search(r"! DataTables \d+\.\d+", to_html(page()))


def test_what_plainly_passed_counts_in_the_heatmap() -> None:
    plain = {key_of(as_row(result())): 20_000}
    run = dataclasses.replace(run_of(failure()), unheld=plain)

    (heatmap,) = page_of_run(run).heatmaps

    cell = heatmap.cells["normal", "float32"]
    assert (cell.drift_class, cell.n_cases, cell.n_bad) == ("stream", 20_001, 1)
    assert cell.worst == ""


def test_the_page_of_a_run_has_its_rows_the_worst_first() -> None:
    rounding = Drift(drift_class=DriftClass.ROUNDING, max_ulp=3, max_ulp_at_sigma=2.0)
    run = run_of(result(), result(seed=1, drift=rounding), failure(seed=2))

    shown = page_of_run(run)

    assert shown.rows is not None
    classes = [values[shown.rows.columns.index("class")] for values in shown.rows.values]
    assert classes == ["stream", "rounding", "identical"]
    assert [each.drift_class for each in shown.failures] == ["stream"]
    assert shown.tone is Tone.FAILED
    assert shown.heatmaps[0].cells["normal", "float32"].n_cases == 3
