"""Opens a ledger for those that follow it: read-only, of this release's schema, and tied to its pseudonym key."""

import sqlalchemy as sa

from cloud_sink.errors import ConfigError, SinkError
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.migrating import check
from cloud_sink.ledger.tables import FINGERPRINT, facts


def open_to_follow(url: str) -> tuple[Database, str]:
    """Return the ledger and its fingerprint, which tells it from others; a projection is of one ledger only.

    ConfigError if there is none of this release's schema yet; LedgerUnavailable: try again later.
    """
    database = Database(url, read_only=True)
    try:
        check(database)
        with database.reading() as connection:
            known = connection.scalar(sa.select(facts.c.value).where(facts.c.name == FINGERPRINT))
        if known is None:
            raise ConfigError(["the ledger is tied to no pseudonym key yet: start `cloud-sink run` once"])
    except SinkError:
        database.close()
        raise
    return database, str(known)
