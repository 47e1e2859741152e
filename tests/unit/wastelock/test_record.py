"""Records: our code against the vectors, against the library's CMAC, and against itself."""

import struct
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.wastelock.vectors import load_vectors
from wastelock.record import (
    NOT_WEIGHED,
    RECORD_BYTES,
    Flag,
    Kind,
    MacKey,
    MalformedRecord,
    PourResult,
    Record,
    bytes_to_words,
    crc_holds,
    decode_record,
    encode_record,
    words_to_bytes,
)

VECTORS = load_vectors("records")

u8, u16, u32, u64 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32, 64))
keys = st.binary(min_size=16, max_size=16)
records = st.builds(
    Record, seq=u32, began_clock_s=u32, boot=u16, kind=u8, result=u8, chamber=u8, flags=u8, uid=u64, volume_ml=u16,
    weight_word=u16, duration_ds=u16, register_after=u32,
)  # fmt: skip


def vector_record(vector: dict[str, Any]) -> Record:
    return Record(**{**vector["fields"], "mac": bytes.fromhex(vector["fields"]["mac"])})


def reference_mac(key: bytes, raw: bytes, serial: int, epoch: int) -> bytes:
    cmac = CMAC(AES(key))
    cmac.update(raw[:32] + struct.pack(">QI", serial, epoch))
    return cmac.finalize()[:8]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["what"])
def test_record_vector_decodes_and_encodes_to_the_byte(vector: dict[str, Any]) -> None:
    raw, key = bytes.fromhex(vector["raw"]), vector["mac_key"]
    record = vector_record(vector)
    assert decode_record(raw) == record
    assert (
        encode_record(record, vector["serial"], vector["epoch"], bytes.fromhex(key) if key else None).hex()
        == vector["raw"]
    )
    assert crc_holds(raw, vector["serial"], vector["epoch"])
    if key:
        assert MacKey(bytes.fromhex(key)).holds(raw, vector["serial"], vector["epoch"])


@pytest.mark.parametrize(
    "vector", load_vectors("cmac"), ids=lambda vector: f"{len(vector['message']) // 2} bytes"
)
def test_reference_cmac_is_that_of_rfc_4493(vector: dict[str, str]) -> None:
    cmac = CMAC(AES(bytes.fromhex(vector["key"])))
    cmac.update(bytes.fromhex(vector["message"]))
    assert cmac.finalize().hex() == vector["tag"]


@given(keys, st.lists(st.binary(min_size=32, max_size=RECORD_BYTES), max_size=12), u64, u32)
def test_macs_in_bulk_are_the_reference_cmac_of_each(
    key: bytes, raws: list[bytes], serial: int, epoch: int
) -> None:
    assert MacKey(key).tags(raws, serial, epoch) == [reference_mac(key, raw, serial, epoch) for raw in raws]


def test_mac_of_a_cut_record_is_refused_instead_of_shifting_the_others() -> None:
    with pytest.raises(ValueError, match="first 32 bytes"):
        MacKey(bytes(16)).tags([bytes(44), bytes(31), bytes(44)], 1, 1)


@pytest.mark.parametrize("length", [0, 15, 17, 24, 32])
def test_mac_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        MacKey(bytes(length))


@given(records, u64, u32, st.none() | keys)
def test_record_survives_the_wire(record: Record, serial: int, epoch: int, key: bytes | None) -> None:
    raw = encode_record(record, serial, epoch, key)
    words = bytes_to_words(raw)
    assert all(0 <= word < 2**16 for word in words)
    assert words_to_bytes(words) == raw
    assert crc_holds(raw, serial, epoch)
    decoded = decode_record(raw)
    assert replace(decoded, mac=bytes(8), crc=0) == record
    assert decoded.mac == (bytes(8) if key is None else reference_mac(key, raw, serial, epoch))


@given(records, u64, u32, keys, st.integers(0, 8 * RECORD_BYTES - 1))
def test_any_flipped_bit_breaks_the_crc(
    record: Record, serial: int, epoch: int, key: bytes, bit: int
) -> None:
    raw = bytearray(encode_record(record, serial, epoch, key))
    raw[bit // 8] ^= 1 << bit % 8
    assert not crc_holds(bytes(raw), serial, epoch)


@given(records, u64, u32, keys)
def test_record_of_another_lock_or_epoch_holds_neither_crc_nor_mac(
    record: Record, serial: int, epoch: int, key: bytes
) -> None:
    raw = encode_record(record, serial, epoch, key)
    for other_serial, other_epoch in ((serial ^ 1, epoch), (serial, epoch ^ 1)):
        assert not crc_holds(raw, other_serial, other_epoch)
        assert not MacKey(key).holds(raw, other_serial, other_epoch)


@given(st.binary(max_size=100))
def test_bytes_of_another_length_are_no_record(raw: bytes) -> None:
    if len(raw) == RECORD_BYTES:
        assert decode_record(raw).seq == int.from_bytes(raw[:4], "big")
        return
    for decode in (decode_record, bytes_to_words):
        with pytest.raises(MalformedRecord, match="44 bytes"):
            decode(raw)


@pytest.mark.parametrize("count", [0, 21, 23])
def test_another_number_of_words_is_no_record(count: int) -> None:
    with pytest.raises(MalformedRecord, match="22 words"):
        words_to_bytes([0] * count)


def test_words_that_arent_used_are_0_and_an_unweighed_pour_has_no_weight() -> None:
    record = decode_record(encode_record(Record(1, 2, 3, Kind.POWER_UP), 5, 6))
    assert (record.uid, record.volume_ml, record.duration_ds, record.register_after) == (0, 0, 0, 0)
    assert record.weight_word == NOT_WEIGHED
    assert record.weight_g is None
    assert replace(record, weight_word=0).weight_g == 0
    assert replace(record, weight_word=213).weight_g == 2130


def test_only_a_complete_pour_counts_a_service_pour_included() -> None:
    pour = Record(1, 2, 3, Kind.POUR, PourResult.COMPLETE, 1, Flag.SERVICE | 1)
    assert pour.is_complete_pour
    assert pour.clock_status == 1
    assert not replace(pour, result=PourResult.GIVEN_UP).is_complete_pour
    assert not replace(pour, result=PourResult.JAMMED).is_complete_pour
    assert not replace(pour, kind=Kind.REGISTER_REPORT).is_complete_pour
