"""Builds and runs everything: buses, locks, residents. START HERE."""

import asyncio
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firmware_sim.bus import Bus
from firmware_sim.config import BusConfig, EstateConfig
from firmware_sim.errors import SimulatorError, StateError
from firmware_sim.line import LineTiming, SerialLine
from firmware_sim.mounted import MountedLock
from firmware_sim.server import TcpServer
from firmware_sim.timeline import Timeline
from firmware_sim.truth import Truth

TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class Options:
    """How an estate is to be run. `speed`: seconds of the residents' lives in one of ours."""

    state: Path
    truth: Path | None = None
    seed: int = 1
    speed: float = 1.0
    scenario: Path | None = None
    control: Path | None = None
    backlog_days: float = 0.0


class Simulator:
    """One estate."""

    def __init__(self, estate: EstateConfig, options: Options) -> None:
        self._estate = estate
        self._options = options
        self.timeline = Timeline(time.time, time.monotonic)
        self._servers: dict[str, TcpServer | SerialLine] = {}
        self.buses = {bus.name: Bus(bus.name, bus.kind == "tcp") for bus in estate.buses}
        self.locks: dict[str, MountedLock] = {}

    async def run(self, stop: asyncio.Event, ready: Callable[[str], None]) -> None:
        """Wake the controllers, serve them, let their residents live until `stop`. `ready` gets the line that says so."""
        try:
            self._options.state.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(
                f"{self._options.state}: {error.strerror}; name another state directory"
            ) from error
        truth = Truth(self._options.truth)
        try:
            self._mount(truth)
            places = {bus.name: await self._serve(bus) for bus in self._estate.buses}
            ready(json.dumps({"ready": True, "buses": places, "pid": os.getpid()}))
            await self._live(stop)
        finally:
            for server in self._servers.values():
                if isinstance(server, TcpServer):
                    await server.stop()
                else:
                    server.stop()
            for lock in self.locks.values():
                lock.close()
            truth.close()

    def _mount(self, truth: Truth) -> None:
        for config in self._estate.locks:
            lock = MountedLock(config, self._options.state, self._options.seed, self.timeline, truth)
            self.locks[config.serial] = lock
            lock.wake(self._options.backlog_days)
            self.buses[config.bus].units[config.unit] = lock.unit

    async def _serve(self, bus: BusConfig) -> dict[str, object]:
        """Open a bus; return what the ready line says of it."""
        if bus.kind == "rtu":
            assert bus.device is not None
            line = SerialLine(
                self.buses[bus.name], self.timeline.now, LineTiming(bus.baudrate, bus.pace == "wire")
            )
            self._servers[bus.name] = line
            line.start(bus.device)
            return {"kind": "rtu", "device": str(bus.device)}
        server = TcpServer(self.buses[bus.name], self.timeline.now)
        self._servers[bus.name] = server
        try:
            port = await server.start(bus.host, bus.port)
        except OSError as error:
            raise SimulatorError(
                f"bus {bus.name!r}: can't listen on {bus.host}:{bus.port}: {error.strerror}"
            ) from error
        return {"kind": "tcp", "host": bus.host, "port": port}

    async def _live(self, stop: asyncio.Event) -> None:
        began_s, speed = self.timeline.now(), self._options.speed
        start_s = max([began_s, *(lock.memory.lived_until_s for lock in self.locks.values())])

        def residents_now() -> float:
            return start_s + (self.timeline.now() - began_s) * speed

        async with asyncio.TaskGroup() as tasks:
            lives = [tasks.create_task(lock.live(speed, residents_now)) for lock in self.locks.values()]
            while not stop.is_set():
                for lock in self.locks.values():
                    lock.controller.tick()
                await _wait(stop, TICK_S)
            for life in lives:
                life.cancel()


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
