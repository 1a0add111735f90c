"""The gate between real releases: needs a package registry, and a minute or more.

pytest tests -m registry
"""

from __future__ import annotations

import json

import pytest

from conformance.cli import main

pytestmark = [pytest.mark.registry, pytest.mark.slow]


@pytest.mark.parametrize(
    ("before", "after", "selection", "drift_class", "stage"),
    [
        ("0.4.38", "0.5.0", ["normal", "float32"], "stream", "bits"),
        ("0.6.2", "0.8.3", ["truncated_normal", "float32"], "rounding", "unit"),
        ("0.11.2", "0.12.0.1", ["normal", "float32"], "rounding", "scaled"),
    ],
)
def test_known_changes_of_real_releases_are_found(
    before: str,
    after: str,
    selection: list[str],
    drift_class: str,
    stage: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    initializer, dtype = selection
    what = ["--initializer", initializer, "--dtype", dtype, "--shape", "64x32"]

    main(["gate", "--from", before, "--to", after, *what, "--json"])

    (pair,) = json.loads(capfd.readouterr().out)["pairs"]
    assert (pair["drift_class"], pair["stage"]) == (drift_class, stage)
