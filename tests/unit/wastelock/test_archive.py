"""Archives: what was put in comes out, and nothing else passes for it."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from wastelock.archive import (
    ARCHIVE_OPENING,
    ArchiveMaker,
    DamagedArchive,
    NotAnArchive,
    UntrustedArchive,
    archived_pages,
    check_archive,
)
from wastelock.page import PageRecord, SigningKey, page_hash, seal_page, signature_holds, to_base64url
from wastelock.signed_file import InvalidFile, read_file
from wastelock.topics import GatewayTopics

KEY = SigningKey(Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
TOPICS = GatewayTopics("site-1", "gw-0001")
AT = datetime(2026, 11, 25, 19, 0, tzinfo=UTC)
JOURNALS = ("0d3c0000-0000-4000-8000-000000000001", "0d3c0000-0000-4000-8000-000000000002")


def key_of(topics: GatewayTopics, kid: str) -> Ed25519PublicKey | None:
    return KEY.private.public_key() if (topics, kid) == (TOPICS, KEY.kid) else None


def page(journal: str, number: int) -> bytes:
    record = PageRecord("1f00a1", "wlc-1", 1, number, to_base64url(bytes(44)), "2026-11-25T19:00:00.000Z")
    prev = page_hash(b"before") if number > 1 else ""
    return seal_page("gw-0001", journal, number, prev, AT, "ntp", [record])


def make(numbers: dict[str, list[int]], key: SigningKey = KEY) -> list[bytes]:
    maker = ArchiveMaker(TOPICS, key, AT)
    lines = [maker.open()]
    for journal, mine in numbers.items():
        for number in mine:
            payload = page(journal, number)
            stored = (KEY.kid, KEY.sign(TOPICS.page, payload), payload)
            lines.append(maker.add(journal, 100, number, stored))
    lines.append(maker.close())
    assert maker.size == sum(map(len, lines))
    return lines


numbers = st.lists(st.integers(1, 60), unique=True, max_size=20).map(sorted)


@given(numbers, numbers)
def test_what_was_put_in_comes_out_byte_for_byte(first: list[int], second: list[int]) -> None:
    wanted = {journal: mine for journal, mine in zip(JOURNALS, (first, second), strict=True) if mine}
    lines = make(wanted)
    assert lines[0].startswith(ARCHIVE_OPENING)
    manifest = check_archive(lines, key_of)
    assert manifest.page_count == len(first) + len(second)
    for journal in JOURNALS:
        held = [number for number in range(1, 70) if manifest.holds(journal, number)]
        assert held == wanted.get(journal, [])
    out = [(each.header.journal, each.header.page) for each in archived_pages(lines)]
    assert out == [(journal, number) for journal, mine in wanted.items() for number in mine]
    for each in archived_pages(lines):
        assert each.payload == page(each.header.journal, each.header.page)
        assert signature_holds(KEY.private.public_key(), TOPICS.page, each.payload, each.signature)


@given(st.data())
def test_no_change_of_a_single_byte_passes(data: st.DataObject) -> None:
    whole = bytearray(b"".join(make({JOURNALS[0]: [1, 2, 5]})))
    at = data.draw(st.integers(0, len(whole) - 2))
    whole[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((NotAnArchive, DamagedArchive, UntrustedArchive)):
        check_archive(bytes(whole).splitlines(keepends=True), key_of)


@given(st.integers(0, 5), st.integers(0, 5))
def test_no_line_may_be_missing_doubled_or_moved(first: int, second: int) -> None:
    lines = make({JOURNALS[0]: [1, 2, 3, 4]})
    for changed in (
        lines[:first] + lines[first + 1 :],
        [*lines[: first + 1], lines[first], *lines[first + 1 :]],
        _swapped(lines, first, second),
    ):
        if changed != lines:
            with pytest.raises((NotAnArchive, DamagedArchive, UntrustedArchive)):
                check_archive(changed, key_of)


def test_only_its_own_gateway_can_have_signed_it() -> None:
    stranger = SigningKey(Ed25519PrivateKey.from_private_bytes(b"\2" * 32))
    with pytest.raises(UntrustedArchive, match="isn't known of gateway gw-0001"):
        check_archive(make({JOURNALS[0]: [1]}, stranger), key_of)
    assert check_archive(make({JOURNALS[0]: [1]}, stranger), None).page_count == 1, "where nobody asks who"


def test_lines_that_are_no_pages_are_passed_over_only_where_that_is_asked() -> None:
    lines = make({JOURNALS[0]: [1, 2, 3]})
    lines[2] = b"\x00 spoilt\n"
    with pytest.raises(DamagedArchive, match="line 3"):
        list(archived_pages(lines))
    assert [each.header.page for each in archived_pages(lines, skip_damaged=True)] == [1, 3]


@given(
    st.lists(
        st.binary(max_size=60)
        | st.sampled_from([ARCHIVE_OPENING, b'{"manifest":"', b"\xff\xfe", b'"\\ud800"'])
    )
)
def test_whatever_bytes_come_are_answered_with_why_they_are_none(parts: list[bytes]) -> None:
    with pytest.raises((NotAnArchive, DamagedArchive, UntrustedArchive)):
        check_archive(b"".join(parts).splitlines(keepends=True), key_of)
    with pytest.raises(InvalidFile):
        read_file(b"".join(parts), "protocol")


def test_an_empty_file_and_other_files_are_no_archives() -> None:
    for lines in ([], [b"\n"], [b'{"wastelock":"receipts"}\n'], [b"SQLite format 3\x00\n"]):
        with pytest.raises(NotAnArchive):
            check_archive(lines, key_of)


def _swapped(lines: list[bytes], first: int, second: int) -> list[bytes]:
    changed = list(lines)
    changed[first], changed[second] = changed[second], changed[first]
    return changed
