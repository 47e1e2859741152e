"""The twins' tables. Each is made from one source alone, so in whatever order sources are heard they end the same.

    entries          twin_locks, twin_days, twin_registers, twin_faults (+ _states), twin_emptyings,
                     twin_unverified
    observations     twin_values (what holds now, and since when), twin_heard, twin_fill
    operator events  twin_described, twin_moves, twin_desired, twin_acknowledged
    all three        twin_changes: each change once, by where it comes from

    twin_changes, twin_heard and twin_fill are given up by age; all else grows with locks and days only, or is as rare
    as faults and emptyings.

    twin_state       one row: how far each source was taken
    twin_alarms      what was told to people, and when: a log of its own. It isn't made from a source, so a rebuild
                     leaves it as it is.

Where sources meet (is the door still open? has the wish come true?) is decided on reading. Instants are in
milliseconds, days as whole days since 1970. Another version, zone or ledger means building anew: no migrations.
"""

from typing import Any

import sqlalchemy as sa

from cloud_sink.ledger.tables import BIG

VERSION = 1
_INT = sa.Integer()

metadata = sa.MetaData()
alarm_metadata = sa.MetaData()


def _key(name: str, kind: "sa.types.TypeEngine[Any]" = BIG) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def _big(name: str) -> sa.Column[int]:
    return sa.Column(name, BIG, nullable=False)


def _int(name: str) -> sa.Column[int]:
    return sa.Column(name, _INT, nullable=False)


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=False)


def _clustered(name: str, *columns: "sa.schema.SchemaItem") -> sa.Table:
    """SQLite keeps these in the order of their key: what belongs to a lock lies side by side."""
    return sa.Table(name, metadata, *columns, sqlite_with_rowid=False, sqlite_strict=True)


# `build`: another one after each building anew; numbers of changes then begin anew too.
state = sa.Table(
    "twin_state",
    metadata,
    _key("only"),
    _int("version"),
    _text("zone"),
    _text("ledger"),
    _text("build"),
    _big("position"),
    _big("observation_no"),
    _big("event_no"),
    _big("change_no"),
    sqlite_strict=True,
)

# `journal_no`: of the gateway's journal that brought the newest entry.
locks = _clustered(
    "twin_locks",
    _key("lock_no", _INT),
    _text("lock"),
    _big("first_read_ms"),
    _big("last_read_ms"),
    _big("last_pour_ms"),
    _big("position"),
    _big("journal_no"),
    sa.Index("ix_twin_locks_lock", "lock"),
)

days = _clustered(
    "twin_days",
    _key("lock_no", _INT),
    _key("day", _INT),
    _key("chamber", _INT),
    _int("pours"),
    _big("volume_ml"),
    sa.Index("ix_twin_days_day", "day"),
)

# `first_register`: before the first record; `last_register`, `volume_ml`: by the last.
registers = _clustered(
    "twin_registers",
    _key("lock_no", _INT),
    _key("epoch"),
    _key("chamber", _INT),
    _big("first_seq"),
    _big("first_register"),
    _big("last_seq"),
    _big("last_register"),
    _int("volume_ml"),
    _int("pours"),
)

faults = _clustered(
    "twin_faults",
    _key("lock_no", _INT),
    _key("fault", _INT),
    _key("chamber", _INT),
    _key("epoch"),
    _key("seq"),
    _int("raised"),
    _big("at_ms"),
)

# The last word on each, by (epoch, seq).
fault_states = _clustered(
    "twin_fault_states",
    _key("lock_no", _INT),
    _key("fault", _INT),
    _key("chamber", _INT),
    _big("epoch"),
    _big("seq"),
    _int("raised"),
    _big("at_ms"),
)

# Records whose CRC never held, and of which no copy is here that does.
unverified = _clustered("twin_unverified", _key("lock_no", _INT), _key("epoch"), _key("seq"))

# `pours`, `volume_ml`: since the emptying before, which `complete` 0 doesn't know.
emptyings = _clustered(
    "twin_emptyings",
    _key("lock_no", _INT),
    _key("epoch"),
    _key("seq"),
    _int("kind"),
    _big("at_ms"),
    _int("pours"),
    _big("volume_ml"),
    _int("complete"),
)

# `subject`: a lock's name, or site/gateway. `value`: as text; of faults and alarms `on` while they are there.
values = _clustered(
    "twin_values",
    _key("subject", sa.Text()),
    _key("property", sa.Text()),
    _text("value"),
    _big("since_ms"),
    _big("source_no"),
    sa.Index("ix_twin_values_value", "value"),
)

# Where a lock's reports are among the ledger's observations: its state at any instant.
heard = _clustered(
    "twin_heard",
    _key("lock", sa.Text()),
    _key("at_ms"),
    _key("observation_no"),
    sa.Index("ix_twin_heard_at_ms", "at_ms"),
)

fill = _clustered(
    "twin_fill",
    _key("lock", sa.Text()),
    _key("at_ms"),
    _int("fill_permille"),
    sa.Index("ix_twin_fill_at_ms", "at_ms"),
)

described = _clustered(
    "twin_described",
    _key("subject_kind", sa.Text()),
    _key("subject", sa.Text()),
    _text("body"),
    _big("event_no"),
    _big("at_ms"),
)

moves = _clustered(
    "twin_moves",
    _key("lock", sa.Text()),
    _key("event_no"),
    _big("at_ms"),
    _text("moved_to"),
    _text("actor"),
    _text("reason"),
)

# `value` "": nothing is wished any more.
desired = _clustered(
    "twin_desired",
    _key("subject", sa.Text()),
    _key("property", sa.Text()),
    _text("value"),
    sa.Column("deadline_ms", BIG),
    _text("actor"),
    _big("at_ms"),
    _big("event_no"),
)

acknowledged = _clustered(
    "twin_acknowledged", _key("alarm_id", sa.Text()), _text("actor"), _big("at_ms"), _big("event_no")
)

changes = sa.Table(
    "twin_changes",
    metadata,
    _key("change_no"),
    _text("subject_kind"),
    _text("subject"),
    _text("property"),
    _big("at_ms"),
    _text("value"),
    _text("source"),
    _big("source_no"),
    sa.Column("actor", sa.Text),
    sa.Column("reason", sa.Text),
    sa.Index("ix_twin_changes_subject", "subject", "change_no"),
    sa.Index("ix_twin_changes_property", "subject", "property", "at_ms"),
    sa.Index("ix_twin_changes_at_ms", "at_ms"),
    sqlite_strict=True,
)

alarms = sa.Table(
    "twin_alarms",
    alarm_metadata,
    _key("alarm_id", sa.Text()),
    _text("kind"),
    _text("severity"),
    sa.Column("site", sa.Text),
    sa.Column("lock", sa.Text),
    sa.Column("gateway", sa.Text),
    _text("key"),
    _big("opened_ms"),
    sa.Column("escalated_ms", BIG),
    sa.Column("closed_ms", BIG),
    _text("detail"),
    _text("impact"),
    sa.Index("ix_twin_alarms_open", "closed_ms", "opened_ms"),
    sa.Index("ix_twin_alarms_lock", "lock", "opened_ms"),
    sqlite_strict=True,
)
