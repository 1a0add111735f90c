"""Which package it is that is missing, or installed and cannot be imported."""

from __future__ import annotations

from types import FrameType, TracebackType

from conformance.core.errors import PackageBroken

JUDGING = (
    *("flax", "jinja2", "matplotlib", "packaging", "pandas", "pyarrow"),
    *("pytest", "scipy", "xdist"),
)
"""Modules of the extra `judge`, which recording does without."""

NEEDED = ("jax", "jaxlib", "ml_dtypes", "numpy", "safetensors", *JUDGING)


def told(error: Exception) -> PackageBroken | None:
    """Return what to tell of an exception that a package is the reason of; None of any other."""
    name = (getattr(error, "name", None) or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and name in JUDGING:
        from conformance.core.installation import extra_command

        return PackageBroken(f"this needs {name}, which is not installed: {extra_command('judge')}")
    return broken(error)


def broken(error: Exception) -> PackageBroken | None:
    """Return what to tell of an exception that a package raised while it was being imported.

    None of any other exception: that is a defect of this program, and so is a module of a package
    that is missing as a whole, which has words of its own.
    """
    if isinstance(error, ModuleNotFoundError) and error.name in NEEDED:
        return None
    frames = [frame for frame in _frames(error.__traceback__) if _importing(frame)]
    if not frames:
        return None
    # Flax imports JAX: to blame is the last whose import as a whole is under way.
    roots = [frame for frame in frames if frame.f_globals["__name__"] in NEEDED]
    package = _importing((roots or frames[:1])[-1])
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return PackageBroken(
        f"{package} is installed and cannot be imported ({text}): install versions that belong "
        f"together, as in pip install --upgrade {package}"
    )


def _frames(traceback: TracebackType | None) -> list[FrameType]:
    found = []
    while traceback is not None:
        found.append(traceback.tb_frame)
        traceback = traceback.tb_next
    return found


def _importing(frame: FrameType) -> str:
    """Return the package whose module this frame runs for the first time; "" if it runs none."""
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return package if frame.f_code.co_name == "<module>" and package in NEEDED else ""
