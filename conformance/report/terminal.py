"""A run in a terminal: short when all is green, otherwise enough to start working."""

from __future__ import annotations

import collections

from conformance.core.case_set import n_cases
from conformance.core.records import Status
from conformance.core.words import counted
from conformance.report.aligned import aligned
from conformance.report.explained import notes_on
from conformance.report.headline import headline
from conformance.report.run import (
    CLASSES,
    Run,
    Tally,
    by_class,
    class_of,
    group,
    is_plain,
    n_of,
    ulp_text,
)

N_WORST = 5
N_MISSING = 10
N_REASONS = 3
N_OTHERS = 5
N_INITIALIZERS = 20
N_CHARACTERS = 160


def terminal_lines(run: Run, width: int | None = None) -> list[str]:
    """Return the verdict, then what explains it, then where the reports are.

    width: of the terminal, which the table fits; None: of none.
    """
    lines = [f"{run.verdict}, in {run.elapsed_s:.1f} s", *_sentence(run), *notes_on(run)]
    lines += _missing(run)
    if run.n_failed:
        lines += ["", f"by class: {run.classes_in_words}", *_by_initializer(run.tally, width)]
        lines += ["", "worst:", *_worst(run)]
    lines += _others(run)
    lines += _tolerated(run)
    lines += [f"limited by the ledger: {n} x {name}" for name, n in run.limitations.items()]
    lines.append(f"reports: {run.folder}")
    return lines


def _sentence(run: Run) -> list[str]:
    sentence = headline(run)
    return [f"  {sentence}"] if sentence else []


def _missing(run: Run) -> list[str]:
    if not run.missing:
        return []
    lines = ["no result came from:"]
    groups = run.missing_by_reason
    for reason, cases in list(groups.items())[:N_REASONS]:
        lines += [f"  {case}" for case in cases[:N_MISSING]]
        if rest := sum(map(n_cases, cases[N_MISSING:])):
            lines.append(f"  and {rest} more; summary.md names them")
        lines.append(f"    {shorten(reason)}")
    if (rest := len(groups) - N_REASONS) > 0:
        lines.append(f"  and cases for {counted(rest, 'more reason')}; summary.md names them")
    return lines


def _others(run: Run) -> list[str]:
    """Return the tests of no case that failed; pytest has shown what they say."""
    if not run.others:
        return []
    shown = [f"  {test}" for test in list(run.others)[:N_OTHERS]]
    rest = len(run.others) - len(shown)
    more = [f"  and {rest} more; summary.md names them"] if rest else []
    return ["failed besides cases:", *shown, *more]


def _by_initializer(tally: Tally, width: int | None) -> list[str]:
    """Return a table of the initializers that failed; those that did not are one line."""
    groups = group(tally, "initializer")
    bad = {name: mine for name, mine in groups.items() if _n_failed(mine)}
    worst = sorted(bad, key=lambda name: (-_n_failed(bad[name]), name))[:N_INITIALIZERS]
    total = by_class(tally)
    used = [name for name in CLASSES if total[name]]
    rows = [["initializer", "failed", *used]]
    for name in worst:
        counts = by_class(bad[name])
        failed = f"{_n_failed(bad[name])}/{counts.total()}"
        rows.append([name, failed, *(str(counts[used_class] or "-") for used_class in used)])
    lines = aligned(rows, n_left=1, width=width, elsewhere="summary.md")
    if rest := len(bad) - len(worst):
        lines.append(f"and {rest} more initializers with failures; summary.md lists them")
    if fine := len(groups) - len(bad):
        lines.append(f"{fine} other initializers: no failure")
    return lines


def shorten(message: str) -> str:
    """Return the first line of the message, cut to what a terminal shows of it."""
    line = message.partition("\n")[0]
    return line if len(line) <= N_CHARACTERS else f"{line[: N_CHARACTERS - 3]}..."


def _n_failed(tally: Tally) -> int:
    return n_of(tally, Status.FAILED)


def _tolerated(run: Run) -> list[str]:
    """Return one line on the drift that the policy let pass: where most, and the worst of it."""
    rows = [row for row in run.noteworthy if row.status == Status.PASSED]
    if not rows:
        return []
    counts: collections.Counter[str] = collections.Counter()
    for key, n in sorted(run.tally.items(), key=lambda each: -CLASSES.index(each[0].drift_class)):
        if key.status == Status.PASSED and not is_plain(key):
            counts[key.initializer] += n
    most = ", ".join(f"{name} {n}" for name, n in counts.most_common(N_WORST))
    more = f" and {len(counts) - N_WORST} more" if len(counts) > N_WORST else ""
    facts = ", ".join(filter(None, (class_of(rows[0]), ulp_text(rows[0]))))
    return [f"drift within policy: {most}{more}; worst {rows[0].case}: {facts}"]


def _worst(run: Run) -> list[str]:
    lines = []
    for row in run.failed[:N_WORST]:
        stage = f"first differing stage {row.stage}" if row.stage else ""
        facts = [f"failed {row.failed_checks}", class_of(row), ulp_text(row), stage]
        lines += [
            f"  {row.case}",
            f"    {'; '.join(filter(None, facts))}",
            f"    {shorten(row.messages)}",
            f"    rerun: {row.rerun}",
        ]
    if (rest := run.n_failed - N_WORST) > 0:
        lines.append(f"  and {rest} more; {run.elsewhere} holds all")
    return lines
