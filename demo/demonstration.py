"""The demonstration: a year's pours reach the ledger, the year is billed, then pours are shown live."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from demo.chain import Chain, NotEqual
from demo.observer import Observer
from demo.period import DAY_S
from demo.progress import Progress, ProgressMeter
from demo.residents import LiveResidents
from demo.screen import Screen
from wastelock.topics import GatewayTopics

_REFRESH_S = 0.2


class TooSlow(TimeoutError):
    """The demonstration didn't get to its end within the deadline; the message says how far it came."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`live_pours`: end after so many live pours (None: go on until stopped). `deadline_s` counts from the start."""

    live_pours: int | None
    deadline_s: float


class Demonstration:
    """One run on a chain that was started. Ctrl-C ends it as KeyboardInterrupt, wherever it is."""

    def __init__(
        self,
        chain: Chain,
        plan: Plan,
        screen: Screen,
        seed: int,
        bill: Callable[[Screen], None] | None = None,
    ) -> None:
        """`bill`: what is done once the past is in the ledger (None: nothing)."""
        self._chain = chain
        self._plan = plan
        self._screen = screen
        self._bill = bill
        self._begins_s = time.time() - chain.backlog_days * DAY_S
        estate = chain.layout.estate
        self._meter = ProgressMeter(estate)
        self._observer = Observer(
            chain.layout.broker_port, GatewayTopics(estate.site, estate.gateway), chain.layout.pseudonym_key
        )
        self._residents = LiveResidents(chain.control, [lock.name for lock in estate.locks], seed)
        self._end = time.monotonic() + plan.deadline_s

    def run(self) -> None:
        """Run all phases until ledger and truth are equal; without a bound on live pours it never gets there."""
        self._observer.start()
        try:
            self._drain()
            if self._bill is not None:
                self._bill(self._screen)
                self._chain.check()
            self._live()
            self._finish()
        finally:
            self._observer.stop()
            self._screen.close()

    def _drain(self) -> None:
        self._screen.say(
            "The past, as fast as the gateway drains it: a ring is never more than half full of news."
        )
        began = time.monotonic()
        self._watch(
            lambda progress: not progress.backlog and progress.committed >= progress.made, "the backlog", True
        )
        took_s = time.monotonic() - began
        made = self._progress().made
        self._screen.rest()
        self._screen.say(f"All {made:,} records of the past are in the ledger after {took_s:.1f} s.")

    def _live(self) -> None:
        wanted = self._plan.live_pours
        self._screen.say("Live: residents throw waste now; each line is a pour that has reached the ledger.")

        before = self._observer.seen().pours_committed

        def enough(progress: Progress) -> bool:
            self._residents.live(progress.made)
            return wanted is not None and self._observer.seen().pours_committed - before >= wanted

        self._watch(enough, "the live pours", False)

    def _finish(self) -> None:
        self._residents.stop_coming()
        self._watch(
            lambda progress: progress.committed >= progress.made and self._residents.have_left(),
            "the last live pours",
            False,
        )
        left_s = max(1.0, self._end - time.monotonic())
        try:
            self._chain.wait_equal(left_s)
        except NotEqual as error:
            raise TooSlow(str(error)) from error

    def _watch(self, done: Callable[[Progress], bool], what: str, past: bool) -> None:
        """Show the progress until `done`; TooSlow after the deadline, ProcessFailed if a program ends."""
        while True:
            self._chain.check()
            progress = self._progress()
            seen = self._observer.seen()
            lived = self._lived_share(progress) if past else None
            self._screen.show(progress, lived, seen.recent, seen.pours_committed)
            if done(progress):
                return
            if self._plan.live_pours is not None and time.monotonic() > self._end:
                raise TooSlow(
                    f"{what}: not within {self._plan.deadline_s:g} s; {progress.ring:,} records in the rings,"
                    f" {progress.spool:,} in the spool, {progress.committed:,} of {progress.made:,} committed;"
                    f" on the wire: {self._observer.problem or 'nothing unusual'}\n"
                    f"{self._chain.story()}"
                )
            time.sleep(_REFRESH_S)

    def _lived_share(self, progress: Progress) -> float:
        lived_s = progress.lived_until_s - self._begins_s
        return min(1.0, max(0.0, lived_s / max(1.0, time.time() - self._begins_s)))

    def _progress(self) -> Progress:
        return self._meter.read(self._chain.rings(), self._observer.seen())
