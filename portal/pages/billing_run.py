"""One run: its rows and figures, what a person has to decide, its history, its correction; and each row down to its
pours."""

from datetime import date

from fastapi import APIRouter, Request
from starlette.responses import Response

from portal.billing_door import CAP_ROW, UNATTRIBUTED_ROW, Review, RowView, Sheet
from portal.errors import NotThere, PortalError
from portal.pages.billing_paths import (
    RUN,
    STATE_TONES,
    Offset,
    Reads,
    RowPart,
    Run,
    Text,
    desk_of,
    href,
    sheet_of,
    tell_failure,
)
from portal.rendering import is_fragment, render
from portal.roles import Permission, Viewer

router = APIRouter()
_ROWS = 50
_POURS = 50
_REVIEWS = 50


@router.get(RUN)
def show_run(request: Request, viewer: Reads, name: Run, offset: Offset = 0, q: Text = "") -> Response:
    """Show a run: where it stands, what can be done, its figures and rows."""
    sheet = sheet_of(request, viewer, name)
    rows = [
        row for row in sheet.view.rows if q.casefold() in f"{row.row} {sheet.party_of(row.row)}".casefold()
    ]
    values = {
        **_about(sheet, viewer),
        "rows": rows[offset : offset + _ROWS],
        "found": len(rows),
        "offset": offset,
        "step": _ROWS,
        "q": q,
        "balance_cents": sum(row.balance_cents for row in sheet.view.rows),
        "advances_cents": sum(row.advances_cents for row in sheet.view.rows),
    }
    template = "billing_run_rows.html" if is_fragment(request) else "billing_run.html"
    return render(request, viewer, template, values)


@router.get(RUN + "/reviews")
def show_reviews(request: Request, viewer: Reads, name: Run, offset: Offset = 0) -> Response:
    """Show what waits for a decision, what shares a cause together, and what was decided."""
    sheet = sheet_of(request, viewer, name)
    groups = _grouped(sheet.waiting)
    values = {**_about(sheet, viewer), "groups": groups[offset : offset + _REVIEWS], "all_groups": len(groups),
              "offset": offset, "step": _REVIEWS}  # fmt: skip
    return render(request, viewer, "billing_run_reviews.html", values)


@router.get(RUN + "/history")
def show_history(request: Request, viewer: Reads, name: Run) -> Response:
    """Show who did what when and why, what the run is calculated from, deadlines and receipts."""
    values = {**_about(sheet_of(request, viewer, name), viewer), "day_of": date.fromisoformat}
    return render(request, viewer, "billing_run_history.html", values)


@router.get(RUN + "/replay")
def show_replay(request: Request, viewer: Reads, name: Run) -> Response:
    """A part of the history's page: calculate the run again and say whether the bytes are the same."""
    sheet = sheet_of(request, viewer, name)
    try:
        looked = desk_of(request).replay(sheet)
    except PortalError as error:
        return tell_failure(request, viewer, error)
    values = {"name": sheet.name, "href": href(sheet.name), "looked": looked}
    return render(request, viewer, "billing_run_replay.html", values)


@router.get(RUN + "/correction")
def show_correction(request: Request, viewer: Reads, name: Run) -> Response:
    """Show whether a correction is due, and who would move by how much."""
    sheet = sheet_of(request, viewer, name)
    values = _about(sheet, viewer)
    if not is_fragment(request):
        return render(request, viewer, "billing_run_correction.html", values)
    desk = desk_of(request)
    try:
        proposal = desk.proposal(sheet)
        preview = desk.preview(sheet) if proposal.value is not None else None
    except PortalError as error:
        return tell_failure(request, viewer, error)
    moves = preview.value[0] if preview is not None and preview.value is not None else ()
    values |= {
        "ready": preview is not None and preview.value is not None,
        "proposal": proposal.value[0] if proposal.value is not None else None,
        "moves": sorted(moves, key=lambda move: (-abs(move.moved), move.row)),
        "sum_cents": sum(move.charged_after - move.charged_before for move in moves),
    }
    return render(request, viewer, "billing_run_moves.html", values)


@router.get(RUN + "/rows/{dwelling}/{party}")
def show_row(
    request: Request,
    viewer: Reads,
    name: Run,
    dwelling: RowPart,
    party: RowPart,
    offset: Offset = 0,
) -> Response:
    """Show how one row's amount comes about, down to each pour."""
    sheet = sheet_of(request, viewer, name)
    row = _find_row(sheet, f"{dwelling}/{party}")
    named = row.row not in (CAP_ROW, UNATTRIBUTED_ROW)
    sources = desk_of(request).sources(sheet, row.row) if named else None
    pours = sources.pours.get(row.row, ()) if sources is not None else ()
    document = sheet.view.document
    values = {
        **_about(sheet, viewer),
        "row": row,
        "named": named,
        "person": sheet.party_of(row.row) if named else "",
        "label": sheet.names.dwellings.get(dwelling, ""),
        "payments": [] if document is None else [each for each in document.payments if each.row == row.row],
        "cap": None
        if document is None
        else next((each for each in document.caps if each.row == row.row), None),
        "pours": pours[offset : offset + _POURS],
        "all_pours": len(pours),
        "pours_ml": sum(pour.volume_ml for pour in pours),
        "offset": offset,
        "step": _POURS,
    }
    return render(request, viewer, "billing_row.html", values)


def _about(sheet: Sheet, viewer: Viewer) -> dict[str, object]:
    """What all of a run's pages show."""
    document = sheet.view.document
    return {
        "sheet": sheet,
        "view": sheet.view,
        "document": document,
        "href": href(sheet.name),
        "tones": STATE_TONES,
        "row_count": len(sheet.view.rows),
        "writes": viewer.may(Permission.BILLING_WRITE),
        "undecided": len(sheet.waiting),
        "special": {CAP_ROW, UNATTRIBUTED_ROW},
    }


def _find_row(sheet: Sheet, wanted: str) -> RowView:
    for row in sheet.view.rows:
        if row.row == wanted:
            return row
    raise NotThere(f"run {sheet.name} has no row {wanted}")


def _grouped(reviews: tuple[Review, ...]) -> list[tuple[str, list[Review]]]:
    """Return reviews by what they share: a group of one is that review itself."""
    groups: dict[str, list[Review]] = {}
    for review in reviews:
        groups.setdefault(review.group or review.review, []).append(review)
    return list(groups.items())
