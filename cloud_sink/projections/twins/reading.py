"""The one way to read twins: the fleet, a site, a lock now or at an instant of the past, alarms, history."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

from cloud_sink.projections.twins.model import (
    Alarm,
    Change,
    DayPours,
    FillPoint,
    FleetCounts,
    GatewayTwin,
    Health,
    Interval,
    LockSummary,
    LockTwin,
    SiteSummary,
)
from cloud_sink.projections.twins.thresholds import Thresholds

_PAGE = 200


class TwinReader:
    """Read-only, beside a running projection; each call is a snapshot of its own. Thread-safe."""

    def __init__(
        self,
        projections_url: str,
        ledger_url: str,
        thresholds: Thresholds,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """ConfigError where there are no twins of this ledger and release yet."""

    def close(self) -> None: ...

    def fleet(
        self,
        site: str | None = None,
        health: Health | None = None,
        text: str | None = None,
        after: str | None = None,
        limit: int = _PAGE,
    ) -> list[LockSummary]:
        """Return locks in the order of their names, after `after`. `text`: in name, label, site, property, gateway."""

    def counts(self) -> FleetCounts: ...

    def sites(self) -> list[SiteSummary]: ...

    def site(self, site: str) -> SiteSummary | None: ...

    def lock(self, lock: str, at: datetime | None = None) -> LockTwin | None:
        """Return all of a lock, now or as it was at an instant; None if it is unknown (or was, then)."""

    def gateways(self, site: str | None = None) -> list[GatewayTwin]: ...

    def gateway(self, site: str, gateway: str) -> GatewayTwin | None: ...

    def changes(
        self, lock: str, property: str | None = None, before: int | None = None, limit: int = _PAGE
    ) -> list[Change]:
        """Return a lock's changes, newest first; `before`: a change_no, for the next page."""

    def changes_after(self, change_no: int, limit: int = _PAGE) -> list[Change]:
        """Return what changed anywhere after a number, in the order of numbers: for the live stream."""

    def last_change(self) -> tuple[str, int]:
        """Return the build (another after each rebuild, numbers then begin anew) and the newest change's number."""

    def alarms(
        self,
        site: str | None = None,
        lock: str | None = None,
        closed: bool = False,
        before: str | None = None,
        limit: int = _PAGE,
    ) -> list[Alarm]:
        """Return open alarms (or closed ones), newest first; `before`: an alarm_id, for the next page."""

    def alarm(self, alarm_id: str) -> Alarm | None: ...

    def daily_pours(
        self, first: date, last: date, lock: str | None = None, site: str | None = None
    ) -> list[DayPours]:
        """Return pours by local day and chamber, both days included; days without pours are left out."""

    def fill_history(
        self, lock: str, first: datetime, last: datetime, limit: int = 2000
    ) -> list[FillPoint]: ...

    def intervals(self, locks: Sequence[str], first: datetime, last: datetime) -> list[Interval]:
        """Return faults with an impact on the bill (review, bypass, lost) that overlap this time; for billing."""
