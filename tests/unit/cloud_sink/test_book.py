"""Custody in the ledger: pages, watermarks, entries, disputes; the same suite on SQLite and PostgreSQL."""

from dataclasses import replace

import msgspec

from cloud_sink.ledger.disputes import DisputeKind
from cloud_sink.ledger.journals import Standing
from tests.support.fake_gateway import FakeGateway, FakeLock, SealedPage
from tests.support.ledger import Ledger, message, pseudonym
from wastelock.page import PageRecord, to_base64url
from wastelock.record import Kind


def standing(ledger: Ledger, *pages: SealedPage) -> Standing:
    """Take pages in one transaction and return where their journal stands."""
    return ledger.take(*pages).standings[0]


def kinds(ledger: Ledger) -> list[str]:
    return [dispute.kind for dispute in ledger.reader.disputes()]


def test_pages_become_entries_in_the_order_of_commits(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    first, second = gateway.seal(lock.pours(3)), gateway.seal(lock.pours(2))
    outcome = ledger.take(first, second)
    assert (outcome.pages, outcome.entries, outcome.disputes) == (2, 5, 0)
    assert outcome.standings[0].committed_through == 2
    assert outcome.standings[0].head == second.hash
    entries = ledger.entries()
    assert [entry.position for entry in entries] == [1, 2, 3, 4, 5]
    assert [(entry.lock, entry.epoch, entry.seq) for entry in entries] == [
        ("1f00a1", 1, n) for n in range(1, 6)
    ]
    assert [entry.page for entry in entries] == [1, 1, 1, 2, 2]
    assert entries[0].journal == gateway.journal
    assert entries[0].register_after == 1
    assert not entries[0].mac_held


def test_records_without_transponder_or_clock_stand_in_their_order_with_every_field(
    ledger: Ledger, gateway: FakeGateway, keyed_lock: FakeLock
) -> None:
    greatest = {"boot": 2**16 - 1, "kind": 255, "result": 254, "chamber": 253, "flags": 252, "volume_ml": 2**16 - 1,
                "duration_ds": 2**16 - 2, "register_after": 2**32 - 1, "began_clock_s": 2**32 - 1,
                "uid": 2**64 - 1}  # fmt: skip
    made = [keyed_lock.record(**values) for values in ({}, {"uid": 0}, greatest, {"uid": 0}, {"uid": 0}, {})]
    ledger.take(gateway.seal([keyed_lock.page_record(record) for record in made]))
    keyed_lock.epoch += 1
    again = [keyed_lock.page_record(record) for record in made]
    ledger.take(gateway.seal([msgspec.structs.replace(record, clock_offset_s=None) for record in again]))
    entries = ledger.entries()
    assert [entry.position for entry in entries] == list(range(1, 13))
    assert [entry.clock_offset_s for entry in entries] == [-2] * 6 + [None] * 6
    for entry, record in zip(entries, [*made, *made], strict=True):
        assert (entry.seq, entry.boot, entry.kind, entry.result, entry.chamber, entry.flags, entry.volume_ml) == (
            record.seq, record.boot, record.kind, record.result, record.chamber, record.flags, record.volume_ml
        )  # fmt: skip
        assert (entry.duration_ds, entry.register_after, entry.began_clock_s) == (
            record.duration_ds, record.register_after, record.began_clock_s
        )  # fmt: skip
        assert entry.credential == (pseudonym(ledger, record.uid) or None)
        assert entry.mac_held


def test_the_same_page_again_changes_nothing_but_is_confirmed_again(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    page = gateway.seal(lock.pours(3))
    first = ledger.take(page, page)
    again = ledger.take(page)
    assert (first.pages, again.pages, again.entries) == (1, 0, 0)
    assert again.standings == first.standings
    assert len(ledger.entries()) == 3


def test_watermark_waits_for_the_page_in_between_and_then_moves_over_those_held(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    pages = [gateway.seal(lock.pours(2)) for _ in range(6)]
    early = standing(ledger, pages[3], pages[5], pages[0])
    assert (early.committed_through, early.held, early.missing) == (1, ((4, 4), (6, 6)), [(2, 3), (5, 5)])
    assert len(ledger.entries()) == 6, "records beyond the watermark are entries at once"
    later = standing(ledger, pages[2], pages[1])
    assert (later.committed_through, later.head, later.held) == (4, pages[3].hash, ((6, 6),))
    last = standing(ledger, pages[4])
    assert (last.committed_through, last.held, last.missing) == (6, (), [])
    assert sorted(ledger.identities()) == [("1f00a1", 1, n) for n in range(1, 13)]


def test_a_page_that_does_not_name_its_predecessor_is_kept_but_stops_the_watermark(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    good = gateway.seal(lock.pours(1))
    broken = gateway.seal(lock.pours(1), prev="A" * 43)
    after = gateway.seal(lock.pours(1))
    state = standing(ledger, good, broken, after)
    assert (state.committed_through, state.held) == (1, ((2, 3),))
    assert state.notes == ((2, "chain"),)
    assert len(ledger.entries()) == 3
    assert kinds(ledger) == ["chain"]
    assert standing(ledger, after).notes == ((2, "chain"),)
    assert kinds(ledger) == ["chain"], "noticed once, however often pages come"


def test_the_true_page_ends_a_break_of_chain(ledger: Ledger, gateway: FakeGateway, lock: FakeLock) -> None:
    good = gateway.seal(lock.pours(1))
    records = lock.pours(1)
    broken = gateway.seal(records, prev="A" * 43)
    gateway.page, gateway.head = 1, good.hash
    true = gateway.seal(records)
    standing(ledger, good, broken)
    state = standing(ledger, true)
    assert (state.committed_through, state.head) == (2, true.hash)
    assert state.notes == ((2, "page"),)


def test_two_pages_with_one_number_are_both_kept_and_disputed(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    first = gateway.seal(lock.pours(2))
    gateway.page, gateway.head = 0, ""
    second = gateway.seal(lock.pours(2))
    state = standing(ledger, first, second)
    assert (state.committed_through, state.head) == (1, first.hash)
    assert state.notes == ((1, "page"),)
    assert kinds(ledger) == ["page"]
    assert len(ledger.entries()) == 4


def test_another_gateways_journal_of_the_same_name_moves_nothing(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    thief = FakeGateway("gw-0666", seed=6, journal=gateway.journal)
    ledger.know([gateway, thief])
    own = gateway.seal(lock.pours(1))
    standing(ledger, own)
    stolen = thief.seal(lock.pours(1))
    outcome = ledger.take(stolen)
    assert [item.key.gateway for item in outcome.standings] == ["gw-0666"]
    assert standing(ledger, own).head == own.hash
    assert kinds(ledger) == []


def test_records_that_come_again_in_a_new_journal_are_not_counted_twice(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    records = lock.pours(7)
    ledger.take(gateway.seal(records[:3]), gateway.seal(records[3:5]))
    swapped = FakeGateway("gw-0001", seed=1, journal="00000000-0000-4000-8000-000000000001")
    outcome = ledger.take(swapped.seal(records))
    assert outcome.entries == 2
    assert outcome.disputes == 0
    assert ledger.identities() == [("1f00a1", 1, n) for n in range(1, 8)]
    assert outcome.standings[0].is_latest


def test_records_doubled_within_one_batch_and_one_page_are_entries_once(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    records = lock.pours(4)
    ledger.take(gateway.seal([*records, records[1]]), gateway.seal(records[2:]))
    assert ledger.identities() == [("1f00a1", 1, n) for n in range(1, 5)]
    assert kinds(ledger) == []


def test_another_record_with_a_known_identity_is_a_dispute_and_the_first_one_stands(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    first = lock.page_record(lock.record(volume_ml=5000))
    lock.seq -= 1
    second = lock.page_record(lock.record(volume_ml=20000))
    ledger.take(gateway.seal([first]))
    outcome = ledger.take(gateway.seal([second]))
    assert (outcome.entries, outcome.disputes) == (0, 1)
    [dispute] = ledger.reader.disputes()
    assert (dispute.kind, dispute.lock, dispute.epoch, dispute.seq) == ("record", "1f00a1", 1, 1)
    assert (dispute.position, dispute.page, dispute.slot) == (1, 2, 0)
    assert [entry.volume_ml for entry in ledger.entries()] == [5000]


def test_two_contradicting_records_in_one_batch_are_a_dispute(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    first = lock.page_record(lock.record(volume_ml=5000))
    lock.seq -= 1
    second = lock.page_record(lock.record(volume_ml=20000))
    ledger.take(gateway.seal([first]), gateway.seal([second]))
    assert kinds(ledger) == ["record"]
    assert [entry.volume_ml for entry in ledger.entries()] == [5000]


def test_a_forged_record_is_no_entry_and_leaves_its_place_to_the_true_one(
    ledger: Ledger, gateway: FakeGateway, keyed_lock: FakeLock
) -> None:
    record = keyed_lock.record()
    forger = replace(keyed_lock, key=b"x" * 16)
    ledger.take(gateway.seal([forger.page_record(record)]))
    assert ledger.entries() == []
    assert kinds(ledger) == ["mac"]
    ledger.take(gateway.seal([keyed_lock.page_record(record)]))
    assert [(entry.seq, entry.mac_held) for entry in ledger.entries()] == [(1, True)]


def test_macs_are_checked_only_from_the_epoch_on_whose_key_is_known(
    ledger: Ledger, gateway: FakeGateway, keyed_lock: FakeLock
) -> None:
    earlier = replace(keyed_lock, epoch=2, key=b"y" * 16)
    ledger.take(gateway.seal([earlier.page_record(earlier.record())]))
    assert [(entry.epoch, entry.mac_held) for entry in ledger.entries()] == [(2, False)]


def test_an_unverified_record_stands_beside_the_verified_one(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    record = lock.record()
    torn, whole = lock.page_record(record, unverified=True), lock.page_record(record)
    ledger.take(gateway.seal([torn]))
    ledger.take(gateway.seal([whole]))
    ledger.take(gateway.seal([torn, whole]))
    assert [(entry.seq, entry.unverified) for entry in ledger.entries()] == [(1, True), (1, False)]
    assert kinds(ledger) == []


def test_two_unverified_readings_that_differ_are_a_dispute(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    record = lock.record()
    ledger.take(gateway.seal([lock.page_record(record, unverified=True)]))
    other = lock.page_record(replace(record, volume_ml=20000), unverified=True)
    ledger.take(gateway.seal([other]))
    assert kinds(ledger) == ["unverified"]
    assert len(ledger.entries()) == 1


def test_records_that_cannot_be_decoded_are_listed_and_the_others_of_their_page_taken(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    good = lock.pours(2)
    bad = [
        PageRecord(lock.name, "wlc-9", 1, 3, good[0].raw, good[0].read_at),
        PageRecord("1F00A1", "wlc-1", 1, 4, good[0].raw, good[0].read_at),
        PageRecord(lock.name, "wlc-1", 1, 5, to_base64url(b"short"), good[0].read_at),
        PageRecord(lock.name, "wlc-1", 1, 6, "?" * 59, good[0].read_at),
        PageRecord(lock.name, "wlc-1", 1, 7, good[0].raw, good[0].read_at),
        PageRecord(lock.name, "wlc-1", 2**40, 8, good[0].raw, good[0].read_at),
        replace_read_at(good[0], "yesterday"),
    ]
    outcome = ledger.take(gateway.seal([good[0], *bad, good[1]]))
    assert (outcome.entries, outcome.unread) == (2, 7)
    assert outcome.standings[0].committed_through == 1, "custody of the page is taken all the same"
    lines = list(ledger.reader.quarantine())
    assert [line.slot for line in lines] == [1, 2, 3, 4, 5, 6, 7]
    assert "upgrade" in lines[0].detail


def replace_read_at(record: PageRecord, text: str) -> PageRecord:
    return PageRecord(record.lock, record.driver, record.epoch, record.seq, record.raw, text)


def test_unknown_kinds_are_kept_raw(ledger: Ledger, gateway: FakeGateway, lock: FakeLock) -> None:
    ledger.take(gateway.seal([lock.page_record(lock.record(kind=77, result=9))]))
    assert [(entry.kind, entry.result) for entry in ledger.entries()] == [(77, 9)]


def test_a_batch_of_many_locks_and_journals_is_sorted_out(ledger: Ledger, gateway: FakeGateway) -> None:
    others = [FakeGateway(f"gw-{n:04d}", seed=n) for n in range(2, 5)]
    ledger.know([gateway, *others])
    locks = [FakeLock(0x200000 + n, epoch=n) for n in range(12)]
    pages = [
        gw.seal([r for lk in locks[i::4] for r in lk.pours(3)]) for i, gw in enumerate([gateway, *others])
    ]
    outcome = ledger.take(*pages)
    assert outcome.entries == 36
    assert sorted(ledger.identities()) == sorted((lk.name, lk.epoch, n) for lk in locks for n in (1, 2, 3))


def test_a_page_of_an_unknown_version_is_taken_into_custody(ledger: Ledger, gateway: FakeGateway) -> None:
    payload = (
        f'{{"v":2,"gateway":"{gateway.gateway}","journal":"{gateway.journal}","page":1,"prev":"","stuff":[]}}'
    ).encode()
    page = gateway.sign(payload, page=1)
    outcome = ledger.take(page)
    assert outcome.standings[0].committed_through == 1
    assert [line.slot for line in ledger.reader.quarantine()] == [None]
    assert ledger.entries() == []


def test_extreme_values_fit(ledger: Ledger, gateway: FakeGateway) -> None:
    lock = FakeLock(serial=2**64 - 1, epoch=2**32 - 1, seq=2**32 - 2)
    record = lock.record(
        began_clock_s=2**32 - 1, boot=65535, kind=255, result=255, chamber=255, flags=255, uid=2**64 - 1,
        volume_ml=65535, weight_word=65534, duration_ds=65535, register_after=2**32 - 1,
    )  # fmt: skip
    ledger.take(gateway.seal([lock.page_record(record)]))
    entry = ledger.entries()[0]
    assert (entry.lock, entry.epoch, entry.seq) == ("ffffffffffffffff", 2**32 - 1, 2**32 - 1)
    assert (entry.began_clock_s, entry.register_after, entry.weight_g) == (2**32 - 1, 2**32 - 1, 655340)


def test_an_instant_is_told_only_where_the_clock_was_set(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    set_, unset = lock.record(began_clock_s=1_795_338_001), lock.record(began_clock_s=77, flags=0)
    ledger.take(gateway.seal([lock.page_record(set_), lock.page_record(unset)]))
    known, unknown = ledger.entries()
    assert known.began_at is not None
    assert known.began_at.isoformat() == "2026-11-22T09:00:01+00:00"
    assert (unknown.began_at, unknown.began_clock_s) == (None, 77)


def test_a_record_without_transponder_has_no_credential(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    records = [lock.record(uid=0, kind=Kind.EMPTYING, chamber=0), lock.record(uid=0xE0040150)]
    ledger.take(gateway.seal([lock.page_record(record) for record in records]))
    assert [entry.credential for entry in ledger.entries()] == [
        None,
        pseudonym(ledger, 0xE0040150),
    ]


def test_commits_are_dated_and_entries_can_be_read_from_an_instant_on(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    pages = [gateway.seal(lock.pours(2)) for _ in range(3)]
    for page in pages:
        ledger.take(page)
        ledger.take(page)
    times = [entry.committed_at for entry in ledger.entries()]
    assert times == sorted(times)
    assert len(set(times)) == 3
    assert ledger.reader.position_before(times[2]) == 2
    assert ledger.reader.position_before(times[0]) == 0
    assert ledger.reader.position_before(times[-1].replace(year=2100)) == 6
    assert [entry.position for entry in ledger.reader.entries_after(3, limit=2)] == [4, 5]


def test_messages_that_are_no_custody_go_into_quarantine_once(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    forged = message(gateway.seal(lock.pours(1)), sig="A" * 86)
    outcome = ledger.take(forged, message(gateway.seal(lock.pours(1)), topic="wl/1/estate-1/gw-9999/up/page"))
    ledger.take(forged)
    assert (outcome.pages, outcome.quarantined, outcome.standings) == (0, 2, [])
    lines = list(ledger.reader.quarantine())
    assert [(line.reason, line.times) for line in lines] == [("bad signature", 2), ("unknown gateway", 1)]
    assert ledger.entries() == []


def test_quarantine_takes_no_more_than_its_quota(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    rubbish = [message(gateway.sign(bytes([n]) * 200_000, page=1), sig="A" * 86) for n in range(8)]
    outcome = ledger.take(*rubbish)
    assert outcome.without_room == 3
    assert sum(line.size_bytes for line in ledger.reader.quarantine()) <= 1024 * 1024


def test_kinds_of_dispute_are_explained() -> None:
    from cloud_sink.presenting import _MEANING

    assert set(_MEANING) == {kind.value for kind in DisputeKind}
