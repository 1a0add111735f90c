"""What is known of releases is what was measured of them, and each fact is taken into account."""

from __future__ import annotations

import importlib.util
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from conformance.core.settings import DEFAULT_CONFIG
from conformance.judge.rules import load_ledger
from conformance.upgrade import survey
from conformance.upgrade.known import KNOWN, NEEDS, Kind, Known
from tests import ROOT

SURVEY = survey.read(ROOT / "docs" / "jax-releases.json")
STEPS = {step.after: step for step in SURVEY.steps}
LIMITATIONS = {entry.id: entry for entry in load_ledger().limitations}


def of_kind(kind: Kind) -> list[Known]:
    return [each for each in KNOWN if each.kind is kind]


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: f"{known.package}-{known.before}")
def test_each_fact_is_taken_into_account_where_it_says(known: Known) -> None:
    assert known.handled
    for place in known.handled:
        is_module = place.startswith("conformance.") and importlib.util.find_spec(place) is not None
        assert is_module or place in LIMITATIONS, place


def test_every_bound_of_the_ledger_is_a_release_of_which_something_is_known() -> None:
    bounded = {entry.id: entry.jax for entry in LIMITATIONS.values() if entry.jax}
    known = {place: Version(each.before) for each in KNOWN for place in each.handled}

    assert bounded
    assert {name: Version(bound.lstrip("<>=")) for name, bound in bounded.items()} == {
        name: known[name] for name in bounded
    }


def test_the_lower_bounds_of_this_package_belong_together() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = map(Requirement, project["optional-dependencies"]["judge"])
    lowest = {each.name: str(each.specifier).removeprefix(">=") for each in asked}
    needs = [each for each in NEEDS if Version(lowest[each.package]) < Version(each.before)]

    assert needs
    for each in needs:
        companion = Requirement(each.requirement)
        assert companion.specifier.contains(lowest[companion.name]), each


def test_every_fact_but_a_need_is_of_a_release_that_was_surveyed() -> None:
    assert {each.before for each in KNOWN if each not in NEEDS} <= STEPS.keys()


@pytest.mark.parametrize("known", of_kind(Kind.DEFAULT), ids=lambda known: known.before)
def test_a_changed_default_is_another_one_now_and_changed_what_was_drawn(known: Known) -> None:
    assert known.setting is not None
    name, then = known.setting

    assert DEFAULT_CONFIG[name] != then
    assert STEPS[known.before].counts["stream"] > 0


@pytest.mark.parametrize("known", of_kind(Kind.EXCEPTION), ids=lambda known: known.before)
def test_a_renamed_exception_was_seen_to_be_renamed(known: Known) -> None:
    assert any("NotImplementedError" in change for change in STEPS[known.before].errors)


def test_only_a_need_has_a_requirement_and_only_a_default_a_setting() -> None:
    assert all(bool(each.requirement) == (each.kind is Kind.NEEDS) for each in KNOWN)
    assert all(bool(each.setting) == (each.kind is Kind.DEFAULT) for each in KNOWN)
