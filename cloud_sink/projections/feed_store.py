"""Where the feed is kept, for writing: numbers pours in the order of the ledger, site by site, without a gap.

    entries after the cursor ──▶ complete, verified pours ──▶ feed_events, each its site's last number + 1; cursor

Both in one transaction. Which pours these are is told by what never changes in an entry, so building all of it anew
gives the same numbers. A disputed pour keeps its number: its entry stands until a person has decided (decision 30).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.bulk import insert_rows
from cloud_sink.ledger.database import Database, stream
from cloud_sink.ledger.tables import entries, journals, pages
from cloud_sink.projections import feed_tables as t
from cloud_sink.projections.feed_events import Numbered
from wastelock.record import Kind, PourResult

_WRITE_LOCK = 0x574C_4645_4544_5F31  # "WLFEED_1"


def pours_between(connection: Connection, after: int, through: int) -> list[tuple[int, str]]:
    """Return position and site of each pour of the ledger that goes into the feed, in the order of position."""
    e = entries.c
    query = (
        sa.select(e.position, journals.c.site)
        .join(pages, pages.c.page_no == e.page_no)
        .join(journals, journals.c.journal_no == pages.c.journal_no)
        .where(e.position > after, e.position <= through)
        .where(e.kind == Kind.POUR, e.result == PourResult.COMPLETE, e.unverified == 0)
        .order_by(e.position)
    )
    return [(position, site) for position, site in connection.execute(query)]


@dataclass(frozen=True, slots=True)
class Unpublished:
    """What is to be published next. `after`: the position before; `through`: once the broker has all of these."""

    rows: list[Numbered]
    after: int
    through: int


class FeedStore:
    """The feed's tables. For one thread."""

    def __init__(self, url: str, ledger: str) -> None:
        """`ledger`: what tells this ledger from others (its fingerprint)."""
        self._database = Database(url, write_lock=_WRITE_LOCK)
        self._ledger = ledger

    def prepare(self, end: int, anew: bool = False) -> int:
        """Return the position that the feed goes up to; 0 where it was made anew, because it must or is wanted.

        `end`: the ledger's newest position. A ledger that ends before the feed does was restored from an older copy.
        """
        with self._database.writing() as connection:
            t.lasting.create_all(connection)
            self._keep_published(connection, end)
            here = None if anew else self._state(connection)
            if here is not None and here <= end:
                return here
            t.metadata.drop_all(connection)
            t.metadata.create_all(connection)
            row = {"only": 1, "version": t.VERSION, "ledger": self._ledger, "position": 0}
            connection.execute(t.state.insert(), row)
        return 0

    def append(self, after: int, through: int, pours: Sequence[tuple[int, str]]) -> bool:
        """Number the pours of positions after..through; False, adding nothing, if the feed doesn't end at `after`."""
        with self._database.writing() as connection:
            if self._state(connection) != after:
                return False
            s = t.sites.c
            known = {
                row.site: (row.site_no, row.last_sequence) for row in connection.execute(sa.select(t.sites))
            }
            before = len(known)
            rows = []
            for position, site in pours:
                site_no, last = known.get(site, (len(known) + 1, 0))
                known[site] = (site_no, last + 1)
                rows.append((position, site_no, last + 1))
            insert_rows(connection, t.events, rows)
            touched = {row[1] for row in rows}
            for site, (site_no, last) in known.items():
                if site_no > before:
                    row = {"site_no": site_no, "site": site, "last_sequence": last}
                    connection.execute(t.sites.insert(), row)
                elif site_no in touched:
                    connection.execute(
                        t.sites.update().where(s.site_no == site_no).values(last_sequence=last)
                    )
            connection.execute(t.state.update().values(position=through))
        return True

    def position(self) -> int:
        """Return the position that the feed goes up to, 0 where there is none of this ledger and release."""
        with self._database.reading() as connection:
            return self._state(connection) or 0

    def published(self) -> int:
        """Return the position up to which the broker has confirmed events, 0 where nobody has published any."""
        with self._database.reading() as connection:
            return _published(connection)

    def unpublished(self, limit: int) -> Unpublished:
        """Return the next rows of the feed that the broker hasn't confirmed, of all sites, in the ledger's order."""
        e = t.events.c
        with self._database.reading() as connection:
            after = _published(connection)
            query = (
                sa.select(e.position, t.sites.c.site, e.sequence)
                .join(t.sites, t.sites.c.site_no == e.site_no)
                .where(e.position > after)
                .order_by(e.position)
                .limit(limit)
            )
            rows = [Numbered(*row) for row in connection.execute(query)]
            if len(rows) == limit:
                return Unpublished(rows, after, rows[-1].position)
            return Unpublished(rows, after, max(after, self._state(connection) or 0))

    def mark_published(self, through: int) -> None:
        """Note that the broker has confirmed everything up to a position; it never goes back by this."""
        p = t.published
        with self._database.writing() as connection:
            connection.execute(p.update().where(p.c.position < through).values(position=through))

    def digest(self) -> str:
        """Return a hash over all numbers that were given: the same after whatever batches and restarts led there."""
        whole = sha256()
        with self._database.reading() as connection:
            for table in (t.state, t.sites, t.events):
                for row in stream(connection, sa.select(table).order_by(*table.primary_key)):
                    whole.update(f"{table.name}{tuple(row)}\n".encode())
        return whole.hexdigest()

    def close(self) -> None:
        self._database.close()

    def _keep_published(self, connection: Connection, end: int) -> None:
        p = t.published
        here = connection.execute(sa.select(p.c.ledger, p.c.position)).one_or_none()
        if here is None:
            connection.execute(p.insert(), {"only": 1, "ledger": self._ledger, "position": 0})
        elif here.ledger != self._ledger or here.position > end:
            position = end if here.ledger == self._ledger else 0
            connection.execute(p.update().values(ledger=self._ledger, position=position))

    def _state(self, connection: Connection) -> int | None:
        """Return the position that the feed goes up to, None where there is none of this ledger and release."""
        inspector = sa.inspect(connection)
        if not all(inspector.has_table(table.name) for table in t.metadata.sorted_tables):
            return None
        s = t.state.c
        row = connection.execute(sa.select(s.version, s.ledger, s.position)).one_or_none()
        return (
            row.position
            if row is not None and (row.version, row.ledger) == (t.VERSION, self._ledger)
            else None
        )


def _published(connection: Connection) -> int:
    there = sa.inspect(connection).has_table(t.published.name)
    return int(connection.scalar(sa.select(t.published.c.position)) or 0) if there else 0
