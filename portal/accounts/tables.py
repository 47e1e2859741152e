"""The tables of the accounts' database, as queries name them. The migrations make them; a test compares the two.

Beside the accounts it has what the portal has to remember of access lists: it is the one database of the portal's own.
Secrets are kept as hashes only: passwords by argon2id, random ones of 256 bits by SHA-256. Instants are UTC, in ms.
"""

import sqlalchemy as sa

metadata = sa.MetaData()
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

users = sa.Table(
    "users",
    metadata,
    sa.Column("user_no", BIG, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("display_name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("language", sa.Text),
    sa.Column("password_hash", sa.Text, nullable=False),
    sa.Column(
        "must_change", sa.Integer, nullable=False
    ),  # 1: a one-time password that he has to change first
    sa.Column("disabled", sa.Integer, nullable=False),
    sa.Column("failed_attempts", sa.Integer, nullable=False),  # since he last signed in
    sa.Column("made_ms", BIG, nullable=False),
    sa.Column("signed_in_ms", BIG),
)
sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("id_hash", sa.Text, primary_key=True),
    sa.Column("user_no", BIG, sa.ForeignKey("users.user_no")),  # one of these two
    sa.Column("link_no", BIG, sa.ForeignKey("links.link_no")),
    sa.Column("made_ms", BIG, nullable=False),
    sa.Column("seen_ms", BIG, nullable=False),
    sa.Column("expires_ms", BIG, nullable=False),  # whatever happens; being idle ends it earlier
    sa.Column("agent", sa.Text, nullable=False),
)
tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("token_no", BIG, primary_key=True, autoincrement=False),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("token_hash", sa.Text, nullable=False, unique=True),
    sa.Column("prefix", sa.Text, nullable=False),  # by which people tell tokens apart
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("permissions", sa.Text, nullable=False),  # separated by blanks; "": all of the role's
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("made_ms", BIG, nullable=False),
    sa.Column("expires_ms", BIG, nullable=False),
    sa.Column("revoked_ms", BIG),
    sa.Column("used_ms", BIG),
)
links = sa.Table(
    "links",
    metadata,
    sa.Column("link_no", BIG, primary_key=True, autoincrement=False),
    sa.Column("token_hash", sa.Text, nullable=False, unique=True),
    sa.Column("property", sa.Text, nullable=False),
    sa.Column("dwelling", sa.Text, nullable=False),
    sa.Column("party", sa.Text, nullable=False),
    sa.Column("since", sa.Text, nullable=False),  # first local day whose data it shows
    sa.Column("until", sa.Text),  # last one; none while the party lives there
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("made_ms", BIG, nullable=False),
    sa.Column("expires_ms", BIG, nullable=False),
    sa.Column("revoked_ms", BIG),
    sa.Column("used_ms", BIG),
)
held_transponders = sa.Table(
    "held_transponders",
    metadata,
    sa.Column("lock", sa.Text, primary_key=True),
    sa.Column("credential", sa.Text, primary_key=True),  # its pseudonym
)
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("event_no", BIG, primary_key=True, autoincrement=False),
    sa.Column("at_ms", BIG, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column(
        "outcome", sa.Integer
    ),  # HTTP status; none: it began and hasn't ended, or came by the command line
)
