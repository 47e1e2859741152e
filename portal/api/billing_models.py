"""What billing's part of the API answers: models over what the door hands out. Money is whole cents, volume whole
millilitres, exact shares are fractions; days are local days, half open (`end` isn't among them), instants UTC."""

from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from portal.billing_door import (
    Agreement,
    ChamberMetering,
    CostItem,
    DayRange,
    Deadlines,
    DwellingLine,
    EventRecord,
    Obstacle,
    PropertyLine,
    PropertyView,
    Review,
    RowView,
    RunLine,
    RunRecord,
    RunState,
    Sheet,
    StoredInvoice,
)
from portal.billing_door import Move as BilledMove


class _Model(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Run(_Model):
    """One revision of a property and period. `steps`: give it with each step that is meant for exactly this state."""

    name: str = Field(examples=["lindenhof/2025-01-01/1"])
    property_id: str
    period: DayRange
    revision: int
    state: RunState
    since: datetime
    steps: int
    superseded_by: int | None

    @classmethod
    def of(cls, run: RunRecord) -> "Run":
        """Return a run as it is."""
        return cls(**_fields(run))


class ListedRun(Run):
    """A run in a list. `open_reviews`: how many wait, of a draft."""

    deadlines: Deadlines
    open_reviews: int

    @classmethod
    def of_line(cls, line: RunLine) -> "ListedRun":
        """Return a line of a list."""
        return cls(**_fields(line.run), deadlines=line.deadlines, open_reviews=line.open_reviews)


class Runs(_Model):
    """A page of runs. `total`: how many there are in all."""

    items: list[ListedRun]
    total: int


class Property(_Model):
    """A housing estate that is billed as one."""

    property_id: str
    name: str
    street: str
    postcode: str
    city: str
    time_zone: str
    latest_run: ListedRun | None

    @classmethod
    def of(cls, line: PropertyLine) -> "Property":
        """Return a property of a list."""
        its = line.property
        return cls(
            property_id=its.property,
            name=its.name,
            street=its.street,
            postcode=its.postcode,
            city=its.city,
            time_zone=its.time_zone,
            latest_run=None if line.latest is None else ListedRun.of_line(line.latest),
        )


class Metering(_Model):
    """One chamber's registers against its pours in a period: pours in the ledger, lost, on their way, unexplained."""

    lock: str
    chamber: int
    fraction: str
    present: int
    lost: int
    buffered: int
    unexplained: int
    completeness_permille: int

    @classmethod
    def of(cls, metering: ChamberMetering) -> "Metering":
        """Return a chamber's figures."""
        return cls.model_validate(metering)


class PropertyDetail(_Model):
    """A property in one of its periods. `metering`: null while nothing was calculated."""

    property_id: str
    name: str
    periods: list[DayRange]
    period: DayRange | None
    agreement: Agreement | None
    costs: list[CostItem]
    runs: list[ListedRun]
    metering: list[Metering] | None
    dwellings: list[DwellingLine]
    all_dwellings: int

    @classmethod
    def of(cls, view: PropertyView, offset: int, limit: int) -> "PropertyDetail":
        """Return the view, of its dwellings a page."""
        return cls(
            property_id=view.property.property,
            name=view.property.name,
            periods=list(view.periods),
            period=view.period,
            agreement=view.agreement,
            costs=list(view.costs),
            runs=[ListedRun.of_line(line) for line in view.runs],
            metering=None if view.metering is None else [Metering.of(each) for each in view.metering],
            dwellings=list(view.dwellings[offset : offset + limit]),
            all_dwellings=len(view.dwellings),
        )


class Rows(_Model):
    """A page of rows. Of each: charged = base + usage + cap, balance = charged - advances; by fraction billed =
    max(metered + substitutes, minimum); by pool weight / all_weights × total_cents = exact, and the cents."""

    items: list[RowView]
    total: int


class Pour(_Model):
    """One billed pour: (lock, epoch, seq) names its record, `register_after` the chamber's. `at`: local time."""

    at: datetime
    lock: str
    chamber: int
    fraction: str
    volume_ml: int
    epoch: int
    seq: int
    register_after: int | None = Field(validation_alias="register")
    clock: str = Field(description="how far its time can be trusted")
    uncertainty_s: int
    degraded: bool
    jams: list[datetime]


class Pours(_Model):
    """A page of a row's pours. `volume_ml`: of all of them."""

    items: list[Pour]
    total: int
    volume_ml: int


class RunDetail(Run):
    """A run and all around it. total_cents = charged_cents, always. `possible`: what can happen next by the table."""

    sha256: str | None
    total_cents: int
    charged_cents: int
    advances_cents: int
    balance_cents: int
    rows: int
    possible: list[str]
    approved: bool
    deadlines: Deadlines
    obstacles: list[Obstacle]
    open_reviews: list[Review]
    events: list[EventRecord]

    @classmethod
    def of_sheet(cls, sheet: Sheet) -> "RunDetail":
        """Return a run's sheet; its rows are asked for by themselves."""
        view = sheet.view
        return cls(
            **_fields(sheet.record),
            sha256=view.sha256,
            total_cents=view.total_cents,
            charged_cents=view.charged_cents,
            advances_cents=sum(row.advances_cents for row in view.rows),
            balance_cents=sum(row.balance_cents for row in view.rows),
            rows=len(view.rows),
            possible=sorted(sheet.steps),
            approved=sheet.approved,
            deadlines=view.deadlines,
            obstacles=list(sheet.obstacles),
            open_reviews=list(sheet.waiting),
            events=list(view.events),
        )


class Move(_Model):
    """One row between two revisions. `moved`: cents of the balance, above zero: more to pay."""

    row: str
    charged_before: int
    charged_after: int
    balance_before: int
    balance_after: int
    moved: int
    causes: list[str]

    @classmethod
    def of(cls, move: BilledMove) -> "Move":
        """Return a row's move."""
        return cls(**asdict(move), moved=move.moved)


class Correction(_Model):
    """Whether a correction is due, and who would move; the greatest move first. Shares only shift: `sum_cents` is 0
    unless the costs themselves changed. `pending`: it is being counted, ask again."""

    pending: bool
    due: bool
    occasions: list[str]
    moves: list[Move]
    sum_cents: int


class Work(_Model):
    """What a step led to: the `run`, or a job that is still at it: ask `/billing/jobs/{job_id}` until it is `done`."""

    run: Run | None
    job_id: str | None
    state: str = Field(examples=["done"])
    done: int
    total: int


class Invoice(_Model):
    """The operator's own invoice to a landlord; XML and PDF at its number once it is issued."""

    invoice_no: int
    number: str
    state: str
    property_id: str
    buyer: str
    period: DayRange
    net_cents: int
    vat_cents: int
    gross_cents: int
    issued_on: date | None
    due_on: date | None
    reverses: str | None
    reversed_by: str | None

    @classmethod
    def of(cls, stored: StoredInvoice) -> "Invoice":
        """Return an invoice as it stands."""
        invoice = stored.invoice
        return cls(
            invoice_no=stored.invoice_no,
            number=invoice.number,
            state=stored.state,
            property_id=invoice.site.property,
            buyer=invoice.buyer.name,
            period=invoice.days,
            net_cents=invoice.totals.net_cents,
            vat_cents=invoice.totals.vat_cents,
            gross_cents=invoice.totals.gross_cents,
            issued_on=invoice.issued_on,
            due_on=invoice.due_on,
            reverses=None if invoice.reverses is None else invoice.reverses.number,
            reversed_by=stored.reversed_by,
        )


def _fields(run: RunRecord) -> dict[str, Any]:
    return {
        "name": str(run),
        "property_id": run.property,
        "period": run.period,
        "revision": run.revision,
        "state": run.state,
        "since": run.since,
        "steps": run.steps,
        "superseded_by": run.superseded_by,
    }
