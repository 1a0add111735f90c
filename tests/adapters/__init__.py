"""Tests of `conformance.adapters`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping

import pytest

from conformance.cases import catalogue
from conformance.cases.catalogue import InitializerSpec


def registered(library: str) -> Mapping[str, InitializerSpec]:
    """Return what an adapter registers, without registering it for other tests.

    Skips the test where the library is not installed: an extra brings it.
    """
    if not importlib.util.find_spec(library):
        pytest.skip(f"{library} is not installed")
    name = f"conformance.adapters.{library}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "_REGISTERED", [])
        is_known = name in sys.modules
        module = importlib.import_module(name)
        if is_known:
            importlib.reload(module)
        return {each.spec.name: each.spec for each in catalogue._REGISTERED}
