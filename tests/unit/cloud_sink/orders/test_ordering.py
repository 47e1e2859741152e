"""The door to orders: what is asked for is kept once, what can't be is refused; on both databases."""

import re
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sink.errors import InputRejected, NotPossible
from cloud_sink.ledger.access_lists import forget
from cloud_sink.ledger.commands import give_up_commands
from cloud_sink.ledger.desired_states import wished_of
from cloud_sink.ledger.operator_events import operator_events_after
from cloud_sink.operating import Author
from cloud_sink.operator_events import Ordered, SubjectKind, Wish, WishedProperty, Withdrawn
from cloud_sink.orders.model import CommandState, ListedTransponder
from cloud_sink.orders.ordering import Ordering
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.twins import TwinRig
from tests.unit.cloud_sink.orders.outbox import Outbox, commanding, desiring
from tests.unit.cloud_sink.test_schema import assert_indexed, recorded_statements
from wastelock.page import SigningKey

LOCK = "1f00a1"
ANNA = Author("anna", "it sticks")
# What hangs on no database is shown on one.
ANYWHERE = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
UIDS = [0xE0040150_00000001, 0xE0040150_00000002, 0x0A1B2C3D]


def decided(rig: TwinRig) -> list[Any]:
    with rig.ledger.database.reading() as connection:
        return [event.body for event in operator_events_after(connection, 0, 100)]


def pseudonyms_of(rig: TwinRig) -> list[str]:
    return [(rig.ledger.keys.pseudonyms.of(uid) or b"").hex() for uid in UIDS]


def listed(rig: TwinRig, **third: bool) -> list[ListedTransponder]:
    first, second, last = pseudonyms_of(rig)
    return [ListedTransponder(first), ListedTransponder(second), ListedTransponder(last, **third)]


def test_a_command_waits_with_who_asked_and_why_until_it_is_sent(rig: TwinRig, ordering: Ordering) -> None:
    view = ordering.request_command(LOCK, "read_now", ANNA, ttl_s=60)
    assert (view.state, view.attempt, view.site, view.gateway) == (
        CommandState.WAITING,
        0,
        "estate-1",
        "gw-0001",
    )
    assert (view.requested_by, view.reason) == ("anna", "it sticks")
    assert view.expires_at - view.issued_at == timedelta(seconds=60)
    assert ordering.command(view.id) == view
    assert decided(rig) == [Ordered(id=view.id, action="read_now", expires_at=view.expires_at)]


@ANYWHERE
def test_the_same_id_orders_once_and_another_order_under_it_is_refused(
    rig: TwinRig, ordering: Ordering
) -> None:
    first = ordering.request_command(LOCK, "read_now", ANNA, command_id="a-1")
    rig.clock.go_on(seconds=5)
    assert ordering.request_command(LOCK, "read_now", ANNA, command_id="a-1") == first
    with pytest.raises(NotPossible, match="is another one already"):
        ordering.request_command(LOCK, "reboot", ANNA, command_id="a-1")
    assert len(ordering.commands(LOCK)) == 1


@ANYWHERE
def test_switching_chambers_is_also_what_they_shall_be_from_now_on(rig: TwinRig, ordering: Ordering) -> None:
    view = ordering.request_command(LOCK, "enable_chambers", ANNA, enable_mask=2)
    _, wish = decided(rig)
    assert wish == Wish(property=WishedProperty.ENABLE_MASK, value=2, deadline_at=view.expires_at)


@ANYWHERE
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"action": "open_all"}, "expected one of sync_clock"),
        ({"action": "enable_chambers"}, "a mask belongs to"),
        ({"action": "reboot", "enable_mask": 1}, "a mask belongs to"),
        ({"action": "enable_chambers", "enable_mask": 16}, "number 0..15"),
        ({"action": "reboot", "ttl_s": 86_401}, "10 s to 24 h"),
        ({"action": "reboot", "ttl_s": 9}, "10 s to 24 h"),
        ({"action": "reboot", "command_id": "a b"}, "command id"),
        ({"lock": "1F00A1", "action": "reboot"}, "lower-case hexadecimal"),
    ],
)
def test_a_wrong_order_is_refused_with_what_is_expected(
    ordering: Ordering, asked: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputRejected, match=expected):
        ordering.request_command(**{"lock": LOCK, "author": ANNA, **asked})
    assert ordering.commands() == []


def test_text_that_no_database_keeps_is_refused(rig: TwinRig, ordering: Ordering) -> None:
    with pytest.raises(InputRejected, match="NUL"):
        ordering.request_command(LOCK, "reboot", Author("anna", "a\0b"))
    assert decided(rig) == []


@ANYWHERE
def test_nothing_can_be_ordered_of_a_lock_that_no_gateway_has_reported(ordering: Ordering) -> None:
    with pytest.raises(NotPossible, match="no gateway has reported it"):
        ordering.request_command("1f00ff", "reboot", ANNA)
    with pytest.raises(NotPossible, match="no gateway has reported it"):
        ordering.set_access_list("1f00ff", [], ANNA)


@ANYWHERE
def test_a_lock_has_no_more_commands_under_way_than_can_be_overseen(rig: TwinRig, ordering: Ordering) -> None:
    for _ in range(20):
        ordering.request_command(LOCK, "read_now", ANNA)
    with pytest.raises(NotPossible, match="20 commands are under way"):
        ordering.request_command(LOCK, "read_now", ANNA)
    rig.clock.go_on(seconds=601)
    assert ordering.request_command(LOCK, "read_now", ANNA).state is CommandState.WAITING


def test_commands_are_listed_newest_first_page_by_page(rig: TwinRig, ordering: Ordering) -> None:
    ids = [ordering.request_command(LOCK, "read_now", ANNA).id for _ in range(5)]
    assert [each.id for each in ordering.commands(LOCK, limit=2)] == ids[:2:-1]
    assert [each.id for each in ordering.commands(gateway="estate-1/gw-0001", before=ids[3])] == ids[2::-1]
    assert ordering.commands(gateway="estate-1/gw-0002") == []
    assert ordering.command("nobody-knows") is None


def test_a_command_that_waits_can_be_taken_back_once(rig: TwinRig, ordering: Ordering) -> None:
    view = ordering.request_command(LOCK, "reboot", ANNA)
    assert ordering.withdraw(view.id, ANNA).state is CommandState.WITHDRAWN
    with pytest.raises(NotPossible, match="is withdrawn"):
        ordering.withdraw(view.id, ANNA)
    with pytest.raises(NotPossible, match="there is no command"):
        ordering.withdraw("nobody-knows", ANNA)
    assert decided(rig)[1:] == [Withdrawn(id=view.id)]


@ANYWHERE
def test_a_command_that_nobody_answered_in_time_is_unanswered(rig: TwinRig, ordering: Ordering) -> None:
    view = ordering.request_command(LOCK, "reboot", ANNA, ttl_s=60)
    rig.clock.go_on(seconds=60)
    later = ordering.command(view.id)
    assert later is not None
    assert (later.state, later.ended_at) == (CommandState.UNANSWERED, view.expires_at)


def mask_wished(rig: TwinRig) -> int | None:
    """Return what is wished of the lock's chambers at last."""
    masks = [each for each in decided(rig) if isinstance(each, Wish) and each.property == "enable_mask"]
    with rig.ledger.database.reading() as connection:
        wished = wished_of(connection, [LOCK])
    here = wished[LOCK].enable_mask if LOCK in wished else None
    assert here == (masks[-1].value if masks else None)
    return here


def test_with_a_command_that_is_withdrawn_what_it_wished_is_taken_back(
    rig: TwinRig, ordering: Ordering
) -> None:
    first = ordering.request_command(LOCK, "enable_chambers", ANNA, enable_mask=1)
    ordering.withdraw(first.id, ANNA)
    assert mask_wished(rig) is None, "nothing was wished before"
    rig.operations.wish(SubjectKind.LOCK, LOCK, {"property": "enable_mask", "value": 3}, ANNA)
    second = ordering.request_command(LOCK, "enable_chambers", ANNA, enable_mask=0)
    third = ordering.request_command(LOCK, "enable_chambers", ANNA, enable_mask=2)
    ordering.withdraw(second.id, ANNA)
    assert mask_wished(rig) == 2, "the third one holds"
    ordering.withdraw(third.id, ANNA)
    assert mask_wished(rig) == 3, "and not what the second one wished, which is withdrawn as well"


def test_with_a_command_that_its_gateway_rejects_what_it_wished_is_taken_back(
    rig: TwinRig, ordering: Ordering
) -> None:
    deadline = rig.clock.at + timedelta(minutes=1)
    wish = {"property": "enable_mask", "value": 3, "deadline_at": deadline}
    rig.operations.wish(SubjectKind.LOCK, LOCK, wish, ANNA)
    rig.clock.go_on(hours=1)
    rig.answer(rig.order(FakeLock(), "enable_chambers", enable_mask=15), "accepted", "rejected")
    assert mask_wished(rig) == 3
    assert decided(rig)[-1].deadline_at == rig.clock.at + timedelta(minutes=10), "it has time to go back"


@ANYWHERE
def test_what_was_wished_since_stays_when_a_command_is_rejected(rig: TwinRig, ordering: Ordering) -> None:
    command = rig.order(FakeLock(), "enable_chambers", enable_mask=15)
    rig.operations.wish(SubjectKind.LOCK, LOCK, {"property": "enable_mask", "value": 1}, ANNA)
    rig.answer(command, "rejected")
    assert mask_wished(rig) == 1


@ANYWHERE
@pytest.mark.parametrize("outcome", ["done", "expired", "failed"])
def test_what_a_command_wished_lasts_unless_it_is_withdrawn_or_rejected(
    rig: TwinRig, ordering: Ordering, outcome: str
) -> None:
    rig.answer(rig.order(FakeLock(), "enable_chambers", enable_mask=2), outcome)
    assert mask_wished(rig) == 2


def test_an_access_list_has_a_version_and_the_same_again_changes_nothing(
    rig: TwinRig, ordering: Ordering
) -> None:
    ordering.add_transponders(UIDS, rig.ledger.keys.pseudonyms)
    first = ordering.set_access_list(LOCK, listed(rig), ANNA)
    assert (first.version, first.changed, first.unknown) == (int(rig.clock.at.timestamp()), True, ())
    assert ordering.set_access_list(LOCK, listed(rig)[::-1], ANNA) == type(first)(first.version, False, ())
    second = ordering.set_access_list(LOCK, listed(rig, blocked=True), ANNA)
    assert second.version == first.version + 1, "even within the same second"
    rig.clock.go_on(hours=1)
    third = ordering.set_access_list(LOCK, listed(rig, service=True), ANNA)
    assert third.version == int(rig.clock.at.timestamp())
    assert [(each.version, each.entries, each.service, each.blocked) for each in ordering.access_lists(LOCK)] == [
        (third.version, 3, 1, 0), (second.version, 3, 0, 1), (first.version, 3, 0, 0),
    ]  # fmt: skip
    wishes = [body for body in decided(rig) if isinstance(body, Wish)]
    assert [(wish.property, wish.value) for wish in wishes] == [
        ("access_list_version", version) for version in (first.version, second.version, third.version)
    ]
    assert wishes[-1].deadline_at == rig.clock.at + timedelta(minutes=10)


@ANYWHERE
def test_the_same_list_gets_a_new_version_where_that_is_asked_for(rig: TwinRig, ordering: Ordering) -> None:
    ordering.add_transponders(UIDS, rig.ledger.keys.pseudonyms)
    first = ordering.set_access_list(LOCK, listed(rig), ANNA)
    second = ordering.set_access_list(LOCK, listed(rig), ANNA, again=True)
    assert second.changed and second.version > first.version
    found = ordering.access_list(LOCK)
    assert found is not None
    assert (found.view.version, set(found.transponders)) == (second.version, set(listed(rig)))


@ANYWHERE
def test_a_list_longer_than_the_lock_says_it_takes_is_refused_and_the_one_in_force_stays(
    rig: TwinRig, ordering: Ordering, gateway: FakeGateway, lock: FakeLock
) -> None:
    ordering.add_transponders(UIDS, rig.ledger.keys.pseudonyms)
    assert ordering.most_entries(LOCK) is None
    kept = ordering.set_access_list(LOCK, listed(rig)[:2], ANNA)
    rig.hear_lock(lock, gateway, access_list_max=2)
    assert ordering.most_entries(LOCK) == 2
    with pytest.raises(NotPossible, match="3 transponders, but its controller takes 2"):
        ordering.set_access_list(LOCK, listed(rig), ANNA)
    found = ordering.access_list(LOCK)
    assert found is not None and (found.view.version, found.most_entries) == (kept.version, 2)


@ANYWHERE
def test_what_the_lock_has_stands_beside_what_is_wanted(rig: TwinRig, ordering: Ordering) -> None:
    assert ordering.access_list(LOCK) is None
    ordering.add_transponders(UIDS, rig.ledger.keys.pseudonyms)
    ordering.set_access_list(LOCK, listed(rig, blocked=True), ANNA)
    found = ordering.access_list(LOCK)
    assert found is not None
    assert found.reported_version == 7
    assert set(found.transponders) == set(listed(rig, blocked=True))
    assert found.view.until_at is None


def test_pseudonyms_without_a_number_are_left_out_and_told_until_somebody_adds_them(
    rig: TwinRig, ordering: Ordering
) -> None:
    ordering.add_transponders(UIDS[:2], rig.ledger.keys.pseudonyms)
    mark = ordering.transponders_mark()
    first = ordering.set_access_list(LOCK, listed(rig), ANNA)
    assert first.unknown == (pseudonyms_of(rig)[2],)
    assert ordering.set_access_list(LOCK, listed(rig), ANNA).changed is False
    effect = ordering.add_transponders(UIDS, rig.ledger.keys.pseudonyms)
    assert (effect.added, effect.known) == (1, 2)
    assert ordering.transponders_mark() != mark
    second = ordering.set_access_list(LOCK, listed(rig), ANNA)
    assert (second.changed, second.unknown) == (True, ())


@ANYWHERE
@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([ListedTransponder("ab" * 16)] * 2, "listed twice"),
        ([ListedTransponder("E0040150")], "32 hexadecimal digits"),
        ([ListedTransponder(f"{n:032x}") for n in range(2049)], "no lock takes more than 2048"),
    ],
)
def test_a_wrong_list_is_refused(ordering: Ordering, entries: list[ListedTransponder], expected: str) -> None:
    with pytest.raises(InputRejected, match=expected):
        ordering.set_access_list(LOCK, entries, ANNA)
    assert ordering.access_list(LOCK) is None


@ANYWHERE
def test_an_empty_list_lets_nobody_in_and_is_a_list_all_the_same(ordering: Ordering) -> None:
    assert ordering.set_access_list(LOCK, [], ANNA).changed
    assert not ordering.set_access_list(LOCK, [], ANNA).changed


def test_what_is_asked_of_orders_is_answered_by_indexes(rig: TwinRig, ordering: Ordering) -> None:
    lock = FakeLock()
    ordering.add_transponders(UIDS, rig.ledger.keys.pseudonyms)
    outbox, key = Outbox(), SigningKey(Ed25519PrivateKey.generate())
    with (
        recorded_statements(ordering._database) as asked,
        recorded_statements(rig.ledger.database) as sent,
        recorded_statements(rig.reader._ledger) as shown,
    ):
        ordering.set_access_list(LOCK, listed(rig), ANNA)
        view = ordering.request_command(LOCK, "read_now", ANNA)
        ordering.access_list(LOCK), ordering.access_lists(LOCK), ordering.command(view.id)
        ordering.commands(LOCK), ordering.commands(gateway="estate-1/gw-0001", before=view.id)
        commanding(rig, outbox, key).send_due()
        work = desiring(rig, outbox, key)
        work.look(), work.publish_due()
        rig.answer(view.id, "done")
        for mask in (1, 2):
            last = ordering.request_command(LOCK, "enable_chambers", ANNA, enable_mask=mask)
        ordering.withdraw(last.id, ANNA)
        with rig.ledger.database.writing() as connection:
            give_up_commands(connection, rig.clock.at, 10), forget(connection, rig.clock.at, 10)
        rig.twin(lock)
    assert outbox.commands and outbox.desired
    mine = [
        each
        for each in (*asked, *sent, *shown)
        if re.search(r"command|access_|transponders|lock_wishes", each[0])
    ]
    assert_indexed(rig.ledger.database, mine)
