"""The functions of the package: thin over the stages, with their own word on wrong calls."""

from __future__ import annotations

import html.parser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import conformance
from conformance import ConformanceError, Normal
from conformance.core.records import DriftClass, Status
from conformance.judge.law.checks import ACCURACY


def small_normal(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
    """Return normals of standard deviation 0.125."""
    return jax.random.normal(key, shape, dtype) * jax.numpy.asarray(0.125, dtype)


def wide_normal(key: Any, shape: tuple[int, ...], dtype: Any = "float32") -> Any:
    """Return normals of a larger one than is promised."""
    return jax.random.normal(key, shape, dtype) * jax.numpy.asarray(0.1875, dtype)


SMALL = Normal(stddev=0.125)


# --- Observed and judged -------------------------------------------------------------------------
@pytest.mark.parametrize("key", [7, "s7", np.int64(7), jax.random.key(7), jax.random.PRNGKey(7)])
def test_a_key_is_a_seed_a_text_or_a_key_of_jax(key: Any) -> None:
    seen = conformance.observe(small_normal, shape=[4, 8], key=key)

    assert seen.case.id == "small_normal-float32-4x8-s7-cpu-eager"
    np.testing.assert_array_equal(seen.array, small_normal(jax.random.key(7), (4, 8)))


def test_a_key_that_no_seed_makes_is_taken_by_its_words() -> None:
    key = jax.random.fold_in(jax.random.key(7), 5)

    seen = conformance.observe(small_normal, shape=(4, 8), key=key)

    np.testing.assert_array_equal(seen.array, small_normal(key, (4, 8)))
    assert seen.case.problem.words == tuple(np.asarray(jax.random.key_data(key)).tolist())


def test_a_key_of_another_generator_is_its_own() -> None:
    key = jax.random.key(7, impl="rbg")

    seen = conformance.observe(small_normal, shape=(4, 8), key=key)

    np.testing.assert_array_equal(seen.array, small_normal(key, (4, 8)))
    assert seen.case.problem.prng == "rbg"


@pytest.mark.parametrize("dtype", ["bfloat16", jax.numpy.bfloat16, np.dtype(jax.numpy.bfloat16)])
def test_a_dtype_is_a_name_or_what_jax_calls_it(dtype: Any) -> None:
    assert conformance.observe("zeros", dtype=dtype, shape=()).array.dtype == "bfloat16"


def test_a_function_is_judged_by_the_definition_it_comes_with() -> None:
    right, wrong = (
        conformance.judge(conformance.observe(function, definition=SMALL, shape=(64, 32)))
        for function in (small_normal, wide_normal)
    )

    assert (right.status, right.message, right.drift) == (Status.PASSED, "", None)
    assert (wrong.status, wrong.has_passed) == (Status.FAILED, False)
    assert "the variance is 2.29" in wrong.message
    assert "values" not in {check.check for check in (*right.checks, *wrong.checks)}


def test_the_ledger_says_nothing_of_a_function_of_the_same_name() -> None:
    """JAX's own orthogonal may refuse bfloat16; another that is called so has promised to draw."""
    orthogonal: Any = jax.nn.initializers.orthogonal()
    orthogonal.__name__ = "orthogonal"
    definition = conformance.Orthogonal()

    ours = conformance.judge(conformance.observe("orthogonal", dtype="bfloat16", shape=(8, 4)))
    seen = conformance.observe(orthogonal, definition=definition, dtype="bfloat16", shape=(8, 4))
    theirs = conformance.judge(seen)

    assert (ours.status, theirs.status) == (Status.LIMITED, Status.FAILED)


def test_a_name_is_judged_by_its_golden() -> None:
    verdict = conformance.judge(conformance.observe("lecun_normal-float32-64x32-s0-cpu-eager"))

    assert verdict.drift is not None
    assert verdict.drift.drift_class <= DriftClass.ROUNDING
    assert "values" in {check.check for check in verdict.checks}


def test_what_a_call_raises_is_an_observation_and_no_array() -> None:
    seen = conformance.observe("lecun_normal", shape=(8,))

    assert seen.raised.startswith("ValueError: ")
    assert conformance.judge(seen).has_passed  # a fan needs two dimensions
    with pytest.raises(ConformanceError, match="returned no array: it raised ValueError"):
        _ = seen.array


# --- Compared, answered, swept, explained --------------------------------------------------------
def test_arrays_of_jax_and_numpy_are_compared() -> None:
    one = jax.nn.initializers.normal(0.02)(jax.random.key(0), (64, 32))

    same = conformance.compare(one, np.asarray(one))
    scaled = conformance.compare(np.asarray(one) * np.float32(1.25), one, definition=SMALL)

    assert same.drift_class is DriftClass.IDENTICAL
    assert scaled.drift_class is DriftClass.LAW
    assert "scaled by 1.25" in repr(scaled)


def test_an_array_is_held_to_an_answer_as_to_what_jax_says_it_does() -> None:
    """Rounded once, the answer is up to 91 ULP from it in the tail."""
    answer = conformance.oracle(SMALL, shape=(256, 512), key=3)
    seen = conformance.observe(small_normal, shape=(256, 512), key=3)

    found = conformance.compare(seen, answer)

    assert found.drift_class in ("identical", "rounding")
    assert conformance.compare(seen, answer.array).drift_class is DriftClass.TRANSFORM


def test_a_law_is_exact() -> None:
    right = conformance.law(small_normal, definition=SMALL, dtype="bfloat16")
    wrong = conformance.law(wide_normal, definition=SMALL, dtype="bfloat16")

    assert right.exact is not None
    assert right.exact.n_points == 128
    assert (right.status, wrong.status) == (Status.PASSED, Status.FAILED)
    assert "variance" in wrong.message


def test_nobody_measured_the_accuracy_of_a_function() -> None:
    swept = conformance.law(small_normal, definition=SMALL, dtype="bfloat16")

    (accuracy,) = (check for check in swept.result.result.checks if check.check == ACCURACY)
    assert accuracy.status is Status.NOT_APPLICABLE


def test_an_explanation_has_every_stage() -> None:
    seen = conformance.observe(small_normal, definition=SMALL, shape=(4, 8))

    text = str(conformance.explain(seen))

    for stage in ("key: equal", "bits: equal", "uniform: ", "unit: ", "scaled: "):
        assert stage in text


# --- Shown ---------------------------------------------------------------------------------------
class Tags(html.parser.HTMLParser):
    """The names of the elements of a document, and its text."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text = ""
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        """Take an element."""
        del attrs
        self.names.append(tag)

    def handle_data(self, data: str) -> None:
        """Take some text."""
        self.text += data


def test_answers_show_themselves_as_tables_and_a_law_as_a_plot() -> None:
    seen = conformance.observe(wide_normal, definition=SMALL, shape=(64, 32))
    swept = conformance.law(small_normal, definition=SMALL, dtype="bfloat16")

    verdict, law = (Tags(each._repr_html_()) for each in (conformance.judge(seen), swept))

    assert {"table", "caption", "tr", "td", "pre"} <= set(verdict.names)
    assert "FAILED: wide_normal-float32-64x32-s0-cpu-eager" in verdict.text
    assert {"svg", "table"} <= set(law.names)


def test_what_others_wrote_stays_text() -> None:
    def raising(*_: Any) -> Any:
        raise ValueError("<script>alert(1)</script>\x1b[2J")

    seen = conformance.observe(raising)

    assert "script" not in Tags(seen._repr_html_()).names
    assert r"<script>alert(1)</script>\x1b[2J" in repr(seen)


# --- Wrong calls ---------------------------------------------------------------------------------
def two(key: Any, shape: Any) -> Any:
    """Take no dtype."""


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "initializer": (lambda: conformance.observe("lecun_norml"), "did you mean lecun_normal"),
    "no initializer": (lambda: conformance.observe(3), "3 is no initializer: pass a function"),  # type: ignore[arg-type]
    "two definitions": (
        lambda: conformance.observe("zeros", definition=SMALL),
        "has a definition already: leave Normal",
    ),
    "definition": (
        lambda: conformance.observe(small_normal, definition="normal"),  # type: ignore[arg-type]
        "did you mean Normal",
    ),
    "dtype": (lambda: conformance.observe("zeros", dtype="float33"), "did you mean float32"),
    "shape": (lambda: conformance.observe("zeros", shape=3.5), "shape 3.5 is none: write a tuple"),  # type: ignore[arg-type]
    "negative": (lambda: conformance.observe("zeros", shape=(-1, 2)), r"shape \(-1, 2\) is none"),
    "seed": (lambda: conformance.observe("zeros", key=-1), "key -1 is none: write a seed"),
    "keys": (
        lambda: conformance.observe("zeros", key=jax.random.split(jax.random.key(0))),
        "is none: write a seed such as 0",
    ),
    "transform": (lambda: conformance.observe("zeros", transform="jti"), "did you mean jit"),
    "backend": (lambda: conformance.observe("zeros", backend="gpu"), "did you mean cuda or rocm"),
    "case and more": (
        lambda: conformance.observe("zeros-float32-2-s0-cpu-eager", key=3),
        "is a whole case: leave key out",
    ),
    "judge": (
        lambda: conformance.judge(3),  # type: ignore[arg-type]
        "takes what conformance.observe returns, and not int",
    ),
    "explain": (lambda: conformance.explain("zeros"), "takes what conformance.observe returns"),  # type: ignore[arg-type]
    "matrix": (lambda: conformance.law("orthogonal"), "orthogonal cannot be swept"),
    "no law": (lambda: conformance.law(small_normal), "registered without a definition. A func"),
    "sweep": (lambda: conformance.law("normal", transform="vmap"), "choose from eager, jit"),
    "integers": (lambda: conformance.compare(np.arange(3), np.arange(3)), "dtype int64; two fol"),
    "folders": (lambda: conformance.compare("a", "b"), "not str of dtype .* `conformance compare`"),
    "a key": (
        lambda: conformance.compare(jax.random.key(0), jax.random.key(0)),
        "compare takes arrays of numbers: ",
    ),
    "builder": (
        lambda: conformance.observe(jax.nn.initializers.he_normal),
        r"he_normal builds initializers, and is none: pass what he_normal\(\) returns",
    ),
    "builder of few": (
        lambda: conformance.observe(jax.nn.initializers.normal),
        r"normal builds initializers, and is none: pass what normal\(\) returns",
    ),
    "truth": (lambda: conformance.observe(small_normal, key=True), "key True is none: write a"),
    "several keys": (
        lambda: conformance.observe(small_normal, key=jax.random.split(jax.random.key(0))),
        r"key Array\(\(2,\), dtype=key<fry>\) overlaying: \[\[",
    ),
    "folder": (lambda: conformance.load_records("nowhere"), "nowhere is no folder: name the one"),
    "no answer": (
        lambda: conformance.oracle("lecun_normal", shape=(3,)),
        "the call must raise ValueError",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_call_is_told_the_value_and_the_way_out(name: str) -> None:
    call, message = WRONG[name]

    with pytest.raises(ValueError if name == "no answer" else ConformanceError, match=message):
        call()


def test_a_function_that_takes_something_else_is_told_what_it_is_given() -> None:
    message = r"two\(key, shape\) is called as two\(key, shape, dtype\)"
    with pytest.raises(ConformanceError, match=message):
        conformance.observe(two)


# --- Records -------------------------------------------------------------------------------------
def test_records_are_read_of_one_run_and_of_all(tmp_path: Path) -> None:
    from conformance.cli import main

    words = ["run", "zeros-float32-2-s0-cpu-eager", "--in-process", "--reports", str(tmp_path)]
    assert main(words) in (0, 1)
    (folder,) = tmp_path.iterdir()

    one, every = conformance.load_records(folder), conformance.load_records(str(tmp_path))

    assert one["case"].tolist() == every["case"].tolist() == ["zeros-float32-2-s0-cpu-eager"]
