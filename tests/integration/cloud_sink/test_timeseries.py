"""Time series on a real server: the points are those of the ledger, also after the server was down."""

import json
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cloud_sink.config import TimeseriesSection, load_config
from cloud_sink.errors import TimeSeriesUnavailable
from cloud_sink.following import Lag
from cloud_sink.ledger.bulk import insert_rows
from cloud_sink.ledger.instants import to_ms
from cloud_sink.ledger.tables import observations
from cloud_sink.projecting import PROJECTIONS, wanted_projections
from cloud_sink.projections.timeseries import Timeseries
from cloud_sink.projections.timeseries_server import TimeseriesServer
from cloud_sink.reading import default_url
from tests.support.fake_gateway import START, FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.support.server import ServerProcess
from tests.support.victoria import Victoria
from tests.support.waiting import wait_until
from wastelock.messages import GatewayState, LockState
from wastelock.record import Kind

Point = tuple[str, int, int]
"""Lock, milliseconds, value."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victoria]:
    """One for the tests that don't stop it: each uses a site of its own."""
    with Victoria(tmp_path_factory.mktemp("victoria")) as running:
        yield running


def make_ledger(url: str, directory: Path, gateway: FakeGateway, lock: FakeLock) -> Ledger:
    return Ledger(url, directory, [gateway], [lock])


@contextmanager
def writing(ledger: Ledger, url: str, batch_lines: int = 5000) -> Iterator[Timeseries]:
    settings = TimeseriesSection(url=url, batch_lines=batch_lines, quality_every_s=1)
    made = Timeseries(ledger.url, default_url(ledger.url), settings)
    try:
        yield made
    finally:
        made.close()


def keep_up(projection: Timeseries) -> None:
    while projection.step():
        pass


def observe(ledger: Ledger, site: str, *states: GatewayState | LockState) -> None:
    rows = []
    for number, state in enumerate(states, 1):
        kind, lock = ("lock", state.lock) if isinstance(state, LockState) else ("gateway", None)
        at_ms = to_ms(START) + 1000 * number
        rows.append((number, at_ms, kind, site, "gw-0001", lock, None, state.to_json().decode()))
    with ledger.database.writing() as connection:
        insert_rows(connection, observations, rows)


def in_ledger(ledger: Ledger) -> list[Point]:
    """Each pour as the point of its volume that is to be there."""
    return sorted(
        (entry.lock, entry.began_clock_s * 1000 + entry.seq % 1000, entry.volume_ml)
        for entry in ledger.entries()
        if entry.is_complete_pour
    )


def on_server(server: Victoria, site: str) -> list[Point]:
    found = server.samples(f'wl_pour_volume_ml{{site="{site}"}}')
    return sorted(
        (dict(labels)["lock"], at_ms, value) for labels, those in found.items() for at_ms, value in those
    )


@pytest.mark.parametrize("batch_lines", [7, 5000])
def test_points_are_those_of_the_ledger_and_writing_them_again_adds_none(
    ledger_url: str,
    tmp_path: Path,
    lock: FakeLock,
    server: Victoria,
    batch_lines: int,
    request: pytest.FixtureRequest,
) -> None:
    site = f"estate-{request.node.callspec.id}"
    gateway = FakeGateway(site=site)
    ledger = make_ledger(ledger_url, tmp_path, gateway, lock)
    ledger.take(gateway.seal(lock.pours(40)))
    other = FakeLock(serial=0x1F00C7)
    ledger.take(gateway.seal([*other.pours(20), other.page_record(other.record(kind=Kind.EMPTYING))]))
    lock.seq += 5  # these never came
    ledger.take(gateway.seal(lock.pours(10)))
    ledger.take(gateway.seal(other.pours(1)))
    observe(
        ledger, site,
        LockState(lock=lock.name, driver="wlc-1", at=START, reachable=True, fill_permille=420),
        GatewayState(gateway="gw-0001", online=True, incarnation=1),
    )  # fmt: skip
    with writing(ledger, server.url, batch_lines) as projection:
        keep_up(projection)
        digest = projection.digest()
        assert projection.lag() == Lag(74, 74)
        assert on_server(server, site) == in_ledger(ledger)
        projection.prepare(anew=True)
        assert projection.lag() == Lag(0, 74, projection.lag().waiting_since)
        keep_up(projection)
        assert projection.digest() == digest
    assert on_server(server, site) == in_ledger(ledger)
    own = f'{{site="{site}", lock="{lock.name}"}}'
    [missing] = server.samples(f"wl_quality_missing{own}").values()
    [records] = server.samples(f"wl_quality_records{own}").values()
    assert [value for _, value in missing] == [0, 5]
    assert [value for _, value in records] == [40, 50]
    assert [list(values) for values in server.samples(f"wl_lock_fill_permille{own}").values()] == [
        [(to_ms(START) + 1000, 420)]
    ]
    kinds = Counter(
        {
            dict(labels)["kind"]: sum(value for _, value in values)
            for labels, values in server.samples(
                f'wl_record_count{{site="{site}", lock="{other.name}"}}'
            ).items()
        }
    )
    assert kinds == {"pour": 21, "emptying": 1}
    ledger.close()


def test_two_at_once_write_each_point_and_move_one_cursor(
    sqlite_url: str, tmp_path: Path, lock: FakeLock, server: Victoria
) -> None:
    gateway = FakeGateway(site="estate-two")
    ledger = make_ledger(sqlite_url, tmp_path, gateway, lock)
    ledger.take(gateway.seal(lock.pours(30)))
    with writing(ledger, server.url, 4) as one, writing(ledger, server.url, 3) as two:
        while one.step() + two.step():
            pass
        assert one.lag() == two.lag() == Lag(30, 30)
    assert on_server(server, "estate-two") == in_ledger(ledger)
    ledger.close()


def test_a_server_that_is_down_loses_nothing_and_holds_up_nobody(
    sqlite_url: str, tmp_path: Path, gateway: FakeGateway, lock: FakeLock
) -> None:
    ledger = make_ledger(sqlite_url, tmp_path, gateway, lock)
    config = tmp_path / "cloud-sink.toml"
    process = ServerProcess("cloud-sink project", tmp_path / "project.log")
    with Victoria(tmp_path / "victoria") as server:
        config.write_text(
            f'[ledger]\nurl = "{ledger.url}"\n[feed]\npublish = false\n'
            f'[projections]\nidle_s = 0.05\n[timeseries]\nurl = "{server.url}"\nbatch_lines = 50\n'
        )
        program = [sys.executable, "-c", "from cloud_sink.cli import main; main()", "project"]
        wanted = ["--only", "usage", "--only", "feed", "--only", "timeseries"]
        process.start([*program, *wanted, "--config", str(config)], lambda: True)
        try:
            for round_no in range(2):
                ledger.take(gateway.seal(lock.pours(20)))
                wait_until(lambda: on_server(server, gateway.site) == in_ledger(ledger), 30, "the points")
                server.stop()
                for _ in range(5):
                    ledger.take(gateway.seal(lock.pours(60)))
                end = ledger.reader.last_position()
                wait_until(lambda: positions(config, "usage", "feed") == [end, end], 30, "the others")  # noqa: B023
                assert positions(config, "timeseries") == [end - 300]
                if round_no:
                    process.kill()
                    process.start([*program, *wanted, "--config", str(config)], lambda: True)
                server.start()
                wait_until(lambda: positions(config, "timeseries") == [end], 40, process.log.read_text)  # noqa: B023
            assert on_server(server, gateway.site) == in_ledger(ledger)
        finally:
            process.stop()
    ledger.close()


def positions(config: Path, *names: str) -> list[int]:
    found = []
    for name in names:
        projection = PROJECTIONS[name](load_config(config))
        found.append(projection.lag().position)
        projection.close()
    return found


class Stubborn(BaseHTTPRequestHandler):
    """A server that answers whatever it is told to."""

    answer = (204, "")
    got: list[tuple[str, str]]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((self.path, self.headers.get("Authorization", "")))
        status, said = self.answer
        body = json.dumps({"code": "x", "message": said}).encode() if said else b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def stubborn() -> Iterator[tuple[type[Stubborn], str]]:
    handler = type("Handler", (Stubborn,), {"got": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        yield handler, f"http://127.0.0.1:{listening.server_address[1]}"
        listening.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "said", "told"),
    [
        (401, "unauthorized access", "token_file"),
        (404, "bucket not found", r"timeseries\.bucket"),
        (400, "unable to parse", "unable to parse"),
        (503, "", "503"),
    ],
)
def test_what_a_server_refuses_is_told_and_kept(
    stubborn: tuple[type[Stubborn], str], tmp_path: Path, status: int, said: str, told: str
) -> None:
    handler, url = stubborn
    handler.answer = (status, said)
    token = tmp_path / "token"
    token.write_text("secret\n")
    server = TimeseriesServer(TimeseriesSection(url=url, org="o", bucket="b", token_file=token))
    with pytest.raises(TimeSeriesUnavailable, match=told):
        server.write(["m f=1i 1"])
    server.close()
    [(path, authorization)] = handler.got
    assert (path, authorization) == ("/api/v2/write?org=o&bucket=b&precision=ns", "Token secret")


def test_points_older_than_the_bucket_keeps_are_no_reason_to_stop(
    stubborn: tuple[type[Stubborn], str],
) -> None:
    handler, url = stubborn
    handler.answer = (
        422,
        "failure writing points to database: partial write: points beyond retention policy dropped=3",
    )
    server = TimeseriesServer(TimeseriesSection(url=url, batch_lines=2))
    server.write(["m f=1i 1", "m f=1i 2", "m f=1i 3"])
    server.close()
    assert len(handler.got) == 2, "in requests of at most so many lines"


def test_without_its_section_no_time_series_are_written(tmp_path: Path) -> None:
    config = tmp_path / "cloud-sink.toml"
    config.write_text('[ledger]\nurl = "sqlite:///ledger.sqlite"\n')
    assert "timeseries" not in wanted_projections(load_config(config))
    config.write_text(config.read_text() + '[timeseries]\nurl = "http://127.0.0.1:8428"\n')
    assert "timeseries" in wanted_projections(load_config(config))
