"""NumPy, imported when it is first used.

What only names a law must not wait for it: the catalogue, a selection, a list, and above all a
mistake, which is told before anything heavy is imported.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
else:

    class Later:
        """Stands for a module until it is first used, and then passes on what is asked of it."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            value = getattr(importlib.import_module(self._name), attribute)
            setattr(self, attribute, value)
            return value

    np = Later("numpy")

__all__ = ["np"]
