"""Figures that have to be asked of the ledger: one thread asks every few seconds, a scrape gets what it found last.

Never more than a twentieth of the time is spent on asking, however large the ledger or slow its database: then the
figures are older, which they tell themselves.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import sqlalchemy as sa
from prometheus_client import Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy.engine import Connection

from cloud_sink.errors import Unavailable
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.tables import (
    commits,
    disputes,
    entries,
    gateway_reports,
    journals,
    lock_reports,
    page_spans,
    pages,
    quarantine,
    seq_spans,
    unread,
)
from wastelock.messages import GatewayState
from wastelock.record import Kind, PourResult

_N = "wastelock_sink"
_PAUSE_FACTOR = 19.0
_AGAIN_S = 2.0
_POURS_MAX = 500  # looked at each time: a sample where more were committed
# From the flap to the ledger: seconds where all is well, days where a gateway was away.
_DELAY_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21_600.0, 86_400.0, 604_800.0)
_UNREACHABLE = '"reachable":false'  # as messages are written: so a database counts them without reading JSON


@dataclass(frozen=True, slots=True)
class GatewayFigures:
    """A gateway as it was last heard of. `waiting_pages`: sealed there by its own word, not in the ledger."""

    site: str
    gateway: str
    is_online: bool
    heard_s: float
    waiting_pages: int


@dataclass(frozen=True, slots=True)
class LedgerFigures:
    """What was found. `missing_…`: numbers that must exist, since later ones are there."""

    position: int = 0
    committed_s: float | None = None
    disputes: Mapping[str, int] = field(default_factory=dict)
    quarantined: Mapping[str, int] = field(default_factory=dict)
    quarantine_bytes: int = 0
    unread: int = 0
    missing_records: int = 0
    missing_pages: int = 0
    journals: int = 0
    journals_behind: int = 0
    locks: int = 0
    locks_unreachable: int = 0
    gateways: tuple[GatewayFigures, ...] = ()


class LedgerWatch:
    """`run` is the thread; `collect` may be called by any."""

    def __init__(self, url: str, interval_s: float, now_s: Callable[[], float] = monotonic) -> None:
        """`now_s`: any monotonic clock, in seconds."""
        self._database = Database(url, read_only=True)
        self._interval_s = interval_s
        self._now_s = now_s
        self._found: tuple[LedgerFigures, float] | None = None
        self._delays = Histogram(
            f"{_N}_pour_delay_seconds", "From a pour's begin to its commit, of the newest pours.", buckets=_DELAY_S,
            registry=None,
        )  # fmt: skip
        self.is_available = False

    def run(self, stop: threading.Event) -> None:
        """Ask until told to stop."""
        while not stop.is_set():
            took_s = self.look()
            wait_s = self._interval_s if self.is_available else min(_AGAIN_S, self._interval_s)
            stop.wait(max(wait_s, _PAUSE_FACTOR * took_s))
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def look(self) -> float:
        """Ask once; return how long that took (s)."""
        began_s = self._now_s()
        try:
            with self._database.reading() as connection:
                found = read_figures(connection)
                delays = read_delays(connection, self._found[0].position if self._found else found.position)
        except Unavailable:  # the intake complains of it, and waits for it
            self.is_available = False
        else:
            self._found, self.is_available = (found, self._now_s()), True
            for delay_s in delays:
                self._delays.observe(delay_s)
        return self._now_s() - began_s

    def collect(self) -> Iterator[Metric]:
        """Yield what was found last (prometheus_client's Collector)."""
        yield _gauge("ledger_available", "1 if the ledger could be asked lately.", self.is_available)
        yield from self._delays.collect()
        if self._found is None:
            return
        found, found_s = self._found
        yield _gauge("ledger_figures_age_seconds", "How old the figures are that were asked of the ledger.",
                     self._now_s() - found_s)  # fmt: skip
        yield _gauge("ledger_position", "Position of the newest entry.", found.position)
        committed = _gauge(
            "ledger_committed_timestamp_seconds", "When something was last committed.", labels=[]
        )
        if found.committed_s is not None:
            committed.add_metric([], found.committed_s)
        yield committed
        yield _by("open_disputes", "Contradictions that nobody has resolved.", "kind", found.disputes)
        yield _by("quarantined_messages", "Messages in quarantine.", "reason", found.quarantined)
        yield _gauge("quarantine_bytes", "What they take.", found.quarantine_bytes)
        yield _gauge(
            "open_unread_records", "Records in the ledger's pages that can't be read yet.", found.unread
        )
        yield _gauge(
            "missing_records",
            "Records that the ledger lacks though later ones are there.",
            found.missing_records,
        )
        yield _gauge(
            "missing_pages", "Pages that the ledger lacks though later ones are there.", found.missing_pages
        )
        yield _gauge("journals", "Journals of gateways in the ledger.", found.journals)
        yield _gauge("journals_behind", "Journals with pages beyond their watermark.", found.journals_behind)
        yield _gauge("locks", "Locks that ever reported.", found.locks)
        yield _gauge("unreachable_locks", "Locks that don't answer their gateway.", found.locks_unreachable)
        yield from _gateways(found.gateways)


def read_figures(connection: Connection) -> LedgerFigures:
    """Ask for all of them, in one snapshot."""
    c = commits.c
    newest = connection.execute(
        sa.select(c.last_position, c.committed_ms).order_by(c.commit_no.desc()).limit(1)
    ).one_or_none()
    j, q = journals.c, quarantine.c
    is_open = q.resolved_ms.is_(None)
    seen, behind = connection.execute(
        sa.select(sa.func.count(), sa.func.count().filter(j.newest_page > j.committed_through)).select_from(
            journals
        )
    ).one()
    count, unreachable = connection.execute(
        sa.select(sa.func.count(), sa.func.count().filter(lock_reports.c.report.contains(_UNREACHABLE)))
    ).one()
    return LedgerFigures(
        position=newest.last_position if newest else 0,
        committed_s=newest.committed_ms / 1000 if newest else None,
        disputes=_counts(connection, disputes.c.kind, disputes.c.resolved_ms.is_(None)),
        quarantined=_counts(connection, q.reason, is_open),
        quarantine_bytes=_sum(connection, sa.select(sa.func.sum(q.size_bytes)).where(is_open)),
        unread=_sum(connection, sa.select(sa.func.count()).where(unread.c.resolved_ms.is_(None))),
        missing_records=_missing_records(connection),
        missing_pages=_sum(connection, sa.select(sa.func.sum(j.newest_page)))
        - _sum(connection, sa.select(sa.func.sum(page_spans.c.last - page_spans.c.first + 1))),
        journals=seen,
        journals_behind=behind,
        locks=count,
        locks_unreachable=unreachable,
        gateways=tuple(_read_gateways(connection)),
    )


def read_delays(connection: Connection, after: int) -> list[float]:
    """Return for the newest complete pours after a position how long they took from flap to commit (s).

    Of those whose time is known: the controller's clock, put right by what the gateway saw it to be off by.
    """
    e, c = entries.c, commits.c
    query = (
        sa.select(e.began_clock_s, e.clock_offset_s, c.committed_ms)
        .select_from(
            entries.join(pages, pages.c.page_no == e.page_no).join(commits, c.commit_no == pages.c.commit_no)
        )
        .where(e.position > after, e.kind == int(Kind.POUR), e.result == int(PourResult.COMPLETE))
        .where(e.clock_offset_s.is_not(None), pages.c.clock.in_(("ntp", "rtc")))
        .order_by(e.position.desc())
        .limit(_POURS_MAX)
    )
    rows = connection.execute(query)
    return [max(0.0, row.committed_ms / 1000 - (row.began_clock_s - row.clock_offset_s)) for row in rows]


def _missing_records(connection: Connection) -> int:
    """Count what lies between a lock's first record of an epoch and its last, and isn't there."""
    s = seq_spans.c
    of_epoch = (
        sa.select(
            (sa.func.max(s.last) - sa.func.min(s.first) + 1 - sa.func.sum(s.last - s.first + 1)).label(
                "missing"
            )
        )
        .group_by(s.lock_no, s.epoch)
        .subquery()
    )
    return _sum(connection, sa.select(sa.func.sum(of_epoch.c.missing)))


def _read_gateways(connection: Connection) -> Iterator[GatewayFigures]:
    j = journals.c
    committed = {
        (row.site, row.gateway, row.journal): row.committed_through
        for row in connection.execute(sa.select(j.site, j.gateway, j.journal, j.committed_through))
    }
    for row in connection.execute(sa.select(gateway_reports)):
        state = GatewayState.model_validate_json(row.report)
        through = committed.get((row.site, row.gateway, state.journal), 0)
        waiting = max(0, (state.newest_page or 0) - through)
        yield GatewayFigures(row.site, row.gateway, state.online, row.reported_ms / 1000, waiting)


def _counts(
    connection: Connection, column: "sa.Column[str]", condition: "sa.ColumnElement[bool]"
) -> dict[str, int]:
    query = sa.select(column, sa.func.count()).where(condition).group_by(column)
    return {row[0]: row[1] for row in connection.execute(query)}


def _sum(connection: Connection, query: "sa.Select[Any]") -> int:
    return int(connection.scalar(query) or 0)


def _gateways(gateways: tuple[GatewayFigures, ...]) -> Iterator[Metric]:
    labels = ["site", "gateway"]
    online = _gauge("gateway_online", "1 unless its will or its farewell said otherwise.", labels=labels)
    heard = _gauge("gateway_heard_timestamp_seconds", "When it last reported itself.", labels=labels)
    waiting = _gauge(
        "gateway_waiting_pages", "Pages that it has reported and the ledger lacks.", labels=labels
    )
    for each in gateways:
        names = [each.site, each.gateway]
        online.add_metric(names, each.is_online)
        heard.add_metric(names, each.heard_s)
        waiting.add_metric(names, each.waiting_pages)
    yield from (online, heard, waiting)


def _by(name: str, text: str, label: str, values: Mapping[str, int]) -> Metric:
    family = _gauge(name, text, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family


def _gauge(
    name: str, text: str, value: float | None = None, labels: list[str] | None = None
) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{_N}_{name}", text, value, labels)
