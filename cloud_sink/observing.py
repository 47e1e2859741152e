"""What is kept of what gateways report: every change that matters, and now and then one where nothing changed. Pure.

    report ──▶ heard already, or late? ──▶ it is left out
           └─▶ first, after a silence, changed, or due ──▶ it is kept, with when the subject was heard before
           └─▶ else ──▶ only that it was heard

A report is compared with the one that was *kept* last, so that what creeps (fill level, battery) is kept in steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cloud_sink.config import ObservationsSection
from cloud_sink.ledger.instants import to_ms
from cloud_sink.ledger.observations import State
from cloud_sink.reports import Report
from wastelock.messages import GatewayState, LockState, MachineHealth, Telemetry

_EARLY_PERMILLE = 950  # what comes regularly comes a little early at times: it isn't left out for that
_LATE_MS = 60_000
# How far a value may creep without anybody wanting to know.
_FILL_PERMILLE, _BATTERY_MV, _TEMPERATURE_DC, _OFFSET_S = 9, 99, 49, 2

Material = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of a subject: what was heard last, and what was kept last. `reported_ms`: by its own clock."""

    heard_ms: int
    reported_ms: int | None
    heard: State
    kept_ms: int
    kept: State


@dataclass(frozen=True, slots=True)
class Kept:
    """A report that is kept. `heard_before_ms`: when its subject was heard before, None if never."""

    heard_ms: int
    heard_before_ms: int | None
    state: State


def follow(
    memory: Memory | None, reports: Sequence[Report], now_ms: int, thinning: ObservationsSection, shared: bool
) -> tuple[Memory | None, list[Kept]]:
    """Take the reports on one subject, in the order in which they were heard; return what is known then, and kept.

    `shared`: other sinks write reports into this ledger, too, and may have been quicker. What was heard before what is
    known was written already; where the clock was set back behind that, there is no telling by it.
    """
    kept = []
    for report in reports:
        heard_ms = _said_ms(report, memory)
        state = _known_then(report.state, memory)
        if memory is not None and (
            state == memory.heard
            or heard_ms < memory.heard_ms <= now_ms
            or (shared and _is_late(memory, state, heard_ms))
        ):
            continue
        if memory is None or _is_wanted(memory, state, heard_ms, thinning):
            kept.append(Kept(heard_ms, None if memory is None else memory.heard_ms, state))
            memory = Memory(heard_ms, _reported_ms(state, memory), state, heard_ms, state)
        else:
            reported_ms = _reported_ms(state, memory)
            memory = replace(memory, heard_ms=heard_ms, reported_ms=reported_ms, heard=state)
    return memory, kept


def known_then(state: GatewayState, before: GatewayState | None) -> GatewayState:
    """A will or farewell says only that the gateway is gone: its spool is what its birth said. A late will is void."""
    if state.online or before is None:
        return state
    if state.incarnation < before.incarnation:
        return before
    return before.model_copy(update={"online": False, "at": state.at})


def matters(before: State, after: State) -> bool:
    """Return whether something changed that somebody wants to know of."""
    if _material(before) != _material(after):
        return True
    if not isinstance(before, LockState) or not isinstance(after, LockState):
        return False
    return (
        _moved(before.fill_permille, after.fill_permille, _FILL_PERMILLE)
        or _moved(before.battery_mv, after.battery_mv, _BATTERY_MV)
        or _moved(before.temperature_dc, after.temperature_dc, _TEMPERATURE_DC)
        or _moved(before.clock_offset_s, after.clock_offset_s, _OFFSET_S)
    )


def _known_then(state: State, memory: Memory | None) -> State:
    if isinstance(state, GatewayState) and memory is not None and isinstance(memory.heard, GatewayState):
        return known_then(state, memory.heard)
    return state


def _said_ms(report: Report, memory: Memory | None) -> int:
    """What the broker had kept was said while this sink wasn't there: when, it says itself."""
    heard_ms = to_ms(report.heard_at)
    if not report.retained or report.state.at is None:
        return heard_ms
    said_ms = to_ms(report.state.at)
    return min(heard_ms, said_ms if memory is None else max(said_ms, memory.heard_ms))


def _is_wanted(memory: Memory, state: State, heard_ms: int, thinning: ObservationsSection) -> bool:
    every_s = thinning.telemetry_every_s if isinstance(state, Telemetry) else thinning.keep_every_s
    return (
        heard_ms - memory.kept_ms >= every_s * _EARLY_PERMILLE
        or heard_ms - memory.heard_ms >= thinning.silent_after_s * 1000
        or matters(memory.kept, state)
    )


def _is_late(memory: Memory, state: State, heard_ms: int) -> bool:
    """Return whether another sink has written something newer meanwhile, by the gateway's clock.

    Each sink hears everything, in the same order, but writes when it comes to it, and their clocks differ. Where the
    gateway's clock was set back its reports are missed for a minute, not for as long as it was set back.
    """
    begun_anew = (
        isinstance(state, GatewayState)
        and isinstance(memory.heard, GatewayState)
        and state.incarnation > memory.heard.incarnation
    )
    if begun_anew or state.at is None or memory.reported_ms is None:
        return False
    return to_ms(state.at) <= memory.reported_ms and heard_ms - memory.heard_ms < _LATE_MS


def _reported_ms(state: State, memory: Memory | None) -> int | None:
    if state.at is not None:
        return to_ms(state.at)
    return None if memory is None else memory.reported_ms


def _material(state: State) -> Material:
    """What is compared exactly. Counters that move with each record aren't in it: the records themselves tell."""
    match state:
        case GatewayState():
            return (
                state.online, state.incarnation, state.software, state.journal, state.kid, state.locks, state.alarms,
            )  # fmt: skip
        case Telemetry():
            return (
                state.clock, *_conditions(state.machine),
                *((bus.bus, bus.breaker_open_units) for bus in state.buses),
            )  # fmt: skip
        case LockState():
            return (
                state.driver, state.reachable, state.unreachable_since, state.problem, state.model, state.firmware,
                state.epoch, state.state, state.faults, state.clock_status, state.access_list_version,
                state.unverified_records, state.overwritten_records, state.poll_interval_s,
                *((chamber.number, chamber.volume_ml, chamber.enabled) for chamber in state.chambers),
            )  # fmt: skip


def _conditions(machine: MachineHealth | None) -> Material:
    """Return what of a machine's health is yes or no: figures move all the time, and are kept as often as telemetry."""
    if machine is None:
        return ()
    return machine.undervoltage, machine.disk_read_only, machine.clock_source, machine.saving


def _moved(before: int | None, after: int | None, allowed: int) -> bool:
    if before is None or after is None:
        return before is not after
    return abs(after - before) > allowed
