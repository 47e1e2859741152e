"""The store of runs on SQLite and PostgreSQL: steps are whole, and what is finalized can't be touched by anybody."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from billing_aggregator.database import Database, StoreRefused, migrate
from billing_aggregator.errors import IllegalStep, NotFound
from billing_aggregator.model import DayRange
from billing_aggregator.runs import tables
from billing_aggregator.runs.records import RunRecord
from billing_aggregator.runs.states import TRANSITIONS, RunEvent, RunState
from billing_aggregator.runs.store import RunStore, Step

PERIOD = DayRange(date(2025, 1, 1), date(2026, 1, 1))
AT = datetime(2026, 2, 1, 9, 30, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    url = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    opened = Database(url)
    migrate(opened)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database) -> RunStore:
    return RunStore(database)


def take(store: RunStore, run: RunRecord, *events: RunEvent, document: bytes | None = None) -> RunRecord:
    for event in events:
        run = store.take(Step(run, event, "a.berg", AT, "because", {}, document))[-1]
    return run


def finalized(store: RunStore) -> RunRecord:
    run = take(store, store.create("A", PERIOD, "a.berg", AT), RunEvent.PERIOD_ENDED)
    run = take(store, run, RunEvent.CALCULATED, document=b"first draft")
    run = take(store, run, RunEvent.CALCULATED, document=b"second draft")
    return take(store, run, RunEvent.SUBMITTED, RunEvent.APPROVED, RunEvent.FINALIZED)


def test_a_run_keeps_who_did_what_when_and_why(store: RunStore) -> None:
    run = finalized(store)
    assert (str(run), run.state, run.since) == ("A/2025-01-01/1", RunState.FINALIZED, AT)
    events = store.events(run)
    assert [event.event for event in events] == [
        "created",
        "period_ended",
        "calculated",
        "calculated",
        "submitted",
        "approved",
        "finalized",
    ]
    assert {(event.actor, event.at) for event in events} == {("a.berg", AT)}
    assert events[-1].reason == "because"
    assert store.document(run) == b"second draft"
    assert store.find("A", PERIOD.first) == run == store.find("A", PERIOD.first, 1)


def test_an_illegal_step_raises_and_changes_nothing(store: RunStore) -> None:
    run = store.create("A", PERIOD, "a.berg", AT)
    with pytest.raises(IllegalStep, match="can't be approved"):
        take(store, run, RunEvent.APPROVED)
    legal = Step(run, RunEvent.PERIOD_ENDED, "a.berg", AT)
    with pytest.raises(IllegalStep, match="can't be settled"):
        store.take(legal, Step(run, RunEvent.SETTLED, "a.berg", AT))
    assert len(store.events(run)) == 1
    assert store.list() == (run,)


def test_a_step_judged_by_a_state_that_has_passed_is_refused(store: RunStore) -> None:
    run = store.create("A", PERIOD, "a.berg", AT)
    take(store, run, RunEvent.PERIOD_ENDED)
    with pytest.raises(IllegalStep, match="has become collecting meanwhile"):
        take(store, run, RunEvent.PERIOD_ENDED)


def test_there_is_one_unfinished_run_of_a_period_at_most_and_revisions_count_up(store: RunStore) -> None:
    run = store.create("A", PERIOD, "a.berg", AT)
    with pytest.raises(IllegalStep, match="no second one beside it"):
        store.create("A", PERIOD, "b.weber", AT)
    store.create("B", PERIOD, "b.weber", AT)
    with pytest.raises(NotFound, match="runs of A: A/2025-01-01/1"):
        store.find("A", date(2024, 1, 1))
    assert run.revision == 1


def test_a_later_revision_supersedes_in_the_same_step(store: RunStore) -> None:
    first = finalized(store)
    with pytest.raises(IllegalStep, match="is there already and finalized: correct it with"):
        store.create("A", PERIOD, "a.berg", AT)
    second = store.create("A", PERIOD, "a.berg", AT, "a pour came late", after=first)
    assert second.revision == 2
    taken_over = Step(first, RunEvent.SUPERSEDED, "a.berg", AT, "", {"by": 2})
    ended = Step(second, RunEvent.PERIOD_ENDED, "a.berg", AT)
    assert [each.state for each in store.take(ended, taken_over)] == [
        RunState.COLLECTING,
        RunState.SUPERSEDED,
    ]
    assert [run.superseded_by for run in store.revisions("A", PERIOD.first)] == [2, None]


def test_happenings_are_those_known_at_an_instant(store: RunStore) -> None:
    run = finalized(store)
    happened = store.happened("A", AT, RunEvent.FINALIZED, RunEvent.SUBMITTED)
    assert [(each.run_no, each.event.event) for each in happened] == [
        (run.run_no, "submitted"),
        (run.run_no, "finalized"),
    ]
    assert store.happened("A", AT - timedelta(milliseconds=1), RunEvent.FINALIZED) == ()
    assert store.happened("B", AT, RunEvent.FINALIZED) == ()


@pytest.mark.parametrize("table", ["runs", "run_events", "revisions"])
@pytest.mark.parametrize(
    "change", ["UPDATE {0} SET run_no = run_no + 100", "DELETE FROM {0}", "UPDATE {0} SET run_no = run_no"]
)
def test_the_database_refuses_to_change_or_delete_anything(
    database: Database, store: RunStore, table: str, change: str
) -> None:
    run = finalized(store)
    with pytest.raises(StoreRefused, match="only ever added to"), database.writing() as connection:
        connection.execute(sa.text(change.format(table)))
    assert store.document(run) == b"second draft"


def test_postgresql_refuses_to_truncate(postgres_url: str) -> None:
    opened = Database(postgres_url)
    migrate(opened)
    finalized(RunStore(opened))
    with pytest.raises(StoreRefused, match="only ever added to"), opened.writing() as connection:
        connection.execute(sa.text("TRUNCATE revisions"))
    opened.close()


def test_the_database_refuses_bytes_for_a_finalized_revision(database: Database, store: RunStore) -> None:
    run = finalized(store)
    row = {"run_no": run.run_no, "draft": 3, "sha256": "0" * 64, "document": b"forged"}
    with pytest.raises(StoreRefused, match="a finalized revision"), database.writing() as connection:
        connection.execute(tables.revisions.insert().values(row))
    assert store.document(run) == b"second draft"


def test_the_database_refuses_to_finalize_twice(database: Database, store: RunStore) -> None:
    run = finalized(store)
    again = {"run_no": run.run_no, "step": 99, "event": "finalized", "state": "finalized", "at_ms": 0}
    with pytest.raises(StoreRefused), database.writing() as connection:
        connection.execute(tables.run_events.insert().values(**again, actor="x", reason="", details="{}"))


def test_tables_are_as_the_migration_makes_them(database: Database) -> None:
    with database.reading() as connection:
        there = sa.inspect(connection)
        for table in tables.metadata.sorted_tables:
            columns = {column["name"]: column["nullable"] for column in there.get_columns(table.name)}
            assert columns == {column.name: column.nullable for column in table.columns}


def test_of_two_who_take_the_same_step_at_once_one_is_told_that_it_was_taken(store: RunStore) -> None:
    run = store.create("A", PERIOD, "a.berg", AT)
    both_ready = Barrier(2)

    def attempt(actor: str) -> str:
        both_ready.wait(10)
        try:
            return store.take(Step(run, RunEvent.PERIOD_ENDED, actor, AT))[-1].state
        except IllegalStep as refused:
            return str(refused)

    with ThreadPoolExecutor(2) as pool:
        results = sorted(pool.map(attempt, ["a.berg", "b.weber"]))
    assert results[0] == "collecting"
    assert "has become collecting meanwhile" in results[1]
    assert len(store.events(run)) == 2


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunStore]:
    opened = Database(f"sqlite:///{tmp_path_factory.mktemp('runs') / 'billing.sqlite'}")
    migrate(opened)
    yield RunStore(opened)
    opened.close()


@given(events=st.lists(st.sampled_from(RunEvent), max_size=25))
def test_whatever_is_tried_only_the_tables_steps_are_taken(lasting: RunStore, events: list[RunEvent]) -> None:
    run = lasting.create(f"P{len(lasting.list())}", PERIOD, "a.berg", AT)
    taken = ["created"]
    for event in events:
        is_legal = event in TRANSITIONS[run.state]
        try:
            run = lasting.take(Step(run, event, "a.berg", AT, details={"by": 2}))[-1]
        except IllegalStep:
            assert not is_legal
        else:
            assert is_legal
            taken.append(event)
        assert lasting.find(run.property, PERIOD.first) == run
    assert [event.event for event in lasting.events(run)] == taken
