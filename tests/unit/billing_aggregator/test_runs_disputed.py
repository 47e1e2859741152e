"""A dispute that is noticed between approval and finalizing: nothing is final before somebody has looked."""

from dataclasses import replace
from datetime import UTC, date, datetime

import msgspec
import pytest

from billing_aggregator.errors import IllegalStep
from billing_aggregator.model import ReviewKind
from billing_aggregator.runs import approval
from billing_aggregator.runs.document import open_reviews
from billing_aggregator.runs.drafting import begin, calculate_draft
from billing_aggregator.runs.replaying import replay
from billing_aggregator.runs.states import RunState
from tests.unit.billing_aggregator.run_books import APPROVER, CLERK, RunDesk, document_of
from tests.unit.billing_aggregator.worked_case import PERIOD

RECEIPT_ON = date(2027, 3, 1)
LATER = datetime(2027, 1, 1, tzinfo=UTC)  # after the ledger's clock, by which disputes are noticed


def test_a_dispute_after_approval_sends_the_run_back_and_is_decided(any_desk: RunDesk) -> None:
    desk = any_desk
    record = desk.estate.pour("2025-09-01 10:00", 4, 1)
    desk.commit()
    run = calculate_draft(desk.books, begin(desk.books, "P1", PERIOD.first, CLERK), CLERK, RECEIPT_ON)
    run = approval.approve(desk.books, approval.submit(desk.books, run, CLERK), APPROVER)
    other = desk.estate.lock.page_record(replace(record, uid=2))
    desk.estate.commit([msgspec.structs.replace(other, clock_offset_s=-2)])
    desk.clock.at = LATER
    with pytest.raises(IllegalStep, match="reviews: 0 -> 1 entries"):
        approval.finalize(desk.books, run, APPROVER)
    run = approval.send_back(desk.books, run, APPROVER, "a record is disputed")
    run = calculate_draft(desk.books, run, CLERK, RECEIPT_ON)
    assert [review.kind for review in open_reviews(document_of(desk, run))] == [ReviewKind.DISPUTED]
    run = desk.finished_by_acknowledging(run)
    assert run.state is RunState.FINALIZED
    assert replay(desk.books, run).identical
