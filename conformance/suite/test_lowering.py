"""One test an initializer: JAX lowers it to the accepted programs, for every platform."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from conformance.cases.builtin import builtin_specs
from conformance.cases.catalogue import InitializerSpec
from conformance.core.paths import LOWERING, golden_folder
from conformance.observe import lowering
from conformance.observe.lowering import ACCEPT
from conformance.pytest_plugin import LOWERED
from conformance.store.accepted import Accepted, changes, explain, load
from conformance.suite.test_modules import not_in_the_quick_tier as not_in_the_quick_tier

pytestmark = pytest.mark.usefixtures("not_in_the_quick_tier")

SPECS = list(builtin_specs())


@pytest.fixture(scope="session")
def accepted(request: pytest.FixtureRequest) -> Accepted:
    """The fingerprints that this run is held to."""
    return load(golden_folder(request.config.getoption("--golden")) / LOWERING, ACCEPT)


@pytest.mark.parametrize("spec", SPECS, ids=[spec.name for spec in SPECS])
def test_lowering(
    spec: InitializerSpec, accepted: Accepted, record_property: Callable[[str, object], None]
) -> None:
    """Every dtype and platform has its accepted program; another JAX may differ, and is told so."""
    here = lowering.versions()
    changed = changes(accepted.lines, lowering.fingerprints(spec))
    if not changed:
        return
    text = explain(accepted, changed, here, ACCEPT)
    if here != accepted.versions:
        record_property(LOWERED, json.dumps(sorted({change.key for change in changed})))
        pytest.xfail(text)
    pytest.fail(text, pytrace=False)


def test_every_fingerprint_belongs_to_an_initializer(accepted: Accepted) -> None:
    """What was accepted for an initializer that is gone is named, not carried along."""
    known = {f"{spec.name} {dtype}" for spec in SPECS for dtype in lowering.DTYPES}

    orphans = sorted(set(accepted.lines) - known)

    assert not orphans, f"{', '.join(orphans)} of {LOWERING} are gone: {ACCEPT}"
