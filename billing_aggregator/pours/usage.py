"""Reads a property's usage from the ledger: exactly, from raw entries, or quickly, from the usage per day. Both equal.

read_usage         every record of the period, one by one: the recount, the evidence
read_daily_usage   counts per day where nothing changes; single records on days around a change, and where a
                   record's time or contents are in doubt
"""

from collections.abc import Iterable
from hashlib import sha256

from billing_aggregator.errors import ConfigError
from billing_aggregator.ledger_door import LedgerDoor, LockRecord
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.model import DayRange, Decision, PropertyUsage
from billing_aggregator.pours.daily import Daily
from billing_aggregator.pours.deciding import Decided
from billing_aggregator.pours.holders import Holders
from billing_aggregator.pours.resolution import PourGroup
from billing_aggregator.pours.resolving import Resolving, quality_of

MARGIN_S = 86_400  # records of good time this far outside the period can't concern it


def read_usage(
    door: LedgerDoor,
    snapshot: Snapshot,
    period: DayRange,
    decisions: Iterable[Decision],
    pinned: PropertyUsage | None = None,
) -> PropertyUsage:
    """Return a property's usage from raw entries.

    `period`: local days, with an end. `pinned`: the result that is to be repeated: only entries up to its position are
    seen, and what was missing then is taken from it.
    """
    holders = Holders(snapshot, period)
    whole = sha256()
    with door.view(None if pinned is None else pinned.position) as view:
        resolving = Resolving(holders, Decided(decisions), view, None if pinned is None else pinned.missing)
        for lock in holders.locks:
            records = view.in_time(lock, holders.start_s - MARGIN_S, holders.end_s + MARGIN_S)
            for record in records:
                if record.unverified:
                    whole.update(_contents(lock, record))
                elif record.is_complete_pour:
                    group = resolving.group_of(lock, record)
                    if _concerns(holders, group):
                        resolving.take(group)
                        whole.update(_contents(lock, record))
            resolving.take_unverified(lock, [record for record in records if record.unverified])
            resolving.take_faults(lock, records)
            resolving.take_registers(lock)
        return resolving.result(whole.hexdigest())


def read_daily_usage(
    door: LedgerDoor, snapshot: Snapshot, period: DayRange, decisions: Iterable[Decision]
) -> PropertyUsage:
    """Return a property's usage by the usage per day, as of the position that this goes up to.

    It equals `read_usage` at that position, but for `entries_hash`, which covers the counts instead of the entries.
    Where days are counted in another zone than the property's, or not at all, it is `read_usage`.
    """
    holders = Holders(snapshot, period)
    try:
        daily = Daily(door, holders)
    except ConfigError:
        return read_usage(door, snapshot, period, decisions)
    if daily.zone != holders.zone:
        return read_usage(door, snapshot, period, decisions)
    with door.view(daily.position) as view:
        resolving = Resolving(holders, Decided(decisions), view)
        for lock in holders.locks:
            counted, single_days = daily.split(lock, resolving.disputed_records(lock))
            for group, outcome in counted:
                resolving.count(group, outcome)
            loose = daily.loose(view, lock)
            singles = [*daily.records_on(view, lock, single_days), *filter(_is_doubtful_pour, loose)]
            for record in singles:
                resolving.take(resolving.group_of(lock, record))
            resolving.take_unverified(lock, [record for record in loose if record.unverified])
            resolving.take_faults(lock, loose)
            proven = None if resolving.has_accepted(lock) else daily.proven(view, lock)
            resolving.take_registers(lock, proven)
        return resolving.result(daily.digest())


def _is_doubtful_pour(record: LockRecord) -> bool:
    return record.is_complete_pour and not record.unverified and not quality_of(record).is_good


def _concerns(holders: Holders, group: PourGroup) -> bool:
    """True if a pour may lie within the period."""
    u = group.quality.uncertainty_s if group.quality is not None else 0
    return group.at_s - u < holders.end_s and group.at_s + u >= holders.start_s


def _contents(lock: str, record: LockRecord) -> bytes:
    """Return a record's identity and contents as bytes; not its position, which is the ledger's own affair."""
    credential = "" if record.credential is None else record.credential.hex()
    return f"{lock} {record[1:15]} {credential} {record.gateway_clock}\n".encode()
