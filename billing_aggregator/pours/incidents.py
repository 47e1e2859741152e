"""Faults that a bill depends on: waste may have gone by unmetered, or records may not be what they seem.

A person looks at each: from when to when, and whether something has to be done about it. They change no amount.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from billing_aggregator.ledger_door import INCIDENTS, LockRecord
from billing_aggregator.model import Review, ReviewKind
from wastelock.record import Kind
from wastelock.registers import Fault

ACKNOWLEDGED = "acknowledged"
_BYPASSES = (Fault.FLAP_OPEN, Fault.DOOR_OPEN)
_TEXT = {
    Fault.FLAP_OPEN: "the flap stood open",
    Fault.DOOR_OPEN: "the door stood open",
    Fault.CLOCK_LOST: "the clock had lost its time",
    Fault.MEMORY_CORRUPT: "the controller's memory was corrupt",
    Fault.TAMPER: "somebody tampered with the lock",
}


def is_incident(record: LockRecord) -> bool:
    """True for the records that `incidents` looks at."""
    return (
        not record.unverified
        and record.kind in (Kind.FAULT_RAISED, Kind.FAULT_CLEARED)
        and record.duration_ds in INCIDENTS
    )


def incidents(lock: str, records: Iterable[LockRecord]) -> list[Review]:
    """Return a review for each such fault. `records`: those filed within the period, in any order.

    A fault that was raised before the period is known by its end alone.
    """
    reviews: list[Review] = []
    open_since: dict[tuple[int, int, int], LockRecord] = {}
    for record in sorted(filter(is_incident, records), key=lambda record: (record.epoch, record.seq)):
        key = (record.epoch, record.duration_ds, record.chamber)
        raised = open_since.pop(key, None)
        if record.kind == Kind.FAULT_RAISED:
            if raised is not None:
                reviews.append(_review(lock, raised, raised, None))
            open_since[key] = record
        else:
            reviews.append(_review(lock, raised or record, raised, record))
    reviews += [_review(lock, raised, raised, None) for raised in open_since.values()]
    return reviews


def _review(lock: str, named: LockRecord, raised: LockRecord | None, cleared: LockRecord | None) -> Review:
    fault = Fault(named.duration_ds)
    kind = ReviewKind.BYPASS if fault in _BYPASSES else ReviewKind.FAULT
    since = "since before the period" if raised is None else f"from {_instant(raised)}"
    until = "without an end in the period" if cleared is None else f"until {_instant(cleared)}"
    return Review(
        review=f"{kind}:{lock}:{named.epoch}:{named.seq}",
        kind=kind,
        detail=f"lock {lock}: {_TEXT[fault]} {since}, {until}",
        nominal=ACKNOWLEDGED,
        choices=(ACKNOWLEDGED,),
        at=datetime.fromtimestamp(named.filed_s, UTC),
        lock=lock,
        chamber=named.chamber or None,
        group=f"{kind}:{lock}:{int(fault)}",
    )


def _instant(record: LockRecord) -> str:
    return f"{datetime.fromtimestamp(record.filed_s, UTC):%Y-%m-%dT%H:%M:%SZ}"
