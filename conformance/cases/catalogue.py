"""Which initializers exist: register one in three lines and every check applies to it.

    from conformance import Normal, register

    register("my_normal", lambda: my_normal, definition=Normal(stddev=0.02))

A package registers without being imported through the entry-point group
`conformance.initializers`: the entry point names a function that takes the `Catalogue`.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from conformance.core.errors import CatalogueError, nearest, unknown
from conformance.core.ids import NAME, Tier

if TYPE_CHECKING:
    from conformance.core.laws import Definition

ENTRY_POINT_GROUP = "conformance.initializers"

Initializer = Callable[..., Any]
"""(key, shape, dtype) -> array."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InitializerSpec:
    """One initializer under test, with what it promises.

    build: returns the initializer; it may import JAX, and is called when a case first needs it.
    definition: what must be returned; None leaves only the golden and the contract to check.
    family: folder of its goldens, and the unit of budgets.
    public_names: the public objects this spec stands for; how completeness is proved.
    tier: the smallest tier that runs it.
    no_oracle: why no independent implementation answers for it, where that is so.
    """

    name: str
    build: Callable[[], Initializer]
    definition: Definition | None
    family: str
    public_names: tuple[str, ...] = ()
    tier: Tier = Tier.STANDARD
    no_oracle: str = ""


class Catalogue:
    """Specs by name. A name is registered once."""

    def __init__(self) -> None:
        self._specs: dict[str, InitializerSpec] = {}

    def __iter__(self) -> Iterator[InitializerSpec]:
        """Iterate in the order of names, whatever the order of registration."""
        return iter(sorted(self._specs.values(), key=lambda spec: spec.name))

    def __len__(self) -> int:
        return len(self._specs)

    def __contains__(self, name: str) -> bool:
        return name in self._specs

    def add(self, spec: InitializerSpec) -> None:
        """Add a spec.

        Raises:
            CatalogueError: the name is taken, or holds a character that an id or a path cannot.
        """
        if not isinstance(spec.name, str) or not NAME.fullmatch(spec.name):
            raise CatalogueError(
                f"initializer name {spec.name!r} cannot be part of a case id: "
                "use letters, digits, '_' and '.', starting with a letter"
            )
        if spec.name in self._specs:
            raise CatalogueError(
                f"an initializer {spec.name!r} exists already: choose another name"
            )
        self._specs[spec.name] = spec

    def register(
        self,
        name: str,
        build: Callable[[], Initializer],
        *,
        definition: Definition | None = None,
        family: str = "custom",
        tier: Tier = Tier.QUICK,
    ) -> None:
        """Register an initializer under `name`, as `conformance.register` does.

        For the function that an entry point names: it is called with the catalogue.

        Raises:
            CatalogueError: see `conformance.register`.
        """
        self.add(users_spec(name, build, definition=definition, family=family, tier=tier))

    def lookup(self, name: str) -> InitializerSpec:
        """Return the spec called `name`.

        Raises:
            CatalogueError: there is none; the message offers the nearest names.
        """
        if name not in self._specs:
            raise CatalogueError(self.unknown(name))
        return self._specs[name]

    def unknown(self, pattern: str) -> str:
        """Return the message for a name or a pattern that no spec has.

        Specs that stand for a public object of that name, `xavier_normal` say, are what was meant.
        """
        meant = [
            spec.name
            for spec in self
            if any(f".{name}".endswith(f".{pattern}") for name in spec.public_names)
        ]
        return unknown("initializer", pattern, self._specs, meant=meant)

    def by_name(self) -> Mapping[str, InitializerSpec]:
        """Return the specs by name, as they are now."""
        return dict(self._specs)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A user's initializer, and the module whose import registers it."""

    spec: InitializerSpec
    module: str


# The one global that changes: `register` is called by import of a user's module, before any
# catalogue exists. It is only ever appended to, and read by `add_registered`.
_REGISTERED: list[Registered] = []


def register(
    name: str,
    build: Callable[[], Initializer],
    *,
    definition: Definition | None = None,
    family: str = "custom",
    tier: Tier = Tier.QUICK,
) -> None:
    """Register an initializer of yours, for all commands and tests of this process.

    >>> def small_normal(key, shape, dtype="float32"):
    ...     return jax.random.normal(key, shape, dtype) * jax.numpy.asarray(0.125, dtype)
    >>> law = conformance.Normal(stddev=0.125)
    >>> conformance.register("small_normal", lambda: small_normal, definition=law)
    >>> conformance.observe("small_normal", shape=(64, 32)).array.shape
    (64, 32)

    Args:
        name: what its cases and goldens are called by; no other initializer may have it.
        build: returns the initializer, a function of (key, shape, dtype). It may import JAX, and is
            called when a case first needs it.
        definition: what must be returned, such as `Normal(stddev=0.02)`. Without one only the
            contract, repeatability and the goldens are checked.
        family: the folder of its goldens.
        tier: the smallest tier that runs it.

    Raises:
        CatalogueError: the name is taken or none, `build` cannot be called without arguments, or
            nothing can be as the definition says. The message says what to write instead.
    """
    from conformance.cases.builtin import builtin_specs  # it imports this file

    known = Catalogue()
    for spec in (*builtin_specs(), *(each.spec for each in _REGISTERED)):
        known.add(spec)
    spec = users_spec(name, build, definition=definition, family=family, tier=tier)
    known.add(spec)
    module = str(sys._getframe(1).f_globals.get("__name__", ""))
    _REGISTERED.append(Registered(spec=spec, module=module))


def registered_names() -> frozenset[str]:
    """Return the names that `register` was called for in this process, and other programs lack."""
    return frozenset(each.spec.name for each in _REGISTERED)


def registering_module(name: str) -> str:
    """Return the module whose import registers the initializer; "" where none does."""
    return next((each.module for each in _REGISTERED if each.spec.name == name), "")


def add_registered(catalogue: Catalogue) -> None:
    """Add what installed entry points and `register` offer.

    A module of an entry point may register the same as it is imported, for those who import it
    themselves: then the entry point counts.

    Raises:
        CatalogueError: a name is taken; an entry point cannot be loaded or raises.
    """
    from conformance.core.installation import entry_points  # importlib.metadata takes a while

    installed = entry_points(ENTRY_POINT_GROUP)
    modules = {entry_point.module for entry_point in installed}
    for entry_point in installed:
        try:
            entry_point.load()(catalogue)
        except Exception as error:
            raise CatalogueError(
                f"entry point {entry_point.name} = {entry_point.value} of {ENTRY_POINT_GROUP} "
                f"could not register: {type(error).__name__}: {error}"
            ) from error
    for each in _REGISTERED:
        if each.module not in modules or each.spec.name not in catalogue:
            catalogue.add(each.spec)


# --- What users say of theirs --------------------------------------------------------------------
def users_spec(
    name: str,
    build: Callable[[], Initializer],
    *,
    definition: Definition | None,
    family: str = "custom",
    tier: Tier = Tier.QUICK,
) -> InitializerSpec:
    """Return the spec of a user's initializer, whose arguments can be meant.

    Raises:
        CatalogueError: one cannot; see `register`.
    """
    from conformance.core.laws import Declared

    _require_builder(name, build)
    require_definition(definition)
    if not NAME.fullmatch(family):
        raise CatalogueError(
            f"family {family!r} of initializer {name!r} cannot be a folder's name: "
            "use letters, digits, '_' and '.', starting with a letter"
        )
    if tier not in list(Tier):
        raise CatalogueError(unknown("tier", str(tier), list(Tier)))
    reason = "declared by its moments only" if isinstance(definition, Declared) else ""
    if definition is None:
        reason = "registered without a definition"
    return InitializerSpec(
        name=name,
        build=functools.partial(_built, name, build),
        definition=definition,
        family=family,
        tier=Tier(tier),
        no_oracle=reason,
    )


def require_definition(definition: object) -> None:
    """Ensure that this is a definition, and that something can be as it says; or None.

    Raises:
        CatalogueError: it is not, or nothing can; the message offers what may have been meant.
    """
    from conformance.core import laws

    if definition is None:
        return
    if isinstance(definition, laws.Definition):
        if fault := definition.fault or definition.fault_of_ways:
            raise CatalogueError(f"{definition}: {fault}")
        return
    names = [name for name in laws.__all__ if _is_definition(getattr(laws, name))]
    if isinstance(definition, type):
        meant = f"the class {definition.__name__} itself: call it with its arguments"
    else:
        by_lower = {name.lower(): name for name in names}
        near = nearest(str(definition).lower().replace("_", ""), by_lower)
        meant = f"{definition!r}: " + (
            f"did you mean {by_lower[near[0]]}(...)?" if near else f"use {', '.join(names)}"
        )
    raise CatalogueError(
        f"a definition is what an initializer returns, as in Normal(stddev=0.02), and not {meant}"
    )


def _is_definition(value: object) -> bool:
    from conformance.core.laws import Definition

    is_class = isinstance(value, type) and issubclass(value, Definition)
    return is_class and not inspect.isabstract(value)


def _require_builder(name: str, build: object) -> None:
    if not callable(build):
        raise CatalogueError(
            f"what builds initializer {name!r} cannot be called: it is {build!r}: pass "
            "a function without arguments, as in lambda: initializer"
        )
    if fault := _unfit_call(build):
        raise CatalogueError(
            f"what builds initializer {name!r} is called without arguments ({fault}): "
            f"if it is the initializer itself, pass `lambda: {_name_of(build)}`"
        )


def _built(name: str, build: Callable[[], Initializer]) -> Initializer:
    """Return what a user's function builds, which must be an initializer.

    Raises:
        TypeError: it cannot be called as one; the message says how initializers are.
    """
    initializer = build()
    if not callable(initializer):
        raise TypeError(
            f"what builds initializer {name!r} must return a function of (key, shape, dtype), "
            f"and returned a {type(initializer).__name__}"
        )
    require_initializer(initializer)
    return initializer


def require_initializer(initializer: Callable[..., Any]) -> None:
    """Ensure that a function takes what initializers are given.

    Raises:
        TypeError: it does not, or is what builds one; the message says what to pass instead.
    """
    name = _name_of(initializer)
    if _is_builder(initializer):
        raise TypeError(f"{name} builds initializers, and is none: pass what {name}() returns")
    if fault := _unfit_call(initializer, "key", "shape", "dtype"):
        takes = ", ".join(inspect.signature(initializer).parameters)
        raise TypeError(
            f"{name}({takes}) is called as {name}(key, shape, dtype), as all initializers are, "
            f"and cannot be: {fault}"
        )


def _is_builder(function: Callable[..., Any]) -> bool:
    """Return whether a function needs no key and takes other things, as `he_normal(in_axis=-2)`."""
    try:
        takes = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a builtin does not say what it takes
        return False
    return bool(takes) and all(
        each.default is not each.empty and each.name not in ("key", "rng") for each in takes
    )


def _unfit_call(function: Callable[..., Any], *arguments: str) -> str:
    """Return why a function cannot be called with so many arguments; "" if it can, or might."""
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError as error:
        return str(error)
    except ValueError:  # a builtin does not say what it takes
        return ""
    return ""


def _name_of(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)
