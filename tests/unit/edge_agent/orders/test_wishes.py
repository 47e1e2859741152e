"""A desired state is read lock by lock, and says the same as the contract's model of it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drivers.base import ListEntry, unpack_list
from edge_agent.orders.wishes import UnreadableDesired, read_desired
from wastelock.orders import AccessEntry, Desired, DesiredLock

AT = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
HERE = ("1f00a1", "1f00a2")
ENTRIES = st.lists(
    st.builds(
        AccessEntry,
        uid=st.integers(0, 2**64 - 1).map(lambda uid: f"{uid:x}"), service=st.booleans(), blocked=st.booleans(),
    ),
    max_size=5,
)  # fmt: skip
WANTED = st.one_of(
    st.builds(
        DesiredLock, enable_mask=st.none() | st.integers(0, 15), poll_interval_s=st.none() | st.integers(1, 3600)
    ),
    st.builds(DesiredLock, access_list_version=st.integers(1, 2**32 - 1), access_list=ENTRIES.map(tuple)),
)  # fmt: skip


@given(revision=st.integers(1, 2**53 - 1), locks=st.dictionaries(st.sampled_from([*HERE, "1f00a9"]), WANTED))
def test_what_is_followed_is_what_the_message_says(revision: int, locks: dict[str, DesiredLock]) -> None:
    reading = read_desired(Desired(revision=revision, at=AT, locks=locks).to_json(), HERE)
    assert reading.wishes.revision == revision
    assert reading.unknown == tuple(sorted(locks.keys() - set(HERE)))
    for lock in HERE:
        wish, wanted = reading.wishes.of(lock), locks.get(lock, DesiredLock())
        assert (wish.enable_mask, wish.poll_interval_s) == (wanted.enable_mask, wanted.poll_interval_s)
        assert (wish.list_mark is None) == (wanted.access_list is None)
        if wanted.access_list is not None and wish.list_mark is not None:
            assert (wish.list_mark.version, wish.list_mark.entries) == (
                wanted.access_list_version, len(wanted.access_list),
            )  # fmt: skip
            assert unpack_list(wish.packed_list) == [
                ListEntry(int(entry.uid, 16), entry.service, entry.blocked) for entry in wanted.access_list
            ]


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"[]", b"\xff", b"[" * 100_000,
        b'{"v":2,"revision":1,"at":"2026-11-22T09:00:00Z","locks":{}}',
        b'{"v":1,"revision":0,"at":"2026-11-22T09:00:00Z","locks":{}}',
        b'{"v":1,"revision":1,"at":"yesterday","locks":{}}',
        b'{"v":1,"revision":1,"at":"2026-11-22T09:00:00Z","locks":{"no lock":{}}}',
        b'{"v":1,"revision":1,"at":"2026-11-22T09:00:00Z","locks":{"1f00a1":{"enable_mask":16}}}',
        b'{"v":1,"revision":1,"at":"2026-11-22T09:00:00Z","locks":{"1f00a1":{"access_list":[]}}}',
        b'{"v":1,"revision":1,"at":"2026-11-22T09:00:00Z","locks":{"1f00a1":[]}}',
    ],
    ids=range(11),
)  # fmt: skip
def test_what_is_no_desired_state_is_refused_without_quoting_it(payload: bytes) -> None:
    with pytest.raises(UnreadableDesired) as raised:
        read_desired(payload, HERE)
    assert len(str(raised.value)) < 40


def test_fields_of_a_newer_contract_are_ignored() -> None:
    payload = b'{"v":1,"revision":1,"at":"2026-11-22T09:00:00Z","new":1,"locks":{"1f00a1":{"enable_mask":1,"new":[]}}}'
    assert read_desired(payload, HERE).wishes.of("1f00a1").enable_mask == 1


@given(st.binary(max_size=200))
def test_whatever_bytes_come_they_are_a_desired_state_or_refused(payload: bytes) -> None:
    with pytest.raises(UnreadableDesired):
        read_desired(payload, HERE)
