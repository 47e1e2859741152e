"""Access lists and the transponders in them. Raw numbers come out of here for one purpose: a desired state to send."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from cloud_sink.ledger.bulk import insert_rows
from cloud_sink.ledger.instants import from_ms, to_ms
from cloud_sink.ledger.tables import access_entries, access_lists, transponders
from cloud_sink.orders.model import AccessListView, ListedTransponder

_IN_CHUNK = 500
_FORGET_LISTS = 200
_a, _e, _t = access_lists.c, access_entries.c, transponders.c


def add_transponders(connection: Connection, uids: Mapping[bytes, str], now_ms: int) -> int:
    """Keep which number each pseudonym stands for; return how many weren't known before."""
    known = known_credentials(connection, uids)
    number = int(connection.scalar(sa.select(sa.func.max(_t.transponder_no))) or 0)
    new = [credential for credential in uids if credential not in known]
    rows = [(credential, place, uids[credential], now_ms) for place, credential in enumerate(new, number + 1)]
    insert_rows(connection, transponders, rows)
    return len(new)


def known_credentials(connection: Connection, credentials: Iterable[bytes]) -> set[bytes]:
    """Return those of these pseudonyms whose numbers are known."""
    wanted = list(credentials)
    found: set[bytes] = set()
    for start in range(0, len(wanted), _IN_CHUNK):
        some = wanted[start : start + _IN_CHUNK]
        found.update(connection.scalars(sa.select(_t.credential).where(_t.credential.in_(some))))
    return found


def newest_transponder(connection: Connection) -> int:
    """Return a number that is another one once transponders were added."""
    return int(connection.scalar(sa.select(sa.func.max(_t.transponder_no))) or 0)


def list_in_force(connection: Connection, lock: str) -> sa.Row[Any] | None:
    """Return the row of the list that is wanted of a lock, None if there is none."""
    query = sa.select(access_lists).where(_a.lock == lock).order_by(_a.version.desc()).limit(1)
    return connection.execute(query).one_or_none()


def list_before(connection: Connection, lock: str, at: datetime, actor: str) -> sa.Row[Any] | None:
    """Return the row of the list that was wanted of a lock at an instant, or of a later one that somebody else than
    this actor has set; of the first one if there was none by then."""
    of_lock = sa.select(access_lists).where(_a.lock == lock).limit(1)
    settled = of_lock.where(sa.or_(_a.set_ms <= to_ms(at), _a.set_by != actor)).order_by(_a.version.desc())
    return (
        connection.execute(settled).one_or_none()
        or connection.execute(of_lock.order_by(_a.version)).one_or_none()
    )


def lists_of(connection: Connection, lock: str, limit: int) -> list[AccessListView]:
    """Return a lock's lists, the newest first."""
    query = sa.select(access_lists).where(_a.lock == lock).order_by(_a.version.desc()).limit(limit)
    return [view_list(row) for row in connection.execute(query)]


def entries_of(connection: Connection, list_no: int) -> tuple[ListedTransponder, ...]:
    """Return who is in a list, by pseudonym."""
    query = sa.select(_e.credential, _e.service, _e.blocked).where(_e.list_no == list_no)
    return tuple(
        ListedTransponder(credential.hex(), bool(service), bool(blocked))
        for credential, service, blocked in connection.execute(query.order_by(_e.credential))
    )


def add_list(
    connection: Connection,
    lock: str,
    version: int,
    entries: Sequence[ListedTransponder],
    set_ms: int,
    actor: str,
    reason: str,
) -> None:
    """Put a list in force, in a transaction that holds the write lock; all its transponders are known."""
    connection.execute(
        access_lists.update().where(_a.lock == lock, _a.until_ms.is_(None)).values(until_ms=set_ms)
    )
    number = int(connection.scalar(sa.select(sa.func.max(_a.list_no))) or 0) + 1
    service, blocked = sum(each.service for each in entries), sum(each.blocked for each in entries)
    row = (number, lock, version, len(entries), service, blocked, set_ms, actor, reason, None, 1)
    insert_rows(connection, access_lists, [row])
    credentials = [bytes.fromhex(each.credential) for each in entries]
    rows = [
        (number, credential, int(each.service), int(each.blocked))
        for credential, each in zip(credentials, entries, strict=True)
    ]
    insert_rows(connection, access_entries, rows)


def view_list(row: sa.Row[Any]) -> AccessListView:
    """Return a list's row as it is shown."""
    return AccessListView(
        row.lock, row.version, row.entries, row.service, row.blocked, from_ms(row.set_ms), row.set_by, row.reason,
        None if row.until_ms is None else from_ms(row.until_ms),
    )  # fmt: skip


def forget(connection: Connection, before: datetime, most: int) -> int:
    """Forget who was in lists whose time was over by then, at most `most` entries at once, and the numbers of those of
    them whom no list has any more. That there was a list, and who set it, stays.

    Returns how many lists and entries that were: 0 if nothing is left to be forgotten.
    """
    over = sa.select(_a.list_no).where(_a.kept == 1, _a.until_ms < to_ms(before)).order_by(_a.until_ms)
    gone: set[bytes] = set()
    emptied: list[int] = []
    room = most
    for list_no in connection.scalars(over.limit(_FORGET_LISTS)).all():
        mine = sa.select(_e.credential).where(_e.list_no == list_no).order_by(_e.credential).limit(room)
        credentials = list(connection.scalars(mine))
        if credentials:
            up_to_last = _e.list_no == list_no, _e.credential <= credentials[-1]
            connection.execute(access_entries.delete().where(*up_to_last))
        gone.update(credentials)
        room -= len(credentials)
        if room <= 0:
            break
        emptied.append(list_no)
    unlisted = ~sa.exists().where(_e.credential == _t.credential)
    if gone:
        connection.execute(transponders.delete().where(_t.credential.in_(gone), unlisted))
    if emptied:
        connection.execute(access_lists.update().where(_a.list_no.in_(emptied)).values(kept=0))
    return most - room + len(emptied)
