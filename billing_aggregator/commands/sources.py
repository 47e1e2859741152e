"""What statements are printed from: the revision, names as they are now, and each party's own pours as they were."""

from dataclasses import replace
from datetime import date, timedelta

from billing_aggregator.days import day_of
from billing_aggregator.documents.building import Sources
from billing_aggregator.documents.names import read_names
from billing_aggregator.pours.annex import read_own_pours
from billing_aggregator.runs.books import Books
from billing_aggregator.runs.document import RevisionDocument, decode, digest, encode
from billing_aggregator.runs.gathering import find_decisions, find_history
from billing_aggregator.runs.records import RunRecord
from billing_aggregator.runs.states import FINAL_STATES, RunEvent


def gather_sources(books: Books, run: RunRecord, row: str | None = None) -> Sources:
    """Return all that a run's documents need; before it is finalized they are marked provisional.

    `row`: only this one's pours are read.
    """
    document = decode(books.store.document(run))
    earlier = [
        each for each in books.store.revisions(run.property, run.period.first) if each.revision < run.revision
    ]
    previous = decode(books.store.document(earlier[-1])) if earlier else None
    end = document.period.end
    as_of = None if run.state in FINAL_STATES or end is None else end - timedelta(days=1)
    sources = make_sources(books, document, previous, as_of, row)
    # A letter that is printed once more, after it was sent, still has the date of the day on which it was.
    sent = next((each for each in books.store.events(run) if each.event == RunEvent.DELIVERED), None)
    return sources if sent is None else replace(sources, dated=day_of(sent.at, document.time_zone))


def make_sources(
    books: Books,
    document: RevisionDocument,
    previous: RevisionDocument | None,
    as_of: date | None,
    row: str | None = None,
) -> Sources:
    """Return all that a revision's documents need. Pours are read as of its pins, names as they are now.

    `as_of`: the last day looked at if it is provisional, else None. `row`: only this one's pours are read.
    """
    pins = document.pins
    known = books.snapshot(document.property, pins.known_at)
    decisions = find_decisions(books, document.property, pins.known_at)
    return Sources(
        document=document,
        sha256=digest(encode(document)),
        names=read_names(books.snapshot(document.property, books.now()), document.period),
        pours=read_own_pours(books.door, known, document.period, decisions, document.usage, row),
        dated=day_of(books.now(), document.time_zone),
        previous=previous,
        year_before=find_history(books, document),
        provisional_as_of=as_of,
        stretches=tuple(known.stretches(document.period)),
    )
