"""The tables of master data, each column with its meaning and an example: templates, import, export, messages and the
manual come from here. Who adds a table or a column here has added it everywhere.

Every table begins with the column `property`. The key tells a row from others of its table and property: the same key
with other values is a change of that row.
"""

from collections.abc import Mapping

from billing_aggregator.masterdata import facts
from billing_aggregator.masterdata.cells import (
    DAY,
    EUROS,
    IDENTIFIER,
    IDENTIFIERS,
    INSTANT,
    LOCK,
    PSEUDONYM,
    SHA256,
    SQUARE_METRES,
    TEXT,
    YES_NO,
    ZONE,
    Kind,
    choice,
    whole,
)
from billing_aggregator.masterdata.columns import Column, Span, Table
from billing_aggregator.model import BaseKey

_MOST_ML = 65_535  # the controller's own word for a volume has 16 bits
_MOST = 2**31 - 1
_REGISTER = 2**32 - 1


def _key(name: str, meaning: str, example: str, kind: Kind = IDENTIFIER) -> Column:
    return Column(name, kind, meaning, example, key=True)


def _id(name: str, meaning: str, example: str) -> Column:
    return Column(name, IDENTIFIER, meaning, example)


def _text(name: str, meaning: str, example: str, default: str | None = "") -> Column:
    return Column(name, TEXT, meaning, example, default=default)


_DWELLING = _id("dwelling", "which dwelling", "WE1")
_LOCK = _key("lock", "the waste lock's serial number in hexadecimal", "1f00a3", LOCK)
_FRACTION = _id("fraction", "kind of waste: residual, organic, paper, packaging …", "residual")
_CHAMBER = _key("chamber", "number of the chamber", "1", whole(1, 4))
_PERIOD = Column("period_first", DAY, "first day of the period that it belongs to", "2025-01-01")

PROPERTY = Table(
    "property",
    "A housing estate that is billed as one.",
    facts.Property,
    (
        _text("name", "its name on paper", "Wohnanlage Lindenhof", default=None),
        _text("street", "street and number", "Lindenhof 1-9"),
        _text("postcode", "postcode", "99999"),
        _text("city", "city", "Beispielstadt"),
        Column("time_zone", ZONE, "whose local days count", "Europe/Berlin", default="Europe/Berlin"),
        _id("landlord", "the party that owns it and pays where nobody lives", "owner"),
    ),
)
PERIOD = Table(
    "period",
    "What is billed at once: at most 12 months, and no gap to the period before.",
    facts.Period,
    (
        _text(
            "seed",
            "breaks ties of rounding; any text, it stays the same in all revisions",
            "A-2025",
            default=None,
        ),
    ),
    Span.DAYS,
    dated=True,
)
DWELLING = Table(
    "dwelling",
    "A flat or shop that gets a statement.",
    facts.Dwelling,
    (
        _key("dwelling", "its id; not `unattributed` and not `cap`", "WE1"),
        _text("label", "what it is called on paper", "Vorderhaus, 1. OG links"),
    ),
)
AREA = Table(
    "area",
    "A dwelling's floor area, on each day exactly one.",
    facts.Area,
    (
        _key("dwelling", "which dwelling", "WE1"),
        Column("m2", SQUARE_METRES, "floor area in m²", "62.40", field="dm2",
               instead=Column("dm2", whole(1, 10**9), "floor area in hundredths of a m², instead of m2", "6240",
                              field="dm2")),
    ),
    Span.DAYS,
    dated=True,
)  # fmt: skip
PARTY = Table(
    "party",
    "Who gets a statement: residents and the owner. Used for printing only.",
    facts.Party,
    (
        _key("party", "its id", "T1"),
        _text("name", "name", "Erika Muster", default=None),
        _text("street", "street and number", "Lindenhof 1"),
        _text("postcode", "postcode", "99999"),
        _text("city", "city", "Beispielstadt"),
        Column("language", choice("de", "en"), "language of the statement", "de", default="de"),
    ),
)
OCCUPANCY = Table(
    "occupancy",
    "Whose a dwelling is, on each day exactly one party; the owner's where it is vacant.",
    facts.Occupancy,
    (
        _key("occupancy", "its id", "WE1-T1"),
        _DWELLING,
        _id("party", "who; the property's landlord while it is vacant", "T1"),
    ),
    Span.DAYS,
)
PERSONS = Table(
    "persons",
    "How many live there, on each day of a resident exactly one number; none or 0 where it is vacant.",
    facts.Persons,
    (
        _key("occupancy", "which occupancy", "WE1-T1"),
        Column("count", whole(0, 99), "how many persons", "2"),
    ),
    Span.DAYS,
    dated=True,
)
CREDENTIAL = Table(
    "credential",
    "Who holds a transponder. Blocking it is setting its end.",
    facts.Credential,
    (
        _key("credential", "the transponder's pseudonym, from `cloud-sink pseudonym`",
             "9f86d081884c7d659a2feaa0c55ad015", PSEUDONYM),
        Column("occupancy", IDENTIFIER, "whose it is; empty for the service's", "WE1-T1", default=""),
        Column("service", YES_NO, "yes for the service's own: its pours are never billed", "no", default="no"),
    ),
    Span.INSTANTS,
    dated=True,
)  # fmt: skip
CHAMBER = Table(
    "chamber",
    "What a chamber of a lock holds and for which waste it is.",
    facts.Chamber,
    (
        _LOCK,
        _CHAMBER,
        Column("volume_ml", whole(1, _MOST_ML), "volume that is charged for a pour, in ml", "5000"),
        _FRACTION,
    ),
    Span.INSTANTS,
    dated=True,
)
LOCK_ACCESS = Table(
    "lock_access",
    "Which dwellings may use a lock: they are in its access list, and may have lost a pour where it lost some. "
    "It changes no bill. Where it names none for a lock, all dwellings of the property may.",
    facts.LockAccess,
    (_LOCK, _key("dwelling", "which dwelling", "WE1")),
    Span.DAYS,
    dated=True,
)
COST_ITEM = Table(
    "cost_item",
    "A cost of a period, and the document that proves it.",
    facts.CostItem,
    (
        _key("period_first", "first day of the period that it belongs to", "2025-01-01", DAY),
        _key("item", "its id", "fee-residual"),
        _id("fraction", "kind of waste; `common` is divided over all", "residual"),
        _text("description", "what it is, as on the statement", "Restmüllgebühr 2025", default=None),
        Column(
            "gross_amount",
            EUROS,
            "what was paid, with tax; minus for a refund",
            "1000.01",
            field="gross_cents",
        ),
        _text("document", "number or name of the document", "Bescheid 2025-118", default=None),
        Column("document_sha256", SHA256, "SHA-256 of the document's file", "ab" * 32),
        Column("apportionable", YES_NO, "may it be passed on to residents?", "yes"),
    ),
)
ADVANCE = Table(
    "advance",
    "What a party really paid in advance for a period.",
    facts.Advance,
    (
        _key("payment", "its id, as in the accounts", "2025-03-WE1"),
        _DWELLING,
        _id("party", "who paid", "T1"),
        _PERIOD,
        Column("paid_on", DAY, "day of payment", "2025-03-03"),
        Column("amount", EUROS, "what was paid; minus for what was paid back", "20.00", field="amount_cents"),
    ),
)
AGREEMENT = Table(
    "allocation_agreement",
    "How the cost is divided (§ 556a BGB), for whole periods.",
    facts.AgreementFact,
    (
        Column("base_share", whole(0, _MOST), "part of the cost that goes by the base key", "30"),
        Column("usage_share", whole(0, _MOST), "part that goes by volume; both are parts of their sum", "70"),
        Column("base_key", choice(*BaseKey), "what the base part goes by", "area", default="area"),
        Column("minimum_ml_per_person_week", whole(0, 10**6), "least that is charged, ml per person and week",
               "5000", default="0"),
        Column("minimum_fractions", IDENTIFIERS, "the fractions to which the minimum applies", "residual",
               default="residual"),
        Column("affected_area_percent", whole(0, 100),
               "above this part of the area with estimates, a fraction goes by the base key alone", "25", default="25"),
        Column("vacancy_persons", whole(1, 99), "how many persons a vacant day counts in the key persons", "1",
               default="1"),
        _key("declared_at", "when the last tenant received it: before the period begins", "2024-11-15T12:00:00Z",
             INSTANT),
        _key("effective_from", "a period's first day, from which on it holds", "2025-01-01", DAY),
        _text("by_law", "the by-law and lease that allow it", "Satzung der Stadt Beispielstadt, § 14"),
    ),
)  # fmt: skip
OPENING_REGISTER = Table(
    "opening_register",
    "Migration: what a chamber's register showed when this system took over.",
    facts.OpeningRegister,
    (
        _LOCK,
        _CHAMBER,
        Column("register", whole(0, _REGISTER), "the register's reading", "1842"),
        _key("read_at", "when it was read", "2024-12-31T23:00:00Z", INSTANT),
    ),
)
OLD_READING = Table(
    "old_reading",
    "Migration: what a party threw according to the system before.",
    facts.OldReading,
    (
        _key("dwelling", "which dwelling", "WE1"),
        _key("party", "who", "T1"),
        _key("fraction", "kind of waste", "residual"),
        Column("volume_ml", whole(0, 10**12), "volume in ml", "1410000"),
    ),
    Span.DAYS,
    dated=True,
)

TABLES: Mapping[str, Table] = {
    table.name: table
    for table in (
        PROPERTY,
        PARTY,
        PERIOD,
        DWELLING,
        AREA,
        OCCUPANCY,
        PERSONS,
        CREDENTIAL,
        CHAMBER,
        LOCK_ACCESS,
        COST_ITEM,
        ADVANCE,
        AGREEMENT,
        OPENING_REGISTER,
        OLD_READING,
    )
}
TABLE_OF: Mapping[type, Table] = {table.fact: table for table in TABLES.values()}
# A snapshot's fields with the rows of each table but `property`.
COLLECTIONS: Mapping[str, str] = {
    PERIOD.name: "periods",
    DWELLING.name: "dwellings",
    AREA.name: "areas",
    PARTY.name: "parties",
    OCCUPANCY.name: "occupancies",
    PERSONS.name: "persons",
    CREDENTIAL.name: "credentials",
    CHAMBER.name: "chambers",
    LOCK_ACCESS.name: "lock_access",
    COST_ITEM.name: "costs",
    ADVANCE.name: "advances",
    AGREEMENT.name: "agreements",
    OPENING_REGISTER.name: "opening_registers",
    OLD_READING.name: "old_readings",
}
