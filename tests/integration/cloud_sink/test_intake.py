"""The sink as a process between a real broker and a real database."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud_sink.errors import EXIT_SOFTWARE
from cloud_sink.gaps import PageGap, RecordGap
from tests.support.broker import Broker
from tests.support.fake_gateway import START, FakeGateway, FakeLock, SealedPage
from tests.support.ledger import write_keys
from tests.support.mqtt import TestClient
from tests.support.postgres import Postgres
from tests.support.sink import SinkProcess
from tests.support.waiting import wait_until
from wastelock.messages import GatewayState
from wastelock.topics import SINK_STATE


class Peer:
    """A gateway's MQTT client: sends pages, collects what the sink tells it."""

    def __init__(self, client: TestClient, gateway: FakeGateway) -> None:
        self.client = client
        self.gateway = gateway
        for topic in (gateway.topics.receipt, gateway.topics.resend):
            client.subscribe(topic)

    def send(self, *pages: SealedPage) -> None:
        for page in pages:
            self.client.publish(page.topic, page.payload, user=page.user)

    def receipts(self, journal: str | None = None) -> list[dict[str, Any]]:
        wanted = journal or self.gateway.journal
        found = [
            json.loads(m.payload)
            for m in list(self.client.received)
            if m.topic == self.gateway.topics.receipt
        ]
        return [receipt for receipt in found if receipt["journal"] == wanted]

    def resends(self) -> list[list[list[int]]]:
        topic = self.gateway.topics.resend
        return [json.loads(m.payload)["pages"] for m in list(self.client.received) if m.topic == topic]

    def wait_for_watermark(self, page: int) -> dict[str, Any]:
        """Return the first receipt of the gateway's journal that goes so far."""

        def there() -> dict[str, Any] | None:
            return next((r for r in self.receipts() if r["committed_through"] >= page), None)

        receipt = wait_until(there, 30, lambda: f"a receipt up to page {page}; came: {self.receipts()[-1:]}")
        assert receipt is not None
        return receipt


@pytest.fixture
def sink(
    tmp_path: Path, ledger_url: str, broker: Broker, gateway: FakeGateway, lock: FakeLock
) -> Iterator[SinkProcess]:
    with SinkProcess(tmp_path / "sink", ledger_url, broker.port, [gateway], [lock]) as running:
        yield running


@pytest.fixture
def peer(broker: Broker, gateway: FakeGateway) -> Iterator[Peer]:
    with TestClient(broker.port, gateway.gateway) as client:
        yield Peer(client, gateway)


def sequence(sink: SinkProcess) -> list[int]:
    return [entry.seq for entry in sink.reader.all_entries()]


def test_pages_are_committed_confirmed_and_exported(
    sink: SinkProcess, peer: Peer, gateway: FakeGateway, lock: FakeLock, broker: Broker
) -> None:
    pages = [gateway.seal(lock.pours(20)) for _ in range(10)]
    peer.send(*pages)
    receipt = peer.wait_for_watermark(10)
    assert receipt["head"] == pages[-1].hash
    assert (receipt["held"], receipt["quarantined"]) == ([], [])
    lines = sink.export()
    assert [line["seq"] for line in lines] == list(range(1, 201))
    assert lines[0] | {"committed_at": "", "credential": ""} == {
        "position": 1, "lock": "1f00a1", "epoch": 1, "seq": 1, "kind": 1, "result": 0, "chamber": 1, "flags": 1,
        "volume_ml": 5000, "register_after": 1, "began_at": "2026-11-22T09:00:01.000Z",
        "began_clock_s": int(START.timestamp()) + 1, "credential": "", "unverified": False, "gateway": "gw-0001",
        "journal": gateway.journal, "page": 1, "committed_at": "",
    }  # fmt: skip
    assert sink.export("--lock", "1f00a9") == []
    assert sink.export("--since", lines[-1]["committed_at"])[-1]["position"] == 200
    with TestClient(broker.port, "late") as late:
        late.subscribe(gateway.topics.receipt)
        wait_until(lambda: late.received, 10, "the retained receipt")
        assert json.loads(late.received[0].payload)["committed_through"] == 10


def test_reordered_doubled_and_missing_pages_end_in_the_right_ledger(
    sink: SinkProcess, peer: Peer, gateway: FakeGateway, lock: FakeLock
) -> None:
    pages = [gateway.seal(lock.pours(3)) for _ in range(8)]
    peer.send(pages[0], pages[4], pages[4], pages[6], pages[1], pages[0], pages[7])
    asked = wait_until(lambda: [r for r in peer.resends() if r == [[3, 4], [6, 6]]], 20, "a resend request")
    assert asked
    peer.send(pages[5], pages[3], pages[2], pages[3])
    peer.wait_for_watermark(8)
    assert sorted(sequence(sink)) == list(range(1, 25))
    assert sink.reader.record_gaps() == []


def test_nothing_unfit_blocks_the_queue_or_moves_a_watermark(
    sink: SinkProcess, peer: Peer, gateway: FakeGateway, lock: FakeLock
) -> None:
    stranger = FakeGateway("gw-0001", seed=9, journal=gateway.journal)
    good = gateway.seal(lock.pours(1))
    forged = stranger.seal(lock.pours(1))
    client, topic = peer.client, good.topic
    peer.send(forged)
    told = wait_until(
        lambda: [r for r in peer.receipts() if r["quarantined"]], 20, "a word about the forged page"
    )
    assert (told[0]["committed_through"], told[0]["quarantined"]) == (0, [[1, "unknown key"]])
    client.publish(topic, b"\xff\xfenot a page", user=good.user)
    client.publish(topic, good.payload)
    client.publish(topic, good.payload, user={"kid": good.kid, "sig": "A" * 86})
    client.publish("wl/1/elsewhere/gw-0001/up/page", good.payload, user=good.user)
    client.publish("wl/1/a/b/c/up/page", b"")
    client.publish(topic, bytes(300_000), user=good.user)
    broken = gateway.sign(
        b'{"v":1,"gateway":"gw-0002","journal":"%s","page":1,"prev":""}' % gateway.journal.encode()
    )
    peer.send(broken, good)
    peer.wait_for_watermark(1)
    reasons = sorted(line.reason for line in sink.reader.quarantine())
    assert reasons == [
        "bad signature", "bad signature", "foreign page", "no signature", "too large", "unknown gateway", "unknown key",
    ]  # fmt: skip
    assert sequence(sink) == [1]


def test_pages_that_break_the_chain_or_cannot_be_read_are_kept_and_told(
    sink: SinkProcess, peer: Peer, gateway: FakeGateway, lock: FakeLock
) -> None:
    unknown = gateway.sign(
        b'{"v":7,"gateway":"gw-0001","journal":"%s","page":1,"prev":""}' % gateway.journal.encode(), page=1
    )
    gateway.page, gateway.head = 1, unknown.hash
    peer.send(unknown, gateway.seal(lock.pours(2)), gateway.seal(lock.pours(1), prev="B" * 43))
    peer.wait_for_watermark(2)
    last = wait_until(lambda: [r for r in peer.receipts() if r["held"]], 10, "a receipt with what is held")[
        -1
    ]
    assert (last["committed_through"], last["held"], last["quarantined"]) == (
        2,
        [[3, 3]],
        [[3, "chain break"]],
    )
    assert sequence(sink) == [1, 2, 3]
    assert [dispute.kind for dispute in sink.reader.disputes()] == ["chain"]
    assert [line.what for line in sink.reader.quarantine()] == ["unread"]


@pytest.mark.parametrize("kills", [3])
def test_killed_in_mid_load_and_started_again_it_has_all_and_none_twice(
    sink: SinkProcess, peer: Peer, gateway: FakeGateway, lock: FakeLock, kills: int
) -> None:
    pages = [gateway.seal(lock.pours(5)) for _ in range(300)]
    for part in range(kills):
        peer.send(*pages[part * 100 : part * 100 + 100])
        wait_until(lambda part=part: len(peer.receipts()) > 2 * part, 20, "some receipts")  # type: ignore[misc]
        sink.kill()
        sink.start()
    peer.wait_for_watermark(300)
    assert sequence(sink) == list(range(1, 1501))


def test_a_checking_process_that_is_killed_takes_the_sink_with_it_and_costs_nothing(
    tmp_path: Path, ledger_url: str, broker: Broker, peer: Peer, gateway: FakeGateway, lock: FakeLock
) -> None:
    limits = "checking_processes = 2"
    with SinkProcess(tmp_path / "sink", ledger_url, broker.port, [gateway], [lock], limits=limits) as sink:
        pages = [gateway.seal(lock.pours(20)) for _ in range(60)]
        peer.send(*pages[:30])
        peer.wait_for_watermark(1)
        first, second = sink.checkers
        os.kill(first, signal.SIGKILL)
        peer.send(*pages[30:])
        sink.wait_for_end()
        assert sink.exit_code == EXIT_SOFTWARE
        wait_until(lambda: not Path(f"/proc/{second}").exists(), 10, "the other one to end as well")
        assert "a checking process ended" in sink.log
        sink.start()
        peer.wait_for_watermark(60)
        assert sequence(sink) == list(range(1, 1201))


def test_a_killed_sink_leaves_no_checking_process_behind(
    tmp_path: Path, sqlite_url: str, broker: Broker, peer: Peer, gateway: FakeGateway, lock: FakeLock
) -> None:
    limits = "checking_processes = 1"
    with SinkProcess(tmp_path / "sink", sqlite_url, broker.port, [gateway], [lock], limits=limits) as sink:
        for end in (sink.kill, sink.stop):
            [pid] = sink.checkers
            peer.send(*[gateway.seal(lock.pours(100)) for _ in range(40)])  # so that it has something in hand
            end()
            wait_until(lambda pid=pid: not Path(f"/proc/{pid}").exists(), 10, "its process to end")  # type: ignore[misc]
            sink.start()
        peer.wait_for_watermark(80)
        assert sequence(sink) == list(range(1, 8001))


def test_a_broker_that_is_killed_and_comes_back_costs_nothing(
    sink: SinkProcess, peer: Peer, gateway: FakeGateway, lock: FakeLock, broker: Broker
) -> None:
    first, second = gateway.seal(lock.pours(5)), gateway.seal(lock.pours(5))
    peer.send(first)
    peer.wait_for_watermark(1)
    before = sink.connections
    broker.kill()
    broker.start()
    wait_until(lambda: sink.connections > before and peer.client.connected, 40, "both to connect again")
    peer.client.subscribe(gateway.topics.receipt)
    peer.send(second)
    peer.wait_for_watermark(2)
    assert sequence(sink) == list(range(1, 11))


def test_new_keys_need_no_restart_and_reprocess_takes_what_was_quarantined(
    sink: SinkProcess, peer: Peer, gateway: FakeGateway, lock: FakeLock
) -> None:
    newcomer = FakeGateway("gw-0002", seed=2)
    early = newcomer.seal(lock.pours(2))
    peer.send(early)
    wait_until(
        lambda: len(json.loads(sink.ask("quarantine", "--json"))) == 1,
        20,
        "the newcomer's page in quarantine",
    )
    (sink.directory / "gateways.toml").write_text("[[gateways]]\nid = 5\n")
    os.kill(sink.pid, signal.SIGHUP)
    wait_until(lambda: "keys weren't reloaded" in sink.log, 10, "the complaint about gateways.toml")
    write_keys(sink.directory, [gateway, newcomer], [lock])
    os.kill(sink.pid, signal.SIGHUP)
    wait_until(lambda: "keys reloaded" in sink.log, 10, "the reload")
    done = json.loads(sink.ask("reprocess", "--json"))
    assert (done["pages_taken"], done["entries_added"], done["still_quarantined"]) == (1, 2, 0)
    assert list(sink.reader.quarantine()) == []
    peer.send(newcomer.seal(lock.pours(1)))
    wait_until(lambda: sequence(sink) == [1, 2, 3], 20, "the newcomer's next page in the ledger")


def test_what_gateways_report_explains_the_gaps(
    sink: SinkProcess, peer: Peer, gateway: FakeGateway, lock: FakeLock
) -> None:
    pages = [gateway.seal(lock.pours(2)) for _ in range(5)]
    peer.send(pages[0], pages[4])
    state = GatewayState(
        gateway=gateway.gateway, online=True, incarnation=1, at=START, journal=gateway.journal, oldest_page=3,
        newest_page=6,
    )  # fmt: skip
    peer.client.publish(gateway.topics.gateway_state, state.to_json(), retain=True)

    def found() -> list[tuple[str, int, int, str]]:
        gaps: list[RecordGap | PageGap] = [*sink.reader.record_gaps(), *sink.reader.page_gaps()]
        return [(type(gap).__name__, gap.first, gap.last, gap.state.value) for gap in gaps]

    expected = [
        ("RecordGap", 3, 8, "buffered"), ("PageGap", 2, 2, "lost"), ("PageGap", 3, 4, "buffered"),
        ("PageGap", 6, 6, "buffered"),
    ]  # fmt: skip
    wait_until(lambda: found() == expected, 20, lambda: f"these gaps: {found()}")


def test_it_says_when_it_is_there_and_when_it_is_gone(sink: SinkProcess, broker: Broker) -> None:
    with TestClient(broker.port, "watcher") as watcher:
        watcher.subscribe(SINK_STATE)
        wait_until(lambda: [m for m in watcher.received if b'"online":true' in m.payload], 10, "the birth")
        sink.stop()
        wait_until(
            lambda: [m for m in watcher.received if b'"online":false' in m.payload], 10, "the farewell"
        )


def test_a_second_client_of_the_same_name_is_suspected(sink: SinkProcess, broker: Broker) -> None:
    with TestClient(broker.port, "cloud-sink"):
        wait_until(lambda: "is another client using this client_id?" in sink.log, 10, "the suspicion")


def test_database_away_and_back(
    tmp_path: Path, broker: Broker, gateway: FakeGateway, lock: FakeLock, peer: Peer
) -> None:
    with Postgres(durable=True) as postgres:
        url = postgres.create_database()
        with SinkProcess(tmp_path / "sink", url, broker.port, [gateway], [lock]) as sink:
            peer.send(gateway.seal(lock.pours(5)))
            peer.wait_for_watermark(1)
            postgres.kill()
            peer.send(*[gateway.seal(lock.pours(5)) for _ in range(20)])
            wait_until(lambda: "the ledger is unavailable" in sink.log, 20, "the sink to notice")
            assert peer.receipts()[-1]["committed_through"] == 1
            postgres.start()
            peer.wait_for_watermark(21)
            assert sequence(sink) == list(range(1, 106))
            assert sink.running


def test_it_waits_for_a_database_that_is_away_at_start(
    tmp_path: Path, broker: Broker, gateway: FakeGateway, lock: FakeLock, peer: Peer
) -> None:
    with Postgres() as postgres:
        url = postgres.create_database()
        postgres.stop()
        sink = SinkProcess(tmp_path / "sink", url, broker.port, [gateway], [lock])
        sink.start(connected=False)
        try:
            wait_until(lambda: "the ledger is unavailable" in sink.log, 20, "the sink to complain")
            postgres.start()
            wait_until(lambda: sink.connections, 30, "the sink to go on")
            peer.send(gateway.seal(lock.pours(5)))
            peer.wait_for_watermark(1)
        finally:
            sink.kill()


def test_when_one_of_two_sinks_dies_the_other_gets_everything(
    tmp_path: Path, broker: Broker, postgres_url: str, gateway: FakeGateway, lock: FakeLock, peer: Peer
) -> None:
    def start(name: str) -> SinkProcess:
        mqtt = f'share_group = "sinks"\nclient_id = "{name}"\nsession_expiry_s = 1'
        return SinkProcess(tmp_path / name, postgres_url, broker.port, [gateway], [lock], mqtt)

    with start("one"), start("two") as two:
        pages = [gateway.seal(lock.pours(2)) for _ in range(40)]
        peer.send(*pages[:20])
        peer.wait_for_watermark(20)
        two.kill()
        # The broker goes on dealing pages to the dead one until its session ends: these have to be asked for.
        peer.send(*pages[20:])
        answered = 0

        def all_there() -> bool:
            nonlocal answered
            for request in peer.resends()[answered:]:
                answered += 1
                peer.send(*[page for page in pages if any(a <= page.page <= b for a, b in request)])
            if not any(receipt["held"] for receipt in peer.receipts()[-1:]):
                peer.send(pages[-1])  # as a gateway does that hears nothing
            return bool(peer.receipts()[-1]["committed_through"] == 40)

        wait_until(all_there, 40, lambda: f"all pages; last receipt {peer.receipts()[-1]}", poll_s=0.3)


def test_two_sinks_at_once_take_doubled_pages_once(
    tmp_path: Path, broker: Broker, postgres_url: str, gateway: FakeGateway, lock: FakeLock
) -> None:
    others = [FakeGateway(f"gw-{n:04d}", seed=n) for n in range(2, 6)]
    gateways = [gateway, *others]
    locks = [FakeLock(0x300000 + n, key=bytes([n]) * 16) for n in range(5)]
    pages = {
        gw.gateway: [gw.seal(lk.pours(4)) for _ in range(40)] for gw, lk in zip(gateways, locks, strict=True)
    }

    def start(name: str) -> SinkProcess:
        mqtt = f'share_group = "sinks"\nclient_id = "{name}"'
        return SinkProcess(tmp_path / name, postgres_url, broker.port, gateways, locks, mqtt)

    with start("one") as one, start("two") as two, TestClient(broker.port, "all-gateways") as client:
        peers = [Peer(client, gw) for gw in gateways]
        for number in range(40):
            for peer in peers:
                page = pages[peer.gateway.gateway][number]
                peer.send(page, page, pages[peer.gateway.gateway][max(0, number - 3)])
        for peer in peers:
            peer.wait_for_watermark(40)
        entries = list(one.reader.all_entries())
        assert len(entries) == 5 * 160
        assert len({(entry.lock, entry.epoch, entry.seq) for entry in entries}) == 5 * 160
        assert [entry.position for entry in entries] == list(range(1, 801))
        assert one.running
        assert two.running
        assert {run.verdict for run in two.reader.runs()} == {"proven"}
