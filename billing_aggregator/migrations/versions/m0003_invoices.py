"""Invoices: tables that are only ever added to; what was sent can't be changed, and a year's numbers have no gap.

Both by the database itself, whatever a program believes: § 14 (4) no. 4 UStG (a number given out once), § 147 AO
(what was sent is kept as it was).
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TABLES = ("invoices", "invoice_events", "invoice_numbers", "invoice_documents")
_GAP = "the numbers of invoices have no gap: take the next one"


def upgrade() -> None:
    _create_tables()
    for table in _TABLES:
        _guard(table)
    _guard_numbers()


def _create_tables() -> None:
    op.create_table(
        "invoices",
        _key("invoice_no"),
        _text("property"),
        _text("first_day"),
        _text("end_day"),
        sa.Column("reverses_no", BIG, unique=True),
        _text("draft"),
        sqlite_strict=True,
    )
    op.create_index("ix_invoices_property", "invoices", ["property", "first_day"])
    op.create_table(
        "invoice_events",
        _key("invoice_no"),
        _key("step"),
        _text("event"),
        _text("state"),
        sa.Column("at_ms", BIG, nullable=False),
        _text("actor"),
        _text("reason"),
        _text("on_day"),
        sqlite_strict=True,
    )
    op.create_table(
        "invoice_numbers",
        _key("year"),
        _key("sequence"),
        sa.Column("number", sa.Text, nullable=False, unique=True),
        sa.Column("invoice_no", BIG, nullable=False, unique=True),
        sqlite_strict=True,
    )
    op.create_table(
        "invoice_documents",
        _key("invoice_no"),
        _text("document"),
        sa.Column("xml", sa.LargeBinary, nullable=False),
        _text("xml_sha256"),
        sa.Column("pdf", sa.LargeBinary, nullable=False),
        _text("pdf_sha256"),
        sqlite_strict=True,
    )


def _guard(table: str) -> None:
    said = f"{table} is only ever added to"
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{said}'); END"
            )
        return
    op.execute(
        f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{said}'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
    )


def _guard_numbers() -> None:
    gap = "NEW.sequence <> 1 + (SELECT COALESCE(MAX(sequence), 0) FROM invoice_numbers WHERE year = NEW.year)"
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER invoice_numbers_gap BEFORE INSERT ON invoice_numbers WHEN {gap} "
            f"BEGIN SELECT RAISE(ABORT, '{_GAP}'); END"
        )
        return
    op.execute(
        "CREATE FUNCTION invoice_numbers_gap() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN IF {gap} THEN RAISE EXCEPTION '{_GAP}'; END IF; RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER invoice_numbers_gap BEFORE INSERT ON invoice_numbers "
        "FOR EACH ROW EXECUTE FUNCTION invoice_numbers_gap()"
    )


def _key(name: str) -> sa.Column[int]:
    return sa.Column(name, BIG, primary_key=True, autoincrement=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)
