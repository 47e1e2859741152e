"""What goes out of a ledger of a million entries: the feed to the broker, points to a time series server. On SQLite.

figure    of the last tenth of the ledger, or of its end
baseline  the same of the first tenth: what a long ledger costs
"""

from collections.abc import Callable
from random import Random

from bench.ledger_filling import Filling, fill
from bench.table import Baseline, Goal, Row
from bench.workplace import BenchFailed, Workplace, take_turns
from cloud_sink.config import MqttSection, TimeseriesSection
from cloud_sink.feed_reading import FeedReader
from cloud_sink.projections.feed import Feed
from cloud_sink.projections.timeseries import Timeseries
from tests.support.broker import Broker
from tests.support.ledger import Ledger
from tests.support.victoria import Victoria

NOTICEABLE = 1.5
_SITE = "estate"  # of all that `fill` writes
_BATCH = 10_000
_REPLAYED, _REPLAYS = 500, 20


def run(place: Workplace) -> list[Row]:
    filling = Filling(locks=place.pick(1_000, 50))
    ledger = Ledger(f"sqlite:///{place.directory / 'ledger.sqlite'}", place.directory, [])
    fill(ledger.database, filling, place.say)
    url = f"sqlite:///{place.directory / 'projections.sqlite'}"
    try:
        return [
            _number(place, ledger.url, url, filling.entries),
            _publish(place, ledger.url, url),
            _replay(place, ledger.url, url, filling.entries),
            _write_points(place, ledger.url, url, place.pick(300_000, 20_000)),
        ]
    finally:
        ledger.close()


def _number(place: Workplace, ledger_url: str, url: str, entries: int) -> Row:
    place.say("feed: numbering")
    feed = Feed(ledger_url, url, _BATCH, None, Random(1))
    feed.prepare()
    rates = _rates(place, feed.step, entries // _BATCH)
    feed.close()
    tenth = max(1, len(rates) // 10)
    return Row(
        "feed: entries numbered a second", "entries/s", tuple(rates[-tenth:]),
        Baseline("at the ledger's beginning", tuple(rates[:tenth])), Goal("ratio", "at least", 1 / NOTICEABLE),
    )  # fmt: skip


def _publish(place: Workplace, ledger_url: str, url: str) -> Row:
    place.say("feed: publishing")
    with Broker(place.directory / "broker") as broker:
        feed = Feed(ledger_url, url, _BATCH, MqttSection(port=broker.port), Random(1))
        feed.step()  # connects
        rates = _rates(place, feed.step, place.pick(40, 4))
        feed.close()
    return Row("feed: events confirmed by the broker a second", "events/s", tuple(rates))


def _replay(place: Workplace, ledger_url: str, url: str, entries: int) -> Row:
    place.say("feed: read again")
    reader = FeedReader(ledger_url, url)

    def read_after(sequence: int) -> Callable[[], Callable[[], object]]:
        def read() -> None:
            if len(reader.after(_SITE, sequence, _REPLAYED)) != _REPLAYED:
                raise BenchFailed("the feed is shorter than the ledger")

        return lambda: read

    late_ms, early_ms = take_turns(place, read_after(entries - _REPLAYED), read_after(0), _REPLAYS)
    reader.close()
    return Row(
        f"feed: {_REPLAYED} events read again, the last ones", "ms", late_ms,
        Baseline("the first ones", early_ms), Goal("ratio", "at most", NOTICEABLE),
    )  # fmt: skip


def _write_points(place: Workplace, ledger_url: str, url: str, entries: int) -> Row:
    place.say("time series: writing points")
    with Victoria(place.directory / "victoria") as server:
        settings = TimeseriesSection(url=server.url)
        projection = Timeseries(ledger_url, url, settings)
        projection.prepare()
        rates = _rates(place, projection.step, entries // settings.batch_lines)
        projection.close()
    return Row("time series: records written as points a second", "records/s", tuple(rates))


def _rates(place: Workplace, step: Callable[[], int], times: int) -> list[float]:
    """Return how many a second each of so many steps took."""
    rates = []
    for _ in range(times):
        began_s = place.monotonic_s()
        taken = step()
        if not taken:
            raise BenchFailed("there was nothing left to take")
        rates.append(taken / (place.monotonic_s() - began_s))
    return rates
