"""What twins are made from besides entries: what gateways report, and what people decide."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "observations",
        _number("observation_no"),
        _required("heard_ms", BIG),
        _required("kind", sa.Text),
        _required("site", sa.Text),
        _required("gateway", sa.Text),
        sa.Column("lock", sa.Text),
        sa.Column("heard_before_ms", BIG),
        _required("report", sa.Text),
        sqlite_strict=True,
    )
    op.create_index("ix_observations_kind_heard_ms", "observations", ["kind", "heard_ms"])
    op.create_table(
        "hearings",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("gateway", "site", "kind", "lock")),
        _required("heard_ms", BIG),
        sa.Column("reported_ms", BIG),
        _required("observation_no", BIG),
        _required("report", sa.Text),
        sqlite_strict=True,
    )
    op.create_index("ix_hearings_observation_no", "hearings", ["observation_no"])
    op.create_table(
        "operator_events",
        _number("event_no"),
        _required("at_ms", BIG),
        _required("subject_kind", sa.Text),
        _required("subject", sa.Text),
        _required("kind", sa.Text),
        _required("body", sa.Text),
        _required("actor", sa.Text),
        _required("reason", sa.Text),
        sqlite_strict=True,
    )
    op.create_index(
        "ix_operator_events_subject", "operator_events", ["subject_kind", "subject", "kind", "event_no"]
    )


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, BIG, primary_key=True, autoincrement=False)


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)
