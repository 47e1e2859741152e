"""From the end of a period to a draft, and the decisions that a draft waits for."""

from datetime import date, timedelta

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
    return draft_run(books, run, actor, receipt_on)[0]


def draft_run(
    books: Books, run: RunRecord, actor: str, receipt_on: date | None = None
) -> tuple[RunRecord, RevisionDocument | None]:
    """The same, and what was calculated; None where the period isn't over."""
    if run.state is not RunState.OPEN:
        next_state(run.state, RunEvent.CALCULATED)
    now = books.now()
    snapshot = books.snapshot(run.property, now)
    period = snapshot.period(run.period.first).days
    today = day_of(now, snapshot.property.time_zone)
    if period.end is None or today < period.end:
        return run, None
    planned = receipt_on or _planned(books, run, today)
    reason = books.store.events(run)[0].reason
    document = draft(books, Purpose(run.property, run.period.first, run.revision, reason, planned))
    ended = [Step(run, RunEvent.PERIOD_ENDED, actor, now)] if run.state is RunState.OPEN else []
    waiting = document.usage.buffered_pours > 0 and run.state is not RunState.DRAFT
    event = RunEvent.WAITED if waiting else RunEvent.CALCULATED
    step = Step(run, event, actor, now, document=encode(document))
    return books.store.take(*ended, step)[-1], document


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


def _planned(books: Books, run: RunRecord, today: date) -> date:
    """Return the day that was planned before, if it hasn't passed; else so many days from today as configured."""
    content = None if run.state is RunState.OPEN else books.store.content(run.run_no)
    before = None if content is None else decode(content).receipt_on
    fallback = today + timedelta(days=books.config.runs.receipt_days)
    return before if before is not None and before >= today else fallback
