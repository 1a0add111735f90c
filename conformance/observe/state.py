"""What a call may change for all that come after it: settings of JAX and environment variables."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from typing import Any

from conformance.observe.environment import VARIABLES

ABSENT = object()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The settings of JAX, its default device among them, and the variables of this process.

    Taking one costs 35 microseconds.
    """

    settings: Mapping[str, Any]
    variables: Mapping[bytes, bytes]

    @classmethod
    def now(cls) -> State:
        """Return the state of this process."""
        import jax

        # Through the public mapping, which encodes and decodes, it takes a hundred times as long.
        variables: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]  # see above
        return cls(settings=dict(jax.config.values), variables=variables.copy())

    def restored(self) -> tuple[str, ...]:
        """Put back what has changed since, and return it, as `name: before -> after`.

        Of a variable that neither JAX, XLA, the drivers nor LAPACK read, no value is told: it may
        be a secret.
        """
        import jax

        now = State.now()
        if now == self:
            return ()
        changed = []
        for name, before, after in _differing(self.settings, now.settings):
            changed.append(f"{name}: {_told(before)} -> {_told(after)}")
            jax.config.update(name, before)  # type: ignore[no-untyped-call]  # JAX leaves it untyped
        for key, before, after in _differing(self.variables, now.variables):
            name = os.fsdecode(key)
            is_ours = VARIABLES.fullmatch(name)
            how = f"{_told(before)} -> {_told(after)}" if is_ours else _happened(before, after)
            changed.append(f"{name}: {how}")
            if before is ABSENT:
                del os.environb[key]
            else:
                os.environb[key] = before
        return tuple(changed)


def _differing(one: Mapping[Any, Any], two: Mapping[Any, Any]) -> Iterator[tuple[Any, Any, Any]]:
    for key in sorted({*one, *two}):
        before, after = one.get(key, ABSENT), two.get(key, ABSENT)
        if before != after:
            yield key, before, after


def _happened(before: Any, after: Any) -> str:
    if before is ABSENT:
        return "was set"
    return "was deleted" if after is ABSENT else "was changed"


def _told(value: Any) -> str:
    if value is ABSENT:
        return "absent"
    return os.fsdecode(value) if isinstance(value, bytes) else str(value)
