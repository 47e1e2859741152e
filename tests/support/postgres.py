"""A private PostgreSQL server on a free port of 127.0.0.1, and a fresh database for each test."""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

import psycopg
from psycopg import sql

from tests.support.ports import free_port
from tests.support.server import ServerFailed, ServerProcess

_DEBIAN = Path("/usr/lib/postgresql")
_START_TRIES = 5
_UNSYNCED = ("-c", "fsync=off", "-c", "full_page_writes=off")


class Postgres:
    """`with Postgres() as server: url = server.create_database()`.

    The server refuses to run as root, so root lends it the identity of the user `postgres` (Debian's package makes
    it); an ordinary user runs it as himself. `durable=False` leaves out fsync: a killed server loses nothing by that,
    only a machine that loses power would.
    """

    host = "127.0.0.1"

    def __init__(self, durable: bool = False, options: tuple[str, ...] = ()) -> None:
        self.port = free_port()
        self._user = "postgres" if os.geteuid() == 0 else None
        self._options = (*(() if durable else _UNSYNCED), *options)
        self._started_once = False
        # Directly under the system's temporary directory: the user postgres can't pass through pytest's private ones.
        self.directory = Path(tempfile.mkdtemp(prefix="wastelock-postgres-"))
        self._server = ServerProcess("postgres", self.directory / "server.log")

    @property
    def pid(self) -> int:
        return self._server.pid

    @property
    def running(self) -> bool:
        return self._server.running

    def url(self, database: str = "postgres") -> str:
        """Return the SQLAlchemy URL of a database of this server."""
        return f"postgresql+psycopg://postgres@{self.host}:{self.port}/{database}"

    def start(self) -> Self:
        """Create the cluster if it isn't there, start it, and return when it answers queries."""
        binaries = _binaries()
        data = self.directory / "data"
        if not data.exists():
            self._create_cluster(binaries, data)
        for attempt in range(1, _START_TRIES + 1):
            try:
                self._server.start(
                    self._command(binaries, data), self._answers, user=self._user, env=_environment()
                )
                break
            except ServerFailed:
                if self._started_once or attempt == _START_TRIES or "in use" not in self._server.log_tail():
                    raise
                self.port = free_port()
        self._started_once = True
        return self

    def stop(self) -> None:
        """Fast shutdown: sessions are ended, everything is written."""
        self._server.stop(signal.SIGINT)

    def kill(self) -> None:
        """Immediate shutdown: all its processes end at once without writing anything; the next start recovers."""
        self._server.stop(signal.SIGQUIT)

    def restart(self) -> None:
        self.stop()
        self.start()

    def create_database(self) -> str:
        """Create an empty database and return its SQLAlchemy URL."""
        name = f"t_{uuid4().hex}"
        self._administer(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop the database of this URL, ending whatever sessions are left in it."""
        name = url.rpartition("/")[2]
        self._administer(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def log_tail(self) -> str:
        return self._server.log_tail()

    def remove(self) -> None:
        """End the server and delete its directory."""
        self._server.stop(signal.SIGQUIT)
        shutil.rmtree(self.directory)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def _create_cluster(self, binaries: Path, data: Path) -> None:
        identity = {}
        if self._user is not None:
            shutil.chown(self.directory, self._user, self._user)
            identity = {"user": self._user, "group": self._user, "extra_groups": []}
        made = subprocess.run(  # type: ignore[call-overload]
            [binaries / "initdb", "-D", data, "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C",
             "--no-sync"],
            capture_output=True, text=True, check=False, cwd=self.directory, env=_environment(), **identity,
        )  # fmt: skip
        if made.returncode != 0:
            raise ServerFailed(
                f"initdb failed with exit code {made.returncode}\n{made.stdout}\n{made.stderr}"
            )

    def _command(self, binaries: Path, data: Path) -> list[str]:
        return [
            str(binaries / "postgres"), "-D", str(data), "-p", str(self.port),
            "-c", f"listen_addresses={self.host}", "-c", f"unix_socket_directories={self.directory}",
            "-c", "max_connections=60", "-c", "shared_buffers=64MB", *self._options,
        ]  # fmt: skip

    def _answers(self) -> bool:
        try:
            self._administer(sql.SQL("SELECT 1"))
        except psycopg.OperationalError:
            return False
        return True

    def _administer(self, statement: sql.SQL | sql.Composed) -> None:
        with psycopg.connect(
            host=self.host,
            port=self.port,
            user="postgres",
            dbname="postgres",
            autocommit=True,
            connect_timeout=5,
        ) as connection:
            connection.execute(statement)


def _binaries() -> Path:
    """Return the directory of PostgreSQL's server programs: Debian keeps them out of PATH, by major version."""
    debian = sorted(
        (path.parent for path in _DEBIAN.glob("*/bin/postgres")), key=lambda path: float(path.parent.name)
    )
    if debian:
        return debian[-1]
    found = shutil.which("postgres")
    if found is None:
        raise ServerFailed("PostgreSQL's server isn't installed: run `make setup`")
    return Path(found).resolve().parent


def _environment() -> dict[str, str]:
    """Return an environment in which no PG* variable of the caller reaches the private server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}
