"""`billing-aggregator invoice …`: drafts, issues, cancels and hands out the operator's own invoices."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from billing_aggregator.commands.terminal import (
    ActorOption,
    ConfigOption,
    JsonOption,
    ReasonOption,
    name_actor,
    opened,
    parse_day,
    print_json,
    print_table,
    say,
)
from billing_aggregator.invoice.book import InvoiceBook
from billing_aggregator.invoice.drafting import draft_invoice
from billing_aggregator.invoice.model import Invoice
from billing_aggregator.invoice.settings import InvoiceSettings
from billing_aggregator.invoice.states import InvoiceState
from billing_aggregator.invoice.store import StoredInvoice
from billing_aggregator.invoice.wording import wording_of
from billing_aggregator.model import DayRange
from billing_aggregator.runs.books import Books

app = typer.Typer(
    no_args_is_help=True,
    help="The operator's own invoices to landlords: XRechnung and ZUGFeRD.\n\n"
    "Example: billing-aggregator invoice list --config billing-aggregator.toml",
)
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Its number, or a draft's place in the list.")
]
_WORDS = wording_of("en")


@contextmanager
def _opened(config: Path) -> Iterator[tuple[Books, InvoiceBook]]:
    with opened(config) as books:
        yield books, InvoiceBook(books.database, books.config.operator, books.now)


@app.command()
def draft(
    config: ConfigOption,
    name: Annotated[str, typer.Argument(metavar="PROPERTY", help="Whose fees to invoice.")],
    first_day: Annotated[str, typer.Option(help="First day of the service: 2026-01-01.")],
    last_day: Annotated[str, typer.Option(help="Last day of the service: 2026-12-31.")],
    fee: Annotated[list[str] | None, typer.Option(help="Only this fee; may be given more than once.")] = None,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draft an invoice: the fees of the configuration, counted by the master data.

    Example: billing-aggregator invoice draft elbhof --first-day 2026-01-01 --last-day 2026-12-31 --config billing.toml
    """
    days = _parse_days(first_day, last_day)
    with _opened(config) as (books, book):
        settings = InvoiceSettings(
            operator=books.config.operator, fees=books.config.fees, customers=books.config.customers
        )
        invoice = draft_invoice(books.masterdata.snapshot(name), days, settings, fee or ())
        _print_one(book.show(str(book.draft(invoice, name_actor(actor)))), as_json)


@app.command("list")
def list_command(
    config: ConfigOption,
    name: Annotated[str | None, typer.Option("--property", help="Only this property's.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List invoices, drafts and reversals.

    Example: billing-aggregator invoice list --property elbhof --config billing.toml
    """
    with _opened(config) as (books, book):
        found = book.list_all(name)
        if as_json:
            print_json([_describe(it) for it in found])
            return
        rows = [_row(it, books.now().date()) for it in found]
        print_table("Invoices", ("", "number", "state", "property", "days", "gross", "due"), rows, "lllllr")


@app.command()
def show(config: ConfigOption, name: NameArgument, as_json: JsonOption = False) -> None:
    """Show one invoice with its lines, sums and history.

    Example: billing-aggregator invoice show R-2026-0001 --config billing.toml
    """
    with _opened(config) as (_, book):
        _print_one(book.show(name), as_json)


@app.command()
def issue(
    config: ConfigOption, name: NameArgument, actor: ActorOption = None, as_json: JsonOption = False
) -> None:
    """Give a draft its number and date; its XML is judged by the official rules, and what is sent is kept for good.

    Example: billing-aggregator invoice issue 7 --config billing.toml
    """
    with _opened(config) as (_, book):
        _print_one(book.issue(name, name_actor(actor)), as_json)


@app.command()
def pay(
    config: ConfigOption,
    name: NameArgument,
    on: Annotated[str, typer.Option(help="The day on which the money came: 2026-02-11.")],
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Note that an invoice was paid.

    Example: billing-aggregator invoice pay R-2026-0001 --on 2026-12-01 --config billing.toml
    """
    with _opened(config) as (_, book):
        _print_one(book.pay(name, _parse_day(on, "--on"), name_actor(actor)), as_json)


@app.command()
def cancel(
    config: ConfigOption,
    name: NameArgument,
    reason: ReasonOption,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel an issued invoice: a reversal with a number of its own is issued with it.

    Example: billing-aggregator invoice cancel R-2026-0001 --reason "wrong price" --config billing.toml
    """
    with _opened(config) as (_, book):
        _print_one(book.cancel(name, name_actor(actor), reason), as_json)


@app.command()
def export(
    config: ConfigOption,
    name: NameArgument,
    out: Annotated[Path, typer.Option(help="The directory to write to; it is made if it isn't there.")],
    as_json: JsonOption = False,
) -> None:
    """Write an issued invoice as files: NUMBER.xml (XRechnung) and NUMBER.pdf (ZUGFeRD), as they were issued.

    Example: billing-aggregator invoice export R-2026-0001 --out outbox --config billing.toml
    """
    with _opened(config) as (_, book):
        documents, number = book.documents(name), book.show(name).invoice.number
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for suffix, content, digest in (
        ("xml", documents.xml, documents.xml_sha256),
        ("pdf", documents.pdf, documents.pdf_sha256),
    ):
        path = out / f"{number}.{suffix}"
        path.write_bytes(content)
        written.append({"path": str(path), "bytes": len(content), "sha256": digest})
    if as_json:
        print_json(written)
        return
    for each in written:
        say(f"{each['path']}: {each['bytes']} bytes, SHA-256 {each['sha256']}")


def _parse_days(first: str, last: str) -> DayRange:
    days = DayRange(_parse_day(first, "--first-day"), _parse_day(last, "--last-day") + timedelta(days=1))
    if days.days < 1:
        raise typer.BadParameter("--last-day is before --first-day")
    return days


def _parse_day(text: str, option: str) -> date:
    day = parse_day(text, option)
    if day is None:
        raise typer.BadParameter(f"{option} is missing")
    return day


def _print_one(stored: StoredInvoice, as_json: bool) -> None:
    if as_json:
        print_json(_describe(stored))
        return
    invoice = stored.invoice
    called = invoice.number or f"draft {stored.invoice_no}"
    title = f"{_WORDS.title(invoice)} {called} for {invoice.buyer.name}: {stored.state}"
    lines = [
        (line.name, _WORDS.number(line.quantity, 10_000), _WORDS.money(line.price_cents), _WORDS.rate(line.rate_bp),
         _WORDS.money(line.net_cents))
        for line in invoice.lines
    ]  # fmt: skip
    print_table(title, ("service", "quantity", "price", "VAT", "net"), lines, "lrrrr")
    for part in invoice.vat_sums:
        say(f"{_WORDS.vat(part)}: {_WORDS.money(part.vat_cents)}")
    say(f"total {_WORDS.money(invoice.totals.gross_cents)}; {_WORDS.days(invoice)}")
    for event in stored.history:
        said = f": {event.deed.reason}" if event.deed.reason else ""
        say(f"{event.deed.on_day} {event.event} by {event.deed.actor}{said}")
    if stored.reversed_by:
        say(f"reversed by {stored.reversed_by}")


def _row(stored: StoredInvoice, today: date) -> tuple[object, ...]:
    invoice = stored.invoice
    late = (
        stored.state is InvoiceState.ISSUED and invoice.reverses is None and (invoice.due_on or today) < today
    )
    return (
        stored.invoice_no,
        invoice.number,
        f"{stored.state}, overdue" if late else stored.state,
        invoice.site.property,
        f"{invoice.days.first} to {(invoice.days.end or invoice.days.first) - timedelta(days=1)}",
        _WORDS.money(invoice.totals.gross_cents),
        invoice.due_on or "",
    )


def _describe(stored: StoredInvoice) -> dict[str, Any]:
    """Return an invoice as plain values, with the sums that it computes."""
    invoice: Invoice = stored.invoice
    return {
        "invoice_no": stored.invoice_no,
        "state": stored.state,
        "reversed_by": stored.reversed_by,
        "invoice": invoice,
        "net_cents": [line.net_cents for line in invoice.lines],
        "vat_sums": invoice.vat_sums,
        "totals": invoice.totals,
        "history": stored.history,
    }
