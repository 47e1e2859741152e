"""Bills for programs: properties, runs down to each pour, documents, invoices. Paged, and only read."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from portal.access import require
from portal.api.billing_models import (
    Correction,
    Invoice,
    Move,
    Pour,
    Pours,
    Property,
    PropertyDetail,
    Rows,
    RunDetail,
    Runs,
)
from portal.api.billing_models import ListedRun as Listed
from portal.billing_door import RunName, RunState, Sheet, encode_values
from portal.errors import NotThere
from portal.pages.billing_papers import send
from portal.paging import Page, cut
from portal.rendering import language_of
from portal.roles import Permission, Viewer
from portal.services import services_of

router = APIRouter(prefix="/billing", tags=["billing"])
Reads = Annotated[Viewer, Depends(require(Permission.BILLING_READ))]
ID = r"^[A-Za-z0-9._-]+$"
PropertyId = Annotated[str, Path(pattern=ID, max_length=64, examples=["lindenhof"])]
RowPart = Annotated[str, Path(pattern=ID, max_length=64)]
Offset = Annotated[int, Query(ge=0, le=10_000_000)]
Limit = Annotated[int, Query(ge=1, le=500)]
RUN = "/runs/{property_id}/{first}/{revision}"
_PDF: dict[int | str, dict[str, object]] = {
    200: {"content": {"application/pdf": {}}, "description": "the PDF"}
}


def name_run(
    property_id: PropertyId,
    first: Annotated[date, Path(description="first day of the period")],
    revision: Annotated[int, Path(ge=1, le=10_000)],
) -> RunName:
    """Return the run that an address names."""
    return RunName(property_id, first, revision)


Run = Annotated[RunName, Depends(name_run)]


@router.get("/properties", summary="Properties, page by page")
def list_properties(
    request: Request,
    _viewer: Reads,
    text: Annotated[str, Query(max_length=200, description="in id, name or address")] = "",
    after: Annotated[str, Query(max_length=64, description="the last page's `next`")] = "",
    limit: Limit = 100,
) -> Page[Property]:
    """By id, each with where its latest run stands."""
    lines = services_of(request).bills.find_properties(text, after, limit + 1)
    return cut([Property.of(line) for line in lines], limit, lambda each: each.property_id)


@router.get("/properties/{property_id}", summary="One property in one of its periods")
def read_property(
    request: Request,
    _viewer: Reads,
    property_id: PropertyId,
    period: Annotated[date | None, Query(description="its first day; else the last that has a run")] = None,
    offset: Offset = 0,
    limit: Limit = 100,
) -> PropertyDetail:
    """Agreement, costs, runs, completeness of metering, and a page of its dwellings."""
    return PropertyDetail.of(services_of(request).bills.property_view(property_id, period), offset, limit)


@router.get("/runs", summary="Runs, those that changed last first")
def list_runs(
    request: Request,
    _viewer: Reads,
    property_id: Annotated[str | None, Query(pattern=ID, max_length=64)] = None,
    state: Annotated[list[RunState] | None, Query(max_length=len(RunState))] = None,
    offset: Offset = 0,
    limit: Limit = 100,
) -> Runs:
    """Of one property, or in some states, if named."""
    bills = services_of(request).bills
    lines, total = bills.list_runs(property_id, frozenset(state or ()), offset, limit)
    return Runs(items=[Listed.of_line(line) for line in lines], total=total)


@router.get(RUN, summary="One run")
def read_run(request: Request, viewer: Reads, name: Run) -> RunDetail:
    """Where it stands, its sums, what a person has to decide, what happened to it."""
    return RunDetail.of_sheet(_sheet(request, viewer, name))


@router.get(RUN + "/rows", summary="A run's rows")
def list_rows(request: Request, viewer: Reads, name: Run, offset: Offset = 0, limit: Limit = 100) -> Rows:
    """How each amount comes about: volumes, weights, exact shares, cents."""
    rows = _sheet(request, viewer, name).view.rows
    return Rows(items=list(rows[offset : offset + limit]), total=len(rows))


@router.get(RUN + "/rows/{dwelling}/{party}/pours", summary="A row's pours")
def list_pours(
    request: Request,
    viewer: Reads,
    name: Run,
    dwelling: RowPart,
    party: RowPart,
    offset: Offset = 0,
    limit: Limit = 100,
) -> Pours:
    """Each pour that was billed, with the record that proves it."""
    sheet = _sheet(request, viewer, name)
    row = f"{dwelling}/{party}"
    if row not in {each.row for each in sheet.view.rows}:
        raise NotThere(f"run {name} has no row {row}")
    pours = services_of(request).desk.sources(sheet, row).pours.get(row, ())
    return Pours(
        items=[Pour.model_validate(pour) for pour in pours[offset : offset + limit]],
        total=len(pours),
        volume_ml=sum(pour.volume_ml for pour in pours),
    )


@router.get(RUN + "/document", summary="The revision's own bytes")
def read_document(request: Request, viewer: Reads, name: Run) -> Response:
    """Canonical JSON: its SHA-256 is the one on each statement, and anybody can recompute it."""
    document = _sheet(request, viewer, name).view.document
    if document is None:
        raise NotThere("nothing is calculated yet")
    return Response(encode_values(document), media_type="application/json")


@router.get(RUN + "/correction", summary="Who would move by a correction now")
def read_correction(request: Request, viewer: Reads, name: Run) -> Correction:
    """Counts the ledger's single entries again; nothing is begun. Answers at once with `pending` if that takes long."""
    desk, sheet = services_of(request).desk, _sheet(request, viewer, name)
    proposal, preview = desk.proposal(sheet), desk.preview(sheet)
    if proposal.value is None or preview.value is None:
        return Correction(pending=True, due=False, occasions=[], moves=[], sum_cents=0)
    found, moves = proposal.value[0], preview.value[0]
    ordered = sorted(moves, key=lambda move: (-abs(move.moved), move.row))
    return Correction(
        pending=False,
        due=found is not None,
        occasions=[] if found is None else list(found.occasions),
        moves=[Move.of(move) for move in ordered],
        sum_cents=sum(move.charged_after - move.charged_before for move in moves),
    )


@router.get(RUN + "/statements/{dwelling}/{party}", summary="A statement as PDF", responses=_PDF)
def read_statement(request: Request, viewer: Reads, name: Run, dwelling: RowPart, party: RowPart) -> Response:
    """Before the run is finalized it is marked provisional."""
    pdf = services_of(request).desk.print_statement(_sheet(request, viewer, name), f"{dwelling}/{party}")
    return send(pdf, "application/pdf", f"statement-{dwelling}-{party}-r{name.revision}.pdf")


@router.get(RUN + "/overview", summary="The landlord's overview as PDF", responses=_PDF)
def read_overview(request: Request, viewer: Reads, name: Run) -> Response:
    """All rows, costs, registers, reviews and decisions; in the language that is asked for (Accept-Language)."""
    pdf = services_of(request).desk.print_overview(
        _sheet(request, viewer, name), language_of(request, viewer)
    )
    return send(pdf, "application/pdf", f"overview-{name.property_id}-{name.first}-r{name.revision}.pdf")


@router.get("/invoices", summary="The operator's own invoices, newest first")
def list_invoices(
    request: Request,
    _viewer: Reads,
    property_id: Annotated[str | None, Query(pattern=ID, max_length=64)] = None,
    before: Annotated[int | None, Query(ge=1, le=2**53, description="the last page's `next`")] = None,
    limit: Limit = 100,
) -> Page[Invoice]:
    """Drafts, invoices and reversals."""
    found = services_of(request).bills.invoices(property_id, before, limit + 1)
    return cut([Invoice.of(stored) for stored in found], limit, lambda each: str(each.invoice_no))


@router.get("/invoices/{number}/{kind}", summary="An issued invoice as XML or PDF")
def read_invoice_document(
    request: Request,
    _viewer: Reads,
    number: Annotated[str, Path(pattern=ID, max_length=64)],
    kind: Annotated[str, Path(pattern="^(xrechnung|zugferd)$")],
) -> Response:
    """The bytes that were issued: `xrechnung` (XML) or `zugferd` (PDF/A-3 with the XML in it)."""
    documents = services_of(request).bills.invoice_documents(number)
    if kind == "xrechnung":
        return send(documents.xml, "application/xml", f"{number}.xml")
    return send(documents.pdf, "application/pdf", f"{number}.pdf")


def _sheet(request: Request, viewer: Viewer, name: RunName) -> Sheet:
    return services_of(request).bills.sheet(name, viewer.name)
