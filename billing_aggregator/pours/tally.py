"""Adds up what counts: by row and fraction, by chamber, by month; unattributed; lost for want of a reader."""

from dataclasses import dataclass, field

from billing_aggregator.days import month_key
from billing_aggregator.model import UNATTRIBUTED_ROW, LostVolume, PourCount, RowUsage
from billing_aggregator.pours.holders import Access, Holders
from billing_aggregator.pours.resolution import LOST, Billed
from wastelock.record import Flag

NO_READER = "no_reader"


@dataclass(slots=True)
class _Sum:
    """Pours of one kind, so far."""

    pours: int = 0
    volume_ml: int = 0
    degraded: int = 0

    def add(self, billed: Billed) -> None:
        pours = billed.group.pours
        self.pours += pours
        self.volume_ml += pours * billed.outcome.volume_ml
        if billed.group.traits & Flag.DEGRADED:
            self.degraded += pours


@dataclass(slots=True)
class _RowSum:
    chambers: dict[tuple[str, int], _Sum] = field(default_factory=dict)
    months: dict[str, int] = field(default_factory=dict)


class Tally:
    """The order in which pours are added makes no difference to any of the results."""

    def __init__(self, holders: Holders) -> None:
        self._holders = holders
        self._rows: dict[tuple[str, str], _RowSum] = {}
        self._unattributed: dict[str, int] = {}
        self._unread: dict[tuple[str, int, str, Access], _Sum] = {}

    def add(self, billed: Billed) -> None:
        """Count a pour, or a group of them."""
        group, outcome = billed.group, billed.outcome
        volume_ml = group.pours * outcome.volume_ml
        if outcome.row == UNATTRIBUTED_ROW:
            self._unattributed[outcome.fraction] = self._unattributed.get(outcome.fraction, 0) + volume_ml
        elif outcome.row == LOST:
            access = self._holders.access_on(group.lock, billed.day)
            self._unread.setdefault((group.lock, group.chamber, outcome.fraction, access), _Sum()).add(billed)
        else:
            row = self._rows.setdefault((outcome.row, outcome.fraction), _RowSum())
            row.chambers.setdefault((group.lock, group.chamber), _Sum()).add(billed)
            month = month_key(billed.day)
            row.months[month] = row.months.get(month, 0) + volume_ml

    def rows(self) -> tuple[RowUsage, ...]:
        """Return the usage of each row that threw anything, by row and fraction."""
        return tuple(
            RowUsage(
                row,
                fraction,
                sum(part.volume_ml for part in found.chambers.values()),
                tuple(
                    PourCount(lock, chamber, part.pours, part.volume_ml, part.degraded)
                    for (lock, chamber), part in sorted(found.chambers.items())
                ),
                dict(sorted(found.months.items())),
            )
            for (row, fraction), found in sorted(self._rows.items())
        )

    def unattributed(self) -> dict[str, int]:
        """Return millilitres by fraction."""
        return dict(sorted(self._unattributed.items()))

    def unread(self) -> list[LostVolume]:
        """Return the pours of locks that can't read transponders, by stretches with the same dwellings."""
        return [
            LostVolume(lock, chamber, fraction, part.pours, part.volume_ml, access.first, access.end, access.dwellings,
                       NO_READER)
            for (lock, chamber, fraction, access), part in self._unread.items()
        ]  # fmt: skip
