"""What gateways are told that their locks shall be: when there is a new revision, and who gets it again."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sink.ledger.access_lists import entries_of, forget, list_in_force
from cloud_sink.ledger.tables import access_entries, access_lists, transponders
from cloud_sink.operator_events import SubjectKind
from cloud_sink.orders.desiring import Desiring
from cloud_sink.orders.model import ListedTransponder
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.twins import TECHNICIAN, TwinRig
from tests.unit.cloud_sink.orders.outbox import Outbox, desiring
from wastelock.page import SigningKey, signature_holds

KEY = SigningKey(Ed25519PrivateKey.generate())
# What hangs on no database is shown on one.
ANYWHERE = pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
UIDS = [0xE0040150_00000001, 0xE0040150_00000002, 0x0A1B2C3D]


def wish(rig: TwinRig, lock: FakeLock, name: str, value: int | None) -> None:
    rig.operations.wish(SubjectKind.LOCK, lock.name, {"property": name, "value": value}, TECHNICIAN)


def set_list(rig: TwinRig, lock: FakeLock, *uids: int) -> int:
    """Set a list of these transponders, and return its version."""
    pseudonyms = rig.ledger.keys.pseudonyms
    rig.ordering.add_transponders(UIDS, pseudonyms)
    entries = [ListedTransponder((pseudonyms.of(uid) or b"").hex()) for uid in uids]
    return rig.ordering.set_access_list(lock.name, entries, TECHNICIAN).version


def turn(work: Desiring) -> None:
    """Let it look, and send what is due."""
    while work.look():
        pass
    work.publish_due()


@ANYWHERE
def test_nothing_is_published_while_nothing_is_wished(rig: TwinRig) -> None:
    outbox = Outbox()
    turn(desiring(rig, outbox, KEY))
    assert outbox.sent == []


def test_a_wish_or_a_list_makes_a_higher_revision_and_the_same_again_none(
    rig: TwinRig, lock: FakeLock
) -> None:
    outbox = Outbox()
    work = desiring(rig, outbox, KEY)
    version = set_list(rig, lock, *UIDS[:2])
    turn(work)
    wish(rig, lock, "poll_interval_s", 30)
    turn(work)
    wish(rig, lock, "poll_interval_s", 30)
    set_list(rig, lock, *UIDS[:2])
    turn(work)
    first, second = outbox.desired
    assert second.revision > first.revision
    told = second.locks[lock.name]
    assert (told.access_list_version, told.poll_interval_s, told.enable_mask) == (version, 30, None)
    assert [each.uid for each in told.access_list or ()] == ["e004015000000001", "e004015000000002"]
    wish(rig, lock, "poll_interval_s", None)
    turn(work)
    assert outbox.desired[-1].locks[lock.name].poll_interval_s is None
    topic, payload, envelope, retained = outbox.sent[-1]
    assert retained and signature_holds(KEY.private.public_key(), topic, payload, envelope.sig)
    assert envelope.expiry_s is None


@ANYWHERE
def test_a_sink_that_starts_finds_what_was_wished_before_and_says_it_in_the_same_bytes(
    rig: TwinRig, lock: FakeLock
) -> None:
    first, second = Outbox(), Outbox()
    set_list(rig, lock, *UIDS)
    turn(desiring(rig, first, KEY))
    rig.clock.go_on(seconds=31)
    turn(desiring(rig, second, KEY))
    assert [payload for _, payload, *_ in first.sent] == [payload for _, payload, *_ in second.sent]


@ANYWHERE
def test_a_revision_is_published_again_until_the_gateway_says_that_it_has_it(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    outbox = Outbox()
    work = desiring(rig, outbox, KEY)
    wish(rig, lock, "enable_mask", 1)
    turn(work)
    (desired,) = outbox.desired
    for seconds, published in ((29, 1), (1, 2), (59, 2), (1, 3)):
        rig.clock.go_on(seconds=seconds)
        turn(work)
        assert len(outbox.sent) == published
    rig.hear_gateway(gateway, desired_revision=desired.revision)
    rig.clock.go_on(hours=1)
    turn(work)
    assert len(outbox.sent) == 3, "it has it"
    rig.hear_gateway(gateway, incarnation=2)
    rig.clock.go_on(minutes=2)
    turn(work)
    assert len(outbox.sent) == 4, "it has lost it, with its SD card"
    assert len({payload for _, payload, *_ in outbox.sent}) == 1


@ANYWHERE
def test_a_gateway_that_knows_more_than_a_restored_ledger_gets_a_higher_revision(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    outbox = Outbox()
    work = desiring(rig, outbox, KEY)
    wish(rig, lock, "enable_mask", 1)
    turn(work)
    ahead = outbox.desired[-1].revision + 1_000_000
    with rig.ledger.database.writing() as connection:
        connection.exec_driver_sql("UPDATE desired_states SET next_publish_ms = NULL")
    rig.hear_gateway(gateway, desired_revision=ahead)
    rig.clock.go_on(minutes=2)
    turn(work)
    assert outbox.desired[-1].revision > ahead
    assert outbox.desired[-1].locks[lock.name].enable_mask == 1


@ANYWHERE
def test_a_gateway_that_knows_more_is_told_a_higher_revision_also_while_one_is_being_published(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    outbox = Outbox()
    work = desiring(rig, outbox, KEY)
    wish(rig, lock, "enable_mask", 1)
    turn(work)
    ahead = outbox.desired[-1].revision + 5000
    rig.hear_gateway(gateway, desired_revision=ahead)
    rig.clock.go_on(seconds=61)
    turn(work)
    assert outbox.desired[-1].revision > ahead


@ANYWHERE
def test_a_revision_that_nobody_can_have_made_is_not_believed_and_said_once(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock, capsys: pytest.CaptureFixture[str]
) -> None:
    outbox = Outbox()
    work = desiring(rig, outbox, KEY)
    wish(rig, lock, "enable_mask", 1)
    turn(work)
    for told in (2**53 - 1, 2**53 - 1, int((rig.clock.at + timedelta(days=400)).timestamp())):
        rig.hear_gateway(gateway, desired_revision=told)
        rig.clock.go_on(seconds=61)
        turn(work)
    assert len({desired.revision for desired in outbox.desired}) == 1
    assert capsys.readouterr().out.count("nobody can have made") == 2
    wish(rig, lock, "enable_mask", 2)
    turn(work)
    last = outbox.desired[-1]
    assert (last.revision, last.locks[lock.name].enable_mask) == (int(rig.clock.at.timestamp()), 2)


def test_a_gateway_whose_revision_the_database_refuses_keeps_no_other_waiting(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock, capsys: pytest.CaptureFixture[str]
) -> None:
    other, its_lock = FakeGateway("gw-0002", seed=2), FakeLock(serial=0x2B00A2)
    rig.hear_lock(its_lock, other)
    outbox = Outbox()
    work = desiring(rig, outbox, KEY)
    wish(rig, lock, "enable_mask", 1)
    turn(work)
    with rig.ledger.database.writing() as connection:
        connection.exec_driver_sql(
            f"UPDATE desired_states SET revision = {2**63 - 1}, next_publish_ms = NULL"
        )
    wish(rig, lock, "enable_mask", 2)
    wish(rig, its_lock, "enable_mask", 2)
    turn(work)
    assert list(outbox.desired[-1].locks) == [its_lock.name]
    assert "the database refuses a gateway's desired state" in capsys.readouterr().out


@ANYWHERE
def test_a_lock_that_another_gateway_reads_is_told_to_that_one_and_no_longer_to_the_first(
    rig: TwinRig, gateway: FakeGateway, lock: FakeLock
) -> None:
    outbox = Outbox()
    work = desiring(rig, outbox, KEY)
    wish(rig, lock, "enable_mask", 1)
    turn(work)
    other = FakeGateway("gw-0002", seed=2)
    rig.clock.go_on(seconds=6)
    rig.hear_lock(lock, other)
    turn(work)
    told = {
        topic.split("/")[3]: desired for (topic, *_), desired in zip(outbox.sent, outbox.desired, strict=True)
    }
    assert list(told["gw-0002"].locks) == [lock.name]
    assert told["gw-0001"].locks == {}


def test_of_two_sinks_only_one_makes_a_revision_and_one_publishes_it(rig: TwinRig, lock: FakeLock) -> None:
    outbox = Outbox()
    both = [desiring(rig, outbox, KEY) for _ in range(2)]
    wish(rig, lock, "enable_mask", 1)
    for work in both:
        turn(work)
    assert len(outbox.sent) == 1


def test_who_was_in_a_list_and_numbers_that_no_list_has_are_forgotten_after_their_time(
    rig: TwinRig, lock: FakeLock
) -> None:
    set_list(rig, lock, *UIDS[:2])
    rig.clock.go_on(days=1)
    set_list(rig, lock, UIDS[1])
    with rig.ledger.database.writing() as connection:
        assert forget(connection, rig.clock.at, 100) == 0, "it was in force until just now"
        assert forget(connection, rig.clock.at + timedelta(days=90), 100) == 1 + 2, "a list of two"
        assert forget(connection, rig.clock.at + timedelta(days=90), 100) == 0
        here = list_in_force(connection, lock.name)
        assert here is not None and len(entries_of(connection, here.list_no)) == 1
    effect = rig.ordering.add_transponders(UIDS, rig.ledger.keys.pseudonyms)
    assert (effect.added, effect.known) == (1, 2), (
        "one was in the old list only; the third in none, so it stays"
    )
    assert [each.entries for each in rig.ordering.access_lists(lock.name)] == [1, 2], (
        "that there was one is kept"
    )


def test_so_many_entries_are_forgotten_at_once_and_no_more(rig: TwinRig, lock: FakeLock) -> None:
    for uids in (UIDS, UIDS[:2], []):
        set_list(rig, lock, *uids)
    later = rig.clock.at + timedelta(days=90)
    left: list[int | None] = []
    steps: list[int] = []
    with rig.ledger.database.writing() as connection:
        while steps[-1:] != [0]:
            steps.append(forget(connection, later, 2))
            left.append(connection.scalar(sa.select(sa.func.count()).select_from(access_entries)))
        numbers = connection.scalar(sa.select(sa.func.count()).select_from(transponders))
        kept = connection.scalar(sa.select(sa.func.count()).where(access_lists.c.kept == 1))
    assert left[:2] == [3, 1], "two of the three in the first list, then the third and one of the second"
    assert (left[-1], numbers, kept) == (0, 0, 1)
