"""Who holds which transponder, and a lost one: it is ended in the master data, from which locks get their access lists.

    list_household_holdings(…)        a household's transponders
    find_transponder(masterdata, …)   one transponder's holders, in all properties
    block_transponder(masterdata, …)  it is nobody's from an instant on: who said so and why is kept
    restore_transponder(…)            it was found again: who held it last holds it from now on

A transponder is known by its pseudonym alone. Blocking is a fact like any other: what held before stays known.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from billing_aggregator.days import begin_of_day, format_instant
from billing_aggregator.errors import IllegalStep, InputRejected, NotFound, Problem
from billing_aggregator.masterdata.cells import PSEUDONYM
from billing_aggregator.masterdata.facts import Credential, Occupancy
from billing_aggregator.masterdata.importing import enter_facts
from billing_aggregator.masterdata.payloads import decode_fact
from billing_aggregator.masterdata.schema import CREDENTIAL, OCCUPANCY
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.masterdata.store import HistoryEntry, MasterData, State


@dataclass(frozen=True, slots=True)
class Holding:
    """Somebody's hold on a transponder, from when to when (None: it goes on). The service's has no dwelling.

    `credential`: its pseudonym. `actor`, `reason`, `entered_at`: who entered what holds of it now.
    """

    property: str
    credential: str
    dwelling: str | None
    party: str | None
    service: bool
    begins_at: datetime
    ends_at: datetime | None
    actor: str = ""
    reason: str = ""
    entered_at: datetime | None = None

    def holds_at(self, at: datetime) -> bool:
        """True if it is in force at an instant."""
        return self.begins_at <= at and (self.ends_at is None or at < self.ends_at)


@dataclass(frozen=True, slots=True)
class Blocked:
    """What blocking did. `ended_at`: from when on it is nobody's. `ended`: who held it until then.

    `taken_back`: who would have held it later on.
    """

    credential: str
    ended_at: datetime
    ended: tuple[Holding, ...]
    taken_back: tuple[Holding, ...]


def list_holdings(snapshot: Snapshot, history: Iterable[HistoryEntry] = ()) -> Iterator[Holding]:
    """Yield all holdings of a property, by transponder and beginning. `history`: of its credentials, to tell who."""
    occupancies = {each.occupancy: each for each in snapshot.occupancies}
    entered = {entry.key: entry for entry in history if entry.reverses is None}
    for credential in sorted(snapshot.credentials, key=lambda each: (each.credential, each.begins_at)):
        whose = occupancies.get(credential.occupancy or "")
        entry = entered.get(CREDENTIAL.key_of(credential))
        yield Holding(
            property=credential.property,
            credential=credential.credential,
            dwelling=None if whose is None else whose.dwelling,
            party=None if whose is None else whose.party,
            service=credential.service,
            begins_at=credential.begins_at,
            ends_at=credential.ends_at,
            actor="" if entry is None else entry.actor,
            reason="" if entry is None else entry.reason,
            entered_at=None if entry is None else entry.at,
        )


def list_household_holdings(masterdata: MasterData, property_id: str, row: str) -> tuple[Holding, ...]:
    """Return the transponders that a row (`dwelling/party`) has, had or will have, and who entered that."""
    snapshot = masterdata.snapshot(property_id)
    history = masterdata.history(property_id, CREDENTIAL.name)
    return tuple(each for each in list_holdings(snapshot, history) if f"{each.dwelling}/{each.party}" == row)


def find_transponder(masterdata: MasterData, credential: str) -> tuple[Holding, ...]:
    """Return who holds, held or will hold a transponder, in all properties; NotFound if nobody ever did."""
    pseudonym = read_pseudonym(credential)
    found: list[Holding] = []
    for name in masterdata.properties_of_transponder(pseudonym):
        history = masterdata.history(name, CREDENTIAL.name)
        holdings = list_holdings(masterdata.snapshot(name), history)
        found += [each for each in holdings if each.credential == pseudonym]
    if not found:
        raise NotFound(
            f"no property has a transponder {pseudonym}: `cloud-sink pseudonym` makes the pseudonym of a number; "
            "compare it with the table credential"
        )
    return tuple(sorted(found, key=lambda each: each.begins_at))


def block_transponder(
    masterdata: MasterData,
    credential: str,
    actor: str,
    reason: str,
    at: datetime | None = None,
    property_id: str | None = None,
) -> Blocked:
    """Let a transponder be nobody's from an instant on (by default now), in one property or wherever it is.

    Who would get it later doesn't get it. NotFound: nobody ever held it; IllegalStep: nobody holds it any more.
    """
    pseudonym = read_pseudonym(credential)
    _require_reason(reason)
    before = [
        each for each in find_transponder(masterdata, pseudonym) if property_id in (None, each.property)
    ]
    with masterdata.changing() as change:
        ends_at = at or change.began_at
        states = change.states(sorted({each.property for each in before}))
        held = [fact for state in states.values() for fact in _facts_of(state, pseudonym)]
        concerned = [fact for fact in held if fact.ends_at is None or fact.ends_at > ends_at]
        if not concerned:
            raise IllegalStep(_already(pseudonym, before, property_id))
        ended = [_ended(fact, ends_at) for fact in concerned if fact.begins_at < ends_at]
        taken_back = [fact for fact in concerned if fact.begins_at >= ends_at]
        enter_facts(change, ended, taken_back, actor, reason.strip())
    begins = {(each.property, each.begins_at) for each in ended}
    was = [each for each in before if each.ends_at is None or each.ends_at > ends_at]
    return Blocked(
        pseudonym,
        ends_at,
        tuple(each for each in was if (each.property, each.begins_at) in begins),
        tuple(each for each in was if each.begins_at >= ends_at),
    )


def restore_transponder(
    masterdata: MasterData, property_id: str, credential: str, actor: str, reason: str
) -> Holding:
    """Let whoever in a property held a transponder last hold it again, from now on and as long as he lives there.

    IllegalStep: somebody holds it, or nobody did whose it could be now.
    """
    pseudonym = read_pseudonym(credential)
    _require_reason(reason)
    before = [each for each in find_transponder(masterdata, pseudonym) if each.property == property_id]
    with masterdata.changing() as change:
        state = change.states([property_id]).get(property_id, {})
        held = sorted(_facts_of(state, pseudonym), key=lambda each: each.begins_at)
        if not held or held[-1].ends_at is None or held[-1].ends_at > change.began_at:
            raise IllegalStep(
                f"the transponder {pseudonym} isn't blocked in {property_id}: leave it as it is"
            )
        zone = change.zones([property_id])[property_id]
        last, ends_at = held[-1], None
        if not last.service:
            ends_at = _end_of_stay(state, last.occupancy or "", zone)
            if ends_at is not None and ends_at <= change.began_at:
                raise IllegalStep(
                    f"who held the transponder {pseudonym} last doesn't live there any more: import whose it is now"
                )
        again = Credential(property_id, pseudonym, last.occupancy, last.service, change.began_at, ends_at)
        enter_facts(change, [again], (), actor, reason.strip())
    whose = next(each for each in before if each.begins_at == last.begins_at)
    return replace(whose, begins_at=again.begins_at, ends_at=ends_at, actor=actor, reason=reason.strip())


def read_pseudonym(text: str) -> str:
    """Return a transponder's pseudonym, or raise InputRejected; a raw number is never repeated."""
    try:
        found: str = PSEUDONYM.read(text, None)
    except ValueError as error:
        raise InputRejected([Problem("", None, "transponder", str(error))]) from None
    return found


def _facts_of(state: State, pseudonym: str) -> Iterator[Credential]:
    """Yield what holds of one transponder."""
    for key, stored in state.get(CREDENTIAL.name, {}).items():
        if key.startswith(f"{pseudonym}/"):
            fact = decode_fact(CREDENTIAL, stored.payload)
            assert isinstance(fact, Credential)
            yield fact


def _end_of_stay(state: State, occupancy: str, zone: str) -> datetime | None:
    """Return when an occupancy ends, None while it goes on."""
    fact = decode_fact(OCCUPANCY, state[OCCUPANCY.name][occupancy].payload)
    assert isinstance(fact, Occupancy)
    return None if fact.days.end is None else begin_of_day(fact.days.end, zone)


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise InputRejected([Problem("", None, None, "a reason is missing: say why")])


def _ended(fact: Credential, ends_at: datetime) -> Credential:
    return Credential(fact.property, fact.credential, fact.occupancy, fact.service, fact.begins_at, ends_at)


def _already(pseudonym: str, before: Iterable[Holding], property_id: str | None) -> str:
    ended = [(each.ends_at, each) for each in before if each.ends_at is not None]
    if not ended:
        return f"nobody in {property_id} holds the transponder {pseudonym}: leave out the property, or correct it"
    ends_at, last = max(ended, key=lambda each: each[0])
    why = f" ({last.actor}: {last.reason})" if last.reason else ""
    return f"nobody holds the transponder {pseudonym} any more: it ended at {format_instant(ends_at)}{why}"
