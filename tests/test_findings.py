"""What docs/findings.md says of JAX is still so."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.engine import installed_jax

ROOT = Path(__file__).parent.parent
STATED = re.search(r"Figures are of JAX (\S+) on", (ROOT / "docs" / "findings.md").read_text())


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
