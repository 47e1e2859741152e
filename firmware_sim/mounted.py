"""One mounted lock: its controller, its door, its neighbourhood; months lived at once, then life as it goes."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from random import Random

from firmware_sim.access import Transponder
from firmware_sim.config import LockConfig
from firmware_sim.doorway import Doorway
from firmware_sim.errors import ConfigError
from firmware_sim.journal import Journal
from firmware_sim.lock import Controller
from firmware_sim.memory import Memory
from firmware_sim.residents import Neighbourhood, Visit
from firmware_sim.timeline import Timeline
from firmware_sim.truth import Truth
from firmware_sim.unit import Unit

log = logging.getLogger(__name__)
DAY_S = 86_400
VISITS_PER_BATCH = 200
FIRST_LIST_VERSION = 1


class MountedLock:
    """A lock in its place. Owned by the thread of the event loop."""

    def __init__(self, config: LockConfig, state: Path, seed: int, timeline: Timeline, truth: Truth) -> None:
        self.config = config
        self._timeline = timeline
        self._turn = asyncio.Lock()  # one at a time before the door
        self.residents_come = True
        listed = None
        if config.transponders is not None:
            listed = tuple(entry.transponder() for entry in config.transponders)
        self.neighbourhood = Neighbourhood(
            seed, config.serial_number, config.chambers_ml, config.dwellings, config.pours_per_day, listed
        )
        self._journal = Journal(state / f"lock-{config.serial}.sqlite", config.birth(), truth.tell)
        truth.complete_from(self._journal)
        self.controller = Controller(self._journal, timeline.now, config.access_list_max)
        self._check_against_memory()
        self.unit = Unit(self.controller, config.weighs)
        self.doorway = Doorway(self.controller, Random(f"{seed}/{config.serial}/door"), config.weighs)

    @property
    def memory(self) -> Memory:
        return self._journal.memory

    def _check_against_memory(self) -> None:
        """Capacity and key are constant within an epoch: what the memory holds and the file says must agree."""
        kept, birth = self.memory, self.config.birth()
        if birth.epoch > kept.epoch:
            self.controller.begin_epoch(birth_of_epoch(kept, birth))
            return
        if birth.epoch == kept.epoch:
            for key in ("capacity", "mac_key", "mac_key_id"):
                if getattr(kept, key) != getattr(birth, key):
                    raise ConfigError(
                        f"lock {self.config.serial}: {key} differs from that of epoch {kept.epoch} in the state directory; "
                        f"raise `epoch` to {kept.epoch + 1} or take another state directory"
                    )

    def wake(self, backlog_days: float) -> None:
        """Power up, and live the backlog if this lock hasn't yet lived one. Time is left running."""
        now_s = self._timeline.now()
        if self.memory.boot == 0:
            self._timeline.freeze(now_s - backlog_days * DAY_S)
            self._commission()
        elif not self.memory.backlog_done:
            self._timeline.freeze(max(self.memory.lived_until_s, self.memory.clock.base_at_s))
            self.controller.power_up()
        else:
            self.controller.power_up()
            return
        self._live_until(now_s)
        self._timeline.release()

    def _commission(self) -> None:
        """The first power-up: the technician installs the access list and sets the clock."""
        self.controller.power_up()
        transponders: tuple[Transponder, ...] = self.neighbourhood.transponders
        if transponders:
            self.controller.access.install(transponders, FIRST_LIST_VERSION)
        if self.config.clock_set:
            self.controller.set_clock(int(self._timeline.now()))
        if self.config.clock_drift_ppm:
            self.controller.set_drift(self.config.clock_drift_ppm)
        self._journal.save(lived_until_s=self._timeline.now())

    def _live_until(self, end_s: float) -> None:
        visits = self.neighbourhood.visits(self.memory.lived_until_s)
        living = True
        while living and self.neighbourhood.households:
            with self._journal.batch():
                for _ in range(VISITS_PER_BATCH):
                    visit = next(visits)
                    living = visit.at_s < end_s
                    if not living:
                        break
                    self._live_one(visit, end_s)
                self._journal.save(lived_until_s=min(visit.at_s, end_s))
        self._journal.save(lived_until_s=end_s, backlog_done=True)

    def _live_one(self, visit: Visit, end_s: float) -> None:
        at_s = max(visit.at_s, self._timeline.now())
        self._timeline.freeze(min(at_s, end_s))
        for wait_s in self.doorway.steps(visit):
            at_s += wait_s
            self._timeline.freeze(min(at_s, end_s))

    async def live(self, speed: float, residents_now: Callable[[], float]) -> None:
        """Let the residents come, `speed` seconds of theirs in one of ours, until cancelled."""
        if not self.neighbourhood.households:
            return
        for visit in self.neighbourhood.visits(max(residents_now(), self.memory.lived_until_s)):
            await asyncio.sleep(max(0.0, (visit.at_s - residents_now()) / speed))
            if self.residents_come:
                await self.perform(visit, speed)

    async def perform(self, visit: Visit, speed: float) -> None:
        """Let one visit happen, after the one that is under way."""
        async with self._turn:
            for wait_s in self.doorway.steps(visit):
                await asyncio.sleep(wait_s / speed)

    def close(self) -> None:
        self._journal.close()


def birth_of_epoch(kept: Memory, birth: Memory) -> Memory:
    """Return the memory with which `birth`'s epoch begins at a controller that has lived: its registers go on."""
    return Memory(
        serial=kept.serial, epoch=birth.epoch, capacity=birth.capacity, volumes_ml=birth.volumes_ml,
        mac_key=birth.mac_key, mac_key_id=birth.mac_key_id, registers=kept.registers, boot=kept.boot,
        faults=kept.faults & ~(1 << 9), blocked_mask=kept.blocked_mask, enable_mask=kept.enable_mask,
        maintenance=kept.maintenance, clock=kept.clock, access=kept.access, command=kept.command,
        filled_ml=kept.filled_ml, lived_until_s=kept.lived_until_s, backlog_done=kept.backlog_done,
    )  # fmt: skip
