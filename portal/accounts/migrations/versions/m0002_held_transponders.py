"""Transponders that locks' access lists admit only until somebody has said that their going is meant."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "held_transponders",
        sa.Column("lock", sa.Text, primary_key=True),
        sa.Column("credential", sa.Text, primary_key=True),
        sqlite_strict=True,
    )
