"""Users, sessions, API tokens, households' links, and the log of writes, which is only ever added to."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("user_no", BIG, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("language", sa.Text),
        sa.Column("password_hash", sa.Text, nullable=False),
        sa.Column("must_change", sa.Integer, nullable=False),
        sa.Column("disabled", sa.Integer, nullable=False),
        sa.Column("failed_attempts", sa.Integer, nullable=False),
        sa.Column("made_ms", BIG, nullable=False),
        sa.Column("signed_in_ms", BIG),
        sqlite_strict=True,
    )
    op.create_table(
        "links",
        sa.Column("link_no", BIG, primary_key=True, autoincrement=False),
        sa.Column("token_hash", sa.Text, nullable=False, unique=True),
        sa.Column("property", sa.Text, nullable=False),
        sa.Column("dwelling", sa.Text, nullable=False),
        sa.Column("party", sa.Text, nullable=False),
        sa.Column("since", sa.Text, nullable=False),
        sa.Column("until", sa.Text),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("made_ms", BIG, nullable=False),
        sa.Column("expires_ms", BIG, nullable=False),
        sa.Column("revoked_ms", BIG),
        sa.Column("used_ms", BIG),
        sqlite_strict=True,
    )
    op.create_index("ix_links_property", "links", ["property", "dwelling", "party"])
    _create_credentials()
    _create_audit()


def _create_credentials() -> None:
    op.create_table(
        "sessions",
        sa.Column("id_hash", sa.Text, primary_key=True),
        sa.Column("user_no", BIG, sa.ForeignKey("users.user_no")),
        sa.Column("link_no", BIG, sa.ForeignKey("links.link_no")),
        sa.Column("made_ms", BIG, nullable=False),
        sa.Column("seen_ms", BIG, nullable=False),
        sa.Column("expires_ms", BIG, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("ix_sessions_user", "sessions", ["user_no"])
    op.create_index("ix_sessions_link", "sessions", ["link_no"])
    op.create_index("ix_sessions_expires", "sessions", ["expires_ms"])
    op.create_table(
        "tokens",
        sa.Column("token_no", BIG, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("token_hash", sa.Text, nullable=False, unique=True),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("permissions", sa.Text, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("made_ms", BIG, nullable=False),
        sa.Column("expires_ms", BIG, nullable=False),
        sa.Column("revoked_ms", BIG),
        sa.Column("used_ms", BIG),
        sqlite_strict=True,
    )


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("event_no", BIG, primary_key=True, autoincrement=False),
        sa.Column("at_ms", BIG, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("outcome", sa.Integer),
        sqlite_strict=True,
    )
    op.create_index("ix_audit_at", "audit", ["at_ms"])
