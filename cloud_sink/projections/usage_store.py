"""Where usage per day is kept: apart from the ledger on SQLite, in tables of its own beside it on PostgreSQL.

Cursor and rows move in one transaction, under a lock of the projections' own: a second projector waits for its turn and
then goes on where the first one stopped. The intake never waits for either.
"""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, make_url

from cloud_sink.ledger.database import Database, stream
from cloud_sink.projections import usage_tables as t
from cloud_sink.projections.adding import add_rows
from cloud_sink.projections.usage import NO_CREDENTIAL, Additions

_WRITE_LOCK = 0x574C_5553_4147_4531  # "WLUSAGE1"
_IN_CHUNK = 500
_KNOWN_MAX = 1_000_000  # credentials' numbers kept in memory, some 150 MB at most


def default_url(ledger_url: str) -> str:
    """Return where the projections of a ledger are unless configured: beside its file, or in its database."""
    url = make_url(ledger_url)
    if url.get_backend_name() != "sqlite":
        return ledger_url
    path = Path(url.database or "")
    return f"sqlite:///{path.with_name(f'{path.stem}-projections{path.suffix}')}"


class UsageStore:
    """Usage per day, for writing. For one thread."""

    def __init__(self, url: str, zone: str, ledger: str) -> None:
        """`zone`: the name of the zone whose days are counted. `ledger`: what tells this ledger from others."""
        self.database = Database(url, write_lock=_WRITE_LOCK)
        self._zone = zone
        self._ledger = ledger
        self._numbers: dict[bytes, int] = {}

    def prepare(self, anew: bool = False) -> int:
        """Return the position that usage goes up to; 0 where it was made anew, because it must or is wanted."""
        with self.database.writing() as connection:
            here = None if anew else _state(connection)
            if here is not None and here[:3] == (t.VERSION, self._zone, self._ledger):
                return here[3]
            t.metadata.drop_all(connection)
            t.metadata.create_all(connection)
            row = {
                "only": 1,
                "version": t.VERSION,
                "zone": self._zone,
                "ledger": self._ledger,
                "position": 0,
            }
            connection.execute(t.state.insert(), row)
        self._numbers.clear()
        return 0

    def position(self) -> int:
        """Return the position that usage goes up to, 0 where there is none of this kind yet."""
        with self.database.reading() as connection:
            here = _state(connection)
        return here[3] if here is not None and here[:3] == (t.VERSION, self._zone, self._ledger) else 0

    def add(self, after: int, added: Additions) -> bool:
        """Add a batch of entries that begins after position `after`; False, adding nothing, if usage isn't there.

        It isn't where another projector was quicker, or usage is being made anew: `prepare` tells where to go on.
        """
        with self.database.writing() as connection:
            here = _state(connection)
            if here is None or here != (t.VERSION, self._zone, self._ledger, after):
                self._numbers.clear()
                return False
            # In the order in which they first poured, wherever batches were cut.
            credentials = dict.fromkeys(key[3] for key in added.days if key[3] is not None)
            numbers = self._number(connection, list(credentials))
            rows = [
                (
                    lock_no,
                    day,
                    chamber,
                    NO_CREDENTIAL if credential is None else numbers[credential],
                    *rest,
                    n,
                )
                for (lock_no, day, chamber, credential, *rest), n in added.days.items()
            ]
            add_rows(connection, t.days, sorted(rows), {"pours": "sum"})
            add_rows(connection, t.loose, sorted(added.loose), {})
            spans = sorted((*key, *span) for key, span in added.records.items())
            add_rows(connection, t.records, spans, {"first_seq": "min", "last_seq": "max", "pours": "sum"})
            connection.execute(t.state.update().values(position=added.position))
        return True

    def digest(self) -> str:
        """Return a hash over all that is counted: the same after whatever batches and restarts led there."""
        whole = sha256()
        with self.database.reading() as connection:
            for table in (t.credentials, t.days, t.loose, t.records, t.state):
                keys = list(table.primary_key)
                for row in stream(connection, sa.select(table).order_by(*keys)):
                    whole.update(f"{table.name}{tuple(row)}\n".encode())
        return whole.hexdigest()

    def close(self) -> None:
        self.database.close()

    def _number(self, connection: Connection, wanted: Sequence[bytes]) -> dict[bytes, int]:
        """Return the credentials' numbers; new ones get the next. Only what is committed is remembered beyond this."""
        if len(self._numbers) > _KNOWN_MAX:
            self._numbers.clear()
        unknown = [credential for credential in wanted if credential not in self._numbers]
        self._numbers.update(_known(connection, unknown))
        new = [credential for credential in unknown if credential not in self._numbers]
        if not new:
            return self._numbers
        c = t.credentials.c
        last = connection.scalar(sa.select(sa.func.coalesce(sa.func.max(c.credential_no), 0))) or 0
        made = {credential: number for number, credential in enumerate(new, last + 1)}
        add_rows(connection, t.credentials, [(number, credential) for credential, number in made.items()], {})
        return {**self._numbers, **made}


def _known(connection: Connection, wanted: Sequence[bytes]) -> dict[bytes, int]:
    c = t.credentials.c
    found: dict[bytes, int] = {}
    for start in range(0, len(wanted), _IN_CHUNK):
        query = sa.select(c.credential, c.credential_no).where(
            c.credential.in_(wanted[start : start + _IN_CHUNK])
        )
        found.update({bytes(row.credential): row.credential_no for row in connection.execute(query)})
    return found


def _state(connection: Connection) -> tuple[int, str, str, int] | None:
    """Return version, zone, ledger and position, None where there is nothing, or nothing of this kind."""
    inspector = sa.inspect(connection)
    if not all(inspector.has_table(table.name) for table in t.metadata.sorted_tables):
        return None
    s = t.state.c
    row = connection.execute(sa.select(s.version, s.zone, s.ledger, s.position)).one_or_none()
    return None if row is None else (row.version, row.zone, row.ledger, row.position)
