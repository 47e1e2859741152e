"""Opens billing's database, its transactions and its schema; says of each database error what is to be done about it.

One writer at a time: SQLite by `BEGIN IMMEDIATE`, PostgreSQL by an advisory lock. What a writer has looked at is still
true when it writes.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import event, exc
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from billing_aggregator.errors import ConfigError, StoreUnavailable

_WRITE_LOCK = 0x574C_4249_4C4C_4E47  # "WLBILLNG": this lock's number among PostgreSQL's advisory locks
_BUSY_TIMEOUT_MS = 10_000
_POSTGRES_ARGS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "options": "-c lock_timeout=30s",
}
_SCRIPTS = Path(__file__).parent / "migrations"
_AWAY = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError, sqlite3.OperationalError,
         psycopg.OperationalError, OSError)  # fmt: skip


class Database:
    """Billing's own books: master data, runs, invoices."""

    def __init__(self, url: str) -> None:
        """`url`: `sqlite:///path` or `postgresql+psycopg://…`. Nothing is opened yet."""
        self.url = make_url(url)
        self.dialect = self.url.get_backend_name()
        self._engine = self._make_engine()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that holds the write lock; committed at the end, rolled back on any error.

        StoreUnavailable: nothing was written; try the same again later.
        """
        with self._reporting_errors(), self._engine.connect() as connection:
            if self.dialect == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})")
            yield connection
            connection.commit()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent snapshot for reading."""
        with self._reporting_errors(), self._engine.connect() as connection:
            if self.dialect == "sqlite":
                connection.exec_driver_sql("BEGIN")
            else:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection
            connection.rollback()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _reporting_errors(self) -> Iterator[None]:
        try:
            yield
        except _AWAY as error:
            original = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
            lines = str(original).strip().splitlines()
            what = lines[0] if lines else type(original).__name__
            raise StoreUnavailable(f"billing's database {self.url.render_as_string()}: {what}") from error

    def _make_engine(self) -> Engine:
        if self.dialect != "sqlite":
            return sa.create_engine(self.url, connect_args=_POSTGRES_ARGS, pool_size=2, max_overflow=0)
        path = self.url.database or ""

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(
                path,
                timeout=_BUSY_TIMEOUT_MS / 1000,
                isolation_level=None,  # transactions begin where this file says so
                check_same_thread=False,  # the pool hands a connection on, never to two threads at once
            )

        engine = sa.create_engine(
            "sqlite://", creator=connect, poolclass=sa.QueuePool, pool_size=2, max_overflow=0
        )
        event.listen(engine, "connect", _set_pragmas)
        return engine


def migrate(database: Database) -> str:
    """Bring the books to this release's schema, in one transaction; return its revision. Never recreates anything."""
    scripts = ScriptDirectory(str(_SCRIPTS))
    with database.writing() as connection:
        context = MigrationContext.configure(connection, opts={"transactional_ddl": True})
        here = context.get_current_revision()
        known = {step.revision for step in scripts.walk_revisions()}
        head = scripts.get_current_head() or ""
        if here is not None and here not in known:
            raise ConfigError(
                [f"the schema {here} of billing's database is newer than this release knows ({head}): "
                 "install the release that made it, or a later one"]
            )  # fmt: skip
        for step in reversed(list(scripts.iterate_revisions("heads", here or "base"))):
            with Operations.context(context):
                step.module.upgrade()
            context.stamp(scripts, step.revision)
    return head


def _set_pragmas(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    # FULL: who was told that a run is final must find it so after a power cut.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA cache_size = -65536")
    cursor.close()
