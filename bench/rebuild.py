"""Twins and usage rebuilt from ten million entries, on SQLite: is it linear, and does it end as the live ones did?

figure    entries a second in the last tenth of the ledger
baseline  the same in the first tenth

The "live" ones were taken in small batches by a projector that was begun anew in the middle. A year of 1,000 locks with
40 households each: as many credentials as a ledger of that size has.
"""

from collections.abc import Callable
from typing import Protocol

from bench.ledger_filling import Filling, fill, year_of_households
from bench.table import Baseline, Goal, Row
from bench.workplace import BenchFailed, Workplace
from cloud_sink.following import Projection
from cloud_sink.projections.twins.projection import TwinProjection
from cloud_sink.projections.twins.thresholds import Thresholds
from cloud_sink.projector import Projector
from tests.support.ledger import Ledger

NOTICEABLE = 1.5
_ZONE = "Europe/Berlin"
_HOUSEHOLDS = 40
_BATCH, _LIVE_BATCH = 20_000, 5_003
_TOLD_EVERY = 1_000_000


class _Make(Protocol):
    def __call__(self, ledger_url: str, url: str, batch_entries: int) -> Projection: ...


def run(place: Workplace) -> list[Row]:
    pages_per_lock = place.pick(100, 10)
    filling = Filling(
        place.pick(1_000, 100),
        pages_per_lock,
        year_of_households(_HOUSEHOLDS, pages_per_lock * 100),
        payload_bytes=100,
    )
    ledger = Ledger(f"sqlite:///{place.directory / 'ledger.sqlite'}", place.directory, [])
    place.say(f"writing {filling.entries:,} entries")
    fill(ledger.database, filling, place.say)
    try:
        return [
            _rebuild(place, ledger.url, filling.entries, "usage per day", _usage),
            _rebuild(place, ledger.url, filling.entries, "twins", _twins),
        ]
    finally:
        ledger.close()


def _usage(ledger_url: str, url: str, batch_entries: int) -> Projection:
    return Projector(ledger_url, url, _ZONE, batch_entries)


def _twins(ledger_url: str, url: str, batch_entries: int) -> Projection:
    return TwinProjection(ledger_url, url, _ZONE, batch_entries, Thresholds())


def _rebuild(place: Workplace, ledger_url: str, entries: int, what: str, make: _Make) -> Row:
    url = f"sqlite:///{place.directory / 'projections.sqlite'}"
    digest = None
    for count in (entries // 2, entries):
        live = make(ledger_url, url, _LIVE_BATCH)
        live.prepare()
        _follow(place, live.step, count, f"{what}, live")
        digest = live.digest()
        live.close()
    rebuilt = make(ledger_url, url, _BATCH)
    rebuilt.prepare(anew=True)
    rates = _follow(place, rebuilt.step, entries, f"{what}, rebuilt")
    same = rebuilt.digest() == digest
    rebuilt.close()
    if not same:
        raise BenchFailed(f"{what}: rebuilt they aren't what they were live")
    tenth = max(1, len(rates) // 10)
    return Row(
        f"{what} rebuilt from {entries:,} entries, the same by hash", "entries/s", tuple(rates[-tenth:]),
        Baseline("the first tenth of the ledger", tuple(rates[:tenth])), Goal("ratio", "at least", 1 / NOTICEABLE),
    )  # fmt: skip


def _follow(place: Workplace, step: Callable[[], int], entries: int, what: str) -> list[float]:
    """Take at least so many entries, or all that are left; return how many a second each step took."""
    rates: list[float] = []
    taken = told = 0
    while taken < entries:
        began_s = place.monotonic_s()
        count = step()
        if not count:
            break
        rates.append(count / (place.monotonic_s() - began_s))
        taken += count
        if taken - told >= _TOLD_EVERY:
            place.say(f"{what}: {taken:,} entries")
            told = taken
    return rates
