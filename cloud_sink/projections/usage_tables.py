"""Usage per day: how often which credential used which chamber on which day. Made from the ledger, and from it alone.

    usage_days       complete pours whose day is known, counted by lock, day, chamber, credential, volume and traits
    usage_loose      those whose day isn't, records whose CRC never held, and faults that let waste by: one
                     reference each
    usage_records    which records are filed under a day: by lock, epoch and chamber (0: all others), the first and
                     last of them and the complete pours among them
    usage_state      one row: up to which position of the ledger all of this goes

Days are local days of the configured zone, as whole days since 1970. Another version, zone or ledger means that
everything is dropped and built anew: there are no migrations.
"""

import sqlalchemy as sa

VERSION = 1

# SQLite keeps WITHOUT ROWID tables in the order of their key: the days of a lock lie side by side.
_BIG: sa.types.TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

metadata = sa.MetaData()


def _key(name: str, kind: "sa.types.TypeEngine[int]" = _BIG) -> sa.Column[int]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def _clustered(name: str, *columns: sa.Column[int]) -> sa.Table:
    return sa.Table(name, metadata, *columns, sqlite_with_rowid=False, sqlite_strict=True)


state = sa.Table(
    "usage_state",
    metadata,
    _key("only"),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("zone", sa.Text, nullable=False),
    sa.Column("ledger", sa.Text, nullable=False),
    sa.Column("position", _BIG, nullable=False),
    sqlite_strict=True,
)

# Numbered from 1 in the order in which they first poured; 0 stands for no credential.
credentials = sa.Table(
    "usage_credentials",
    metadata,
    _key("credential_no"),
    sa.Column("credential", sa.LargeBinary(16), nullable=False, unique=True),
    sqlite_strict=True,
)

# `traits`: the record's flags service, degraded and derived, as they stand in its flag byte.
days = _clustered(
    "usage_days",
    _key("lock_no", sa.Integer()),
    _key("day", sa.Integer()),
    _key("chamber", sa.Integer()),
    _key("credential_no", sa.Integer()),
    _key("volume_ml", sa.Integer()),
    _key("traits", sa.Integer()),
    sa.Column("pours", sa.Integer, nullable=False),
)

# The record's time lies within these days; where there is no telling, they are the first and last of all.
loose = _clustered(
    "usage_loose",
    _key("lock_no", sa.Integer()),
    _key("epoch"),
    _key("seq"),
    _key("unverified", sa.Integer()),
    sa.Column("first_day", sa.Integer, nullable=False),
    sa.Column("last_day", sa.Integer, nullable=False),
)

records = _clustered(
    "usage_records",
    _key("lock_no", sa.Integer()),
    _key("day", sa.Integer()),
    _key("epoch"),
    _key("chamber", sa.Integer()),
    sa.Column("first_seq", _BIG, nullable=False),
    sa.Column("last_seq", _BIG, nullable=False),
    sa.Column("pours", sa.Integer, nullable=False),
)
