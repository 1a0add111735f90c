"""What the checks of a case say, with the commands that put right what is not the initializer's."""

from __future__ import annotations

from collections.abc import Collection

from conformance.cases.catalogue import registering_module
from conformance.core.ids import Tier
from conformance.core.records import CaseResult, CheckResult, Remedy, Status, Yardstick


def messages_of(result: CaseResult, statuses: Collection[Status], option: str = "") -> list[str]:
    """Return what the checks of these statuses say, the one to read first before all others.

    That a golden is missing comes last: beside a fault it is the lesser news. option: how commands
    name the golden sets that judged, as `paths.golden_option` returns it.
    """
    found = [check for check in result.checks if check.status in statuses and check.message]
    found.sort(key=lambda check: check.check == "values" and result.drift is None)
    return [_with_way_out(check, option) for check in found]


def _with_way_out(check: CheckResult, option: str) -> str:
    if check.remedy is None:
        return check.message
    return f"{check.message}\n  way out: {way_out(check.remedy, option)}"


def sources_of(result: CaseResult) -> list[str]:
    """Return from which overlays golden and budget came, in one line; none of the set itself."""
    named = {"golden": result.golden_from, "budget": result.budget_from}
    found = [f"{what} of overlay {overlay}" for what, overlay in named.items() if overlay]
    return [f"  judged by: {', '.join(found)}"] if found else []


def way_out(remedy: Remedy, option: str) -> str:
    """Return the command that gives the golden sets of the option another yardstick.

    What a program registered by itself is known to no command: it is imported first. And it gets a
    set of its own, beside the shipped one.
    """
    if remedy.yardstick is Yardstick.WHOLE:
        return (
            "record both sides whole, under each JAX with `conformance record "
            f"{remedy.case} --whole --out DIR`, and give the two folders to `conformance compare`"
        )
    command = "conformance"
    if module := registering_module(remedy.initializer):
        command = f'python -c "import {module}, conformance.__main__"'
        option = option or " --golden my_golden"
    if remedy.yardstick is Yardstick.BUDGET:
        return (
            f"measure it with `{command} law --initializer {remedy.initializer} "
            f"--dtype {remedy.dtype} --backend {remedy.backend}{option} --write-budgets`"
        )
    # Goldens of their own start with the tier of the case: the default one takes minutes.
    named = {Tier.QUICK, Tier.FULL} if module else {Tier.FULL}
    tier = f" --tier {remedy.tier}" if remedy.tier in named else ""
    return (
        f"record another with `{command} goldens stage --initializer {remedy.initializer}{tier}"
        f"{option} --reason '...'`, and review what it stages"
    )
