"""From a pour to the page: 32 locks on one bus, 1,000 more in the ledger, every program a process of its own.

    controller ─▶ edge-agent ─▶ broker ─▶ cloud-sink run ─▶ ledger ─▶ portal ─▶ Chromium
                                                 cloud-sink project ─▶ twins ─▶┘

figure    seconds from the discharge at the controller to the record standing on its site's page, as p99 of all pours
baseline  seconds to the commit in the ledger, of the same pours: the rest is looking for news, telling and showing

Once over Modbus TCP, once at 19200 Bd 8E1 on a pseudo-terminal that keeps the wire's time, all 32 locks on one line.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from playwright.sync_api import Browser, Page

from bench.fleet_page import describe_all, report_all
from bench.ledger_filling import Filling, fill
from bench.rig import Rig
from bench.table import Baseline, Goal, Row
from bench.workplace import BenchFailed, Workplace
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.migrating import migrate
from cloud_sink.reading import Entry, LedgerReader
from demo.estate import Bus, Estate, Lock
from demo.layout import Layout, Settings
from demo.process import Child, program
from portal import cookies
from portal.accounts.book import Accounts, utc_now
from portal.config import Config, load_config
from portal.roles import Role
from tests.support.browser import launch_browser, open_page
from tests.support.ports import free_port, is_listening

LOCKS = 32
_BAUDRATE = 19_200
_STANDING_LOCKS = 1000
_SITE = "estate-1"
_START_S = 90.0
_ARRIVE_S = 30.0
_LEAST_S, _MOST_S = 0.1, 0.9  # between two pours
_GOAL_S = 2.0
_LINES = "#latest li"
# Notes when each record was first seen on the page; the machine's one clock dates that as well as the pour.
_WATCH = """() => {
  window.seen = {};
  const look = () => {
    for (const line of document.querySelectorAll("#latest li")) window.seen[line.dataset.position] ??= Date.now();
  };
  look();
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
}"""


@dataclass(frozen=True, slots=True)
class Pour:
    """A pour that was made, by the name of its record; `at_s`: unix seconds."""

    lock: str
    seq: int
    at_s: float


@dataclass(frozen=True, slots=True)
class Way:
    """How long a pour took (s): to the commit, to the page."""

    ledger_s: float
    page_s: float


def run(place: Workplace) -> list[Row]:
    rows: list[Row] = []
    with launch_browser() as browser:
        for kind, bus in (
            ("one Modbus TCP link", Bus("line", "tcp")),
            (f"one serial line at {_BAUDRATE:,} Bd", Bus("line", "rtu", _BAUDRATE, "wire")),
        ):
            place.say(f"{LOCKS} locks on {kind}")
            rows += _rows(kind, _measure(place, browser, place.directory / bus.kind, bus))
    return rows


def _rows(kind: str, ways: Sequence[Way]) -> list[Row]:
    ledger, page = sorted(way.ledger_s for way in ways), sorted(way.page_s for way in ways)
    what = f"pour to page, {LOCKS} locks on {kind}"
    does = "to the commit in the ledger"
    return [
        Row(f"{what}: p50", "s", (_quantile(page, 50),), Baseline(does, (_quantile(ledger, 50),))),
        Row(
            f"{what}: p99 of {len(ways)}", "s", (_quantile(page, 99),), Baseline(does, (_quantile(ledger, 99),)),
            Goal("figure", "at most", _GOAL_S),
        ),
    ]  # fmt: skip


def _quantile(ordered: Sequence[float], percent: int) -> float:
    """Return the least value that so many per cent don't exceed."""
    return ordered[min(len(ordered) - 1, -(-len(ordered) * percent // 100) - 1)]


def _measure(place: Workplace, browser: Browser, directory: Path, bus: Bus) -> list[Way]:
    locks = tuple(Lock(0x1F0100 + n, bus.name, n + 1, pours_per_day=10.0) for n in range(LOCKS))
    estate = Estate(_SITE, "gw-0001", (bus,), locks)
    with ExitStack() as stack:
        rig = stack.enter_context(Rig(directory, estate, Settings(poll_interval_s=1.0)))
        url = f"sqlite:///{rig.layout.directory / 'ledger.db'}"
        _fill_ledger(place, url)
        stack.enter_context(_running(rig.layout, "cloud-sink", "run", rig.layout.sink_config))
        ledger = stack.enter_context(_reader(place, url))
        rig.start_agent()
        rig.wait(lambda: len(rig.sealed_and_confirmed()) == LOCKS, "the first records of all locks", _START_S)
        stack.enter_context(_running(rig.layout, "cloud-sink", "project", rig.layout.sink_config))
        page = stack.enter_context(_site_page(place, rig.layout, browser, stack))
        place.say(f"pouring {place.pick(200, 30)} times, at random")
        return _pour(place, rig, ledger, page)


def _pour(place: Workplace, rig: Rig, ledger: LedgerReader, page: Page) -> list[Way]:
    """Let somebody pour at a random lock now and then; return how long each record was on its way."""
    random = Random(1)
    before = ledger.last_position()
    pours = []
    for _ in range(place.pick(200, 30)):
        lock = random.choice(rig.estate.locks)
        at_s = datetime.now(UTC).timestamp()
        answer = rig.controls[0].do("pour", lock=lock.name, chamber=1, instant=True)
        pours.append(Pour(lock.name, int(answer["newest"]), at_s))
        # Playwright's own loop goes on meanwhile.
        page.wait_for_timeout(1000 * random.uniform(_LEAST_S, _MOST_S))
    wanted = {(pour.lock, pour.seq) for pour in pours}
    place.wait_until(
        lambda: wanted <= {(e.lock, e.seq) for e in ledger.all_entries(before)},
        "all pours in the ledger",
        _ARRIVE_S,
    )
    page.wait_for_timeout(2000)
    seen_ms: dict[str, int] = page.evaluate("window.seen")
    entries = {(entry.lock, entry.seq): entry for entry in ledger.all_entries(before)}
    return [_way(pour, entries[pour.lock, pour.seq], seen_ms) for pour in pours]


def _way(pour: Pour, entry: Entry, seen_ms: dict[str, int]) -> Way:
    shown_ms = seen_ms.get(str(entry.position))
    if shown_ms is None:
        raise BenchFailed(f"record {pour.seq} of lock {pour.lock} never stood on the page")
    return Way(entry.committed_at.timestamp() - pour.at_s, shown_ms / 1000 - pour.at_s)


def _fill_ledger(place: Workplace, url: str) -> None:
    """Put 1,000 locks that aren't here into the ledger, heard of and described."""
    locks = place.pick(_STANDING_LOCKS, 100)
    database = Database(url)
    try:
        migrate(database)
        fill(database, Filling(locks=locks, pages_per_lock=1, payload_bytes=1000), place.say)
        report_all(database, locks)
    finally:
        database.close()
    describe_all(url, locks)


@contextmanager
def _running(layout: Layout, name: str, command: str, config: Path) -> Iterator[Child]:
    child = Child(f"{name}-{command}", [*program(name), command, "--config", str(config)], layout.logs)
    child.start()
    try:
        yield child
    finally:
        child.stop()


@contextmanager
def _reader(place: Workplace, url: str) -> Iterator[LedgerReader]:
    reader = LedgerReader(url)
    try:
        place.wait_until(lambda: reader.fingerprint() != "", "the sink's start", _START_S)
        yield reader
    finally:
        reader.close()


@contextmanager
def _site_page(place: Workplace, layout: Layout, browser: Browser, stack: ExitStack) -> Iterator[Page]:
    """The site's page in a browser that has signed in, live."""
    settings = _portal_config(layout)
    stack.enter_context(_running(layout, "portal", "serve", layout.directory / "portal.toml"))
    place.wait_until(lambda: is_listening(settings.web.port), "the portal", _START_S)
    session = (cookies.session_name(settings.web), _session(settings))
    with open_page(browser, settings.web.public_url, session, forgiven=("503",)) as page:
        place.wait_until(lambda: _shows_site(page), "the site's page", _START_S, poll_s=1.0)
        page.wait_for_selector('[data-live-state][data-state="on"]')
        page.evaluate(_WATCH)
        yield page


def _shows_site(page: Page) -> bool:
    """The first twins take a while, and until then there is no page."""
    page.goto(f"/sites/{_SITE}")
    return page.locator(_LINES).count() > 0


def _portal_config(layout: Layout) -> Config:
    port = free_port()
    path = layout.directory / "portal.toml"
    path.write_text(
        f'[web]\nport = {port}\npublic_url = "http://127.0.0.1:{port}"\n[sink]\nconfig = "{layout.sink_config.name}"\n'
    )
    return load_config(path)


def _session(settings: Config) -> str:
    accounts = Accounts(settings.accounts, utc_now, None)
    try:
        accounts.prepare()
        password = accounts.users.add("bench", Role.OPERATOR, "bench")
        accounts.users.change_password("bench", password, "battery horse staple")
        return accounts.sessions.open_for_user(accounts.users.named("bench").user_no, "bench")
    finally:
        accounts.close()
