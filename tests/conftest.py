"""What is collected: tests that need an extra are there where the extra is."""

from __future__ import annotations

import importlib.util

collect_ignore = [] if importlib.util.find_spec("ray") else ["test_fleet_ray.py"]
