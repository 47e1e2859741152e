"""How a table of master data is described: its columns, what tells its rows apart, how a fact is made of them.

    column in a file ──(Kind.read)──▶ field of the fact ──(canonical JSON)──▶ payload in the database

`schema.py` has the tables themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from billing_aggregator.days import format_instant
from billing_aggregator.masterdata.cells import DAY, IDENTIFIER, INSTANT, LAST_DAY, LAST_DAY_INSTANT, Kind
from billing_aggregator.masterdata.facts import AgreementFact, Fact
from billing_aggregator.model import Agreement, DayRange


class Span(StrEnum):
    """What `from` and `to_exclusive` of a table are."""

    NONE = "none"
    DAYS = "days"
    INSTANTS = "instants"


@dataclass(frozen=True, slots=True)
class Column:
    """`name`: in files; `field`: of the fact. `default`: read where the cell is empty; None: it must not be empty.

    `instead`: another column that may stand in this one's place, exactly one of the two in a file.
    """

    name: str
    kind: Kind
    meaning: str
    example: str
    field: str = ""
    key: bool = False
    default: str | None = None
    instead: "Column | None" = None

    @property
    def names(self) -> tuple[str, ...]:
        """What a file may call it."""
        return (self.name,) if self.instead is None else (self.name, self.instead.name)

    @property
    def target(self) -> str:
        """The fact's field that it fills."""
        return self.field or self.name


@dataclass(frozen=True)
class Table:
    """`own`: the columns after `property`, without those of the span. `dated`: `from` is part of the key."""

    name: str
    meaning: str
    fact: type[Any]
    own: tuple[Column, ...]
    span: Span = Span.NONE
    dated: bool = False
    columns: tuple[Column, ...] = field(init=False)

    def __post_init__(self) -> None:
        span = [replace(column, key=self.dated and column.name == "from") for column in _SPANS[self.span]]
        object.__setattr__(self, "columns", (PROPERTY, *self.own, *span))

    @cached_property
    def key_columns(self) -> tuple[Column, ...]:
        """What tells a row from others of its property."""
        return tuple(column for column in self.columns if column.key and column is not PROPERTY)

    @cached_property
    def _key_fields(self) -> tuple[str, ...]:
        return tuple(column.target for column in self.key_columns)

    def make(self, values: dict[str, Any]) -> Fact:
        """Return the fact with these values by field. ValueError if it would end before it begins."""
        if self.span is Span.DAYS:
            first, end = values.pop("first"), values.pop("end")
            _refuse_backwards(first, end)
            values["days"] = DayRange(first, end)
        elif self.span is Span.INSTANTS:
            _refuse_backwards(values["begins_at"], values["ends_at"])
        if self.fact is AgreementFact:
            name = values.pop("property")
            made: Fact = AgreementFact(name, Agreement(**values))
            return made
        made = self.fact(**values)
        return made

    def value(self, fact: Fact, name: str) -> Any:
        """Return a fact's value by the name of the field."""
        if name in ("first", "end"):
            return getattr(self._days_of(fact), name)
        if isinstance(fact, AgreementFact) and name != "property":
            return getattr(fact.agreement, name)
        return getattr(fact, name)

    def _days_of(self, fact: Any) -> DayRange:
        days: DayRange = fact.days
        return days

    def key_of(self, fact: Fact) -> str:
        """Return a fact's key as canonical text: `WE1/2025-01-01`."""
        return "/".join([_key_text(self.value(fact, name)) for name in self._key_fields])

    def key_in(self, values: Mapping[str, Any]) -> str:
        """Return the key of the fact that these values by field would make."""
        return "/".join([_key_text(values[name]) for name in self._key_fields])

    def texts(self, fact: Fact) -> dict[str, str]:
        """Return a fact as cells of a CSV file, by column, in the order of the columns."""
        cells = {}
        for column in self.columns:
            value = self.value(fact, column.target)
            cells[column.name] = "" if value is None else column.kind.show(value)
        return cells


def _refuse_backwards(begin: Any, end: Any) -> None:
    if end is not None and end <= begin:
        raise ValueError("it would end before it begins: correct one of the two")


def _key_text(value: Any) -> str:
    if isinstance(value, datetime):
        return format_instant(value)
    return str(value)


PROPERTY = Column("property", IDENTIFIER, "which housing estate this row belongs to", "lindenhof", key=True)


def _span(day: Kind, last: Kind, field: str, end: str, examples: tuple[str, str]) -> tuple[Column, ...]:
    last_day = Column("last_day", last, "the last day on which this holds, instead of to_exclusive", "2025-12-31",
                      field=end, default="")  # fmt: skip
    return (
        Column("from", day, "from when on this holds", examples[0], field=field),
        Column("to_exclusive", day, "until when: the first that is no longer in it; empty while it goes on",
               examples[1], field=end, default="", instead=last_day),
    )  # fmt: skip


_DAYS = _span(DAY, LAST_DAY, "first", "end", ("2025-01-01", "2026-01-01"))
_INSTANTS = _span(
    INSTANT, LAST_DAY_INSTANT, "begins_at", "ends_at", ("2025-01-01", "2025-10-26T02:30:00+02:00")
)
_SPANS = {Span.NONE: (), Span.DAYS: _DAYS, Span.INSTANTS: _INSTANTS}
