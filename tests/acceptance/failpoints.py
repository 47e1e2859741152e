"""Starts one of our programs so that it gets SIGKILL at a custody step, named; the program itself knows nothing of it.

    python -m tests.acceptance.failpoints STEP NTH PROGRAM ARGUMENT…

Each step is the moment before or after one function of the program, the Nth time that it is reached. If such a
function isn't there any more, the program doesn't start at all, and the test that named the step fails.
"""

import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Literal

PROGRAMS = {"edge-agent": "edge_agent.cli", "cloud-sink": "cloud_sink.cli"}


@dataclass(frozen=True, slots=True)
class Step:
    """A point in `program`: `when` relative to `function`, written module:Class.method."""

    program: str
    function: str
    when: Literal["before", "after"]


STEPS: dict[str, Step] = {}


def command(step: str, nth: int, program_and_arguments: list[str]) -> list[str]:
    """Return the command that runs a program (its path first) with a kill waiting at `step`."""
    _path, *arguments = program_and_arguments
    return [sys.executable, "-m", "tests.acceptance.failpoints", step, str(nth), STEPS[step].program, *arguments]


def arm(step: Step, nth: int, name: str) -> None:
    """Put the kill in place."""
    module_name, _, path = step.function.partition(":")
    owner: Any = importlib.import_module(module_name)
    *parents, attribute = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, attribute, _killing(getattr(owner, attribute), step.when, nth, name))


def _killing(function: Callable[..., Any], when: str, nth: int, name: str) -> Callable[..., Any]:
    reached = 0
    lock = threading.Lock()

    def die_the_nth_time() -> None:
        nonlocal reached
        with lock:
            reached += 1
            if reached == nth:
                os.write(2, f"failpoint: {name}, time {nth}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)

    @wraps(function)
    def with_kill(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            die_the_nth_time()
        result = function(*args, **kwargs)
        if when == "after":
            die_the_nth_time()
        return result

    return with_kill


def main() -> None:
    name, nth, program, *arguments = sys.argv[1:]
    arm(STEPS[name], int(nth), name)
    sys.argv = [program, *arguments]
    importlib.import_module(PROGRAMS[program]).main()


if __name__ == "__main__":
    main()
