"""How long the fleet's pages take with 2,000 locks, from request to the last byte, in a portal with its real twins.

figure    ms from the request to the whole page, over HTTP on loopback
baseline  the page of one's own account in the same portal: a session, a template, no twin

Locks stand in 100 sites, each described with its place; each was heard of and has 100 pours. No two requests at once.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx

from bench.ledger_filling import Filling, fill, lock_name
from bench.table import Baseline, Goal, Row
from bench.workplace import BenchFailed, Workplace, take_turns
from cloud_sink.config import ObservationsSection
from cloud_sink.ledger import latest_reports
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.instants import to_ms
from cloud_sink.ledger.keeping import keep
from cloud_sink.ledger.observations import ReportKind
from cloud_sink.operating import Author, Operations
from cloud_sink.operator_events import LockDescription
from cloud_sink.projections.twins.projection import TwinProjection
from cloud_sink.projections.twins.thresholds import Thresholds
from cloud_sink.projections.usage_store import default_url
from cloud_sink.reports import Report
from portal.roles import Role
from tests.support.ledger import Ledger
from tests.support.portal import Portal, write_sink_config
from wastelock.messages import ChamberState, GatewayState, LockState

_LOCKS_PER_SITE = 20
_LOCKS_PER_GATEWAY = 10
_COLUMNS = 6
_REPORTS_AT_ONCE = 200
_BATCH_ENTRIES = 20_000
_ZONE = "Europe/Berlin"
_AGED_S = 1.1
_BASELINE = "the page of one's own account in the same portal"
_BASELINE_PATH = "/account"
SECOND_MS = 1000.0


def run(place: Workplace) -> list[Row]:
    locks = place.pick(2000, 200)
    url = f"sqlite:///{place.directory / 'ledger.sqlite'}"
    ledger = Ledger(url, place.directory, [])
    try:
        place.say(f"{locks:,} locks with 100 pours each, heard of and described")
        fill(ledger.database, Filling(locks=locks, pages_per_lock=1, payload_bytes=1000), place.say)
        report_all(ledger.database, locks)
        describe_all(url, locks)
        build_twins(place, url)
        with (
            Portal(place.directory, write_sink_config(place.directory, url)) as portal,
            portal.browser(Role.OPERATOR) as browser,
        ):
            return _measure(place, browser, locks)
    finally:
        ledger.close()


def _measure(place: Workplace, browser: httpx.Client, locks: int) -> list[Row]:
    pages = (
        (f"fleet's first page, map of {locks:,} locks, nothing at hand", "/fleet", True),
        (f"fleet as a list, worst of {locks:,} first, nothing at hand", "/fleet?view=list&sort=worst", True),
        ("the same, searched by text, asked again within a second", "/fleet?view=list&text=site-07", False),
        ("fleet's figures alone, nothing at hand", "/fleet/figures", True),
        ("one site's page", "/sites/site-007", False),
        ("one lock's page", f"/locks/{lock_name(7)}", False),
        ("data quality, worst first", "/quality", False),
    )
    rows = []
    for what, path, aged in pages:
        place.say(path)
        ask = _asks(place, browser, path, aged)
        own = _asks(place, browser, _BASELINE_PATH, False)
        taken, baseline = take_turns(place, ask, own, place.pick(12, 4))
        goal = Goal("figure", "at most", SECOND_MS)
        rows.append(Row(what, "ms", taken, Baseline(_BASELINE, baseline), goal))
    size = len(browser.get("/fleet").content) / 1024
    return [*rows, Row("the map's HTML", "KiB", (size,), goal=Goal("figure", "at most", 1024.0))]


def _asks(
    place: Workplace, browser: httpx.Client, path: str, aged: bool
) -> Callable[[], Callable[[], object]]:
    """`aged`: what the portal has at hand of the fleet is too old by then, so it is made anew."""

    def ask() -> None:
        answer = browser.get(path)
        if answer.status_code != httpx.codes.OK:
            raise BenchFailed(f"{path}: answered with {answer.status_code}")

    def prepare() -> Callable[[], object]:
        if aged:
            place.pause(_AGED_S)
        return ask

    return prepare


def report_all(database: Database, locks: int) -> None:
    """Let every lock and gateway be heard of, a moment ago."""
    now = datetime.now(UTC) - timedelta(seconds=5)
    reports: list[Report] = []
    for number in range(1, locks + 1):
        gateway = f"gw-{(number - 1) % (locks // _LOCKS_PER_GATEWAY)}"
        name = lock_name(number)
        reports.append(Report(ReportKind.LOCK, "estate", gateway, name, _lock_state(name, number, now), now))
    for number in range(locks // _LOCKS_PER_GATEWAY):
        state = GatewayState(gateway=f"gw-{number}", online=True, incarnation=1, at=now, software="bench")
        reports.append(Report(ReportKind.GATEWAY, "estate", f"gw-{number}", None, state, now))
    for start in range(0, len(reports), _REPORTS_AT_ONCE):
        part = reports[start : start + _REPORTS_AT_ONCE]
        with database.writing() as connection:
            latest_reports.save(connection, part, to_ms(now))
            keep(connection, part, to_ms(now), ObservationsSection(), shared=False)


def _lock_state(name: str, number: int, now: datetime) -> LockState:
    chamber = ChamberState(number=1, volume_ml=5000, register_count=100, enabled=True)
    return LockState(
        lock=name,
        driver="wlc-1",
        at=now,
        reachable=True,
        state="locked",
        epoch=1,
        firmware="1.4.2",
        faults=("flap_open",) if number % 40 == 0 else (),
        fill_permille=number * 37 % 1000,
        battery_mv=3600,
        clock_status=1,
        clock_offset_s=-1,
        oldest_seq=1,
        newest_seq=100,
        confirmed_seq=100,
        spooled_seq=100,
        chambers=(chamber,),
    )


def describe_all(url: str, locks: int) -> None:
    """Say of every lock where it stands."""
    operations = Operations(url, lambda: datetime.now(UTC))
    try:
        operations.describe_locks(
            {lock_name(n): _description(n) for n in range(1, locks + 1)}, Author("bench")
        )
    finally:
        operations.close()


def _description(number: int) -> LockDescription:
    place = (number - 1) % _LOCKS_PER_SITE
    return LockDescription(
        label=f"Lock {place + 1}",
        site=f"site-{(number - 1) // _LOCKS_PER_SITE:03d}",
        row=place // _COLUMNS + 1,
        column=place % _COLUMNS + 1,
        container_ml=1_100_000,
    )


def build_twins(place: Workplace, url: str) -> None:
    """Make the twins of all that is there."""
    projection = TwinProjection(url, default_url(url), _ZONE, _BATCH_ENTRIES, Thresholds())
    try:
        projection.prepare()
        took_ms = place.time_ms(lambda: _take_all(projection))
        projection.alarms.look_now()
        place.say(f"twins are built, in {took_ms / 1000:.1f} s")
    finally:
        projection.close()


def _take_all(projection: TwinProjection) -> None:
    while projection.step():
        pass
