"""Keeps reports as observations, in one transaction with what was heard last; gives up those that are too old.

Whoever writes holds the write lock: of several sinks that heard the same, the first one keeps it, and the others find
that it was heard already.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.config import ObservationsSection
from cloud_sink.ledger.bulk import insert_rows
from cloud_sink.ledger.observations import ReportKind, State, last_observation_no, parse
from cloud_sink.ledger.tables import hearings, observations
from cloud_sink.ledger.upserting import upsert
from cloud_sink.observing import Kept, Memory, follow
from cloud_sink.reports import Report

_IN_CHUNK = 500
_KEY = ["gateway", "site", "kind", "lock"]


class Subject(NamedTuple):
    """Whom a report is about, as the table of hearings has it; `lock` "" for a gateway."""

    gateway: str
    site: str
    kind: ReportKind
    lock: str


def keep(
    connection: Connection,
    reports: Sequence[Report],
    now_ms: int,
    thinning: ObservationsSection,
    shared: bool,
) -> int:
    """Write what is to be kept of these reports, each subject's in the order of hearing; return how many were kept."""
    by_subject: dict[Subject, list[Report]] = {}
    for report in reports:
        subject = Subject(report.gateway, report.site, report.kind, report.lock or "")
        by_subject.setdefault(subject, []).append(report)
    known = _load(connection, sorted({subject.gateway for subject in by_subject}))
    kept: list[tuple[Kept, Subject]] = []
    changed: dict[Subject, Memory] = {}
    for subject, heard in by_subject.items():
        before = known.get(subject)
        memory, wanted = follow(before and before[0], heard, now_ms, thinning, shared)
        kept += [(each, subject) for each in wanted]
        if memory is not None and (before is None or memory != before[0]):
            changed[subject] = memory
    numbers = _insert(connection, kept)
    rows = [
        _hearing(subject, memory, numbers.get(subject) or known[subject][1])
        for subject, memory in changed.items()
    ]
    upsert(connection, hearings, _KEY, rows)
    return len(kept)


def give_up(connection: Connection, before_ms: Mapping[ReportKind, int], limit: int) -> int:
    """Delete observations that were heard before these instants, at most `limit`; return how many.

    The last one of each subject stays, however old: it is how things are; and the newest of all, whose number the next
    ones go on from.
    """
    o, h = observations.c, hearings.c
    newest = sa.select(sa.func.max(o.observation_no)).scalar_subquery()
    given_up = 0
    for kind, ms in before_ms.items():
        old = (
            sa.select(o.observation_no)
            .where(o.kind == kind.value, o.heard_ms < ms)
            .where(~sa.exists().where(h.observation_no == o.observation_no), o.observation_no < newest)
            .order_by(o.heard_ms)
            .limit(limit - given_up)
        )
        numbers = list(connection.scalars(old))
        for start in range(0, len(numbers), _IN_CHUNK):
            some = numbers[start : start + _IN_CHUNK]
            connection.execute(observations.delete().where(o.observation_no.in_(some)))
        given_up += len(numbers)
    return given_up


def _load(connection: Connection, gateways: Sequence[str]) -> dict[Subject, tuple[Memory, int]]:
    """Return what is known of these gateways and all behind them, with the number of the observation kept last."""
    h, o = hearings.c, observations.c
    query = sa.select(hearings, o.heard_ms.label("kept_ms"), o.report.label("kept")).join(
        observations, o.observation_no == h.observation_no
    )
    known = {}
    for start in range(0, len(gateways), _IN_CHUNK):
        for row in connection.execute(query.where(h.gateway.in_(gateways[start : start + _IN_CHUNK]))):
            kind = ReportKind(row.kind)
            heard: State = parse(kind, row.report)
            kept = heard if row.kept == row.report else parse(kind, row.kept)
            memory = Memory(row.heard_ms, row.reported_ms, heard, row.kept_ms, kept)
            known[Subject(row.gateway, row.site, kind, row.lock)] = (memory, row.observation_no)
    return known


def _insert(connection: Connection, kept: Sequence[tuple[Kept, Subject]]) -> dict[Subject, int]:
    """Write observations in the order of hearing; return the number of each subject's last one."""
    if not kept:
        return {}
    ordered = sorted(
        kept, key=lambda item: item[0].heard_ms
    )  # of a subject those of one instant stay in order
    numbers: dict[Subject, int] = {}
    rows = []
    for number, (each, subject) in enumerate(ordered, last_observation_no(connection) + 1):
        numbers[subject] = number
        rows.append(
            (
                number, each.heard_ms, subject.kind.value, subject.site, subject.gateway, subject.lock or None,
                each.heard_before_ms, _to_text(each.state),
            )
        )  # fmt: skip
    insert_rows(connection, observations, rows)
    return numbers


def _hearing(subject: Subject, memory: Memory, observation_no: int) -> dict[str, object]:
    return {
        "gateway": subject.gateway,
        "site": subject.site,
        "kind": subject.kind.value,
        "lock": subject.lock,
        "heard_ms": memory.heard_ms,
        "reported_ms": memory.reported_ms,
        "observation_no": observation_no,
        "report": _to_text(memory.heard),
    }


def _to_text(state: State) -> str:
    return state.to_json().decode()
