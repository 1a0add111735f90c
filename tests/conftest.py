"""What is collected, and what tests see of the machine that runs them.

Tests that need an extra are there where the extra is. No draw is timed.
"""

from __future__ import annotations

import importlib.util
import re
import shlex

import pytest

from conformance import environment

collect_ignore = [] if importlib.util.find_spec("ray") else ["test_fleet_ray.py"]

if importlib.util.find_spec("hypothesis"):  # absent where nothing but JAX and pytest is
    from hypothesis import settings

    # Wall time says nothing on a machine that others use: a draw of 20 ms took 340 ms at times.
    settings.register_profile("unhurried", deadline=None)
    settings.load_profile("unhurried")


AMBIENT = environment.environment_variables()
"""What the machine that runs the tests has set: a LAPACK kernel, or JAX's platforms."""


def without_ambient(text: str) -> str:
    """Return what a child process printed without its notes and settings of AMBIENT variables."""
    for name, value in AMBIENT.items():
        text = re.sub(rf"^note: {name}=.*\n", "", text, flags=re.MULTILINE)
        text = text.replace(f"{name}={shlex.quote(value)} ", "")
    return text


@pytest.fixture(autouse=True)
def what_the_machine_sets_is_not_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let rerun lines and notes speak of the variables that a test sets, and of no others."""
    known = environment.environment_variables

    def set_by_the_test() -> dict[str, str]:
        return {name: value for name, value in known().items() if AMBIENT.get(name) != value}

    monkeypatch.setattr(environment, "environment_variables", set_by_the_test)
