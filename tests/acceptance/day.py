"""A day of an installation with its own authority: residents, faults, new access lists, commands, new certificates.

    python -m tests.acceptance.day                            (make day; the whole 24 hours take 25 minutes)
    python -m tests.acceptance.day --hours 3.5 --speed 1440 --seed 11   as the test suite does it

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

The whole day has its certificates last for 12 of its hours, so that the gateway renews them by itself; on top of
that a technician has the page-signing key changed twice. Memory is judged from two hours after edge agent and sink were
killed for the last time, until all is at rest again (memory.py). Of a short day it is shown, not judged; of a day that
is lived much faster than 60 it is judged too early, for the sink has done too little work by then.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from cloud_sink.errors import ConfigError, LedgerUnavailable, NotPossible
from cloud_sink.keys import load_pseudonyms
from cloud_sink.orders.ordering import Ordering
from cloud_sink.sink import now
from demo.chain import NotEqual
from demo.compare import Comparison
from demo.control import SimulatorGone
from demo.estate import Estate
from demo.layout import Settings
from demo.process import ProcessFailed
from demo.report import report_console
from tests.acceptance.conftest import QUICK_SINK
from tests.acceptance.day_access import DayAccess
from tests.acceptance.day_certificates import look_at_renewals
from tests.acceptance.day_commands import DayCommands
from tests.acceptance.day_outcome import Outcome, alarms_of, tell
from tests.acceptance.day_plan import SHORT_H, Deed, Kind, draw_day
from tests.acceptance.estates import small_estate
from tests.acceptance.ledger import export
from tests.acceptance.memory import Sample, judge, last_life, take_sample
from tests.acceptance.oracle import assert_registers_agree
from tests.acceptance.proxy import Link
from tests.acceptance.strikes import Strikes
from tests.acceptance.supervisor import Supervisor
from tests.acceptance.trusted_chain import TrustedChain, TrustedLayout
from tests.support.ports import free_port
from tests.support.waiting import wait_until

EVENING = datetime(2026, 11, 19, 18, 0, tzinfo=ZoneInfo("Europe/Berlin"))
POURS_PER_DAY = 150  # of each lock: as many as 150 dwellings make
POLL_EVERY_S, TELEMETRY_EVERY_S, STATE_EVERY_S = 5, 60, 300  # of the day's time
CERTIFICATE_H = 12
KEPT_H = (
    1  # pages in the spool after their receipt: so it is in balance, as it is after two weeks in the field
)
SAMPLES_PER_H = 6
WARM_UP_H = 2.0
_MUST_CLOSE = ("list_drift_overdue", "desired_overdue", "records_missing", "records_lost", "register_gap")
_TICK_S = 0.05
_LOOK_S = 1.0

Say = Callable[[str], None]


class Day:
    """One day in a directory of its own."""

    def __init__(self, directory: Path, hours: float, speed: float, seed: int, say: Say) -> None:
        self._hours, self._hour_s = hours, 3600 / speed
        self._seed, self._say = seed, say
        self._is_short = hours < SHORT_H
        # Real time: a command that got lost is sent again after up to a minute.
        self._ttl_s, self._settle_s = (45, 60.0) if self._is_short else (120, 240.0)
        self._estate: Estate = small_estate(tcp_locks=3, capacity=2047, pours_per_day=POURS_PER_DAY)
        self._deeds = draw_day(seed, hours, self._hour_s, self._estate)
        layout = TrustedLayout(directory, self._estate, free_port)
        if not self._is_short:
            layout.certificate_days = CERTIFICATE_H * self._hour_s / 86_400
        self._settings = _settings(speed)
        self._chain = TrustedChain(
            layout, self._settings, seed=seed, speed=speed, export=export, calendar_at=EVENING,
            leave_out=("edge-agent", "cloud-sink"), with_views=not self._is_short,
        )  # fmt: skip
        self._supervisor = Supervisor(self._chain)
        views = [] if self._is_short else [self._chain.projector]
        self._watched = [self._chain.agent, self._chain.sink, *views]
        self._memory: dict[str, list[Sample]] = {child.name: [] for child in self._watched}
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
            self._begin_orders(stack)
            if not self._is_short:
                chain.projector.start()
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

    def _begin_orders(self, stack: ExitStack) -> None:
        """Put the lists in force that are there already: from now on the cloud says who may use a lock."""
        layout = self._chain.layout
        url = f"sqlite:///{layout.directory / 'ledger.db'}"
        ordering = wait_until(lambda: _open(url), 30, "the sink's ledger")
        assert ordering is not None
        stack.enter_context(closing(ordering))
        pseudonyms = load_pseudonyms(layout.directory / "pseudonym.key")
        self._access = DayAccess(self._chain, self._seed, ordering, pseudonyms)
        wait_until(self._access.begin, 30, "the gateway to report its locks", poll_s=0.2)
        locks = [lock.name for lock in self._estate.locks]
        self._commands = DayCommands(ordering, locks, self._ttl_s, self._seed)

    def _live(self) -> None:
        due = list(self._deeds)
        while due or self._lived_until_s < self._lived_from_s + self._hours * 3600:
            ready = [deed for deed in due if deed.at_h <= self._now_h and self._can(deed)]
            due = [deed for deed in due if deed not in ready]
            for deed in ready:
                self._do(deed)
            self._tend()
            time.sleep(_TICK_S)

    def _can(self, deed: Deed) -> bool:
        return deed.kind is Kind.FAULT or not self._strikes.holds_ledger

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
            case Kind.LIST_CHANGE:
                self._tell(self._access.change())
            case Kind.COMMAND:
                self._tell(self._commands.order())

    def _tend(self, heal_everything: bool = False) -> None:
        self._strikes.heal_due(heal_everything)
        self._supervisor.tick()
        if time.monotonic() >= self._look_at_s:
            self._look_at_s = time.monotonic() + _LOOK_S
            self._lived_until_s = max(self._lived_until_s, self._look())
        self._access.tick()
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
        for child in self._watched:
            if child.running and (sample := take_sample(self._now_h, child.pid)) is not None:
                self._memory[child.name].append(sample)

    def _come_to_rest(self) -> Comparison:
        self._supervisor.bring_back(self._chain.simulator)
        self._chain.control.do("residents", come=False)
        self._wait(self._has_all_come_about, "lists, commands and certificates")
        for lock in self._estate.locks:  # what comes of it is signed with the key that is in use by now
            self._chain.control.do("pour", lock=lock.name, chamber=1, instant=True)
        self._wait(self._is_at_rest, "ledger = truth")
        if not self._is_short:
            self._wait(lambda: not self._open_alarms(), "twins as wanted")
        return self._chain.compare_now()

    def _wait(self, reached: Callable[[], bool], what: str) -> None:
        """Wait while everything heals; what isn't reached in time is told, and shows as a shortcoming."""
        end = time.monotonic() + self._settle_s
        while not reached():
            if time.monotonic() > end:
                self._say(f"{what}: not after {self._settle_s:g} s\n{self._chain.story()}")
                return
            self._tend(heal_everything=True)
            time.sleep(_TICK_S)

    def _has_all_come_about(self) -> bool:
        return self._access.is_done() and self._commands.have_ended() and self._chain.layout.renewal_is_done()

    def _is_at_rest(self) -> bool:
        try:
            return self._chain.is_at_rest() and self._chain.compare_now().equal
        except SimulatorGone:
            return False

    def _open_alarms(self) -> list[str]:
        """Return what twins still miss, of records and of what was ordered."""
        alarms = self._alarms_of_twins()
        return [f"{each['kind']}: {each['detail']}" for each in alarms if each["kind"] in _MUST_CLOSE]

    def _alarms_of_twins(self, *options: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(
            self._chain.layout.cloud_sink("alarm", "list", "--json", *options)
        )
        return found

    def _judge(self, comparison: Comparison) -> Outcome:
        short = [f"ledger and truth differ: {each}" for each in comparison.differences()]
        if not comparison.events:
            short.append("nothing happened")
        chambers_ml = self._estate.locks[0].chambers_ml
        assert_registers_agree(self._chain.rings(), self._chain.ledger(), chambers_ml)
        renewals = look_at_renewals(
            self._chain.layout,
            certificates=2 if self._is_short else 4,
            signing_keys=2 if self._is_short else 3,
        )
        lives = {name: _judged_part(samples) for name, samples in self._memory.items()}
        verdicts = [] if self._is_short else [judge(name, life) for name, life in lives.items()]
        twin_alarms: Counter[str] = Counter()
        if not self._is_short:
            short += [f"an alarm is open: {each}" for each in self._open_alarms()]
            twin_alarms.update(f"{each['kind']} over" for each in self._alarms_of_twins("--closed"))
            twin_alarms.update(f"{each['kind']} open" for each in self._alarms_of_twins())
        short += self._access.shortcomings() + self._commands.shortcomings() + renewals.shortcomings
        short += [f"memory of {each.program} isn't flat" for each in verdicts if not each.flat]
        return Outcome(
            comparison=comparison,
            deeds=Counter(
                str(deed.fault.kind) if deed.fault is not None else deed.kind.value for deed in self._deeds
            ),
            refused=self._strikes.refused,
            starts=self._supervisor.starts,
            ended=self._supervisor.ended,
            alarms=alarms_of(self._chain.agent.log),
            twin_alarms=twin_alarms,
            versions=self._access.versions(),
            in_force_after_s=self._access.times_s(),
            commands=self._commands.counts(),
            renewals=renewals,
            memory=lives,
            verdicts=verdicts,
            shortcomings=short,
        )

    def _tell(self, text: str) -> None:
        self._say(f"{self._now_h:5.2f} h  {text}")


def _open(url: str) -> Ordering | None:
    try:
        return Ordering(url, now)
    except (ConfigError, LedgerUnavailable, NotPossible):
        return None  # the sink hasn't made it yet


def _judged_part(samples: list[Sample]) -> list[Sample]:
    """Return the last life of a process, without its warming up where it lasted that long."""
    life = last_life(samples)
    warm = [sample for sample in life if sample.at_h >= life[0].at_h + WARM_UP_H]
    return warm if len(warm) > 1 else life


def _settings(speed: float) -> Settings:
    """Return the programs' intervals, shorter as much as the day is."""
    return Settings(
        poll_interval_s=max(0.1, POLL_EVERY_S / speed),
        agent={
            "reporting": {
                "telemetry_interval_s": max(1, round(TELEMETRY_EVERY_S / speed)),
                "state_interval_s": max(1, round(STATE_EVERY_S / speed)),
            },
            "spool": {"keep_days": KEPT_H / 24 / speed},
        },
        sink=QUICK_SINK,
    )


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
    (directory / "memory.json").write_text(json.dumps(outcome.memory_lines()))
    tell(outcome, console)
    if options.out is None and not outcome.shortcomings:
        shutil.rmtree(directory)
    else:
        say(f"everything is in {directory}")
    return 1 if outcome.shortcomings else 0


if __name__ == "__main__":
    sys.exit(main())
