"""Every table of the ledger. The law of this file: `entries`, `pages`, `commits` and `operator_events` are only ever
added to; so are `observations` and `command_outcomes`, of which the oldest are given up.

    gateway's journal ──▶ pages (raw bytes, signature) ──▶ entries (one row a record, ordered by position)
                              │                               │
                     page_spans: which pages           seq_spans: which records
                     of a journal are here             of a lock's epoch are here

Numbers (`…_no`, `position`) are given out by the one writer that holds the write lock, without gaps and in the order
of commits: whoever has read up to a position never misses an entry that is committed later. Instants are UTC in
milliseconds since 1970 (`…_ms`). A credential is a pseudonym; raw transponder numbers are in page bytes and in
`transponders` only.

The tables are made by the migrations in `cloud_sink/migrations`; a test compares the two.
"""

import sqlalchemy as sa

# SQLite's STRICT tables know INTEGER only; there it takes as many bytes as each value needs.
BIG: sa.types.TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
INT = sa.Integer()
SMALL: sa.types.TypeEngine[int] = sa.SmallInteger().with_variant(sa.Integer(), "sqlite")

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, BIG, primary_key=True, autoincrement=False)


def _table(name: str, *columns: "sa.schema.SchemaItem") -> sa.Table:
    return sa.Table(name, metadata, *columns, sqlite_strict=True)


# What must be known about the ledger as a whole: the fingerprint of the pseudonym key that it was written with.
FINGERPRINT = "pseudonym key fingerprint"
facts = _table(
    "facts", sa.Column("name", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False)
)

# One row for each write transaction that added something: the ledger's own journal. Entry `position` was committed
# by the first commit whose last_position is not below it.
commits = _table(
    "commits",
    _number("commit_no"),
    sa.Column("committed_ms", BIG, nullable=False, index=True),
    sa.Column("last_page_no", BIG, nullable=False),
    sa.Column("last_position", BIG, nullable=False, index=True),
)

# A gateway's journal of pages. `head` is the hash of page `committed_through`, "" while that is 0.
journals = _table(
    "journals",
    _number("journal_no"),
    sa.Column("site", sa.Text, nullable=False),
    sa.Column("gateway", sa.Text, nullable=False),
    sa.Column("journal", sa.Text, nullable=False),
    sa.Column("committed_through", BIG, nullable=False),
    sa.Column("head", sa.Text, nullable=False),
    sa.Column("newest_page", BIG, nullable=False),
    sa.UniqueConstraint("journal", "gateway", "site"),
    sa.Index("ix_journals_gateway", "gateway"),
)

# `payload` stays last: SQLite reads a row's columns up to the one that is asked for.
pages = _table(
    "pages",
    _number("page_no"),
    sa.Column("journal_no", BIG, nullable=False),
    sa.Column("page", BIG, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("prev", sa.Text, nullable=False),
    sa.Column("version", BIG, nullable=False),
    sa.Column("clock", sa.Text),
    sa.Column("kid", sa.Text, nullable=False),
    sa.Column("sig", sa.Text, nullable=False),
    sa.Column("commit_no", BIG, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("journal_no", "page", "hash"),
)

# Keyed by the range's end: most additions prolong the last one, and the search for neighbours starts there.
page_spans = _table(
    "page_spans",
    sa.Column("journal_no", BIG, primary_key=True, autoincrement=False),
    sa.Column("last", BIG, primary_key=True, autoincrement=False),
    sa.Column("first", BIG, nullable=False),
)

locks = _table("locks", _number("lock_no"), sa.Column("lock", sa.Text, nullable=False, unique=True))

seq_spans = _table(
    "seq_spans",
    sa.Column("lock_no", BIG, primary_key=True, autoincrement=False),
    sa.Column("epoch", BIG, primary_key=True, autoincrement=False),
    sa.Column("last", BIG, primary_key=True, autoincrement=False),
    sa.Column("first", BIG, nullable=False),
)

# `slot`: the record's place in its page, from 0. `unverified` 1: its CRC-32 never held. `mac` 1: held under the
# lock's key, 0: no key known so far (the one column that may change, to 1). The order of columns is that of `Row`.
entries = _table(
    "entries",
    _number("position"),
    sa.Column("lock_no", INT, nullable=False),
    sa.Column("page_no", BIG, nullable=False),
    sa.Column("slot", SMALL, nullable=False),
    sa.Column("epoch", BIG, nullable=False),
    sa.Column("seq", BIG, nullable=False),
    sa.Column("unverified", SMALL, nullable=False),
    sa.Column("mac", SMALL, nullable=False),
    sa.Column("kind", SMALL, nullable=False),
    sa.Column("result", SMALL, nullable=False),
    sa.Column("chamber", SMALL, nullable=False),
    sa.Column("flags", SMALL, nullable=False),
    sa.Column("boot", INT, nullable=False),
    sa.Column("began_clock_s", BIG, nullable=False),
    sa.Column("volume_ml", INT, nullable=False),
    sa.Column("weight_word", INT, nullable=False),
    sa.Column("duration_ds", INT, nullable=False),
    sa.Column("register_after", BIG, nullable=False),
    sa.Column("read_ms", BIG, nullable=False),
    sa.Column("clock_offset_s", INT),
    sa.Column("credential", sa.LargeBinary(16)),
    sa.Index("uq_entries_identity", "lock_no", "epoch", "seq", "unverified", unique=True),
    # Of locks whose key is known this index is empty: `reprocess` finds at once what a new key can prove.
    sa.Index(
        "ix_entries_unproven",
        "lock_no",
        "epoch",
        "seq",
        sqlite_where=sa.text("mac = 0 AND unverified = 0"),
        postgresql_where=sa.text("mac = 0 AND unverified = 0"),
    ),
)

# Two truths that exclude each other; both are kept, none is overwritten. `slot` -1: the page as a whole.
# `position`: the entry that stands, if one does.
disputes = _table(
    "disputes",
    _number("dispute_no"),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("journal_no", BIG, nullable=False),
    sa.Column("page", BIG, nullable=False),
    sa.Column("page_no", BIG, nullable=False),
    sa.Column("slot", INT, nullable=False),
    sa.Column("lock_no", INT),
    sa.Column("epoch", BIG),
    sa.Column("seq", BIG),
    sa.Column("position", BIG),
    sa.Column("noticed_ms", BIG, nullable=False),
    sa.Column("resolved_ms", BIG),
    sa.UniqueConstraint("page_no", "slot", "kind"),
    sa.Index("ix_disputes_journal_no_kind", "journal_no", "kind"),
)

# What custody was taken of but couldn't be read: one record of a page, or (slot -1) all of it.
unread = _table(
    "unread",
    sa.Column("page_no", BIG, primary_key=True, autoincrement=False),
    sa.Column("slot", INT, primary_key=True, autoincrement=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("noticed_ms", BIG, nullable=False),
    sa.Column("resolved_ms", BIG, index=True),
)

# Messages that no custody was taken of, with their bytes. `digest` is SHA-256 over topic, kid, sig and payload;
# `payload` is given up once the page was taken after all (it then is in `pages`).
quarantine = _table(
    "quarantine",
    _number("quarantine_no"),
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("topic", sa.Text, nullable=False, index=True),
    sa.Column("kid", sa.Text),
    sa.Column("sig", sa.Text),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("size_bytes", INT, nullable=False),
    sa.Column("times", BIG, nullable=False),
    sa.Column("first_ms", BIG, nullable=False),
    sa.Column("last_ms", BIG, nullable=False),
    sa.Column("resolved_ms", BIG),
    sa.Column("payload", sa.LargeBinary),
)

# What gateways say of themselves and of their locks; the latest only, unsigned, so it explains but never proves.
gateway_reports = _table(
    "gateway_reports",
    sa.Column("site", sa.Text, primary_key=True),
    sa.Column("gateway", sa.Text, primary_key=True),
    sa.Column("reported_ms", BIG, nullable=False),
    sa.Column("report", sa.Text, nullable=False),
)

lock_reports = _table(
    "lock_reports",
    sa.Column("lock", sa.Text, primary_key=True),
    sa.Column("site", sa.Text, nullable=False),
    sa.Column("gateway", sa.Text, nullable=False),
    sa.Column("reported_ms", BIG, nullable=False),
    sa.Column("report", sa.Text, nullable=False),
)

# What gateways said of themselves and their locks, thinned: a row where something changed that matters, and now and
# then where nothing did. `kind`: gateway, lock, telemetry. `heard_before_ms`: when this subject was heard before, even
# if nothing was kept of that; so a silence shows. Like positions, numbers follow the order of commits.
observations = _table(
    "observations",
    _number("observation_no"),
    sa.Column("heard_ms", BIG, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("site", sa.Text, nullable=False),
    sa.Column("gateway", sa.Text, nullable=False),
    sa.Column("lock", sa.Text),
    sa.Column("heard_before_ms", BIG),
    sa.Column("report", sa.Text, nullable=False),
    sa.Index("ix_observations_kind_heard_ms", "kind", "heard_ms"),
)

# One row for each subject of observations: what was heard of it last, `reported_ms` by its gateway's own clock, and
# which observation was kept last. `lock` is "" where the subject is the gateway.
hearings = _table(
    "hearings",
    sa.Column("gateway", sa.Text, primary_key=True),
    sa.Column("site", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("lock", sa.Text, primary_key=True),
    sa.Column("heard_ms", BIG, nullable=False),
    sa.Column("reported_ms", BIG),
    sa.Column("observation_no", BIG, nullable=False, index=True),
    sa.Column("report", sa.Text, nullable=False),
)

# What people decided about sites, locks and gateways: who, when, why. `subject`: a site's name, a lock's serial number,
# of a gateway `site/gateway`. `body` as `cloud_sink.operator_events` says for each kind. `at_ms` never goes back.
operator_events = _table(
    "operator_events",
    _number("event_no"),
    sa.Column("at_ms", BIG, nullable=False),
    sa.Column("subject_kind", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Index("ix_operator_events_subject", "subject_kind", "subject", "kind", "event_no"),
)

# What a lock shall be at last: the newest wish for each property; what `operator_events` say, by lock. `value` NULL:
# nothing any more.
lock_wishes = _table(
    "lock_wishes",
    sa.Column("lock", sa.Text, primary_key=True),
    sa.Column("property", sa.Text, primary_key=True),
    sa.Column("value", sa.Text),
    sa.Column("event_no", BIG, nullable=False, index=True),
)

# What locks were ordered to do once. `attempt` 0: not sent yet; `next_send_ms` NULL: nothing more is to be sent.
# `outcome`: the last word of the gateway so far, or `withdrawn`; `told`: its reason; `outcome_ms`: when it came.
commands = _table(
    "commands",
    _number("command_no"),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("site", sa.Text, nullable=False),
    sa.Column("gateway", sa.Text, nullable=False),
    sa.Column("lock", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("enable_mask", INT),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("issued_ms", BIG, nullable=False, index=True),
    sa.Column("expires_ms", BIG, nullable=False),
    sa.Column("attempt", INT, nullable=False),
    sa.Column("last_sent_ms", BIG),
    sa.Column("next_send_ms", BIG, index=True),
    sa.Column("accepted_ms", BIG),
    sa.Column("outcome", sa.Text),
    sa.Column("told", sa.Text),
    sa.Column("outcome_ms", BIG),
    sa.Index("ix_commands_lock", "lock", "command_no"),
    sa.Index("ix_commands_gateway", "gateway", "site", "command_no"),
)

# What gateways answered, with the bytes and the signature that prove it; of each command `accepted`, and one last word.
command_outcomes = _table(
    "command_outcomes",
    sa.Column("command_no", BIG, primary_key=True, autoincrement=False),
    sa.Column("outcome", sa.Text, primary_key=True),
    sa.Column("at_ms", BIG, nullable=False),
    sa.Column("received_ms", BIG, nullable=False),
    sa.Column("kid", sa.Text, nullable=False),
    sa.Column("sig", sa.Text, nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
)

# Which number (`uid`, lower-case hexadecimal) a pseudonym stands for: what an access list for a lock is made with.
# Forgotten with the last list that has it.
transponders = _table(
    "transponders",
    sa.Column("credential", sa.LargeBinary(16), primary_key=True),
    sa.Column("transponder_no", BIG, nullable=False, unique=True),
    sa.Column("uid", sa.Text, nullable=False),
    sa.Column("added_ms", BIG, nullable=False),
)

# Access lists as they were decided; `until_ms` NULL: the one that is wanted now. `kept` 1: its entries are here; those
# of lists of before go after a while.
access_lists = _table(
    "access_lists",
    _number("list_no"),
    sa.Column("lock", sa.Text, nullable=False),
    sa.Column("version", BIG, nullable=False),
    sa.Column("entries", INT, nullable=False),
    sa.Column("service", INT, nullable=False),
    sa.Column("blocked", INT, nullable=False),
    sa.Column("set_ms", BIG, nullable=False),
    sa.Column("set_by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("until_ms", BIG),
    sa.Column("kept", SMALL, nullable=False),
    sa.UniqueConstraint("lock", "version"),
    sa.Index("ix_access_lists_kept", "kept", "until_ms"),
)

access_entries = _table(
    "access_entries",
    sa.Column("list_no", BIG, primary_key=True, autoincrement=False),
    sa.Column("credential", sa.LargeBinary(16), primary_key=True),
    sa.Column("service", SMALL, nullable=False),
    sa.Column("blocked", SMALL, nullable=False),
    sa.Index("ix_access_entries_credential", "credential"),
)

# The newest desired state of each gateway: its bytes follow from what is wished, `changed_ms` and `revision`.
# `digest`: SHA-256 over what it says of its locks. `next_publish_ms` NULL: the gateway has it.
desired_states = _table(
    "desired_states",
    sa.Column("gateway", sa.Text, primary_key=True),
    sa.Column("site", sa.Text, primary_key=True),
    sa.Column("revision", BIG, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("changed_ms", BIG, nullable=False),
    sa.Column("publications", INT, nullable=False),
    sa.Column("next_publish_ms", BIG, index=True),
)
