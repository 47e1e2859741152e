"""Who comes to a lock when: households with believable habits, the technician, the collection truck.

The law of this file: all is drawn from (seed, lock, day), so that the same day is lived the same way again whatever was
lived before it, and nothing here touches a controller.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import Enum, auto
from random import Random
from zoneinfo import ZoneInfo

from firmware_sim.access import Transponder
from wastelock.registers import lock_id

ESTATE_ZONE = ZoneInfo("Europe/Berlin")

# German households by size: 1, 2, 3, 4, 5 persons.
_SIZES = (1, 2, 3, 4, 5)
_SIZE_WEIGHTS = (41, 34, 12, 9, 4)
_POURS_PER_PERSON_DAY = 0.3  # of about 5 litres: 10 l a week and person
_WEEKDAY_FACTORS = (1.05, 0.95, 0.95, 0.95, 1.0, 1.25, 0.85)  # Monday first
_HOURS_WORKDAY = (1, 0, 0, 0, 1, 4, 14, 20, 12, 8, 8, 9, 10, 9, 8, 10, 15, 24, 28, 24, 16, 9, 5, 2)
_HOURS_WEEKEND = (2, 1, 0, 0, 0, 1, 3, 8, 16, 24, 28, 26, 20, 15, 14, 15, 18, 20, 18, 14, 9, 6, 4, 3)

_STRANGER_SHARE = 0.012  # of all visits: somebody else's transponder, tried up to three times
_BLOCKED_SHARE = 0.004  # a transponder that was reported lost
_GIVEN_UP_SHARE = 0.015
_NEVER_OPENED_SHARE = 0.006
_JAM_SHARE = 0.002
_HOLIDAY_SHARE = 0.06  # chance that a household is away in a given week
_EMPTYING_WEEKDAYS = (1, 4)
_SWAP_EVERY_DAYS = 91
_SERVICE_EVERY_DAYS = 28


class VisitKind(Enum):
    """What a visit to the lock is for."""

    POUR = auto()
    GIVEN_UP = auto()
    NEVER_OPENED = auto()
    JAMMED = auto()
    STRANGER = auto()
    EMPTYING = auto()
    SWAP = auto()
    MAINTENANCE_BEGINS = auto()
    MAINTENANCE_ENDS = auto()


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody comes at `at_s` (unix seconds). `chamber` is the button pressed, 0 where none is."""

    at_s: float
    kind: VisitKind
    uid: int = 0
    chamber: int = 0


@dataclass(frozen=True, slots=True)
class Household:
    """One dwelling: how many live there, which transponders they hold, how eagerly they use the large chamber.

    `pours_per_day` None: as many as so many persons make. They live there from `first_day` up to, not including,
    `end_day` (local days; None: always, for good).
    """

    persons: int
    uids: tuple[int, ...]
    large_share: float
    pours_per_day: float | None = None
    first_day: date | None = None
    end_day: date | None = None

    def lives_here(self, day: date) -> bool:
        moved_in = self.first_day is None or self.first_day <= day
        return moved_in and (self.end_day is None or day < self.end_day)

    @property
    def mean_pours(self) -> float:
        """How many pours a day, on average."""
        return self.persons * _POURS_PER_PERSON_DAY if self.pours_per_day is None else self.pours_per_day


class Neighbourhood:
    """Everybody around one lock."""

    def __init__(
        self, seed: int, serial: int, volumes_ml: tuple[int, ...], dwellings: int,
        pours_per_day: float | None, listed: tuple[Transponder, ...] | None,
        households: tuple[Household, ...] | None = None, ahead_s: float = 0.0,
    ) -> None:  # fmt: skip
        """`pours_per_day`: of the whole lock; None: as many as these households make. `listed`: their transponders.

        `households`: who lives here; None: so many `dwellings` as the seed has it. `ahead_s`: by how much their
        calendar is ahead of the clock, so that chosen days can be lived on any day.
        """
        self._seed = seed
        self._ahead_s = ahead_s
        self._name = lock_id(serial)
        self._small = min(range(len(volumes_ml)), key=volumes_ml.__getitem__) + 1
        self._large = max(range(len(volumes_ml)), key=volumes_ml.__getitem__) + 1
        rng = Random(f"{seed}/{self._name}/households")
        self.households = _settle_in(rng, dwellings, listed) if households is None else households
        self.service_uid, self.blocked_uid = _special(rng, listed)
        self.transponders = listed if listed is not None else self._make_list()
        natural = sum(home.mean_pours for home in self.households)
        self._factor = 1.0 if pours_per_day is None else (pours_per_day / natural if natural else 0.0)

    def _make_list(self) -> tuple[Transponder, ...]:
        uids = dict.fromkeys(uid for home in self.households for uid in home.uids)  # one may be handed on
        residents = tuple(Transponder(uid) for uid in uids)
        return (
            *residents,
            Transponder(self.service_uid, service=True),
            Transponder(self.blocked_uid, blocked=True),
        )

    def present(self, at_s: float) -> tuple[Household, ...]:
        """Return who lives here at an instant."""
        day = datetime.fromtimestamp(at_s + self._ahead_s, ESTATE_ZONE).date()
        return tuple(home for home in self.households if home.lives_here(day))

    def visits(self, after_s: float) -> Iterator[Visit]:
        """Yield the visits later than `after_s` in order, day after day without end."""
        shown = datetime.fromtimestamp(after_s + self._ahead_s, ESTATE_ZONE)
        day = shown.replace(hour=0, minute=0, second=0, microsecond=0)
        while True:
            for visit in self.day(day):
                if (at_s := visit.at_s - self._ahead_s) > after_s:
                    yield replace(visit, at_s=at_s)
            day = (day + timedelta(hours=36)).replace(hour=0)

    def day(self, day: datetime) -> list[Visit]:
        """Return one local day's visits in order, at the instants that their calendar shows."""
        rng = Random(f"{self._seed}/{self._name}/{day:%Y-%m-%d}")
        found: list[Visit] = []
        for home in self.households:
            if home.lives_here(day.date()):
                found += self._household_day(rng, home, day)
        found += self._service_day(rng, day)
        return sorted(found, key=lambda visit: visit.at_s)

    def _household_day(self, rng: Random, home: Household, day: datetime) -> list[Visit]:
        week = Random(f"{self._seed}/{self._name}/{home.uids[0]}/{day:%G-%V}")
        if week.random() < _HOLIDAY_SHARE:
            return []
        mean = home.mean_pours * self._factor * _WEEKDAY_FACTORS[day.weekday()]
        found: list[Visit] = []
        for _ in range(_poisson(rng, mean)):
            found += self._errand(rng, home, _moment(rng, day))
        return found

    def _errand(self, rng: Random, home: Household, at_s: float) -> list[Visit]:
        chamber = self._large if rng.random() < home.large_share else self._small
        uid = rng.choice(home.uids)
        dice = rng.random()
        if dice < _STRANGER_SHARE:
            stranger = _new_uid(rng)
            return [
                Visit(at_s + 7 * i, VisitKind.STRANGER, stranger, chamber) for i in range(rng.randint(1, 3))
            ]
        if (dice := dice - _STRANGER_SHARE) < _BLOCKED_SHARE and self.blocked_uid:
            return [Visit(at_s, VisitKind.STRANGER, self.blocked_uid, chamber)]
        for share, kind in (
            (_BLOCKED_SHARE + _GIVEN_UP_SHARE, VisitKind.GIVEN_UP),
            (_BLOCKED_SHARE + _GIVEN_UP_SHARE + _NEVER_OPENED_SHARE, VisitKind.NEVER_OPENED),
            (_BLOCKED_SHARE + _GIVEN_UP_SHARE + _NEVER_OPENED_SHARE + _JAM_SHARE, VisitKind.JAMMED),
        ):
            if dice < share:
                return [Visit(at_s, kind, uid, chamber)]
        bags = 2 if rng.random() < 0.12 else 1
        return [Visit(at_s + 45 * i, VisitKind.POUR, uid, chamber) for i in range(bags)]

    def _service_day(self, rng: Random, day: datetime) -> list[Visit]:
        if not self.households:
            return []
        found = []
        ordinal = day.toordinal() + int(Random(self._name).random() * 91)
        if day.weekday() in _EMPTYING_WEEKDAYS:
            found.append(Visit(_at(day, 6.5 + rng.random() * 2), VisitKind.EMPTYING))
        if ordinal % _SWAP_EVERY_DAYS == 0:
            found.append(Visit(_at(day, 10 + rng.random()), VisitKind.SWAP))
        if ordinal % _SERVICE_EVERY_DAYS == 0 and self.service_uid:
            begins_s, takes_s = _at(day, 13 + rng.random()), 600 + rng.random() * 1200
            found.append(Visit(begins_s, VisitKind.MAINTENANCE_BEGINS, self.service_uid))
            found.append(Visit(begins_s + takes_s, VisitKind.MAINTENANCE_ENDS, self.service_uid, self._small))
        return found


def _settle_in(rng: Random, dwellings: int, listed: tuple[Transponder, ...] | None) -> tuple[Household, ...]:
    plain = [t.uid for t in listed if not t.service and not t.blocked] if listed is not None else None
    homes = []
    for i in range(dwellings):
        persons = rng.choices(_SIZES, _SIZE_WEIGHTS)[0]
        if plain is None:
            uids = tuple(_new_uid(rng) for _ in range(2 if persons > 1 else 1))
        else:
            uids = tuple(plain[i::dwellings])
        if uids:
            homes.append(Household(persons, uids, min(0.6, 0.04 + 0.08 * (persons - 1) + rng.random() * 0.1)))
    return tuple(homes)


def _special(rng: Random, listed: tuple[Transponder, ...] | None) -> tuple[int, int]:
    """Return a service and a blocked transponder, 0 where the list has none."""
    if listed is None:
        return _new_uid(rng), _new_uid(rng)
    service = next((t.uid for t in listed if t.service and not t.blocked), 0)
    return service, next((t.uid for t in listed if t.blocked), 0)


def _new_uid(rng: Random) -> int:
    """Return a transponder number as a common maker prints it: 7 bytes, the first one 04."""
    return 0x04 << 48 | rng.getrandbits(48)


def _moment(rng: Random, day: datetime) -> float:
    hours = _HOURS_WEEKEND if day.weekday() >= 5 else _HOURS_WORKDAY
    return _at(day, rng.choices(range(24), hours)[0] + rng.random())


def _at(day: datetime, hour: float) -> float:
    """Return the instant of a local hour of that day (a skipped hour of the clock change becomes the next one)."""
    local = day.replace(
        hour=int(hour), minute=int(hour % 1 * 60), second=int(hour * 60 % 1 * 60), tzinfo=ESTATE_ZONE
    )
    return local.astimezone(UTC).timestamp()


def _poisson(rng: Random, mean: float) -> int:
    """Return how often something happens that happens `mean` times on average."""
    if mean > 50:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    limit, n, product = math.exp(-mean), 0, rng.random()
    while product > limit:
        n += 1
        product *= rng.random()
    return n
