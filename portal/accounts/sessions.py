"""Sessions of browsers: of a person who signed in, or of a household whose link was opened. Ended by being deleted."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from portal.accounts.audit import write_event
from portal.accounts.database import Database
from portal.accounts.links import household_of
from portal.accounts.secret import from_ms, hash_secret, make_secret, to_ms
from portal.accounts.tables import links, sessions, users
from portal.roles import GRANTS, Role, Viewer, ViewerKind

_MOST_PER_OWNER = 20  # the oldest makes room: nobody has more browsers than that
_SEEN_EVERY_S = 30  # that a session was used is written down that seldom
_LONGEST_AGENT = 200
_PRUNED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class SessionLine:
    """A session, as its owner sees it. `key` names it in forms and is no secret."""

    key: str
    made_at: datetime
    seen_at: datetime
    agent: str


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long sessions last: since they were last used, and since they were made."""

    idle: timedelta
    person: timedelta
    household: timedelta


class Sessions:
    """The table of sessions."""

    def __init__(self, database: Database, clock: Callable[[], datetime], lifetimes: Lifetimes) -> None:
        self._database = database
        self._clock = clock
        self._lifetimes = lifetimes

    def open_for_user(self, user_no: int, agent: str) -> str:
        """Begin a person's session and return its id, for the cookie."""
        return self._open(sessions.c.user_no, user_no, self._lifetimes.person, agent)

    def open_for_link(self, link_no: int, agent: str) -> str:
        """Begin a household's session and return its id, for the cookie."""
        return self._open(sessions.c.link_no, link_no, self._lifetimes.household, agent)

    def viewer(self, session_id: str, *, used: bool = True) -> Viewer | None:
        """Return who asks in this session, None if it has ended. `used` False: only looked at, it goes on idling."""
        now_ms = to_ms(self._clock())
        with self._database.reading() as connection:
            row = connection.execute(
                _whole().where(sessions.c.id_hash == hash_secret(session_id))
            ).one_or_none()
        if row is None or not self._is_alive(row, now_ms):
            return None
        if used and now_ms - row.seen_ms > _SEEN_EVERY_S * 1000:
            with self._database.writing() as connection:
                connection.execute(
                    sessions.update().where(sessions.c.id_hash == row.id_hash).values(seen_ms=now_ms)
                )
        return _viewer(row)

    def close(self, session_id: str, actor: str) -> None:
        """End a session: its owner signed out."""
        with self._database.writing() as connection:
            connection.execute(sessions.delete().where(sessions.c.id_hash == hash_secret(session_id)))
            write_event(connection, self._clock(), actor, "sign out")

    def of_user(self, name: str) -> list[SessionLine]:
        """Return a user's sessions, the newest first."""
        query = (
            sa.select(sessions)
            .join(users, users.c.user_no == sessions.c.user_no)
            .where(users.c.name == name, sessions.c.expires_ms > to_ms(self._clock()))
            .order_by(sessions.c.made_ms.desc())
            .limit(_MOST_PER_OWNER)
        )
        with self._database.reading() as connection:
            return [
                SessionLine(row.id_hash[:16], from_ms(row.made_ms), from_ms(row.seen_ms), row.agent)
                for row in connection.execute(query)
            ]

    def close_others(self, name: str, session_key: str) -> None:
        """End all sessions of a user but the one that he uses now."""
        with self._database.writing() as connection:
            user_no = connection.scalar(sa.select(users.c.user_no).where(users.c.name == name))
            connection.execute(
                sessions.delete().where(
                    sessions.c.user_no == user_no, sa.func.substr(sessions.c.id_hash, 1, 16) != session_key
                )
            )
            write_event(connection, self._clock(), name, "sign out elsewhere")

    def prune(self) -> int:
        """Drop sessions that have ended by themselves, a bounded number of them, and return how many."""
        with self._database.writing() as connection:
            ended = (
                sa.select(sessions.c.id_hash)
                .where(sessions.c.expires_ms <= to_ms(self._clock()))
                .limit(_PRUNED_AT_ONCE)
                .scalar_subquery()
            )
            return connection.execute(sessions.delete().where(sessions.c.id_hash.in_(ended))).rowcount

    def _open(self, owner: sa.Column[int], number: int, lifetime: timedelta, agent: str) -> str:
        session_id = make_secret()
        now = self._clock()
        with self._database.writing() as connection:
            _make_room(connection, owner, number)
            connection.execute(
                sessions.insert().values(
                    {
                        "id_hash": hash_secret(session_id),
                        owner.name: number,
                        "made_ms": to_ms(now),
                        "seen_ms": to_ms(now),
                        "expires_ms": to_ms(now + lifetime),
                        "agent": agent[:_LONGEST_AGENT],
                    }
                )
            )
        return session_id

    def _is_alive(self, row: sa.Row[Any], now_ms: int) -> bool:
        if row.expires_ms <= now_ms or row.disabled:
            return False
        if row.link_no is not None:  # as long as its link: a household looks in once a month
            return row.revoked_ms is None and row.link_expires_ms > now_ms
        return bool(now_ms - row.seen_ms <= self._lifetimes.idle.total_seconds() * 1000)


def _whole() -> sa.Select[Any]:
    return (
        sa.select(
            sessions,
            *(
                users.c[name]
                for name in ("name", "display_name", "role", "language", "must_change", "disabled")
            ),
            *(links.c[name] for name in ("property", "dwelling", "party", "since", "until", "revoked_ms")),
            links.c.expires_ms.label("link_expires_ms"),
        )
        .join(users, users.c.user_no == sessions.c.user_no, isouter=True)
        .join(links, links.c.link_no == sessions.c.link_no, isouter=True)
    )


def _viewer(row: sa.Row[Any]) -> Viewer:
    key = row.id_hash[:16]
    if row.link_no is not None:
        return Viewer(
            kind=ViewerKind.HOUSEHOLD,
            name=f"household:{row.link_no}",
            display_name=row.dwelling,
            household=household_of(row),
            session_key=key,
        )
    return Viewer(
        kind=ViewerKind.PERSON,
        name=row.name,
        display_name=row.display_name,
        role=Role(row.role),
        permissions=frozenset() if row.must_change else GRANTS[Role(row.role)],
        language=row.language,
        must_change=bool(row.must_change),
        session_key=key,
    )


def _make_room(connection: Connection, owner: sa.Column[int], number: int) -> None:
    query = sa.select(sessions.c.id_hash).where(owner == number).order_by(sessions.c.made_ms.desc())
    too_many = connection.scalars(query.offset(_MOST_PER_OWNER - 1)).all()
    if too_many:
        connection.execute(sessions.delete().where(sessions.c.id_hash.in_(too_many)))
