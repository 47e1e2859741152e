"""A party's own pours for the annex of its statement: each with its instant, what its clock is worth, and its jams."""

from collections.abc import Iterable
from datetime import UTC, datetime

from billing_aggregator.days import zone_of
from billing_aggregator.ledger_door import LedgerDoor, LockRecord
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.model import UNATTRIBUTED_ROW, DayRange, Decision, OwnPour, PropertyUsage
from billing_aggregator.pours.deciding import Decided
from billing_aggregator.pours.holders import Holders
from billing_aggregator.pours.resolution import LOST, Billed
from billing_aggregator.pours.resolving import Resolving
from billing_aggregator.pours.usage import MARGIN_S
from wastelock.record import Flag, Kind, PourResult

_NEXT_ATTEMPT_WITHIN_S = 120
_NEVER_SET = 0

Jams = dict[tuple[int, int], tuple[int, ...]]
"""By (epoch, seq) of a complete pour: the unix seconds of the attempts before it that jammed."""


def read_own_pours(
    door: LedgerDoor,
    snapshot: Snapshot,
    period: DayRange,
    decisions: Iterable[Decision],
    pinned: PropertyUsage | None = None,
    row: str | None = None,
) -> dict[str, tuple[OwnPour, ...]]:
    """Return each row's billed pours, by their instants. Σ volume_ml of a row = what `read_usage` has metered for it.

    `pinned`: the run's usage, so that nothing shows that wasn't billed. `row`: only this one's, which is read much
    quicker: only what its transponders did.
    """
    holders = Holders(snapshot, period)
    credentials = None if row is None else holders.credentials_of(row)
    found: dict[str, list[OwnPour]] = {}
    with door.view(None if pinned is None else pinned.position) as view:
        resolving = Resolving(holders, Decided(decisions), view)
        for lock in holders.locks:
            records = view.in_time(lock, holders.start_s - MARGIN_S, holders.end_s + MARGIN_S, credentials)
            verified = [record for record in records if not record.unverified]
            jams = jams_before(verified)
            registers = {(record.epoch, record.seq): record.register_after for record in records}
            billed = [
                resolving.take(resolving.group_of(lock, record))
                for record in verified
                if record.is_complete_pour
            ]
            billed += resolving.take_unverified(lock, [record for record in records if record.unverified])
            for each in billed:
                if each is not None and each.outcome.row not in (UNATTRIBUTED_ROW, LOST):
                    register = registers.get((each.group.epoch, each.group.seq))
                    found.setdefault(each.outcome.row, []).append(_own_pour(holders, each, jams, register))
    return {
        name: tuple(sorted(pours, key=lambda pour: (pour.at, pour.lock, pour.epoch, pour.seq)))
        for name, pours in sorted(found.items())
        if row in (None, name)
    }


def jams_before(records: Iterable[LockRecord]) -> Jams:
    """Return which jams belong to which complete pour: same lock and credential, each at most 120 s before the next
    attempt. `records`: of one lock, verified, by (epoch, seq).
    """
    found: Jams = {}
    waiting: dict[tuple[int, int, bytes | None], tuple[int, list[int]]] = {}
    for record in records:
        if record.kind != Kind.POUR:
            continue
        # Seconds since power-up are comparable within one boot only.
        boot = record.boot if record.flags & 0b11 == _NEVER_SET else -1
        key = (record.epoch, boot, record.credential)
        last_s, jams = waiting.pop(key, (record.began_clock_s, []))
        if not 0 <= record.began_clock_s - last_s <= _NEXT_ATTEMPT_WITHIN_S:
            jams = []
        if record.result == PourResult.JAMMED:
            waiting[key] = (record.began_clock_s, [*jams, record.began_clock_s])
        elif record.result == PourResult.COMPLETE:
            if jams:
                found[record.epoch, record.seq] = tuple(jams)
        elif jams:
            waiting[key] = (record.began_clock_s, jams)
    return found


def _own_pour(holders: Holders, billed: Billed, jams: Jams, register: int | None) -> OwnPour:
    group, outcome = billed.group, billed.outcome
    zone = zone_of(holders.zone)

    def local(at_s: int) -> datetime:
        return datetime.fromtimestamp(at_s, UTC).astimezone(zone)

    # Jams are shown as long before the pour as its own clock says, also where that was reckoned back.
    shift_s = group.at_s - group.clock_s
    return OwnPour(
        row=outcome.row,
        at=local(group.at_s),
        lock=group.lock,
        chamber=group.chamber,
        fraction=outcome.fraction,
        volume_ml=outcome.volume_ml,
        clock=str(group.quality.grade) if group.quality is not None else "",
        uncertainty_s=group.quality.uncertainty_s if group.quality is not None else 0,
        degraded=bool(group.traits & Flag.DEGRADED),
        jams=tuple(local(at_s + shift_s) for at_s in jams.get((group.epoch, group.seq), ())),
        epoch=group.epoch,
        seq=group.seq,
        credential="" if group.credential is None else group.credential.hex(),
        register=register,
    )
