"""What a backend is: something that can be asked a case."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from conformance.cases.catalogue import InitializerSpec
from conformance.core.ids import Case
from conformance.core.records import Observation

if TYPE_CHECKING:
    from conformance.core.arrays import Array


class Backend(Protocol):
    """An executor of initializers. Stateless between cases but for compiled programs."""

    @property
    def name(self) -> str:
        """The name that case ids carry."""

    @property
    def device(self) -> str:
        """What runs the cases: a kind of device, or an executor with its version."""

    def observe(self, case: Case, spec: InitializerSpec) -> Observation:
        """Run the case, twice, and return what came of it; an exception is an outcome."""

    def stages(self, case: Case, spec: InitializerSpec) -> Mapping[str, str]:
        """Return digests of the stages before a returned array: see `model.STAGES`.

        They are shared by all cases that draw alike, so asking for one more is cheap.
        """

    def stage_arrays(self, case: Case, spec: InitializerSpec) -> Mapping[str, Array]:
        """Return the stages themselves; none where none are defined, as for complex dtypes."""

    def drawn(self, case: Case, spec: InitializerSpec) -> Array | None:
        """Return the tall matrix of normals that a case of an orthogonal initializer draws here.

        None where the backend cannot tell.
        """

    def execute(self, function: Callable[[Any], Any], key: Any) -> Array:
        """Return the array that a function of a typed key returns here; it raises what that raises.

        How laws are swept: the key's "random bits" are the words of the lattice.
        """
