"""What tests do to a running chain: let residents pour, send the programs under a hard fate and back."""

from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

from demo.chain import Chain
from demo.process import Child
from tests.acceptance import launcher


def pour(chain: Chain, times: int = 1) -> None:
    """Let residents pour at one lock after the other, at once; each pour is a record when this returns."""
    locks = [lock.name for lock in chain.layout.estate.locks]
    for n, lock in enumerate(islice(cycle(locks), times)):
        answer = chain.control.do("pour", lock=lock, chamber=1 + n % 2, instant=True)
        assert answer["answer"] == "authorised", answer


def send_everybody_home(chain: Chain) -> None:
    """Nobody comes to any lock any more, so that truth stands still."""
    chain.control.do("residents", come=False)


def restart(child: Child) -> None:
    """Start a program that is down, as the service manager would."""
    assert not child.running
    child.start()


def kill_at(
    chain: Chain, step: str, nth: int, clock: Path | None = None, victims: Sequence[Child] = ()
) -> Child:
    """Start the program that the step belongs to anew, so that it gets SIGKILL at this step; return it.

    It is under this fate for one run only. `clock`: the clock that somebody sets for the gateway, if somebody does.
    `victims`: who is killed at that instant in its place.
    """
    child = chain.agent if launcher.STEPS[step].program == "edge-agent" else chain.sink
    if child.running:
        child.stop()
    plain, environment = child.command, child.environment
    own = clock if child is chain.agent else None
    pids = [victim.pid for victim in victims]
    child.command = launcher.command(child.name, _own_arguments(child), (step, nth), own, pids)
    child.environment = {**environment, "PYTHONPATH": str(launcher.ROOT)}
    child.start()
    child.command, child.environment = plain, environment
    return child


def set_wall_clock(child: Child, offset_file: Path, offset_s: float) -> None:
    """Set a program's wall clock; a program that isn't yet under this clock has to be started anew for it."""
    fresh = offset_file.with_suffix(".new")
    fresh.write_text(str(offset_s))
    fresh.replace(offset_file)
    child.command = launcher.command(child.name, _own_arguments(child), clock=offset_file)
    child.environment = {"PYTHONPATH": str(launcher.ROOT)}


def _own_arguments(child: Child) -> list[str]:
    return child.command[child.command.index("run") :]
