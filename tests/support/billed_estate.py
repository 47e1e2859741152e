"""Two billed properties for tests of whoever shows bills: real ledger, real books, made by billing's own functions.

lindenhof   8 dwellings, residual and organic waste; 2025 finalized and delivered, a pour came late; 2026 goes on
parkhof     3 dwellings; 2025 is a draft with two reviews to decide

Made once (about a second) and copied for each test that changes something: `EstateFiles.copy`.
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from threading import Event

from billing_aggregator.config import load_config
from billing_aggregator.masterdata import facts
from billing_aggregator.masterdata.facts import Fact
from billing_aggregator.masterdata.payloads import encode_fact
from billing_aggregator.masterdata.schema import TABLES
from billing_aggregator.masterdata.store import NewFact
from billing_aggregator.model import Agreement, BaseKey, DayRange
from billing_aggregator.runs import approval, delivery
from billing_aggregator.runs.books import Books, open_books
from billing_aggregator.runs.drafting import begin, calculate_draft
from cloud_sink.following import catch_up
from cloud_sink.projections.usage_store import default_url
from cloud_sink.projector import Projector
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.unit.billing_aggregator.pour_estates import LONG_AGO, PourEstate, local, pseudonym
from tests.unit.billing_aggregator.run_books import RunClock

CLERK, APPROVER, SECOND_APPROVER = "a.berg", "b.weber", "c.yilmaz"
NOW = datetime(2026, 11, 25, 17, 0, tzinfo=UTC)
LOCK, PARK_LOCK = "1f00a1", "1f00b2"
SITE = "estate-1"
_MOVED = "2025-09-01"
_YEARS = (2025, 2026)
# dwelling, party, name, persons, floor area in dm2, first day, day after the last, pours a week
_LIVES = (
    ("WE01", "T01", "Hannelore Krüger", 1, 4820, "2020-01-01", None, 1),
    ("WE02", "T02", "Jonas Wendt", 1, 5240, "2020-01-01", _MOVED, 2),
    ("WE02", "T03", "Aylin und Emre Demir", 3, 5240, _MOVED, None, 3),
    ("WE03", "T04", "Familie Petersen", 4, 8860, "2020-01-01", None, 4),
    ("WE04", "T05", "Sofia Rossi", 2, 6120, "2020-01-01", None, 2),
    ("WE05", "T06", "Familie Nguyen", 5, 8860, "2020-01-01", None, 5),
    ("WE06", "T07", "Marek Nowak", 1, 4820, "2020-01-01", None, 1),
    ("WE07", "T08", "Ines Albrecht", 2, 6120, "2020-01-01", None, 2),
    ("WE08", "owner", "Wohnbau Elbe eG", 0, 5240, "2020-01-01", "2026-02-01", 0),
    ("WE08", "T09", "Oskar Lindqvist", 2, 5240, "2026-02-01", None, 2),
)
_PARK_LIVES = (
    ("P1", "Q1", "Lena Voss", 2, 6000, "2020-01-01", None, 2),
    ("P2", "Q2", "Tim Brandt", 1, 4500, "2020-01-01", None, 1),
    ("P3", "Q3", "Familie Aksoy", 4, 8200, "2020-01-01", None, 3),
)


@dataclass(frozen=True)
class EstateFiles:
    """Where everything lies. `billing_config` names all of it; paths in it are relative."""

    directory: Path

    @property
    def billing_config(self) -> Path:
        return self.directory / "billing-aggregator.toml"

    @property
    def ledger_url(self) -> str:
        return f"sqlite:///{self.directory / 'ledger.sqlite'}"

    def copy(self, directory: Path) -> "EstateFiles":
        """Return the same somewhere else, to be changed."""
        shutil.copytree(self.directory, directory, dirs_exist_ok=True)
        return EstateFiles(directory)

    def pour(self, at: datetime, row: str, chamber: int = 1) -> None:
        """Commit one more pour of a household of lindenhof, as its gateway would."""
        estate = _reopened(self)
        uid = next(uid for uid, life in enumerate(_LIVES, 1) if f"{life[0]}/{life[1]}" == row)
        estate.pour(at, uid, chamber, volume_ml=_VOLUMES[chamber])
        estate.commit()
        _keep(estate)
        estate.close()
        _project(self)


_VOLUMES = {1: 5000, 2: 20_000, 3: 20_000}


def build_estate(directory: Path) -> EstateFiles:
    """Make both properties in an empty directory."""
    files = EstateFiles(directory)
    files.billing_config.write_text(_CONFIG)
    (directory / "park").mkdir()
    estate = PourEstate(directory, files.ledger_url)
    _throw(estate, _LIVES, 1)
    estate.commit()
    park = PourEstate(
        directory / "park", files.ledger_url, FakeLock(0x1F00B2), FakeGateway("gw-0002", "estate-2", seed=2)
    )
    _throw(park, _PARK_LIVES, 101)
    # The chamber was exchanged for a smaller one and nobody has told billing: that is asked about.
    park.pour("2025-11-03 18:40", 101, 2, volume_ml=15_000)
    park.pour("2025-11-17 07:55", 103, 2, volume_ml=15_000)
    park.commit()
    clock = RunClock(datetime(2026, 3, 2, 9, tzinfo=UTC))
    with open_books(load_config(files.billing_config), clock) as books:
        _enter(books, [*_facts("lindenhof", "Wohnanlage Lindenhof", LOCK, _LIVES, 1),
                       *_facts("parkhof", "Parkhof", PARK_LOCK, _PARK_LIVES, 101)])  # fmt: skip
        _project(files)
        _bill(books, clock)
        estate.pour("2025-12-30 16:20", 4, 2)
        estate.commit()
        _project(files)
        calculate_draft(books, begin(books, "parkhof", date(2025, 1, 1), CLERK), CLERK)
    _keep(estate)
    estate.close()
    park.close()
    return files


def _bill(books: Books, clock: RunClock) -> None:
    run = calculate_draft(books, begin(books, "lindenhof", date(2025, 1, 1), CLERK), CLERK)
    run = approval.submit(books, run, CLERK, "alle Belege liegen vor")
    run = approval.finalize(
        books, approval.approve(books, run, APPROVER, "stichprobenweise geprüft"), APPROVER
    )
    run = delivery.deliver(books, run, CLERK, "mit der Post vom 10. März")
    clock.at = datetime(2026, 3, 16, 12, tzinfo=UTC)
    delivery.receive(books, run, date(2026, 3, 13), (), CLERK)


def _throw(estate: PourEstate, lives: Iterable[tuple[object, ...]], first_uid: int) -> None:
    """Let everybody throw, in the order of time: a lock's clock doesn't go back."""
    pours = sorted(pour for uid, life in enumerate(lives, first_uid) for pour in _pours_of(uid, life))
    for at, uid, chamber in pours:
        estate.pour(at, uid, chamber, volume_ml=_VOLUMES[chamber])


def _pours_of(uid: int, life: tuple[object, ...]) -> Iterator[tuple[datetime, int, int]]:
    *_, first, end, a_week = life
    begin_at = max(local(f"{first} 00:00"), local("2025-01-01 00:00"))
    end_at = min(local(f"{end} 00:00") if end else NOW, NOW)
    number = 0
    at = begin_at + timedelta(hours=7 + uid % 13, minutes=uid * 7 % 60)
    while isinstance(a_week, int) and a_week and at < end_at:
        # Somewhat irregular, and the same each time.
        spread = int(sha256(f"{uid} {number}".encode()).hexdigest()[:4], 16)
        yield at, uid, (1, 2, 3, 2)[spread % 4]
        at += timedelta(minutes=7 * 24 * 60 // a_week + spread % 1500 - 750)
        number += 1


def _facts(
    name: str, title: str, lock: str, lives: Iterable[tuple[object, ...]], first_uid: int
) -> Iterator[Fact]:
    street = f"{name.title()} 1–9"
    yield facts.Property(name, title, street, "21073", "Hamburg", "Europe/Berlin", "owner")
    yield facts.Party(name, "owner", "Wohnbau Elbe eG", "Am Markt 3", "21073", "Hamburg", "de")
    for year in _YEARS:
        first = date(year, 1, 1)
        yield facts.Period(name, DayRange(first, date(year + 1, 1, 1)), f"{name}-{year}")
    yield facts.AgreementFact(name, _agreement())
    for number, volume_ml in _VOLUMES.items():
        fraction = "organic" if number == 3 else "residual"
        yield facts.Chamber(name, lock, number, volume_ml, fraction, LONG_AGO, None)
    known = set()
    for uid, life in enumerate(lives, first_uid):
        if life[0] not in known:
            known.add(life[0])
            yield from _dwelling(name, lock, life)
        yield from _life(name, uid, life)
    yield from _costs(name)


def _dwelling(name: str, lock: str, life: tuple[object, ...]) -> Iterator[Fact]:
    dwelling, area = str(life[0]), life[4]
    since = DayRange(date(2020, 1, 1), None)
    number = int(dwelling[-1])
    yield facts.Dwelling(name, dwelling, f"{number - 1}. OG" if number > 1 else "EG")
    assert isinstance(area, int)
    yield facts.Area(name, dwelling, area, since)
    yield facts.LockAccess(name, lock, dwelling, since)


def _life(name: str, uid: int, life: tuple[object, ...]) -> Iterator[Fact]:
    dwelling, party, title, persons, _, first, end, _ = life
    days = DayRange(date.fromisoformat(str(first)), date.fromisoformat(str(end)) if end else None)
    occupancy = f"{dwelling}-{party}"
    yield facts.Occupancy(name, occupancy, str(dwelling), str(party), days)
    if party == "owner" or not isinstance(persons, int):
        return
    number = int(str(dwelling)[-1])
    language = "en" if "Lindqvist" in str(title) else "de"
    yield facts.Party(name, str(party), str(title), f"{name.title()} {number}", "21073", "Hamburg", language)
    yield facts.Persons(name, occupancy, persons, days)
    begins_at = local(f"{first} 00:00")
    yield facts.Credential(
        name, pseudonym(uid), occupancy, False, begins_at, local(f"{end} 00:00") if end else None
    )
    for year in _YEARS:
        for month in range(1, 13):
            paid_on = date(year, month, 3)
            if paid_on in days and paid_on < NOW.date():
                yield facts.Advance(
                    name, f"{year}-{month:02}-{party}", str(dwelling), str(party), date(year, 1, 1), paid_on,
                    900 + 450 * persons,
                )  # fmt: skip


def _costs(name: str) -> Iterator[Fact]:
    for item, fraction, text, cents in (
        ("rest", "residual", "Stadtreinigung: Restabfall", 168_412),
        ("bio", "organic", "Stadtreinigung: Bioabfall", 42_906),
        ("rent", "common", "Miete Müllschleuse", 69_972),
    ):
        paper = sha256(item.encode()).hexdigest()
        yield facts.CostItem(
            name, date(2025, 1, 1), item, fraction, text, cents, f"{item}-2025.pdf", paper, True
        )
    yield facts.CostItem(
        name, date(2026, 1, 1), "rest", "residual", "Stadtreinigung: Restabfall", 171_840, "rest-2026.pdf", "e" * 64,
        True,
    )  # fmt: skip


def _agreement() -> Agreement:
    return Agreement(
        base_share=30,
        usage_share=70,
        base_key=BaseKey.AREA,
        minimum_ml_per_person_week=5000,
        minimum_fractions=frozenset({"residual"}),
        affected_area_percent=25,
        vacancy_persons=1,
        declared_at=datetime(2024, 10, 1, tzinfo=UTC),
        effective_from=date(2025, 1, 1),
        by_law="Abfallsatzung § 12",
    )


def _enter(books: Books, entered: Iterable[Fact]) -> None:
    new = []
    for fact in entered:
        table = next(each for each in TABLES.values() if isinstance(fact, each.fact))
        new.append(NewFact(fact.property, table.name, table.key_of(fact), encode_fact(fact), None, ""))
    with books.masterdata.changing() as change:
        change.write(new, (), CLERK, "")


def _project(files: EstateFiles) -> None:
    projector = Projector(files.ledger_url, default_url(files.ledger_url), "Europe/Berlin", 1000)
    catch_up(projector, Event(), lambda _position, _end: None)
    projector.close()


def _keep(estate: PourEstate) -> None:
    """Write down where a gateway and its lock have got to."""
    state = [estate.gateway.page, estate.gateway.head, estate.lock.seq, sorted(estate.registers.items())]
    (estate.directory / "gateway.json").write_text(json.dumps(state))


def _reopened(files: EstateFiles) -> PourEstate:
    """Return the gateway of lindenhof where it has got to."""
    page, head, seq, registers = json.loads((files.directory / "gateway.json").read_text())
    gateway = FakeGateway(page=page, head=head)
    return PourEstate(
        files.directory, files.ledger_url, FakeLock(0x1F00A1, seq=seq), gateway, dict(registers)
    )


_CONFIG = """
[database]
url = "sqlite:///billing.sqlite"

[ledger]
url = "sqlite:///ledger.sqlite"

[approval]
approvers = ["b.weber", "c.yilmaz"]

[operator]
name = "Wertstoff Service GmbH"
street = "Hafenstraße 12"
postcode = "20457"
city = "Hamburg"
vat_id = "DE136695976"
register_entry = "Amtsgericht Hamburg, HRB 123456"
contact_name = "Anna Berg"
contact_phone = "+49 40 123456-0"
contact_email = "rechnung@wertstoff-service.example"
electronic_address = "rechnung@wertstoff-service.example"
iban = "DE02120300000000202051"
bic = "BYLADEM1001"

[[fees]]
code = "billing"
text_de = "Abrechnungsservice"
basis = "dwelling_month"
price_cents = 125

[[customers]]
property = "lindenhof"
reference = "KD-4711"
electronic_address = "eingang@lindenhof.example"
"""
