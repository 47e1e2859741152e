"""The words that a twin is judged in."""

from enum import StrEnum


class Connectivity(StrEnum):
    """online: heard of lately. stale: not for a while. offline: for long, or it said so itself. never: not once."""

    ONLINE = "online"
    STALE = "stale"
    OFFLINE = "offline"
    NEVER = "never"


class BillingImpact(StrEnum):
    """What a fault does to the bill, worst last.

    none: nothing. degraded: some couldn't pour, what was poured is counted. review: somebody has to look at the pours
    of this time. bypass: waste may have gone in unmetered. lost: pours were made that the ledger hasn't.
    """

    NONE = "none"
    DEGRADED = "degraded"
    REVIEW = "review"
    BYPASS = "bypass"
    LOST = "lost"


class Health(StrEnum):
    GOOD = "good"
    WARNING = "warning"
    CRITICAL = "critical"


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AlarmKind(StrEnum):
    GATEWAY_OFFLINE = "gateway_offline"
    GATEWAY_ALARM = "gateway_alarm"
    GATEWAY_DISK_LOW = "gateway_disk_low"
    GATEWAY_CLOCK_UNSET = "gateway_clock_unset"
    GATEWAY_AHEAD = "gateway_ahead"
    BACKLOG_OLD = "backlog_old"
    LOCK_UNREACHABLE = "lock_unreachable"
    LOCK_FAULT = "lock_fault"
    LOCK_CLOCK_OFF = "lock_clock_off"
    RECORDS_MISSING = "records_missing"
    RECORDS_LOST = "records_lost"
    REGISTER_GAP = "register_gap"
    RECORDS_OVERWRITTEN = "records_overwritten"
    COMPLETENESS_LOW = "completeness_low"
    DISPUTE_OPEN = "dispute_open"
    QUARANTINE_GROWING = "quarantine_growing"
    LIST_DRIFT_OVERDUE = "list_drift_overdue"
    DESIRED_OVERDUE = "desired_overdue"
    COMMAND_FAILED = "command_failed"
    COMMAND_UNANSWERED = "command_unanswered"
    CONTAINER_FULL_SOON = "container_full_soon"
    MASS_BALANCE_OFF = "mass_balance_off"
    VOLUME_DIFFERS = "volume_differs"
