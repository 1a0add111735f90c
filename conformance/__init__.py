"""Numerical conformance of JAX and Flax parameter initializers.

    >>> import conformance, jax
    >>> from conformance import Normal
    >>> def small_normal(key, shape, dtype="float32"):
    ...     return jax.random.normal(key, shape, dtype) * jax.numpy.asarray(0.125, dtype)
    >>> seen = conformance.observe(small_normal, definition=Normal(stddev=0.125), dtype="bfloat16")
    >>> conformance.judge(seen)
    PASSED: small_normal-bfloat16-64x32-s0-cpu-eager, no golden
      contract    passed
      ...

What there is:

    observe(initializer, ...)    call it: an array, or what it raised
    judge(observed)              the verdict of every check on that
    explain(observed)            each stage of it beside the oracle's
    law(initializer, ...)        its exact law, over all words that can be drawn
    oracle(definition, ...)      the array that a definition demands, by NumPy alone
    compare(actual, expected)    the class of the change between two arrays
    load_records(folder)         what runs reported, as a pandas frame
    register(name, build, ...)   make an initializer of yours known to all commands and tests

Definitions say what an initializer must return: `Constant`, `Normal`, `TruncatedNormal`, `Uniform`,
`Logistic`, `VarianceScaling`, `ScaledBounds`, `Orthogonal`, `DeltaOrthogonal`, `Identity`, and
`Declared`, by its `NominalMoments`, for a law that none of them is. Where an initializer goes about
it otherwise than JAX's, they say so by `drawn_with`, by each `Refusal`, by `fans_by`, as
`keras_fans`, and by `Rounds`, as `SCALE_ONCE` and `SCALE_STEPWISE`. Each answer shows itself, as
text in a terminal and as a table or a plot in a notebook. What is wrong with a call is a
`ConformanceError`.

The command line does all of this for whole matrices of cases: `conformance --help`.
"""

import sys
import types

TYPE_CHECKING = False  # without `typing`, which costs more than all else here

if TYPE_CHECKING:
    from conformance.api.functions import (
        compare,
        explain,
        judge,
        law,
        load_records,
        observe,
        oracle,
    )
    from conformance.cases.catalogue import Catalogue, register
    from conformance.core.errors import ConformanceError
    from conformance.core.laws import (
        SCALE_ONCE,
        SCALE_STEPWISE,
        Constant,
        Declared,
        DeltaOrthogonal,
        Identity,
        Logistic,
        NominalMoments,
        Normal,
        Orthogonal,
        Refusal,
        Rounds,
        ScaledBounds,
        TruncatedNormal,
        Uniform,
        VarianceScaling,
        keras_fans,
    )

__version__ = "0.1.0"

__all__ = [
    "SCALE_ONCE",
    "SCALE_STEPWISE",
    "Catalogue",
    "ConformanceError",
    "Constant",
    "Declared",
    "DeltaOrthogonal",
    "Identity",
    "Logistic",
    "NominalMoments",
    "Normal",
    "Orthogonal",
    "Refusal",
    "Rounds",
    "ScaledBounds",
    "TruncatedNormal",
    "Uniform",
    "VarianceScaling",
    "__version__",
    "compare",
    "explain",
    "judge",
    "keras_fans",
    "law",
    "load_records",
    "observe",
    "oracle",
    "register",
]

FUNCTIONS = ("compare", "explain", "judge", "law", "load_records", "observe", "oracle")
"""Of `conformance.api`. Three packages within this one have the names of functions."""

PLACES = {
    **dict.fromkeys(FUNCTIONS, "conformance.api.functions"),
    **dict.fromkeys(("Catalogue", "register"), "conformance.cases.catalogue"),
    "ConformanceError": "conformance.core.errors",
}
"""Where a name is defined; all others are definitions."""


if not TYPE_CHECKING:  # to which any name would be one of these

    def __getattr__(name: str) -> object:
        """Import a name when it is first asked for: pytest loads this package in every run."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import importlib

        place = importlib.import_module(PLACES.get(name, "conformance.core.laws"))
        globals()[name] = found = getattr(place, name)
        return found


def __dir__() -> list[str]:
    """Return the names that are of use, loaded or not: what completion in a notebook shows."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


class _Package(types.ModuleType):
    """Keeps `judge`, `observe` and `oracle` for the functions of these names.

    Importing a package within another makes it an attribute of that one. `from conformance.judge
    import ...` finds the package as ever.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in FUNCTIONS and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
