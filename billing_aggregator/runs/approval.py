"""From draft to finalized: handing in, four eyes, the recount: what must hold besides the table of states.

Whoever handed a run in, or decided anything in it, can't approve it. Finalizing counts the ledger's single entries
again and looks whether anything has come since: a draft that isn't what a recount gives is never finalized.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from billing_aggregator.days import day_of
from billing_aggregator.errors import IllegalStep
from billing_aggregator.runs.books import Books
from billing_aggregator.runs.document import RevisionDocument, decode, digest, encode
from billing_aggregator.runs.gates import find_obstacles
from billing_aggregator.runs.gathering import count_now, recount
from billing_aggregator.runs.preview import describe_differences
from billing_aggregator.runs.records import EventRecord, RunRecord
from billing_aggregator.runs.states import FINAL_STATES, RunEvent, next_state
from billing_aggregator.runs.store import Step


class Barred(StrEnum):
    """Why somebody can't approve a run."""

    NOT_LISTED = "not_listed"  # the configuration doesn't name them as an approver
    INVOLVED = "involved"  # they handed it in, or decided something in it


def submit(books: Books, run: RunRecord, actor: str, reason: str = "") -> RunRecord:
    """Hand a draft in for review; IllegalStep with everything that stands in the way."""
    next_state(run.state, RunEvent.SUBMITTED)
    _refuse_obstacles(run, decode(books.store.document(run)), books.now())
    return books.store.take(Step(run, RunEvent.SUBMITTED, actor, books.now(), reason))[-1]


def approve(books: Books, run: RunRecord, actor: str, reason: str = "") -> RunRecord:
    """Approve what others handed in and decided; IllegalStep unless `actor` is listed and none of these."""
    next_state(run.state, RunEvent.APPROVED)
    match why_not_approve(books, run, actor):
        case Barred.NOT_LISTED:
            listed = ", ".join(books.config.approval.approvers) or "nobody yet"
            raise IllegalStep(
                f"{actor} may not approve runs: [approval] approvers in the configuration lists {listed}"
            )
        case Barred.INVOLVED:
            raise IllegalStep(
                f"{actor} handed run {run} in or decided in it: somebody else has to approve it (four eyes)"
            )
    details = {"sha256": digest(books.store.document(run))}
    return books.store.take(Step(run, RunEvent.APPROVED, actor, books.now(), reason, details))[-1]


def why_not_approve(books: Books, run: RunRecord, actor: str) -> Barred | None:
    """Return what bars a person from approving a run that is in review, None if nothing does."""
    if actor not in books.config.approval.approvers:
        return Barred.NOT_LISTED
    events = books.store.events(run)
    # What the timer handed in was decided by people: theirs are the other two eyes then.
    involved = {each.actor for each in events if each.event == RunEvent.DECIDED}
    return Barred.INVOLVED if actor in {_last(events, RunEvent.SUBMITTED).actor, *involved} else None


def send_back(books: Books, run: RunRecord, actor: str, reason: str) -> RunRecord:
    """Send a run back to be a draft again; IllegalStep without a reason."""
    next_state(run.state, RunEvent.SENT_BACK)
    if not reason.strip():
        raise IllegalStep("say why it is sent back: --reason TEXT")
    return books.store.take(Step(run, RunEvent.SENT_BACK, actor, books.now(), reason))[-1]


def finalize(books: Books, run: RunRecord, actor: str, reason: str = "") -> RunRecord:
    """Fix an approved run's bytes for ever, after a recount; the revision before is superseded in the same step."""
    next_state(run.state, RunEvent.FINALIZED)
    events = books.store.events(run)
    if not is_approved(events):
        raise IllegalStep(
            f"run {run} isn't approved: `billing-aggregator run approve {run}` by somebody else first"
        )
    draft = decode(books.store.document(run))
    now = books.now()
    _refuse_obstacles(run, draft, now)
    # Single entries, one by one: from now on their hash is pinned, not that of the counts per day.
    final = recount(books, draft)
    _refuse_other_count(run, draft, _pinned_as(final, draft), "the recount of single entries")
    current = count_now(books, draft)
    _refuse_other_count(run, final, _without_progress(current, final), "what has come or was corrected since")
    step = Step(run, RunEvent.FINALIZED, actor, now, reason, {"draft": digest(encode(draft))}, encode(final))
    return books.store.take(step, *_supersede(books, run, actor, now))[0]


def _supersede(books: Books, run: RunRecord, actor: str, now: datetime) -> list[Step]:
    return [
        Step(earlier, RunEvent.SUPERSEDED, actor, now, f"revision {run.revision}", {"by": run.revision})
        for earlier in books.store.revisions(run.property, run.period.first)
        if earlier.revision < run.revision and earlier.state in FINAL_STATES and earlier.superseded_by is None
    ]


def _pinned_as(other: RevisionDocument, draft: RevisionDocument) -> RevisionDocument:
    """Leave out by what the entries are pinned: a draft's hash is that of counts per day."""
    usage = replace(other.usage, entries_hash=draft.usage.entries_hash)
    return replace(other, usage=usage, pins=draft.pins)


def _without_progress(current: RevisionDocument, final: RevisionDocument) -> RevisionDocument:
    """Leave out how far ledger and master data have got, and gaps that change nothing here: all may have moved."""
    usage = replace(current.usage, position=final.usage.position, missing=final.usage.missing)
    return replace(current, usage=usage, pins=final.pins)


def _refuse_obstacles(run: RunRecord, document: RevisionDocument, now: datetime) -> None:
    obstacles = find_obstacles(document, day_of(now, document.time_zone))
    if obstacles:
        raise IllegalStep("\n".join([f"run {run} can't go on yet:", *(f"- {text}" for text in obstacles)]))


def _refuse_other_count(run: RunRecord, draft: RevisionDocument, other: RevisionDocument, what: str) -> None:
    if encode(draft) != encode(other):
        differences = describe_differences(draft, other)
        raise IllegalStep(
            "\n".join(
                [
                    f"run {run} isn't finalized: {what} gives something else:",
                    *(f"- {text}" for text in differences),
                    f"send it back (`billing-aggregator run send-back {run} --reason …`) and calculate it again",
                ]
            )
        )


def is_approved(events: Sequence[EventRecord]) -> bool:
    """True if it was approved after it was handed in for the last time."""
    steps = [event.event for event in events if event.event in (RunEvent.SUBMITTED, RunEvent.APPROVED)]
    return bool(steps) and steps[-1] == RunEvent.APPROVED


def _last(events: Sequence[EventRecord], wanted: RunEvent) -> EventRecord:
    return next(event for event in reversed(events) if event.event == wanted)
