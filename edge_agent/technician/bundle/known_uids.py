"""Which transponders' numbers this gateway has, in pages and access lists: to be taken out of what leaves it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from pydantic import ValidationError

from edge_agent.errors import SpoolCorrupt, SpoolFull, SpoolUnavailable
from edge_agent.spool_reader import SpoolReader, open_for_reading
from edge_agent.spool_room import DATABASE_ERRORS
from edge_agent.spool_schema import schema_version
from wastelock.orders import Desired
from wastelock.page import MalformedPage, UnsupportedPage, from_base64url, parse_page
from wastelock.record import MalformedRecord, decode_record

_PAGES_MAX = 20_000  # of each journal, the newest: more than a year of an estate
_DESIRED = "SELECT payload FROM desired"
_DESIRED_SINCE_SCHEMA = 3


def known_uids(spool: Path) -> set[int]:
    """Return the numbers; what can't be read has none that could be told."""
    if not spool.exists():
        return set()
    try:
        with closing(SpoolReader(spool)) as reader:
            return {*_of_pages(reader), *_of_lists(spool)}
    except (SpoolUnavailable, SpoolCorrupt, SpoolFull):
        return set()


def _of_pages(reader: SpoolReader) -> Iterator[int]:
    for journal in reader.journals():
        for number in reader.pages_before(journal.id, journal.newest_page + 1, _PAGES_MAX):
            try:
                page = reader.page(journal.id, number)
                records = parse_page(page.payload).records if page is not None else ()
            except (SpoolCorrupt, MalformedPage, UnsupportedPage):
                continue  # the doctor tells of it
            for record in records:
                try:
                    uid = decode_record(from_base64url(record.raw)).uid
                except (MalformedRecord, ValueError):
                    continue
                if uid:
                    yield uid


def _of_lists(spool: Path) -> Iterator[int]:
    try:
        with closing(open_for_reading(spool)) as connection:
            if schema_version(connection) < _DESIRED_SINCE_SCHEMA:
                return
            payloads = [bytes(row[0]) for row in connection.execute(_DESIRED)]
    except DATABASE_ERRORS:
        return
    for payload in payloads:
        try:
            wanted = Desired.model_validate_json(payload)
        except ValidationError:
            continue
        for lock in wanted.locks.values():
            for entry in lock.access_list or ():
                yield int(entry.uid, 16)
