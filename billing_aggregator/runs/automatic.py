"""Runs by themselves: each period that is over goes from nothing to `in_review` as far as nothing stands in its way.

For a timer. Approval stays a person's. One property after the other, so memory stays that of one; several processes
take properties in turn, each with connections of its own.
"""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice

from billing_aggregator.config import Config
from billing_aggregator.days import day_of
from billing_aggregator.errors import BillingError
from billing_aggregator.runs.books import Books, open_books
from billing_aggregator.runs.drafting import calculate_ended, list_steps
from billing_aggregator.runs.gates import find_obstacles
from billing_aggregator.runs.records import RunRecord
from billing_aggregator.runs.states import RunEvent, RunState
from billing_aggregator.runs.store import Step

SYSTEM = "billing-aggregator"  # who did it, where no person did
_CHUNK = 16
_UNFINISHED = frozenset({RunState.OPEN, RunState.COLLECTING, RunState.DRAFT})


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
        for first, run in _due(books, property_id):
            try:
                results.append(_advance(books, property_id, first, run, actor, submit))
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
    chunks = iter([properties[at : at + _CHUNK] for at in range(0, len(properties), _CHUNK)])
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


def _due(books: Books, property_id: str) -> Iterator[tuple[date, RunRecord | None]]:
    """Yield the periods that are over and whose run isn't in review yet, oldest first, with their run if begun."""
    snapshot = books.snapshot(property_id)
    today = day_of(books.now(), snapshot.property.time_zone)
    latest = {run.period.first: run for run in books.store.list(property_id)}
    for days in sorted((period.days for period in snapshot.periods), key=lambda days: days.first):
        run = latest.get(days.first)
        is_over = days.end is not None and days.end <= today
        if is_over and (run is None or run.state in _UNFINISHED):
            yield days.first, run


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
    else:
        run = books.store.take(*steps(run))[-1]
    return Advanced(str(run), run.state, obstacles)
