"""How the command line names a run: `PROPERTY/FIRST-DAY/REVISION`; what is left out is the latest there is."""

from datetime import date
from typing import Annotated

import typer

from billing_aggregator.errors import NotFound
from billing_aggregator.runs.books import Books
from billing_aggregator.runs.records import RunRecord

RunArgument = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="PROPERTY/FIRST-DAY, for the latest revision, or PROPERTY/FIRST-DAY/REVISION: lindenhof/2025-01-01/1.",
    ),
]


def split_name(books: Books, name: str) -> tuple[str, date, int | None]:
    """Return property, first day and revision of a name; the day left out: that of the property's latest run."""
    property_id, _, rest = name.partition("/")
    first, _, revision = rest.partition("/")
    try:
        number = int(revision) if revision else None
        if first:
            return property_id, date.fromisoformat(first), number
    except ValueError:
        raise typer.BadParameter(
            f"{name!r} names no run: expected PROPERTY/FIRST-DAY or PROPERTY/FIRST-DAY/REVISION, "
            "as in lindenhof/2025-01-01/2"
        ) from None
    runs = books.store.list(property_id)
    if not runs:
        raise NotFound(
            f"{property_id} has no runs: begin one with `billing-aggregator run new {property_id}/2025-01-01`"
        )
    return property_id, runs[-1].period.first, None


def find_run(books: Books, name: str) -> RunRecord:
    """Return the run of this name; NotFound, saying what there is."""
    return books.store.find(*split_name(books, name))
