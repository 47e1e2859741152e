"""What one household sees, put together: its own pours as they are in the ledger now, this month beside the others'
average, what the period will cost. All of it goes by the household's own link, never by what a request names.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from portal.billing_desk import BillingDesk
from portal.billing_door import DayRange, HouseholdStanding, OwnPour
from portal.billing_door import Household as Own
from portal.errors import NotThere, Refused
from portal.live import LiveEvent
from portal.roles import Household

SHOWN_DAYS = 31


@dataclass(frozen=True, slots=True)
class MonthNow:
    """One fraction this month, ml. `others_ml`: the others' average in as many days; None if too few, or unknown."""

    fraction: str
    own_ml: int
    others_ml: int | None


@dataclass(frozen=True, slots=True)
class Now:
    """`pours`: of the last 31 days, or of the last ones that were the household's; the latest first.

    `pending`: what the others threw is still being counted. `lives_here`: False once the household's days are over.
    """

    own: Own
    pours: tuple[OwnPour, ...]
    month: tuple[MonthNow, ...]
    standing: HouseholdStanding | None
    pending: bool
    lives_here: bool


def own_of(desk: BillingDesk, household: Household) -> Own:
    """Return the household that a link opens, by the master data."""
    return desk.household(household.property_id, row_of(household), days_of(household))


def row_of(household: Household) -> str:
    """Return a link's row of the bill."""
    return f"{household.dwelling}/{household.party}"


def days_of(household: Household) -> DayRange:
    """Return a link's days."""
    end = None if household.until is None else household.until + timedelta(days=1)
    return DayRange(household.since, end)


def look_now(desk: BillingDesk, household: Household, at: datetime, wait_s: float) -> Now:
    """Return what a household sees at an instant; waits so long, and no longer, for what takes time to count."""
    own = own_of(desk, household)
    today = at.astimezone(own.zone).date()
    last = min(today, _last_day(own) or today)
    first = min(last.replace(day=1), last - timedelta(days=SHOWN_DAYS - 1))
    days = DayRange(first, last + timedelta(days=1))
    pours = desk.door.household_pours(household.property_id, own, days)
    standing, pending = look_ahead(desk, household, wait_s)
    return Now(
        own=own,
        pours=pours,
        month=_month(pours, standing, f"{today:%Y-%m}"),
        standing=standing,
        pending=pending,
        lives_here=own.lives_on(today),
    )


def look_ahead(
    desk: BillingDesk, household: Household, wait_s: float
) -> tuple[HouseholdStanding | None, bool]:
    """Return how the period stands for a household, and whether that is still being counted.

    None, and not pending: there is no period, no agreement or nothing to divide yet.
    """
    try:
        looked = desk.standing(household.property_id, wait_s)
    except (NotThere, Refused):
        return None, False
    if looked.value is None:
        return None, True
    return desk.door.household_standing(looked.value, row_of(household), days_of(household)), False


def is_own(desk: BillingDesk, household: Household, event: LiveEvent) -> bool:
    """Return whether a live event is a pour of this household. In the event loop: never waits."""
    if event.kind != "record" or event.credential is None or not event.data["complete"]:
        return False
    own = desk.household_soon(household.property_id, row_of(household), days_of(household))
    if own is None or event.lock not in own.locks:
        return False
    at = datetime.fromisoformat(event.data["began_at"] or event.data["committed_at"])
    return own.owns(event.credential, at)


def _last_day(own: Own) -> date | None:
    """Return the household's last day, None while it has no end."""
    end = own.days[-1].end if own.days else None
    return None if end is None else end - timedelta(days=1)


def _month(
    pours: tuple[OwnPour, ...], standing: HouseholdStanding | None, month: str
) -> tuple[MonthNow, ...]:
    """Return this month by fraction: one's own up to this moment, the others' as of the last count."""
    own: dict[str, int] = {}
    for pour in pours:
        if f"{pour.at:%Y-%m}" == month:
            own[pour.fraction] = own.get(pour.fraction, 0) + pour.volume_ml
    others = (
        {}
        if standing is None
        else {each.fraction: each.others_ml for each in standing.months if each.month == month}
    )
    return tuple(
        MonthNow(fraction, own.get(fraction, 0), others.get(fraction)) for fraction in sorted({*own, *others})
    )
