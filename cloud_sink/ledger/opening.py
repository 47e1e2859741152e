"""Opens a ledger that is there already, of this release's schema: for whoever isn't the sink itself."""

import sqlalchemy as sa

from cloud_sink.errors import ConfigError, SinkError
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.migrating import check
from cloud_sink.ledger.tables import FINGERPRINT, facts


def open_ledger(url: str, *, read_only: bool = False) -> Database:
    """Return the ledger. ConfigError if there is none of this release's schema yet."""
    database = Database(url, read_only=read_only)
    try:
        check(database)
    except SinkError:
        database.close()
        raise
    return database


def open_to_follow(url: str) -> tuple[Database, str]:
    """Return the ledger and its fingerprint, which tells it from others; a projection is of one ledger only.

    ConfigError if there is none of this release's schema yet; LedgerUnavailable: try again later.
    """
    database = open_ledger(url, read_only=True)
    try:
        with database.reading() as connection:
            known = connection.scalar(sa.select(facts.c.value).where(facts.c.name == FINGERPRINT))
        if known is None:
            raise ConfigError(["the ledger is tied to no pseudonym key yet: start `cloud-sink run` once"])
    except SinkError:
        database.close()
        raise
    return database, str(known)
