"""Backends as records: ours, and those that entry points bring."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

import pytest

from conformance.cases import backends, offers
from conformance.cases.backends import ENTRY_POINT_GROUP, Backends, Offer
from conformance.core.errors import BackendUnavailable, CatalogueError
from conformance.core.ids import parse_case
from conformance.observe import backends as observe_backends
from conformance.observe import environment
from conformance.observe.backends import open_backend, present_backends
from conformance.observe.environment import capture

ACME = """
from conformance.cases.backends import BackendSpec, Offer

BACKEND = BackendSpec(
    name="acme",
    open="acme_backend:open_it",
    offer=Offer(transforms=("eager",), reason="it is a toy"),
    hint="pip install acme",
    resource="ACME",
    facts="acme_backend:facts",
)


def open_it(name):
    raise ZeroDivisionError("no driver")


def facts():
    return {"driver": "7.1"}
"""


@pytest.fixture
def bring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Backends]:
    """Install distributions that bring `name = value` each, and return the backends there are."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "acme_backend.py").write_text(ACME)

    def installing(*declared: str) -> Backends:
        for number, line in enumerate(declared, start=1):
            metadata = tmp_path / f"acme{number}-1.{number}.dist-info"
            metadata.mkdir()
            (metadata / "METADATA").write_text(f"Name: acme{number}\nVersion: 1.{number}\n")
            (metadata / "entry_points.txt").write_text(f"[{ENTRY_POINT_GROUP}]\n{line}\n")
        found = distributions(path=[str(tmp_path)])
        known = Backends(point for each in found for point in each.entry_points)
        monkeypatch.setattr(backends, "installed", lambda: known)
        for module in (observe_backends, environment):
            monkeypatch.setattr(module, "installed", lambda: known)
        return known

    monkeypatch.delitem(sys.modules, "acme_backend", raising=False)
    return installing


def test_an_entry_point_brings_a_backend(bring: Callable[..., Backends]) -> None:
    spec = bring("acme = acme_backend:BACKEND").lookup("acme")

    assert (spec.resource, spec.hint, spec.origin) == ("ACME", "pip install acme", "acme1 1.1")


def test_no_entry_point_is_loaded_for_another_backend(bring: Callable[..., Backends]) -> None:
    known = bring("acme = acme_backend:BACKEND")

    assert known.lookup("cpu").has_host_devices
    assert known.names()[-1] == "acme"
    assert "acme_backend" not in sys.modules


def test_a_name_that_nobody_declares_is_a_platform_of_jax() -> None:
    spec = Backends([]).lookup("quantum")

    assert (spec.open, spec.offer, spec.origin) == (backends.PJRT, None, "")


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("acme_absent:BACKEND", "ModuleNotFoundError: No module named 'acme_absent'"),
        ("acme_backend:Offer", "it is a type, no BackendSpec"),
    ],
)
def test_a_broken_entry_point_is_named_and_stops_no_other(
    value: str, fault: str, bring: Callable[..., Backends]
) -> None:
    known = bring(f"broken = {value}", "acme = acme_backend:BACKEND")

    message = (
        f"backend 'broken' cannot be used, for entry point broken = {value} of acme1 1.1 is broken "
        f"({fault}): update that distribution, or uninstall it"
    )
    assert known.faults() == [message]
    assert known.lookup("acme").name == "acme"
    assert "broken" not in [spec.name for spec in known.specs()]
    with pytest.raises(BackendUnavailable) as raised:
        known.lookup("broken")
    assert str(raised.value) == message


def test_an_entry_point_has_the_name_of_its_backend(bring: Callable[..., Backends]) -> None:
    (fault,) = bring("other = acme_backend:BACKEND").faults()

    assert "it declares the backend 'acme', unlike its own name" in fault


@pytest.mark.parametrize(
    ("declared", "others"),
    [
        (
            ("acme = acme_backend:BACKEND", "acme = acme_backend:OTHER"),
            "entry point acme = acme_backend:BACKEND of acme1 1.1 and by "
            "entry point acme = acme_backend:OTHER of acme2 1.2",
        ),
        (
            ("cpu = acme_backend:BACKEND",),
            "this package and by entry point cpu = acme_backend:BACKEND of acme1 1.1",
        ),
    ],
)
def test_two_of_one_name_are_an_error_that_names_both(
    declared: tuple[str, ...], others: str, bring: Callable[..., Backends]
) -> None:
    known = bring(*declared)

    with pytest.raises(CatalogueError, match="uninstall all but one") as raised:
        known.lookup(declared[0].partition(" ")[0])
    assert others in str(raised.value)


def test_a_backend_is_asked_what_it_offers(bring: Callable[..., Backends]) -> None:
    bring("acme = acme_backend:BACKEND")
    eager, jit = (parse_case(f"zeros-float32-4-s0-acme-{how}") for how in ("eager", "jit"))

    assert offers.is_offered(eager)
    assert not offers.is_offered(jit)
    assert "backend 'acme': it is a toy" in offers.refusal("acme", "jit", "rbg", (), "float32")


def test_a_backend_that_does_not_open_is_absent_and_names_its_distribution(
    bring: Callable[..., Backends],
) -> None:
    bring("acme = acme_backend:BACKEND")

    assert "acme" not in present_backends()
    with pytest.raises(BackendUnavailable, match=r"'acme' of acme1 1\.1 cannot .*no driver\)"):
        open_backend("acme")


def test_auto_sees_a_backend_that_opens(
    bring: Callable[..., Backends], monkeypatch: pytest.MonkeyPatch
) -> None:
    bring("acme = acme_backend:BACKEND")
    monkeypatch.setattr("acme_backend.open_it", lambda name: name)

    assert present_backends() == ("cpu", "acme")


def test_the_environment_holds_the_version_and_the_facts_of_a_backend(
    bring: Callable[..., Backends],
) -> None:
    bring("acme = acme_backend:BACKEND")

    here = capture(("acme",))

    assert here.devices["acme.driver"] == "7.1"


@pytest.mark.parametrize("name", ["stablehlo", "iree", "cuda-emulated"])
def test_executors_say_what_they_are_not_asked(name: str) -> None:
    offer = backends.lookup(name).offer

    assert isinstance(offer, Offer)
    assert offer.reason


@pytest.mark.usefixtures("cold_python")
def test_knowing_the_backends_takes_neither_jax_nor_the_records_of_others() -> None:
    program = (
        "import sys; from conformance.cases.backends import lookup; lookup('cuda'); "
        "print({'jax', 'conformance.observe'} & set(sys.modules))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)  # noqa: S603  # our own words

    assert done.stdout.strip() == "set()"
