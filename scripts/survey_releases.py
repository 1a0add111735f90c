"""Record every JAX release and write docs/jax-releases.md: what changed from each to the next.

    python scripts/survey_releases.py                # record what is missing, then write
    python scripts/survey_releases.py --text-only    # write the document from the kept figures

Takes a minute or two for each release that was not recorded before, and nothing for the others.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from conformance.cases.builtin import load_catalogue
from conformance.cases.selection import Selection, select
from conformance.cli.progress import Progress
from conformance.core.ids import Tier
from conformance.observe.child.flax_keys import TARGET
from conformance.upgrade import survey
from conformance.upgrade.recordings import Asked, passing_folder
from conformance.upgrade.releases import Registry, list_releases
from conformance.upgrade.series import Releases

OLDEST = "0.4.20"
DOCUMENT = Path(__file__).parents[1] / "docs" / "jax-releases.md"
DATA = DOCUMENT.with_suffix(".json")


def main() -> int:
    """Survey the releases and write both files."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--oldest", default=OLDEST, help=f"first release (default: {OLDEST})")
    parser.add_argument("--text-only", action="store_true", help="record nothing")
    arguments = parser.parse_args()
    if not arguments.text_only:
        survey.write(DATA, _survey(arguments.oldest))
    DOCUMENT.write_text(survey.document(survey.read(DATA), DATA.name), encoding="utf-8")
    return 0


def _survey(oldest: str) -> survey.Survey:
    registry, catalogue = Registry(), load_catalogue()
    listed = list_releases("jax", registry)
    names = listed.between(oldest, listed.latest)
    quick = tuple(select(catalogue, Selection(tier=Tier.QUICK)))
    with passing_folder() as passing, Progress() as progress:
        cases, keys = (
            Releases("jax", registry, asked, catalogue, progress.say, passing)
            for asked in (Asked(cases=quick), Asked(target=TARGET))
        )
        described = f"the quick tier, {len(quick)} cases, called eagerly on the CPU"
        return survey.survey(names, cases, keys, described=described)


if __name__ == "__main__":
    sys.exit(main())
