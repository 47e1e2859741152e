"""Who lives where and when: config/demo-estate laid over the period that is billed.

dwellings.csv holds who lives in each dwelling at the period's beginning, events.csv what changes in its course; neither
has dates. A shorter period than a year has all of a year's events, in the months that it has.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from random import Random

from demo.estate import Household
from demo.period import BillingPeriod, months_later

CONFIG = Path(__file__).resolve().parents[1] / "config" / "demo-estate"
KNOWN_MONTHS = 12  # so long before the period's first day the first parties have lived there
# How many pours a day one person makes. The thriftiest stay below the minimum that is charged.
_RESIDUAL_POURS = (0.03, 0.45)
_ORGANIC_POURS = (0.0, 0.18)
_LARGE_SHARE = (0.02, 0.3)


@dataclass(frozen=True, slots=True)
class Dwelling:
    """A flat, and the locks that its residents may use, by fraction."""

    dwelling: str
    street: str
    label: str
    area_dm2: int
    locks: dict[str, str]


@dataclass(frozen=True, slots=True)
class Stay:
    """One party in one dwelling from `first` up to, not including, `end` (None: still there), all the same meanwhile.

    `party` None: vacant. `uids`: 16 hexadecimal digits each. `unentered`: of these, the one that was handed out and
    never entered into the master data. A party's stays in a dwelling follow each other.
    """

    dwelling: Dwelling
    party: str | None
    name: str
    language: str
    persons: int
    first: date
    end: date | None
    uids: tuple[str, ...]
    unentered: str | None = None

    def covers(self, day: date) -> bool:
        return self.first <= day and (self.end is None or day < self.end)


def read_stays(period: BillingPeriod, seed: int, config: Path = CONFIG) -> tuple[Stay, ...]:
    """Return all stays, by dwelling and in time. `seed`: of the transponders' numbers."""
    events: dict[str, list[tuple[date, dict[str, str]]]] = {}
    for row in _rows(config / "events.csv"):
        month = (int(row["month"]) - 1) % period.months + 1
        day = period.month(month) + timedelta(days=int(row["day"]) - 1)
        events.setdefault(row["dwelling"], []).append((day, row))
    stays: list[Stay] = []
    for row in _rows(config / "dwellings.csv"):
        stays += _stays_in(row, events.get(row["dwelling"], []), period, seed)
    return tuple(stays)


def _stays_in(
    row: dict[str, str], events: Iterable[tuple[date, dict[str, str]]], period: BillingPeriod, seed: int
) -> Iterator[Stay]:
    locks = {"residual": row["residual_lock"], "organic": row["organic_lock"]}
    dwelling = Dwelling(row["dwelling"], row["street"], row["label"], int(row["area_dm2"]), locks)
    began = months_later(period.first, -KNOWN_MONTHS)
    stay = _moves_in(dwelling, row, began, seed)
    for day, event in sorted(events, key=lambda item: item[0]):
        yield replace(stay, end=day)
        match event["event"]:
            case "moves_in":
                stay = _moves_in(dwelling, event, day, seed)
            case "vacated":
                stay = Stay(dwelling, None, "", "", 0, day, None, ())
            case "persons":
                stay = replace(stay, persons=int(event["persons"]), first=day)
            case "transponder_lost":
                stay = replace(stay, uids=(*stay.uids[1:], _new_uid(f"{seed}/{stay.party}/{day}")), first=day)
            case "transponder_unentered":
                new = _new_uid(f"{seed}/{stay.party}/{day}")
                stay = replace(stay, uids=(*stay.uids, new), unentered=new, first=day)
            case other:
                raise ValueError(f"events.csv: {other!r} is no event; see config/demo-estate/estate.toml")
    yield stay


def _moves_in(dwelling: Dwelling, row: dict[str, str], day: date, seed: int) -> Stay:
    persons = int(row["persons"])
    uids = tuple(_new_uid(f"{seed}/{row['party']}/{n}") for n in range(2 if persons > 1 else 1))
    return Stay(dwelling, row["party"], row["name"], row["language"], persons, day, None, uids)


def households(stays: Iterable[Stay], seed: int) -> dict[str, tuple[Household, ...]]:
    """Return who comes to each lock and how often: the same party's habits don't change with its dwelling's events."""
    homes: dict[str, list[Household]] = {}
    for stay in stays:
        if stay.party is None:
            continue
        habits = Random(f"{seed}/{stay.party}/habits")
        large_share = round(habits.uniform(*_LARGE_SHARE), 3)
        for fraction, lock in stay.dwelling.locks.items():
            each = habits.uniform(*(_RESIDUAL_POURS if fraction == "residual" else _ORGANIC_POURS))
            homes.setdefault(lock, []).append(
                Household(
                    stay.persons, stay.uids, large_share, round(each * stay.persons, 4), stay.first, stay.end
                )
            )
    return {lock: tuple(found) for lock, found in homes.items()}


def _new_uid(seed: str) -> str:
    """Return a transponder number as a common maker prints it: 7 bytes, the first one 04."""
    return f"{0x04 << 48 | Random(seed).getrandbits(48):016x}"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
