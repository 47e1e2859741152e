"""The access list: one in force, and a volatile staging for the next."""

import zlib
from dataclasses import dataclass, field

COMMIT, COMMIT_EMPTY = 0xA5A5, 0x5A5A
ENTRY_WORDS, ENTRY_BYTES, MAX_ENTRIES, MOST_IN_ONE_REQUEST = 5, 10, 2048, 24
ACCEPTED, BAD_ADDRESS, BAD_VALUE, REFUSED = 0, 2, 3, 4


@dataclass(frozen=True)
class Begin:
    """What the writer announced."""

    version: int
    count: int
    check: int


@dataclass
class AccessList:
    """Each method returns 0 or the exception's code."""

    limit: int
    version: int = 0
    entries: tuple[bytes, ...] = ()
    check: int = 0
    _begun: Begin | None = None
    _staged: dict[int, bytes] = field(default_factory=dict)

    def power_up(self) -> None:
        self._begun = None
        self._staged.clear()

    def begin(self, version: int, count: int, check: int) -> int:
        if count > self.limit:
            return BAD_VALUE
        self._begun = Begin(version, count, check)
        self._staged.clear()
        return ACCEPTED

    def stage(self, offset: int, data: bytes) -> int:
        """Take whole entries; `offset` in words from the first entry's address."""
        whole = offset % ENTRY_WORDS == 0 and len(data) % ENTRY_BYTES == 0
        first, count = offset // ENTRY_WORDS, len(data) // ENTRY_BYTES
        if not whole or count > MOST_IN_ONE_REQUEST or first + count > MAX_ENTRIES:
            return BAD_VALUE
        if self._begun is None:
            return REFUSED
        for place in range(count):
            self._staged[first + place] = data[place * ENTRY_BYTES : (place + 1) * ENTRY_BYTES]
        return ACCEPTED

    def commit(self, word: int) -> int:
        begun = self._begun
        if begun is None:
            return REFUSED
        if begun.version == 0 or word != (COMMIT if begun.count else COMMIT_EMPTY):
            return BAD_VALUE
        if begun == Begin(self.version, len(self.entries), self.check):
            return ACCEPTED
        staged = tuple(self._staged.get(place, b"") for place in range(begun.count))
        if begun.version == self.version or zlib.crc32(b"".join(staged)) != begun.check:
            return REFUSED
        self.version, self.entries, self.check = begun.version, staged, begun.check
        return ACCEPTED
