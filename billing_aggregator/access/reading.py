"""Reads from the master data who holds which transponder and which locks a property has; days become instants."""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from billing_aggregator.access.lists import EstateAccess, Holder, Place, Right, Span
from billing_aggregator.days import begin_of_day
from billing_aggregator.masterdata.columns import Table
from billing_aggregator.masterdata.facts import Chamber, Credential, LockAccess, Occupancy
from billing_aggregator.masterdata.payloads import decode_all
from billing_aggregator.masterdata.schema import CHAMBER, CREDENTIAL, LOCK_ACCESS, OCCUPANCY, PROPERTY
from billing_aggregator.masterdata.store import MasterData, State
from billing_aggregator.model import DayRange

_TABLES = (PROPERTY, OCCUPANCY, CREDENTIAL, CHAMBER, LOCK_ACCESS)


def read_access(masterdata: MasterData, properties: Sequence[str]) -> tuple[EstateAccess, ...]:
    """Return what these properties' lists are worked out from; unknown ones are left out."""
    states: dict[str, State] = {}
    with masterdata.trying() as change:
        for table in _TABLES:
            for name, state in change.states(properties, table.name).items():
                states.setdefault(name, {}).update(state)
        by_hand = change.entered_by_hand(properties, CREDENTIAL.name)
    there = [name for name in properties if PROPERTY.name in states.get(name, {})]
    return tuple(_make(name, states[name], by_hand) for name in there)


def _make(name: str, state: State, by_hand: Container[int]) -> EstateAccess:
    zone: str = _facts(state, PROPERTY)[0].time_zone
    occupancies: Mapping[str, Occupancy] = {each.occupancy: each for each in _facts(state, OCCUPANCY)}
    return EstateAccess(
        property=name,
        holders=tuple(_holders(state, by_hand, occupancies, zone)),
        rights=tuple(_rights(_facts(state, LOCK_ACCESS), zone)),
        places=tuple(_places(_facts(state, CHAMBER))),
    )


def _facts(state: State, table: Table) -> Any:
    return decode_all(table, [fact.payload for fact in state.get(table.name, {}).values()])


def _holders(
    state: State, by_hand: Container[int], occupancies: Mapping[str, Occupancy], zone: str
) -> Iterator[Holder]:
    credentials: Iterable[Credential] = _facts(state, CREDENTIAL)
    for stored, each in zip(state.get(CREDENTIAL.name, {}).values(), credentials, strict=True):
        lost = each.ends_at is not None and stored.fact_no in by_hand
        if each.service:
            yield Holder(each.credential, None, Span(each.begins_at, each.ends_at), lost)
            continue
        occupancy = occupancies[each.occupancy or ""]
        stay = _span(occupancy.days, zone)
        span = Span(each.begins_at, each.ends_at).cut(stay)
        if span is not None:
            yield Holder(each.credential, occupancy.dwelling, span, lost and span.ends_at != stay.ends_at)


def _rights(accesses: Iterable[LockAccess], zone: str) -> Iterator[Right]:
    for each in accesses:
        yield Right(each.lock, each.dwelling, _span(each.days, zone))


def _places(chambers: Iterable[Chamber]) -> Iterator[Place]:
    yield from dict.fromkeys(Place(each.lock, Span(each.begins_at, each.ends_at)) for each in chambers)


def _span(days: DayRange, zone: str) -> Span:
    end: datetime | None = None if days.end is None else begin_of_day(days.end, zone)
    return Span(begin_of_day(days.first, zone), end)
