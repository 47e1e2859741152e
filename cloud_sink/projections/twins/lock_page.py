"""All of one lock: what its page shows, gathered by a fixed number of queries however long its history is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.gaps import Whereabouts
from cloud_sink.ledger.commands import commands_until
from cloud_sink.ledger.instants import from_ms, to_ms
from cloud_sink.ledger.tables import commits, entries, pages
from cloud_sink.projections.twins import judging
from cloud_sink.projections.twins import tables as t
from cloud_sink.projections.twins.conditions import container_of
from cloud_sink.projections.twins.facts import LockFacts
from cloud_sink.projections.twins.lifecycle import Lifecycle, LifecycleEvent, settle
from cloud_sink.projections.twins.loading import emptying_of, fill_before
from cloud_sink.projections.twins.lock_gaps import metered_gaps
from cloud_sink.projections.twins.model import (
    ChamberTwin,
    DesiredValue,
    Gap,
    LifecycleStep,
    LockTwin,
    MassBalance,
    Quality,
    Reported,
)
from cloud_sink.projections.twins.noting import REPORT
from cloud_sink.projections.twins.summing import Summing
from cloud_sink.projections.twins.telling import enable_mask
from cloud_sink.projections.twins.thresholds import Thresholds
from wastelock.clock_grade import ClockGrade, grade_clock
from wastelock.record import Kind, PourResult

_LATEST_POURS = 100
_BALANCES = 12
_STEPS = 100
_GAPS = 100
_COMMANDS = 20


def lock_twin(
    connection: Connection,
    ledger: Connection,
    summing: Summing,
    lock: LockFacts,
    thresholds: Thresholds,
    past: bool,
) -> LockTwin:
    """Return all of a lock as its facts have it; `past`: they are of an instant that is over."""
    now = summing.facts.now
    container_ml = container_of(lock, thresholds)
    fill = lock.state.fill_permille if lock.state is not None else None
    since_emptied = None if lock.emptying is None else now - lock.emptying.at
    return LockTwin(
        summary=summing.summary(lock),
        as_of_at=now,
        reported=_reported(lock),
        desired=tuple(_desired(lock, now)),
        commands=tuple(commands_until(ledger, lock.lock, now, _COMMANDS)),
        faults=summing.faults(lock),
        chambers=_chambers({} if past else _ledger_registers(connection, lock), lock),
        quality=_no_quality() if past else _quality(ledger, lock),
        balances=_balances(connection, lock, container_ml, thresholds, now),
        container_ml=container_ml,
        days_until_full=judging.days_until_full(fill, since_emptied, lock.daily_ml, container_ml),
        lifecycle_history=_history(connection, lock, now),
        link=summing.link_of(lock),
    )


def _reported(lock: LockFacts) -> Reported | None:
    state, heard_at = lock.state, lock.heard_at
    if state is None or heard_at is None:
        return None
    return Reported(
        at=state.at,
        heard_at=heard_at,
        driver=state.driver,
        reachable=state.reachable,
        unreachable_since_at=state.unreachable_since,
        problem=state.problem,
        state=state.state,
        firmware=state.firmware,
        model=state.model,
        epoch=state.epoch,
        clock_status=state.clock_status,
        clock_offset_s=state.clock_offset_s,
        battery_mv=state.battery_mv,
        temperature_dc=state.temperature_dc,
        fill_permille=state.fill_permille,
        access_list_version=state.access_list_version,
        enable_mask=enable_mask(state),
        poll_interval_s=state.poll_interval_s,
        oldest_seq=state.oldest_seq,
        newest_seq=state.newest_seq,
        confirmed_seq=state.confirmed_seq,
        spooled_seq=state.spooled_seq,
        unverified_records=state.unverified_records,
        overwritten_records=state.overwritten_records,
    )


def _desired(lock: LockFacts, now: datetime) -> list[DesiredValue]:
    found = []
    for wish in sorted(lock.wishes, key=lambda wish: wish.property):
        drift = judging.drifts(wish.property, wish.value, lock.state, lock.told)
        is_clock = wish.property == "clock_offset_s" and lock.state is not None
        here = lock.state.clock_offset_s if is_clock and lock.state is not None else None
        found.append(
            DesiredValue(
                property=wish.property,
                value=wish.value,
                reported=str(here) if here is not None else lock.told.get(wish.property),
                drift=drift,
                overdue=drift is not False and wish.deadline_at is not None and wish.deadline_at <= now,
                requested_by=wish.actor,
                requested_at=wish.at,
                deadline_at=wish.deadline_at,
            )
        )
    return found


def _ledger_registers(connection: Connection, lock: LockFacts) -> dict[int, Any]:
    """Return by chamber what the newest record here says of register and volume."""
    r = t.registers.c
    query = sa.select(r.chamber, r.last_register, r.volume_ml).where(r.lock_no == lock.lock_no)
    return {row.chamber: row for row in connection.execute(query.order_by(r.epoch)).all()}


def _chambers(ledger: Mapping[int, Any], lock: LockFacts) -> tuple[ChamberTwin, ...]:
    reported = {chamber.number: chamber for chamber in lock.state.chambers} if lock.state is not None else {}
    described = lock.description.chambers if lock.description is not None else {}
    found = []
    for number in sorted({*ledger, *reported, *described}):
        told, known, here = reported.get(number), described.get(number), ledger.get(number)
        found.append(
            ChamberTwin(
                number=number,
                fraction=known.fraction if known is not None else None,
                volume_ml=told.volume_ml if told is not None else (here.volume_ml if here else None),
                described_volume_ml=known.volume_ml if known is not None else None,
                enabled=told.enabled if told is not None else None,
                register=told.register_count if told is not None else None,
                ledger_register=here.last_register if here is not None else None,
            )
        )
    return tuple(found)


def _no_quality() -> Quality:
    return Quality(None, 0, 0, 0, None, None, {}, 0, ())


def _quality(ledger: Connection, lock: LockFacts) -> Quality:
    complete = lock.completeness
    latencies_ms, grades = _latest_pours(ledger, lock.lock_no)
    gaps = []
    for gap in metered_gaps(ledger, lock):
        gaps.append(Gap(gap.epoch, gap.first, gap.last, gap.state is Whereabouts.LOST, gap.reason))
        if len(gaps) >= _GAPS:
            break
    return Quality(
        completeness_permille=complete.permille,
        records_present=complete.present,
        records_known=complete.known,
        lost_pours=complete.lost_pours,
        latency_p50_ms=_at_share(latencies_ms, 500),
        latency_p95_ms=_at_share(latencies_ms, 950),
        clock_grades=dict(grades),
        open_disputes=lock.disputes,
        gaps=tuple(gaps),
    )


def _latest_pours(ledger: Connection, lock_no: int | None) -> tuple[list[int], Counter[str]]:
    """Return of the latest pours how long they took to the ledger, where their clocks tell, and the clocks' grades."""
    e, c = entries.c, commits.c
    committed_ms = (
        sa.select(c.committed_ms)
        .where(c.last_position >= e.position)
        .order_by(c.last_position, c.commit_no)
        .limit(1)
        .scalar_subquery()
    )
    query = (
        sa.select(e.flags, e.began_clock_s, e.read_ms, e.clock_offset_s, pages.c.clock, committed_ms)
        .join(pages, pages.c.page_no == e.page_no)
        .where(e.lock_no == lock_no, e.unverified == 0)
        .where(e.kind == Kind.POUR, e.result == PourResult.COMPLETE)
        .order_by(e.epoch.desc(), e.seq.desc())
        .limit(_LATEST_POURS)
    )
    latencies_ms, grades = [], Counter[str]()
    for flags, began_s, read_ms, offset_s, clock, ms in ledger.execute(query):
        grade = grade_clock(flags, began_s, read_ms // 1000, offset_s, clock).grade
        grades[grade.value] += 1
        if grade in (ClockGrade.NTP, ClockGrade.RTC):
            latencies_ms.append(max(0, ms - (began_s - (offset_s or 0)) * 1000))
    return sorted(latencies_ms), grades


def _at_share(values: Sequence[int], permille: int) -> int | None:
    return values[min(len(values) - 1, len(values) * permille // 1000)] if values else None


def _balances(
    connection: Connection, lock: LockFacts, container_ml: int, thresholds: Thresholds, now: datetime
) -> tuple[MassBalance, ...]:
    e = t.emptyings.c
    query = (
        sa.select(t.emptyings, fill_before(e.at_ms, sa.literal(lock.lock)).label("fill"))
        .where(e.lock_no == lock.lock_no, e.at_ms <= to_ms(now))
        .order_by(e.epoch.desc(), e.seq.desc())
        .limit(_BALANCES)
    )
    found = []
    for emptying in map(emptying_of, connection.execute(query)):
        ratio = emptying.volume_ml * 1000 // container_ml
        verdict = judging.balance_verdict(ratio, emptying.fill_permille, emptying.complete, thresholds)
        kind = Kind(emptying.kind).name.lower()
        found.append(
            MassBalance(
                kind, emptying.at, emptying.epoch, emptying.seq, emptying.pours, emptying.volume_ml, container_ml,
                ratio, emptying.fill_permille, verdict,
            )
        )  # fmt: skip
    return tuple(found)


def _history(connection: Connection, lock: LockFacts, now: datetime) -> tuple[LifecycleStep, ...]:
    """Return the newest steps, newest first: people's moves, and where the lock's own state led in between."""
    m, c = t.moves.c, t.changes.c
    moves = connection.execute(
        sa.select(m.at_ms, m.moved_to, m.actor, m.reason)
        .where(m.lock == lock.lock, m.at_ms <= to_ms(now))
        .order_by(m.event_no.desc())
        .limit(_STEPS)
    ).all()
    own = connection.execute(
        sa.select(c.at_ms, c.value)
        .where(c.subject == lock.lock, c.property == "condition", c.source == REPORT, c.at_ms <= to_ms(now))
        .order_by(c.at_ms.desc())
        .limit(_STEPS)
    ).all()
    events = [(row.at_ms, 0, row.moved_to, row.actor, row.reason) for row in moves]
    events += [(row.at_ms, 1, row.value, "the lock itself", "") for row in own if row.value]
    return tuple(_walk(sorted(events))[: -_STEPS - 1 : -1])


def _walk(events: Sequence[tuple[int, int, str, str, str]]) -> list[LifecycleStep]:
    decided: Lifecycle | None = None
    own: LifecycleEvent | None = None
    steps: list[LifecycleStep] = []
    for at_ms, automatic, value, actor, reason in events:
        if automatic:
            name, _, causes = value.partition(": ")
            own, reason = LifecycleEvent(name), causes
        else:
            decided = Lifecycle(value)
        here = settle(decided, own)
        if not automatic or not steps or steps[-1].lifecycle is not here:
            steps.append(LifecycleStep(from_ms(at_ms), here, bool(automatic), actor, reason))
    return steps
