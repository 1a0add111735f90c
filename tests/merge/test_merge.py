"""Results of many places become one verdict that no order, repetition or hostile file can bend."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import html
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue
from conformance.cli import main
from conformance.core.arrays import returned, whole
from conformance.core.errors import ExitCode
from conformance.core.ids import Problem, parse_case, parse_problem
from conformance.core.machine import machine_fault
from conformance.core.paths import LEDGER, MANIFEST, shipped
from conformance.core.records import (
    BASE,
    CaseResult,
    CheckResult,
    Drift,
    DriftClass,
    Entry,
    Environment,
    Observation,
    Outcome,
    Raised,
    Returned,
    Status,
)
from conformance.core.settings import LATE_FACTS
from conformance.judge.ledger import Ledger, load
from conformance.judge.verdict import unjudged
from conformance.merge import (
    Fact,
    Judgement,
    Merged,
    Place,
    Referee,
    golden_place,
    merge,
    mixed,
    read_sources,
)
from conformance.merge.page import N_FAULTS, page_of
from conformance.merge.sources import lost_shards
from conformance.merge.text import place_names, to_json, to_markdown, to_text, verdict_line
from conformance.report import rows
from conformance.report.recorder import RunRecorder
from conformance.report.rows import environment_values, outcome_text, row
from conformance.store.entries import RECORDING, shard_name
from conformance.store.read import open_store
from conformance.store.write import write_store
from tests.benches import bench

NORMAL = parse_problem("normal-float32-64-s0")
UNIFORM = parse_problem("uniform-float32-64-s0")
CPU = Place(
    backend="cpu",
    mode="executed",
    jax="0.12.0.1",
    flags="",
    isa="avx2 fma avx512f",
    cpu="EPYC",
    device="cpu",
    runtime="cpu",
    packages="jax==0.12.0.1",
)
AVX2 = dataclasses.replace(CPU, isa="avx2 fma")
CUDA = dataclasses.replace(CPU, backend="cuda", device="H100", runtime="CUDA 13")
HASWELL = dataclasses.replace(
    CPU, lapack="OpenBLAS 0.3.31.dev", lapack_kernel="Haswell", lapack_threads="2"
)
KATMAI = dataclasses.replace(HASWELL, lapack_kernel="Katmai")
MATRIX = parse_problem("orthogonal-float32-64x32-s0")
INTERPRETERS = tuple(
    dataclasses.replace(CPU, backend=name, device=name, runtime=name)
    for name in ("stablehlo", "iree")
)


def draws(shift_ulp: int = 0, seed: int = 0) -> np.ndarray[Any, Any]:
    """Return 64 normal draws, every other one moved by some ULP."""
    bits = np.random.default_rng(seed).standard_normal(64).astype(np.float32).view(np.int32)
    bits[::2] += shift_ulp
    return bits.view(np.float32)


AS_ALWAYS, ROUNDED, NEW_STREAM = (
    returned(array) for array in (draws(), draws(shift_ulp=1), draws(seed=7))
)
ARRAYS = {outcome_text(each): each for each in (AS_ALWAYS, ROUNDED, NEW_STREAM)}


def fact(
    place: Place, outcome: Outcome = AS_ALWAYS, problem: Problem = NORMAL, **values: Any
) -> Fact:
    return Fact(
        **{
            "problem": problem,
            "transform": "eager",
            "place": place,
            "outcome": outcome_text(outcome),
            "source": "a",
            "root": values.get("source", "a"),
            **values,
        }
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StubGoldens:
    """The same golden of every problem, or none, but where a backend has another."""

    outcome: Outcome | None
    overlays: Mapping[str, Outcome] = dataclasses.field(default_factory=dict)

    def golden(self, problem_id: str, backend: str, release: str = "") -> Entry | None:
        """Return the golden of the backend, whatever is asked."""
        del release
        outcome = self.overlays.get(backend, self.outcome)
        if outcome is None:
            return None
        maker = backend if backend in self.overlays else BASE
        return Entry(id=problem_id, shard="", outcome=outcome, maker=maker)


def referee(
    outcomes: Mapping[str, Outcome] = ARRAYS,
    max_drift: DriftClass = DriftClass.ROUNDING,
    golden: Outcome | None = None,
    overlays: Mapping[str, Outcome] | None = None,
    golden_place: Place | None = None,
) -> Referee:
    goldens = StubGoldens(outcome=golden, overlays=overlays or {})
    judging = dataclasses.replace(
        bench(_catalogue(), ledger=_ledger(), max_drift=max_drift), goldens=goldens
    )
    return Referee(bench=judging, outcomes=outcomes, golden_place=golden_place)


@functools.cache
def _catalogue() -> Catalogue:
    return load_catalogue()


@functools.cache
def _ledger() -> Ledger:
    return load(LEDGER)


def merged(*facts: Fact, **options: Any) -> Merged:
    return merge(facts, options.pop("referee", None) or referee(), **options)


# --- A function of the set -----------------------------------------------------------------------

FACTS = st.builds(
    fact,
    place=st.sampled_from([CPU, AVX2, CUDA, HASWELL, KATMAI]),
    outcome=st.sampled_from([AS_ALWAYS, ROUNDED, NEW_STREAM, Raised(exception="E", message="")]),
    problem=st.sampled_from([NORMAL, UNIFORM, MATRIX]),
    transform=st.sampled_from(["eager", "jit"]),
    source=st.sampled_from(["a", "b"]),
    root=st.sampled_from(["a", "b"]),
    judgement=st.sampled_from(
        [None, Judgement(status="passed", drift_class="identical"), Judgement(status="failed")]
    ),
)


@given(
    facts=st.lists(FACTS, min_size=1, max_size=12),
    golden=st.sampled_from([None, AS_ALWAYS, ROUNDED]),
    data=st.data(),
)
def test_neither_order_nor_repetition_changes_a_merge(
    facts: list[Fact], golden: Outcome | None, data: Any
) -> None:
    repeated = facts + data.draw(st.lists(st.sampled_from(facts)))
    shuffled = data.draw(st.permutations(repeated))
    judge = referee(golden=golden, golden_place=HASWELL)

    one, two = merged(*shuffled, referee=judge), merged(*facts, referee=judge)
    assert to_json(one) == to_json(two)
    assert to_text(one) == to_text(two)


@given(facts=st.lists(FACTS, min_size=1, max_size=12))
def test_every_result_is_in_a_class_or_in_a_conflict(facts: list[Fact]) -> None:
    result = merged(*facts)

    in_classes = {
        (each.problem, place, transform)
        for each in result.problems
        for cls in each.classes
        for place, transform in cls.members
    }
    in_conflicts = {(each.case, each.place) for each in result.conflicts}
    for each in facts:
        is_kept = (each.problem, each.place, each.transform) in in_classes
        assert is_kept != ((each.case, each.place) in in_conflicts)


# --- Classes -------------------------------------------------------------------------------------


def test_places_with_the_same_bits_are_one_class() -> None:
    result = merged(fact(CPU), fact(AVX2), fact(CUDA))

    assert "1 x cpu avx512f = cpu fma = cuda" in to_text(result)
    assert result.is_clean


def test_other_bits_are_another_class_with_its_drift() -> None:
    result = merged(fact(CPU), fact(AVX2), fact(CUDA, ROUNDED))

    assert "1 x cpu avx512f = cpu fma; cuda differs, rounding" in to_text(result)
    assert "worst: normal-float32-64-s0: 1 ULP" in to_text(result)
    assert result.is_clean


def test_drift_beyond_the_policy_fails_by_name() -> None:
    result = merged(fact(CPU), fact(AVX2), fact(CUDA, NEW_STREAM))

    assert result.beyond == (("normal-float32-64-s0-cuda-eager", CUDA, "stream"),)
    assert verdict_line(result).startswith(
        "FAILED: 1 beyond the policy; 3 results of 1 problem at 3"
    )


def test_the_strict_policy_fails_rounding() -> None:
    strict = referee(max_drift=DriftClass.IDENTICAL)

    result = merged(fact(CPU), fact(CUDA, ROUNDED), referee=strict)

    assert [name for _, _, name in result.beyond] == ["rounding"]


def test_what_nobody_kept_the_bits_of_is_never_taken_for_rounding() -> None:
    result = merged(fact(CPU), fact(CUDA, ROUNDED), referee=referee(outcomes={}))

    assert "cuda differs, bits not kept" in to_text(result)
    assert not result.is_clean


def test_an_initializer_that_is_registered_elsewhere_is_compared_without_its_law() -> None:
    problem = dataclasses.replace(NORMAL, initializer="of_a_user")

    result = merged(fact(CPU, problem=problem), fact(CUDA, ROUNDED, problem=problem))

    assert "cuda differs, rounding" in to_text(result)


def test_a_transform_that_disagrees_with_the_others_of_its_place_is_named() -> None:
    result = merged(fact(CPU), fact(CPU, ROUNDED, transform="jit"))

    assert "1 x cpu (eager); cpu (jit) differs, rounding" in to_text(result)


def test_bits_that_jax_does_not_promise_elsewhere_are_said_to_be_so() -> None:
    problem = dataclasses.replace(NORMAL, prng="rbg")

    result = merged(fact(CPU, problem=problem), fact(CUDA, NEW_STREAM, problem=problem))

    assert "cuda differs, stream (rbg promises no equal bits there)" in to_text(result)
    assert result.is_clean


def test_bits_that_jax_does_not_promise_elsewhere_hold_on_one_backend() -> None:
    problem = dataclasses.replace(NORMAL, prng="rbg")

    result = merged(fact(CPU, problem=problem), fact(AVX2, NEW_STREAM, problem=problem))

    assert len(result.beyond) == 1


REFUSED = Raised(exception="UnsupportedOperation", message="")


def test_what_the_ledger_announces_is_excused_by_its_entry() -> None:
    result = merged(fact(CPU, problem=MATRIX), fact(INTERPRETERS[0], REFUSED, problem=MATRIX))

    assert "stablehlo differs, contract (limited by orthogonal-without-lapack)" in to_text(result)
    assert result.is_clean


def test_an_entry_of_the_ledger_excuses_no_outcome_but_the_one_that_it_announces() -> None:
    other = Raised(exception="KeyError", message="")

    result = merged(fact(CPU, problem=MATRIX), fact(INTERPRETERS[0], other, problem=MATRIX))

    assert "stablehlo differs, contract" in to_text(result)
    assert len(result.beyond) == 1


def test_an_entry_about_a_law_excuses_no_other_bits() -> None:
    """The ledger knows of the variance of this law everywhere, which says nothing of one array."""
    problem = parse_problem("he_normal-complex64-64x32-s0")

    result = merged(fact(CPU, problem=problem), fact(CUDA, NEW_STREAM, problem=problem))

    assert [place for _, place, _ in result.beyond] == [CUDA]


def test_a_jax_that_is_no_version_is_excused_by_no_entry() -> None:
    nameless = dataclasses.replace(INTERPRETERS[0], jax="of my own")

    result = merged(fact(CPU, problem=MATRIX), fact(nameless, REFUSED, problem=MATRIX))

    assert [place for _, place, _ in result.beyond] == [nameless]


# --- What others are compared with ---------------------------------------------------------------


@pytest.mark.parametrize("golden", [None, AS_ALWAYS, ROUNDED], ids=["none", "held", "of no place"])
@pytest.mark.parametrize("cpus", [(CPU,), (CPU, AVX2, HASWELL)], ids=["fewer", "more"])
def test_a_class_that_the_ledger_limits_is_never_the_first(
    cpus: tuple[Place, ...], golden: Outcome | None
) -> None:
    facts = [fact(place, problem=MATRIX) for place in cpus]
    refusals = [fact(place, REFUSED, problem=MATRIX) for place in INTERPRETERS]

    result = merged(*facts, *refusals, referee=referee(golden=golden))

    assert "iree = stablehlo differs, contract (limited by" in to_text(result)
    assert result.is_clean


def test_places_that_the_ledger_limits_alone_are_compared_with_the_golden() -> None:
    refusals = [fact(place, REFUSED, problem=MATRIX) for place in INTERPRETERS]

    result = merged(*refusals, referee=referee(golden=AS_ALWAYS))

    assert "1 x golden; iree = stablehlo differs, contract (limited by" in to_text(result)
    assert result.is_clean


def test_an_announced_refusal_that_is_the_golden_is_what_others_are_compared_with() -> None:
    problem = parse_problem("orthogonal-bfloat16-64x32-s0")
    refusal = Raised(exception="TypeError", message="")

    result = merged(
        fact(CPU, refusal, problem=problem),
        fact(CUDA, problem=problem),
        fact(KATMAI, problem=problem),
        referee=referee(golden=refusal),
    )

    assert [place.backend for _, place, _ in result.beyond] == ["cpu", "cuda"]
    assert CPU not in [place for _, place, _ in result.beyond]


def test_a_class_that_failed_in_every_run_is_not_the_first() -> None:
    failed = Judgement(status="failed", failed_checks="oracle")

    result = merged(
        fact(CPU, NEW_STREAM, judgement=failed),
        fact(AVX2, NEW_STREAM, judgement=failed),
        fact(CUDA),
    )

    assert {place for _, place, _ in result.beyond} == {CPU, AVX2}


def test_a_class_within_the_policy_to_the_golden_goes_before_a_larger_one_beyond_it() -> None:
    result = merged(
        fact(CPU, NEW_STREAM),
        fact(AVX2, NEW_STREAM),
        fact(CUDA, ROUNDED),
        referee=referee(golden=AS_ALWAYS),
    )

    assert {place for _, place, _ in result.beyond} == {CPU, AVX2}
    assert "golden; cpu avx512f = cpu fma differs, stream; cuda differs, rounding" in to_text(
        result
    )


def test_where_no_place_has_the_bits_of_the_golden_it_is_named_as_what_they_are_compared_with() -> (
    None
):
    result = merged(fact(CPU, ROUNDED), fact(CUDA, ROUNDED), referee=referee(golden=AS_ALWAYS))

    assert "1 x golden; cpu = cuda differs, rounding" in to_text(result)
    assert result.is_clean


def test_runs_that_kept_no_bits_are_compared_through_the_golden_that_judged_them() -> None:
    near = Judgement(status="passed", drift_class="rounding", max_ulp=1, max_ulp_at_sigma=0.5)
    other = returned(draws(shift_ulp=-1))

    result = merged(
        fact(HASWELL, ROUNDED, judgement=near),
        fact(KATMAI, other, judgement=near),
        referee=referee(outcomes={}, golden=AS_ALWAYS),
    )

    assert "golden; cpu Haswell differs, rounding; cpu Katmai differs, rounding" in to_text(result)
    assert result.is_clean


def test_places_that_all_lie_beyond_the_golden_are_compared_with_each_other() -> None:
    """Recordings of another release are asked whether they agree, not whether they are new."""
    result = merged(fact(CPU, NEW_STREAM), fact(CUDA, NEW_STREAM), referee=referee(golden=ROUNDED))

    assert "1 x cpu = cuda" in to_text(result)
    assert result.is_clean


def test_the_golden_of_a_backend_is_excused_where_it_differs_from_the_golden_of_all() -> None:
    judge = referee(golden=AS_ALWAYS, overlays={"cuda": NEW_STREAM})

    result = merged(fact(CPU, ROUNDED), fact(CUDA, NEW_STREAM), referee=judge)

    assert "cuda differs, stream (accepted as golden of cuda)" in to_text(result)
    assert result.is_clean


def test_bits_that_jax_promises_nowhere_else_hold_against_the_golden_on_its_own_backend() -> None:
    problem = dataclasses.replace(NORMAL, prng="rbg")

    result = merged(
        *(fact(place, NEW_STREAM, problem=problem) for place in (CPU, CUDA)),
        fact(AVX2, ROUNDED, problem=problem),
        referee=referee(golden=AS_ALWAYS),
    )

    assert [place for _, place, _ in result.beyond] == [CPU]


def test_how_two_places_lie_to_each_other_does_not_depend_on_a_third() -> None:
    """IREE's draws of bfloat16 err by more than others: what it may do, others may not."""
    wide = dataclasses.replace(INTERPRETERS[1], backend="never-swept")
    asked: list[tuple[str, ...]] = []

    class Asked(Referee):
        def _budget(self, spec: Any, problem: Problem, backends: Any) -> Any:
            asked.append(tuple(sorted(backends)))
            return super()._budget(spec, problem, backends)

    judge = Asked(bench=bench(_catalogue(), ledger=_ledger()), outcomes=ARRAYS)
    merged(fact(CPU), fact(AVX2), fact(CUDA, ROUNDED), fact(wide, NEW_STREAM), referee=judge)

    assert asked == [("cuda",), ("cpu",), ("never-swept",), ("cpu",)]


# --- Causes --------------------------------------------------------------------------------------

KERNEL = "other OpenBLAS kernel: Haswell -> Katmai"
TRUNCATED = parse_problem("truncated_normal-float32-64-s0")
OLD_LIBC, NEW_LIBC = (
    dataclasses.replace(CPU, libc=f"glibc {version}") for version in ("2.36", "2.43")
)


def as_markdown(result: Merged) -> str:
    return html.unescape(to_markdown(result))


@pytest.mark.parametrize("render", [to_text, as_markdown, to_json])
def test_another_kernel_is_named_where_matrices_differ(render: Callable[[Merged], str]) -> None:
    result = merged(fact(HASWELL, problem=MATRIX), fact(KATMAI, ROUNDED, problem=MATRIX))

    assert f"cpu Haswell; cpu Katmai differs, rounding ({KERNEL})" in render(result)


def test_json_lists_the_causes_of_a_pattern() -> None:
    result = merged(fact(HASWELL, problem=MATRIX), fact(KATMAI, ROUNDED, problem=MATRIX))

    assert [each["causes"] for each in json.loads(to_json(result))["patterns"]] == [[KERNEL]]


def test_a_matrix_beyond_the_policy_is_listed_with_its_cause() -> None:
    result = merged(
        fact(HASWELL, problem=MATRIX),
        fact(KATMAI, ROUNDED, problem=MATRIX),
        referee=referee(max_drift=DriftClass.IDENTICAL),
    )

    assert f"orthogonal-float32-64x32-s0-cpu-eager at cpu Katmai: rounding ({KERNEL})" in to_text(
        result
    )


def test_another_kernel_than_the_goldens_is_named() -> None:
    judge = referee(golden=AS_ALWAYS, golden_place=dataclasses.replace(HASWELL, cpu="Xeon"))

    result = merged(fact(KATMAI, ROUNDED, problem=MATRIX), referee=judge)

    assert f"1 x golden; cpu differs, rounding ({KERNEL})" in to_text(result)


def test_no_kernel_is_blamed_for_another_stream() -> None:
    result = merged(fact(HASWELL, problem=MATRIX), fact(KATMAI, NEW_STREAM, problem=MATRIX))

    assert result.beyond
    assert "OpenBLAS kernel: " not in to_text(result)


@pytest.mark.parametrize(
    "change",
    [
        {"cpu": "Xeon"},
        {"isa": "avx2 fma"},
        {"libc": "glibc 2.43"},
        {"packages": "jax==0.12.0.1 python==3.14.0 scipy==1.17.0"},
    ],
    ids=lambda change: "".join(change),
)
def test_a_kernel_is_named_whatever_else_differs_that_makes_no_matrix(
    change: Mapping[str, str],
) -> None:
    other = dataclasses.replace(KATMAI, **change)

    result = merged(fact(HASWELL, problem=MATRIX), fact(other, ROUNDED, problem=MATRIX))

    assert "(other OpenBLAS kernel: " in to_text(result)


@pytest.mark.parametrize(
    "change",
    [
        {"flags": "XLA_FLAGS=--xla_cpu_max_isa=AVX"},
        {"isa": "avx"},
        {"xla_isa": "avx"},
        {"jax": "0.11.2"},
        {"packages": "jax==0.12.0.1 jaxlib==0.12.0.2"},
        {"lapack_kernel": ""},
        {"lapack": ""},
        {"backend": "cuda"},
    ],
    ids=lambda change: "".join(change),
)
def test_no_kernel_is_named_where_something_else_may_be_the_cause(
    change: Mapping[str, str],
) -> None:
    other = dataclasses.replace(KATMAI, **change)

    result = merged(fact(HASWELL, problem=MATRIX), fact(other, ROUNDED, problem=MATRIX))

    assert "other OpenBLAS" not in to_text(result)


@pytest.mark.parametrize("unknown", [{"lapack_threads": ""}, {"lapack": "OpenBLAS"}])
def test_what_one_side_does_not_know_of_its_lapack_is_no_cause(unknown: Mapping[str, str]) -> None:
    other = dataclasses.replace(HASWELL, **unknown)

    result = merged(fact(HASWELL, problem=MATRIX), fact(other, ROUNDED, problem=MATRIX))

    assert "other OpenBLAS" not in to_text(result)


def test_no_kernel_is_named_where_no_matrix_differs() -> None:
    result = merged(fact(HASWELL), fact(KATMAI, ROUNDED))

    assert "cpu Katmai differs, rounding\n" in to_text(result)


def test_another_c_library_is_named_where_compiled_truncated_normals_differ() -> None:
    facts = [
        *(fact(place, problem=TRUNCATED) for place in (OLD_LIBC, NEW_LIBC)),
        fact(OLD_LIBC, problem=TRUNCATED, transform="jit"),
        fact(NEW_LIBC, ROUNDED, problem=TRUNCATED, transform="jit"),
    ]

    text = to_text(merged(*facts))

    assert "cpu glibc 2.43 (jit) differs, rounding (other glibc: 2.36 -> 2.43)" in text


@pytest.mark.parametrize(
    ("problem", "transform"), [(TRUNCATED, "eager"), (NORMAL, "jit"), (MATRIX, "jit")]
)
def test_no_c_library_is_named_where_no_bounds_are_folded(problem: Problem, transform: str) -> None:
    facts = [
        fact(place, outcome, problem=problem, transform=transform)
        for place, outcome in ((OLD_LIBC, AS_ALWAYS), (NEW_LIBC, ROUNDED))
    ]

    assert "other glibc" not in to_text(merged(*facts))


def test_a_c_library_that_one_side_does_not_know_is_no_cause() -> None:
    facts = [
        fact(place, outcome, problem=TRUNCATED, transform="jit")
        for place, outcome in ((CPU, AS_ALWAYS), (NEW_LIBC, ROUNDED))
    ]

    assert "other glibc" not in to_text(merged(*facts))


# --- What is missing, contradictory, failed ------------------------------------------------------


def test_a_case_that_only_another_place_has_is_missing_by_name() -> None:
    result = merged(fact(CPU), fact(CPU, problem=UNIFORM), fact(CUDA))

    assert result.missing == {CUDA: ("uniform-float32-64-s0-cuda-eager",)}
    assert verdict_line(result).startswith("INCOMPLETE: 1 missing")


def test_a_case_that_no_place_has_is_missing_where_it_is_expected() -> None:
    result = merged(fact(CPU), expected=[(UNIFORM, "eager")])

    assert result.missing == {CPU: ("uniform-float32-64-s0-cpu-eager",)}


def test_shards_on_hosts_with_other_cpus_are_whole_together_beneath_one_folder() -> None:
    shards = fact(CPU, root="night"), fact(AVX2, problem=UNIFORM, root="night")

    assert merged(*shards).missing == {}


def test_machines_in_two_folders_must_each_be_whole() -> None:
    apart = fact(CPU, root="one"), fact(AVX2, problem=UNIFORM, root="two")

    assert merged(*apart).n_missing == 2


def test_shards_of_one_host_are_whole_together_wherever_they_lie() -> None:
    shards = fact(CPU, root="one"), fact(CPU, problem=UNIFORM, root="two")

    assert merged(*shards).missing == {}


def test_what_a_backend_cannot_be_asked_is_not_missing() -> None:
    interpreter = dataclasses.replace(CPU, backend="stablehlo")

    result = merged(fact(CPU), fact(CPU, transform="jit"), fact(interpreter))

    assert result.missing == {}


def test_another_result_of_one_case_at_one_place_is_a_conflict_that_keeps_both() -> None:
    result = merged(fact(CPU, source="monday"), fact(CPU, ROUNDED, source="tuesday"))

    ((claims),) = (each.claims for each in result.conflicts)
    assert dict(claims) == {
        outcome_text(AS_ALWAYS): ("monday",),
        outcome_text(ROUNDED): ("tuesday",),
    }
    assert "same case and place, other results" in to_text(result)
    assert not result.is_clean


def test_one_result_judged_by_two_sets_of_goldens_is_a_conflict() -> None:
    old = fact(CPU, source="old", judgement=Judgement(status="passed", drift_class="identical"))
    new = fact(CPU, source="new", judgement=Judgement(status="failed", drift_class="law"))

    result = merged(old, new)

    assert "same bits, judged by other goldens, ledgers or policies" in to_text(result)
    assert "other results" not in to_text(result)
    assert "judged passed, identical says old" in to_text(result)
    assert "judged failed, law says new" in to_text(result)
    assert not result.is_clean


def test_a_recording_and_a_run_of_one_machine_agree() -> None:
    judged = fact(CPU, source="run", judgement=Judgement(status="passed"))

    assert merged(fact(CPU), judged).is_clean


def test_a_case_that_its_run_failed_is_named_with_what_the_run_said() -> None:
    judgement = Judgement(status="failed", drift_class="law", failed_checks="values oracle")

    result = merged(fact(CPU, judgement=judgement))

    line = "normal-float32-64-s0-cpu-eager at cpu: failed, values oracle, law"
    assert line in to_text(result)
    assert not result.is_clean


def test_places_are_named_by_what_tells_them_apart() -> None:
    old = dataclasses.replace(CPU, jax="0.11.2")

    names = place_names([CPU, AVX2, CUDA, old])

    assert names[old] == "cpu 0.11.2"
    assert names[CUDA] == "cuda"
    assert len(set(names.values())) == 4


def test_runs_that_differ_in_nothing_but_the_kernel_are_two_places_with_two_names() -> None:
    result = merged(fact(HASWELL), fact(KATMAI, ROUNDED))

    assert result.conflicts == ()
    assert "1 x cpu Haswell; cpu Katmai differs, rounding" in to_text(result)
    assert "  cpu Katmai: Katmai kernel\n" in to_text(result)


@pytest.mark.parametrize(
    ("name", "value", "called"),
    [
        ("lapack", "OpenBLAS 0.3.30", "cpu OpenBLAS 0.3.30"),
        ("lapack_threads", "1", "cpu 1 LAPACK threads"),
        ("libc", "glibc 2.43", "cpu glibc 2.43"),
        ("xla_isa", "sse4_2 avx", "cpu avx"),
    ],
)
def test_each_fact_that_changes_numbers_makes_a_place_with_a_name(
    name: str, value: str, called: str
) -> None:
    other = dataclasses.replace(HASWELL, **{name: value})

    names = place_names([HASWELL, other])

    assert names[other] == called
    assert names[HASWELL] != called


def test_shards_on_hosts_with_other_kernels_are_whole_together_beneath_one_folder() -> None:
    shards = fact(HASWELL, root="night"), fact(KATMAI, problem=UNIFORM, root="night")

    assert merged(*shards).missing == {}


def test_places_that_only_small_instruction_sets_tell_apart_have_two_names() -> None:
    other = dataclasses.replace(CPU, isa="avx512f")

    assert len(set(place_names([CPU, other]).values())) == 2


def test_markdown_stays_below_its_limit_and_says_what_it_left_out() -> None:
    facts = [fact(CPU, problem=dataclasses.replace(NORMAL, seed=seed)) for seed in range(1000)]

    text = to_markdown(merged(*facts, fact(CUDA)), max_bytes=4000)

    assert len(text.encode()) <= 4000
    assert "left out here; the JSON beside it has all" in text


def test_markdown_names_the_tables_that_do_not_fit_at_all() -> None:
    text = to_markdown(merged(fact(CPU), fact(CUDA)), max_bytes=250)

    dropped = "Too long to show here: Who agrees with whom, Places."
    assert len(text.encode()) <= 250
    assert text.endswith(f"\n{dropped} The JSON beside it has all.\n")


# --- Folders -------------------------------------------------------------------------------------


def environment_of(flags: str = "") -> Environment:
    return Environment(
        packages={"jax": "0.12.0.1"}, config={"XLA_FLAGS": flags}, host={}, devices={}
    )


def accepted(case_id: str) -> Outcome:
    """Return what the shipped goldens hold for a case."""
    entry = open_store(shipped()).entry(parse_case(case_id).problem.id)
    assert entry is not None
    return entry.outcome


def rounded(case_id: str) -> Outcome:
    """Return the shipped golden of a case with one element a representable value further."""
    right = accepted(case_id)
    assert isinstance(right, Returned)
    array = whole(right).copy()
    array.flat[3] = np.nextafter(array.flat[3], np.float32(9))
    return returned(array)


def recording(folder: Path, *ids: str, outcome: Outcome = AS_ALWAYS, flags: str = "") -> Path:
    """Write a recording in which every case returned the same, twice."""
    again = {"repeat_sha256": outcome.sha256} if isinstance(outcome, Returned) else {}
    entries = [
        Entry(
            id=key,
            shard=shard_name("normal", key.partition("-")[0]),
            outcome=outcome,
            extra={"device": "cpu", "mode": "executed", **again},
        )
        for key in ids
    ]
    provenance = {"environment": dataclasses.asdict(environment_of(flags))}
    write_store(folder, entries, kind=RECORDING, provenance=[provenance])
    return folder


def run_of(folder: Path, *ids: str, outcome: Outcome = AS_ALWAYS, finish: bool = True) -> Path:
    """Write a run in which every case passed, but for those that the machine failed."""
    recorder = RunRecorder(folder=folder, command="conformance run")
    for key in ids:
        observation = Observation(
            case=parse_case(key), outcome=outcome, repeat_sha256=None, device="cpu", elapsed_s=0.0
        )
        result = CaseResult(
            observation=observation,
            status=Status.PASSED,
            checks=(CheckResult(check="values", status=Status.PASSED),),
            drift=Drift(drift_class=DriftClass.IDENTICAL),
        )
        if machine_fault(outcome):
            result = unjudged(observation)
        place = rows.Place(environment=environment_of(), backend=observation.case.backend)
        recorder.add(row(result, place, run_id=recorder.run_id, rerun=""))
    if finish:
        recorder.finish(expected=ids, environment=environment_of())
    return recorder.folder


ONE, TWO = "normal-float32-64-s0-cpu-eager", "normal-float32-64-s1-cpu-eager"


def test_recordings_and_runs_are_found_at_any_depth(tmp_path: Path) -> None:
    recording(tmp_path / "artifacts" / "night" / "cpu", ONE)
    run_of(tmp_path / "artifacts" / "reports", TWO)

    sources = read_sources([tmp_path])

    assert sorted(each.case for each in sources.facts) == [ONE, TWO]
    assert len({each.place for each in sources.facts}) == 1
    assert sources.faults == ()


def test_a_folder_named_twice_counts_once(tmp_path: Path) -> None:
    folder = recording(tmp_path / "cpu", ONE)

    assert read_sources([folder, folder]) == read_sources([folder])


def test_forced_host_devices_do_not_make_another_place(tmp_path: Path) -> None:
    recording(tmp_path / "plain", ONE)
    recording(tmp_path / "forced", ONE, flags="--xla_force_host_platform_device_count=8")

    assert len({each.place for each in read_sources([tmp_path]).facts}) == 1


def test_another_instruction_set_makes_another_place(tmp_path: Path) -> None:
    recording(tmp_path / "plain", ONE)
    recording(tmp_path / "avx", ONE, flags="--xla_cpu_max_isa=AVX")

    assert len({each.place for each in read_sources([tmp_path]).facts}) == 2


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return facts that every host whose recording or run is read is said to have."""
    facts: dict[str, str] = {}

    def values(environment: Environment, backend: str) -> dict[str, Any]:
        return {**environment_values(environment, backend), **facts}

    monkeypatch.setattr("conformance.merge.sources.environment_values", values)
    return facts


def place_in(folder: Path) -> Place:
    (place,) = {each.place for each in read_sources([folder]).facts}
    return place


def test_a_recording_that_says_nothing_of_lapack_is_read_as_before(tmp_path: Path) -> None:
    place = place_in(recording(tmp_path, ONE))

    assert (place.lapack, place.lapack_kernel, place.libc, place.xla_isa) == ("", "", "", "")


def test_a_place_says_what_its_host_says_of_lapack_and_c_library(
    tmp_path: Path, hosts: dict[str, str]
) -> None:
    hosts |= {name: f"{name} of this host" for name in LATE_FACTS}

    place = place_in(recording(tmp_path, ONE))

    assert {name: getattr(place, name) for name in LATE_FACTS} == hosts


def test_a_variable_that_chose_a_kernel_is_said_by_the_kernel_alone(
    tmp_path: Path, hosts: dict[str, str]
) -> None:
    hosts["flags"] = "OMP_NUM_THREADS=1 OPENBLAS_CORETYPE=Prescott XLA_FLAGS=--xla_cpu_max_isa=AVX"
    folder = recording(tmp_path, ONE)
    unknown = place_in(folder)
    hosts |= {"lapack": "OpenBLAS", "lapack_kernel": "Katmai", "lapack_threads": "1"}

    assert unknown.flags == hosts["flags"]
    assert place_in(folder).flags == "XLA_FLAGS=--xla_cpu_max_isa=AVX"


def test_where_the_goldens_were_made_is_known_if_their_provenance_says_it(tmp_path: Path) -> None:
    place = golden_place(open_store(recording(tmp_path / "told", ONE)))

    assert place is not None
    assert (place.backend, place.jax) == ("cpu", "0.12.0.1")


def test_goldens_without_an_environment_were_made_nowhere_known(tmp_path: Path) -> None:
    folder = recording(tmp_path, ONE)
    (folder / "provenance.json").write_text("[]")

    assert golden_place(open_store(folder)) is None


def test_a_case_that_the_machine_failed_is_no_result(tmp_path: Path) -> None:
    lost = Raised(exception="XlaRuntimeError", message="RESOURCE_EXHAUSTED: out of memory")
    recording(tmp_path / "cpu", ONE, outcome=lost)

    sources = read_sources([tmp_path])

    assert sources.facts == frozenset()
    assert f"the machine failed {ONE} (raises XlaRuntimeError)" in sources.faults[0]


def test_an_unfinished_run_counts_but_is_said_to_be_unfinished(tmp_path: Path) -> None:
    run_of(tmp_path, ONE, finish=False)

    sources = read_sources([tmp_path])

    assert len(sources.facts) == 1
    assert "the run did not finish" in sources.faults[0]


def test_a_case_that_the_machine_failed_in_a_run_is_no_result(tmp_path: Path) -> None:
    lost = Raised(exception="XlaRuntimeError", message="RESOURCE_EXHAUSTED: out of memory")
    run_of(tmp_path, ONE, outcome=lost)

    sources = read_sources([tmp_path])

    assert sources.facts == frozenset()
    assert f"no result from {ONE}: the machine failed {ONE}" in sources.faults[0]


def test_an_unfinished_recording_is_named(tmp_path: Path) -> None:
    (tmp_path / "cpu.journal").write_text("{}\n")

    assert (
        "is an unfinished recording: go on with it by --resume"
        in read_sources([tmp_path]).faults[0]
    )


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    (fault,) = read_sources([tmp_path / "typo"]).faults

    assert "holds neither a recording (manifest.json) nor a run (rows.jsonl)" in fault


# --- Hostile recordings --------------------------------------------------------------------------


def change(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Edit the manifest, as somebody would who can also compute digests."""
    manifest = json.loads((folder / MANIFEST).read_text())
    edit(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))


def shard_in(folder: Path) -> Path:
    (path,) = folder.rglob("*.safetensors")
    return path


def escape(folder: Path) -> None:
    """Place the shard outside the recording."""
    outside = folder.parent / "outside.safetensors"
    shard_in(folder).rename(outside)

    def edit(manifest: dict[str, Any]) -> None:
        (described,) = manifest["shards"].values()
        manifest["shards"] = {"../outside.safetensors": described}
        for entry in manifest["entries"].values():
            entry["shard"] = "../outside.safetensors"

    change(folder, edit)


def grow_header(folder: Path) -> None:
    """Claim a header of 2^60 bytes, with a digest that agrees."""
    path = shard_in(folder)
    data = (2**60).to_bytes(8, "little") + path.read_bytes()[8:]
    path.write_bytes(data)

    def edit(manifest: dict[str, Any]) -> None:
        (described,) = manifest["shards"].values()
        described["sha256"] = hashlib.sha256(data).hexdigest()

    change(folder, edit)


def truncate(folder: Path) -> None:
    shard_in(folder).write_bytes(shard_in(folder).read_bytes()[:-7])


def truncate_manifest(folder: Path) -> None:
    (folder / MANIFEST).write_text((folder / MANIFEST).read_text()[:-40])


def forge(folder: Path) -> None:
    """Claim another machine's digest for bits that are one's own."""

    def edit(manifest: dict[str, Any]) -> None:
        manifest["entries"][ONE]["sha256"] = "0" * 64

    change(folder, edit)


def set_schema(folder: Path) -> None:
    change(folder, lambda manifest: manifest.update(schema=99))


def nest(folder: Path) -> None:
    (folder / MANIFEST).write_text("[" * 100_000)


def list_entries(folder: Path) -> None:
    change(folder, lambda manifest: manifest.update(entries=[]))


def set_stride(folder: Path) -> None:
    change(folder, lambda manifest: manifest["entries"][ONE].update(stride=0))


def set_shape(folder: Path) -> None:
    change(folder, lambda manifest: manifest["entries"][ONE].update(shape=[-8, -8]))


def rename_backend(folder: Path) -> None:
    """Name a backend that leads out of the golden set, where overlays are looked up by backend."""
    entries = {"normal-float32-64-s0-..-eager": {"shard": "", "raised": "E", "message": ""}}
    shard_in(folder).unlink()
    change(folder, lambda manifest: manifest.update(entries=entries, shards={}))


def link_shard(folder: Path) -> None:
    """Let the shard be whatever file the reader has."""
    path = shard_in(folder)
    path.rename(folder.parent / "elsewhere")
    path.symlink_to(folder.parent / "elsewhere")


def forget_environment(folder: Path) -> None:
    (folder / "provenance.json").write_text('{"environment": 1}')


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (escape, "lies outside"),
        (link_shard, "lies outside"),
        (grow_header, "is no safetensors file"),
        (truncate, "the manifest says"),
        (truncate_manifest, "manifest.json cannot be read"),
        (forge, "its array is another one than the digest says"),
        (set_schema, "has version 99 of the format `recording`, this release reads up to"),
        (nest, "manifest.json cannot be read"),
        (list_entries, "entries: [] is not an object"),
        (set_stride, "stride 0 of shape [64] describes no array"),
        (set_shape, "describes no array"),
        (rename_backend, "is no name, as cpu, cuda or tpu are"),
        (forget_environment, "is not a list"),
    ],
)
def test_a_hostile_recording_is_named_and_loses_nothing_else(
    spoil: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    recording(tmp_path / "good", TWO)
    spoil(recording(tmp_path / "hostile", ONE))

    sources = read_sources([tmp_path])

    assert [each.case for each in sources.facts] == [TWO]
    assert len(sources.faults) == 1
    assert message in sources.faults[0]
    assert str(tmp_path / "hostile") in sources.faults[0]


def test_rows_of_a_newer_schema_are_named_and_lose_nothing_else(tmp_path: Path) -> None:
    recording(tmp_path / "good", TWO)
    rows = run_of(tmp_path / "reports", ONE, finish=False) / "rows.jsonl"
    unsealed = re.sub(', "crc32": "[0-9a-f]+"', "", rows.read_text())
    rows.write_text(re.sub('"schema": [0-9]+', '"schema": 99', unsealed))

    sources = read_sources([tmp_path])

    assert [each.case for each in sources.facts] == [TWO]
    assert "a row has version 99 of the format `rows`" in sources.faults[0]


# --- The command ---------------------------------------------------------------------------------


def shard_of(text: str, root: str = "night") -> Fact:
    return dataclasses.replace(fact(CPU), asked=text, root=root)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["--tier quick --shard 1/2", "--tier quick --shard 2/2"], []),
        (["--tier quick --shard 1/3", "--tier quick --shard 3/3"], ["shard 2/3 of --tier quick"]),
        (["--tier quick"], []),
        ([""], []),
        (
            ["--tier quick --shard 1/2", "--tier full --shard 2/2"],
            ["shard 1/2 of --tier full", "shard 2/2 of --tier quick"],
        ),
    ],
)
def test_a_shard_that_is_not_there_is_named(texts: list[str], expected: list[str]) -> None:
    found = lost_shards(map(shard_of, texts))

    assert [re.findall(r"shard \S+ of --tier \w+", line)[0] for line in found] == expected


def test_shards_of_two_machines_do_not_stand_for_each_other() -> None:
    other = dataclasses.replace(CPU, device="another")
    there = dataclasses.replace(shard_of("--tier quick --shard 2/2"), place=other)

    assert len(lost_shards([shard_of("--tier quick --shard 1/2"), there])) == 2


@pytest.mark.parametrize(
    ("places", "lost"),
    [
        ([("one", 1, CPU), ("two", 2, CPU)], []),
        ([("one", 1, CPU), ("two", 1, CPU), ("two", 2, CPU)], ["one: shard 2/2"]),
        ([("one", 1, CPU), ("two", 2, AVX2)], ["one: shard 2/2", "two: shard 1/2"]),
    ],
)
def test_shards_of_one_host_are_one_run_unless_two_folders_hold_the_same(
    places: list[tuple[str, int, Place]], lost: list[str]
) -> None:
    facts = (
        dataclasses.replace(shard_of(f"--tier quick --shard {number}/2", root), place=place)
        for root, number, place in places
    )

    assert [line.partition(" of ")[0] for line in lost_shards(facts)] == lost


def test_a_lost_shard_is_no_passed_merge(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--initializer", "zeros", "--tier", "quick", "--backend", "cpu", "--shard", "1/2"]
    assert main(["run", *asked, "--in-process", "--reports", str(tmp_path / "in")]) == 0
    assert main(["record", *asked, "--in-process", "--out", str(tmp_path / "in" / "again")]) == 0

    assert main(["merge", str(tmp_path / "in")]) == 3
    printed = capsys.readouterr().out
    assert "shard 2/2 of --tier quick --backend cpu --initializer zeros on cpu" in printed
    assert "INCOMPLETE: 1 not readable" in printed


def judged(by: str, root: str) -> Fact:
    """Return a fact that a run judged by this."""
    made = fact(CPU, judgement=Judgement(status="passed", by=by))
    return dataclasses.replace(made, root=root)


def test_verdicts_by_different_rules_are_refused_unless_that_is_asked_for() -> None:
    old, new = judged("goldens 1", "monday"), judged("goldens 2", "tuesday")

    assert mixed([old, dataclasses.replace(new, judgement=old.judgement)]) == ""
    assert mixed([old, judged("", "before")]) == ""
    assert mixed([old, new]).startswith(
        "verdicts were given by different rules (goldens 1: monday; goldens 2: tuesday): "
    )


def test_a_run_under_another_policy_than_the_merge_gives_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = ["--reports", str(tmp_path / "in")]
    assert main(["run", ONE, "--in-process", "--max-drift", "identical", *reports]) == 0
    recording(tmp_path / "in" / "recorded", TWO, outcome=accepted(TWO))

    assert main(["merge", str(tmp_path / "in")]) == 3
    assert "different rules (goldens" in capsys.readouterr().out
    assert main(["merge", str(tmp_path / "in"), "--mixed"]) == 0


def test_a_recording_of_another_law_than_the_goldens_fails_at_one_place_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = accepted(ONE)
    assert isinstance(right, Returned)
    recording(tmp_path / "plain", ONE, outcome=returned(whole(right) * np.float32(1.5)))

    assert main(["merge", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "failed, values oracle, law" in printed, printed


def test_a_clean_merge_exits_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording(tmp_path / "plain", ONE, outcome=accepted(ONE))
    recording(tmp_path / "avx", ONE, flags="--xla_cpu_max_isa=AVX", outcome=rounded(ONE))

    assert main(["merge", str(tmp_path)]) == 0

    printed = capsys.readouterr().out
    assert "1 x cpu; cpu XLA_FLAGS=--xla_cpu_max_isa=AVX differs, rounding" in printed
    assert "PASSED: 2 results of 1 problem at 2 places" in printed


def test_a_merge_with_a_conflict_exits_with_1(tmp_path: Path) -> None:
    recording(tmp_path / "monday", ONE)
    recording(tmp_path / "tuesday", ONE, outcome=ROUNDED)

    assert main(["merge", str(tmp_path)]) == 1


def test_a_merge_that_lacks_a_source_exits_with_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording(tmp_path / "plain", ONE, outcome=accepted(ONE))

    assert main(["merge", str(tmp_path), str(tmp_path / "typo")]) == 3
    assert "INCOMPLETE: 1 not readable or unfinished" in capsys.readouterr().out


def test_a_tier_makes_absent_cases_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recording(tmp_path / "plain", ONE, outcome=accepted(ONE))

    assert main(["merge", str(tmp_path), "--tier", "quick"]) == 3
    assert "constant-bfloat16-5x4x8-s0-cpu-eager at cpu" in capsys.readouterr().out


def test_an_unknown_tier_is_a_wrong_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["merge", str(tmp_path), "--tier", "all"]) == 4
    assert "tier 'all' is unknown: choose from full, quick, standard" in capsys.readouterr().err


def test_files_are_written_beside_the_text(tmp_path: Path) -> None:
    recording(tmp_path / "in" / "plain", ONE, outcome=accepted(ONE))
    paths = [tmp_path / name for name in ("merge.json", "merge.md")]

    main(["merge", str(tmp_path / "in"), "--json", str(paths[0]), "--markdown", str(paths[1])])

    assert json.loads(paths[0].read_text())["is_clean"] is True
    assert paths[1].read_text().startswith("# PASSED")


# --- The page -------------------------------------------------------------------------------------


def test_the_page_says_where_most_is_missing() -> None:
    """Its first screen said how many, and neither where nor which."""
    found = dataclasses.replace(
        merged(fact(CPU), fact(CUDA)),
        missing={CPU: ("a", "b"), CUDA: ("c",)},
        faults=("x",) * 99,
    )
    name = place_names(found.places)[CPU]

    page = page_of(found, ExitCode.MISSING)

    assert page.sentence == f"2 of 3 missing are so at {name}, such as a"
    assert page.notes == ("x",) * N_FAULTS


def test_the_page_says_where_most_failed_whatever_is_missing() -> None:
    bad = tuple((case, CUDA, "wrong") for case in "abc")
    found = dataclasses.replace(
        merged(fact(CPU), fact(CUDA)),
        failed=(*bad, ("a", CPU, "wrong")),
        missing={CPU: ("d",)},
    )
    name = place_names(found.places)[CUDA]

    assert page_of(found, ExitCode.FAILED).sentence == f"3 of 4 failed at {name}"
    assert page_of(merged(fact(CPU), fact(CUDA)), ExitCode.OK).sentence == ""


def test_the_page_counts_a_case_once_that_failed_and_is_beyond_the_policy() -> None:
    """36 cases that failed by their stream were '72 of 72 failed', each listed twice."""
    found = dataclasses.replace(
        merged(fact(CPU), fact(CUDA)),
        failed=(("a", CUDA, "failed, values"), ("b", CUDA, "failed, oracle")),
        beyond=(("a", CUDA, "stream"),),
    )
    name = place_names(found.places)[CUDA]

    page = page_of(found, ExitCode.FAILED)

    assert page.sentence == f"2 of 2 failed at {name}"
    assert [(each.name, each.message) for each in page.failures] == [
        (f"a at {name}", "failed, values\nbeyond the policy: stream"),
        (f"b at {name}", "failed, oracle"),
    ]
