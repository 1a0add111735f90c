"""Nothing passes by being absent: names without a spec, limitations and goldens without a case."""

from __future__ import annotations

from conformance.cases.builtin import alias_faults, uncovered_public_names
from conformance.cases.planes import problems
from conformance.cases.selection import Selection, select
from conformance.cases.sweeps import law_cases
from conformance.core.ids import Tier, parse_problem
from conformance.core.paths import golden_option
from conformance.core.words import counted
from conformance.run.session import Session


def test_every_public_initializer_is_covered() -> None:
    """A public name that JAX or Flax gained has a spec, or the run fails by that name."""
    uncovered = uncovered_public_names()

    assert not uncovered, (
        f"no spec covers {', '.join(uncovered)}: add one to conformance/cases/builtin.py"
    )


def test_aliases_are_the_objects_they_claim_to_be() -> None:
    """Names that share a spec are one object, so that testing it once tests them all."""
    assert alias_faults() == []


def test_every_limitation_covers_a_case(conformance_session: Session) -> None:
    """A ledger entry that matches no case of the full tier is a typing error or a leftover."""
    named = {name for entry in conformance_session.ledger.limitations for name in entry.backend}
    everything = Selection(tier=Tier.FULL, backends=("cpu", *sorted(named - {"cpu"})))
    cases = select(conformance_session.catalogue, everything)
    cases += law_cases(conformance_session.catalogue, everything)

    idle = [entry.id for entry in conformance_session.ledger.idle(cases)]

    assert not idle, f"these entries of ledger.toml match no case, delete them: {', '.join(idle)}"


def test_every_golden_belongs_to_a_problem(conformance_session: Session) -> None:
    """A stored golden that nobody asks for is named, not carried along.

    The shipped set holds what tiers ask for. Into one of their own people stage what they like, of
    initializers that there are.
    """
    catalogue, goldens = conformance_session.catalogue, conformance_session.goldens
    known = {problem.id for problem in problems(catalogue, Tier.FULL)}

    orphans = sorted(set(goldens.base.ids()) - known)
    if conformance_session.options.golden is not None:
        orphans = [key for key in orphans if parse_problem(key).initializer not in catalogue]

    assert not orphans, (
        f"{counted(len(orphans), 'golden')} of no problem, first {orphans[0]}: "
        f"remove with `conformance goldens prune{golden_option(goldens.folder)} "
        "--reason '...'`"
    )
