"""Base weights and minimum volumes of rows. A row is (dwelling, party): all its stretches are added up, then rounded.

w_base = Σ over days of area_dm2, of persons (a vacant day counts max(1, vacancy_persons)), or of 1 per dwelling.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from billing_aggregator.model import Agreement, BaseKey, DayRange, RowBasis

DAYS_PER_WEEK = 7
# What a pool says its weights are: names of RowBasis's fields.
KEY_NAMES: Mapping[BaseKey, str] = {
    BaseKey.AREA: "area_dm2_days",
    BaseKey.PERSONS: "key_person_days",
    BaseKey.DWELLINGS: "days",
}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive days of one party in one dwelling on which nothing changes. `days` has an end.

    `vacant`: nobody lives there, the owner pays; `persons` is then not looked at. Area in dm2.
    """

    dwelling: str
    party: str
    vacant: bool
    days: DayRange
    area_dm2: int
    persons: int

    @property
    def row(self) -> str:
        return f"{self.dwelling}/{self.party}"


def row_bases(stretches: Iterable[Stretch], vacancy_persons: int) -> tuple[RowBasis, ...]:
    """Return one basis for each row, in the order of row ids. The order and cutting of stretches doesn't matter."""
    by_row: dict[str, list[Stretch]] = {}
    for stretch in stretches:
        by_row.setdefault(stretch.row, []).append(stretch)
    return tuple(_row_basis(row, by_row[row], vacancy_persons) for row in sorted(by_row))


def base_weights(rows: Sequence[RowBasis], key: BaseKey) -> dict[str, int]:
    """Return each row's weight in the base pool."""
    if key is BaseKey.AREA:
        return {row.row: row.area_dm2_days for row in rows}
    if key is BaseKey.PERSONS:
        return {row.row: row.key_person_days for row in rows}
    return {row.row: row.days for row in rows}


def minimum_ml(row: RowBasis, agreement: Agreement, fraction: str) -> int:
    """Return the least that a row is billed in a fraction, floored once; 0 where the agreement names no minimum."""
    if fraction not in agreement.minimum_fractions:
        return 0
    return agreement.minimum_ml_per_person_week * row.person_days // DAYS_PER_WEEK


def _row_basis(row: str, stretches: Sequence[Stretch], vacancy_persons: int) -> RowBasis:
    vacant = [stretch for stretch in stretches if stretch.vacant]
    lived_in = [stretch for stretch in stretches if not stretch.vacant]
    vacant_days = sum(stretch.days.days for stretch in vacant)
    person_days = sum(stretch.days.days * stretch.persons for stretch in lived_in)
    return RowBasis(
        row=row,
        dwelling=stretches[0].dwelling,
        party=stretches[0].party,
        days=sum(stretch.days.days for stretch in stretches),
        vacant_days=vacant_days,
        area_dm2_days=sum(stretch.days.days * stretch.area_dm2 for stretch in stretches),
        person_days=person_days,
        key_person_days=person_days + vacant_days * max(1, vacancy_persons),
        vacant_area_dm2_days=sum(stretch.days.days * stretch.area_dm2 for stretch in vacant),
    )
