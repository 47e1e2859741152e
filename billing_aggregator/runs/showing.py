"""A run as people and programs see it: its rows in full, where it stands, what is due and what alarms.

`RunView` is what `run show --json` prints, the document itself among it: enough to recompute the run elsewhere.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction

from billing_aggregator.days import day_of
from billing_aggregator.errors import ConfigError, StoreUnavailable
from billing_aggregator.model import CAP_ROW, FractionResult, Pool, RowBasis, RowVolumes
from billing_aggregator.runs.books import Books
from billing_aggregator.runs.deadlines import Deadlines, deadlines_of
from billing_aggregator.runs.document import RevisionDocument, balances_of, decode, digest
from billing_aggregator.runs.gates import find_obstacles
from billing_aggregator.runs.records import EventRecord, RunRecord
from billing_aggregator.runs.revising import Proposal, propose
from billing_aggregator.runs.states import FINAL_STATES


@dataclass(frozen=True, slots=True)
class PoolView:
    """One row in one pool: weight / all_weights × total_cents = exact."""

    pool: str
    key: str
    total_cents: int
    weight: int
    all_weights: int
    exact: Fraction
    cents: int


@dataclass(frozen=True, slots=True)
class FractionView:
    """One row in one fraction: billed = max(metered + substitutes, minimum)."""

    fraction: str
    metered_ml: int
    substitute_ml: int
    minimum_ml: int
    billed_ml: int
    base: PoolView | None
    usage: PoolView | None


@dataclass(frozen=True, slots=True)
class RowView:
    """One row, complete. `basis`: None for what has no dwelling."""

    row: str
    basis: RowBasis | None
    fractions: tuple[FractionView, ...]
    base_cents: int
    usage_cents: int
    cap_cents: int
    charged_cents: int
    advances_cents: int
    balance_cents: int


@dataclass(frozen=True, slots=True)
class RunView:
    """A run and all around it. `alarms` and `obstacles` are sentences; `document` is None before the first draft."""

    run: str
    property: str
    period_first: date
    period_end: date | None
    revision: int
    state: str
    since: datetime
    superseded_by: int | None
    sha256: str | None
    total_cents: int
    charged_cents: int
    rows: tuple[RowView, ...]
    obstacles: tuple[str, ...]
    deadlines: Deadlines
    proposal: Proposal | None
    alarms: tuple[str, ...]
    events: tuple[EventRecord, ...]
    document: RevisionDocument | None


def look_at(books: Books, run: RunRecord, proposing: bool = True) -> RunView:
    """Return everything about a run; of a finalized one also whether a revision is due, which counts the ledger again
    (`proposing` False: leave that out)."""
    content = books.store.content(run.run_no)
    document = None if content is None else decode(content)
    final = run.state in FINAL_STATES
    asked = proposing and final and run.superseded_by is None
    proposal, unknown = _proposal(books, document if asked else None)
    deadlines = deadlines_of(books, run, document)
    today = None if document is None else day_of(books.now(), document.time_zone)
    return RunView(
        run=str(run),
        property=run.property,
        period_first=run.period.first,
        period_end=run.period.end,
        revision=run.revision,
        state=run.state,
        since=run.since,
        superseded_by=run.superseded_by,
        sha256=None if content is None else digest(content),
        total_cents=document.total_cents if document else 0,
        charged_cents=sum(balance.charged_cents for balance in document.balances) if document else 0,
        rows=() if document is None else list_rows(document),
        obstacles=() if document is None or today is None or final else find_obstacles(document, today),
        deadlines=deadlines,
        proposal=proposal,
        alarms=tuple(_alarms(deadlines, proposal, unknown)),
        events=books.store.events(run),
        document=document,
    )


def list_rows(document: RevisionDocument) -> tuple[RowView, ...]:
    """Return each row with its volumes, weights, exact shares and cents."""
    basis = {row.row: row for row in document.basis}
    fractions: dict[str, list[FractionView]] = defaultdict(list)
    for part in document.fractions:
        for row, view in _fraction_views(part).items():
            fractions[row].append(view)
    return tuple(
        RowView(
            row=row,
            basis=basis.get(row),
            fractions=tuple(fractions[row]) if row != CAP_ROW else (),
            base_cents=balance.base_cents,
            usage_cents=balance.usage_cents,
            cap_cents=balance.cap_cents,
            charged_cents=balance.charged_cents,
            advances_cents=balance.advances_cents,
            balance_cents=balance.balance_cents,
        )
        for row, balance in balances_of(document).items()
    )


def _fraction_views(part: FractionResult) -> dict[str, FractionView]:
    volumes = {each.row: each for each in part.volumes}
    base, usage = _pool_views(part.base), _pool_views(part.usage)
    views = {}
    for row in {**volumes, **base, **usage}:
        each = volumes.get(row) or RowVolumes(row, 0, 0, 0, 0)
        views[row] = FractionView(
            fraction=part.fraction,
            metered_ml=each.metered_ml,
            substitute_ml=each.substitute_ml,
            minimum_ml=each.minimum_ml,
            billed_ml=each.billed_ml,
            base=base.get(row),
            usage=usage.get(row),
        )
    return views


def _pool_views(pool: Pool) -> dict[str, PoolView]:
    all_weights = sum(share.weight for share in pool.shares)
    return {
        share.row: PoolView(
            pool=pool.name,
            key=pool.key,
            total_cents=pool.total_cents,
            weight=share.weight,
            all_weights=all_weights,
            exact=share.exact,
            cents=share.allocated_cents,
        )
        for share in pool.shares
    }


def _proposal(books: Books, final: RevisionDocument | None) -> tuple[Proposal | None, str]:
    """Return the revision that is due, and why that can't be told: what is final can be looked at nevertheless."""
    if final is None:
        return None, ""
    try:
        return propose(books, final), ""
    except (ConfigError, StoreUnavailable) as error:
        return None, f"whether a revision is due isn't known, the ledger can't be read: {error}"


def _alarms(deadlines: Deadlines, proposal: Proposal | None, unknown: str) -> Iterator[str]:
    yield from deadlines.alarms
    if proposal is not None:
        yield f"a revision is due: {'; '.join(proposal.reasons)}"
    if unknown:
        yield unknown
