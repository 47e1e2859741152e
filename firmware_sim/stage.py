"""Performs actions on the running estate, whoever ordered them: scenario file or control socket."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import Any

from firmware_sim import actions as act
from firmware_sim.bus import Bus
from firmware_sim.config import EstateConfig, LockConfig
from firmware_sim.doorway import Jam, PowerCut
from firmware_sim.errors import UnknownTarget
from firmware_sim.faults import WireFault
from firmware_sim.memory import Memory, Torn, next_epoch
from firmware_sim.mounted import MountedLock
from firmware_sim.residents import Visit, VisitKind
from wastelock.record import Kind
from wastelock.registers import Fault, lock_id

MAX_TORN = 64
_DEFAULT_FAULT_S = 10.0
_CONFIRMED_LOOK_S = 0.05
_POUR_KINDS = {
    "complete": VisitKind.POUR,
    "given_up": VisitKind.GIVEN_UP,
    "never_opened": VisitKind.NEVER_OPENED,
}
_U32 = 2**32
Outcome = dict[str, Any]


class Stage:
    """The estate as an action finds it. `locks` are by the serial number that the configuration gives their place."""

    def __init__(
        self, estate: EstateConfig, locks: dict[str, MountedLock], buses: dict[str, Bus], speed: float,
        now: Callable[[], float], swap: Callable[[str, LockConfig], None],
    ) -> None:  # fmt: skip
        """`swap`: puts another controller into a place, which the configuration's serial number names."""
        self._estate = estate
        self._locks = locks
        self._buses = buses
        self._speed = speed
        self._now = now
        self._swap = swap

    async def perform(self, action: act.AnyAction) -> Outcome:
        """Do it and return what came of it, or raise UnknownTarget: nothing was done."""
        act.check_targets(action, self._estate)
        match action:
            case act.Pour():
                return await self._pour(action)
            case act.NewEpoch():
                return await self._new_epoch(action)
            case act.RegisterWrap():
                return await self._wrap_register(action)
            case act.StatusQuery():
                return {"locks": [self._describe(place, lock) for place, lock in self._locks.items()]}
            case act.WireFaultAction() | act.ClearFaults():
                return self._wire(action)
            case act.PowerCutAction():
                return self._cut_power(action)
            case act.Residents():
                return self._send_residents(action)
            case act.SwapController():
                return await self._swap_controller(action)
            case _:
                return self._strike(action)

    async def _pour(self, action: act.Pour) -> Outcome:
        lock = self._locks[action.lock]
        uid = lock.random_resident() if action.uid is None else int(action.uid, 16)
        if uid == 0:
            raise UnknownTarget(f"nobody lives at lock {action.lock}: give a uid")
        visit = Visit(self._now(), _POUR_KINDS[action.outcome], uid, action.chamber)
        before = lock.memory.newest
        await lock.perform(visit, math.inf if action.instant else self._speed)
        answer = lock.doorway.last_answer
        return {
            "answer": answer.value if answer else None,
            "newest_before": before,
            "newest": lock.memory.newest,
        }

    # --- epochs

    async def _new_epoch(self, action: act.NewEpoch) -> Outcome:
        changes: dict[str, Any] = {}
        if action.capacity is not None:
            changes["capacity"] = action.capacity
        if action.mac_key is not None:
            changes |= {"mac_key": bytes.fromhex(action.mac_key), "mac_key_id": action.mac_key_id}
        return await self._begin_epoch(action, changes)

    async def _wrap_register(self, action: act.RegisterWrap) -> Outcome:
        chambers = len(self._locks[action.lock].memory.volumes_ml)
        registers = tuple(_U32 - action.before if n < chambers else 0 for n in range(4))
        return await self._begin_epoch(action, {"registers": registers})

    async def _begin_epoch(self, action: act.EpochAction, changes: dict[str, Any]) -> Outcome:
        lock = self._locks[action.lock]
        async with lock.turn:  # nobody pours meanwhile
            if action.when == "confirmed":
                await _until_confirmed(lock, action)
            if not lock.controller.powered:
                raise UnknownTarget(f"lock {action.lock} is without power: try again when it is back")
            memory: Memory = next_epoch(lock.memory, epoch=lock.memory.epoch + 1, **changes)
            lock.controller.begin_epoch(memory)
        return {"epoch": memory.epoch}

    # --- wire

    def _wire(self, action: act.WireFaultAction | act.ClearFaults) -> Outcome:
        if isinstance(action, act.ClearFaults):
            for bus, unit in self._targets(action.lock, action.bus):
                bus.faults.clear(unit)
            return {}
        for_s = action.for_s if action.for_s is not None or action.count is not None else _DEFAULT_FAULT_S
        until_s = math.inf if for_s is None else self._now() + for_s
        left = action.count if action.count is not None else 2**62
        for bus, unit in self._targets(action.lock, action.bus):
            bus.faults.add(WireFault(action.fault, unit, until_s, left, action.delay_s, action.after_bytes))
        return {}

    def _targets(self, lock: str | None, bus: str | None) -> list[tuple[Bus, int | None]]:
        """Return bus and unit that are meant; unit None: all of the bus. Neither named: every bus."""
        if lock is not None:
            config = self._locks[lock].config
            return [(self._buses[config.bus], config.unit)]
        return [(self._buses[name], None) for name in ([bus] if bus is not None else self._buses)]

    # --- power, people, controllers

    def _cut_power(self, action: act.PowerCutAction) -> Outcome:
        struck = list(self._locks.values()) if action.lock is None else [self._locks[action.lock]]
        for lock in struck:
            if action.at == "now":
                lock.controller.cut_power(action.off_s)
            else:
                at = "before_discharge" if action.at == "mid_cycle" else action.at
                lock.doorway.cut = PowerCut(at, action.off_s)
        return {}

    def _send_residents(self, action: act.Residents) -> Outcome:
        for lock in self._locks.values() if action.lock is None else [self._locks[action.lock]]:
            lock.residents_come = action.come
            if not action.come and lock.controller.powered:  # a technician at work goes home as well
                lock.controller.maintain(lock.neighbourhood.service_uid, begins=False)
        return {}

    async def _swap_controller(self, action: act.SwapController) -> Outcome:
        config = next(lock for lock in self._estate.locks if lock.serial == action.lock)
        if action.serial != action.lock:  # else the first one comes back
            fresh = action.model_dump(include={"serial", "epoch", "capacity", "mac_key", "mac_key_id"})
            config = LockConfig.model_validate(config.model_dump() | fresh | {"registers": ()})
        async with self._locks[action.lock].turn:
            self._swap(action.lock, config)
        return {"serial": action.serial}

    # --- the controller itself

    def _strike(self, action: act.AnyAction) -> Outcome:
        assert isinstance(action, act.LockAction)
        lock = self._locks[action.lock]
        controller = lock.controller
        match action:
            case act.TornRecord():
                return self._tear(action, lock)
            case act.JamAction():
                lock.doorway.jam = Jam(action.times_over, action.stuck)
                return {}
            case act.ClockDrift():
                controller.set_drift(action.ppm)
            case act.ClockStep():
                controller.step_clock(action.by_s)
            case _ if not controller.powered:
                raise UnknownTarget(f"lock {action.lock} is without power: try again when it is back")
            case act.ClockLoss():
                controller.lose_clock()
            case act.Degraded():
                controller.raise_fault(Fault.CHAMBER_BLOCKED, action.chamber)
            case act.Repaired():
                controller.clear_fault(Fault.CHAMBER_BLOCKED, action.chamber)
            case act.ContainerFull():
                controller.raise_fault(Fault.CONTAINER_FULL)
            case act.Emptying():
                controller.empty(Kind.EMPTYING)
            case act.ContainerSwap():
                controller.empty(Kind.CONTAINER_SWAP)
            case act.Maintenance():
                controller.maintain(lock.neighbourhood.service_uid, action.begins)
            case act.Alarm():
                change = controller.raise_fault if action.raised else controller.clear_fault
                change(Fault[action.bit.upper()])
        return {"newest": lock.memory.newest}

    def _tear(self, action: act.TornRecord, lock: MountedLock) -> Outcome:
        newest = lock.memory.newest
        seq = newest if action.seq == "newest" else newest + 1 if action.seq == "next" else int(action.seq)
        if seq == 0:
            raise UnknownTarget(f"lock {action.lock} has no record yet")
        if action.reads is not None:
            lock.unit.torn.tear(seq, action.word, action.reads)
        else:
            lock.controller.journal.save(torn=(*lock.memory.torn, Torn(seq, action.word))[-MAX_TORN:])
        return {"seq": seq}

    def _describe(self, place: str, lock: MountedLock) -> Outcome:
        memory = lock.memory
        return {
            "lock": place, "serial": lock_id(memory.serial), "bus": lock.config.bus, "unit": lock.config.unit,
            "powered": lock.controller.powered, "state": lock.controller.state.name.lower(),
            "faults": [fault.name.lower() for fault in Fault if memory.faults >> fault & 1],
            "epoch": memory.epoch, "oldest": memory.oldest, "newest": memory.newest, "confirmed": memory.confirmed,
            "free": memory.free, "capacity": memory.capacity, "boot": memory.boot,
            "registers": list(memory.registers[: len(memory.volumes_ml)]),
            "clock_status": memory.clock.status, "clock_s": lock.controller.recorder.clock_s(),
            "access_list_version": memory.access.version, "residents_come": lock.residents_come,
            "backlog_done": memory.backlog_done, "lived_until_s": memory.lived_until_s,
        }  # fmt: skip


async def _until_confirmed(lock: MountedLock, action: act.EpochAction) -> None:
    deadline_s = time.monotonic() + action.wait_s
    while lock.memory.confirmed < lock.memory.newest:
        if time.monotonic() > deadline_s:
            raise UnknownTarget(
                f"lock {action.lock}: the gateway has confirmed {lock.memory.confirmed} of {lock.memory.newest} after "
                f'{action.wait_s:g} s; let it catch up, or lose the rest with when = "now"'
            )
        await asyncio.sleep(_CONFIRMED_LOOK_S)
