"""When a command is sent, how often, and until when; by a clock that is moved."""

from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_sink.errors import NotPossible
from cloud_sink.ledger.commands import give_up_commands
from cloud_sink.ledger.tables import commands
from cloud_sink.orders.model import CommandState
from tests.support.fake_gateway import FakeLock
from tests.support.twins import TECHNICIAN, TwinRig
from tests.unit.cloud_sink.orders.outbox import Outbox, commanding
from wastelock.page import SigningKey, signature_holds

KEY = SigningKey(Ed25519PrivateKey.generate())


@pytest.fixture
def ledger_url(sqlite_url: str) -> str:
    """Hours go by in these tests, and what they show hangs on no database; both are met on a real broker."""
    return sqlite_url


def sent_at_s(rig: TwinRig, outbox: Outbox, seconds: int) -> list[int]:
    """Let so much time go by; return after how many seconds something was sent; each must be a new attempt."""
    sending, began_at, found = commanding(rig, outbox, KEY), rig.clock.at, []
    for second in range(0, seconds, 15):
        rig.clock.at = began_at + timedelta(seconds=second)
        if sending.send_due():
            found.append(second)
    attempts = [command.attempt for command in outbox.commands]
    assert attempts == list(range(1, len(attempts) + 1))
    return found


def test_a_command_is_sent_at_once_and_again_ever_more_seldom_until_a_while_after_it_expired(
    rig: TwinRig, lock: FakeLock
) -> None:
    rig.order(lock, "read_now", ttl_s=600)
    outbox = Outbox()
    assert sent_at_s(rig, outbox, 3600) == [0, 15, 45, 105, 225, 465, 765, 1065, 1365]
    first, last = outbox.commands[0], outbox.commands[-1]
    assert first.model_copy(update={"attempt": last.attempt}) == last, "the same command, whenever it is sent"
    expiries = [envelope.expiry_s for _, _, envelope, _ in outbox.sent]
    assert expiries == [600, 585, 555, 495, 375, 135, 60, 60, 60], "void once it has expired"
    for topic, payload, envelope, retained in outbox.sent:
        assert signature_holds(KEY.private.public_key(), topic, payload, envelope.sig)
        assert (envelope.kid, envelope.correlation, retained) == (KEY.kid, first.id.encode(), False)


def test_what_is_being_worked_on_is_asked_about_seldom_and_what_is_settled_never(
    rig: TwinRig, lock: FakeLock
) -> None:
    command_id, outbox = rig.order(lock, "read_now", ttl_s=900), Outbox()
    commanding(rig, outbox, KEY).send_due()
    rig.answer(command_id, "accepted")
    assert sent_at_s(rig, outbox, 600) == [15, 315], "the attempt that was due, then every five minutes"
    rig.answer(command_id, "done")
    assert sent_at_s(rig, outbox, 3600) == []


def test_a_command_that_could_not_be_sent_in_time_is_never_sent(rig: TwinRig, lock: FakeLock) -> None:
    command_id, outbox = rig.order(lock, "reboot", ttl_s=60), Outbox()
    rig.clock.go_on(seconds=60)
    assert sent_at_s(rig, outbox, 3600) == []
    view = rig.ordering.command(command_id)
    assert view is not None
    assert (view.state, view.attempt) == (CommandState.UNANSWERED, 0)


def test_an_attempt_is_taken_once_by_however_many_sinks_and_none_of_what_was_withdrawn(
    rig: TwinRig, lock: FakeLock
) -> None:
    first = rig.order(lock, "read_now")
    taken_back = rig.order(lock, "reboot")
    rig.ordering.withdraw(taken_back, TECHNICIAN)
    outbox = Outbox()
    for _ in range(3):
        commanding(rig, outbox, KEY).send_due()
    assert [(each.id, each.attempt) for each in outbox.commands] == [(first, 1)]
    with pytest.raises(NotPossible, match="is sent: only one that wasn't sent yet"):
        rig.ordering.withdraw(first, TECHNICIAN)


def test_commands_are_given_up_with_their_outcomes_once_they_are_old(rig: TwinRig, lock: FakeLock) -> None:
    old = rig.order(lock, "read_now")
    rig.answer(old, "accepted", "done")
    rig.clock.go_on(days=400)
    new = rig.order(lock, "read_now")
    with rig.ledger.database.writing() as connection:
        assert give_up_commands(connection, rig.clock.at - timedelta(days=399), 100) == 1
        assert give_up_commands(connection, rig.clock.at - timedelta(days=399), 100) == 0
    assert [each.id for each in rig.ordering.commands()] == [new]


def test_a_command_that_only_a_later_release_knows_is_told_and_keeps_no_other_waiting(
    rig: TwinRig, lock: FakeLock, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = rig.order(lock, "self_test")
    rig.order(lock, "read_now")
    with rig.ledger.database.writing() as connection:
        connection.execute(commands.update().where(commands.c.id == unknown).values(action="dance"))
    outbox = Outbox()
    assert commanding(rig, outbox, KEY).send_due() == 1
    assert [command.action for command in outbox.commands] == ["read_now"]
    assert "this release can't send a command" in capsys.readouterr().out
