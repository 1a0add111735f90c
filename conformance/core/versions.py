"""Every file format of ours, each with a version of its own.

All that a release of ours has written is read, and the newest version is written. A file states its
version as `schema`. Whoever adds a field, or changes what one means, raises that format's version
here; a field that older files lack has a default in the record that it is read into. No other
format's files notice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from conformance.core.errors import ConformanceError, Malformed

KEY = "schema"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One file format.

    newest: the version that is written. older: what the reader takes for what older files lack.
    unstated: the version of files that state none; 0 where every file states one.
    """

    name: str
    newest: int = 1
    older: str = "there is no older one"
    unstated: int = 0

    def stamped(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return the content as it is written: after its version."""
        return {KEY: self.newest, **content}

    def content(
        self, document: object, source: object, error: type[ConformanceError]
    ) -> dict[str, Any]:
        """Return the document without its version, once that is known to be one that is read.

        source: what a message calls the document.

        Raises:
            Malformed: it is no object, or states no version.
            ConformanceError, as `error`: its version is newer than this release.
        """
        if not isinstance(document, dict):
            raise Malformed.value(document, f"an object of the format `{self.name}`")
        rest = dict(document)
        self.known(rest.pop(KEY, self.unstated or None), source, error)
        return rest

    def known(self, version: object, source: object, error: type[ConformanceError]) -> int:
        """Return the version, if this release can read it; raises as `content` does."""
        if type(version) is not int or version < 1:
            fault = Malformed.value(version, f"a version of the format `{self.name}`, from 1 on")
            raise fault.within(KEY)
        if version > self.newest:
            raise error(
                f"{source} has version {version} of the format `{self.name}`, this release reads "
                f"up to {self.newest}: update this package"
            )
        return version


_LATER = "what came later is unknown there: digests, facts of the environment, draws of matrices"
_BLOCKS = "no sample has digests of blocks before the newest"

GOLDENS = Format(
    name="golden set", newest=3, older=f"version 1 has no inventory; {_BLOCKS}; {_LATER}"
)
INVENTORY = Format(name="inventory")
RECORDING = Format(
    name="recording",
    newest=3,
    older=f"version 1 does not say what was asked for; {_BLOCKS}; {_LATER}",
)
PREDICTIONS = Format(
    name="predictions",
    newest=3,
    older=f"no sample has digests of blocks before 2; `permitted` was `wholes` before 3; {_LATER}",
)
PARAMETERS = Format(name="parameters", newest=2, older=f"{_BLOCKS}; {_LATER}")
JOURNAL = Format(name="journal", newest=2, older=f"{_BLOCKS}; {_LATER}")
PARTS = Format(name="parts of arrays", newest=2, older="no part has a digest before 2")
STAGE = Format(
    name="stage", newest=3, older="no layers are staged; version 1 stated none", unstated=1
)

BUDGETS = Format(name="budgets", older="none is of a matrix")
PROGRAMS = Format(name="accepted programs")
KEPT = Format(name="compiled beforehand")
LAYERS = Format(
    name="goldens of layers", older="read only: sets now hold a store; versions alone, at first"
)

BEGUN_RUN = Format(name="begun run", newest=2, older="none is of a fleet before 2")
LOTS = Format(
    name="lots of rows",
    newest=3,
    older="before 3 all rows passed; before 2 no line has a checksum, and the oracle's distance is "
    "the only figure of a row",
)
ENVIRONMENT = Format(
    name="environment", newest=2, older="version 1 stated none, and holds the same", unstated=1
)
MISSING = Format(
    name="missing cases",
    newest=3,
    older="version 1 stated none, and is the reasons; each seed is a case of its own before 3",
    unstated=1,
)
RUN = Format(
    name="run",
    newest=2,
    older="`n_failed` is absent before 2, and each missing seed is a case of its own",
)
COMPILATION = Format(name="compilation")
MERGE = Format(name="merge")
COMPARISON = Format(name="comparison", newest=2, older="`fallen` is absent before 2")
BISECTION = Format(name="bisection")
HISTORY = Format(name="history")
LAWS = Format(name="laws")
AUDIT = Format(
    name="audit", newest=2, older="written only; version 1 guessed laws and fans from the values"
)
EXPLANATION = Format(name="explanation")
FAULTS = Format(name="kill matrix")
LOWERING = Format(name="lowering")
LISTING = Format(name="listing")
DOCTOR = Format(name="doctor")
CACHE = Format(name="cache")
REVIEW = Format(name="review")
SURVEY = Format(name="survey")

FORMATS = (
    *(GOLDENS, INVENTORY, RECORDING, PREDICTIONS, PARAMETERS, JOURNAL, PARTS, STAGE),
    *(BUDGETS, PROGRAMS, KEPT, LAYERS, BEGUN_RUN, LOTS, ENVIRONMENT, MISSING, MERGE, COMPARISON),
    *(BISECTION, HISTORY, LAWS, AUDIT, EXPLANATION, FAULTS, LOWERING, LISTING, DOCTOR, CACHE),
    *(REVIEW, SURVEY),
)
"""All but that of rows: `report.rows.ROWS`, whose version follows from its columns."""
