"""Functions that records and messages name as text, so that nothing is imported before its time."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def function(text: str) -> Callable[..., Any]:
    """Return the function that a record names as `module:function`."""
    module, _, name = text.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found
