"""What the time series need to remember: how far they are written, and what the quality of each lock's data is so far.

    timeseries_state    one row: up to which entry and observation points are written, and the interval that is open
    timeseries_locks    each lock's site, the interval of its last entry, and what that interval holds so far
    timeseries_epochs   which records of each lock's epoch came: the first, the last, how many

The points are on the server only. Another version, ledger or interval means that all of them are written again.
"""

import sqlalchemy as sa

VERSION = 1

_BIG: sa.types.TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

metadata = sa.MetaData()


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, _BIG, nullable=False)


state = sa.Table(
    "timeseries_state",
    metadata,
    sa.Column("only", _BIG, primary_key=True, autoincrement=False),
    _number("version"),
    sa.Column("ledger", sa.Text, nullable=False),
    _number("interval_s"),
    _number("position"),
    _number("observation_no"),
    _number("interval_no"),
    sqlite_strict=True,
)

locks = sa.Table(
    "timeseries_locks",
    metadata,
    sa.Column("lock", sa.Text, primary_key=True),
    sa.Column("site", sa.Text, nullable=False),
    _number("interval_no"),
    _number("pours"),
    _number("timed"),
    _number("latency_sum_ms"),
    _number("latency_max_ms"),
    _number("doubtful"),
    sa.Index("ix_timeseries_locks_interval_no", "interval_no"),
    sqlite_strict=True,
)

epochs = sa.Table(
    "timeseries_epochs",
    metadata,
    sa.Column("lock", sa.Text, primary_key=True),
    sa.Column("epoch", _BIG, primary_key=True, autoincrement=False),
    _number("first_seq"),
    _number("last_seq"),
    _number("records"),
    sqlite_strict=True,
)
