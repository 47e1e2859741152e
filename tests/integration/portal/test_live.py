"""The live stream over HTTP: what was committed arrives, can be resumed, and shows nobody more than he may see."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from portal.roles import Role
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger, pseudonym
from tests.support.live_stream import listening
from tests.support.portal import Portal, write_sink_config
from tests.support.twins import TwinRig
from tests.support.waiting import wait_until


def data(event: dict[str, str]) -> dict[str, Any]:
    body = json.loads(event["data"])
    assert isinstance(body, dict)
    return body


def test_a_pour_reaches_whoever_listens(
    portal: Portal, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    with portal.browser(Role.OPERATOR) as client, listening(client) as stream:
        assert stream.next()["event"] == "hello"
        ledger.take(gateway.seal(lock.pours(1)))
        event = stream.next()
        assert event["event"] == "record"
        body = data(event)
        assert (body["lock"], body["seq"], body["complete"], body["volume_ml"]) == (lock.name, 1, True, 5000)
        assert body["credential"] == pseudonym(ledger, 0xE0040150_00000001)


def test_a_reader_gets_no_pseudonyms(
    portal: Portal, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    with portal.browser(Role.READER) as client, listening(client) as stream:
        stream.next()
        ledger.take(gateway.seal(lock.pours(1)))
        assert "credential" not in data(stream.next())


def test_a_stream_is_resumed_after_the_last_event_that_came(
    portal: Portal, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    with portal.browser(Role.OPERATOR) as client:
        with listening(client) as stream:
            stream.next()
            ledger.take(gateway.seal(lock.pours(1)))
            last = stream.next()
        ledger.take(gateway.seal(lock.pours(2)))
        with listening(client, resume=last["id"]) as stream:
            assert [data(stream.next())["seq"] for _ in range(2)] == [2, 3]


@pytest.mark.parametrize("resume", ["another-1", "-", "x", "00000000-5"])
def test_a_stream_that_cannot_be_resumed_begins_anew(portal: Portal, resume: str) -> None:
    with portal.browser(Role.OPERATOR) as client, listening(client, resume=resume) as stream:
        assert stream.next()["event"] == "reset"


def test_only_the_lock_that_was_asked_for(
    portal: Portal, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    with (
        portal.browser(Role.OPERATOR) as client,
        listening(client, "/api/v1/live?lock=ffffff") as other,
        listening(client, f"/api/v1/live?lock={lock.name}") as own,
    ):
        other.next()
        own.next()
        ledger.take(gateway.seal(lock.pours(1)))
        assert data(own.next())["lock"] == lock.name
        assert other.events.empty()


def test_a_session_has_a_bounded_number_of_streams(portal: Portal) -> None:
    with portal.browser(Role.OPERATOR) as client:
        with ExitStack() as streams:
            for _ in range(portal.settings.limits.live_per_session):
                streams.enter_context(listening(client)).next()
            answer = client.get("/api/v1/live")
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "30")
        wait_until(lambda: portal.services.hub.streams == 0, what="streams that were closed to be forgotten")
        with listening(client) as again:
            assert again.next()["event"] == "hello"


def test_what_changes_in_a_twin_reaches_whoever_listens(
    tmp_path: Path, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    rig = TwinRig(ledger)
    ledger.take(gateway.seal(lock.pours(1)))
    rig.hear_lock(lock, gateway)
    rig.catch_up()
    with (
        Portal(tmp_path, write_sink_config(tmp_path, ledger.url)) as portal,
        portal.browser(Role.READER) as client,
        listening(client, f"/api/v1/live?site={gateway.site}") as stream,
        listening(client, "/api/v1/live?site=elsewhere") as elsewhere,
    ):
        assert stream.next()["event"] == elsewhere.next()["event"] == "hello"
        rig.clock.go_on(minutes=1)
        rig.hear_lock(lock, gateway, state="out_of_service")
        rig.catch_up()
        event = stream.next()
        assert elsewhere.events.empty()
    assert event["event"] == "twin"
    body = data(event)
    assert (body["lock"], body["property"], body["value"]) == (lock.name, "state", "out_of_service")


def test_twins_that_are_not_there_hold_up_no_record(
    portal: Portal, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> None:
    with portal.services.sink.ledger() as reader:
        assert reader.last_position() == 0
    with portal.browser(Role.READER) as client, listening(client) as stream:
        stream.next()
        for _ in range(3):
            ledger.take(gateway.seal(lock.pours(1)))
            assert stream.next()["event"] == "record"
