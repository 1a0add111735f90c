"""JSON files that `git diff` can show: a head, and one sorted line for each key.

Budgets and accepted programs are kept in such files. One is written whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conformance.core.files import replace_file
from conformance.core.versions import Format


def write(
    path: Path, form: Format, head: Mapping[str, Any], name: str, lines: Mapping[str, Any]
) -> None:
    """Write the version, the head, and under `name` the lines, in one step.

    Raises:
        ValueError: a value is not a number, which JSON does not have.
    """
    texts = (
        f"{json.dumps(key)}: {json.dumps(line, sort_keys=True, allow_nan=False)}"
        for key, line in sorted(lines.items())
    )
    start = json.dumps(form.stamped(head), allow_nan=False)[:-1]
    text = f"{start}, {json.dumps(name)}: {{\n" + ",\n".join(texts) + "\n}}\n"
    replace_file(path, text)
