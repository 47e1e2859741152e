"""One lock's place: the controller mounted there, its door, its neighbourhood; a backlog lived at once, then life."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random

from firmware_sim.config import LockConfig
from firmware_sim.doorway import Doorway
from firmware_sim.errors import ConfigError
from firmware_sim.journal import Journal
from firmware_sim.lock import Controller
from firmware_sim.memory import Memory, next_epoch
from firmware_sim.residents import Neighbourhood, Visit
from firmware_sim.timeline import Timeline
from firmware_sim.truth import Truth
from firmware_sim.unit import Unit

DAY_S = 86_400
VISITS_PER_BATCH = 200
VISITS_PER_STRETCH = 40  # some 20 ms: the line must not wait long for an answer
STRETCH_EVERY_S = 0.02
FIRST_LIST_VERSION = 1
_CONSTANT_IN_EPOCH = ("capacity", "mac_key", "mac_key_id")


class MountedLock:
    """A lock in its place. Owned by the thread of the event loop."""

    def __init__(
        self, config: LockConfig, state: Path, seed: int, timeline: Timeline, truth: Truth,
        calendar_ahead_s: float = 0.0,
    ) -> None:  # fmt: skip
        """Raises ConfigError where the state directory contradicts the file, StateError where it can't be used."""
        self.residents_come = True
        self.turn = asyncio.Lock()  # one at a time before the door
        self._state = state
        self._timeline = timeline
        self._truth = truth
        self._rng = Random(f"{seed}/{config.serial}/door")
        listed = None
        if config.transponders is not None:
            listed = tuple(entry.transponder() for entry in config.transponders)
        homes = None
        if config.households is not None:
            homes = tuple(home.household() for home in config.households)
        number, volumes = config.serial_number, config.chambers_ml
        self.neighbourhood = Neighbourhood(
            seed, number, volumes, config.dwellings, config.pours_per_day, listed, homes, calendar_ahead_s
        )
        self._fit(config)

    def _fit(self, config: LockConfig) -> None:
        """Mount the controller that `config` describes, as it last was."""
        self.config = config
        self._journal = Journal(
            self._state / f"lock-{config.serial}.sqlite", config.birth(), self._truth.tell
        )
        self._truth.complete_from(self._journal)
        self.controller = Controller(self._journal, self._timeline.now, config.access_list_max)
        self._follow_config()
        self.unit = Unit(self.controller, config.weighs)
        self.doorway = Doorway(self.controller, self._rng, config.weighs)

    def swap(self, config: LockConfig) -> None:
        """Another controller takes the place; the old one keeps its memory in the state directory."""
        self._journal.close()
        self._fit(config)
        if self._is_new:
            self._commission()
            self._journal.save(backlog_done=True)
        else:
            self.controller.power_up()

    @property
    def memory(self) -> Memory:
        return self._journal.memory

    def _follow_config(self) -> None:
        """Capacity and key are constant within an epoch: begin a new one if the file says so, else both must agree."""
        kept, birth = self.memory, self.config.birth()
        if birth.epoch > kept.epoch:
            fresh = {
                name: getattr(birth, name) for name in (*_CONSTANT_IN_EPOCH, "volumes_ml", "enable_mask")
            }
            self.controller.begin_epoch(next_epoch(kept, epoch=birth.epoch, **fresh))
            return
        differing = [name for name in _CONSTANT_IN_EPOCH if getattr(kept, name) != getattr(birth, name)]
        if len(kept.volumes_ml) != len(birth.volumes_ml):
            differing.append("number of chambers_ml")
        if differing and birth.epoch == kept.epoch:
            raise ConfigError(
                f"lock {self.config.serial}: {', '.join(differing)} isn't what epoch {kept.epoch} began with in the "
                f"state directory; raise `epoch` to {kept.epoch + 1} or name another --state"
            )
        if not differing and kept.volumes_ml != birth.volumes_ml:
            self._journal.save(volumes_ml=birth.volumes_ml)  # a chamber may be exchanged within an epoch

    @property
    def _is_new(self) -> bool:
        return self.memory.lived_until_s == 0

    async def wake(self, backlog_days: float, keep_pace: bool = False) -> None:
        """Power up; a controller without a past lives `backlog_days` first. Time runs when this returns.

        Nothing else may happen meanwhile, since time stands elsewhere; cancelled, it goes on at the next start.
        `keep_pace`: only wake up in the past; `live` lives the backlog, as fast as a gateway drains it.
        """
        now_s = self._timeline.now()
        if self._is_new:
            self._timeline.freeze(now_s - backlog_days * DAY_S)
            self._commission()
        elif self.memory.backlog_done:
            self.controller.power_up()
            return
        else:  # a backlog was broken off: go on with it
            self._timeline.freeze(self.memory.lived_until_s)
            self.controller.power_up()
        if not keep_pace or not self.neighbourhood.households:
            await self._live_until(now_s)
        self._timeline.release()

    def _commission(self) -> None:
        """The technician installs the access list and sets the clock."""
        with self._journal.batch():
            self.controller.power_up()
            if self.neighbourhood.transponders:
                self.controller.access.install(self.neighbourhood.transponders, FIRST_LIST_VERSION)
            if self.config.clock_set:
                self.controller.set_clock(int(self._timeline.now()))
            if self.config.clock_drift_ppm:
                self.controller.set_drift(self.config.clock_drift_ppm)
            self._journal.save(lived_until_s=self._timeline.now())

    async def _live_until(self, end_s: float) -> None:
        visits = self.neighbourhood.visits(self.memory.lived_until_s)
        living = bool(self.neighbourhood.households)
        while living:
            with self._journal.batch():
                for visit in islice(visits, VISITS_PER_BATCH):
                    # Nobody confirms: a ring without room for any record stays as it is, come who may.
                    living = visit.at_s < end_s and self.controller.recorder.has_room
                    if not living:
                        break
                    self._live_one(visit, end_s)
                self._journal.save(lived_until_s=min(visit.at_s, end_s))
            await asyncio.sleep(0)  # lets a signal end it
        self._journal.save(lived_until_s=end_s, backlog_done=True)

    def _live_one(self, visit: Visit, end_s: float) -> None:
        at_s = max(visit.at_s, self._timeline.now())
        self._timeline.freeze(min(at_s, end_s))
        for wait_s in self.doorway.steps(visit):
            at_s += wait_s
            self._timeline.freeze(min(at_s, end_s))

    async def _catch_up(self) -> None:
        """Live the backlog in short stretches, never more than half a ring ahead of the gateway, until it is now.

        Between two stretches time is ours: whoever is on the bus finds a clock that is right.
        """
        at_s = self.memory.lived_until_s
        visits = self.neighbourhood.visits(at_s)
        while not self.memory.backlog_done:
            end_s = self._timeline.now()
            async with self.turn:
                self._timeline.freeze(at_s)
                with self._journal.batch():
                    for visit in self._while_room(visits):
                        if visit.at_s >= end_s:
                            self._journal.save(lived_until_s=end_s, backlog_done=True)
                            break
                        self._live_one(visit, end_s)
                        self._journal.save(lived_until_s=visit.at_s)
                at_s = self._timeline.now()
                self._timeline.release()
            await asyncio.sleep(STRETCH_EVERY_S)

    def _while_room(self, visits: Iterator[Visit]) -> Iterator[Visit]:
        """Yield a stretch of visits; none while half the ring is unconfirmed. What isn't yielded comes next time."""
        for _ in range(VISITS_PER_STRETCH):
            if 2 * (self.memory.newest - self.memory.confirmed) >= self.memory.capacity:
                return
            yield next(visits)

    async def live(self, speed: float, residents_now: Callable[[], float]) -> None:
        """Let the residents come, `speed` seconds of theirs in one of ours, until cancelled."""
        if not self.neighbourhood.households:
            return
        await self._catch_up()
        for visit in self.neighbourhood.visits(max(residents_now(), self.memory.lived_until_s)):
            await asyncio.sleep(max(0.0, (visit.at_s - residents_now()) / speed))
            if self.residents_come:
                await self.perform(visit, speed)

    async def perform(self, visit: Visit, speed: float) -> None:
        """Let one visit happen, after the one that is under way. An infinite `speed`: all its steps at once."""
        async with self.turn:
            for wait_s in self.doorway.steps(visit):
                if wait_s / speed > 0:
                    await asyncio.sleep(wait_s / speed)

    def keep_lived(self, residents_now_s: float) -> None:
        """Note up to when the residents have lived, so that a restart doesn't live the same days again."""
        if self.memory.backlog_done and residents_now_s > self.memory.lived_until_s:
            self._journal.save(lived_until_s=residents_now_s)

    def random_resident(self) -> int:
        """Return a resident's transponder, 0 where nobody lives."""
        homes = self.neighbourhood.present(self._timeline.now())
        return self._rng.choice(self._rng.choice(homes).uids) if homes else 0

    def close(self) -> None:
        """Close the controller's memory; what was written stays."""
        self._journal.close()
