"""What the authority has decided, for ever: tokens, certificates, page-signing keys, and who did what.

A small SQLite file of its own beside the authority's key, apart from the ledger: the sink, which anybody can send
messages to, reads neither. Every decision is one transaction: a token is spent in the one that keeps its certificate.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cloud_sink.errors import ConfigError, RegisterUnavailable
from cloud_sink.ledger.instants import from_ms, to_ms

_VERSION = 2
_WAIT_S = 10.0  # for whoever writes at this moment
_SCHEMA = """
CREATE TABLE gateway (id TEXT PRIMARY KEY, site TEXT NOT NULL, state TEXT NOT NULL, changed_at INTEGER NOT NULL) STRICT;
CREATE TABLE token (
    hash TEXT PRIMARY KEY, gateway TEXT NOT NULL, site TEXT NOT NULL, made_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, used_by TEXT, used_at INTEGER) STRICT;
CREATE TABLE certificate (
    serial TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, pem TEXT NOT NULL, issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, request TEXT UNIQUE, sign_from INTEGER, revoked_at INTEGER) STRICT;
CREATE INDEX certificate_name ON certificate (name);
CREATE TABLE signing_key (
    kid TEXT NOT NULL, gateway TEXT NOT NULL, site TEXT NOT NULL, public TEXT NOT NULL, since INTEGER NOT NULL,
    until INTEGER, revoked INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (gateway, kid)) STRICT;
CREATE TABLE deed (
    at INTEGER NOT NULL, actor TEXT NOT NULL, what TEXT NOT NULL, name TEXT NOT NULL, reason TEXT) STRICT;
CREATE TABLE list_number (value INTEGER NOT NULL) STRICT;
INSERT INTO list_number VALUES (0);
"""
# What each release added; a register of an older one is brought up to date.
_STEPS = {
    1: _SCHEMA,
    2: "CREATE TABLE order_key ("
    "kid TEXT PRIMARY KEY, public TEXT NOT NULL, since INTEGER NOT NULL, retired INTEGER) STRICT;",
}


@dataclass(frozen=True, slots=True)
class Gateway:
    """`state`: active or revoked."""

    id: str
    site: str
    state: str


@dataclass(frozen=True, slots=True)
class TokenRow:
    gateway: str
    site: str
    expires_at: datetime
    used_by: str | None


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """`sign_from`: when the page-signing key of the same request is in force everywhere; of gateways only."""

    serial: str
    name: str
    role: str
    pem: str
    issued_at: datetime
    expires_at: datetime
    sign_from: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class SigningKeyRow:
    """`until`: out of force from then on; None: the one in use. Rows stay: old pages are verified with them."""

    kid: str
    gateway: str
    site: str
    public: str
    since: datetime
    until: datetime | None
    revoked: bool


@dataclass(frozen=True, slots=True)
class OrderKeyRow:
    """A key that the cloud signs orders with. `retired_at`: gateways no longer believe it; None: they do."""

    kid: str
    public: str
    since: datetime
    retired_at: datetime | None


class Register:
    """`with register.deciding() as decision:` is one transaction; `reading` shows what was decided."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it. ConfigError where it can't be used."""
        self._path = path
        try:
            if not path.exists():
                path.touch(mode=0o600)
            with closing(self._connect()) as connection:
                self._prepare(connection)
        except (sqlite3.Error, OSError) as error:
            raise ConfigError([f"{path}: the authority's register can't be used: {error}"]) from error

    @contextmanager
    def deciding(self) -> Iterator["Decision"]:
        """One transaction: all of it is kept, or on an exception nothing."""
        try:
            with closing(self._connect()) as connection:  # closing rolls back what isn't committed
                connection.execute("BEGIN IMMEDIATE")
                yield Decision(connection)
                connection.commit()
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    @contextmanager
    def reading(self) -> Iterator["Decision"]:
        """A consistent look at all of it."""
        try:
            with closing(self._connect()) as connection:
                connection.execute("BEGIN")
                yield Decision(connection)
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: sqlite3.Error) -> RegisterUnavailable:
        return RegisterUnavailable(
            f"{self._path}: can't be used now ({error}); nothing was decided: try again"
        )

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_WAIT_S, isolation_level=None)
        connection.execute("PRAGMA synchronous = FULL")
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > _VERSION:
            raise ConfigError(
                [f"{self._path}: was written by a newer release (version {found}): use that one"]
            )
        steps = " ".join(step for version, step in _STEPS.items() if version > found)
        if steps:
            connection.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {_VERSION}; COMMIT;")


class Decision:
    """The queries, within one transaction. Instants are UTC; kept as milliseconds."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    # ---- gateways ----

    def gateway(self, gateway: str) -> Gateway | None:
        row = self._db.execute("SELECT id, site, state FROM gateway WHERE id = ?", (gateway,)).fetchone()
        return Gateway(*row) if row else None

    def gateways(self) -> list[Gateway]:
        return [
            Gateway(*row) for row in self._db.execute("SELECT id, site, state FROM gateway ORDER BY site, id")
        ]

    def put_gateway(self, gateway: Gateway, at: datetime) -> None:
        self._db.execute(
            "INSERT INTO gateway VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET site = excluded.site, "
            "state = excluded.state, changed_at = excluded.changed_at",
            (gateway.id, gateway.site, gateway.state, to_ms(at)),
        )

    # ---- tokens ----

    def add_token(self, hash_: str, gateway: str, site: str, at: datetime, expires_at: datetime) -> None:
        self._db.execute(
            "INSERT INTO token VALUES (?, ?, ?, ?, ?, NULL, NULL)",
            (hash_, gateway, site, to_ms(at), to_ms(expires_at)),
        )

    def token(self, hash_: str) -> TokenRow | None:
        row = self._db.execute(
            "SELECT gateway, site, expires_at, used_by FROM token WHERE hash = ?", (hash_,)
        ).fetchone()
        return TokenRow(row[0], row[1], from_ms(row[2]), row[3]) if row else None

    def spend_token(self, hash_: str, request: str, at: datetime) -> None:
        self._db.execute(
            "UPDATE token SET used_by = ?, used_at = ? WHERE hash = ?", (request, to_ms(at), hash_)
        )

    def drop_tokens(self, gateway: str) -> None:
        """Take away what nobody has used yet."""
        self._db.execute("DELETE FROM token WHERE gateway = ? AND used_by IS NULL", (gateway,))

    # ---- certificates ----

    def add_certificate(self, row: CertificateRow, request: str | None) -> None:
        self._db.execute(
            "INSERT INTO certificate VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)",
            (
                row.serial,
                row.name,
                row.role,
                row.pem,
                to_ms(row.issued_at),
                to_ms(row.expires_at),
                request,
                None if row.sign_from is None else to_ms(row.sign_from),
            ),
        )

    def certificates(self, name: str | None = None) -> list[CertificateRow]:
        """Return those of one name, or all, the oldest first."""
        return self._certificates("?1 IS NULL OR name = ?1", name)

    def certificate_for(self, request: str) -> CertificateRow | None:
        """Return the certificate that was given to this request."""
        return next(iter(self._certificates("request = ?1", request)), None)

    def certificate(self, serial: str) -> CertificateRow | None:
        return next(iter(self._certificates("serial = ?1", serial)), None)

    def revoke_certificate(self, serial: str, at: datetime) -> None:
        self._db.execute(
            "UPDATE certificate SET revoked_at = ? WHERE serial = ? AND revoked_at IS NULL",
            (to_ms(at), serial),
        )

    def _certificates(self, condition: str, value: str | None) -> list[CertificateRow]:
        rows = self._db.execute(
            "SELECT serial, name, role, pem, issued_at, expires_at, sign_from, revoked_at FROM certificate "
            f"WHERE {condition} ORDER BY issued_at, rowid",
            (value,),
        )
        return [
            CertificateRow(
                row[0],
                row[1],
                row[2],
                row[3],
                from_ms(row[4]),
                from_ms(row[5]),
                _maybe(row[6]),
                _maybe(row[7]),
            )
            for row in rows
        ]

    # ---- page-signing keys ----

    def signing_keys(self, gateway: str | None = None) -> list[SigningKeyRow]:
        rows = self._db.execute(
            "SELECT kid, gateway, site, public, since, until, revoked FROM signing_key "
            "WHERE ?1 IS NULL OR gateway = ?1 ORDER BY since, rowid",
            (gateway,),
        )
        return [
            SigningKeyRow(row[0], row[1], row[2], row[3], from_ms(row[4]), _maybe(row[5]), bool(row[6]))
            for row in rows
        ]

    def put_signing_key(self, kid: str, gateway: str, site: str, public: str, at: datetime) -> None:
        """Make this the key in use."""
        self._db.execute(
            "INSERT INTO signing_key VALUES (?, ?, ?, ?, ?, NULL, 0) ON CONFLICT (gateway, kid) DO UPDATE SET "
            "until = NULL, site = excluded.site",
            (kid, gateway, site, public, to_ms(at)),
        )

    def end_signing_keys(self, gateway: str, but: str, until: datetime) -> None:
        """Let the keys that were in use until now end then; what ends earlier already stays."""
        self._db.execute(
            "UPDATE signing_key SET until = ? WHERE gateway = ? AND kid <> ? AND until IS NULL",
            (to_ms(until), gateway, but),
        )

    def revoke_signing_keys(self, gateway: str, at: datetime) -> None:
        """Take all out of force, now and for ever."""
        self._db.execute(
            "UPDATE signing_key SET until = min(coalesce(until, ?1), ?1), revoked = 1 WHERE gateway = ?2",
            (to_ms(at), gateway),
        )

    # ---- keys that orders are signed with ----

    def order_keys(self) -> list[OrderKeyRow]:
        rows = self._db.execute("SELECT kid, public, since, retired FROM order_key ORDER BY since, rowid")
        return [OrderKeyRow(row[0], row[1], from_ms(row[2]), _maybe(row[3])) for row in rows]

    def put_order_key(self, kid: str, public: str, at: datetime) -> None:
        self._db.execute("INSERT INTO order_key VALUES (?, ?, ?, NULL)", (kid, public, to_ms(at)))

    def retire_order_key(self, kid: str, at: datetime) -> None:
        self._db.execute("UPDATE order_key SET retired = ? WHERE kid = ?", (to_ms(at), kid))

    # ---- the rest ----

    def note(self, at: datetime, actor: str, what: str, name: str, reason: str | None) -> None:
        """Keep who did it, and why."""
        self._db.execute("INSERT INTO deed VALUES (?, ?, ?, ?, ?)", (to_ms(at), actor, what, name, reason))

    def deeds(self, name: str) -> list[tuple[datetime, str, str, str | None]]:
        """Return (when, who, what, why) of what was done about a name."""
        rows = self._db.execute(
            "SELECT at, actor, what, reason FROM deed WHERE name = ? ORDER BY rowid", (name,)
        )
        return [(from_ms(row[0]), row[1], row[2], row[3]) for row in rows]

    def next_list_number(self) -> int:
        """Return the number of the next revocation list."""
        row = self._db.execute("UPDATE list_number SET value = value + 1 RETURNING value").fetchone()
        return int(row[0])


def _maybe(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)
