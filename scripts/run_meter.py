"""What `conformance run` takes for its cases in one process, beside what JAX takes.

    python scripts/run_meter.py REPORTS [OPTION ...]        (options of `conformance run`)

Prints a line of JSON: see `Metered`. It is the loop of `conformance run --in-process`: all checks,
and each row written at once. What comes before the first case and after the last is left out.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path

import compile_meter

from conformance.cli.main import parse
from conformance.cli.run import judge
from conformance.report.recorder import RunRecorder
from conformance.run.options import Options, read_arguments
from conformance.run.session import Session


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """What a run took, in seconds.

    elapsed_s: from the first case to the last. cpu_s: of all threads, meanwhile. traced_s,
    loaded_s, compile_s: of elapsed_s, what tracing and lowering, programs from the cache, and the
    others took.
    """

    n_cases: int
    n_failed: int
    elapsed_s: float
    cpu_s: float
    traced_s: float
    loaded_s: float
    compile_s: float

    @property
    def programs_ms(self) -> float:
        """What programs take, per case: to trace, to lower, and to load or to compile."""
        return 1e3 * (self.traced_s + self.loaded_s + self.compile_s) / self.n_cases

    @property
    def beyond_ms(self) -> float:
        """What a case takes beyond its programs, on average."""
        return 1e3 * self.elapsed_s / self.n_cases - self.programs_ms


def metered(options: Options, reports: Path) -> Metered:
    """Return what the cases that are asked for take; the rows are written to a folder."""
    programs = compile_meter.Programs()
    programs.listen()
    recorder = RunRecorder(folder=reports, command="run_meter")
    session = Session(options, recorder.run_id).prepared()
    n_cases = session.n_cases
    programs.forget()
    start, cpu = time.perf_counter(), time.process_time()
    judge(session, recorder, is_told=False)
    elapsed_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    return Metered(
        n_cases=n_cases,
        n_failed=recorder.n_failed,
        elapsed_s=elapsed_s,
        cpu_s=cpu_s,
        traced_s=programs.traced_s,
        loaded_s=programs.loaded_s,
        compile_s=sum(programs.compile_s),
    )


if __name__ == "__main__":
    reports, *words = sys.argv[1:]
    asked = read_arguments(parse(["run", *words]))
    print(json.dumps(dataclasses.asdict(metered(asked, Path(reports)))))
