"""A gateway without an edge agent: makes records, seals and signs pages, and publishes them in any order wanted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wastelock.page import PageRecord, SigningKey, page_hash, seal_page, to_base64url
from wastelock.record import ClockStatus, Kind, Record, encode_record
from wastelock.topics import GatewayTopics

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
_NAMESPACE = UUID("5a0a6a6e-93f5-4f3b-8f0e-0d5c1f8f2a11")


@dataclass(frozen=True, slots=True)
class SealedPage:
    """A page as it goes onto the wire."""

    topic: str
    payload: bytes
    kid: str
    sig: str
    page: int

    @property
    def user(self) -> dict[str, str]:
        return {"kid": self.kid, "sig": self.sig}

    @property
    def hash(self) -> str:
        return page_hash(self.payload)


@dataclass(slots=True)
class FakeLock:
    """One lock's journal: `pours(n)` makes the next n complete pours of chamber 1, `record(…)` anything else."""

    serial: int = 0x1F00A1
    epoch: int = 1
    key: bytes | None = None
    seq: int = 0
    register: int = 0

    @property
    def name(self) -> str:
        return f"{self.serial:06x}"

    def record(self, **values: int) -> Record:
        """Return the next record; unless told otherwise a complete pour of chamber 1."""
        self.seq += 1
        fields: dict[str, int] = {
            "seq": self.seq, "began_clock_s": int(START.timestamp()) + self.seq, "boot": 1, "kind": Kind.POUR,
            "result": 0, "chamber": 1, "flags": ClockStatus.SET, "uid": 0xE0040150_00000000 + self.seq % 50,
            "volume_ml": 5000, **values,
        }  # fmt: skip
        if fields["kind"] == Kind.POUR and fields["result"] == 0 and "register_after" not in values:
            self.register = (self.register + 1) % 2**32
        fields.setdefault("register_after", self.register)
        return Record(**fields)  # type: ignore[arg-type]  # all of these fields are integers

    def pours(self, count: int) -> list[PageRecord]:
        return [self.page_record(self.record()) for _ in range(count)]

    def page_record(self, record: Record, unverified: bool = False, read_at: datetime = START) -> PageRecord:
        """Return a record as a page holds it; `unverified`: with a CRC that doesn't hold."""
        raw = encode_record(record, self.serial, self.epoch, self.key)
        if unverified:
            raw = raw[:-1] + bytes([raw[-1] ^ 0xFF])
        at = read_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return PageRecord(
            self.name, "wlc-1", self.epoch, record.seq, to_base64url(raw), at, -2, unverified=unverified
        )


@dataclass(slots=True)
class FakeGateway:
    """Seals pages of one journal, each naming the hash of the one before."""

    gateway: str = "gw-0001"
    site: str = "estate-1"
    seed: int = 1
    journal: str = ""
    page: int = 0
    head: str = ""
    key: SigningKey = field(init=False)

    def __post_init__(self) -> None:
        secret = bytes([self.seed]) * 32
        self.key = SigningKey(Ed25519PrivateKey.from_private_bytes(secret))
        self.journal = self.journal or str(uuid5(_NAMESPACE, f"{self.gateway}/{self.seed}"))

    @property
    def topics(self) -> GatewayTopics:
        return GatewayTopics(self.site, self.gateway)

    @property
    def public_key(self) -> str:
        return to_base64url(self.key.private.public_key().public_bytes_raw())

    def seal(self, records: Sequence[PageRecord], prev: str | None = None) -> SealedPage:
        """Seal the next page. `prev`: another hash than the right one, to break the chain."""
        self.page += 1
        prev = self.head if prev is None else prev
        sealed_at = START + timedelta(seconds=self.page)
        payload = seal_page(self.gateway, self.journal, self.page, prev, sealed_at, "ntp", records)
        self.head = page_hash(payload)
        return self.sign(payload)

    def sign(self, payload: bytes, page: int | None = None) -> SealedPage:
        """Sign any bytes as this gateway."""
        topic = self.topics.page
        return SealedPage(topic, payload, self.key.kid, self.key.sign(topic, payload), page or self.page)

    def toml(self) -> str:
        return f'[[gateways]]\nid = "{self.gateway}"\nsite = "{self.site}"\npublic_keys = ["{self.public_key}"]\n'
