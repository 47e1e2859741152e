"""Draws what happens on a day beside what its residents do: all from one seed, each thing at its hour.

    hour 0 ── rough: programs of ours die, spools break ──▶ 1/6 of the day ── our programs live on ──▶ the last hour

The law of this file: in the rough hours programs are killed as ever; after them edge agent and sink aren't any more,
for a memory that is to be judged needs a life that lasts. All else goes on striking: broker, network, lines,
controllers, power, disks. On a short day they strike in its first half only, and lists and commands have the second.
"""

from dataclasses import dataclass
from enum import StrEnum
from random import Random

from demo.estate import Estate
from tests.acceptance.plan import Fault, draw_plan

SHORT_H = 12
ROUGH_PART = 6
_ROUGH = ("kill -9", "kill -9 at step", "spool corrupted", "spool lost", "spool restored from an old copy")
_LASTING = (
    "kill -9",
    "freeze",
    "broker outage",
    "broker forgets everything",
    "link cut",
    "link stalled",
    "bus fault",
    "torn record",
    "power cut",
    "power cut everywhere",
    "controller's clock",
    "ledger locked",
    "jam",
)
_OURS = ("edge-agent", "cloud-sink")
_ROUGH_PER_H, _LASTING_PER_H = 6, 4
_LIST_EVERY_H, _COMMAND_EVERY_H = 1.5, 0.5
_QUIET_END_H = 0.5  # of faults: what they delayed has its time


class Kind(StrEnum):
    """What can be due."""

    FAULT = "fault"
    LIST_CHANGE = "access-list change"
    COMMAND = "command"
    NEW_SIGNING_KEY = "new signing key"


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that is due `at_h` hours after the day began."""

    at_h: float
    kind: Kind
    fault: Fault | None = None


def draw_day(seed: int, hours: float, hour_s: float, estate: Estate) -> list[Deed]:
    """Return the deeds of a day in order. `hour_s`: how many of our seconds one of its hours takes."""
    rng = Random(f"day/{seed}")
    is_short = hours < SHORT_H
    rough_h, last_h = hours / ROUGH_PART, hours / 2 if is_short else hours - _QUIET_END_H
    deeds = [
        *_faults(seed, rng, 0, rough_h, _ROUGH_PER_H, _ROUGH, estate),
        *_faults(seed + 1, rng, rough_h, last_h, _LASTING_PER_H, _LASTING, estate),
    ]
    deeds = [deed for deed in deeds if deed.at_h < rough_h or not _kills_ours(deed.fault)]
    for hold_h in (1 / 3,) if is_short else (1 / 6, 1 / 2, 1):
        outage = Fault("broker outage", hold_h * hour_s, 0.0)
        deeds.append(Deed(rng.uniform(rough_h, last_h - hold_h), Kind.FAULT, outage))
    deeds += [Deed(hours * part, Kind.NEW_SIGNING_KEY) for part in ((0.5,) if is_short else (0.3, 0.7))]
    begins_h, ends_h = (last_h, hours) if is_short else (0.25, last_h)
    deeds += _each(_LIST_EVERY_H / (3 if is_short else 1), begins_h, ends_h, Kind.LIST_CHANGE)
    deeds += _each(_COMMAND_EVERY_H, begins_h + 0.1, ends_h, Kind.COMMAND)
    return sorted(deeds, key=lambda deed: deed.at_h)


def _faults(
    seed: int, rng: Random, from_h: float, until_h: float, per_h: int, kinds: tuple[str, ...], estate: Estate
) -> list[Deed]:
    buses = {bus.name: bus.kind for bus in estate.buses}
    plan = draw_plan(
        seed, round((until_h - from_h) * per_h), [lock.name for lock in estate.locks], buses, kinds
    )
    return [Deed(rng.uniform(from_h, until_h), Kind.FAULT, fault) for fault in plan]


def _kills_ours(fault: Fault | None) -> bool:
    return fault is not None and fault.kind == "kill -9" and fault.with_what["program"] in _OURS


def _each(every_h: float, first_h: float, until_h: float, kind: Kind) -> list[Deed]:
    return [Deed(first_h + n * every_h, kind) for n in range(1 + int((until_h - first_h) / every_h))]
