"""A target: a function of the user's own that returns a model or its parameters, by name."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from conformance.core.errors import TargetError
from conformance.core.paths import PACKAGE

Target = Callable[..., Any]


def load_target(name: str) -> Target:
    """Return the function that `package.module:function` names.

    Raises:
        TargetError: the name is malformed, the module is not found or raises, or holds no such
            function.
    """
    module_name, attribute = _parts(name)
    way_out = "install what it needs, for the gate by --with REQUIREMENT"
    with blamed(name, "cannot be imported:", way_out):
        module = _imported(name, module_name)
    if not hasattr(module, attribute):
        raise TargetError(
            f"target {name!r} is not there: {module_name} has no function {attribute!r}, "
            f"it defines {', '.join(_functions(module)) or 'none'}"
        )
    target = getattr(module, attribute)
    if not callable(target):
        raise TargetError(
            f"target {name!r} is of type {type(target).__name__}: name a function that returns it"
        )
    function: Target = target
    return function


def require_found(name: str) -> None:
    """Ensure that the package of a target is there, without importing it or JAX.

    Raises:
        TargetError: the name is malformed, or there is no such package.
    """
    package = _parts(name)[0].partition(".")[0]
    if package not in sys.modules and importlib.util.find_spec(package) is None:
        raise _not_found(name, package)


def _parts(name: str) -> tuple[str, str]:
    """Return the module and the function that a target names."""
    module_name, _, attribute = name.partition(":")
    if not (module_name and attribute) or module_name.startswith("."):
        raise TargetError(f"target {name!r} is not understood: write package.module:function")
    return module_name, attribute


def _not_found(name: str, module: str | None) -> TargetError:
    return TargetError(
        f"target {name!r} is not there: no module {module!r} is found; run from the "
        "folder that holds it, or install it, for the gate by --with REQUIREMENT"
    )


def _imported(name: str, module_name: str) -> Any:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there, and what it imports is not
        raise _not_found(name, error.name) from error


def _functions(module: Any) -> list[str]:
    return [
        name
        for name, value in inspect.getmembers(module, inspect.isfunction)
        if value.__module__ == module.__name__
    ]


@contextlib.contextmanager
def blamed(
    name: str, verb: str = "raises", way_out: str = "call it by itself to see all of it"
) -> Iterator[None]:
    """Make what is raised here a fault of the target, told in one line with the user's own line.

    An exit counts: it would end a run early, and by code 0 as if all were well.

    Raises:
        TargetError: anything was raised.
    """
    try:
        yield
    except TargetError:
        raise
    except (Exception, SystemExit) as error:
        text = str(error).strip().partition("\n")[0]
        told = f"{type(error).__name__}{_place(error)}: {text}".removesuffix(": ")
        raise TargetError(f"target {name!r} {verb} {told} ({way_out})") from error


def _place(error: BaseException) -> str:
    """Return ` at FILE:LINE` of the last line of the user's own code that led to the error."""
    installed = (Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("stdlib")), PACKAGE)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_file() and not any(map(path.is_relative_to, installed)):
            return f" at {path}:{frame.lineno}"
    return ""
