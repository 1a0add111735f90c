"""A registration is judged at once, where it stands: value, fault and way out."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import jax
import pytest

from conformance import Constant, Normal, TruncatedNormal, Uniform, VarianceScaling, register
from conformance.cases import catalogue
from conformance.cases.builtin import load_catalogue
from conformance.core.errors import CatalogueError
from conformance.core.ids import parse_case
from conformance.core.laws import Definition
from conformance.core.records import Raised
from conformance.observe.observer import Observer


def half(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return normals of half the usual spread."""
    return jax.random.normal(key, shape, dtype) * jax.numpy.asarray(0.5, dtype)


@pytest.fixture(autouse=True)
def _nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_REGISTERED", [])


DEFINITIONS: dict[str, tuple[Any, str]] = {
    "a name": ("normal", r"not 'normal': did you mean Normal\(\.\.\.\)\?"),
    "a name that is none": ("truncated_norml", r"did you mean TruncatedNormal\(\.\.\.\)\?"),
    "key": (Normal(stddev=1, drawn_with="spilt2"), "'spilt2' in key 'spilt2' is not understood"),
    "a number": (0.5, r"not 0\.5: use Constant, Declared, DeltaOrthogonal"),
    "a class": (Normal, "not the class Normal itself: call it with its arguments"),
    "negative": (Normal(stddev=-1), "stddev=-1 is no standard deviation: write 0 or more"),
    "NaN": (Uniform(scale=float("nan")), "scale=nan is no finite number"),
    "text": (Normal(stddev="1"), "stddev='1' is no finite number"),  # type: ignore[arg-type]
    "bounds": (
        TruncatedNormal(stddev=1, lower=2, upper=1),
        r"nothing lies in \(2, 1\): lower must be less than upper",
    ),
    "mode": (
        VarianceScaling(scale=1, mode="fanin", distribution="normal"),
        "mode 'fanin' is unknown: did you mean fan_in",
    ),
    "distribution": (
        VarianceScaling(scale=1, mode="fan_in", distribution="gauss"),
        "distribution 'gauss' is unknown: choose from normal, truncated_normal, uniform",
    ),
    "scale": (
        VarianceScaling(scale=-2, mode="fan_in", distribution="normal"),
        "scale=-2 makes a negative variance: write 0 or more",
    ),
    "a list": (Constant(value=[1, 2]), r"value=\[1, 2\] is no number: write one"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_definition_that_cannot_be_meant_is_refused(name: str) -> None:
    definition, message = DEFINITIONS[name]

    with pytest.raises(CatalogueError, match=message):
        register("half", lambda: half, definition=definition)

    assert "half" not in load_catalogue()


@pytest.mark.parametrize(
    "definition", [spec.definition for spec in load_catalogue() if spec.definition], ids=str
)
def test_every_definition_of_ours_can_be_registered(definition: Definition) -> None:
    register("half", lambda: half, definition=definition)

    assert load_catalogue().lookup("half").definition == definition


WRONG: dict[str, tuple[Callable[[], None], str]] = {
    "name with a space": (
        lambda: register("my half", lambda: half),
        "'my half' cannot be part of a case id: use letters, digits",
    ),
    "no name": (lambda: register(3, lambda: half), "name 3 cannot be part of"),  # type: ignore[arg-type]
    "name of ours": (
        lambda: register("zeros", lambda: half),
        "an initializer 'zeros' exists already: choose another name",
    ),
    "no function": (
        lambda: register("half", 0.5),  # type: ignore[arg-type]
        "cannot be called: it is 0.5: pass a function without arguments, as in lambda: initializer",
    ),
    "the initializer itself": (
        lambda: register("half", half),  # type: ignore[arg-type]
        r"called without arguments \(missing a required argument: 'key'\): .* pass `lambda: half`",
    ),
    "tier": (
        lambda: register("half", lambda: half, tier="quik"),  # type: ignore[arg-type]
        "tier 'quik' is unknown: did you mean quick",
    ),
    "family": (
        lambda: register("half", lambda: half, family="../mine"),
        r"family '\.\./mine' of initializer 'half' cannot be a folder's name",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_registered_is_refused_at_the_callers_line(name: str) -> None:
    call, message = WRONG[name]

    with pytest.raises(CatalogueError, match=message) as caught:
        call()

    files = [frame.filename for frame in traceback.extract_tb(caught.tb)]
    assert files[1] == __file__
    assert "half" not in load_catalogue()


def test_a_second_registration_is_refused() -> None:
    register("half", lambda: half)

    with pytest.raises(CatalogueError, match="'half' exists already"):
        register("half", lambda: half)


def test_a_misspelt_argument_is_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'defintion'"):
        register("half", lambda: half, defintion=Normal(stddev=0.5))  # type: ignore[call-arg]


def two(key: Any, shape: tuple[int, ...]) -> Any:
    """Take no dtype."""
    return jax.random.normal(key, shape)


@pytest.mark.parametrize(
    ("built", "message"),
    [
        (
            two,
            "two(key, shape) is called as two(key, shape, dtype), as all initializers are, and "
            "cannot be: too many positional arguments",
        ),
        (
            jax.nn.initializers.he_normal,
            "he_normal builds initializers, and is none: pass what he_normal() returns",
        ),
        (0.5, "must return a function of (key, shape, dtype), and returned a float"),
    ],
)
def test_an_initializer_that_takes_something_else_is_told_what_it_is_given(
    built: Any, message: str
) -> None:
    register("half", lambda: built)
    spec = load_catalogue().lookup("half")

    outcome = Observer().observe(parse_case("half-float32-64-s0-cpu-eager"), spec).outcome

    assert isinstance(outcome, Raised)
    assert message in outcome.message
