"""A message -> a page that custody may be taken of, or why not. Pure: no database, no network.

What is checked here: topic, known gateway, known key, signature over topic and bytes, that it is a page, and that its
header names the gateway whose topic it came on. What only the ledger knows (chain, identity) is checked there.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cloud_sink.decoding import Decoded, decode_records
from cloud_sink.keys import KeyRing
from wastelock.page import (
    MAX_PAGE_BYTES,
    MalformedPage,
    Page,
    PageHeader,
    UnsupportedPage,
    page_hash,
    parse_header,
    parse_page,
    signature_holds,
)
from wastelock.topics import InvalidTopic, parse_gateway_topic

WHOLE_PAGE = -1  # the slot that stands for all of a page
_JOURNAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_HASH = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_SIGNATURE = re.compile(r"[A-Za-z0-9_-]{86}={0,2}\Z")
_PAGES_MAX = 2**62  # so that arithmetic on page numbers stays within 64 bits
_KEEP_CHARACTERS = 200  # of texts that a stranger chose


class Reason(StrEnum):
    """Why no custody was taken of a message (docs/cloud-sink.md says what to do about each)."""

    NOT_A_PAGE = "not a page"
    TOO_LARGE = "too large"
    UNKNOWN_GATEWAY = "unknown gateway"
    NO_SIGNATURE = "no signature"
    UNKNOWN_KEY = "unknown key"
    BAD_SIGNATURE = "bad signature"
    FOREIGN_PAGE = "foreign page"
    REFUSED = "refused by the database"


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came. `kid` and `sig` are its user properties, None where it has none."""

    topic: str
    payload: bytes
    kid: str | None
    sig: str | None
    received_at: datetime


@dataclass(frozen=True, slots=True)
class JournalKey:
    """Whose journal: the same UUID under another gateway is another journal, so nobody can move somebody else's."""

    site: str
    gateway: str
    journal: str


@dataclass(frozen=True, slots=True)
class CheckedPage:
    """A page whose signature holds. `clock` is None where only the header can be read."""

    message: Message
    key: JournalKey
    page: int
    prev: str
    hash: str
    version: int
    clock: str | None
    kid: str
    sig: str
    decoded: Decoded


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message for the quarantine. `key` and `page` only if the gateway is known and the header can be read."""

    message: Message
    reason: Reason
    detail: str = ""
    key: JournalKey | None = None
    page: int | None = None


class _Refused(Exception):
    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def check_message(message: Message, keys: KeyRing) -> CheckedPage | Rejected:
    """Return the page in this message with its records decoded, or what is wrong with it."""
    try:
        return _check(message, keys)
    except _Refused as refused:
        key, page = _claimed_page(message, keys)
        return Rejected(message, refused.reason, refused.detail[:_KEEP_CHARACTERS], key, page)


def decode_page(payload: bytes, keys: KeyRing) -> tuple[PageHeader, str | None, Decoded]:
    """Return header, clock grade and records of page bytes whose signature holds, or raise MalformedPage."""
    try:
        page = parse_page(payload)
    except UnsupportedPage as error:
        return error.header, None, Decoded(unread=[(WHOLE_PAGE, str(error)[:_KEEP_CHARACTERS])])
    return page, _clock(page), decode_records(page.records, keys)


def _check(message: Message, keys: KeyRing) -> CheckedPage:
    kid, sig = _check_signature(message, keys)
    try:
        header, clock, decoded = decode_page(message.payload, keys)
    except MalformedPage as error:
        raise _Refused(Reason.NOT_A_PAGE, str(error)) from None
    topic = parse_gateway_topic(message.topic)
    if header.gateway != topic.gateway:
        raise _Refused(Reason.FOREIGN_PAGE, "the page names another gateway than its topic does")
    _check_header(header)
    key = JournalKey(topic.site, topic.gateway, header.journal)
    return CheckedPage(
        message, key, header.page, header.prev, page_hash(message.payload), header.v, clock, kid, sig, decoded
    )


def _check_signature(message: Message, keys: KeyRing) -> tuple[str, str]:
    if len(message.payload) > MAX_PAGE_BYTES:
        raise _Refused(Reason.TOO_LARGE, f"{len(message.payload)} bytes, a page has at most {MAX_PAGE_BYTES}")
    try:
        topic = parse_gateway_topic(message.topic)
    except InvalidTopic:
        raise _Refused(Reason.UNKNOWN_GATEWAY, "the topic isn't a gateway's") from None
    ring = keys.gateways.get((topic.site, topic.gateway))
    if ring is None:
        raise _Refused(Reason.UNKNOWN_GATEWAY, f"gateway {topic.gateway} of site {topic.site} isn't listed")
    if message.kid is None or message.sig is None:
        raise _Refused(Reason.NO_SIGNATURE, "user properties `kid` and `sig` are missing")
    public = ring.get(message.kid)
    if public is None:
        raise _Refused(Reason.UNKNOWN_KEY, f"gateway {topic.gateway} isn't listed with this key")
    # Base64 decoders pass over what isn't base64: what is kept as evidence must be the signature and nothing else.
    well_formed = _SIGNATURE.match(message.sig) is not None
    if not well_formed or not signature_holds(public, message.topic, message.payload, message.sig):
        raise _Refused(Reason.BAD_SIGNATURE)
    return message.kid, message.sig


def _check_header(header: PageHeader) -> None:
    if not _JOURNAL.match(header.journal):
        raise _Refused(Reason.NOT_A_PAGE, "`journal` isn't a UUID")
    if not (_HASH.match(header.prev) or (header.prev == "" and header.page == 1)):
        raise _Refused(Reason.NOT_A_PAGE, '`prev` isn\'t a hash (or "" for page 1)')
    if not 0 <= header.v < 2**31 or header.page >= _PAGES_MAX:
        raise _Refused(Reason.NOT_A_PAGE, "`v` or `page` is out of range")


def _clock(page: Page) -> str | None:
    return page.clock if page.clock in ("ntp", "rtc", "unset") else None


def _claimed_page(message: Message, keys: KeyRing) -> tuple[JournalKey | None, int | None]:
    """Return which page of which known gateway a message claims to be, so that its gateway can be told."""
    try:
        topic = parse_gateway_topic(message.topic)
        header = parse_header(message.payload)
    except (InvalidTopic, MalformedPage):
        return None, None
    known = (topic.site, topic.gateway) in keys.gateways and header.gateway == topic.gateway
    if not known or not _JOURNAL.match(header.journal):
        return None, None
    return JournalKey(topic.site, topic.gateway, header.journal), header.page
