"""Pages as the wire contract writes them, read by hand: from the agent's spool file and from the broker."""

import base64
import hashlib
import json
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Identity = tuple[int, int, int]  # serial, epoch, seq


@dataclass(frozen=True)
class PageRecord:
    """One record in a page. `clock_offset_s` None where the page has none."""

    journal: str
    page: int
    serial: int
    driver: str
    epoch: int
    seq: int
    raw: bytes
    read_at: str
    clock_offset_s: int | None
    unverified: bool

    @property
    def identity(self) -> Identity:
        return self.serial, self.epoch, self.seq


@dataclass(frozen=True)
class PageBytes:
    """One page with what goes with it."""

    journal: str
    number: int
    payload: bytes
    kid: str
    signature: str

    @property
    def header(self) -> dict[str, Any]:
        header: dict[str, Any] = json.loads(self.payload)
        return header

    def records(self) -> list[PageRecord]:
        return [
            PageRecord(
                self.journal,
                self.number,
                int(record["lock"], 16),
                record["driver"],
                record["epoch"],
                record["seq"],
                decode(record["raw"]),
                record["read_at"],
                record.get("clock_offset_s"),
                record.get("unverified", False),
            )
            for record in self.header["records"]
        ]


def decode(text: str) -> bytes:
    """base64url without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def page_hash(payload: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(payload).digest()).decode().rstrip("=")


def find_broken_pages(pages: list[PageBytes], public: Ed25519PublicKey, topic: str) -> list[str]:
    """Check numbers, chain and signatures; return what doesn't hold. `pages`: all of them, any order."""
    broken = []
    by_journal: dict[str, dict[int, PageBytes]] = {}
    for page in pages:
        known = by_journal.setdefault(page.journal, {}).setdefault(page.number, page)
        if known.payload != page.payload:
            broken.append(f"page {page.number} exists with two contents")
        try:
            public.verify(decode(page.signature), f"wl1\n{topic}\n".encode() + page.payload)
        except InvalidSignature:
            broken.append(f"page {page.number} has a signature that doesn't hold")
        if (page.header["journal"], page.header["page"]) != (page.journal, page.number):
            broken.append(f"page {page.number} of {page.journal} says that it is another")
    for journal, numbered in by_journal.items():
        if sorted(numbered) != list(range(1, len(numbered) + 1)):
            broken.append(f"journal {journal} has gaps: {sorted(numbered)[:20]}")
            continue
        previous = ""
        for number in sorted(numbered):
            if numbered[number].header["prev"] != previous:
                broken.append(f"page {number} of {journal} doesn't name the page before it")
            previous = page_hash(numbered[number].payload)
    return broken


class SpoolFile:
    """What is on the gateway's disk, read while the agent runs or not. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._guard = threading.Lock()
        self._read_to: dict[str, int] = {}
        self._raw: dict[Identity, bytes] = {}
        self.pages: list[PageBytes] = []

    def on_disk(self, serial: int, epoch: int, seq: int) -> bytes | None:
        """Return a record's bytes in any page; the last journal's, where several have it."""
        with self._guard:
            if (serial, epoch, seq) not in self._raw:
                self._read()
            return self._raw.get((serial, epoch, seq))

    def refresh(self) -> None:
        with self._guard:
            self._read()

    def _read(self) -> None:
        """Take in the pages that are new since the last time; those pruned meanwhile are kept in mind."""
        if not self._path.exists():
            return
        connection = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)
        try:
            journals = connection.execute("SELECT id, uuid FROM journal").fetchall()
            for journal, uuid in journals:
                rows = connection.execute(
                    "SELECT page, payload, kid, signature FROM page WHERE journal = ? AND page > ? ORDER BY page",
                    (journal, self._read_to.get(uuid, 0)),
                )
                for number, payload, kid, signature in rows.fetchall():
                    self._take(PageBytes(uuid, number, payload, kid, signature))
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):  # it is just being made
                raise
        finally:
            connection.close()

    def _take(self, page: PageBytes) -> None:
        self.pages.append(page)
        self._read_to[page.journal] = page.number
        for record in page.records():
            self._raw[record.identity] = record.raw
