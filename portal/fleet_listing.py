"""The fleet as lists and as a map: filtered, sorted, page by page. For the API and the pages alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from portal.errors import Invalid
from portal.paging import Page, cut
from portal.sink_door import (
    Alarm,
    Connectivity,
    Health,
    Lifecycle,
    LockSummary,
    Overview,
    Severity,
    SinkDoor,
    SiteSummary,
    fits,
)

TILES_MOST = 2000  # of one map
_SITES_MOST = 200
_AUTO_COLUMNS = 12  # of locks whose place on the site nobody described
_UNKNOWN_LAST = 10_000
_ALARMS_LOOKED_AT = 200


class Sort(StrEnum):
    """`worst`: by health, alarms, completeness. `fill`: fullest first. `completeness`: least complete first."""

    NAME = "name"
    WORST = "worst"
    FILL = "fill"
    COMPLETENESS = "completeness"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which locks are wanted; None: whatever. `text`: in name, label, site, property, gateway."""

    site: str | None = None
    health: Health | None = None
    lifecycle: Lifecycle | None = None
    connectivity: Connectivity | None = None
    text: str | None = None

    def holds(self, lock: LockSummary) -> bool:
        """Return whether a lock is wanted."""
        if self.lifecycle not in (None, lock.lifecycle) or self.connectivity not in (None, lock.connectivity):
            return False
        return fits(lock, self.site, self.health, self.text)


@dataclass(frozen=True, slots=True)
class Tile:
    """A lock's place on its site's map, from 0."""

    lock: LockSummary
    column: int
    row: int


@dataclass(frozen=True, slots=True)
class SiteMap:
    """A site seen from above."""

    site: SiteSummary
    columns: int
    rows: int
    tiles: tuple[Tile, ...]


_HEALTH = {Health.CRITICAL: 0, Health.WARNING: 1, Health.GOOD: 2}
_SEVERITY = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2, None: 3}


def _worst(lock: LockSummary) -> int:
    completeness = lock.completeness_permille
    unknown = _UNKNOWN_LAST - 1 if completeness is None else completeness
    return (_HEALTH[lock.health] * 10 + _SEVERITY[lock.worst_severity]) * _UNKNOWN_LAST + unknown


_KEYS: dict[Sort, Callable[[LockSummary], int]] = {
    Sort.WORST: _worst,
    Sort.FILL: lambda lock: (
        _UNKNOWN_LAST if lock.fill_permille is None else 1000 - min(lock.fill_permille, 1000)
    ),
    Sort.COMPLETENESS: lambda lock: (
        _UNKNOWN_LAST if lock.completeness_permille is None else lock.completeness_permille
    ),
}


def list_locks(
    locks: Sequence[LockSummary], wanted: Filter, sort: Sort, after: str | None, limit: int
) -> Page[LockSummary]:
    """Return a page of locks, which are sorted by name. `after`: the last page's cursor."""
    found = [lock for lock in locks if wanted.holds(lock)]
    if sort is Sort.NAME:
        rest = [lock for lock in found if after is None or lock.lock > after]
        return cut(rest, limit, lambda lock: lock.lock)
    key = _KEYS[sort]
    start = (-1, "") if after is None else _sorted_cursor(after)
    placed = sorted((key(lock), lock.lock, place) for place, lock in enumerate(found))
    ordered = [found[place] for number, name, place in placed if (number, name) > start]
    return cut(ordered, limit, lambda lock: f"{key(lock)}-{lock.lock}")


def _sorted_cursor(cursor: str) -> tuple[int, str]:
    number, _, lock = cursor.partition("-")
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        raise Invalid("error.cursor")
    return int(number), lock


def map_fleet(fleet: Overview, after: str | None = None) -> tuple[list[SiteMap], str | None]:
    """Return maps of the next sites, as many as have TILES_MOST locks (one at least), and the next page's cursor."""
    sites = [each for each in fleet.sites if after is None or each.site > after]
    chosen: list[SiteSummary] = []
    tiles = 0
    for site in sites[:_SITES_MOST]:
        if chosen and tiles + site.locks > TILES_MOST:
            break
        chosen.append(site)
        tiles += site.locks
    by_site: dict[str | None, list[LockSummary]] = {site.site: [] for site in chosen}
    for lock in fleet.locks:
        if lock.site in by_site:
            by_site[lock.site].append(lock)
    maps = [draw_map(site, by_site[site.site]) for site in chosen]
    return maps, chosen[-1].site if chosen and len(chosen) < len(sites) else None


def draw_map(site: SiteSummary, locks: list[LockSummary]) -> SiteMap:
    """Place a site's locks where people said that they stand; those that nobody placed come in rows below."""
    present = [lock for lock in locks if lock.lifecycle is not Lifecycle.DECOMMISSIONED]
    places: dict[tuple[int, int], LockSummary] = {}
    unplaced = []
    for lock in present:
        place = None if lock.row is None or lock.column is None else (lock.row, lock.column)
        if place is None or place in places:
            unplaced.append(lock)
        else:
            places[place] = lock
    top = min((row for row, _ in places), default=1)
    left = min((column for _, column in places), default=1)
    tiles = [Tile(lock, column - left, row - top) for (row, column), lock in sorted(places.items())]
    below = max((tile.row for tile in tiles), default=-1) + 1
    tiles += [
        Tile(lock, index % _AUTO_COLUMNS, below + index // _AUTO_COLUMNS)
        for index, lock in enumerate(unplaced)
    ]
    columns = max((tile.column for tile in tiles), default=0) + 1
    rows = max((tile.row for tile in tiles), default=0) + 1
    return SiteMap(site, columns, rows, tuple(tiles))


def worst_alarms(door: SinkDoor, site: str | None, most: int) -> tuple[list[Alarm], bool]:
    """Return open alarms, worst first and among equals the latest, and whether there are more than these."""
    with door.twins() as reader:
        latest = reader.alarms(site=site, limit=_ALARMS_LOOKED_AT)
    return sorted(latest, key=lambda alarm: _SEVERITY[alarm.severity])[:most], len(latest) > most
