"""Master data: facts and the imports that brought them. Both are only ever added to, and the database itself refuses
the rest: what was known at an instant can be asked for years later."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# Ordered by code points on any server: `1f00a3/` to `1f00a30` are the keys that begin with this lock.
IDENTIFIER = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_TABLES = ("facts", "imports")


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column("import_no", BIG, primary_key=True, autoincrement=False),
        sa.Column("files", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at_ms", BIG, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "facts",
        sa.Column("fact_no", BIG, primary_key=True, autoincrement=False),
        sa.Column("property", IDENTIFIER, nullable=False),
        sa.Column("table_name", IDENTIFIER, nullable=False),
        sa.Column("key", IDENTIFIER, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("import_no", BIG, nullable=False),
        sa.Column("reverses", BIG),
        sa.Column("reason", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    _create_indexes()
    for table in _TABLES:
        _guard(table)


def _create_indexes() -> None:
    op.create_index("ix_imports_at_ms", "imports", ["at_ms"])
    op.create_index("ix_facts_property", "facts", ["property", "fact_no"])
    for name, column, unique, where in (
        ("uq_facts_reverses", "reverses", True, "reverses IS NOT NULL"),
        # A lock's chambers are looked for in all properties: it is in one of them at a time.
        ("ix_facts_chamber", "key", False, "table_name = 'chamber'"),
        ("ix_facts_properties", "property", False, "table_name = 'property'"),
    ):
        condition = sa.text(where)
        op.create_index(
            name, "facts", [column], unique=unique, sqlite_where=condition, postgresql_where=condition
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
