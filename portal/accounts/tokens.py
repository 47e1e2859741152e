"""API tokens for machines: a role, or a part of its permissions; each ends by itself."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from portal.accounts.audit import next_number, write_event
from portal.accounts.database import Database
from portal.accounts.secret import TOKEN, from_ms, hash_secret, make_secret, to_ms
from portal.accounts.tables import tokens
from portal.errors import Invalid, NotThere, Refused
from portal.roles import GRANTS, Permission, Role, Viewer, ViewerKind

LONGEST_DAYS = 730
_MOST = 1000
_PREFIX_LETTERS = 12
_USED_EVERY_S = 60  # when it was last used is written down that seldom


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token; the secret itself isn't."""

    token_no: int
    name: str
    prefix: str
    role: Role
    permissions: tuple[Permission, ...]
    made_by: str
    made_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None


class Tokens:
    """The table of API tokens."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def all(self) -> list[Token]:
        """Return all tokens by name, also those that ended."""
        with self._database.reading() as connection:
            query = sa.select(tokens).order_by(tokens.c.name).limit(_MOST)
            return [_token(row) for row in connection.execute(query)]

    def add(
        self, name: str, role: Role, days: int, actor: str, permissions: Collection[Permission] = ()
    ) -> str:
        """Add a token and return it: it can't be shown a second time. No `permissions`: all of the role's."""
        name = name.strip()
        if not 0 < len(name) <= 100 or not name.isprintable():
            raise Invalid("token.name")
        if not 1 <= days <= LONGEST_DAYS:
            raise Invalid("token.days", longest=LONGEST_DAYS)
        if not set(permissions) <= GRANTS[role]:
            raise Invalid("token.permissions", role=role.value)
        token = f"{TOKEN}_{make_secret()}"
        now = self._clock()
        with self._database.writing() as connection:
            if connection.scalar(sa.select(tokens.c.token_no).where(tokens.c.name == name)) is not None:
                raise Refused("token.exists", name=name)
            token_no = next_number(connection, tokens.c.token_no)
            if token_no > _MOST:
                raise Refused("token.most", most=_MOST)
            connection.execute(
                tokens.insert().values(
                    token_no=token_no,
                    name=name,
                    token_hash=hash_secret(token),
                    prefix=token[:_PREFIX_LETTERS],
                    role=role.value,
                    permissions=" ".join(sorted(permissions)),
                    made_by=actor,
                    made_ms=to_ms(now),
                    expires_ms=to_ms(now + timedelta(days=days)),
                )
            )
            write_event(
                connection,
                now,
                actor,
                "token add",
                name,
                f"{role.value} {' '.join(sorted(permissions))}".strip(),
            )
        return token

    def revoke(self, name: str, actor: str) -> None:
        """End a token now. NotThere if there is none of this name."""
        now = self._clock()
        with self._database.writing() as connection:
            if connection.scalar(sa.select(tokens.c.token_no).where(tokens.c.name == name)) is None:
                raise NotThere(f"there is no token {name}")
            connection.execute(
                tokens.update()
                .where(tokens.c.name == name, tokens.c.revoked_ms.is_(None))
                .values(revoked_ms=to_ms(now))
            )
            write_event(connection, now, actor, "token revoke", name)

    def viewer(self, token: str) -> Viewer | None:
        """Return who asks with this token, None if it isn't one that holds now."""
        now_ms = to_ms(self._clock())
        with self._database.reading() as connection:
            row = connection.execute(
                sa.select(tokens).where(tokens.c.token_hash == hash_secret(token))
            ).one_or_none()
        if row is None or row.revoked_ms is not None or row.expires_ms <= now_ms:
            return None
        if row.used_ms is None or now_ms - row.used_ms > _USED_EVERY_S * 1000:
            with self._database.writing() as connection:
                connection.execute(
                    tokens.update().where(tokens.c.token_no == row.token_no).values(used_ms=now_ms)
                )
        granted = GRANTS[Role(row.role)]
        chosen = frozenset(Permission(name) for name in row.permissions.split()) or granted
        return Viewer(
            kind=ViewerKind.TOKEN,
            name=f"token:{row.name}",
            display_name=row.name,
            role=Role(row.role),
            permissions=chosen & granted,
            session_key=f"token:{row.token_no}",
        )


def _token(row: sa.Row[Any]) -> Token:
    return Token(
        token_no=row.token_no,
        name=row.name,
        prefix=row.prefix,
        role=Role(row.role),
        permissions=tuple(Permission(name) for name in row.permissions.split()),
        made_by=row.made_by,
        made_at=from_ms(row.made_ms),
        expires_at=from_ms(row.expires_ms),
        revoked_at=None if row.revoked_ms is None else from_ms(row.revoked_ms),
        used_at=None if row.used_ms is None else from_ms(row.used_ms),
    )
