"""Opens the database of billing's own books, its transactions and its schema; says of each error what to do about it.

One writer at a time: SQLite by `BEGIN IMMEDIATE`, PostgreSQL by a transaction-level advisory lock. What a step was
judged by is therefore still true when it is written.
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

from billing_aggregator.errors import BillingError, ConfigError, StoreUnavailable

_SCRIPTS = Path(__file__).parent / "migrations"
_WRITE_LOCK = 0x5742_494C_4C49_4E47  # "WBILLING": this lock's number among PostgreSQL's advisory locks
_BUSY_TIMEOUT_S = 30
# A program that froze in the middle of a transaction must not keep the others waiting for its lock.
_POSTGRES_OPTIONS = "-c lock_timeout=30s -c idle_in_transaction_session_timeout=300s"
_POSTGRES_ARGS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
# The database's own word that this will never be taken: a constraint, or a trigger that guards what isn't changed.
_REFUSALS = (sqlite3.IntegrityError, sqlite3.DataError, psycopg.IntegrityError, psycopg.DataError,
             psycopg.errors.RaiseException, OverflowError)  # fmt: skip
_DATABASE_ERRORS = (exc.SQLAlchemyError, sqlite3.Error, psycopg.Error, OSError, OverflowError)


class StoreRefused(BillingError):
    """The database will never take this: nothing was changed, and trying again won't help."""


class Database:
    """Billing's own books: master data, runs, invoices. Each transaction has a connection of its own."""

    def __init__(self, url: str, read_only: bool = False) -> None:
        """`url`: `sqlite:///path` or `postgresql+psycopg://…`. Nothing is opened yet.

        `read_only`: for whoever only looks; the database itself refuses to write then.
        """
        self.url = make_url(url)
        self.dialect = self.url.get_backend_name()
        self._read_only = read_only
        self._engine = self._make_engine(read_only)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that holds the write lock; committed at the end, rolled back on any error.

        StoreUnavailable: try the same again later. StoreRefused: it will never be taken.
        """
        if self._read_only:
            raise StoreRefused("these books were opened for reading only")
        with self._reporting_errors(), self._engine.connect() as connection:
            if self.dialect == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})")
            try:
                yield connection
                connection.commit()
            except _DATABASE_ERRORS as error:
                # Whatever state this connection is in: the next attempt begins with a new one.
                if not _is_refusal(error):
                    connection.invalidate()
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
            said = _first_line(error)
            if _is_refusal(error):
                raise StoreRefused(said) from error
            raise StoreUnavailable(f"billing's database {self.url.render_as_string()}: {said}") from error

    def _make_engine(self, read_only: bool) -> Engine:
        if self.dialect != "sqlite":
            options = _POSTGRES_OPTIONS + (" -c default_transaction_read_only=on" if read_only else "")
            args = {**_POSTGRES_ARGS, "options": options}
            return sa.create_engine(self.url, connect_args=args, pool_size=2, max_overflow=2)
        path = self.url.database or ""

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(
                path,
                timeout=_BUSY_TIMEOUT_S,
                isolation_level=None,  # transactions begin where this file says so, not where the driver guesses
                check_same_thread=False,  # the pool hands a connection from thread to thread, never to two at once
            )

        engine = sa.create_engine(
            "sqlite://", creator=connect, poolclass=sa.QueuePool, pool_size=2, max_overflow=2
        )
        event.listen(engine, "connect", _set_pragmas)
        if read_only:
            event.listen(engine, "connect", _refuse_writing)
        return engine


def migrate(database: Database) -> str:
    """Bring the books to this release's schema, in one transaction under the write lock, and return its revision.

    Several programs may start at once: the second one waits and finds nothing left to do. Books of a newer release
    are refused (ConfigError); nothing is ever made anew.
    """
    scripts = ScriptDirectory(str(_SCRIPTS))
    head = scripts.get_current_head()
    if head is None:
        raise ConfigError(["no migrations are installed: install the package wastelock anew"])
    with database.reading() as connection:
        here = MigrationContext.configure(connection).get_current_revision()
    if here == head:  # a command that only looks doesn't stand in line with those that write
        return head
    with database.writing() as connection:
        context = MigrationContext.configure(connection, opts={"transactional_ddl": True})
        here = context.get_current_revision()
        if here is not None and here not in {step.revision for step in scripts.walk_revisions()}:
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
    # FULL, because NORMAL may lose the last commits on a power cut: an invoice's number was told to a customer.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA cache_size = -65536")
    cursor.close()


def _refuse_writing(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only = ON")
    cursor.close()


def _is_refusal(error: BaseException) -> bool:
    return isinstance(_original(error), _REFUSALS)


def _original(error: BaseException) -> BaseException:
    return error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error


def _first_line(error: BaseException) -> str:
    """Return what the driver says, without the statement and its values: they may hold what must not be in a log."""
    original = _original(error)
    lines = str(original).strip().splitlines()
    return lines[0] if lines else type(original).__name__
