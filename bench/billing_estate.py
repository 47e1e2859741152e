"""Properties for the billing benches: one lock each that 40 dwellings share, a year of pours in the ledger.

What a household threw is known without asking anybody: `expected_ml` counts it from the filling's own formula.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from bench.ledger_filling import (
    PAGE_RECORDS,
    Filling,
    fill,
    household_of,
    lock_name,
    pseudonym,
    year_of_households,
)
from bench.workplace import BenchFailed
from billing_aggregator.config import Config, DatabaseSection, LedgerSection
from billing_aggregator.database import Database as BillingDatabase
from billing_aggregator.database import migrate as migrate_billing
from billing_aggregator.masterdata.facts import (
    Advance,
    AgreementFact,
    Area,
    Chamber,
    CostItem,
    Credential,
    Dwelling,
    Fact,
    LockAccess,
    Occupancy,
    Party,
    Period,
    Persons,
    Property,
)
from billing_aggregator.masterdata.importing import load_facts
from billing_aggregator.masterdata.store import MasterData
from billing_aggregator.model import Agreement, BaseKey, DayRange
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.migrating import migrate
from cloud_sink.ledger.tables import facts
from cloud_sink.projections.usage_store import default_url
from cloud_sink.projector import Projector

HOUSEHOLDS = 40
PAGES_A_YEAR = 63  # 6,300 pours: 157 a household
POURS = PAGES_A_YEAR * PAGE_RECORDS
YEAR = DayRange(date(2025, 1, 1), date(2026, 1, 1))
COST_CENTS = 412_345
ZONE = "Europe/Berlin"
_BEFORE = datetime(2024, 12, 1, tzinfo=UTC)
_YEAR_BEGAN = datetime(2024, 12, 31, 23, tzinfo=UTC)
_SINCE = DayRange(YEAR.first, None)
_OWNER = "owner"
_PROPERTIES_A_LOAD = 50
_LITTLE_ML, _LARGE_ML = 5_000, 20_000
_BATCH_ENTRIES = 50_000
_AGREEMENT = Agreement(
    base_share=30,
    usage_share=70,
    base_key=BaseKey.AREA,
    minimum_ml_per_person_week=5_000,
    minimum_fractions=frozenset({"residual"}),
    affected_area_percent=25,
    vacancy_persons=1,
    declared_at=_BEFORE,
    effective_from=YEAR.first,
    by_law="bench",
)


def after_the_year() -> datetime:
    """Return when the year is billed; a function by name, since other processes are handed it."""
    return datetime(2026, 1, 15, 8, tzinfo=UTC)


def property_name(number: int) -> str:
    """Return the id of the property with this number, from 1: it has the lock with the same number."""
    return f"P{number:05d}"


def fill_ledger(directory: Path, properties: int, say: Callable[[str], None]) -> Config:
    """Write a ledger with a year of pours at so many properties; return the configuration of billing beside it."""
    ledger = Database(f"sqlite:///{directory / 'ledger.sqlite'}")
    migrate(ledger)
    with ledger.writing() as connection:
        connection.execute(facts.insert(), {"name": "pseudonym key fingerprint", "value": "bench"})
    # A page's bytes aren't read here; at their true length a whole country's year wouldn't fit on the disk.
    fill(
        ledger, Filling(properties, PAGES_A_YEAR, year_of_households(HOUSEHOLDS, POURS), payload_bytes=1), say
    )
    ledger.close()
    return billing_config(directory)


def billing_config(directory: Path) -> Config:
    """Return the configuration of billing in a directory that holds, or will hold, a ledger."""
    return Config(
        database=DatabaseSection(url=f"sqlite:///{directory / 'billing.sqlite'}"),
        ledger=LedgerSection(url=f"sqlite:///{directory / 'ledger.sqlite'}"),
    )


def open_projector(directory: Path) -> Projector:
    """Return what counts the ledger's pours by day, at the beginning."""
    ledger = f"sqlite:///{directory / 'ledger.sqlite'}"
    projector = Projector(ledger, default_url(ledger), ZONE, _BATCH_ENTRIES)
    projector.prepare(anew=True)
    return projector


def load_master_data(config: Config, properties: int, say: Callable[[str], None]) -> int:
    """Enter the master data of so many properties, as an import would; return how many facts that was."""
    database = BillingDatabase(config.database.url)
    migrate_billing(database)
    # Entered before the year began: an agreement must be.
    masterdata = MasterData(database, lambda: _BEFORE)
    entered = 0
    for first in range(1, properties + 1, _PROPERTIES_A_LOAD):
        numbers = range(first, min(first + _PROPERTIES_A_LOAD, properties + 1))
        entered += len(
            load_facts(masterdata, [fact for n in numbers for fact in property_facts(n)], "bench").differences
        )
        if (numbers[-1] % (20 * _PROPERTIES_A_LOAD)) == 0:
            say(f"master data of {numbers[-1]:,} properties: {entered:,} facts")
    database.close()
    return entered


def property_facts(number: int) -> Iterator[Fact]:
    """Yield one property's master data."""
    name, lock = property_name(number), lock_name(number)
    yield Property(name, f"Estate {number}", "Street 1", "12345", "City", ZONE, _OWNER)
    yield Party(name, _OWNER, "Owner", "Street 1", "12345", "City", "de")
    yield Period(name, YEAR, f"{name}-2025")
    yield AgreementFact(name, _AGREEMENT)
    for chamber, volume_ml in ((1, _LITTLE_ML), (2, _LARGE_ML)):
        yield Chamber(name, lock, chamber, volume_ml, "residual", _YEAR_BEGAN, None)
    yield CostItem(name, YEAR.first, "fee", "residual", "Fee", COST_CENTS, "F-1", f"{number:064x}", True)
    for household in range(HOUSEHOLDS):
        yield from _household_facts(name, lock, number, household)


def expected_ml(household: int) -> int:
    """Return what a household (from 0) of any lock threw in the year, by the filling's own rule."""
    mine = (seq for seq in range(1, POURS + 1) if household_of(seq, HOUSEHOLDS) == household)
    return sum(_LARGE_ML if seq % 4 == 0 else _LITTLE_ML for seq in mine)


def check_volumes(metered: dict[str, int], expected: dict[str, int], where: str) -> None:
    """Raise BenchFailed unless each row's millilitres are those that were filled in: a wrong bill isn't a quick one."""
    if metered != expected:
        wrong = sorted(
            row for row in metered.keys() | expected.keys() if metered.get(row) != expected.get(row)
        )
        raise BenchFailed(f"{where}: other volumes than were thrown, in {', '.join(wrong[:3])} …")


def expected_rows() -> dict[str, int]:
    """Return what was thrown, by row id: the same at each property."""
    return {f"{_dwelling(n)}/{_party(n)}": expected_ml(n) for n in range(HOUSEHOLDS)}


def _household_facts(name: str, lock: str, number: int, household: int) -> Iterator[Fact]:
    dwelling, party, occupancy = _dwelling(household), _party(household), f"O{household:02d}"
    yield Dwelling(name, dwelling, dwelling)
    yield Area(name, dwelling, 4_800 + 90 * household, _SINCE)
    yield Party(name, party, f"Tenant {household}", "Street 1", "12345", "City", "de")
    yield Occupancy(name, occupancy, dwelling, party, _SINCE)
    yield Persons(name, occupancy, 1 + household % 4, _SINCE)
    yield Credential(name, pseudonym(number, household), occupancy, False, _YEAR_BEGAN, None)
    yield LockAccess(name, lock, dwelling, _SINCE)
    yield Advance(name, f"A{household:02d}", dwelling, party, YEAR.first, date(2025, 2, 1), 8_000)


def _dwelling(household: int) -> str:
    return f"W{household:02d}"


def _party(household: int) -> str:
    return f"T{household:02d}"
