"""Spool, forwarder and uplink against a real mosquitto and a ledger that keeps to the contract."""

import sqlite3
import threading
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_agent.errors import JournalForked, SpoolCorrupt, SpoolUnavailable
from edge_agent.receipt_drop import ReceiptDrop
from edge_agent.spool import Spool, SpoolLimits
from edge_agent.spool_pages import Sealer
from edge_agent.spool_receipts import Judgement
from tests.support.broker import Broker
from tests.support.mqtt import TestClient
from tests.support.waiting import wait_until
from tests.unit.edge_agent.gateway import (
    KEY,
    MIB,
    START,
    TOPICS,
    Clock,
    active,
    all_pages,
    opened,
    receipt_for,
    visit,
)
from tests.unit.edge_agent.ledger import Ledger
from tests.unit.edge_agent.running_gateway import Gateway
from wastelock.messages import SinkState
from wastelock.page import SigningKey, signature_holds
from wastelock.signed_file import Receipts
from wastelock.topics import SINK_STATE


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


def wait_for_records(ledger: Ledger, count: int, timeout_s: float = 20.0) -> None:
    wait_until(
        lambda: len(set(ledger.record_ids())) == count,
        timeout_s,
        lambda: f"{count} records, {len(set(ledger.record_ids()))} are there",
    )


def test_pages_wait_in_the_spool_while_the_broker_is_down_and_leave_only_on_receipts(
    path: Path, tmp_path: Path
) -> None:
    broker = Broker(tmp_path / "broker")
    with Gateway(path, broker.port).running() as gateway:
        gateway.seal(1, 50)
        with broker, Ledger(broker.port) as ledger:
            wait_for_records(ledger, 50)
            wait_until(lambda: active(path).committed_through == 50, what="the receipt")
    assert len(all_pages(path)) == 50


def test_a_restarted_gateway_goes_on_where_the_receipts_ended(path: Path, broker: Broker) -> None:
    with Ledger(broker.port) as ledger:
        with Gateway(path, broker.port).running() as gateway:
            gateway.seal(1, 20)
            wait_for_records(ledger, 20)
            wait_until(lambda: active(path).committed_through == 20, what="the receipt")
        with Gateway(path, broker.port).running() as gateway:
            gateway.seal(21, 25)
            wait_for_records(ledger, 25)
        assert sorted(ledger.order) == list(range(1, 26)), "what was received is not sent again"


def test_pages_lost_on_the_way_are_sent_again_soon_because_later_ones_arrived(
    path: Path, broker: Broker
) -> None:
    with Ledger(broker.port) as ledger, Gateway(path, broker.port).running() as gateway:
        ledger.lose = {3, 7}
        gateway.seal(1, 40)
        wait_for_records(ledger, 40)


def test_the_last_page_lost_on_the_way_is_sent_again_after_a_time_out(path: Path, broker: Broker) -> None:
    with Ledger(broker.port) as ledger, Gateway(path, broker.port).running() as gateway:
        ledger.lose = {5}
        gateway.seal(1, 5)
        wait_for_records(ledger, 5)


def test_a_broker_with_default_limits_that_drops_in_silence_costs_time_but_no_page(
    path: Path, tmp_path: Path
) -> None:
    """mosquitto as it comes, its queue cut to 10 messages: it acknowledges what it then drops."""
    limits = ("max_queued_messages 10", "max_inflight_messages 5", "log_type all")
    with Broker(tmp_path / "broker", limits, defaults=()) as broker:
        with Ledger(broker.port, slow_s=0.005) as ledger, Gateway(path, broker.port).running() as gateway:
            gateway.seal(1, 400)
            wait_for_records(ledger, 400, 60)
        assert "Outgoing messages are being dropped" in (tmp_path / "broker" / "mosquitto.log").read_text()


def test_a_killed_broker_loses_no_page(path: Path, broker: Broker) -> None:
    with Gateway(path, broker.port).running() as gateway:
        with Ledger(broker.port, answers=False) as deaf:
            gateway.seal(1, 30)
            wait_until(lambda: len(deaf.order) >= 20, what="pages to be on their way")
        broker.kill()
        broker.start()
        with Ledger(broker.port) as ledger:
            gateway.seal(31, 35)
            wait_for_records(ledger, 35)


def test_live_pages_do_not_wait_for_the_backlog_and_the_backlog_moves_all_the_while(
    path: Path, broker: Broker
) -> None:
    offline = Gateway(path, 1)
    with offline.running():
        offline.seal(1, 300)
    with Ledger(broker.port, slow_s=0.005) as ledger, Gateway(path, broker.port).running() as gateway:
        wait_until(lambda: len(ledger.order) >= 10, what="the backlog to move")
        gateway.seal(301, 320)
        wait_until(lambda: set(range(301, 321)) <= set(ledger.order), what="the live pages")
        assert len(set(range(1, 301)) - set(ledger.order)) > 50, "much of the backlog still waits"
        wait_for_records(ledger, 320, 30)
        first, last = ledger.order.index(301), ledger.order.index(320)
        assert any(page <= 300 for page in ledger.order[first:last]), "and it moved meanwhile"


def test_the_ledger_gets_again_what_it_asks_for_even_if_it_had_confirmed_it(
    path: Path, broker: Broker
) -> None:
    with Ledger(broker.port) as ledger, Gateway(path, broker.port).running() as gateway:
        gateway.seal(1, 10)
        wait_until(lambda: active(path).committed_through == 10, what="the receipt")
        del ledger.order[:]
        ledger.ask_for(active(path).uuid, 3, 5)
        wait_until(lambda: ledger.order == [3, 4, 5], what="pages 3 to 5 again")


def test_a_request_for_more_than_there_is_or_for_another_journal_does_no_harm(
    path: Path, broker: Broker
) -> None:
    with Ledger(broker.port) as ledger, Gateway(path, broker.port).running() as gateway:
        gateway.seal(1, 3)
        wait_until(lambda: active(path).committed_through == 3, what="the receipt")
        del ledger.order[:]
        ledger.ask_for(str(uuid4()), 1, 3)
        ledger.ask_for(active(path).uuid, 3, 2**62)
        wait_until(lambda: ledger.order == [3], what="page 3 again")


@pytest.mark.parametrize("topic", [TOPICS.receipt, TOPICS.resend, SINK_STATE])
@pytest.mark.parametrize(
    "payload", [b"", b"{", b'{"v":2}', b"\xff", b'{"v":1,"journal":"no","committed_through":-1}']
)
def test_a_message_that_makes_no_sense_stops_nothing(
    path: Path, broker: Broker, topic: str, payload: bytes
) -> None:
    with Ledger(broker.port) as ledger, Gateway(path, broker.port).running() as gateway:
        wait_until(lambda: gateway.uplink.is_connected, what="the session")
        with TestClient(broker.port, "somebody") as somebody:
            somebody.puback(somebody.publish(topic, payload))
        gateway.seal(1, 2)
        wait_for_records(ledger, 2)


def test_forged_and_stale_receipts_let_nothing_be_pruned(path: Path, broker: Broker) -> None:
    clock = Clock()
    with (
        Ledger(broker.port, answers=False) as ledger,
        Gateway(path, broker.port, clock, keep_days=0).running() as gateway,
    ):
        gateway.seal(1, 5)
        wait_until(lambda: len(ledger.order) == 5, what="five pages")
        view = active(path)
        ledger.send(receipt_for(path, 5, journal=str(uuid4())))
        ledger.send(receipt_for(path, 3, journal=view.uuid).model_copy(update={"head": None}))
        ledger.send(receipt_for(path, 1))
        wait_until(lambda: active(path).pruned_through == 1, what="the one true receipt to be used")
        assert [page.page for page in all_pages(path)] == [2, 3, 4, 5]


def test_a_forked_journal_stops_the_run_so_that_all_begins_from_what_is_on_disk(
    path: Path, broker: Broker
) -> None:
    with Ledger(broker.port, answers=False) as ledger:
        with (
            pytest.raises(JournalForked, match="newest sealed here"),
            Gateway(path, broker.port).running() as gateway,
        ):
            gateway.seal(1, 3)
            wait_until(lambda: len(ledger.order) == 3, what="three pages")
            old = active(path).uuid
            ledger.send(receipt_for(path, 8, head="x" * 43))
            wait_until(lambda: gateway.failures, what="the run to end")
        ledger.answers = True
        with Gateway(path, broker.port).running():
            wait_until(lambda: active(path).committed_through == 3, what="the new journal's receipt")
            assert active(path).uuid != old


def test_a_page_that_is_not_what_was_sealed_is_never_sent(path: Path, broker: Broker) -> None:
    offline = Gateway(path, 1)
    with offline.running():
        offline.seal(1, 30)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "UPDATE page SET payload = CAST(replace(payload, 'ntp', 'rtc') AS BLOB) WHERE page = 4"
        )
    connection.close()
    with Ledger(broker.port) as ledger:
        with pytest.raises(SpoolCorrupt, match="page 4"), Gateway(path, broker.port).running() as gateway:
            wait_until(lambda: gateway.failures, what="the damage to be found")
        with Gateway(path, broker.port).running() as gateway:
            wait_until(lambda: len(set(ledger.record_ids())) == 29, what="all pages but the damaged one")
            assert gateway.spool.cursor("1f00a1") is None, (
                "the ring is read again: it still has those records"
            )


def test_a_quarantined_page_is_told_of_and_signed_anew_when_its_time_comes(
    path: Path, broker: Broker
) -> None:
    offline = Gateway(path, 1)
    with offline.running():
        offline.seal(1, 3)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE page SET signature = 'AAAA' WHERE page = 2")
    connection.close()
    with Ledger(broker.port) as ledger, Gateway(path, broker.port).running() as gateway:
        ledger.refuse_bad_signatures = True
        now = gateway.forwarder._now_s  # moved on below: quarantine lasts half a minute at least
        wait_until(gateway.alarms.texts, what="the alarm")
        assert "bad signature" in gateway.alarms.texts()[0]
        gateway.forwarder._now_s = lambda: now() + 120
        wait_for_records(ledger, 3)
        wait_until(lambda: gateway.alarms.texts() == (), what="the alarm to be over")
        page = next(
            message for message in ledger.messages if b'"page":2,' in message.payload and message.held
        )
        assert signature_holds(KEY.private.public_key(), TOPICS.page, page.payload, page.signature)


def test_with_no_sink_the_broker_says_so_and_when_it_comes_nobody_waits_long(
    path: Path, broker: Broker
) -> None:
    with Gateway(path, broker.port).running() as gateway:
        gateway.seal(1, 10)
        wait_until(
            lambda: any("nobody is subscribed" in text for text in gateway.alarms.texts()), what="the alarm"
        )
        with Ledger(broker.port) as ledger, TestClient(broker.port, "sink") as sink:
            sink.publish(SINK_STATE, SinkState(online=True).to_json())
            wait_for_records(ledger, 10)
            wait_until(lambda: gateway.alarms.texts() == (), what="the alarm to be over")


def test_no_more_pages_without_receipt_are_under_way_than_the_window_holds(
    path: Path, broker: Broker
) -> None:
    with Ledger(broker.port, answers=False) as ledger, Gateway(path, broker.port).running() as gateway:
        gateway.seal(1, 200)
        wait_until(lambda: len(ledger.order) == 64, what="a window full of pages")
        wait_until(lambda: len(ledger.order) > 64, 20, what="some to be sent again")
        assert len(set(ledger.order)) <= 64 + 4, "after the time-out the window is small"


def test_a_page_of_another_card_is_told_of_but_never_signed_by_this_gateway(
    path: Path, broker: Broker
) -> None:
    stranger = SigningKey(Ed25519PrivateKey.from_private_bytes(b"\7" * 32))
    card = path.with_name("spool.db.brought-20261122T090000000000")
    limits = SpoolLimits(64 * MIB, 14 * 86_400_000, 4096)
    with opened(Spool(card, limits, Sealer(TOPICS, stranger), Clock().now, lambda: "ntp")) as spool:
        spool.seal(visit(seq=7))
    with Ledger(broker.port) as ledger, Gateway(path, broker.port).running() as gateway:
        ledger.refuse_bad_signatures = True
        now = gateway.forwarder._now_s  # moved on below: quarantine lasts half a minute at least
        wait_until(lambda: len(ledger.messages) == 1, 20, what="the page, for the ledger to judge")
        wait_until(lambda: any("bad signature" in text for text in gateway.alarms.texts()), what="the alarm")
        gateway.forwarder._now_s = lambda: now() + 120
        wait_until(lambda: len(ledger.messages) == 2, 20, what="the page once more")
        assert [message.held for message in ledger.messages] == [False, False]
    assert len(all_pages(path)) == 1


def test_what_lies_beside_the_spool_and_can_not_be_taken_away_stops_no_agent(
    path: Path, broker: Broker
) -> None:
    path.with_name("spool.db.receipts-0").mkdir()
    with Ledger(broker.port) as ledger, Gateway(path, broker.port).running() as gateway:
        gateway.seal(1, 3)
        wait_for_records(ledger, 3)
        assert gateway.failures == []


def test_receipts_by_hand_that_can_not_be_noted_now_stay_until_they_can(
    path: Path, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Gateway(path, broker.port).running() as gateway:
        gateway.seal(1, 3)
        receipts = Receipts(
            site=TOPICS.site, gateway=TOPICS.gateway, at=START, receipts=(receipt_for(path, 3),)
        )
        asked = threading.Event()

        def be_unavailable(*_: object, **__: object) -> Judgement:
            asked.set()
            raise SpoolUnavailable("the disk doesn't answer")

        with monkeypatch.context() as disk:
            disk.setattr(gateway.spool, "apply_receipt", be_unavailable)
            laid = ReceiptDrop(path).put(receipts)
            wait_until(asked.is_set, what="the receipt to be tried")
            assert laid.exists()
        wait_until(lambda: not laid.exists(), 10, "the receipt to be noted")
        assert active(path).committed_through == 3
