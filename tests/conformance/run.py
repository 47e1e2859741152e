"""One run: an estate drawn from a seed, the real agent, a private broker, a sink, and what befalls them all."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.conformance.disturbances import Disturbances
from tests.conformance.estate import Estate
from tests.conformance.gateway import Gateway
from tests.conformance.pages import SpoolFile
from tests.conformance.sink import Sink
from tests.conformance.strangers import add_strangers
from tests.conformance.theme import Theme
from tests.conformance.verdict import Verdict
from tests.support.broker import Broker
from tests.support.waiting import WaitedTooLong, wait_until

_SETTLES_WITHIN_S = 90.0
_FIRST_READ_WITHIN_S = 30.0
_FULL_WITHIN_S = 40.0


@dataclass
class Report:
    """What a run did and found."""

    theme: str
    seed: int
    complaints: list[str] = field(default_factory=list)
    acts: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    log: str = ""

    def __str__(self) -> str:
        def listed(counts: dict[str, int]) -> str:
            return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"

        return (
            f"{self.theme}, seed {self.seed}: {'FAILED' if self.complaints else 'kept to the map'}; "
            f"{listed(self.counts)}; acts: {listed(self.acts)}; faults: {listed(self.faults)}"
        )


class Run:
    """Everything of one seed, in a directory of its own."""

    def __init__(self, theme: Theme, seed: int, directory: Path) -> None:
        self.theme = theme
        self.report = Report(theme.name, seed)
        self._rng = Random(f"{theme.name} {seed}")
        self.gateway = Gateway(directory / "gateway")
        self.spool = SpoolFile(self.gateway.spool)
        self.broker = Broker(directory / "broker")
        self.sink = Sink(self.broker.port)
        self.estate = Estate(theme, Random(self._rng.random()), self.spool.on_disk)

    def execute(self) -> Report:
        """Do everything; whatever the agent did wrong is in the report's complaints."""
        self.estate.build()
        if self.theme.strangers:
            add_strangers(self.estate)
        disturbances = Disturbances(
            self.estate, self.gateway, self.broker, self.sink, self.spool, Random(self._rng.random())
        )
        with self._running():
            try:
                if self.theme.tiny_spool:
                    self._fill_spool()
                self._wait_for_first_readings()
                acts = list(self.theme.acts)
                for _ in range(self.theme.steps):
                    (act,) = self._rng.choices(acts, [self.theme.acts[each] for each in acts])
                    disturbances.do(act)
                self.estate.calm_down()
                wait_until(self._is_settled, _SETTLES_WITHIN_S, lambda: "; ".join(self._unsettled()), 0.05)
                self.gateway.wait_at_work()
            except WaitedTooLong as error:
                self.report.complaints.append(str(error))
            complaint = self.gateway.stop()
        self.report.complaints += [complaint] if complaint else []
        self._judge(disturbances)
        return self.report

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Estate, broker, sink, agent and life; all are ended, whatever happens."""
        stop = threading.Event()
        life = threading.Thread(target=self.estate.live, args=(stop,), name="life", daemon=True)
        self.gateway.configure(
            self.broker.port,
            self.estate.config_buses(),
            self.estate.config_locks(),
            clock_source="ntp" if self.theme.knows_time else "auto",
            max_mib=1 if self.theme.tiny_spool else 64,
        )
        for bus in self.estate.buses:
            bus.start()
        try:
            if not self.theme.tiny_spool:
                self.broker.start()
            self.sink.open()
            self.gateway.start()
            life.start()
            self.gateway.wait_at_work()
            yield
        finally:
            stop.set()
            life.join()
            self.gateway.kill()
            for bus in self.estate.buses:
                bus.close()
            self.sink.close()
            self.broker.kill()

    def _fill_spool(self) -> None:
        """No broker: the spool fills up, and no controller may be told that what didn't fit is safe."""
        wait_until(lambda: "spool.max_mib" in self.gateway.log_tail(500), _FULL_WITHIN_S, "a full spool", 0.2)
        before = [lock.controller.journal.confirmed for lock in self.estate.good_locks]
        time.sleep(1.0)  # life goes on: more than one poll of each lock
        unconfirmed = [
            lock.controller.journal.newest - lock.controller.journal.confirmed
            for lock in self.estate.good_locks
        ]
        if not any(unconfirmed):
            self.report.complaints.append(f"a full spool, but everything is confirmed: {before}")
        self.broker.start()

    def _wait_for_first_readings(self) -> None:
        """A counter's first reading makes no pours: what comes before it doesn't count."""
        for old in self.estate.old_locks:
            wait_until(
                lambda: self._last_register_is_known(old.serial),  # noqa: B023
                _FIRST_READ_WITHIN_S,
                f"first record of {old.legacy.name}",
            )

    def _last_register_is_known(self, serial: int) -> bool:
        self.spool.refresh()
        return any(record.serial == serial for page in self.spool.pages for record in page.records())

    def _is_settled(self) -> bool:
        return not self._unsettled()

    def _unsettled(self) -> list[str]:
        """What isn't as it will be in the end."""
        waiting = []
        with self.estate.world:
            for lock in self.estate.good_locks:
                journal = lock.controller.journal
                if journal.newest != journal.confirmed:
                    progress = f"{journal.confirmed} of {journal.newest} in epoch {journal.epoch}"
                    waiting.append(f"{lock.conduct.name}: confirmed {progress}")
        self.spool.refresh()
        waiting += self._uncounted()
        serials = [*(lock.configured_serial for lock in self.estate.locks), *self.estate.others]
        waiting += [
            f"no state of {serial:06x} told" for serial in serials if serial not in self.sink.lock_states
        ]
        if not self.sink.holds(self.spool.pages):
            waiting.append(f"sink holds {len(self.sink.pages)} of {len(self.spool.pages)} pages")
        return waiting

    def _uncounted(self) -> list[str]:
        waiting = []
        for old in self.estate.old_locks:
            records = [
                record
                for page in self.spool.pages
                for record in page.records()
                if record.serial == old.serial
            ]
            last = {record.raw[12]: int.from_bytes(record.raw[28:32], "big") for record in records}
            if (epochs := len({record.epoch for record in records})) < old.legacy.epochs:
                waiting.append(f"{old.legacy.name}: {epochs} of {old.legacy.epochs} epochs have begun")
            for counter in old.legacy.counters:
                if last.get(counter.chamber, -1) % (1 << counter.width) != counter.value:
                    waiting.append(
                        f"{old.legacy.name}: chamber {counter.chamber} stands at {counter.value}, {last} is known"
                    )
        return waiting

    def _judge(self, disturbances: Disturbances) -> None:
        self.spool.refresh()
        verdict = Verdict(self.estate, self.gateway, self.spool, self.sink)
        verdict.judge()
        report = self.report
        report.complaints += verdict.complaints
        report.acts = disturbances.done
        for bus in self.estate.buses:
            for fault, count in bus.faults.done.items():
                report.faults[fault] = report.faults.get(fault, 0) + count
        for lock in self.estate.locks:
            for what, count in lock.conduct.counts.items():
                report.counts[what] = report.counts.get(what, 0) + count
        report.counts["records made"] = sum(len(lock.controller.history) for lock in self.estate.good_locks)
        report.counts["records that may be missed"] = sum(
            made.may_be_missed for lock in self.estate.good_locks for made in lock.controller.history
        )
        report.counts["records in pages"] = verdict.records
        report.counts["requests"] = sum(bus.requests for bus in self.estate.buses)
        report.counts["starts"] = self.gateway.starts
        report.log = self.gateway.log_tail()
