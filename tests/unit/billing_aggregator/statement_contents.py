"""Statements that add up, of any size: for tests, pictures of the page, and the bench."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

from billing_aggregator.documents.content import (
    Address,
    AdvanceLine,
    ChamberLine,
    Chart,
    CostLine,
    Deadlines,
    Evidence,
    FractionPart,
    House,
    MonthVolumes,
    PoolLine,
    RegisterSpan,
    Span,
    StatementContent,
    SumLine,
    Tenancy,
)
from billing_aggregator.model import Agreement, BaseKey, DayRange, OwnPour, RowVolumes

FRACTIONS = ("residual", "organic", "paper", "lightweight")
YEAR = DayRange(date(2025, 1, 1), date(2026, 1, 1))
ZONE = ZoneInfo("Europe/Berlin")
AGREEMENT = Agreement(
    base_share=30,
    usage_share=70,
    base_key=BaseKey.AREA,
    minimum_ml_per_person_week=5000,
    minimum_fractions=frozenset({"residual"}),
    affected_area_percent=25,
    vacancy_persons=1,
    declared_at=datetime(2024, 11, 12, 9, tzinfo=UTC),
    effective_from=date(2025, 1, 1),
    by_law="Abfallsatzung der Stadt Musterstadt, § 12",
)
COST_NAMES = (
    "Abfallgebühren der Stadt, Gebührenbescheid",
    "Miete der Müllschleusen",
    "Abrechnungsdienst",
    "Wartung und Batteriewechsel der Müllschleusen",
    "Reinigung des Müllplatzes",
    "Sperrmüllabfuhr",
)


def make_statement(
    fractions: int = 1, costs: int = 2, pours: int = 157, language: str = "de", party: str = "T1"
) -> StatementContent:
    """Return a statement of WE1 for 2025. `costs`: items in all; `pours`: the party's own, over all fractions."""
    names = FRACTIONS[:fractions]
    lines = _costs(names, costs)
    listed = _pours(names, pours)
    metered = {name: sum(pour.volume_ml for pour in listed if pour.fraction == name) for name in names}
    parts = tuple(_part(name, metered[name], lines) for name in names)
    advances = tuple(AdvanceLine(date(2025, month, 3), 2500 * fractions) for month in range(1, 13))
    share = sum(part.base.cents + part.usage.cents for part in parts)
    return StatementContent(
        language=language,
        dated=date(2026, 3, 2),
        revision=1,
        provisional_as_of=None,
        sender=Address("Wohnungsgenossenschaft Musterstadt eG", "Marktplatz 1", "12345", "Musterstadt"),
        addressee=Address("Erika Mustermann", "Lindenallee 14", "12345", "Musterstadt"),
        house=House(
            "A-2025", "Wohnanlage Lindenallee", "Lindenallee 12–16, 12345 Musterstadt", "Europe/Berlin", YEAR
        ),
        tenancy=Tenancy("WE1", "1. Obergeschoss links", party, 365, 730, False, (Span(365, 6240, 2),)),
        agreement=AGREEMENT,
        costs=lines,
        fractions=parts,
        advances=advances,
        balance_cents=share - sum(line.amount_cents for line in advances),
        sums=_sums(parts),
        chambers=_chambers(listed),
        substitutes=(),
        charts=tuple(_chart(name, listed) for name in names),
        pours=listed,
        deadlines=Deadlines(date(2026, 12, 31), date(2026, 3, 9), date(2027, 3, 31)),
        evidence=Evidence(
            "ab" * 32, "cd" * 32, "ef" * 32, 1_234_567, "billing-aggregator 0.1.0, tzdata 2026.1"
        ),
    )


def _costs(names: Sequence[str], count: int) -> tuple[CostLine, ...]:
    def line(index: int) -> CostLine:
        common = index >= len(names) and index % 3 != 0
        return CostLine(
            description=COST_NAMES[index % len(COST_NAMES)],
            document=f"RE-2025-{1000 + 37 * index}",
            fraction="common" if common else names[index % len(names)],
            gross_cents=812_34 + 1111 * index,
            apportionable=True,
        )

    return tuple(line(index) for index in range(max(count, len(names))))


def _pours(names: Sequence[str], count: int) -> tuple[OwnPour, ...]:
    first = datetime(2025, 1, 2, 17, 3, 11, tzinfo=UTC)
    step = timedelta(days=360) // max(1, count)

    def pour(index: int) -> OwnPour:
        at = (first + index * step).astimezone(ZONE)
        name = names[index % len(names)]
        large = index % 7 == 0
        return OwnPour(
            row="WE1/T1",
            at=at,
            lock="1f00a3" if names.index(name) < 2 else "1f00a4",
            chamber=1 + 2 * (names.index(name) % 2) + large,
            fraction=name,
            volume_ml=20_000 if large else 5000,
            clock="ntp",
            uncertainty_s=2,
            degraded=index % 90 == 50,
            jams=(at - timedelta(seconds=40),) if index % 60 == 20 else (),
            epoch=7,
            seq=900 + 31 * index,
            credential="8d7f3c5b6a79880796a5b4c3d2e1f00f",
        )

    return tuple(pour(index) for index in range(count))


def _part(name: str, metered_ml: int, costs: Sequence[CostLine]) -> FractionPart:
    own = sum(line.gross_cents for line in costs if line.fraction == name)
    common = sum(line.gross_cents for line in costs if line.fraction == "common")
    names = [each for each in FRACTIONS if any(line.fraction == each for line in costs)]
    mine = common // len(names) + (common % len(names) if name == names[-1] else 0)
    total = own + mine
    minimum = 5000 * 730 // 7 if name == "residual" else 0
    billed = max(metered_ml, minimum)
    base = total * 30 // 100
    return FractionPart(
        fraction=name,
        own_cents=own,
        common_cents=mine,
        total_cents=total,
        volumes=RowVolumes("WE1/T1", metered_ml, 0, minimum, billed),
        base=_pool(base, "area_dm2_days", 6240 * 365, 8_541_000),
        usage=_pool(total - base, "billed_ml", billed, billed + 3_129_285),
    )


def _pool(total: int, key: str, own: int, whole: int) -> PoolLine:
    exact = Fraction(total * own, whole)
    return PoolLine(total, key, own, whole, exact, exact.numerator // exact.denominator)


def _sums(parts: Sequence[FractionPart]) -> tuple[SumLine, ...]:
    base, usage = sum(part.base.cents for part in parts), sum(part.usage.cents for part in parts)
    billed = sum(part.volumes.billed_ml for part in parts)
    lost = 12 * len(parts)
    others_base = sum(part.base.total_cents for part in parts) - base
    others_usage = sum(part.usage.total_cents for part in parts) - usage - lost
    return (
        SumLine("own", 1, billed, base, usage, 0),
        SumLine("others", 38, 3_124_285 * len(parts), others_base, others_usage, 0),
        SumLine("unattributed", 1, 5000 * len(parts), 0, lost, 0),
    )


def _chambers(pours: Sequence[OwnPour]) -> tuple[ChamberLine, ...]:
    found = sorted({(pour.lock, pour.chamber, pour.fraction, pour.volume_ml) for pour in pours})

    def line(lock: str, chamber: int, fraction: str, size_ml: int) -> ChamberLine:
        own = [pour for pour in pours if (pour.lock, pour.chamber) == (lock, chamber)]
        spans = (
            (RegisterSpan(48_211, 61_540),)
            if chamber % 2
            else (RegisterSpan(8211, 9100), RegisterSpan(0, 412))
        )
        degraded = sum(pour.degraded for pour in own)
        return ChamberLine(lock, chamber, fraction, size_ml, len(own), degraded, size_ml * len(own), spans)

    return tuple(line(*each) for each in found)


def _chart(name: str, pours: Sequence[OwnPour]) -> Chart:
    def month(number: int) -> MonthVolumes:
        own = sum(pour.volume_ml for pour in pours if pour.fraction == name and pour.at.month == number)
        return MonthVolumes(f"2025-{number:02}", own, 98_000 + 3000 * number, own + 15_000 - 2000 * number)

    return Chart(name, tuple(month(number) for number in range(1, 13)))


def with_names(content: StatementContent, name: str) -> StatementContent:
    """Return the statement with this text wherever people's own words are printed."""
    costs = tuple(replace(line, description=name, document=name) for line in content.costs)
    return replace(
        content,
        sender=replace(content.sender, name=name),
        addressee=replace(content.addressee, name=name, street=name),
        house=replace(content.house, name=name, place=name),
        tenancy=replace(content.tenancy, dwelling_label=name),
        agreement=replace(content.agreement, by_law=name),
        costs=costs,
    )
