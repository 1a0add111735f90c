"""How long a case may take."""

from __future__ import annotations

CASE_TIMEOUT_S = 600.0
"""After so long a case counts as hung, unless somebody says otherwise.

Far beyond what any case takes: the slowest program known compiles in seconds.
"""

LONGEST_S = 365 * 24 * 3600.0
"""The longest deadline; the system's timers take no arbitrary number."""
