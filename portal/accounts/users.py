"""People who sign in with a name and a password. Whoever changes what a user may do ends his sessions with it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from portal.accounts.audit import next_number, write_event
from portal.accounts.database import Database
from portal.accounts.password import Passwords, check_password, make_one_time_password
from portal.accounts.secret import from_ms, to_ms
from portal.accounts.tables import sessions, users
from portal.errors import Invalid, NotThere, Refused
from portal.roles import Role

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}\Z")
_LONGEST_DISPLAY = 100
_MOST = 1000


@dataclass(frozen=True, slots=True)
class User:
    """A person with access. `failed_attempts`: wrong passwords since he last signed in."""

    user_no: int
    name: str
    display_name: str
    role: Role
    language: str | None
    must_change: bool
    disabled: bool
    failed_attempts: int
    made_at: datetime
    signed_in_at: datetime | None


class Users:
    """The table of users. `actor` is who does it, for the log of writes."""

    def __init__(self, database: Database, clock: Callable[[], datetime], passwords: Passwords) -> None:
        self._database = database
        self._clock = clock
        self._passwords = passwords

    def all(self) -> list[User]:
        """Return all users by name; there are at most 1,000."""
        with self._database.reading() as connection:
            return [
                _user(row) for row in connection.execute(sa.select(users).order_by(users.c.name).limit(_MOST))
            ]

    def named(self, name: str) -> User:
        """Return the user of this name, or raise NotThere."""
        with self._database.reading() as connection:
            return _user(_row(connection, name))

    def add(self, name: str, role: Role, actor: str, display_name: str = "") -> str:
        """Add a user and return his one-time password, which nobody can be told a second time."""
        if not _NAME.match(name):
            raise Invalid("user.name", name=name)
        display_name = "".join(letter for letter in display_name if letter.isprintable())
        password = make_one_time_password()
        password_hash = self._passwords.hash(password)
        with self._database.writing() as connection:
            if connection.scalar(sa.select(users.c.user_no).where(users.c.name == name)) is not None:
                raise Refused("user.exists", name=name)
            if (connection.scalar(sa.select(sa.func.count()).select_from(users)) or 0) >= _MOST:
                raise Refused("user.most", most=_MOST)
            connection.execute(
                users.insert().values(
                    user_no=next_number(connection, users.c.user_no),
                    name=name,
                    display_name=(display_name.strip() or name)[:_LONGEST_DISPLAY],
                    role=role.value,
                    password_hash=password_hash,
                    must_change=1,
                    disabled=0,
                    failed_attempts=0,
                    made_ms=to_ms(self._clock()),
                )
            )
            write_event(connection, self._clock(), actor, "user add", name, role.value)
        return password

    def check(self, name: str, password: str) -> User | None:
        """Return the user if name and password are right and he isn't disabled; else None, after the same time."""
        with self._database.reading() as connection:
            row = connection.execute(sa.select(users).where(users.c.name == name.lower())).one_or_none()
        right = self._passwords.verify(None if row is None else row.password_hash, password)
        good = right and row is not None and not row.disabled
        # Both ways end in one write: how long it takes tells nobody which names there are.
        with self._database.writing() as connection:
            if row is not None:
                changes = self._after_attempt(row, password if good else None)
                connection.execute(users.update().where(users.c.user_no == row.user_no).values(**changes))
            # An unknown name isn't kept: it may be a password in the wrong field.
            actor = "unknown" if row is None else row.name
            write_event(connection, self._clock(), actor, "sign in" if good else "sign in refused")
        return _user(row) if good and row is not None else None

    def change_password(self, name: str, old: str, new: str) -> None:
        """Let a user change his own password; all his sessions end."""
        check_password(new, name)
        with self._database.reading() as connection:
            row = _row(connection, name)
        if not self._passwords.verify(row.password_hash, old):
            raise Invalid("password.wrong")
        if old == new:
            raise Invalid("password.same")
        self._set_password(name, name, "password change", new, must_change=False)

    def reset_password(self, name: str, actor: str) -> str:
        """Replace a password by a one-time password, which is returned; all the user's sessions end."""
        password = make_one_time_password()
        self._set_password(name, actor, "user reset", password, must_change=True)
        return password

    def set_role(self, name: str, role: Role, actor: str) -> None:
        """Give a user another role; all his sessions end."""
        self._change(name, actor, "user role", role.value, {"role": role.value})

    def set_disabled(self, name: str, disabled: bool, actor: str) -> None:
        """Lock a user out, or let him in again; all his sessions end."""
        action = "user disable" if disabled else "user enable"
        self._change(name, actor, action, "", {"disabled": int(disabled)})

    def set_language(self, name: str, language: str) -> None:
        """Keep the language that a user wants."""
        with self._database.writing() as connection:
            connection.execute(users.update().where(users.c.name == name).values(language=language))

    def _after_attempt(self, row: sa.Row[Any], password: str | None) -> dict[str, Any]:
        """Return what changes for a user who tried to sign in; `password`: the right one, None if it was wrong."""
        if password is None:
            return {"failed_attempts": row.failed_attempts + 1}
        changes: dict[str, Any] = {"failed_attempts": 0, "signed_in_ms": to_ms(self._clock())}
        if self._passwords.is_outdated(row.password_hash):
            changes["password_hash"] = self._passwords.hash(password)
        return changes

    def _set_password(self, name: str, actor: str, action: str, password: str, *, must_change: bool) -> None:
        changes = {
            "password_hash": self._passwords.hash(password),
            "must_change": int(must_change),
            "failed_attempts": 0,
        }
        self._change(name, actor, action, "", changes)

    def _change(self, name: str, actor: str, action: str, detail: str, changes: dict[str, Any]) -> None:
        with self._database.writing() as connection:
            row = _row(connection, name)
            connection.execute(users.update().where(users.c.user_no == row.user_no).values(**changes))
            if _operators(connection) == 0 and row.role == Role.OPERATOR and not row.disabled:
                raise Refused("user.last_operator", name=name)
            connection.execute(sessions.delete().where(sessions.c.user_no == row.user_no))
            write_event(connection, self._clock(), actor, action, name, detail)


def _operators(connection: Connection) -> int:
    query = sa.select(sa.func.count()).select_from(users)
    return connection.scalar(query.where(users.c.role == Role.OPERATOR.value, users.c.disabled == 0)) or 0


def _row(connection: Connection, name: str) -> sa.Row[Any]:
    row = connection.execute(sa.select(users).where(users.c.name == name)).one_or_none()
    if row is None:
        raise NotThere(f"there is no user {name}")
    return row


def _user(row: sa.Row[Any]) -> User:
    return User(
        user_no=row.user_no,
        name=row.name,
        display_name=row.display_name,
        role=Role(row.role),
        language=row.language,
        must_change=bool(row.must_change),
        disabled=bool(row.disabled),
        failed_attempts=row.failed_attempts,
        made_at=from_ms(row.made_ms),
        signed_in_at=None if row.signed_in_ms is None else from_ms(row.signed_in_ms),
    )
