"""Measures the sink's intake against the plain subscriber (plain_subscriber.py), on the same pages and the same broker.

For each run: a fresh broker with config like ours, a session for the subscriber, the whole backlog published into it,
then the subscriber is started and its table watched. The rate is taken between the first and the last commit that
are seen, so that neither starting up nor the publisher counts.

    python -m bench.sink_intake --pages 3000 --repeat 3
"""

import argparse
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path

import psycopg

from bench.plain_subscriber import CLIENT_ID as PLAIN_CLIENT
from bench.table import Baseline, Goal, Row
from bench.workplace import Workplace
from tests.support.broker import Broker
from tests.support.fake_gateway import FakeGateway, FakeLock, SealedPage
from tests.support.mqtt import TestClient
from tests.support.postgres import Postgres

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


def make_pages(pages: int, records: int) -> tuple[list[FakeGateway], list[SealedPage]]:
    """Return gateways and their pages, gateways and locks taking turns, each record with its MAC."""
    gateways = [FakeGateway(f"gw-{number:04d}", seed=number + 1) for number in range(GATEWAYS)]
    locks = {
        gateway.gateway: [_lock(LOCKS_EACH * index + number) for number in range(LOCKS_EACH)]
        for index, gateway in enumerate(gateways)
    }
    sealed = []
    for number in range(pages):
        gateway = gateways[number % GATEWAYS]
        lock = locks[gateway.gateway][number // GATEWAYS % LOCKS_EACH]
        sealed.append(gateway.seal(lock.pours(records)))
    return gateways, sealed


def _lock(number: int) -> FakeLock:
    return FakeLock(0x1F00A1 + number, key=sha256(str(number).encode()).digest()[:16])


def measure(
    directory: Path,
    client: str,
    sealed: list[SealedPage],
    start: Callable[[int], list[str]],
    count: Callable[[], int],
) -> float:
    """Return records/s of one subscriber. `start`: broker's port -> command; `count`: its committed records so far."""
    shutil.rmtree(directory / "broker", ignore_errors=True)
    with Broker(directory / "broker", defaults=_BROKER) as broker:
        with TestClient(broker.port, client, session_expiry_s=3600) as session:
            session.subscribe("wl/1/+/+/up/page")
            time.sleep(0.3)
        with TestClient(broker.port, "publisher") as publisher:
            last = [publisher.publish(page.topic, page.payload, user=page.user) for page in sealed][-1]
            publisher.puback(last)
        process = subprocess.Popen(start(broker.port))
        try:
            return _watch(count, sum(page.payload.count(b'"raw"') for page in sealed), process)
        finally:
            process.terminate()
            process.wait()


def _watch(count: Callable[[], int], total: int, process: "subprocess.Popen[bytes]") -> float:
    deadline = time.monotonic() + _TIMEOUT_S
    first: tuple[int, float] | None = None
    while time.monotonic() < deadline and process.poll() is None:
        seen = count()
        if seen and first is None:
            first = (seen, time.monotonic())
        if seen >= total and first is not None:
            return (seen - first[0]) / (time.monotonic() - first[1])
        time.sleep(_POLL_S)
    raise RuntimeError("the subscriber ended or took too long")


def plain(directory: Path, sealed: list[SealedPage], journal_mode: str) -> float:
    """Measure the baseline with one of SQLite's journal modes."""
    path = directory / f"plain-{time.monotonic_ns()}.sqlite"
    command = [sys.executable, "-m", "bench.plain_subscriber"]
    with _counting_sqlite(path, "SELECT max(rowid) FROM records") as count:
        return measure(
            directory,
            PLAIN_CLIENT,
            sealed,
            lambda port: [*command, str(port), str(path), journal_mode],
            count,
        )


def sink(directory: Path, sealed: list[SealedPage], url: str) -> float:
    """Measure the sink on a ledger that isn't there yet."""
    query = "SELECT max(last_position) FROM commits"
    command = [
        str(Path(sys.executable).parent / "cloud-sink"),
        "run",
        "--config",
    ]

    def start(port: int) -> list[str]:
        config = directory / "cloud-sink.toml"
        config.write_text(f'[ledger]\nurl = "{url}"\n[mqtt]\nport = {port}\n')
        return [*command, str(config)]

    counting = (
        _counting_sqlite(Path(url.removeprefix("sqlite:///")), query)
        if url.startswith("sqlite")
        else _counting_postgres(url, query)
    )
    with counting as count:
        return measure(directory, "cloud-sink", sealed, start, count)


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


def run(place: Workplace) -> list[Row]:
    """Measure plain subscriber, SQLite and PostgreSQL in turn, several times."""
    pages = place.pick(3000, 300)
    place.say(f"sealing {pages:,} pages of {RECORDS} records")
    gateways, sealed = make_pages(pages, RECORDS)
    rates: dict[str, list[float]] = {"plain": [], "plain, WAL": [], "SQLite": [], "PostgreSQL": []}
    with Postgres(durable=True) as postgres:
        _write_keys(place.directory, gateways)
        for number in range(1, place.pick(3, 1) + 1):
            rates["plain"].append(plain(place.directory, sealed, "DELETE"))
            rates["plain, WAL"].append(plain(place.directory, sealed, "WAL"))
            rates["SQLite"].append(
                sink(place.directory, sealed, f"sqlite:///{place.directory}/{number}.sqlite")
            )
            rates["PostgreSQL"].append(sink(place.directory, sealed, postgres.create_database()))
            found = ", ".join(f"{name} {mine[-1]:,.0f}" for name, mine in rates.items())
            place.say(f"run {number}: {found} records/s")
    plainly = "50 lines of paho, orjson and SQLite: no checks, acknowledged before it is stored"
    # As most people would write it, that is with SQLite's defaults; beside it, tuned by somebody who knows SQLite.
    baselines = {
        Baseline(plainly, tuple(rates.pop("plain"))): Goal("ratio", "at least", 1.5),
        Baseline(f"{plainly}, SQLite in WAL mode", tuple(rates.pop("plain, WAL"))): None,
    }
    return [
        Row(f"sink's intake on {name}, pages of {RECORDS}", "records/s", tuple(mine), baseline, goal)
        for baseline, goal in baselines.items()
        for name, mine in rates.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pages", type=int, default=3000)
    parser.add_argument("--records", type=int, default=100)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", choices=["plain", "plain-wal", "sqlite", "postgresql"])
    options = parser.parse_args()
    gateways, sealed = make_pages(options.pages, options.records)
    with tempfile.TemporaryDirectory(prefix="wastelock-bench-") as name, Postgres(durable=True) as postgres:
        directory = Path(name)
        _write_keys(directory, gateways)
        subjects: dict[str, Callable[[], float]] = {
            "plain": lambda: plain(directory, sealed, "DELETE"),
            "plain-wal": lambda: plain(directory, sealed, "WAL"),
            "sqlite": lambda: sink(directory, sealed, f"sqlite:///{directory}/{time.monotonic_ns()}.sqlite"),
            "postgresql": lambda: sink(directory, sealed, postgres.create_database()),
        }
        results: dict[str, list[float]] = {name: [] for name in subjects}
        for _ in range(options.repeat):
            for name, subject in subjects.items():
                if options.only in (None, name):
                    results[name].append(subject())
                    print(f"{name:12} {results[name][-1]:10,.0f} records/s", flush=True)
    _print_table(results)


def _write_keys(directory: Path, gateways: list[FakeGateway]) -> None:
    (directory / "gateways.toml").write_text("\n".join(gateway.toml() for gateway in gateways))
    rows = [
        f"{lock.name},1,{lock.key.hex()}" for lock in map(_lock, range(GATEWAYS * LOCKS_EACH)) if lock.key
    ]
    (directory / "lock-keys.csv").write_text("\n".join(["lock,from_epoch,key", *rows]) + "\n")
    key = directory / "pseudonym.key"
    key.touch(mode=0o600)
    key.write_text("00" * 32)


def _print_table(results: dict[str, list[float]]) -> None:
    print(f"\n{'subscriber':12} {'median records/s':>18} {'ratio':>7}")
    base = statistics.median(results["plain"]) if results["plain"] else None
    for name, rates in results.items():
        if rates:
            median = statistics.median(rates)
            ratio = f"{median / base:.2f}" if base else "-"
            print(f"{name:12} {median:18,.0f} {ratio:>7}")


if __name__ == "__main__":
    main()
