"""Opens the accounts' database, its transactions and its schema. One writer at a time, as in all our books."""

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

from portal.errors import ConfigError, Unavailable

_SCRIPTS = Path(__file__).parent / "migrations"
_WRITE_LOCK = 0x5750_4F52_5441_4C53  # "WPORTALS": this lock's number among PostgreSQL's advisory locks
_BUSY_TIMEOUT_S = 10
_POOL = 4  # connections at once: each request holds one for a millisecond or two
_POSTGRES_ARGS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "options": "-c lock_timeout=10s -c idle_in_transaction_session_timeout=60s",
}
_DATABASE_ERRORS = (exc.SQLAlchemyError, sqlite3.Error, psycopg.Error, OSError)


class Database:
    """The accounts' database. Each transaction has a connection of its own; any thread may open one."""

    def __init__(self, url: str) -> None:
        """`url`: `sqlite:///path` or `postgresql+psycopg://…`. Nothing is opened yet."""
        self.url = make_url(url)
        self.dialect = self.url.get_backend_name()
        self._engine = self._make_engine()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that holds the write lock; committed at the end, rolled back on any error (Unavailable)."""
        with self._reporting_errors(), self._engine.connect() as connection:
            if self.dialect == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})")
            try:
                yield connection
                connection.commit()
            except _DATABASE_ERRORS:
                connection.invalidate()  # whatever state it is in: the next one begins with a new connection
                raise

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
        except _DATABASE_ERRORS as error:
            raise Unavailable(
                f"accounts' database {self.url.render_as_string()}: {_first_line(error)}"
            ) from error

    def _make_engine(self) -> Engine:
        if self.dialect != "sqlite":
            return sa.create_engine(
                self.url, connect_args=_POSTGRES_ARGS, pool_size=_POOL, max_overflow=_POOL
            )
        path = self.url.database or ""

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(
                path,
                timeout=_BUSY_TIMEOUT_S,
                isolation_level=None,  # transactions begin where this file says so, not where the driver guesses
                check_same_thread=False,  # the pool hands a connection from thread to thread, never to two at once
            )

        engine = sa.create_engine(
            "sqlite://", creator=connect, poolclass=sa.QueuePool, pool_size=_POOL, max_overflow=_POOL
        )
        event.listen(engine, "connect", _set_pragmas)
        return engine


def migrate(database: Database) -> str:
    """Bring the accounts to this release's schema in one transaction, and return its revision.

    Those of a newer release are refused (ConfigError).
    """
    scripts = ScriptDirectory(str(_SCRIPTS))
    head = scripts.get_current_head()
    if head is None:
        raise ConfigError(["no migrations are installed: install the package wastelock anew"])
    with database.writing() as connection:
        context = MigrationContext.configure(connection, opts={"transactional_ddl": True})
        here = context.get_current_revision()
        if here is not None and here not in {step.revision for step in scripts.walk_revisions()}:
            raise ConfigError(
                [f"the schema {here} of the accounts' database is newer than this release knows ({head}): "
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
    # FULL: a session that was revoked must stay so after a power cut.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


def _first_line(error: BaseException) -> str:
    """Return what the driver says, without the statement and its values: they may hold what must not be in a log."""
    original = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
    lines = str(original).strip().splitlines()
    return lines[0] if lines else type(original).__name__
