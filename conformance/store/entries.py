"""The store of outcomes: goldens and recordings alike.

A golden set is a recording that somebody accepted, with a reason. A set of predictions is a
recording of a device that was not there. A store is a folder:

    manifest.json                        one sorted line an entry: shard, digest, stages
    provenance.json                      environment, date, scope and reason of what was accepted
    <family>/<initializer>.safetensors   the bits
    drawn/...                            the same of what was drawn for orthogonal matrices; a
                                         golden set has none: the oracle knows it, or the other side
    overlays/<backend>[@<release>]/      a store of the problems whose bits differ on a backend, or
                                         under a release of JAX
    layers/                              a store of the parameters of Flax's layers
    lowest/, highest/                    stores of what predictions permit of cases left open

Goldens are keyed by problem, those of layers by parameter, recordings and predictions by case.
Reading verifies; nothing here writes a golden set but `conformance.curate.accept`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from conformance.core import versions
from conformance.core.arrays import FULL_SIZE_LIMIT, Content, as_dtype, n_blocks, sampled
from conformance.core.ids import Problem, parse_case, parse_parameter, parse_problem
from conformance.core.paths import LAYERS
from conformance.core.reading import record
from conformance.core.records import STAGES, Entry, Moments, Observation, Raised, Returned

LOWEST, HIGHEST = "lowest", "highest"

DRAWN = "drawn"

GOLDEN, RECORDING, PREDICTED = "golden", "recording", "predicted"

TREE = "parameters"
"""Kind of the store that holds a tree of parameters."""

STORES = {
    GOLDEN: versions.GOLDENS,
    LAYERS: versions.GOLDENS,
    RECORDING: versions.RECORDING,
    PREDICTED: versions.PREDICTIONS,
    TREE: versions.PARAMETERS,
}
"""The file format of each kind of store."""

BY_CASE = (RECORDING, PREDICTED)
"""Kinds of store whose entries are of cases, not of problems."""

EXTRA = ("stages", "device", "elapsed_s", "mode", "repeat_sha256", "permitted", "changed")
"""What an entry may say beside its outcome; goldens keep the stages alone. `permitted` are the
digests of all arrays that a prediction permits."""

RENAMED = {"wholes": "permitted"}
"""What fields of entries were called before: predictions of versions 1 and 2."""

MOST_ELEMENTS = 1 << 32
"""Of an array in a store: what a recording states is drawn anew, to be compared."""

MOST_KEPT = {RECORDING: 1 << 22}
"""Elements of the largest array that a kind of store keeps whole, else FULL_SIZE_LIMIT. Of a
recording 2048 x 2048: what another device returns is no golden, and must be there to be judged."""


LONGEST_TEXT = 1 << 12
"""Characters of a device's name and the like; a list of compiler flags is the longest seen."""


def shard_name(family: str, initializer: str) -> str:
    """Return the path of a shard within its store."""
    return f"{family}/{initializer}.safetensors"


# --- Entries as JSON -----------------------------------------------------------------------------
def entry_fields(entry: Entry) -> dict[str, Any]:
    """Return all of an entry but its id and bits, as JSON holds it.

    What the id says already is left out: dtype and shape unless the outcome has others. So are the
    moments of an array that is stored whole.
    """
    outcome, (dtype, shape) = entry.outcome, asked_of(entry.id)
    extra = {name: entry.extra[name] for name in EXTRA if name in entry.extra}
    if stages := extra.pop("stages", {}):
        extra["stages"] = {name: stages[name] for name in STAGES if name in stages}
    fields: dict[str, Any] = {"shard": entry.shard}
    if isinstance(outcome, Raised):
        return {**fields, "raised": outcome.exception, "message": outcome.message, **extra}
    fields["sha256"] = outcome.sha256
    if outcome.dtype != dtype:
        fields["dtype"] = outcome.dtype
    if outcome.shape != shape:
        fields["shape"] = list(outcome.shape)
    if outcome.weak_type:
        fields["weak_type"] = True
    if outcome.drawn is not None:
        fields[DRAWN] = hashlib.sha256(outcome.drawn).hexdigest()
    if not outcome.is_whole:
        fields["stride"] = outcome.stride
        fields["moments"] = {
            name: value if math.isfinite(value) else str(value)
            for name, value in dataclasses.asdict(outcome.moments).items()
        }
        if outcome.blocks:
            fields["blocks"] = list(outcome.blocks)
    return {**fields, **extra}


def entry_from(
    key: str, fields: Mapping[str, Any], bits: bytes, drawn: bytes | None = None
) -> Entry:
    """Return the entry that `entry_fields` described; an array stored whole has its digest.

    drawn: what was drawn for an orthogonal matrix, where the fields name it.

    Raises:
        ValueError: a field is missing or makes no sense.
    """
    fields = {RENAMED.get(name, name): value for name, value in fields.items()}
    known = record(_Fields, fields)
    _require_bounded(known)
    extra = {name: fields[name] for name in EXTRA if name in fields}
    if known.raised is not None:
        raised = Raised(exception=known.raised, message=known.message)
        return Entry(id=key, shard=known.shard, outcome=raised, extra=extra)
    dtype, shape = asked_of(key)
    dtype, stride = known.dtype or dtype, known.stride
    shape = shape if known.shape is None else known.shape
    if shape is None:
        raise ValueError("its shape is not stated")
    if stride < 1 or min(shape, default=0) < 0:
        raise ValueError(f"stride {stride} of shape {list(shape)} describes no array")
    if math.prod(shape) > MOST_ELEMENTS:
        raise ValueError(f"shape {list(shape)} has more than {MOST_ELEMENTS} elements")
    needed = -(-math.prod(shape) // stride) * as_dtype(dtype).itemsize
    if len(bits) != needed:
        raise ValueError(f"{len(bits)} bytes are stored, {dtype}{list(shape)} needs {needed}")
    if not known.sha256 or (stride == 1 and hashlib.sha256(bits).hexdigest() != known.sha256):
        raise ValueError("its array is another one than the digest says")
    if known.blocks and len(known.blocks) != (n := n_blocks(math.prod(shape))):
        raise ValueError(f"{len(known.blocks)} digests of blocks are stored, {list(shape)} has {n}")
    sizes = {math.prod(part) * as_dtype(dtype).itemsize for part in (shape, shape[-2:])}
    if drawn is not None and len(drawn) not in sizes:
        raise ValueError(f"{len(drawn)} bytes were drawn for it, {dtype}{list(shape)} needs others")
    if drawn is not None and hashlib.sha256(drawn).hexdigest() != known.drawn:
        raise ValueError("what was drawn for it is another matrix than the digest says")
    outcome = Returned(
        dtype=dtype,
        shape=shape,
        sha256=known.sha256,
        stride=stride,
        bits=bits,
        blocks=known.blocks,
        weak_type=known.weak_type,
        moments=known.moments or Content(dtype=dtype, sha256=known.sha256, bits=bits).moments,
        drawn=drawn,
    )
    return Entry(id=key, shard=known.shard, outcome=outcome, extra=extra)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Fields:
    """What a line of the manifest may say: see `entry_fields`."""

    shard: str
    raised: str | None = None
    message: str = ""
    sha256: str = ""
    dtype: str = ""
    shape: tuple[int, ...] | None = None
    weak_type: bool = False
    drawn: str | None = None
    stride: int = 1
    moments: Moments | None = None
    blocks: tuple[str, ...] = ()
    stages: Mapping[str, str] = dataclasses.field(default_factory=dict)
    device: str = ""
    elapsed_s: float = math.nan
    mode: str = ""
    repeat_sha256: str | None = None
    permitted: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


def _require_bounded(known: _Fields) -> None:
    """Refuse texts that no recorder writes, before they fill a report.

    Raises:
        ValueError: one is longer; the message names the field.
    """
    texts = {
        "device": (known.device,),
        "mode": (known.mode,),
        "stages": (*known.stages, *known.stages.values()),
        "changed": known.changed,
    }
    for name, parts in texts.items():
        if length := next((len(part) for part in parts if len(part) > LONGEST_TEXT), 0):
            raise ValueError(f"{name} has {length} characters, more than {LONGEST_TEXT}")


def problem_of(key: str) -> Problem:
    """Return the problem that the id of a problem or of a case names.

    Raises:
        ValueError: the id is neither.
    """
    try:
        return parse_problem(key)
    except ValueError:
        return parse_case(key).problem


def asked_of(key: str) -> tuple[str, tuple[int, ...] | None]:
    """Return the dtype and the shape that an id asks for; a parameter of a layer names no shape.

    Raises:
        ValueError: the id is of no problem, case or parameter.
    """
    try:
        problem = problem_of(key)
    except ValueError:
        return parse_parameter(key).dtype, None
    return problem.dtype, problem.shape


def reduced(entry: Entry, kind: str, *, is_whole: bool = False) -> Entry:
    """Return the entry as a kind of store keeps it: a sample of what is too large.

    What was drawn for a matrix is kept beside the whole matrix, and in no golden set. is_whole:
    keep all elements however many there are.
    """
    outcome = entry.outcome
    if isinstance(outcome, Raised):
        return entry
    is_kept = is_whole or math.prod(outcome.shape) <= MOST_KEPT.get(kind, FULL_SIZE_LIMIT)
    if kind == GOLDEN or not is_kept:
        outcome = dataclasses.replace(outcome, drawn=None)
    return dataclasses.replace(entry, outcome=outcome if is_kept else sampled(outcome))


def one_line(value: Any) -> str:
    """Return JSON without spaces; NaN is refused, since JSON has none."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def entry_of(observation: Observation, family: str, *, is_whole: bool = False) -> Entry:
    """Return the observation as a recording keeps it."""
    return reduced(
        Entry(
            id=observation.case.id,
            shard=shard_name(family, observation.case.problem.initializer),
            outcome=observation.outcome,
            extra={
                "stages": dict(observation.stages),
                "device": observation.device,
                "elapsed_s": round(observation.elapsed_s, 6),
                "mode": observation.mode,
                "repeat_sha256": observation.repeat_sha256,
                **({"changed": list(observation.changed)} if observation.changed else {}),
            },
        ),
        RECORDING,
        is_whole=is_whole,
    )


def parameter_id(path: str) -> str:
    """Return the id under which a store holds a parameter.

    The id of a problem whose initializer is the path. Dtype and shape are placeholders: they are
    part of the answer, and a parameter that changes them is still the same parameter.
    """
    escaped = path.replace("%", "%25").replace("-", "%2D")
    return Problem(initializer=escaped, dtype="float32", shape=(), seed=0).id


def parameter_path(key: str) -> str:
    """Return the path whose id is `key`."""
    return parse_problem(key).initializer.replace("%2D", "-").replace("%25", "%")
