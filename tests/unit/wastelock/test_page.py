"""Pages: bytes, hash and signature against the vectors; strange bytes give only the errors that are meant to be."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.wastelock.vectors import load_vectors
from wastelock.page import (
    MAX_RECORDS,
    MalformedPage,
    PageRecord,
    SigningKey,
    UnsupportedPage,
    format_instant,
    from_base64url,
    key_id,
    page_hash,
    parse_header,
    parse_instant,
    parse_page,
    seal_page,
    signature_holds,
    to_base64url,
)

VECTORS = load_vectors("pages")
JOURNAL = "0d3c8c5e-7f3b-4f0a-9c61-2f6f0b1f8a11"
AT = datetime(2026, 11, 22, 9, 31, 1, 210_000, UTC)
# RFC 8032 section 7.1, TEST 1
KEY = SigningKey(
    Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
)

u32 = st.integers(0, 2**32 - 1)
instants = st.integers(0, 4_000_000_000_000).map(
    lambda ms: datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
)
page_records = st.builds(
    PageRecord,
    lock=st.from_regex(r"\A[0-9a-f]{6}\Z"),
    driver=st.sampled_from(["wlc-1", "counter-1"]),
    epoch=u32,
    seq=u32,
    raw=st.binary(min_size=44, max_size=44).map(to_base64url),
    read_at=instants.map(format_instant),
    clock_offset_s=st.none() | st.integers(-(2**31), 2**31),
    unverified=st.booleans(),
)


def record(seq: int = 1) -> PageRecord:
    return PageRecord("1f00a3", "wlc-1", 7, seq, to_base64url(bytes(44)), format_instant(AT), -2)


def page_bytes(**changes: object) -> bytes:
    """A good page as JSON, with fields replaced or added."""
    good = json.loads(seal_page("gw-0001", JOURNAL, 1, "", AT, "ntp", [record()]))
    return json.dumps({**good, **changes}).encode()


@pytest.mark.parametrize("vector", VECTORS, ids=["page 1", "page 2"])
def test_page_vector_parses_and_is_sealed_and_signed_to_the_byte(vector: dict[str, str]) -> None:
    payload = vector["payload"].encode()
    page = parse_page(payload)
    assert (
        seal_page(
            page.gateway,
            page.journal,
            page.page,
            page.prev,
            parse_instant(page.sealed_at),
            page.clock,
            page.records,
        )
        == payload
    )
    assert page_hash(payload) == vector["hash"]
    public = Ed25519PublicKey.from_public_bytes(from_base64url(vector["public_key"]))
    assert key_id(public) == vector["kid"] == KEY.kid
    assert signature_holds(public, vector["topic"], payload, vector["sig"])
    assert KEY.sign(vector["topic"], payload) == vector["sig"]


def test_page_vectors_are_chained() -> None:
    first, second = (vector["payload"].encode() for vector in VECTORS)
    assert parse_page(second).prev == page_hash(first)


@given(st.lists(page_records, min_size=1, max_size=5), st.integers(1, 2**63 - 1), instants)
def test_page_survives_sealing(records: list[PageRecord], number: int, at: datetime) -> None:
    prev = "" if number == 1 else to_base64url(bytes(32))
    payload = seal_page("gw-0001", JOURNAL, number, prev, at, "rtc", records)
    page = parse_page(payload)
    assert (page.v, page.gateway, page.journal, page.page, page.prev) == (1, "gw-0001", JOURNAL, number, prev)
    assert page.records == records
    assert parse_instant(page.sealed_at) == at
    header = parse_header(payload)
    assert (header.v, header.gateway, header.journal, header.page, header.prev) == (
        1, "gw-0001", JOURNAL, number, prev,
    )  # fmt: skip


def test_largest_page_there_can_be_is_one_that_sinks_take() -> None:
    longest = PageRecord(
        "f" * 16, "counter-1", 2**32 - 1, 2**32 - 1, "w" * 59, format_instant(AT), -(2**31), unverified=True
    )
    payload = seal_page("g" * 64, JOURNAL, 2**63 - 1, "h" * 43, AT, "unset", [longest] * MAX_RECORDS)
    assert len(parse_page(payload).records) == MAX_RECORDS


@pytest.mark.parametrize(
    ("number", "prev", "records", "message"),
    [
        (1, "h", [record()], "empty prev"),
        (2, "", [record()], "empty prev"),
        (0, "", [record()], "page 0"),
        (1, "", [], "got 0"),
        (1, "", [record()] * (MAX_RECORDS + 1), "got 501"),
        (1, "", [PageRecord("1f00a3", "wlc-1", 7, 1, "w" * 300_000, "")], "at most 262144"),
    ],
)
def test_page_against_the_rules_is_not_sealed(
    number: int, prev: str, records: list[PageRecord], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        seal_page("gw-0001", JOURNAL, number, prev, AT, "ntp", records)


@given(st.binary(max_size=200))
def test_garbage_is_malformed_and_nothing_else(payload: bytes) -> None:
    with pytest.raises(MalformedPage):
        parse_page(payload)
    with pytest.raises(MalformedPage):
        parse_header(payload)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.sampled_from(["v", "gateway", "journal", "page", "prev", "sealed_at", "clock", "records"]), json_values
)
def test_page_with_any_one_field_replaced_gives_only_the_errors_that_are_meant_to_be(
    field: str, value: Any
) -> None:
    payload = page_bytes(**{field: value})
    try:
        page = parse_page(payload)
    except UnsupportedPage as error:
        assert error.header == parse_header(payload)
    except MalformedPage:
        with pytest.raises(MalformedPage):
            parse_header(payload)
    else:
        assert page.page >= 1


@given(st.data())
def test_page_with_any_one_byte_replaced_gives_only_the_errors_that_are_meant_to_be(
    data: st.DataObject,
) -> None:
    payload = bytearray(page_bytes())
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse_page(bytes(payload))
    except UnsupportedPage as error:
        assert error.header.page >= 1
    except MalformedPage:
        pass


@pytest.mark.parametrize(
    "payload",
    [
        b'{"x":' + b"[" * 200_000,
        b"[" * 200_000,
        page_bytes()[:-2] + b',"extra":' + b"[" * 200_000,
        page_bytes(page=0),
        page_bytes(page=-1),
        page_bytes(page=2**63),
        page_bytes(page="1"),
        page_bytes(page=1.5),
        page_bytes(v=None),
    ],
    ids=[
        "nested 1",
        "nested 2",
        "nested 3",
        "page 0",
        "page -1",
        "page 2^63",
        "page text",
        "page 1.5",
        "v null",
    ],
)
def test_hostile_payload_is_malformed(payload: bytes) -> None:
    with pytest.raises(MalformedPage):
        parse_page(payload)


def test_unknown_fields_are_ignored_everywhere() -> None:
    good = json.loads(page_bytes())
    good["records"][0]["weather"] = {"rain": True}
    payload = json.dumps({**good, "compressed": False}).encode()
    assert parse_page(payload) == parse_page(page_bytes())


def test_page_of_a_later_version_still_shows_its_header() -> None:
    for changes in ({"v": 2}, {"v": 2, "records": "zstd:…", "sealed_at": 17}, {"records": [{"new": 1}]}):
        with pytest.raises(UnsupportedPage) as caught:
            parse_page(page_bytes(**changes))
        assert (caught.value.header.journal, caught.value.header.page) == (JOURNAL, 1)
        assert caught.value.header.v == changes.get("v", 1)


@given(st.binary(max_size=64), st.binary(max_size=100))
def test_signature_that_isnt_the_keys_own_never_holds(garbage: bytes, payload: bytes) -> None:
    public = KEY.private.public_key()
    topic = "wl/1/estate-1/gw-0001/up/page"
    assert not signature_holds(public, topic, payload, to_base64url(garbage))
    assert not signature_holds(public, topic, payload, garbage.decode("latin-1"))


def test_signature_binds_topic_bytes_and_key() -> None:
    topic, payload = "wl/1/estate-1/gw-0001/up/page", page_bytes()
    public, signature = KEY.private.public_key(), KEY.sign(topic, payload)
    assert signature_holds(public, topic, payload, signature)
    assert not signature_holds(public, "wl/1/estate-1/gw-0002/up/page", payload, signature)
    assert not signature_holds(public, topic, payload + b" ", signature)
    assert not signature_holds(Ed25519PrivateKey.generate().public_key(), topic, payload, signature)
    assert not signature_holds(public, topic + "\ud800", payload, signature)


@given(st.binary(max_size=100))
def test_base64url_survives_with_and_without_padding(data: bytes) -> None:
    text = to_base64url(data)
    assert "=" not in text
    assert from_base64url(text) == data
    assert from_base64url(text + "=" * (-len(text) % 4)) == data


@pytest.mark.parametrize("text", ["A", "AA\n", "A A=", "+/+/", "äAAA", "AA=A", "*AAA"])
def test_text_that_isnt_base64url_is_refused_not_guessed_at(text: str) -> None:
    with pytest.raises(ValueError):
        from_base64url(text)


def test_instants_are_utc_with_milliseconds() -> None:
    berlin_winter = timezone(timedelta(hours=1))
    assert (
        format_instant(datetime(2026, 11, 22, 10, 31, 1, 210_999, berlin_winter))
        == "2026-11-22T09:31:01.210Z"
    )
    assert parse_instant("2026-11-22T10:31:01.210+01:00") == AT
    assert parse_instant("2026-11-22T10:31:01.210+01:00").tzinfo == UTC


@pytest.mark.parametrize(
    "text", ["2026-11-22T09:31:01", "2026-11-22", "soon", "", "0001-01-01T00:00:00+14:00"]
)
def test_text_that_isnt_an_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_instant(text)


def test_instant_without_time_zone_is_not_written() -> None:
    with pytest.raises(ValueError, match="time zone"):
        format_instant(datetime(2026, 11, 22))  # noqa: DTZ001 - the mistake under test
