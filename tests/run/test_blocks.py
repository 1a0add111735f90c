"""A block of seeds comes to the rows that its cases come to one by one, right or wrong."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from conformance.cases.builtin import load_catalogue
from conformance.cases.catalogue import Catalogue, Initializer
from conformance.cases.selection import Selection, blocks
from conformance.core.arrays import returned, whole
from conformance.core.ids import (
    TRANSFORMS,
    Block,
    Case,
    Problem,
    Tier,
    format_shape,
    parse_unit,
)
from conformance.core.laws import Definition, expected_error
from conformance.core.records import COMPILED, IN_BLOCK, Entry, Raised, Returned
from conformance.judge.block import is_judged_at_once
from conformance.observe.backends import pjrt, transforms
from conformance.observe.observer import Draws, Observer
from conformance.observe.worker import Lost
from conformance.report import lots
from conformance.report.lots import Lots
from conformance.report.rows import Row
from conformance.run.blocks import block_verdicts
from conformance.run.isolated import Isolated
from conformance.run.options import Options, nothing_given
from conformance.run.session import Session, Verdict
from conformance.store.stack import Stack
from conformance.suite.faults import FAULTS, Fault

N_SEEDS = 5


def catalogue_of(base: str, build: Any) -> Catalogue:
    spec = load_catalogue().lookup(base)
    catalogue = Catalogue()
    catalogue.add(dataclasses.replace(spec, build=lambda: build(spec.build())))
    return catalogue


def session_of(
    base: str = "lecun_normal",
    *,
    build: Any = lambda right: right,
    catalogue: Catalogue | None = None,
    **asked: Any,
) -> Session:
    """Return a session that asks each case once, be it for its block or by itself."""
    values = {
        "initializers": (base,),
        "dtypes": ("float32",),
        "shapes": ("64x32",),
        "backends": ("cpu",),
        "ranges": (range(100, 100 + N_SEEDS),),
        **asked,
    }
    session = Session(Options(asked=Selection(**values)), "run")
    session.__dict__["catalogue"] = catalogue or catalogue_of(base, build)
    rules = dataclasses.replace(shared().bench, specs=session.catalogue.by_name())
    session.__dict__.update(goldens=goldens(), bench=rules, environment=shared().environment)
    session.observer = Observer([processor()])
    if not {*COMPILED} & {*session.options.asked.transforms}:  # of those, ends share a program
        session.__dict__["verdict"] = functools.cache(session.verdict)
    return session


@functools.cache
def shared() -> Session:
    """Return a session by whose goldens and rules all judge: they are read once."""
    return Session(Options(asked=Selection(cases=("zeros-float32-7-s0-cpu-eager",))), "run")


def goldens() -> Stack:
    return shared().goldens


@functools.cache
def processor() -> pjrt.PjrtBackend:
    """Return a backend that keeps keys and stages for all: they are made once."""
    return pjrt.PjrtBackend("cpu")


def rows_in_blocks(session: Session) -> list[Row]:
    return list(_rows(session))


def _rows(session: Session) -> Iterator[Row]:
    for block in session.blocks:
        for found in block_verdicts(session, block):
            if isinstance(found, Lots):
                yield from lots.rows_of([lots.read(lots.told(found))])
            else:
                assert found.row is not None, found.reason
                yield found.row


def rows_one_by_one(session: Session) -> list[Row]:
    rows = [session.verdict(case).row for block in session.blocks for case in block.cases()]
    return [row for row in rows if row is not None]


def comparable(rows: list[Row]) -> list[Row]:
    same = (dataclasses.replace(row, recorded_at="", elapsed_s=0.0, mode="") for row in rows)
    return sorted(same, key=lambda row: row.case)


def n_at_once(rows: list[Row]) -> int:
    return sum(row.mode == IN_BLOCK for row in rows)


@pytest.mark.parametrize(
    ("transform", "dtype"),
    [
        *itertools.product(
            ["eager", "legacy_key"], ["float32", "bfloat16", "float64", "complex64"]
        ),
        # Of all transforms in float32: see below.
        ("jit", "bfloat16"),
        ("jit", "float64"),
        ("vmap", "complex64"),
    ],
)
def test_right_cases_have_the_rows_of_their_own_calls(transform: str, dtype: str) -> None:
    session = session_of("normal", dtypes=(dtype,), transforms=(transform,), shapes=("16x8",))
    found = rows_in_blocks(session)

    assert n_at_once(found) == N_SEEDS - 2
    assert comparable(found) == comparable(rows_one_by_one(session))


BUT_ONE = sorted({*TRANSFORMS} - {"thousand_calls"})
OF_MATRICES = sorted({*BUT_ONE} - {"sharded_uneven", "vmap_first", "vmap_last"})
"""Those that are left out spread, or pick, what others of them do."""


@pytest.mark.parametrize(
    ("base", "shape", "transform"),
    [
        *(("lecun_uniform", "16x7", transform) for transform in BUT_ONE),
        *(("orthogonal", "8x4", transform) for transform in OF_MATRICES),
    ],
)
def test_each_transform_has_the_rows_of_its_own_calls(
    base: str, shape: str, transform: str
) -> None:
    """Of matrices normals are drawn beside, which no transform changes."""
    session = session_of(base, transforms=(transform,), shapes=(shape,))
    found = rows_in_blocks(session)

    assert n_at_once(found) == N_SEEDS - 2
    assert comparable(found) == comparable(rows_one_by_one(session))


def test_thousands_of_calls_are_of_all_seeds() -> None:
    session = session_of("zeros", transforms=("thousand_calls",), shapes=("7",))
    found = rows_in_blocks(session)

    assert n_at_once(found) == N_SEEDS - 2
    assert comparable(found) == comparable(rows_one_by_one(session))


LIMITED = [
    ("constant_negative", "float8_e8m0fnu", "7", {"float8-e8m0fnu-constants"}),
    ("normal", "float8_e8m0fnu", "16x8", {"float8-e8m0fnu-draws"}),
    ("normal_large", "float8_e4m3", "16x8", {"float8-overflow"}),
    ("uniform_large", "float8_e3m4", "16x8", {"float8-overflow-of-uniforms"}),
    ("lecun_normal", "float8_e4m3fn", "16x8", {"float8-truncated-normal-without-infinity"}),
    (
        *("truncated_normal_tail", "float8_e4m3fnuz", "16x8"),
        {"float8-truncated-normal-tail-without-infinity"},
    ),
    ("he_normal", "complex64", "16x8", {"complex-truncated-normal-variance"}),
    (
        "scaling_fan_avg_truncated_normal",
        "complex128",
        "8x8",
        {"complex-truncated-normal-variance"},
    ),
    (
        "truncated_normal_positive",
        "bfloat16",
        "64x32",
        {"truncated-normal-reaches-zero-drawn", None},
    ),
    ("orthogonal", "bfloat16", "8x4", {"orthogonal-low-precision"}),
    ("delta_orthogonal", "float8_e5m2", "3x4x8", {"orthogonal-float8"}),
]


@pytest.mark.parametrize(("base", "dtype", "shape", "names"), LIMITED)
def test_limited_cases_have_the_rows_of_their_own_calls(
    base: str, dtype: str, shape: str, names: set[str | None]
) -> None:
    """All of them but the ends, and the first of each other kind that turns up among them."""
    session = session_of(base, dtypes=(dtype,), shapes=(shape,), tier=Tier.FULL)
    [block] = session.blocks
    *apart, together = block_verdicts(session, block)
    assert isinstance(together, Lots)
    found = [*lots.rows_of([together])]

    assert apart == []
    assert len(together.lots) < len(found)
    assert n_at_once(found) == N_SEEDS - 2
    assert {row.limitation for row in found} <= names
    assert all(row.limitation for row in found if row.status == "limited")
    assert {row.status for row in found} <= {"passed", "limited"}
    assert comparable(found) == comparable(rows_one_by_one(session))


def test_a_documented_refusal_passes_at_once() -> None:
    session = session_of("orthogonal", shapes=("8",))
    found = rows_in_blocks(session)

    assert {row.outcome for row in found} == {"raises ValueError"}
    assert n_at_once(found) == N_SEEDS - 2
    assert comparable(found) == comparable(rows_one_by_one(session))


def test_a_seed_that_is_refused_otherwise_than_the_ends_are_goes_one_by_one() -> None:
    def build(_: Initializer) -> Initializer:
        def initializer(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
            import jax

            seed = int(jax.random.key_data(key)[-1])
            raise ValueError(shape) if seed == 102 else TypeError(dtype)

        return initializer

    session = session_of("orthogonal", build=build, dtypes=("bfloat16",), shapes=("8x4",))
    found = rows_in_blocks(session)

    assert n_at_once(found) == 0
    assert [row.seed for row in found if row.status == "failed"] == [102]
    assert comparable(found) == comparable(rows_one_by_one(session))


def test_a_seed_whose_figure_is_not_the_ledger_s_fails_alone() -> None:
    """Its variance is too large by two hundredths more than that which is announced."""
    wrong = wrong_for(102, lambda array: array * 1.0002)
    session = session_of("he_normal", build=wrong, dtypes=("complex64",), shapes=("16x8",))
    found = rows_in_blocks(session)

    assert [row.seed for row in found if row.failed_checks == "ledger"] == [102]
    assert comparable(found) == comparable(rows_one_by_one(session))


def test_a_golden_of_an_exception_is_compared_with_it() -> None:
    session = session_of("orthogonal", dtypes=("bfloat16",), shapes=("64x32",), ranges=(range(4),))
    found = rows_in_blocks(session)

    assert "identical" in {row.drift_class for row in found}
    assert comparable(found) == comparable(rows_one_by_one(session))


@pytest.mark.parametrize("base", ["normal_1", "uniform_1", "truncated_normal_1", "zeros", "ones"])
def test_each_law_is_judged_at_once(base: str) -> None:
    session = session_of(base, dtypes=("float16",), shapes=("7",))
    found = rows_in_blocks(session)

    assert n_at_once(found) == N_SEEDS - 2
    assert comparable(found) == comparable(rows_one_by_one(session))


@pytest.mark.parametrize(
    ("base", "shape", "dtypes"),
    [
        ("orthogonal", "8x4", ["float32", "float64", "complex64", "complex128"]),
        ("orthogonal_scaled", "4x2x4", ["float32", "complex64"]),
        ("orthogonal_column0", "4x8", ["float64", "complex128"]),
        ("delta_orthogonal", "3x4x8", ["float32", "complex64"]),
        ("delta_orthogonal_scaled", "3x3x4x8", ["float64"]),
        # A square one alone tells along which axis its columns lie.
        ("delta_orthogonal_column0", "3x8x8", ["complex64"]),
    ],
)
def test_matrices_have_the_rows_of_their_own_calls(
    base: str, shape: str, dtypes: list[str]
) -> None:
    """Kinds differ in shape and scale, dtypes in roundings and phases: neither asks the other."""
    session = session_of(base, dtypes=tuple(dtypes), shapes=(shape,), tier=Tier.FULL)
    found = rows_in_blocks(session)

    assert n_at_once(found) == (N_SEEDS - 2) * len(dtypes)
    assert comparable(found) == comparable(rows_one_by_one(session))


@pytest.mark.parametrize(("base", "is_drawn"), [("orthogonal", True), ("lecun_normal", False)])
def test_normals_are_drawn_for_matrices_alone(base: str, is_drawn: bool) -> None:
    session = session_of(base, shapes=("8x4",))
    [block] = session.blocks

    draws = session.observer.observe_many(block, session.bench.specs[base])

    assert isinstance(draws, Draws)
    assert (draws.normals is not None) == is_drawn


def test_what_no_oracle_tells_goes_one_by_one() -> None:
    session = session_of(prngs=("rbg",), shapes=("3x2",), ranges=(range(100, 103),))
    found = rows_in_blocks(session)

    assert n_at_once(found) == 0
    assert comparable(found) == comparable(rows_one_by_one(session))


@pytest.mark.parametrize(
    ("base", "dtype", "other", "drift"),
    [
        ("lecun_normal", "float32", lambda found: _one_step_off(found), "rounding"),
        ("orthogonal", "bfloat16", lambda _: Raised(exception="OSError", message=""), "contract"),
    ],
)
def test_a_seed_that_is_not_as_its_golden_goes_alone(
    base: str, dtype: str, other: Any, drift: str
) -> None:
    class Altered:
        """Goldens of which that of seed 1 is another."""

        def golden(self, problem_id: str, backend: str, release: str = "") -> Entry | None:
            entry = goldens().golden(problem_id, backend, release)
            if entry is None or not problem_id.endswith("-s1"):
                return entry
            return dataclasses.replace(entry, outcome=other(entry.outcome))

    session = session_of(base, dtypes=(dtype,), ranges=(range(3),))
    session.__dict__["bench"] = dataclasses.replace(session.bench, goldens=Altered())
    found = rows_in_blocks(session)

    assert [row.drift_class for row in found if row.seed == 1] == [drift]
    assert comparable(found) == comparable(rows_one_by_one(session))


def test_a_golden_that_a_tier_holds_and_the_set_does_not_fails_alone() -> None:
    class Lacking:
        """Goldens without that of seed 1."""

        def golden(self, problem_id: str, backend: str, release: str = "") -> Entry | None:
            if problem_id.endswith("-s1"):
                return None
            return goldens().golden(problem_id, backend, release)

    session = session_of(ranges=(range(7),))
    session.__dict__["bench"] = dataclasses.replace(session.bench, goldens=Lacking())
    found = rows_in_blocks(session)

    assert [row.seed for row in found if row.status == "failed"] == [1]
    assert n_at_once(found) == 4
    assert comparable(found) == comparable(rows_one_by_one(session))


def test_each_seed_names_the_overlay_that_its_own_golden_came_from() -> None:
    class Overlaid:
        """Goldens of which an overlay holds that of seed 1, as it was."""

        def golden(self, problem_id: str, backend: str, release: str = "") -> Entry | None:
            entry = goldens().golden(problem_id, backend, release)
            if entry is None or not problem_id.endswith("-s1"):
                return entry
            return dataclasses.replace(entry, overlay="other")

    session = session_of(ranges=(range(3),))
    session.__dict__["bench"] = dataclasses.replace(session.bench, goldens=Overlaid())
    found = rows_in_blocks(session)

    assert {row.seed: row.golden_from or "" for row in found} == {0: "", 1: "other", 2: ""}
    assert comparable(found) == comparable(rows_one_by_one(session))


def _one_step_off(outcome: Returned) -> Returned:
    words = whole(outcome).copy()
    words.view(np.int32)[0, 0] += 1
    return returned(words)


def one_of_each_kind() -> list[Fault]:
    """Return a fault for each check and dtype that catches one."""
    kinds = {(fault.caught_by, fault.dtype, fault.drift): fault for fault in FAULTS}
    return [fault for fault in kinds.values() if np.prod(fault.shape) <= 4096]


def planted(fault: Fault) -> Session:
    base = load_catalogue().lookup(fault.base)
    catalogue = Catalogue()
    catalogue.add(
        dataclasses.replace(
            base, build=lambda: fault.build(base.build()), definition=definition_of(fault)
        )
    )
    return session_of(
        fault.base,
        catalogue=catalogue,
        dtypes=(fault.dtype,),
        shapes=(format_shape(fault.shape),),
        prngs=(fault.prng,),
        transforms=(fault.transform,),
        ranges=(range(100, 103),),
    )


def definition_of(fault: Fault) -> Definition | None:
    base = load_catalogue().lookup(fault.base)
    return None if fault.is_undefined else fault.definition or base.definition


def is_followed(fault: Fault) -> bool:
    """Return whether an oracle says what every element must be."""
    problem = Problem(
        initializer=fault.base, dtype=fault.dtype, shape=fault.shape, seed=100, prng=fault.prng
    )
    return is_judged_at_once(definition_of(fault), problem)


def must_raise(fault: Fault) -> bool:
    definition = definition_of(fault)
    return definition is not None and bool(expected_error(definition, fault.shape, fault.dtype))


FOLLOWED, OTHERS = (
    [fault for fault in one_of_each_kind() if (is_followed(fault) or must_raise(fault)) == is_told]
    for is_told in (True, False)
)


@pytest.mark.parametrize("fault", FOLLOWED, ids=lambda fault: fault.name)
def test_a_planted_fault_has_the_rows_of_its_own_calls(fault: Fault) -> None:
    session = planted(fault)
    found = rows_in_blocks(session)

    assert comparable(found) == comparable(rows_one_by_one(session))
    assert n_at_once(found) == 0


@pytest.mark.parametrize("fault", OTHERS, ids=lambda fault: fault.name)
def test_where_no_oracle_tells_right_from_wrong_each_seed_is_judged_by_itself(
    fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if all of them pass, and without a draw for all at once."""
    session, judged = planted(fault), list[Case]()
    monkeypatch.setattr(session.observer, "observe_many", None)

    def verdict(case: Case) -> Verdict:
        judged.append(case)
        return Verdict(case=case, row=dataclasses.replace(passed(), case=case.id))

    session.__dict__["verdict"] = verdict
    [block] = session.blocks
    [_] = block_verdicts(session, block)

    assert sorted(judged, key=lambda case: case.id) == list(block.cases())


@functools.cache
def passed() -> Row:
    """Return a row of which nothing is said that a whole block could not have."""
    [case] = shared().cases
    row = shared().verdict(case).row
    assert row is not None
    return row


def wrong_for(seed: int, wrong: Any) -> Any:
    """Return a build whose initializer is wrong for one seed, under vmap as by itself."""

    def build(right: Initializer) -> Initializer:
        import jax

        @jax.jit  # a program in all, not one for each operation
        def changed(key: Any, array: Any) -> Any:
            return jax.numpy.where(jax.random.key_data(key)[-1] == seed, wrong(array), array)

        return lambda key, shape, dtype: changed(key, right(key, shape, dtype))

    return build


@pytest.mark.parametrize(
    "wrong",
    [
        lambda array: array * 1.01,
        lambda array: array.at[3, 5].set(float("nan")),
        lambda array: array.at[3, 5].add(0.5),
        lambda array: array[::-1],
        lambda array: array * 0,
    ],
    ids=["scaled", "nan", "one element", "reversed", "zero"],
)
def test_one_seed_that_is_wrong_fails_alone(wrong: Any) -> None:
    session = session_of(build=wrong_for(102, wrong))
    found = rows_in_blocks(session)

    assert [row.seed for row in found if row.status == "failed"] == [102]
    assert n_at_once(found) == N_SEEDS - 3
    assert comparable(found) == comparable(rows_one_by_one(session))


@pytest.mark.parametrize(
    ("base", "dtype", "shape", "wrong"),
    [
        ("orthogonal", "float32", "8x4", lambda array: array[:, ::-1]),
        ("orthogonal", "float64", "8x4", lambda array: array.at[0, 3].multiply(1.01)),
        ("orthogonal", "complex64", "8x4", lambda array: array.conj()),
        ("orthogonal_scaled", "float32", "4x8", lambda array: -array),
        ("orthogonal_column0", "complex128", "4x8", lambda array: array * 1.0001),
        ("delta_orthogonal", "float32", "3x4x8", lambda array: array.at[0, 1, 1].set(1e-30)),
        ("delta_orthogonal", "float64", "3x4x8", lambda array: array.at[1, 1, 1].set(0)),
        ("normal", "complex64", "16x8", lambda array: array.conj()),
        ("he_uniform", "complex128", "16x8", lambda array: array.at[3, 5].set(float("nan"))),
        ("he_normal", "complex64", "16x8", lambda array: array[::-1]),
        ("uniform", "float8_e5m2", "16x8", lambda array: abs(array) * -1),
        ("uniform", "bfloat16", "64x32", lambda array: array * (1 - 2 * (array == 0))),
        ("zeros", "complex64", "7", lambda array: array.at[3].set(-0.0)),
        ("normal_large", "float8_e4m3", "16x8", lambda array: array[::-1]),
    ],
)
def test_one_wrong_seed_of_any_kind_fails_alone(
    base: str, dtype: str, shape: str, wrong: Any
) -> None:
    session = session_of(
        base, build=wrong_for(102, wrong), dtypes=(dtype,), shapes=(shape,), tier=Tier.FULL
    )
    found = rows_in_blocks(session)

    assert [row.seed for row in found if row.status == "failed"] == [102]
    assert n_at_once(found) >= N_SEEDS - 4
    assert comparable(found) == comparable(rows_one_by_one(session))


@pytest.mark.parametrize(
    ("base", "dtype", "wrong"),
    [
        ("lecun_normal", "float8_e4m3fn", lambda array: array.at[0, 0].set(0)),
        ("normal", "float8_e8m0fnu", lambda array: array.at[0, 0].set(1)),
        ("normal_large", "float8_e4m3", lambda array: array.at[0, 0].set(1)),
    ],
)
def test_what_else_is_wrong_of_a_limited_seed_is_told_as_of_its_own_call(
    base: str, dtype: str, wrong: Any
) -> None:
    session = session_of(
        base, build=wrong_for(102, wrong), dtypes=(dtype,), shapes=("16x8",), tier=Tier.FULL
    )

    assert comparable(rows_in_blocks(session)) == comparable(rows_one_by_one(session))


def test_settings_that_compiling_changes_are_told_of_each_block() -> None:
    """What was compiled for the first block is not kept: the second would change nothing."""

    def build(right: Initializer) -> Initializer:
        def initializer(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
            import jax

            config: Any = jax.config
            config.update("jax_default_matmul_precision", "highest")
            return right(key, shape, dtype)

        return initializer

    ranges = (range(3), range(10, 13))
    session = session_of(build=build, transforms=("jit",), shapes=("3x2",), ranges=ranges)
    found = rows_in_blocks(session)

    assert {row.failed_checks for row in found} == {"contract"}
    assert len(found) == 6


def test_an_initializer_that_cannot_be_mapped_goes_one_by_one() -> None:
    def build(right: Initializer) -> Initializer:
        def initializer(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
            import jax

            if int(jax.random.key_data(key)[-1]) == 102:  # no tracer is an integer
                return right(key, shape, dtype) * 2
            return right(key, shape, dtype)

        return initializer

    found = rows_in_blocks(session_of(build=build))

    assert n_at_once(found) == 0
    assert [row.seed for row in found if row.status == "failed"] == [102]


def test_a_block_that_draws_otherwise_than_single_calls_is_not_believed() -> None:
    def build(right: Initializer) -> Initializer:
        def initializer(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
            import jax

            array = right(key, shape, dtype)
            is_alone = not isinstance(array, jax.core.Tracer)
            return array * 2 if is_alone else array

        return initializer

    found = rows_in_blocks(session_of(build=build))

    assert n_at_once(found) == 0
    assert {row.status for row in found} == {"failed"}


@pytest.mark.parametrize("n_before", [0, 1])
def test_an_array_that_is_not_repeated_fails_alone(n_before: int) -> None:
    """Whether the first of two calls is the wrong one or the second."""
    calls = [0] * n_before

    def build(right: Initializer) -> Initializer:
        def initializer(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
            import jax

            calls.append(1)
            seed = jax.random.key_data(key)[-1]
            factor = 1 + 0.01 * (len(calls) % 2)
            array = right(key, shape, dtype)
            return jax.numpy.where(seed == 102, array * factor, array)

        return initializer

    found = rows_in_blocks(session_of(build=build))

    assert [row.seed for row in found if "repeatable" in row.failed_checks] == [102]


def test_a_range_is_cut_into_blocks_of_one_program() -> None:
    asked = Selection(
        initializers=("zeros", "ones"), dtypes=("float32",), shapes=("7",), ranges=(range(450),)
    )
    found = blocks(load_catalogue(), asked)

    assert [each.id for each in found] == [
        f"{name}-float32-7-s{first}:{stop}-cpu-eager"
        for name in ("ones", "zeros")
        for first, stop in ((0, 200), (200, 400), (400, 450))
    ]
    assert all(parse_unit(each.id) == each for each in found)


def test_large_arrays_make_small_blocks() -> None:
    asked = Selection(
        initializers=("zeros",), dtypes=("float32",), shapes=("1024x1024",), ranges=(range(3),)
    )
    assert [len(each.seeds) for each in blocks(load_catalogue(), asked)] == [1, 1, 1]


def ids(**asked: Any) -> list[str]:
    values = {"initializers": ("zeros",), "dtypes": ("float32",), "shapes": ("7",), **asked}
    return [each.id for each in blocks(load_catalogue(), Selection(**values))]


def test_shards_share_a_long_range_of_one_program() -> None:
    parts = [ids(ranges=(range(12_000),), shard=(n, 2)) for n in (1, 2)]

    assert sorted(itertools.chain(*parts)) == sorted(ids(ranges=(range(12_000),)))
    assert list(map(len, parts)) == [35, 25]


def test_seeds_that_two_ranges_hold_are_asked_once() -> None:
    found = ids(ranges=(range(20, 30), range(10), range(5, 12), range(6, 8), range(12, 14)))

    assert found == [f"zeros-float32-7-s{seeds}-cpu-eager" for seeds in ("0:12", "12:14", "20:30")]


def test_a_block_says_each_case_once() -> None:
    block = parse_unit("zeros-float32-7-s5:8-cpu-eager")

    assert isinstance(block, Block)
    assert [case.problem.seed for case in block.cases()] == [5, 6, 7]


def test_a_block_that_lost_its_worker_has_the_rows_that_it_would_have_had() -> None:
    """A merge finds the shard of a row by what was asked."""
    asked = {"initializer": "zeros", "dtype": "float32", "shape": "7", "seed": "5:8"}
    lists = {name: [text] for name, text in {**asked, "backend": "cpu"}.items()}
    with contextlib.closing(Isolated({**nothing_given(), **lists}, 60.0, "run")) as session:
        *_, whole = session.verdicts()
        *_, again = session._of_block(Lost(case="zeros-float32-7-s5:8-cpu-eager", reason="gone"))

    assert isinstance(whole, Lots)
    assert isinstance(again, Lots)
    found, expected = (list(lots.rows_of([each])) for each in (again, whole))
    assert len(found) == 3
    assert comparable(found) == comparable(expected)


# --- The head ------------------------------------------------------------------------------------
def test_a_million_seeds_are_said_to_take_more_than_their_share_of_the_error_budget() -> None:
    session = session_of(ranges=(range(1_000_000),))

    assert session.error_budget().startswith("false alarms: less than 3.2e-06 a run; ")
    assert session.error_budget_on_cpu() == session.error_budget()


def test_a_few_seeds_keep_the_rate() -> None:
    assert session_of().error_budget().startswith("false alarms: less than 1e-06 a run; ")


def test_draws_that_no_oracle_follows_take_the_share_of_statistics() -> None:
    session = session_of(ranges=(range(50_000),), prngs=("rbg",))

    assert session.error_budget().endswith(
        "50,000 cases take more than the share of statistics in 1e-06"
    )


@pytest.mark.parametrize(("transform", "n_made"), [("jit", 2), ("eager", 5)])
def test_what_is_compiled_for_one_block_serves_the_programs_next(
    transform: str, n_made: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last block is of fewer seeds, and then there is one of another program."""
    made: list[Any] = []
    ours = transforms.mapped

    def counting(*asked: Any) -> Any:
        made.append(ours(*asked))
        return made[-1]

    monkeypatch.setattr(pjrt, "mapped", counting)
    catalogue, backend = load_catalogue(), pjrt.PjrtBackend("cpu")
    text = "lecun_normal-{}-64x32-s{}-cpu-" + transform
    asked = [("float32", "0:5"), ("float32", "5:10"), ("float32", "10:15"), ("float32", "15:18")]

    for dtype, seeds in [*asked, ("bfloat16", "0:5")]:
        block = parse_unit(text.format(dtype, seeds))
        assert isinstance(block, Block)
        spec = catalogue.lookup("lecun_normal")
        arrays = backend.many(block, spec)().arrays
        last = list(block.cases())[-1]
        assert (arrays[-1] == backend.draws(last, spec, [last.problem.key])[0]).all()

    assert len(made) == n_made
    if transform == "jit":
        assert made[0]._cache_size() == 2  # of five seeds, and of three


def noting(traced: list[Any]) -> Callable[[Initializer], Initializer]:
    """Return what builds an initializer that adds each key that it is traced with."""

    def build(right: Initializer) -> Initializer:
        def initializer(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
            traced.append(key)
            return right(key, shape, dtype)

        return initializer

    return build


def test_the_ends_of_all_blocks_of_a_program_share_what_was_compiled() -> None:
    traced: list[Any] = []
    ranges = tuple(range(start, start + 4) for start in (0, 10, 20))
    session = session_of(build=noting(traced), transforms=("jit",), shapes=("3x2",), ranges=ranges)
    found = rows_in_blocks(session)

    assert {row.status for row in found} == {"passed"}
    assert len(traced) == 3  # the case's, that of further draws of seed 0, and the block's


def test_cases_that_are_no_ends_of_a_block_compile_their_own() -> None:
    traced: list[Any] = []
    session = session_of(build=noting(traced), transforms=("jit",), shapes=("3x2",))
    rows_one_by_one(session)

    assert len(traced) == N_SEEDS
