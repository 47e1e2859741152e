"""What statements are printed from: the revision, names as they are now, and each party's own pours as they were."""

from billing_aggregator.commands.terminal import now
from billing_aggregator.days import local_day
from billing_aggregator.documents.building import Sources
from billing_aggregator.documents.content import Address, Deadlines
from billing_aggregator.documents.names import NameBook, Person
from billing_aggregator.engine.deadlines import claim_until, objections_until
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.pours.annex import read_own_pours
from billing_aggregator.runs.books import Books
from billing_aggregator.runs.document import decode, digest
from billing_aggregator.runs.gathering import find_decisions, find_history
from billing_aggregator.runs.states import FINAL_STATES
from billing_aggregator.runs.store import RunRecord


def gather_sources(books: Books, run: RunRecord) -> Sources:
    """Return all that a run's documents need. Pours are read as of the revision's pins, names as they are now."""
    content = books.store.document(run)
    document = decode(content)
    known = books.masterdata.snapshot(run.property, document.pins.known_at)
    decisions = find_decisions(books, run.property, document.pins.known_at)
    earlier = [
        each for each in books.store.revisions(run.property, run.period.first) if each.revision < run.revision
    ]
    return Sources(
        document=document,
        sha256=digest(content),
        names=name_book(books.masterdata.snapshot(run.property, books.now())),
        pours=read_own_pours(books.door, known, document.period, decisions, pinned=document.usage),
        dated=local_day(now(), document.time_zone),
        deadlines=Deadlines(
            claim_until(document.period), document.receipt_on, objections_until(document.receipt_on)
        ),
        previous=decode(books.store.document(earlier[-1])) if earlier else None,
        year_before=find_history(books, document),
        provisional_as_of=None if run.state in FINAL_STATES else local_day(now(), document.time_zone),
    )


def name_book(snapshot: Snapshot) -> NameBook:
    """Return names, addresses and labels of a property."""
    place = snapshot.property
    access: dict[str, set[str]] = {}
    for fact in snapshot.lock_access:
        access.setdefault(fact.lock, set()).add(fact.dwelling)
    return NameBook(
        property_name=place.name,
        place=f"{place.street}, {place.postcode} {place.city}",
        landlord=place.landlord,
        people={
            each.party: Person(Address(each.name, each.street, each.postcode, each.city), each.language)
            for each in snapshot.parties
        },
        dwellings={each.dwelling: each.label for each in snapshot.dwellings},
        chamber_ml={(each.lock, each.chamber, each.fraction): each.volume_ml for each in snapshot.chambers},
        access={lock: frozenset(dwellings) for lock, dwellings in access.items()},
    )
