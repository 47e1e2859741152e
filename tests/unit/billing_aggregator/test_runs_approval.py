"""Four eyes, gates and the recount: what keeps a run from being final; and what the timer may do."""

from datetime import UTC, date, datetime

import pytest

from billing_aggregator.errors import IllegalStep, NotFound
from billing_aggregator.runs import approval, automatic
from billing_aggregator.runs.drafting import calculate_draft, decide
from billing_aggregator.runs.replaying import replay
from billing_aggregator.runs.showing import look_at
from billing_aggregator.runs.states import RunState
from tests.unit.billing_aggregator.run_books import (
    APPROVER,
    CLERK,
    RunDesk,
    charged,
    cost,
    document_of,
)
from tests.unit.billing_aggregator.worked_case import PERIOD


def test_whoever_handed_in_may_not_approve_and_only_who_is_listed_may(desk: RunDesk) -> None:
    run = approval.submit(desk.books, desk.drafted(), APPROVER)
    with pytest.raises(IllegalStep, match="somebody else has to approve"):
        approval.approve(desk.books, run, APPROVER)
    with pytest.raises(IllegalStep, match=r"may not approve runs.*lists b\.weber"):
        approval.approve(desk.books, run, CLERK)
    with pytest.raises(IllegalStep, match="isn't approved"):
        approval.finalize(desk.books, run, APPROVER)
    assert desk.books.store.find("P1", PERIOD.first).steps == run.steps


def test_whoever_decided_a_review_may_not_approve_even_if_the_timer_handed_it_in(desk: RunDesk) -> None:
    desk.estate.pour("2025-12-01 10:00", 1, 2, volume_ml=15_000)
    desk.commit()
    (found,) = automatic.advance(desk.books, "P1")
    assert found.state == "draft" and "run decide" in found.obstacles[0]
    run = desk.books.store.find("P1", PERIOD.first)
    (review,) = document_of(desk, run).reviews
    run = decide(desk.books, run, review.review, "controller", APPROVER, "measured")
    run = approval.submit(desk.books, run, CLERK)
    with pytest.raises(IllegalStep, match="or decided in it: somebody else"):
        approval.approve(desk.books, run, APPROVER)


def test_an_approval_is_void_once_the_run_was_sent_back(desk: RunDesk) -> None:
    run = approval.approve(desk.books, approval.submit(desk.books, desk.drafted(), CLERK), APPROVER)
    with pytest.raises(IllegalStep, match="say why"):
        approval.send_back(desk.books, run, APPROVER, " ")
    run = approval.send_back(desk.books, run, APPROVER, "an invoice is missing")
    run = approval.submit(desk.books, run, CLERK)
    with pytest.raises(IllegalStep, match="isn't approved"):
        approval.finalize(desk.books, run, APPROVER)


def test_finalizing_is_refused_when_a_pour_has_come_since_the_draft(desk: RunDesk) -> None:
    run = approval.approve(desk.books, approval.submit(desk.books, desk.drafted(), CLERK), APPROVER)
    desk.estate.pour("2025-12-01 10:00", 1, 2)
    desk.commit()
    with pytest.raises(IllegalStep, match="has come or was corrected since gives something else"):
        approval.finalize(desk.books, run, APPROVER)
    run = approval.send_back(desk.books, run, APPROVER, "a pour came")
    run = desk.finish(calculate_draft(desk.books, run, CLERK))
    assert charged(desk, run)["WE1/T1"] == 29_691


def test_what_does_not_concern_the_period_holds_nothing_up(desk: RunDesk) -> None:
    run = approval.approve(desk.books, approval.submit(desk.books, desk.drafted(), CLERK), APPROVER)
    desk.estate.pour("2026-02-01 10:00", 1, 2)
    desk.commit()
    desk.enter(cost("1", 70_000, date(2026, 1, 1)))
    run = approval.finalize(desk.books, run, APPROVER)
    assert look_at(desk.books, run).proposal is None


def test_a_review_blocks_until_it_is_decided_with_a_reason(desk: RunDesk) -> None:
    desk.estate.pour("2025-12-01 10:00", 1, 2, volume_ml=15_000)
    desk.commit()
    run = desk.drafted()
    (review,) = document_of(desk, run).reviews
    with pytest.raises(IllegalStep, match=f"review {review.review}.*run decide"):
        approval.submit(desk.books, run, CLERK)
    with pytest.raises(IllegalStep, match="say why"):
        decide(desk.books, run, review.review, "controller", CLERK, "")
    with pytest.raises(IllegalStep, match="expected controller or master_data"):
        decide(desk.books, run, review.review, "yes", CLERK, "because")
    with pytest.raises(NotFound, match="no review nothing"):
        decide(desk.books, run, "nothing", "yes", CLERK, "because")
    before = charged(desk, run)["WE1/T1"]
    run = decide(desk.books, run, review.group, "controller", CLERK, "the chamber was exchanged")
    assert charged(desk, run)["WE1/T1"] < before
    run = desk.finish(run)
    (decision,) = document_of(desk, run).decisions
    assert (decision.choice, decision.reason, decision.actor) == (
        "controller",
        "the chamber was exchanged",
        CLERK,
    )
    assert replay(desk.books, run).identical


def test_a_planned_day_of_receipt_that_has_passed_has_to_be_planned_anew(desk: RunDesk) -> None:
    run = desk.drafted()
    assert document_of(desk, run).receipt_on == date(2026, 3, 15)
    desk.clock.at = datetime(2026, 3, 20, tzinfo=UTC)
    with pytest.raises(IllegalStep, match="planned day of receipt 2026-03-15 has passed"):
        approval.submit(desk.books, run, CLERK)
    with pytest.raises(IllegalStep, match="plan a later day"):
        calculate_draft(desk.books, run, CLERK, date(2026, 3, 19))
    run = calculate_draft(desk.books, run, CLERK, date(2026, 4, 30))
    assert document_of(desk, run).receipt_on == date(2026, 4, 30)
    assert desk.finish(run).state is RunState.FINALIZED


def test_what_a_register_does_not_explain_blocks_until_a_person_has_said_why(desk: RunDesk) -> None:
    desk.estate.registers[2] += 3
    desk.estate.pour("2025-12-01 10:00", 1, 2)
    desk.commit()
    run = desk.drafted()
    with pytest.raises(IllegalStep, match="register_unexplained"):
        approval.submit(desk.books, run, CLERK)
    run = desk.finished_by_acknowledging(run)
    assert run.state is RunState.FINALIZED
    assert [each.reason for each in document_of(desk, run).decisions] == ["looked at it"]
    assert replay(desk.books, run).identical


def test_a_run_without_costs_goes_nowhere(desk: RunDesk) -> None:
    desk.take_back(cost("17", 100_001), "another property's")
    run = desk.drafted()
    with pytest.raises(IllegalStep, match="no costs are recorded"):
        approval.submit(desk.books, run, CLERK)


def test_the_timer_leaves_alone_what_a_person_sent_back_or_works_on(desk: RunDesk) -> None:
    (found,) = automatic.advance(desk.books, "P1")
    assert found.state == "in_review"
    run = desk.books.store.find("P1", PERIOD.first)
    run = approval.send_back(desk.books, run, APPROVER, "an invoice is missing")
    assert automatic.advance(desk.books, "P1") == []
    calculate_draft(desk.books, run, CLERK)
    assert automatic.advance(desk.books, "P1") == []
    assert desk.books.store.find("P1", PERIOD.first).state is RunState.DRAFT


def test_the_timer_leaves_nothing_behind_where_nothing_is_new(desk: RunDesk) -> None:
    desk.take_back(cost("17", 100_001), "another property's")
    automatic.advance(desk.books, "P1")
    before = desk.books.store.find("P1", PERIOD.first)
    (again,) = automatic.advance(desk.books, "P1")
    assert desk.books.store.find("P1", PERIOD.first) == before
    assert any("no costs are recorded" in text for text in again.obstacles)
    desk.enter(cost("17", 100_001))
    assert automatic.advance(desk.books, "P1")[0].state == "in_review"
