"""Initializers that end the process of their case, or never return: each costs its verdict only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conformance.cases.catalogue import Initializer
from conformance.core.records import DriftClass
from conformance.planted.fault import PROCESS, Fault, Shape, Wrong


def _instead(end: Callable[[], object]) -> Wrong:
    def wrong(_: Initializer, __: Any, ___: Shape, ____: Any) -> Any:
        return end()

    return wrong


def _segfault() -> object:
    import ctypes

    return ctypes.string_at(0)


def _exit() -> object:
    import os

    os._exit(0)


def _hang() -> object:
    import time

    time.sleep(1000)
    return None


def _ending(name: str, end: Callable[[], object], told: str) -> Fault:
    return Fault(
        name=name,
        base="lecun_normal",
        wrong=_instead(end),
        seed=0,
        caught_by=PROCESS,
        drift=DriftClass.UNKNOWN,
        ends=told,
    )


FAULTS = (
    _ending("segmentation_fault", _segfault, "SIGSEGV"),
    _ending("exits_with_status_0", _exit, "exit status 0"),
    _ending("never_returns", _hang, "--case-timeout"),
)
