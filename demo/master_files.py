"""Writes the estate's master data as billing imports it: one CSV file for each table, and the costs' documents."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from itertools import groupby
from pathlib import Path

from demo.case import Case
from demo.period import months_later
from demo.tenancies import KNOWN_MONTHS, Stay

Row = Mapping[str, object]
_MONTHS_OF_YEAR = 12


class MasterFiles:
    """The tables of one case. `credential_of`: a transponder number's pseudonym; `service_uids`: the technicians'."""

    def __init__(
        self, case: Case, credential_of: Callable[[str], str], service_uids: Iterable[str], documents: Path
    ) -> None:
        self._case = case
        self._property = case.estate.property.id
        self._credential_of = credential_of
        self._service_uids = sorted(service_uids)
        self._documents = documents
        self._known_from = months_later(case.period.first, -KNOWN_MONTHS)

    def write(self, directory: Path) -> int:
        """Write all files and return how many; a table's columns are those of its first row."""
        directory.mkdir(exist_ok=True)
        self._documents.mkdir(exist_ok=True)
        tables = self._tables()
        for table, rows in tables.items():
            with (directory / f"{table}.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        return len(tables)

    def _tables(self) -> dict[str, Sequence[Row]]:
        return {
            "property": [self._property_row()],
            "party": list(self._parties()),
            "period": list(self._periods()),
            "dwelling": list(self._dwellings()),
            "area": list(self._areas()),
            "occupancy": list(self._occupancies()),
            "persons": list(self._persons()),
            "credential": list(self._credentials()),
            "chamber": list(self._chambers()),
            "lock_access": list(self._accesses()),
            "cost_item": list(self._cost_items()),
            "advance": list(self._advances()),
            "allocation_agreement": [self._agreement()],
        }

    # --- the house

    def _property_row(self) -> Row:
        place = self._case.estate.property
        return {
            "property": place.id,
            "name": place.name,
            "street": place.street,
            "postcode": place.postcode,
            "city": place.city,
            "time_zone": place.time_zone,
            "landlord": self._case.estate.landlord.party,
        }

    def _periods(self) -> Iterator[Row]:
        """The one that is billed, then the one that runs now, as long again."""
        billed = self._case.period
        for first, end in ((billed.first, billed.end), (billed.end, months_later(billed.end, billed.months))):
            seed = f"{self._property}-{first:%Y-%m}"
            yield {"property": self._property, **_days(first, end), "seed": seed}

    def _dwellings(self) -> Iterator[Row]:
        for dwelling in self._case.dwellings:
            yield {
                "property": self._property,
                "dwelling": dwelling.dwelling,
                "label": f"{dwelling.street}, {dwelling.label}",
            }

    def _areas(self) -> Iterator[Row]:
        for dwelling in self._case.dwellings:
            where = {"property": self._property, "dwelling": dwelling.dwelling}
            yield {**where, "m2": hundredths(dwelling.area_dm2), **_days(self._known_from, None)}

    def _chambers(self) -> Iterator[Row]:
        for use in self._case.estate.locks:
            for number, volume_ml in enumerate(use.chambers_ml, 1):
                yield {
                    "property": self._property,
                    "lock": use.lock,
                    "chamber": number,
                    "volume_ml": volume_ml,
                    "fraction": use.fraction,
                    **self._instants(self._known_from, None),
                }

    def _accesses(self) -> Iterator[Row]:
        for dwelling in self._case.dwellings:
            for lock in dwelling.locks.values():
                where = {"property": self._property, "lock": lock, "dwelling": dwelling.dwelling}
                yield {**where, **_days(self._known_from, None)}

    # --- the people

    def _parties(self) -> Iterator[Row]:
        landlord, place = self._case.estate.landlord, self._case.estate.property
        yield {"property": self._property, **landlord.model_dump()}
        named = {stay.party: stay for stay in self._case.stays if stay.party}
        for party, stay in named.items():
            yield {
                "property": self._property,
                "party": party,
                "name": stay.name,
                "street": stay.dwelling.street,
                "postcode": place.postcode,
                "city": place.city,
                "language": stay.language,
            }

    def _occupancies(self) -> Iterator[Row]:
        for name, stays in self._occupied():
            yield {
                "property": self._property,
                "occupancy": name,
                "dwelling": stays[0].dwelling.dwelling,
                "party": stays[0].party or self._case.estate.landlord.party,
                **_days(stays[0].first, stays[-1].end),
            }

    def _persons(self) -> Iterator[Row]:
        for name, stays in self._occupied():
            for count, same in groupby((stay for stay in stays if stay.party), lambda stay: stay.persons):
                stretch = list(same)
                where = {"property": self._property, "occupancy": name, "count": count}
                yield {**where, **_days(stretch[0].first, stretch[-1].end)}

    def _credentials(self) -> Iterator[Row]:
        for name, stays in self._occupied():
            for uid in dict.fromkeys(uid for stay in stays for uid in stay.uids):
                held = [stay for stay in stays if uid in stay.uids]
                if held[0].unentered != uid:
                    yield self._credential(uid, name, held[0].first, held[-1].end)
        for uid in self._service_uids:
            yield self._credential(uid, "", self._known_from, None)

    def _credential(self, uid: str, occupancy: str, first: date, end: date | None) -> Row:
        return {
            "property": self._property,
            "credential": self._credential_of(uid),
            "occupancy": occupancy,
            "service": "" if occupancy else "yes",
            **self._instants(first, end),
        }

    def _occupied(self) -> Iterator[tuple[str, list[Stay]]]:
        """Yield each occupancy: its id, and the stays that it consists of."""
        owner = self._case.estate.landlord.party
        for _, stays in groupby(self._case.stays, lambda stay: (stay.dwelling.dwelling, stay.party)):
            found = list(stays)
            yield f"{found[0].dwelling.dwelling}-{found[0].party or owner}", found

    # --- the money

    def _cost_items(self) -> Iterator[Row]:
        period = self._case.period
        for cost in self._case.estate.cost_items:
            # A shorter period has its months' part of a year's cost.
            cents = cost.gross_cents * period.months // _MONTHS_OF_YEAR
            paper = self._documents / f"{cost.item}.txt"
            paper.write_text(
                f"{cost.document}\n{cost.description}\n{period.first} – {period.end}: {hundredths(cents)} EUR\n",
                encoding="utf-8",
            )
            yield {
                "property": self._property,
                "period_first": period.first,
                "item": cost.item,
                "fraction": cost.fraction,
                "description": cost.description,
                "gross_amount": hundredths(cents),
                "document": cost.document,
                "document_sha256": sha256(paper.read_bytes()).hexdigest(),
                "apportionable": "yes" if cost.apportionable else "no",
            }

    def _advances(self) -> Iterator[Row]:
        terms, period = self._case.estate.advances, self._case.period
        for number in range(1, period.months + 1):
            paid_on = period.month(number).replace(day=terms.day)
            for stay in self._case.stays:
                if stay.party is None or not stay.covers(paid_on):
                    continue
                yield {
                    "property": self._property,
                    "payment": f"{stay.dwelling.dwelling}-{stay.party}-{paid_on:%Y-%m}",
                    "dwelling": stay.dwelling.dwelling,
                    "party": stay.party,
                    "period_first": period.first,
                    "paid_on": paid_on,
                    "amount": hundredths(stay.dwelling.area_dm2 * terms.cents_per_m2 // 100),
                }

    def _agreement(self) -> Row:
        terms, period = self._case.estate.agreement, self._case.period
        declared = self._midnight(period.first - timedelta(days=terms.declared_days_before)) + timedelta(
            hours=12
        )
        return {
            "property": self._property,
            **terms.model_dump(exclude={"declared_days_before", "minimum_fractions"}),
            "minimum_fractions": " ".join(terms.minimum_fractions),
            "declared_at": declared.isoformat(),
            "effective_from": period.first,
        }

    def _instants(self, first: date, end: date | None) -> Row:
        until = "" if end is None else self._midnight(end).isoformat()
        return {"from": self._midnight(first).isoformat(), "to_exclusive": until}

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self._case.period.zone).astimezone(UTC)


def hundredths(count: int) -> str:
    """Return cents as euros, or dm2 as m²: `1486.32`."""
    whole, part = divmod(abs(count), 100)
    return f"{'-' if count < 0 else ''}{whole}.{part:02d}"


def _days(first: date, end: date | None) -> Row:
    return {"from": first, "to_exclusive": "" if end is None else end}
