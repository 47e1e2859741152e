"""The book of invoices: what one can do with them. START HERE.

Each step is one transaction. Issuing takes the number, writes the XML, has it judged by the official rules, prints the
PDF and keeps both: if any of that fails, nothing was issued and no number is lost.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta

from sqlalchemy.engine import Connection

from billing_aggregator.database import Database
from billing_aggregator.days import zone_of
from billing_aggregator.errors import IllegalStep
from billing_aggregator.invoice import store
from billing_aggregator.invoice.checking import refuse_faulty
from billing_aggregator.invoice.cii import Specification, write_cii
from billing_aggregator.invoice.model import Invoice, InvoiceKind, Preceding, reverse_lines
from billing_aggregator.invoice.printing import print_zugferd
from billing_aggregator.invoice.rules import Rulebook
from billing_aggregator.invoice.settings import OperatorSection
from billing_aggregator.invoice.states import InvoiceEvent, InvoiceState, advance
from billing_aggregator.invoice.store import Deed, Documents, StoredInvoice

_STANDING = (InvoiceState.ISSUED, InvoiceState.PAID)


class InvoiceBook:
    """Invoices in billing's database. `rules`: how to get the official rules; asked once, when something is issued.

    `clock`: the present instant; the day of issue is the operator's local one. Use a book in one thread.
    """

    def __init__(
        self,
        database: Database,
        operator: OperatorSection,
        clock: Callable[[], datetime],
        rules: Callable[[], Rulebook] = Rulebook,
    ) -> None:
        self._database = database
        self._operator = operator
        self._clock = clock
        self._make_rules = rules
        self._rules: Rulebook | None = None

    def draft(self, invoice: Invoice, actor: str) -> int:
        """Keep a draft, and return by what it is called until it has a number.

        The same draft again is the same one. IllegalStep if a fee was invoiced already for any of the days.
        """
        refuse_faulty(invoice)
        with self._database.writing() as connection:
            for other in store.find_overlapping(connection, invoice.site.property, invoice.days):
                if other.state is InvoiceState.DRAFT and other.invoice == invoice:
                    return other.invoice_no
            _refuse_second(connection, invoice)
            invoice_no = store.add_draft(connection, invoice)
            store.add_event(connection, invoice_no, None, self._deed(actor))
            return invoice_no

    def issue(self, name: str, actor: str) -> StoredInvoice:
        """Give a draft its number and date, and keep what is sent. InputRejected if the official rules object."""
        rules = self._get_rules()
        with self._database.writing() as connection:
            invoice_no = store.find_invoice(connection, name)
            stored = store.read_invoice(connection, invoice_no)
            advance(stored.state, InvoiceEvent.ISSUE)
            _refuse_second(connection, stored.invoice)
            self._issue(connection, invoice_no, stored.invoice, rules, self._deed(actor))
            return store.read_invoice(connection, invoice_no)

    def pay(self, name: str, paid_on: date, actor: str) -> StoredInvoice:
        """Note that an invoice was paid on this local day."""
        deed = self._deed(actor)
        if paid_on > deed.on_day:
            raise IllegalStep(f"{paid_on} is still to come: name the day on which the money came")
        with self._database.writing() as connection:
            stored = self._find_invoice_proper(connection, name)
            store.add_event(connection, stored.invoice_no, InvoiceEvent.PAY, replace(deed, on_day=paid_on))
            return store.read_invoice(connection, stored.invoice_no)

    def cancel(self, name: str, actor: str, reason: str) -> StoredInvoice:
        """Cancel an issued invoice, and return the reversal that is issued with it."""
        rules = self._get_rules()
        with self._database.writing() as connection:
            deed = self._deed(actor, reason)
            stored = self._find_invoice_proper(connection, name)
            store.add_event(connection, stored.invoice_no, InvoiceEvent.CANCEL, deed)
            draft = _reverse(stored.invoice)
            reversal_no = store.add_draft(connection, draft, reverses_no=stored.invoice_no)
            store.add_event(connection, reversal_no, None, deed)
            self._issue(connection, reversal_no, draft, rules, deed)
            return store.read_invoice(connection, reversal_no)

    def show(self, name: str) -> StoredInvoice:
        """Return an invoice by its number, or a draft by its place in the list."""
        with self._database.reading() as connection:
            return store.read_invoice(connection, store.find_invoice(connection, name))

    def list_all(self, name: str | None = None) -> list[StoredInvoice]:
        """Return all invoices, or those of one property."""
        with self._database.reading() as connection:
            return list(store.list_invoices(connection, name))

    def list_page(self, name: str | None, before: int | None, limit: int) -> list[StoredInvoice]:
        """Return the newest invoices, or those before a place in the list, newest first, at most `limit`."""
        with self._database.reading() as connection:
            return list(store.list_newest(connection, name, before, limit))

    def documents(self, name: str) -> Documents:
        """Return what was sent: XRechnung and ZUGFeRD PDF."""
        with self._database.reading() as connection:
            found = store.read_documents(connection, store.find_invoice(connection, name))
        if found is None:
            raise IllegalStep(f"{name} is a draft, there is nothing to send yet: issue it first")
        return found

    def _issue(
        self, connection: Connection, invoice_no: int, draft: Invoice, rules: Rulebook, deed: Deed
    ) -> None:
        invoice = replace(
            draft,
            number=store.take_number(connection, invoice_no, self._operator.number_prefix, deed.on_day.year),
            issued_on=deed.on_day,
            due_on=deed.on_day + timedelta(days=draft.payment_days),
        )
        refuse_faulty(invoice)
        xrechnung, twin = (write_cii(invoice, it) for it in (Specification.XRECHNUNG, Specification.EN_16931))
        rules.refuse_faulty(xrechnung, Specification.XRECHNUNG)
        rules.refuse_faulty(twin, Specification.EN_16931)
        store.add_documents(connection, invoice_no, invoice, xrechnung, print_zugferd(invoice, twin))
        store.add_event(connection, invoice_no, InvoiceEvent.ISSUE, deed)

    def _find_invoice_proper(self, connection: Connection, name: str) -> StoredInvoice:
        stored = store.read_invoice(connection, store.find_invoice(connection, name))
        if stored.invoice.reverses is not None:
            raise IllegalStep(
                f"{name} is the reversal of {stored.invoice.reverses.number}: it stands, and nobody pays it"
            )
        return stored

    def _get_rules(self) -> Rulebook:
        # Before the transaction: compiling them takes half a second, in which others could write.
        if self._rules is None:
            self._rules = self._make_rules()
        return self._rules

    def _deed(self, actor: str, reason: str = "") -> Deed:
        at = self._clock()
        return Deed(at, at.astimezone(zone_of(self._operator.time_zone)).date(), actor, reason)


def _refuse_second(connection: Connection, invoice: Invoice) -> None:
    """Raise IllegalStep if a fee is on an invoice already that stands, for any of these days."""
    fees = {line.fee for line in invoice.lines}
    for other in store.find_overlapping(connection, invoice.site.property, invoice.days):
        twice = sorted(fees & {line.fee for line in other.invoice.lines})
        if other.state in _STANDING and twice:
            raise IllegalStep(
                f"{', '.join(twice)}: invoiced already for some of these days, by {other.invoice.number} "
                f"({other.state}): cancel that one first, or choose other days or fees"
            )


def _reverse(invoice: Invoice) -> Invoice:
    """Return the reversal's draft: the same in every respect, with minus quantities, naming the original (BG-3)."""
    if invoice.issued_on is None:
        raise ValueError("only what was issued can be reversed")
    return replace(
        invoice,
        kind=InvoiceKind.REVERSAL,
        lines=reverse_lines(invoice.lines),
        payment_days=0,
        number="",
        issued_on=None,
        due_on=None,
        reverses=Preceding(invoice.number, invoice.issued_on),
    )
