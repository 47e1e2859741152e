"""Builds and runs everything: buses, locks, residents, scenario, control. START HERE."""

import asyncio
import fcntl
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from firmware_sim.actions import AnyAction
from firmware_sim.bus import Bus
from firmware_sim.config import BusConfig, EstateConfig, LockConfig
from firmware_sim.control import Control
from firmware_sim.errors import SimulatorError, StateError
from firmware_sim.line import LineTiming, SerialLine
from firmware_sim.mounted import MountedLock
from firmware_sim.mounts import Mounts
from firmware_sim.scenario import play
from firmware_sim.server import TcpServer
from firmware_sim.stage import Stage
from firmware_sim.timeline import Timeline
from firmware_sim.truth import Truth

TICK_S = 0.1
TICKS_PER_NOTE = 50  # how often it is noted up to when the residents have lived


@dataclass(frozen=True, slots=True)
class Options:
    """How an estate is to be run. `speed`: seconds of the residents' lives in one of ours.

    `keep_pace`: the backlog is lived after ready, as fast as a gateway drains it, and so without an end to its length.
    `calendar_ahead_s`: by how much the residents' calendar is ahead of the clock; the controllers know nothing of it.
    """

    state: Path
    truth: Path | None = None
    seed: int = 1
    speed: float = 1.0
    scenario: tuple[AnyAction, ...] = ()
    control: Path | None = None
    backlog_days: float = 0.0
    keep_pace: bool = False
    calendar_ahead_s: float = 0.0


class Simulator:
    """One estate. Everything happens in the thread of the event loop that `run` is called in."""

    def __init__(self, estate: EstateConfig, options: Options) -> None:
        self.locks: dict[str, MountedLock] = {}
        self.buses = {bus.name: Bus(bus.name, bus.kind == "tcp") for bus in estate.buses}
        self._estate = estate
        self._options = options
        self._timeline = Timeline(time.time, time.monotonic)
        self._servers: list[TcpServer | SerialLine] = []
        self._stage = Stage(estate, self.locks, self.buses, options.speed, self._timeline.now, self._swap)
        self._mounts = Mounts(options.state)
        self._truth: Truth | None = None
        self._claim: TextIO | None = None
        self._failure: BaseException | None = None

    async def run(self, stop: asyncio.Event, ready: Callable[[str], None]) -> None:
        """Wake the controllers, serve them, let their residents live until `stop`. `ready` gets the line that says so.

        Raises SimulatorError where that can't be done, also in the middle (a disk that is full).
        """
        # What goes wrong in a callback of the loop (while an answer is made, say) must not pass unnoticed.
        asyncio.get_running_loop().set_exception_handler(
            lambda _, what: self._fail(what.get("exception") or SimulatorError(what["message"]), stop)
        )
        control = None
        if self._options.control:
            control = Control(self._options.control, self._stage, lambda error: self._fail(error, stop))
        try:
            self._mount_all()
            if not await self._wake_all(stop):
                return
            places = {bus.name: await self._serve(bus) for bus in self._estate.buses}
            if control is not None:
                await control.start()
            ready(json.dumps({"ready": True, "buses": places, "pid": os.getpid()}))
            await self._live(stop)
        finally:
            if control is not None:
                await control.stop()
            for server in self._servers:
                await server.stop()
            for lock in self.locks.values():
                lock.close()
            if self._truth is not None:
                self._truth.close()
            if self._claim is not None:
                self._claim.close()
        if self._failure is not None:
            raise self._failure

    def _mount_all(self) -> None:
        try:
            self._options.state.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(f"{self._options.state}: {error.strerror}; name another --state") from error
        self._claim_state()
        self._truth = Truth(self._options.truth)
        for place in self._estate.locks:
            config = self._mounts.mounted(place)
            lock = MountedLock(
                config, self._options.state, self._options.seed, self._timeline, self._truth,
                self._options.calendar_ahead_s,
            )  # fmt: skip
            self.locks[place.serial] = lock
            self.buses[config.bus].units[config.unit] = lock.unit

    def _claim_state(self) -> None:
        """Two simulators must not share controllers. The claim ends with the process, however that ends."""
        state = self._options.state
        try:
            self._claim = (state / "claim").open("a")
            fcntl.flock(self._claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StateError(
                f"{state}: another simulator runs here; end it or name another --state"
            ) from error
        except OSError as error:
            raise StateError(f"{state}: {error.strerror}; check its permissions") from error

    async def _wake_all(self, stop: asyncio.Event) -> bool:
        """Wake one controller after the other; False if it was stopped meanwhile."""
        stopped = asyncio.create_task(stop.wait())
        for lock in self.locks.values():
            waking = asyncio.create_task(lock.wake(self._options.backlog_days, self._options.keep_pace))
            await asyncio.wait((waking, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not waking.done():
                waking.cancel()
                await asyncio.gather(waking, return_exceptions=True)
                return False
            waking.result()
        stopped.cancel()
        return True

    def _swap(self, place: str, config: LockConfig) -> None:
        self._mounts.swap(place, config)
        lock = self.locks[place]
        lock.swap(config)
        self.buses[config.bus].units[config.unit] = lock.unit

    async def _serve(self, bus: BusConfig) -> dict[str, object]:
        """Open a bus; return what the ready line says of it."""
        if bus.kind == "rtu":
            assert bus.device is not None
            line = SerialLine(
                self.buses[bus.name], self._timeline.now, LineTiming(bus.baudrate, bus.pace == "wire")
            )
            self._servers.append(line)
            line.start(bus.device)
            return {"kind": "rtu", "device": str(bus.device)}
        server = TcpServer(self.buses[bus.name], self._timeline.now)
        self._servers.append(server)
        try:
            port = await server.start(bus.host, bus.port)
        except OSError as error:
            raise SimulatorError(
                f"bus {bus.name!r}: can't listen on {bus.host}:{bus.port}: {error.strerror}"
            ) from error
        return {"kind": "tcp", "host": bus.host, "port": port}

    async def _live(self, stop: asyncio.Event) -> None:
        began_s, speed = self._timeline.now(), self._options.speed
        start_s = max([began_s, *(lock.memory.lived_until_s for lock in self.locks.values())])

        def residents_now() -> float:
            return start_s + (self._timeline.now() - began_s) * speed

        def watch(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                self._fail(error, stop)

        going = [lock.live(speed, residents_now) for lock in self.locks.values()]
        tasks = [asyncio.create_task(one) for one in (*going, play(self._options.scenario, self._stage))]
        for task in tasks:
            task.add_done_callback(watch)
        await self._tick_until(stop, residents_now)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _fail(self, error: BaseException, stop: asyncio.Event) -> None:
        """End the run because of an error that nobody else handles; the first one tells."""
        if self._failure is None:
            self._failure = error
        stop.set()

    async def _tick_until(self, stop: asyncio.Event, residents_now: Callable[[], float]) -> None:
        ticks = 0
        while not stop.is_set():
            ticks += 1
            for lock in self.locks.values():
                lock.controller.tick()
                if ticks % TICKS_PER_NOTE == 0 and self._options.speed > 1:  # else their time is the clock's
                    lock.keep_lived(residents_now())
            await _wait(stop, TICK_S)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
