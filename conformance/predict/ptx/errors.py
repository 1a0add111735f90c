"""What the emulator cannot do, said by name."""

from __future__ import annotations


class PtxError(ValueError):
    """PTX that cannot be read or run: what was found, and where."""


class UnsupportedPtx(PtxError):  # noqa: N818  # names a state, not a mistake
    """An instruction or directive outside the emulated subset. Never run by a guess."""
