"""JSON files that `git diff` can show: a head, and one sorted line for each key.

Budgets and accepted programs are kept in such files. One is written whole or not at all, and read
only as a schema that this version knows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from conformance.core.errors import StoreError
from conformance.core.files import replace_file
from conformance.core.records import SCHEMA

Parsed = TypeVar("Parsed")


def read(
    path: Path,
    parse: Callable[[Mapping[str, Any]], Parsed],
    way_out: str,
    error: type[StoreError],
) -> Parsed:
    """Return what `parse` makes of the document in a file.

    way_out: how to come by a new file, where version control does not hold the old one. error: what
        a fault of such a file is called.

    Raises:
        StoreError, as `error`: the file is no JSON, or of a newer schema, or `parse` finds a field
            missing or without sense.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] > SCHEMA:
            raise error(
                f"{path} has schema {document['schema']}, and this version reads up to {SCHEMA}: "
                "update this package"
            )
        return parse(document)
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as fault:
        raise error(
            f"{path} cannot be read ({type(fault).__name__}: {fault}): restore it from version "
            f"control, or {way_out}"
        ) from fault


def write(path: Path, head: Mapping[str, Any], name: str, lines: Mapping[str, Any]) -> None:
    """Write the schema, the head, and under `name` the lines; a reader sees the old file till then.

    Raises:
        ValueError: a value is not a number, which JSON does not have.
    """
    texts = (
        f"{json.dumps(key)}: {json.dumps(line, sort_keys=True, allow_nan=False)}"
        for key, line in sorted(lines.items())
    )
    start = json.dumps({"schema": SCHEMA, **head}, allow_nan=False)[:-1]
    text = f"{start}, {json.dumps(name)}: {{\n" + ",\n".join(texts) + "\n}}\n"
    replace_file(path, text)
