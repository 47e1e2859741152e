"""The feed: which pours are in it, how they are numbered, what their events say, and that a rebuild changes nothing."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from cloud_sink.cli import app
from cloud_sink.config import load_config
from cloud_sink.errors import ConfigError
from cloud_sink.feed_reading import FeedReader, to_batch
from cloud_sink.following import Lag
from cloud_sink.ledger.instants import to_ms
from cloud_sink.ledger.operator_events import Decision, add_events
from cloud_sink.operator_events import ChamberDescription, LockDescription, SubjectKind
from cloud_sink.projections.feed import Feed
from cloud_sink.reading import default_url
from tests.support.fake_gateway import START, FakeGateway, FakeLock
from tests.support.ledger import Ledger, pseudonym
from wastelock.messages import FeedEvent
from wastelock.record import ClockStatus, Flag, Kind, PourResult

SITE = "estate-1"
MakeFeed = Callable[..., Feed]


@pytest.fixture
def other() -> FakeGateway:
    return FakeGateway(gateway="gw-0002", site="estate-2", seed=2)


@pytest.fixture
def ledger(
    ledger_url: str, tmp_path: Path, gateway: FakeGateway, other: FakeGateway, keyed_lock: FakeLock
) -> Iterator[Ledger]:
    """A ledger of two sites."""
    opened = Ledger(ledger_url, tmp_path, [gateway, other], [keyed_lock])
    yield opened
    opened.close()


@pytest.fixture
def make_feed(ledger: Ledger) -> Iterator[MakeFeed]:
    made: list[Feed] = []

    def make(batch_entries: int = 1000) -> Feed:
        feed = Feed(ledger.url, default_url(ledger.url), batch_entries, None, Random(1))
        made.append(feed)
        return feed

    yield make
    for feed in made:
        feed.close()


@pytest.fixture
def reader(ledger: Ledger) -> Iterator[FeedReader]:
    opened = FeedReader(ledger.url, default_url(ledger.url))
    yield opened
    opened.close()


def keep_up(feed: Feed) -> None:
    while feed.step():
        pass


def numbers(events: list[FeedEvent]) -> list[int]:
    return [int(event.sequence) for event in events]


def describe(ledger: Ledger, lock: FakeLock, fraction: str, at: datetime) -> None:
    body = LockDescription(site=SITE, chambers={1: ChamberDescription(fraction=fraction, volume_ml=5000)})
    with ledger.database.writing() as connection:
        add_events(connection, [Decision(SubjectKind.LOCK, lock.name, body, "anna")], to_ms(at))


def test_each_site_is_numbered_for_itself_from_1_without_a_gap_in_the_order_of_the_ledger(
    ledger: Ledger, gateway: FakeGateway, other: FakeGateway, make_feed: MakeFeed, reader: FeedReader
) -> None:
    here, there = FakeLock(), FakeLock(serial=0x1F00B1)
    for count in (3, 1, 4):
        ledger.take(gateway.seal(here.pours(count)), other.seal(there.pours(count + 1)))
    keep_up(make_feed())
    for site, pours in ((SITE, 8), ("estate-2", 11)):
        events = reader.after(site)
        assert numbers(events) == list(range(1, pours + 1))
        in_ledger = [entry for entry in ledger.entries() if entry.site == site]
        assert [event.id for event in events] == [f"{e.lock}/{e.epoch}/{e.seq}" for e in in_ledger]
    assert [(s.site, s.last_sequence) for s in reader.sites()] == [(SITE, 8), ("estate-2", 11)]


@pytest.mark.parametrize("batch_entries", [1, 3, 1000])
def test_batches_restarts_and_rebuilds_give_the_same_numbers(
    ledger: Ledger, gateway: FakeGateway, other: FakeGateway, make_feed: MakeFeed, batch_entries: int
) -> None:
    here, there = FakeLock(), FakeLock(serial=0x1F00B1)
    for _ in range(3):
        ledger.take(gateway.seal([*here.pours(2), here.page_record(here.record(kind=Kind.EMPTYING))]))
        ledger.take(other.seal(there.pours(1)))
        keep_up(make_feed(batch_entries))
    live = make_feed(batch_entries)
    digest = live.digest()
    live.prepare(anew=True)
    assert live.digest() != digest
    keep_up(live)
    assert live.digest() == digest


def test_only_complete_verified_pours_are_in_the_feed(
    ledger: Ledger, gateway: FakeGateway, keyed_lock: FakeLock, make_feed: MakeFeed, reader: FeedReader
) -> None:
    lock = FakeLock()
    forger = FakeLock(keyed_lock.serial, keyed_lock.epoch, key=bytes(16))
    records = [
        lock.page_record(lock.record()),
        lock.page_record(lock.record(result=PourResult.GIVEN_UP)),
        lock.page_record(lock.record(result=PourResult.JAMMED)),
        lock.page_record(lock.record(kind=Kind.ACCESS_DENIED)),
        lock.page_record(lock.record(), unverified=True),
        forger.page_record(forger.record()),
        lock.page_record(lock.record()),
    ]
    ledger.take(gateway.seal(records))
    keep_up(make_feed())
    assert [event.id for event in reader.after(SITE)] == [f"{lock.name}/1/1", f"{lock.name}/1/6"]


def test_a_pour_that_was_unreadable_first_gets_its_number_when_a_readable_copy_comes(
    ledger: Ledger, gateway: FakeGateway, make_feed: MakeFeed, reader: FeedReader
) -> None:
    lock = FakeLock()
    first = lock.record()
    ledger.take(gateway.seal([lock.page_record(first, unverified=True), *lock.pours(1)]))
    ledger.take(gateway.seal([lock.page_record(first)]))
    keep_up(make_feed())
    assert [event.id for event in reader.after(SITE)] == [f"{lock.name}/1/2", f"{lock.name}/1/1"]


def test_a_disputed_pour_keeps_its_number_and_says_what_stands(
    ledger: Ledger, gateway: FakeGateway, make_feed: MakeFeed, reader: FeedReader
) -> None:
    lock = FakeLock()
    stands = lock.record()
    ledger.take(gateway.seal([lock.page_record(stands), *lock.pours(1)]))
    keep_up(make_feed())
    before = to_batch(reader.after(SITE))
    lock.seq = 0
    ledger.take(gateway.seal([lock.page_record(lock.record(volume_ml=20_000))]))
    assert [dispute.kind for dispute in ledger.reader.disputes()] == ["record"]
    feed = make_feed()
    keep_up(feed)
    assert to_batch(reader.after(SITE)) == before
    feed.prepare(anew=True)
    keep_up(feed)
    assert to_batch(reader.after(SITE)) == before


def test_an_event_says_all_that_the_contract_promises(
    ledger: Ledger, gateway: FakeGateway, keyed_lock: FakeLock, make_feed: MakeFeed, reader: FeedReader
) -> None:
    describe(ledger, keyed_lock, "organic", START - timedelta(days=1))
    record = keyed_lock.record(
        weight_word=321,
        uid=0xE004015000000007,
        flags=ClockStatus.SET | Flag.SERVICE,
        register_after=2**32 - 1,
    )
    ledger.take(gateway.seal([keyed_lock.page_record(record)]))
    keep_up(make_feed())
    [event] = reader.after(SITE)
    credential = pseudonym(ledger, 0xE004015000000007)
    assert event.model_dump(mode="json", by_alias=True) == {
        "specversion": "1.0",
        "type": "io.wastelock.pour.committed.v1",
        "source": f"/wl/{SITE}/{keyed_lock.name}",
        "id": f"{keyed_lock.name}/3/1",
        "subject": credential,
        "time": "2026-11-22T09:00:01.000Z",
        "datacontenttype": "application/json",
        "sequence": "000000000001",
        "recordedtime": "2026-11-22T12:00:01.000Z",
        "data": {
            "site": SITE, "lock": keyed_lock.name, "chamber": 1, "volume_ml": 5000, "weight_g": 3210,
            "fraction": "organic", "credential": credential, "result": 0, "clock_quality": "ntp",
            "register": 2**32 - 1, "service": True,
        },
    }  # fmt: skip


def test_no_event_holds_a_transponders_number(
    ledger: Ledger, gateway: FakeGateway, make_feed: MakeFeed, reader: FeedReader
) -> None:
    lock = FakeLock()
    uid = 0xE004015012345678
    ledger.take(gateway.seal([lock.page_record(lock.record(uid=uid))]))
    keep_up(make_feed())
    text = to_batch(reader.after(SITE)).decode().lower()
    assert f"{uid:x}" not in text
    assert str(uid) not in text


def test_the_fraction_is_the_one_that_was_described_when_the_pour_began(
    ledger: Ledger, gateway: FakeGateway, make_feed: MakeFeed, reader: FeedReader
) -> None:
    lock = FakeLock()
    minute = timedelta(minutes=1)
    describe(ledger, lock, "residual", START)
    describe(ledger, lock, "organic", START + 10 * minute)
    began = [START - minute, START, START + 9 * minute, START + 10 * minute]
    records = [lock.record(began_clock_s=int(at.timestamp())) for at in began]
    records.append(lock.record(began_clock_s=int(began[1].timestamp()), chamber=2))
    ledger.take(gateway.seal([lock.page_record(record) for record in records]))
    keep_up(make_feed())
    fractions = [event.data.fraction for event in reader.after(SITE)]
    assert fractions == [None, "residual", "residual", "organic", None]


def test_a_pour_of_a_clock_that_was_never_set_is_filed_under_when_it_was_read(
    ledger: Ledger, gateway: FakeGateway, make_feed: MakeFeed, reader: FeedReader
) -> None:
    lock = FakeLock()
    record = lock.record(flags=ClockStatus.NEVER_SET, began_clock_s=40)
    ledger.take(gateway.seal([lock.page_record(record, read_at=START)]))
    keep_up(make_feed())
    [event] = reader.after(SITE)
    assert (event.time, event.data.clock_quality) == (START, "never_set")


def test_the_feed_is_read_from_any_number_on_and_in_pieces(
    ledger: Ledger, gateway: FakeGateway, make_feed: MakeFeed, reader: FeedReader
) -> None:
    ledger.take(gateway.seal(FakeLock().pours(10)))
    keep_up(make_feed())
    assert numbers(reader.after(SITE, 7)) == [8, 9, 10]
    assert numbers(reader.after(SITE, 2, limit=3)) == [3, 4, 5]
    assert reader.after(SITE, 10) == reader.after("nowhere") == []
    assert (reader.last_sequence(SITE), reader.last_sequence("nowhere")) == (10, 0)


def test_two_at_once_take_each_entry_once(
    ledger: Ledger, gateway: FakeGateway, make_feed: MakeFeed, reader: FeedReader
) -> None:
    ledger.take(gateway.seal(FakeLock().pours(10)))
    one, two = make_feed(3), make_feed(2)
    while one.step() + two.step():
        pass
    assert numbers(reader.after(SITE)) == list(range(1, 11))
    assert one.lag() == two.lag() == Lag(10, 10)


def test_a_ledger_that_was_restored_from_an_older_copy_is_numbered_anew(
    tmp_path: Path, gateway: FakeGateway, lock: FakeLock
) -> None:
    url, projections = f"sqlite:///{tmp_path / 'ledger.sqlite'}", f"sqlite:///{tmp_path / 'other.sqlite'}"
    ledger = Ledger(url, tmp_path, [gateway])
    pages = [gateway.seal(lock.pours(5)) for _ in range(2)]
    ledger.take(pages[0])
    feed = Feed(url, projections, 100, None, Random(1))
    keep_up(feed)
    older = feed.digest()
    ledger.take(pages[1])
    keep_up(feed)
    ledger.close()
    for path in tmp_path.glob("ledger.sqlite*"):
        path.unlink()
    feed.close()
    restored = Ledger(url, tmp_path, [gateway])
    restored.take(pages[0])
    reader = FeedReader(url, projections)
    with pytest.raises(ConfigError, match="cloud-sink rebuild feed"):
        reader.after(SITE, 3)
    feed = Feed(url, projections, 100, None, Random(1))
    keep_up(feed)
    assert feed.digest() == older
    assert numbers(reader.after(SITE, 3)) == [4, 5]
    reader.close()
    feed.close()
    restored.close()


def test_who_reads_before_anything_was_projected_is_told_what_to_do(
    ledger: Ledger, reader: FeedReader
) -> None:
    with pytest.raises(ConfigError, match="cloud-sink project"):
        reader.after(SITE)


def test_the_command_prints_an_event_a_line_from_any_number_on(
    ledger: Ledger, gateway: FakeGateway, make_feed: MakeFeed, reader: FeedReader, tmp_path: Path
) -> None:
    ledger.take(gateway.seal(FakeLock().pours(5)))
    config = tmp_path / "cloud-sink.toml"
    config.write_text(f'[ledger]\nurl = "{ledger.url}"\n[feed]\npublish = false\n')
    invoke = CliRunner().invoke
    done = invoke(app, ["project", "--once", "--only", "feed", "--config", str(config)])
    assert done.exit_code == 0, done.output
    options = ["--site", SITE, "--after", "2", "--limit", "2"]
    done = invoke(app, ["feed", "--config", str(config), *options])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [event.to_json().decode() for event in reader.after(SITE, 2, 2)]
    done = invoke(app, ["feed", "--config", str(config), "--site", SITE])
    assert len(done.stdout.splitlines()) == 5


def test_a_certificate_is_never_used_for_the_feed_and_the_intake_at_once(tmp_path: Path) -> None:
    for name in ("ca.crt", "sink.crt", "sink.key", "feed.crt", "feed.key"):
        (tmp_path / name).touch()
    config = tmp_path / "cloud-sink.toml"
    text = '[ledger]\nurl = "sqlite:///ledger.sqlite"\n[mqtt]\nhost = "broker.example.org"\nusername = "sink-1"\n'
    config.write_text(text + 'ca_file = "ca.crt"\ncert_file = "sink.crt"\nkey_file = "sink.key"\n')
    with pytest.raises(ConfigError, match=r"feed\.cert_file is missing"):
        _ = load_config(config).feed_broker
    config.write_text(config.read_text() + '[feed]\ncert_file = "feed.crt"\nkey_file = "feed.key"\n')
    broker = load_config(config).feed_broker
    assert broker is not None
    assert (broker.host, broker.session_name) == ("broker.example.org", "sink-1-feed")
    assert (broker.ca_file, broker.cert_file) == (tmp_path / "ca.crt", tmp_path / "feed.crt")
    config.write_text(text + "[feed]\npublish = false\n")
    assert load_config(config).feed_broker is None
