"""The first schema of the ledger."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INT = sa.Integer()
SMALL = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_commits_and_pages()
    _create_entries()
    _create_doubts()
    _create_reports()


def _create_commits_and_pages() -> None:
    _create(
        "facts", sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False)
    )
    _create(
        "commits",
        _key("commit_no"),
        _required("committed_ms", BIG),
        _required("last_page_no", BIG),
        _required("last_position", BIG),
    )
    op.create_index("ix_commits_committed_ms", "commits", ["committed_ms"])
    op.create_index("ix_commits_last_position", "commits", ["last_position"])
    _create(
        "journals",
        _key("journal_no"),
        _required("site", sa.Text),
        _required("gateway", sa.Text),
        _required("journal", sa.Text),
        _required("committed_through", BIG),
        _required("head", sa.Text),
        _required("newest_page", BIG),
        sa.UniqueConstraint("journal", "gateway", "site", name="uq_journals_journal"),
    )
    op.create_index("ix_journals_gateway", "journals", ["gateway"])
    _create(
        "pages",
        _key("page_no"),
        _required("journal_no", BIG),
        _required("page", BIG),
        _required("hash", sa.Text),
        _required("prev", sa.Text),
        _required("version", BIG),
        sa.Column("clock", sa.Text),
        _required("kid", sa.Text),
        _required("sig", sa.Text),
        _required("commit_no", BIG),
        _required("payload", sa.LargeBinary),
        sa.UniqueConstraint("journal_no", "page", "hash", name="uq_pages_journal_no"),
    )
    _create("page_spans", _key("journal_no"), _key("last"), _required("first", BIG))
    if op.get_bind().dialect.name == "postgresql":
        # Page bytes are mostly base64 of MACs and hashes: compressing them costs the intake a core and gains little.
        op.execute("ALTER TABLE pages ALTER COLUMN payload SET STORAGE EXTERNAL")


def _create_entries() -> None:
    _create(
        "locks",
        _key("lock_no"),
        _required("lock", sa.Text),
        sa.UniqueConstraint("lock", name="uq_locks_lock"),
    )
    _create("seq_spans", _key("lock_no"), _key("epoch"), _key("last"), _required("first", BIG))
    _create(
        "entries",
        _key("position"),
        _required("lock_no", INT),
        _required("page_no", BIG),
        _required("slot", SMALL),
        _required("epoch", BIG),
        _required("seq", BIG),
        _required("unverified", SMALL),
        _required("mac", SMALL),
        _required("kind", SMALL),
        _required("result", SMALL),
        _required("chamber", SMALL),
        _required("flags", SMALL),
        _required("boot", INT),
        _required("began_clock_s", BIG),
        _required("volume_ml", INT),
        _required("weight_word", INT),
        _required("duration_ds", INT),
        _required("register_after", BIG),
        _required("read_ms", BIG),
        sa.Column("clock_offset_s", INT),
        sa.Column("credential", sa.LargeBinary(16)),
    )
    op.create_index("uq_entries_identity", "entries", ["lock_no", "epoch", "seq", "unverified"], unique=True)
    unproven = sa.text("mac = 0 AND unverified = 0")
    op.create_index(
        "ix_entries_unproven",
        "entries",
        ["lock_no", "epoch", "seq"],
        sqlite_where=unproven,
        postgresql_where=unproven,
    )


def _create_doubts() -> None:
    _create(
        "disputes",
        _key("dispute_no"),
        _required("kind", sa.Text),
        _required("journal_no", BIG),
        _required("page", BIG),
        _required("page_no", BIG),
        _required("slot", INT),
        sa.Column("lock_no", INT),
        sa.Column("epoch", BIG),
        sa.Column("seq", BIG),
        sa.Column("position", BIG),
        _required("noticed_ms", BIG),
        sa.Column("resolved_ms", BIG),
        sa.UniqueConstraint("page_no", "slot", "kind", name="uq_disputes_page_no"),
    )
    op.create_index("ix_disputes_journal_no_kind", "disputes", ["journal_no", "kind"])
    _create(
        "unread",
        _key("page_no"),
        sa.Column("slot", INT, primary_key=True, autoincrement=False),
        _required("reason", sa.Text),
        _required("noticed_ms", BIG),
        sa.Column("resolved_ms", BIG),
    )
    op.create_index("ix_unread_resolved_ms", "unread", ["resolved_ms"])
    _create(
        "quarantine",
        _key("quarantine_no"),
        _required("digest", sa.LargeBinary),
        _required("topic", sa.Text),
        sa.Column("kid", sa.Text),
        sa.Column("sig", sa.Text),
        _required("reason", sa.Text),
        _required("detail", sa.Text),
        _required("size_bytes", INT),
        _required("times", BIG),
        _required("first_ms", BIG),
        _required("last_ms", BIG),
        sa.Column("resolved_ms", BIG),
        sa.Column("payload", sa.LargeBinary),
        sa.UniqueConstraint("digest", name="uq_quarantine_digest"),
    )
    op.create_index("ix_quarantine_topic", "quarantine", ["topic"])


def _create_reports() -> None:
    _create(
        "gateway_reports",
        sa.Column("site", sa.Text, primary_key=True),
        sa.Column("gateway", sa.Text, primary_key=True),
        _required("reported_ms", BIG),
        _required("report", sa.Text),
    )
    _create(
        "lock_reports",
        sa.Column("lock", sa.Text, primary_key=True),
        _required("site", sa.Text),
        _required("gateway", sa.Text),
        _required("reported_ms", BIG),
        _required("report", sa.Text),
    )


def _create(name: str, *columns: sa.schema.SchemaItem) -> None:
    op.create_table(name, *columns, sqlite_strict=True)


def _key(name: str) -> sa.Column[int]:
    return sa.Column(name, BIG, primary_key=True, autoincrement=False)


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)
