"""Corrections, deadlines and the cap (§ 556 (3) BGB), on a real ledger: a finalized run stays as it is."""

from datetime import UTC, date, datetime

import pytest

from billing_aggregator.errors import IllegalStep
from billing_aggregator.masterdata.facts import AgreementFact, Occupancy, Persons
from billing_aggregator.model import CAP_ROW
from billing_aggregator.runs import delivery, revising
from billing_aggregator.runs.drafting import decide
from billing_aggregator.runs.preview import Cause
from billing_aggregator.runs.replaying import replay
from billing_aggregator.runs.showing import look_at
from billing_aggregator.runs.states import RunState
from tests.unit.billing_aggregator.pour_estates import credential, days, local
from tests.unit.billing_aggregator.run_books import CLERK, WORKED_CENTS, RunDesk, advance, charged, delivered
from tests.unit.billing_aggregator.worked_case import AGREEMENT, PERIOD


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


def test_whoever_a_correction_drops_gets_a_statement_and_may_object_to_it(desk: RunDesk) -> None:
    first = delivered(desk, desk.finalized(), date(2026, 3, 20))
    lived = days("2025-01-01", "2025-07-01")
    for fact in (
        Occupancy("P1", "WE4-T5", "WE4", "T5", days("2020-01-01", "2025-07-01")),
        Persons("P1", "WE4-T5", 1, days("2020-01-01", "2025-07-01")),
    ):
        desk.take_back(fact, "never moved in")
    desk.enter(Occupancy("P1", "WE4-none", "WE4", "owner", lived), reason="stood empty")
    second, _ = revising.revise(desk.books, first, CLERK, "T5 never moved in")
    assert "WE4/T5" not in charged(desk, second)
    second = delivery.deliver(desk.books, desk.finished_by_acknowledging(second), CLERK)
    second = delivery.receive(desk.books, second, date(2026, 3, 20), ["WE4/T5"], CLERK)
    assert delivery.object_to(desk.books, second, "WE4/T5", CLERK, "I did").state is RunState.OBJECTED


def test_master_data_that_make_no_bill_any_more_are_a_reason_to_look(desk: RunDesk) -> None:
    run = desk.finalized()
    desk.take_back(AgreementFact("P1", AGREEMENT), "withdrawn")
    view = look_at(desk.books, run)
    assert view.proposal is not None and "nothing can be calculated" in view.proposal.reasons[0]
    assert replay(desk.books, run).identical
