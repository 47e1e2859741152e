"""The tables of runs. The law of this file: all three are only ever added to, and the database itself refuses the rest.

    runs (one row a revision of a property and period) ──▶ run_events (what happened, who, when, why)
                                                      └──▶ revisions (bytes of each draft; the last one stands)

A run's state is that of its last event; after `finalized` no bytes can be added to it (triggers of migration m0002).
Instants are UTC in milliseconds since 1970 (`…_ms`), days ISO dates.
"""

import sqlalchemy as sa

BIG: sa.types.TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

metadata = sa.MetaData()


def _table(name: str, *columns: "sa.schema.SchemaItem") -> sa.Table:
    return sa.Table(name, metadata, *columns, sqlite_strict=True)


runs = _table(
    "runs",
    sa.Column("run_no", BIG, primary_key=True, autoincrement=False),
    sa.Column("property", sa.Text, nullable=False),
    sa.Column("period_first", sa.Text, nullable=False),
    sa.Column("period_end", sa.Text, nullable=False),
    sa.Column("revision", BIG, nullable=False),
    sa.UniqueConstraint("property", "period_first", "revision", name="uq_runs_property"),
)

run_events = _table(
    "run_events",
    sa.Column("run_no", BIG, primary_key=True, autoincrement=False),
    sa.Column("step", BIG, primary_key=True, autoincrement=False),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("at_ms", BIG, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("details", sa.Text, nullable=False),
)

revisions = _table(
    "revisions",
    sa.Column("run_no", BIG, primary_key=True, autoincrement=False),
    sa.Column("draft", BIG, primary_key=True, autoincrement=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
)
