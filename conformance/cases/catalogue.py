"""Which initializers exist: register one in three lines and every check applies to it.

    from conformance import Normal, register

    register("my_normal", lambda: my_normal, definition=Normal(stddev=0.02))

A package registers without being imported through the entry-point group
`conformance.initializers`: the entry point names a function that takes the `Catalogue`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from conformance.core.errors import CatalogueError, unknown
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
        if not NAME.fullmatch(spec.name):
            raise CatalogueError(
                f"initializer name {spec.name!r} cannot be part of a case id: "
                "use letters, digits, '_' and '.', starting with a letter"
            )
        if spec.name in self._specs:
            raise CatalogueError(
                f"initializer {spec.name!r} is registered twice: choose another name"
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
        """Register a user's initializer under `name`; see `InitializerSpec` for the arguments."""
        from conformance.core.laws import Declared  # its NumPy is for whoever registers

        reason = "declared by its moments only" if isinstance(definition, Declared) else ""
        if definition is None:
            reason = "registered without a definition"
        self.add(
            InitializerSpec(
                name=name,
                build=build,
                definition=definition,
                family=family,
                tier=tier,
                no_oracle=reason,
            )
        )

    def lookup(self, name: str) -> InitializerSpec:
        """Return the spec called `name`.

        Raises:
            CatalogueError: there is none; the message offers the nearest names.
        """
        if name not in self._specs:
            raise CatalogueError(unknown("initializer", name, list(self._specs)))
        return self._specs[name]

    def by_name(self) -> Mapping[str, InitializerSpec]:
        """Return the specs by name, as they are now."""
        return dict(self._specs)


_REGISTERED: list[tuple[str, Callable[[], Initializer], dict[str, Any]]] = []


# The one global that changes: `register` is called by import of a user's module, before any
# catalogue exists. It is only ever appended to, and read by `registered_into`.
def register(name: str, build: Callable[[], Initializer], **arguments: Any) -> None:
    """Register an initializer in every catalogue that is loaded from now on.

    Takes the arguments of `Catalogue.register`.
    """
    _REGISTERED.append((name, build, arguments))


def registered_names() -> frozenset[str]:
    """Return the names that `register` was called for in this process, and other programs lack."""
    return frozenset(name for name, _, _ in _REGISTERED)


def add_registered(catalogue: Catalogue) -> None:
    """Add what `register` and installed entry points offer.

    Raises:
        CatalogueError: a name is taken; an entry point cannot be loaded or raises.
    """
    import importlib.metadata  # half of what `import conformance` would cost

    for name, build, arguments in _REGISTERED:
        catalogue.register(name, build, **arguments)
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        try:
            entry_point.load()(catalogue)
        except Exception as error:
            raise CatalogueError(
                f"entry point {entry_point.name} = {entry_point.value} of {ENTRY_POINT_GROUP} "
                f"could not register: {type(error).__name__}: {error}"
            ) from error
