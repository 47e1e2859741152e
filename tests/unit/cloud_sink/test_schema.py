"""The ledger's schema: made by migrations, brought up to date from each older one, and indexed for what is asked."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.engine import Connection

from cloud_sink.errors import ConfigError
from cloud_sink.ledger import tables as t
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.migrating import check, current, migrate
from cloud_sink.ledger.observations import hearings_of, observations_after
from cloud_sink.ledger.operator_events import operator_events_after
from cloud_sink.orders.ordering import Ordering
from cloud_sink.reading import LedgerReader
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger

OLD = sorted((Path(__file__).parents[2] / "databases").glob("ledger-*.sqlite"))


def test_migrations_make_exactly_the_tables_of_the_code(ledger_url: str) -> None:
    database = Database(ledger_url)
    assert migrate(database) == current()
    assert migrate(database) == current(), "and a second time nothing is left to do"
    with database.reading() as connection:
        context = MigrationContext.configure(
            connection.execution_options(yield_per=1), opts={"compare_type": True}
        )
        assert compare_metadata(context, t.metadata) == []
    database.close()


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.name)
def test_a_ledger_of_an_older_release_is_migrated_and_goes_on(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "ledger.sqlite"
    shutil.copy(path, copy)
    gateway, lock = FakeGateway(), FakeLock()
    ledger = Ledger(f"sqlite:///{copy}", tmp_path, [gateway], [])
    before = ledger.entries()
    assert [(entry.lock, entry.seq) for entry in before] == [("1f00a1", n) for n in (1, 2, 3, 4, 5, 6, 9, 10)]
    assert [dispute.kind for dispute in ledger.reader.disputes()] == ["record"]
    assert [line.reason for line in ledger.reader.quarantine()] == ["bad signature", "can't be read"]
    assert [(gap.first, gap.last) for gap in ledger.reader.record_gaps()] == [(7, 8)]
    assert [(j.committed_through, j.missing) for j in ledger.reader.journals()] == [(3, [(4, 4)])]
    lock.seq = 10
    gateway.page, gateway.head = 5, "A" * 43
    assert ledger.take(gateway.seal(lock.pours(1))).entries == 1
    assert ledger.entries()[:8] == before
    ledger.close()


def test_what_was_reported_and_decided_in_an_older_ledger_is_read(tmp_path: Path) -> None:
    copy = tmp_path / "ledger.sqlite"
    shutil.copy(OLD[1], copy)
    database = Database(f"sqlite:///{copy}")
    migrate(database)
    with database.reading() as connection:
        observed = observations_after(connection, 0, 100)
        decided = operator_events_after(connection, 0, 100)
        heard = {each.kind.value: each.heard_at for each in hearings_of(connection)}
    assert [each.kind.value for each in observed] == ["gateway", "lock", "lock", "telemetry", "gateway"]
    assert [each.kind.value for each in decided] == [
        "described", "described", "lifecycle", "desired", "acknowledged", "note",
    ]  # fmt: skip
    assert heard["lock"] > observed[2].heard_at, "of the last report it is known that it was heard"
    database.close()


def test_what_was_wished_in_an_older_ledger_is_what_its_locks_shall_be(tmp_path: Path) -> None:
    copy = tmp_path / "ledger.sqlite"
    shutil.copy(OLD[1], copy)
    database = Database(f"sqlite:///{copy}")
    migrate(database)
    with database.reading() as connection:
        assert connection.execute(sa.select(t.lock_wishes)).all() == [("1f00a1", "enable_mask", "3", 4)]
    database.close()


def test_what_was_ordered_in_an_older_ledger_is_read(tmp_path: Path) -> None:
    copy = tmp_path / "ledger.sqlite"
    shutil.copy(OLD[2], copy)
    database = Database(f"sqlite:///{copy}")
    migrate(database)
    database.close()
    ordering = Ordering(f"sqlite:///{copy}", lambda: datetime(2026, 11, 24, tzinfo=UTC))
    told = [(each.id, each.state.value, each.requested_by) for each in ordering.commands()]
    assert told == [
        ("boot-1", "withdrawn", "anna"),
        ("mask-1", "unanswered", "anna"),
        ("read-1", "done", "anna"),
    ]
    found = ordering.access_list("1f00a1")
    assert found is not None
    assert (found.view.entries, found.view.blocked, len(found.transponders)) == (2, 1, 2)
    assert [each.entries for each in ordering.access_lists("1f00a1")] == [2, 1]
    ordering.close()


def test_there_is_an_old_ledger_for_each_released_schema() -> None:
    assert [path.stem for path in OLD] == ["ledger-0001", "ledger-0002", "ledger-0003"]


def test_a_ledger_of_a_newer_release_is_left_alone(ledger_url: str) -> None:
    database = Database(ledger_url)
    migrate(database)
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match="newer than this release"):
        migrate(database)
    with pytest.raises(ConfigError, match="newer than this release"):
        LedgerReader(ledger_url)
    database.close()


def test_reports_do_not_migrate_but_say_what_to_do(ledger_url: str) -> None:
    database = Database(ledger_url)
    with database.writing():
        pass
    with pytest.raises(ConfigError, match="start `cloud-sink run` once"):
        check(database)
    database.close()


def test_readers_cannot_write(ledger: Ledger) -> None:
    with pytest.raises(Exception, match=r"read-?only"), ledger.reader._database.writing() as connection:
        connection.execute(t.facts.insert(), {"name": "x", "value": "y"})


def test_another_pseudonym_key_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match="another pseudonym key"):
        ledger.book.prepare("0123456789abcdef")


@contextmanager
def recorded_statements(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Collect what is executed on this database, with its values."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, _context: Any, many: bool) -> None:
        seen.append((statement, values[0] if many else values))

    sa.event.listen(database._engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(database._engine, "before_cursor_execute", note)


def scans(connection: Connection, statement: str, values: Any) -> list[str]:
    """Return the tables that the plan of a statement reads from end to end."""
    if connection.dialect.name == "sqlite":
        rows = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, values)
        steps = [str(row[3]) for row in rows]
        return [
            step
            for step in steps
            if step.startswith("SCAN ") and "INDEX" not in step and "CONSTANT" not in step
        ]
    connection.exec_driver_sql("SET enable_seqscan = off")
    rows = connection.exec_driver_sql("EXPLAIN " + statement, values)
    return [str(row[0]) for row in rows if "Seq Scan" in str(row[0])]


# Of these there are a few rows for each gateway, or none at all in good times; `w` is what is asked for itself.
SMALL_TABLES = {"journals", "facts", "alembic_version", "w", "locks", "quarantine"}


def assert_indexed(database: Database, seen: list[tuple[str, Any]]) -> None:
    checked = 0
    with database.writing() as connection:
        for statement, values in seen:
            if not statement.lstrip().upper().startswith(("SELECT", "WITH", "UPDATE", "DELETE")):
                continue
            if "pg_" in statement or "ORDER BY commits.commit_no DESC" in statement:
                continue  # the latter takes one row from the end of the table, which SQLite calls a scan, too
            found = [
                scan for scan in scans(connection, statement, values) if not SMALL_TABLES & set(scan.split())
            ]
            assert not found, f"{found} in {statement}"
            checked += 1
    assert checked > 0


def commit_everything(ledger: Ledger, gateway: FakeGateway, lock: FakeLock) -> None:
    records = lock.pours(30)
    made = [gateway.seal(records[n : n + 5]) for n in range(0, 30, 5)]
    ledger.take(made[0], made[3])
    ledger.take(made[0], made[1], made[2], made[5])
    swapped = FakeGateway(journal="00000000-0000-4000-8000-000000000001")
    ledger.take(swapped.seal(records[:20]))
    ledger.take(made[4])


def test_what_the_intake_asks_is_answered_by_indexes(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    commit_everything(ledger, gateway, lock)
    with recorded_statements(ledger.database) as seen:
        commit_everything(ledger, FakeGateway(journal="00000000-0000-4000-8000-000000000007"), FakeLock())
    assert_indexed(ledger.database, seen)


@pytest.mark.parametrize(
    "ask",
    [
        lambda reader: reader.entries_after(3, 10),
        lambda reader: list(reader.runs("1f00a1")),
        lambda reader: reader.last_position(),
        lambda reader: reader.position_before(reader.entries_after(0, 1)[0].committed_at),
    ],
    ids=["entries_after", "runs", "last_position", "position_before"],
)
def test_what_readers_ask_is_answered_by_indexes(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock, ask: Callable[[LedgerReader], object]
) -> None:
    commit_everything(ledger, gateway, lock)
    with recorded_statements(ledger.reader._database) as seen:
        ask(ledger.reader)
    assert_indexed(ledger.database, seen)
