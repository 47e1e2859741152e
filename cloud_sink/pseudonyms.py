"""A credential's pseudonym: what the ledger, its exports and everything after it know of a transponder.

HMAC-SHA256(key, UID as 8 bytes big-endian), the first 16 bytes. Whoever lacks the key can't get from a pseudonym to
a transponder's number, not even by trying all numbers.
"""

import hmac
from functools import lru_cache

KEY_BYTES = 32
PSEUDONYM_BYTES = 16
_CACHED = 200_000  # transponders; about 30 MB at most
_FINGERPRINT_TEXT = b"wastelock pseudonym key fingerprint"


class Pseudonyms:
    """Makes pseudonyms under one key; remembers those it made lately."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a pseudonym key has {KEY_BYTES} bytes, got {len(key)}")
        self.key = key
        self.of = lru_cache(_CACHED)(self._make)

    @property
    def fingerprint(self) -> str:
        """What tells this key from another without giving it away; kept in the ledger."""
        return hmac.digest(self.key, _FINGERPRINT_TEXT, "sha256")[:8].hex()

    def _make(self, uid: int) -> bytes | None:
        """Return the 16 bytes of a transponder's pseudonym, None for 0: no transponder."""
        return hmac.digest(self.key, uid.to_bytes(8, "big"), "sha256")[:PSEUDONYM_BYTES] if uid else None
