"""The tables of master data. The law of this file: both are only ever added to, and the database refuses the rest.

    imports (one row a set of files: who, when, why) ──▶ facts (one row each: a value, or the reversal of one)

A fact holds while nothing reverses it. `key`: what tells it from others of its table and property, as `WE1/2025-01-01`.
`payload`: canonical JSON of the fact's value, "" in a reversal. `at_ms` (UTC, milliseconds since 1970) is stamped as
the last thing before the commit and never goes back: what was known at an instant stays what was known then.
"""

import sqlalchemy as sa

BIG: sa.types.TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

metadata = sa.MetaData()

imports = sa.Table(
    "imports",
    metadata,
    sa.Column("import_no", BIG, primary_key=True, autoincrement=False),
    sa.Column("files", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at_ms", BIG, nullable=False, index=True),
    sqlite_strict=True,
)

facts = sa.Table(
    "facts",
    metadata,
    sa.Column("fact_no", BIG, primary_key=True, autoincrement=False),
    sa.Column("property", sa.Text, nullable=False),
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("import_no", BIG, nullable=False),
    sa.Column("reverses", BIG),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Index("ix_facts_property", "property", "fact_no"),
    sqlite_strict=True,
)
