"""What rows would change in what is known of a property: added, changed, reversed, or nothing."""

import builtins
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from billing_aggregator.errors import Problem
from billing_aggregator.masterdata.parsing import ParsedRow, Place
from billing_aggregator.masterdata.payloads import decode_fact, encode_fact
from billing_aggregator.masterdata.schema import TABLES
from billing_aggregator.masterdata.store import Change, State


class ChangeKind(StrEnum):
    """What becomes of a row's key."""

    ADDED = "added"
    CHANGED = "changed"
    REVERSED = "reversed"


@dataclass(frozen=True, slots=True)
class Difference:
    """One change. `before`, `after`: payloads, None where there is none. `reverses`: the number of the fact before."""

    property: str
    table: str
    key: str
    before: str | None
    after: str | None
    reverses: int | None
    reason: str
    place: Place | None

    @builtins.property
    def kind(self) -> ChangeKind:
        """What becomes of the key."""
        if self.before is None:
            return ChangeKind.ADDED
        return ChangeKind.REVERSED if self.after is None else ChangeKind.CHANGED

    def changed_columns(self) -> dict[str, tuple[str, str]]:
        """Return, by column, the cells before and after where they differ; "" where there was or will be no row."""
        table = TABLES[self.table]
        before, after = (
            {} if payload is None else table.texts(decode_fact(table, payload))
            for payload in (self.before, self.after)
        )
        return {
            column: (before.get(column, ""), after.get(column, ""))
            for column in {**before, **after}
            if before.get(column, "") != after.get(column, "")
        }


def compare(
    change: Change,
    state: State,
    rows: Sequence[ParsedRow],
    reason: str,
    problems: list[Problem],
    unchanged: dict[str, int],
) -> list[Difference]:
    """Return what the rows of one property change in its state; problems and unchanged rows (by table) are added."""
    seen: dict[tuple[str, str], ParsedRow] = {}
    differences = []
    for row in rows:
        name = row.table.name
        other = seen.setdefault((name, row.key), row)
        if other is not row:
            problems.append(
                _problem(row, f"{name} {row.key or row.property} is there already{_at(other)}: remove one")
            )
            continue
        known = state.get(name, {}).get(row.key)
        after = None if row.fact is None else encode_fact(row.fact)
        before = None if known is None else known.payload
        if after == before and (known is not None or change.was_reversed(row.property, name, row.key)):
            unchanged[name] = unchanged.get(name, 0) + 1
            continue
        if after is None and known is None:
            problems.append(
                _problem(row, f"{name} {row.key} isn't known, there is nothing to take back: correct its key")
            )
            continue
        number = None if known is None else known.fact_no
        difference = Difference(
            row.property, name, row.key, before, after, number, row.reason or reason, row.place
        )
        if known is not None and not difference.reason:
            problems.append(_problem(row, _unreasoned(difference)))
        differences.append(difference)
    return differences


def _unreasoned(difference: Difference) -> str:
    if difference.kind is ChangeKind.REVERSED:
        return "it would be taken back: say why, with --reason or in a column reason"
    told = ", ".join(
        f"{column} {before or 'empty'} -> {after or 'empty'}"
        for column, (before, after) in difference.changed_columns().items()
    )
    return f"it is known with other values ({told}): say why it changes, with --reason or in a column reason"


def _problem(row: ParsedRow, message: str) -> Problem:
    if row.place is None:
        return Problem("", None, None, f"property {row.property}: {message}")
    return Problem(row.place.file, row.place.line, None, message)


def _at(row: ParsedRow) -> str:
    return "" if row.place is None else f" in {row.place.file}, line {row.place.line}"
