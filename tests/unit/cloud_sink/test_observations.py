"""Observations in the ledger: kept once however many sinks write, numbered without gaps, given up when they are old."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from cloud_sink.config import ObservationsSection
from cloud_sink.ledger import keeping
from cloud_sink.ledger.database import Database
from cloud_sink.ledger.instants import to_ms
from cloud_sink.ledger.observations import (
    Observation,
    ReportKind,
    State,
    hearings_of,
    last_observation_no,
    observations_after,
)
from cloud_sink.reports import Report
from tests.support.ledger import Ledger
from tests.unit.cloud_sink.test_observing import gateway_state, heard, lock_state, telemetry
from tests.unit.cloud_sink.test_schema import assert_indexed, recorded_statements

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
NOW_MS = to_ms(START + timedelta(days=1))
THINNING = ObservationsSection()


def keep(database: Database, *reports: Report, shared: bool = False) -> int:
    with database.writing() as connection:
        return keeping.keep(connection, reports, NOW_MS, THINNING, shared)


def kept(ledger: Ledger, after: int = 0) -> list[Observation]:
    with ledger.database.reading() as connection:
        found = observations_after(connection, after, 1000)
        assert last_observation_no(connection) == (found[-1].observation_no if found else after)
    return found


def test_reports_are_kept_in_the_order_of_hearing_with_numbers_from_one(ledger: Ledger) -> None:
    states: list[State] = [telemetry(3), lock_state(1), gateway_state(0), lock_state(2, faults=("tamper",))]
    reports = [heard(state, seconds) for state, seconds in zip(states, (3, 1, 0, 2), strict=True)]
    assert keep(ledger.database, *reports) == 4
    assert keep(ledger.database, *reports) == 0, "as where nobody knows whether the commit came through"
    found = kept(ledger)
    assert [each.observation_no for each in found] == [1, 2, 3, 4]
    assert [each.kind.value for each in found] == ["gateway", "lock", "lock", "telemetry"]
    assert [each.state for each in found] == [states[2], states[1], states[3], states[0]]
    assert [each.lock for each in found] == [None, "1f00a1", "1f00a1", None]
    assert found[2].heard_before_at == found[1].heard_at == START + timedelta(seconds=1)


def test_what_was_heard_last_is_known_though_it_is_not_kept(ledger: Ledger) -> None:
    keep(ledger.database, heard(lock_state(0), 0), heard(gateway_state(0), 0))
    assert keep(ledger.database, heard(lock_state(9, newest_seq=12), 9)) == 0
    with ledger.database.reading() as connection:
        found = {(each.kind, each.lock): each for each in hearings_of(connection, ["gw-0001"])}
        assert hearings_of(connection, ["gw-0002"]) == []
        assert len(hearings_of(connection)) == 2
    lock = found[ReportKind.LOCK, "1f00a1"]
    assert (lock.state, lock.heard_at) == (lock_state(9, newest_seq=12), START + timedelta(seconds=9))
    assert found[ReportKind.GATEWAY, None].heard_at == START


def test_sinks_that_write_at_once_keep_each_report_once(ledger: Ledger) -> None:
    reports = [
        heard(lock_state(10 * number, faults=("tamper",) if number % 2 else ()), 10 * number)
        for number in range(60)
    ]

    def sink(size: int) -> None:
        database = Database(ledger.url)
        try:
            for start in range(0, len(reports), size):
                keep(database, *reports[start : start + size], shared=True)
        finally:
            database.close()

    with ThreadPoolExecutor() as pool:
        list(pool.map(sink, (1, 7)))
    found = kept(ledger)
    assert [each.observation_no for each in found] == list(range(1, len(found) + 1))
    instants = [each.heard_at for each in found]
    assert instants == sorted(set(instants)), "none twice, and none that came late"
    assert found[-1].state == reports[-1].state


def test_old_observations_are_given_up_in_steps_but_never_the_last_of_a_subject(ledger: Ledger) -> None:
    for number in range(10):
        keep(ledger.database, heard(telemetry(60 * number), 60 * number))
        keep(ledger.database, heard(lock_state(60 * number, fill_permille=20 * number), 60 * number))
    before = {ReportKind.TELEMETRY: to_ms(START) + 10**9, ReportKind.LOCK: to_ms(START) + 300_000}
    steps: list[int] = []
    while not steps or steps[-1]:
        with ledger.database.writing() as connection:
            steps.append(keeping.give_up(connection, before, 4))
    assert steps == [4, 4, 4, 2, 0]
    left = kept(ledger)
    assert [each.kind.value for each in left] == [*["lock"] * 4, "telemetry", "lock"]
    newest = left[-1].observation_no
    keep(ledger.database, heard(lock_state(9999, fill_permille=5), 9999))
    assert kept(ledger, newest)[0].observation_no == newest + 1


def test_numbers_go_on_where_everything_but_the_last_was_given_up(ledger: Ledger) -> None:
    keep(ledger.database, heard(telemetry(0), 0), heard(telemetry(70), 70))
    with ledger.database.writing() as connection:
        assert keeping.give_up(connection, {ReportKind.TELEMETRY: NOW_MS}, 100) == 1
    keep(ledger.database, heard(telemetry(140), 140))
    assert [each.observation_no for each in kept(ledger)] == [2, 3]


@pytest.mark.parametrize("what", ["keep", "give_up", "read"])
def test_what_is_asked_of_observations_is_answered_by_indexes(ledger: Ledger, what: str) -> None:
    keep(ledger.database, heard(lock_state(0), 0), heard(gateway_state(0), 0))
    with recorded_statements(ledger.database) as seen:
        if what == "keep":
            keep(ledger.database, heard(lock_state(9, faults=("tamper",)), 9))
        elif what == "give_up":
            with ledger.database.writing() as connection:
                keeping.give_up(connection, {ReportKind.LOCK: NOW_MS}, 10)
        else:
            with ledger.database.reading() as connection:
                observations_after(connection, 0, 10)
                hearings_of(connection, ["gw-0001"])
    assert_indexed(ledger.database, seen)
