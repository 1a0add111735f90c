"""One array, drawn by several processes that each hold a part of it: `jax.distributed` on loopback.

Every process starts a JAX of its own with some forced CPU devices, joins the others, and runs the
same initializer under `jax.jit`, sharded over the devices of all. What each holds is put together
here.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from conformance.cases.builtin import load_catalogue
from conformance.core.arrays import Array, as_dtype, returned
from conformance.core.ids import Problem, parse_problem
from conformance.core.records import Returned
from conformance.observe.backends.problem import settings, typed_key
from conformance.observe.process import HOST_DEVICES_FLAG, SHARDS

PROGRAM = ("-m", "tests.multihost")
LOOPBACK, ASKED = "127.0.0.1", "asked.json"


class MultiHostError(RuntimeError):
    """A process did not come to its end; the message holds what it said last."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sharding:
    """A problem, and the axis over which SHARDS devices share its array; None: one device has all.

    Raises:
        ValueError: the devices do not divide the axis.
    """

    problem: Problem
    axis: int | None

    def __post_init__(self) -> None:
        if self.axis is not None and self.problem.shape[self.axis] % SHARDS:
            raise ValueError(
                f"axis {self.axis} of {self.problem.id} has {self.problem.shape[self.axis]} "
                f"elements, which {SHARDS} devices do not divide"
            )


def draw(
    shardings: Sequence[Sharding], *, n_processes: int, timeout_s: float = 120.0
) -> list[Returned]:
    """Return the arrays, drawn by SHARDS devices that `n_processes` processes hold in equal parts.

    Raises:
        MultiHostError: a process crashed, or was not done within `timeout_s`; all are ended then.
        ValueError: the processes do not divide the devices.
    """
    if SHARDS % n_processes:
        raise ValueError(f"{n_processes} processes do not divide {SHARDS} devices")
    address = f"{LOOPBACK}:{_free_port()}"
    asked = json.dumps([(each.problem.id, each.axis) for each in shardings])
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        Path(folder, ASKED).write_text(asked)
        started = [
            stack.enter_context(_started(Path(folder), address, n_processes, index))
            for index in range(n_processes)
        ]
        _await(started, timeout_s)
        held = [json.loads(each.printed.read_text().splitlines()[-1]) for each in started]
    return [
        _assembled(each.problem, [part for own in held for part in own[number]])
        for number, each in enumerate(shardings)
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Started:
    """A process, and the files of what it prints: pipes would fill up and stop it.

    The last line printed is what it holds; others before it are the communication library's.
    """

    number: int
    process: subprocess.Popen[bytes]
    printed: Path
    errors: Path


@contextlib.contextmanager
def _started(folder: Path, address: str, n_processes: int, index: int) -> Iterator[_Started]:
    flags = f"{os.environ.get('XLA_FLAGS', '')} {HOST_DEVICES_FLAG}={SHARDS // n_processes}"
    printed, errors = folder / f"{index}.json", folder / f"{index}.log"
    with (folder / ASKED).open() as asked, printed.open("w") as out, errors.open("w") as log:
        process = subprocess.Popen(  # noqa: S603  # this module
            [sys.executable, *PROGRAM, address, str(n_processes), str(index)],
            env={**os.environ, "XLA_FLAGS": flags.strip(), "JAX_PLATFORMS": "cpu"},
            stdin=asked,
            stdout=out,
            stderr=log,
        )
    try:
        yield _Started(number=index, process=process, printed=printed, errors=errors)
    finally:
        process.kill()
        process.wait()


def _await(started: list[_Started], timeout_s: float) -> None:
    """Wait until all are done; the first that fails ends the wait for the others."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        codes = [each.process.poll() for each in started]
        if failed := [each for each, code in zip(started, codes, strict=True) if code]:
            raise MultiHostError(_last_words(failed[0]))
        if None not in codes:
            return
        if time.monotonic() > deadline_s:
            raise MultiHostError(
                f"{len(started)} processes were not done within {timeout_s:g} s: "
                "is the machine overloaded, or the loopback closed to them?"
            )
        time.sleep(0.05)


def _last_words(failed: _Started) -> str:
    text = failed.errors.read_text(errors="replace").strip()
    return f"process {failed.number} ended with code {failed.process.returncode}:\n{text[-2000:]}"


def _assembled(problem: Problem, parts: list[dict[str, Any]]) -> Returned:
    array = np.zeros(problem.shape, as_dtype(problem.dtype))
    n_elements = 0
    for part in parts:
        where = tuple(slice(start, stop) for start, stop in part["where"])
        data = np.frombuffer(base64.b64decode(part["bits"]), array.dtype)
        array[where] = data.reshape(array[where].shape)
        n_elements += data.size
    if n_elements != array.size:
        raise MultiHostError(
            f"the processes hold {n_elements} elements of {problem.id}, not {array.size}"
        )
    return returned(array)


# --- In each process -----------------------------------------------------------------------------


def main(words: Sequence[str]) -> None:
    """Join the others, draw what the standard input asks for, and print the part held here."""
    import jax

    address, n_processes, index = words[0], int(words[1]), int(words[2])
    asked = json.load(sys.stdin)
    if n_processes > 1:
        jax.distributed.initialize(address, n_processes, index)
    devices = jax.devices()
    if len(devices) != SHARDS:
        raise MultiHostError(f"{len(devices)} devices are there, {SHARDS} were asked for")
    held = [_held(parse_problem(key), axis, devices) for key, axis in asked]
    sys.stdout.write(json.dumps(held) + "\n")


def _held(problem: Problem, axis: int | None, devices: list[Any]) -> list[dict[str, Any]]:
    """Return the parts of the array that this process holds, replicas left out."""
    import jax

    initializer = load_catalogue().lookup(problem.initializer).build()
    with settings(problem):
        key = typed_key(problem)
        call = jax.jit(
            lambda key: initializer(key, problem.shape, as_dtype(problem.dtype)),
            out_shardings=_sharding(problem, axis, devices),
        )
        shards = call(key).addressable_shards
    return [_part(shard, problem.shape) for shard in shards if shard.replica_id == 0]


def _sharding(problem: Problem, axis: int | None, devices: list[Any]) -> Any:
    from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

    if axis is None:
        return SingleDeviceSharding(devices[0])
    axes = ["devices" if number == axis else None for number in range(len(problem.shape))]
    mesh = Mesh(np.array(devices), ("devices",))
    return NamedSharding(mesh, PartitionSpec(*axes))  # type: ignore[no-untyped-call]  # JAX leaves it untyped


def _part(shard: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    where = [part.indices(size)[:2] for part, size in zip(shard.index, shape, strict=True)]
    data: Array = np.ascontiguousarray(shard.data)
    return {"where": where, "bits": base64.b64encode(data.tobytes()).decode()}


if __name__ == "__main__":
    main(sys.argv[1:])
