"""The memory of orders in the spool's database: states, what is told, what is forgotten and when."""

import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from edge_agent.orders import memory
from edge_agent.orders.memory import KEPT_MS, LEAST_KEPT_MS, MOST_REMEMBERED, TRANSITIONS, Order, State
from edge_agent.spool_schema import connect, migrate
from tests.unit.edge_agent.gateway import make_spool, opened
from tests.unit.edge_agent.orders.rig import OrderRig

NOW = 1_795_338_000_000
ORDER = Order("order-1", "1f00a1", "self_test", None, NOW, NOW + 60_000, 1, b"corr", State.ACCEPTED)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened_database = connect(tmp_path / "spool.db")
    migrate(opened_database)
    yield opened_database.conn
    opened_database.close()


def state_of(database: sqlite3.Connection, command: str = "order-1") -> State | None:
    order = memory.find(database, command)
    return order.state if order else None


@pytest.mark.parametrize(("before", "after"), list(product(State, State)))
def test_no_step_is_taken_that_the_table_does_not_allow(
    database: sqlite3.Connection, before: State, after: State
) -> None:
    memory.remember(database, replace(ORDER, state=before), b"told at first")
    if after is State.STARTED:
        memory.note_started(database, "order-1", 5, 4)
        assert state_of(database) is (State.STARTED if State.STARTED in TRANSITIONS[before] else before)
    elif after is not State.ACCEPTED:
        assert memory.finish(database, "order-1", after, b"told at last") == (after in TRANSITIONS[before])
        assert state_of(database) is (after if after in TRANSITIONS[before] else before)
    told = [each.payload for each in memory.untold(database, 10)]
    is_final = after not in (State.STARTED, State.ACCEPTED) and after in TRANSITIONS[before]
    assert told == ([b"told at first", b"told at last"] if is_final else [b"told at first"])


def test_an_outcome_is_kept_until_it_is_told_and_told_again_when_the_cloud_asks_again(
    database: sqlite3.Connection,
) -> None:
    memory.remember(database, ORDER, b"accepted")
    memory.finish(database, "order-1", State.DONE, b"done")
    untold = memory.untold(database, 10)
    assert [each.payload for each in untold] == [b"accepted", b"done"]
    memory.note_told(database, [each.id for each in untold])
    assert memory.untold(database, 10) == []
    known = memory.find(database, "order-1")
    assert known is not None
    memory.answer_again(database, known, replace(ORDER, attempt=2, correlation=b"again"))
    memory.answer_again(database, known, replace(ORDER, attempt=3, correlation=b"and again"))
    assert [(each.payload, each.correlation) for each in memory.untold(database, 10)] == [
        (b"done", b"and again")
    ]
    known = memory.find(database, "order-1")
    assert known is not None and known.attempt == 3


def all_told(database: sqlite3.Connection) -> None:
    memory.note_told(database, [each.id for each in memory.untold(database, 10_000)])


def test_what_expired_long_ago_is_forgotten_but_nothing_that_expires_before_it_is_taken_again(
    database: sqlite3.Connection,
) -> None:
    memory.begin_memory(database, NOW, is_certain=True)
    for number in (1, 2, 3, 4):
        memory.remember(database, replace(ORDER, id=f"order-{number}", expires_at_ms=NOW + number), b"told")
        if number != 2:
            memory.finish(database, f"order-{number}", State.DONE, b"done")
        if number != 4:
            all_told(database)
    assert memory.forget_old(database, NOW + KEPT_MS) == 0
    assert memory.forget_old(database, NOW + KEPT_MS + 10) == 2
    assert state_of(database, "order-2") is State.ACCEPTED  # it may still be carried out
    assert state_of(database, "order-4") is State.DONE  # nobody has heard it yet
    assert memory.horizon(database).forgotten_until_ms == NOW + 3


def test_a_full_memory_makes_room_earlier_but_never_of_what_may_still_come(
    database: sqlite3.Connection,
) -> None:
    memory.begin_memory(database, NOW, is_certain=True)
    for number in range(MOST_REMEMBERED):
        memory.remember(database, replace(ORDER, id=f"order-{number}", state=State.DONE), b"told")
    all_told(database)
    assert memory.horizon(database).is_full
    assert memory.forget_old(database, ORDER.expires_at_ms + LEAST_KEPT_MS) == 0
    assert memory.forget_old(database, ORDER.expires_at_ms + LEAST_KEPT_MS + 1) > 0
    assert not memory.horizon(database).is_full


def test_the_memory_begins_once(database: sqlite3.Connection) -> None:
    assert memory.horizon(database).since_ms is None
    memory.begin_memory(database, NOW, is_certain=True)
    memory.begin_memory(database, NOW + 1, is_certain=True)
    assert memory.horizon(database).since_ms == NOW


def test_orders_in_a_spool_of_schema_3_are_taken_up_where_they_were(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    shutil.copy(Path(__file__).parents[3] / "databases" / "spool-v3.db", path)
    rig = OrderRig(path)
    rig.clock.seconds += 343_001_000  # to the day on which that spool was made
    with rig.running():
        waiting = rig.book.next_for("1f00a1")
        assert waiting is not None
        assert (waiting.id, waiting.state, waiting.token) == ("order-1", State.STARTED, 8)
        assert rig.intake.wishes.revision == 5
        wish = rig.intake.wishes.of("1f00a1")
        assert (wish.enable_mask, wish.poll_interval_s) == (3, 4)
        assert wish.list_mark is not None and (wish.list_mark.version, wish.list_mark.entries) == (7, 1)


def test_a_spool_that_was_lost_begins_a_new_memory(tmp_path: Path) -> None:
    with opened(make_spool(tmp_path / "spool.db")) as spool:
        assert spool.transact(memory.horizon) == memory.Horizon(None, 0, False)
        assert spool.transact(memory.unfinished) == []


@pytest.mark.parametrize("year_ms", [-31_536_000_000, 31_536_000_000])
def test_the_first_time_that_the_clock_is_certain_a_memory_that_began_by_a_wrong_one_begins_then_and_only_then(
    database: sqlite3.Connection, year_ms: int
) -> None:
    memory.begin_memory(database, NOW + year_ms, is_certain=False)
    assert memory.begin_memory(database, NOW + year_ms + 5, is_certain=False) is None
    assert memory.horizon(database).since_ms == NOW + year_ms
    assert memory.begin_memory(database, NOW, is_certain=True) == year_ms
    assert memory.horizon(database).since_ms == NOW
    # Somebody turns the time source back, to have replayed what an earlier spool has carried out.
    assert memory.begin_memory(database, NOW - 86_400_000, is_certain=True) is None
    assert memory.begin_memory(database, NOW - 86_400_000, is_certain=False) is None
    assert memory.horizon(database).since_ms == NOW


def test_a_gateway_whose_clock_was_ahead_at_first_takes_orders_once_a_time_source_has_it(
    tmp_path: Path,
) -> None:
    rig = OrderRig(tmp_path / "spool.db")
    rig.off_by_s = 400 * 86_400.0
    with rig.running_quickly():
        rig.lock.visit()
    rig.off_by_s = 0.0
    with rig.running_quickly():
        rig.lock.visit()
        rig.clock.seconds += 1
        rig.send(rig.command("now", "self_test"))
        rig.send(rig.command("before", "self_test", ago_s=60))
        rig.work(5)
        assert rig.line.words("now") == ["accepted", "done"]
        assert rig.line.words("before") == ["rejected"]
