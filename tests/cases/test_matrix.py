"""Which cases a run is made of."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from conformance.cases.catalogue import Catalogue, InitializerSpec
from conformance.cases.planes import problems
from conformance.cases.selection import Selection, select, select_for_goldens
from conformance.core.errors import EmptySelection, SelectionError
from conformance.core.formats import DTYPES
from conformance.core.ids import SHARDED, Tier, format_shape
from conformance.core.laws import Normal


@pytest.fixture
def catalogue() -> Catalogue:
    catalogue = Catalogue()
    for name, tier in (("normal", Tier.QUICK), ("odd", Tier.STANDARD), ("rare", Tier.FULL)):
        catalogue.add(
            InitializerSpec(
                name=name,
                build=lambda: None,  # type: ignore[arg-type, return-value]  # never called here
                definition=Normal(stddev=1.0),
                family="normal",
                tier=tier,
            )
        )
    return catalogue


def test_the_list_is_the_same_every_time_and_without_doubles(catalogue: Catalogue) -> None:
    cases = select(catalogue, Selection(tier=Tier.FULL))

    assert cases == select(catalogue, Selection(tier=Tier.FULL))
    assert len({case.id for case in cases}) == len(cases)


def test_a_larger_tier_runs_all_of_a_smaller_one(catalogue: Catalogue) -> None:
    quick, standard, full = (set(select(catalogue, Selection(tier=tier))) for tier in Tier)

    assert quick < standard < full


def test_the_full_tier_asks_each_dtype_however_it_is_called(catalogue: Catalogue) -> None:
    cases = select(catalogue, Selection(tier=Tier.FULL))

    for transform in ("eager", "legacy_key", "jit", "vmap", "sharded", "x64"):
        asked = {case.problem.dtype for case in cases if case.transform == transform}
        assert asked == set(DTYPES), transform


def test_the_full_tier_compiles_each_initializer_in_a_layout_that_is_not_the_default(
    catalogue: Catalogue,
) -> None:
    cases = select(catalogue, Selection(tier=Tier.FULL))
    nonpartitionable = [c for c in cases if c.problem.prng.endswith("_nonpartitionable")]

    for transform in ("jit", "sharded_uneven"):
        asked = {c.problem.initializer for c in nonpartitionable if c.transform == transform}
        assert asked == {spec.name for spec in catalogue}


@pytest.mark.parametrize("transform", ["jit", "sharded", "legacy_key", "vmap_last"])
def test_the_full_tier_calls_what_no_oracle_follows_in_several_ways(
    transform: str, catalogue: Catalogue
) -> None:
    cases = select(catalogue, Selection(tier=Tier.FULL))

    asked = {case.problem.prng for case in cases if case.transform == transform}
    assert {"rbg", "unsafe_rbg"} <= asked


def test_a_tier_runs_only_specs_of_its_rank(catalogue: Catalogue) -> None:
    names = {case.problem.initializer for case in select(catalogue, Selection())}

    assert names == {"normal", "odd"}


def test_an_absent_backend_does_not_shrink_the_list(catalogue: Catalogue) -> None:
    """The list must not depend on devices: what is absent has to fail, not to vanish."""
    one = select(catalogue, Selection(backends=("cpu",)))
    two = select(catalogue, Selection(backends=("cpu", "no_such_device")))

    over_devices = [case for case in one if case.transform in SHARDED]  # of forced host devices
    assert len(two) == 2 * len(one) - len(over_devices)


def test_only_backends_whose_devices_can_be_forced_are_sharded_over(catalogue: Catalogue) -> None:
    cases = select(catalogue, Selection(backends=("cpu", "cuda"), tier=Tier.FULL))

    assert {case.backend for case in cases if case.transform == "sharded"} == {"cpu"}


def test_cases_stand_by_group_and_there_as_they_compare(catalogue: Catalogue) -> None:
    """Of all kinds of keys: of seeds, of words, and of children."""
    keys = ("s1.split3at1", "s1.fold5", "s1.fold4", "k000000010000abcd")
    selection = Selection(tier=Tier.FULL, seeds=(1, 0), keys=keys)

    cases = select(catalogue, selection)

    assert {case.problem.key.text for case in cases} == {"s0", "s1", *keys}
    assert cases == sorted(cases, key=lambda case: (case.group, case))


def test_shards_partition_the_cases_by_whole_groups(catalogue: Catalogue) -> None:
    whole = select(catalogue, Selection())
    parts = [select(catalogue, Selection(shard=(i, 3))) for i in (1, 2, 3)]
    groups = [{case.group for case in part} for part in parts]

    assert sorted(itertools.chain(*parts)) == sorted(whole)
    assert sum(map(len, groups)) == len(set().union(*groups))


def test_every_axis_narrows(catalogue: Catalogue) -> None:
    cases = select(
        catalogue,
        Selection(
            initializers=("norm*",),
            dtypes=("bfloat16",),
            shapes=("64x32",),
            seeds=(0,),
            transforms=("eager",),
        ),
    )

    assert [case.id for case in cases] == ["normal-bfloat16-64x32-s0-cpu-eager"]


def test_cases_are_taken_by_id_whatever_their_tier(catalogue: Catalogue) -> None:
    text = "rare-float64-7x5-s3-cpu-jit"

    cases = select(catalogue, Selection(cases=(text,)))

    assert [case.id for case in cases] == [text]


def test_goldens_of_a_tier_are_asked_for_once_a_problem(catalogue: Catalogue) -> None:
    asked = problems(catalogue, Tier.FULL)
    cases = select_for_goldens(catalogue, Selection(tier=Tier.FULL))

    assert asked == sorted({case.problem for case in cases})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"initializers": ("nomral",)}, "'nomral' is unknown: did you mean normal"),
        ({"dtypes": ("float31",)}, "'float31' is unknown: did you mean float32"),
        ({"shapes": ("63*32",)}, r"shape '63\*32' is not understood: write sizes joined by 'x'"),
        ({"prngs": ("rgb",)}, "'rgb' is unknown: did you mean rbg"),
        ({"transforms": ("jti",)}, "'jti' is unknown: did you mean jit"),
        ({"keys": ("s7.fold",)}, "'fold' in key 's7.fold' is not understood: write fold5"),
        ({"keys": ("k000000010000abcd",), "prngs": ("rbg",)}, "has 2 words, and one of rbg has 4"),
        ({"shard": (4, 3)}, "shard 4/3 does not exist"),
        (
            {"backends": ("cuda-emulated",), "tier": Tier.FULL, "dtypes": ("complex64",)},
            "dtype 'complex64' cannot be asked of backend 'cuda-emulated': .* no functions",
        ),
        ({"cases": ("normal-float32-64-s0-cpu-eager",), "dtypes": ("float32",)}, "contradict"),
        ({"cases": ("nomral-float32-64-s0-cpu-eager",)}, "did you mean normal"),
    ],
)
def test_a_wrong_selection_is_refused_with_the_way_out(
    catalogue: Catalogue, fields: dict[str, object], message: str
) -> None:
    selection = dataclasses.replace(Selection(), **fields)  # type: ignore[arg-type]  # by design

    with pytest.raises(SelectionError, match=message):
        select(catalogue, selection)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"shapes": ("63x31",)}, "normal-float32-63x31-s0-cpu-eager"),
        ({"seeds": (5,)}, "normal-float32-64x32-s5-cpu-eager"),
        ({"seeds": (0, 5)}, "normal-float32-64x32-s5-cpu-eager"),
        ({"seeds": (0, 1234567)}, "normal-float32-64x32-s1234567-cpu-eager"),
        ({"keys": ("s7.fold5",)}, "normal-float32-64x32-s7.fold5-cpu-eager"),
        ({"keys": ("s0", "k000000010000abcd")}, "normal-float32-64x32-k000000010000abcd-cpu-eager"),
        ({"seeds": (0,), "keys": ("s0.split2at1",)}, "normal-float32-64x32-s0.split2at1-cpu-eager"),
        ({"prngs": ("rbg",)}, "normal-float32-64x32-s0-rbg-cpu-eager"),
        ({"transforms": ("jit",)}, "normal-float32-64x32-s0-cpu-jit"),
        ({"dtypes": ("float64",)}, "normal-float64-64x32-s0-cpu-eager"),
        ({"dtypes": ("float64",), "shapes": ("4x256",)}, "normal-float64-4x256-s0-cpu-eager"),
        ({"seeds": (42,), "shapes": ("1024x1024",)}, "normal-bfloat16-1024x1024-s42-cpu-eager"),
        ({"shapes": ("64x32", "63x31")}, "normal-float32-63x31-s0-cpu-eager"),
        ({"prngs": ("threefry2x32", "rbg")}, "normal-float32-64x32-s0-rbg-cpu-eager"),
        ({"transforms": ("eager", "jit")}, "normal-float32-64x32-s0-cpu-jit"),
        ({"dtypes": ("float32", "float64")}, "normal-float64-64x32-s0-cpu-eager"),
    ],
)
def test_what_a_tier_does_not_run_is_run_where_it_is_named(
    catalogue: Catalogue, fields: dict[str, object], expected: str
) -> None:
    selection = dataclasses.replace(Selection(initializers=("normal",)), **fields)  # type: ignore[arg-type]  # by design
    cases = select(catalogue, selection)
    named = {value for values in fields.values() for value in values}  # type: ignore[attr-defined]  # by design

    assert expected in {case.id for case in cases}
    axes = ("dtype", "seed", "prng")
    seen = {getattr(case.problem, axis) for case in cases for axis in axes}
    seen |= {case.transform for case in cases} | {case.problem.key.text for case in cases}
    seen |= {format_shape(case.problem.shape) for case in cases}
    assert named <= seen


def test_the_cases_of_a_tier_are_there_beside_others(catalogue: Catalogue) -> None:
    both = select(catalogue, Selection(initializers=("normal",), seeds=(0, 5)))
    usual = select(catalogue, Selection(initializers=("normal",), seeds=(0,)))

    assert set(usual) < set(both)


def test_a_selection_without_a_case_is_refused(catalogue: Catalogue) -> None:
    with pytest.raises(EmptySelection, match="--tier quick --backend cpu --initializer odd"):
        select(catalogue, Selection(initializers=("odd",), tier=Tier.QUICK))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"initializers": ("normal", "odd"), "tier": Tier.QUICK}, "has initializer odd together"),
        ({"transforms": ("sharded",), "backends": ("cpu", "cuda")}, "has backend cuda together"),
    ],
)
def test_a_value_that_would_vanish_beside_the_others_is_refused(
    catalogue: Catalogue, fields: dict[str, object], message: str
) -> None:
    selection = dataclasses.replace(Selection(tier=Tier.FULL), **fields)  # type: ignore[arg-type]  # by design

    with pytest.raises(SelectionError, match=message):
        select(catalogue, selection)
