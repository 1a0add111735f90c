"""Find the command, run it, and turn what goes wrong into one clear line and an exit code."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

OK, FAILED, INFRASTRUCTURE, USAGE, EMPTY = 0, 1, 3, 4, 5
"""Exit codes: clean; drift or failure beyond policy; the machine's fault; the caller's; nothing ran."""

COMMANDS = {
    "run": "run cases and report the verdict",
    "record": "run cases and store what they returned, without judging",
    "goldens": "review, accept, reject, prune and verify golden sets",
    "list": "list initializers or cases",
    "explain": "show the stages of one case beside the oracle's",
    "doctor": "show what in this environment can change numbers",
}
"""Command names and their one-line help; `conformance.cli.<name>` implements each."""
