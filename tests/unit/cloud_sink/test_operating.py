"""What people decide: what is possible, what is said already, what is wrong; on both databases."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cloud_sink.errors import ConfigError, InputRejected, NotPossible
from cloud_sink.ledger.operator_events import (
    OperatorEvent,
    events_of,
    last_event_no,
    operator_events_after,
)
from cloud_sink.operating import Author, Effect, Operations
from cloud_sink.operator_events import (
    ChamberDescription,
    EventKind,
    LockDescription,
    Move,
    Note,
    SubjectKind,
    Wish,
    WishedProperty,
)
from cloud_sink.projections.twins.lifecycle import Lifecycle, moves_from
from tests.support.fake_gateway import FakeGateway, FakeLock
from tests.support.ledger import Ledger, StepClock
from tests.unit.cloud_sink.test_schema import assert_indexed, recorded_statements

ANNA = Author("anna", "because")
DEADLINE = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def operations(ledger: Ledger) -> Iterator[Operations]:
    opened = Operations(ledger.url, StepClock())
    yield opened
    opened.close()


def events(ledger: Ledger, after: int = 0) -> list[OperatorEvent]:
    with ledger.database.reading() as connection:
        found = operator_events_after(connection, after, 1000)
        assert last_event_no(connection) == (found[-1].event_no if found else after)
    return found


def test_a_description_is_kept_with_who_and_why_and_changed_field_by_field(
    ledger: Ledger, operations: Operations
) -> None:
    chambers = {1: {"fraction": "residual", "volume_ml": 5000}}
    changes = {"site": "estate-1", "label": "Haus 1", "row": 1, "column": 2, "chambers": chambers}
    assert operations.describe_lock("1f00a1", changes, ANNA) is Effect.ADDED
    assert operations.describe_lock("1f00a1", changes, ANNA) is Effect.UNCHANGED
    assert operations.describe_lock("1f00a1", {"row": 3}, Author("bob")) is Effect.CHANGED
    first, second = events(ledger)
    assert (first.event_no, first.actor, first.reason, first.subject) == (1, "anna", "because", "1f00a1")
    assert second.body == LockDescription(
        label="Haus 1", site="estate-1", row=3, column=2,
        chambers={1: ChamberDescription(fraction="residual", volume_ml=5000)},
    )  # fmt: skip
    assert operations.describe_site("estate-1", {"city": "Leipzig"}, ANNA) is Effect.ADDED
    assert operations.describe_site("estate-1", {"name": "Lindenhof"}, ANNA) is Effect.CHANGED
    assert events(ledger, 3)[0].body.model_dump(exclude_defaults=True) == {
        "name": "Lindenhof",
        "city": "Leipzig",
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "site is missing"),
        ({"site": "a b"}, "A-Z a-z"),
        ({"site": "x", "row": 1}, "give both or none"),
        ({"site": "x", "row": 0, "column": 1}, "row: "),
        ({"site": "x", "chambers": {5: {"fraction": "residual", "volume_ml": 5}}}, "chambers.5"),
        ({"site": "x", "chambers": {1: {"fraction": "residual"}}}, "volume_ml is missing"),
    ],
)
def test_a_wrong_description_is_refused_with_its_field(
    ledger: Ledger, operations: Operations, changes: dict[str, Any], expected: str
) -> None:
    with pytest.raises(InputRejected, match=expected):
        operations.describe_lock("1f00a1", changes, ANNA)
    with pytest.raises(InputRejected, match="lower-case hexadecimal"):
        operations.describe_lock("1F00A1", {"site": "x"}, ANNA)
    assert events(ledger) == []


def test_a_lock_moves_only_where_the_table_lets_it(ledger: Ledger, operations: Operations) -> None:
    operations.describe_lock("1f00a1", {"site": "estate-1"}, ANNA)
    with pytest.raises(NotPossible, match="planned can't be moved to in_service: expected commissioning"):
        operations.move("1f00a1", "in_service", ANNA)
    for to in ("commissioning", "in_service", "maintenance", "in_service", "decommissioned", "planned"):
        operations.move("1f00a1", to, ANNA)
    with pytest.raises(InputRejected, match="expected one of planned"):
        operations.move("1f00a1", "degraded", ANNA)
    moves = [event.body for event in events(ledger) if event.kind is EventKind.LIFECYCLE]
    assert [body.to for body in moves if isinstance(body, Move)] == [
        "commissioning", "in_service", "maintenance", "in_service", "decommissioned", "planned",
    ]  # fmt: skip
    assert [lock.lifecycle for lock in operations.locks()] == [Lifecycle.PLANNED]


def test_a_lock_that_was_at_work_before_anybody_described_it_serves(
    ledger: Ledger, operations: Operations, gateway: FakeGateway, lock: FakeLock
) -> None:
    ledger.take(gateway.seal(lock.pours(1)))
    operations.move(lock.name, "maintenance", ANNA)
    [found] = operations.locks()
    assert (found.lock, found.lifecycle, found.description) == (lock.name, Lifecycle.MAINTENANCE, None)
    assert Lifecycle.IN_SERVICE in moves_from(found.lifecycle)


def test_wishes_notes_and_acknowledgements_are_about_somebody_that_is_known(
    ledger: Ledger, operations: Operations, gateway: FakeGateway, lock: FakeLock
) -> None:
    for subject_kind, subject in (
        (SubjectKind.LOCK, "1f00a1"),
        (SubjectKind.SITE, "estate-1"),
        (SubjectKind.GATEWAY, "estate-1/gw-0001"),
    ):
        with pytest.raises(NotPossible, match=f"no {subject_kind} {subject} is known"):
            operations.note(subject_kind, subject, "hm", ANNA)
        ledger.take(gateway.seal(lock.pours(1)))
        operations.note(subject_kind, subject, "hm", ANNA)
        operations.acknowledge(subject_kind, subject, "alarm-1", ANNA)
        with ledger.database.writing() as connection:
            for table in ("entries", "pages", "journals", "locks", "seq_spans", "page_spans", "commits"):
                connection.exec_driver_sql(f"DELETE FROM {table}")
    assert [event.kind.value for event in events(ledger)] == ["note", "acknowledged"] * 3
    operations.describe_lock("1f00a1", {"site": "estate-1"}, ANNA)
    wish = {"property": "enable_mask", "value": 3, "deadline_at": DEADLINE}
    assert operations.wish(SubjectKind.LOCK, "1f00a1", wish, ANNA).value == 3
    operations.wish(SubjectKind.LOCK, "1f00a1", {"property": "enable_mask", "value": None}, ANNA)
    kept = [event.body for event in events(ledger, 7)]
    assert kept == [
        Wish(property=WishedProperty.ENABLE_MASK, value=3, deadline_at=DEADLINE),
        Wish(property=WishedProperty.ENABLE_MASK, value=None),
    ]
    for wrong in ({"property": "colour", "value": 1}, {"property": "enable_mask", "value": 16},
                  {"property": "firmware", "value": 2}, {"property": "poll_interval_s", "value": "fast"}):  # fmt: skip
        with pytest.raises(InputRejected):
            operations.wish(SubjectKind.LOCK, "1f00a1", wrong, ANNA)
    with pytest.raises(InputRejected, match="text"):
        operations.note(SubjectKind.LOCK, "1f00a1", "", ANNA)
    with pytest.raises(InputRejected, match="expected site/gateway"):
        operations.note(SubjectKind.GATEWAY, "gw-0001", "hm", ANNA)


def test_many_locks_are_described_at_once_and_only_news_is_written(
    ledger: Ledger, operations: Operations
) -> None:
    several = {name: LockDescription(site="estate-1", label=name) for name in ("1f00a1", "1f00a2", "1f00a3")}
    assert set(operations.describe_locks(several, ANNA, dry_run=True).values()) == {Effect.ADDED}
    assert events(ledger) == [], "a dry run writes nothing"
    operations.describe_locks(several, ANNA)
    several["1f00a2"] = LockDescription(site="estate-2")
    effects = operations.describe_locks(several, ANNA)
    assert [effect.value for effect in effects.values()] == ["unchanged", "changed", "unchanged"]
    assert len(events(ledger)) == 4
    with pytest.raises(InputRejected):
        operations.describe_locks({"1f00a4": several["1f00a1"], "nonsense": several["1f00a1"]}, ANNA)
    assert len(events(ledger)) == 4, "nothing is half taken"


def test_decisions_made_at_once_get_numbers_without_gaps_and_instants_in_their_order(ledger: Ledger) -> None:
    clocks = [StepClock(), StepClock(datetime(2020, 1, 1, tzinfo=UTC))]

    def decide(clock: StepClock) -> None:
        operations = Operations(ledger.url, clock)
        for number in range(20):
            operations.describe_lock("1f00a1", {"site": "estate-1", "label": f"{clock.at} {number}"}, ANNA)
        operations.close()

    with ThreadPoolExecutor() as pool:
        list(pool.map(decide, clocks))
    found = events(ledger)
    assert [event.event_no for event in found] == list(range(1, 41))
    instants = [event.at for event in found]
    assert instants == sorted(instants), "also where a clock is six years behind"
    with ledger.database.reading() as connection:
        newest = events_of(connection, SubjectKind.LOCK, "1f00a1", EventKind.DESCRIBED, 3)
    assert [event.event_no for event in newest] == [40, 39, 38]


def test_what_is_asked_of_operator_events_is_answered_by_indexes(
    ledger: Ledger, operations: Operations
) -> None:
    operations.describe_lock("1f00a1", {"site": "estate-1"}, ANNA)
    with recorded_statements(operations._database) as seen:
        operations.move("1f00a1", "commissioning", ANNA)
        operations.describe_lock("1f00a1", {"label": "x"}, ANNA)
    with recorded_statements(ledger.database) as read:
        events(ledger)
    assert_indexed(ledger.database, [*seen, *read])


def test_decisions_need_a_ledger_of_this_release(ledger_url: str) -> None:
    with pytest.raises(ConfigError, match="start `cloud-sink run` once"):
        Operations(ledger_url, StepClock())


def test_a_note_of_a_later_release_with_more_in_it_is_read() -> None:
    assert Note.model_validate_json('{"text":"hm","mood":"bad"}') == Note(text="hm")
    later = Wish.model_validate_json(
        '{"property":"firmware","value":"1.2","deadline_at":"2026-12-01T00:00:00Z"}'
    )
    assert later.deadline_at == DEADLINE + timedelta(0)


@pytest.mark.parametrize("where", ["note", "label", "fraction", "reason"])
def test_text_that_one_of_the_databases_could_not_keep_is_refused(
    ledger: Ledger, operations: Operations, where: str
) -> None:
    operations.describe_lock("1f00a1", {"site": "estate-1"}, ANNA)
    bad = "a\0b"
    with pytest.raises(InputRejected, match="NUL"):
        match where:
            case "note":
                operations.note(SubjectKind.LOCK, "1f00a1", bad, ANNA)
            case "label":
                operations.describe_lock("1f00a1", {"label": bad}, ANNA)
            case "fraction":
                chambers = {1: {"fraction": bad, "volume_ml": 5000}}
                operations.describe_lock("1f00a1", {"chambers": chambers}, ANNA)
            case "reason":
                operations.move("1f00a1", "commissioning", Author("anna", bad))
    assert len(events(ledger)) == 1
