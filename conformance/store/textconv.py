"""A file of a golden set as text, for `git diff`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from conformance.core.arrays import as_dtype
from conformance.core.errors import GoldenError
from conformance.store.entries import asked_of


def textconv(path: Path) -> str:
    """Return a shard as text for `git diff`: the id of each array, then its values, 8 to a line.

    As many digits as tell every two values of the dtype apart; not-a-numbers show their bits.

    Raises:
        GoldenError: the file cannot be read as a shard.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(path.read_bytes())
        parts = [_array_text(key, arrays[key]) for key in sorted(arrays)]
    except (OSError, SafetensorError, ValueError) as error:
        raise GoldenError(f"{path} cannot be shown: {error}") from error
    return "".join(parts)


def _array_text(key: str, words: Any) -> str:
    """Return the text of one array; complex numbers show as real part and imaginary part."""
    dtype = as_dtype(asked_of(key)[0])
    # A parameter may have another dtype than its layer was asked for; the layer's own is float32.
    values = words.view(np.float32 if dtype.itemsize < words.itemsize else dtype)
    values = values.view(values.real.dtype)
    bits = values.view(f"u{values.dtype.itemsize}")
    info = ml_dtypes.finfo(values.dtype)  # type: ignore[no-untyped-call]  # it has no types
    digits = math.ceil(1 + (info.nmant + 1) * math.log10(2))
    texts = [
        f"nan:{word:x}" if value != value else f"{value:.{digits}g}"
        for value, word in zip(values.astype(np.float64).tolist(), bits.tolist(), strict=True)
    ]
    rows = (f"  [{i}] {' '.join(texts[i : i + 8])}\n" for i in range(0, len(texts), 8))
    return f"{key}\n{''.join(rows)}"
