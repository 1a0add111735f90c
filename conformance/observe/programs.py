"""Compiled programs that are kept between runs: a case that is asked for again compiles nothing.

What is kept is the machine code of a compilation, so it returns the same bits as long as all is
equal that the code was made from. JAX names a program by its text, jaxlib, XLA's flags and options,
and the processor. It does not by the C library that XLA folds constants with, nor by LAPACK and its
kernel: the folder is named by all that an environment records. JAX writes its own files in place,
so that another process may read half of one; here each is written beside its place and begins with
a digest. What is damaged is compiled again.

Verdicts may rest on kept programs; recordings and goldens never do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from conformance.core.files import digest, put_file
from conformance.core.paths import cache_folder
from conformance.core.records import Environment
from conformance.observe import jax_compat

KIND = "programs"
"""Folder of the user's cache."""

N_DIGEST = hashlib.sha256().digest_size


class Programs:
    """What JAX asks for a compiled program before it compiles one, and hands each that it compiled.

    `is_refused` once JAX could not load what was kept here: from then on everything is compiled.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder  # JAX logs it by this name
        self._given: set[str] = set()
        self.is_refused = False

    def get(self, key: str) -> bytes | None:
        """Return the program, or None where none is kept, or not the one that was put there."""
        if self.is_refused:
            return None
        try:
            data = (self._path / key).read_bytes()
        except OSError:
            return None
        program = data[N_DIGEST:]
        if hashlib.sha256(program).digest() != data[:N_DIGEST]:
            return None
        self._given.add(key)
        return program

    def put(self, key: str, value: bytes) -> None:
        """Keep a program, whatever was there before; a disk that refuses costs a compilation."""
        # One that was given is compiled again only where the compiler refuses its own machine code,
        # as where it does not know the processor again: openxla/xla issue 44565.
        self.is_refused |= key in self._given
        if not self.is_refused:
            with contextlib.suppress(OSError):
                put_file(self._path / key, hashlib.sha256(value).digest() + value)


def folder_for(environment: Environment) -> Path:
    """Return where the programs of an environment are kept; another one's are of no use."""
    facts = json.dumps(dataclasses.asdict(environment), sort_keys=True)
    return cache_folder(KIND) / digest(facts)


@contextlib.contextmanager
def kept(environment: Environment) -> Iterator[None]:
    """Let this process keep its compiled programs until the block ends, and use those of before.

    JAX's own variables come first: JAX_ENABLE_COMPILATION_CACHE=0 turns all this off, and with
    JAX_COMPILATION_CACHE_DIR it is JAX that keeps programs, there.
    """
    if jax_compat.programs_folder() or not jax_compat.may_keep_programs():
        yield
        return
    folder = folder_for(environment)
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # what lies there is executed
        os.utime(folder)  # the folders that were of no use for longest go first
    with jax_compat.keeping_programs(Programs(folder), folder):
        yield


def lines(environment: Environment) -> list[str]:
    """Return on which compiled programs a run in this environment would rest, for people."""
    if not jax_compat.may_keep_programs():
        return ["none is kept, as JAX_ENABLE_COMPILATION_CACHE says"]
    if there := jax_compat.programs_folder():
        return [f"JAX itself keeps them, in {there}"]
    folder = folder_for(environment)
    n_kept = sum(1 for _ in folder.glob("[!.]*"))
    return [
        f"{n_kept} kept for runs in this environment, in {folder}",
        "with JAX_ENABLE_COMPILATION_CACHE=0 a run compiles its own",
    ]
