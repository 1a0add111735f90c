"""Tests of the harness itself, in folders as the package's, and what they share."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
"""The checkout."""
