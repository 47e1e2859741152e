"""A day of an installation with its own authority: residents, faults, new access lists, commands, new certificates.

    python -m tests.acceptance.day                            (make day; the whole 24 hours take 25 minutes)
    python -m tests.acceptance.day --hours 4 --speed 1440     as the test suite does it

At its end: ledger = truth, each lock has the access list that is wanted of it, certificates were renewed with overlap,
each command was answered, the memory of edge agent and sink is flat. The exit code is 0 only if all of it holds.

What is real: all programs, each a process as it is shipped: controllers, mosquitto over TLS with certificates and
access rules, edge-agent, cloud-sink, `cloud-sink ca run`. Clocks are real, the controllers' and the gateway's alike: a
clock that ran `speed` times too fast would be set at every poll. So a pour's instant in the ledger is when it happened.

What is simulated: the residents, the collection truck and the technician live `speed` seconds in one of ours, from six
in the evening of a Thursday on, and so does the mechanism of the locks. Whatever the programs do by time is set as much
shorter: polls, telemetry, lock states, the life of a certificate. So there are as many polls, pours, messages and
renewals as in 24 hours, though the machine has less time for each of them.

What stays real time: the time-outs of the wire and of MQTT, the clock's keeping, how long a fault lasts (but outages of
the broker: 10, 30 and 60 minutes of the day), how long a command is good for.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from zoneinfo import ZoneInfo

from rich.console import Console

from demo.chain import NotEqual
from demo.compare import Comparison
from demo.control import SimulatorGone
from demo.layout import Settings
from demo.process import ProcessFailed
from demo.report import print_comparison, report_console
from tests.acceptance.conftest import QUICK_SINK
from tests.acceptance.day_plan import Deed, Kind, draw_day
from tests.acceptance.estates import small_estate
from tests.acceptance.ledger import export
from tests.acceptance.memory import Sample, Verdict, at_quarters, judge, last_life, take_sample
from tests.acceptance.proxy import Link
from tests.acceptance.strikes import Strikes
from tests.acceptance.supervisor import Supervisor
from tests.acceptance.trusted_chain import TrustedChain, TrustedLayout
from tests.support.ports import free_port

EVENING = datetime(2026, 11, 19, 18, 0, tzinfo=ZoneInfo("Europe/Berlin"))
POURS_PER_DAY = 150  # of each lock: as many as 150 dwellings make
POLL_EVERY_S, TELEMETRY_EVERY_S, STATE_EVERY_S = 5, 60, 300  # of the day's time
CERTIFICATE_H = 12
SAMPLES_PER_H = 6
SETTLE_S = 120.0
WARM_UP_H = 2.0
_TICK_S = 0.05
_LOOK_S = 1.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a day; `shortcomings` is empty if all that must hold does."""

    comparison: Comparison
    faults: Counter[str]
    refused: Counter[str]
    starts: Counter[str]
    ended: Counter[tuple[str, int]]
    memory: dict[str, list[Sample]]
    verdicts: list[Verdict]
    shortcomings: list[str] = field(default_factory=list)


class Day:
    """One day in a directory of its own. `hour_s`: our seconds for one of its hours."""

    def __init__(self, directory: Path, hours: float, speed: float, seed: int, say: Say) -> None:
        self._hours, self._speed, self._hour_s = hours, speed, 3600 / speed
        self._seed, self._say = seed, say
        self._estate = small_estate(tcp_locks=3, capacity=2047, pours_per_day=POURS_PER_DAY)
        self._deeds = draw_day(seed, hours, self._hour_s, self._estate)
        layout = TrustedLayout(directory, self._estate, free_port)
        if hours > CERTIFICATE_H:
            layout.certificate_days = CERTIFICATE_H * self._hour_s / 86_400
        self._settings = _settings(speed)
        self._chain = TrustedChain(
            layout, self._settings, seed=seed, speed=speed, export=export, calendar_at=EVENING,
            leave_out=("edge-agent", "cloud-sink"),
        )  # fmt: skip
        self._supervisor = Supervisor(self._chain)
        self._memory: dict[str, list[Sample]] = {"edge-agent": [], "cloud-sink": []}
        self._lived_from_s = self._lived_until_s = 0.0
        self._began_s = self._look_at_s = self._sample_at_h = 0.0

    def run(self) -> Outcome:
        """Live the day, then let everything heal and come to rest."""
        with ExitStack() as stack:
            chain, layout = stack.enter_context(self._chain), self._chain.layout
            links = {side: stack.enter_context(Link(layout.broker_port)) for side in ("gateway", "sink")}
            layout.write_agent_config(self._settings, links["gateway"].port)
            layout.write_sink_config(self._settings, links["sink"].port)
            self._strikes = Strikes(
                chain, self._settings, self._supervisor, links, None, lambda: None, Random(self._seed)
            )
            for child in (chain.sink, chain.agent, chain.authority):
                child.start()
            self._began_s = time.monotonic()
            self._lived_from_s = self._look()
            self._live()
            self._say("the day is over; everything heals now, and nobody throws waste any more")
            comparison = self._come_to_rest()
            self._sample(force=True)
            return self._judge(comparison)

    @property
    def _now_h(self) -> float:
        return (time.monotonic() - self._began_s) / self._hour_s

    def _live(self) -> None:
        due = list(self._deeds)
        while due or self._lived_until_s < self._lived_from_s + self._hours * 3600:
            while due and due[0].at_h <= self._now_h:
                self._do(due.pop(0))
            self._tend()
            time.sleep(_TICK_S)

    def _do(self, deed: Deed) -> None:
        match deed.kind:
            case Kind.FAULT:
                assert deed.fault is not None
                self._tell(f"{deed.fault}" + (f", for {deed.fault.hold_s:g} s" if deed.fault.hold_s else ""))
                self._strikes.strike(deed.fault)
                self._strikes.pour()
            case Kind.NEW_SIGNING_KEY:
                self._tell("the next certificate is to come with another page-signing key")
                self._chain.layout.edge_agent("enroll", "--new-signing-key")

    def _tend(self, heal_everything: bool = False) -> None:
        self._strikes.heal_due(heal_everything)
        self._supervisor.tick()
        if time.monotonic() >= self._look_at_s:
            self._look_at_s = time.monotonic() + _LOOK_S
            self._lived_until_s = max(self._lived_until_s, self._look())
        self._sample()

    def _look(self) -> float:
        """Return up to when the residents have lived, by their own clock; 0 while the simulator is down."""
        try:
            return min(float(ring["lived_until_s"]) for ring in self._chain.rings().values())
        except SimulatorGone:
            return 0.0

    def _sample(self, force: bool = False) -> None:
        if self._now_h < self._sample_at_h and not force:
            return
        self._sample_at_h = self._now_h + 1 / SAMPLES_PER_H
        for child in (self._chain.agent, self._chain.sink):
            if child.running and (sample := take_sample(self._now_h, child.pid)) is not None:
                self._memory[child.name].append(sample)

    def _come_to_rest(self) -> Comparison:
        end = time.monotonic() + SETTLE_S
        self._supervisor.bring_back(self._chain.simulator)
        self._chain.control.do("residents", come=False)
        while not self._is_at_rest():
            if time.monotonic() > end:
                self._say(f"not at rest after {SETTLE_S:g} s\n{self._chain.story()}")
                break
            self._tend(heal_everything=True)
            time.sleep(_TICK_S)
        return self._chain.compare_now()

    def _is_at_rest(self) -> bool:
        try:
            return self._chain.is_at_rest() and self._chain.compare_now().equal
        except SimulatorGone:
            return False

    def _judge(self, comparison: Comparison) -> Outcome:
        short = [f"ledger and truth differ: {each}" for each in comparison.differences()]
        if not comparison.events:
            short.append("nothing happened")
        lives = {name: last_life(samples) for name, samples in self._memory.items()}
        lived = {
            name: [s for s in life if s.at_h >= life[0].at_h + WARM_UP_H] for name, life in lives.items()
        }
        verdicts = [judge(name, life) for name, life in lived.items() if self._is_long(life)]
        short += [f"memory of {each.program} isn't flat" for each in verdicts if not each.flat]
        return Outcome(
            comparison, Counter(deed.fault.kind for deed in self._deeds if deed.fault is not None),
            self._strikes.refused, self._supervisor.starts, self._supervisor.ended, lived, verdicts, short,
        )  # fmt: skip

    def _is_long(self, life: list[Sample]) -> bool:
        return len(life) > 1 and life[-1].at_h - life[0].at_h >= 6

    def _tell(self, text: str) -> None:
        self._say(f"{self._now_h:5.2f} h  {text}")


def _settings(speed: float) -> Settings:
    """Return the programs' intervals, shorter as much as the day is."""
    return Settings(
        poll_interval_s=max(0.1, POLL_EVERY_S / speed),
        agent={
            "reporting": {
                "telemetry_interval_s": max(1, round(TELEMETRY_EVERY_S / speed)),
                "state_interval_s": max(1, round(STATE_EVERY_S / speed)),
            }
        },
        sink=QUICK_SINK,
    )


def tell(outcome: Outcome, console: Console) -> None:
    """Print what happened and what came of it."""
    for title, counts in (
        ("faults", outcome.faults),
        ("not possible at their moment", outcome.refused),
        ("programs started again", outcome.starts),
        ("programs that ended by themselves (exit code)", outcome.ended),
    ):
        listed = ", ".join(f"{key} {count}" for key, count in sorted(counts.items(), key=str))
        console.print(
            f"{title}: {sum(counts.values())}" + (f" ({listed})" if listed else ""), highlight=False
        )
    for name, life in outcome.memory.items():
        if life:
            points = "   ".join(
                f"{s.at_h:.1f} h {s.pss_mib:.1f} / {s.rss_mib:.1f}" for s in at_quarters(life)
            )
            console.print(f"{name}: PSS / RSS in MiB at the quarter points: {points}", highlight=False)
    for verdict in outcome.verdicts:
        console.print(
            f"{verdict.program}: {verdict.samples} samples, {verdict.from_h:.1f} h to {verdict.until_h:.1f} h: "
            f"{verdict.grew_mib:+.2f} MiB from the second third to the last, {verdict.per_day_mib:+.2f} MiB a day: "
            f"{'flat' if verdict.flat else 'NOT FLAT'}",
            highlight=False,
        )
    print_comparison(outcome.comparison, console)
    for each in outcome.shortcomings:
        console.print(f"NOT GOOD: {each}", highlight=False, markup=False)


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=24, help="of the residents' time (default 24)")
    parser.add_argument("--speed", type=float, default=60, help="their seconds in one of ours (default 60)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same day (default 1)")
    parser.add_argument("--out", type=Path, help="directory to keep everything in (default: deleted if good)")
    options = parser.parse_args()
    directory = options.out or Path(tempfile.mkdtemp(prefix="wastelock-day-"))
    console = report_console()
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - began:7.1f} s  {text}", highlight=False, markup=False)

    say(f"{options.hours:g} hours at speed {options.speed:g}, seed {options.seed}, in {directory}")
    try:
        outcome = Day(directory, options.hours, options.speed, options.seed, say).run()
    except (ProcessFailed, NotEqual, AssertionError) as error:
        console.print(f"The day failed: {error}\nEverything is in {directory}", highlight=False, markup=False)
        return 2
    (directory / "memory.json").write_text(
        json.dumps({k: [[s.at_h, s.pss_mib, s.rss_mib] for s in v] for k, v in outcome.memory.items()})
    )
    tell(outcome, console)
    if options.out is None and not outcome.shortcomings:
        shutil.rmtree(directory)
    else:
        say(f"everything is in {directory}")
    return 1 if outcome.shortcomings else 0


if __name__ == "__main__":
    sys.exit(main())
