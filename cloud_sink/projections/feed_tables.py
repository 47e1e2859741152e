"""The feed: which pour of the ledger is which number of its site's feed. Made from the ledger, and from it alone.

    feed_events      a row for each pour: its position in the ledger, its site, its number there
    feed_sites       the sites' numbers here, and how far each one's feed goes
    feed_state       one row: up to which position of the ledger all of this goes
    feed_published   one row: up to which position the broker has confirmed events. It outlives a rebuild, since that
                     gives the same numbers: nobody is told everything again by it

What an event says is read from the ledger when somebody wants to know it, so it is kept once.
"""

import sqlalchemy as sa

VERSION = 1

_BIG: sa.types.TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

metadata = sa.MetaData()
lasting = sa.MetaData()


def _key(name: str, kind: "sa.types.TypeEngine[int]" = _BIG) -> sa.Column[int]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


state = sa.Table(
    "feed_state",
    metadata,
    _key("only"),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("ledger", sa.Text, nullable=False),
    sa.Column("position", _BIG, nullable=False),
    sqlite_strict=True,
)

sites = sa.Table(
    "feed_sites",
    metadata,
    _key("site_no", sa.Integer()),
    sa.Column("site", sa.Text, nullable=False, unique=True),
    sa.Column("last_sequence", _BIG, nullable=False),
    sqlite_strict=True,
)

events = sa.Table(
    "feed_events",
    metadata,
    _key("position"),
    sa.Column("site_no", sa.Integer, nullable=False),
    sa.Column("sequence", _BIG, nullable=False),
    sa.Index("uq_feed_events_sequence", "site_no", "sequence", unique=True),
    sqlite_strict=True,
)

published = sa.Table(
    "feed_published",
    lasting,
    _key("only"),
    sa.Column("ledger", sa.Text, nullable=False),
    sa.Column("position", _BIG, nullable=False),
    sqlite_strict=True,
)
