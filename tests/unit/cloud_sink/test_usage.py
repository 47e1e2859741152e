"""Usage per day: counted once whatever the batches, restarts and orders, and the same when it is built anew."""

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_sink import following
from cloud_sink.errors import ConfigError
from cloud_sink.ledger.tables import commits, entries
from cloud_sink.projections import usage_tables as t
from cloud_sink.projections.usage import FIRST_DAY, LocalDays
from cloud_sink.projections.usage_reading import UsageReader
from cloud_sink.projections.usage_store import default_url
from cloud_sink.projector import Projector
from tests.support.fake_gateway import START, FakeGateway, FakeLock
from tests.support.ledger import Ledger
from wastelock.record import Flag, Kind

BERLIN = ZoneInfo("Europe/Berlin")
_1970 = date(1970, 1, 1)
Rows = list[tuple[Any, ...]]


@pytest.fixture
def projector(ledger: Ledger, tmp_path: Path) -> Iterator[Projector]:
    made = project(ledger.url, 7)
    yield made
    made.close()


def project(url: str, batch: int, zone: str = "Europe/Berlin") -> Projector:
    return Projector(url, default_url(url), zone, batch)


def catch_up(projector: Projector) -> None:
    following.catch_up(projector, threading.Event(), lambda position, end: None)


def rows_of(projector: Projector, table: sa.Table) -> Rows:
    with projector.store.database.reading() as connection:
        return [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key))]


def unix(year: int, month: int, day: int, hour: int = 12, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=BERLIN).timestamp())


def test_pours_are_counted_by_local_day_chamber_credential_volume_and_traits(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock, projector: Projector
) -> None:
    before_midnight = unix(2026, 10, 24, 23, 59)
    records = [
        lock.record(began_clock_s=before_midnight, uid=1),
        lock.record(began_clock_s=before_midnight + 120, uid=1),
        lock.record(began_clock_s=before_midnight + 240, uid=1),
        lock.record(began_clock_s=before_midnight + 360, uid=2, flags=1 | Flag.DEGRADED, volume_ml=20_000),
        lock.record(began_clock_s=before_midnight + 400, uid=1, result=2),
        lock.record(began_clock_s=before_midnight + 420, kind=Kind.EMPTYING, chamber=0),
    ]
    at = datetime.fromtimestamp(before_midnight + 500, UTC)
    ledger.take(gateway.seal([lock.page_record(record, read_at=at) for record in records]))
    catch_up(projector)
    day = (date(2026, 10, 24) - _1970).days
    assert [row[1:] for row in rows_of(projector, t.days)] == [
        (day, 1, 1, 5000, 0, 1), (day + 1, 1, 1, 5000, 0, 2), (day + 1, 1, 2, 20_000, Flag.DEGRADED, 1),
    ]  # fmt: skip
    assert [row[1:] for row in rows_of(projector, t.records)] == [
        (day, 1, 1, 1, 1, 1), (day + 1, 1, 0, 6, 6, 0), (day + 1, 1, 1, 2, 5, 3),
    ]  # fmt: skip
    assert rows_of(projector, t.loose) == []


def test_what_has_no_sure_day_is_kept_one_by_one(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock, projector: Projector
) -> None:
    never_set, lost = lock.record(flags=0, began_clock_s=77), lock.record(flags=2)
    unverified, door = lock.record(), lock.record(kind=Kind.FAULT_RAISED, duration_ds=3, chamber=0)
    blocked = lock.record(kind=Kind.FAULT_RAISED, duration_ds=0)
    ledger.take(
        gateway.seal(
            [
                lock.page_record(never_set),
                lock.page_record(lost),
                lock.page_record(unverified, unverified=True),
                lock.page_record(door),
                lock.page_record(blocked),
            ]
        )
    )
    catch_up(projector)
    loose = rows_of(projector, t.loose)
    assert [row[1:4] for row in loose] == [(1, 1, 0), (1, 2, 0), (1, 3, 1), (1, 4, 0)]
    day = (START.astimezone(BERLIN).date() - _1970).days
    assert [row[4:] for row in loose][:2] == [(FIRST_DAY, 2**31 - 1), (day - 1, day + 1)]
    assert rows_of(projector, t.days) == []


@given(st.integers(0, 2**32 - 1), st.sampled_from(["Europe/Berlin", "Asia/Kathmandu", "America/Sao_Paulo"]))
def test_local_days_are_those_of_the_zone(second: int, zone: str) -> None:
    days = LocalDays(ZoneInfo(zone))
    for at in (second, second ^ 1, second):
        local = datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(zone)).date()
        assert days.of(at) == (local - _1970).days


@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.permutations(range(6)))
@settings(max_examples=8)
def test_batches_restarts_and_orders_end_in_the_same_usage(batches: list[int], order: list[int]) -> None:
    with TemporaryDirectory() as directory:
        gateway, lock, other = FakeGateway(), FakeLock(), FakeLock(0x1F00B1, epoch=4)
        ledger = Ledger(f"sqlite:///{directory}/ledger.sqlite", Path(directory), [gateway])
        pages = [gateway.seal([*lock.pours(9), *other.pours(2)]) for _ in range(6)]
        names = []
        for number, index in enumerate(order):
            ledger.take(pages[index], pages[order[0]])
            projector = project(ledger.url, batches[number % len(batches)])
            for _ in range(number):
                projector.step()
            projector.close()
        projector = project(ledger.url, 1000)
        catch_up(projector)
        kept = projector.store.digest()
        by_name = {number: bytes(name) for number, name in rows_of(projector, t.credentials)}
        names = [(*row[:3], by_name[row[3]], *row[4:]) for row in rows_of(projector, t.days)]
        projector.prepare(anew=True)
        catch_up(projector)
        assert projector.store.digest() == kept
        counted = Counter(bytes.fromhex(entry.credential or "") for entry in ledger.entries())
        found: Counter[bytes] = Counter()
        for row in names:
            found[row[3]] += row[6]
        assert found == counted
        projector.close()
        ledger.close()


def test_two_projectors_take_turns_and_count_each_entry_once(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock, projector: Projector
) -> None:
    ledger.take(gateway.seal(lock.pours(100)))
    other = project(ledger.url, 9)
    for each in (projector, other, other, projector):
        each.step()
    catch_up(projector)
    other.step()
    assert sum(row[6] for row in rows_of(projector, t.days)) == 100
    other.prepare()
    assert other.position == ledger.reader.last_position()
    other.close()


def test_a_ledger_that_was_restored_to_an_earlier_state_is_counted_anew(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock, projector: Projector
) -> None:
    """Its positions are given out a second time: what was counted of the first ones must not stay."""
    ledger.take(gateway.seal(lock.pours(10)))
    catch_up(projector)
    with ledger.database.writing() as connection:
        connection.execute(entries.delete().where(entries.c.position > 4))
        connection.execute(commits.update().values(last_position=4))
    assert projector.step() == 0
    assert projector.step() == 4, "one that runs notices once nothing comes"
    assert sum(row[6] for row in rows_of(projector, t.days)) == 4
    with ledger.database.writing() as connection:
        connection.execute(commits.update().values(last_position=3))
    other = project(ledger.url, 7)
    other.prepare()
    assert other.position == 0, "one that starts notices at once"
    other.close()


def test_another_zone_means_building_anew(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock, projector: Projector
) -> None:
    ledger.take(gateway.seal([lock.page_record(lock.record(began_clock_s=unix(2026, 11, 22, 23, 30)))]))
    catch_up(projector)
    tokyo = project(ledger.url, 7, "Asia/Tokyo")
    tokyo.prepare()
    assert tokyo.position == 0
    catch_up(tokyo)
    assert [row[1] for row in rows_of(tokyo, t.days)] == [(date(2026, 11, 23) - _1970).days]
    tokyo.close()


def test_a_reader_sees_only_usage_of_its_own_release(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock, projector: Projector
) -> None:
    fingerprint = ledger.reader.fingerprint()
    with pytest.raises(ConfigError, match="cloud-sink project"):
        UsageReader(default_url(ledger.url), fingerprint)
    ledger.take(gateway.seal(lock.pours(5)))
    catch_up(projector)
    with pytest.raises(ConfigError, match="of this ledger"):
        UsageReader(default_url(ledger.url), "another")
    reader = UsageReader(default_url(ledger.url), fingerprint)
    day = (START.astimezone(BERLIN).date() - _1970).days
    window = reader.read([1], day, day + 1)
    assert (window.position, window.zone) == (5, "Europe/Berlin")
    assert sum(count[-1] for count in window.locks[1].days) == 5
    assert reader.read([1], day + 1, day + 2).locks[1].bounds == [(1, 1, 5)]
    reader.close()
    with projector.store.database.writing() as connection:
        connection.execute(t.state.update().values(version=t.VERSION + 1))
    with pytest.raises(ConfigError, match="cloud-sink project"):
        UsageReader(default_url(ledger.url), fingerprint)
    projector.prepare()
    assert projector.position == 0, "and a projector builds it anew"


def test_the_intake_never_waits_for_the_projector(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock, projector: Projector
) -> None:
    ledger.take(gateway.seal(lock.pours(5)))
    projector.prepare()
    with projector.store.database.writing():
        assert ledger.take(gateway.seal(lock.pours(5))).entries == 5


def test_late_records_of_long_ago_only_add_to_their_day(
    ledger: Ledger, gateway: FakeGateway, lock: FakeLock, projector: Projector
) -> None:
    early, late = lock.pours(3), lock.pours(3)
    ledger.take(gateway.seal(late))
    catch_up(projector)
    ledger.take(gateway.seal(early))
    catch_up(projector)
    day = ((START + timedelta(seconds=1)).astimezone(BERLIN).date() - _1970).days
    assert [row[1:] for row in rows_of(projector, t.records)] == [(day, 1, 1, 1, 6, 6)]
