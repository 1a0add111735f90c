"""What of Flax is claimed, and the generated part of docs/flax-layers.md."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from conformance.core.laws import Constant, Definition, Normal, Orthogonal, VarianceScaling
from conformance.core.records import Outcome, Raised, Returned
from conformance.flax import coverage, store
from conformance.flax.layers import PARAM_DTYPES, Layer
from conformance.flax.observe import LAYERS
from conformance.judge.ledger import Finding
from conformance.judge.rules import load_ledger
from conformance.report.aligned import markdown_table

START, END = "<!-- generated: layers -->", "<!-- end -->"


def document(text: str, goldens: Mapping[str, Outcome]) -> str:
    """Return the document with the part between its marks replaced by today's tables."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    body = "\n\n".join(("\n".join(layer_table(goldens)), "\n".join(finding_list())))
    return f"{before}{START}\n\n{body}\n\n{END}{after}"


def layer_table(goldens: Mapping[str, Outcome]) -> list[str]:
    """Return one line a layer: its parameters' laws, and what each dtype comes to."""
    head = ["layer", "parameters", "laws", *PARAM_DTYPES]
    return markdown_table(head, [_cells(layer, goldens) for layer in LAYERS])


def _cells(layer: Layer, goldens: Mapping[str, Outcome]) -> list[str]:
    laws = sorted({law_name(claim.definition) for claim in layer.claims})
    outcomes = [_cell(layer, dtype, goldens) for dtype in PARAM_DTYPES]
    return [f"`{layer.name}`", str(len(layer.claims)), "; ".join(laws), *outcomes]


def _cell(layer: Layer, dtype: str, goldens: Mapping[str, Outcome]) -> str:
    """Return `bitwise` and what has another dtype or is normalized; or the error of the call."""
    error = goldens.get(store.entry_id(layer.name, dtype))
    if isinstance(error, Raised):
        return f"raises {error.exception}"
    if not layer.claims:
        return "no parameters"
    found = [goldens[store.entry_id(layer.name, dtype, claim.name)] for claim in layer.claims]
    others = sorted({one.dtype for one in found if isinstance(one, Returned)} - {dtype})
    remarks = [f"some in {', '.join(others)}"] if others else []
    if any(claim.normalized for claim in layer.claims):
        remarks.append("kernel to rounding: stored divided by its norm")
    return ", ".join(["bitwise", *remarks])


def law_name(definition: Definition) -> str:
    """Return a short name of a law that layers use."""
    match definition:
        case Constant(value=value):
            return str(value)
        case Normal(stddev=stddev):
            return f"normal({stddev:g})"
        case Orthogonal():
            return "orthogonal"
        case VarianceScaling(scale=scale, mode=mode, distribution=distribution):
            return f"{distribution}, variance {scale:g} / {mode}"
        case _:
            return type(definition).__name__


def finding_list() -> list[str]:
    """Return every finding about layers, keys and the guide: what is promised, and what is so."""
    known = sorted(load_ledger().findings, key=lambda finding: finding.id)
    return [_line(finding) for finding in known]


def _line(finding: Finding) -> str:
    return (
        f"- **{finding.id}**: {finding.observed}; promised: {finding.promised}. "
        f"Reason: {finding.reason}. [Source]({finding.link})"
    )


ROOT = Path(__file__).parents[2]


def main() -> int:
    """Rewrite the document from the claims and the goldens."""
    path = ROOT / "docs" / "flax-layers.md"
    path.write_text(coverage.document(path.read_text(), store.load(ROOT / "golden")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
