"""Every kind of alarm: one line says when it opens, how bad it is, when it gets worse, what it means, what to do.

docs/twins.md says the same at length; a test compares the two. `opens_after_s`: how long the condition must have held.
Kinds that people on site explain by being there are silent while a lock is under maintenance (`quiet_in_service`).
"""

from dataclasses import dataclass

from cloud_sink.projections.twins.terms import AlarmKind, BillingImpact, Severity

_INFO, _WARNING, _CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """`impact`: on the bill; of a fault it is the fault's own. `escalates_after_s`: after opening; None: never."""

    severity: Severity
    impact: BillingImpact
    remedy: str
    opens_after_s: int = 0
    escalates_after_s: int | None = None
    escalated: Severity = Severity.CRITICAL
    quiet_in_service: bool = False


_NONE, _DEGRADED, _REVIEW = BillingImpact.NONE, BillingImpact.DEGRADED, BillingImpact.REVIEW
_BYPASS, _LOST = BillingImpact.BYPASS, BillingImpact.LOST

RULES: dict[AlarmKind, AlarmRule] = {
    AlarmKind.GATEWAY_OFFLINE: AlarmRule(
        _WARNING, _NONE, "Look at power and network on site; pours stay in locks and gateway until it is back.",
        escalates_after_s=4 * _HOUR,
    ),
    AlarmKind.GATEWAY_ALARM: AlarmRule(
        _WARNING, _NONE, "The gateway says what it lacks: `edge-agent status` on site shows the same.",
        opens_after_s=_MINUTE, escalates_after_s=_DAY,
    ),
    AlarmKind.GATEWAY_DISK_LOW: AlarmRule(
        _WARNING, _DEGRADED, "Make room on the gateway's disk: without it locks fill up and stop unlocking.",
        escalates_after_s=_DAY,
    ),
    AlarmKind.GATEWAY_CLOCK_UNSET: AlarmRule(
        _WARNING, _REVIEW, "Give the gateway NTP or a clock with a battery: pours' times can't be trusted.",
        opens_after_s=10 * _MINUTE, escalates_after_s=_DAY,
    ),
    AlarmKind.GATEWAY_AHEAD: AlarmRule(
        _WARNING, _NONE, "It says it has orders that nobody gave, and takes no others: give it a new identity.",
        escalates_after_s=_DAY,
    ),
    AlarmKind.BACKLOG_OLD: AlarmRule(
        _WARNING, _NONE, "Pages wait at the gateway: look at its connection, at broker, sink and quarantine.",
        escalates_after_s=_DAY,
    ),
    AlarmKind.LOCK_UNREACHABLE: AlarmRule(
        _WARNING, _NONE, "Look at the lock's power, wiring and address; its pours stay in its journal meanwhile.",
        opens_after_s=5 * _MINUTE, escalates_after_s=_DAY, quiet_in_service=True,
    ),
    AlarmKind.LOCK_FAULT: AlarmRule(
        _WARNING, _REVIEW, "Send a technician; the fault's line in docs/twins.md says what for.",
        escalates_after_s=_DAY, quiet_in_service=True,
    ),
    AlarmKind.LOCK_CLOCK_OFF: AlarmRule(
        _WARNING, _REVIEW, "Set the lock's clock: its pours may fall on the wrong day.",
        opens_after_s=10 * _MINUTE, escalates_after_s=_DAY,
    ),
    AlarmKind.RECORDS_MISSING: AlarmRule(
        _WARNING, _NONE, "Records are on their way: if they don't come, look at the gateway; `cloud-sink gaps`.",
        escalates_after_s=_DAY,
    ),
    AlarmKind.RECORDS_LOST: AlarmRule(
        _CRITICAL, _LOST, "These records can't come any more: billing takes substitute values; find out why.",
    ),
    AlarmKind.REGISTER_GAP: AlarmRule(
        _CRITICAL, _LOST, "The register counted pours that no record tells of: `cloud-sink reconcile`.",
    ),
    AlarmKind.RECORDS_OVERWRITTEN: AlarmRule(
        _CRITICAL, _LOST, "The lock overwrote records that nobody had read: visit it more often, find out why.",
    ),
    AlarmKind.COMPLETENESS_LOW: AlarmRule(
        _WARNING, _LOST, "Too many of this lock's records are missing: `cloud-sink gaps` lists them.",
        escalates_after_s=7 * _DAY,
    ),
    AlarmKind.DISPUTE_OPEN: AlarmRule(
        _WARNING, _REVIEW, "Two records claim the same identity: decide which holds; `cloud-sink disputes`.",
        escalates_after_s=7 * _DAY,
    ),
    AlarmKind.QUARANTINE_GROWING: AlarmRule(
        _WARNING, _REVIEW, "Messages aren't taken: `cloud-sink quarantine` says why; then `cloud-sink reprocess`.",
        escalates_after_s=_DAY,
    ),
    AlarmKind.LIST_DRIFT_OVERDUE: AlarmRule(
        _WARNING, _REVIEW, "The lock works with an old access list: write it again, look at the gateway.",
        escalates_after_s=_DAY,
    ),
    AlarmKind.DESIRED_OVERDUE: AlarmRule(
        _INFO, _NONE, "What was wished hasn't come true in time: repeat or withdraw it.",
        escalates_after_s=7 * _DAY, escalated=_WARNING,
    ),
    AlarmKind.COMMAND_FAILED: AlarmRule(
        _WARNING, _NONE, "What was ordered wasn't done: its reason says why; correct that, then order it again.",
    ),
    AlarmKind.COMMAND_UNANSWERED: AlarmRule(
        _WARNING, _NONE, "Nobody said in time what became of it: look at the gateway's connection; order it again.",
    ),
    AlarmKind.CONTAINER_FULL_SOON: AlarmRule(
        _INFO, _DEGRADED, "Have the container emptied: a full one doesn't unlock.",
        escalates_after_s=_DAY, escalated=_WARNING, quiet_in_service=True,
    ),
    AlarmKind.MASS_BALANCE_OFF: AlarmRule(
        _WARNING, _BYPASS, "Pours and fill level don't match: look for an open way in, a wrong volume, a dead sensor.",
    ),
    AlarmKind.VOLUME_DIFFERS: AlarmRule(
        _CRITICAL, _REVIEW, "A chamber reports another volume than described: measure it, correct one of the two.",
    ),
}  # fmt: skip

# How bad a fault is at once, by what it does to the bill.
FAULT_SEVERITY: dict[BillingImpact, Severity] = {
    _NONE: _INFO,
    _DEGRADED: _WARNING,
    _REVIEW: _WARNING,
    _BYPASS: _CRITICAL,
    _LOST: _CRITICAL,
}
