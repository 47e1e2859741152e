"""The book of invoices, on SQLite and PostgreSQL: numbers without gaps, bytes that stay, reversals."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction
from hashlib import sha256

import facturx  # type: ignore[import-untyped]
import pytest
import sqlalchemy as sa

from billing_aggregator.database import Database, StoreRefused, migrate
from billing_aggregator.errors import IllegalStep, InputRejected, NotFound
from billing_aggregator.invoice.book import InvoiceBook
from billing_aggregator.invoice.cii import Specification, write_cii
from billing_aggregator.invoice.model import Invoice, InvoiceKind
from billing_aggregator.invoice.rules import Rulebook
from billing_aggregator.invoice.settings import OperatorSection
from billing_aggregator.invoice.states import InvoiceState
from billing_aggregator.invoice.store import DocumentDamaged
from billing_aggregator.invoice.tables import invoice_documents, invoice_events, invoice_numbers, invoices
from billing_aggregator.model import DayRange
from tests.unit.billing_aggregator.invoice_books import HANGING, open_book
from tests.unit.billing_aggregator.invoice_samples import BUYER, DRAFT, SELLER

_PROGRAM = (sys.executable, "-m", "tests.unit.billing_aggregator.invoice_books")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty database of each kind."""
    fixture = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    opened = Database(request.getfixturevalue(fixture))
    migrate(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def rulebook() -> Rulebook:
    return Rulebook()


@pytest.fixture
def book(database: Database, rulebook: Rulebook) -> InvoiceBook:
    return open_book(database, lambda: rulebook)


def draft_of(month: int, name: str = "elbhof") -> Invoice:
    """Return a draft for one month of 2025."""
    days = DayRange(date(2025, month, 1), date(2025 + month // 12, month % 12 + 1, 1))
    return replace(DRAFT, days=days, site=replace(DRAFT.site, property=name))


def numbers(database: Database) -> list[tuple[int, int]]:
    """Return all numbers taken, as (year, sequence)."""
    query = sa.select(invoice_numbers.c.year, invoice_numbers.c.sequence).order_by(
        *invoice_numbers.primary_key
    )
    with database.reading() as connection:
        return [(row.year, row.sequence) for row in connection.execute(query)]


def test_an_invoice_is_drafted_issued_and_paid(book: InvoiceBook) -> None:
    name = str(book.draft(DRAFT, "clerk"))
    assert book.show(name).state is InvoiceState.DRAFT and book.show(name).invoice == DRAFT
    issued = book.issue(name, "clerk")
    assert issued.invoice == replace(
        DRAFT, number="R-2026-0001", issued_on=date(2026, 11, 3), due_on=date(2026, 12, 3)
    )
    paid = book.pay("R-2026-0001", date(2026, 11, 2), "accounts")
    assert [(event.event, event.state, event.deed.actor) for event in paid.history] == [
        ("draft", "draft", "clerk"), ("issue", "issued", "clerk"), ("pay", "paid", "accounts"),
    ]  # fmt: skip
    assert paid.history[-1].deed.on_day == date(2026, 11, 2)
    assert book.show("R-2026-0001") == book.show(name) == paid


def test_what_was_sent_is_kept_with_its_hash_and_the_pdf_holds_the_twin(book: InvoiceBook) -> None:
    issued = book.issue(str(book.draft(DRAFT, "clerk")), "clerk").invoice
    kept = book.documents("R-2026-0001")
    assert kept.xml == write_cii(issued, Specification.XRECHNUNG)
    assert facturx.get_xml_from_pdf(kept.pdf)[1] == write_cii(issued, Specification.EN_16931)
    assert (kept.xml_sha256, kept.pdf_sha256) == (sha256(kept.xml).hexdigest(), sha256(kept.pdf).hexdigest())


def test_cancelling_issues_a_reversal_that_mirrors_the_invoice(book: InvoiceBook) -> None:
    """§ 14 (4), § 14c UStG: what was sent is taken back by a document with a number of its own, not unmade."""
    issued = book.issue(str(book.draft(DRAFT, "clerk")), "clerk")
    before = book.documents("R-2026-0001")
    reversal = book.cancel("R-2026-0001", "clerk", "wrong price")
    assert (reversal.state, reversal.invoice.kind) == (InvoiceState.ISSUED, InvoiceKind.REVERSAL)
    assert reversal.invoice.number == "R-2026-0002"
    assert reversal.invoice.reverses is not None and reversal.invoice.reverses.number == "R-2026-0001"
    assert reversal.invoice.totals.gross_cents == -issued.invoice.totals.gross_cents
    cancelled = book.show("R-2026-0001")
    assert (cancelled.state, cancelled.reversed_by) == (InvoiceState.CANCELLED, "R-2026-0002")
    assert cancelled.history[-1].deed.reason == "wrong price"
    assert book.documents("R-2026-0001") == before


def test_steps_that_the_table_forbids_change_nothing(book: InvoiceBook, database: Database) -> None:
    name = str(book.draft(DRAFT, "clerk"))
    with pytest.raises(IllegalStep, match="issue it first"):
        book.pay(name, date(2026, 11, 3), "clerk")
    with pytest.raises(IllegalStep, match="issue it first"):
        book.cancel(name, "clerk", "no")
    with pytest.raises(IllegalStep, match="issue it first"):
        book.documents(name)
    book.issue(name, "clerk")
    with pytest.raises(IllegalStep, match="issued already"):
        book.issue(name, "clerk")
    with pytest.raises(IllegalStep, match="still to come"):
        book.pay(name, date(2026, 11, 4), "clerk")
    book.pay(name, date(2026, 11, 3), "clerk")
    with pytest.raises(IllegalStep, match="paid"):
        book.cancel(name, "clerk", "no")
    assert numbers(database) == [(2026, 1)] and len(book.list_all()) == 1


def test_a_reversal_is_neither_paid_nor_reversed(book: InvoiceBook) -> None:
    book.issue(str(book.draft(DRAFT, "clerk")), "clerk")
    book.cancel("R-2026-0001", "clerk", "wrong price")
    with pytest.raises(IllegalStep, match="reversal of R-2026-0001"):
        book.pay("R-2026-0002", date(2026, 11, 3), "clerk")
    with pytest.raises(IllegalStep, match="reversal of R-2026-0001"):
        book.cancel("R-2026-0002", "clerk", "twice")


def test_no_fee_is_invoiced_twice_for_the_same_days_unless_it_was_cancelled(book: InvoiceBook) -> None:
    first, second = (
        book.draft(draft_of(1), "clerk"),
        book.draft(replace(draft_of(1), payment_days=14), "clerk"),
    )
    assert first != second and book.draft(draft_of(1), "clerk") == first
    book.issue(str(first), "clerk")
    with pytest.raises(IllegalStep, match=r"invoiced already .* by R-2026-0001"):
        book.issue(str(second), "clerk")
    with pytest.raises(IllegalStep, match="billing, rent, service: invoiced already"):
        book.draft(replace(DRAFT, payment_days=1), "clerk")
    book.draft(draft_of(2), "clerk")
    book.draft(draft_of(1, "other-property"), "clerk")
    book.draft(replace(draft_of(1), lines=(replace(DRAFT.lines[0], fee="other-fee"),)), "clerk")
    book.cancel("R-2026-0001", "clerk", "wrong terms")
    assert book.issue(str(second), "clerk").invoice.number == "R-2026-0003"


def test_each_year_has_numbers_of_its_own_by_the_operators_local_day(
    database: Database, rulebook: Rulebook
) -> None:
    """23:30 UTC on 31 December is the new year in Hamburg already."""
    instants = iter([datetime(2026, 12, 31, 22, 30, tzinfo=UTC), datetime(2026, 12, 31, 23, 30, tzinfo=UTC)])
    drafting = open_book(database, lambda: rulebook)
    names = [str(drafting.draft(draft_of(month), "clerk")) for month in (1, 2)]
    operator = OperatorSection(number_prefix="WL")
    book = open_book(database, lambda: rulebook, lambda: next(instants), operator)
    assert [book.issue(name, "clerk").invoice.number for name in names] == ["WL-2026-0001", "WL-2027-0001"]


def test_what_breaks_an_official_rule_is_not_issued_and_takes_no_number(
    database: Database, rulebook: Rulebook
) -> None:
    """A draft that our own checks let pass, and that the official rules don't: a scheme that isn't in their list."""
    odd = replace(DRAFT, buyer=replace(BUYER, electronic=replace(BUYER.electronic, scheme="ZZ")))
    book = open_book(database, lambda: rulebook)
    name = str(book.draft(odd, "clerk"))
    with pytest.raises(InputRejected, match="BR-CL-25"):
        book.issue(name, "clerk")
    assert book.show(name).state is InvoiceState.DRAFT and numbers(database) == []
    assert book.issue(str(book.draft(DRAFT, "clerk")), "clerk").invoice.number == "R-2026-0001"


def test_a_draft_that_lacks_something_is_not_kept(book: InvoiceBook) -> None:
    with pytest.raises(InputRejected, match="BT-84"):
        book.draft(
            replace(DRAFT, seller=replace(SELLER, account=replace(SELLER.account, iban="DE00"))), "clerk"
        )
    assert book.list_all() == []


def test_unknown_names_are_said_to_be_unknown(book: InvoiceBook) -> None:
    for name in ("1", "R-2026-0001", "9" * 40, "²"):
        with pytest.raises(NotFound, match="invoice list"):
            book.show(name)


def test_invoices_are_listed_by_property(book: InvoiceBook) -> None:
    book.draft(draft_of(1), "clerk")
    book.draft(draft_of(1, "other"), "clerk")
    book.issue("1", "clerk")
    assert [(it.invoice_no, it.state) for it in book.list_all()] == [(1, "issued"), (2, "draft")]
    assert [it.invoice_no for it in book.list_all("other")] == [2]


@pytest.mark.parametrize("table", [invoices, invoice_events, invoice_numbers, invoice_documents])
def test_the_database_refuses_to_change_or_delete_what_is_there(
    book: InvoiceBook, database: Database, table: sa.Table
) -> None:
    """§ 146 (4), § 147 AO: what was recorded stays as it was, whatever a program or a person with a shell tries."""
    book.issue(str(book.draft(DRAFT, "clerk")), "clerk")
    column = next(it for it in table.columns if isinstance(it.type, sa.Text))
    for change in (sa.update(table).values({column.name: "other"}), sa.delete(table)):
        with pytest.raises(StoreRefused, match="only ever added to"), database.writing() as connection:
            connection.execute(change)
    assert book.documents("R-2026-0001").xml


def test_the_database_refuses_a_gap_and_a_number_twice(book: InvoiceBook, database: Database) -> None:
    """§ 14 (4) no. 4 UStG: a number given out once."""
    book.issue(str(book.draft(DRAFT, "clerk")), "clerk")
    for sequence in (1, 3):
        row = {"year": 2026, "sequence": sequence, "number": f"R-2026-{sequence:04}", "invoice_no": 9}
        with pytest.raises(StoreRefused, match="have no gap"), database.writing() as connection:
            connection.execute(invoice_numbers.insert(), row)
    assert numbers(database) == [(2026, 1)]


def test_two_programs_that_issue_at_once_leave_no_gap(book: InvoiceBook, database: Database) -> None:
    names = [str(book.draft(draft_of(month), "clerk")) for month in range(1, 9)]
    url = database.url.render_as_string(hide_password=False)
    running = [
        subprocess.Popen([*_PROGRAM, url, *part], stdout=subprocess.PIPE, text=True)
        for part in (names[::2], names[1::2])
    ]
    given = [number for process in running for number in process.communicate(timeout=150)[0].split()]
    assert [process.returncode for process in running] == [0, 0]
    assert sorted(given) == [f"R-2026-{sequence:04}" for sequence in range(1, 9)]
    assert numbers(database) == [(2026, sequence) for sequence in range(1, 9)]


def test_a_program_that_is_killed_while_it_issues_leaves_no_gap(
    book: InvoiceBook, database: Database
) -> None:
    first, second = (str(book.draft(draft_of(month), "clerk")) for month in (1, 2))
    url = database.url.render_as_string(hide_password=False)
    with subprocess.Popen([*_PROGRAM, "--hang", url, first], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline().strip() == HANGING
        process.kill()
    assert book.show(first).state is InvoiceState.DRAFT
    assert book.issue(second, "clerk").invoice.number == "R-2026-0001"
    assert book.issue(first, "clerk").invoice.number == "R-2026-0002"


def test_bytes_that_were_tampered_with_are_not_handed_out(book: InvoiceBook, database: Database) -> None:
    """Somebody took the trigger away first: the hash of the day of issue tells."""
    book.issue(str(book.draft(DRAFT, "clerk")), "clerk")
    with database.writing() as connection:
        on = "" if database.dialect == "sqlite" else " ON invoice_documents"
        trigger = (
            "invoice_documents_no_update" if database.dialect == "sqlite" else "invoice_documents_refuse"
        )
        connection.execute(sa.text(f"DROP TRIGGER {trigger}{on}"))
        connection.execute(sa.update(invoice_documents).values(xml=b"<forged/>"))
    with pytest.raises(DocumentDamaged, match="aren't those that were issued"):
        book.documents("R-2026-0001")


def test_quantities_come_back_from_the_database_exactly(book: InvoiceBook) -> None:
    lines = (replace(DRAFT.lines[0], quantity=Fraction(12_345_678, 10_000)),)
    name = str(book.draft(replace(DRAFT, lines=lines), "clerk"))
    assert book.show(name).invoice.lines == lines
