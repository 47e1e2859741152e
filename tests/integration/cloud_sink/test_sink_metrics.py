"""What `cloud-sink run` and `cloud-sink project` tell Prometheus and whoever watches over them, as real processes."""

import json
import subprocess
import sys
from pathlib import Path

from tests.support.broker import Broker
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.mqtt import TestClient
from tests.support.ports import free_port
from tests.support.scraping import fetch, figures_when, promtool, scrape, served_at
from tests.support.sink import SinkProcess
from tests.support.waiting import wait_until
from wastelock.messages import GatewayState

METRICS = '[metrics]\nlisten = "127.0.0.1:0"\nproject_listen = "127.0.0.1:0"\nrefresh_s = 1\n'
REASONS = ("bad signature", "unknown key")


def sink_with_metrics(
    directory: Path, url: str, broker: Broker, gateway: FakeGateway, lock: FakeLock
) -> SinkProcess:
    return SinkProcess(directory, url, broker.port, [gateway], [lock], limits=METRICS)


def log_of(sink: SinkProcess) -> Path:
    return sink.directory / "cloud-sink.log"


def test_the_sinks_figures_tell_what_was_taken_refused_and_is_missing(
    tmp_path: Path, ledger_url: str, broker: Broker, gateway: FakeGateway, lock: FakeLock
) -> None:
    pages = [gateway.seal(lock.pours(2)) for _ in range(5)]
    forged = pages[2]
    with (
        sink_with_metrics(tmp_path / "sink", ledger_url, broker, gateway, lock) as sink,
        TestClient(broker.port, gateway.gateway) as client,
    ):
        url = served_at(log_of(sink))
        first = figures_when(url, lambda f: f.value("wastelock_sink_ledger_available") == 1, "the ledger")
        assert first.value("wastelock_sink_ledger_position") == 0
        state = GatewayState(
            gateway=gateway.gateway, online=True, incarnation=1, journal=gateway.journal, newest_page=7
        )
        client.publish(gateway.topics.gateway_state, state.to_json(), retain=True)
        for page in (pages[0], pages[1], pages[0], pages[3]):
            client.publish(page.topic, page.payload, user=page.user)
        client.publish(forged.topic, forged.payload, user={"kid": forged.kid, "sig": "A" * 86})
        client.publish(pages[4].topic, pages[4].payload, user={"kid": "stranger", "sig": pages[4].sig})
        found = figures_when(
            url,
            lambda f: (
                f.value("wastelock_sink_ledger_position") == 6
                and sum(f.value("wastelock_sink_quarantined_messages", reason=r) or 0 for r in REASONS) == 2
                and f.value("wastelock_sink_gateway_waiting_pages", site="estate-1", gateway="gw-0001") == 5
            ),
            "all of it to be told",
        )
    value = found.value
    assert value("wastelock_sink_pages_total", outcome="new") == 3
    assert value("wastelock_sink_pages_total", outcome="known") == 1
    assert value("wastelock_sink_entries_total") == 6
    assert [value("wastelock_sink_rejected_messages_total", reason=reason) for reason in REASONS] == [1, 1]
    assert (value("wastelock_sink_missing_pages"), value("wastelock_sink_missing_records")) == (1, 2)
    assert (value("wastelock_sink_journals"), value("wastelock_sink_journals_behind")) == (1, 1)
    assert value("wastelock_sink_quarantine_bytes") == len(forged.payload) + len(pages[4].payload)
    assert value("wastelock_sink_gateway_online", site="estate-1", gateway="gw-0001") == 1
    assert value("wastelock_sink_mqtt_connected") == 1
    assert value("wastelock_sink_receipts_total", outcome="sent") == value(
        "wastelock_sink_commit_duration_seconds_count"
    )
    # The pours are of the day on which tests take place: their way took as long as that is ago.
    assert value("wastelock_sink_pour_delay_seconds_count") == 6
    promtool("check", "metrics", stdin=found.text)


def test_no_figure_and_no_log_line_tells_of_a_transponder(
    tmp_path: Path, sqlite_url: str, broker: Broker, gateway: FakeGateway, lock: FakeLock
) -> None:
    page = gateway.seal(lock.pours(50))
    with (
        sink_with_metrics(tmp_path / "sink", sqlite_url, broker, gateway, lock) as sink,
        TestClient(broker.port, gateway.gateway) as client,
    ):
        url = served_at(log_of(sink))
        client.publish(page.topic, page.payload, user=page.user)
        found = figures_when(url, lambda f: f.value("wastelock_sink_entries_total") == 50, "the entries")
        log = sink.log
    assert [json.loads(line)["level"] for line in log.splitlines()], "each line is JSON"
    for uid in (0xE0040150_00000000 + n for n in range(50)):
        for text in (found.text, log):
            assert f"{uid:016x}" not in text.lower() and str(uid) not in text


def test_the_sink_is_alive_but_not_ready_while_the_broker_is_away(
    tmp_path: Path, sqlite_url: str, gateway: FakeGateway, lock: FakeLock
) -> None:
    with Broker(tmp_path / "broker") as broker:
        sink = sink_with_metrics(tmp_path / "sink", sqlite_url, broker, gateway, lock)
        with sink:
            root = served_at(log_of(sink)).removesuffix("/metrics")
            wait_until(lambda: fetch(f"{root}/readyz")[0] == 200, 20, "the sink to be ready")
            assert json.loads(fetch(f"{root}/readyz")[2]) == {"ready": True, "reasons": []}
            broker.stop()
            wait_until(lambda: fetch(f"{root}/readyz")[0] == 503, 20, "the sink not to be ready any more")
            _, kind, text = fetch(f"{root}/readyz")
            assert (kind, json.loads(text)["ready"]) == ("application/json", False)
            assert json.loads(text)["reasons"] == ["broker: no session: the log says why"]
            assert fetch(f"{root}/healthz")[0] == 200
            assert scrape(f"{root}/metrics").value("wastelock_sink_mqtt_connected") == 0


def test_a_sink_that_waits_for_its_ledger_is_alive_but_not_ready(
    tmp_path: Path, broker: Broker, gateway: FakeGateway, lock: FakeLock
) -> None:
    url = f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/ledger"
    sink = sink_with_metrics(tmp_path / "sink", url, broker, gateway, lock).start(connected=False)
    try:
        root = served_at(log_of(sink)).removesuffix("/metrics")
        wait_until(lambda: "the ledger is unavailable" in sink.log, 20, "the complaint")
        assert fetch(f"{root}/healthz")[0] == 200
        status, _, text = fetch(f"{root}/readyz")
        assert status == 503 and "ledger: can't be asked" in text
        assert scrape(f"{root}/metrics").value("wastelock_sink_ledger_available") == 0
    finally:
        sink.kill()


def test_the_projections_tell_how_far_each_has_come(
    tmp_path: Path, sqlite_url: str, broker: Broker, gateway: FakeGateway, lock: FakeLock
) -> None:
    with (
        sink_with_metrics(tmp_path / "sink", sqlite_url, broker, gateway, lock) as sink,
        TestClient(broker.port, gateway.gateway) as client,
    ):
        page = gateway.seal(lock.pours(7))
        client.publish(page.topic, page.payload, user=page.user)
        log = tmp_path / "project.log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                [sys.executable, "-c", "from cloud_sink.cli import main; main()", "project", "--config",
                 str(sink.config), "--only", "usage"],
                stderr=errors,
            )  # fmt: skip
        try:
            url = served_at(log)
            found = figures_when(
                url, lambda f: f.value("wastelock_projection_position", projection="usage") == 7, "usage"
            )
            assert found.value("wastelock_projection_waiting_entries", projection="usage") == 0
            assert found.value("wastelock_projection_lag_seconds", projection="usage") == 0
            assert found.value("wastelock_projection_failures_total", projection="usage") == 0
            assert (
                fetch(url.replace("metrics", "readyz"))[0]
                == fetch(url.replace("metrics", "healthz"))[0]
                == 200
            )
            promtool("check", "metrics", stdin=found.text)
        finally:
            process.kill()
            process.wait()
