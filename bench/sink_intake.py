"""How fast the sink takes in pages, against the plain subscriber (plain_subscriber.py): same pages, same broker.

figure    records/s from the first to the last commit that is seen: signatures, chain, CRC-32 and MAC checked, pages and
          entries on the disk before their receipt and their PUBACK
baseline  50 lines of paho, orjson and SQLite that check nothing and acknowledge before anything is stored: with
          SQLite's defaults, as most people would write them, and tuned (WAL) by somebody who knows SQLite

For each run a fresh broker with config like ours gets a session for the subscriber and the whole backlog published into
it; only then the subscriber is started. So neither starting up nor the publisher counts.
"""

import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import psycopg

from bench.plain_subscriber import CLIENT_ID as PLAIN_CLIENT
from bench.table import Baseline, Goal, Row
from bench.usage import family_cpu_s
from bench.workplace import BenchFailed, Workplace
from demo.process import Child, program
from tests.support.broker import Broker
from tests.support.fake_gateway import FakeGateway, FakeLock, SealedPage
from tests.support.ledger import write_keys
from tests.support.mqtt import TestClient
from tests.support.postgres import Postgres
from tests.support.waiting import wait_until

GATEWAYS, LOCKS_EACH = 10, 5
RECORDS = 100
_POLL_S = 0.02
_TIMEOUT_S = 300.0
_BROKER = (
    "max_inflight_messages 0",
    "max_queued_messages 0",
    "max_queued_bytes 1073741824",
    "set_tcp_nodelay true",
)
_PLAIN = "50 lines of paho, orjson and SQLite: no checks, acknowledged before it is stored"


@dataclass(slots=True)
class Rates:
    """What one subscriber reached: records in a second, and in a second of CPU time."""

    per_s: list[float] = field(default_factory=list)
    per_cpu_s: list[float] = field(default_factory=list)


def run(place: Workplace) -> list[Row]:
    """Measure plain subscribers, SQLite and PostgreSQL in turn, several times."""
    pages = place.pick(2500, 300)
    place.say(f"sealing {pages:,} pages of {RECORDS} records")
    gateways, locks, sealed = make_pages(pages)
    write_keys(place.directory, gateways, locks)
    found = {name: Rates() for name in ("plain", "plain, WAL", "SQLite", "PostgreSQL")}
    with Postgres(durable=True) as postgres:
        for number in range(1, place.pick(7, 1) + 1):
            for name, rates in found.items():
                directory = place.directory / f"{name}-{number}"
                directory.mkdir()
                if name.startswith("plain"):
                    _measure_plain(directory, sealed, rates, "WAL" if "WAL" in name else "DELETE")
                else:
                    url = (
                        f"sqlite:///{directory}/ledger.sqlite"
                        if name == "SQLite"
                        else postgres.create_database()
                    )
                    _measure_sink(place.directory, directory, sealed, rates, url)
                place.say(f"run {number}: {name} {rates.per_s[-1]:,.0f} records/s")
    return _rows(found)


def _rows(found: dict[str, Rates]) -> list[Row]:
    plain, wal = found["plain"], found["plain, WAL"]
    tuned = f"{_PLAIN}, SQLite in WAL mode"
    sinks = [(name, f"intake on {name}, pages of {RECORDS}") for name in ("SQLite", "PostgreSQL")]
    goal = Goal("ratio", "at least", 1.5)
    against_plain = Baseline(_PLAIN, tuple(plain.per_s), paired=True)
    against_wal = Baseline(tuned, tuple(wal.per_s), paired=True)
    by_cpu = Baseline(tuned, tuple(wal.per_cpu_s), paired=True)
    return [
        *(Row(what, "records/s", tuple(found[name].per_s), against_plain, goal) for name, what in sinks),
        *(
            Row(f"{what}, WAL baseline", "records/s", tuple(found[name].per_s), against_wal)
            for name, what in sinks
        ),
        *(
            Row(f"{what}, by CPU time", "records/CPU-s", tuple(found[name].per_cpu_s), by_cpu)
            for name, what in sinks
        ),
    ]


def make_pages(pages: int) -> tuple[list[FakeGateway], list[FakeLock], list[SealedPage]]:
    """Return gateways, locks and pages, gateways and locks taking turns, each record with its MAC."""
    gateways = [FakeGateway(f"gw-{number:04d}", seed=number + 1) for number in range(GATEWAYS)]
    locks = [
        FakeLock(0x1F00A1 + number, key=sha256(str(number).encode()).digest()[:16])
        for number in range(GATEWAYS * LOCKS_EACH)
    ]
    sealed = []
    for number in range(pages):
        lock = number // GATEWAYS % LOCKS_EACH + LOCKS_EACH * (number % GATEWAYS)
        sealed.append(gateways[number % GATEWAYS].seal(locks[lock].pours(RECORDS)))
    return gateways, locks, sealed


def _measure_plain(directory: Path, sealed: list[SealedPage], rates: Rates, journal_mode: str) -> None:
    path = directory / "plain.sqlite"
    command = [sys.executable, "-m", "bench.plain_subscriber"]
    with _counting_sqlite(path, "SELECT max(rowid) FROM records") as count:
        _measure(
            directory,
            PLAIN_CLIENT,
            sealed,
            rates,
            lambda port: [*command, str(port), str(path), journal_mode],
            count,
        )


def _measure_sink(keys: Path, directory: Path, sealed: list[SealedPage], rates: Rates, url: str) -> None:
    """Measure the sink on a ledger that isn't there yet."""

    def start(port: int) -> list[str]:
        config = keys / "cloud-sink.toml"
        config.write_text(f'[ledger]\nurl = "{url}"\n[mqtt]\nport = {port}\n')
        return [*program("cloud-sink"), "run", "--config", str(config)]

    query = "SELECT max(last_position) FROM commits"
    path = Path(url.removeprefix("sqlite:///"))
    counting = _counting_sqlite(path, query) if url.startswith("sqlite") else _counting_postgres(url, query)
    with counting as count:
        _measure(directory, "cloud-sink", sealed, rates, start, count)


def _measure(
    directory: Path,
    client: str,
    sealed: list[SealedPage],
    rates: Rates,
    start: Callable[[int], list[str]],
    count: Callable[[], int],
) -> None:
    """Add the rates of one subscriber. `start`: broker's port -> command; `count`: its committed records so far."""
    with Broker(directory / "broker", defaults=_BROKER) as broker:
        _leave_session(broker, client)
        with TestClient(broker.port, "publisher") as publisher:
            last = [publisher.publish(page.topic, page.payload, user=page.user) for page in sealed][-1]
            publisher.puback(last)
        subscriber = Child("subscriber", start(broker.port), directory)
        subscriber.start()
        try:
            per_s, per_cpu_s = _watch(count, RECORDS * len(sealed), subscriber)
        finally:
            subscriber.stop()
    rates.per_s.append(per_s)
    rates.per_cpu_s.append(per_cpu_s)
    shutil.rmtree(directory)


def _leave_session(broker: Broker, client: str) -> None:
    """Make the session in which the broker keeps pages for a subscriber that is away."""
    with (
        TestClient(broker.port, client, session_expiry_s=3600) as session,
        TestClient(broker.port, "probe") as probe,
    ):
        session.subscribe("wl/1/+/+/up/page")
        # The broker's word on a message tells whether somebody gets it (0), or nobody has subscribed yet (16).
        wait_until(
            lambda: probe.puback(probe.publish("wl/1/x/x/up/page", b"")).value == 0, 10, "the subscription"
        )


def _watch(count: Callable[[], int], total: int, subscriber: Child) -> tuple[float, float]:
    deadline_s = time.monotonic() + _TIMEOUT_S
    began: tuple[int, float, float] | None = None
    while time.monotonic() < deadline_s:
        subscriber.check()
        seen = count()
        if seen and began is None:
            began = seen, time.monotonic(), family_cpu_s(subscriber.pid)
        if began is not None and seen >= total:
            records = seen - began[0]
            return records / (time.monotonic() - began[1]), records / (
                family_cpu_s(subscriber.pid) - began[2]
            )
        time.sleep(_POLL_S)
    raise BenchFailed(f"{count():,} of {total:,} records within {_TIMEOUT_S:g} s\n{subscriber.log_tail()}")


@contextmanager
def _counting_sqlite(path: Path, query: str) -> Iterator[Callable[[], int]]:
    with closing(sqlite3.connect(path)) as db:

        def count() -> int:
            try:
                return int(db.execute(query).fetchone()[0] or 0)
            except sqlite3.OperationalError:
                return 0  # the table isn't there yet

        yield count


@contextmanager
def _counting_postgres(url: str, query: str) -> Iterator[Callable[[], int]]:
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as db:

        def count() -> int:
            try:
                row = db.execute(query.encode()).fetchone()
            except psycopg.errors.UndefinedTable:
                return 0
            return int(row[0] or 0) if row else 0

        yield count
