"""Books for tests of runs: a real ledger with the worked case's pours, its master data in billing's own database.

desk = RunDesk(directory, ledger_url, billing_url)
desk.estate.pour("2025-12-01 10:00", uid=1); desk.commit()      a pour that came late
desk.enter(fact, …); desk.take_back(fact, "typing error")       master data
desk.finalized()                                                 the first revision, up to `finalized`
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Event

from billing_aggregator.config import Config
from billing_aggregator.database import Database, migrate
from billing_aggregator.masterdata import facts
from billing_aggregator.masterdata.columns import Table
from billing_aggregator.masterdata.facts import Fact
from billing_aggregator.masterdata.payloads import encode_fact
from billing_aggregator.masterdata.schema import TABLES
from billing_aggregator.masterdata.store import NewFact
from billing_aggregator.runs import approval, delivery
from billing_aggregator.runs.books import Books
from billing_aggregator.runs.document import RevisionDocument, balances_of, decode, open_reviews
from billing_aggregator.runs.drafting import begin, calculate_draft, decide
from billing_aggregator.runs.records import RunRecord
from cloud_sink.following import catch_up
from cloud_sink.projections.usage_store import default_url
from cloud_sink.projector import Projector
from tests.unit.billing_aggregator.pour_estates import (
    PourEstate,
    chamber,
    credential,
    days,
    local,
    occupancy,
)
from tests.unit.billing_aggregator.worked_case import AGREEMENT, PERIOD, SEED

CLERK, APPROVER = "a.berg", "b.weber"
MOVED = "2025-05-01"
_ROOMS = {"WE1": 6240, "WE2": 4815, "WE3": 7530, "WE4": 4815}
_LIVES = (
    ("WE1", "T1", days("2020-01-01"), 2),
    ("WE2", "T2", days("2020-01-01", MOVED), 1),
    ("WE2", "T3", days(MOVED), 2),
    ("WE3", "T4", days("2020-01-01"), 4),
    ("WE4", "T5", days("2020-01-01", "2025-07-01"), 1),
    ("WE4", "owner", days("2025-07-01"), 0),
)

WORKED_CENTS = {
    "WE1/T1": 29476,
    "WE2/T2": 4355,
    "WE2/T3": 13603,
    "WE3/T4": 44389,
    "WE4/T5": 5066,
    "WE4/owner": 3112,
}


@dataclass
class RunClock:
    """A clock that goes on by a second each time somebody looks at it; `at` may be set."""

    at: datetime = datetime(2026, 3, 1, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


def cost(
    item: str, cents: int, period_first: date = PERIOD.first, fraction: str = "residual"
) -> facts.CostItem:
    return facts.CostItem(
        "P1", period_first, item, fraction, "Stadtreinigung", cents, f"R-{item}", "d" * 64, True
    )


def advance(payment: str, row: str, cents: int) -> facts.Advance:
    dwelling, _, party = row.partition("/")
    return facts.Advance("P1", payment, dwelling, party, PERIOD.first, date(2025, 6, 1), cents)


def worked_facts(lock: str) -> list[Fact]:
    """Return the worked case's master data, transponders 1 to 4 being T1's to T4's, and the next period."""
    moved = local(f"{MOVED} 00:00")
    found: list[Fact] = [
        facts.Property("P1", "Lindenhof", "Lindenweg 1", "12345", "Berlin", "Europe/Berlin", "owner"),
        facts.Period("P1", PERIOD, SEED),
        facts.Period("P1", days("2026-01-01", "2027-01-01"), "A-2026"),
        facts.AgreementFact("P1", AGREEMENT),
        chamber(lock, 1, 5000),
        chamber(lock, 2, 20_000),
        credential(1, "WE1-T1"),
        credential(2, "WE2-T2", ends_at=moved),
        credential(3, "WE2-T3", begins_at=moved),
        credential(4, "WE3-T4"),
        cost("17", 100_001),
    ]
    for dwelling, dm2 in _ROOMS.items():
        found += [
            facts.Dwelling("P1", dwelling, "EG"),
            facts.Area("P1", dwelling, dm2, days("2020-01-01")),
            facts.LockAccess("P1", lock, dwelling, days("2020-01-01")),
        ]
    for dwelling, party, when, persons in _LIVES:
        found.append(facts.Party("P1", party, f"Familie {party}", "Lindenweg 1", "12345", "Berlin", "de"))
        found.append(occupancy(dwelling, party, when))
        if persons:
            found.append(facts.Persons("P1", f"{dwelling}-{party}", persons, when))
    return found


def throw(estate: PourEstate, uid: int, large: int, small: int, first: str) -> None:
    """Add so many pours of 20 l and of 5 l, one every five hours."""
    at = local(first)
    for number in range(large + small):
        estate.pour(at + timedelta(hours=5 * number), uid, 2 if number < large else 1)


@dataclass
class RunDesk:
    """Everything that a run needs, real: ledger, usage per day, billing's database."""

    directory: Path
    ledger_url: str
    billing_url: str
    clock: RunClock = field(default_factory=RunClock)

    def __post_init__(self) -> None:
        self.estate = PourEstate(self.directory, self.ledger_url)
        throw(self.estate, 2, 7, 2, "2025-01-10 08:00")
        throw(self.estate, 1, 69, 1, "2025-05-10 08:00")
        throw(self.estate, 3, 30, 2, "2025-06-10 09:00")
        throw(self.estate, 4, 112, 0, "2025-07-10 10:00")
        self.estate.pour("2026-01-05 09:00", 1)
        self.commit()
        self.config = Config.model_validate(
            {
                "database": {"url": self.billing_url},
                "ledger": {"url": self.ledger_url},
                "approval": {"approvers": [APPROVER]},
            }
        )
        database = Database(self.billing_url)
        migrate(database)
        self.books = Books(self.config, database, self.clock)
        self.enter(*worked_facts(self.estate.lock.name))

    def commit(self) -> None:
        """Take what was poured into the ledger, and bring usage per day up to date."""
        self.estate.commit()
        projector = Projector(self.ledger_url, default_url(self.ledger_url), "Europe/Berlin", 1000)
        catch_up(projector, Event(), lambda position, end: None)
        projector.close()

    def enter(self, *entered: Fact, reason: str = "") -> None:
        """Add facts to the master data, as an import does."""
        self._write([_new(fact, None, reason) for fact in entered], reason)

    def take_back(self, fact: Fact, reason: str) -> None:
        """Reverse a fact."""
        table = _table(fact)
        states = {entry.key: entry.fact_no for entry in self.books.masterdata.history("P1", table.name)}
        self._write([_new(fact, states[table.key_of(fact)], reason)], reason)

    def drafted(self, first: date = PERIOD.first) -> RunRecord:
        return calculate_draft(self.books, begin(self.books, "P1", first, CLERK), CLERK)

    def finish(self, run: RunRecord) -> RunRecord:
        """Take a draft up to `finalized`."""
        run = approval.submit(self.books, run, CLERK)
        run = approval.approve(self.books, run, APPROVER)
        return approval.finalize(self.books, run, APPROVER)

    def finalized(self) -> RunRecord:
        return self.finish(self.drafted())

    def finished_by_acknowledging(self, run: RunRecord) -> RunRecord:
        """Decide every review as it stands, then finish."""
        for review in open_reviews(decode(self.books.store.document(run))):
            run = decide(self.books, run, review.review, review.nominal, CLERK, "looked at it")
        return self.finish(run)

    def close(self) -> None:
        self.books.close()
        self.estate.close()

    def _write(self, new: Iterable[NewFact], reason: str) -> None:
        with self.books.masterdata.changing() as change:
            change.write(new, (), CLERK, reason)


def _table(fact: Fact) -> Table:
    return next(table for table in TABLES.values() if isinstance(fact, table.fact))


def _new(fact: Fact, reverses: int | None, reason: str) -> NewFact:
    table = _table(fact)
    payload = encode_fact(fact) if reverses is None else ""
    return NewFact("P1", table.name, table.key_of(fact), payload, reverses, reason)


def document_of(desk: RunDesk, run: RunRecord) -> RevisionDocument:
    return decode(desk.books.store.document(run))


def charged(desk: RunDesk, run: RunRecord) -> dict[str, int]:
    return {row: each.charged_cents for row, each in balances_of(document_of(desk, run)).items()}


def delivered(desk: RunDesk, run: RunRecord, on: date) -> RunRecord:
    run = delivery.deliver(desk.books, run, CLERK)
    desk.clock.at = max(desk.clock.at, datetime(on.year, on.month, on.day, 18, tzinfo=UTC))
    return delivery.receive(desk.books, run, on, (), CLERK)
