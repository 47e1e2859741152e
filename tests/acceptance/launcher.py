"""Starts one of our programs under a hard fate: SIGKILL at a custody step, or a clock that somebody sets.

    python -m tests.acceptance.launcher [--kill-at STEP NTH [--victim PID]…] [--clock FILE] PROGRAM ARGUMENT…

The programs know nothing of it. A step is the moment before or after one of their functions, the NTH time that it is
reached; then the program itself gets SIGKILL or, if there are victims, others do. FILE holds the seconds by which the
program's wall clock is wrong, read at each look at the clock. If such a function isn't there any more, the program
doesn't start at all, and the test that named it fails.
"""

import argparse
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from functools import wraps
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[2]
MODULES = {"edge-agent": "edge_agent.cli", "cloud-sink": "cloud_sink.cli"}
CLOCKS = {"edge-agent": "edge_agent.clock", "cloud-sink": "cloud_sink.sink"}


@dataclass(frozen=True, slots=True)
class Step:
    """A moment in `program`: `when` relative to `function`, written module:Class.method."""

    program: str
    when: Literal["before", "after"]
    function: str


# The way of a record, as in design 3: each place where one who has custody could die before the next one is told.
STEPS = {
    "after read, before seal": Step("edge-agent", "before", "edge_agent.spool:Spool.seal"),
    "after seal, before ack": Step("edge-agent", "before", "edge_agent.drivers.wlc_1:Wlc1Driver.acknowledge"),
    "after ack": Step("edge-agent", "after", "edge_agent.drivers.wlc_1:Wlc1Driver.acknowledge"),
    "after ack, before publish": Step("edge-agent", "before", "edge_agent.uplink:Uplink.publish_page"),
    "after publish, before receipt": Step("edge-agent", "after", "edge_agent.uplink:Uplink.publish_page"),
    "after receipt, before it is noted": Step("edge-agent", "before", "edge_agent.spool:Spool.apply_receipt"),
    "after receipt was noted": Step("edge-agent", "after", "edge_agent.spool:Spool.apply_receipt"),
    "after receive, before commit": Step("cloud-sink", "before", "cloud_sink.ledger.book:Book.commit"),
    "after commit, before receipt": Step("cloud-sink", "after", "cloud_sink.ledger.book:Book.commit"),
    "after receipt, before PUBACK": Step("cloud-sink", "before", "cloud_sink.session:Session.acknowledge"),
    "after PUBACK": Step("cloud-sink", "after", "cloud_sink.session:Session.acknowledge"),
}


def command(
    program: str,
    arguments: Sequence[str],
    kill_at: tuple[str, int] | None = None,
    clock: Path | None = None,
    victims: Sequence[int] = (),
) -> list[str]:
    """Return the command that runs a program under this fate; it needs `ROOT` as PYTHONPATH."""
    fate = ["--kill-at", kill_at[0], str(kill_at[1])] if kill_at else []
    for pid in victims:
        fate += ["--victim", str(pid)]
    fate += ["--clock", str(clock)] if clock else []
    return [sys.executable, "-m", "tests.acceptance.launcher", *fate, program, *arguments]


def kill_at(name: str, nth: int, victims: Sequence[int]) -> None:
    """Put the kill in place. `victims`: pids, this process's own if there are none."""
    step = STEPS[name]
    module, _, path = step.function.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, attribute = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, attribute, _killing(getattr(owner, attribute), step.when, nth, name, victims))


def _killing(
    function: Callable[..., Any], when: str, nth: int, name: str, victims: Sequence[int]
) -> Callable[..., Any]:
    reached = 0
    lock = threading.Lock()

    def kill_the_nth_time() -> None:
        nonlocal reached
        with lock:
            reached += 1
            if reached == nth:
                os.write(2, f"killed {name}, time {nth}\n".encode())
                for pid in victims or [os.getpid()]:
                    os.kill(pid, signal.SIGKILL)

    @wraps(function)
    def with_kill(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            kill_the_nth_time()
        result = function(*args, **kwargs)
        if when == "after":
            kill_the_nth_time()
        return result

    return with_kill


def set_clock(program: str, offset_file: Path) -> None:
    """Let the program's one source of the time of day be wrong by what the file says."""

    class SetClock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=float(offset_file.read_text()))

    module = importlib.import_module(CLOCKS[program])
    assert module.datetime is datetime
    module.datetime = SetClock  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kill-at", nargs=2, metavar=("STEP", "NTH"))
    parser.add_argument("--victim", type=int, action="append", default=[], dest="victims")
    parser.add_argument("--clock", type=Path)
    parser.add_argument("program", choices=MODULES)
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    fate = parser.parse_args()
    if fate.kill_at:
        kill_at(fate.kill_at[0], int(fate.kill_at[1]), fate.victims)
    if fate.clock:
        set_clock(fate.program, fate.clock)
    sys.argv = [fate.program, *fate.arguments]
    importlib.import_module(MODULES[fate.program]).main()


if __name__ == "__main__":
    main()
