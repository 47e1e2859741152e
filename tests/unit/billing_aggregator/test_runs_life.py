"""The whole life of a run on a real ledger, on SQLite and PostgreSQL: to the cent, and repeatable for ever."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from billing_aggregator.config import LedgerSection
from billing_aggregator.errors import IllegalStep, NotFound
from billing_aggregator.masterdata.facts import OldReading
from billing_aggregator.model import DayRange
from billing_aggregator.runs import approval, calculation, delivery
from billing_aggregator.runs.books import open_books
from billing_aggregator.runs.drafting import begin, calculate_draft
from billing_aggregator.runs.replaying import replay
from billing_aggregator.runs.showing import look_at
from billing_aggregator.runs.states import RunState
from tests.unit.billing_aggregator.run_books import (
    CLERK,
    WORKED_CENTS,
    RunDesk,
    advance,
    charged,
    cost,
    delivered,
    document_of,
)


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


def test_what_is_final_can_be_looked_at_while_the_ledger_is_away(desk: RunDesk, tmp_path: Path) -> None:
    run = desk.finalized()
    ledger = LedgerSection(url=f"sqlite:///{tmp_path / 'gone' / 'ledger.sqlite'}")
    with open_books(desk.config.model_copy(update={"ledger": ledger}), desk.clock) as books:
        view = look_at(books, run)
    assert {row.row: row.charged_cents for row in view.rows} == WORKED_CENTS
    (alarm,) = view.alarms
    assert "whether a revision is due isn't known" in alarm
