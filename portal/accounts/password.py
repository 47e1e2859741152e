"""Passwords: argon2id, at most two reckoned at once, and the same time whether the user exists or not."""

import secrets
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from portal.errors import Invalid

SHORTEST, LONGEST = 12, 200
_AT_ONCE = 2  # each takes 64 MiB and a core for some 50 ms
_GROUPS, _GROUP_LETTERS = 4, 5
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that look alike: 99 bits


class Passwords:
    """Hashes and checks passwords. `hasher` is given by tests that don't want to wait."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._turns = threading.BoundedSemaphore(_AT_ONCE)
        self._nobodys = self._hasher.hash(secrets.token_hex())

    def hash(self, password: str) -> str:
        """Return the argon2id hash, with salt and parameters in it."""
        with self._turns:
            return self._hasher.hash(password)

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether this is the password. None: there is no such user, which takes just as long to find out."""
        with self._turns:
            try:
                return (
                    self._hasher.verify(password_hash or self._nobodys, password)
                    and password_hash is not None
                )
            except (VerifyMismatchError, InvalidHashError):
                return False

    def is_outdated(self, password_hash: str) -> bool:
        """Return whether it was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)


def make_one_time_password() -> str:
    """Return a password that a person can read to another one."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(_GROUP_LETTERS)) for _ in range(_GROUPS))


def check_password(password: str, name: str) -> None:
    """Raise Invalid unless this may be the password of this user."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Invalid("password.length", shortest=SHORTEST, longest=LONGEST)
    if name.lower() in password.lower() or len(set(password)) < SHORTEST // 2:
        raise Invalid("password.weak")
