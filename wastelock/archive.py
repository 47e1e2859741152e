"""Archive: a gateway's pages in a file, carried to the ledger by hand when the network is dead. Pure: the caller reads
and writes.

Pages stand in it as they are sealed, each with the signature that it was sealed with: so who takes an archive in
checks each page exactly as if it had come over the broker. The last line is a manifest, signed with the gateway's
page-signing key over everything before it: a file that was cut, mended or put together from others shows itself.

    {"wastelock":"pages","v":1,"site":"lindenhof","gateway":"gw-0001","made_at":"…Z"}
    {"kid":"…","sig":"…","page":"<bytes of a page, base64url>"}                               one line each
    {"manifest":"<JSON as text>","kid":"…","sig":"…"}

Lines of plain text rather than something packed: a spoilt block of a stick costs the pages that lie in it, no other.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Annotated, BinaryIO, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wastelock.page import (
    MAX_PAGE_BYTES,
    MalformedPage,
    PageHeader,
    SigningKey,
    format_instant,
    from_base64url,
    parse_header,
    signature_holds,
    to_base64url,
)
from wastelock.topics import GatewayTopics, InvalidTopic

ARCHIVE_SUFFIX = ".wlpages"
ARCHIVE_OPENING = b'{"wastelock":"pages",'  # how each begins
ARCHIVE_VERSION = 1
ARCHIVE_BYTES_MAX = 3_500 * 1024 * 1024  # FAT keeps no file of 4 GiB
ARCHIVE_SPANS_MAX = 100_000
_LINE_BYTES_MAX = (
    4 * 1024 * 1024
)  # the manifest of a journal with a hundred thousand gaps is the longest line
_PAGE_OPENING = b'{"kid"'  # how each page's line begins
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError)

KeyOf = Callable[[GatewayTopics, str], Ed25519PublicKey | None]
"""Returns a gateway's public key of that kid, None where it isn't known."""
PageSpan = tuple[int, int]


class NotAnArchive(ValueError):
    """This file is something else. Name the file that `edge-agent spool export` has written."""


class DamagedArchive(ValueError):
    """Bytes are missing or were changed. Copy it once more; what is whole in it can still be taken page by page."""


class UntrustedArchive(ValueError):
    """It isn't signed by a key that is known of its gateway. Register the key, or find out who made the file."""


class _Opening(msgspec.Struct, frozen=True):
    wastelock: Literal["pages"]
    v: int
    site: str
    gateway: str
    made_at: str


class _PageLine(msgspec.Struct, frozen=True, gc=False):
    kid: Annotated[str, msgspec.Meta(max_length=64)]
    sig: Annotated[str, msgspec.Meta(max_length=128)]
    page: str


class _Closing(msgspec.Struct, frozen=True):
    manifest: str
    kid: Annotated[str, msgspec.Meta(max_length=64)]
    sig: Annotated[str, msgspec.Meta(max_length=128)]


class JournalPages(msgspec.Struct, frozen=True):
    """Which pages of a journal are in the archive. `newest_page`: the journal's newest when it was made."""

    journal: str
    newest_page: int
    pages: list[PageSpan]


class Manifest(msgspec.Struct, frozen=True):
    """What an archive holds. `digest`: SHA-256 of all bytes before its line, base64url."""

    v: int
    site: str
    gateway: str
    made_at: str
    page_count: int
    digest: str
    journals: Annotated[list[JournalPages], msgspec.Meta(max_length=1000)]

    def holds(self, journal: str, page: int) -> bool:
        """True if this page is in the archive."""
        return any(
            first <= page <= last
            for each in self.journals
            if each.journal == journal
            for first, last in each.pages
        )


@dataclass(frozen=True, slots=True)
class ArchivedPage:
    """A page as it stands in an archive; `payload` are the bytes that were sealed."""

    header: PageHeader
    payload: bytes
    kid: str
    signature: str


_encode = msgspec.json.Encoder().encode
_decode_opening = msgspec.json.Decoder(_Opening).decode
_decode_page = msgspec.json.Decoder(_PageLine).decode
_decode_closing = msgspec.json.Decoder(_Closing).decode
_decode_manifest = msgspec.json.Decoder(Manifest).decode


class ArchiveMaker:
    """Makes an archive's lines, for the caller to write: `open`, `add` for each page, `close`."""

    def __init__(self, topics: GatewayTopics, key: SigningKey, made_at: datetime) -> None:
        self.size = self.page_count = 0
        self._topics = topics
        self._key = key
        self._made_at = format_instant(made_at)
        self._digest = sha256()
        self._pages: dict[str, list[PageSpan]] = {}
        self._newest: dict[str, int] = {}

    def open(self) -> bytes:
        """Return the first line."""
        topics = self._topics
        return self._line(_Opening("pages", ARCHIVE_VERSION, topics.site, topics.gateway, self._made_at))

    def add(self, journal: str, newest_page: int, page: int, stored: tuple[str, str, bytes]) -> bytes:
        """Return a page's line. `stored`: its kid, its signature, its bytes. Of a journal pages ascend."""
        kid, signature, payload = stored
        spans = self._pages.setdefault(journal, [])
        if spans and spans[-1][1] + 1 == page:
            spans[-1] = (spans[-1][0], page)
        else:
            spans.append((page, page))
        self._newest[journal] = newest_page
        self.page_count += 1
        return self._line(_PageLine(kid, signature, to_base64url(payload)))

    def close(self) -> bytes:
        """Return the last line: the signed manifest."""
        journals = [JournalPages(uuid, self._newest[uuid], spans) for uuid, spans in self._pages.items()]
        digest = to_base64url(self._digest.digest())
        manifest = Manifest(
            ARCHIVE_VERSION, self._topics.site, self._topics.gateway, self._made_at, self.page_count, digest, journals
        )  # fmt: skip
        text = _encode(manifest)
        return self._line(
            _Closing(text.decode(), self._key.kid, self._key.sign(self._topics.pages_file, text))
        )

    @property
    def span_count(self) -> int:
        """How many ranges its manifest has to name."""
        return sum(map(len, self._pages.values()))

    def _line(self, item: msgspec.Struct) -> bytes:
        line = _encode(item) + b"\n"
        self._digest.update(line)
        self.size += len(line)
        return line


def read_lines(file: BinaryIO, *, skip_damaged: bool = False) -> Iterator[bytes]:
    """Yield a file's lines, none longer than a line of an archive may be.

    DamagedArchive where one is, unless such ones are to be passed over: a stick that was pulled out leaves zeros.
    """
    begun = b""  # what may be a whole page behind damage that has no end of line
    while piece := file.readline(_LINE_BYTES_MAX + 1):
        line, begun = begun + piece, b""
        if len(line) > _LINE_BYTES_MAX and not skip_damaged:
            raise DamagedArchive("a line is longer than any of an archive can be")
        if len(piece) > _LINE_BYTES_MAX and not piece.endswith(b"\n"):
            at = piece.rfind(_PAGE_OPENING)
            begun = piece[at:] if at >= 0 else b""
        else:
            yield line


def check_archive(
    lines: Iterable[bytes], key_of: KeyOf | None, progress: Callable[[int], object] = lambda _bytes: None
) -> Manifest:
    """Return the manifest of an archive that is whole, unchanged, and signed by its gateway.

    Raises NotAnArchive, DamagedArchive, UntrustedArchive. `key_of` None: whose signature it is isn't asked, only
    whether the contents are what the manifest says. `progress` is told how many bytes were looked at.
    """
    whole, seen, count = sha256(), 0, 0
    topics: GatewayTopics | None = None
    last = b""
    for line in lines:
        topics = topics or archive_gateway(line)
        whole.update(last)
        last, count, seen = line, count + 1, seen + len(line)
        progress(seen)
    if topics is None:
        raise NotAnArchive("is empty")
    return _checked_manifest(last, topics, to_base64url(whole.digest()), count - 2, key_of)


def archive_gateway(first_line: bytes) -> GatewayTopics:
    """Return whose archive begins with this line, or raise NotAnArchive. Nothing of it is proven yet."""
    try:
        opening = _decode_opening(first_line)
        topics = GatewayTopics(opening.site, opening.gateway)
    except InvalidTopic as error:
        raise NotAnArchive(f"the archive names no gateway that can be: {error}") from None
    except _UNREADABLE:
        raise NotAnArchive("isn't an archive of pages as `edge-agent spool export` writes them") from None
    if opening.v != ARCHIVE_VERSION:
        raise NotAnArchive(
            f"is an archive of version {opening.v}, this program knows {ARCHIVE_VERSION}: install a newer release"
        )
    return topics


def archived_pages(lines: Iterable[bytes], *, skip_damaged: bool = False) -> Iterator[ArchivedPage]:
    """Yield the pages of an archive, in its order; none of them is checked.

    DamagedArchive at a line that is none of a page, unless such lines are to be passed over.
    """
    for number, line in enumerate(lines):
        if number == 0 and not skip_damaged:
            continue
        if line.startswith(b'{"manifest"'):
            continue
        try:
            page = _page_in(line[max(0, line.rfind(_PAGE_OPENING)) :] if skip_damaged else line)
        except _UNREADABLE as error:
            if not skip_damaged:
                raise DamagedArchive(f"line {number + 1} holds no page") from error
            continue
        yield page


def _page_in(line: bytes) -> ArchivedPage:
    item = _decode_page(line)
    payload = from_base64url(item.page)
    if len(payload) > MAX_PAGE_BYTES:
        raise MalformedPage("larger than a page can be")
    return ArchivedPage(parse_header(payload), payload, item.kid, item.sig)


def _checked_manifest(
    line: bytes, topics: GatewayTopics, digest: str, page_count: int, key_of: KeyOf | None
) -> Manifest:
    try:
        closing = _decode_closing(line)
        manifest = _decode_manifest(closing.manifest)
    except _UNREADABLE:
        raise DamagedArchive("the manifest, its last line, is missing: the file was cut off") from None
    if (manifest.site, manifest.gateway) != (topics.site, topics.gateway):
        raise DamagedArchive("first and last line name different gateways")
    if key_of is not None:
        _check_signer(closing, topics, key_of)
    if manifest.digest != digest or manifest.page_count != page_count:
        raise DamagedArchive(
            "its contents aren't what the manifest was signed for: bytes were changed or lost"
        )
    return manifest


def _check_signer(closing: _Closing, topics: GatewayTopics, key_of: KeyOf) -> None:
    public = key_of(topics, closing.kid)
    if public is None:
        raise UntrustedArchive(
            f"is signed with key {closing.kid}, which isn't known of gateway {topics.gateway}, site {topics.site}"
        )
    if not signature_holds(public, topics.pages_file, closing.manifest.encode(), closing.sig):
        raise UntrustedArchive(
            f"isn't signed by gateway {topics.gateway} as it says: the signature doesn't hold"
        )
