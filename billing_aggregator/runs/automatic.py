"""Runs by themselves: each period that is over goes from nothing to `in_review` as far as nothing stands in its way.

For a timer. Approval stays a person's, and so does a draft that a person has worked on or sent back. One property
after the other, so memory stays that of one; several processes take properties in turn, with connections of their own.
"""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import islice

from billing_aggregator.config import Config
from billing_aggregator.days import day_of
from billing_aggregator.errors import BillingError, ConfigError, StoreUnavailable
from billing_aggregator.runs.books import Books, open_books
from billing_aggregator.runs.document import RevisionDocument, decode
from billing_aggregator.runs.drafting import calculate_ended, list_steps
from billing_aggregator.runs.gates import find_obstacles
from billing_aggregator.runs.records import RunRecord
from billing_aggregator.runs.states import RunEvent, RunState
from billing_aggregator.runs.store import Step

SYSTEM = "billing-aggregator"  # who did it, where no person did
_MOST_AT_ONCE = (
    64  # properties of one process at a time: opening the books costs as much as calculating a few
)


@dataclass(frozen=True, slots=True)
class Advanced:
    """How far a period got. `state`: None where there was no run to begin with, because of `obstacles`."""

    run: str
    state: str | None
    obstacles: tuple[str, ...]


def advance(books: Books, property_id: str, actor: str = SYSTEM, submit: bool = True) -> list[Advanced]:
    """Bring a property's due periods as far as they get; what stands in the way of one doesn't hold up the others."""
    results = []
    with books.one_moment():
        for first, run in _due(books, property_id, actor):
            try:
                results.append(_advance(books, property_id, first, run, actor, submit))
            except (ConfigError, StoreUnavailable):
                raise  # the next property would fare the same
            except BillingError as error:
                results.append(Advanced(f"{property_id}/{first}", None, tuple(str(error).splitlines())))
    return results


def advance_all(
    config: Config, properties: tuple[str, ...], processes: int, now: Callable[[], datetime]
) -> Iterator[list[Advanced]]:
    """Advance all these properties; yields each one's results as they come, in the order of the properties."""
    if processes == 1:
        with open_books(config, now) as books:
            for property_id in properties:
                yield advance(books, property_id)
        return
    size = max(1, min(_MOST_AT_ONCE, len(properties) // (4 * processes)))
    chunks = iter([properties[at : at + size] for at in range(0, len(properties), size)])
    # Forked children would share this process's database connections.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn) as pool:
        # A few chunks ahead of who reads the results, no more: results and waiting work stay bounded.
        running = [pool.submit(_advance_chunk, config, chunk, now) for chunk in islice(chunks, 2 * processes)]
        while running:
            yield from running.pop(0).result()
            running += [pool.submit(_advance_chunk, config, chunk, now) for chunk in islice(chunks, 1)]


def _advance_chunk(
    config: Config, properties: tuple[str, ...], now: Callable[[], datetime]
) -> list[list[Advanced]]:
    with open_books(config, now) as books:
        return [advance(books, property_id) for property_id in properties]


def _due(books: Books, property_id: str, actor: str) -> Iterator[tuple[date, RunRecord | None]]:
    """Yield the periods that are over and whose run isn't in review yet, oldest first, with their run if begun."""
    snapshot = books.snapshot(property_id)
    today = day_of(books.now(), snapshot.property.time_zone)
    latest = {run.period.first: run for run in books.store.list(property_id)}
    for days in sorted((period.days for period in snapshot.periods), key=lambda days: days.first):
        run = latest.get(days.first)
        is_over = days.end is not None and days.end <= today
        if is_over and (run is None or _may_go_on(books, run, actor)):
            yield days.first, run


def _may_go_on(books: Books, run: RunRecord, actor: str) -> bool:
    """True for what nobody has worked on: a draft whose last step was somebody else's is his."""
    if run.state is RunState.DRAFT:
        return books.store.events(run)[-1].actor == actor
    return run.state in (RunState.OPEN, RunState.COLLECTING)


def _advance(
    books: Books, property_id: str, first: date, run: RunRecord | None, actor: str, submit: bool
) -> Advanced:
    """Calculate first, then write all steps at once: thousands of properties are as many commits, not thrice that."""
    revision, reason = (1, "") if run is None else (run.revision, books.store.events(run)[0].reason)
    document = calculate_ended(books, property_id, first, revision, reason)
    if document is None:
        return Advanced(f"{property_id}/{first}", None if run is None else run.state, ())
    now = books.now()
    obstacles = find_obstacles(document, day_of(now, document.time_zone))

    def steps(here: RunRecord) -> list[Step]:
        taken = list_steps(here, document, actor, now)
        if submit and not obstacles:
            taken.append(Step(here, RunEvent.SUBMITTED, actor, now, "automatic: nothing stands in the way"))
        return taken

    if run is None:
        run = books.store.create(property_id, document.period, actor, now, then=steps)
    elif not (obstacles and _is_known(books, run, document)):
        run = books.store.take(*steps(run))[-1]
    return Advanced(str(run), run.state, obstacles)


def _is_known(books: Books, run: RunRecord, document: RevisionDocument) -> bool:
    """True if the run's last draft says the same: a timer that finds nothing new leaves nothing behind."""
    content = books.store.content(run.run_no)
    if content is None:
        return False
    last = decode(content)
    usage = replace(document.usage, position=last.usage.position, missing=last.usage.missing)
    return replace(document, pins=last.pins, receipt_on=last.receipt_on, usage=usage) == last
