"""Orders: commands and their outcomes, access lists with the transponders that they name, desired states."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SMALL = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")
INT = sa.Integer()


def upgrade() -> None:
    _make_wishes()
    _make_commands()
    _make_access_lists()
    op.create_table(
        "desired_states",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("gateway", "site")),
        _required("revision", BIG),
        _required("digest", sa.Text),
        _required("changed_ms", BIG),
        _required("publications", INT),
        sa.Column("next_publish_ms", BIG),
        sqlite_strict=True,
    )
    op.create_index("ix_desired_states_next_publish_ms", "desired_states", ["next_publish_ms"])


def _make_wishes() -> None:
    """What was wished of locks until now is what they shall be."""
    wishes = op.create_table(
        "lock_wishes",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("lock", "property")),
        sa.Column("value", sa.Text),
        _required("event_no", BIG),
        sqlite_strict=True,
    )
    op.create_index("ix_lock_wishes_event_no", "lock_wishes", ["event_no"])
    events = sa.text(
        "SELECT event_no, subject, body FROM operator_events "
        "WHERE subject_kind = 'lock' AND kind = 'desired' ORDER BY event_no"
    )
    rows = {}
    for number, lock, body in op.get_bind().execute(events):
        wish = json.loads(body)
        value = None if wish["value"] is None else str(wish["value"])
        row = {"lock": lock, "property": wish["property"], "value": value, "event_no": number}
        rows[lock, wish["property"]] = row
    op.bulk_insert(wishes, list(rows.values()))


def _make_commands() -> None:
    op.create_table(
        "commands",
        _number("command_no"),
        _required("id", sa.Text),
        *(_required(name, sa.Text) for name in ("site", "gateway", "lock", "action")),
        sa.Column("enable_mask", INT),
        *(_required(name, sa.Text) for name in ("requested_by", "reason")),
        *(_required(name, BIG) for name in ("issued_ms", "expires_ms")),
        _required("attempt", INT),
        *(sa.Column(name, BIG) for name in ("last_sent_ms", "next_send_ms", "accepted_ms")),
        *(sa.Column(name, sa.Text) for name in ("outcome", "told")),
        sa.Column("outcome_ms", BIG),
        sa.UniqueConstraint("id", name="uq_commands_id"),
        sqlite_strict=True,
    )
    op.create_index("ix_commands_issued_ms", "commands", ["issued_ms"])
    op.create_index("ix_commands_next_send_ms", "commands", ["next_send_ms"])
    op.create_index("ix_commands_lock", "commands", ["lock", "command_no"])
    op.create_index("ix_commands_gateway", "commands", ["gateway", "site", "command_no"])
    op.create_table(
        "command_outcomes",
        _number("command_no"),
        sa.Column("outcome", sa.Text, primary_key=True),
        *(_required(name, BIG) for name in ("at_ms", "received_ms")),
        *(_required(name, sa.Text) for name in ("kid", "sig")),
        _required("payload", sa.LargeBinary),
        sqlite_strict=True,
    )


def _make_access_lists() -> None:
    op.create_table(
        "transponders",
        sa.Column("credential", sa.LargeBinary(16), primary_key=True),
        _required("transponder_no", BIG),
        _required("uid", sa.Text),
        _required("added_ms", BIG),
        sa.UniqueConstraint("transponder_no", name="uq_transponders_transponder_no"),
        sqlite_strict=True,
    )
    op.create_table(
        "access_lists",
        _number("list_no"),
        _required("lock", sa.Text),
        _required("version", BIG),
        *(_required(name, INT) for name in ("entries", "service", "blocked")),
        _required("set_ms", BIG),
        *(_required(name, sa.Text) for name in ("set_by", "reason")),
        sa.Column("until_ms", BIG),
        _required("kept", SMALL),
        sa.UniqueConstraint("lock", "version", name="uq_access_lists_lock"),
        sqlite_strict=True,
    )
    op.create_index("ix_access_lists_kept", "access_lists", ["kept", "until_ms"])
    op.create_table(
        "access_entries",
        _number("list_no"),
        sa.Column("credential", sa.LargeBinary(16), primary_key=True),
        *(_required(name, SMALL) for name in ("service", "blocked")),
        sqlite_strict=True,
    )
    op.create_index("ix_access_entries_credential", "access_entries", ["credential"])


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, BIG, primary_key=True, autoincrement=False)


def _required(name: str, kind: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)
