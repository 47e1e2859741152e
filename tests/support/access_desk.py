"""A lock whose access list follows master data: billing's real books, the sink's real ledger, a clock that a test sets.

The master data are those of the worked case: transponders 1, 3 and 4 are in force, 2 ended with a move in May 2025.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from billing_aggregator.masterdata.facts import Fact
from billing_aggregator.masterdata.importing import import_files, load_facts
from billing_aggregator.masterdata.store import MasterData
from billing_aggregator.masterdata.transponders import block_transponder, find_transponder
from cloud_sink.ledger.tables import transponders
from cloud_sink.orders.model import AccessList
from cloud_sink.orders.ordering import Ordering
from portal.access_keeper import AccessKeeper
from portal.accounts.book import Accounts
from portal.billing_door import BillingDoor
from portal.config import AccountsSection
from portal.metrics import Metrics
from portal.sink_door import SinkDoor
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger
from tests.support.twins import Clock, TwinRig
from tests.unit.billing_aggregator.masterdata_files import open_masterdata
from tests.unit.billing_aggregator.pour_estates import local, pseudonym
from tests.unit.billing_aggregator.run_books import worked_facts

LOCK = "1f00a1"
NOW = local("2026-03-01 12:00")
T1, T2, T3, T4, NEW = (pseudonym(uid) for uid in (1, 2, 3, 4, 9))


@dataclass
class AccessDesk:
    """Everything that a keeper works with, and what a test does to it."""

    sink_config: Path
    billing_config: Path
    rig: TwinRig
    masterdata: MasterData
    orders: Ordering
    lock: FakeLock
    gateway: FakeGateway

    def __post_init__(self) -> None:
        self.sink = SinkDoor(self.sink_config, self.clock)
        self.billing = BillingDoor(self.billing_config, self.clock)
        accounts = self.billing_config.parent / "portal-accounts.sqlite"
        self.accounts = Accounts(AccountsSection(url=f"sqlite:///{accounts}"), self.clock)
        self.accounts.prepare()

    @property
    def clock(self) -> Clock:
        return self.rig.clock

    def hear(self, version: int | None = 0, capacity: int | None = None) -> None:
        """The lock tells which list it has, and how long a one it takes."""
        self.rig.hear_lock(self.lock, self.gateway, access_list_version=version, access_list_max=capacity)

    def add_numbers(self, *uids: int) -> None:
        """The sink learns the numbers of transponders."""
        self.orders.add_transponders(uids, self.rig.ledger.keys.pseudonyms)

    def enter(self, *facts: Fact) -> None:
        load_facts(self.masterdata, facts, "clerk", "as it is")

    def end(self, *credentials: str) -> None:
        """They are nobody's from now on, by one file, all before anybody looks."""
        path = self.billing_config.parent / "credential.csv"
        lines = ["property,credential,occupancy,service,from,to_exclusive"]
        for each in credentials:
            for held in find_transponder(self.masterdata, each):
                if held.holds_at(self.clock.at):
                    whose = "" if held.service else f"{held.dwelling}-{held.party}"
                    service, begins_at = "yes" if held.service else "no", held.begins_at.isoformat()
                    lines.append(f"P1,{each},{whose},{service},{begins_at},{self.clock.at.isoformat()}")
        path.write_text("\n".join(lines) + "\n")
        import_files(self.masterdata, [path], "import", "not in the list")

    def lose(self, credential: str) -> None:
        """A clerk marks it lost."""
        block_transponder(self.masterdata, credential, "clerk", "lost")

    def forget_numbers(self) -> None:
        """The sink knows no transponder's number: `cloud-sink transponder add` was never run."""
        with self.rig.ledger.database.writing() as connection:
            connection.execute(transponders.delete())

    def keeper(self) -> AccessKeeper:
        return AccessKeeper(self.billing, self.sink, self.accounts.held, self.clock, 0.1, Metrics())

    def list(self) -> dict[str, str]:
        """Return what the wanted list says of each transponder."""
        found = self.orders.access_list(LOCK)
        return {} if found is None else said(found)


def said(found: AccessList) -> dict[str, str]:
    """Return what a list says of each transponder."""
    return {
        each.credential: "blocked" if each.blocked else "service" if each.service else "admitted"
        for each in found.transponders
    }


@contextmanager
def open_access_desk(
    directory: Path, ledger: Ledger, gateway: FakeGateway, lock: FakeLock
) -> Iterator[AccessDesk]:
    """A desk in an empty directory; the sink signs orders, and knows the numbers of transponders 1 to 4."""
    rig = TwinRig(ledger)
    rig.clock.at = NOW
    url = f"sqlite:///{directory / 'billing.sqlite'}"
    billing, sink = directory / "billing.toml", directory / "cloud-sink.toml"
    billing.write_text(f'[database]\nurl = "{url}"\n[ledger]\nurl = "{ledger.url}"\n')
    sink.write_text(f'[ledger]\nurl = "{ledger.url}"\n[orders]\nsigning_key = "orders.pem"\n')
    masterdata = open_masterdata(url, rig.clock)
    load_facts(masterdata, worked_facts(LOCK), "import")
    orders = Ordering(ledger.url, rig.clock)
    desk = AccessDesk(sink, billing, rig, masterdata, orders, lock, gateway)
    desk.add_numbers(1, 2, 3, 4)
    yield desk
    orders.close()
    desk.accounts.close()
    desk.sink.close()
    masterdata.close()
    rig.close()
