"""An audit names each planted fault, and finds none in a healthy model."""

from __future__ import annotations

import functools
import inspect
import json
import math
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import pytest

from conformance.cli import main
from conformance.core.errors import TargetError
from conformance.core.keys import FOLD, SPLIT, Step
from conformance.flax.recognition import recognise
from conformance.models.audit import Audit, Audited, _is_later_draw, audit
from conformance.models.model import load
from tests import audited_models

MODELS = "tests.audited_models"


@functools.cache
def audited(name: str) -> Audit:
    return audit(load(f"{MODELS}:{name}"))


def row(name: str, path: str) -> Audited:
    return next(one for one in audited(name).parameters if one.path == path)


def test_a_healthy_transformer_has_no_faults_and_every_key_and_law_is_recognised() -> None:
    parameters = audited("transformer").parameters

    assert audited("transformer").n_faults == 0
    assert len(parameters) == 35
    random = [one for one in parameters if not one.initializer.startswith("constant")]
    names = {one.initializer for one in random}
    assert names == {"lecun_normal", "lecun_normal or glorot_normal", "embedding"}
    assert all(one.key and one.n_compared == math.prod(one.shape) for one in random)
    assert all(one.n_equal > 0.97 * one.n_compared for one in random)


def test_the_program_says_that_a_kernel_is_orthogonal_and_its_normals_confirm_it() -> None:
    kernel = row("recurrent", "cell.h.kernel")

    assert (kernel.initializer, kernel.draw) == ("orthogonal", "cell/h #1")
    assert (kernel.n_compared, kernel.faults) == (256, ())


def test_fans_follow_the_axes_that_are_summed_over() -> None:
    block = "Block_0.MultiHeadDotProductAttention_0"

    assert row("transformer", f"{block}.query.kernel").fan_in == 16
    assert row("transformer", f"{block}.out.kernel").fan_in == 16
    assert row("transformer", "Block_0.Dense_1.kernel").fan_in == 64
    assert row("transformer", "Block_0.Dense_1.kernel").gain == pytest.approx(1)


def test_paths_that_join_to_one_text_collide() -> None:
    faults = row("colliding", "block.1x.kernel").faults

    assert faults == (
        "key collision: drawn from the key of block1.x.kernel",
        "identical to block1.x.kernel",
    )


def test_a_stream_that_is_started_again_collides_even_where_shapes_differ() -> None:
    faults = row("duplicated_key", "second.kernel").faults

    assert "key collision: drawn from the key of first.kernel" in faults


def test_a_fan_of_the_wrong_side_is_named() -> None:
    assert row("wrong_fan", "kernel").faults == (
        "wrong fan: gain 0.25: as if fan-in were 64, not 16: axis 1 counted, axis 0 left out",
    )


def test_a_transposed_copy_is_a_reordering() -> None:
    assert row("transposed_copy", "two").faults == ("a reordering of one",)


def test_correlated_parameters_are_named_with_their_correlation() -> None:
    assert row("correlated", "one").faults == ("correlated with two (r = 0.74 over 64 elements)",)


def test_a_lifted_module_without_split_keys_has_identical_slices() -> None:
    assert row("vmapped_without_split", "kernel").faults == (
        "its 3 slices along axis 0 are identical",
    )


def test_a_lifted_module_with_split_keys_has_all_of_them() -> None:
    kernel = row("vmapped", "kernel")

    assert kernel.faults == ()
    assert (kernel.draw, kernel.fan_in, kernel.n_compared) == ("split 3[*] . #1", 16, 768)


def test_a_tree_without_keys_is_recognised_by_its_statistics() -> None:
    one = row("healthy_tree", "one")

    assert (one.initializer[:17], one.key, one.n_compared) == ("normal(stddev=0.0", "", 0)
    assert one.faults == ()


KERNELS = {
    "lecun_normal": jax.nn.initializers.lecun_normal(),
    "lecun_normal (not truncated)": jax.nn.initializers.variance_scaling(1.0, "fan_in", "normal"),
    "lecun_uniform": jax.nn.initializers.lecun_uniform(),
}


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize(("shape", "is_certain"), [((3, 3, 4, 8), False), ((64, 32), True)])
def test_without_a_key_no_law_is_ruled_out_that_may_be_the_right_one(
    name: str, shape: tuple[int, ...], is_certain: bool
) -> None:
    for seed in range(20):
        kernel = np.asarray(KERNELS[name](jax.random.key(seed), shape, np.float32))

        found = recognise(kernel, None).initializer.split(" or ")

        assert name in found
        assert not is_certain or found == [name]


@pytest.mark.parametrize("name", ["two_inputs", "two_inputs_in_a_tuple"])
def test_a_linen_module_may_take_several_inputs(name: str) -> None:
    assert row(name, "Dense_0.kernel").initializer == "lecun_normal or glorot_normal"


def test_what_a_model_raises_is_told_with_the_line_of_the_users_code() -> None:
    line = next(
        number
        for number, text in enumerate(inspect.getsourcelines(audited_models)[0], start=1)
        if "no checkpoint" in text
    )

    with pytest.raises(
        TargetError,
        match=rf"raises RuntimeError at \S+/audited_models\.py:{line}: no checkpoint",
    ):
        load(f"{MODELS}:raising")


def test_an_unknown_law_is_said_to_be_unknown() -> None:
    assert row("unknown_law", "one").notes == ("law not recognised",)


def odd_tree() -> dict[str, Any]:
    """Return parameters that no real initializer draws."""
    values = np.random.default_rng(0).normal(size=(16, 16))
    return {
        "complex": values.astype(np.complex64),
        "empty": np.zeros((0, 4), np.float32),
        "nan": np.where(values == values.max(), np.nan, values).astype(np.float32),
    }


def test_complex_empty_and_non_finite_parameters_are_audited_as_unknown() -> None:
    result = audit(load("tests.models.test_audit:odd_tree"))

    assert [(one.path, one.initializer) for one in result.parameters] == [
        ("complex", "not recognised"),
        ("empty", "not recognised"),
        ("nan", "not recognised"),
    ]


def integers() -> dict[str, Any]:
    """Return what a checkpoint holds beside its parameters, and a table in eight bits."""
    return {
        "step": 3,
        "order": np.arange(32).reshape(8, 4),
        "mask": np.arange(256).reshape(16, 16) % 3 == 0,
        "quantised": np.random.default_rng(0).integers(-128, 127, (32, 32)).astype(np.int8),
        "one": np.eye(8, dtype=int),
    }


def test_integers_have_no_law() -> None:
    result = audit(load("tests.models.test_audit:integers"))

    assert result.n_faults == 0
    assert {one.path: one.initializer for one in result.parameters} == {
        "mask": "not recognised",
        "one": "not recognised",
        "order": "not recognised",
        "quantised": "not recognised",
        "step": "constant(3)",
    }


def texts() -> dict[str, Any]:
    return {"model": {"name": "x", "w": np.zeros((4, 4), np.float32)}}


def test_what_is_no_number_is_refused_by_name() -> None:
    with pytest.raises(TargetError, match=r"has 'model\.name' among its arrays, of <U1, which"):
        load("tests.models.test_audit:texts")


class _Counted(nn.Module):
    @nn.compact
    def __call__(self, x: Any) -> Any:
        draw = nn.initializers.lecun_normal()
        kernel = self.param("kernel", lambda key: draw(key, (16, 8)).astype("bfloat16"))
        return x @ kernel + self.param("count", lambda _: jax.numpy.zeros((), "int32"))


def counted() -> tuple[Any, ...]:
    return _Counted(), jax.numpy.ones((2, 16))


def test_an_integer_is_no_wider_than_a_kernel_beside_it() -> None:
    assert audit(load("tests.models.test_audit:counted")).n_faults == 0


def test_a_law_that_bfloat16_biases_is_noted_with_its_figures() -> None:
    (note,) = row("dense_in_bfloat16", "kernel").notes

    assert note == "bfloat16 law: mean -0.018 sigma, variance -0.69%"


def test_a_float32_draw_that_was_cast_has_the_law_of_float32() -> None:
    kernel = row("cast_to_bfloat16", "kernel")

    assert kernel.initializer == "lecun_normal or glorot_normal"
    assert kernel.formula == ("truncated_normal(stddev=0.2842, -2, 2) in float32, cast to bfloat16")
    assert kernel.faults == ("stored in bfloat16, where its module has a param_dtype of float32",)
    assert kernel.expected_std == pytest.approx(0.25, rel=1e-4)


def test_removing_a_layer_renames_later_modules_of_its_class_in_linen() -> None:
    assert row("transformer", "Block_0.Dense_0.kernel").n_moved == 1
    assert row("transformer", "Block_0.Dense_1.kernel").n_moved == 0


def test_removing_a_layer_renumbers_all_later_draws_in_nnx() -> None:
    assert row("two_linear", "first.kernel").n_moved == 1
    assert row("two_linear", "second.kernel").n_moved == 0


def test_an_abstract_audit_runs_nothing_and_still_sees_collisions() -> None:
    result = audit(load(f"{MODELS}:colliding", abstract=True))

    assert [one.faults for one in result.parameters if one.draw] == [
        ("key collision: drawn from the key of block1.x.kernel",),
        ("key collision: drawn from the key of block.1x.kernel",),
    ]
    assert {one.actual_std for one in result.parameters} == {None}


@pytest.mark.parametrize("name", ["transformer", "two_linear"])
def test_an_abstract_audit_of_a_healthy_model_has_no_faults(name: str) -> None:
    result = audit(load(f"{MODELS}:{name}", abstract=True))

    assert result.n_faults == 0
    assert [(one.path, one.shape) for one in result.parameters] == [
        (one.path, one.shape) for one in audited(name).parameters
    ]
    assert [one.formula for one in result.parameters] == [
        one.formula for one in audited(name).parameters
    ]


def test_another_seed_gives_other_keys() -> None:
    other = audit(load(f"{MODELS}:two_linear", seed=1))

    assert other.parameters[1].key not in {"", audited("two_linear").parameters[1].key}


def test_the_command_prints_the_table_and_the_faults_and_exits_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["audit", f"{MODELS}:colliding"])

    out = capsys.readouterr().out
    assert code == 1
    assert "block1.x.kernel  lecun_normal or glorot_normal  16x16  float32  block1/x #1" in out
    assert "fault  block.1x.kernel: key collision: drawn from the key of block1.x.kernel" in out
    assert out.endswith("linen, seed 0: 4 parameters, 4 faults\n")


def test_the_command_prints_json_that_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["audit", f"{MODELS}:two_linear", "--json", "-"])

    document = json.loads(capsys.readouterr().out)
    assert (code, document["n_faults"], document["framework"]) == (0, 0, "nnx")
    assert document["parameters"][1]["initializer"] == "lecun_normal or glorot_normal"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere", "'nowhere' is not understood: write package.module:function"),
        (f"{MODELS}:raising", r"raising' raises RuntimeError at \S+: no checkpoint"),
        (f"{MODELS}:too_few_inputs", r"too_few_inputs' raises TypeError: .* missing 1 required"),
        (f"{MODELS}:no_inputs", r"no_inputs' returns \(Adding\); needed is a linen module with"),
        (f"{MODELS}:a_number", "a_number' returns int; needed is a linen module"),
        (f"{MODELS}:nothing", "nothing' has no parameters"),
        (f"{MODELS}:shapes_of_a_tree", "shapes_of_a_tree' returns shapes, as `eval_shape` does"),
    ],
)
def test_a_target_that_is_no_model_is_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], target: str, message: str
) -> None:
    with pytest.raises(TargetError, match=message):
        load(target)

    assert main(["audit", target]) == 4
    assert capsys.readouterr().err.count("\n") == 1


def test_draws_of_another_stream_do_not_move() -> None:
    """A stream that was split from one key counts for itself, not with that of the root."""
    child = Step(name=SPLIT, number=2, index=1)
    first, second = (Step(name=FOLD, number=number) for number in (3, 4))

    assert _is_later_draw(("default", first), ("default", second))
    assert not _is_later_draw(("default", second), ("default", first))
    assert not _is_later_draw(("default", first), ("default", child, second))
    assert not _is_later_draw(("default", child, first), ("default", second))
