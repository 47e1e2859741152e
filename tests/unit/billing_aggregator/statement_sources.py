"""The worked case as sources of statements: a calculated revision, names, and pours that make up what was metered."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from billing_aggregator.documents.building import Sources
from billing_aggregator.documents.content import Address
from billing_aggregator.documents.names import NameBook, Person
from billing_aggregator.model import OwnPour
from billing_aggregator.runs.calculation import calculate
from billing_aggregator.runs.document import RevisionDocument, digest, encode
from tests.unit.billing_aggregator.run_inputs import worked_inputs
from tests.unit.billing_aggregator.worked_case import METERED, STRETCHES

CREDENTIAL = "8d7f3c5b6a79880796a5b4c3d2e1f00f"
NAMES = NameBook(
    property_name="Wohnanlage Lindenallee",
    place="Lindenallee 12–16, 12345 Musterstadt",
    landlord="owner",
    people={
        "owner": Person(Address("Wohnungsgenossenschaft eG", "Marktplatz 1", "12345", "Musterstadt"), "de"),
        "T1": Person(Address("Erika Mustermann", "Lindenallee 14", "12345", "Musterstadt"), "de"),
        "T3": Person(Address("John Doe", "Lindenallee 14", "12345", "Musterstadt"), "en"),
    },
    dwellings={"WE1": "EG links", "WE2": "EG rechts", "WE3": "1. OG links", "WE4": "1. OG rechts"},
    chamber_ml={("1f00a3", 1, "residual"): 5000},
    access={},
)


def pours_of(metered: Mapping[str, int] = METERED) -> dict[str, tuple[OwnPour, ...]]:
    """Return pours of 5 l in March, as many as make up each row's millilitres."""
    first = datetime(2025, 3, 1, 17, tzinfo=UTC)

    def pour(row: str, index: int) -> OwnPour:
        at = (first + timedelta(hours=index)).astimezone(ZoneInfo("Europe/Berlin"))
        return OwnPour(
            row, at, "1f00a3", 1, "residual", 5000, "ntp", 2, False, (), 7, 100 + index, CREDENTIAL
        )

    return {row: tuple(pour(row, index) for index in range(ml // 5000)) for row, ml in metered.items()}


def sources_of(
    document: RevisionDocument | None = None,
    pours: Mapping[str, tuple[OwnPour, ...]] | None = None,
    previous: RevisionDocument | None = None,
) -> Sources:
    """Return the sources of a revision's statements, by default of the worked case's first one."""
    chosen = document or calculate(worked_inputs())
    return Sources(
        document=chosen,
        sha256=digest(encode(chosen)),
        names=NAMES,
        pours=pours_of() if pours is None else pours,
        dated=date(2026, 3, 2),
        previous=previous,
        stretches=STRETCHES,
    )
