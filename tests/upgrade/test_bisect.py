"""The search for the release since which something differs, over made-up releases."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from conformance.cli.bisect import page_of
from conformance.core.errors import ExitCode, SelectionError, SideError
from conformance.core.ids import parse_case
from conformance.core.records import Drift, DriftClass, Environment
from conformance.upgrade.bisect import Found, Search, changelog_entries
from conformance.upgrade.compare import Comparison, Pair
from conformance.upgrade.releases import ReleaseList

CASE = parse_case("normal-float32-64x32-s0-cpu-eager")
NOWHERE = Environment(packages={}, config={}, host={}, devices={})
CLASS_OF_FIELD = (DriftClass.LAW, DriftClass.STREAM, DriftClass.ROUNDING)


class World:
    """Releases of which each returned a version number: (law, stream, rounding).

    Two releases differ by the class of the first of these numbers that differs.
    """

    def __init__(self, returned: Sequence[tuple[int, ...]], absent: Sequence[str] = ()) -> None:
        self.returned = {f"0.{i}.0": values for i, values in enumerate(returned)}
        self.absent = absent
        self.probed: list[str] = []
        self.said: list[str] = []

    def probe(self, release: str) -> None:
        """Note that the release was asked for."""
        if release in self.absent:
            raise SideError(f"{release} has no wheel")
        self.probed.append(release)

    def compare(self, older: str, newer: str) -> Comparison:
        """Return a comparison of one case."""
        pairs = zip(self.returned[older], self.returned[newer], strict=True)
        found = [name for name, (one, two) in zip(CLASS_OF_FIELD, pairs, strict=True) if one != two]
        drift = Drift(drift_class=found[0] if found else DriftClass.IDENTICAL)
        return Comparison(
            before=older,
            after=newer,
            environments=(NOWHERE, NOWHERE),
            pairs=(Pair(case=CASE, drift=drift),),
            lost=(),
            new=(),
        )

    def search(self, at_least: DriftClass = DriftClass.ROUNDING) -> Search:
        """Return a search over all releases."""
        return Search(
            list(self.returned),
            self.probe,
            self.compare,
            at_least=at_least,
            say=self.said.append,
        )


def steps(found: Found) -> list[tuple[str, str]]:
    return [(point.before, point.after) for point in found.points]


def changing_at(change: int, count: int = 16) -> list[tuple[int, ...]]:
    return [(0, 0, int(i >= change)) for i in range(count)]


@pytest.mark.parametrize("change", range(1, 16))
def test_the_first_release_that_differs_is_found_wherever_it_is(change: int) -> None:
    found = World(changing_at(change)).search().first()

    assert steps(found) == [(f"0.{change - 1}.0", f"0.{change}.0")]


def test_few_releases_are_recorded() -> None:
    world = World(changing_at(5, count=64))

    world.search().first()

    assert len(set(world.probed)) <= 2 + 6


def test_no_change_is_no_point() -> None:
    assert World(changing_at(99)).search().first().points == ()


def test_the_first_of_two_changes_is_found() -> None:
    world = World([(0, 0, 0), (0, 0, 1), (0, 0, 1), (0, 1, 1), (0, 1, 1)])

    assert steps(world.search().first()) == [("0.0.0", "0.1.0")]


def test_a_class_looks_past_smaller_changes() -> None:
    world = World([(0, 0, 0), (0, 0, 1), (0, 0, 1), (0, 1, 1), (0, 1, 1)])

    found = world.search(DriftClass.STREAM).first()

    assert steps(found) == [("0.2.0", "0.3.0")]
    assert found.points[0].changed[0].drift.drift_class is DriftClass.STREAM


def test_all_changes_are_found() -> None:
    world = World([(0, 0, 0), (0, 0, 1), (0, 0, 1), (0, 1, 1), (0, 1, 1), (1, 1, 1)])

    found = world.search().all()

    assert steps(found) == [("0.0.0", "0.1.0"), ("0.2.0", "0.3.0"), ("0.4.0", "0.5.0")]


def test_a_release_that_cannot_be_had_is_skipped_and_named() -> None:
    world = World(changing_at(3, count=8), absent=["0.4.0"])

    found = world.search().first()

    assert steps(found) == [("0.2.0", "0.3.0")]
    assert found.failures == {"0.4.0": "0.4.0 has no wheel"}


def test_a_change_beside_skipped_releases_may_be_in_them() -> None:
    world = World(changing_at(4, count=8), absent=["0.3.0", "0.4.0"])

    (point,) = world.search().first().points

    assert (point.before, point.after) == ("0.2.0", "0.5.0")
    assert point.skipped == ("0.3.0", "0.4.0")


def test_an_end_that_cannot_be_had_ends_the_search() -> None:
    world = World(changing_at(4, count=8), absent=["0.7.0"])

    with pytest.raises(SideError, match=r"0\.7\.0 has no wheel"):
        world.search().first()


def test_progress_says_how_many_are_left() -> None:
    world = World(changing_at(3, count=8))

    world.search().first()

    assert "0.0.0 .. 0.7.0: 6 releases left, about 3 steps" in world.said
    assert "0.0.0 -> 0.4.0: rounding" in world.said


# --- The list of releases ------------------------------------------------------------------------

LISTED = ReleaseList(package="jax", versions=("0.4.38", "0.5.0", "0.5.1", "0.12.0"))


def test_releases_between_two_include_both() -> None:
    assert LISTED.between("0.4.38", "0.5.1") == ("0.4.38", "0.5.0", "0.5.1")


def test_a_release_that_lacks_its_last_number_is_told_those_that_have_it() -> None:
    with pytest.raises(SelectionError, match=r"'0\.12' is unknown: did you mean 0\.12\.0\?"):
        LISTED.between("0.4.38", "0.12")


def test_an_unknown_release_is_refused_with_the_nearest() -> None:
    with pytest.raises(SelectionError) as caught:
        LISTED.between("0.5.9", "0.12.0")

    assert "jax release '0.5.9' is unknown: did you mean 0.5" in str(caught.value)
    with pytest.raises(SelectionError, match=r"'lastest' is unknown: did you mean latest\?"):
        LISTED.require("lastest")
    assert "the newest is 0.12.0; a development release needs --pre" in str(caught.value)


def test_releases_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(SelectionError, match=r"--from 0\.12\.0 is not older than --to 0\.5\.0"):
        LISTED.between("0.12.0", "0.5.0")


# --- The changelog -------------------------------------------------------------------------------


def test_the_entries_that_may_explain_a_change_are_quoted(tmp_path: Path) -> None:
    path = tmp_path / "CHANGELOG.md"
    path.write_text(
        "## jax 0.5.1\n* random: not this one\n\n"
        "## jax 0.5.0 (Jan 17, 2025)\n\n"
        "* Changes:\n  * Enable `jax_threefry_partitionable`\n    by default.\n"
        "  * Drop Python 3.9.\n\n"
        "## jax 0.4.38\n* jax.random: nor this\n"
    )

    entries = changelog_entries(path, "0.5.0")

    assert entries == ["Enable `jax_threefry_partitionable` by default."]


# --- The page -------------------------------------------------------------------------------------


def test_the_page_names_both_sides_and_what_differs() -> None:
    """It said which release, and neither what the case did there nor in which environment."""
    (point,) = World([(0, 0, 0), (0, 1, 0)]).search().first().points
    sides = [
        dataclasses.replace(
            NOWHERE,
            packages={"jax": release, "jaxlib": release},
            config={"jax_threefry_partitionable": is_on},
        )
        for release, is_on in (("0.0.0", "False"), ("0.1.0", "True"))
    ]
    comparison = dataclasses.replace(point.comparison, environments=(sides[0], sides[1]))
    found = Found(points=(dataclasses.replace(point, comparison=comparison),), failures={})
    asked = argparse.Namespace(
        package="jax", before="0.0.0", after="0.1.0", changelog=None, at_least="rounding"
    )

    page = page_of(found, asked, ExitCode.FAILED)

    assert page.sentence == (
        "1 of 1 case returned another stream: jax_threefry_partitionable is True in 0.1.0, "
        "False in 0.0.0 and jax is 0.1.0 in 0.1.0, 0.0.0 in 0.0.0, and 1 other fact differs"
    )
    assert page.sides == ("jax 0.0.0", "jax 0.1.0")
    assert {"jax", "jaxlib", "jax_threefry_partitionable"} == {fact.name for fact in page.differing}
    assert page.sentence in page.failures[0].message
    assert page.failures[0].rerun == "conformance gate --from 0.0.0 --to 0.1.0"


def test_the_page_of_no_change_has_no_sides() -> None:
    found = Found(points=(), failures={})
    asked = argparse.Namespace(package="jax", before="0.0.0", after="0.1.0", at_least="rounding")

    page = page_of(found, asked, ExitCode.OK)

    assert (page.sentence, page.facts) == ("", ())
    assert page.verdict.startswith("no change of class rounding")
