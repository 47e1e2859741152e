"""From the end of a period to a draft, and the decisions that a draft waits for."""

from datetime import date, datetime, timedelta

from billing_aggregator.days import day_of
from billing_aggregator.errors import IllegalStep, NotFound
from billing_aggregator.runs.books import Books
from billing_aggregator.runs.capping import KEEP, LIFT, cap_review
from billing_aggregator.runs.document import RevisionDocument, decode, encode
from billing_aggregator.runs.gathering import Purpose, draft
from billing_aggregator.runs.records import RunRecord
from billing_aggregator.runs.states import RunEvent, RunState, next_state
from billing_aggregator.runs.store import Step


def begin(books: Books, property_id: str, first: date, actor: str) -> RunRecord:
    """Return a new run of a period, `open`; IllegalStep if there is one already, NotFound without such a period."""
    period = books.snapshot(property_id).period(first)
    return books.store.create(property_id, period.days, actor, books.now())


def calculate_draft(books: Books, run: RunRecord, actor: str, receipt_on: date | None = None) -> RunRecord:
    """Calculate a run as things are now; it stays `open` until its period is over, `collecting` while records are on
    their way. `receipt_on`: the planned local day of receipt."""
    if run.state is not RunState.OPEN:
        next_state(run.state, RunEvent.CALCULATED)
    today = day_of(books.now(), books.snapshot(run.property).property.time_zone)
    if receipt_on is not None and receipt_on < today:
        raise IllegalStep(
            f"nobody gets on {receipt_on} what is calculated on {today}: plan a later day of receipt"
        )
    planned = receipt_on or _planned_before(books, run)
    reason = books.store.events(run)[0].reason
    document = calculate_ended(books, run.property, run.period.first, run.revision, reason, planned)
    if document is None:
        return run
    return books.store.take(*list_steps(run, document, actor, books.now()))[-1]


def calculate_ended(
    books: Books, property_id: str, first: date, revision: int, reason: str, receipt_on: date | None = None
) -> RevisionDocument | None:
    """Return a revision as things are now, None while its period isn't over. `receipt_on`: else as configured."""
    snapshot = books.snapshot(property_id)
    end = snapshot.period(first).days.end
    today = day_of(books.now(), snapshot.property.time_zone)
    if end is None or today < end:
        return None
    if receipt_on is None or receipt_on < today:
        receipt_on = today + timedelta(days=books.config.runs.receipt_days)
    return draft(books, Purpose(property_id, first, revision, reason, receipt_on))


def list_steps(run: RunRecord, document: RevisionDocument, actor: str, now: datetime) -> list[Step]:
    """Return the steps that a calculation means for a run."""
    ended = [Step(run, RunEvent.PERIOD_ENDED, actor, now)] if run.state is RunState.OPEN else []
    waiting = document.usage.buffered_pours > 0 and run.state is not RunState.DRAFT
    event = RunEvent.WAITED if waiting else RunEvent.CALCULATED
    return [*ended, Step(run, event, actor, now, document=encode(document))]


def decide(books: Books, run: RunRecord, review: str, choice: str, actor: str, reason: str) -> RunRecord:
    """Decide a review, a group of them, or lift a row's cap (`cap:ROW lift`), and calculate the draft again."""
    next_state(run.state, RunEvent.DECIDED)
    if not reason.strip():
        raise IllegalStep("say why: --reason TEXT, it is kept with the decision")
    name, choices = _named(decode(books.store.document(run)), review)
    if choice not in choices:
        raise IllegalStep(f"{review} can't be decided as {choice}: expected {' or '.join(sorted(choices))}")
    details = {"review": name, "choice": choice}
    decided = books.store.take(Step(run, RunEvent.DECIDED, actor, books.now(), reason, details))[-1]
    return calculate_draft(books, decided, actor)


def _named(document: RevisionDocument, wanted: str) -> tuple[str, set[str]]:
    """Return the full name of a review, group or cap (`cap:ROW` for short), and what can be decided about it.

    Of a group: what each of its reviews can be decided as.
    """
    for cap in document.caps:
        name = cap_review(document.period.first, document.revision, cap.row)
        if wanted in (name, f"cap:{cap.row}"):
            return name, {LIFT, KEEP}
    found = [set(review.choices) for review in document.reviews if wanted in (review.review, review.group)]
    if not found:
        raise NotFound(
            f"there is no review {wanted} in this run: `billing-aggregator run review RUN` lists them"
        )
    return wanted, set.intersection(*found)


def _planned_before(books: Books, run: RunRecord) -> date | None:
    content = None if run.state is RunState.OPEN else books.store.content(run.run_no)
    return None if content is None else decode(content).receipt_on
