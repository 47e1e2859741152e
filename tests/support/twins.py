"""Twins of a ledger: reports and decisions go straight into it, and the clock stands where it is put."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from cloud_sink.config import ObservationsSection
from cloud_sink.ledger import latest_reports
from cloud_sink.ledger.command_sending import Answer, keep_outcomes
from cloud_sink.ledger.instants import to_ms
from cloud_sink.ledger.keeping import keep
from cloud_sink.ledger.observations import ReportKind
from cloud_sink.operating import Author, Operations
from cloud_sink.orders.ordering import Ordering
from cloud_sink.projections.twins import tables as t
from cloud_sink.projections.twins.model import LockTwin
from cloud_sink.projections.twins.projection import TwinProjection
from cloud_sink.projections.twins.reading import TwinReader
from cloud_sink.projections.twins.thresholds import Thresholds
from cloud_sink.projections.usage_store import default_url
from cloud_sink.reports import Report
from tests.support.fake_gateway import START, FakeGateway, FakeLock
from tests.support.ledger import Ledger
from wastelock.messages import ChamberState, GatewayState, LockState, Telemetry
from wastelock.orders import CommandOutcome

ZONE = "Europe/Berlin"
TECHNICIAN = Author("t.lindner", "as ordered")


@dataclass
class Clock:
    """Stands still until it is moved."""

    at: datetime = START

    def __call__(self) -> datetime:
        return self.at

    def go_on(self, **by: float) -> datetime:
        """Go on by so much, as timedelta takes it."""
        self.at += timedelta(**by)
        return self.at


class TwinRig:
    """`rig.hear_lock(…)`, `rig.decide…` write sources; `rig.catch_up()` takes them; `rig.reader` reads."""

    def __init__(self, ledger: Ledger, thresholds: Thresholds | None = None, batch: int = 7) -> None:
        self.ledger = ledger
        self.clock = Clock()
        ledger.book._clock = self.clock  # commits happen when this clock says
        self.thresholds = thresholds or Thresholds()
        self.operations = Operations(ledger.url, self.clock)
        self.ordering = Ordering(ledger.url, self.clock)
        self.projection = self.project(batch)
        self.projection.prepare()
        self.reader = TwinReader(default_url(ledger.url), ledger.url, self.thresholds, self.clock)

    def project(self, batch: int) -> TwinProjection:
        """Return another projection of the same twins."""
        return TwinProjection(
            self.ledger.url, default_url(self.ledger.url), ZONE, batch, self.thresholds, self.clock
        )

    def hear_lock(
        self,
        lock: FakeLock,
        gateway: FakeGateway,
        heard_at: datetime | None = None,
        retained: bool = False,
        **fields: Any,
    ) -> LockState:
        """A lock's state, as its gateway tells it; by default it is locked, well, and knows its own journal.

        `retained`: the broker had kept it.
        """
        at = heard_at or self.clock.at
        chamber = ChamberState(number=1, volume_ml=5000, register_count=lock.register, enabled=True)
        known: dict[str, Any] = {
            "lock": lock.name, "driver": "wlc-1", "at": at, "reachable": True, "state": "locked", "epoch": lock.epoch,
            "firmware": "1.4.2", "clock_status": 1, "clock_offset_s": -2, "access_list_version": 7,
            "oldest_seq": 1 if lock.seq else 0, "newest_seq": lock.seq, "confirmed_seq": lock.seq,
            "spooled_seq": lock.seq, "chambers": (chamber,), **fields,
        }  # fmt: skip
        state = LockState(**known)
        self._hear(Report(ReportKind.LOCK, gateway.site, gateway.gateway, lock.name, state, at, retained))
        return state

    def hear_gateway(self, gateway: FakeGateway, heard_at: datetime | None = None, **fields: Any) -> None:
        """A gateway's birth, or with `online=False` its will."""
        at = heard_at or self.clock.at
        known: dict[str, Any] = {
            "gateway": gateway.gateway, "online": True, "incarnation": 1, "at": at, "software": "0.1.0",
            "journal": gateway.journal, "oldest_page": 1, "newest_page": gateway.page, **fields,
        }  # fmt: skip
        self._hear(Report(ReportKind.GATEWAY, gateway.site, gateway.gateway, None, GatewayState(**known), at))

    def hear_telemetry(self, gateway: FakeGateway, heard_at: datetime | None = None, **fields: Any) -> None:
        """How a gateway's machine is doing: by default well."""
        at = heard_at or self.clock.at
        known: dict[str, Any] = {
            "gateway": gateway.gateway, "at": at, "disk_free_bytes": 8 << 30, "spool_bytes": 1 << 20, "spool_pages": 9,
            "unsent_pages": 0, "clock": "ntp", **fields,
        }  # fmt: skip
        self._hear(Report(ReportKind.TELEMETRY, gateway.site, gateway.gateway, None, Telemetry(**known), at))

    def order(self, lock: FakeLock, action: str, **fields: Any) -> str:
        """Order something of a lock that was heard of; return the command's id. `fields`: as `request_command` has."""
        return self.ordering.request_command(lock.name, action, TECHNICIAN, **fields).id

    def answer(self, command_id: str, *outcomes: str, reason: str | None = None) -> None:
        """What its gateway says of a command, each a second after the one before."""
        command = self.ordering.command(command_id)
        assert command is not None
        for each in outcomes:
            at = self.clock.go_on(seconds=1)
            told = CommandOutcome(id=command.id, lock=command.lock, outcome=each, at=at, reason=reason)  # type: ignore[arg-type]  # the caller knows which there are
            answer = Answer(command.site, command.gateway, told, at, "kid", "sig", told.to_json())
            with self.ledger.database.writing() as connection:
                keep_outcomes(connection, [answer])

    def _hear(self, report: Report) -> None:
        with self.ledger.database.writing() as connection:
            latest_reports.save(connection, [report], to_ms(report.heard_at))
            keep(connection, [report], to_ms(report.heard_at), ObservationsSection(), shared=False)

    def catch_up(self, projection: TwinProjection | None = None) -> None:
        """Take all that is there."""
        mine = projection or self.projection
        while mine.step():
            pass

    def look(self) -> set[tuple[str, str]]:
        """Take all that is there, look at the alarms; return kind and key of those that are open."""
        self.catch_up()
        self.projection.alarms.look_now()
        return {(alarm.kind.value, alarm.key) for alarm in self.reader.alarms()}

    def twin(self, lock: FakeLock, at: datetime | None = None) -> LockTwin:
        """Take all that is there, and return a lock's twin, which must be known."""
        self.catch_up()
        found = self.reader.lock(lock.name, at)
        assert found is not None
        return found

    def rows(self, table: sa.Table) -> list[tuple[Any, ...]]:
        """Return what a table of the twins holds."""
        with self.projection.store.database.reading() as connection:
            return [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]

    def close(self) -> None:
        self.reader.close()
        self.projection.close()
        self.operations.close()
        self.ordering.close()

    @contextmanager
    def counting_queries(self) -> Iterator[list[str]]:
        """Count the statements that the reader sends meanwhile, to both databases."""
        sent: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            sent.append(statement)

        engines = [self.reader._database._engine, self.reader._ledger._engine]
        for engine in engines:
            event.listen(engine, "before_cursor_execute", note)
        try:
            yield sent
        finally:
            for engine in engines:
                event.remove(engine, "before_cursor_execute", note)


ALL_TABLES = tuple(t.metadata.tables.values())
