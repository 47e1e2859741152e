"""What is printed and exported of a run, and the operator's own invoices with their XML and PDF."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from portal.billing_door import encode_values
from portal.errors import NotThere
from portal.pages.billing_paths import ID, RUN, Reads, RowPart, Run, desk_of, sheet_of, today_of
from portal.rendering import language_of, render
from portal.services import services_of

router = APIRouter()
_AT_ONCE = 50
_PDF, _XML, _JSON = "application/pdf", "application/xml", "application/json"
InvoiceName = Annotated[str, Path(pattern=ID, max_length=64)]


@router.get(RUN + "/statements/{dwelling}/{party}.pdf")
def send_statement(request: Request, viewer: Reads, name: Run, dwelling: RowPart, party: RowPart) -> Response:
    """Send one party's statement; before the run is finalized it is marked provisional."""
    pdf = desk_of(request).print_statement(sheet_of(request, viewer, name), f"{dwelling}/{party}")
    return send(pdf, _PDF, f"statement-{dwelling}-{party}-r{name.revision}.pdf")


@router.get(RUN + "/overview.pdf")
def send_overview(request: Request, viewer: Reads, name: Run) -> Response:
    """Send the landlord's overview, in the language of the page."""
    pdf = desk_of(request).print_overview(sheet_of(request, viewer, name), language_of(request, viewer))
    return send(pdf, _PDF, f"overview-{name.property_id}-{name.first}-r{name.revision}.pdf")


@router.get(RUN + "/revision.json")
def send_document(request: Request, viewer: Reads, name: Run) -> Response:
    """Send the revision's own canonical bytes: their SHA-256 is printed on each statement."""
    document = sheet_of(request, viewer, name).view.document
    if document is None:
        raise NotThere("nothing is calculated yet")
    return send(
        encode_values(document), _JSON, f"revision-{name.property_id}-{name.first}-r{name.revision}.json"
    )


@router.get("/billing/invoices")
def list_invoices(
    request: Request,
    viewer: Reads,
    property: Annotated[str | None, Query(pattern=ID, max_length=64)] = None,
    before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
) -> Response:
    """Show the operator's invoices to landlords, newest first."""
    found = services_of(request).bills.invoices(property, before, _AT_ONCE + 1)
    shown = found[:_AT_ONCE]
    more = shown[-1].invoice_no if len(found) > _AT_ONCE else None
    values = {
        "invoices": shown,
        "more": more,
        "property_id": property,
        "today": today_of(request),
    }
    return render(request, viewer, "billing_invoices.html", values)


@router.get("/billing/invoices/{invoice}")
def show_invoice(request: Request, viewer: Reads, invoice: InvoiceName) -> Response:
    """Show one invoice: lines, sums, history."""
    stored = services_of(request).bills.invoice(invoice)
    return render(request, viewer, "billing_invoice.html", {"stored": stored, "invoice": stored.invoice})


@router.get("/billing/invoices/{invoice}/xrechnung.xml")
def send_invoice_xml(request: Request, _viewer: Reads, invoice: InvoiceName) -> Response:
    """Send the XRechnung as it was issued."""
    return send(services_of(request).bills.invoice_documents(invoice).xml, _XML, f"{invoice}.xml")


@router.get("/billing/invoices/{invoice}/zugferd.pdf")
def send_invoice_pdf(request: Request, _viewer: Reads, invoice: InvoiceName) -> Response:
    """Send the ZUGFeRD PDF as it was issued."""
    return send(services_of(request).bills.invoice_documents(invoice).pdf, _PDF, f"{invoice}.pdf")


def send(content: bytes, media_type: str, file_name: str) -> Response:
    """Return a file; PDFs open in the browser. Names hold only letters, digits, dots and dashes."""
    where = "inline" if media_type == _PDF else "attachment"
    return Response(
        content, media_type=media_type, headers={"Content-Disposition": f'{where}; filename="{file_name}"'}
    )
