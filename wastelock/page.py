"""Page: the sealed, signed bundle of records in which custody passes from a gateway's spool to the ledger.

The law of this file: the bytes that are stored are the bytes that are sent, hashed and signed; nothing re-serialises
them. `seal_page` is the only place that makes page bytes, `parse_page` the only one that reads them (design 3).

    gateway's spool:  page 1 ◀─prev─ page 2 ◀─prev─ page 3 …   numbered without gaps within one `journal`
    signature:        Ed25519 over  "wl1\\n" + topic + "\\n" + payload   in the user properties `kid`, `sig`
"""

from base64 import urlsafe_b64encode
from binascii import a2b_base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from wastelock.registers import LOCK_ID_PATTERN

PAGE_VERSION = 1
MAX_RECORDS = 500
MAX_PAGE_BYTES = 256 * 1024  # 500 records of at most ~300 bytes each, with room for fields to come
JOURNAL_PATTERN = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_SIGNING_PREFIX = b"wl1\n"
_TO_STANDARD_BASE64 = str.maketrans("-_+/", "+/**")  # what base64url doesn't have becomes what no base64 has
# What msgspec raises on bytes that a stranger chose: RecursionError for JSON nested thousands deep.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class MalformedPage(ValueError):
    """These bytes aren't a page, whatever their signature says."""


class UnsupportedPage(ValueError):
    """A page of a version that this program doesn't know, or whose records it can't read; `header` still holds."""

    def __init__(self, header: "PageHeader", why: str) -> None:
        super().__init__(why)
        self.header = header


def _described(what: str, **schema: object) -> msgspec.Meta:
    """Say in the JSON Schema what a field holds; decoding checks none of it, the reader of a page does."""
    return msgspec.Meta(description=what, extra_json_schema=schema)


class PageRecord(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One journal record as it was read at the gateway.

    `lock` is the serial number in lower-case hexadecimal, `raw` the record's 44 bytes as base64url without padding,
    MAC and CRC included; `read_at` is UTC by the gateway's clock; `clock_offset_s` is the controller's clock minus
    the gateway's (absent where the controller's clock was never set). `unverified`: its CRC-32 never held.
    """

    lock: Annotated[str, _described("lock's serial number in hexadecimal", pattern=f"^({LOCK_ID_PATTERN})$")]
    driver: Annotated[str, _described("who read it, and so what `raw` holds: wlc-1 or counter-1")]
    epoch: Annotated[int, _described("journal epoch of the lock", minimum=0, maximum=2**32 - 1)]
    seq: Annotated[int, _described("sequence number in that epoch", minimum=1, maximum=2**32 - 1)]
    raw: Annotated[
        str, _described("44 bytes as read, base64url without padding", pattern="^[A-Za-z0-9_-]{59}$")
    ]
    read_at: Annotated[str, _described("UTC by the gateway's clock", format="date-time")]
    clock_offset_s: Annotated[int, _described("controller's clock minus gateway's")] | None = None
    unverified: Annotated[bool, _described("the record's CRC-32 never held")] = False


class PageHeader(msgspec.Struct, frozen=True, gc=False):
    """What custody of a page rests on; readable even where the records aren't."""

    v: Annotated[int, _described("version of the contract", const=PAGE_VERSION)]
    gateway: Annotated[
        str, _described("who sealed it; the gateway of the topic", pattern="^[A-Za-z0-9._-]{1,64}$")
    ]
    journal: Annotated[str, _described("UUID of the spool's journal", pattern=f"^{JOURNAL_PATTERN}$")]
    page: Annotated[int, _described("from 1 without gaps", minimum=1, maximum=2**63 - 1)]
    prev: Annotated[
        str,
        _described(
            'SHA-256 of the page before it, base64url; "" for page 1', pattern="^([A-Za-z0-9_-]{43})?$"
        ),
    ]


class Page(PageHeader, frozen=True, gc=False):
    """A whole page of version 1. `clock`: how far the gateway's clock can be trusted: `ntp`, `rtc` or `unset`."""

    sealed_at: Annotated[str, _described("UTC by the gateway's clock", format="date-time")]
    clock: Annotated[str, _described("how far that clock can be trusted", enum=["ntp", "rtc", "unset"])]
    records: Annotated[list[PageRecord], _described("as read", minItems=1, maxItems=MAX_RECORDS)]


_encode = msgspec.json.Encoder().encode
_decode_page = msgspec.json.Decoder(Page).decode
_decode_header = msgspec.json.Decoder(PageHeader).decode


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A gateway's page-signing key. `kid` names its public half: base64url of the first 12 bytes of its SHA-256."""

    private: Ed25519PrivateKey

    @property
    def kid(self) -> str:
        return key_id(self.private.public_key())

    def sign(self, topic: str, payload: bytes) -> str:
        """Return the signature over topic and payload, base64url without padding."""
        return to_base64url(self.private.sign(_signed_bytes(topic, payload)))


def seal_page(
    gateway: str,
    journal: str,
    page: int,
    prev: str,
    sealed_at: datetime,
    clock: str,
    records: Sequence[PageRecord],
) -> bytes:
    """Return the bytes of a new page: UTF-8 JSON, at most MAX_RECORDS records, `prev` "" for page 1 only."""
    if not 1 <= len(records) <= MAX_RECORDS:
        raise ValueError(f"a page holds 1..{MAX_RECORDS} records, got {len(records)}")
    if page < 1 or (page == 1) != (prev == ""):
        raise ValueError(f"page {page} with prev {prev!r}: page 1 and only page 1 has an empty prev")
    sealed = _encode(
        Page(PAGE_VERSION, gateway, journal, page, prev, format_instant(sealed_at), clock, list(records))
    )
    if len(sealed) > MAX_PAGE_BYTES:
        raise ValueError(f"page of {len(sealed)} bytes: a sink takes at most {MAX_PAGE_BYTES}")
    return sealed


def parse_page(payload: bytes) -> Page:
    """Return the page held in these bytes.

    Raises UnsupportedPage where the header can be read but not the rest (take custody, process later), and
    MalformedPage where not even that holds. Fields that aren't known are ignored (contract rule 8).
    """
    try:
        page = _decode_page(payload)
    except _UNREADABLE as error:
        raise UnsupportedPage(
            parse_header(payload), f"records of this page can't be read: {error}"
        ) from error
    _check_number(page)
    if page.v != PAGE_VERSION:
        raise UnsupportedPage(page, f"page version {page.v} isn't known here, only {PAGE_VERSION}")
    return page


def parse_header(payload: bytes) -> PageHeader:
    """Return what identifies a page, or raise MalformedPage saying what was expected."""
    try:
        header = _decode_header(payload)
    except _UNREADABLE as error:
        raise MalformedPage(
            f"not a page: expected JSON with v, gateway, journal, page, prev: {error}"
        ) from error
    _check_number(header)
    return header


def page_hash(payload: bytes) -> str:
    """Return what the next page names as `prev`: SHA-256 of the page's bytes, base64url without padding."""
    return to_base64url(sha256(payload).digest())


def signature_holds(public: Ed25519PublicKey, topic: str, payload: bytes, signature: str) -> bool:
    """True if this is the key's signature over topic and payload."""
    try:
        public.verify(from_base64url(signature), _signed_bytes(topic, payload))
    except (InvalidSignature, ValueError):
        return False
    return True


def key_id(public: Ed25519PublicKey) -> str:
    """Return the `kid` of a public key."""
    return to_base64url(sha256(public.public_bytes_raw()).digest()[:12])


def to_base64url(data: bytes) -> str:
    """Return base64url without padding (RFC 4648 section 5)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_base64url(text: str) -> bytes:
    """Return the bytes of base64url text, padded or not; ValueError where it isn't that."""
    padded = text + "=" * (-len(text) % 4)
    return a2b_base64(padded.translate(_TO_STANDARD_BASE64), strict_mode=True)


def format_instant(at: datetime) -> str:
    """Return an instant as the contract writes it: UTC, milliseconds, `Z`. A naive datetime raises ValueError."""
    if at.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_instant(text: str) -> datetime:
    """Return the instant written as in `format_instant` (any RFC 3339 offset is accepted), in UTC; else ValueError."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone: expected an instant such as 2026-11-22T09:31:01.210Z")
    try:
        return at.astimezone(UTC)
    except OverflowError as error:  # its offset leads out of the years 1 to 9999
        raise ValueError(f"{text!r} is no instant that can be reckoned with") from error


def _check_number(header: PageHeader) -> None:
    if not 1 <= header.page < 2**63:
        raise MalformedPage(f"page number {header.page} is out of range: pages count from 1")


def _signed_bytes(topic: str, payload: bytes) -> bytes:
    return _SIGNING_PREFIX + topic.encode() + b"\n" + payload
