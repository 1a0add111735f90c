"""What docs/findings.md says of JAX is still so."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

import numpy as np
import pytest
import refresh_findings

from conformance.core.laws import TruncatedNormal
from conformance.core.settings import installed_jax
from conformance.oracle import ErfErrors, random_bits, seed_key, solve_words
from tests import ROOT

TEXT = (ROOT / "docs" / "findings.md").read_text()
STATED = re.search(r"Figures are of JAX (\S+) on", TEXT)


def test_the_findings_state_the_release_they_speak_of() -> None:
    assert STATED is not None


@pytest.mark.slow
@pytest.mark.skipif(
    STATED is None or STATED[1] != installed_jax(),
    reason="the findings speak of another JAX than the installed one",
)
@pytest.mark.skipif(
    importlib.util.find_spec("iree") is None, reason="some are of IREE: the extra [iree] is missing"
)
def test_the_findings_are_still_true() -> None:
    """On failure: `python scripts/refresh_findings.py`, then make the prose agree."""
    command = [sys.executable, "scripts/refresh_findings.py", "--check"]

    done = subprocess.run(  # noqa: S603  # ours
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


OF_ONE, OF_TWO = "erf is 1\n3 equal\n", "erf is 2\n28 equal\n"


def document(*outputs: str) -> str:
    blocks = "".join(f"\n```text\n{output}```\n" for output in outputs)
    return f"Prose.\n\n```python\nprint('erf is 2')\nprint('29 equal')\n```\n{blocks}\nMore.\n"


def test_a_single_output_is_what_the_program_prints_now() -> None:
    assert refresh_findings.refreshed(document(OF_ONE)) == document("erf is 2\n29 equal\n")


def test_of_several_outputs_that_of_the_same_cause_is_made_again() -> None:
    refreshed = refresh_findings.refreshed(document(OF_ONE, OF_TWO))

    assert refreshed == document(OF_ONE, "erf is 2\n29 equal\n")


def test_an_output_of_a_cause_that_is_not_listed_is_added() -> None:
    refreshed = refresh_findings.refreshed(document(OF_ONE, "erf is 0\n7 equal\n"))

    assert refreshed == document(OF_ONE, "erf is 0\n7 equal\n", "erf is 2\n29 equal\n")


@pytest.mark.parametrize(
    ("erf", "folded"), [("0.197412640", (-1, -1)), ("0.197412655", (0, 0))], ids=["2.36", "2.43"]
)
def test_the_oracle_foretells_the_draws_of_either_c_library(erf: str, folded: ErfErrors) -> None:
    """On any machine: both outputs of section 6 follow from the constant that each names."""
    words = random_bits(seed_key(0), 32, (1 << 16,))
    definition = TruncatedNormal(stddev=1.0, lower=-0.25, upper=0.25)
    eager, jitted = (
        solve_words(words, definition, np.dtype(np.float32), words.shape, folded=how).followed
        for how in (None, folded)
    )
    stated = re.search(rf"has erf {erf} under jit\n.*\n\(-0.25, 0.25\) (\S+) equal\n", TEXT)

    assert stated is not None
    assert f"{np.mean(eager == jitted):.1%}" == stated[1]
