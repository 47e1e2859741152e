"""Identity and status blocks: against the vectors, word for word, and there and back again."""

import re
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.wastelock.vectors import load_vectors
from wastelock.registers import (
    LOCK_ID_PATTERN,
    RING_ADDRESS,
    UNKNOWN_FILL,
    Identity,
    NotThisMap,
    Status,
    decode_identity,
    decode_status,
    encode_identity,
    encode_status,
    lock_id,
    ring_slot,
)

VECTORS = load_vectors("blocks")
IDENTITY_WORDS: list[int] = VECTORS["identity"]["words"]

u16, u32, u64 = (st.integers(0, 2**bits - 1) for bits in (16, 32, 64))
identities = st.integers(1, 4).flatmap(
    lambda chambers: st.builds(
        Identity, serial=u64, model=u16, hardware_revision=u16, firmware_version=u32, chambers=st.just(chambers),
        capabilities=u16, capacity=st.integers(32, 2047), epoch=u32, mac_key_id=u32, access_list_max=u16,
        volumes_ml=st.tuples(*[st.integers(0, 65535)] * chambers), map_version=st.just(1),
    )
)  # fmt: skip
statuses = st.builds(
    Status, state=u16, faults=u32, clock_s=u32, clock_status=u16, uptime_s=u32, boot=u16, battery_mv=u16,
    temperature_dc=st.integers(-(2**15), 2**15 - 1), fill_permille=st.none() | st.integers(0, UNKNOWN_FILL - 1),
    enable_mask=u16, access_list_version=u32, oldest_seq=u32, newest_seq=u32, confirmed_seq=u32,
    registers=st.tuples(u32, u32, u32, u32), command_token=u16, command_result=u16, access_list_entries=u16,
    access_list_crc=u32, epoch=u32, serial=u64,
)  # fmt: skip


def test_identity_vector_word_for_word() -> None:
    identity = decode_identity(IDENTITY_WORDS)
    fields = VECTORS["identity"]["fields"]
    assert asdict(identity) == {**fields, "volumes_ml": tuple(fields["volumes_ml"])}
    assert identity.firmware == VECTORS["identity"]["firmware"]
    assert list(encode_identity(identity)) == IDENTITY_WORDS


def test_status_vector_word_for_word() -> None:
    status = decode_status(VECTORS["status"]["words"])
    fields = VECTORS["status"]["fields"]
    assert asdict(status) == {**fields, "registers": tuple(fields["registers"])}
    assert list(encode_status(status)) == VECTORS["status"]["words"]


@given(identities)
def test_identity_survives_the_wire(identity: Identity) -> None:
    words = encode_identity(identity)
    assert len(words) == 32
    assert decode_identity(words) == identity


@given(statuses)
def test_status_survives_the_wire(status: Status) -> None:
    words = encode_status(status)
    assert len(words) == 40
    assert decode_status(words) == status


@pytest.mark.parametrize(
    ("address", "value", "message"),
    [
        (0x0000, 0x4D42, "magic word is 0x4D42"),
        (0x0001, 2, "map version is 2, this driver knows version 1"),
        (0x000A, 0, "number of chambers is 0"),
        (0x000A, 5, "number of chambers is 5"),
        (0x000C, 31, "ring capacity is 31"),
        (0x000C, 2048, "ring capacity is 2048"),
        (0x000D, 24, "24 words"),
    ],
)
def test_another_map_is_refused_by_name(address: int, value: int, message: str) -> None:
    words = list(IDENTITY_WORDS)
    words[address] = value
    with pytest.raises(NotThisMap, match=message):
        decode_identity(words)


def test_words_that_arent_assigned_are_ignored() -> None:
    words = list(IDENTITY_WORDS)
    words[0x001B:0x0020] = [0xFFFF] * 5
    assert decode_identity(words) == decode_identity(IDENTITY_WORDS)


@given(st.lists(u16, max_size=45))
def test_block_of_any_words_decodes_or_is_refused_by_name(words: list[int]) -> None:
    for decode, length in ((decode_identity, 32), (decode_status, 40)):
        try:
            decode(words)
        except NotThisMap:
            continue
        assert len(words) == length


@given(st.integers(1, 2**32 - 1), st.integers(32, 2047))
def test_ring_slots_stay_in_the_ring_and_follow_each_other(seq: int, capacity: int) -> None:
    slot = ring_slot(seq, capacity)
    assert slot >= RING_ADDRESS
    assert slot + 22 <= RING_ADDRESS + capacity * 22 <= 2**16
    assert ring_slot(seq + capacity, capacity) == slot
    assert (ring_slot(seq + 1, capacity) - slot) in (22, -22 * (capacity - 1))


@given(u64)
def test_lock_has_one_name_and_it_holds_the_serial_number(serial: int) -> None:
    name = lock_id(serial)
    assert re.fullmatch(LOCK_ID_PATTERN, name)
    assert int(name, 16) == serial


@given(st.from_regex(rf"\A({LOCK_ID_PATTERN})\Z"))
def test_pattern_lets_no_second_name_of_a_lock_pass(name: str) -> None:
    assert lock_id(int(name, 16)) == name
