"""A seeded fault run over the whole chain: N random faults, then ledger = truth, or not.

    python -m tests.acceptance.faults --n 200 --seed 1        (make faults N=200 SEED=1)

The same seed gives the same plan. What it prints at the end are the counts and the comparison; the exit code is 0 only
if ledger and truth are equal.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

from rich.console import Console

from demo.chain import Chain, NotEqual
from demo.compare import Comparison
from demo.control import SimulatorGone
from demo.estate import Estate
from demo.layout import Layout, Settings
from demo.process import ProcessFailed
from demo.report import print_comparison, report_console
from tests.acceptance.conftest import QUICK_SINK
from tests.acceptance.estates import small_estate
from tests.acceptance.ledger import export
from tests.acceptance.plan import Fault, draw_plan
from tests.acceptance.proxy import Link
from tests.acceptance.strikes import Strikes
from tests.acceptance.supervisor import Supervisor
from tests.acceptance.wire import Bystander
from tests.support.calendar import QUIET_NIGHT
from tests.support.ports import free_port

# Some three pours a second, and rings that no run of a thousand faults fills: nothing may be lost physically.
RESIDENTS_SPEED = 1500
POURS_PER_DAY = 60
RING = 2047
SETTLE_S = 120.0
_TICK_S = 0.05

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run: `done` counts faults by kind, `refused` what couldn't be done at its moment."""

    comparison: Comparison
    done: Counter[str]
    refused: Counter[str]
    starts: Counter[str]
    ended: Counter[tuple[str, int]]


class FaultRun:
    """One run in a directory of its own."""

    def __init__(self, directory: Path, n: int, seed: int, say: Say) -> None:
        self._estate: Estate = small_estate(capacity=RING, pours_per_day=POURS_PER_DAY)
        buses = {bus.name: bus.kind for bus in self._estate.buses}
        self.plan = draw_plan(seed, n, [lock.name for lock in self._estate.locks], buses)
        self._seed = seed
        self._say = say
        layout = Layout(directory, self._estate, free_port)
        self._settings = Settings(poll_interval_s=0.1, sink=QUICK_SINK)
        self._chain = Chain(
            layout, self._settings, seed=seed, backlog_days=2, speed=RESIDENTS_SPEED, export=export,
            leave_out=("edge-agent", "cloud-sink"), calendar_at=QUIET_NIGHT,
        )  # fmt: skip
        self._supervisor = Supervisor(self._chain)

    def run(self) -> Outcome:
        """Do all faults, then wait until ledger and truth are equal; the outcome tells if they became so."""
        with ExitStack() as stack:
            stack.enter_context(self._chain)
            port = self._chain.layout.broker_port
            links = {side: stack.enter_context(Link(port)) for side in ("gateway", "sink")}
            wire = stack.enter_context(closing(Bystander(port, "bystander")))
            self._chain.layout.write_agent_config(self._settings, links["gateway"].port)
            self._chain.layout.write_sink_config(self._settings, links["sink"].port)
            strikes = Strikes(
                self._chain, self._settings, self._supervisor, links, wire, self._settle, Random(self._seed)
            )
            self._strikes = strikes
            self._chain.sink.start()
            self._chain.agent.start()
            self._settle()
            for number, fault in enumerate(self.plan, 1):
                self._do(number, fault)
            self._say("all faults done; everything heals now, and nobody throws waste any more")
            comparison = self._end()
        done = Counter(fault.kind for fault in self.plan)
        return Outcome(comparison, done, strikes.refused, self._supervisor.starts, self._supervisor.ended)

    def _do(self, number: int, fault: Fault) -> None:
        self._say(f"#{number:<4} {fault}" + (f", for {fault.hold_s:g} s" if fault.hold_s else ""))
        self._strikes.strike(fault)
        self._strikes.pour()
        self._pass_time(fault.then_s)

    def _pass_time(self, for_s: float) -> None:
        end = time.monotonic() + for_s
        while time.monotonic() < end:
            self._tend()
            time.sleep(_TICK_S)

    def _tend(self, heal_everything: bool = False) -> None:
        self._strikes.heal_due(heal_everything)
        self._supervisor.tick()

    def _end(self) -> Comparison:
        self._tend(heal_everything=True)
        try:
            self._settle(then_residents_come=False)
        except NotEqual as error:
            self._say(str(error))
        return self._chain.compare_now()

    def _settle(self, then_residents_come: bool = True) -> None:
        """Heal everything and wait until the ledger has all that is recorded; NotEqual if it doesn't come to that."""
        end = time.monotonic() + SETTLE_S
        self._supervisor.bring_back(self._chain.simulator)
        self._chain.control.do("residents", come=False)
        while not self._is_settled():
            if time.monotonic() > end:
                raise NotEqual(f"ledger and truth differ after {SETTLE_S:g} s\n{self._chain.story()}")
            self._tend(heal_everything=True)
            time.sleep(_TICK_S)
        self._chain.control.do("residents", come=then_residents_come)

    def _is_settled(self) -> bool:
        try:
            return self._chain.is_at_rest() and self._chain.compare_now().equal
        except SimulatorGone:
            return False


def tell(outcome: Outcome, console: Console) -> None:
    """Print what was done and what came of it."""
    for title, counts in (
        ("faults", outcome.done),
        ("not possible at their moment", outcome.refused),
        ("programs started again", outcome.starts),
        ("programs that ended by themselves (exit code)", outcome.ended),
    ):
        listed = ", ".join(f"{_name(key)} {count}" for key, count in sorted(counts.items(), key=str))
        console.print(
            f"{title}: {sum(counts.values())}" + (f" ({listed})" if listed else ""), highlight=False
        )
    print_comparison(outcome.comparison, console)


def _name(key: object) -> str:
    return " ".join(str(part) for part in key) if isinstance(key, tuple) else str(key)


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=20, help="how many faults (default 20)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same faults (default 1)")
    parser.add_argument(
        "--out", type=Path, help="directory to keep everything in (default: deleted if all is well)"
    )
    options = parser.parse_args()
    directory = options.out or Path(tempfile.mkdtemp(prefix="wastelock-faults-"))
    console = report_console()
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - began:7.1f} s  {text}", highlight=False, markup=False)

    say(f"{options.n} faults, seed {options.seed}, in {directory}")
    try:
        outcome = FaultRun(directory, options.n, options.seed, say).run()
    except (ProcessFailed, NotEqual, AssertionError) as error:
        console.print(f"The run failed: {error}\nEverything is in {directory}", highlight=False, markup=False)
        return 2
    tell(outcome, console)
    equal = outcome.comparison.equal and outcome.comparison.events > 0
    if options.out is None and equal:
        shutil.rmtree(directory)
    else:
        say(f"everything is in {directory}")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
