"""Random secrets of 256 bits, and what is kept of them: none of them can be guessed, so SHA-256 is enough."""

import hashlib
import secrets
from datetime import UTC, datetime

SESSION = "session"
TOKEN = "wlt"  # API tokens begin with it, so that scanners of repositories can find one that was lost
_BYTES = 32


def make_secret() -> str:
    """Return 256 random bits, as 43 characters that may stand in an address."""
    return secrets.token_urlsafe(_BYTES)


def hash_secret(secret: str) -> str:
    """Return what the database keeps of a secret, in hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def derive_csrf_token(session_id: str) -> str:
    """Return the token that this session's forms carry: known to who knows the session, telling nothing of it."""
    return hashlib.sha256(b"csrf:" + session_id.encode("utf-8", "surrogateescape")).hexdigest()


def to_ms(at: datetime) -> int:
    """Return an instant as the tables have it."""
    return int(at.timestamp() * 1000)


def from_ms(at_ms: int) -> datetime:
    """Return an instant of a table, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)
