"""Which key Flax hands to the initializer of one parameter, derived without Flax.

linen names a parameter by its path and hashes the path into the root key; nnx counts the keys that
a stream has given out. Sources: `flax.core.scope._fold_in_static` and `flax.nnx.rnglib`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from conformance.oracle.threefry import Key, fold_in, seed_key


def linen_key(root_key: Key, path: tuple[str | int, ...], *, separator: bool = False) -> Key:
    """Return the key of the draw at `path`: module names, then the draw's number, from 1.

    The key is the root folded with `linen_fold`.
    """
    return fold_in(root_key, linen_fold(path, separator=separator)) if path else root_key


def linen_fold(path: tuple[str | int, ...], *, separator: bool = False) -> int:
    """Return the number that stands for a path: four bytes of SHA-1 over its joined parts.

    Without `separator` (the default of `flax_fix_rng_separator`) nothing marks where a part ends,
    so ("block", "1x") and ("block1", "x") get one key: google/flax issue 2157.
    """
    mark = b"\0" if separator else b""
    digest = hashlib.sha1(b"".join(mark + _encoded(part) for part in path), usedforsecurity=False)
    return int.from_bytes(digest.digest()[:4], "big")


def _encoded(part: str | int) -> bytes:
    if isinstance(part, str):
        return part.encode()
    return part.to_bytes((part.bit_length() + 7) // 8, "big")


def nnx_key(streams: Mapping[str, int | Key], name: str, count: int, *, x64: bool = False) -> Key:
    """Return key number `count`, from 0, of the stream `name` of `nnx.Rngs(**streams)`.

    A stream that was not given is the stream `default`, and then shares its count. `split` and
    `fork` of a stream draw its next key: the roots of the new streams are `split` of that key, and
    the key itself.

    Raises:
        KeyError: neither the stream nor `default` was given.
    """
    if name not in streams and "default" not in streams:
        raise KeyError(f"no stream {name!r} and no 'default' among {', '.join(streams) or 'none'}")
    root = streams[name if name in streams else "default"]
    return fold_in(seed_key(root, x64=x64) if isinstance(root, int) else root, count)
