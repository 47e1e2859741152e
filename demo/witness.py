"""What every party must be billed in millilitres: reckoned from the simulator's truth and the master data's CSV files.

A second opinion, so nothing of billing's code is used, and the words are taken literally: a complete pour, not of a
service transponder, goes to the occupancy whose credential was in force when it began.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

from demo.compare import Line, charged_ml, pseudonym
from wastelock.record import Flag

UNATTRIBUTED = "unattributed/owner"
_DAYS_OF_WEEK = 7


@dataclass(frozen=True, slots=True)
class Expected:
    """One row's millilitres in one fraction."""

    metered_ml: int
    minimum_ml: int

    @property
    def billed_ml(self) -> int:
        return max(self.metered_ml, self.minimum_ml)


@dataclass(frozen=True, slots=True)
class _Holder:
    """Who holds a credential from `begins_at` up to, not including, `ends_at`. `row` None: a technician."""

    begins_at: datetime
    ends_at: datetime | None
    row: str | None

    def holds(self, at: datetime) -> bool:
        return self.begins_at <= at and (self.ends_at is None or at < self.ends_at)


class Witness:
    """Reads the files once. `costs_cents`: what the shares must sum to."""

    def __init__(self, master_data: Path, pseudonym_key: bytes, zone: ZoneInfo) -> None:
        self._key = pseudonym_key
        self._zone = zone
        read = _Files(master_data)
        self._days = _days(read("period")[0])
        self._row_of = {row["occupancy"]: f"{row['dwelling']}/{row['party']}" for row in read("occupancy")}
        self._holders: dict[str, list[_Holder]] = {}
        for row in read("credential"):
            holder = _Holder(
                datetime.fromisoformat(row["from"]),
                datetime.fromisoformat(row["to_exclusive"]) if row["to_exclusive"] else None,
                self._row_of[row["occupancy"]] if row["occupancy"] else None,
            )
            self._holders.setdefault(row["credential"], []).append(holder)
        self._chambers = {(row["lock"], int(row["chamber"])): row for row in read("chamber")}
        self._agreement = read("allocation_agreement")[0]
        self._persons = read("persons")
        self.costs_cents = sum(_cents(row) for row in read("cost_item") if row["apportionable"] == "yes")

    def reckon(self, truth: Iterable[Line]) -> dict[tuple[str, str], Expected]:
        """Return what each row threw in the period, and at least pays for, by (row, fraction)."""
        metered: dict[tuple[str, str], int] = {}
        for line in truth:
            if charged_ml(line) == 0 or int(line["flags"]) & Flag.SERVICE or not self._in_period(line):
                continue
            fraction, volume_ml = self._charged(line)
            row = self._row(line)
            if row is not None:
                metered[row, fraction] = metered.get((row, fraction), 0) + volume_ml
        least = self._minimum()
        return {key: Expected(metered.get(key, 0), least.get(key, 0)) for key in sorted({*metered, *least})}

    def _in_period(self, line: Line) -> bool:
        first, end = (datetime.combine(day, time(), self._zone) for day in self._days)
        return first <= _began_at(line) < end

    def _charged(self, line: Line) -> tuple[str, int]:
        """Return fraction and volume; a degraded pour has the smallest of that lock's chambers of the fraction."""
        chamber = self._chambers[str(line["lock"]), int(line["chamber"])]
        volumes = [int(chamber["volume_ml"])]
        if int(line["flags"]) & Flag.DEGRADED:
            volumes = [
                int(other["volume_ml"])
                for other in self._chambers.values()
                if (other["lock"], other["fraction"]) == (chamber["lock"], chamber["fraction"])
            ]
        return chamber["fraction"], min(volumes)

    def _row(self, line: Line) -> str | None:
        credential = pseudonym(int(line["uid"], 16), self._key) if line["uid"] else ""
        at = _began_at(line)
        holders = [one for one in self._holders.get(credential, []) if one.holds(at)]
        return holders[0].row if holders else UNATTRIBUTED

    def _minimum(self) -> dict[tuple[str, str], int]:
        person_days: dict[str, int] = {}
        for row in self._persons:
            first, end = _days(row)
            first, end = max(first, self._days[0]), min(end, self._days[1])
            name = self._row_of[row["occupancy"]]
            person_days[name] = person_days.get(name, 0) + int(row["count"]) * max(0, (end - first).days)
        per_week = int(self._agreement["minimum_ml_per_person_week"])
        return {
            (row, fraction): per_week * days // _DAYS_OF_WEEK
            for row, days in person_days.items()
            if days
            for fraction in self._agreement["minimum_fractions"].split()
        }


class _Files:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __call__(self, table: str) -> list[dict[str, str]]:
        with (self._directory / f"{table}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


def _days(row: Mapping[str, str]) -> tuple[date, date]:
    end = row["to_exclusive"]
    return date.fromisoformat(row["from"]), date.fromisoformat(end) if end else date.max


def _cents(row: Mapping[str, str]) -> int:
    whole, _, part = row["gross_amount"].lstrip("-").partition(".")
    return (-1 if row["gross_amount"].startswith("-") else 1) * (int(whole) * 100 + int(part))


def _began_at(line: Line) -> datetime:
    return datetime.fromtimestamp(int(line["began_clock_s"]), UTC)
