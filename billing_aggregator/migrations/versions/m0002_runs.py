"""Runs: tables that are only ever added to. The database itself refuses to change or delete anything in them, and to
add bytes to a run that is finalized: no command, no later release and no person with a shell does it by mistake."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TABLES = ("runs", "run_events", "revisions")
_FINAL = "a finalized revision is never changed: make a new one with `billing-aggregator run revise`"


def upgrade() -> None:
    _create_tables()
    for table in _TABLES:
        if op.get_bind().dialect.name == "sqlite":
            _guard_sqlite(table)
        else:
            _guard_postgres(table)
    _guard_finalized()


def _create_tables() -> None:
    op.create_table(
        "runs",
        sa.Column("run_no", BIG, primary_key=True, autoincrement=False),
        sa.Column("property", sa.Text, nullable=False),
        sa.Column("period_first", sa.Text, nullable=False),
        sa.Column("period_end", sa.Text, nullable=False),
        sa.Column("revision", BIG, nullable=False),
        sa.UniqueConstraint("property", "period_first", "revision", name="uq_runs_property"),
        sqlite_strict=True,
    )
    op.create_table(
        "run_events",
        sa.Column("run_no", BIG, primary_key=True, autoincrement=False),
        sa.Column("step", BIG, primary_key=True, autoincrement=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at_ms", BIG, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("details", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_table(
        "revisions",
        sa.Column("run_no", BIG, primary_key=True, autoincrement=False),
        sa.Column("draft", BIG, primary_key=True, autoincrement=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sqlite_strict=True,
    )
    # A run is finalized once, whatever a program believes.
    once = sa.text("event = 'finalized'")
    op.create_index(
        "uq_run_events_finalized",
        "run_events",
        ["run_no"],
        unique=True,
        sqlite_where=once,
        postgresql_where=once,
    )


def _guard_sqlite(table: str) -> None:
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is only ever added to'); END"
        )


def _guard_postgres(table: str) -> None:
    op.execute(
        f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} is only ever added to'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_refuse BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
    )


def _guard_finalized() -> None:
    final = "EXISTS (SELECT 1 FROM run_events WHERE run_no = NEW.run_no AND event = 'finalized')"
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            f"CREATE TRIGGER revisions_finalized BEFORE INSERT ON revisions WHEN {final} "
            f"BEGIN SELECT RAISE(ABORT, '{_FINAL}'); END"
        )
        return
    op.execute(
        "CREATE FUNCTION revisions_finalized() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN IF {final} THEN RAISE EXCEPTION '{_FINAL}'; END IF; RETURN NEW; END $$"
    )
    op.execute(
        "CREATE TRIGGER revisions_finalized BEFORE INSERT ON revisions "
        "FOR EACH ROW EXECUTE FUNCTION revisions_finalized()"
    )
