"""Opens the ledger's database and its transactions, and says of each database error what is to be done about it.

One writer at a time: SQLite by `BEGIN IMMEDIATE`, PostgreSQL by a transaction-level advisory lock. That is what makes
positions follow the order of commits, however many sinks write.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from cloud_sink.errors import LedgerRefused, LedgerUnavailable

_WRITE_LOCK = 0x574C_4544_4745_5231  # "WLEDGER1": this lock's number among PostgreSQL's advisory locks
_BUSY_TIMEOUT_MS = 10_000
_READ_CHUNK = 2_000  # rows fetched at once by streaming reads

# A database that has silently vanished must be noticed within seconds, not after TCP's two hours.
_POSTGRES_ARGS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
# A sink that froze in the middle of a transaction must not keep the others waiting for its lock.
_POSTGRES_WRITER = "-c lock_timeout=30s -c idle_in_transaction_session_timeout=60s"
_POSTGRES_READER = "-c default_transaction_read_only=on"
_VALUE_ERRORS = (exc.IntegrityError, exc.DataError, sqlite3.IntegrityError, sqlite3.DataError,
                 psycopg.IntegrityError, psycopg.DataError, OverflowError)  # fmt: skip
_DATABASE_ERRORS = (exc.SQLAlchemyError, sqlite3.Error, psycopg.Error, OSError)


class Database:
    """One ledger's database. `read_only`: for reports, beside a running sink; nothing can be written through it."""

    def __init__(self, url: str, read_only: bool = False, write_lock: int = _WRITE_LOCK) -> None:
        """`url`: `sqlite:///path` or `postgresql+psycopg://…`. Nothing is opened yet.

        `write_lock`: PostgreSQL's number for whom writers wait for; those of the ledger all wait for each other.
        """
        self.url = make_url(url)
        self._write_lock = write_lock
        self.dialect = self.url.get_backend_name()
        self._engine = self._make_engine(read_only)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that holds the write lock; committed at the end, rolled back on any error.

        LedgerUnavailable: try the same again later. LedgerRefused: these values will never be taken.
        """
        with self._reporting_errors(), self._engine.connect() as connection:
            if self.dialect == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({self._write_lock})")
            try:
                yield connection
                connection.commit()
            except _DATABASE_ERRORS as error:
                # Whatever state this connection is in: the next attempt begins with a new one.
                if not isinstance(error, _VALUE_ERRORS):
                    connection.invalidate()
                raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent snapshot for reading; `stream` results that aren't bounded."""
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
        except _VALUE_ERRORS as error:
            raise LedgerRefused(_first_line(error)) from error
        except _DATABASE_ERRORS as error:
            raise LedgerUnavailable(f"ledger {self.url.render_as_string()}: {_first_line(error)}") from error

    def _make_engine(self, read_only: bool) -> Engine:
        if self.dialect == "sqlite":
            engine = self._sqlite_engine(read_only)
        else:
            args = {**_POSTGRES_ARGS, "options": _POSTGRES_READER if read_only else _POSTGRES_WRITER}
            engine = sa.create_engine(
                self.url, connect_args=args, pool_size=2, max_overflow=0, hide_parameters=True
            )
        return engine

    def _sqlite_engine(self, read_only: bool) -> Engine:
        path = self.url.database or ""
        mode = "ro" if read_only else "rwc"

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(
                f"file:{_escape(path)}?mode={mode}",
                uri=True,
                timeout=_BUSY_TIMEOUT_MS / 1000,
                isolation_level=None,  # transactions begin where this file says so, not where the driver guesses
                check_same_thread=False,  # the pool hands a connection from thread to thread, never to two at once
            )
            return connection

        engine = sa.create_engine(
            "sqlite://",
            creator=connect,
            poolclass=sa.QueuePool,
            pool_size=2,
            max_overflow=0,
            hide_parameters=True,
        )
        if not read_only:
            event.listen(engine, "connect", _set_pragmas)
        return engine


def stream(connection: Connection, query: sa.Select[Any]) -> Iterator[sa.Row[Any]]:
    """Yield a query's rows as they come, and close it also where nobody wants to see its end.

    Memory stays bounded. For small results it is the slower way: on PostgreSQL it takes a cursor on the server, with
    three round trips more, and plans that look for the first rows instead of all.
    """
    with connection.execute(query, execution_options={"yield_per": _READ_CHUNK}) as result:
        yield from result


def _set_pragmas(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    # FULL, because NORMAL may lose the last commits on a power cut, and the gateway is about to be told that its
    # pages are safe.
    cursor.execute("PRAGMA synchronous = FULL")
    # What was committed is copied from the log into the database in larger steps: every 32 MiB instead of every 4.
    cursor.execute("PRAGMA wal_autocheckpoint = 8000")
    cursor.execute("PRAGMA cache_size = -65536")
    cursor.close()


def _escape(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _first_line(error: BaseException) -> str:
    """Return what the driver says, without the statement and its values: they may hold what must not be in a log."""
    original = error.orig if isinstance(error, exc.DBAPIError) and error.orig is not None else error
    lines = str(original).strip().splitlines()
    return lines[0] if lines else type(original).__name__
