"""Trying again what wasn't taken, read or proven: after keys were added, or by a release that knows more."""

from dataclasses import replace
from typing import Any

import pytest

from cloud_sink import decoding
from cloud_sink.reprocessing import reprocess
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger, message
from wastelock.page import PageRecord


def again(ledger: Ledger) -> dict[str, int]:
    """Reprocess and return only what isn't 0."""
    done = reprocess(ledger.database, ledger.book, ledger.keys, ledger.clock).as_dict()
    return {name: number for name, number in done.items() if number}


def test_pages_of_a_gateway_that_became_known_are_taken_once(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    newcomer = FakeGateway("gw-0002", seed=2)
    pages = [newcomer.seal(lock.pours(2)) for _ in range(3)]
    rubbish = message(pages[0], payload=b"?")
    ledger.take(pages[2], pages[0], pages[1], rubbish)
    assert again(ledger) == {"still_quarantined": 4}
    ledger.know([gateway, newcomer])
    assert again(ledger) == {"pages_taken": 3, "entries_added": 6, "still_quarantined": 1}
    assert sorted(ledger.identities()) == [("1f00a1", 1, n) for n in range(1, 7)]
    assert [journal.committed_through for journal in ledger.reader.journals()] == [3]
    assert again(ledger) == {"still_quarantined": 1}
    assert ledger.take(pages[1]).pages == 0, "known by now"


def test_records_of_a_driver_that_a_later_release_knows_become_entries(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = lock.pours(4)
    later = [
        PageRecord(r.lock, "wlc-9", r.epoch, r.seq, r.raw, r.read_at, r.clock_offset_s) for r in good[1:3]
    ]
    ledger.take(gateway.seal([good[0], *later, good[3]]))
    assert again(ledger) == {}
    assert len(ledger.entries()) == 2
    monkeypatch.setattr(decoding, "DRIVERS", frozenset({"wlc-1", "wlc-9"}))
    assert again(ledger) == {"entries_added": 2, "records_settled": 2}
    assert sorted(ledger.identities()) == [("1f00a1", 1, n) for n in range(1, 5)]
    assert list(ledger.reader.quarantine()) == []
    assert ledger.reader.record_gaps() == []
    assert again(ledger) == {}
    entry = ledger.entries()[-1]
    assert entry.committed_at > ledger.entries()[0].committed_at


def test_a_page_of_a_version_that_a_later_release_knows_is_read_whole(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = gateway.seal(lock.pours(3))
    ledger.take(gateway.sign(whole.payload.replace(b'"v":1', b'"v":2'), page=1))
    assert ledger.entries() == []
    monkeypatch.setattr("wastelock.page.PAGE_VERSION", 2)
    assert again(ledger) == {"entries_added": 3, "records_settled": 1}
    assert len(ledger.entries()) == 3
    assert list(ledger.reader.quarantine()) == []


def test_a_record_that_was_taken_for_forged_under_a_wrong_key_becomes_an_entry(
    ledger: Ledger, gateway: FakeGateway, keyed_lock: FakeLock
) -> None:
    true = replace(keyed_lock, key=b"the right key...")
    ledger.take(gateway.seal(true.pours(2)))
    assert [dispute.kind for dispute in ledger.reader.disputes()] == ["mac", "mac"]
    assert again(ledger) == {}
    ledger.know([gateway], [true])
    assert again(ledger) == {"entries_added": 2, "records_settled": 2}
    assert [entry.mac_held for entry in ledger.entries()] == [True, True]
    assert list(ledger.reader.disputes()) == []
    assert len(list(ledger.reader.disputes(resolved=True))) == 2


def test_a_key_that_comes_later_proves_entries_or_disputes_them(ledger: Ledger, gateway: FakeGateway) -> None:
    lock = FakeLock(0x1F00C1, key=b"k" * 16)
    forger = replace(lock, key=b"f" * 16)
    true = lock.pours(3)
    ledger.take(gateway.seal([true[0], forger.page_record(lock.record()), true[1], true[2]]))
    assert [entry.mac_held for entry in ledger.entries()] == [False] * 4
    ledger.know([gateway], [lock])
    assert again(ledger) == {"entries_proven": 3, "new_disputes": 1}
    assert {entry.seq: entry.mac_held for entry in ledger.entries()} == {1: True, 2: True, 3: True, 4: False}
    [dispute] = ledger.reader.disputes()
    assert (dispute.kind, dispute.seq, dispute.position) == ("mac", 4, 2)
    assert again(ledger) == {}, "what was found out isn't found out again"


def test_many_pages_are_gone_through_in_steps(
    ledger: Ledger, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud_sink.ledger.rereading._PAGES_AT_ONCE", 2)
    monkeypatch.setattr("cloud_sink.ledger.rereading._ENTRIES_AT_ONCE", 3)
    keyed: Any = FakeLock(0x1F00C1, key=b"k" * 16)
    odd = FakeLock(0x1F00C2)
    for _ in range(5):
        unread = [PageRecord(r.lock, "wlc-9", r.epoch, r.seq, r.raw, r.read_at, -2) for r in odd.pours(2)]
        ledger.take(gateway.seal([*keyed.pours(2), *unread]))
    ledger.know([gateway], [keyed])
    monkeypatch.setattr(decoding, "DRIVERS", frozenset({"wlc-1", "wlc-9"}))
    assert again(ledger) == {"entries_added": 10, "records_settled": 10, "entries_proven": 10}
