"""Archives of pages as a gateway writes them, of pages that a test has sealed."""

from collections.abc import Iterable
from pathlib import Path

from tests.support.fake_gateway import START, FakeGateway, SealedPage
from wastelock.archive import ArchiveMaker
from wastelock.page import SigningKey, parse_header


def write_archive(
    file: Path, gateway: FakeGateway, pages: Iterable[SealedPage], key: SigningKey | None = None
) -> Path:
    """Write these pages; `key`: who signs the manifest, by default the gateway."""
    maker = ArchiveMaker(gateway.topics, key or gateway.key, START)
    lines = [maker.open()]
    for page in pages:
        journal = parse_header(page.payload).journal
        lines.append(maker.add(journal, gateway.page, page.page, (page.kid, page.sig, page.payload)))
    file.write_bytes(b"".join([*lines, maker.close()]))
    return file
