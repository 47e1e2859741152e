"""What the figures of a bus mean: wiring, settings, unit ids, adapters, slow servers. Pure: figures -> findings.

can't be opened ──▶ the adapter, or the server
nobody answers ───▶ settings, where others were answered; else the wires: A and B, the plug, the supply
some don't ───────▶ that controller: its settings, its power, its id, its branch
answers broken ───▶ at one unit: two with one id; everywhere: termination, shield, a branch that is too long
answers late ─────▶ a slow server or radio: a longer answer time
the wrong one ────▶ two units mixed up, or not a waste lock
"""

import errno
import os
from collections.abc import Iterator, Sequence

from edge_agent.technician.doctor.bus_figures import BusFigures, UnitFigures
from edge_agent.technician.doctor.findings import Finding, Sure, good, notice, trouble

# Noise below this doesn't matter: everything is asked twice.
_NOISE_PERMILLE = 20
# Two that answer at once break nearly every answer; a bad line breaks some.
_COLLISION_PERMILLE = 250
_ENOUGH = 6  # requests: fewer make no share
_SLOW_SHARE = 0.8


def judge_bus(bus: BusFigures) -> list[Finding]:
    """Return what is to be said of a bus and its units; a bus without trouble gets one good finding."""
    area = f"bus {bus.bus}"
    if bus.lent_to is not None:
        return [
            notice(area, "lent", "somebody else has this line now", bus.lent_to, "look again when it is back")
        ]
    found = [*_adapter(bus, area)]
    if bus.trouble is None:
        asked = [unit for unit in bus.units if unit.requests]
        found += _silence(bus, area, asked)
        found += _noise(bus, area, asked)
        for unit in asked:
            if not _collides(unit, asked):
                found += _identity(bus, area, unit)
    if found:
        return found
    if not bus.units:
        return [
            notice(
                area, "no_locks", f"no lock is configured on {bus.where}", "", "add it, or leave the bus out"
            )
        ]
    requests = sum(unit.requests for unit in bus.units)
    lost = sum(unit.timeouts + unit.broken for unit in bus.units)
    return [
        good(
            area,
            f"{_units(len(bus.units))} {'answers' if len(bus.units) == 1 else 'answer'} at {bus.where}",
            f"{requests} requests, {lost} without an answer",
        )
    ]


def _adapter(bus: BusFigures, area: str) -> Iterator[Finding]:
    if bus.trouble is not None and not bus.broke:
        yield _cant_open(bus, area, bus.trouble) if bus.is_serial else _cant_connect(bus, area, bus.trouble)
    if not bus.times_broken:
        return
    often = (
        f"it went {bus.times_broken} times since the agent's start, {bus.broke} times while it was looked at"
    )
    if bus.is_serial:
        cause = ("the machine's supply is too weak, and so for the adapter", Sure.LIKELY) if bus.undervoltage else (
            "a loose plug, a bad cable or hub, or too little power", Sure.POSSIBLE
        )  # fmt: skip
        what, remedy = (
            f"the adapter comes and goes: {cause[0]}",
            (
                "plug it in directly, with a short cable, or at a hub with a supply of its own; "
                "see `journalctl -k | grep usb`"
            ),
        )
    else:
        what, cause = "the server ends the connection again and again", ("", Sure.LIKELY)
        remedy = "see whether another master uses it, and its own limit of idle time"
    if bus.broke:
        yield trouble(area, "comes_and_goes", what, often, remedy, cause[1])
    elif bus.trouble is None:
        yield notice(area, "went_before", what, often, remedy)


def _cant_open(bus: BusFigures, area: str, why: str) -> Finding:
    device = bus.settings.partition(" ")[0]
    if os.strerror(errno.ENOENT) in why:
        there = ", ".join(bus.known_devices) or "none"
        return trouble(
            area, "adapter_missing", f"{device} isn't there: the adapter isn't plugged in, or has another name",
            f"serial devices here: {there}", "plug it in, or correct `device`; /dev/serial/by-id/… stays the same",
        )  # fmt: skip
    if os.strerror(errno.EACCES) in why:
        return trouble(
            area, "adapter_forbidden", f"{device} may not be opened", why,
            "put the agent's user (or yours) into the group dialout: adduser wastelock dialout",
        )  # fmt: skip
    if os.strerror(errno.EBUSY) in why or "exclusively lock" in why:
        return trouble(
            area, "adapter_busy", f"another program has {device}", why, "end it: `fuser -v DEVICE` names it"
        )
    return trouble(
        area, "adapter_fails", f"{device} can't be used", why, "replug it; else try another adapter"
    )


def _cant_connect(bus: BusFigures, area: str, why: str) -> Finding:
    if os.strerror(errno.ECONNREFUSED) in why:
        return trouble(
            area, "server_refuses", f"{bus.where} is there, but nothing listens at that port", why,
            "switch Modbus TCP on at the device; see its port",
        )  # fmt: skip
    return trouble(
        area,
        "server_away",
        f"{bus.where} can't be reached",
        why,
        "see its power, its cable, its address: ping it",
    )


def _silence(bus: BusFigures, area: str, asked: Sequence[UnitFigures]) -> Iterator[Finding]:
    """Units that brought no whole answer at all, for which nothing that did come gives a reason."""
    mute = [unit for unit in asked if not unit.speaks and not _collides(unit, asked)]
    for settings in dict.fromkeys(unit.better.settings for unit in mute if unit.better):
        yield _other_settings(bus, area, [u for u in mute if u.better and u.better.settings == settings])
    unexplained = [unit for unit in mute if unit.better is None]
    if not unexplained:
        return
    names = ", ".join(f"{unit.unit} ({unit.lock})" for unit in unexplained)
    evidence = _sum(unexplained)
    if bus.is_serial and len(unexplained) == len(asked):
        tried = "no other parity or baud rate helps" if bus.trials_made else "other settings weren't tried"
        yield trouble(
            area, "nobody_answers", f"nobody answers on {bus.where}: A and B swapped, or the line isn't connected",
            f"{evidence}; {tried}",
            "swap the two wires at the adapter; see plug, ground, and the controllers' supply; then the unit ids",
            Sure.LIKELY if len(asked) > 1 else Sure.POSSIBLE,
        )  # fmt: skip
        return
    remedy = "see its power, its unit id and its branch of the line; `edge-agent scan` shows who else answers"
    for unit in unexplained:
        if unit.late_or_foreign and unit.timeouts:
            yield _slow(bus, area, unit)
        elif unit.said_by_server:
            yield trouble(
                area, "silent_behind_server",
                f"the server at {bus.where} hears nothing of unit {unit.unit} ({unit.lock})", unit.evidence,
                "see the serial side of the server: baud rate, parity, wires A and B; then the controller's power "
                "and unit id",
            )  # fmt: skip
        else:
            one = f"unit {unit.unit} ({unit.lock}) doesn't answer while others on this line do"
            if len(unexplained) == len(asked):
                one = f"{bus.where} is there, but unit {unit.unit} ({unit.lock}) behind it doesn't answer"
            yield trouble(
                area, "dead_unit", one, f"{unit.evidence}; silent here: {names}", remedy, Sure.LIKELY
            )


def _other_settings(bus: BusFigures, area: str, units: Sequence[UnitFigures]) -> Finding:
    """Units that all answered with the same other settings."""
    first, configured = units[0], bus.settings.partition(" ")[2]
    trial = first.better
    assert trial is not None
    who = ", ".join(f"unit {unit.unit} ({unit.lock})" for unit in units)
    evidence = (
        f"at {configured}: {first.evidence}; at {trial.settings}: an answer after {trial.took_ms:.0f} ms"
    )
    if trial.settings == configured:
        return trouble(
            area, "slow_answers", f"{who}: answers come only after {trial.took_ms:.0f} ms", evidence,
            f"set answer_timeout_ms = {_generous(trial.took_ms)} for this bus",
        )  # fmt: skip
    is_parity = str(trial.baudrate) == configured.partition(" ")[0]
    name, what = ("wrong_parity", "parity") if is_parity else ("wrong_baudrate", "baud rate")
    verb, others = ("has", "this controller") if len(units) == 1 else ("have", "these controllers")
    remedy = f"set the bus to {trial.settings}, or {others} to {configured}: one line, one setting"
    return trouble(area, name, f"{who} {verb} another {what}: {trial.settings}", evidence, remedy)


def _noise(bus: BusFigures, area: str, asked: Sequence[UnitFigures]) -> Iterator[Finding]:
    enough = [unit for unit in asked if unit.speaks and unit.requests >= _ENOUGH and unit.lost > 1]
    noisy = [unit for unit in enough if unit.lost_permille >= _NOISE_PERMILLE]
    twice = [unit for unit in asked if _collides(unit, asked)]
    for unit in twice:
        sure = Sure.CERTAIN if len(set(unit.serials)) > 1 else Sure.LIKELY
        said = f"; who answered: {', '.join(dict.fromkeys(unit.serials))}" if unit.serials else ""
        yield trouble(
            area, "duplicate_unit", f"two controllers answer as unit {unit.unit} ({unit.lock})",
            f"{unit.evidence}{said}; the others on this line are clean",
            "switch one of them off and look again; then give it another unit id", sure,
        )  # fmt: skip
    # What a doubled unit sends too late disturbs whoever is asked next: that isn't the other's fault.
    rest = [unit for unit in noisy if unit not in twice and not (twice and not unit.broken_crc)]
    slow = [unit for unit in rest if unit.timeouts and unit.late_or_foreign]
    for unit in slow:
        yield _slow(bus, area, unit)
    broken = [unit for unit in rest if unit not in slow and unit.broken_permille >= _NOISE_PERMILLE]
    if len(broken) > 1 or (broken and len(asked) == 1):
        sure = Sure.LIKELY if len(broken) > 1 else Sure.POSSIBLE
        yield trouble(
            area, "bad_line", f"answers of {_units(len(broken))} come broken: termination, shield or a long branch",
            _sum(broken),
            "120 Ω between A and B at both ends of the line and nowhere else; shield at one end; branches below "
            "1 m", sure,
        )  # fmt: skip
    elif broken:
        yield trouble(
            area, "bad_branch", f"answers of unit {broken[0].unit} ({broken[0].lock}) alone come broken",
            broken[0].evidence, "see its terminals and its branch of the line", Sure.LIKELY,
        )  # fmt: skip
    for unit in rest:
        if unit not in slow and unit not in broken:
            yield trouble(
                area, "flaky_unit", f"unit {unit.unit} ({unit.lock}) answers only now and then", unit.evidence,
                "see its supply and its terminals", Sure.LIKELY,
            )  # fmt: skip
    for unit in asked:
        if unit.round_trip_ms is not None and unit.round_trip_ms > _SLOW_SHARE * bus.answer_timeout_ms:
            yield notice(
                area, "nearly_slow", f"unit {unit.unit} ({unit.lock}) takes nearly all of its answer time",
                f"{unit.round_trip_ms:.0f} of {bus.answer_timeout_ms} ms",
                f"raise answer_timeout_ms of this bus to {_generous(unit.round_trip_ms)}",
            )  # fmt: skip


def _identity(bus: BusFigures, area: str, unit: UnitFigures) -> Iterator[Finding]:
    """Something answers in whole words: is it the lock that is configured?"""
    who = f"unit {unit.unit} ({unit.lock})"
    if unit.stranger is not None:
        yield trouble(
            area, "not_this_map", f"{who} answers Modbus, but isn't what is configured", unit.stranger,
            "correct `driver` or `unit` of this lock; a bare counter is driver counter-1",
        )  # fmt: skip
    elif unit.expected_serial is not None and unit.serials:
        others = [serial for serial in dict.fromkeys(unit.serials) if serial != unit.expected_serial]
        if others and len(set(unit.serials)) == 1:
            elsewhere = next((other for other in bus.units if other.expected_serial == others[0]), None)
            mixed = f"; it is configured as unit {elsewhere.unit}" if elsewhere else ""
            yield trouble(
                area, "wrong_lock", f"another lock answers as {who}: {others[0]}", f"{unit.evidence}{mixed}",
                "compare the type plates with the configuration: mixed up, or a controller was replaced "
                "(`edge-agent replace controller`)",
            )  # fmt: skip


def _collides(unit: UnitFigures, asked: Sequence[UnitFigures]) -> bool:
    """Two controllers with one id: they break each other's answers, and nobody else's."""
    if len(set(unit.serials)) > 1:
        return True
    others = [other for other in asked if other is not unit]
    clean = [other for other in others if other.speaks and other.broken_permille < _NOISE_PERMILLE]
    if not clean or unit.requests < _ENOUGH or unit.broken <= unit.timeouts:
        return False
    if unit.broken_permille < _COLLISION_PERMILLE:
        return False
    if unit.broken_crc:
        return True
    # Whoever is asked after a doubled unit may get what the second one of it sends too late.
    return not any(other.broken_crc for other in others) and unit.broken > max(
        other.broken for other in others
    )


def _slow(bus: BusFigures, area: str, unit: UnitFigures) -> Finding:
    return trouble(
        area, "slow_answers", f"unit {unit.unit} ({unit.lock}) answers later than {bus.answer_timeout_ms} ms",
        f"{unit.evidence}; what is late is taken for nobody's answer",
        f"raise answer_timeout_ms of this bus, to {_generous(2 * bus.answer_timeout_ms)} for a start; see the "
        "server's or radio's own delay",
        Sure.LIKELY,
    )  # fmt: skip


def _generous(milliseconds: float | None) -> int:
    """Return an answer time that leaves room: half as much again, in hundreds."""
    return max(100, -(-round(1.5 * (milliseconds or 0)) // 100) * 100)


def _sum(units: Sequence[UnitFigures]) -> str:
    requests, lost = sum(unit.requests for unit in units), sum(unit.timeouts + unit.broken for unit in units)
    crc = sum(unit.broken_crc for unit in units)
    named = ", ".join(str(unit.unit) for unit in units)
    return f"units {named}: {requests} requests, {lost} lost, {crc} with a wrong CRC"


def _units(count: int) -> str:
    return "1 unit" if count == 1 else f"{count} units"
