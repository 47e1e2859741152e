"""Runs benches and prints what they found: `python -m bench [NAME …] [--quick] [--json] [--strict]`.

Progress goes to stderr, the table (or JSON) to stdout. Exit code 0 if all ran, whether or not they met their goals
(with --strict: only if they did), 1 if one couldn't measure.
"""

import argparse
import json
import os
import platform
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from bench.catalogue import BENCHES
from bench.table import Row, render
from bench.workplace import BenchFailed, Workplace
from cloud_sink.errors import SinkError
from demo.control import ControlRefused, SimulatorGone
from demo.process import MissingProgram, ProcessFailed
from edge_agent.errors import EdgeAgentError
from tests.support.server import ServerFailed
from tests.support.waiting import WaitedTooLong

# What the things that are measured, and the servers around them, say when they can't go on.
_FAILURES = (
    BenchFailed, ControlRefused, EdgeAgentError, MissingProgram, OSError, ProcessFailed, ServerFailed, SimulatorGone,
    SinkError, WaitedTooLong, psycopg.Error, sqlite3.Error,
)  # fmt: skip


_QUIET_LOAD = 0.5
Machine = dict[str, object]


@dataclass(frozen=True, slots=True)
class Failure:
    """A bench that couldn't measure."""

    bench: str
    why: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = _parse(arguments)
    machine = _machine()
    rows: list[Row] = []
    failures: list[Failure] = []
    for name in options.names or [name for name, bench in BENCHES.items() if not bench.only_by_name]:
        try:
            rows += _run_one(name, options.quick)
        except _FAILURES as error:
            failures.append(Failure(name, f"{type(error).__name__}: {error}"))
            print(f"{name}: {failures[-1].why}", file=sys.stderr)
    show = _as_json if options.json else _as_text
    print(show(machine, rows, failures, options.quick))
    missed = any(row.met is False for row in rows)
    return 1 if failures or (options.strict and missed) else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    about = [f"  {name:17} {bench.about} (about {bench.minutes:g} min)" for name, bench in BENCHES.items()]
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measures the chain's parts, each against a baseline of the same run.",
        epilog="\n".join(
            ["benches:", *about, "", "Example: python -m bench journal_drain spool_depth --quick"]
        ),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="which benches (default: all that take minutes)"
    )
    parser.add_argument("--quick", action="store_true", help="less of everything: a first look, no verdict")
    parser.add_argument("--json", action="store_true", help="JSON instead of a table, with all samples")
    parser.add_argument("--strict", action="store_true", help="exit code 1 also where a goal was missed")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in BENCHES]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    return options


def _run_one(name: str, quick: bool) -> list[Row]:
    began_s = time.monotonic()

    def say(text: str) -> None:
        print(f"{name} {time.monotonic() - began_s:6.1f} s  {text}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="wastelock-bench-", ignore_cleanup_errors=True) as directory:
        return [replace(row, bench=name) for row in BENCHES[name].run(Workplace(Path(directory), quick, say))]


def _as_text(machine: Machine, rows: Sequence[Row], failures: Sequence[Failure], quick: bool) -> str:
    about = "{system}, {cores} cores, Python {python}, SQLite {sqlite}, load {load} at the start".format(
        **machine
    )
    parts = [about, render(rows)]
    if float(str(machine["load"])) > _QUIET_LOAD:
        parts.append("others were at work on this machine: go by the ratios")
    if quick:
        parts.append("quick: less of everything was measured; the goals are for the full run")
    parts += [f"FAILED {failure.bench}: {failure.why}" for failure in failures]
    return "\n\n".join(parts)


def _as_json(machine: Machine, rows: Sequence[Row], failures: Sequence[Failure], quick: bool) -> str:
    found = {
        "machine": machine,
        "quick": quick,
        "rows": [row.as_json() for row in rows],
        "failures": [{"bench": failure.bench, "why": failure.why} for failure in failures],
    }
    return json.dumps(found, indent=2)


def _machine() -> Machine:
    return {
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything that was started is ended
    sys.exit(main())
