"""One property of 40 dwellings and a year of pours, from the ledger's entries to the bill of each household.

figure    ms for the whole calculation: master data, pours, reconciliation, allocation, the revision's bytes
baseline  ms for SQL's sum of the same pours by transponder: no master data, no checks, no money

`recount` looks at each single entry (what finalizing does), `by day` at usage per day (what drafts are made from).
"""

import threading
from collections.abc import Callable
from datetime import date
from functools import partial

import sqlalchemy as sa

from bench.billing_estate import (
    PAGES_A_YEAR,
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
from billing_aggregator.runs.books import Books, open_books
from billing_aggregator.runs.document import RevisionDocument, encode
from billing_aggregator.runs.gathering import Purpose, count_for, draft
from cloud_sink.following import catch_up
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.tables import entries

_PROPERTIES = 10
_GOAL_MS = 1000
Calculation = Callable[[Books, Purpose], RevisionDocument]


def run(place: Workplace) -> list[Row]:
    config = fill_ledger(place.directory, _PROPERTIES, place.say)
    projector = open_projector(place.directory)
    catch_up(projector, threading.Event(), lambda _at, _end: None)
    projector.close()
    load_master_data(config, _PROPERTIES, place.say)
    expected = expected_rows()
    ways: dict[str, Calculation] = {"recount": count_for, "by day": draft}
    taken: dict[str, list[float]] = {name: [] for name in ("baseline", *ways)}
    ledger = Database(config.ledger.url, read_only=True)
    with open_books(config, after_the_year) as books:
        place.say(f"{POURS:,} pours in {PAGES_A_YEAR} pages at each of {_PROPERTIES} properties")
        for turn in range(place.pick(20, 3)):
            number = turn % _PROPERTIES + 1
            purpose = Purpose(property_name(number), YEAR.first, 1, "", date(2026, 2, 1))
            taken["baseline"].append(place.time_ms(partial(_sum_by_transponder, ledger, number)))
            for name, way in ways.items():
                found: list[RevisionDocument] = []
                taken[name].append(place.time_ms(partial(_bill, books, way, purpose, found)))
                check_volumes({row.row: row.metered_ml for row in found[0].usage.rows}, expected, name)
    ledger.close()
    baseline = Baseline("SQL's sum by transponder", tuple(taken.pop("baseline")))
    return [
        Row(f"a property's year, {name}", "ms", tuple(mine), baseline, Goal("figure", "at most", _GOAL_MS))
        for name, mine in taken.items()
    ]


def _bill(books: Books, way: Calculation, purpose: Purpose, found: list[RevisionDocument]) -> None:
    found.append(way(books, purpose))
    encode(found[0])


def _sum_by_transponder(ledger: Database, lock_no: int) -> None:
    e = entries.c
    query = (
        sa.select(e.credential, sa.func.sum(e.volume_ml)).where(e.lock_no == lock_no).group_by(e.credential)
    )
    with ledger.reading() as connection:
        if len(connection.execute(query).all()) != len(expected_rows()):
            raise BenchFailed("the ledger doesn't hold what was filled in")
