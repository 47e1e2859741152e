"""Puts what a scan found into a configuration file. What is there already stays as it is, unless that was asked for.

Written are lines that weren't there, and locks that answered well and weren't there. Where file and line tell different
stories, the file is right until somebody says otherwise (`correct`): then a line gets the settings at which its locks
answer, and a lock the bus and unit at which it answers. Who answers in another lock's place is never written: a swapped
controller has registers to be noted down (`edge-agent replace`).
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.items import Table

from edge_agent.technician.config_file import set_field, table_of, tables
from edge_agent.technician.scan_plan import PortSettings, Target
from edge_agent.technician.scan_verdicts import UnitVerdict, Verdict
from edge_agent.technician.scanning import LineReport

_DEFAULT = PortSettings(19_200, "E")
_TO_ENTER = (Verdict.GOOD, Verdict.OTHER_LOCK, Verdict.OTHER_UNIT)


_BEGINNING = """\
# Begun by `edge-agent scan`: fill in what is empty, then `edge-agent check-config` says what is missing. All settings
# stand in edge-agent.toml.example beside this file.

[gateway]
id = ""  # as the cloud knows this gateway: "gw-0001"
site = ""  # as the cloud knows the site: "lindenhof"

[identity]
directory = "/var/lib/wastelock/identity"  # `edge-agent enroll` makes what is in it

[spool]
path = "/var/lib/wastelock/spool.db"

[mqtt]
host = ""  # the broker's name
"""


def begin_document() -> TOMLDocument:
    """Return what a new configuration file begins with: an enrolled gateway as the package lays it out."""
    return tomlkit.parse(_BEGINNING)


@dataclass(slots=True)
class Changes:
    """What was done to the document, and what would have to be done but wasn't asked for."""

    made: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def enter(document: TOMLDocument, reports: Iterable[LineReport], *, correct: bool) -> Changes:
    """Enter buses and locks into the document; return what was changed and what was left."""
    changes = Changes()
    for report in reports:
        good = [unit for unit in report.units if unit.verdict in _TO_ENTER and unit.locks]
        if not good or report.at is None:
            continue
        bus = _enter_bus(document, report, changes, correct)
        for unit in good:
            _enter_lock(document, bus, unit, changes, correct)
    return changes


def _enter_bus(document: TOMLDocument, report: LineReport, changes: Changes, correct: bool) -> str:
    """Return the name of the bus of this line, which is in the document then."""
    target, buses = report.target, tables(document, "buses")
    settings = next((each for each in target.settings if str(each) == report.at), None)
    for bus in buses:
        if _is_line(bus, target):
            if settings is not None:
                _compare_settings(bus, settings, changes, correct)
            return str(bus["name"])
    name = _free_name({str(bus.get("name")) for bus in buses})
    fields: list[tuple[str, object]] = [("name", name)]
    if target.device is not None:
        fields += [("kind", "rtu"), ("device", str(target.device))]
        if settings is not None:
            fields += [("baudrate", settings.baudrate)] if settings.baudrate != _DEFAULT.baudrate else []
            fields += [("parity", settings.parity)] if settings.parity != _DEFAULT.parity else []
    else:
        fields += [("kind", "tcp"), ("host", target.host)]
        fields += [("port", target.port)] if target.port != 502 else []
    buses.append(table_of(fields))
    changes.made.append(
        f"bus {name}: {target.name}, {report.at}" if settings else f"bus {name}: {target.name}"
    )
    return name


def _compare_settings(bus: Table, settings: PortSettings, changes: Changes, correct: bool) -> None:
    now = PortSettings(int(bus.get("baudrate", _DEFAULT.baudrate)), str(bus.get("parity", _DEFAULT.parity)))
    if now == settings:
        return
    if correct:
        if now.baudrate != settings.baudrate:
            set_field(bus, "baudrate", settings.baudrate, "device")
        if now.parity != settings.parity:
            set_field(bus, "parity", settings.parity, "device")
        changes.made.append(f"bus {bus['name']}: {settings} instead of {now}")
    else:
        changes.left.append(f"bus {bus['name']} is configured {now}, but its locks answer at {settings}")


def _enter_lock(
    document: TOMLDocument, bus: str, found: UnitVerdict, changes: Changes, correct: bool
) -> None:
    locks, name = tables(document, "locks"), found.locks[0]
    there = next((lock for lock in locks if _same_serial(lock.get("serial"), name)), None)
    at_unit = next(
        (lock for lock in locks if lock.get("bus") == bus and lock.get("unit") == found.unit), None
    )
    if there is not None and there is at_unit:
        return
    if at_unit is not None:
        changes.left.append(
            f"lock {name} answers at {bus} {found.unit}, where {at_unit.get('serial')} is configured; if a controller "
            "was swapped: edge-agent replace"
        )
    elif there is None:
        locks.append(table_of([("serial", name), ("bus", bus), ("unit", found.unit)]))
        changes.made.append(f"lock {name}: {bus} {found.unit}")
    elif correct:
        before = f"{there.get('bus')} {there.get('unit')}"
        there["bus"], there["unit"] = bus, found.unit
        changes.made.append(f"lock {name}: {bus} {found.unit} instead of {before}")
    else:
        changes.left.append(
            f"lock {name} is configured at {there.get('bus')} {there.get('unit')}, but answers at {bus} {found.unit}"
        )


def _is_line(bus: Table, target: Target) -> bool:
    if target.device is not None:
        device = bus.get("device")
        return device is not None and os.path.realpath(Path(str(device))) == os.path.realpath(target.device)
    return bus.get("host") == target.host and bus.get("port", 502) == target.port


def _same_serial(configured: object, lock: str) -> bool:
    return str(configured).lstrip("0") == lock.lstrip("0")


def _free_name(taken: set[str]) -> str:
    number = 1
    while f"line-{number}" in taken:
        number += 1
    return f"line-{number}"
