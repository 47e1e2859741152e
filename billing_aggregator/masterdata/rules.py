"""The rules of the master data, on one property's state as it would be after a change. Pure.

    within     what rows say of each other or of themselves: overlaps, reach, what is declared too late, costs twice
    complete   what must be there besides: references, and each day of each period (`coverage`)

The second kind is left out while rows couldn't be read: what they would have said isn't known.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Any

from billing_aggregator.amounts import plain
from billing_aggregator.days import add_months, begin_of_day, format_instant
from billing_aggregator.masterdata.coverage import find_uncovered
from billing_aggregator.masterdata.facts import AgreementFact, Credential, Occupancy
from billing_aggregator.masterdata.findings import Finding, subject_of
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.model import COMMON

_RESERVED = ("unattributed", "cap")
_MOST_MONTHS = 12


def find_faults(snapshot: Snapshot, complete: bool) -> Iterator[Finding]:
    """Yield all that is wrong with a property. `complete`: also what is missing."""
    yield from _overlaps(snapshot)
    yield from _periods(snapshot)
    yield from _credentials(snapshot)
    yield from _agreements(snapshot)
    yield from _costs(snapshot)
    for dwelling in snapshot.dwellings:
        if dwelling.dwelling in _RESERVED:
            yield _finding(
                dwelling, "dwelling", f"no dwelling can be called {dwelling.dwelling}: choose another id"
            )
    for chamber in snapshot.chambers:
        if chamber.fraction == COMMON:
            told = f"no chamber is for {COMMON}: that is what costs of all fractions are called"
            yield _finding(chamber, "fraction", told)
    if complete:
        yield from _references(snapshot)
        yield from find_uncovered(snapshot)


def find_late_reversals(
    reversed_agreements: Iterable[AgreementFact], zone: str, now: datetime
) -> Iterator[Finding]:
    """Yield agreements that would be changed or taken back after a period began under them (§ 556a (2) BGB)."""
    for fact in reversed_agreements:
        effective = fact.agreement.effective_from
        if begin_of_day(effective, zone) <= now:
            yield _finding(
                fact,
                "effective_from",
                f"the agreement has been in force since {effective} and can't be changed or taken back any more: "
                "declare a new one for a period that hasn't begun",
            )


# --- overlaps


def _overlaps(snapshot: Snapshot) -> Iterator[Finding]:
    days: tuple[tuple[Sequence[Any], tuple[str, ...], str], ...] = (
        (snapshot.areas, ("dwelling",), "a dwelling has one area at a time"),
        (snapshot.occupancies, ("dwelling",), "a dwelling is one party's at a time"),
        (snapshot.persons, ("occupancy",), "an occupancy has one number of persons at a time"),
        (snapshot.lock_access, ("lock", "dwelling"), "one row is enough"),
        (snapshot.old_readings, ("dwelling", "party", "fraction"), "volume would count twice"),
    )
    for facts, by, why in days:
        yield from _overlapping(facts, by, lambda fact: (fact.days.first, fact.days.end), why)
    instants: tuple[tuple[Sequence[Any], tuple[str, ...], str], ...] = (
        (snapshot.credentials, ("credential",), "a transponder has one holder at a time"),
        (snapshot.chambers, ("lock", "chamber"), "a chamber has one volume at a time"),
    )
    for facts, by, why in instants:
        yield from _overlapping(facts, by, lambda fact: (fact.begins_at, fact.ends_at), why)


def _overlapping(facts: Sequence[Any], by: tuple[str, ...], span: Any, why: str) -> Iterator[Finding]:
    groups: dict[tuple[str, ...], list[Any]] = defaultdict(list)
    for fact in facts:
        groups[tuple(getattr(fact, name) for name in by)].append(fact)
    for group in groups.values():
        group.sort(key=lambda fact: span(fact)[0])
        for one, other in pairwise(group):
            end, begin = span(one)[1], span(other)[0]
            if end is None or begin < end:
                told = "without an end" if end is None else f"up to {_show(end)}"
                yield _finding(
                    other, "from", f"from {_show(begin)} on it overlaps another one, {told}; {why}: end that one first",
                    one,
                )  # fmt: skip


# --- single tables


def _periods(snapshot: Snapshot) -> Iterator[Finding]:
    periods = sorted(snapshot.periods, key=lambda period: period.days.first)
    for period in periods:
        latest = add_months(period.days.first, _MOST_MONTHS)
        if period.days.end is None:
            yield _finding(period, "to_exclusive", f"a period needs an end: at the latest {latest}")
        elif period.days.end > latest:
            yield _finding(
                period,
                "to_exclusive",
                f"a period has at most 12 months (§ 556 (3) BGB): end it on {latest} or before",
            )
    for before, after in pairwise(periods):
        if before.days.end is not None and before.days.end != after.days.first:
            what = "overlaps" if before.days.end > after.days.first else "leaves a gap to"
            yield _finding(
                after, "from", f"it {what} the period before: let it begin on {before.days.end}", before
            )


def _credentials(snapshot: Snapshot) -> Iterator[Finding]:
    zone = snapshot.property.time_zone
    occupancies = {occupancy.occupancy: occupancy for occupancy in snapshot.occupancies}
    for credential in snapshot.credentials:
        if credential.service == (credential.occupancy is not None):
            yield _finding(
                credential, "service", "a transponder is an occupancy's or the service's: give one of the two"
            )
        occupancy = occupancies.get(credential.occupancy or "")
        if occupancy is not None:
            yield from _reach(credential, occupancy, zone)


def _reach(credential: Credential, occupancy: Occupancy, zone: str) -> Iterator[Finding]:
    begin = begin_of_day(occupancy.days.first, zone)
    if credential.begins_at < begin:
        yield _finding(
            credential, "from",
            f"it reaches beyond its occupancy {occupancy.occupancy}: begin at {format_instant(begin)} "
            f"({occupancy.days.first}) at the earliest", occupancy,
        )  # fmt: skip
    if occupancy.days.end is not None:
        end = begin_of_day(occupancy.days.end, zone)
        if credential.ends_at is None or end < credential.ends_at:
            yield _finding(
                credential, "to_exclusive",
                f"it reaches beyond its occupancy {occupancy.occupancy}: end at {format_instant(end)} "
                f"({occupancy.days.end}) at the latest", occupancy,
            )  # fmt: skip


def _agreements(snapshot: Snapshot) -> Iterator[Finding]:
    zone = snapshot.property.time_zone
    for fact in snapshot.agreements:
        agreement = fact.agreement
        begin = begin_of_day(agreement.effective_from, zone)
        if agreement.declared_at >= begin:
            yield _finding(
                fact, "declared_at",
                f"declared too late: the period begins at {format_instant(begin)}, and § 556a (2) BGB wants it "
                "declared before: let it hold from a later period on",
            )  # fmt: skip
        if agreement.base_share + agreement.usage_share == 0:
            yield _finding(fact, "base_share", "base and usage share are both 0: nothing could be divided")


def _costs(snapshot: Snapshot) -> Iterator[Finding]:
    entered: dict[tuple[str, str, int], Any] = {}
    sums: dict[tuple[date, str], int] = defaultdict(int)
    lowest: dict[tuple[date, str], Any] = {}
    for cost in snapshot.costs:
        same = (cost.document_sha256, cost.fraction, cost.gross_cents)
        if same in entered:
            yield _finding(
                cost, "document_sha256",
                f"this cost is entered already, as item {entered[same].item}: the same document, fraction and amount; "
                "leave one of them out", entered[same],
            )  # fmt: skip
        entered.setdefault(same, cost)
        if cost.apportionable:
            of = (cost.period_first, cost.fraction)
            sums[of] += cost.gross_cents
            if of not in lowest or cost.gross_cents < lowest[of].gross_cents:
                lowest[of] = cost
    for (first, fraction), cents in sums.items():
        if cents < 0:
            yield _finding(
                lowest[first, fraction], "gross_amount",
                f"the apportionable costs of {fraction} in the period from {first} sum to {plain(cents, 2)}: less than "
                "0 can't be divided; enter the cost that the refund belongs to",
            )  # fmt: skip


# --- references


def _references(snapshot: Snapshot) -> Iterator[Finding]:
    dwellings = {dwelling.dwelling for dwelling in snapshot.dwellings}
    parties = {party.party for party in snapshot.parties}
    occupancies = {occupancy.occupancy for occupancy in snapshot.occupancies}
    firsts = {period.days.first for period in snapshot.periods}
    chambers = {(chamber.lock, chamber.chamber) for chamber in snapshot.chambers}
    locks = {lock for lock, _ in chambers}
    if snapshot.owner not in parties:
        yield _unknown(snapshot.property, "landlord", "party", snapshot.owner)
    of_parties: list[Any] = [*snapshot.occupancies, *snapshot.advances, *snapshot.old_readings]
    for named in (*of_parties, *snapshot.areas, *snapshot.lock_access):
        if named.dwelling not in dwellings:
            yield _unknown(named, "dwelling", "dwelling", named.dwelling)
    for named in of_parties:
        if named.party not in parties:
            yield _unknown(named, "party", "party", named.party)
    of_occupancies: list[Any] = [*snapshot.persons, *snapshot.credentials]
    for each in of_occupancies:
        if each.occupancy is not None and each.occupancy not in occupancies:
            yield _unknown(each, "occupancy", "occupancy", each.occupancy)
    for access in snapshot.lock_access:
        if access.lock not in locks:
            yield _unknown(access, "lock", "chamber", access.lock)
    for opening in snapshot.opening_registers:
        if (opening.lock, opening.chamber) not in chambers:
            yield _unknown(opening, "chamber", "chamber", f"{opening.lock}/{opening.chamber}")
    of_periods: list[Any] = [*snapshot.costs, *snapshot.advances]
    for money in of_periods:
        if money.period_first not in firsts:
            yield _unknown(money, "period_first", "period", str(money.period_first))
    for fact in snapshot.agreements:
        if fact.agreement.effective_from not in firsts:
            yield _finding(
                fact, "effective_from",
                f"{fact.agreement.effective_from} isn't the first day of a period: an agreement holds for whole "
                f"periods; there is: {', '.join(map(str, sorted(firsts))) or 'none'}",
            )  # fmt: skip
    yield from _strange_payers(snapshot, dwellings, parties)


def _strange_payers(snapshot: Snapshot, dwellings: set[str], parties: set[str]) -> Iterator[Finding]:
    """An advance is deducted from a row: who paid must have had the dwelling in that period."""
    periods = {period.days.first: period.days for period in snapshot.periods}
    had: dict[tuple[str, str], list[Occupancy]] = defaultdict(list)
    for occupancy in snapshot.occupancies:
        had[occupancy.dwelling, occupancy.party].append(occupancy)
    for advance in snapshot.advances:
        period = periods.get(advance.period_first)
        if period is None or advance.dwelling not in dwellings or advance.party not in parties:
            continue
        if not any(occupancy.days.cut(period) for occupancy in had[advance.dwelling, advance.party]):
            yield _finding(
                advance, "party",
                f"{advance.party} didn't have {advance.dwelling} on any day of the period from {advance.period_first}: "
                "correct dwelling, party or period",
            )  # fmt: skip


def _unknown(fact: object, column: str, table: str, name: str) -> Finding:
    message = f"{name} isn't in the table {table}: correct it, or import the {table} as well"
    return Finding((subject_of(fact),), column, message, missing=(table, name))


def _finding(fact: object, column: str, message: str, *others: object) -> Finding:
    return Finding(tuple(subject_of(each) for each in (fact, *others)), column, message)


def _show(edge: date | datetime) -> str:
    return format_instant(edge) if isinstance(edge, datetime) else edge.isoformat()
