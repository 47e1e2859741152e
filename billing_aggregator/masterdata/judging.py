"""Judges properties as they would be after a change, by the rules; chambers also against those of other properties."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from billing_aggregator.errors import Problem
from billing_aggregator.masterdata.differences import Difference
from billing_aggregator.masterdata.facts import AgreementFact, Chamber
from billing_aggregator.masterdata.findings import Finding, Subject, subject_of, to_problem
from billing_aggregator.masterdata.parsing import ParsedRow, Place
from billing_aggregator.masterdata.payloads import decode_fact, make_snapshot
from billing_aggregator.masterdata.rules import find_faults, find_late_reversals
from billing_aggregator.masterdata.schema import AGREEMENT, CHAMBER
from billing_aggregator.masterdata.snapshot import Snapshot
from billing_aggregator.masterdata.store import Change, State

Places = dict[Subject, Place]


def judge(
    change: Change,
    states: Mapping[str, State],
    rows: Mapping[str, Sequence[ParsedRow]],
    differences: Sequence[Difference],
    complete: bool,
) -> Iterator[Problem]:
    """Yield what is wrong with the properties that differ, as they would be. `complete`: all rows could be read."""
    by_property: dict[str, list[Difference]] = defaultdict(list)
    for difference in differences:
        by_property[difference.property].append(difference)
    claims = _Claims(change)
    for name, changed in by_property.items():
        places = {(row.table.name, row.key): row.place for row in rows[name] if row.place is not None}
        after = _after(states.get(name, {}), changed)
        snapshot = make_snapshot(after, change.began_at)
        if snapshot is None:
            if complete:
                yield _without_property(name, changed)
            continue
        findings = [*find_faults(snapshot, complete)]
        findings += find_late_reversals(_taken_back(changed), snapshot.property.time_zone, change.began_at)
        for finding in findings:
            yield to_problem(finding, name, places)
        if any(difference.table == CHAMBER.name for difference in changed):
            claims.add(snapshot, places)
    yield from claims.find_conflicts()


def _after(state: State, changed: Sequence[Difference]) -> dict[str, dict[str, str]]:
    payloads = {table: {key: fact.payload for key, fact in rows.items()} for table, rows in state.items()}
    for difference in changed:
        rows = payloads.setdefault(difference.table, {})
        if difference.after is None:
            del rows[difference.key]
        else:
            rows[difference.key] = difference.after
    return payloads


def _taken_back(changed: Sequence[Difference]) -> Iterator[AgreementFact]:
    for difference in changed:
        if difference.table == AGREEMENT.name and difference.before is not None:
            fact = decode_fact(AGREEMENT, difference.before)
            if isinstance(fact, AgreementFact):
                yield fact


def _without_property(name: str, changed: Sequence[Difference]) -> Problem:
    message = f"{name} isn't in the table property: import it as well, or correct the id"
    place = next((difference.place for difference in changed if difference.place is not None), None)
    if place is None:
        return Problem("", None, None, message)
    return Problem(place.file, place.line, "property", message)


class _Claims:
    """Which property has which chamber from when to when: a pour through it must not be billed twice."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self._chambers: dict[str, list[tuple[str, Chamber]]] = defaultdict(list)
        self._places: dict[str, Places] = {}

    def add(self, snapshot: Snapshot, places: Places) -> None:
        """Note what a property that changes would have."""
        name = snapshot.property.property
        self._places[name] = places
        for chamber in snapshot.chambers:
            self._chambers[chamber.lock].append((name, chamber))

    def find_conflicts(self) -> Iterator[Problem]:
        """Yield chambers that two properties would have at the same time."""
        for lock, claims in self._chambers.items():
            mine = {name for name, _ in claims}
            others = [
                (name, fact)
                for name, payload in self._change.chambers_of(lock)
                if name not in mine and isinstance(fact := decode_fact(CHAMBER, payload), Chamber)
            ]
            ordered = sorted([*claims, *others], key=lambda claim: (claim[1].chamber, claim[1].begins_at))
            for one, other in pairwise(ordered):
                yield from self._conflict(one, other)

    def _conflict(self, one: tuple[str, Chamber], other: tuple[str, Chamber]) -> Iterator[Problem]:
        (name, before), (second, after) = one, other
        if name == second or before.chamber != after.chamber:
            return
        if before.ends_at is None or after.begins_at < before.ends_at:
            # To blame is the one that this import brings.
            blamed, there, chamber = (
                (second, name, after) if second in self._places else (name, second, before)
            )
            message = (
                f"chamber {chamber.chamber} of lock {chamber.lock} is property {there}'s at the same time: "
                "end it there first, its pours would be billed twice"
            )
            finding = Finding((subject_of(chamber),), "lock", message)
            yield to_problem(finding, blamed, self._places[blamed])
