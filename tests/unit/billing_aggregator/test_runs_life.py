"""The whole life of a run on a real ledger, on SQLite and PostgreSQL: to the cent, by four eyes, and for ever."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from billing_aggregator.config import LedgerSection
from billing_aggregator.errors import IllegalStep, NotFound
from billing_aggregator.masterdata.facts import AgreementFact, OldReading
from billing_aggregator.model import CAP_ROW, DayRange
from billing_aggregator.runs import approval, automatic, calculation, delivery, revising
from billing_aggregator.runs.books import open_books
from billing_aggregator.runs.document import RevisionDocument, balances_of, decode
from billing_aggregator.runs.drafting import begin, calculate_draft, decide
from billing_aggregator.runs.preview import Cause
from billing_aggregator.runs.records import RunRecord
from billing_aggregator.runs.replaying import replay
from billing_aggregator.runs.showing import look_at
from billing_aggregator.runs.states import RunState
from tests.unit.billing_aggregator.pour_estates import credential, local
from tests.unit.billing_aggregator.run_books import APPROVER, CLERK, RunDesk, advance, cost
from tests.unit.billing_aggregator.worked_case import AGREEMENT, PERIOD

WORKED_CENTS = {
    "WE1/T1": 29476,
    "WE2/T2": 4355,
    "WE2/T3": 13603,
    "WE3/T4": 44389,
    "WE4/T5": 5066,
    "WE4/owner": 3112,
}


@pytest.fixture
def desk(tmp_path: Path, sqlite_url: str) -> Iterator[RunDesk]:
    opened = RunDesk(tmp_path, sqlite_url, f"sqlite:///{tmp_path / 'billing.sqlite'}")
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", "postgres"])
def any_desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunDesk]:
    if request.param == "sqlite":
        yield request.getfixturevalue("desk")
        return
    postgres = request.getfixturevalue("postgres")
    ledger, billing = postgres.create_database(), postgres.create_database()
    opened = RunDesk(tmp_path, ledger, billing)
    yield opened
    opened.close()
    postgres.drop_database(ledger)
    postgres.drop_database(billing)


def document_of(desk: RunDesk, run: RunRecord) -> RevisionDocument:
    return decode(desk.books.store.document(run))


def charged(desk: RunDesk, run: RunRecord) -> dict[str, int]:
    return {row: each.charged_cents for row, each in balances_of(document_of(desk, run)).items()}


def delivered(desk: RunDesk, run: RunRecord, on: date) -> RunRecord:
    run = delivery.deliver(desk.books, run, CLERK)
    desk.clock.at = max(desk.clock.at, datetime(on.year, on.month, on.day, 18, tzinfo=UTC))
    return delivery.receive(desk.books, run, on, (), CLERK)


def test_worked_case_goes_from_ledger_to_settled_to_the_cent(any_desk: RunDesk) -> None:
    desk = any_desk
    run = desk.drafted()
    assert run.state is RunState.DRAFT
    assert charged(desk, run) == WORKED_CENTS
    assert look_at(desk.books, run).obstacles == ()
    run = desk.finish(run)
    assert replay(desk.books, run).identical
    run = delivered(desk, run, date(2026, 3, 20))
    run = delivery.object_to(desk.books, run, "WE1/T1", CLERK, "we were away")
    run = delivery.settle(desk.books, run, CLERK, "paid")
    view = look_at(desk.books, run)
    assert (view.state, view.proposal, view.alarms) == (RunState.SETTLED, None, ())
    assert [event.event for event in view.events] == [
        *("created", "period_ended", "calculated", "submitted", "approved", "finalized"),
        *("delivered", "received", "objected", "settled"),
    ]
    assert {received.objections_until for received in view.deadlines.received} == {date(2027, 3, 31)}


def test_replay_gives_the_same_bytes_whatever_comes_later(any_desk: RunDesk) -> None:
    desk = any_desk
    run = desk.finalized()
    kept = desk.books.store.document(run)
    desk.estate.pour("2025-12-01 10:00", 1, 2)
    desk.estate.pour("2025-03-01 10:00", 77)
    desk.commit()
    desk.enter(cost("18", 5_000), advance("1", "WE1/T1", 10_000))
    desk.take_back(cost("17", 100_001), "another invoice")
    desk.clock.at = datetime(2027, 6, 1, tzinfo=UTC)
    result = replay(desk.books, run)
    assert (result.identical, result.differences) == (True, ())
    assert desk.books.store.document(run) == kept


def test_replay_says_what_differs_when_kept_bytes_are_not_what_the_pins_give(desk: RunDesk) -> None:
    run = desk.drafted()
    result = replay(desk.books, run)  # a draft's hash is that of counts per day, not of single entries
    assert not result.identical
    assert {line.partition(":")[0] for line in result.differences} == {
        "pins.entries_hash",
        "usage.entries_hash",
    }


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


def test_a_run_stays_open_until_its_period_is_over(desk: RunDesk) -> None:
    run = desk.drafted(date(2026, 1, 1))
    assert run.state is RunState.OPEN
    with pytest.raises(IllegalStep, match="nothing was calculated yet"):
        desk.books.store.document(run)
    assert look_at(desk.books, run).rows == ()
    with pytest.raises(IllegalStep, match="is open: finish it, there is no second one"):
        begin(desk.books, "P1", date(2026, 1, 1), CLERK)
    with pytest.raises(NotFound, match="no period that begins on 2030-01-01"):
        begin(desk.books, "P1", date(2030, 1, 1), CLERK)


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


def test_records_on_their_way_keep_a_run_collecting(desk: RunDesk) -> None:
    desk.estate.pour("2025-12-01 10:00", 1, 2)
    waiting = desk.estate.gateway.seal(desk.estate.pending)
    desk.estate.pending = []
    desk.estate.pour("2025-12-02 10:00", 1, 2)
    desk.commit()
    run = desk.drafted()
    view = look_at(desk.books, run)
    assert run.state is RunState.COLLECTING
    assert any("still on their way" in text for text in view.obstacles)
    with pytest.raises(IllegalStep, match="can't be submitted"):
        approval.submit(desk.books, run, CLERK)
    desk.estate.ledger.take(waiting)
    desk.commit()
    run = calculate_draft(desk.books, run, CLERK)
    assert run.state is RunState.DRAFT


def test_lost_pours_are_estimated_for_and_replay_knows_what_was_missing(desk: RunDesk) -> None:
    desk.estate.pour("2025-12-01 10:00", 1, 2)
    desk.estate.lose_last()
    desk.estate.pour("2025-12-02 10:00", 1, 2)
    desk.commit()
    run = desk.finished_by_acknowledging(desk.drafted())
    document = document_of(desk, run)
    assert sum(each.volume_ml for each in document.substitutes) == 20_000
    assert sum(charged(desk, run).values()) == 100_001
    assert replay(desk.books, run).identical


def test_a_late_pour_shows_as_a_proposed_revision_and_is_corrected_by_one(desk: RunDesk) -> None:
    """A finalized run can't be changed by later data."""
    first = delivered(desk, desk.finalized(), date(2026, 3, 20))
    kept = desk.books.store.document(first)
    desk.estate.pour("2025-12-01 10:00", 1, 2)
    desk.commit()
    view = look_at(desk.books, first)
    assert view.proposal is not None and view.proposal.revision == 2
    assert view.alarms == (
        "a revision is due: pours that came or were settled after the revision: 223 -> 224 billed pours",
    )
    with pytest.raises(IllegalStep, match="say why it is corrected"):
        revising.revise(desk.books, first, CLERK, "")
    second, moves = revising.revise(desk.books, first, CLERK, "a pour came late")
    assert {move.row: move.causes for move in moves} == {
        "WE1/T1": (Cause.OWN_VOLUME,),
        **dict.fromkeys(("WE2/T2", "WE2/T3", "WE3/T4", "WE4/T5"), (Cause.OTHERS,)),
    }
    with pytest.raises(IllegalStep, match="no second one beside it"):
        revising.revise(desk.books, first, CLERK, "again")
    second = desk.finish(second)
    first = desk.books.store.find("P1", PERIOD.first, 1)
    assert (first.state, first.superseded_by) == (RunState.SUPERSEDED, 2)
    assert desk.books.store.document(first) == kept
    assert replay(desk.books, first).identical and replay(desk.books, second).identical
    with pytest.raises(IllegalStep, match="only the latest revision"):
        revising.revise(desk.books, first, CLERK, "the old one")


def test_a_lost_transponder_moves_only_the_two_concerned(desk: RunDesk) -> None:
    """Design 4: four pours of 20 l from T3 to T4: T3 -12.40, T4 +12.40, all others 0; the owner bears it when late."""
    for number, row in enumerate(WORKED_CENTS):
        desk.enter(advance(str(number), row, 1_000))
    first = delivered(desk, desk.finalized(), date(2026, 3, 20))
    # Since 15 June T3's transponder was in T4's hands, for four pours.
    found = local("2025-06-10 08:59"), local("2025-06-11 00:30")
    desk.take_back(credential(3, "WE2-T3", begins_at=local("2025-05-01 00:00")), "was lost")
    desk.enter(
        credential(3, "WE2-T3", local("2025-05-01 00:00"), found[0]),
        credential(3, "WE3-T4", *found),
        credential(3, "WE2-T3", found[1]),
    )
    preview = revising.preview(desk.books, first)
    assert {move.row: move.moved for move in preview} == {"WE2/T3": -1240, "WE3/T4": 1240}
    desk.clock.at = datetime(2027, 2, 1, tzinfo=UTC)
    late, moves = revising.revise(desk.books, first, CLERK, "T3's transponder was lost")
    assert {move.row: move.moved for move in moves if move.moved} == {"WE2/T3": -1240, CAP_ROW: 1240}
    assert charged(desk, late) == {
        **WORKED_CENTS,
        "WE2/T3": 12_363,
        "WE3/T4": 44_389,
        CAP_ROW: 1_240,
    }
    lifted = decide(desk.books, late, "cap:WE3/T4", "lift", CLERK, "T4 kept it for himself")
    assert charged(desk, lifted) == {**WORKED_CENTS, "WE2/T3": 12_363, "WE3/T4": 45_629}
    assert replay(desk.books, desk.finish(lifted)).identical


def test_a_receipt_that_turns_out_late_is_an_alarm_and_a_proposed_revision(desk: RunDesk) -> None:
    """§ 556 (3) BGB: planned in time, delivered after the 12 months."""
    run = delivered(desk, desk.finalized(), date(2027, 1, 4))
    view = look_at(desk.books, run)
    assert view.proposal is not None
    assert view.proposal.reasons == ("statements turned out to have arrived later than planned",)
    assert any("WE1/T1 got revision 1 on 2027-01-04, after 2026-12-31" in alarm for alarm in view.alarms)
    moves = {move.row: move.balance_after for move in view.proposal.moves}
    assert moves["WE1/T1"] == 0 and moves[CAP_ROW] == 100_001 - WORKED_CENTS["WE4/owner"]


def test_an_alarm_comes_90_days_before_the_12_months_end(desk: RunDesk) -> None:
    run = desk.drafted()
    desk.clock.at = datetime(2026, 10, 1, 12, tzinfo=UTC)
    assert look_at(desk.books, run).deadlines.alarms == ()
    desk.clock.at = datetime(2026, 10, 2, 12, tzinfo=UTC)
    assert look_at(desk.books, run).deadlines.alarms == (
        "statements must be there by 2026-12-31 and are draft: 90 days are left",
    )


def test_receipts_are_entered_for_rows_there_are_on_days_that_can_be(desk: RunDesk) -> None:
    run = delivery.deliver(desk.books, desk.finalized(), CLERK)
    with pytest.raises(IllegalStep, match="no statement for WE9/T9"):
        delivery.receive(desk.books, run, date(2026, 3, 1), ["WE9/T9"], CLERK)
    with pytest.raises(IllegalStep, match="lies ahead"):
        delivery.receive(desk.books, run, date(2026, 3, 2), (), CLERK)
    with pytest.raises(IllegalStep, match="nobody got on 2026-02-28 what was finalized on 2026-03-01"):
        delivery.receive(desk.books, run, date(2026, 2, 28), (), CLERK)
    with pytest.raises(IllegalStep, match="what the objection is about"):
        delivery.object_to(desk.books, run, "WE1/T1", CLERK, "")


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


def test_a_run_without_costs_goes_nowhere(desk: RunDesk) -> None:
    desk.take_back(cost("17", 100_001), "another property's")
    run = desk.drafted()
    with pytest.raises(IllegalStep, match="no costs are recorded"):
        approval.submit(desk.books, run, CLERK)


def test_pours_of_a_transponder_that_nobody_holds_are_the_owners_not_the_residents(desk: RunDesk) -> None:
    desk.estate.pour("2025-12-01 10:00", 77, 2)
    desk.commit()
    run = desk.finished_by_acknowledging(desk.drafted())
    found = charged(desk, run)
    assert found["unattributed/owner"] > 0
    assert all(found[row] <= cents for row, cents in WORKED_CENTS.items())
    assert sum(found.values()) == 100_001


def test_replay_by_other_rules_says_so(desk: RunDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    run = desk.finalized()
    monkeypatch.setattr(calculation, "ENGINE_VERSION", "2")
    assert replay(desk.books, run).differences == ("pins.engine_version: 1 -> 2",)


def test_old_readings_are_where_a_partys_substitute_comes_from(desk: RunDesk) -> None:
    """Migration: without them T1 would be estimated by this year's months."""
    desk.enter(
        OldReading("P1", "WE1", "T1", "residual", DayRange(date(2024, 1, 1), date(2025, 1, 1)), 9_000_000)
    )
    desk.estate.pour("2025-12-01 10:00", 1, 2)
    desk.estate.lose_last()
    desk.estate.pour("2025-12-02 10:00", 1, 2)
    desk.commit()
    substitutes = {each.row: each for each in document_of(desk, desk.drafted()).substitutes}
    assert "2024-01-01..2024-12-31" in substitutes["WE1/T1"].sources
    assert "2024-01-01..2024-12-31" not in substitutes["WE3/T4"].sources


def test_the_period_before_is_a_source_of_estimates_once_it_is_final(desk: RunDesk) -> None:
    desk.finalized()
    desk.enter(cost("1", 50_000, date(2026, 1, 1)))
    desk.estate.pour("2026-12-01 10:00", 1, 2)
    desk.estate.lose_last()
    desk.estate.pour("2026-12-02 10:00", 1, 2)
    desk.commit()
    desk.clock.at = datetime(2027, 2, 1, tzinfo=UTC)
    document = document_of(desk, desk.drafted(date(2026, 1, 1)))
    assert {"2025-01-01..2025-12-31"} == {source for each in document.substitutes for source in each.sources}


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


def test_what_is_final_can_be_looked_at_while_the_ledger_is_away(desk: RunDesk, tmp_path: Path) -> None:
    run = desk.finalized()
    ledger = LedgerSection(url=f"sqlite:///{tmp_path / 'gone' / 'ledger.sqlite'}")
    with open_books(desk.config.model_copy(update={"ledger": ledger}), desk.clock) as books:
        view = look_at(books, run)
    assert {row.row: row.charged_cents for row in view.rows} == WORKED_CENTS
    (alarm,) = view.alarms
    assert "whether a revision is due isn't known" in alarm


def test_master_data_that_make_no_bill_any_more_are_a_reason_to_look(desk: RunDesk) -> None:
    run = desk.finalized()
    desk.take_back(AgreementFact("P1", AGREEMENT), "withdrawn")
    view = look_at(desk.books, run)
    assert view.proposal is not None and "nothing can be calculated" in view.proposal.reasons[0]
    assert replay(desk.books, run).identical
