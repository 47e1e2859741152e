"""Rows of invoices in billing's database: each function reads or adds within a transaction that its caller holds.

Numbers are taken where an invoice is issued, in the same transaction: what isn't committed took none, so a year's
numbers have no gap, whatever dies in between.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.engine import Connection

from billing_aggregator.errors import BillingError, NotFound
from billing_aggregator.invoice.model import Invoice, InvoiceKind
from billing_aggregator.invoice.states import InvoiceEvent, InvoiceState, advance
from billing_aggregator.invoice.tables import invoice_documents, invoice_events, invoice_numbers, invoices
from billing_aggregator.model import DayRange

_DRAFTED = "draft"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_JSON: TypeAdapter[Invoice] = TypeAdapter(Invoice)


class DocumentDamaged(BillingError):
    """Kept bytes don't have the hash of the day of issue: somebody or something changed the database."""


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody does, when and why. `on_day`: the operator's local day that it counts for."""

    at: datetime
    on_day: date
    actor: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of an invoice's life, the state that it led to, and whose deed it was."""

    event: str
    state: InvoiceState
    deed: Deed


@dataclass(frozen=True, slots=True)
class StoredInvoice:
    """An invoice as it stands. `reversed_by`: the number of its reversal."""

    invoice_no: int
    state: InvoiceState
    invoice: Invoice
    history: tuple[Happening, ...]
    reversed_by: str | None


@dataclass(frozen=True, slots=True)
class Documents:
    """What was sent. SHA-256 in hexadecimal, kept since the day of issue."""

    xml: bytes
    xml_sha256: str
    pdf: bytes
    pdf_sha256: str


def add_draft(connection: Connection, invoice: Invoice, reverses_no: int | None = None) -> int:
    """Keep a draft and return its number in the list of drafts, which isn't the invoice's number."""
    newest = connection.execute(sa.select(sa.func.max(invoices.c.invoice_no))).scalar()
    invoice_no = (newest or 0) + 1
    row = {
        "invoice_no": invoice_no,
        "property": invoice.site.property,
        "first_day": invoice.days.first.isoformat(),
        "end_day": (invoice.days.end or date.max).isoformat(),
        "reverses_no": reverses_no,
        "draft": _JSON.dump_json(invoice).decode(),
    }
    connection.execute(invoices.insert(), row)
    return invoice_no


def add_event(connection: Connection, invoice_no: int, event: InvoiceEvent | None, deed: Deed) -> None:
    """Add what happened, or raise IllegalStep. `event` None: it was drafted."""
    history = read_history(connection, invoice_no)
    state = InvoiceState.DRAFT if event is None else advance(history[-1].state, event)
    row = {
        "invoice_no": invoice_no,
        "step": len(history) + 1,
        "event": _DRAFTED if event is None else event.value,
        "state": state.value,
        "at_ms": (deed.at - _EPOCH) // timedelta(milliseconds=1),
        "actor": deed.actor,
        "reason": deed.reason,
        "on_day": deed.on_day.isoformat(),
    }
    connection.execute(invoice_events.insert(), row)


def take_number(connection: Connection, invoice_no: int, prefix: str, year: int) -> str:
    """Take the year's next number, as `R-2026-0001`. It is this invoice's only once the transaction is committed."""
    taken = sa.select(sa.func.max(invoice_numbers.c.sequence)).where(invoice_numbers.c.year == year)
    sequence = (connection.execute(taken).scalar() or 0) + 1
    number = f"{prefix}-{year}-{sequence:04}"
    row = {"year": year, "sequence": sequence, "number": number, "invoice_no": invoice_no}
    connection.execute(invoice_numbers.insert(), row)
    return number


def add_documents(connection: Connection, invoice_no: int, invoice: Invoice, xml: bytes, pdf: bytes) -> None:
    """Keep what is sent, with its hashes, for good."""
    row = {
        "invoice_no": invoice_no,
        "document": _JSON.dump_json(invoice).decode(),
        "xml": xml,
        "xml_sha256": sha256(xml).hexdigest(),
        "pdf": pdf,
        "pdf_sha256": sha256(pdf).hexdigest(),
    }
    connection.execute(invoice_documents.insert(), row)


def read_documents(connection: Connection, invoice_no: int) -> Documents | None:
    """Return what was sent, None before an invoice was issued."""
    query = sa.select(invoice_documents).where(invoice_documents.c.invoice_no == invoice_no)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    for content, kept in ((bytes(row.xml), row.xml_sha256), (bytes(row.pdf), row.pdf_sha256)):
        if sha256(content).hexdigest() != kept:
            raise DocumentDamaged(
                f"invoice {invoice_no}: its bytes aren't those that were issued ({kept}): take them from a backup"
            )
    return Documents(bytes(row.xml), row.xml_sha256, bytes(row.pdf), row.pdf_sha256)


def read_history(connection: Connection, invoice_no: int) -> tuple[Happening, ...]:
    """Return what happened to an invoice, in order."""
    query = (
        sa.select(invoice_events)
        .where(invoice_events.c.invoice_no == invoice_no)
        .order_by(invoice_events.c.step)
    )
    return tuple(
        Happening(row.event, InvoiceState(row.state), _read_deed(row)) for row in connection.execute(query)
    )


def _read_deed(row: sa.Row[Any]) -> Deed:
    at = _EPOCH + timedelta(milliseconds=row.at_ms)
    return Deed(at, date.fromisoformat(row.on_day), row.actor, row.reason)


def read_invoice(connection: Connection, invoice_no: int) -> StoredInvoice:
    """Return one invoice: as it was issued, or its draft."""
    query = (
        sa.select(invoices.c.draft, invoice_documents.c.document)
        .join(invoice_documents, invoice_documents.c.invoice_no == invoices.c.invoice_no, isouter=True)
        .where(invoices.c.invoice_no == invoice_no)
    )
    row = connection.execute(query).one()
    history = read_history(connection, invoice_no)
    reversal = (
        sa.select(invoice_numbers.c.number)
        .join(invoices, invoices.c.invoice_no == invoice_numbers.c.invoice_no)
        .where(invoices.c.reverses_no == invoice_no)
    )
    return StoredInvoice(
        invoice_no,
        history[-1].state,
        _JSON.validate_json(row.document or row.draft),
        history,
        connection.execute(reversal).scalar(),
    )


def find_invoice(connection: Connection, name: str) -> int:
    """Return the invoice that people call by its number (`R-2026-0001`) or, a draft, by its place in the list (`7`)."""
    query = sa.select(invoice_numbers.c.invoice_no).where(invoice_numbers.c.number == name)
    if name.isascii() and name.isdigit():
        query = sa.select(invoices.c.invoice_no).where(invoices.c.invoice_no == min(int(name), 2**62))
    found = connection.execute(query).scalar()
    if found is None:
        raise NotFound(f"there is no invoice {name}: `billing-aggregator invoice list` shows all")
    return int(found)


def list_invoices(connection: Connection, name: str | None = None) -> Iterator[StoredInvoice]:
    """Yield all invoices of a property, or of all, in the order in which they were drafted."""
    query = sa.select(invoices.c.invoice_no).order_by(invoices.c.invoice_no)
    if name is not None:
        query = query.where(invoices.c.property == name)
    for invoice_no in connection.execute(query).scalars().all():
        yield read_invoice(connection, invoice_no)


def list_newest(
    connection: Connection, name: str | None, before: int | None, limit: int
) -> Iterator[StoredInvoice]:
    """Yield invoices from the newest on, or from before a place in the list; of one property only if named."""
    query = sa.select(invoices.c.invoice_no).order_by(invoices.c.invoice_no.desc()).limit(limit)
    if name is not None:
        query = query.where(invoices.c.property == name)
    if before is not None:
        query = query.where(invoices.c.invoice_no < before)
    for invoice_no in connection.execute(query).scalars().all():
        yield read_invoice(connection, invoice_no)


def find_overlapping(connection: Connection, name: str, days: DayRange) -> Iterator[StoredInvoice]:
    """Yield the invoices of a property, not reversals, that are for any of these days."""
    query = (
        sa.select(invoices.c.invoice_no)
        .where(invoices.c.property == name, invoices.c.reverses_no.is_(None))
        .where(
            invoices.c.first_day < (days.end or date.max).isoformat(),
            days.first.isoformat() < invoices.c.end_day,
        )
        .order_by(invoices.c.invoice_no)
    )
    for invoice_no in connection.execute(query).scalars().all():
        stored = read_invoice(connection, invoice_no)
        if stored.invoice.kind is InvoiceKind.INVOICE:
            yield stored
