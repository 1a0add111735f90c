"""What is collected: tests that need an extra are there where the extra is. No draw is timed."""

from __future__ import annotations

import importlib.util

collect_ignore = [] if importlib.util.find_spec("ray") else ["test_fleet_ray.py"]

if importlib.util.find_spec("hypothesis"):  # absent where nothing but JAX and pytest is
    from hypothesis import settings

    # Wall time says nothing on a machine that others use: a draw of 20 ms took 340 ms at times.
    settings.register_profile("unhurried", deadline=None)
    settings.load_profile("unhurried")
