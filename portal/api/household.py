"""A household's own data for programs and its page's live stream: by its session, never by what a request names."""

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from portal.access import require_household
from portal.errors import NotThere, Unavailable
from portal.household_now import is_own, look_ahead, look_now, own_of, row_of
from portal.live import Audience
from portal.roles import Household, Viewer
from portal.services import services_of
from portal.streaming import LiveResponse, open_stream

router = APIRouter(prefix="/household", tags=["household"])
Lives = Annotated[Viewer, Depends(require_household)]
_WAIT_S = 5.0


class _Model(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class OwnPour(_Model):
    """One billed pour of the household. `at`: local time with its offset. Volume in millilitres."""

    at: datetime
    lock: str
    chamber: int
    fraction: str = Field(examples=["residual"])
    volume_ml: int
    epoch: int
    seq: int
    clock: str = Field(description="how far its time can be trusted")
    uncertainty_s: int


class OwnMonth(_Model):
    """One month in one fraction, in millilitres."""

    month: str = Field(examples=["2026-11"])
    fraction: str
    days: int = Field(description="the household's own days in it")
    own_ml: int
    others_ml: int | None = Field(
        description="the others' average in as many days, in whole litres; null where they are fewer than five"
    )
    before_ml: int | None = Field(description="its own a year before; null where that isn't known")


class Band(_Model):
    """A share in cents: likely, and within what bounds."""

    likely_cents: int
    low_cents: int
    high_cents: int


class OwnStanding(_Model):
    """The current period up to `as_of`; at most ten minutes old."""

    as_of: date
    first: date
    last: date
    band: Band | None = Field(description="null while no costs are known")
    base_cents: int
    usage_cents: int
    advances_cents: int
    months: list[OwnMonth]


class OwnStatement(_Model):
    """A statement that was sent; its PDF is at `/household/statements/{first}/{revision}.pdf`."""

    first: date
    last: date
    revision: int
    sent_on: date
    received_on: date | None
    objections_until: date
    balance_cents: int
    superseded_by: int | None


class OwnHousehold(_Model):
    """Whose data this is."""

    row: str
    property_name: str
    dwelling_label: str
    lives_here: bool
    standing: OwnStanding | None = Field(description="null while it is being counted, or without a period")
    pending: bool = Field(description="the standing is being counted: ask again in some seconds")


@router.get("")
def read_household(request: Request, viewer: Lives) -> OwnHousehold:
    """Return who the household is and how its current period stands."""
    services, household = services_of(request), _household(viewer)
    own = own_of(services.desk, household)
    standing, pending = look_ahead(services.desk, household, _WAIT_S)
    found = None
    if standing is not None:
        first, end = standing.period.first, standing.period.end
        found = OwnStanding(
            as_of=standing.as_of,
            first=first,
            last=_last(end, standing.as_of),
            band=None if standing.band is None else Band.model_validate(standing.band),
            base_cents=standing.base_cents,
            usage_cents=standing.usage_cents,
            advances_cents=standing.advances_cents,
            months=[OwnMonth.model_validate(month) for month in standing.months],
        )
    today = services.clock().astimezone(own.zone).date()
    return OwnHousehold(
        row=own.row,
        property_name=own.property_name,
        dwelling_label=own.dwelling_label,
        lives_here=own.lives_on(today),
        standing=found,
        pending=pending,
    )


@router.get("/pours")
def list_pours(request: Request, viewer: Lives) -> list[OwnPour]:
    """Return the household's own pours of the last 31 days, the latest first."""
    services = services_of(request)
    now = look_now(services.desk, _household(viewer), services.clock(), 0)
    return [OwnPour.model_validate(pour) for pour in now.pours]


@router.get("/statements")
def list_statements(request: Request, viewer: Lives) -> list[OwnStatement]:
    """Return the statements that the household was sent, the latest first."""
    household = _household(viewer)
    found = services_of(request).bills.delivered(household.property_id, row_of(household))
    return [
        OwnStatement(
            first=each.period.first,
            last=_last(each.period.end, each.sent_on),
            revision=each.revision,
            sent_on=each.sent_on,
            received_on=each.received_on,
            objections_until=each.objections_until,
            balance_cents=each.balance_cents,
            superseded_by=each.superseded_by,
        )
        for each in found
    ]


@router.get("/live", response_class=LiveResponse)
def follow_own(request: Request, viewer: Lives) -> LiveResponse:
    """Server-sent events `record`: the household's own pours as they are committed, and nobody else's."""
    desk, household = services_of(request).desk, _household(viewer)
    own_of(desk, household)  # known before the first event: the stream itself never waits

    def still() -> bool:
        """Also keeps what is the household's own from growing old while nothing happens."""
        try:
            own_of(desk, household)
        except NotThere:
            return False
        except Unavailable:
            return True
        return True

    return open_stream(request, viewer, Audience(lambda event: is_own(desk, household, event)), still)


def _household(viewer: Viewer) -> Household:
    assert viewer.household is not None, "require_household lets in nobody else"
    return viewer.household


def _last(end: date | None, otherwise: date) -> date:
    return otherwise if end is None else date.fromordinal(end.toordinal() - 1)
