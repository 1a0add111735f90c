"""The devices that programs are compiled for ahead of time, by the names they have here."""

from __future__ import annotations

import re
from importlib import resources

from conformance.core.errors import UnknownTarget

FOLDER = resources.files("conformance.predict") / "ptx" / "targets"
"""Descriptions of CUDA devices, as XLA publishes them."""


def target_names() -> list[str]:
    """Return the CUDA devices whose description comes with this package."""
    return sorted(path.name.removesuffix(".txtpb") for path in FOLDER.iterdir())


def description(name: str) -> str:
    """Return what XLA wants to know of a CUDA device."""
    return (FOLDER / f"{name}.txtpb").read_text()


def require_known(platform: str, name: str) -> None:
    """Ensure that a device of the platform, `cuda` or `tpu`, has this name.

    Raises:
        UnknownTarget: none has; the message names those that there are, or how one is written.
    """
    if platform == "cuda" and name not in target_names():
        raise UnknownTarget(
            f"cuda target {name!r} is unknown: choose from {', '.join(target_names())}, or add its "
            "description to conformance/predict/ptx/targets"
        )
    if platform == "tpu" and not re.fullmatch(r"[\w]+:\d+(x\d+)*", name):
        raise UnknownTarget(
            f"tpu topology {name!r} is not understood: write generation:shape, as in v5e:1x1"
        )
