"""An automatic run over all properties after a year: from usage per day to drafts that are in review, by two processes.

figure    properties per second
baseline  the same properties' usage summed by SQL alone, transponder by transponder: no master data, no money

Before, the ledger is filled and counted by day; what that takes is told as well. Afterwards each household's
millilitres are compared with what was filled in, and some properties are recounted entry by entry.
"""

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import psutil
import sqlalchemy as sa

from bench.billing_estate import (
    HOUSEHOLDS,
    POURS,
    YEAR,
    after_the_year,
    check_volumes,
    expected_rows,
    fill_ledger,
    load_master_data,
    open_projector,
    property_name,
)
from bench.table import Baseline, Goal, Row
from bench.workplace import BenchFailed, Workplace
from billing_aggregator.config import Config
from billing_aggregator.model import Pool
from billing_aggregator.runs.automatic import advance_all
from billing_aggregator.runs.books import open_books
from billing_aggregator.runs.document import RevisionDocument, decode
from billing_aggregator.runs.gathering import count_now
from billing_aggregator.runs.states import RunState
from cloud_sink.following import catch_up
from cloud_sink.ledger.database import Database
from cloud_sink.projections import usage_tables

COUNTRY = 17_500  # properties: 700,000 households, 110 million pours
_GOAL_S = 600
_GOAL_MIB = 2048
_PROCESSES = 2
_CHUNK = 250
_RECOUNTED = 20


@dataclass(slots=True)
class _Memory:
    """Watches how much memory this process and its children have in all: the most that was seen, in MiB."""

    most_mib: float = 0.0

    def watch(self, stop: threading.Event) -> None:
        me = psutil.Process(os.getpid())
        while not stop.wait(1.0):
            sizes = []
            for process in (me, *me.children(recursive=True)):
                try:
                    sizes.append(process.memory_full_info().pss)
                except psutil.NoSuchProcess:
                    continue
            self.most_mib = max(self.most_mib, sum(sizes) / 2**20)


def run(place: Workplace) -> list[Row]:
    """A tenth of the country (`country_billing` is all of it)."""
    return run_properties(place, place.pick(COUNTRY // 10, 60))


def run_properties(place: Workplace, properties: int) -> list[Row]:
    """Fill everything and measure; BenchFailed where one household's volume is wrong."""
    directory = place.directory
    config = fill_ledger(directory, properties, place.say)
    counted = count_by_day(directory, place)
    began_s = place.monotonic_s()
    entered = load_master_data(config, properties, place.say)
    loaded_s = place.monotonic_s() - began_s
    rows = bill(place, config, properties)
    return [
        Row("entries counted by day", "entries/s", (counted,)),
        Row("master data entered", "facts/s", (entered / loaded_s,)),
        *rows,
    ]


def count_by_day(directory: Path, place: Workplace) -> float:
    """Bring usage per day up to the ledger's end; return entries per second."""
    projector = open_projector(directory)
    began_s = told_s = place.monotonic_s()

    def tell(at: int, end: int) -> None:
        nonlocal told_s
        if place.monotonic_s() - told_s > 30:
            told_s = place.monotonic_s()
            place.say(f"counted by day: {at:,} of {end:,} entries")

    catch_up(projector, threading.Event(), tell)
    last = projector.last_position()
    projector.close()
    return last / (place.monotonic_s() - began_s)


def bill(place: Workplace, config: Config, properties: int) -> list[Row]:
    """Run all properties automatically and check what came out."""
    names = tuple(property_name(number) for number in range(1, properties + 1))
    plain_s = _sum_all(config, properties)
    stop, memory = threading.Event(), _Memory()
    watcher = threading.Thread(target=memory.watch, args=(stop,))
    watcher.start()
    began_s = place.monotonic_s()
    for done, results in enumerate(advance_all(config, names, _PROCESSES, after_the_year), 1):
        if [result.state for result in results] != [RunState.IN_REVIEW]:
            raise BenchFailed(f"{names[done - 1]} isn't in review: {results}")
        if done % 1000 == 0:
            place.say(f"{done:,} of {properties:,} properties in {place.monotonic_s() - began_s:.0f} s")
    taken_s = place.monotonic_s() - began_s
    stop.set()
    watcher.join()
    place.say(
        f"{properties:,} properties, {properties * HOUSEHOLDS:,} households, {properties * POURS:,} pours"
    )
    _check_all(config, names)
    country_s = taken_s * COUNTRY / properties
    what = f"{properties:,} properties" + ("" if properties == COUNTRY else f", reckoned up to {COUNTRY:,}")
    return [
        Row(
            "automatic run",
            "properties/s",
            (properties / taken_s,),
            Baseline("SQL's sums", (properties / plain_s,)),
        ),
        Row(f"automatic run of {what}", "s", (country_s,), goal=Goal("figure", "at most", _GOAL_S)),
        Row(
            "memory of all its processes",
            "MiB",
            (memory.most_mib,),
            goal=Goal("figure", "at most", _GOAL_MIB),
        ),
    ]


def _sum_all(config: Config, properties: int) -> float:
    """Return how long SQL takes to sum all of it, in as many processes."""
    url = f"sqlite:///{Path(config.ledger.url.removeprefix('sqlite:///')).with_name('ledger-projections.sqlite')}"
    began_s = time.perf_counter()
    chunks = [range(first, min(first + _CHUNK, properties + 1)) for first in range(1, properties + 1, _CHUNK)]
    with ProcessPoolExecutor(_PROCESSES, mp_context=get_context("spawn")) as pool:
        rows = sum(pool.map(_sum_locks, [url] * len(chunks), chunks))
    if rows != properties * HOUSEHOLDS:
        raise BenchFailed(f"SQL found {rows} transponders")
    return time.perf_counter() - began_s


def _sum_locks(url: str, lock_nos: Sequence[int]) -> int:
    d = usage_tables.days.c
    database, rows = Database(url, read_only=True), 0
    with database.reading() as connection:
        for lock_no in lock_nos:
            query = sa.select(d.credential_no, sa.func.sum(d.volume_ml * d.pours)).where(d.lock_no == lock_no)
            rows += len(connection.execute(query.group_by(d.credential_no)).all())
    database.close()
    return rows


def _check_all(config: Config, names: Sequence[str]) -> None:
    """Compare each household's volume with what was filled in; recount some properties entry by entry."""
    expected = expected_rows()
    with open_books(config, after_the_year) as books:
        for index, name in enumerate(names):
            document = decode(books.store.document(books.store.revisions(name, YEAR.first)[-1]))
            check_volumes({row.row: row.metered_ml for row in document.usage.rows}, expected, name)
            shares = [share.allocated_cents for pool in _pools(document) for share in pool.shares]
            if sum(shares) != document.total_cents:
                raise BenchFailed(f"{name}: the shares don't sum to the costs")
            if index % max(1, len(names) // _RECOUNTED) == 0:
                again = count_now(books, document)
                if (again.usage.rows, again.fractions) != (document.usage.rows, document.fractions):
                    raise BenchFailed(f"{name}: counted entry by entry it is another bill")


def _pools(document: RevisionDocument) -> list[Pool]:
    return [pool for part in document.fractions for pool in (part.base, part.usage)]
