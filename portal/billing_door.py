"""The one door from the portal to billing: properties, runs, statements, invoices, households. Nothing else of the
portal imports billing.

Books are opened for each call and closed again (some milliseconds), read-only wherever nothing is written; so a call
may come from any thread. Steps name the run as the clerk saw it (`Seen`): if it has moved on since, nothing happens.
Billing's own rules (transition table, four eyes, gates) are billing's: what it refuses becomes `Refused`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from billing_aggregator.access.lists import MOST_ENTRIES, EstateAccess, WantedEntry, WantedList, make_list
from billing_aggregator.access.reading import read_access
from billing_aggregator.commands.sources import gather_sources
from billing_aggregator.config import load_config
from billing_aggregator.days import day_of
from billing_aggregator.documents.building import Sources
from billing_aggregator.documents.bundling import (
    bundle_export,
    bundle_statements,
    print_overview,
    print_statement,
)
from billing_aggregator.documents.names import NameBook, read_names
from billing_aggregator.errors import BillingError, StoreUnavailable
from billing_aggregator.errors import ConfigError as BillingConfigError
from billing_aggregator.errors import NotFound as BillingNotFound
from billing_aggregator.invoice.book import InvoiceBook
from billing_aggregator.invoice.store import Documents, StoredInvoice
from billing_aggregator.masterdata.facts import CostItem, Property
from billing_aggregator.masterdata.transponders import (
    Blocked,
    Holding,
    block_transponder,
    list_household_holdings,
    restore_transponder,
)
from billing_aggregator.model import CAP_ROW, UNATTRIBUTED_ROW, Agreement, DayRange, OwnPour, Review
from billing_aggregator.runs import approval, delivery, revising
from billing_aggregator.runs.approval import Barred
from billing_aggregator.runs.books import Books, open_books
from billing_aggregator.runs.deadlines import Deadlines
from billing_aggregator.runs.delivered import DeliveredStatement, find_delivered, list_delivered
from billing_aggregator.runs.document import RevisionDocument, encode_values, open_reviews
from billing_aggregator.runs.drafting import begin, calculate_draft, decide
from billing_aggregator.runs.estate import (
    ChamberMetering,
    DwellingLine,
    PropertyLine,
    PropertyView,
    RunLine,
    find_properties,
    list_properties,
    look_at_property,
    run_line,
)
from billing_aggregator.runs.gates import Obstacle, list_obstacles
from billing_aggregator.runs.household import Household, find_household, read_household_pours
from billing_aggregator.runs.preview import Move
from billing_aggregator.runs.records import EventRecord, RunRecord
from billing_aggregator.runs.replaying import Replay, replay
from billing_aggregator.runs.revising import Proposal
from billing_aggregator.runs.showing import RowView, RunView, look_at
from billing_aggregator.runs.standing import HouseholdStanding, Standing, cut_household, stand_today
from billing_aggregator.runs.states import FINAL_STATES, TRANSITIONS, RunEvent, RunState
from portal.errors import ConfigError, NotThere, Refused, Unavailable
from portal.run_names import RunName, Seen

__all__ = [
    "CAP_ROW", "MOST_ENTRIES", "UNATTRIBUTED_ROW", "Agreement", "Barred", "BillingDoor", "Blocked",
    "ChamberMetering", "CostItem", "DayRange", "Deadlines", "DeliveredStatement", "Documents", "DwellingLine",
    "EstateAccess", "EventRecord", "Holding", "Household", "HouseholdStanding", "Move", "Obstacle", "OwnPour",
    "Property", "PropertyLine", "PropertyView", "Proposal", "Replay", "Review", "RevisionDocument", "RowView",
    "RunLine", "RunName", "RunRecord", "RunState", "RunView", "Seen", "Sheet", "Sources", "Standing",
    "StoredInvoice", "WantedEntry", "WantedList", "encode_values", "make_list",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sheet:
    """A run with all that its page needs. `steps`: what can happen to it now by the table of transitions.

    `approved`: it is in review and somebody has approved it. `barred`: why the viewer can't approve it. `names`: as
    they are now.
    """

    record: RunRecord
    view: RunView
    steps: frozenset[RunEvent]
    obstacles: tuple[Obstacle, ...]
    waiting: tuple[Review, ...]
    approved: bool
    barred: Barred | None
    revisions: tuple[RunRecord, ...]
    names: NameBook

    def party_of(self, row: str) -> str:
        """Return the name of a row's party, "" where it has none."""
        person = self.names.people.get(row.partition("/")[2])
        return "" if person is None else person.address.name

    @property
    def name(self) -> RunName:
        """What the run is called."""
        return RunName(self.record.property, self.record.period.first, self.record.revision)

    @property
    def final(self) -> bool:
        """Whether its bytes are fixed."""
        return self.record.state in FINAL_STATES


def utc_now() -> datetime:
    """Return the present instant in whole milliseconds, as billing's database keeps them."""
    present = datetime.now(UTC)
    return present.replace(microsecond=present.microsecond // 1000 * 1000)


class BillingDoor:
    """What the portal reads of billing's books, and writes there. From any thread."""

    def __init__(self, config: Path, clock: Callable[[], datetime] = utc_now) -> None:
        """`config`: the billing aggregator's configuration file. ConfigError if it can't work; opens nothing yet."""
        try:
            self.config = load_config(config)
        except BillingConfigError as error:
            raise ConfigError(error.problems) from error
        self.clock = clock
        self._prepared = False

    def check(self) -> None:
        """Unavailable if billing's books can't be read now."""
        with self._books() as books:
            books.store.list("-")

    @contextmanager
    def _books(self, writing: bool = False) -> Iterator[Books]:
        """The first time they are brought to this release's schema, as any of billing's commands does."""
        if not self._prepared:
            with _translating(), open_books(self.config, self.clock):
                self._prepared = True
        with _translating(), open_books(self.config, self.clock, read_only=not writing) as books:
            yield books

    # Looking

    def find_properties(self, text: str, after: str, limit: int) -> tuple[PropertyLine, ...]:
        """Return the next properties after an id that a text fits, at most `limit`."""
        with self._books() as books:
            fitting = [each for each in find_properties(books, text) if each.property > after]
            return list_properties(books, fitting[:limit])

    def property_view(self, property_id: str, first: date | None = None) -> PropertyView:
        """Return a property in one of its periods (None: the last that has a run, or has begun)."""
        with self._books() as books:
            return look_at_property(books, property_id, first)

    def list_runs(
        self, property_id: str | None, states: frozenset[RunState], offset: int, limit: int
    ) -> tuple[tuple[RunLine, ...], int]:
        """Return runs in these states (none: any), those of the latest change first, and how many there are in all."""
        with self._books() as books:
            fitting = [run for run in books.store.list(property_id) if not states or run.state in states]
            fitting.sort(key=lambda run: (run.since, run.run_no), reverse=True)
            return tuple(run_line(books, run) for run in fitting[offset : offset + limit]), len(fitting)

    def run(self, name: RunName) -> RunRecord:
        """Return a run as it is now."""
        with self._books() as books:
            return _find(books, name)

    def sheet(self, name: RunName, actor: str) -> Sheet:
        """Return all that a run's page shows to this person."""
        with self._books() as books:
            record = _find(books, name)
            view = look_at(books, record, proposing=False)
            in_review = record.state is RunState.IN_REVIEW
            document = view.document
            today = None if document is None else day_of(books.now(), document.time_zone)
            final = record.state in FINAL_STATES
            return Sheet(
                record=record,
                view=view,
                steps=frozenset(TRANSITIONS[record.state]),
                obstacles=() if final or document is None or today is None
                else tuple(list_obstacles(document, today)),
                waiting=() if final or document is None else open_reviews(document),
                approved=in_review and approval.is_approved(view.events),
                barred=approval.why_not_approve(books, record, actor) if in_review else None,
                revisions=books.store.revisions(name.property_id, name.first),
                names=read_names(books.snapshot(record.property), record.period),
            )  # fmt: skip

    def proposal(self, name: RunName) -> Proposal | None:
        """Return the revision that is due by what is known now; counts single entries if anything has come."""
        with self._books() as books:
            return look_at(books, _find(books, name)).proposal

    def preview(self, name: RunName) -> tuple[Move, ...]:
        """Return who would move by a revision now; nothing is begun."""
        with self._books() as books:
            return revising.preview(books, _find(books, name))

    def replay(self, name: RunName) -> Replay:
        """Calculate a run again from what it pins and compare byte for byte."""
        with self._books() as books:
            return replay(books, _find(books, name))

    # Papers

    def sources(self, name: RunName, row: str | None = None) -> Sources:
        """Return all that a run's documents and the lists of its pours need; `row`: only this one's pours are read."""
        with self._books() as books:
            return gather_sources(books, _find(books, name), row)

    def print_statement(self, sources: Sources, row: str) -> bytes:
        """Return one party's statement as PDF."""
        with _translating():
            return print_statement(sources, row)

    def print_overview(self, sources: Sources, language: str) -> bytes:
        """Return the landlord's overview as PDF."""
        with _translating():
            return print_overview(sources, language)

    def bundle_statements(self, sources: Sources, path: Path, progress: Callable[[int, int], None]) -> int:
        """Write all statements into one archive."""
        with _translating():
            return bundle_statements(sources, path, progress)

    def bundle_export(self, sources: Sources, path: Path) -> None:
        """Write all tables, the document and the program that recomputes it into one archive."""
        with _translating():
            bundle_export(sources, path)

    # Steps of a run, each by a person

    def draft(self, property_id: str, first: date, actor: str, receipt_on: date | None = None) -> RunName:
        """Begin the run of a period, or calculate its draft again."""
        with self._books(writing=True) as books:
            there = books.store.revisions(property_id, first)
            run = there[-1] if there else begin(books, property_id, first, actor)
            return _name(calculate_draft(books, run, actor, receipt_on))

    def decide(self, seen: Seen, review: str, choice: str, actor: str, reason: str) -> RunName:
        """Decide a review, or a group of them, and calculate the draft again."""
        return self._step(seen, lambda books, run: decide(books, run, review, choice, actor, reason))

    def submit(self, seen: Seen, actor: str, reason: str) -> RunName:
        """Hand a draft in."""
        return self._step(seen, lambda books, run: approval.submit(books, run, actor, reason))

    def send_back(self, seen: Seen, actor: str, reason: str) -> RunName:
        """Send a run in review back to be a draft."""
        return self._step(seen, lambda books, run: approval.send_back(books, run, actor, reason))

    def approve(self, seen: Seen, actor: str, reason: str) -> RunName:
        """Approve what somebody else handed in."""
        return self._step(seen, lambda books, run: approval.approve(books, run, actor, reason))

    def finalize(self, seen: Seen, actor: str, reason: str) -> RunName:
        """Count all single entries again and fix the run for ever."""
        return self._step(seen, lambda books, run: approval.finalize(books, run, actor, reason))

    def deliver(self, seen: Seen, actor: str, reason: str) -> RunName:
        """Note that the statements were sent."""
        return self._step(seen, lambda books, run: delivery.deliver(books, run, actor, reason))

    def receive(self, seen: Seen, on: date, rows: tuple[str, ...], actor: str, reason: str) -> RunName:
        """Note on which local day these rows (none: all) got their statements."""
        return self._step(seen, lambda books, run: delivery.receive(books, run, on, rows, actor, reason))

    def object_to(self, seen: Seen, row: str, actor: str, reason: str) -> RunName:
        """Note a party's objection."""
        return self._step(seen, lambda books, run: delivery.object_to(books, run, row, actor, reason))

    def settle(self, seen: Seen, actor: str, reason: str) -> RunName:
        """Note that all is paid and nothing is disputed."""
        return self._step(seen, lambda books, run: delivery.settle(books, run, actor, reason))

    def revise(self, seen: Seen, actor: str, reason: str) -> RunName:
        """Begin the next revision and calculate it."""
        return self._step(seen, lambda books, run: revising.revise(books, run, actor, reason)[0])

    def _step(self, seen: Seen, take: Callable[[Books, RunRecord], RunRecord]) -> RunName:
        with self._books(writing=True) as books:
            run = _find(books, seen.name)
            if run.steps != seen.steps:
                raise Refused("billing.moved_on", run=str(run))
            return _name(take(books, run))

    # Transponders, and what the locks' access lists are made of

    def access_changes(self, after_fact: int) -> tuple[int, tuple[str, ...]]:
        """Return the newest fact's number, and the properties of which any was entered after this one."""
        with self._books() as books:
            return books.masterdata.changed_after(after_fact)

    def read_access(self, properties: Sequence[str]) -> tuple[EstateAccess, ...]:
        """Return what these properties' access lists are worked out from; unknown ones are left out."""
        with self._books() as books:
            return read_access(books.masterdata, properties)

    def holdings(self, property_id: str, row: str) -> tuple[Holding, ...]:
        """Return the transponders that a row has, had or will have."""
        with self._books() as books:
            return list_household_holdings(books.masterdata, property_id, row)

    def block_transponder(self, property_id: str, credential: str, actor: str, reason: str) -> Blocked:
        """Mark a transponder lost: from now on it is nobody's."""
        with self._books(writing=True) as books:
            return block_transponder(books.masterdata, credential, actor, reason, property_id=property_id)

    def restore_transponder(self, property_id: str, credential: str, actor: str, reason: str) -> Holding:
        """Let who held a blocked transponder last hold it again, from now on."""
        with self._books(writing=True) as books:
            return restore_transponder(books.masterdata, property_id, credential, actor, reason)

    # The operator's own invoices

    def invoices(self, property_id: str | None, before: int | None, limit: int) -> list[StoredInvoice]:
        """Return the newest invoices, or those before a place in the list."""
        with self._books() as books:
            return self._invoice_book(books).list_page(property_id, before, limit)

    def invoice(self, name: str) -> StoredInvoice:
        """Return one invoice by its number, or a draft by its place in the list."""
        with self._books() as books:
            return self._invoice_book(books).show(name)

    def invoice_documents(self, name: str) -> Documents:
        """Return what was sent, its hashes checked."""
        with self._books() as books:
            return self._invoice_book(books).documents(name)

    def _invoice_book(self, books: Books) -> InvoiceBook:
        return InvoiceBook(books.database, self.config.operator, self.clock)

    # Households

    def standing(self, property_id: str) -> Standing:
        """Return how a property's current period stands: reads all of its pours of the period."""
        with self._books() as books:
            return stand_today(books, property_id)

    def household_standing(self, standing: Standing, row: str, days: DayRange) -> HouseholdStanding:
        """Return what one row may see of it, of these days."""
        return cut_household(standing, row, days)

    def household(self, property_id: str, row: str, within: DayRange) -> Household:
        """Return who a row is and what is its own on these days."""
        with self._books() as books:
            return find_household(books, property_id, row, within)

    def household_pours(self, property_id: str, household: Household, days: DayRange) -> tuple[OwnPour, ...]:
        """Return a household's own pours on these local days, the latest first."""
        with self._books() as books:
            return read_household_pours(books, property_id, household, days)

    def delivered(self, property_id: str, row: str) -> tuple[DeliveredStatement, ...]:
        """Return the statements that a row was sent, the latest first."""
        with self._books() as books:
            return list_delivered(books, property_id, row)

    def find_delivered(self, name: RunName, row: str) -> DeliveredStatement:
        """Return what a row was sent of a run; NotThere if it was sent nothing."""
        with self._books() as books:
            found = find_delivered(books, _find(books, name), row)
        if found is None:
            raise NotThere(f"{row} was sent no statement of {name}")
        return found


def _find(books: Books, name: RunName) -> RunRecord:
    return books.store.find(name.property_id, name.first, name.revision)


def _name(run: RunRecord) -> RunName:
    return RunName(run.property, run.period.first, run.revision)


@contextmanager
def _translating() -> Iterator[None]:
    """Billing's errors as the portal's: by what to do next."""
    try:
        yield
    except BillingNotFound as error:
        raise NotThere(str(error)) from error
    except (StoreUnavailable, BillingConfigError) as error:
        raise Unavailable(str(error)) from error
    except BillingError as error:
        raise Refused("billing.refused", said=str(error)) from error
