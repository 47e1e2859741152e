"""Households' personal links: one row of the bill, its days, and nothing else. Made and revoked by a clerk.

The secret stands in the link alone; whoever opens it gets a session of its own (sessions.py) and never shows it again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from portal.accounts.audit import next_number, write_event
from portal.accounts.database import Database
from portal.accounts.secret import from_ms, hash_secret, make_secret, to_ms
from portal.accounts.tables import links, sessions
from portal.errors import Invalid, NotThere
from portal.roles import Household

LONGEST_DAYS = 1830
_PAGE = 200
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Link:
    """What is known of a link; the secret itself isn't."""

    household: Household
    made_by: str
    made_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None


class Links:
    """The table of households' links."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def add(
        self,
        property_id: str,
        dwelling: str,
        party: str,
        since: date,
        until: date | None,
        days: int,
        actor: str,
    ) -> str:
        """Make a link that opens for `days` from now, and return its secret: the link is /h/ and this.

        It shows what the party threw on the days from `since` through `until` (None: still living there).
        """
        if not all(0 < len(name) <= _LONGEST_NAME for name in (property_id, dwelling, party)):
            raise Invalid("link.names")
        if until is not None and until < since:
            raise Invalid("link.range")
        if not 1 <= days <= LONGEST_DAYS:
            raise Invalid("link.days", longest=LONGEST_DAYS)
        secret = make_secret()
        now = self._clock()
        with self._database.writing() as connection:
            link_no = next_number(connection, links.c.link_no)
            connection.execute(
                links.insert().values(
                    link_no=link_no,
                    token_hash=hash_secret(secret),
                    property=property_id,
                    dwelling=dwelling,
                    party=party,
                    since=since.isoformat(),
                    until=None if until is None else until.isoformat(),
                    made_by=actor,
                    made_ms=to_ms(now),
                    expires_ms=to_ms(now + timedelta(days=days)),
                )
            )
            write_event(connection, now, actor, "link add", str(link_no), f"{property_id} {dwelling} {party}")
        return secret

    def revoke(self, link_no: int, actor: str) -> None:
        """End a link now, and every session that it opened. NotThere if there is no such link."""
        now = self._clock()
        with self._database.writing() as connection:
            if connection.scalar(sa.select(links.c.link_no).where(links.c.link_no == link_no)) is None:
                raise NotThere(f"there is no link {link_no}")
            connection.execute(
                links.update()
                .where(links.c.link_no == link_no, links.c.revoked_ms.is_(None))
                .values(revoked_ms=to_ms(now))
            )
            connection.execute(sessions.delete().where(sessions.c.link_no == link_no))
            write_event(connection, now, actor, "link revoke", str(link_no))

    def page(
        self, property_id: str | None = None, dwelling: str | None = None, after: int = 0, limit: int = _PAGE
    ) -> list[Link]:
        """Return the links after a number, at most `limit`; of one property or dwelling only if named."""
        query = sa.select(links).where(links.c.link_no > after).order_by(links.c.link_no).limit(limit)
        if property_id is not None:
            query = query.where(links.c.property == property_id)
        if dwelling is not None:
            query = query.where(links.c.dwelling == dwelling)
        with self._database.reading() as connection:
            return [_link(row) for row in connection.execute(query)]

    def opened_by(self, secret: str) -> Household:
        """Return what a link's secret opens now, or raise NotThere: unknown, ended and revoked look the same."""
        now_ms = to_ms(self._clock())
        with self._database.writing() as connection:
            row = connection.execute(
                sa.select(links).where(links.c.token_hash == hash_secret(secret))
            ).one_or_none()
            if row is None or row.revoked_ms is not None or row.expires_ms <= now_ms:
                raise NotThere("no such link")
            connection.execute(links.update().where(links.c.link_no == row.link_no).values(used_ms=now_ms))
            return household_of(row)


def household_of(row: sa.Row[Any]) -> Household:
    """Return what a row of the table of links opens."""
    return Household(
        link_no=row.link_no,
        property_id=row.property,
        dwelling=row.dwelling,
        party=row.party,
        since=date.fromisoformat(row.since),
        until=None if row.until is None else date.fromisoformat(row.until),
    )


def _link(row: sa.Row[Any]) -> Link:
    return Link(
        household=household_of(row),
        made_by=row.made_by,
        made_at=from_ms(row.made_ms),
        expires_at=from_ms(row.expires_ms),
        revoked_at=None if row.revoked_ms is None else from_ms(row.revoked_ms),
        used_at=None if row.used_ms is None else from_ms(row.used_ms),
    )
