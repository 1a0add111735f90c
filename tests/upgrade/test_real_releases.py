"""The gate between real releases: needs a package registry, and a minute or more.

pytest tests -m registry
"""

from __future__ import annotations

import json

import pytest

from conformance.cli import main

pytestmark = [pytest.mark.registry, pytest.mark.slow]


@pytest.mark.parametrize(
    ("before", "after", "selection", "drift_class", "stage", "cause"),
    [
        ("0.4.30", "0.4.38", ["normal", "bfloat16"], "rounding", "uniform", "compiler"),
        ("0.4.38", "0.5.0", ["normal", "float32"], "stream", "bits", "lowering"),
        ("0.6.2", "0.8.3", ["truncated_normal", "float32"], "rounding", "unit", "compiler"),
        ("0.11.2", "0.12.0.1", ["normal", "float32"], "rounding", "scaled", "lowering"),
    ],
)
def test_known_changes_of_real_releases_are_found(
    before: str,
    after: str,
    selection: list[str],
    drift_class: str,
    stage: str,
    cause: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    initializer, dtype = selection
    what = ["--initializer", initializer, "--dtype", dtype, "--shape", "64x32"]

    main(["gate", "--from", before, "--to", after, *what, "--json", "-"])

    (pair,) = json.loads(capfd.readouterr().out)["pairs"]
    assert (pair["drift_class"], pair["stage"]) == (drift_class, stage)
    assert pair["cause"] == cause


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("0.4.20", "0.4.30", "jax 0.4.20 cannot export it"),
        ("0.4.30", "0.12.0.1", "older than the 6-month backward-compatibility window"),
    ],
)
def test_beyond_the_window_of_exports_no_cause_is_claimed(
    before: str, after: str, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    what = ["--initializer", "normal", "--dtype", "bfloat16", "--shape", "64x32"]

    main(["gate", "--from", before, "--to", after, *what, "--json", "-"])

    (pair,) = json.loads(capfd.readouterr().out)["pairs"]
    assert pair["cause"] == "not known"
    assert reason in pair["proof"]
