"""Records of a page -> rows. All at once or one by one: the outcome is the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sink import decoding
from cloud_sink.decoding import Decoded
from cloud_sink.entry_rows import UNVERIFIED
from cloud_sink.keys import KeyRing, LockKeys
from cloud_sink.pseudonyms import Pseudonyms
from tests.support.fake_gateway import FakeLock
from wastelock.page import PageRecord, to_base64url
from wastelock.record import MacKey, Record, encode_record

KEY = bytes(range(16))
RING = KeyRing({}, {"1f00a1": LockKeys((1,), (MacKey(KEY),))}, Pseudonyms(bytes(32)))
U8, U16, U32, U64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64))
RECORDS = st.builds(
    Record, seq=st.integers(1, 2**32 - 1), began_clock_s=U32, boot=U16, kind=U8, result=U8, chamber=U8, flags=U8,
    uid=st.just(0) | U64, volume_ml=U16, weight_word=U16, duration_ds=U16, register_after=U32,
)  # fmt: skip


def singly(records: list[PageRecord], keys: KeyRing) -> Decoded:
    """Decode without the short cut for pages in which nothing is wrong."""
    with patch.object(decoding, "_decode_at_once", lambda *_: False):
        return decoding.decode_records(records, keys)


def page_record(record: Record, key: bytes | None = KEY, **changes: object) -> PageRecord:
    fields: dict[str, object] = {
        "lock": "1f00a1", "driver": "wlc-1", "epoch": 1, "seq": record.seq,
        "raw": to_base64url(encode_record(record, 0x1F00A1, 1, key)), "read_at": "2026-11-22T09:00:00.000Z",
        "clock_offset_s": -2, **changes,
    }  # fmt: skip
    return PageRecord(**fields)  # type: ignore[arg-type]  # each of its own type


@given(st.lists(RECORDS, min_size=1, max_size=12), st.sampled_from([KEY, None, b"x" * 16]))
def test_at_once_and_one_by_one_are_the_same(records: list[Record], key: bytes | None) -> None:
    page = [page_record(record, key) for record in records]
    for ring in (RING, KeyRing({}, {}, RING.pseudonyms)):
        assert decoding.decode_records(page, ring) == singly(page, ring)


@given(st.lists(RECORDS, min_size=1, max_size=6), st.data())
def test_whatever_is_broken_in_a_page_the_others_come_out_the_same(
    records: list[Record], data: st.DataObject
) -> None:
    page = [page_record(record) for record in records]
    index = data.draw(st.integers(0, len(page) - 1))
    broken: dict[str, Any] = data.draw(
        st.sampled_from(
            [
                {"seq": 0}, {"seq": 2**32}, {"raw": ""}, {"raw": "A" * 59}, {"raw": "=" * 59}, {"raw": "é" * 59},
                {"read_at": "soon"}, {"read_at": "2026-11-22T09:00:00"}, {"clock_offset_s": 2**31},
                {"clock_offset_s": None}, {"read_at": "2026-11-22T10:00:00+01:00"},
            ]
        )
    )  # fmt: skip
    page[index] = page_record(records[index], **broken)
    assert decoding.decode_records(page, RING) == singly(page, RING)


def test_fields_come_out_as_the_controller_wrote_them() -> None:
    record = Record(
        seq=9, began_clock_s=77, boot=3, kind=1, result=2, chamber=4, flags=0b100001, uid=0xABC, volume_ml=20000,
        weight_word=12, duration_ds=34, register_after=56,
    )  # fmt: skip
    decoded = decoding.decode_records([page_record(record)], RING)
    assert decoded.groups[0].rows == [
        (
            0,
            1,
            9,
            0,
            1,
            1,
            2,
            4,
            33,
            3,
            77,
            20000,
            12,
            34,
            56,
            1_795_338_000_000,
            -2,
            RING.pseudonyms.of(0xABC),
        )
    ]


def test_a_wrong_mac_is_forged_unless_the_crc_is_wrong_too() -> None:
    lock = FakeLock(key=b"other".ljust(16))
    record = lock.record()
    decoded = decoding.decode_records([lock.page_record(record)], RING)
    assert [(item.slot, item.seq) for item in decoded.forged] == [(0, 1)]
    torn = decoding.decode_records([lock.page_record(record, unverified=True)], RING)
    assert [row[UNVERIFIED] for row in torn.groups[0].rows] == [1]


@pytest.mark.parametrize("lock", ["1F00A1", "01f00a1", "x", "", "-1f00a", "1f00a1" * 4, "0x1f00", "1_f00a1"])
def test_a_lock_has_one_name_only(lock: str) -> None:
    record = page_record(FakeLock().record(), lock=lock)
    assert len(decoding.decode_records([record], RING).unread) == 1


def test_pseudonyms_need_the_key_and_are_the_same_each_time() -> None:
    one, other = Pseudonyms(bytes(32)), Pseudonyms(bytes([1]) * 32)
    assert one.of(5) == one.of(5) == Pseudonyms(bytes(32)).of(5)
    assert one.of(5) != other.of(5)
    assert one.fingerprint != other.fingerprint
    assert one.of(0) is None
    with pytest.raises(ValueError, match="32 bytes"):
        Pseudonyms(b"short")


def test_pseudonym_is_the_contracts_hmac(tmp_path: Path) -> None:
    import hmac

    key = bytes(range(32))
    expected = hmac.new(key, (0xE00401).to_bytes(8, "big"), "sha256").digest()[:16]
    assert Pseudonyms(key).of(0xE00401) == expected


def test_keys_in_force_are_those_of_the_greatest_epoch_not_above() -> None:
    first, second = MacKey(b"1" * 16), MacKey(b"2" * 16)
    keys = LockKeys((3, 10), (first, second))
    assert [keys.in_force(epoch) for epoch in (2, 3, 9, 10, 99)] == [None, first, first, second, second]
    assert replace(RING, locks={"a": keys}).mac_key("b", 5) is None
