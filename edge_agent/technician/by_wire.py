"""The way on lines of our own, while no agent runs: the same buses and drivers, and a look at each lock at times."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from time import monotonic
from typing import Literal, Self

from edge_agent.bus import Bus
from edge_agent.clock import GatewayClock, utc_now
from edge_agent.config import AgentConfig, BusSettings
from edge_agent.drivers.base import Driver, Registers
from edge_agent.field import build_buses
from edge_agent.local.custody_rule import forbid_confirming
from edge_agent.local.sighting import Met, Scene, Sighting
from edge_agent.local.snapshot import GatewaySight, Snapshot
from edge_agent.technician.looking import Looker
from edge_agent.technician.places import find_bus, find_lock, looking_driver

FIRST_LOOK_S = 5.0  # so long a first snapshot waits for locks that are slow to answer


class _Registers:
    """A unit's registers (drivers.base.Registers) that nobody confirms records with."""

    def __init__(self, registers: Registers) -> None:
        self._registers = registers

    @property
    def exchanged_at(self) -> float:
        return self._registers.exchanged_at

    def read(self, function: int, address: int, count: int) -> bytes:
        return self._registers.read(function, address, count)

    def write(self, address: int, words: Sequence[int]) -> None:
        forbid_confirming(address, len(words))
        self._registers.write(address, words)


class WireAccess:
    """access.FieldAccess on own lines. The caller sees to it that no agent runs."""

    via: Literal["agent", "direct"] = "direct"

    def __init__(self, config: AgentConfig) -> None:
        self.config = config
        self._clock = GatewayClock(config.clock.source)
        self._buses: dict[str, Bus] = build_buses(config)
        self._sighting = Sighting(utc_now)
        self._stop = threading.Event()
        self._lookers: list[Looker] = []
        self._threads: list[threading.Thread] = []
        self._guard = threading.Lock()

    def registers(self, bus: str, unit: int) -> Registers:
        return _Registers(self._buses[find_bus(self.config, bus).name].guest(unit))

    def driver(self, lock: str) -> Driver:
        settings = find_lock(self.config, lock)
        driver = looking_driver(settings, self.registers(settings.bus, settings.unit))
        driver.identify()
        return driver

    @contextmanager
    def borrow(self, bus: str) -> Iterator[BusSettings]:
        settings = find_bus(self.config, bus)
        self._buses[bus].lend("lent to this command")
        try:
            yield settings
        finally:
            self._buses[bus].take_back()

    def snapshot(self) -> Snapshot:
        with self._guard:
            self._begin_to_look()
            scene = Scene(
                config=self.config,
                gateway=GatewaySight(
                    gateway=self.config.gateway.id,
                    site=self.config.gateway.site,
                    via="direct",
                    pid=os.getpid(),
                    software=version("wastelock"),
                    clock=self._clock.trust(),
                ),
                buses=tuple(self._buses.values()),
                locks={
                    lock: Met(view, met_at, follows_journal=view.has_journal)
                    for looker in self._lookers
                    for lock, (view, met_at) in looker.views().items()
                },
            )
            return self._sighting.look(scene)

    def close(self) -> None:
        """Close the lines; what is under way ends first."""
        self._stop.set()
        for bus in self._buses.values():
            bus.close()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin_to_look(self) -> None:
        """Have all locks looked at from now on; wait until each was looked at once, if that doesn't take long."""
        if self._lookers:
            return
        for name, bus in self._buses.items():
            locks = [lock for lock in self.config.locks if lock.bus == name]
            self._lookers.append(looker := Looker(bus, locks, self._clock))
            thread = threading.Thread(target=looker.run, args=(self._stop,), name=f"look {name}", daemon=True)
            self._threads.append(thread)
            thread.start()
        deadline = monotonic() + FIRST_LOOK_S
        for looker in self._lookers:
            looker.has_seen_all.wait(max(0.0, deadline - monotonic()))
